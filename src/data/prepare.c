#include "data/prepare.h"

#include "base/checked.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/seal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A part file: the seal (kind "part"), the examples one behind the other, each as the lengths of its ragged fields
 * (int64) and the bytes of its fields; the texts of the records left out, a line each; the trailer. */
enum { VERSION = 2, BUFFER_BYTES = 1 << 20, WATCH_NS = 50 * 1000 * 1000 };

typedef struct trailer {
    ap_digest key; /* of the part, and of all it depends on */
    int64_t examples, skipped, skipped_bytes, left_out;
    int64_t total[AP_MAX_FIELDS]; /* rows of each ragged field */
} trailer;

struct ap_preparation {
    ap_prepare_target target;
    const ap_prepare_plan *plan;
    const char *data_set;
    ap_digest base;
    char folder[AP_PATH];
};

/* ---- the plan */

static char *format_text(const char *format, va_list args) {
    char *text = NULL;
    return vasprintf(&text, format, args) < 0 ? NULL : text;
}

ap_status ap_prepare_plan_add(ap_prepare_plan *plan, ap_split split, int64_t bytes, int64_t stamp, ap_error *error,
                              const char *format, ...) {
    if (plan->parts && plan->part[plan->parts - 1].split > split)
        return ap_fail(error, AP_BUG, "a part of %s planned after one of a later split", ap_split_names[split]);
    if (plan->parts == plan->room) {
        const int64_t room = plan->room ? 2 * plan->room : 64;
        ap_part *part = realloc(plan->part, (size_t)room * sizeof *part);
        if (!part) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a plan of %" PRId64 " parts", room);
        plan->part = part;
        plan->room = room;
    }
    va_list args;
    va_start(args, format);
    char *name = format_text(format, args);
    va_end(args);
    if (!name) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    plan->part[plan->parts++] = (ap_part){.split = split, .name = name, .bytes = bytes, .stamp = stamp};
    return AP_OK;
}

ap_status ap_prepare_plan_stat(const char *path, int64_t *bytes, int64_t *stamp, ap_error *error) {
    struct stat info;
    if (stat(path, &info)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    *bytes = (int64_t)info.st_size;
    *stamp = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    return AP_OK;
}

void ap_prepare_folder_name(const char *folder, const char *fallback, char name[AP_FOLDER_NAME]) {
    char *whole = realpath(folder, NULL);
    const char *last = whole ? strrchr(whole, '/') : NULL;
    snprintf(name, AP_FOLDER_NAME, "%s", last && last[1] ? last + 1 : fallback);
    free(whole);
}

ap_status ap_prepare_plan_source(ap_prepare_plan *plan, ap_error *error, const char *format, ...) {
    va_list args;
    va_start(args, format);
    free(plan->source);
    plan->source = format_text(format, args);
    va_end(args);
    return plan->source ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
}

void ap_prepare_plan_free(ap_prepare_plan *plan) {
    for (int64_t i = 0; i < plan->parts; i++) free(plan->part[i].name);
    free(plan->part);
    free(plan->source);
    free(plan->vocabulary);
    if (plan->release) plan->release(plan->reader);
    *plan = (ap_prepare_plan){0};
}

/* ---- identity */

static void add_text(ap_digest_stream *digest, const char *text) {
    ap_digest_stream_add(digest, text, strlen(text) + 1);
}

/* Parts that another build of this program made may be wrong: its reader was perhaps another. */
static void add_program(ap_digest_stream *digest) {
    static char buffer[1 << 16];
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0;)
        ap_digest_stream_add(digest, buffer, (size_t)n);
    if (fd >= 0) close(fd);
}

/* What all parts have in common. */
static ap_status make_base(ap_preparation *p, ap_error *error) {
    ap_digest_stream *digest = ap_digest_stream_create();
    if (!digest) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    const int64_t numbers[] = {VERSION, p->target.fields, p->plan->window};
    ap_digest_stream_add(digest, numbers, sizeof numbers);
    add_text(digest, p->target.workload);
    for (int f = 0; f < p->target.fields; f++) {
        const ap_field *field = &p->target.field[f];
        add_text(digest, field->name);
        ap_digest_stream_add(digest, &field->type, sizeof field->type);
        ap_digest_stream_add(digest, field->shape, sizeof field->shape);
    }
    add_program(digest);
    p->base = ap_digest_stream_final(digest);
    ap_digest_stream_destroy(digest);
    return AP_OK;
}

