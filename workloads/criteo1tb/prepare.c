/* algoperf prepare criteo1tb: days of Criteo's terabyte of clicks, or a small set of the same columns -> rows in one
 * packed file.
 *
 * Days: day_D_SS, the published pieces of 5,000,000 lines, or whole days, day_D; D = 0 to 22 are for training, in their
 * order; of day 23 the pieces 00 to 18, 95,000,000 lines, are for test, the others for validation. A small set:
 * train.tsv, valid.tsv and test.tsv. Each file plain, .gz or .xz.
 *
 * A plain file is cut into parts of 64 MiB; a compressed one can only be read from its beginning and is one part. */
#include "workloads/criteo1tb/criteo1tb.h"

#include "base/digest.h"
#include "base/file.h"
#include "data/lines.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAYS = 24, LAST_DAY = DAYS - 1, PIECES = 36, TEST_PIECES = 19, ENDINGS = 3 };
static const char *const endings[ENDINGS] = {"", ".gz", ".xz"}; /* the first that is there is taken */
static const char *const small[AP_SPLITS] = {"train.tsv", "valid.tsv", "test.tsv"};

const ap_criteo1tb_cut ap_criteo1tb_published_cut = {.part_bytes = 64 << 20, .test_lines = 95000000};

typedef struct file {
    char *path;
    int64_t bytes, stamp;
    bool plain;
} file;

/* Lines of a file that begin in a range of bytes (plain) or are in a range of lines (compressed); last: not in it. */
typedef struct range {
    int64_t file, first, last;
} range;

typedef struct reader {
    char name[AP_FOLDER_NAME];
    ap_criteo1tb_cut cut;
    file *files;
    int64_t file_count, file_room;
    range *ranges;
    int64_t range_count, range_room;
} reader;

static void release(void *user) {
    reader *r = user;
    for (int64_t i = 0; i < r->file_count; i++) free(r->files[i].path);
    free(r->files), free(r->ranges), free(r);
}

/* Room for one more element; NULL: out of memory. */
static void *grow(void *array, int64_t count, int64_t *room, size_t size) {
    if (count < *room) return array;
    void *grown = realloc(array, (size_t)(2 * *room + 64) * size);
    if (grown) *room = 2 * *room + 64;
    return grown;
}

/* ---- files */

/* FOLDER/NAME with the first ending that is there; false: none. */
static bool find_file(const char *folder, const char *name, char path[AP_PATH]) {
    for (int i = 0; i < ENDINGS; i++)
        if (ap_path(path, NULL, "%s/%s%s", folder, name, endings[i]) == AP_OK && ap_file_exists(path)) return true;
    return false;
}

static ap_status add_file(reader *r, const char *path, ap_error *error) {
    file *files = grow(r->files, r->file_count, &r->file_room, sizeof *files);
    char *copy = files ? strdup(path) : NULL;
    if (files) r->files = files;
    if (!copy) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    file *f = &r->files[r->file_count++];
    *f = (file){.path = copy, .plain = ap_lines_is_plain(path)};
    AP_TRY(ap_prepare_plan_stat(path, &f->bytes, &f->stamp, error));
    return f->bytes ? AP_OK : ap_fail(error, AP_DATA, "%s: is empty; a file needs rows", path);
}

/* ---- ranges */

static ap_status add_range(reader *r, ap_prepare_plan *plan, ap_split split, range part, int64_t bytes,
                           ap_error *error) {
    range *ranges = grow(r->ranges, r->range_count, &r->range_room, sizeof *ranges);
    if (!ranges) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    r->ranges = ranges;
    r->ranges[r->range_count++] = part;
    const file *f = &r->files[part.file];
    const char *name = strrchr(f->path, '/') + 1;
    if (f->plain)
        return ap_prepare_plan_add(plan, split, bytes, f->stamp, error, "%s, bytes %" PRId64 " to %" PRId64, name,
                                   part.first, part.last - 1);
    if (part.last == INT64_MAX)
        return ap_prepare_plan_add(plan, split, bytes, f->stamp, error, "%s, lines from %" PRId64 " on", name,
                                   part.first + 1);
    return ap_prepare_plan_add(plan, split, bytes, f->stamp, error, "%s, lines %" PRId64 " to %" PRId64, name,
                               part.first + 1, part.last);
}

