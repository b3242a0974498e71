/* A whole result.h5, as harness/record.h describes it, written by base/h5.h alone: formulas give the numbers, so that a
 * test says only in what its result is unlike others. */
#ifndef AP_TESTS_FULL_RESULT_H
#define AP_TESTS_FULL_RESULT_H

#include "base/digest.h"
#include "base/h5.h"
#include "scored.h"
#include <math.h>

enum { FULL_ROWS = 64 };

typedef struct full_result {
    const char *verdict, *clock, *hyperparameters, *scale, *workload, *direction; /* NULL: as usual */
    const char *machine, *math;                                                   /* provenance */
    int64_t steps, every;             /* steps 1 .. steps, an evaluation after every `every` */
    double target, speed;             /* seconds a step */
    int64_t loss_from, digest_from;   /* > 0: losses (digests) of this step and later are others */
    int64_t nan_from;                 /* > 0: accuracies of this step and later are NaN */
    bool no_test, repeat_step;        /* no test columns; the second evaluation has the first one's step */
    const char *no_fact, *extra_fact; /* an attribute left out; one more, with a value that is text */
    int64_t back_at;                  /* > 0: the time of this evaluation (from 1) runs backwards */
    const char *digest;               /* of the first evaluation, as text */
    int64_t status, dropped;
    int64_t steps_fact;  /* > 0: attribute `steps` */
    const double *score; /* of every evaluation; NULL: speed * step */
} full_result;

static inline full_result full_usual(void) {
    return (full_result){.steps = 24, .every = 8, .target = 0.97, .speed = 0.5};
}

static inline void full_set(hid_t file, const full_result *r, const char *object, const char *name, const char *text,
                            const char *otherwise) {
    ap_error error = {0};
    if (r->no_fact && !strcmp(r->no_fact, name)) return;
    must(ap_h5_set_text(file, object, name, text ? text : otherwise, &error), &error);
}

static inline void full_head(hid_t file, const full_result *r) {
    ap_error error = {0};
    full_set(file, r, "/", "submission", NULL, "nadamw");
    full_set(file, r, "/", "workload", r->workload, "mnist");
    full_set(file, r, "/", "variant", NULL, "");
    full_set(file, r, "/", "scale", r->scale, "mini");
    full_set(file, r, "/", "data_set", NULL, "synthetic");
    full_set(file, r, "/", "ruleset", NULL, "external_tuning");
    full_set(file, r, "/", "clock", r->clock, "wall");
    full_set(file, r, "/", "hyperparameters", r->hyperparameters, "{\"learning_rate\":0.1}");
    full_set(file, r, "/", "loss_type", NULL, "softmax_cross_entropy");
    full_set(file, r, "/", "target_metric", NULL, "accuracy");
    full_set(file, r, "/", "direction", r->direction, "higher");
    full_set(file, r, "/", "verdict", r->verdict, "step_cap");
    full_set(file, r, "/", "reason", NULL, "");
    full_set(file, r, "/", "buckets", NULL, "{}");
    if (r->extra_fact) full_set(file, r, "/", r->extra_fact, NULL, "more");
    const struct {
        const char *name;
        double value;
    } reals[] = {{"validation_target", r->target}, {"test_target", 0.9}, {"max_runtime_s", 60}, {"eval_period_s", 1}};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        if (!r->no_fact || strcmp(r->no_fact, reals[i].name))
            must(ap_h5_set_f64(file, "/", reals[i].name, reals[i].value, &error), &error);
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"format_version", 1},
                   {"study", 0},
                   {"trial", 0},
                   {"step_hint", 1000},
                   {"global_batch_size", 128},
                   {"steps_dropped", r->dropped},
                   {"resumes", 0},
                   {"status", r->status},
                   {"steps", r->steps_fact > 0 ? r->steps_fact : r->steps}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!r->no_fact || strcmp(r->no_fact, numbers[i].name))
            must(ap_h5_set_i64(file, "/", numbers[i].name, numbers[i].value, &error), &error);
    must(ap_h5_make_group(file, "/provenance", &error), &error);
    full_set(file, r, "/provenance", "cpu_model", r->machine, "a machine");
    full_set(file, r, "/provenance", "math", r->math, "ordered");
    full_set(file, r, "/provenance", "trial_seed", NULL, "7");
}

