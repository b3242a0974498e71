/* The built-in training algorithms. One file and one line in algorithms.list each; search space beside the file as
 * <name>.json, embedded. */
#ifndef AP_ALGORITHMS_ALGORITHMS_H
#define AP_ALGORITHMS_ALGORITHMS_H

#include "submission/submission.h"

const ap_submission *const *ap_algorithms(void); /* NULL-terminated */

#endif
