/* The published files of byte-pair tokenizers. */
#include "workloads/finewebedu_lm/bpe_table.h"

#include "base/file.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 256 << 20, LONGEST_TOKEN = 4096 };

typedef struct source {
    const char *path;
    ap_bpe *bpe;
    char left[LONGEST_TOKEN], right[LONGEST_TOKEN];
} source;

static ap_status no_memory(const source *s, ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", s->path);
}

/* A merge's side: the token that must be there already. */
static ap_status side(source *s, int64_t number, const char *text, size_t n, int32_t *token, ap_error *error) {
    const int64_t bytes = n < LONGEST_TOKEN ? ap_bpe_unspell(text, n, s->left) : -1;
    *token = bytes > 0 ? ap_bpe_find(s->bpe, s->left, (size_t)bytes) : -1;
    if (*token >= 0) return AP_OK;
    return ap_fail(error, AP_DATA, "%s: merge %" PRId64 " has \"%.*s\", which is no token yet", s->path, number,
                   (int)(n < 64 ? n : 64), text);
}

/* "LEFT RIGHT"; `add`: its result becomes a token, else it must be one. */
static ap_status add_merge(source *s, int64_t number, const char *line, size_t n, bool add, ap_error *error) {
    const char *gap = memchr(line, ' ', n);
    int32_t left, right;
    if (!gap || gap == line || gap + 1 == line + n || memchr(gap + 1, ' ', (size_t)(line + n - gap - 1)))
        return ap_fail(error, AP_DATA, "%s: merge %" PRId64 " is \"%.*s\" (wanted: two tokens with a space between)",
                       s->path, number, (int)(n < 64 ? n : 64), line);
    AP_TRY(side(s, number, line, (size_t)(gap - line), &left, error));
    AP_TRY(side(s, number, gap + 1, (size_t)(line + n - gap - 1), &right, error));
    const int32_t before = s->bpe->tokens, result = ap_bpe_join(s->bpe, left, right);
    if (result < 0) return no_memory(s, error);
    if (!add && result >= before)
        return ap_fail(error, AP_DATA, "%s: merge %" PRId64 ", \"%.*s\", makes a token that the vocabulary lacks",
                       s->path, number, (int)(n < 64 ? n : 64), line);
    return ap_bpe_add_merge(s->bpe, left, right, result) ? AP_OK : no_memory(s, error);
}

/* ---- merges.txt */

static ap_status read_merges(source *s, const char *text, size_t n, ap_error *error) {
    int64_t number = 0;
    if (!ap_bpe_add_bytes(s->bpe)) return no_memory(s, error);
    for (const char *line = text, *end = text + n, *stop; line < end; line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        size_t length = (size_t)(stop - line);
        if (length && line[length - 1] == '\r') length--;
        if (length == 0 || (line == text && *line == '#')) continue;
        AP_TRY(add_merge(s, ++number, line, length, true, error));
    }
    if (number == 0) return ap_fail(error, AP_DATA, "%s: has no merges", s->path);
    s->bpe->end_of_text = ap_bpe_add(s->bpe, AP_BPE_END_OF_TEXT, sizeof AP_BPE_END_OF_TEXT - 1);
    return s->bpe->end_of_text >= 0 ? AP_OK : no_memory(s, error);
}

/* ---- tokenizer.json */

static ap_status refuse(const source *s, ap_error *error, const char *what) {
    return ap_fail(error, AP_DATA, "%s: %s", s->path, what);
}
static bool is_text(const json_t *value, const char *text) {
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}
static bool is_off(const json_t *value) { /* absent, null, false, "" */
    return !value || json_is_null(value) || json_is_false(value) || is_text(value, "");
}

/* What the ids would depend on and this program does not do. */
static ap_status check_kind(const source *s, json_t *root, ap_error *error) {
    json_t *model = json_object_get(root, "model"), *cut = json_object_get(root, "pre_tokenizer");
    json_t *added = json_object_get(root, "added_tokens"), *end = json_array_get(added, 0);
    static const char *const off[] = {
        "dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges", NULL};
    if (!is_text(json_object_get(model, "type"), "BPE")) return refuse(s, error, "model.type must be \"BPE\"");
    for (int i = 0; off[i]; i++)
        if (!is_off(json_object_get(model, off[i])))
            return ap_fail(error, AP_DATA, "%s: model.%s is set; this program has no such step", s->path, off[i]);
    if (!is_off(json_object_get(root, "normalizer"))) return refuse(s, error, "normalizer must be null");
    if (!is_text(json_object_get(cut, "type"), "ByteLevel") || json_is_true(json_object_get(cut, "add_prefix_space")) ||
        json_is_false(json_object_get(cut, "use_regex")))
        return refuse(s, error,
                      "pre_tokenizer must be ByteLevel, with add_prefix_space false and use_regex true, as GPT-2's is");
    if (json_array_size(added) != 1 || !is_text(json_object_get(end, "content"), AP_BPE_END_OF_TEXT) ||
        json_is_true(json_object_get(end, "lstrip")) || json_is_true(json_object_get(end, "rstrip")) ||
        json_is_true(json_object_get(end, "single_word")))
        return refuse(s, error, "added_tokens must be " AP_BPE_END_OF_TEXT " alone, with nothing stripped around it");
    return AP_OK;
}

