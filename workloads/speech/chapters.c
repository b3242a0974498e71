#include "workloads/speech/chapters.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FOLDERS = 3 };
static const char *const published_folders[AP_SPLITS][FOLDERS] = {
    {"train-clean-100", "train-clean-360", "train-other-500"}, {"dev-clean", "dev-other"}, {"test-clean"}};
static const char *const small_folders[AP_SPLITS] = {"train", "valid", "test"};
static const char transcript_ending[] = ".trans.txt", sound_ending[] = ".flac";

/* ---- listing */

static int is_wanted(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}
static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}
static bool ends_with(const char *name, const char *ending) {
    const size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}
static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

typedef struct listing {
    struct dirent **entry;
    int n;
} listing;
static void free_listing(listing *l) {
    for (int i = 0; i < l->n; i++) free(l->entry[i]);
    free(l->entry);
}
static ap_status list(const char *path, listing *l, ap_error *error) {
    *l = (listing){0};
    errno = 0;
    const int n = scandir(path, &l->entry, is_wanted, by_bytes);
    if (n < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be listed", path);
    l->n = n;
    return AP_OK;
}

/* ---- the folder's chapters */

static ap_chapter *new_chapter(ap_chapters *c) {
    if (c->count == c->room) {
        const int64_t room = 2 * c->room + 64;
        ap_chapter *grown = realloc(c->chapter, (size_t)room * sizeof *grown);
        if (!grown) return NULL;
        c->chapter = grown, c->room = room;
    }
    return &c->chapter[c->count];
}

/* Sizes and times of its sound and transcript. */
static ap_status measure(ap_chapters *c, ap_chapter *chapter, ap_error *error) {
    listing files;
    ap_status status = list(chapter->path, &files, error);
    for (int i = 0; status == AP_OK && i < files.n; i++) {
        const char *name = files.entry[i]->d_name;
        char path[AP_PATH];
        struct stat info;
        if (!ends_with(name, sound_ending) && !ends_with(name, transcript_ending)) continue;
        status = ap_path(path, error, "%s/%s", chapter->path, name);
        if (status == AP_OK && stat(path, &info)) status = ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
        if (status != AP_OK) break;
        const int64_t size = (int64_t)info.st_size,
                      stamp = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
        chapter->bytes += size;
        if (stamp > chapter->stamp) chapter->stamp = stamp;
        ap_digest_stream_add(c->digest, name, strlen(name) + 1);
        ap_digest_stream_add(c->digest, &size, sizeof size);
    }
    free_listing(&files);
    return status;
}

static ap_status add_chapter(ap_chapters *c, ap_split split, int folder, const char *path, const char *speaker,
                             const char *name, ap_error *error) {
    ap_chapter *chapter = new_chapter(c);
    if (!chapter) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %" PRId64 " chapters", c->count);
    *chapter = (ap_chapter){.split = split, .folder = folder};
    c->count++;
    const char *folder_name = strrchr(path, '/') + 1;
    if (asprintf(&chapter->path, "%s/%s/%s", path, speaker, name) < 0) chapter->path = NULL;
    if (asprintf(&chapter->short_path, "%s/%s/%s", folder_name, speaker, name) < 0) chapter->short_path = NULL;
    if (asprintf(&chapter->prefix, "%s-%s", speaker, name) < 0) chapter->prefix = NULL;
    if (!chapter->path || !chapter->short_path || !chapter->prefix)
        return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    return measure(c, chapter, error);
}

/* The chapters of a folder of speakers. */
static ap_status add_folder(ap_chapters *c, ap_split split, int folder, const char *path, ap_error *error) {
    listing speakers, chapters;
    ap_status status = list(path, &speakers, error);
    for (int s = 0; status == AP_OK && s < speakers.n; s++) {
        char speaker[AP_PATH], chapter[AP_PATH];
        const char *name = speakers.entry[s]->d_name;
        status = ap_path(speaker, error, "%s/%s", path, name);
        if (status != AP_OK || !is_folder(speaker)) continue;
        status = list(speaker, &chapters, error);
        for (int i = 0; status == AP_OK && i < chapters.n; i++) {
            status = ap_path(chapter, error, "%s/%s", speaker, chapters.entry[i]->d_name);
            if (status == AP_OK && is_folder(chapter))
                status = add_chapter(c, split, folder, path, name, chapters.entry[i]->d_name, error);
        }
        free_listing(&chapters);
    }
    free_listing(&speakers);
    return status;
}

static ap_status add_split(ap_chapters *c, const char *from, ap_split split, ap_error *error) {
    const int64_t before = c->count;
    char path[AP_PATH];
    for (int i = 0; i < FOLDERS; i++) {
        const char *name = c->published ? published_folders[split][i] : i ? NULL : small_folders[split];
        if (!name) continue;
        AP_TRY(ap_path(path, error, "%s/%s", from, name));
        if (is_folder(path))
            AP_TRY(add_folder(c, split, i, path, error));
        else
            c->complete = false;
    }
    if (c->count > before) return AP_OK;
    return ap_fail(error, AP_DATA, "%s: has no chapters for %s (folders %s/SPEAKER/CHAPTER are expected)", from,
                   ap_split_names[split], c->published ? published_folders[split][0] : small_folders[split]);
}

static int by_prefix(const void *a, const void *b) {
    return strcmp((*(const ap_chapter *const *)a)->prefix, (*(const ap_chapter *const *)b)->prefix);
}
static ap_status check_twice(const ap_chapters *c, ap_error *error) {
    const ap_chapter **sorted = malloc((size_t)c->count * sizeof *sorted);
    if (!sorted) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (int64_t i = 0; i < c->count; i++) sorted[i] = &c->chapter[i];
    qsort(sorted, (size_t)c->count, sizeof(const ap_chapter *), by_prefix);
    ap_status status = AP_OK;
    for (int64_t i = 1; status == AP_OK && i < c->count; i++)
        if (by_prefix(&sorted[i - 1], &sorted[i]) == 0)
            status = ap_fail(error, AP_DATA, "%s and %s: the same chapter of the same speaker twice (ids are unique)",
                             sorted[i - 1]->path, sorted[i]->path);
    free(sorted);
    return status;
}

ap_status ap_chapters_list(const char *from, ap_chapters *c, ap_error *error) {
    char path[AP_PATH];
    *c = (ap_chapters){.complete = true, .digest = ap_digest_stream_create()};
    if (!c->digest) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (int i = 0; i < FOLDERS; i++) {
        AP_TRY(ap_path(path, error, "%s/%s", from, published_folders[AP_TRAIN][i]));
        c->published = c->published || is_folder(path);
    }
    AP_TRY(ap_path(path, error, "%s/%s", from, small_folders[AP_TRAIN]));
    if (!c->published && !is_folder(path))
        return ap_fail(error, AP_IO,
                       "%s: has neither LibriSpeech's folders (train-clean-100, .., dev-clean, .., test-clean) nor "
                       "train, valid and test",
                       from);
    for (int s = 0; s < AP_SPLITS; s++) AP_TRY(add_split(c, from, (ap_split)s, error));
    return check_twice(c, error);
}

void ap_chapters_free(ap_chapters *c) {
    for (int64_t i = 0; i < c->count; i++)
        free(c->chapter[i].path), free(c->chapter[i].short_path), free(c->chapter[i].prefix);
    free(c->chapter);
    ap_digest_stream_destroy(c->digest);
    *c = (ap_chapters){0};
}

/* ---- a chapter's transcript */

enum { LARGEST = 1 << 26 }; /* bytes */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* A line without its end, taken apart in place. */
static ap_utterance cut_line(char *text, int64_t line) {
    while (is_blank(*text)) text++;
    size_t n = strlen(text);
    while (n && is_blank(text[n - 1])) text[--n] = 0;
    char *space = strchr(text, ' ');
    if (space) *space++ = 0;
    while (space && is_blank(*space)) space++;
    return (ap_utterance){.id = text, .text = space ? space : "", .line = line};
}

/* Binary search among the names of the chapter's sound, "ID.flac". */
static int find_sound(const listing *files, const char *id) {
    char name[300];
    if (snprintf(name, sizeof name, "%s%s", id, sound_ending) >= (int)sizeof name) return -1;
    int low = 0, high = files->n;
    while (low < high) {
        const int middle = low + (high - low) / 2, order = strcmp(files->entry[middle]->d_name, name);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static ap_status make_utterances(ap_transcript *t, const listing *files, size_t bytes, ap_error *error) {
    int64_t lines = 1;
    for (const char *at = t->memory; (at = memchr(at, '\n', bytes - (size_t)(at - t->memory))); at++) lines++;
    bool *heard = calloc((size_t)files->n + 1, sizeof *heard);
    t->utterance = calloc((size_t)(lines + files->n), sizeof *t->utterance);
    if (!heard || !t->utterance) {
        free(heard);
        return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", t->path);
    }
    char *at = t->memory, *const end = t->memory + bytes;
    for (int64_t line = 1; at < end; line++) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        *stop = 0;
        const bool has_nul = memchr(at, 0, (size_t)(stop - at)) != NULL;
        ap_utterance u = cut_line(at, line);
        const int found = find_sound(files, u.id);
        u.has_nul = has_nul;
        u.has_sound = found >= 0;
        if (u.has_sound) heard[found] = true;
        t->utterance[t->count++] = u;
        at = stop + 1;
    }
    char *names = t->memory + bytes + 1;
    for (int i = 0; i < files->n; i++) { /* sound without a line */
        const char *name = files->entry[i]->d_name;
        const size_t n = strlen(name);
        if (!heard[i] && ends_with(name, sound_ending)) {
            memcpy(names, name, n - strlen(sound_ending));
            t->utterance[t->count++] = (ap_utterance){.id = names, .has_sound = true};
            names += n - strlen(sound_ending);
            *names++ = 0;
        }
    }
    free(heard);
    return AP_OK;
}

ap_status ap_transcript_read(const ap_chapter *chapter, ap_transcript *t, ap_error *error) {
    *t = (ap_transcript){0};
    AP_TRY(ap_path(t->path, error, "%s/%s%s", chapter->path, chapter->prefix, transcript_ending));
    listing files;
    size_t bytes = 0, names = 0;
    ap_status status = list(chapter->path, &files, error);
    if (status == AP_OK && ap_file_exists(t->path)) status = ap_read_file(t->path, LARGEST, &t->memory, &bytes, error);
    for (int i = 0; i < files.n; i++) names += strlen(files.entry[i]->d_name) + 1;
    char *grown = status == AP_OK ? realloc(t->memory, bytes + names + 2) : NULL;
    if (status == AP_OK && !grown) status = ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", t->path);
    if (grown) t->memory = grown;
    if (status == AP_OK) status = make_utterances(t, &files, bytes, error);
    free_listing(&files);
    return status;
}

void ap_transcript_free(ap_transcript *t) {
    free(t->utterance);
    free(t->memory);
    *t = (ap_transcript){0};
}

static bool is_id(const char *id, const char *prefix) {
    const size_t n = strlen(prefix);
    if (strncmp(id, prefix, n) != 0 || id[n] != '-' || !id[n + 1]) return false;
    return strspn(id + n + 1, "0123456789") == strlen(id + n + 1);
}

ap_status ap_transcript_check(const ap_chapter *chapter, const ap_transcript *t, int64_t index, ap_error *error) {
    const ap_utterance *u = &t->utterance[index];
    if (!u->line)
        return ap_fail(error, AP_DATA, "%s/%s%s: sound without a transcript: %s has no line for it", chapter->path,
                       u->id, sound_ending, t->path);
    if (u->has_nul) return ap_fail(error, AP_DATA, "%s:%" PRId64 ": has a byte 0 (text is expected)", t->path, u->line);
    if (!*u->id)
        return ap_fail(error, AP_DATA, "%s:%" PRId64 ": is empty (an id and words are expected)", t->path, u->line);
    if (!is_id(u->id, chapter->prefix))
        return ap_fail(error, AP_DATA, "%s:%" PRId64 ": id \"%.80s\" (%s-NUMBER is expected)", t->path, u->line, u->id,
                       chapter->prefix);
    for (int64_t i = 0; i < index; i++)
        if (strcmp(t->utterance[i].id, u->id) == 0)
            return ap_fail(error, AP_DATA, "%s:%" PRId64 ": id %s is that of line %" PRId64 ", too (ids are unique)",
                           t->path, u->line, u->id, t->utterance[i].line);
    if (!u->has_sound)
        return ap_fail(error, AP_DATA, "%s:%" PRId64 ": transcript without sound: %s/%s%s is missing", t->path, u->line,
                       chapter->path, u->id, sound_ending);
    if (!*u->text)
        return ap_fail(error, AP_DATA, "%s:%" PRId64 ": %s has an empty transcript", t->path, u->line, u->id);
    return AP_OK;
}
