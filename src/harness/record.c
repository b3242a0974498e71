#include "harness/record.h"
#include "base/checked.h"
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const ap_verdict_names[AP_VERDICTS] = {
    [AP_VERDICT_RUNNING] = "running",
    [AP_VERDICT_TARGET_REACHED] = "target_reached",
    [AP_VERDICT_BUDGET_SPENT] = "budget_spent",
    [AP_VERDICT_STEP_CAP] = "step_cap",
    [AP_VERDICT_STOPPED] = "stopped",
    [AP_VERDICT_DIVERGED] = "diverged",
    [AP_VERDICT_FAILED] = "failed",
    [AP_VERDICT_CRASHED] = "crashed",
    [AP_VERDICT_CANCELLED] = "cancelled",
    [AP_VERDICT_RULE_VIOLATION] = "rule_violation",
};

static const char *const split_names[AP_RECORD_SPLITS] = {"train", "validation", "test"};

/* Rows go into checkpoints as 64-bit words, so that doubles keep their bits (NaNs too). */
enum { ROW_WORDS = sizeof(ap_eval_row) / 8 };
_Static_assert(sizeof(ap_eval_row) == 8 * (2 + 5 + AP_RECORD_SPLITS * (AP_RECORD_METRICS + 1) + 2),
               "a row is 64-bit words without gaps");

/* What else a checkpoint keeps of the record, in this order. */
enum {
    S_ROW_WORDS,
    S_ROWS,
    S_STEPS,
    S_STEPS_DROPPED,
    S_LAST_STEP,
    S_RESUMES,
    S_BUCKETS,
    STATE = S_BUCKETS + AP_BUCKETS
};

struct ap_record {
    char result_path[AP_PATH], events_path[AP_PATH];
    ap_record_head head;
    json_t *hyperparameters;
    int events; /* file descriptor */
    ap_eval_row *rows;
    int row_count, row_room;
    int64_t *step; /* /steps, three columns */
    double *loss, *step_time;
    int64_t step_count, step_room, steps_dropped, last_step, resumes;
    int64_t bucket_ns[AP_BUCKETS]; /* as of the last evaluation */
    int64_t state[STATE];
    ap_verdict verdict;
    ap_status failure;
    char reason[512];
};

static ap_status no_memory(const ap_record *r, ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for the trial's record", r->result_path);
}

/* ---- JSON */

/* Puts a value that may be NULL (out of memory) under a key; the first failure makes *object NULL. */
static void put(json_t **object, const char *key, json_t *value) {
    if (*object && (!value || json_object_set_new(*object, key, value))) {
        json_decref(*object);
        *object = NULL;
    } else if (!*object) {
        json_decref(value);
    }
}

static void put_integer(json_t **object, const char *key, int64_t value) {
    put(object, key, json_integer(value));
}

/* JSON has no NaN and no infinity. */
static void put_real(json_t **object, const char *key, double value) {
    put(object, key, isfinite(value) ? json_real(value) : json_null());
}

static void put_text(json_t **object, const char *key, const char *text) {
    char *copy = text ? strdup(text) : NULL;
    if (copy) ap_clean_text(copy);
    put(object, key, text ? (copy ? json_string(copy) : NULL) : json_null());
    free(copy);
}

static json_t *event_object(const char *event) {
    char now[24];
    ap_clock_utc(now);
    json_t *line = json_object();
    put_text(&line, "event", event);
    put_text(&line, "time", now);
    return line;
}

static json_t *provenance_object(const ap_provenance *provenance) {
    json_t *object = json_object();
    for (int i = 0; provenance && i < provenance->n; i++)
        put_text(&object, provenance->item[i].key, provenance->item[i].text);
    return object;
}

static json_t *buckets_object(const ap_record *r) {
    json_t *object = json_object();
    for (int i = 0; i < AP_BUCKETS; i++) put_integer(&object, ap_bucket_names[i], r->bucket_ns[i]);
    return object;
}

