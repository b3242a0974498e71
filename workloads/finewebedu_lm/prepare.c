/* algoperf prepare finewebedu_lm: documents in text files -> windows of byte-pair tokens in one packed file.
 *
 * NAME.jsonl and NAME.json have an object a line, whose string `text` is the document; in NAME.txt a line is one. Each
 * plain, .gz or .xz. With files that begin with "train", those are for training, those that begin with "val" for
 * validation and those that begin with "test" for test. Else, as published, a tenth of the documents is drawn for
 * validation: by their text, so that equal ones are on one side. <|endoftext|> follows every document that is not
 * empty; the stream of a split is cut into windows when the parts are joined.
 *
 * A plain file is cut into parts of 32 MiB, a compressed one is one part; where documents are drawn, each makes two. */
#include "workloads/finewebedu_lm/bpe.h"
#include "workloads/finewebedu_lm/finewebedu_lm.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "data/lines.h"

#include <dirent.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LONGEST_DOCUMENT = 16 << 20, TRAINED_ON = 32 << 20, DRAWN_ONE_IN = 10 };

const ap_lm_cut ap_lm_published_cut = {.part_bytes = 32 << 20};

typedef struct file {
    char *path;
    const char *name; /* in path */
    int64_t bytes, stamp;
    ap_split split; /* where there are files for training */
    bool plain, json;
} file;

/* Lines that begin in a range of bytes, [first, last), of a plain file; all of a compressed one. */
typedef struct range {
    int64_t file, first, last;
    ap_split split;
} range;

typedef struct reader {
    char name[AP_FOLDER_NAME], vocabulary[AP_PATH];
    file *files;
    range *ranges;
    int64_t file_count, range_count, room;
    bool drawn;
    ap_bpe *bpe;
} reader;

static void release(void *user) {
    reader *r = user;
    for (int64_t i = 0; i < r->file_count; i++) free(r->files[i].path);
    free(r->files), free(r->ranges);
    ap_bpe_free(r->bpe);
    free(r);
}

static ap_status no_memory(ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "out of memory");
}

/* ---- files */

static bool ends(const char *name, const char *ending) {
    const size_t n = strlen(name), m = strlen(ending);
    return n > m && !strcmp(name + n - m, ending);
}

static bool is_text(const char *name, bool *json) {
    static const char *const endings[] = {".txt", ".txt.gz", ".txt.xz"};
    static const char *const json_endings[] = {".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.xz", ".json.xz"};
    for (size_t i = 0; i < sizeof json_endings / sizeof *json_endings; i++)
        if (ends(name, json_endings[i])) return *json = strcmp(name, "tokenizer.json") && strcmp(name, "vocab.json");
    *json = false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends(name, endings[i])) return strcmp(name, "merges.txt") != 0;
    return false;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const file *)a)->name, ((const file *)b)->name);
}

static ap_status add_file(reader *r, int64_t *room, const char *folder, const char *name, bool json, ap_error *error) {
    if (r->file_count == *room) {
        file *grown = realloc(r->files, (size_t)(2 * *room + 16) * sizeof *grown);
        if (!grown) return no_memory(error);
        r->files = grown, *room = 2 * *room + 16;
    }
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0) return no_memory(error);
    file *f = &r->files[r->file_count++];
    *f = (file){.path = path, .name = strrchr(path, '/') + 1, .plain = ap_lines_is_plain(path), .json = json};
    AP_TRY(ap_prepare_plan_stat(path, &f->bytes, &f->stamp, error));
    return f->bytes ? AP_OK : ap_fail(error, AP_DATA, "%s: is empty; a file needs documents", path);
}

static ap_status list_files(reader *r, const char *folder, ap_error *error) {
    DIR *entries = opendir(folder);
    if (!entries) return ap_fail_errno(error, AP_IO, "%s: cannot be read", folder);
    ap_status status = AP_OK;
    int64_t room = 0;
    bool json;
    for (struct dirent *entry; status == AP_OK && (entry = readdir(entries));)
        if (*entry->d_name != '.' && is_text(entry->d_name, &json))
            status = add_file(r, &room, folder, entry->d_name, json, error);
    closedir(entries);
    if (status != AP_OK) return status;
    if (!r->file_count)
        return ap_fail(error, AP_IO, "%s: has no text (.jsonl, .json or .txt, each also .gz and .xz)", folder);
    qsort(r->files, (size_t)r->file_count, sizeof *r->files, by_name);
    return AP_OK;
}

