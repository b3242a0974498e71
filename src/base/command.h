/* Command lines of the programs: a program is a table of commands, a command has one table of long options that makes
 * its parser and its --help. */
#ifndef AP_BASE_COMMAND_H
#define AP_BASE_COMMAND_H

#include "base/status.h"

/* Who calls MPI_Init: nobody; always; where a launcher started more than one process. */
typedef enum ap_ranks { AP_RANKS_NEVER, AP_RANKS_ALWAYS, AP_RANKS_IF_LAUNCHED } ap_ranks;

/* argv[0] is the command's name. `run` returns an exit code, prints results on stdout and errors through ap_log. */
typedef struct ap_command {
    const char *name, *arguments, *summary;
    int (*run)(int argc, char **argv);
    ap_ranks parallel;
} ap_command;

/* One long option. */
typedef struct ap_flag {
    const char *name;     /* "math" for --math */
    const char *argument; /* "ordered|blas", or NULL for a switch */
    const char *help;     /* lines after the first are indented to match */
    const char **value;   /* set to the argument, or to "" for a switch */
} ap_flag;

/* Parses flags (the table ends with name NULL); the rest are positional: *rest, *count. AP_USAGE names the closest
 * flag. `--help` prints the page of `program command` on stdout and returns AP_OK with *helped = true. */
ap_status ap_command_parse(const char *program, const ap_command *command, int argc, char **argv, const ap_flag *flags,
                           char ***rest, int *count, bool *helped, ap_error *error);

#endif
