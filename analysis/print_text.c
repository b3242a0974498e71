#include "analysis/print.h"

#include "analysis/clocks.h"
#include "analysis/summary.h"
#include "analysis/text_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *submission_name(const ap_leaderboard *r, size_t submission) {
    return r->trials.submissions.name[submission];
}
static const ap_target *column_target(const ap_leaderboard *r, size_t column) {
    return &r->targets.target[r->scores->workload[column]];
}
static const char *unit(const ap_leaderboard *r) {
    return r->rules.metric == AP_METRIC_TIME ? "s" : "steps";
}

size_t ap_incomplete_studies(const ap_leaderboard *board) {
    size_t n = 0;
    for (size_t i = 0; i < board->study_count; i++) n += board->studies[i].trials_running > 0;
    return n;
}

/* Seconds with about five digits; what has no number says so in words. */
const char *ap_time_text(double time, char text[AP_TIME_TEXT]) {
    if (isnan(time)) return "no data";
    if (isinf(time)) return "not reached";
    int digits = time == floor(time) && time < 1e9 ? 0 : time >= 1000 ? 1 : time >= 10 ? 2 : 4;
    snprintf(text, AP_TIME_TEXT, "%.*f", digits, time);
    return text;
}
static void add_time(ap_text_table *table, double time) {
    char text[AP_TIME_TEXT];
    ap_text_table_add(table, "%s", ap_time_text(time, text));
}
static void add_number(ap_text_table *table, double value, const char *format) {
    char text[32] = "-";
    if (!isnan(value)) snprintf(text, sizeof text, format, value);
    ap_text_table_add(table, "%s", text);
}

static void add_header(ap_text_table *table, const char *const *names) {
    for (; *names; names++) ap_text_table_add(table, "%s", *names);
}

/* ---- what was read */

static bool is_clock(const char *fact) {
    static const char *const of_trial[] = {"source", "clock", "calibration", "ruleset"};
    for (size_t i = 0; i < sizeof of_trial / sizeof *of_trial; i++)
        if (!strcmp(fact, of_trial[i])) return true;
    for (const char *const *name = ap_clock_facts; *name; name++)
        if (!strcmp(fact, *name)) return true;
    return false;
}

static void print_head(const ap_leaderboard *r, FILE *out) {
    const ap_scores *s = r->scores;
    size_t held_out = s->columns - s->bases;
    fprintf(out, "%zu submission%s, %zu trials, %zu base workload%s", s->submissions, s->submissions == 1 ? "" : "s",
            r->trials.n, s->bases, s->bases == 1 ? "" : "s");
    if (held_out) fprintf(out, ", %zu held-out", held_out);
    fprintf(out, r->targets.name ? "; targets: table %s\n" : "; targets: those the results name\n", r->targets.name);
    for (size_t i = 0; i < r->trials.facts; i++)
        if (is_clock(r->trials.fact[i].name))
            for (size_t v = 0; v < r->trials.fact[i].value.n; v++)
                fprintf(out, "%s: %s\n", r->trials.fact[i].name, r->trials.fact[i].value.name[v]);
    fprintf(out, "ruleset of the score: %s; compared: %s\n", ap_ruleset_names[r->rules.ruleset],
            r->rules.metric == AP_METRIC_TIME ? "seconds to target" : "update steps to target");
}

/* What was found for a column: nothing, what its results say they are, or official logs. */
static const char *workload_source(const ap_leaderboard *r, size_t column) {
    const ap_target *target = column_target(r, column);
    if (target->identity) return target->identity;
    for (size_t i = 0; i < r->study_count; i++)
        if (r->studies[i].workload == r->scores->workload[column]) return "official logs";
    return "nothing";
}

static ap_status print_workloads(const ap_leaderboard *r, FILE *out, ap_error *error) {
    static const char *const names[] = {"workload", "role", "validation target", "results of", NULL};
    ap_text_table table = {.align = "llll"};
    add_header(&table, names);
    for (size_t c = 0; c < r->scores->columns; c++) {
        const ap_target *target = column_target(r, c);
        ap_text_table_add(&table, "%s", target->workload);
        ap_text_table_add(&table, "%s", target->role == AP_ROLE_BASE ? "base" : "held-out");
        ap_text_table_add(&table, "%s %s %.6g", target->metric,
                          target->maximise ? ">=" : "<=", target->validation_target);
        ap_text_table_add(&table, "%s", workload_source(r, c));
    }
    fprintf(out, "\nWorkloads\n");
    return ap_text_table_print(&table, out, error);
}

