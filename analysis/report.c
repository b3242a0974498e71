#include "analysis/report.h"

#include "analysis/text_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *submission_name(const ap_report *r, size_t submission) {
    return r->trials->submissions.name[submission];
}
static const ap_target *column_target(const ap_report *r, size_t column) {
    return &r->targets->target[r->scores->workload[column]];
}

size_t ap_report_incomplete(const ap_report *report) {
    size_t n = 0;
    for (size_t i = 0; i < report->study_count; i++) n += report->studies[i].trials_running > 0;
    return n;
}

/* Seconds with about five digits; what has no number says so in words. */
static void add_time(ap_text_table *table, double time) {
    if (isnan(time))
        ap_text_table_add(table, "no data");
    else if (isinf(time))
        ap_text_table_add(table, "not reached");
    else
        ap_text_table_add(table, "%.*f", time >= 1000 ? 1 : time >= 10 ? 2 : 4, time);
}

static void add_header(ap_text_table *table, const char *const *names) {
    for (; *names; names++) ap_text_table_add(table, "%s", *names);
}

/* ---- what was read */

static void print_summary(const ap_report *r, FILE *out) {
    const ap_scores *s = r->scores;
    size_t held_out = s->columns - s->bases;
    fprintf(out, "%zu submission%s, %zu trials, %zu base workload%s", s->submissions, s->submissions == 1 ? "" : "s",
            r->trials->n, s->bases, s->bases == 1 ? "" : "s");
    if (held_out) fprintf(out, ", %zu held-out", held_out);
    fprintf(out, r->targets->name ? "; targets: table %s\n" : "; targets: those the results name\n", r->targets->name);
    for (size_t i = 0; i < r->trials->clocks.n; i++) fprintf(out, "times: %s\n", r->trials->clocks.name[i]);
}

/* What was found for a column: nothing, what its results say they are, or official logs. */
static const char *workload_source(const ap_report *r, size_t column) {
    const ap_target *target = column_target(r, column);
    if (target->identity) return target->identity;
    for (size_t i = 0; i < r->study_count; i++)
        if (r->studies[i].workload == r->scores->workload[column]) return "official logs";
    return "nothing";
}

static ap_status print_workloads(const ap_report *r, FILE *out, ap_error *error) {
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

static void add_study(const ap_report *r, const ap_study *study, ap_text_table *table) {
    ap_text_table_add(table, "%s", r->targets->target[study->workload].workload);
    ap_text_table_add(table, "%s", submission_name(r, study->submission));
    ap_text_table_add(table, "%s", r->trials->trial[study->first].study);
    ap_text_table_add(table, "%zu", study->trials);
    ap_text_table_add(table, "%zu", study->trials_hit);
    if (study->best < r->trials->n) {
        const ap_trial *best = &r->trials->trial[study->best];
        ap_text_table_add(table, "%s", best->name);
        ap_text_table_add(table, "%lld", (long long)best->row[study->hit.index].step);
    } else {
        ap_text_table_add(table, "-");
        ap_text_table_add(table, "-");
    }
    add_time(table, study->hit.time_s);
    if (study->trials_running)
        ap_text_table_add(table, "incomplete: %zu running", study->trials_running);
    else
        ap_text_table_add(table, "%s", "");
}

/* By workload first: what is to be compared stands together. */
static ap_status print_studies(const ap_report *r, FILE *out, ap_error *error) {
    static const char *const names[] = {"workload",   "submission", "study",    "trials", "reached",
                                        "best trial", "step",       "time (s)", "",       NULL};
    ap_text_table table = {.align = "lllrrlrrl"};
    add_header(&table, names);
    for (size_t c = 0; c < r->scores->columns; c++)
        for (size_t i = 0; i < r->study_count; i++)
            if (r->studies[i].workload == r->scores->workload[c]) add_study(r, &r->studies[i], &table);
    fprintf(out, "\nTime to target of every study (best trial: the one that reached it at the earliest evaluation)\n");
    return ap_text_table_print(&table, out, error);
}

/* ---- median, ratio and credit */

static const char *loss_text(ap_loss_of_credit loss) {
    switch (loss) {
    case AP_LOST_NO_DATA: return "no data";
    case AP_LOST_NOT_REACHED: return "not reached";
    case AP_LOST_OVER_4X: return "over 4x the fastest";
    case AP_CREDIT_KEPT: break;
    }
    return "";
}

/* Why a base workload earns no credit: its own loss first, then those of its held-out workloads. */
static void add_losses(const ap_report *r, size_t submission, size_t base, ap_text_table *table) {
    char text[512] = "no: ";
    size_t used = strlen(text);
    const char *separator = "";
    for (size_t c = 0; c < r->scores->columns; c++) {
        ap_loss_of_credit loss = ap_scores_loss(r->scores, submission, c);
        if (r->scores->base[c] != base || loss == AP_CREDIT_KEPT || used >= sizeof text) continue;
        const char *name = c == base ? "" : column_target(r, c)->workload;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%s%s", separator, name, c == base ? "" : " ",
                                 loss_text(loss));
        separator = ", ";
    }
    ap_text_table_add(table, "%s", text);
}

