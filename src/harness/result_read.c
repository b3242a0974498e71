/* Reading results, ours or anyone's: nothing of a file is used before its seal holds, and text goes out cleaned. */
#include "base/file.h"
#include "harness/record.h"
#include "workload/workload.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct result {
    char path[AP_PATH];
    hid_t file;
    int64_t evaluations, steps; /* rows */
    ap_verdict verdict;
} result;

/* ---- opening */

static ap_status column_length(const result *r, const char *name, int64_t *n, ap_error *error) {
    int rank;
    int64_t shape[AP_H5_MAX_RANK];
    AP_TRY(ap_h5_shape(r->file, name, &rank, shape, error));
    if (rank != 1) return ap_fail(error, AP_DATA, "%s: %s has %d dimensions (a column has 1)", r->path, name, rank);
    *n = shape[0];
    return AP_OK;
}

/* All data sets of a group are columns of n rows; sub-groups are left to the caller. */
static ap_status check_group(const result *r, const char *group, int64_t n, ap_error *error) {
    int64_t count, length = 0;
    char **names, name[512];
    AP_TRY(ap_h5_list(r->file, group, &count, &names, error));
    ap_status status = AP_OK;
    for (int64_t i = 0; status == AP_OK && i < count; i++) {
        if (!strcmp(names[i], "train") || !strcmp(names[i], "validation") || !strcmp(names[i], "test")) continue;
        snprintf(name, sizeof name, "%s/%s", group, names[i]);
        status = column_length(r, name, &length, error);
        if (status == AP_OK && length != n)
            status = ap_fail(error, AP_DATA, "%s: %s has %" PRId64 " rows, the other columns have %" PRId64, r->path,
                             name, length, n);
    }
    ap_h5_free_text(count, names);
    return status;
}

static ap_status read_verdict(result *r, ap_error *error) {
    char *text;
    AP_TRY(ap_h5_get_text(r->file, "/", "verdict", &text, error));
    int i = 0;
    while (i < AP_VERDICTS && strcmp(text, ap_verdict_names[i]) != 0) i++;
    ap_status status = AP_OK;
    if (i == AP_VERDICTS)
        status = ap_fail(error, AP_DATA, "%s: verdict = \"%.40s\" (must be one of running, target_reached, ...)",
                         r->path, text);
    r->verdict = (ap_verdict)i;
    free(text);
    return status;
}

static ap_status check_columns(result *r, ap_error *error) {
    static const char *const groups[] = {"/evaluations", "/evaluations/train", "/evaluations/validation",
                                         "/evaluations/test"};
    AP_TRY(column_length(r, "/evaluations/global_step", &r->evaluations, error));
    AP_TRY(column_length(r, "/steps/global_step", &r->steps, error));
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        AP_TRY(check_group(r, groups[i], r->evaluations, error));
    return check_group(r, "/steps", r->steps, error);
}

static ap_status open_result(const char *path, result *r, ap_error *error) {
    *r = (result){.file = H5I_INVALID_HID};
    AP_TRY(ap_path(r->path, error, "%s", path));
    AP_TRY(ap_h5_open_sealed(path, "result", true, &r->file, error));
    ap_status status = read_verdict(r, error);
    if (status == AP_OK) status = check_columns(r, error);
    if (status != AP_OK) ap_h5_close(r->file);
    return status;
}

/* A column of /evaluations or /steps, malloc'ed. */
static ap_status read_f64(const result *r, const char *name, int64_t n, double **values, ap_error *error) {
    void *data;
    AP_TRY(ap_h5_read(r->file, name, AP_F64, n, (size_t)n * sizeof(double), &data, &n, error));
    *values = data;
    return AP_OK;
}

static ap_status read_i64(const result *r, const char *name, int64_t n, int64_t **values, ap_error *error) {
    void *data;
    AP_TRY(ap_h5_read(r->file, name, AP_I64, n, (size_t)n * sizeof(int64_t), &data, &n, error));
    *values = data;
    return AP_OK;
}

