/* algoperf-score: scores from results. Needs no MPI; builds with -DALGOPERF_RUN=OFF. */
#include "analysis/read_tree.h"
#include "analysis/report.h"
#include "base/log.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    const char *targets;
    bool csv, help;
} settings;

/* One table makes the parser and --help. */
enum { TARGETS, CSV, HELP, OPTIONS };
static const struct {
    const char *name, *argument, *help;
} options[OPTIONS] = {
    [TARGETS] = {"targets", "v05|v06|FILE",
                 "table of workloads and targets, published or of the same columns; official logs\n"
                 "                          need one, results of algoperf name their own targets"},
    [CSV] = {"csv", NULL, "print the score table alone, as CSV with every digit"},
    [HELP] = {"help", NULL, "print this page"},
};

static void print_help(FILE *out) {
    fputs(
        "algoperf-score score RESULTS... [options]\n"
        "Reads folders of results, SUBMISSION/STUDY/WORKLOAD/trial_N/ with a result.h5 of algoperf or an official\n"
        "eval_measurements.csv in each, and prints times to target, the performance profile and the benchmark score.\n"
        "Results on stdout, warnings on stderr.\n\noptions:\n",
        out);
    for (int i = 0; i < OPTIONS; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", options[i].name, options[i].argument ? " " : "",
                 options[i].argument ? options[i].argument : "");
        fprintf(out, "  %-22s  %s\n", left, options[i].help);
    }
    fputs("\nexit codes:\n", out);
    static const ap_status codes[] = {AP_OK, AP_USAGE, AP_DATA, AP_IO, AP_ENVIRONMENT};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        fprintf(out, "  %2d  %s\n", (int)codes[i],
                codes[i] == AP_OK ? "scored, whatever was reached" : ap_status_meaning(codes[i]));
}

/* ---- command line */

static ap_status wrong_option(char **argv, ap_error *error) {
    const char *names[OPTIONS + 1] = {0};
    for (int i = 0; i < OPTIONS; i++) names[i] = options[i].name;
    const char *word = argv[optind - 1];
    for (int i = 0; i < OPTIONS; i++)
        if (options[i].argument && !strncmp(word, "--", 2) && !strcmp(word + 2, options[i].name))
            return ap_fail(error, AP_USAGE, "%s needs an argument: %s", word, options[i].argument);
    const char *closest = ap_closest(word + strspn(word, "-"), names);
    return ap_fail(error, AP_USAGE, "unknown option %s%s%s%s; see algoperf-score --help", word,
                   closest ? " (did you mean --" : "", closest ? closest : "", closest ? "?)" : "");
}

static ap_status parse(int argc, char **argv, settings *set, ap_error *error) {
    struct option table[OPTIONS + 1] = {0};
    for (int i = 0; i < OPTIONS; i++)
        table[i] =
            (struct option){options[i].name, options[i].argument ? required_argument : no_argument, NULL, 256 + i};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) switch (c) {
        case 256 + TARGETS: set->targets = optarg; break;
        case 256 + CSV: set->csv = true; break;
        case 256 + HELP: set->help = true; break;
        default: return wrong_option(argv, error);
        }
    return AP_OK;
}

/* ---- score */

static void warn(const ap_trials *trials, const ap_targets *targets) {
    for (size_t i = 0; i < trials->notes.n; i++) ap_log(AP_GLOBAL, AP_LOG_WARNING, "%s", trials->notes.name[i]);
    for (size_t i = 0; i < trials->unlisted.n; i++)
        ap_log(AP_GLOBAL, AP_LOG_WARNING, "workload %s is not in the table of targets %s: left out",
               trials->unlisted.name[i], targets->name);
    if (trials->clocks.n > 1)
        ap_log(AP_GLOBAL, AP_LOG_WARNING,
               "times of %zu different clocks are compared (listed above the scores): the ratios mean little",
               trials->clocks.n);
}

static ap_status print(const ap_report *report, bool csv, ap_error *error) {
    AP_TRY(csv ? ap_report_csv(report, stdout, error) : ap_report_text(report, stdout, error));
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return AP_OK;
    if (!errno) errno = EIO; /* it failed earlier, and the reason is gone */
    return ap_fail_errno(error, AP_IO, "the result could not be printed");
}

static ap_status score_trials(const ap_trials *trials, const ap_targets *targets, bool csv, ap_error *error) {
    ap_study *studies = NULL;
    ap_scores *scores = NULL;
    size_t n = 0;
    ap_status status;
    AP_TRY_GOTO(status, ap_studies(trials, targets, &studies, &n, error), done);
    AP_TRY_GOTO(status, ap_scores_create(targets, trials->submissions.n, &scores, error), done);
    AP_TRY_GOTO(status, ap_scores_set_times(scores, studies, n, error), done);
    ap_scores_compute(scores);
    const ap_report report = {targets, trials, studies, n, scores};
    status = print(&report, csv, error);
done:
    ap_scores_free(scores);
    free(studies);
    return status;
}

static ap_status read_and_score(char **roots, const settings *set, ap_targets *targets, ap_trials *trials,
                                ap_error *error) {
    if (set->targets) AP_TRY(ap_targets_load(set->targets, targets, error));
    for (; *roots; roots++) AP_TRY(ap_read_tree(*roots, targets, trials, error));
    AP_TRY(ap_trials_sort(trials, error));
    warn(trials, targets);
    if (!trials->n)
        return ap_fail(error, AP_DATA, "nothing to score: no workload of the results is in the table of targets %s",
                       targets->name ? targets->name : "");
    return score_trials(trials, targets, set->csv, error);
}

static int report_error(const ap_error *error) {
    ap_log(AP_GLOBAL, AP_LOG_ERROR, "%s", error->text);
    return (int)error->status;
}

int main(int argc, char **argv) {
    ap_error error = {0};
    settings set = {0};
    if (parse(argc, argv, &set, &error) != AP_OK) return report_error(&error);
    if (set.help) {
        print_help(stdout);
        return AP_OK;
    }
    char **words = argv + optind;
    if (!*words || strcmp(*words, "score") || !words[1]) {
        ap_fail(&error, AP_USAGE, "%s%s; use: algoperf-score score RESULTS...  (see algoperf-score --help)",
                !*words                   ? "what is to be done is missing"
                : strcmp(*words, "score") ? "unknown command "
                                          : "the folder of results is missing",
                *words && strcmp(*words, "score") ? *words : "");
        return report_error(&error);
    }
    ap_targets targets = {0};
    ap_trials trials = {0};
    ap_status status = read_and_score(words + 1, &set, &targets, &trials, &error);
    ap_trials_free(&trials);
    ap_targets_free(&targets);
    return status == AP_OK ? 0 : report_error(&error);
}