static void add_credit(const ap_report *r, size_t submission, size_t column, ap_text_table *table) {
    if (column >= r->scores->bases) { /* no ratio, no credit of its own */
        ap_loss_of_credit loss = ap_scores_loss(r->scores, submission, column);
        ap_text_table_add(table, "%s", "");
        ap_text_table_add(table, "held-out%s%s", loss == AP_CREDIT_KEPT ? "" : ": ", loss_text(loss));
        return;
    }
    double ratio = r->scores->ratio[submission * r->scores->bases + column];
    if (ratio <= 4) {
        ap_text_table_add(table, "%.4f", ratio);
        ap_text_table_add(table, "yes");
    } else {
        ap_text_table_add(table, "-");
        add_losses(r, submission, column, table);
    }
}

static ap_status print_medians(const ap_report *r, FILE *out, ap_error *error) {
    static const char *const names[] = {"workload", "submission", "median (s)", "ratio", "credit", NULL};
    ap_text_table table = {.align = "llrrl"};
    add_header(&table, names);
    for (size_t c = 0; c < r->scores->columns; c++)
        for (size_t s = 0; s < r->scores->submissions; s++) {
            ap_text_table_add(&table, "%s", column_target(r, c)->workload);
            ap_text_table_add(&table, "%s", submission_name(r, s));
            add_time(&table, r->scores->time_s[s * r->scores->columns + c]);
            add_credit(r, s, c, &table);
        }
    fprintf(out, "\nTime to target, median over studies (ratio: to the fastest that earns credit)\n");
    return ap_text_table_print(&table, out, error);
}

/* ---- scores */

static ap_status print_scores(const ap_report *r, FILE *out, ap_error *error) {
    static const char *const names[] = {"submission", "score",  "rho(1)", "rho(1.25)", "rho(1.5)",
                                        "rho(2)",     "rho(3)", "rho(4)", NULL};
    static const double taus[] = {1, 1.25, 1.5, 2, 3, 4};
    ap_text_table table = {.align = "lrrrrrrr"};
    add_header(&table, names);
    for (size_t i = 0; i < r->scores->submissions; i++) {
        size_t s = r->scores->rank[i];
        ap_text_table_add(&table, "%s", submission_name(r, s));
        ap_text_table_add(&table, "%.4f", r->scores->score[s]);
        for (size_t k = 0; k < sizeof taus / sizeof *taus; k++)
            ap_text_table_add(&table, "%.3f", ap_profile_at(r->scores, s, taus[k]));
    }
    fprintf(out,
            "\nScores, n = %zu base workload%s (rho(t): share of them reached within t times the fastest; score: area "
            "under rho from 1 to 4)\n",
            r->scores->bases, r->scores->bases == 1 ? "" : "s");
    return ap_text_table_print(&table, out, error);
}

ap_status ap_report_text(const ap_report *report, FILE *out, ap_error *error) {
    print_summary(report, out);
    AP_TRY(print_workloads(report, out, error));
    AP_TRY(print_studies(report, out, error));
    AP_TRY(print_medians(report, out, error));
    AP_TRY(print_scores(report, out, error));
    size_t incomplete = ap_report_incomplete(report);
    if (incomplete)
        fprintf(out, "\n%zu of %zu studies are incomplete: trials are still running, and these scores will change\n",
                incomplete, report->study_count);
    return AP_OK;
}

/* The shortest decimal text that reads back as the same double. */
static void print_exactly(double value, FILE *out) {
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, out);
}

ap_status ap_report_csv(const ap_report *report, FILE *out, ap_error *error) {
    const ap_scores *s = report->scores;
    for (size_t i = 0; i < s->submissions; i++)
        if (strpbrk(submission_name(report, i), ",\"\n\r"))
            return ap_fail(error, AP_DATA, "submission \"%s\" cannot be a cell of a CSV table: rename its folder",
                           submission_name(report, i));
    fprintf(out, "submission,score,score_exact_integral\n");
    for (size_t i = 0; i < s->submissions; i++) {
        fprintf(out, "%s,", submission_name(report, s->rank[i]));
        print_exactly(s->score[s->rank[i]], out);
        fputc(',', out);
        print_exactly(s->exact[s->rank[i]], out);
        fputc('\n', out);
    }
    return AP_OK;
}