/* By their names, or all to be drawn from. */
static ap_status find_splits(reader *r, const char *folder, ap_error *error) {
    static const char *const begins[AP_SPLITS] = {"train", "val", "test"};
    int64_t count[AP_SPLITS] = {0}, other = -1;
    for (int64_t i = 0; i < r->file_count; i++) {
        int s = 0;
        while (s < AP_SPLITS && strncasecmp(r->files[i].name, begins[s], strlen(begins[s]))) s++;
        if (s == AP_SPLITS)
            other = i;
        else
            r->files[i].split = (ap_split)s, count[s]++;
    }
    r->drawn = count[AP_TRAIN] == 0;
    if (r->drawn) return AP_OK;
    if (other >= 0)
        return ap_fail(error, AP_DATA, "%s: begins neither with train nor val nor test, as others do",
                       r->files[other].path);
    if (count[AP_VALIDATION]) return AP_OK;
    return ap_fail(error, AP_DATA, "%s: has files for training (train*) and none for validation (val*)", folder);
}

/* ---- parts */

static ap_status add_range(reader *r, range part, int64_t bytes, ap_prepare_plan *plan, ap_error *error) {
    if (r->range_count == r->room) {
        range *grown = realloc(r->ranges, (size_t)(2 * r->room + 64) * sizeof *grown);
        if (!grown) return no_memory(error);
        r->ranges = grown, r->room = 2 * r->room + 64;
    }
    r->ranges[r->range_count++] = part;
    const file *f = &r->files[part.file];
    return ap_prepare_plan_add(plan, part.split, bytes, f->stamp, error,
                               "%s, bytes %" PRId64 " to %" PRId64 ", %s%s, tokens %016" PRIx64, f->name, part.first,
                               part.last - 1, r->drawn ? "drawn for " : "", ap_split_names[part.split],
                               ap_bpe_digest(r->bpe));
}

static ap_status add_ranges(reader *r, int64_t part_bytes, ap_prepare_plan *plan, ap_error *error) {
    for (ap_split split = 0; split < AP_SPLITS; split++)
        for (int64_t i = 0; i < r->file_count; i++) {
            const file *f = &r->files[i];
            const bool in = r->drawn ? split != AP_TEST : f->split == split;
            const int64_t step = f->plain ? part_bytes : f->bytes;
            for (int64_t first = 0; in && first < f->bytes; first += step) {
                const int64_t n = step < f->bytes - first ? step : f->bytes - first;
                AP_TRY(add_range(r, (range){i, first, first + n, split}, n, plan, error));
            }
        }
    return AP_OK;
}

/* ---- documents */

/* A range being read. */
typedef struct passage {
    const reader *reader;
    const file *file;
    range range;
    ap_lines *lines;
    int64_t start, before; /* where its first line begins; lines before that one, -1: not counted yet */
    json_t *object;        /* of the line in work, or NULL */
} passage;

static ap_status open_passage(const reader *r, range part, passage *p, ap_error *error) {
    *p = (passage){.reader = r, .file = &r->files[part.file], .range = part};
    AP_TRY(ap_lines_open(p->file->path, part.first, &p->lines, error));
    ap_lines_allow(p->lines, LONGEST_DOCUMENT);
    p->start = ap_lines_offset(p->lines);
    p->before = p->start ? -1 : 0;
    return AP_OK;
}
static void close_passage(passage *p) {
    ap_lines_close(p->lines);
    json_decref(p->object);
}

static ap_status from_json(passage *p, const char **text, size_t *n, ap_error *error) {
    json_error_t where;
    p->object = json_loadb(*text, *n, JSON_ALLOW_NUL, &where);
    if (!p->object) return ap_fail(error, AP_DATA, "no JSON, by column %d: %s", where.column, where.text);
    const json_t *value = json_object_get(p->object, "text");
    if (!json_is_string(value)) return ap_fail(error, AP_DATA, "no object with a string `text`");
    *text = json_string_value(value), *n = json_string_length(value);
    return AP_OK;
}

