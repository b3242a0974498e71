/* The commands of `algoperf-score`. One file and one line in main.c's table each. */
#ifndef AP_ANALYSIS_COMMANDS_H
#define AP_ANALYSIS_COMMANDS_H

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

/* A bootstrap's settings; --seed and --resamples are entries of a command's ap_flag table. */
typedef struct ap_score_bootstrap {
    double level;
    uint64_t seed;
    size_t resamples;
} ap_score_bootstrap;
#define AP_BOOTSTRAP_FLAGS(o)                                                                                          \
    {"seed", "N", "of the bootstrap (0): the same seed gives the same intervals", &(o).seed}, {                        \
        "resamples", "N", "of the bootstrap (10000)", &(o).resamples                                                   \
    }
/* `seed`, `resamples`: NULL for the defaults. */
ap_status ap_score_parse_bootstrap(const char *level, const char *seed, const char *resamples, ap_score_bootstrap *b,
                                   ap_error *error);

extern const ap_command ap_command_score, ap_command_compare;

#endif
