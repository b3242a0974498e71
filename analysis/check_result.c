/* The rules that one trial's result keeps (harness/record.h, design decisions 4 and 5). */
#include "analysis/check.h"

#include "analysis/csv.h"
#include "base/digest.h"
#include "base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ap_check_say(ap_check *check, const char *trial, const char *format, ...) {
    enum { LONGEST = 2048 };
    char line[LONGEST];
    int n = snprintf(line, sizeof line, "%s: ", trial);
    if (n > LONGEST / 2) n = LONGEST / 2;
    va_list args;
    va_start(args, format);
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    ap_clean_text(line);
    check->reasons++;
    check->say(line, check->data);
}

/* One result being checked. */
typedef struct subject {
    ap_check *check;
    const char *trial;
    const ap_result *r;
} subject;

#define SAY(s, ...) ap_check_say((s)->check, (s)->trial, __VA_ARGS__)

/* ---- the head */

static void check_facts(const subject *s) {
    static const struct {
        const char *name;
        ap_value_kind kind;
    } needed[] = {
        {"submission", AP_VALUE_TEXT},
        {"workload", AP_VALUE_TEXT},
        {"variant", AP_VALUE_TEXT},
        {"scale", AP_VALUE_TEXT},
        {"data_set", AP_VALUE_TEXT},
        {"ruleset", AP_VALUE_TEXT},
        {"clock", AP_VALUE_TEXT},
        {"hyperparameters", AP_VALUE_TEXT},
        {"loss_type", AP_VALUE_TEXT},
        {"target_metric", AP_VALUE_TEXT},
        {"direction", AP_VALUE_TEXT},
        {"verdict", AP_VALUE_TEXT},
        {"reason", AP_VALUE_TEXT},
        {"buckets", AP_VALUE_TEXT},
        {"validation_target", AP_VALUE_F64},
        {"test_target", AP_VALUE_F64},
        {"max_runtime_s", AP_VALUE_F64},
        {"eval_period_s", AP_VALUE_F64},
        {"format_version", AP_VALUE_I64},
        {"study", AP_VALUE_I64},
        {"trial", AP_VALUE_I64},
        {"step_hint", AP_VALUE_I64},
        {"global_batch_size", AP_VALUE_I64},
        {"steps", AP_VALUE_I64},
        {"steps_dropped", AP_VALUE_I64},
        {"resumes", AP_VALUE_I64},
        {"status", AP_VALUE_I64},
    };
    static const char *const kinds[] = {"text", "an integer", "a floating-point number"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const ap_fact *fact = ap_facts_find(&s->r->head, needed[i].name);
        if (!fact)
            SAY(s, "attribute %s is missing", needed[i].name);
        else if (fact->kind != needed[i].kind)
            SAY(s, "attribute %s is %s (must be %s)", needed[i].name, kinds[fact->kind], kinds[needed[i].kind]);
    }
    double version = ap_facts_number(&s->r->head, "format_version");
    if (version != 1 && !isnan(version)) SAY(s, "format_version is %g (this program knows 1)", version);
}

static void check_hyperparameters(const subject *s) {
    const char *text = ap_facts_text(&s->r->head, "hyperparameters");
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(object)) SAY(s, "attribute hyperparameters is no JSON object: %.80s", text);
    json_decref(object);
}

/* ---- columns */

static const ap_column *need_column(const subject *s, const char *name, ap_value_kind kind) {
    static const char *const kinds[] = {"text", "integers", "floating-point numbers"};
    const ap_column *column = ap_result_column(s->r, name);
    if (!column)
        SAY(s, "column %s is missing", name);
    else if (column->kind != kind)
        SAY(s, "column %s holds %s (must hold %s)", name, kinds[column->kind], kinds[kind]);
    return column && column->kind == kind ? column : NULL;
}

static void check_increasing(const subject *s, const ap_column *column) {
    for (int64_t i = 0; column && i < column->n; i++) {
        if (column->i64[i] >= 0 && (i == 0 || column->i64[i] > column->i64[i - 1])) continue;
        SAY(s, "%s[%" PRId64 "] is %" PRId64 " (must not be negative and must increase)", column->name, i,
            column->i64[i]);
        return;
    }
}