/* ---- targets */

/* The first evaluation whose value on `split` is better than the target of that split, or -1. */
static ap_status first_reached(const result *r, const char *split, int64_t *row, ap_error *error) {
    char *metric = NULL, *direction = NULL, name[512];
    double *values = NULL, target = NAN;
    *row = -1;
    snprintf(name, sizeof name, "%s_target", split);
    ap_status status = ap_h5_get_f64(r->file, "/", name, &target, error);
    if (status == AP_OK) status = ap_h5_get_text(r->file, "/", "target_metric", &metric, error);
    if (status == AP_OK) status = ap_h5_get_text(r->file, "/", "direction", &direction, error);
    if (status == AP_OK) {
        snprintf(name, sizeof name, "/evaluations/%s/%.200s", split, metric);
        status = read_f64(r, name, r->evaluations, &values, error);
    }
    if (status == AP_OK) {
        ap_direction better = !strcmp(direction, "higher")  ? AP_HIGHER
                              : !strcmp(direction, "lower") ? AP_LOWER
                                                            : AP_LOWER_OR_EQUAL;
        for (int64_t i = r->evaluations; i-- > 0;)
            if (ap_target_reached(better, values[i], target)) *row = i;
    }
    free(metric);
    free(direction);
    free(values);
    return status;
}

/* ---- summary */

static ap_status summarise(const result *r, ap_result_summary *summary, ap_error *error) {
    char *reason;
    int64_t status, row;
    AP_TRY(ap_h5_get_i64(r->file, "/", "steps", &summary->steps, error));
    AP_TRY(ap_h5_get_i64(r->file, "/", "status", &status, error));
    AP_TRY(first_reached(r, "validation", &row, error));
    AP_TRY(ap_h5_get_text(r->file, "/", "reason", &reason, error));
    ap_clean_text(reason);
    snprintf(summary->reason, sizeof summary->reason, "%s", reason);
    free(reason);
    summary->verdict = r->verdict;
    summary->evaluations = r->evaluations;
    summary->target_reached = row >= 0;
    summary->status = status >= AP_OK && status <= AP_BUG ? (ap_status)status : AP_BUG;
    return AP_OK;
}

ap_status ap_result_summarise(const char *directory, ap_result_summary *summary, ap_error *error) {
    char path[AP_PATH];
    result r;
    *summary = (ap_result_summary){.verdict = AP_VERDICT_RUNNING, .evaluations = -1};
    AP_TRY(ap_path(path, error, "%s/result.h5", directory));
    if (!ap_file_exists(path)) return AP_OK;
    AP_TRY(open_result(path, &r, error));
    ap_result_summary found = {0};
    ap_status status = summarise(&r, &found, error);
    ap_h5_close(r.file);
    if (status == AP_OK) *summary = found;
    return status;
}

/* ---- the story: identity */

/* A text attribute for people: cleaned, cut, "-" if empty or not there. */
static const char *text_of(const result *r, const char *object, const char *name, char text[512]) {
    char *value = NULL;
    snprintf(text, 512, "-");
    if (ap_h5_get_text(r->file, object, name, &value, NULL) == AP_OK && *value) {
        ap_clean_text(value);
        snprintf(text, 512, "%s", value);
        ap_clean_text(text); /* the cut may have split a character */
    }
    free(value);
    return text;
}

static void line_start(FILE *out, const char *key) {
    fprintf(out, "  %-18s ", key);
}

static void say_text(const result *r, FILE *out, const char *key, const char *attribute) {
    char text[512];
    line_start(out, key);
    fprintf(out, "%s\n", text_of(r, "/", attribute, text));
}

static int64_t integer_of(const result *r, const char *attribute) {
    int64_t value = 0;
    return ap_h5_get_i64(r->file, "/", attribute, &value, NULL) == AP_OK ? value : 0;
}

