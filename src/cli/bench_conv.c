/* algoperf bench conv: every convolution of ResNet-50 at 224 x 224, forward and both gradients, on one core: GF/s,
 * share of the fma peak, and oneDNN's in the same run, sample by sample in turn. The best sample of each counts; totals
 * are weighted by flops and by how often a shape occurs. */
#include "cli/bench.h"
#include "cli/bench_onednn.h"
#include "cli/cli.h"

#include "base/clock.h"
#include "tensor/kernels/isa.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ap_command self = {"bench conv", "[--batch N] [--rounds N] [--filter TEXT]",
                                "GF/s of ResNet-50's convolutions on one core", NULL, false};

typedef struct layer {
    int64_t size, c, k, window, stride;
    int count;
} layer;
static const layer layers[] = {
    {224, 3, 64, 7, 2, 1},     {56, 64, 64, 1, 1, 1},    {56, 64, 64, 3, 1, 3},    {56, 64, 256, 1, 1, 4},
    {56, 256, 64, 1, 1, 2},    {56, 256, 128, 1, 1, 1},  {56, 128, 128, 3, 2, 1},  {28, 128, 512, 1, 1, 4},
    {56, 256, 512, 1, 2, 1},   {28, 512, 128, 1, 1, 3},  {28, 128, 128, 3, 1, 3},  {28, 512, 256, 1, 1, 1},
    {28, 256, 256, 3, 2, 1},   {14, 256, 1024, 1, 1, 6}, {28, 512, 1024, 1, 2, 1}, {14, 1024, 256, 1, 1, 5},
    {14, 256, 256, 3, 1, 5},   {14, 1024, 512, 1, 1, 1}, {14, 512, 512, 3, 2, 1},  {7, 512, 2048, 1, 1, 3},
    {14, 1024, 2048, 1, 2, 1}, {7, 2048, 512, 1, 1, 2},  {7, 512, 512, 3, 1, 2},
};
enum { LAYERS = sizeof layers / sizeof *layers };

static ap_conv conv_of(const layer *l, int64_t batch) {
    ap_conv v = {.n = batch,
                 .h = l->size,
                 .w = l->size,
                 .c = l->c,
                 .k = l->k,
                 .r = l->window,
                 .s = l->window,
                 .stride_h = l->stride,
                 .stride_w = l->stride,
                 .pad_top = l->window / 2,
                 .pad_left = l->window / 2,
                 .groups = 1};
    v.oh = v.ow = (l->size + 2 * v.pad_top - l->window) / l->stride + 1;
    return v;
}

static double flops_of(const ap_conv *v) {
    return 2.0 * (double)(v->n * v->oh * v->ow * v->k) * (double)(v->r * v->s * (v->c / v->groups));
}

/* ---- one shape */

enum { OURS, CHANNELS_LAST, OWN_LAYOUT, WAYS };
typedef struct operands {
    ap_conv conv;
    float *x, *w, *y, *dw, *dx, *packed[2];
} operands;

static void release(operands *o) {
    free(o->x), free(o->w), free(o->y), free(o->dw), free(o->dx), free(o->packed[0]), free(o->packed[1]);
}

static bool make(ap_conv conv, operands *o) {
    *o = (operands){.conv = conv};
    const ap_conv *v = &o->conv;
    const size_t images = (size_t)(v->n * v->h * v->w * v->c),
                 weights = (size_t)(v->k * (v->c / v->groups) * v->r * v->s);
    o->x = ap_bench_filled(images), o->dx = ap_bench_filled(images), o->w = ap_bench_filled(weights);
    o->dw = ap_bench_filled(weights), o->y = ap_bench_filled((size_t)(v->n * v->oh * v->ow * v->k));
    for (int i = 0; i < 2; i++) o->packed[i] = ap_bench_filled(ap_conv_packed_size(v, i));
    return o->x && o->dx && o->w && o->dw && o->y && o->packed[0] && o->packed[1] &&
           ap_conv_pack(v, false, o->w, o->packed[0]) && ap_conv_pack(v, true, o->w, o->packed[1]);
}