/* A part stands for itself, so that when one input file has been mended the others' parts are still good. */
static void add_part(ap_digest_stream *digest, const ap_preparation *p, const ap_part *part) {
    const int64_t facts[] = {(int64_t)part->split, part->bytes, part->stamp};
    ap_digest_stream_add(digest, facts, sizeof facts);
    add_text(digest, part->name);
    if (part->stamp == 0) add_text(digest, p->plan->source);
}

static ap_status part_key(const ap_preparation *p, int64_t index, ap_digest *key, ap_error *error) {
    ap_digest_stream *digest = ap_digest_stream_create();
    if (!digest) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_digest_stream_add(digest, &p->base, sizeof p->base);
    add_part(digest, p, &p->plan->part[index]);
    *key = ap_digest_stream_final(digest);
    ap_digest_stream_destroy(digest);
    return AP_OK;
}

ap_status ap_preparation_identity(const ap_preparation *p, ap_digest *identity, ap_error *error) {
    ap_digest_stream *digest = ap_digest_stream_create();
    if (!digest) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_digest_stream_add(digest, &p->base, sizeof p->base);
    add_text(digest, p->data_set);
    add_text(digest, p->plan->source);
    if (p->plan->vocabulary) add_text(digest, p->plan->vocabulary);
    for (int64_t i = 0; i < p->plan->parts; i++) add_part(digest, p, &p->plan->part[i]);
    *identity = ap_digest_stream_final(digest);
    ap_digest_stream_destroy(digest);
    return AP_OK;
}

ap_status ap_preparation_open(const ap_prepare_target *target, const ap_prepare_plan *plan, ap_preparation **result,
                              ap_error *error) {
    if (!plan->read || !plan->source || !plan->data_set || plan->parts < 1)
        return ap_fail(error, AP_BUG, "%s: a plan without parts, source, name or reader", target->workload);
    ap_preparation *p = calloc(1, sizeof *p);
    if (!p) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    p->target = *target;
    p->plan = plan;
    p->data_set = target->data_set ? target->data_set : plan->data_set;
    ap_status status = ap_path(p->folder, error, "%s.parts", target->to);
    if (status == AP_OK) status = make_base(p, error);
    if (status == AP_OK)
        *result = p;
    else
        free(p);
    return status;
}

void ap_preparation_close(ap_preparation *p) {
    free(p);
}

/* ---- the beginning */