/* A number with `digits` significant digits, "-" for NaN. */
static const char *number(double value, int digits, char text[32]) {
    snprintf(text, 32, "%.*g", digits, value);
    return isnan(value) ? strcpy(text, "-") : text;
}

static const char *number_of(const result *r, const char *attribute, char text[32]) {
    double value = NAN;
    if (ap_h5_get_f64(r->file, "/", attribute, &value, NULL) != AP_OK) value = NAN;
    return number(value, 10, text);
}

static void print_hyperparameters(const result *r, FILE *out) {
    char *text = NULL;
    if (ap_h5_get_text(r->file, "/", "hyperparameters", &text, NULL) != AP_OK) return;
    json_t *object = json_loads(text, 0, NULL), *value;
    const char *key;
    free(text);
    fprintf(out, "\nHyperparameters\n");
    if (!json_object_size(object)) fprintf(out, "  none\n");
    json_object_foreach(object, key, value) {
        char name[64], *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
        snprintf(name, sizeof name, "%s", key);
        ap_clean_text(name);
        if (shown) ap_clean_text(shown);
        fprintf(out, "  %-24s %.80s\n", name, shown ? shown : "-");
        free(shown);
    }
    json_decref(object);
}

static void print_identity(const result *r, FILE *out) {
    char a[512], b[512], x[32], y[32];
    fprintf(out, "%s\n\n", r->path);
    say_text(r, out, "submission", "submission");
    line_start(out, "workload");
    fprintf(out, "%s, scale %s", text_of(r, "/", "workload", a), text_of(r, "/", "scale", b));
    if (strcmp(text_of(r, "/", "variant", a), "-") != 0) fprintf(out, ", variant %s", a);
    fprintf(out, "\n");
    say_text(r, out, "data set", "data_set");
    line_start(out, "trial");
    fprintf(out, "study_%" PRId64 ", trial_%" PRId64 "\n", integer_of(r, "study"), integer_of(r, "trial") + 1);
    say_text(r, out, "ruleset", "ruleset");
    say_text(r, out, "clock", "clock");
    say_text(r, out, "calibration", "calibration");
    say_text(r, out, "loss", "loss_type");
    line_start(out, "global batch size");
    fprintf(out, "%" PRId64 " examples\n", integer_of(r, "global_batch_size"));
    line_start(out, "targets");
    fprintf(out, "%s (%s is better): validation %s, test %s\n", text_of(r, "/", "target_metric", a),
            text_of(r, "/", "direction", b), number_of(r, "validation_target", x), number_of(r, "test_target", y));
    line_start(out, "budget");
    fprintf(out, "%s s, an evaluation every %s s; step hint %" PRId64 "\n", number_of(r, "max_runtime_s", x),
            number_of(r, "eval_period_s", y), integer_of(r, "step_hint"));
    print_hyperparameters(r, out);
}

/* ---- the story: outcome */

static ap_status print_target(const result *r, FILE *out, const char *split, const int64_t *steps, const double *score,
                              ap_error *error) {
    int64_t row;
    char name[32], target[32];
    AP_TRY(first_reached(r, split, &row, error));
    snprintf(name, sizeof name, "%s_target", split);
    fprintf(out, "  %s target %s", split, number_of(r, name, target));
    if (row >= 0)
        fprintf(out, " reached at evaluation %" PRId64 " of %" PRId64 ": step %" PRId64 ", %.3f s\n", row + 1,
                r->evaluations, steps[row], score[row]);
    else
        fprintf(out, " %s\n", strcmp(target, "-") != 0 ? "not reached" : "(none)");
    return AP_OK;
}