static ap_status from_text(const char *text, size_t *n, ap_error *error) {
    const size_t good = ap_utf8_valid(text, *n);
    if (good < *n)
        return ap_fail(error, AP_DATA, "byte %zu, 0x%02x, is not UTF-8", good + 1, (unsigned char)text[good]);
    if (strspn(text, " \t\f\v\r") >= *n) *n = 0;
    return AP_OK;
}

/* Says where; lines before the range are counted only now. */
static void say_where(passage *p, ap_error *error) {
    if (p->before < 0 && ap_lines_before(p->file->path, p->start, &p->before, NULL) != AP_OK) p->before = 0;
    ap_context(error, "%s:%" PRId64, p->file->path, p->before + ap_lines_count(p->lines));
}

/* The next document of the range, valid until the next call; *text NULL: there is none left. AP_DATA with *text: this
 * one is malformed, and the next can be had. */
static ap_status next_document(passage *p, const char **text, size_t *n, ap_error *error) {
    json_decref(p->object);
    p->object = NULL, *text = NULL;
    if (p->file->plain && ap_lines_offset(p->lines) >= p->range.last) return AP_OK;
    ap_status status = ap_lines_next(p->lines, text, n, error);
    if (!*text) return status;
    if (status == AP_OK) status = p->file->json ? from_json(p, text, n, error) : from_text(*text, n, error);
    if (status == AP_DATA) say_where(p, error);
    return status;
}

static bool is_chosen(const passage *p, const char *text, size_t n) {
    if (n == 0) return false;
    const bool validation = ap_digest64(text, n) % DRAWN_ONE_IN == 0;
    return !p->reader->drawn || validation == (p->range.split == AP_VALIDATION);
}

/* ---- the tokenizer */

static ap_status train_on(const reader *r, range part, int64_t *bytes, ap_bpe_trainer *trainer, ap_error *error) {
    passage p;
    const char *text = "";
    size_t n;
    ap_status status = open_passage(r, part, &p, error);
    while (status == AP_OK && *bytes < TRAINED_ON) {
        status = next_document(&p, &text, &n, error);
        if (!text) break;
        if (status == AP_DATA) { /* the part's own reading tells of it */
            *error = (ap_error){0}, status = AP_OK;
        } else if (status == AP_OK && is_chosen(&p, text, n)) {
            status = ap_bpe_trainer_add(trainer, text, n, error);
            *bytes += (int64_t)n;
        }
    }
    close_passage(&p);
    return status;
}

static ap_status train(reader *r, int64_t size, ap_error *error) {
    ap_bpe_trainer *trainer;
    int64_t bytes = 0;
    AP_TRY(ap_bpe_trainer_create(&trainer, error));
    ap_status status = AP_OK;
    for (int64_t i = 0; i < r->file_count && status == AP_OK && bytes < TRAINED_ON; i++)
        if (r->drawn || r->files[i].split == AP_TRAIN)
            status = train_on(r, (range){i, 0, r->files[i].bytes, AP_TRAIN}, &bytes, trainer, error);
    if (status == AP_OK) status = ap_bpe_trainer_finish(trainer, size, &r->bpe, error);
    ap_bpe_trainer_free(trainer);
    snprintf(r->vocabulary, sizeof r->vocabulary, "%" PRId64 " tokens trained on %" PRId64 " bytes", size, bytes);
    return status;
}

static ap_status make_bpe(reader *r, const ap_prepare_options *options, ap_error *error) {
    static const char *const published[] = {"tokenizer.json", "merges.txt", "vocab.bpe"};
    const ap_finewebedu_lm_model *model = options->model;
    char path[AP_PATH] = "";
    for (int i = 0; !options->vocabulary && i < 3 && !*path; i++) {
        AP_TRY(ap_path(path, error, "%s/%s", options->from, published[i]));
        if (!ap_file_exists(path)) *path = 0;
    }
    if (options->vocabulary) AP_TRY(ap_path(path, error, "%s", options->vocabulary));
    if (!*path) return train(r, model->vocab_size, error);
    AP_TRY(ap_bpe_load(path, &r->bpe, error));
    const char *slash = strrchr(path, '/');
    snprintf(r->vocabulary, sizeof r->vocabulary, "tokens of %s", slash ? slash + 1 : path);
    if (ap_bpe_size(r->bpe) <= model->vocab_size) return AP_OK;
    return ap_fail(error, AP_DATA,
                   "%s: %" PRId64 " tokens; the model of this scale has %" PRId64
                   " (vocab_size; --scale names another)",
                   path, ap_bpe_size(r->bpe), model->vocab_size);
}