static json_t *started_object(const ap_record *r) {
    const ap_record_head *h = &r->head;
    json_t *line = event_object("started");
    put_text(&line, "submission", h->submission);
    put_text(&line, "workload", h->workload);
    put_text(&line, "variant", h->variant);
    put_text(&line, "scale", h->scale);
    put_text(&line, "data_set", h->data_set);
    put_text(&line, "ruleset", h->ruleset);
    put_text(&line, "clock", h->clock);
    put_text(&line, "calibration", h->calibration ? h->calibration : "");
    put_integer(&line, "study", h->study);
    put_integer(&line, "trial", h->trial);
    put(&line, "hyperparameters", json_incref(r->hyperparameters));
    put_text(&line, "loss_type", h->loss_type);
    put_text(&line, "target_metric", h->target_metric);
    put_text(&line, "direction", h->direction);
    put_real(&line, "validation_target", h->validation_target);
    put_real(&line, "test_target", h->test_target);
    put_real(&line, "max_runtime_s", h->max_runtime_s);
    put_real(&line, "eval_period_s", h->eval_period_s);
    put_integer(&line, "step_hint", h->step_hint);
    put_integer(&line, "global_batch_size", h->global_batch_size);
    put(&line, "provenance", provenance_object(h->provenance));
    return line;
}

static json_t *evaluation_object(const ap_record *r, const ap_eval_row *row) {
    char key[128], digest[AP_DIGEST_TEXT];
    json_t *line = event_object("evaluation");
    put_integer(&line, "global_step", row->global_step);
    put_real(&line, "accumulated_submission_time", row->accumulated_submission_time);
    put_real(&line, "accumulated_eval_time", row->accumulated_eval_time);
    put_real(&line, "accumulated_logging_time", row->accumulated_logging_time);
    put_real(&line, "total_duration", row->total_duration);
    put_real(&line, "score", row->score);
    put_integer(&line, "preemption_count", row->preemption_count);
    for (int s = 0; s < AP_RECORD_SPLITS; s++) {
        for (int m = 0; m < r->head.metrics; m++) {
            snprintf(key, sizeof key, "%s/%s", split_names[s], r->head.metric_names[m]);
            put_real(&line, key, row->metric[s][m]);
        }
        snprintf(key, sizeof key, "%s/num_examples", split_names[s]);
        put_integer(&line, key, row->num_examples[s]);
    }
    ap_digest_text(row->parameter_digest, digest);
    put_text(&line, "parameter_digest", digest);
    return line;
}

static json_t *finished_object(const ap_record *r) {
    bool failed =
        r->verdict == AP_VERDICT_FAILED || r->verdict == AP_VERDICT_CRASHED || r->verdict == AP_VERDICT_RULE_VIOLATION;
    json_t *line = event_object(failed ? "failed" : "finished");
    put_text(&line, "verdict", ap_verdict_names[r->verdict]);
    put_text(&line, "reason", r->reason);
    put_text(&line, "status", ap_status_word(r->failure));
    put_integer(&line, "global_step", r->last_step);
    put_integer(&line, "evaluations", r->row_count);
    put_integer(&line, "steps_dropped", r->steps_dropped);
    put(&line, "bucket_ns", buckets_object(r));
    return line;
}

/* The object (taken over) as one line; NULL: out of memory. The caller frees. */
static char *line_of(json_t *object) {
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(object);
    if (!text) return NULL;
    size_t n = strlen(text);
    char *line = realloc(text, n + 2);
    if (!line) {
        free(text);
        return NULL;
    }
    memcpy(line + n, "\n", 2);
    return line;
}

/* ---- events.jsonl */

static bool write_line(int fd, const char *line, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, line, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return false;
        line += done, n -= (size_t)done; /* the rest of a short write fails by itself if the disk is full */
    }
    return fdatasync(fd) == 0;
}

/* What a full disk lets through of a line is cut off again. */
static ap_status append(ap_record *r, json_t *object, ap_error *error) {
    char *line = line_of(object);
    if (!line) return no_memory(r, error);
    struct stat before;
    ap_status status = AP_OK;
    if (fstat(r->events, &before)) {
        status = ap_fail_errno(error, AP_IO, "%s: cannot be appended to", r->events_path);
    } else if (!write_line(r->events, line, strlen(line))) {
        status = ap_fail_errno(error, AP_IO, "%s: a line cannot be appended", r->events_path);
        if (ftruncate(r->events, before.st_size)) ap_context(error, "a torn line stays at the end of the log");
    }
    free(line);
    return status;
}

/* What is left of an earlier log, and what was not. */
typedef struct trimmed_log {
    FILE *out;
    bool rows_differ; /* from here on evaluation lines are not the checkpoint's */
    int kept;         /* evaluation lines: the checkpoint's rows 0 .. kept - 1 */
    int64_t dropped, damaged, last_step, resumes;
} trimmed_log;

