/* algoperf-score collect: folders of results as one file. */
#include "analysis/commands.h"

#include "analysis/archive.h"
#include "base/log.h"

#include <limits.h>
#include <stdio.h>

static void progress(const char *root, size_t done, size_t all) {
    ap_log_live("packing %s: trial %zu of %zu", root, done + 1, all);
}

static int collect(int argc, char **argv) {
    const char *output = NULL;
    const ap_flag flags[] = {
        {"output", "FILE.h5", "the collection to make; one that is there is replaced when the new one is whole",
         &output},
        {0},
    };
    char **roots;
    bool helped;
    ap_error error;
    ap_archive_summary summary;
    if (ap_score_parse(&ap_command_collect, argc, argv, flags, 1, INT_MAX, "the folder of results", &roots, &helped,
                       &error))
        return ap_score_report(&error);
    if (helped) return AP_OK;
    if (!output) {
        ap_fail(&error, AP_USAGE,
                "--output FILE.h5 is missing; use: algoperf-score collect RESULTS... --output FILE.h5");
        return ap_score_report(&error);
    }
    ap_status status = ap_archive_write((const char *const *)roots, output, &summary, progress, &error);
    ap_log_live_end();
    if (status != AP_OK) return ap_score_report(&error);
    if (summary.empty)
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "%zu trial folders hold no result and are left out", summary.empty);
    printf("%s: %zu trials\n", output, summary.trials);
    return ap_score_flush(&error) ? ap_score_report(&error) : AP_OK;
}

const ap_command ap_command_collect = {"collect", "RESULTS... --output FILE.h5",
                                       "pack folders of results into one file that all commands read", collect, false};
