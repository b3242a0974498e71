/* algoperf prepare wmt: parallel text, {train,valid,test}.{de,en} (plain, .gz or .xz), a sentence a line -> pairs of
 * token ids in one packed file, with the list of pieces.
 *
 * Every process reads the text once to count lines and, as published, takes the first CORPUS bytes of both sides, pair
 * by pair, to train the pieces on; a part is a run of lines. A file `wmt_sentencepiece_model` in the folder, or the
 * one that --vocabulary names, is used instead. A pair with more than LONGEST tokens on a side is left out, as
 * published. */
#include "workloads/text/pieces.h"
#include "workloads/wmt/wmt.h"

#include "base/file.h"
#include "base/text.h"
#include "data/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_A_PART = 32768, LONGEST = 256, LONGEST_LINE = 1 << 20, CORPUS = 10000000, SMALL = 1024 };
enum { SIDES = 2 };
static const char *const languages[SIDES] = {"de", "en"};
static const char *const names[AP_SPLITS] = {"train", "valid", "test"};

/* A side of the text, from some line on. */
typedef struct text {
    const char *path; /* NULL: not open */
    ap_lines *lines;
    int64_t before; /* lines that were passed over */
} text;

static ap_status open_text(const char *path, int64_t offset, int64_t before, text *t, ap_error *error) {
    *t = (text){.before = before};
    AP_TRY(ap_lines_open(path, offset, &t->lines, error));
    ap_lines_allow(t->lines, LONGEST_LINE);
    t->path = path;
    return AP_OK;
}
static void close_text(text *t) {
    if (t->path) ap_lines_close(t->lines);
}
static int64_t number(const text *t) { /* of lines up to here */
    return t->before + ap_lines_count(t->lines);
}

/* ---- the folder */

typedef struct run { /* a part */
    int split;
    int64_t first, count, offset[SIDES];
} run;

typedef struct reader {
    char path[AP_SPLITS][SIDES][AP_PATH], name[AP_FOLDER_NAME];
    ap_pieces *pieces;
    run *run;
    int64_t runs, room;
    char *corpus;
    int64_t corpus_bytes;
    char source[1024];
} reader;

static void release(void *user) {
    reader *r = user;
    ap_pieces_free(r->pieces);
    free(r->corpus), free(r->run), free(r);
}

static ap_status find_file(const char *folder, int split, int side, char path[AP_PATH], ap_error *error) {
    AP_TRY(ap_path(path, error, "%s/%s.%s", folder, names[split], languages[side]));
    if (ap_file_exists(path)) return AP_OK;
    AP_TRY(ap_path(path, error, "%s/%s.%s.gz", folder, names[split], languages[side]));
    if (ap_file_exists(path)) return AP_OK;
    AP_TRY(ap_path(path, error, "%s/%s.%s.xz", folder, names[split], languages[side]));
    if (ap_file_exists(path)) return AP_OK;
    return ap_fail(
        error, AP_IO,
        "%s/%s.%s: is missing, plain, .gz and .xz; --from must name a folder with {train,valid,test}.{de,en}", folder,
        names[split], languages[side]);
}

static bool add_run(reader *r, int split, const text side[SIDES]) {
    if (r->runs == r->room) {
        r->room = 2 * r->room + 16;
        run *grown = realloc(r->run, (size_t)r->room * sizeof *grown);
        if (!grown) return false;
        r->run = grown;
    }
    r->run[r->runs++] = (run){.split = split,
                              .first = number(&side[0]),
                              .offset = {ap_lines_offset(side[0].lines), ap_lines_offset(side[1].lines)}};
    return true;
}

static void add_to_corpus(reader *r, const char *line, size_t n) {
    if (r->corpus_bytes >= CORPUS || ap_utf8_valid(line, n) < n) return;
    memcpy(r->corpus + r->corpus_bytes, line, n);
    r->corpus_bytes += (int64_t)n;
    r->corpus[r->corpus_bytes++] = '\n';
}

static ap_status unequal(text side[SIDES], ap_error *error) {
    for (int s = 0; s < SIDES; s++) {
        const char *line = "";
        for (size_t n; line;) AP_TRY(ap_lines_skim(side[s].lines, &line, &n, error));
    }
    return ap_fail(error, AP_DATA, "%s has %" PRId64 " lines, %s %" PRId64 " (each is the translation of the other's)",
                   side[0].path, number(&side[0]), side[1].path, number(&side[1]));
}

