/* Batch, group and instance normalisation of channels-last tensors, with what follows them in one pass:
 *
 *     y = f((x - mean) rstd scale + bias + residual),   rstd = 1 / sqrt(variance + eps)
 *
 * over sets of elements: all rows of one channel (batch), the pixels of one image and `channels / groups` channels
 * (group; instance: one channel). Sums of x, x^2 and, backward, of g and g (x - mean) run down each channel as one
 * chain of additions in double; channels of a group are added in order; so are images, for the gradients of scale and
 * bias. variance = mean of x^2 - mean^2 in double, at least 0 (biased). Then in float:
 *
 *     z = fma(x - mean, rstd scale, bias) + residual
 *     dx = fma(g, rstd scale, fma(x - mean, -rstd^2 mean(g scale (x - mean) rstd), -rstd mean(g scale))),  g = dy f'(z)
 *
 * Running statistics (batch): new = (1 - momentum) old + momentum batch, the variance unbiased, n / (n - 1), unless
 * told otherwise. In evaluation they take the place of mean and variance. Sources: Ioffe & Szegedy 2015; Wu & He 2018;
 * Ulyanov et al. 2016; PyTorch's BatchNorm2d, GroupNorm, InstanceNorm2d. */
#include "tensor/kernels/blocking.h"
#include "tensor/kernels/kernel_set.h"
#include "tensor/ops.h"

#include <math.h>
#include <string.h>

typedef struct channel_norm {
    ap_tensor *x, *scale, *bias, *residual; /* the last three may be NULL */
    ap_activation activation;
    float slope;
    int64_t sets, rows, channels, group; /* sets of `rows` rows of `channels`; group: channels of one mean */
    bool fixed;                          /* mean and variance do not depend on x */
    float *mean, *factor, *shift;        /* [sets][channels]; factor = rstd scale, shift = bias */
    double *rstd;                        /* [sets][channels] */
} channel_norm;

/* Work goes block by block, so that the steps on a block find it in the nearest cache. */
enum { BLOCK = 4096, WIDEST = 512 };

typedef struct block {
    int64_t row0, rows, column0, columns;
} block;

static int64_t strips_of(const channel_norm *op) {
    return ap_quotient_up(op->channels, WIDEST);
}
static int64_t strip_rows(const channel_norm *op) {
    return ap_larger(1, BLOCK / ap_smaller(op->channels, WIDEST));
}

/* ---- forward */

/* Sums of one strip of channels of one set. */
typedef struct moments_task {
    const channel_norm *op;
    double *sum, *square; /* [sets][channels] */
    int64_t width;        /* of a strip */
} moments_task;

static void moments_of_strip(int64_t index, void *context) {
    const moments_task *t = context;
    const channel_norm *op = t->op;
    const int64_t strips = ap_quotient_up(op->channels, t->width), set = index / strips, j = index % strips * t->width;
    const int64_t columns = ap_smaller(t->width, op->channels - j), at = set * op->channels + j;
    memset(t->sum + at, 0, (size_t)columns * sizeof *t->sum);
    memset(t->square + at, 0, (size_t)columns * sizeof *t->square);
    const int64_t step = ap_larger(1, BLOCK / columns);
    for (int64_t i = 0; i < op->rows; i += step)
        ap_kernels_current()->add_moments(ap_smaller(step, op->rows - i), columns,
                                          op->x->data + (set * op->rows + i) * op->channels + j, op->channels,
                                          t->sum + at, t->square + at);
}

enum { WORTH_THREADS = 1 << 18 /* elements */ };

static int threads_for(const channel_norm *op) {
    return op->x->size < WORTH_THREADS ? 1 : ap_kernels_threads();
}
/* Strips are narrow enough that each thread gets one. */
static int64_t strip_width(const channel_norm *op, int threads) {
    const int64_t each = ap_quotient_up(op->sets * op->channels, threads);
    return ap_smaller(ap_smaller(WIDEST, op->channels), ap_quotient_up(each, 16) * 16);
}

/* Mean and variance of each group of channels, from the sums of its channels; both are left in the sums' places. */
static void to_mean_and_variance(const channel_norm *op, double *sum, double *square) {
    const double n = (double)op->rows * (double)op->group;
    for (int64_t at = 0; at < op->sets * op->channels; at += op->group) {
        double s = 0, q = 0;
        for (int64_t j = at; j < at + op->group; j++) s += sum[j], q += square[j];
        const double mean = s / n, variance = q / n - mean * mean;
        for (int64_t j = at; j < at + op->group; j++) sum[j] = mean, square[j] = variance < 0 ? 0 : variance;
    }
}

