/* The subcommands of `algoperf`. One file and one line in main.c's table each. */
#ifndef AP_CLI_CLI_H
#define AP_CLI_CLI_H

#include "base/command.h"

/* ap_command_parse for this program. */
ap_status ap_cli_parse(const ap_command *command, int argc, char **argv, const ap_flag *flags, char ***rest, int *count,
                       bool *helped, ap_error *error);
/* Prints the error and returns its exit code. */
int ap_cli_report(const ap_error *error);

extern const ap_command ap_command_run, ap_command_list, ap_command_prepare, ap_command_verify, ap_command_bench,
    ap_command_inspect;

#endif
