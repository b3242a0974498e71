#include "algorithms/algorithms.h"

/* One line an algorithm, in name order; the struct is ap_submission_<name> in <name>.c. */
#define ALGORITHMS(X)                                                                                                  \
    X(adamw)                                                                                                           \
    X(momentum)                                                                                                        \
    X(nadamw)                                                                                                          \
    X(nesterov)

#define DECLARE(name) extern const ap_submission ap_submission_##name;
ALGORITHMS(DECLARE)

#define ENTRY(name) &ap_submission_##name,
const ap_submission *const *ap_algorithms(void) {
    static const ap_submission *const table[] = {ALGORITHMS(ENTRY) NULL};
    return table;
}
