/* algoperf-score check: are these results whole, consistent and complete? */
#include "analysis/commands.h"

#include "analysis/check.h"
#include "base/guard.h"
#include "base/text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { INVALID = 1 };

static void print_reason(const char *line, void *data) {
    (void)data;
    printf("  %s\n", line);
    fflush(stdout); /* a file that kills HDF5 is the last line */
}

static ap_status check_root(const char *root, bool *valid, ap_error *error) {
    ap_check check = {.say = print_reason};
    char name[1024];
    AP_TRY(ap_check_tree(root, &check, error));
    snprintf(name, sizeof name, "%s", root);
    ap_clean_text(name);
    *valid &= !check.reasons;
    printf("%s: %s", name, check.reasons ? "INVALID" : "VALID");
    if (check.reasons) printf(" for %zu reason%s", check.reasons, check.reasons == 1 ? "" : "s");
    if (check.verdicts || !check.logs) printf(", %zu verdict%s", check.verdicts, check.verdicts == 1 ? "" : "s");
    if (check.planned) printf(" of %zu trials", check.planned);
    if (check.logs)
        printf(", %zu official log%s (nobody can tell whether any is missing)", check.logs, check.logs == 1 ? "" : "s");
    printf("\n");
    return ap_score_flush(error);
}

static int check(int argc, char **argv) {
    const ap_flag flags[] = {{0}};
    char **roots;
    bool helped, valid = true;
    ap_error error;
    if (ap_score_parse(&ap_command_check, argc, argv, flags, 1, INT_MAX, "the folder of results", &roots, &helped,
                       &error))
        return ap_score_report(&error);
    if (helped) return AP_OK;
    ap_guard_set_outcome(STDOUT_FILENO, "INVALID: nothing after this was checked: ", INVALID);
    for (; *roots; roots++)
        if (check_root(*roots, &valid, &error)) return ap_score_report(&error);
    return valid ? 0 : INVALID;
}

const ap_command ap_command_check = {"check", "RESULTS...",
                                     "are the results whole, consistent and complete? exit code 0: VALID, 1: INVALID",
                                     check, false};
