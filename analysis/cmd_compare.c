/* algoperf-score compare: are the bits of two runs of a job the same? */
#include "analysis/commands.h"

#include "analysis/compare.h"

static ap_status compare_trees(const ap_tree *a, const ap_tree *b, bool json, bool times, bool strict, bool *same,
                               ap_error *error) {
    ap_comparison comparison;
    AP_TRY(ap_compare_trees(a, b, &comparison, error));
    *same = ap_comparison_same(&comparison, strict);
    ap_status status = json ? ap_comparison_json(&comparison, a, b, times, strict, stdout, error)
                            : ap_comparison_print(&comparison, a, b, times, strict, stdout, error);
    ap_comparison_free(&comparison);
    return status == AP_OK ? ap_score_flush(error) : status;
}

static int compare(int argc, char **argv) {
    const char *json = NULL, *no_times = NULL, *strict = NULL;
    const ap_flag flags[] = {
        {"json", NULL, "print everything as JSON", &json},
        {"ignore-time", NULL, "neither compare nor print times: equal bits then print equal text", &no_times},
        {"strict", NULL,
         "trials that are the same as far as both go, but that the wall clock ended at\nother steps, are different "
         "(exit "
         "code 1)",
         &strict},
        {0},
    };
    char **roots;
    bool helped, same = false;
    ap_error error;
    if (ap_score_parse(&ap_command_compare, argc, argv, flags, 2, 2, "one of the two results to compare", &roots,
                       &helped, &error))
        return ap_score_report(&error);
    if (helped) return AP_OK;
    ap_tree a = {0}, b = {0};
    ap_status status = ap_tree_open(roots[0], &a, &error);
    if (status == AP_OK) status = ap_tree_open(roots[1], &b, &error);
    if (status == AP_OK) status = compare_trees(&a, &b, json != NULL, no_times == NULL, strict != NULL, &same, &error);
    ap_tree_close(&a);
    ap_tree_close(&b);
    if (status != AP_OK) return ap_score_report(&error);
    return same ? 0 : 1;
}

const ap_command ap_command_compare = {
    "compare", "A B [options]", "are the bits of two runs of a job the same? exit code 0: yes, 1: no", compare, false};
