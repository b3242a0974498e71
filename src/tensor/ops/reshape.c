/* Reshape: a view under another shape. Nothing to compute and nothing to record: data and gradient are those of x. */
#include "tensor/ops.h"

ap_tensor *ap_reshape(ap_tape *tape, ap_tensor *x, int rank, const int64_t *shape) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    return ap_tape_view(tape, x, rank, shape);
}