static void trim_line(const ap_record *r, const char *line, size_t n, trimmed_log *log) {
    json_t *object = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    const char *event = json_string_value(json_object_get(object, "event"));
    bool keep = event != NULL;
    if (!event) {
        log->damaged++;
    } else if (strcmp(event, "finished") == 0 || strcmp(event, "failed") == 0) {
        keep = false; /* the process died before result.h5 had the verdict, or that file was damaged since */
    } else if (strcmp(event, "resumed") == 0) {
        log->resumes++;
    } else if (strcmp(event, "evaluation") == 0) {
        int64_t step = json_integer_value(json_object_get(object, "global_step"));
        if (step > log->last_step) log->last_step = step;
        if (log->kept >= r->row_count || r->rows[log->kept].global_step != step) log->rows_differ = true;
        keep = !log->rows_differ;
        if (keep)
            log->kept++;
        else
            log->dropped++;
    }
    if (keep) {
        fwrite(line, 1, n, log->out);
        fputc('\n', log->out);
    }
    json_decref(object);
}

static ap_status trim_log(const ap_record *r, trimmed_log *log, ap_error *error) {
    char *text;
    size_t n;
    errno = 0;
    ap_status status = ap_read_file(r->events_path, (size_t)1 << 30, &text, &n, error);
    if (status == AP_IO && errno == ENOENT) return AP_OK;
    AP_TRY(status);
    const char *line = text, *end;
    for (; (end = memchr(line, '\n', n - (size_t)(line - text))); line = end + 1)
        trim_line(r, line, (size_t)(end - line), log);
    if (line < text + n) log->damaged++; /* torn: the process died while writing it */
    free(text);
    return AP_OK;
}

static json_t *resumed_object(const ap_record *r, int64_t step, const trimmed_log *log) {
    json_t *line = event_object("resumed");
    put_integer(&line, "global_step", step);
    put_integer(&line, "evaluations", r->row_count);
    put_integer(&line, "resumes", r->resumes);
    put_integer(&line, "dropped_evaluations", log->dropped);
    put_integer(&line, "repeated_steps", log->last_step > step ? log->last_step - step : 0);
    put_integer(&line, "restored_evaluations", r->row_count - log->kept);
    put_integer(&line, "damaged_lines", log->damaged);
    put(&line, "provenance", provenance_object(r->head.provenance));
    return line;
}

static void print_line(json_t *object, FILE *out, bool *failed) {
    char *line = line_of(object);
    if (!line || fputs(line, out) == EOF) *failed = true;
    free(line);
}

/* The log that a resumed trial goes on with: what holds of the old one, the checkpoint's rows that it lacks, and the
 * line "resumed". Replaced as a whole, so that a kill leaves the old or the new one. */
static ap_status resume_log(ap_record *r, int64_t step, ap_error *error) {
    char *text = NULL;
    size_t n = 0;
    bool failed = false;
    trimmed_log log = {.out = open_memstream(&text, &n)};
    if (!log.out) return no_memory(r, error);
    ap_status status = trim_log(r, &log, error);
    r->resumes = (log.resumes > r->resumes ? log.resumes : r->resumes) + 1;
    for (int i = log.kept; i < r->row_count; i++) {
        json_t *line = evaluation_object(r, &r->rows[i]);
        put(&line, "time", json_null()); /* not known any more */
        print_line(line, log.out, &failed);
    }
    print_line(resumed_object(r, step, &log), log.out, &failed);
    if (ferror(log.out)) failed = true;
    if (fclose(log.out)) failed = true;
    if (status == AP_OK && failed) status = no_memory(r, error);
    if (status == AP_OK) status = ap_write_file(r->events_path, text, n, error);
    free(text);
    return status;
}

static ap_status start_log(ap_record *r, ap_error *error) {
    char *line = line_of(started_object(r));
    if (!line) return no_memory(r, error);
    ap_status status = ap_write_file(r->events_path, line, strlen(line), error);
    free(line);
    return status;
}

