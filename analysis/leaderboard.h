/* Everything that is known of a set of results: read once, scored by the rules. What every command starts from.
 * Not collective; main thread only (libhdf5). */
#ifndef AP_ANALYSIS_LEADERBOARD_H
#define AP_ANALYSIS_LEADERBOARD_H

#include "analysis/score.h"
#include "base/command.h"

/* The options that all commands over results share, as the command line has them (NULL: not given). */
typedef struct ap_leaderboard_options {
    const char *targets, *ruleset, *metric, *without, *strict, *allow_mixed_clocks;
    bool details; /* hyperparameters and all of the provenance are wanted */
} ap_leaderboard_options;

/* Entries of an ap_flag table for `o`, an ap_leaderboard_options. */
#define AP_LEADERBOARD_FLAGS(o)                                                                                        \
    {"targets", "v05|v06|FILE",                                                                                        \
     "table of workloads and targets, published or of the same columns;\n"                                             \
     "official logs need one, results of algoperf name their own targets",                                             \
     &(o).targets},                                                                                                    \
        {"ruleset", "external_tuning|self_tuning",                                                                     \
         "says which budget and how many trials a study has; without it: what\n"                                       \
         "the results say, and external_tuning for official logs",                                                     \
         &(o).ruleset},                                                                                                \
        {"metric", "time|steps",                                                                                       \
         "what is compared: seconds, as published, or update steps, which do not\n"                                    \
         "depend on the machine",                                                                                      \
         &(o).metric},                                                                                                 \
        {"without", "NAME,NAME,...", "submissions to leave out, as if they were not there", &(o).without},             \
        {"strict", NULL, "refuse results with missing workloads, studies or trials", &(o).strict}, {                   \
        "allow-mixed-clocks", NULL, "compare times of different machines or clocks all the same",                      \
            &(o).allow_mixed_clocks                                                                                    \
    }

typedef struct ap_leaderboard {
    ap_rules rules;
    ap_targets targets;
    ap_trials trials; /* sorted */
    ap_hit *hits;     /* [trials.n] */
    ap_study *studies;
    size_t study_count;
    ap_scores *scores;
    double *step_s;       /* [submissions x targets.n] median seconds a step; NaN: no data (summary.h) */
    ap_names differences; /* of clocks and machines, if they were allowed */
    ap_names gaps;        /* missing workloads, studies and trials */
} ap_leaderboard;

/* Reads and scores. AP_USAGE: an option has a value it cannot have. AP_DATA: damaged or mixed results, or nothing to
 * score. On failure there is nothing to free. */
ap_status ap_leaderboard_read(char **roots, const ap_leaderboard_options *options, ap_leaderboard *board,
                              ap_error *error);
/* The second half: targets, trials (sorted) and rules are there; fills the rest. */
ap_status ap_leaderboard_score(ap_leaderboard *board, ap_error *error);
void ap_leaderboard_free(ap_leaderboard *board);

/* Everything that a user must know before reading the numbers, on stderr. */
void ap_leaderboard_warn(const ap_leaderboard *board);

/* Index of an option's word in a NULL-terminated list; AP_USAGE names the list and the closest. */
ap_status ap_choose(const char *option, const char *word, const char *const *names, int *index, ap_error *error);
/* Index of a submission by name; AP_USAGE names the closest and lists all. */
ap_status ap_leaderboard_find(const ap_leaderboard *board, const char *name, size_t *submission, ap_error *error);

#endif
