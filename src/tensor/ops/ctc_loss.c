/* Connectionist temporal classification: minus the log probability that logits z [n, frames, classes] spell a row of
 * labels l_1 .. l_L (blank = class 0), summed over all alignments. With the extended labels l' = blank l_1 blank .. l_L
 * blank (S = 2 L + 1 states) and y_t(k) = softmax(z_t)_k:
 *
 *     alpha_t(s) = y_t(l'_s) (alpha_{t-1}(s) + alpha_{t-1}(s-1) + [l'_s != blank, l'_{s-2}] alpha_{t-1}(s-2))
 *     beta_t(s)  = the same backwards, without the frame's own y_t
 *     loss = -log p,  p = alpha_T(S) + alpha_T(S-1),
 *     d loss / d z_t(k) = y_t(k) - sum over s with l'_s = k of alpha_t(s) beta_t(s) / p
 *
 * ORDER. Logarithms in double; a sum of three states is m + log(e^(a-m) + e^(b-m) + e^(c-m)) from left to right; a
 * frame's posteriors are taken off its gradient in the order of the states, in float. Probabilities are not scaled
 * instead: where one path is 1e-300 of the others for some frames and the only one that ends in time, they would be
 * lost. Frames at and behind an example's length are not looked at and have gradient 0.
 *
 * Source: Graves et al. 2006, section 4; PyTorch's ctc_loss with reduction = none and zero_infinity = False: labels
 * that do not fit into the frames have loss +inf and a gradient of NaN. */
#include "base/fmath.h"
#include "tensor/kernels/reduce.h"
#include "tensor/kernels/vecmath.h"
#include "tensor/ops.h"

#include <math.h>

/* One example. */
typedef struct alignment {
    int64_t frames, classes, states;
    const float *z;        /* [frames, classes] */
    const int64_t *labels; /* [(states - 1) / 2] */
    double *log_sum;       /* [frames] log of the softmax's denominator */
    double *alpha;         /* [frames, states] */
    double *beta, *next;   /* [states] of one frame, and of the one behind it with its y */
    float *gradient;       /* [frames, classes] */
} alignment;

static int64_t class_of(const alignment *a, int64_t s) {
    return s % 2 ? a->labels[s / 2] : 0;
}

/* State s may be entered from s - 2. */
static bool may_skip(const alignment *a, int64_t s) {
    return s % 2 && s >= 2 && a->labels[s / 2] != a->labels[s / 2 - 1];
}

static double log_y(const alignment *a, int64_t t, int64_t s) {
    return (double)a->z[t * a->classes + class_of(a, s)] - a->log_sum[t];
}

static double exp_of(double x) {
    return x == -INFINITY ? 0 : ap_f64_exp(x);
}

static double log_add(double a, double b, double c) {
    double top = a > b ? a : b;
    if (c > top) top = c;
    if (top == -INFINITY) return top;
    return top + ap_f64_log(exp_of(a - top) + exp_of(b - top) + exp_of(c - top));
}

/* Softmax of each frame into the gradient's rows; false when a frame holds a NaN or +inf. */
static bool softmax_rows(const alignment *a, float *shifted) {
    const size_t classes = (size_t)a->classes;
    bool fine = true;
    for (int64_t t = 0; t < a->frames; t++) {
        const float *z = a->z + t * a->classes;
        float *row = a->gradient + t * a->classes;
        const float top = ap_max(classes, z);
        for (size_t k = 0; k < classes; k++) shifted[k] = z[k] - top;
        ap_vexp(classes, shifted, row);
        const double sum = ap_sum_f64(classes, row);
        ap_scale_by(classes, (float)(1 / sum), row);
        a->log_sum[t] = (double)top + ap_f64_log(sum);
        fine = fine && isfinite(a->log_sum[t]);
    }
    return fine;
}

/* Fills alpha; returns log p. */
static double forward(const alignment *a) {
    const int64_t states = a->states;
    if (!a->frames) return states == 1 ? 0 : -INFINITY;
    for (int64_t s = 0; s < states; s++) a->alpha[s] = s < 2 ? log_y(a, 0, s) : -INFINITY;
    for (int64_t t = 1; t < a->frames; t++) {
        const double *old = a->alpha + (t - 1) * states;
        double *new = a->alpha + t *states;
        for (int64_t s = 0; s < states; s++)
            new[s] =
                log_y(a, t, s) + log_add(old[s], s ? old[s - 1] : -INFINITY, may_skip(a, s) ? old[s - 2] : -INFINITY);
    }
    const double *last = a->alpha + (a->frames - 1) * states;
    return log_add(last[states - 1], states > 1 ? last[states - 2] : -INFINITY, -INFINITY);
}

/* beta of frame t from `next` = beta of frame t + 1 with its y. */
static void step_back(const alignment *a, int64_t t) {
    const int64_t states = a->states;
    const double none = -INFINITY;
    for (int64_t s = 0; s < states; s++) {
        if (t == a->frames - 1)
            a->beta[s] = s >= states - 2 ? 0 : none;
        else
            a->beta[s] = log_add(a->next[s], s + 1 < states ? a->next[s + 1] : none,
                                 s + 2 < states && may_skip(a, s + 2) ? a->next[s + 2] : none);
    }
    for (int64_t s = 0; s < states; s++) a->next[s] = log_y(a, t, s) + a->beta[s];
}