/* ---- time to target of every study */

static void add_study(const ap_leaderboard *r, const ap_study *study, ap_text_table *table) {
    ap_text_table_add(table, "%s", r->targets.target[study->workload].workload);
    ap_text_table_add(table, "%s", submission_name(r, study->submission));
    ap_text_table_add(table, "%s", r->trials.trial[study->first].study);
    ap_text_table_add(table, "%zu", study->trials);
    ap_text_table_add(table, "%zu", study->trials_hit);
    if (study->best < r->trials.n) {
        const ap_trial *best = &r->trials.trial[study->best];
        ap_text_table_add(table, "%s", best->name);
        ap_text_table_add(table, "%lld", (long long)best->row[study->hit.index].step);
    } else {
        ap_text_table_add(table, "-");
        ap_text_table_add(table, "-");
    }
    add_time(table, study->hit.time);
    if (study->trials_running)
        ap_text_table_add(table, "incomplete: %zu running", study->trials_running);
    else
        ap_text_table_add(table, "%s", "");
}

/* By workload first: what is to be compared stands together. */
static ap_status print_studies(const ap_leaderboard *r, FILE *out, ap_error *error) {
    const char *const names[] = {"workload",   "submission", "study", "trials", "reached",
                                 "best trial", "step",       unit(r), "",       NULL};
    ap_text_table table = {.align = "lllrrlrrl"};
    add_header(&table, names);
    for (size_t c = 0; c < r->scores->columns; c++)
        for (size_t i = 0; i < r->study_count; i++)
            if (r->studies[i].workload == r->scores->workload[c]) add_study(r, &r->studies[i], &table);
    fprintf(out, "\nTo target, every study (best trial: the one that reached it at the earliest evaluation)\n");
    return ap_text_table_print(&table, out, error);
}

/* ---- median, ratio and credit */

const char *ap_loss_text(ap_loss_of_credit loss) {
    switch (loss) {
    case AP_LOST_NO_DATA: return "no data";
    case AP_LOST_NOT_REACHED: return "not reached";
    case AP_LOST_OVER_4X: return "over 4x the fastest";
    case AP_CREDIT_KEPT: break;
    }
    return "";
}

/* Its own loss first, then those of its held-out workloads. */
void ap_reasons(const ap_leaderboard *r, size_t submission, size_t base, char text[AP_REASONS]) {
    size_t used = 0;
    const char *separator = "";
    *text = '\0';
    for (size_t c = 0; c < r->scores->columns; c++) {
        ap_loss_of_credit loss = ap_scores_loss(r->scores, submission, c);
        if (r->scores->base[c] != base || loss == AP_CREDIT_KEPT || used >= AP_REASONS) continue;
        const char *name = c == base ? "" : column_target(r, c)->workload;
        used += (size_t)snprintf(text + used, AP_REASONS - used, "%s%s%s%s", separator, name, c == base ? "" : " ",
                                 ap_loss_text(loss));
        separator = ", ";
    }
}

static void add_credit(const ap_leaderboard *r, size_t submission, size_t column, ap_text_table *table) {
    if (column >= r->scores->bases) { /* no ratio, no credit of its own */
        ap_loss_of_credit loss = ap_scores_loss(r->scores, submission, column);
        ap_text_table_add(table, "%s", "");
        ap_text_table_add(table, "held-out%s%s", loss == AP_CREDIT_KEPT ? "" : ": ", ap_loss_text(loss));
        return;
    }
    double ratio = r->scores->ratio[submission * r->scores->bases + column];
    if (ratio <= 4) {
        ap_text_table_add(table, "%.4f", ratio);
        ap_text_table_add(table, "yes");
    } else {
        char reasons[AP_REASONS];
        ap_reasons(r, submission, column, reasons);
        ap_text_table_add(table, "-");
        ap_text_table_add(table, "no: %s", reasons);
    }
}

static ap_status print_medians(const ap_leaderboard *r, FILE *out, ap_error *error) {
    const char *const names[] = {"workload", "submission", unit(r), "ratio", "credit", NULL};
    ap_text_table table = {.align = "llrrl"};
    add_header(&table, names);
    for (size_t c = 0; c < r->scores->columns; c++)
        for (size_t s = 0; s < r->scores->submissions; s++) {
            ap_text_table_add(&table, "%s", column_target(r, c)->workload);
            ap_text_table_add(&table, "%s", submission_name(r, s));
            add_time(&table, r->scores->time[s * r->scores->columns + c]);
            add_credit(r, s, c, &table);
        }
    fprintf(out, "\nTo target, median over studies (ratio: to the fastest that earns credit)\n");
    return ap_text_table_print(&table, out, error);
}