/* Lines of both sides of a split, together. */
static ap_status scan(reader *r, int split, text side[SIDES], ap_error *error) {
    for (;;) {
        const char *line[SIDES];
        size_t n[SIDES];
        if (number(&side[0]) % LINES_A_PART == 0 && !add_run(r, split, side))
            return ap_fail(error, AP_ENVIRONMENT, "out of memory");
        for (int s = 0; s < SIDES; s++) {
            AP_TRY(ap_lines_skim(side[s].lines, &line[s], &n[s], error));
            if (line[s] && split == AP_TRAIN) add_to_corpus(r, line[s], n[s]);
        }
        if (!line[0] != !line[1]) return unequal(side, error);
        if (!line[0]) break;
        r->run[r->runs - 1].count++;
    }
    if (r->run[r->runs - 1].count == 0) r->runs--;
    if (number(&side[0]) == 0) return ap_fail(error, AP_DATA, "%s: is empty; a split needs sentences", side[0].path);
    for (int s = 0; s < SIDES; s++) {
        char digest[AP_DIGEST_TEXT];
        ap_digest_text(ap_lines_digest(side[s].lines), digest);
        const size_t used = strlen(r->source);
        snprintf(r->source + used, sizeof r->source - used, "%s.%s xxh3_128=%s; ", names[split], languages[s], digest);
    }
    return AP_OK;
}

static ap_status scan_split(reader *r, const char *folder, int split, ap_error *error) {
    text side[SIDES] = {0};
    ap_status status = AP_OK;
    for (int s = 0; s < SIDES && status == AP_OK; s++) {
        status = find_file(folder, split, s, r->path[split][s], error);
        if (status == AP_OK) status = open_text(r->path[split][s], 0, 0, &side[s], error);
    }
    if (status == AP_OK) status = scan(r, split, side, error);
    for (int s = 0; s < SIDES; s++) close_text(&side[s]);
    return status;
}

/* ---- pieces */

static ap_status make_pieces(reader *r, const ap_prepare_options *options, ap_error *error) {
    char path[AP_PATH];
    const size_t used = strlen(r->source);
    if (options->vocabulary)
        AP_TRY(ap_path(path, error, "%s", options->vocabulary));
    else
        AP_TRY(ap_path(path, error, "%s/wmt_sentencepiece_model", options->from));
    if (options->vocabulary || ap_file_exists(path)) {
        const char *slash = strrchr(path, '/');
        snprintf(r->source + used, sizeof r->source - used, "pieces of %s", slash ? slash + 1 : path);
        return ap_pieces_load(path, &r->pieces, error);
    }
    const ap_wmt_model *model = options->model;
    const int64_t vocabulary = r->corpus_bytes >= CORPUS ? model->ntoken : SMALL;
    snprintf(r->source + used, sizeof r->source - used, "up to %" PRId64 " pieces trained on %" PRId64 " bytes",
             vocabulary, r->corpus_bytes);
    return ap_pieces_train(r->corpus, r->corpus_bytes, vocabulary, &r->pieces, error);
}

/* ---- a part */

typedef struct cut {
    int32_t *ids[SIDES];
    int64_t room[SIDES], n[SIDES];
} cut;

static ap_status cut_line(const reader *r, const text *t, const char *line, size_t n, int side, cut *c,
                          ap_error *error) {
    const size_t good = ap_utf8_valid(line, n);
    if (good < n)
        return ap_fail(error, AP_DATA, "%s:%" PRId64 ": byte %zu, 0x%02x, is not UTF-8", t->path, number(t), good + 1,
                       (unsigned char)line[good]);
    c->n[side] = ap_pieces_cut(r->pieces, line, (int64_t)n, &c->ids[side], &c->room[side]);
    return c->n[side] >= 0 ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "%s: SentencePiece failed", t->path);
}

