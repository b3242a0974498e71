/* Adafactor with momentum, a paper baseline of the benchmark.
 *
 * Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", arXiv:1804.04235, Algorithms 4
 * and 5; AlgoPerf, archived_paper_baselines/adafactor, PyTorch form (whose file does not run with its own search space:
 * it asks for warmup_steps). With t = 1, 2, ..., b2t = 0.99 (1 - 0.99^(t-1)) / (1 - 0.99^t), s = g^2 + 1e-30 and h the
 * rate of the step (linear warmup, cosine). Tensors of rank >= 2 are factored over their last two axes:
 *
 *     R = b2t R + (1 - b2t) mean_last(s),   C = b2t C + (1 - b2t) mean_before_last(s)
 *     V = (R / mean(R)) C   (outer product)
 *
 * others keep V = b2t V + (1 - b2t) s. Then
 *
 *     u = g / sqrt(V),   u /= max(1, rms(u)),   u *= h
 *     m = b1 m + (1 - b1) u,   w -= weight_decay h w,   w -= m        (the momentum includes the rate)
 *
 * Means are sums in order in double. Search space: adafactor.json, the published ranges. */
#include "algorithms/rule.h"
#include "base/fmath.h"

extern const char ap_adafactor_json[];
static const char *const space = ap_adafactor_json;

static const ap_rule_input inputs[] = {{"learning_rate", AP_REQUIRED},
                                       {"beta1", AP_REQUIRED},
                                       {"weight_decay", AP_REQUIRED},
                                       {"warmup_factor", AP_REQUIRED},
                                       {NULL, 0}};
static const char *const states[] = {"exp_avg", NULL};
static const double decay = 0.99, tiny = 1e-30;

/* ---- second moments: R and C, or V, of all parameters one behind the other in one array */

typedef struct extent { /* a tensor as `batch` matrices of rows x columns; rank < 2: rows = 0, columns elements */
    int64_t batch, rows, columns, floats;
} extent;

static extent extent_of(const ap_param_info *p) {
    if (p->rank < 2) return (extent){1, 0, p->size, p->size};
    int64_t rows = p->shape[p->rank - 2], columns = p->shape[p->rank - 1];
    int64_t batch = rows * columns > 0 ? p->size / (rows * columns) : 0;
    return (extent){batch, rows, columns, batch * (rows + columns)};
}

static int64_t total(const ap_workload_info *workload) {
    int64_t n = 0;
    for (int p = 0; p < workload->params; p++) n += extent_of(&workload->param[p]).floats;
    return n;
}

static double square(float g) {
    float s = g * g + (float)tiny;
    return (double)s;
}

/* g becomes g / sqrt(V). r[rows], c[columns]; sums[columns] is for the column means. */
static void factored(int64_t rows, int64_t columns, float b2t, float rest, float *g, float *r, float *c, float *sums) {
    for (int64_t j = 0; j < columns; j++) sums[j] = 0;
    double all = 0;
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t j = 0; j < columns; j++) {
            double s = square(g[i * columns + j]);
            sum += s;
            sums[j] += (float)s;
        }
        r[i] = b2t * r[i] + rest * (float)(sum / (double)columns);
        all += (double)r[i];
    }
    for (int64_t j = 0; j < columns; j++) c[j] = b2t * c[j] + rest * (sums[j] / (float)rows);
    float mean = (float)(all / (double)rows);
    for (int64_t i = 0; i < rows; i++) {
        float row = 1 / sqrtf(r[i] / mean);
        for (int64_t j = 0; j < columns; j++) g[i * columns + j] *= row * (1 / sqrtf(c[j]));
    }
}

static void unfactored(int64_t n, float b2t, float rest, float *g, float *v) {
    for (int64_t i = 0; i < n; i++) {
        v[i] = b2t * v[i] + rest * (float)square(g[i]);
        g[i] = g[i] / sqrtf(v[i]);
    }
}

typedef struct scalars {
    float beta1, one_minus_beta1, scale, decay;
} scalars;

AP_RULE_CLONES
static void adafactor_step(const void *scalars_, int64_t n, float *restrict w, float *restrict u, float *const *state) {
    const scalars s = *(const scalars *)scalars_;
    float *restrict m = state[0];
    for (int64_t i = 0; i < n; i++) {
        float mi = s.beta1 * m[i] + s.one_minus_beta1 * (u[i] * s.scale);
        m[i] = mi;
        w[i] = (w[i] - s.decay * w[i]) - mi;
    }
}

/* ---- the submission */

static int init_optimizer_state(ap_host *host) {
    static const ap_rule rule = {.inputs = inputs, .states = states};
    if (ap_rule_init(host, &rule)) return 1;
    int64_t n = total(host->call->workload(host));
    return n == 0 || host->call->state_array(host, "second_moments", n) ? 0 : 1;
}

static bool update_moments(ap_host *host, int param, float *moments, int64_t t) {
    double b2t = decay * (1 - ap_f64_powi(decay, t - 1)) / (1 - ap_f64_powi(decay, t));
    extent e = extent_of(&host->call->workload(host)->param[param]);
    float *g = host->call->gradient(host, param), *sums = host->call->scratch(host, 0, e.columns);
    if (!sums) return false;
    if (e.rows == 0) unfactored(e.columns, (float)b2t, (float)(1 - b2t), g, moments);
    for (int64_t b = 0; e.rows > 0 && b < e.batch; b++)
        factored(e.rows, e.columns, (float)b2t, (float)(1 - b2t), g + b * e.rows * e.columns, moments + b * e.rows,
                 moments + e.batch * e.rows + b * e.columns, sums);
    return true;
}

static int update_params(ap_host *host) {
    ap_rule_settings s;
    float clip;
    if (!ap_rule_read(host, inputs, &s) || !ap_rule_gradient(host, &s, &clip)) return 1;
    double rate = ap_rule_rate(host, &s, ap_rule_torch_cosine);
    const ap_workload_info *workload = host->call->workload(host);
    float *moments = host->call->state_array(host, "second_moments", total(workload));
    if (!moments) return 1;
    ap_scale_gradients(host, clip);
    for (int p = 0; p < workload->params; p++) {
        int64_t n = workload->param[p].size;
        if (!update_moments(host, p, moments, host->call->step(host) + 1)) return 1;
        const float *u = host->call->gradient(host, p);
        double rms = sqrt(host->call->dot(host, n, u, u) / (double)n);
        scalars x = {(float)s.beta1, (float)(1 - s.beta1), (float)(rate / fmax(1, rms)),
                     (float)(s.weight_decay * rate)};
        if (!ap_rule_apply_to(host, p, states, 1, adafactor_step, &x)) return 1;
        moments += extent_of(&workload->param[p]).floats;
    }
    return 0;
}

const ap_submission ap_submission_adafactor = {
    .abi = AP_SUBMISSION_ABI,
    .struct_size = sizeof(ap_submission),
    .name = "adafactor",
    .summary = "factored second moments with momentum: a paper baseline",
    .source = "AlgoPerf paper baseline; Shazeer and Stern, arXiv:1804.04235",
    .init_optimizer_state = init_optimizer_state,
    .update_params = update_params,
    .search_space = &space,
};
