#include "algorithms/schedule.h"
#include "base/fmath.h"
#include <math.h>

static const double PI = 3.141592653589793;

static double warmup(int64_t step, double warmup_steps) {
    return 1e-10 + (1 - 1e-10) * ((double)step / warmup_steps);
}

double ap_schedule_warmup_cosine(int64_t step, double warmup_steps, double step_hint) {
    if ((double)step < warmup_steps) return warmup(step, warmup_steps);
    double start = ceil(warmup_steps);
    double peak = start != warmup_steps ? warmup((int64_t)start - 1, warmup_steps) : 1;
    double length = fmax(step_hint - warmup_steps, 1);
    return peak * (0.5 * (1 + ap_f64_cos(PI * ((double)step - start) / length)));
}

double ap_schedule_warmup_linear(int64_t step, int64_t warmup_steps, int64_t step_hint, double decay_steps_factor,
                                 double end_factor) {
    if (step < warmup_steps) return (double)step / (double)warmup_steps;
    int64_t decay_steps = (int64_t)((double)(step_hint - warmup_steps) * decay_steps_factor);
    int64_t done = step - warmup_steps;
    if (decay_steps == 0) return 1;
    if (done >= decay_steps) return end_factor;
    return 1 - (1 - end_factor) * ((double)done / (double)decay_steps);
}

/* From 1 to 0 in `length` steps, then 0. */
static double cosine(double step, double length) {
    return 0.5 * (1 + ap_f64_cos(PI * (fmin(step, length) / length)));
}

double ap_schedule_jax_cosine(double step, int64_t warmup_steps, double length) {
    if (step < (double)warmup_steps) return step / (double)warmup_steps;
    return cosine(step - (double)warmup_steps, fmax(length - (double)warmup_steps, 1));
}

double ap_schedule_cyclic(int64_t step, int64_t warmup_steps, int64_t step_hint, int cycles) {
    static const double lowest = 1e-10;
    if (step == 0) return 1;
    if (step >= step_hint) return lowest;
    double length = (double)step_hint / cycles, warmup_length = (double)warmup_steps;
    double position = (double)step - floor((double)step / length) * length;
    double part = position < warmup_length ? position / warmup_length
                                           : cosine(position - warmup_length, fmax(length - warmup_length, 1));
    return lowest + (1 - lowest) * part;
}

double ap_schedule_caspr(int64_t step, double warmup_factor, int64_t step_hint) {
    double hint = (double)step_hint, first = hint * 0.53571619898, second = hint * 0.75, s = (double)step;
    int64_t full_warmup = (int64_t)(warmup_factor * hint);
    if (s < first) return ap_schedule_jax_cosine(s, (int64_t)(warmup_factor * first), first);
    double start = s < second ? first : second, end = s < second ? second : hint;
    return ap_schedule_jax_cosine(start, full_warmup, hint) * cosine(s - start, end - start);
}