static void run_ours(const operands *o, ap_conv_pass pass) {
    switch (pass) {
    case AP_CONV_FORWARD: ap_conv_forward(AP_MATH_ORDERED, &o->conv, o->x, o->w, o->packed[0], false, o->y); break;
    case AP_CONV_DATA: ap_conv_data_gradient(AP_MATH_ORDERED, &o->conv, o->y, o->w, o->packed[1], false, o->dx); break;
    default: ap_conv_weight_gradient(AP_MATH_ORDERED, &o->conv, o->x, o->y, false, o->dw);
    }
}

/* Seconds of one run of each way, best of `rounds` samples in turn; 0: not there. */
static void time_pass(const operands *o, ap_conv_pass pass, int rounds, double best[WAYS], const char **why) {
    ap_onednn *rival[WAYS] = {NULL, ap_onednn_create(&o->conv, pass, true, why),
                              ap_onednn_create(&o->conv, pass, false, why)};
    const int repeat = (int)(2e8 / flops_of(&o->conv)) + 1;
    for (int round = 0; round <= rounds; round++) /* the first warms up */
        for (int way = 0; way < WAYS; way++) {
            if (way != OURS && !rival[way]) continue;
            const int64_t start = ap_bench_cpu_ns();
            for (int i = 0; i < repeat; i++) {
                if (way == OURS)
                    run_ours(o, pass);
                else
                    ap_onednn_run(rival[way]);
            }
            const double seconds = ap_clock_s(ap_bench_cpu_ns() - start) / repeat;
            if (round > 0 && (best[way] == 0 || seconds < best[way])) best[way] = seconds;
        }
    ap_onednn_destroy(rival[CHANNELS_LAST]);
    ap_onednn_destroy(rival[OWN_LAYOUT]);
}

/* ---- the table */

typedef struct totals {
    double flops[AP_CONV_PASSES], seconds[AP_CONV_PASSES][WAYS];
    const char *why;
} totals;

static void print_rate(double flops, double seconds) {
    if (seconds > 0)
        printf(" %7.1f", flops / seconds * 1e-9);
    else
        printf(" %7s", "-");
}

static bool measure_layer(const layer *l, int64_t batch, int rounds, totals *t) {
    operands o;
    const bool made = make(conv_of(l, batch), &o);
    printf("%3lld %4lld->%-4lld %lldx%lld/%lld x%d", (long long)l->size, (long long)l->c, (long long)l->k,
           (long long)l->window, (long long)l->window, (long long)l->stride, l->count);
    for (int pass = 0; made && pass < AP_CONV_PASSES; pass++) {
        double best[WAYS] = {0};
        const double flops = flops_of(&o.conv);
        printf("  |");
        if (pass == AP_CONV_DATA && l->c == 3) { /* nobody asks for the gradient of the image */
            printf(" %7s %7s %7s", "", "", "");
            continue;
        }
        time_pass(&o, (ap_conv_pass)pass, rounds, best, &t->why);
        t->flops[pass] += flops * l->count;
        for (int way = 0; way < WAYS; way++) {
            print_rate(flops, best[way]);
            t->seconds[pass][way] += best[way] * l->count;
        }
        fflush(stdout);
    }
    printf("\n");
    release(&o);
    return made;
}

static void print_totals(const totals *t, double peak) {
    double flops = 0, seconds[WAYS] = {0};
    printf("%-25s", "all");
    for (int pass = 0; pass < AP_CONV_PASSES; pass++) {
        printf("  |");
        for (int way = 0; way < WAYS; way++) {
            print_rate(t->flops[pass], t->seconds[pass][way]);
            seconds[way] += t->seconds[pass][way];
        }
        flops += t->flops[pass];
    }
    printf("\n\nall passes: ordered %.1f GF/s = %.1f %% of the fma peak (%.1f GF/s)", flops / seconds[OURS] * 1e-9,
           flops / seconds[OURS] * 1e-7 / peak, peak);
    if (seconds[CHANNELS_LAST] > 0)
        printf("; oneDNN channels last %.1f, in its own layout %.1f; ordered / oneDNN %.2f, %.2f",
               flops / seconds[CHANNELS_LAST] * 1e-9, flops / seconds[OWN_LAYOUT] * 1e-9,
               seconds[CHANNELS_LAST] / seconds[OURS], seconds[OWN_LAYOUT] / seconds[OURS]);
    else
        printf("; no oneDNN: %s", t->why);
    printf("\n");
}

