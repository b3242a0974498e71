#include "algorithms/algorithms.h"

/* The struct of a line X(name) of algorithms.list is ap_submission_<name> in <name>.c. */
#define X(name) extern const ap_submission ap_submission_##name;
#include "algorithms/algorithms.list"
#undef X

const ap_submission *const *ap_algorithms(void) {
#define X(name) &ap_submission_##name,
    static const ap_submission *const table[] = {
#include "algorithms/algorithms.list"
        NULL};
    return table;
}
