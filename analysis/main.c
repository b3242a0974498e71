/* algoperf-score: scores from results. Needs no MPI; builds with -DALGOPERF_RUN=OFF. */
#include "analysis/commands.h"
#include "base/log.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ap_command *const commands[] = {
    &ap_command_score,   &ap_command_sensitivity, &ap_command_report, &ap_command_plot,
    &ap_command_compare, &ap_command_collect,     &ap_command_export, &ap_command_check,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

/* ---- what the commands share */

ap_status ap_score_parse(const ap_command *command, int argc, char **argv, const ap_flag *flags, int least, int most,
                         const char *what, char ***rest, bool *helped, ap_error *error) {
    int count;
    AP_TRY(ap_command_parse("algoperf-score", command, argc, argv, flags, rest, &count, helped, error));
    if (*helped) return AP_OK;
    if (count < least)
        return ap_fail(error, AP_USAGE, "%s is missing; use: algoperf-score %s %s", what, command->name,
                       command->arguments);
    if (count > most)
        return ap_fail(error, AP_USAGE, "\"%s\" is too much; use: algoperf-score %s %s", (*rest)[most], command->name,
                       command->arguments);
    (*rest)[count] = NULL; /* there is room: argv ends with NULL, and the words only moved to the front */
    return AP_OK;
}

int ap_score_report(const ap_error *error) {
    ap_log(AP_GLOBAL, AP_LOG_ERROR, "%s", error->text);
    return (int)error->status;
}

ap_status ap_score_flush(ap_error *error) {
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return AP_OK;
    if (!errno) errno = EIO; /* it failed earlier, and the reason is gone */
    return ap_fail_errno(error, AP_IO, "the result could not be printed");
}

static ap_status parse_count(const char *option, const char *word, uint64_t least, uint64_t most, uint64_t *value,
                             ap_error *error) {
    char *end = NULL;
    errno = 0;
    if (*word >= '0' && *word <= '9') *value = strtoull(word, &end, 10);
    if (end && !*end && !errno && *value >= least && *value <= most) return AP_OK;
    return ap_fail(error, AP_USAGE, "--%s %.60s: must be an integer from %llu to %llu", option, word,
                   (unsigned long long)least, (unsigned long long)most);
}

ap_status ap_score_parse_bootstrap(const ap_bootstrap_words *words, ap_bootstrap_options *o, bool *wanted,
                                   ap_error *error) {
    static const char *const choices[] = {"trials", "studies", NULL};
    int studies_only = 0;
    uint64_t n = 10000;
    *o = (ap_bootstrap_options){0};
    *wanted = words->confidence != NULL;
    const char *needless = words->seed ? "seed" : words->resamples ? "resamples" : words->resample ? "resample" : NULL;
    if (!*wanted && needless)
        return ap_fail(error, AP_USAGE, "--%s belongs to a bootstrap: add --confidence 0.95", needless);
    if (!*wanted) return AP_OK;
    char *end = NULL;
    o->level = strtod(words->confidence, &end);
    if (end == words->confidence || *end || !(o->level > 0 && o->level < 1))
        return ap_fail(error, AP_USAGE, "--confidence %.60s: must be a number between 0 and 1, such as 0.95",
                       words->confidence);
    if (words->seed) AP_TRY(parse_count("seed", words->seed, 0, INT64_MAX, &o->seed, error));
    if (words->resamples) AP_TRY(parse_count("resamples", words->resamples, 1, 10000000, &n, error));
    if (words->resample) AP_TRY(ap_choose("resample", words->resample, choices, &studies_only, error));
    o->resamples = (size_t)n;
    o->studies_only = studies_only == 1;
    return AP_OK;
}

ap_status ap_score_speedups(const ap_leaderboard *board, const char *name, ap_printed *printed, ap_speedups *speedups,
                            ap_error *error) {
    size_t reference;
    if (name && board->rules.metric != AP_METRIC_TIME)
        return ap_fail(error, AP_USAGE, "--reference: speedups are ratios of times, not of steps (--metric steps)");
    if (board->rules.metric != AP_METRIC_TIME) return AP_OK;
    if (ap_leaderboard_find(board, name ? name : "baseline", &reference, error)) return name ? error->status : AP_OK;
    AP_TRY(ap_speedups_compute(board, reference, speedups, error));
    printed->speedups = speedups;
    return AP_OK;
}

/* ---- the program */

static void usage(FILE *out) {
    fprintf(out, "usage: algoperf-score COMMAND [ARGUMENTS]      (algoperf-score COMMAND --help tells more)\n\n"
                 "Scores of training algorithms from results of algoperf and from official AlgoPerf logs.\n"
                 "RESULTS is a folder SUBMISSION/STUDY/WORKLOAD/trial_N/ with a result.h5 or an official "
                 "eval_measurements.csv in\n"
                 "each, or a file that `collect` made of one. Results on stdout, warnings on stderr.\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++) fprintf(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\nExit codes:\n");
    static const ap_status codes[] = {AP_OK, AP_TARGET_NOT_REACHED, AP_USAGE, AP_DATA, AP_IO, AP_ENVIRONMENT};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        fprintf(out, "  %2d  %s\n", (int)codes[i],
                codes[i] == AP_OK                   ? "done, whatever was reached"
                : codes[i] == AP_TARGET_NOT_REACHED ? "compare: the results differ; check: the results are invalid"
                                                    : ap_status_meaning(codes[i]));
}

int main(int argc, char **argv) {
    setlocale(LC_NUMERIC, "C");
    ap_error error;
    if (argc < 2) {
        ap_fail(&error, AP_USAGE, "what is to be done is missing; see `algoperf-score --help`");
        return ap_score_report(&error);
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
        usage(stdout);
        return ap_score_flush(&error) ? ap_score_report(&error) : AP_OK;
    }
    const char *names[COMMANDS + 1] = {0};
    for (int i = 0; i < COMMANDS; i++) {
        names[i] = commands[i]->name;
        if (!strcmp(argv[1], names[i])) return commands[i]->run(argc - 1, argv + 1);
    }
    const char *close = ap_closest(argv[1], names);
    ap_fail(&error, AP_USAGE, "there is no command \"%s\"%s%s%s; see `algoperf-score --help`", argv[1],
            close ? "; did you mean \"" : "", close ? close : "", close ? "\"?" : "");
    return ap_score_report(&error);
}