static void print_verdict(const result *r, FILE *out) {
    char reason[512];
    fprintf(out, "\nVerdict: %s", ap_verdict_names[r->verdict]);
    if (strcmp(text_of(r, "/", "reason", reason), "-") != 0) fprintf(out, " (%s)", reason);
    fprintf(out, "\n");
    if (integer_of(r, "status") > AP_OK)
        fprintf(out, "  class of the failure: %s\n", ap_status_word((ap_status)integer_of(r, "status")));
}

/* ---- the story: evaluations */

static const char *const splits[AP_RECORD_SPLITS] = {"train", "validation", "test"};

/* The columns worth a line of text: the target metric on all splits, and the loss. The others are in the file. */
typedef struct shown_metrics {
    char name[2][64];
    int n;
    double *value[2][AP_RECORD_SPLITS];
} shown_metrics;

static ap_status read_metrics(const result *r, shown_metrics *shown, ap_error *error) {
    char text[512], name[160];
    snprintf(shown->name[shown->n++], sizeof shown->name[0], "%.63s", text_of(r, "/", "target_metric", text));
    if (strcmp(text, "loss") != 0 && ap_h5_exists(r->file, "/evaluations/validation/loss"))
        strcpy(shown->name[shown->n++], "loss");
    for (int m = 0; m < shown->n; m++)
        for (int s = 0; s < AP_RECORD_SPLITS; s++) {
            snprintf(name, sizeof name, "/evaluations/%s/%s", splits[s], shown->name[m]);
            AP_TRY(read_f64(r, name, r->evaluations, &shown->value[m][s], error));
        }
    return AP_OK;
}

enum { METRIC_WIDTH = 12 };

static void print_table(const result *r, FILE *out, const shown_metrics *shown, const int64_t *steps,
                        const double *score) {
    char x[32];
    fprintf(out, "\nEvaluations (time used for scoring)\n  %5s %10s %12s", "", "", "");
    for (int m = 0; m < shown->n; m++) fprintf(out, "%*s", 3 * (METRIC_WIDTH + 1), shown->name[m]);
    fprintf(out, "\n  %5s %10s %12s", "", "step", "time [s]");
    for (int m = 0; m < shown->n; m++)
        for (int s = 0; s < AP_RECORD_SPLITS; s++) fprintf(out, " %*s", METRIC_WIDTH, splits[s]);
    fprintf(out, "\n");
    for (int64_t i = 0; i < r->evaluations; i++) {
        fprintf(out, "  %5" PRId64 " %10" PRId64 " %12.3f", i + 1, steps[i], score[i]);
        for (int m = 0; m < shown->n; m++)
            for (int s = 0; s < AP_RECORD_SPLITS; s++)
                fprintf(out, " %*s", METRIC_WIDTH, number(shown->value[m][s][i], 6, x));
        fprintf(out, "\n");
    }
    if (r->evaluations == 0) fprintf(out, "  none\n");
}

static ap_status print_evaluations(const result *r, FILE *out, ap_error *error) {
    int64_t *steps = NULL;
    double *score = NULL;
    shown_metrics shown = {.n = 0};
    ap_status status = read_i64(r, "/evaluations/global_step", r->evaluations, &steps, error);
    if (status == AP_OK) status = read_f64(r, "/evaluations/score", r->evaluations, &score, error);
    if (status == AP_OK) status = read_metrics(r, &shown, error);
    if (status == AP_OK) status = print_target(r, out, "validation", steps, score, error);
    if (status == AP_OK) status = print_target(r, out, "test", steps, score, error);
    if (status == AP_OK) print_table(r, out, &shown, steps, score);
    for (int m = 0; m < shown.n; m++)
        for (int s = 0; s < AP_RECORD_SPLITS; s++) free(shown.value[m][s]);
    free(steps);
    free(score);
    return status;
}

