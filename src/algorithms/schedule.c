#include "algorithms/schedule.h"
#include "base/fmath.h"
#include <math.h>

static const double PI = 3.141592653589793;

static double warmup(int64_t step, double warmup_steps) {
    return 1e-10 + (1 - 1e-10) * ((double)step / warmup_steps);
}

double ap_schedule_warmup_cosine(int64_t step, double warmup_steps, int64_t step_hint) {
    if ((double)step < warmup_steps) return warmup(step, warmup_steps);
    double start = ceil(warmup_steps);
    double peak = start > 1 && start != warmup_steps ? warmup((int64_t)start - 1, warmup_steps) : 1;
    double length = fmax((double)step_hint - warmup_steps, 1);
    return peak * (0.5 * (1 + ap_f64_cos(PI * ((double)step - start) / length)));
}

double ap_schedule_warmup_linear(int64_t step, int64_t warmup_steps, int64_t step_hint, double decay_steps_factor,
                                 double end_factor) {
    if (step < warmup_steps) return (double)step / (double)warmup_steps;
    int64_t decay_steps = (int64_t)((double)(step_hint - warmup_steps) * decay_steps_factor);
    int64_t done = step - warmup_steps;
    if (done >= decay_steps) return end_factor;
    return 1 - (1 - end_factor) * ((double)done / (double)decay_steps);
}