/* A clock runs forwards. */
static void check_time(const subject *s, const char *name) {
    const ap_column *column = need_column(s, name, AP_VALUE_F64);
    for (int64_t i = 0; column && i < column->n; i++) {
        double before = i ? column->f64[i - 1] : 0;
        if (isfinite(column->f64[i]) && column->f64[i] >= before) continue;
        SAY(s, "%s[%" PRId64 "] is %.17g s after %.17g s (a time must be finite and must not run backwards)", name, i,
            column->f64[i], before);
        return;
    }
}

static void check_score(const subject *s) {
    const double *score = ap_result_f64(s->r, "evaluations/score");
    const double *time = ap_result_f64(s->r, "evaluations/accumulated_submission_time");
    if (!score || !time || strcmp(ap_facts_text(&s->r->head, "clock"), "wall")) return;
    for (int64_t i = 0; i < s->r->evaluations; i++) {
        if (score[i] == time[i]) continue;
        SAY(s,
            "evaluations/score[%" PRId64
            "] is %.17g s, accumulated_submission_time %.17g s (equal under the wall clock)",
            i, score[i], time[i]);
        return;
    }
}

static void check_digests(const subject *s) {
    const ap_column *column = need_column(s, "evaluations/parameter_digest", AP_VALUE_TEXT);
    ap_digest digest;
    for (int64_t i = 0; column && i < column->n; i++) {
        if (ap_digest_parse(column->text[i], &digest)) continue;
        SAY(s, "evaluations/parameter_digest[%" PRId64 "] is \"%.40s\" (must be 32 hexadecimal digits)", i,
            column->text[i]);
        return;
    }
}

/* Every step has its row, except those that the record says it dropped. */
static void check_steps(const subject *s) {
    const ap_column *step = need_column(s, "steps/global_step", AP_VALUE_I64);
    check_increasing(s, step);
    need_column(s, "steps/loss", AP_VALUE_F64);
    check_time(s, "steps/submission_time");
    double steps = ap_facts_number(&s->r->head, "steps"), dropped = ap_facts_number(&s->r->head, "steps_dropped");
    if (!step || isnan(steps) || isnan(dropped)) return;
    if ((double)step->n + dropped != steps)
        SAY(s, "%" PRId64 " rows of steps and %.0f dropped, but the last step is %.0f", step->n, dropped, steps);
    if (step->n && (double)step->i64[step->n - 1] > steps)
        SAY(s, "steps/global_step ends with %" PRId64 ", behind the last step %.0f", step->i64[step->n - 1], steps);
}

static void check_evaluations(const subject *s) {
    static const char *const times[] = {"accumulated_submission_time", "accumulated_eval_time",
                                        "accumulated_logging_time", "total_duration", "score"};
    char name[64];
    const ap_column *step = need_column(s, "evaluations/global_step", AP_VALUE_I64);
    check_increasing(s, step);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        snprintf(name, sizeof name, "evaluations/%s", times[i]);
        check_time(s, name);
    }
    need_column(s, "evaluations/preemption_count", AP_VALUE_I64);
    check_score(s);
    check_digests(s);
    double steps = ap_facts_number(&s->r->head, "steps");
    if (step && step->n && (double)step->i64[step->n - 1] > steps)
        SAY(s, "the last evaluation is after step %" PRId64 ", the last step is %.0f", step->i64[step->n - 1], steps);
}

/* ---- targets and verdict */

/* Strict, as training is (leaderboard rules 3.1 counts equality too). */
static bool is_reached(const char *direction, double value, double target) {
    if (!strcmp(direction, "higher")) return value > target;
    return !strcmp(direction, "lower") ? value < target : value <= target;
}

