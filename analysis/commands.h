/* The commands of `algoperf-score`. One file and one line in main.c's table each. */
#ifndef AP_ANALYSIS_COMMANDS_H
#define AP_ANALYSIS_COMMANDS_H

#include "base/command.h"

/* ap_command_parse for this program; AP_USAGE too if there are fewer positional arguments than `least` (`what` names
 * them in the message) or more than `most`. */
ap_status ap_score_parse(const ap_command *command, int argc, char **argv, const ap_flag *flags, int least, int most,
                         const char *what, char ***rest, bool *helped, ap_error *error);
/* Prints the error and returns its exit code. */
int ap_score_report(const ap_error *error);
/* What was printed on stdout arrived there; AP_IO if not (a full disk, a closed pipe). */
ap_status ap_score_flush(ap_error *error);

extern const ap_command ap_command_score, ap_command_compare;

#endif
