/* The JSON beside results: lists of trials, logs of events. The first byte says which. */
#include "fuzz.h"

#include "analysis/check.h"
#include "analysis/trial_list.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static void silent(const char *line, void *data) {
    (void)line, (void)data;
}

/* trials.json, and, behind a NUL if there is one, job.txt. */
static void read_lists(const char *text, size_t size) {
    ap_trial_list list;
    ap_error error;
    const char *second = memchr(text, '\0', size);
    const char *job = second ? second + 1 : NULL;
    if (ap_trial_list_parse(*text ? text : NULL, job, "folder", &list, &error)) return;
    ap_trial_list_find(&list, "nadamw/study_0/mnist/trial_1");
    ap_trial_list_free(&list);
}

static void read_events(const char *text, size_t size) {
    static int64_t step[] = {8, 16};
    static char *digest[] = {"00000000000000000000000000000000", "ffffffffffffffffffffffffffffffff"};
    ap_column columns[] = {
        {.name = "evaluations/global_step", .kind = AP_VALUE_I64, .n = 2, .i64 = step},
        {.name = "evaluations/parameter_digest", .kind = AP_VALUE_TEXT, .n = 2, .text = digest},
    };
    const ap_result result = {.evaluations = 2, .columns = 2, .column = columns};
    ap_check check = {.say = silent};
    ap_check_events(&check, "trial", &result, text, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    char *text = fuzz_text(data + 1, size - 1);
    switch (*data) {
    case 'l': read_lists(text, size - 1); break;
    case 'e': read_events(text, size - 1); break;
    default: ap_clean_text(text);
    }
    free(text);
    return 0;
}
