/* Schedule-Free Prodigy, a competitor of v0.5: Prodigy's estimate of the step size with schedule-free averaging.
 *
 * Mishchenko and Defazio, "Prodigy: an expeditiously adaptive parameter-free learner", arXiv:2306.06101, Algorithm 4;
 * Defazio et al., arXiv:2405.15682; AlgoPerf v0.5 external tuning submission "schedule_free_prodigy", PyTorch form. x
 * are the parameters, z and p0 start as x, d = d0. Step k = 0, 1, ..., h = lr after a linear warmup (schedule_free.h:
 * int(0.075 step_hint) steps):
 *
 *     y = x + (1 - b1) (z - x);  g at y
 *     N = sqrt(b2) N + d^2 h <g, p0 - z>
 *     v = b2 v + d^2 (1 - b2) g^2,   s = sqrt(b2) s + d^2 h g
 *     d' = max(d, d_coef N / sum |s|)
 *     z -= weight_decay d h x,   z -= d' d h g / (sqrt(v) + d' eps)
 *     c = (k + 1)^r,   S += c,   x = x + c / S (z - x),   d = d'
 *
 * v, s and p0 are kept in bfloat16, as published: v and s round after every operation; float32_state = true keeps them
 * in float32. Search space: the submission's five points. */
#include "algorithms/schedule_free.h"

extern const char ap_schedule_free_prodigy_json[];
static const char *const space = ap_schedule_free_prodigy_json;

static const ap_rule_input inputs[] = {{"learning_rate", 1},
                                       {"beta1", 0.9},
                                       {"beta2", 0.9955159689799007},
                                       {"weight_decay", 0},
                                       {"warmup_factor", 0.075},
                                       {"warmup_steps", -1},
                                       {"step_hint_factor", 1},
                                       {"label_smoothing", 0.2}, /* the published code has this one value */
                                       {"r", 0.75},
                                       {"d0", 1e-6},
                                       {"d_coef", 1},
                                       {"float32_state", 0},
                                       {"torch_cpu", 0},
                                       {"epsilon", 1e-8},
                                       {NULL, 0}};
static const char *const states[] = {"z", "exp_avg_sq", "s", "p0", NULL};

enum { D, NUMERATOR, WEIGHT_SUM, NUMBERS };
static const char numbers_name[] = "prodigy";

typedef struct scalars {
    float beta1, one_minus_beta1, inverse_beta1, beta2, gradient_square, root_beta2, gradient, decay, step, epsilon,
        average;
    bool bfloat16;
} scalars;

/* In the kernels `bfloat16` is a constant: vectors cannot branch. */
static inline __attribute__((always_inline)) float round_if(const bool bfloat16, float x) {
    return bfloat16 ? ap_bfloat16(x) : x;
}

AP_RULE_CLONES
static void prodigy_extrapolate(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                                float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    const float *restrict z = state[0];
    (void)g;
    for (int64_t i = 0; i < n; i++) w[i] = w[i] * s.beta1 + s.one_minus_beta1 * z[i];
}

/* v and s. */
static inline __attribute__((always_inline)) void moments_block(const bool bfloat16, scalars s, int64_t n,
                                                                const float *restrict g, float *restrict v,
                                                                float *restrict sum) {
    for (int64_t i = 0; i < n; i++) {
        v[i] = round_if(bfloat16, round_if(bfloat16, v[i] * s.beta2) + s.gradient_square * g[i] * g[i]);
        sum[i] = round_if(bfloat16, round_if(bfloat16, sum[i] * s.root_beta2) + s.gradient * g[i]);
    }
}
AP_RULE_CLONES
static void prodigy_moments(const void *scalars_, int64_t n, float *restrict w, float *restrict g,
                            float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    (void)w;
    if (s.bfloat16)
        moments_block(true, s, n, g, state[1], state[2]);
    else
        moments_block(false, s, n, g, state[1], state[2]);
}

static inline __attribute__((always_inline)) void step_block(const bool bfloat16, scalars s, int64_t n,
                                                             float *restrict w, const float *restrict g,
                                                             float *restrict z, const float *restrict v) {
    for (int64_t i = 0; i < n; i++) {
        float x = (w[i] - s.one_minus_beta1 * z[i]) * s.inverse_beta1;
        float denominator = round_if(bfloat16, round_if(bfloat16, sqrtf(v[i])) + s.epsilon);
        float zi = z[i] - s.decay * x;
        z[i] = zi - s.step * (g[i] / denominator);
        w[i] = ap_lerp(x, z[i], s.average);
    }
}
AP_RULE_CLONES
static void prodigy_step(const void *scalars_, int64_t n, float *restrict w, float *restrict g, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    if (s.bfloat16)
        step_block(true, s, n, w, g, state[0], state[1]);
    else
        step_block(false, s, n, w, g, state[0], state[1]);
}