static void set_factors(channel_norm *op, const double *mean, const double *variance, float eps) {
    for (int64_t i = 0; i < op->sets * op->channels; i++) {
        const int64_t j = i % op->channels;
        op->mean[i] = (float)mean[i];
        op->rstd[i] = 1 / sqrt(variance[i] + (double)eps);
        op->factor[i] = (float)(op->rstd[i] * (op->scale ? (double)op->scale->data[j] : 1));
        op->shift[i] = op->bias ? op->bias->data[j] : 0;
    }
}

typedef struct rows_task {
    const channel_norm *op;
    ap_tensor *y;
    const float *a, *b, *c; /* backward: [sets][channels] */
    const float *g;
    float *dx; /* may be g */
    bool accumulate;
} rows_task;

static block block_of(const channel_norm *op, int64_t index) {
    const int64_t strips = strips_of(op), step = strip_rows(op);
    const int64_t row0 = index / strips * step, j = ap_cut(op->channels, strips, index % strips);
    return (block){row0, ap_smaller(step, op->rows - row0), j, ap_cut(op->channels, strips, index % strips + 1) - j};
}
static int64_t blocks_of(const channel_norm *op) {
    return ap_quotient_up(op->rows, strip_rows(op)) * strips_of(op);
}

static void apply_block(int64_t index, void *context) {
    const rows_task *t = context;
    const channel_norm *op = t->op;
    const int64_t blocks = blocks_of(op), set = index / blocks, ld = op->channels;
    const block b = block_of(op, index % blocks);
    const int64_t at = (set * op->rows + b.row0) * ld + b.column0, statistics = set * ld + b.column0;
    const ap_kernel_set *kernels = ap_kernels_current();
    float *y = t->y->data + at;
    kernels->scale_rows(b.rows, b.columns, op->x->data + at, ld, op->mean + statistics, op->factor + statistics,
                        op->shift + statistics, op->residual ? op->residual->data + at : NULL, y);
    if (op->activation == AP_IDENTITY) return;
    if (b.columns == ld) {
        kernels->activate(op->activation, op->slope, (size_t)(b.rows * ld), y, y);
    } else {
        for (int64_t i = 0; i < b.rows; i++)
            kernels->activate(op->activation, op->slope, (size_t)b.columns, y + i * ld, y + i * ld);
    }
}

/* ---- backward */

/* dy of a block -> g = dy f'(z), in place. */
static void activation_gradient(const channel_norm *op, const ap_tensor *y, const block *b, int64_t set, int64_t at) {
    if (op->activation == AP_IDENTITY) return;
    const ap_kernel_set *kernels = ap_kernels_current();
    const int64_t ld = op->channels, statistics = set * ld + b->column0;
    const bool from_output = ap_activation_knows_from_output(op->activation);
    float z[WIDEST];
    for (int64_t i = 0; i < b->rows; i++) {
        const int64_t row = at + i * ld;
        const float *known = y->data + row;
        if (!from_output) {
            kernels->scale_rows(1, b->columns, op->x->data + row, ld, op->mean + statistics, op->factor + statistics,
                                op->shift + statistics, op->residual ? op->residual->data + row : NULL, z);
            known = z;
        }
        kernels->activate_back(op->activation, op->slope, (size_t)b->columns, known, y->grad + row, false,
                               y->grad + row);
    }
}

typedef struct sums_task {
    const channel_norm *op;
    const ap_tensor *y;
    double *sum, *product; /* [sets][channels]: of g, of g (x - mean) */
    int64_t width;
} sums_task;

static void sums_of_strip(int64_t index, void *context) {
    const sums_task *t = context;
    const channel_norm *op = t->op;
    const int64_t strips = ap_quotient_up(op->channels, t->width), set = index / strips, j = index % strips * t->width;
    const int64_t columns = ap_smaller(t->width, op->channels - j), statistics = set * op->channels + j;
    memset(t->sum + statistics, 0, (size_t)columns * sizeof *t->sum);
    memset(t->product + statistics, 0, (size_t)columns * sizeof *t->product);
    const int64_t step = ap_larger(1, BLOCK / columns);
    for (int64_t i = 0; i < op->rows; i += step) {
        const block b = {i, ap_smaller(step, op->rows - i), j, columns};
        const int64_t at = (set * op->rows + i) * op->channels + j;
        activation_gradient(op, t->y, &b, set, at);
        ap_kernels_current()->add_gradient_moments(b.rows, columns, op->x->data + at, t->y->grad + at, op->channels,
                                                   op->mean + statistics, t->sum + statistics, t->product + statistics);
    }
}

