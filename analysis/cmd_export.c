/* algoperf-score export: our results as official logs. */
#include "analysis/commands.h"

#include "analysis/official.h"

#include <limits.h>
#include <stdio.h>

static int export(int argc, char **argv) {
    const char *directory = NULL, *framework = "jax";
    const ap_flag flags[] = {
        {"official", "DIR", "write the official log layout into this folder, which is made", &directory},
        {"framework", "jax|pytorch",
         "suffix of the workloads' folders (jax unless said otherwise); the official\nprogram wants one of the two",
         &framework},
        {0},
    };
    char **roots;
    bool helped;
    ap_error error;
    size_t trials;
    if (ap_score_parse(&ap_command_export, argc, argv, flags, 1, INT_MAX, "the folder of results", &roots, &helped,
                       &error))
        return ap_score_report(&error);
    if (helped) return AP_OK;
    if (!directory) {
        ap_fail(&error, AP_USAGE, "--official DIR is missing; use: algoperf-score export RESULTS... --official DIR");
        return ap_score_report(&error);
    }
    if (ap_official_write((const char *const *)roots, directory, framework, &trials, &error))
        return ap_score_report(&error);
    printf("%s: %zu trials\n", directory, trials);
    return ap_score_flush(&error) ? ap_score_report(&error) : AP_OK;
}

const ap_command ap_command_export = {"export", "RESULTS... --official DIR",
                                      "write results as official logs, for the official scoring program", export,
                                      false};