static ap_status append(const cut *c, ap_example *example, ap_part_output *output, ap_error *error) {
    int64_t lengths[SIDES];
    for (int s = 0; s < SIDES; s++) lengths[s] = c->n[s] + 1;
    if (lengths[0] > LONGEST || lengths[1] > LONGEST) {
        ap_part_leave_out(output);
        return AP_OK;
    }
    AP_TRY(ap_example_reserve(example, SIDES, ap_wmt_generator.field, lengths, error));
    for (int s = 0; s < SIDES; s++) {
        int32_t *to = example->data[s];
        memcpy(to, c->ids[s], (size_t)c->n[s] * sizeof *to);
        to[c->n[s]] = AP_WMT_EOS;
    }
    return ap_part_append(output, example, error);
}

/* A line of each side. AP_DATA with both lines: one is too long, and the next pair can be had. */
static ap_status next_pair(text side[SIDES], const char *line[SIDES], size_t n[SIDES], ap_error *error) {
    ap_status status = AP_OK;
    for (int s = 0; s < SIDES; s++) {
        const ap_status got = ap_lines_next(side[s].lines, &line[s], &n[s], status == AP_OK ? error : NULL);
        if (got != AP_OK && line[s] && status == AP_OK)
            ap_context(error, "%s:%" PRId64, side[s].path, number(&side[s]));
        if (got != AP_OK) status = got;
        if (got == AP_OK && !line[s]) return ap_fail(error, AP_DATA, "%s: was changed meanwhile", side[s].path);
    }
    return status;
}

static ap_status read_run(const reader *r, const run *part, text side[SIDES], cut *c, ap_example *example,
                          ap_part_output *output, ap_error *error) {
    for (int64_t i = 0; i < part->count; i++) {
        const char *line[SIDES] = {NULL};
        size_t n[SIDES];
        ap_status status = next_pair(side, line, n, error);
        if (!line[0] || !line[1]) return status;
        for (int s = 0; s < SIDES && status == AP_OK; s++) status = cut_line(r, &side[s], line[s], n[s], s, c, error);
        status = status == AP_OK ? append(c, example, output, error) : ap_part_skip(output, error);
        if (status != AP_OK) return status;
    }
    return AP_OK;
}

static ap_status read_part(void *user, int64_t index, ap_part_output *output, ap_error *error) {
    const reader *r = user;
    const run *part = &r->run[index];
    text side[SIDES] = {0};
    cut c = {0};
    ap_example example = {0};
    ap_status status = AP_OK;
    for (int s = 0; s < SIDES && status == AP_OK; s++)
        status = open_text(r->path[part->split][s], part->offset[s], part->first, &side[s], error);
    if (status == AP_OK) status = read_run(r, part, side, &c, &example, output, error);
    for (int s = 0; s < SIDES; s++) {
        close_text(&side[s]);
        free(c.ids[s]);
    }
    ap_example_free(&example);
    return status;
}

static ap_status plan_runs(reader *r, ap_prepare_plan *plan, ap_error *error) {
    for (int64_t i = 0; i < r->runs; i++) {
        const run *part = &r->run[i], *next = i + 1 < r->runs && part[1].split == part->split ? part + 1 : NULL;
        int64_t bytes = 0;
        for (int s = 0; s < SIDES; s++) bytes += next ? next->offset[s] - part->offset[s] : part->count * 64;
        AP_TRY(ap_prepare_plan_add(plan, (ap_split)part->split, bytes, 0, error, "%s, lines from %" PRId64 " on",
                                   names[part->split], part->first + 1));
    }
    return ap_prepare_plan_source(plan, error, "%s", r->source);
}

ap_status ap_wmt_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error) {
    reader *r = calloc(1, sizeof *r);
    if (!r) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    *plan = (ap_prepare_plan){.data_set = r->name, .reader = r, .read = read_part, .release = release};
    r->corpus = malloc(CORPUS + LONGEST_LINE + 2);
    if (!r->corpus) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    if (!ap_pieces_available()) return ap_pieces_train(NULL, 0, 0, NULL, error); /* says what to install */
    ap_prepare_folder_name(options->from, "wmt", r->name);
    for (int split = 0; split < AP_SPLITS; split++) AP_TRY(scan_split(r, options->from, split, error));
    AP_TRY(make_pieces(r, options, error));
    plan->vocabulary = ap_pieces_list(r->pieces);
    if (!plan->vocabulary) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of pieces");
    return plan_runs(r, plan, error);
}