static inline void full_f64(hid_t file, const char *name, int64_t n, const double *data, const char *unit) {
    ap_error error = {0};
    must(ap_h5_write(file, name, AP_F64, 1, &n, data, unit, &error), &error);
}
static inline void full_i64(hid_t file, const char *name, int64_t n, const int64_t *data) {
    ap_error error = {0};
    must(ap_h5_write(file, name, AP_I64, 1, &n, data, "1", &error), &error);
}

static inline void full_steps(hid_t file, const full_result *r) {
    int64_t step[FULL_ROWS];
    double loss[FULL_ROWS], time[FULL_ROWS];
    for (int64_t i = 0; i < r->steps; i++) {
        step[i] = i + 1;
        loss[i] = 2.0 / (double)(i + 1);
        if (r->loss_from > 0 && i + 1 >= r->loss_from) loss[i] = nextafter(loss[i], 9);
        time[i] = r->speed * (double)(i + 1);
    }
    full_i64(file, "/steps/global_step", r->steps, step);
    full_f64(file, "/steps/loss", r->steps, loss, "1");
    full_f64(file, "/steps/submission_time", r->steps, time, "s");
}

static inline void full_digests(hid_t file, const full_result *r, int64_t n, const int64_t *step) {
    char text[FULL_ROWS][AP_DIGEST_TEXT];
    const char *list[FULL_ROWS];
    ap_error error = {0};
    for (int64_t i = 0; i < n; i++) {
        int64_t seed = r->digest_from > 0 && step[i] >= r->digest_from ? -step[i] : step[i];
        ap_digest_text(ap_digest_of(&seed, sizeof seed), text[i]);
        list[i] = text[i];
    }
    if (r->digest && n) list[0] = r->digest;
    must(ap_h5_write_text(file, "/evaluations/parameter_digest", n, list, &error), &error);
}

static inline void full_evaluations(hid_t file, const full_result *r) {
    static const char *const splits[] = {"train", "validation", "test"};
    int64_t n = r->every ? r->steps / r->every : 0, step[FULL_ROWS], zero[FULL_ROWS] = {0}, examples[FULL_ROWS];
    double time[FULL_ROWS], extra[FULL_ROWS], total[FULL_ROWS], accuracy[FULL_ROWS], loss[FULL_ROWS];
    char name[64];
    for (int64_t i = 0; i < n; i++) {
        step[i] = r->repeat_step && i == 1 ? r->every : r->every * (i + 1);
        time[i] = r->speed * (double)(r->every * (i + 1));
        extra[i] = 0.125 * (double)(i + 1);
        total[i] = time[i] + 2 * extra[i];
        if (r->back_at == i + 1) total[i] = 0.001;
        accuracy[i] = r->nan_from > 0 && step[i] >= r->nan_from ? NAN : 1 - 1.0 / (double)step[i];
        loss[i] = 1.0 / 3 / (double)step[i];
        examples[i] = 1000;
    }
    full_i64(file, "/evaluations/global_step", n, step);
    full_i64(file, "/evaluations/preemption_count", n, zero);
    full_f64(file, "/evaluations/accumulated_submission_time", n, time, "s");
    full_f64(file, "/evaluations/accumulated_eval_time", n, extra, "s");
    full_f64(file, "/evaluations/accumulated_logging_time", n, extra, "s");
    full_f64(file, "/evaluations/total_duration", n, total, "s");
    full_f64(file, "/evaluations/score", n, r->score ? r->score : time, "s");
    for (int s = 0; s < (r->no_test ? 2 : 3); s++) {
        snprintf(name, sizeof name, "/evaluations/%s/accuracy", splits[s]);
        full_f64(file, name, n, accuracy, "1");
        snprintf(name, sizeof name, "/evaluations/%s/loss", splits[s]);
        full_f64(file, name, n, loss, "1");
        snprintf(name, sizeof name, "/evaluations/%s/num_examples", splits[s]);
        full_i64(file, name, n, examples);
    }
    full_digests(file, r, n, step);
}

/* ROOT/PLACE/result.h5 */
static inline void full_write(const char *root, const char *place, full_result r) {
    char path[AP_PATH], below[256];
    ap_error error = {0};
    ap_h5_writer *writer;
    snprintf(below, sizeof below, "%s/result.h5", place);
    make_place(path, root, below);
    must(ap_h5_create(path, "result", &writer, &error), &error);
    hid_t file = ap_h5_writer_file(writer);
    full_head(file, &r);
    full_evaluations(file, &r);
    full_steps(file, &r);
    must(ap_h5_commit(writer, &error), &error);
}

#endif