/* Sources with names and sizes alone do not see a file that was changed in place: its time does. */
static ap_status check_stamps(const ap_preparation *p, ap_error *error) {
    struct stat info;
    if (stat(p->target.to, &info)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", p->target.to);
    const int64_t made = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    for (int64_t i = 0; i < p->plan->parts; i++)
        if (p->plan->part[i].stamp > made)
            return ap_fail(
                error, AP_USAGE,
                "%s exists and is older than its input: \"%s\" was changed since; remove it or choose another "
                "file name",
                p->target.to, p->plan->part[i].name);
    return AP_OK;
}

ap_status ap_preparation_begin(ap_preparation *p, bool *done, ap_error *error) {
    const ap_prepare_target *t = &p->target;
    AP_TRY(ap_packer_find(t->to, t->workload, p->data_set, p->plan->source, t->fields, t->field, done, error));
    if (*done) return check_stamps(p, error);
    char probe[AP_PATH];
    AP_TRY(ap_temp_name(t->to, probe, error)); /* is it a name that a file can have? */
    if (mkdir(p->folder, 0777) && errno != EEXIST)
        return ap_fail_errno(error, AP_IO, "%s: the folder of parts cannot be made", p->folder);
    ap_remove_stale_temps(p->folder);
    return AP_OK;
}

/* ---- making a part */

struct ap_part_output {
    const ap_preparation *p;
    const ap_part *part;
    FILE *file;
    ap_digest_stream *digest;
    trailer trailer;
    int64_t bytes, read; /* written behind the seal; of input, as the reader tells */
    char *skipped;       /* texts */
    size_t skipped_room;
    ap_prepare_watch *watch;
    void *user;
    int64_t watched_ns;
    char path[AP_PATH], temp[AP_PATH];
};

static ap_status put(ap_part_output *o, const void *bytes, size_t n, ap_error *error) {
    errno = 0;
    if (n && fwrite(bytes, 1, n, o->file) != n) {
        errno = errno ? errno : EIO;
        return ap_fail_errno(error, AP_IO, "%s: cannot be written", o->path);
    }
    ap_digest_stream_add(o->digest, bytes, n);
    o->bytes += (int64_t)n;
    return AP_OK;
}

void ap_part_count(ap_part_output *o, int64_t bytes) {
    o->read += bytes;
}

ap_status ap_part_append(ap_part_output *o, const ap_example *example, ap_error *error) {
    const ap_prepare_target *t = &o->p->target;
    size_t bytes;
    for (int f = 0; f < t->fields; f++) {
        if (!ap_field_is_ragged(&t->field[f])) continue;
        o->trailer.total[f] += example->length[f];
        AP_TRY(put(o, &example->length[f], sizeof example->length[f], error));
    }
    for (int f = 0; f < t->fields; f++) {
        if (!ap_field_bytes(&t->field[f], example->length[f], &bytes))
            return ap_fail(error, AP_BUG, "%s: field %s of absurd length", o->part->name, t->field[f].name);
        AP_TRY(put(o, example->data[f], bytes, error));
    }
    o->trailer.examples++;
    const int64_t now = o->watch ? ap_clock_ns() : 0;
    if (now - o->watched_ns < WATCH_NS) return AP_OK;
    o->watched_ns = now;
    return o->watch(o->user, o->trailer.examples, error);
}

ap_status ap_part_skip(ap_part_output *o, ap_error *error) {
    if (!error || error->status != AP_DATA) return error ? error->status : AP_BUG;
    const int64_t allowed = o->p->target.skip_bad;
    if (o->trailer.skipped >= allowed) {
        if (allowed) ap_context(error, "more than %" PRId64 " malformed records (--skip-bad)", allowed);
        return error->status;
    }
    const size_t n = strlen(error->text), used = (size_t)o->trailer.skipped_bytes;
    if (used + n + 1 > o->skipped_room) {
        const size_t room = 2 * (used + n + 1);
        char *text = realloc(o->skipped, room);
        if (!text) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu bytes of messages", room);
        o->skipped = text;
        o->skipped_room = room;
    }
    for (size_t i = 0; i < n; i++) o->skipped[used + i] = error->text[i] == '\n' ? ' ' : error->text[i];
    o->skipped[used + n] = '\n';
    o->trailer.skipped++;
    o->trailer.skipped_bytes += (int64_t)n + 1;
    *error = (ap_error){0};
    return AP_OK;
}

void ap_part_leave_out(ap_part_output *o) {
    o->trailer.left_out++;
}

static ap_status part_path(const ap_preparation *p, int64_t index, char path[AP_PATH], ap_error *error) {
    return ap_path(path, error, "%s/%08" PRId64 ".part", p->folder, index);
}

/* The trailer of part `index` if it is there, whole and of this identity; its content is checked when it is joined. */
static bool find_part(const ap_preparation *p, int64_t index, trailer *found) {
    char path[AP_PATH];
    ap_digest key;
    struct stat info;
    if (part_path(p, index, path, NULL) || part_key(p, index, &key, NULL)) return false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool fine = !ap_seal_check(fd, path, "part", false, NULL, NULL) && !fstat(fd, &info) &&
                info.st_size >= (off_t)(AP_SEAL_BYTES + sizeof *found) &&
                pread(fd, found, sizeof *found, info.st_size - (off_t)sizeof *found) == (ssize_t)sizeof *found &&
                ap_digest_equal(found->key, key);
    close(fd);
    return fine;
}

static ap_status open_output(ap_part_output *o, int64_t index, ap_error *error) {
    char blank[AP_SEAL_BYTES] = {0};
    AP_TRY(part_path(o->p, index, o->path, error));
    AP_TRY(part_key(o->p, index, &o->trailer.key, error));
    AP_TRY(ap_temp_name(o->path, o->temp, error));
    o->digest = ap_digest_stream_create();
    if (!o->digest) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    o->file = fopen(o->temp, "wbe");
    if (!o->file) return ap_fail_errno(error, AP_IO, "%s: cannot be made", o->temp);
    setvbuf(o->file, NULL, _IOFBF, BUFFER_BYTES);
    if (fwrite(blank, 1, sizeof blank, o->file) != sizeof blank)
        return ap_fail_errno(error, AP_IO, "%s: cannot be written", o->temp);
    return AP_OK;
}

static ap_status finish_output(ap_part_output *o, ap_error *error) {
    char seal[AP_SEAL_BYTES];
    AP_TRY(put(o, o->skipped, (size_t)o->trailer.skipped_bytes, error));
    AP_TRY(put(o, &o->trailer, sizeof o->trailer, error));
    ap_seal_make(seal, "part", AP_SEAL_BYTES + o->bytes, ap_digest_stream_final(o->digest));
    errno = 0;
    bool fine = fflush(o->file) == 0 && fseek(o->file, 0, SEEK_SET) == 0 &&
                fwrite(seal, 1, sizeof seal, o->file) == sizeof seal;
    if (fclose(o->file) != 0) fine = false;
    o->file = NULL;
    errno = errno ? errno : EIO;
    if (!fine) return ap_fail_errno(error, AP_IO, "%s: cannot be written", o->path);
    return ap_commit_file(o->temp, o->path, error);
}

ap_status ap_preparation_make(const ap_preparation *p, int64_t index, ap_prepare_watch *watch, void *user,
                              ap_part_result *result, ap_error *error) {
    trailer there;
    *result = (ap_part_result){0};
    if (find_part(p, index, &there)) {
        *result = (ap_part_result){
            .examples = there.examples, .skipped = there.skipped, .left_out = there.left_out, .reused = true};
        return AP_OK;
    }
    ap_part_output *o = calloc(1, sizeof *o);
    if (!o) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    o->p = p, o->part = &p->plan->part[index];
    o->watch = watch, o->user = user;
    ap_status status = open_output(o, index, error);
    if (status == AP_OK) status = p->plan->read(p->plan->reader, index, o, error);
    if (status == AP_OK) status = finish_output(o, error);
    if (status == AP_OK)
        *result = (ap_part_result){.examples = o->trailer.examples,
                                   .skipped = o->trailer.skipped,
                                   .left_out = o->trailer.left_out,
                                   .bytes = o->read ? o->read : o->part->bytes};
    if (o->file) fclose(o->file);
    if (status != AP_OK && *o->temp) ap_abandon_file(o->temp);
    ap_digest_stream_destroy(o->digest);
    free(o->skipped);
    free(o);
    return status;
}

/* ---- joining */

typedef struct join {
    const ap_preparation *p;
    ap_packer *packer;
    trailer *part;                      /* of each */
    ap_example example, window;         /* as a part has it; being filled, where the plan has windows */
    int64_t filled;                     /* rows of window */
    int64_t joined, placed, watched_ns; /* examples in all, in this split */
    ap_prepare_watch *watch;
    void *user;
    char *skipped; /* texts of all parts */
    size_t skipped_bytes;
    int64_t skipped_count;
} join;

/* A part file being read through: its digest is known at the end. */
typedef struct part_input {
    FILE *file;
    ap_digest_stream *digest;
    char path[AP_PATH];
} part_input;

static ap_status get(part_input *in, void *bytes, size_t n, ap_error *error) {
    errno = 0;
    if (n && fread(bytes, 1, n, in->file) != n) {
        if (!ferror(in->file)) return ap_fail(error, AP_DATA, "%s: ends too early", in->path);
        return ap_fail_errno(error, AP_IO, "%s: cannot be read", in->path);
    }
    ap_digest_stream_add(in->digest, bytes, n);
    return AP_OK;
}

/* Adds rows to the split's stream: every window that gets full is an example. */
static ap_status join_rows(join *j, ap_error *error) {
    const ap_field *field = j->p->target.field;
    const int64_t window = j->p->plan->window, length = j->example.length[0];
    size_t row;
    if (!ap_field_bytes(field, 1, &row)) return ap_fail(error, AP_BUG, "a row of absurd size");
    AP_TRY(ap_example_reserve(&j->window, 1, field, &window, error));
    for (int64_t done = 0, n; done < length; done += n) {
        n = length - done < window - j->filled ? length - done : window - j->filled;
        memcpy((char *)j->window.data[0] + (size_t)j->filled * row, (char *)j->example.data[0] + (size_t)done * row,
               (size_t)n * row);
        j->filled += n;
        if (j->filled < window) continue;
        AP_TRY(ap_packer_append(j->packer, &j->window, error));
        j->filled = 0;
    }
    return AP_OK;
}

static ap_status join_example(join *j, part_input *in, ap_error *error) {
    const ap_prepare_target *t = &j->p->target;
    int64_t length[AP_MAX_FIELDS];
    size_t bytes;
    for (int f = 0; f < t->fields; f++) {
        length[f] = 1;
        if (!ap_field_is_ragged(&t->field[f])) continue;
        AP_TRY(get(in, &length[f], sizeof length[f], error));
        if (length[f] < 0) return ap_fail(error, AP_DATA, "%s: a field of negative length", in->path);
    }
    AP_TRY(ap_example_reserve(&j->example, t->fields, t->field, length, error));
    for (int f = 0; f < t->fields; f++) {
        if (!ap_field_bytes(&t->field[f], length[f], &bytes))
            return ap_fail(error, AP_DATA, "%s: a field of absurd length", in->path);
        AP_TRY(get(in, j->example.data[f], bytes, error));
    }
    if (j->p->plan->place) j->p->plan->place(&j->example, j->placed);
    AP_TRY(j->p->plan->window ? join_rows(j, error) : ap_packer_append(j->packer, &j->example, error));
    j->placed++, j->joined++;
    const int64_t now = j->watch ? ap_clock_ns() : 0;
    if (now - j->watched_ns < WATCH_NS) return AP_OK;
    j->watched_ns = now;
    return j->watch(j->user, j->joined, error);
}

static ap_status join_skipped(join *j, part_input *in, const trailer *part, ap_error *error) {
    const size_t n = (size_t)part->skipped_bytes;
    char *text = realloc(j->skipped, j->skipped_bytes + n + 1);
    if (!text) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu bytes of messages", j->skipped_bytes + n);
    j->skipped = text;
    AP_TRY(get(in, text + j->skipped_bytes, n, error));
    j->skipped_bytes += n;
    j->skipped_count += part->skipped;
    text[j->skipped_bytes] = '\0';
    return AP_OK;
}

static ap_status read_part(join *j, part_input *in, int64_t index, ap_error *error) {
    const trailer *part = &j->part[index];
    trailer again;
    ap_digest digest;
    AP_TRY(part_path(j->p, index, in->path, error));
    in->file = fopen(in->path, "rbe");
    if (!in->file) return ap_fail_errno(error, AP_IO, "%s: cannot be opened", in->path);
    setvbuf(in->file, NULL, _IOFBF, BUFFER_BYTES);
    AP_TRY(ap_seal_check(fileno(in->file), in->path, "part", false, &digest, error));
    if (fseek(in->file, AP_SEAL_BYTES, SEEK_SET)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", in->path);
    for (int64_t i = 0; i < part->examples; i++) AP_TRY(join_example(j, in, error));
    AP_TRY(join_skipped(j, in, part, error));
    AP_TRY(get(in, &again, sizeof again, error));
    if (!ap_digest_equal(digest, ap_digest_stream_final(in->digest)))
        return ap_fail(error, AP_DATA, "%s: its content does not fit its digest", in->path);
    return AP_OK;
}

/* A damaged part goes, so that the next call makes it anew. */
static ap_status join_part(join *j, int64_t index, ap_error *error) {
    part_input in = {.digest = ap_digest_stream_create()};
    if (!in.digest) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_status status = read_part(j, &in, index, error);
    if (in.file) fclose(in.file);
    ap_digest_stream_destroy(in.digest);
    if (status == AP_DATA) {
        unlink(in.path);
        ap_context(error, "a damaged part, which was removed; run the same command again");
    }
    return status;
}

static ap_status join_split(join *j, ap_split split, int64_t *next, ap_error *error) {
    const ap_prepare_plan *plan = j->p->plan;
    int64_t count = 0, skipped = 0, left_out = 0, total[AP_MAX_FIELDS] = {0}, end = *next;
    for (; end < plan->parts && plan->part[end].split == split; end++) {
        count += j->part[end].examples, skipped += j->part[end].skipped, left_out += j->part[end].left_out;
        for (int f = 0; f < AP_MAX_FIELDS; f++) total[f] += j->part[end].total[f];
    }
    if (end > *next && count == 0 && skipped + left_out > 0)
        return ap_fail(error, AP_DATA,
                       "%s: no example is left: %" PRId64 " malformed (--skip-bad), %" PRId64 " left out by the "
                       "published rules: the split is empty",
                       ap_split_names[split], skipped, left_out);
    if (plan->window) {
        if (end > *next && total[0] < plan->window)
            return ap_fail(error, AP_DATA, "%s has %" PRId64 " %s in all, an example %" PRId64 ": the split is empty",
                           ap_split_names[split], total[0], j->p->target.field[0].name, plan->window);
        count = total[0] / plan->window, total[0] = count * plan->window;
    }
    AP_TRY(ap_packer_begin(j->packer, split, count, total, error));
    j->placed = j->filled = 0;
    for (; *next < end; ++*next) AP_TRY(join_part(j, *next, error));
    return AP_OK;
}

static ap_status join_all(join *j, ap_error *error) {
    const ap_prepare_target *t = &j->p->target;
    int64_t skipped = 0, left_out = 0, next = 0;
    for (int64_t i = 0; i < j->p->plan->parts; i++) {
        if (!find_part(j->p, i, &j->part[i]))
            return ap_fail(error, AP_IO,
                           "part %" PRId64 " of %" PRId64 " is not in %s, though it was made: is this folder on a file "
                           "system that all ranks share?",
                           i, j->p->plan->parts, j->p->folder);
        skipped += j->part[i].skipped, left_out += j->part[i].left_out;
    }
    if (skipped > t->skip_bad)
        return ap_fail(error, AP_DATA, "%" PRId64 " malformed records in all (--skip-bad %" PRId64 ")", skipped,
                       t->skip_bad);
    AP_TRY(ap_packer_create(t->to, t->workload, j->p->data_set, j->p->plan->source, t->fields, t->field, &j->packer,
                            error));
    if (!j->packer) return AP_OK; /* someone else made it meanwhile */
    if (j->p->plan->vocabulary) AP_TRY(ap_packer_vocabulary(j->packer, j->p->plan->vocabulary, error));
    for (int s = 0; s < AP_SPLITS; s++) AP_TRY(join_split(j, (ap_split)s, &next, error));
    if (j->skipped_count) AP_TRY(ap_packer_skipped(j->packer, j->skipped_count, j->skipped, error));
    if (left_out) AP_TRY(ap_packer_left_out(j->packer, left_out, error));
    ap_packer *packer = j->packer;
    j->packer = NULL;
    return ap_packer_commit(packer, error);
}

static void remove_parts(const ap_preparation *p) {
    char path[AP_PATH];
    DIR *folder = opendir(p->folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        const size_t n = strlen(entry->d_name);
        if (n > 5 && !strcmp(entry->d_name + n - 5, ".part") && !ap_path(path, NULL, "%s/%s", p->folder, entry->d_name))
            unlink(path);
    }
    if (folder) closedir(folder);
    rmdir(p->folder);
}

ap_status ap_preparation_join(ap_preparation *p, ap_prepare_watch *watch, void *user, ap_error *error) {
    join j = {.p = p, .watch = watch, .user = user};
    j.part = calloc((size_t)p->plan->parts, sizeof *j.part);
    ap_status status = j.part ? join_all(&j, error) : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_packer_abandon(j.packer);
    ap_example_free(&j.example);
    ap_example_free(&j.window);
    free(j.part);
    free(j.skipped);
    if (status == AP_OK) remove_parts(p);
    return status;
}

int64_t ap_preparation_leave(const ap_preparation *p) {
    trailer unused;
    int64_t whole = 0;
    for (int64_t i = 0; i < p->plan->parts; i++) whole += find_part(p, i, &unused);
    if (whole == 0) remove_parts(p);
    return whole;
}

/* ---- alone */

static ap_status make_all(ap_preparation *p, ap_error *error) {
    ap_part_result result;
    for (int64_t i = 0; i < p->plan->parts; i++) AP_TRY(ap_preparation_make(p, i, NULL, NULL, &result, error));
    return ap_preparation_join(p, NULL, NULL, error);
}

ap_status ap_prepare_alone(const ap_prepare_target *target, const ap_prepare_plan *plan, ap_error *error) {
    ap_preparation *p;
    bool done;
    AP_TRY(ap_preparation_open(target, plan, &p, error));
    ap_status status = ap_preparation_begin(p, &done, error);
    if (status == AP_OK && !done) {
        status = make_all(p, error);
        if (status != AP_OK) ap_preparation_leave(p);
    }
    ap_preparation_close(p);
    return status;
}
