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
 * Sums: of a large matrix's rows in the host's order and double, of its columns in float from row to row; of matrices
 * of at most 64 elements in float, in order. Search space: adafactor.json, the published ranges. */
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
static const double decay = 0.99;
static const float tiny = 1e-30F;

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

typedef struct decays {
    float old, new; /* b2t, 1 - b2t */
} decays;

/* ---- large matrices: row by row */

AP_RULE_CLONES
static void adafactor_columns(int64_t n, const float *restrict g, float *restrict sums) {
    for (int64_t j = 0; j < n; j++) sums[j] += g[j] * g[j] + tiny;
}
AP_RULE_CLONES
static void adafactor_roots(int64_t n, decays d, float rows, const float *restrict sums, float *restrict c,
                            float *restrict roots) {
    for (int64_t j = 0; j < n; j++) {
        c[j] = d.old * c[j] + d.new *(sums[j] / rows);
        roots[j] = 1 / sqrtf(c[j]);
    }
}
AP_RULE_CLONES
static void adafactor_row(int64_t n, float row, const float *restrict roots, float *restrict g) {
    for (int64_t j = 0; j < n; j++) g[j] *= row * roots[j];
}

/* g becomes g / sqrt(V); adds its sum of squares. r[rows], c[columns]; work: 2 columns. */
static double factored(ap_host *host, int64_t rows, int64_t columns, decays d, float *g, float *r, float *c,
                       float *work) {
    float *sums = work, *roots = work + columns;
    double all = 0, squares = 0;
    for (int64_t j = 0; j < columns; j++) sums[j] = 0;
    for (int64_t i = 0; i < rows; i++) {
        const float *row = g + i * columns;
        double sum = host->call->dot(host, columns, row, row) + (double)tiny * (double)columns;
        adafactor_columns(columns, row, sums);
        r[i] = d.old * r[i] + d.new *(float)(sum / (double)columns);
        all += (double)r[i];
    }
    adafactor_roots(columns, d, (float)rows, sums, c, roots);
    float mean = (float)(all / (double)rows);
    for (int64_t i = 0; i < rows; i++) {
        adafactor_row(columns, 1 / sqrtf(r[i] / mean), roots, g + i * columns);
        squares += host->call->dot(host, columns, g + i * columns, g + i * columns);
    }
    return squares;
}

/* ---- many small ones, as convolutions have: LANES matrices side by side */

enum { LANES = 16, SMALL = 64 };
typedef struct lanes {
    float g[SMALL][LANES], u[SMALL][LANES], r[SMALL][LANES], c[SMALL][LANES];
} lanes;

static inline __attribute__((always_inline)) void gather(int64_t count, const int64_t n, const float *restrict from,
                                                         float to[restrict][LANES]) {
    for (int64_t l = 0; l < count; l++)
        for (int64_t e = 0; e < n; e++) to[e][l] = from[l * n + e];
    for (int64_t l = count; l < LANES; l++)
        for (int64_t e = 0; e < n; e++) to[e][l] = 1;
}
static inline __attribute__((always_inline)) void scatter(int64_t count, const int64_t n, float from[restrict][LANES],
                                                          float *restrict to) {
    for (int64_t l = 0; l < count; l++)
        for (int64_t e = 0; e < n; e++) to[l * n + e] = from[e][l];
}

/* g / sqrt(V) as g sqrt(mean(R) / R) (1 / sqrt(C)): a root and a division for each row and column, none an element. */
static inline __attribute__((always_inline)) void lanes_step(const int64_t rows, const int64_t columns, decays d,
                                                             lanes *x) {
    float mean[LANES] = {0}, inverse_rows = 1 / (float)rows, inverse_columns = 1 / (float)columns;
    for (int64_t i = 0; i < rows; i++) {
        float sum[LANES] = {0};
        for (int64_t j = 0; j < columns; j++)
            for (int l = 0; l < LANES; l++) sum[l] += x->g[i * columns + j][l] * x->g[i * columns + j][l] + tiny;
        for (int l = 0; l < LANES; l++) {
            x->r[i][l] = d.old * x->r[i][l] + d.new *(sum[l] * inverse_columns);
            mean[l] += x->r[i][l];
        }
    }
    for (int l = 0; l < LANES; l++) mean[l] *= inverse_rows;
    for (int64_t i = 0; i < rows; i++) {
        float row[LANES];
        for (int l = 0; l < LANES; l++) row[l] = sqrtf(mean[l] / x->r[i][l]);
        for (int64_t j = 0; j < columns; j++)
            for (int l = 0; l < LANES; l++) x->u[i * columns + j][l] = x->g[i * columns + j][l] * row[l];
    }
    for (int64_t j = 0; j < columns; j++) {
        float sum[LANES] = {0}, root[LANES];
        for (int64_t i = 0; i < rows; i++)
            for (int l = 0; l < LANES; l++) sum[l] += x->g[i * columns + j][l] * x->g[i * columns + j][l] + tiny;
        for (int l = 0; l < LANES; l++) {
            x->c[j][l] = d.old * x->c[j][l] + d.new *(sum[l] * inverse_rows);
            root[l] = 1 / sqrtf(x->c[j][l]);
        }
        for (int64_t i = 0; i < rows; i++)
            for (int l = 0; l < LANES; l++) x->u[i * columns + j][l] *= root[l];
    }
}