/* Tokens in the order of their ids, which have no gaps. names: one for each id, borrowed from the JSON. */
static ap_status collect(const source *s, json_t *vocabulary, json_t *end, const char **names, json_int_t size,
                         ap_error *error) {
    const char *name;
    json_t *id;
    const json_int_t last = json_integer_value(json_object_get(end, "id"));
    json_object_foreach(vocabulary, name, id) {
        const json_int_t i = json_integer_value(id);
        if (!json_is_integer(id) || i < 0 || i >= size || names[i])
            return ap_fail(error, AP_DATA,
                           "%s: id of \"%.64s\" in model.vocab (ids must be 0 to %" PRId64 ", each once)", s->path,
                           name, (int64_t)size - 1);
        names[i] = name;
    }
    if (last < 0 || last >= size || (names[last] && strcmp(names[last], AP_BPE_END_OF_TEXT)))
        return ap_fail(error, AP_DATA,
                       "%s: id %" PRId64 " of " AP_BPE_END_OF_TEXT " is another token's or not in 0 to %" PRId64,
                       s->path, (int64_t)last, (int64_t)size - 1);
    names[last] = AP_BPE_END_OF_TEXT;
    s->bpe->end_of_text = (int32_t)last;
    return AP_OK;
}

static ap_status add_tokens(source *s, const char **names, int32_t size, ap_error *error) {
    for (int32_t i = 0; i < size; i++) {
        const size_t n = names[i] ? strlen(names[i]) : 0;
        if (n == 0 || n >= LONGEST_TOKEN)
            return ap_fail(error, AP_DATA, "%s: id %d has no token of 1 to %d bytes", s->path, i, LONGEST_TOKEN - 1);
        const int64_t bytes = i == s->bpe->end_of_text ? -1 : ap_bpe_unspell(names[i], n, s->left);
        /* what is no spelling of bytes, text never becomes */
        const int32_t id = bytes < 0 ? ap_bpe_add(s->bpe, names[i], n) : ap_bpe_add(s->bpe, s->left, (size_t)bytes);
        if (id < 0) return no_memory(s, error);
        if (id != i) return ap_fail(error, AP_DATA, "%s: ids %d and %d are the same token", s->path, id, i);
    }
    return AP_OK;
}

static ap_status add_merges(source *s, json_t *merges, ap_error *error) {
    json_t *entry;
    size_t i;
    if (json_array_size(merges) == 0) return refuse(s, error, "model.merges must be a list of merges");
    json_array_foreach(merges, i, entry) {
        const char *left = json_string_value(json_array_get(entry, 0)),
                   *right = json_string_value(json_array_get(entry, 1));
        const char *line = json_string_value(entry);
        if (json_array_size(entry) == 2 && left && right && strlen(left) + strlen(right) + 2 <= LONGEST_TOKEN) {
            const size_t l = strlen(left), r = strlen(right);
            memcpy(s->right, left, l), s->right[l] = ' ', memcpy(s->right + l + 1, right, r + 1);
            line = s->right;
        }
        if (!line)
            return ap_fail(error, AP_DATA, "%s: merge %zu is neither \"A B\" nor [\"A\", \"B\"]", s->path, i + 1);
        AP_TRY(add_merge(s, (int64_t)i + 1, line, strlen(line), false, error));
    }
    return AP_OK;
}

static ap_status read_json(source *s, const char *text, size_t n, ap_error *error) {
    json_error_t where;
    json_t *root = json_loadb(text, n, 0, &where);
    if (!root) return ap_fail(error, AP_DATA, "%s:%d: %s", s->path, where.line, where.text);
    json_t *model = json_object_get(root, "model"), *vocabulary = json_object_get(model, "vocab");
    json_t *end = json_array_get(json_object_get(root, "added_tokens"), 0);
    const char **names = NULL;
    ap_status status = check_kind(s, root, error);
    const size_t size = json_object_size(vocabulary) + !json_object_get(vocabulary, AP_BPE_END_OF_TEXT);
    if (status == AP_OK && !(names = calloc(size, sizeof *names))) status = no_memory(s, error);
    if (status == AP_OK) status = collect(s, vocabulary, end, names, (json_int_t)size, error);
    if (status == AP_OK) status = add_tokens(s, names, (int32_t)size, error);
    if (status == AP_OK) status = add_merges(s, json_object_get(model, "merges"), error);
    free(names);
    json_decref(root);
    return status;
}

/* ---- both */

static ap_status read_source(source *s, ap_error *error) {
    char *text;
    size_t n;
    AP_TRY(ap_read_file(s->path, LARGEST, &text, &n, error));
    size_t at = 0;
    while (at < n && strchr(" \t\r\n", text[at])) at++;
    ap_status status = at < n && text[at] == '{' ? read_json(s, text, n, error) : read_merges(s, text, n, error);
    free(text);
    if (status != AP_OK) return status;
    status = ap_bpe_finish(s->bpe, error);
    if (status != AP_OK) ap_context(error, "%s", s->path);
    return status;
}

ap_status ap_bpe_load(const char *path, ap_bpe **bpe, ap_error *error) {
    source *s = calloc(1, sizeof *s);
    if (!s) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    s->path = path;
    ap_status status = ap_bpe_create(&s->bpe, error);
    if (status == AP_OK) status = read_source(s, error);
    if (status == AP_OK)
        *bpe = s->bpe;
    else
        ap_bpe_free(s->bpe);
    free(s);
    return status;
}