/* ---- trials */

static ap_status print_trials(const ap_leaderboard *r, FILE *out, ap_error *error) {
    static const char *const names[] = {"submission", "study",     "workload",   "trial",  "evaluations", "reached",
                                        "best value", "after (s)", "target (s)", "s/step", NULL};
    ap_text_table table = {.align = "llllrlrrrr"};
    add_header(&table, names);
    for (size_t i = 0; i < r->trials.n; i++) {
        const ap_trial *trial = &r->trials.trial[i];
        const ap_target *target = &r->targets.target[trial->workload];
        ap_trial_summary s = ap_trial_summarise(trial, target);
        ap_text_table_add(&table, "%s", submission_name(r, trial->submission));
        ap_text_table_add(&table, "%s", trial->study);
        ap_text_table_add(&table, "%s", target->workload);
        ap_text_table_add(&table, "%s", trial->name);
        ap_text_table_add(&table, "%zu", trial->rows);
        ap_text_table_add(&table, "%s", s.reached ? "yes" : "no");
        add_number(&table, s.best, "%.6g");
        add_time(&table, s.best_time_s);
        add_time(&table, s.target_time_s);
        add_number(&table, r->step_s[trial->submission * r->targets.n + trial->workload], "%.4g");
    }
    fprintf(out,
            "\nTrials (best value on the validation split, training seconds until then, and until the target; s/step: "
            "median of submission and workload)\n");
    return ap_text_table_print(&table, out, error);
}

/* ---- speedups */

static ap_status print_speedups(const ap_leaderboard *r, const ap_speedups *speedups, FILE *out, ap_error *error) {
    static const char *const names[] = {"submission", "time ratio", "speedup", "% faster", NULL};
    ap_text_table table = {.align = "lrrr"};
    add_header(&table, names);
    for (size_t i = 0; i < r->scores->submissions; i++) {
        size_t s = r->scores->rank[i];
        if (s == speedups->reference) continue;
        ap_text_table_add(&table, "%s", submission_name(r, s));
        add_number(&table, speedups->ratio[s], "%.4f");
        add_number(&table, 1 / speedups->ratio[s], "%.4f");
        add_number(&table, (1 - speedups->ratio[s]) * 100, "%.1f");
    }
    fprintf(out,
            "\nSpeedup against %s (geometric mean of the time ratios on the base workloads, a miss taken as the budget "
            "plus 1 s; not used for ranking; -: a workload was never run)\n",
            submission_name(r, speedups->reference));
    return ap_text_table_print(&table, out, error);
}

/* ---- scores */

static ap_status print_beats(const ap_leaderboard *r, const ap_confidence *c, FILE *out, ap_error *error) {
    size_t n = r->scores->submissions;
    char *align = malloc(n + 2);
    if (!align) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a table");
    memset(align, 'r', n + 1);
    align[0] = 'l';
    align[n + 1] = '\0';
    ap_text_table table = {.align = align};
    ap_text_table_add(&table, "P(row beats column)");
    for (size_t j = 0; j < n; j++) ap_text_table_add(&table, "%s", submission_name(r, r->scores->rank[j]));
    for (size_t i = 0; i < n; i++) {
        ap_text_table_add(&table, "%s", submission_name(r, r->scores->rank[i]));
        for (size_t j = 0; j < n; j++)
            add_number(&table, i == j ? NAN : c->beats[r->scores->rank[i] * n + r->scores->rank[j]], "%.3f");
    }
    fprintf(out, "\nProbability that one beats the other (share of %zu resamples, equal scores count half)\n",
            c->options.resamples);
    ap_status status = ap_text_table_print(&table, out, error);
    free(align);
    return status;
}

static void add_interval(const ap_confidence *c, size_t s, ap_text_table *table) {
    ap_text_table_add(table, "%.4f to %.4f", c->low[s], c->high[s]);
    ap_text_table_add(table, "%.0f to %.0f", c->rank_low[s], c->rank_high[s]);
}

static void add_score_header(const ap_confidence *c, ap_text_table *table) {
    static const char *const names[] = {"rho(1)", "rho(1.25)", "rho(1.5)", "rho(2)", "rho(3)", "rho(4)", NULL};
    ap_text_table_add(table, "submission");
    ap_text_table_add(table, "score");
    if (c) ap_text_table_add(table, "%g %% interval", 100 * c->options.level);
    if (c) ap_text_table_add(table, "rank");
    add_header(table, names);
}