/* ---- a part */

static ap_status append(const ap_bpe_ids *ids, ap_example *example, ap_part_output *output, ap_error *error) {
    AP_TRY(ap_example_reserve(example, AP_LM_FIELDS, ap_finewebedu_lm_generator.field, &ids->n, error));
    memcpy(example->data[AP_LM_TOKENS], ids->id, (size_t)ids->n * sizeof *ids->id);
    return ap_part_append(output, example, error);
}

static ap_status read_documents(passage *p, ap_bpe_ids *ids, ap_example *example, ap_part_output *output,
                                ap_error *error) {
    ap_bpe *bpe = p->reader->bpe;
    for (;;) {
        const char *text;
        size_t n;
        ap_status status = next_document(p, &text, &n, error);
        if (!text) return status;
        if (status == AP_DATA && p->reader->drawn && p->range.split == AP_VALIDATION) {
            *error = (ap_error){0}; /* counted once, in the range's part for training */
            continue;
        }
        if (status == AP_OK && !is_chosen(p, text, n)) continue;
        ids->n = 0;
        if (status == AP_OK) {
            AP_TRY(ap_bpe_encode(bpe, text, n, ids, error));
            ids->id[ids->n++] = ap_bpe_end_of_text(bpe);
            status = append(ids, example, output, error);
        } else {
            status = ap_part_skip(output, error);
        }
        if (status != AP_OK) return status;
    }
}

static ap_status read_part(void *user, int64_t index, ap_part_output *output, ap_error *error) {
    const reader *r = user;
    passage p;
    ap_bpe_ids ids = {0};
    ap_example example = {0};
    ap_status status = open_passage(r, r->ranges[index], &p, error);
    if (status == AP_OK) status = read_documents(&p, &ids, &example, output, error);
    close_passage(&p);
    free(ids.id);
    ap_example_free(&example);
    return status;
}

/* ---- the plan */

static ap_status describe(const reader *r, ap_prepare_plan *plan, ap_error *error) {
    ap_digest_stream *digest = ap_digest_stream_create();
    if (!digest) return no_memory(error);
    char text[AP_DIGEST_TEXT];
    for (int64_t i = 0; i < r->file_count; i++) {
        ap_digest_stream_add(digest, r->files[i].name, strlen(r->files[i].name) + 1);
        ap_digest_stream_add(digest, &r->files[i].bytes, sizeof r->files[i].bytes);
    }
    ap_digest_text(ap_digest_stream_final(digest), text);
    ap_digest_stream_destroy(digest);
    return ap_prepare_plan_source(
        plan, error, "%" PRId64 " files, %s to %s; xxh3_128=%s of their names and sizes; %s; windows of %" PRId64,
        r->file_count, r->files[0].name, r->files[r->file_count - 1].name, text, r->vocabulary, plan->window);
}

ap_status ap_lm_plan_cut(const ap_prepare_options *options, const ap_lm_cut *cut, ap_prepare_plan *plan,
                         ap_error *error) {
    const ap_finewebedu_lm_model *model = options->model;
    reader *r = calloc(1, sizeof *r);
    if (!r) return no_memory(error);
    *plan = (ap_prepare_plan){
        .data_set = r->name, .reader = r, .read = read_part, .release = release, .window = model->seq_len + 1};
    ap_prepare_folder_name(options->from, "text", r->name);
    if (strcasestr(r->name, "fineweb")) snprintf(r->name, sizeof r->name, "fineweb-edu-10B");
    AP_TRY(list_files(r, options->from, error));
    AP_TRY(find_splits(r, options->from, error));
    AP_TRY(make_bpe(r, options, error));
    plan->vocabulary = ap_bpe_list(r->bpe);
    if (!plan->vocabulary) return no_memory(error);
    AP_TRY(add_ranges(r, cut->part_bytes, plan, error));
    return describe(r, plan, error);
}

ap_status ap_lm_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error) {
    return ap_lm_plan_cut(options, &ap_lm_published_cut, plan, error);
}
