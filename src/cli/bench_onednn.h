/* oneDNN's convolutions, for `algoperf bench conv`: loaded when asked for, if this program was built with its headers.
 */
#ifndef AP_CLI_BENCH_ONEDNN_H
#define AP_CLI_BENCH_ONEDNN_H

#include "base/status.h"
#include "tensor/kernels/conv.h"

typedef enum ap_conv_pass { AP_CONV_FORWARD, AP_CONV_DATA, AP_CONV_WEIGHTS, AP_CONV_PASSES } ap_conv_pass;

typedef struct ap_onednn ap_onednn;
/* One convolution, one direction. channels_last: activations stay [n, h, w, c], as ours; else in the layout that oneDNN
 * likes best (reorders are not counted). NULL with the reason in `why` if it is not there or does not do it. */
ap_onednn *ap_onednn_create(const ap_conv *conv, ap_conv_pass pass, bool channels_last, const char **why);
bool ap_onednn_run(ap_onednn *conv);
void ap_onednn_destroy(ap_onednn *conv); /* NULL is fine */

#endif