static ap_status print_scores(const ap_leaderboard *r, const ap_confidence *c, FILE *out, ap_error *error) {
    static const double taus[] = {1, 1.25, 1.5, 2, 3, 4};
    ap_text_table table = {.align = c ? "lrrrrrrrrr" : "lrrrrrrr"};
    bool steps = r->rules.metric == AP_METRIC_STEPS, flagged = false;
    add_score_header(c, &table);
    for (size_t i = 0; i < r->scores->submissions; i++) {
        size_t s = r->scores->rank[i];
        bool flag = steps && ap_counts_other_steps(r, s);
        flagged |= flag;
        ap_text_table_add(&table, "%s%s", submission_name(r, s), flag ? " *" : "");
        ap_text_table_add(&table, "%.4f", r->scores->score[s]);
        if (c) add_interval(c, s, &table);
        for (size_t k = 0; k < sizeof taus / sizeof *taus; k++)
            ap_text_table_add(&table, "%.3f", ap_profile_at(r->scores, s, taus[k]));
    }
    fprintf(out,
            "\n%s, n = %zu base workload%s (rho(t): share of them reached within t times the fastest; score: area "
            "under rho from 1 to 4)\n",
            steps ? "Step scores" : "Scores", r->scores->bases, r->scores->bases == 1 ? "" : "s");
    AP_TRY(ap_text_table_print(&table, out, error));
    if (flagged)
        fprintf(out, "  * does not count steps in the unit of the others: its score, and theirs, say nothing\n");
    if (c)
        fprintf(out, "  intervals: bootstrap over studies%s, %zu resamples, seed %llu\n",
                c->options.studies_only ? "" : " and their trials", c->options.resamples,
                (unsigned long long)c->options.seed);
    return AP_OK;
}

ap_status ap_print_text(const ap_printed *printed, FILE *out, ap_error *error) {
    const ap_leaderboard *r = printed->board;
    print_head(r, out);
    AP_TRY(print_workloads(r, out, error));
    AP_TRY(print_trials(r, out, error));
    AP_TRY(print_studies(r, out, error));
    AP_TRY(print_medians(r, out, error));
    if (printed->speedups) AP_TRY(print_speedups(r, printed->speedups, out, error));
    if (printed->confidence) AP_TRY(print_beats(r, printed->confidence, out, error));
    AP_TRY(print_scores(r, printed->confidence, out, error));
    size_t incomplete = ap_incomplete_studies(r);
    if (incomplete)
        fprintf(out, "\n%zu of %zu studies are incomplete: trials are still running, and these scores will change\n",
                incomplete, r->study_count);
    return AP_OK;
}

/* ---- CSV */

void ap_print_exactly(double value, FILE *out) {
    char text[32];
    if (!isfinite(value)) {
        fputs(isnan(value) ? "nan" : value > 0 ? "inf" : "-inf", out);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, out);
}

ap_status ap_print_cell(const char *name, FILE *out, ap_error *error) {
    if (strpbrk(name, ",\"\n\r"))
        return ap_fail(error, AP_DATA, "\"%s\" cannot be a cell of a CSV table: rename its folder", name);
    if (out) fputs(name, out);
    return AP_OK;
}

ap_status ap_print_csv(const ap_printed *printed, FILE *out, ap_error *error) {
    const ap_leaderboard *r = printed->board;
    const ap_confidence *c = printed->confidence;
    for (size_t i = 0; i < r->scores->submissions; i++) /* nothing is printed unless all can be */
        AP_TRY(ap_print_cell(submission_name(r, i), NULL, error));
    fprintf(out, "submission,score,score_exact_integral%s\n", c ? ",score_low,score_high,rank_low,rank_high" : "");
    for (size_t i = 0; i < r->scores->submissions; i++) {
        size_t s = r->scores->rank[i];
        const double cells[] = {r->scores->score[s], r->scores->exact[s],    c ? c->low[s] : 0,
                                c ? c->high[s] : 0,  c ? c->rank_low[s] : 0, c ? c->rank_high[s] : 0};
        fputs(submission_name(r, s), out);
        for (size_t k = 0; k < (c ? 6 : 2); k++) {
            fputc(',', out);
            ap_print_exactly(cells[k], out);
        }
        fputc('\n', out);
    }
    return AP_OK;
}
