/* Learning-rate multipliers of the published baselines, by 0-based step. In double, with base/fmath.h's cosine, so that
 * they have the same bits everywhere. Not collective, no state: a step count is all that a restart needs.
 *
 * The benchmark has a PyTorch and a JAX form of each; they differ at step 0, for a warmup that is not a whole number of
 * steps, and after step_hint. The first two are the PyTorch forms (LinearLR and CosineAnnealingLR chained by
 * SequentialLR). */
#ifndef AP_ALGORITHMS_SCHEDULE_H
#define AP_ALGORITHMS_SCHEDULE_H

#include <stdint.h>

/* Linear warmup of W = warmup_steps, then a cosine of C = max(step_hint - W, 1) steps:
 *
 *     s < W:   1e-10 + (1 - 1e-10) s / W
 *     s >= W:  P (1 + cos(pi (s - E) / C)) / 2,   E = ceil(W)
 *
 * P = 1 and E = W where W is a whole number (NAdamW casts it). AdamW does not cast it, and SequentialLR restarts the
 * cosine at the peak only in a step that equals W; otherwise the cosine starts from the rate of the last warmup step: P
 * = the multiplier at step E - 1, which for 0 < W < 1 is 1e-10: such a training does not move. Beyond step_hint it
 * follows the cosine back up (JAX: stays at 0). */
double ap_schedule_warmup_cosine(int64_t step, double warmup_steps, double step_hint);

/* Linear warmup of W steps, then a linear decay to end_factor over D = int((step_hint - W) decay_steps_factor) steps:
 *
 *     s < W:   s / W
 *     s >= W:  1 - (1 - end_factor) min((s - W) / D, 1);  D = 0: 1 (optax polynomial_schedule of no steps) */
double ap_schedule_warmup_linear(int64_t step, int64_t warmup_steps, int64_t step_hint, double decay_steps_factor,
                                 double end_factor);

/* The JAX form (optax linear_schedule and cosine_decay_schedule, joined): 0 in step 0, and it stays at 0 at the end.
 * `length` is the step at which it ends, step_hint or a part of it.
 *
 *     s < W:   s / W
 *     s >= W:  (1 + cos(pi min(s - W, C) / C)) / 2,   C = max(length - W, 1) */
double ap_schedule_jax_cosine(double step, int64_t warmup_steps, double length);

/* cyclic_lr and LAWA: `cycles` runs of linear warmup and cosine, each of L = step_hint / cycles steps, cycle c starting
 * at c L, and 1e-10 as the floor (m = 1e-10 + (1 - 1e-10) of the below) and after step_hint. The published code sets
 * the rate after an update, so that its first one runs at the constructor's: multiplier 1 in step 0.
 *
 *     p = s - c L;   p < W: p / W;   p >= W: (1 + cos(pi (p - W) / (L - W))) / 2 */
double ap_schedule_cyclic(int64_t step, int64_t warmup_steps, int64_t step_hint, int cycles);

/* caspr_adaptive: the warmup and cosine of a training of 0.53571619898 step_hint steps, then a cosine from the value
 * that the full-length schedule has there to 0 at 0.75 step_hint, then another one to step_hint. */
double ap_schedule_caspr(int64_t step, double warmup_factor, int64_t step_hint);

#endif
