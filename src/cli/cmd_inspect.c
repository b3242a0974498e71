/* algoperf inspect: a trial's story in plain text; of a result tree, a line per trial. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/log.h"
#include "harness/record.h"
#include "harness/slurm_jobs.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEEPEST = 16 }; /* folders below RESULT; links are not followed */

typedef struct listing {
    size_t root_length; /* of RESULT in the paths, cut off when shown */
    int trials, verdicts[AP_VERDICTS], without_result, damaged;
} listing;

static bool is_folder(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool is_trial(const char *path) {
    char result[AP_PATH];
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (!strncmp(name, "trial_", 6) && name[6] >= '0' && name[6] <= '9') return true;
    return ap_path(result, NULL, "%s/result.h5", path) == AP_OK && ap_file_exists(result);
}

static void show_trial(listing *list, const char *path) {
    ap_result_summary s;
    ap_error error;
    const char *name = path + list->root_length;
    if (list->trials++ == 0)
        printf("%-15s %6s %10s %-7s  %s\n", "verdict", "evals", "steps", "target", "trial (reason)");
    if (ap_result_summarise(path, &s, &error) != AP_OK) {
        list->damaged++;
        printf("%-15s %6s %10s %-7s  %s\n", "unreadable", "-", "-", "-", name);
        ap_log(AP_GLOBAL, AP_LOG_ERROR, "%s", error.text);
    } else if (s.evaluations < 0) {
        list->without_result++;
        printf("%-15s %6s %10s %-7s  %s\n", "no result", "-", "-", "-", name);
    } else {
        list->verdicts[s.verdict]++;
        printf("%-15s %6" PRId64 " %10" PRId64 " %-7s  %s", ap_verdict_names[s.verdict], s.evaluations, s.steps,
               s.target_reached ? "yes" : "no", name);
        if (s.reason[0]) printf(" (%s)", s.reason);
        printf("\n");
    }
}

/* Sub-folders in natural order (trial_2 before trial_10). */
static ap_status walk(listing *list, const char *path, int depth, ap_error *error) {
    if (is_trial(path)) {
        show_trial(list, path);
        return AP_OK;
    }
    if (depth == DEEPEST) return AP_OK;
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, versionsort);
    if (n < 0) return ap_fail_errno(error, AP_IO, "%s: the folder cannot be read", path);
    ap_status status = AP_OK;
    for (int i = 0; i < n; i++) {
        char below[AP_PATH];
        if (status == AP_OK && entries[i]->d_name[0] != '.')
            status = ap_path(below, error, "%s/%s", path, entries[i]->d_name);
        if (status == AP_OK && entries[i]->d_name[0] != '.' && is_folder(below))
            status = walk(list, below, depth + 1, error);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static ap_status show_tree(const char *path, ap_error *error) {
    listing list = {.root_length = strlen(path) + 1};
    AP_TRY(walk(&list, path, 0, error));
    if (list.trials == 0)
        return ap_fail(error, AP_DATA,
                       "%s: holds no trial (trial_N folders or result.h5 files); is it the folder of "
                       "the job's `results`?",
                       path);
    printf("\n%d trial%s:", list.trials, list.trials == 1 ? "" : "s");
    for (int v = 0; v < AP_VERDICTS; v++)
        if (list.verdicts[v]) printf(" %d %s", list.verdicts[v], ap_verdict_names[v]);
    if (list.without_result) printf(" %d without a result", list.without_result);
    if (list.damaged) printf(" %d unreadable", list.damaged);
    printf("\n");
    if (list.damaged)
        return ap_fail(error, AP_DATA, "%s: %d of %d results cannot be read (see above)", path, list.damaged,
                       list.trials);
    return AP_OK;
}

static ap_status inspect_path(char *path, ap_error *error) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') path[--n] = '\0';
    struct stat info;
    if (stat(path, &info)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    if (!S_ISDIR(info.st_mode) || is_trial(path)) {
        AP_TRY(ap_result_print(path, stdout, error));
        ap_slurm_jobs_print(path, stdout);
        return AP_OK;
    }
    return show_tree(path, error);
}

static int inspect(int argc, char **argv) {
    char **rest;
    int count;
    bool helped;
    ap_error error;
    const ap_flag flags[] = {{0}};
    if (ap_cli_parse(&ap_command_inspect, argc, argv, flags, &rest, &count, &helped, &error))
        return ap_cli_report(&error);
    if (helped) return AP_OK;
    if (count != 1) {
        ap_fail(&error, AP_USAGE, "algoperf inspect takes one trial folder, result.h5 or result tree, %d were given",
                count);
        return ap_cli_report(&error);
    }
    ap_status status = inspect_path(rest[0], &error);
    if (status == AP_OK && fflush(stdout)) status = ap_fail_errno(&error, AP_IO, "stdout: cannot be written");
    return status == AP_OK ? AP_OK : ap_cli_report(&error);
}

const ap_command ap_command_inspect = {
    "inspect", "RESULT",
    "tell a trial's story: RESULT is a trial folder or its result.h5; of a whole result tree, a line per trial",
    inspect, false};