static ap_status print_steps(const result *r, FILE *out, ap_error *error) {
    double *loss = NULL, *time = NULL;
    char x[32], y[32];
    int64_t n = r->steps;
    ap_status status = read_f64(r, "/steps/loss", n, &loss, error);
    if (status == AP_OK) status = read_f64(r, "/steps/submission_time", n, &time, error);
    if (status == AP_OK) {
        fprintf(out, "\nSteps\n  %-18s %" PRId64 "\n", "last", integer_of(r, "steps"));
        if (n > 0)
            fprintf(out, "  %-18s %s, %s\n", "loss, first, last", number(loss[0], 6, x), number(loss[n - 1], 6, y));
        if (n > 1)
            fprintf(out, "  %-18s %s s of submission time\n", "mean step",
                    number((time[n - 1] - time[0]) / (double)(n - 1), 4, x));
        if (integer_of(r, "steps_dropped") > 0)
            fprintf(out, "  %-18s %" PRId64 " (no room was reserved for them in /steps)\n", "dropped",
                    integer_of(r, "steps_dropped"));
    }
    free(loss);
    free(time);
    return status;
}

/* ---- the story: time */

/* Shares of the sum in tenths of a percent that add up to 1000: rounded down, and the largest remainders get the rest.
 */
static void shares_of(int n, const int64_t *ns, int64_t *tenths) {
    double sum = 0, remainder[AP_BUCKETS] = {0};
    int64_t given = 0;
    for (int i = 0; i < n; i++) sum += (double)ns[i];
    for (int i = 0; i < n; i++) {
        double exact = sum > 0 ? 1000 * (double)ns[i] / sum : 0;
        tenths[i] = (int64_t)exact;
        remainder[i] = exact - (double)tenths[i];
        given += tenths[i];
    }
    for (; sum > 0 && given < 1000; given++) {
        int largest = 0;
        for (int i = 1; i < n; i++)
            if (remainder[i] > remainder[largest]) largest = i;
        tenths[largest]++;
        remainder[largest] = -1;
    }
}

static ap_status print_buckets(const result *r, FILE *out, ap_error *error) {
    char *text;
    AP_TRY(ap_h5_get_text(r->file, "/", "buckets", &text, error));
    json_t *object = json_loads(text, 0, NULL);
    free(text);
    int64_t ns[AP_BUCKETS], tenths[AP_BUCKETS];
    bool known = true;
    for (int i = 0; i < AP_BUCKETS; i++) {
        const json_t *value = json_object_get(object, ap_bucket_names[i]);
        ns[i] = json_integer_value(value);
        if (!json_is_integer(value) || ns[i] < 0) known = false;
    }
    json_decref(object);
    if (!known) return ap_fail(error, AP_DATA, "%s: attribute buckets lacks a bucket or has a negative one", r->path);
    shares_of(AP_BUCKETS, ns, tenths);
    double total_s = 0;
    fprintf(out, "\nTime by bucket\n");
    for (int i = 0; i < AP_BUCKETS; i++) {
        fprintf(out, "  %-18s %12.3f s %5" PRId64 ".%" PRId64 " %%\n", ap_bucket_names[i], ap_clock_s(ns[i]),
                tenths[i] / 10, tenths[i] % 10);
        total_s += ap_clock_s(ns[i]);
    }
    fprintf(out, "  %-18s %12.3f s %5s %%\n", "all", total_s, total_s > 0 ? "100.0" : "0.0");
    fprintf(out, "  %-18s %12" PRId64 "\n", "restarts", integer_of(r, "resumes"));
    return AP_OK;
}

/* ---- the story: provenance and events */

typedef struct provenance_page {
    const result *r;
    FILE *out;
} provenance_page;

static herr_t print_provenance_item(hid_t group, const char *name, const H5A_info_t *info, void *data) {
    (void)group, (void)info;
    const provenance_page *page = data;
    char key[64], text[512];
    snprintf(key, sizeof key, "%s", name);
    ap_clean_text(key);
    fprintf(page->out, "  %-24s %s\n", key, text_of(page->r, "/provenance", name, text));
    return 0;
}

