/* Groups of ranks: inside hosts where they fit. */
#include "folder.h"

#include "harness/placement.h"

#include <string.h>

/* hosts: one letter a rank. groups: one digit a rank. */
static void check_place(const char *hosts, int per, const char *groups) {
    uint64_t host[64] = {0};
    int group[64], n = (int)strlen(hosts);
    char seen[65] = "";
    for (int r = 0; r < n; r++) host[r] = (uint64_t)hosts[r] * 0x9e3779b97f4a7c15u; /* not in order */
    CHECK_INT(ap_place_ranks(n, host, per, group, NULL), AP_OK);
    for (int r = 0; r < n; r++) seen[r] = (char)('0' + group[r]);
    if (strcmp(seen, groups)) printf("%s by %d: %s, expected %s\n", hosts, per, seen, groups);
    CHECK(!strcmp(seen, groups));
}

static void test_one_host(void) {
    check_place("a", 1, "0");
    check_place("aaaaaaaa", 4, "00001111");
    check_place("aaaaaaaa", 8, "00000000");
}

static void test_hosts_that_fit(void) {
    check_place("aaaabbbb", 2, "00112233");
    check_place("aaaabbbb", 4, "00001111");
    check_place("bbbbaaaa", 4, "00001111"); /* in the order of ranks, not of names */
}

static void test_ranks_dealt_round_robin(void) {
    check_place("abababab", 4, "01010101");
    check_place("abab", 2, "0101");
    check_place("abcabcabcabc", 2, "024024135135");
}

/* Whole groups inside hosts first: neighbours in rank order would have cut both hosts' groups. */
static void test_left_over_ranks_form_the_last_groups(void) {
    check_place("aaabbb", 2, "002112");
    check_place("aaabbbbbc", 3, "000111222");
    check_place("abbbbb", 2, "200112");
    check_place("aaaaaabbbbbb", 4, "000022111122");
}

static void test_groups_larger_than_a_host(void) {
    check_place("aabbccdd", 4, "00001111");
    check_place("abcdabcd", 4, "00110011");
    check_place("abcdabcd", 8, "00000000");
}

/* ---- groups of their own */

/* "n1:4 n2:8": hosts and their CPUs. */
static ap_allocation allocation_of(const char *text, bool slurm) {
    static ap_node nodes[16];
    ap_allocation a = {.slurm = slurm, .host = nodes};
    for (const char *at = text; at && *at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL, a.n++)
        CHECK_INT(sscanf(at, "%255[^:]:%d", nodes[a.n].name, &nodes[a.n].cpus), 2);
    return a;
}

/* places: "host+hosts*ranks" of each group. */
static void check_plan(const char *hosts, bool slurm, int per, int threads, int groups, const char *places) {
    ap_allocation a = allocation_of(hosts, slurm);
    ap_plan plan;
    char seen[512] = "";
    CHECK_INT(ap_plan_make(&a, per, 8, threads, groups, &plan, NULL), AP_OK);
    for (int i = 0; i < plan.n; i++)
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s%d+%d*%d", i ? " " : "", plan.place[i].first_host,
                 plan.place[i].hosts, plan.place[i].ranks);
    if (strcmp(seen, places)) printf("%s by %d: %s, expected %s\n", hosts, per, seen, places);
    CHECK(!strcmp(seen, places));
    free(plan.place);
}

static void test_places_inside_hosts(void) {
    check_plan("n1:4 n2:4", true, 2, 1, 0, "0+1*2 1+1*2 0+1*2 1+1*2");
    check_plan("n1:4 n2:4", true, 2, 2, 0, "0+1*2 1+1*2");
    check_plan("n1:5 n2:2", true, 2, 1, 0, "0+1*2 1+1*2 0+1*2");
    check_plan("n1:4 n2:4", true, 2, 1, 2, "0+1*2 1+1*2"); /* fewer are spread over the hosts */
}

