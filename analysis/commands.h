/* The commands of `algoperf-score`. One file and one line in main.c's table each. */
#ifndef AP_ANALYSIS_COMMANDS_H
#define AP_ANALYSIS_COMMANDS_H

#include "analysis/print.h"
#include "base/command.h"
#include <stdint.h>

/* ap_command_parse for this program; AP_USAGE too if there are fewer positional arguments than `least` (`what` names
 * them in the message) or more than `most`. */
ap_status ap_score_parse(const ap_command *command, int argc, char **argv, const ap_flag *flags, int least, int most,
                         const char *what, char ***rest, bool *helped, ap_error *error);
/* Prints the error and returns its exit code. */
int ap_score_report(const ap_error *error);
/* What was printed on stdout arrived there; AP_IO if not (a full disk, a closed pipe). */
ap_status ap_score_flush(ap_error *error);

/* What --confidence, --resample, --seed and --resamples say (NULL: not given); without --confidence the others are
 * refused, and *wanted is false. */
typedef struct ap_bootstrap_words {
    const char *confidence, *resample, *seed, *resamples;
} ap_bootstrap_words;
#define AP_BOOTSTRAP_FLAGS(o)                                                                                          \
    {"confidence", "LEVEL", "bootstrap: intervals of this level, such as 0.95", &(o).confidence},                      \
        {"resample", "trials|studies",                                                                                 \
         "what the bootstrap draws: studies and the trials within them, or\n"                                          \
         "studies alone (trials)",                                                                                     \
         &(o).resample},                                                                                               \
        {"seed", "N", "of the bootstrap (0): the same seed gives the same intervals", &(o).seed}, {                    \
        "resamples", "N", "of the bootstrap (10000)", &(o).resamples                                                   \
    }
ap_status ap_score_parse_bootstrap(const ap_bootstrap_words *words, ap_bootstrap_options *options, bool *wanted,
                                   ap_error *error);

/* Speedups against `reference` (NULL: baseline, if it is there), if times are compared: printed->speedups then is
 * `speedups`, which the caller frees. */
ap_status ap_score_speedups(const ap_leaderboard *board, const char *reference, ap_printed *printed,
                            ap_speedups *speedups, ap_error *error);

extern const ap_command ap_command_score, ap_command_sensitivity, ap_command_report, ap_command_plot,
    ap_command_compare, ap_command_collect, ap_command_export, ap_command_check;

#endif
