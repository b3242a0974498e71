/* Settings of an update rule as the file of golden trajectories has them (attribute `hyperparameters` of a group, JSON
 * of whatever the reference code was constructed with), as hyperparameters of the built-in algorithms. */
#ifndef AP_CLI_VERIFY_SETTINGS_H
#define AP_CLI_VERIFY_SETTINGS_H

#include "base/status.h"
#include "tuning/search_space.h"

/* Names become the published ones: lr, betas [b1, b2, b3] or "(b1, b2)", eps, numbers and truth values that are texts
 * ("0.05", "True"), grafting_config "AdamGraftingConfig(beta2=0.99, epsilon=1e-08)", preconditioner_dtype, pair and
 * vector_optimizer ("AdamW lr .02 betas .9/.999 wd .1"), adjust_lr null, eta {param: x} ("eta.param"), reduced_shapes
 * {param: [6, 1]} ("reduced.param" = 1 if not one entry). A setting without a schedule of its own (warmup_factor) gets
 * constant_rate. `group` says what its JSON does not: "..._float32_state", "muon_torch_bf16_...". AP_DATA if it is not
 * JSON. The caller frees the point. */
ap_status ap_verify_settings(const char *json, const char *group, ap_point *point, ap_error *error);

#endif