AP_RULE_CLONES
static void prodigy_difference(int64_t n, const float *restrict first, const float *restrict z, float *restrict x) {
    for (int64_t i = 0; i < n; i++) x[i] = first[i] - z[i];
}
/* In 16 lanes, folded in order; in float32, as a lane has at most AP_RULE_BLOCK / 16 = 64 additions. */
AP_RULE_CLONES
static float prodigy_absolute(int64_t n, const float *restrict s) {
    float lane[16] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++) lane[l] += fabsf(s[i + l]);
    for (int l = 0; l < 16; l++) sum += lane[l];
    for (; i < n; i++) sum += fabsf(s[i]);
    return sum;
}
/* <g, p0 - z> and sum |s|. */
static void estimate(ap_host *host, int64_t n, const float *w, const float *g, float *const *state, double *sum) {
    float x[AP_RULE_BLOCK];
    x[0] = 0; /* n is never 0, which a compiler cannot know */
    (void)w;
    prodigy_difference(n, state[3], state[0], x);
    sum[0] = host->call->dot(host, n, g, x);
    sum[1] = (double)prodigy_absolute(n, state[2]);
}

/* Moments and the estimate's sums, in one pass (a tensor's sum of a bfloat16 s is one too). */
static bool moments(ap_host *host, const scalars *x, float clip, double *inner, double *absolute) {
    const ap_rule_pass pass = {
        .states = states, .clip = clip, .kernel = prodigy_moments, .scalars = x, .sums = estimate};
    int params = host->call->workload(host)->params;
    *inner = *absolute = 0;
    for (int p = 0; p < params; p++) {
        double sum[2];
        if (!ap_rule_run(host, p, &pass, sum)) return false;
        *inner += sum[0];
        *absolute += x->bfloat16 ? (double)ap_bfloat16((float)sum[1]) : sum[1];
    }
    return true;
}

static int init_optimizer_state(ap_host *host) {
    ap_rule_settings s;
    const ap_workload_info *workload = host->call->workload(host);
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_states(host, states)) return 1;
    if (!ap_rule_copy_of_parameters(host, "z") || !ap_rule_copy_of_parameters(host, "p0")) return 1;
    for (int p = 0; s.float32_state == 0 && p < workload->params; p++) {
        float *first = host->call->state(host, "p0", p);
        for (int64_t i = 0; i < workload->param[p].size; i++) first[i] = ap_bfloat16(first[i]);
    }
    double *numbers = host->call->state_numbers(host, numbers_name, NUMBERS);
    if (!numbers) return 1;
    numbers[D] = s.d0;
    return 0;
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    float clip;
    double inner, absolute, *numbers = host->call->state_numbers(host, numbers_name, NUMBERS);
    if (!numbers || !ap_rule_read(host, inputs, &s)) return 1;
    scalars y = {.beta1 = (float)s.beta1, .one_minus_beta1 = (float)(1 - s.beta1)};
    if (!ap_rule_apply(host, states, AP_NO_GRADIENT, prodigy_extrapolate, &y)) return 1;
    if (!ap_rule_gradient(host, &s, &clip)) return 1;
    int64_t k = host->call->step(host);
    double d = numbers[D], h = ap_schedule_free_rate(host, &s, k), beta3 = sqrt(s.beta2);
    double weight = ap_power((double)(k + 1), s.r);
    numbers[WEIGHT_SUM] += weight;
    scalars x = {.beta1 = y.beta1,
                 .one_minus_beta1 = y.one_minus_beta1,
                 .inverse_beta1 = (float)(1 / s.beta1),
                 .beta2 = s.float32_state != 0 ? (float)s.beta2 : ap_bfloat16_factor(&s, s.beta2),
                 .gradient_square = (float)(d * d * (1 - s.beta2)),
                 .root_beta2 = s.float32_state != 0 ? (float)beta3 : ap_bfloat16_factor(&s, beta3),
                 .gradient = (float)(d * d * h),
                 .decay = (float)(s.weight_decay * d * h),
                 .average = (float)(weight / numbers[WEIGHT_SUM]),
                 .bfloat16 = s.float32_state == 0};
    if (!moments(host, &x, clip, &inner, &absolute)) return 1;
    numbers[NUMERATOR] = beta3 * numbers[NUMERATOR] + d * d * h * inner;
    if (absolute > 0) numbers[D] = fmax(d, s.d_coef * numbers[NUMERATOR] / absolute);
    x.step = (float)(numbers[D] * d * h);
    x.epsilon = (float)(numbers[D] * s.epsilon);
    return ap_rule_apply(host, states, clip, prodigy_step, &x) ? 0 : 1;
}

const ap_submission ap_submission_schedule_free_prodigy = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "schedule_free_prodigy",
    .summary = "schedule-free with an estimated step size: a competitor of v0.5",
    .source = "AlgoPerf v0.5 external tuning submission; Mishchenko and Defazio, arXiv:2306.06101",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