/* The first evaluation by which the targets of the splits were reached, maybe each in another one; -1: none. */
static int64_t first_reached(const subject *s) {
    static const char *const splits[] = {"validation", "test"};
    bool reached[2] = {false, isnan(ap_facts_number(&s->r->head, "test_target"))};
    const double *values[2];
    double target[2];
    char name[512];
    const char *direction = ap_facts_text(&s->r->head, "direction"),
               *metric = ap_facts_text(&s->r->head, "target_metric");
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s_target", splits[i]);
        target[i] = ap_facts_number(&s->r->head, name);
        snprintf(name, sizeof name, "evaluations/%s/%.200s", splits[i], metric);
        values[i] = ap_result_f64(s->r, name);
    }
    for (int64_t row = 0; row < s->r->evaluations; row++) {
        for (int i = 0; i < 2; i++) reached[i] |= values[i] && is_reached(direction, values[i][row], target[i]);
        if (reached[0] && reached[1]) return row;
    }
    return -1;
}

static void check_target(const subject *s, const char *verdict) {
    char name[512];
    const char *direction = ap_facts_text(&s->r->head, "direction");
    snprintf(name, sizeof name, "evaluations/validation/%.200s", ap_facts_text(&s->r->head, "target_metric"));
    if (strcmp(direction, "higher") && strcmp(direction, "lower") && strcmp(direction, "lower_or_equal")) {
        SAY(s, "attribute direction is \"%.40s\" (must be higher, lower or lower_or_equal)", direction);
        return;
    }
    if (!isfinite(ap_facts_number(&s->r->head, "validation_target")))
        SAY(s, "attribute validation_target is not finite");
    if (!need_column(s, name, AP_VALUE_F64)) return;
    int64_t row = first_reached(s), last = s->r->evaluations - 1;
    bool says = !strcmp(verdict, "target_reached");
    if (says && row < 0)
        SAY(s, "the verdict is target_reached, but no evaluation reaches the targets");
    else if (row >= 0 && row < last)
        SAY(s, "the targets are reached in evaluation %" PRId64 ", but there are %" PRId64 " more after it", row,
            last - row);
    else if (!says && row == last && row >= 0 && (!strcmp(verdict, "budget_spent") || !strcmp(verdict, "step_cap")))
        SAY(s, "the last evaluation reaches the targets, but the verdict is %s", verdict);
}

/* Is it one, and does the class of failure fit? */
static bool check_verdict(const subject *s) {
    static const char *const good[] = {"target_reached", "budget_spent", "step_cap", "stopped", "cancelled", NULL};
    static const char *const bad[] = {"diverged", "failed", "crashed", "rule_violation", NULL};
    const char *verdict = ap_facts_text(&s->r->head, "verdict");
    double status = ap_facts_number(&s->r->head, "status");
    int kind = 0;
    for (int i = 0; good[i]; i++)
        if (!strcmp(verdict, good[i])) kind = 1;
    for (int i = 0; bad[i]; i++)
        if (!strcmp(verdict, bad[i])) kind = 2;
    check_target(s, verdict);
    if (kind == 1 && status > 0 && strcmp(verdict, "cancelled"))
        SAY(s, "the verdict is %s, but the status %.0f is that of a failure", verdict, status);
    if (kind == 2 && status == 0) SAY(s, "the verdict is %s, but the status is 0", verdict);
    if (!strcmp(verdict, "running"))
        SAY(s, "has no verdict yet: it is running, or was stopped and waits to go on");
    else if (!kind)
        SAY(s, "the verdict is \"%.40s\", which this program does not know", verdict);
    return kind != 0;
}

bool ap_check_result(ap_check *check, const char *trial, const ap_result *result) {
    const subject s = {check, trial, result};
    check_facts(&s);
    check_hyperparameters(&s);
    check_evaluations(&s);
    check_steps(&s);
    return check_verdict(&s);
}

/* ---- events.jsonl */

typedef struct log_state {
    int64_t row; /* evaluation lines so far */
    bool said, started, ended;
} log_state;

static void check_evaluation_event(const subject *s, const json_t *event, log_state *log) {
    const int64_t *step = ap_result_i64(s->r, "evaluations/global_step");
    const ap_column *digest = ap_result_column(s->r, "evaluations/parameter_digest");
    const char *text = json_string_value(json_object_get(event, "parameter_digest"));
    int64_t row = log->row++;
    if (log->said || row >= s->r->evaluations || !digest || digest->kind != AP_VALUE_TEXT) return;
    int64_t at = json_integer_value(json_object_get(event, "global_step"));
    if (at == step[row] && text && !strcmp(text, digest->text[row])) return;
    SAY(s,
        "evaluation %" PRId64 " is after step %" PRId64 " with digest %.32s in events.jsonl, but after step %" PRId64
        " with digest %.32s in the result",
        row, at, text ? text : "none", step[row], digest->text[row]);
    log->said = true;
}

