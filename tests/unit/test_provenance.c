/* Provenance: the list keeps what it is given, says when it had to drop something, and what is collected can be written
 * to JSON and HDF5. */
#include "check.h"
#include "harness/provenance.h"
#include <ctype.h>
#include <jansson.h>
#include <sys/utsname.h>
#include <unistd.h>

static void test_set_and_get(void) {
    static ap_provenance list;
    ap_provenance_set(&list, "ranks", "%d", 4);
    ap_provenance_set(&list, "host", "%s", "n1");
    ap_provenance_set(&list, "ranks", "%d", 2);
    CHECK_INT(list.n, 2);
    CHECK(!strcmp(ap_provenance_get(&list, "ranks"), "2"));
    CHECK(!strcmp(list.item[0].key, "ranks"));
    CHECK(!ap_provenance_get(&list, "rank"));
}

static void test_text_is_cleaned(void) {
    static ap_provenance list;
    ap_provenance_set(&list, "a", "%s", "line\nbreak\ttab\x1b[31m\x7f");
    CHECK(!strcmp(ap_provenance_get(&list, "a"), "line?break?tab?[31m?"));
    ap_provenance_set(&list, "utf8", "%s", "caf\xc3\xa9");
    CHECK(!strcmp(ap_provenance_get(&list, "utf8"), "caf\xc3\xa9"));
    ap_provenance_set(&list, "latin1", "%s", "caf\xe9");
    CHECK(!strcmp(ap_provenance_get(&list, "latin1"), "caf?"));
}

static void test_long_text_is_marked(void) {
    static ap_provenance list;
    char text[2 * sizeof list.item[0].text];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ap_provenance_set(&list, "long", "%s", text);
    const char *got = ap_provenance_get(&list, "long");
    CHECK_INT(strlen(got), sizeof list.item[0].text - 1);
    CHECK(!strcmp(got + strlen(got) - 4, "x..."));
    text[sizeof list.item[0].text - 1] = '\0'; /* the longest that fits is not marked */
    ap_provenance_set(&list, "long", "%s", text);
    CHECK(!strcmp(ap_provenance_get(&list, "long"), text));
}

static void test_full_list_says_so(void) {
    static ap_provenance list;
    char key[64];
    for (int i = 0; i < AP_PROVENANCE_ITEMS + 4; i++) {
        snprintf(key, sizeof key, "key_%d", i);
        ap_provenance_set(&list, key, "%d", i);
    }
    CHECK_INT(list.n, AP_PROVENANCE_ITEMS);
    CHECK(ap_provenance_get(&list, "key_94"));
    CHECK(!ap_provenance_get(&list, "key_95"));
    CHECK_TEXT(ap_provenance_get(&list, "dropped"), "5 items");
    CHECK_TEXT(ap_provenance_get(&list, "dropped"), "key_99");
    ap_provenance_set(&list, "key_3", "replaced"); /* a full list can still be corrected */
    CHECK_TEXT(ap_provenance_get(&list, "key_3"), "replaced");
}

static void test_key_that_does_not_fit_is_dropped_and_said(void) {
    static ap_provenance list;
    char key[sizeof list.item[0].key + 1];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    ap_provenance_set(&list, key, "value");
    CHECK(!ap_provenance_get(&list, key));
    CHECK_TEXT(ap_provenance_get(&list, "dropped"), "1 item ");
    CHECK_TEXT(ap_provenance_get(&list, "dropped"), "kkkk");
}

static void test_collects_what_a_study_needs(void) {
    setenv("ALGOPERF_TEST", "one two", 1);
    setenv("SLURM_ARRAY_TASK_ID", "7", 1);
    setenv("OMPI_MCA_orte_precondition_transports", "session key", 1);
    setenv("OMPI_MCA_btl", "self,tcp", 1);
    setenv("HOMEPAGE", "none of our business", 1);
    static ap_provenance list;
    ap_provenance_collect(&list);
    static const char *const keys[] = {"program_version",
                                       "source_revision",
                                       "compiler",
                                       "compiler_flags",
                                       "build_type",
                                       "c_library",
                                       "kernel",
                                       "host",
                                       "cpu_model",
                                       "cpu_governor",
                                       "cpus",
                                       "memory_GiB",
                                       "instruction_set",
                                       "openblas",
                                       "openblas_threads",
                                       "openblas_core",
                                       "hdf5",
                                       "mpi",
                                       "time"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = ap_provenance_get(&list, keys[i]);
        if (!text || !*text) printf("missing: %s\n", keys[i]);
        CHECK(text && *text);
    }
    struct utsname names;
    CHECK_INT(uname(&names), 0);
    CHECK(!strcmp(ap_provenance_get(&list, "host"), names.nodename));
    CHECK_INT(atol(ap_provenance_get(&list, "cpus")), sysconf(_SC_NPROCESSORS_ONLN));
    CHECK_TEXT(ap_provenance_get(&list, "compiler_flags"), "-ffp-contract=off");
    CHECK(!strcmp(ap_provenance_get(&list, "ALGOPERF_TEST"), "one two"));
    CHECK(!strcmp(ap_provenance_get(&list, "SLURM_ARRAY_TASK_ID"), "7"));
    CHECK(!strcmp(ap_provenance_get(&list, "OMPI_MCA_btl"), "self,tcp"));
    CHECK(!ap_provenance_get(&list, "OMPI_MCA_orte_precondition_transports"));
    CHECK(!ap_provenance_get(&list, "HOMEPAGE"));
    CHECK(!ap_provenance_get(&list, "dropped"));
}

static void test_all_that_is_collected_is_plain_text(void) {
    setenv("ALGOPERF_RAW", "\xff\x01", 1);
    static ap_provenance list;
    ap_provenance_collect(&list);
    for (int i = 0; i < list.n; i++) {
        json_t *value = json_string(list.item[i].text);
        CHECK(value != NULL);
        json_decref(value);
        for (const char *c = list.item[i].text; *c; c++) CHECK(!iscntrl((unsigned char)*c));
    }
}

AP_TEST_MAIN(test_set_and_get, test_text_is_cleaned, test_long_text_is_marked, test_full_list_says_so,
             test_key_that_does_not_fit_is_dropped_and_said, test_collects_what_a_study_needs,
             test_all_that_is_collected_is_plain_text)