/* Bytes [first, last) of a plain file. */
static ap_status add_bytes(reader *r, ap_prepare_plan *plan, ap_split split, int64_t f, int64_t first, int64_t last,
                           ap_error *error) {
    for (int64_t some = r->cut.part_bytes; first < last; first += some) {
        if (some > last - first) some = last - first;
        AP_TRY(add_range(r, plan, split, (range){f, first, first + some}, some, error));
    }
    return AP_OK;
}

static ap_status add_whole(reader *r, ap_prepare_plan *plan, ap_split split, const char *path, ap_error *error) {
    AP_TRY(add_file(r, path, error));
    const int64_t i = r->file_count - 1;
    const file *f = &r->files[i];
    return f->plain ? add_bytes(r, plan, split, i, 0, f->bytes, error)
                    : add_range(r, plan, split, (range){i, 0, INT64_MAX}, f->bytes, error);
}

/* ---- days */

/* The number of the last of the pieces day_D_00, day_D_01, ...; -1: there are none. */
static ap_status find_last_pieces(const char *folder, int last[DAYS], ap_error *error) {
    DIR *entries = opendir(folder);
    if (!entries) return ap_fail_errno(error, AP_IO, "%s: cannot be read", folder);
    for (int day = 0; day < DAYS; day++) last[day] = -1;
    for (struct dirent *entry; (entry = readdir(entries));) {
        int day, piece, end = 0;
        char rest[4] = "";
        if (sscanf(entry->d_name, "day_%2d_%3d%n%3s", &day, &piece, &end, rest) < 2 || day < 0 || day >= DAYS) continue;
        for (int i = 0; i < ENDINGS; i++)
            if (!strcmp(entry->d_name + end, endings[i]) && piece > last[day]) last[day] = piece;
    }
    closedir(entries);
    return AP_OK;
}

/* Pieces first .. last of a day. */
static ap_status add_pieces(reader *r, const char *folder, ap_split split, int day, int first, int last,
                            ap_prepare_plan *plan, ap_error *error) {
    for (int piece = first; piece <= last; piece++) {
        char path[AP_PATH], name[64];
        snprintf(name, sizeof name, "day_%d_%02d", day, piece);
        if (!find_file(folder, name, path))
            return ap_fail(error, AP_IO, "%s/%s: is missing, plain, .gz and .xz (day %d has pieces 00 to %02d)", folder,
                           name, day, last);
        AP_TRY(add_whole(r, plan, split, path, error));
    }
    return AP_OK;
}

static ap_status find_day(const char *folder, int day, char path[AP_PATH], ap_error *error) {
    char name[64];
    snprintf(name, sizeof name, "day_%d", day);
    if (find_file(folder, name, path)) return AP_OK;
    return ap_fail(error, AP_IO,
                   "%s/%s: is missing, whole and in pieces %s_00, %s_01, .., plain, .gz and .xz; --from must name a "
                   "folder with days 0 to %d, or with {train,valid,test}.tsv",
                   folder, name, name, name, LAST_DAY);
}

/* Offset of line number `lines` of a plain file, from 0; its size if it has no more. */
static ap_status find_line(const file *f, int64_t lines, int64_t *offset, ap_error *error) {
    ap_lines *l;
    const char *line = "";
    size_t n;
    AP_TRY(ap_lines_open(f->path, 0, &l, error));
    ap_status status = AP_OK;
    while (status == AP_OK && line && ap_lines_count(l) < lines) status = ap_lines_skim(l, &line, &n, error);
    *offset = ap_lines_offset(l);
    ap_lines_close(l);
    return status;
}

