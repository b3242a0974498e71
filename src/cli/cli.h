/* The subcommands of `algoperf`. One file and one line in main.c's table each. */
#ifndef AP_CLI_CLI_H
#define AP_CLI_CLI_H

#include "base/command.h"
#include <stdint.h>

/* ap_command_parse for this program. */
ap_status ap_cli_parse(const ap_command *command, int argc, char **argv, const ap_flag *flags, char ***rest, int *count,
                       bool *helped, ap_error *error);
/* The value of an option as a number in [least, most]; AP_USAGE names option, value and range. */
ap_status ap_cli_integer(const char *name, const char *text, int64_t least, int64_t most, int64_t *value,
                         ap_error *error);
ap_status ap_cli_number(const char *name, const char *text, double least, double most, double *value, ap_error *error);
/* `run` before MPI_Init: a signal that comes early is remembered too, and whoever read the log may go away without
 * ending the training. */
void ap_run_guard_signals(void);
/* AP_ENVIRONMENT if this process was started as one of many and MPI believes that it is alone. After MPI_Init. */
ap_status ap_cli_check_launch(ap_error *error);
/* Prints the error and returns its exit code. */
int ap_cli_report(const ap_error *error);

extern const ap_command ap_command_run, ap_command_list, ap_command_prepare, ap_command_verify, ap_command_bench,
    ap_command_inspect, ap_command_calibrate, ap_command_doctor, ap_command_status, ap_command_watch, ap_command_cancel,
    ap_command_retry;

/* `run` before MPI_Init. Signals are remembered from here on, and whoever read the log may go away without ending the
 * training. True if this process was the launcher of isolation = "step", which must not be an MPI process; *code is
 * then the exit code. */
bool ap_run_as_launcher(int argc, char **argv, int *code);

#endif