static void gradient_block(int64_t index, void *context) {
    const rows_task *t = context;
    const channel_norm *op = t->op;
    const int64_t blocks = blocks_of(op), set = index / blocks, ld = op->channels;
    const block b = block_of(op, index % blocks);
    const int64_t at = (set * op->rows + b.row0) * ld + b.column0, statistics = set * ld + b.column0;
    ap_kernels_current()->gradient_rows(b.rows, b.columns, op->x->data + at, t->g + at, ld, op->mean + statistics,
                                        t->a + statistics, t->b + statistics, t->c + statistics, t->accumulate,
                                        t->dx + at);
}

/* d scale = sum over sets of product rstd, d bias = sum over sets of sum. */
static void parameter_gradients(ap_tape *tape, const channel_norm *op, const double *sum, const double *product) {
    bool add_scale = false, add_bias = false;
    float *dscale = op->scale ? ap_tape_grad(tape, op->scale, &add_scale) : NULL;
    float *dbias = op->bias ? ap_tape_grad(tape, op->bias, &add_bias) : NULL;
    for (int64_t j = 0; j < op->channels; j++) {
        double s = 0, p = 0;
        for (int64_t i = j; i < op->sets * op->channels; i += op->channels) s += sum[i], p += product[i] * op->rstd[i];
        if (dscale) dscale[j] = add_scale ? dscale[j] + (float)p : (float)p;
        if (dbias) dbias[j] = add_bias ? dbias[j] + (float)s : (float)s;
    }
}

/* The coefficients of dx, from the sums. */
static void set_coefficients(const channel_norm *op, const double *sum, const double *product, float *b, float *c) {
    const double n = (double)op->rows * (double)op->group;
    for (int64_t at = 0; at < op->sets * op->channels; at += op->group) {
        double s = 0, p = 0;
        for (int64_t i = at; i < at + op->group; i++) {
            const double scale = op->scale ? (double)op->scale->data[i % op->channels] : 1;
            s += scale * sum[i], p += scale * product[i] * op->rstd[i];
        }
        for (int64_t i = at; i < at + op->group; i++) {
            c[i] = op->fixed ? 0 : (float)(-op->rstd[i] * (s / n));
            b[i] = op->fixed ? 0 : (float)(-op->rstd[i] * op->rstd[i] * (p / n));
        }
    }
}

static void channel_norm_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const channel_norm *op = context;
    const int64_t all = op->sets * op->channels;
    const int threads = threads_for(op);
    double *sum = ap_tape_take(tape, (size_t)(2 * all) * sizeof *sum);
    float *b = ap_tape_take(tape, (size_t)(2 * all) * sizeof *b);
    if (!sum || !b) return;
    sums_task sums = {op, y, sum, sum + all, strip_width(op, threads)};
    ap_kernels_for(threads, op->sets * ap_quotient_up(op->channels, sums.width), sums_of_strip, &sums);
    parameter_gradients(tape, op, sum, sum + all);
    set_coefficients(op, sum, sum + all, b, b + all);
    rows_task rows = {.op = op, .y = y, .a = op->factor, .b = b, .c = b + all, .g = y->grad};
    rows.dx = op->residual ? ap_tape_grad(tape, op->x, &rows.accumulate)
                           : ap_tape_grad_in_place(tape, y, op->x, &rows.accumulate);
    if (rows.dx) ap_kernels_for(threads, op->sets * blocks_of(op), gradient_block, &rows);
    if (op->residual) ap_tape_hand_over(tape, y, op->residual);
}

/* ---- the operations */

static bool shapes_fit(ap_tape *tape, const char *name, const ap_tensor *x, const ap_tensor *scale,
                       const ap_tensor *bias, const ap_tensor *residual) {
    if (x->rank < 2 || x->size == 0) return ap_tape_fail(tape, "%s: x must be [.., channels] and not empty", name);
    const int64_t channels = x->shape[x->rank - 1];
    if ((scale && scale->size != channels) || (bias && bias->size != channels))
        return ap_tape_fail(tape, "%s: scale and bias must have %lld elements", name, (long long)channels);
    if (residual && residual->size != x->size) return ap_tape_fail(tape, "%s: x and residual differ in size", name);
    return true;
}

/* An operation with room for its statistics; NULL without memory. */
static channel_norm *begin(ap_tape *tape, ap_tensor *x, ap_tensor *scale, ap_tensor *bias, int64_t sets, int64_t group,
                           const ap_norm_options *options) {
    channel_norm *op = ap_tape_take(tape, sizeof *op);
    const int64_t channels = x->shape[x->rank - 1], all = sets * channels;
    float *floats = ap_tape_take(tape, (size_t)(3 * all) * sizeof *floats);
    double *doubles = ap_tape_take(tape, (size_t)all * sizeof *doubles);
    if (!op || !floats || !doubles) return NULL;
    *op = (channel_norm){.x = x,
                         .scale = scale,
                         .bias = bias,
                         .residual = options->residual,
                         .activation = options->activation,
                         .slope = options->slope,
                         .sets = sets,
                         .rows = x->size / channels / sets,
                         .channels = channels,
                         .group = group,
                         .mean = floats,
                         .factor = floats + all,
                         .shift = floats + 2 * all,
                         .rstd = doubles};
    return op;
}