static void test_places_over_hosts(void) {
    check_plan("n1:2 n2:2 n3:2 n4:2", true, 4, 1, 0, "0+2*4 2+2*4");
    check_plan("n1:2 n2:2 n3:2", true, 4, 1, 0, "0+2*4");
    check_plan("n1:2 n2:1 n3:2 n4:2", true, 4, 1, 0, "2+2*4");
    check_plan("n1:1 n2:1 n3:1 n4:1", true, 4, 1, 0, "0+4*4");
}

static void test_one_group_of_all(void) {
    check_plan("n1:2 n2:2", true, 0, 1, 0, "0+2*4");
    check_plan("n1:3", false, 0, 1, 0, "0+1*2");
    check_plan("n1:64", false, 0, 1, 0, "0+1*8"); /* no more than shards */
}

static void test_a_machine_may_be_crowded_and_an_allocation_not(void) {
    check_plan("here:2", false, 4, 1, 0, "0+1*4");
    check_plan("here:2", false, 1, 1, 3, "0+1*1 0+1*1 0+1*1");
    ap_allocation a = allocation_of("n1:2 n2:2", true);
    ap_plan plan;
    ap_error error;
    CHECK_INT(ap_plan_make(&a, 8, 8, 1, 0, &plan, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "ranks_per_trial = 8");
    CHECK_INT(ap_plan_make(&a, 2, 8, 1, 3, &plan, &error), AP_USAGE);
    CHECK_TEXT(error.text, "2 groups of 2 ranks");
    free(plan.place);
}

static void test_the_allocation_is_read_from_slurm(void) {
    static const struct {
        const char *cpus;
        ap_status status;
    } cases[] = {{"4(x2),8", AP_OK},   {"4,4,4", AP_OK},      {"4(x2)", AP_ENVIRONMENT},  {"4(x4)", AP_ENVIRONMENT},
                 {"", AP_ENVIRONMENT}, {"x", AP_ENVIRONMENT}, {"4(x2,8", AP_ENVIRONMENT}, {"0(x3)", AP_ENVIRONMENT}};
    char path[AP_PATH];
    start();
    const char *script = "#!/bin/sh\n[ \"$*\" = 'show hostnames n[1-3]' ] && printf 'n1\\nn2\\nn3\\n'\n";
    CHECK_INT(ap_write_file(in_folder("scontrol"), script, strlen(script), NULL), AP_OK);
    CHECK_INT(chmod(in_folder("scontrol"), 0755), 0);
    snprintf(path, sizeof path, "%s:%s", folder, getenv("PATH"));
    setenv("PATH", path, 1);
    setenv("SLURM_JOB_ID", "7", 1);
    setenv("SLURM_JOB_NODELIST", "n[1-3]", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ap_allocation a;
        ap_error error;
        setenv("SLURM_JOB_CPUS_PER_NODE", cases[i].cpus, 1);
        CHECK_INT(ap_allocation_find(&a, &error), cases[i].status);
        if (cases[i].status) {
            CHECK_TEXT(error.text, "SLURM_JOB_CPUS_PER_NODE");
            continue;
        }
        CHECK(a.slurm);
        CHECK_INT(a.n, 3);
        CHECK_TEXT(a.host[2].name, "n3");
        CHECK_INT(a.host[1].cpus, 4);
        CHECK_INT(a.host[2].cpus, i == 0 ? 8 : 4);
        ap_allocation_free(&a);
    }
    setenv("SLURM_JOB_NODELIST", "other", 1);
    ap_allocation a;
    ap_error error;
    CHECK_INT(ap_allocation_find(&a, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "scontrol");
    unsetenv("SLURM_JOB_ID");
    CHECK_INT(ap_allocation_find(&a, &error), AP_OK);
    CHECK(!a.slurm && a.n == 1 && a.host[0].cpus > 0);
    ap_allocation_free(&a);
}

AP_TEST_MAIN(test_one_host, test_hosts_that_fit, test_ranks_dealt_round_robin,
             test_left_over_ranks_form_the_last_groups, test_groups_larger_than_a_host, test_places_inside_hosts,
             test_places_over_hosts, test_one_group_of_all, test_a_machine_may_be_crowded_and_an_allocation_not,
             test_the_allocation_is_read_from_slurm)
