/* algoperf bench speech: what is special to the speech models, on one thread: a bidirectional LSTM layer of
 * librispeech_deepspeech against the fma peak, and the CTC loss with its gradient. */
#include "cli/bench.h"
#include "cli/cli.h"

#include "tensor/kernels/isa.h"
#include "tensor/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct sizes {
    int64_t batch, steps, in, hidden, classes, labels, rounds;
} sizes;

/* One pass over `params`, forward and backward. */
typedef void pass_of(ap_tape *tape, const sizes *s, const void *data);

typedef struct timing {
    double ms, gflops;
} timing;

/* The best of some rounds, after one that is not timed. */
static ap_status time_of(ap_params *params, pass_of *pass, const sizes *s, const void *data, timing *t,
                         ap_error *error) {
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    const ap_pass once = {
        .training = true, .wants_grad = true, .gradients = ap_bench_filled((size_t)ap_params_length(params))};
    ap_status status = tape && once.gradients ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    t->ms = INFINITY;
    for (int64_t i = 0; i <= s->rounds && !status; i++) {
        const double flops = ap_kernels_flops();
        const int64_t before = ap_bench_cpu_ns();
        ap_tape_begin(tape, &once);
        pass(tape, s, data);
        status = ap_tape_backward(tape, error);
        const double ms = (double)(ap_bench_cpu_ns() - before) * 1e-6;
        if (i > 0 && ms < t->ms) *t = (timing){ms, (ap_kernels_flops() - flops) / ms * 1e-6};
    }
    ap_tape_destroy(tape);
    free(once.gradients);
    return status;
}

static ap_status allocate(ap_params *params, ap_error *error) {
    AP_TRY(ap_params_allocate(params, error));
    ap_params_initialise(params, 1);
    return AP_OK;
}

static int64_t *filled(int64_t n, int64_t value) {
    int64_t *p = malloc((size_t)n * sizeof *p);
    for (int64_t i = 0; p && i < n; i++) p[i] = value;
    return p;
}

/* ---- LSTM */

static void lstm_pass(ap_tape *tape, const sizes *s, const void *lengths) {
    ap_tensor *p[9];
    for (int i = 0; i < 9; i++) p[i] = ap_tape_param(tape, i);
    ap_tensor *y = ap_lstm_bidirectional(tape, p[0], lengths,
                                         &(ap_lstm_weights){{p[1], p[2]}, {p[3], p[4]}, {p[5], p[6]}, {p[7], p[8]}});
    if (y) ap_tape_record_known(tape, y, y->data);
    (void)s;
}

static ap_status lstm(const sizes *s, double peak, ap_error *error) {
    const int64_t gates = 4 * s->hidden;
    const struct {
        int rank;
        int64_t shape[3];
    } parts[] = {
        {3, {s->batch, s->steps, s->in}}, {2, {gates, s->in}}, {2, {gates, s->hidden}}, {1, {gates}}, {1, {gates}}};
    const int count[] = {1, 2, 2, 2, 2};
    ap_params *params = ap_params_create();
    int64_t *lengths = filled(s->batch, s->steps);
    ap_status status = params && lengths ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (int i = 0; i < 5 && !status; i++)
        for (int side = 0; side < count[i] && !status; side++) {
            char name[16];
            snprintf(name, sizeof name, "%d.%d", i, side);
            status = ap_params_add(params, name, parts[i].rank, parts[i].shape, ap_init_normal(i ? 0.06 : 1), error);
        }
    timing t = {0};
    if (!status) status = allocate(params, error);
    if (!status) status = time_of(params, lstm_pass, s, lengths, &t, error);
    if (!status)
        printf("LSTM, both directions, %lld of %lld steps, %lld -> 2 x %lld: %.1f ms forward and backward, %.1f GF/s, "
               "%.1f %% of the fma peak (%.1f GF/s)\n",
               (long long)s->batch, (long long)s->steps, (long long)s->in, (long long)s->hidden, t.ms, t.gflops,
               100 * t.gflops / peak, peak);
    free(lengths);
    ap_params_destroy(params);
    return status;
}

/* ---- CTC */

static void ctc_pass(ap_tape *tape, const sizes *s, const void *targets) {
    (void)s;
    ap_ctc_loss(tape, ap_tape_param(tape, 0), targets);
}

static ap_status ctc(const sizes *s, ap_error *error) {
    ap_params *params = ap_params_create();
    int64_t *frames = filled(s->batch, s->steps), *lengths = filled(s->batch, s->labels),
            *labels = filled(s->batch * s->labels, 0);
    ap_status status = params && frames && lengths && labels ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (int64_t i = 0; i < s->batch * s->labels && !status; i++) labels[i] = 1 + i * 7919 % (s->classes - 1);
    if (!status)
        status =
            ap_params_add(params, "logits", 3, (int64_t[]){s->batch, s->steps, s->classes}, ap_init_normal(1), error);
    timing t = {0};
    const ap_ctc_targets targets = {.frames = frames, .labels = labels, .lengths = lengths, .longest = s->labels};
    if (!status) status = allocate(params, error);
    if (!status) status = time_of(params, ctc_pass, s, &targets, &t, error);
    if (!status)
        printf("CTC loss and gradient, %lld of %lld frames, %lld labels of %lld classes: %.1f ms, %.2f an utterance\n",
               (long long)s->batch, (long long)s->steps, (long long)s->labels, (long long)s->classes, t.ms,
               t.ms / (double)s->batch);
    free(frames), free(lengths), free(labels);
    ap_params_destroy(params);
    return status;
}

ap_status ap_bench_speech(int argc, char **argv, ap_error *error) {
    static const ap_command self = {"bench speech", "", "an LSTM layer against the fma peak, and the CTC loss", NULL,
                                    false};
    const char *quick = NULL;
    const ap_flag flags[] = {{"quick", NULL, "small sizes alone: does it run", &quick}, {0}};
    bool helped;
    AP_TRY(ap_bench_parse(&self, argc, argv, flags, &helped, error));
    if (helped) return AP_OK;
    const double peak = ap_bench_fma_peak();
    printf("instruction set %s, one thread\n", ap_isa_name(ap_isa_current()));
    if (quick) {
        const sizes small = {2, 20, 32, 16, 32, 5, 1};
        AP_TRY(lstm(&small, peak, error));
        return ctc(&small, error);
    }
    const sizes full = {32, 500, 512, 256, 1024, 100, 3}, four = {4, 500, 512, 256, 1024, 100, 3};
    AP_TRY(lstm(&full, peak, error));
    AP_TRY(lstm(&four, peak, error));
    AP_TRY(ctc(&full, error));
    return ctc(&four, error);
}
