/* A short-lived child program, for asking the system's own tools (squeue, scontrol, srun). Not collective. */
#ifndef AP_BASE_CHILD_H
#define AP_BASE_CHILD_H

#include "base/status.h"

/* Runs argv (argv[0] is looked for in PATH; ends with NULL) with no input; what it prints on stdout and stderr goes
 * into output[size], cut and NUL-terminated. *code is its exit code, 128 + n if signal n ended it. AP_ENVIRONMENT: it
 * could not be started, or did not end within limit_s and was killed. */
ap_status ap_child_output(const char *const *argv, double limit_s, char *output, size_t size, int *code,
                          ap_error *error);
/* True if a program of that name can be started from PATH. */
bool ap_child_exists(const char *name);

#endif
