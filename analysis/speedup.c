#include "analysis/speedup.h"

#include <math.h>
#include <stdlib.h>

void ap_speedups_free(ap_speedups *speedups) {
    free(speedups->budget_s);
    free(speedups->term);
    free(speedups->ratio);
    *speedups = (ap_speedups){0};
}

static double used(double time, double budget_s) {
    return isinf(time) ? budget_s + 1 : time;
}

static ap_speedup_term compare(double reference, double time, double budget_s) {
    ap_speedup_term term = {reference, time, used(reference, budget_s), used(time, budget_s), NAN};
    term.ratio = isinf(time) && isinf(reference) ? 1 : term.time_used / term.reference_time_used;
    return term;
}

static void set_budgets(const ap_leaderboard *board, const ap_targets *v05, double *budget_s) {
    ap_ruleset ruleset = board->rules.ruleset;
    for (size_t b = 0; b < board->scores->bases; b++) {
        const ap_target *target = &board->targets.target[board->scores->workload[b]];
        size_t i = ap_targets_find(v05, target->workload);
        budget_s[b] = target->budget_s[ruleset];
        if (i < v05->n) budget_s[b] = (ruleset == AP_SELF_TUNING ? 3 : 1) * v05->target[i].budget_s[AP_EXTERNAL_TUNING];
    }
}

ap_status ap_speedups_compute(const ap_leaderboard *board, size_t reference, ap_speedups *s, ap_error *error) {
    const ap_scores *scores = board->scores;
    ap_targets v05;
    AP_TRY(ap_targets_load("v05", &v05, error));
    *s = (ap_speedups){.reference = reference,
                       .budget_s = calloc(scores->bases + 1, sizeof *s->budget_s),
                       .term = calloc(scores->submissions * scores->bases + 1, sizeof *s->term),
                       .ratio = calloc(scores->submissions + 1, sizeof *s->ratio)};
    if (s->budget_s) set_budgets(board, &v05, s->budget_s);
    ap_targets_free(&v05);
    if (!s->budget_s || !s->term || !s->ratio) {
        ap_speedups_free(s);
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for the speedups");
    }
    for (size_t i = 0; i < scores->submissions; i++) {
        double sum = 0;
        for (size_t b = 0; b < scores->bases; b++) {
            ap_speedup_term *term = &s->term[i * scores->bases + b];
            *term = compare(scores->time[reference * scores->columns + b], scores->time[i * scores->columns + b],
                            s->budget_s[b]);
            sum += log(term->ratio);
        }
        s->ratio[i] = exp(sum / (double)scores->bases);
    }
    return AP_OK;
}