static void print_provenance(const result *r, FILE *out) {
    provenance_page page = {r, out};
    fprintf(out, "\nProvenance (of the last part)\n");
    if (!ap_h5_exists(r->file, "/provenance")) return;
    hid_t group = H5Gopen2(r->file, "/provenance", H5P_DEFAULT);
    if (group < 0) return;
    H5Aiterate2(group, H5_INDEX_NAME, H5_ITER_INC, NULL, print_provenance_item, &page);
    H5Gclose(group);
}

static bool worth_telling(const char *key, const json_t *value) {
    if (!strcmp(key, "event") || !strcmp(key, "time")) return false; /* told first */
    if (json_is_string(value)) return json_string_length(value) > 0;
    return !json_is_object(value) && !json_is_array(value);
}

/* One state change: its scalar members, and of its provenance the host. */
static void print_event(json_t *object, const char *event, FILE *out) {
    const char *time = json_string_value(json_object_get(object, "time")), *key;
    const char *host = json_string_value(json_object_get(json_object_get(object, "provenance"), "host"));
    json_t *value;
    char text[512];
    snprintf(text, sizeof text, "%s %s", time ? time : "-", event);
    size_t length = strlen(text);
    if (strcmp(event, "started") != 0) /* its members are told above */
        json_object_foreach(object, key, value) {
            if (!worth_telling(key, value)) continue;
            char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
            if (shown && length < sizeof text)
                length += (size_t)snprintf(text + length, sizeof text - length, "  %s %s", key, shown);
            free(shown);
        }
    if (host && length < sizeof text) snprintf(text + length, sizeof text - length, "  on %s", host);
    ap_clean_text(text);
    fprintf(out, "  %s\n", text);
}

static void print_events(const result *r, FILE *out) {
    char path[AP_PATH], *text = NULL;
    size_t n;
    const char *slash = strrchr(r->path, '/');
    fprintf(out, "\nEvents (evaluations left out)\n");
    if (ap_path(path, NULL, "%.*sevents.jsonl", slash ? (int)(slash + 1 - r->path) : 0, r->path) != AP_OK ||
        !ap_file_exists(path) || ap_read_file(path, (size_t)1 << 30, &text, &n, NULL) != AP_OK) {
        fprintf(out, "  no events.jsonl beside it that can be read\n");
        return;
    }
    const char *line = text, *end;
    for (; (end = memchr(line, '\n', n - (size_t)(line - text))); line = end + 1) {
        json_t *object = json_loadb(line, (size_t)(end - line), 0, NULL);
        const char *event = json_string_value(json_object_get(object, "event"));
        if (!event)
            fprintf(out, "  (a line that cannot be read)\n");
        else if (strcmp(event, "evaluation") != 0)
            print_event(object, event, out);
        json_decref(object);
    }
    free(text);
}

/* ---- the story */

static ap_status print_result(const result *r, FILE *out, ap_error *error) {
    print_identity(r, out);
    print_verdict(r, out);
    AP_TRY(print_evaluations(r, out, error));
    AP_TRY(print_steps(r, out, error));
    AP_TRY(print_buckets(r, out, error));
    print_provenance(r, out);
    print_events(r, out);
    return AP_OK;
}

ap_status ap_result_print(const char *path, FILE *out, ap_error *error) {
    char file[AP_PATH];
    struct stat info;
    result r;
    if (stat(path, &info)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    AP_TRY(ap_path(file, error, S_ISDIR(info.st_mode) ? "%s/result.h5" : "%s", path));
    if (!ap_file_exists(file))
        return ap_fail(error, AP_DATA, "%s: holds no result.h5; give a trial's folder or its result.h5", path);
    AP_TRY(open_result(file, &r, error));
    ap_status status = print_result(&r, out, error);
    ap_h5_close(r.file);
    if (status == AP_OK && ferror(out)) status = ap_fail_errno(error, AP_IO, "%s: its story cannot be printed", path);
    return status;
}