static ap_status no_validation(const reader *r, const file *f, ap_error *error) {
    return ap_fail(error, AP_DATA,
                   "%s: has no more than %" PRId64 " lines, which are the test split; validation, what is behind them, "
                   "would be empty",
                   f->path, r->cut.test_lines);
}

/* Day 23 in one file: validation is what is behind the lines for test. */
static ap_status add_last_day(reader *r, const char *folder, ap_prepare_plan *plan, ap_error *error) {
    char path[AP_PATH];
    AP_TRY(find_day(folder, LAST_DAY, path, error));
    AP_TRY(add_file(r, path, error));
    const int64_t i = r->file_count - 1, lines = r->cut.test_lines;
    const file *f = &r->files[i];
    if (!f->plain) {
        AP_TRY(add_range(r, plan, AP_VALIDATION, (range){i, lines, INT64_MAX}, f->bytes / 2, error));
        return add_range(r, plan, AP_TEST, (range){i, 0, lines}, f->bytes - f->bytes / 2, error);
    }
    int64_t middle;
    AP_TRY(find_line(f, lines, &middle, error));
    if (middle == f->bytes) return no_validation(r, f, error);
    AP_TRY(add_bytes(r, plan, AP_VALIDATION, i, middle, f->bytes, error));
    return add_bytes(r, plan, AP_TEST, i, 0, middle, error);
}

static ap_status add_days(reader *r, const char *folder, ap_prepare_plan *plan, ap_error *error) {
    char path[AP_PATH];
    int last[DAYS];
    AP_TRY(find_last_pieces(folder, last, error));
    for (int day = 0; day < LAST_DAY; day++) {
        if (last[day] >= 0) {
            AP_TRY(add_pieces(r, folder, AP_TRAIN, day, 0, last[day], plan, error));
            continue;
        }
        AP_TRY(find_day(folder, day, path, error));
        AP_TRY(add_whole(r, plan, AP_TRAIN, path, error));
    }
    if (last[LAST_DAY] < 0) return add_last_day(r, folder, plan, error);
    if (last[LAST_DAY] >= PIECES)
        return ap_fail(error, AP_DATA, "%s/day_%d_%02d: one piece too many (day %d has %d, 00 to %d)", folder, LAST_DAY,
                       last[LAST_DAY], LAST_DAY, PIECES, PIECES - 1);
    AP_TRY(add_pieces(r, folder, AP_VALIDATION, LAST_DAY, TEST_PIECES, PIECES - 1, plan, error));
    return add_pieces(r, folder, AP_TEST, LAST_DAY, 0, TEST_PIECES - 1, plan, error);
}

static ap_status add_small(reader *r, const char *folder, ap_prepare_plan *plan, ap_error *error) {
    char path[AP_PATH];
    for (int s = 0; s < AP_SPLITS; s++) {
        if (!find_file(folder, small[s], path))
            return ap_fail(error, AP_IO, "%s/%s: is missing, plain, .gz and .xz", folder, small[s]);
        AP_TRY(add_whole(r, plan, (ap_split)s, path, error));
    }
    return AP_OK;
}

static ap_status describe(const reader *r, ap_prepare_plan *plan, ap_error *error) {
    ap_digest_stream *digest = ap_digest_stream_create();
    if (!digest) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    char text[AP_DIGEST_TEXT];
    for (int64_t i = 0; i < r->file_count; i++) {
        const char *name = strrchr(r->files[i].path, '/') + 1;
        ap_digest_stream_add(digest, name, strlen(name) + 1);
        ap_digest_stream_add(digest, &r->files[i].bytes, sizeof r->files[i].bytes);
    }
    ap_digest_text(ap_digest_stream_final(digest), text);
    ap_digest_stream_destroy(digest);
    return ap_prepare_plan_source(plan, error, "%" PRId64 " files, %s to %s; xxh3_128=%s of their names and sizes",
                                  r->file_count, strrchr(r->files[0].path, '/') + 1,
                                  strrchr(r->files[r->file_count - 1].path, '/') + 1, text);
}