static ap_status open_log(ap_record *r, const ap_checkpoint *resume, ap_error *error) {
    AP_TRY(resume ? resume_log(r, resume->step, error) : start_log(r, error));
    r->events = open(r->events_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (r->events < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be opened again", r->events_path);
    return AP_OK;
}

/* ---- result.h5 */

typedef struct column {
    const char *name;
    ap_dtype type;
    const char *unit;
    size_t offset; /* in ap_eval_row */
} column;

static const column columns[] = {
    {"global_step", AP_I64, "step", offsetof(ap_eval_row, global_step)},
    {"accumulated_submission_time", AP_F64, "s", offsetof(ap_eval_row, accumulated_submission_time)},
    {"accumulated_eval_time", AP_F64, "s", offsetof(ap_eval_row, accumulated_eval_time)},
    {"accumulated_logging_time", AP_F64, "s", offsetof(ap_eval_row, accumulated_logging_time)},
    {"total_duration", AP_F64, "s", offsetof(ap_eval_row, total_duration)},
    {"score", AP_F64, "s", offsetof(ap_eval_row, score)},
    {"preemption_count", AP_I64, "1", offsetof(ap_eval_row, preemption_count)},
};

/* One member of all rows as a data set; `buffer` has room for them. */
static ap_status write_column(const ap_record *r, hid_t file, const column *c, uint64_t *buffer, ap_error *error) {
    char name[160];
    int64_t n = r->row_count;
    for (int i = 0; i < r->row_count; i++) memcpy(&buffer[i], (const char *)&r->rows[i] + c->offset, 8);
    snprintf(name, sizeof name, "/evaluations/%s", c->name);
    return ap_h5_write(file, name, c->type, 1, &n, buffer, c->unit, error);
}

static ap_status write_split(const ap_record *r, hid_t file, int split, uint64_t *buffer, ap_error *error) {
    char name[128];
    column c = {.name = name, .type = AP_F64, .unit = "1"};
    for (int m = 0; m < r->head.metrics; m++) {
        snprintf(name, sizeof name, "%s/%s", split_names[split], r->head.metric_names[m]);
        c.offset = offsetof(ap_eval_row, metric) + (size_t)(split * AP_RECORD_METRICS + m) * sizeof(double);
        AP_TRY(write_column(r, file, &c, buffer, error));
    }
    snprintf(name, sizeof name, "%s/num_examples", split_names[split]);
    c.type = AP_I64;
    c.unit = "example";
    c.offset = offsetof(ap_eval_row, num_examples) + (size_t)split * sizeof(int64_t);
    return write_column(r, file, &c, buffer, error);
}

static ap_status write_digests(const ap_record *r, hid_t file, ap_error *error) {
    static const char name[] = "/evaluations/parameter_digest";
    size_t n = (size_t)r->row_count;
    char(*text)[AP_DIGEST_TEXT] = malloc((n + 1) * sizeof *text);
    const char **list = malloc((n + 1) * sizeof *list);
    ap_status status = text && list ? AP_OK : no_memory(r, error);
    for (size_t i = 0; status == AP_OK && i < n; i++) {
        ap_digest_text(r->rows[i].parameter_digest, text[i]);
        list[i] = text[i];
    }
    if (status == AP_OK) status = ap_h5_write_text(file, name, (int64_t)n, list, error);
    if (status == AP_OK) status = ap_h5_set_text(file, name, "unit", "xxh3_128 as hexadecimal digits", error);
    free(text);
    free(list);
    return status;
}

static ap_status write_evaluations(const ap_record *r, hid_t file, ap_error *error) {
    uint64_t *buffer = malloc(((size_t)r->row_count + 1) * sizeof *buffer);
    if (!buffer) return no_memory(r, error);
    ap_status status = AP_OK;
    for (size_t i = 0; status == AP_OK && i < sizeof columns / sizeof *columns; i++)
        status = write_column(r, file, &columns[i], buffer, error);
    for (int s = 0; status == AP_OK && s < AP_RECORD_SPLITS; s++) status = write_split(r, file, s, buffer, error);
    free(buffer);
    return status == AP_OK ? write_digests(r, file, error) : status;
}

static ap_status write_steps(const ap_record *r, hid_t file, ap_error *error) {
    const int64_t *n = &r->step_count;
    AP_TRY(ap_h5_write(file, "/steps/global_step", AP_I64, 1, n, r->step, "step", error));
    AP_TRY(ap_h5_write(file, "/steps/loss", AP_F64, 1, n, r->loss, "1", error));
    return ap_h5_write(file, "/steps/submission_time", AP_F64, 1, n, r->step_time, "s", error);
}

static ap_status set_text(const ap_record *r, hid_t file, const char *object, const char *name, const char *text,
                          ap_error *error) {
    char *copy = strdup(text ? text : "");
    if (!copy) return no_memory(r, error);
    ap_clean_text(copy);
    ap_status status = ap_h5_set_text(file, object, name, copy, error);
    free(copy);
    return status;
}

static ap_status write_head(const ap_record *r, hid_t file, ap_error *error) {
    const ap_record_head *h = &r->head;
    const char *const texts[][2] = {
        {"submission", h->submission},
        {"workload", h->workload},
        {"variant", h->variant},
        {"scale", h->scale},
        {"data_set", h->data_set},
        {"ruleset", h->ruleset},
        {"clock", h->clock},
        {"calibration", h->calibration},
        {"hyperparameters", h->hyperparameters},
        {"loss_type", h->loss_type},
        {"target_metric", h->target_metric},
        {"direction", h->direction},
        {"verdict", ap_verdict_names[r->verdict]},
        {"reason", r->reason},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        AP_TRY(set_text(r, file, "/", texts[i][0], texts[i][1], error));
    AP_TRY(ap_h5_set_f64(file, "/", "validation_target", h->validation_target, error));
    AP_TRY(ap_h5_set_f64(file, "/", "test_target", h->test_target, error));
    AP_TRY(ap_h5_set_f64(file, "/", "max_runtime_s", h->max_runtime_s, error));
    AP_TRY(ap_h5_set_f64(file, "/", "eval_period_s", h->eval_period_s, error));
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"format_version", 1},
        {"study", h->study},
        {"trial", h->trial},
        {"step_hint", h->step_hint},
        {"global_batch_size", h->global_batch_size},
        {"steps", r->last_step},
        {"steps_dropped", r->steps_dropped},
        {"resumes", r->resumes},
        {"status", r->failure},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        AP_TRY(ap_h5_set_i64(file, "/", numbers[i].name, numbers[i].value, error));
    char *buckets = line_of(buckets_object(r));
    if (!buckets) return no_memory(r, error);
    buckets[strlen(buckets) - 1] = '\0'; /* the newline */
    ap_status status = ap_h5_set_text(file, "/", "buckets", buckets, error);
    free(buckets);
    return status;
}

static ap_status write_provenance(const ap_record *r, hid_t file, ap_error *error) {
    const ap_provenance *p = r->head.provenance;
    AP_TRY(ap_h5_make_group(file, "/provenance", error));
    for (int i = 0; p && i < p->n; i++)
        AP_TRY(set_text(r, file, "/provenance", p->item[i].key, p->item[i].text, error));
    return AP_OK;
}

static ap_status write_result(const ap_record *r, ap_error *error) {
    ap_h5_writer *writer;
    AP_TRY(ap_h5_create(r->result_path, "result", &writer, error));
    hid_t file = ap_h5_writer_file(writer);
    ap_status status = write_head(r, file, error);
    if (status == AP_OK) status = write_evaluations(r, file, error);
    if (status == AP_OK) status = write_steps(r, file, error);
    if (status == AP_OK) status = write_provenance(r, file, error);
    if (status == AP_OK) return ap_h5_commit(writer, error);
    ap_h5_abandon(writer);
    return status;
}

/* ---- checkpoint and resume */

int ap_record_blobs(ap_record *record, ap_blob *blobs) {
    ap_record *r = record;
    r->state[S_ROW_WORDS] = ROW_WORDS;
    r->state[S_ROWS] = r->row_count;
    r->state[S_STEPS] = r->step_count;
    r->state[S_STEPS_DROPPED] = r->steps_dropped;
    r->state[S_LAST_STEP] = r->last_step;
    r->state[S_RESUMES] = r->resumes;
    memcpy(&r->state[S_BUCKETS], r->bucket_ns, sizeof r->bucket_ns);
    blobs[0] = (ap_blob){.name = "/record/state", .type = AP_I64, .n = STATE, .data = r->state};
    blobs[1] =
        (ap_blob){.name = "/record/rows", .type = AP_U64, .n = (int64_t)r->row_count * ROW_WORDS, .data = r->rows};
    blobs[2] = (ap_blob){.name = "/record/step", .type = AP_I64, .n = r->step_count, .data = r->step};
    blobs[3] = (ap_blob){.name = "/record/loss", .type = AP_F64, .n = r->step_count, .data = r->loss};
    blobs[4] = (ap_blob){.name = "/record/step_time", .type = AP_F64, .n = r->step_count, .data = r->step_time};
    return AP_RECORD_BLOBS;
}

static ap_status reserve_rows(ap_record *r, int more, ap_error *error) {
    if (r->row_count + more <= r->row_room) return AP_OK;
    int room = 2 * r->row_room + more + 64;
    ap_eval_row *rows = realloc(r->rows, (size_t)room * sizeof *rows);
    if (!rows) return no_memory(r, error);
    r->rows = rows;
    r->row_room = room;
    return AP_OK;
}

static ap_status restore_steps(ap_record *r, const ap_checkpoint *from, int64_t n, ap_error *error) {
    void *step, *loss, *time;
    AP_TRY(ap_checkpoint_find(from, "/record/step", AP_I64, n, &step, error));
    AP_TRY(ap_checkpoint_find(from, "/record/loss", AP_F64, n, &loss, error));
    AP_TRY(ap_checkpoint_find(from, "/record/step_time", AP_F64, n, &time, error));
    AP_TRY(ap_record_reserve_steps(r, n, error));
    size_t bytes = (size_t)n * 8;
    memcpy(r->step, step, bytes);
    memcpy(r->loss, loss, bytes);
    memcpy(r->step_time, time, bytes);
    r->step_count = n;
    return AP_OK;
}

static ap_status restore(ap_record *r, const ap_checkpoint *from, ap_error *error) {
    void *state_data, *rows;
    AP_TRY(ap_checkpoint_find(from, "/record/state", AP_I64, STATE, &state_data, error));
    const int64_t *state = state_data;
    int64_t n = state[S_ROWS];
    if (state[S_ROW_WORDS] != ROW_WORDS || n < 0 || n > 1 << 24 || state[S_STEPS] < 0)
        return ap_fail(error, AP_DATA,
                       "%s: its record has %" PRId64 " rows of %" PRId64
                       " words (%d here); resume it with the program version that wrote it",
                       from->path, n, state[S_ROW_WORDS], ROW_WORDS);
    AP_TRY(ap_checkpoint_find(from, "/record/rows", AP_U64, n * ROW_WORDS, &rows, error));
    AP_TRY(reserve_rows(r, (int)n, error));
    memcpy(r->rows, rows, (size_t)n * sizeof *r->rows);
    r->row_count = (int)n;
    r->steps_dropped = state[S_STEPS_DROPPED];
    r->last_step = state[S_LAST_STEP];
    r->resumes = state[S_RESUMES];
    memcpy(r->bucket_ns, &state[S_BUCKETS], sizeof r->bucket_ns);
    return restore_steps(r, from, state[S_STEPS], error);
}

/* ---- life of a record */

static ap_status prepare(ap_record *r, const char *directory, ap_error *error) {
    AP_TRY(ap_path(r->result_path, error, "%s/result.h5", directory));
    AP_TRY(ap_path(r->events_path, error, "%s/events.jsonl", directory));
    if (r->head.metrics < 0 || r->head.metrics > AP_RECORD_METRICS)
        return ap_fail(error, AP_BUG, "%s: %d metrics (at most %d)", r->result_path, r->head.metrics,
                       AP_RECORD_METRICS);
    if (r->head.hyperparameters) r->hyperparameters = json_loads(r->head.hyperparameters, 0, NULL);
    if (!json_is_object(r->hyperparameters))
        return ap_fail(error, AP_BUG, "%s: hyperparameters = %.200s (must be a JSON object)", r->result_path,
                       r->head.hyperparameters ? r->head.hyperparameters : "");
    ap_remove_temps(directory, NULL); /* of earlier holders of the trial's claim, on any host */
    return AP_OK;
}

ap_status ap_record_open(const char *directory, const ap_record_head *head, const ap_checkpoint *resume,
                         ap_record **record, ap_error *error) {
    ap_record *r = calloc(1, sizeof *r);
    if (!r) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for the trial's record", directory);
    r->head = *head;
    r->events = -1;
    ap_status status = prepare(r, directory, error);
    if (status == AP_OK) status = reserve_rows(r, 1, error);
    if (status == AP_OK) status = ap_record_reserve_steps(r, 1, error);
    if (status == AP_OK && resume) status = restore(r, resume, error);
    if (status == AP_OK) status = open_log(r, resume, error);
    if (status == AP_OK) status = write_result(r, error);
    if (status == AP_OK) {
        *record = r;
    } else {
        ap_record_close(r);
    }
    return status;
}

void ap_record_close(ap_record *record) {
    if (!record) return;
    if (record->events >= 0) close(record->events);
    json_decref(record->hyperparameters);
    free(record->rows);
    free(record->step);
    free(record->loss);
    free(record->step_time);
    free(record);
}

/* `array` with room for `room` 8-byte elements; NULL: out of memory, `array` stays as it is. */
static void *grown(void *array, int64_t room) {
    size_t bytes;
    return ap_size_mul((size_t)room, 8, &bytes) ? realloc(array, bytes) : NULL;
}

ap_status ap_record_reserve_steps(ap_record *record, int64_t more, ap_error *error) {
    ap_record *r = record;
    if (more <= r->step_room - r->step_count) return AP_OK;
    int64_t room; /* doubled, so that many small reservations stay cheap */
    if (__builtin_add_overflow(2 * r->step_count, more, &room)) return no_memory(r, error);
    int64_t *step = grown(r->step, room);
    if (step) r->step = step;
    double *loss = grown(r->loss, room);
    if (loss) r->loss = loss;
    double *time = grown(r->step_time, room);
    if (time) r->step_time = time;
    if (!step || !loss || !time) return no_memory(r, error);
    r->step_room = room;
    return AP_OK;
}

void ap_record_step(ap_record *record, int64_t global_step, double loss, double submission_time_s) {
    ap_record *r = record;
    r->last_step = global_step;
    if (r->step_count == r->step_room) {
        r->steps_dropped++;
        return;
    }
    r->step[r->step_count] = global_step;
    r->loss[r->step_count] = loss;
    r->step_time[r->step_count++] = submission_time_s;
}

ap_status ap_record_evaluation(ap_record *record, const ap_eval_row *row, const ap_buckets *buckets, ap_error *error) {
    AP_TRY(reserve_rows(record, 1, error));
    AP_TRY(append(record, evaluation_object(record, row), error));
    record->rows[record->row_count++] = *row;
    if (row->global_step > record->last_step) record->last_step = row->global_step;
    memcpy(record->bucket_ns, buckets->ns, sizeof record->bucket_ns);
    return write_result(record, error);
}

void ap_record_set_failure(ap_record *record, ap_status status) {
    record->failure = status;
}

ap_status ap_record_finish(ap_record *record, ap_verdict verdict, const char *reason, const ap_buckets *buckets,
                           ap_error *error) {
    if (verdict <= AP_VERDICT_RUNNING || verdict >= AP_VERDICTS)
        return ap_fail(error, AP_BUG, "%s: %d is no verdict to end with", record->result_path, (int)verdict);
    record->verdict = verdict;
    snprintf(record->reason, sizeof record->reason, "%s", reason ? reason : "");
    if (verdict == AP_VERDICT_DIVERGED) record->failure = AP_NUMERIC;
    if (verdict == AP_VERDICT_CRASHED) record->failure = AP_ENVIRONMENT;
    if (verdict == AP_VERDICT_RULE_VIOLATION) record->failure = AP_SUBMISSION;
    memcpy(record->bucket_ns, buckets->ns, sizeof record->bucket_ns);
    AP_TRY(append(record, finished_object(record), error));
    return write_result(record, error);
}

ap_status ap_record_event(ap_record *record, const char *event, const char *extra, ap_error *error) {
    json_t *line = event_object(event);
    put_integer(&line, "global_step", record->last_step);
    if (extra) {
        json_t *members = json_loads(extra, 0, NULL);
        if (!json_is_object(members) || (line && json_object_update_missing(line, members))) {
            json_decref(members);
            json_decref(line);
            return ap_fail(error, AP_BUG, "%s: event %s: %.200s is not a JSON object", record->events_path, event,
                           extra);
        }
        json_decref(members);
    }
    return append(record, line, error);
}

int ap_record_rows(const ap_record *record) {
    return record->row_count;
}

const ap_eval_row *ap_record_row(const ap_record *record, int i) {
    return &record->rows[i];
}

int64_t ap_record_resumes(const ap_record *record) {
    return record->resumes;
}