static void check_event(const subject *s, const char *line, size_t n, int64_t number, log_state *log) {
    json_error_t where;
    json_t *event = json_loadb(line, n, JSON_REJECT_DUPLICATES, &where);
    const char *name = json_string_value(json_object_get(event, "event"));
    if (!name) {
        if (!log->said)
            SAY(s, "events.jsonl:%" PRId64 " is no event: %s", number, event ? "no member \"event\"" : where.text);
        log->said = true;
    } else if (!strcmp(name, "evaluation")) {
        check_evaluation_event(s, event, log);
    } else if (!strcmp(name, "started")) {
        log->started = true;
    } else if (!strcmp(name, "finished") || !strcmp(name, "failed")) {
        const char *verdict = json_string_value(json_object_get(event, "verdict"));
        log->ended = true;
        if (!verdict || strcmp(verdict, ap_facts_text(&s->r->head, "verdict")))
            SAY(s, "events.jsonl ends with the verdict %.40s, the result has %.40s", verdict ? verdict : "none",
                ap_facts_text(&s->r->head, "verdict"));
    }
    json_decref(event);
}

void ap_check_events(ap_check *check, const char *trial, const ap_result *result, const char *events, size_t n) {
    const subject s = {check, trial, result};
    log_state log = {0};
    int64_t number = 1;
    const char *line = events, *end;
    for (; (end = memchr(line, '\n', n - (size_t)(line - events))); line = end + 1)
        check_event(&s, line, (size_t)(end - line), number++, &log);
    if (line < events + n) ap_check_say(check, trial, "events.jsonl:%" PRId64 " is cut off", number);
    if (!log.started) ap_check_say(check, trial, "events.jsonl does not tell of the start");
    if (!log.ended && strcmp(ap_facts_text(&result->head, "verdict"), "running"))
        ap_check_say(check, trial, "events.jsonl does not tell of the end");
    if (log.row != result->evaluations)
        ap_check_say(check, trial, "events.jsonl tells of %" PRId64 " evaluations, the result has %" PRId64, log.row,
                     result->evaluations);
}

/* ---- official logs */

static ap_status check_rows(ap_csv *csv, ap_error *error) {
    size_t score, step, column;
    double last_score = 0, last_step = -1, value;
    AP_TRY(ap_csv_need(csv, "score", &score, error));
    AP_TRY(ap_csv_need(csv, "global_step", &step, error));
    AP_TRY(ap_csv_need(csv, "accumulated_submission_time", &column, error));
    for (bool more;;) {
        AP_TRY(ap_csv_next(csv, &more, error));
        if (!more) return AP_OK;
        for (column = 0; column < csv->columns; column++) {
            AP_TRY(ap_csv_number(csv, column, &value, error));
            double *last = column == score ? &last_score : column == step ? &last_step : NULL;
            if (!last) continue;
            if (!(value >= *last) || (column == step && value == *last))
                return ap_fail(error, AP_DATA, "%s:%zu: column \"%s\" is \"%.40s\" (must %s)", csv->name, csv->line,
                               csv->header[column], csv->cell[column],
                               column == step ? "increase" : "be a time that does not run backwards");
            *last = value;
        }
    }
}

void ap_check_log(ap_check *check, const char *trial, char *text, size_t n) {
    ap_error error = {0};
    ap_csv csv;
    if (strlen(text) != n) {
        ap_check_say(check, trial, "eval_measurements.csv: contains a NUL byte, so it is no text");
        free(text);
        return;
    }
    if (ap_csv_open(text, "eval_measurements.csv", &csv, &error) == AP_OK) {
        check_rows(&csv, &error);
        ap_csv_close(&csv);
    }
    if (*error.text) ap_check_say(check, trial, "%s", error.text);
}