static inline __attribute__((always_inline)) void lanes_of(int64_t count, const int64_t rows, const int64_t columns,
                                                           decays d, float *g, float *r, float *c) {
    lanes x;
    gather(count, rows * columns, g, x.g);
    gather(count, rows, r, x.r);
    gather(count, columns, c, x.c);
    lanes_step(rows, columns, d, &x);
    scatter(count, rows * columns, x.u, g);
    scatter(count, rows, x.r, r);
    scatter(count, columns, x.c, c);
}

AP_RULE_CLONES
static void adafactor_lanes(int64_t count, int64_t rows, int64_t columns, decays d, float *g, float *r, float *c) {
    if (rows == 3 && columns == 3)
        lanes_of(count, 3, 3, d, g, r, c); /* the common convolution: all loops unrolled */
    else
        lanes_of(count, rows, columns, d, g, r, c);
}

static void factored_lanes(int64_t batch, int64_t rows, int64_t columns, decays d, float *g, float *r, float *c) {
    for (int64_t b = 0; b < batch; b += LANES, g += LANES * rows * columns, r += LANES * rows, c += LANES * columns)
        adafactor_lanes(batch - b < LANES ? batch - b : LANES, rows, columns, d, g, r, c);
}

/* ---- vectors */

AP_RULE_CLONES
static void adafactor_vector(int64_t n, decays d, float *restrict g, float *restrict v) {
    for (int64_t i = 0; i < n; i++) {
        v[i] = d.old * v[i] + d.new *(g[i] * g[i] + tiny);
        g[i] = g[i] / sqrtf(v[i]);
    }
}

/* Matrices of one element: V = C. */
AP_RULE_CLONES
static void adafactor_single(int64_t n, decays d, float *restrict g, float *restrict r, float *restrict c) {
    for (int64_t i = 0; i < n; i++) {
        float s = g[i] * g[i] + tiny;
        r[i] = d.old * r[i] + d.new *s;
        c[i] = d.old * c[i] + d.new *s;
        g[i] = g[i] / sqrtf(c[i]);
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

/* The gradient becomes u; its sum of squares. */
static bool update_moments(ap_host *host, int param, float *moments, int64_t t, double *squares) {
    double b2t = decay * (1 - ap_f64_powi(decay, t - 1)) / (1 - ap_f64_powi(decay, t));
    extent e = extent_of(&host->call->workload(host)->param[param]);
    decays d = {(float)b2t, (float)(1 - b2t)};
    int64_t n = e.rows * e.columns, pieces = n > SMALL ? e.batch : 0,
            size = host->call->workload(host)->param[param].size;
    float *g = host->call->gradient(host, param), *c = moments + e.batch * e.rows;
    float *work = host->call->scratch(host, 0, 2 * e.columns);
    if (!work) return false;
    *squares = 0;
    for (int64_t b = 0; b < pieces; b++)
        *squares += factored(host, e.rows, e.columns, d, g + b * n, moments + b * e.rows, c + b * e.columns, work);
    if (pieces > 0) return true;
    const int64_t piece = n > 0 ? AP_RULE_BLOCK / (LANES * n) * LANES : AP_RULE_BLOCK; /* in cache for the sum */
    const int64_t all = n > 0 ? e.batch : size, each = n > 0 ? n : 1;
    for (int64_t b = 0; b < all; b += piece) {
        int64_t count = all - b < piece ? all - b : piece;
        if (n == 1)
            adafactor_single(count, d, g + b, moments + b, c + b);
        else if (n > 1)
            factored_lanes(count, e.rows, e.columns, d, g + b * n, moments + b * e.rows, c + b * e.columns);
        else
            adafactor_vector(count, d, g + b, moments + b);
        *squares += host->call->dot(host, count * each, g + b * each, g + b * each);
    }
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
        double squares;
        if (!update_moments(host, p, moments, host->call->step(host) + 1, &squares)) return 1;
        double rms = sqrt(squares / (double)n);
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
