#include "algorithms/schedule_free.h"
#include "base/fmath.h"

double ap_power(double base, double power) {
    if (power == floor(power) && power >= 0 && power < 64) return ap_f64_powi(base, (int64_t)power);
    return base > 0 ? ap_f64_exp(power * ap_f64_log(base)) : 0;
}

double ap_schedule_free_rate(ap_host *host, const ap_rule_settings *s, int64_t k) {
    double hint = (double)host->call->workload(host)->step_hint;
    double warmup =
        s->warmup_steps >= 0 ? trunc(s->warmup_steps) : trunc(s->warmup_factor * hint * s->step_hint_factor);
    return s->learning_rate * ((double)k < warmup ? (double)(k + 1) / warmup : 1);
}

AP_RULE_CLONES
static void schedule_free_lerp_kernel(const void *weight, int64_t n, float *restrict w, float *restrict g,
                                      float *const *states) {
    const float t = *(const float *)weight;
    const float *restrict z = states[0];
    (void)g;
    for (int64_t i = 0; i < n; i++) w[i] = ap_lerp(w[i], z[i], t);
}
void ap_schedule_free_lerp(const void *weight, int64_t n, float *restrict w, float *restrict g, float *const *states) {
    schedule_free_lerp_kernel(weight, n, w, g, states);
}

bool ap_schedule_free_extrapolate(ap_host *host, double beta1) {
    static const char *const z[] = {"z", NULL};
    float weight = (float)(1 - beta1);
    return ap_rule_apply(host, z, AP_NO_GRADIENT, ap_schedule_free_lerp, &weight);
}

static bool has_batch_norm(ap_host *host) {
    const ap_workload_info *workload = host->call->workload(host);
    for (int p = 0; p < workload->params; p++)
        if (workload->param[p].type == AP_PARAM_BATCH_NORM_SCALE) return true;
    return false;
}

bool ap_schedule_free_gradient(ap_host *host, const ap_rule_settings *s, float *clip) {
    ap_loss_request request = ap_rule_request(s);
    double loss;
    if (has_batch_norm(host) && host->call->step(host) % 3) {
        ap_loss_request refresh = request;
        refresh.no_gradient = true;
        if (!host->call->loss_and_gradient(host, &refresh, &loss)) return false;
    }
    if (!ap_schedule_free_extrapolate(host, s->beta1)) return false;
    request.keep_state = true;
    if (!host->call->loss_and_gradient(host, &request, &loss)) return false;
    *clip = s->grad_clip < INFINITY ? ap_clip_factor(host, s->grad_clip) : 1;
    return true;
}

ap_schedule_free_scalars ap_schedule_free_scalars_of(const ap_rule_settings *s, double step_size, double average) {
    return (ap_schedule_free_scalars){.back = (float)(1 - 1 / s->beta1),
                                      .beta2 = (float)s->beta2,
                                      .one_minus_beta2 = (float)(1 - s->beta2),
                                      .step_size = (float)step_size,
                                      .decay = (float)(step_size * s->weight_decay),
                                      .epsilon = (float)s->epsilon,
                                      .average = (float)average};
}