static void take_off_posteriors(const alignment *a, double log_p) {
    for (int64_t t = a->frames - 1; t >= 0; t--) {
        step_back(a, t);
        float *row = a->gradient + t * a->classes;
        for (int64_t s = 0; s < a->states; s++)
            row[class_of(a, s)] -= (float)exp_of(a->alpha[t * a->states + s] + a->beta[s] - log_p);
    }
}

static void fill(float *x, int64_t n, float value) {
    for (int64_t i = 0; i < n; i++) x[i] = value;
}

/* The loss of one example of weight w; its gradient is in place. */
static double align(const alignment *a, float *shifted, float weight) {
    const int64_t size = a->frames * a->classes;
    const bool fine = softmax_rows(a, shifted);
    const double log_p = fine ? forward(a) : (double)NAN;
    if (!isfinite(log_p)) {
        fill(a->gradient, size, NAN);
        return (double)weight * -log_p;
    }
    take_off_posteriors(a, log_p);
    if (weight != 1) ap_scale_by((size_t)size, weight, a->gradient);
    return (double)weight * -log_p;
}

static bool example_fits(ap_tape *tape, const ap_tensor *logits, const ap_ctc_targets *targets, int64_t i) {
    const int64_t frames = logits->shape[1], classes = logits->shape[2];
    if (targets->frames[i] < 0 || targets->frames[i] > frames)
        return ap_tape_fail_as(tape, AP_DATA, "CTC: example %lld of the shard has %lld frames (must be in 0 .. %lld)",
                               (long long)i, (long long)targets->frames[i], (long long)frames);
    if (targets->lengths[i] < 0 || targets->lengths[i] > targets->longest)
        return ap_tape_fail_as(tape, AP_DATA, "CTC: example %lld of the shard has %lld labels (must be in 0 .. %lld)",
                               (long long)i, (long long)targets->lengths[i], (long long)targets->longest);
    for (int64_t j = 0; j < targets->lengths[i]; j++) {
        const int64_t label = targets->labels[i * targets->longest + j];
        if (label < 1 || label >= classes)
            return ap_tape_fail_as(
                tape, AP_DATA,
                "CTC: label %lld of example %lld of the shard is %lld (must be in 1 .. %lld; 0 is the "
                "blank); check the data set",
                (long long)j, (long long)i, (long long)label, (long long)(classes - 1));
    }
    return true;
}

/* Examples that count: the published rule (PyTorch form): all label tokens, or, with weights, the weighted examples
 * that have any label. */
static double valid_of(const ap_ctc_targets *targets, int64_t n) {
    double valid = 0;
    for (int64_t i = 0; i < n; i++)
        valid +=
            targets->weights ? (targets->lengths[i] ? (double)targets->weights[i] : 0) : (double)targets->lengths[i];
    return valid;
}

static bool begin(ap_tape *tape, const ap_tensor *logits, const ap_ctc_targets *targets, alignment *a,
                  float **shifted) {
    const size_t frames = (size_t)logits->shape[1], states = 2 * (size_t)targets->longest + 1;
    a->classes = logits->shape[2];
    a->gradient = ap_tape_take(tape, (size_t)logits->size * sizeof(float));
    a->log_sum = ap_tape_take(tape, frames * sizeof(double));
    a->alpha = ap_tape_take(tape, frames * states * sizeof(double));
    a->beta = ap_tape_take(tape, states * sizeof(double));
    a->next = ap_tape_take(tape, states * sizeof(double));
    *shifted = ap_tape_take(tape, (size_t)a->classes * sizeof(float));
    return a->gradient && a->log_sum && a->alpha && a->beta && a->next && *shifted;
}

ap_loss ap_ctc_loss(ap_tape *tape, ap_tensor *logits, const ap_ctc_targets *targets) {
    if (ap_tape_status(tape, NULL) != AP_OK || !logits) return (ap_loss){0};
    if (logits->rank != 3 || logits->shape[2] < 1) {
        ap_tape_fail(tape, "CTC: the logits have rank %d (wanted [n, frames, classes])", logits->rank);
        return (ap_loss){0};
    }
    const int64_t n = logits->shape[0], row = logits->shape[1] * logits->shape[2];
    float *losses = ap_tape_take(tape, (size_t)n * sizeof *losses), *shifted;
    alignment a;
    if (!losses || !begin(tape, logits, targets, &a, &shifted)) return (ap_loss){0};
    float *gradient = a.gradient;
    for (int64_t i = 0; i < n; i++) {
        const float weight = targets->weights ? targets->weights[i] : 1;
        a.gradient = gradient + i * row;
        fill(a.gradient, row, 0);
        losses[i] = 0;
        if (weight == 0) continue;
        if (!example_fits(tape, logits, targets, i)) return (ap_loss){0};
        a.frames = targets->frames[i], a.states = 2 * targets->lengths[i] + 1;
        a.z = logits->data + i * row, a.labels = targets->labels + i * targets->longest;
        losses[i] = (float)align(&a, shifted, weight);
    }
    if (!ap_tape_record_known(tape, logits, gradient)) return (ap_loss){0};
    return (ap_loss){
        .summed = ap_sum_f64((size_t)n, losses), .n_valid = valid_of(targets, n), .per_example = losses, .n = n};
}