/* Convolutions whose every channel is a group: no rival in the same run, and not in the totals. */
static const struct channelwise {
    const char *name;
    int64_t h, w, c, r, s;
} channelwise[] = {{"conformer 400 frames", 1, 400, 512, 1, 32}, {"28 256", 28, 28, 256, 3, 3}};

static bool measure_channelwise(const struct channelwise *l, int64_t batch, int rounds) {
    operands o;
    const bool made = make((ap_conv){.n = batch,
                                     .h = l->h,
                                     .w = l->w,
                                     .c = l->c,
                                     .k = l->c,
                                     .r = l->r,
                                     .s = l->s,
                                     .stride_h = 1,
                                     .stride_w = 1,
                                     .pad_top = (l->r - 1) / 2,
                                     .pad_left = (l->s - 1) / 2,
                                     .oh = l->h,
                                     .ow = l->w,
                                     .groups = l->c},
                           &o);
    const double flops = made ? flops_of(&o.conv) : 0;
    printf("channel by channel: %-20s %lldx%-2lld", l->name, (long long)l->r, (long long)l->s);
    for (int pass = 0; made && pass < AP_CONV_PASSES; pass++) {
        int64_t best = INT64_MAX;
        for (int round = 0; round <= rounds; round++) {
            const int64_t start = ap_bench_cpu_ns();
            run_ours(&o, (ap_conv_pass)pass);
            const int64_t ns = ap_bench_cpu_ns() - start;
            if (round > 0 && ns < best) best = ns;
        }
        print_rate(flops, ap_clock_s(best));
    }
    printf("\n");
    release(&o);
    return made;
}

static ap_status measure(int64_t batch, int rounds, const char *filter, ap_error *error) {
    totals t = {.why = ""};
    ap_kernels_set_threads(1);
    double peak = ap_bench_fma_peak();
    printf("ResNet-50's convolutions, batch %lld, one thread, kernels %s, fma peak %.1f GF/s\n"
           "GF/s: ordered, oneDNN channels last, oneDNN in its own layout (without reorders)\n\n"
           "%-25s  | %-23s  | %-23s  | %s\n",
           (long long)batch, ap_isa_name(ap_isa_current()), peak, "size channels window", "forward", "data gradient",
           "weight gradient");
    for (int i = 0; i < LAYERS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%lld %lld->%lld %lldx%lld/%lld", (long long)layers[i].size, (long long)layers[i].c,
                 (long long)layers[i].k, (long long)layers[i].window, (long long)layers[i].window,
                 (long long)layers[i].stride);
        if (filter && !strstr(name, filter)) continue;
        if (!measure_layer(&layers[i], batch, rounds, &t))
            return ap_fail(error, AP_ENVIRONMENT, "out of memory for the layer %s at batch %lld", name,
                           (long long)batch);
    }
    if (t.flops[AP_CONV_FORWARD] == 0)
        return ap_fail(error, AP_USAGE, "--filter \"%s\": no layer has that in \"size c->k RxS/stride\"", filter);
    const double after = ap_bench_fma_peak();
    print_totals(&t, after > peak ? after : peak);
    for (size_t i = 0; i < sizeof channelwise / sizeof *channelwise && !filter; i++)
        if (!measure_channelwise(&channelwise[i], batch, rounds))
            return ap_fail(error, AP_ENVIRONMENT, "out of memory for the layer %s at batch %lld", channelwise[i].name,
                           (long long)batch);
    return AP_OK;
}

ap_status ap_bench_conv(int argc, char **argv, ap_error *error) {
    const char *batch = "4", *rounds = "5", *filter = NULL;
    const ap_flag flags[] = {{"batch", "N", "images (default 4)", &batch},
                             {"rounds", "N", "samples of each, of which the best counts (default 5)", &rounds},
                             {"filter", "TEXT", "only layers with TEXT in \"size c->k RxS/stride\"", &filter},
                             {0}};
    bool helped;
    AP_TRY(ap_bench_parse(&self, argc, argv, flags, &helped, error));
    if (helped) return AP_OK;
    const long n = strtol(batch, NULL, 10), samples = strtol(rounds, NULL, 10);
    if (n < 1 || n > 1024 || samples < 1 || samples > 1000)
        return ap_fail(error, AP_USAGE, "--batch %s, --rounds %s (must be 1 to 1024, 1 to 1000)", batch, rounds);
    return measure(n, (int)samples, filter, error);
}