static double *moments(ap_tape *tape, const channel_norm *op) {
    const int64_t all = op->sets * op->channels;
    const int threads = threads_for(op);
    double *sum = ap_tape_take(tape, (size_t)(2 * all) * sizeof *sum);
    if (!sum) return NULL;
    moments_task t = {op, sum, sum + all, strip_width(op, threads)};
    ap_kernels_for(threads, op->sets * ap_quotient_up(op->channels, t.width), moments_of_strip, &t);
    to_mean_and_variance(op, sum, sum + all);
    return sum;
}

static ap_tensor *finish(ap_tape *tape, channel_norm *op) {
    ap_tensor *y = ap_tape_tensor(tape, op->x->rank, op->x->shape);
    if (!y) return NULL;
    rows_task rows = {.op = op, .y = y};
    ap_kernels_for(threads_for(op), op->sets * blocks_of(op), apply_block, &rows);
    ap_tensor *inputs[4];
    int n = 0;
    inputs[n++] = op->x;
    if (op->scale) inputs[n++] = op->scale;
    if (op->bias) inputs[n++] = op->bias;
    if (op->residual) inputs[n++] = op->residual;
    ap_tape_record(tape, channel_norm_backward, y, op, n, inputs);
    return y;
}

static void update_running(ap_tape *tape, const channel_norm *op, const double *mean, const double *variance,
                           const ap_running *running) {
    float *new_mean = ap_tape_new_state(tape, running->mean),
          *new_variance = ap_tape_new_state(tape, running->variance);
    if (!new_mean || !new_variance) return;
    const float *old_mean = ap_tape_state(tape, running->mean), *old_variance = ap_tape_state(tape, running->variance);
    const double m = (double)running->momentum,
                 unbias = running->biased ? 1 : (double)op->rows / (double)(op->rows - 1);
    for (int64_t j = 0; j < op->channels; j++) {
        new_mean[j] = (float)((1 - m) * (double)old_mean[j] + m * mean[j]);
        new_variance[j] = (float)((1 - m) * (double)old_variance[j] + m * (variance[j] * unbias));
    }
}

ap_tensor *ap_batch_norm(ap_tape *tape, ap_tensor *x, ap_tensor *scale, ap_tensor *bias, const ap_running *running,
                         const ap_norm_options *options) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !scale || !bias) return NULL;
    if (!shapes_fit(tape, "batch norm", x, scale, bias, options->residual)) return NULL;
    channel_norm *op = begin(tape, x, scale, bias, 1, 1, options);
    if (!op) return NULL;
    const bool training = ap_tape_pass(tape)->training;
    if (training && op->rows < 2)
        return ap_tape_fail_as(tape, AP_CONFIG,
                               "batch norm: a shard has %lld value a channel (at least 2 are needed); "
                               "use a larger batch or fewer shards",
                               (long long)op->rows);
    double *mean = training ? moments(tape, op) : ap_tape_take(tape, (size_t)(2 * op->channels) * sizeof *mean);
    if (!mean) return NULL;
    double *variance = mean + op->channels;
    if (!training) {
        op->fixed = true;
        for (int64_t j = 0; j < op->channels; j++) {
            mean[j] = (double)ap_tape_state(tape, running->mean)[j];
            variance[j] = (double)ap_tape_state(tape, running->variance)[j];
        }
    }
    set_factors(op, mean, variance, options->eps);
    if (training) update_running(tape, op, mean, variance, running);
    return finish(tape, op);
}

ap_tensor *ap_group_norm(ap_tape *tape, ap_tensor *x, int64_t groups, ap_tensor *scale, ap_tensor *bias,
                         const ap_norm_options *options) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !shapes_fit(tape, "group norm", x, scale, bias, options->residual))
        return NULL;
    const int64_t channels = x->shape[x->rank - 1];
    if (groups < 1 || channels % groups)
        return ap_tape_fail(tape, "group norm: %lld groups do not divide %lld channels", (long long)groups,
                            (long long)channels);
    channel_norm *op = begin(tape, x, scale, bias, x->shape[0], channels / groups, options);
    double *mean = op ? moments(tape, op) : NULL;
    if (!mean) return NULL;
    set_factors(op, mean, mean + op->sets * op->channels, options->eps);
    return finish(tape, op);
}

ap_tensor *ap_instance_norm(ap_tape *tape, ap_tensor *x, const ap_norm_options *options) {
    return x ? ap_group_norm(tape, x, x->shape[x->rank - 1], NULL, NULL, options) : NULL;
}
