/* The subcommands of `algoperf`. One file and one line in main.c's table each. */
#ifndef AP_CLI_CLI_H
#define AP_CLI_CLI_H

#include "base/status.h"

/* argv[0] is the subcommand's name. Returns an exit code. Prints results on stdout, errors through ap_log. */
typedef struct ap_command {
    const char *name, *arguments, *summary;
    int (*run)(int argc, char **argv);
    bool parallel; /* wants MPI_Init */
} ap_command;

/* Long options of a subcommand: one table makes the parser and --help. */
typedef struct ap_flag {
    const char *name;     /* "math" for --math */
    const char *argument; /* "ordered|blas", or NULL for a switch */
    const char *help;
    const char **value; /* set to the argument, or to "" for a switch */
} ap_flag;

/* Parses flags (table ends with name NULL); the rest are positional: *rest, *count. AP_USAGE names the closest flag.
 * `--help` prints the page of `command` on stdout and returns AP_OK with *helped = true. */
ap_status ap_cli_parse(const ap_command *command, int argc, char **argv, const ap_flag *flags, char ***rest, int *count,
                       bool *helped, ap_error *error);
/* Prints the error and returns its exit code. */
int ap_cli_report(const ap_error *error);

extern const ap_command ap_command_run, ap_command_list, ap_command_prepare, ap_command_verify, ap_command_bench,
    ap_command_inspect;

#endif