/* ---- a part */

/* A range being read. */
typedef struct passage {
    const file *file;
    range range;
    ap_lines *lines;
    int64_t start,
        before; /* of a plain file: where the first line begins, and how many are before it, -1: not counted */
    int64_t rows;
} passage;

/* Says where; lines before the range in a plain file are counted only now. */
static void say_where(passage *p, ap_error *error) {
    if (p->before < 0 && ap_lines_before(p->file->path, p->start, &p->before, NULL) != AP_OK) p->before = 0;
    ap_context(error, "%s:%" PRId64, p->file->path, p->before + ap_lines_count(p->lines));
}

static ap_status read_rows(passage *p, ap_example *example, ap_part_output *output, ap_error *error) {
    const bool plain = p->file->plain;
    const char *line;
    size_t n;
    AP_TRY(ap_example_reserve(example, AP_CRITEO1TB_FIELDS, ap_criteo1tb_generator.field, NULL, error));
    while (!plain && ap_lines_count(p->lines) < p->range.first) {
        AP_TRY(ap_lines_skim(p->lines, &line, &n, error));
        if (!line) return AP_OK;
    }
    while ((plain ? ap_lines_offset(p->lines) : ap_lines_count(p->lines)) < p->range.last) {
        ap_status status = ap_lines_next(p->lines, &line, &n, error);
        if (!line) return status;
        p->rows++;
        if (status == AP_OK)
            status = ap_criteo1tb_row(line, n, example->data[AP_CRITEO1TB_FIELD_INPUTS],
                                      example->data[AP_CRITEO1TB_FIELD_TARGETS], error);
        if (status == AP_DATA) say_where(p, error);
        status = status == AP_OK ? ap_part_append(output, example, error) : ap_part_skip(output, error);
        if (status != AP_OK) return status;
    }
    return AP_OK;
}

static ap_status read_part(void *user, int64_t index, ap_part_output *output, ap_error *error) {
    const reader *r = user;
    const range *part = &r->ranges[index];
    passage p = {.file = &r->files[part->file], .range = *part};
    ap_example example = {0};
    AP_TRY(ap_lines_open(p.file->path, p.file->plain ? part->first : 0, &p.lines, error));
    p.start = ap_lines_offset(p.lines);
    p.before = p.start ? -1 : 0;
    ap_status status = read_rows(&p, &example, output, error);
    ap_lines_close(p.lines);
    ap_example_free(&example);
    if (status != AP_OK || p.file->plain || p.rows) return status;
    return part->first ? no_validation(r, p.file, error)
                       : ap_fail(error, AP_DATA, "%s: is empty; a file needs rows", p.file->path);
}

ap_status ap_criteo1tb_plan_cut(const ap_prepare_options *options, const ap_criteo1tb_cut *cut, ap_prepare_plan *plan,
                                ap_error *error) {
    char path[AP_PATH];
    reader *r = calloc(1, sizeof *r);
    if (!r) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    *plan = (ap_prepare_plan){.data_set = r->name, .reader = r, .read = read_part, .release = release};
    r->cut = *cut;
    if (find_file(options->from, small[AP_TRAIN], path)) {
        ap_prepare_folder_name(options->from, "clicks", r->name);
        AP_TRY(add_small(r, options->from, plan, error));
    } else {
        snprintf(r->name, sizeof r->name, "criteo1tb");
        AP_TRY(add_days(r, options->from, plan, error));
    }
    return describe(r, plan, error);
}

ap_status ap_criteo1tb_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error) {
    return ap_criteo1tb_plan_cut(options, &ap_criteo1tb_published_cut, plan, error);
}
