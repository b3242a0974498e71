#include "harness/checkpoint.h"
#include "base/checked.h"
#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* /blobs/name, /blobs/type: the blobs in the order they were given; each is a data set of its own. */
static const char kind[] = "checkpoint", names_set[] = "/blobs/name", types_set[] = "/blobs/type";

/* A file is built in memory unless its arrays are larger than this: then memory must not hold them three times. */
static const size_t large_bytes = (size_t)64 << 20;

/* ---- the files of a folder */

static const int64_t last_step = 999999999999; /* 12 digits */

/* The step in checkpoint_<12 digits>.h5, or -1. */
static int64_t step_of_name(const char *name) {
    static const char digits[] = "0123456789";
    const char *number = name + strlen("checkpoint_");
    if (strncmp(name, "checkpoint_", strlen("checkpoint_")) != 0) return -1;
    if (strspn(number, digits) != 12 || strcmp(number + 12, ".h5") != 0) return -1;
    return strtoll(number, NULL, 10);
}

static int newest_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Steps of the checkpoints in `directory`, newest first; *steps is malloc'ed. No folder is no checkpoints. */
static ap_status list_steps(const char *directory, int64_t **steps, int *n, ap_error *error) {
    *steps = NULL;
    *n = 0;
    DIR *folder = opendir(directory);
    if (!folder && errno == ENOENT) return AP_OK;
    if (!folder) return ap_fail_errno(error, AP_IO, "%s: the folder of checkpoints cannot be read", directory);
    for (struct dirent *entry; errno = 0, (entry = readdir(folder));) {
        int64_t step = step_of_name(entry->d_name);
        if (step < 0) continue;
        int64_t *more = realloc(*steps, ((size_t)*n + 1) * sizeof *more);
        if (!more) {
            closedir(folder);
            free(*steps);
            return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory for the list of checkpoints", directory);
        }
        *steps = more;
        more[(*n)++] = step;
    }
    int why = errno; /* of the last readdir: half a list must not make a trial start anew */
    closedir(folder);
    errno = why;
    if (why) {
        free(*steps);
        return ap_fail_errno(error, AP_IO, "%s: the folder of checkpoints cannot be listed", directory);
    }
    if (*n) qsort(*steps, (size_t)*n, sizeof **steps, newest_first);
    return AP_OK;
}

static ap_status path_of(char path[AP_PATH], const char *directory, int64_t step, ap_error *error) {
    return ap_path(path, error, "%s/checkpoint_%012" PRId64 ".h5", directory, step);
}

static ap_status remove_step(const char *directory, int64_t step, ap_error *error) {
    char path[AP_PATH];
    AP_TRY(path_of(path, directory, step, error));
    return unlink(path) && errno != ENOENT ? ap_fail_errno(error, AP_IO, "%s: cannot be removed", path) : AP_OK;
}

int64_t ap_checkpoint_newest(const char *directory) {
    int64_t *steps, newest = -1;
    int n;
    if (list_steps(directory, &steps, &n, NULL) == AP_OK && n > 0) newest = steps[0];
    free(steps);
    return newest;
}

ap_status ap_checkpoint_remove_all(const char *directory, ap_error *error) {
    int64_t *steps;
    int n;
    AP_TRY(list_steps(directory, &steps, &n, error));
    ap_status status = AP_OK;
    /* Oldest first: a kill in between leaves the newer one, which a restart takes. */
    for (int i = n - 1; i >= 0 && status == AP_OK; i--) status = remove_step(directory, steps[i], error);
    free(steps);
    return status;
}

/* Keeps `step` and the one before it. What is newer was damaged or of another history: the trial was resumed from
 * before it. */
static void remove_old(const char *directory, int64_t step) {
    int64_t *steps;
    int n, kept = 0;
    if (list_steps(directory, &steps, &n, NULL) != AP_OK) return;
    for (int i = 0; i < n; i++)
        if (steps[i] > step || kept++ >= 2) remove_step(directory, steps[i], NULL);
    free(steps);
}

/* ---- saving */

static ap_status check_blobs(int n, const ap_blob *blobs, size_t *bytes, ap_error *error) {
    *bytes = 0;
    for (int i = 0; i < n; i++) {
        size_t size;
        if (blobs[i].n < 0 || !ap_size_mul((size_t)blobs[i].n, ap_dtype_size(blobs[i].type), &size) ||
            !ap_size_add(*bytes, size, bytes))
            return ap_fail(error, AP_BUG, "blob %s of a checkpoint has %" PRId64 " elements", blobs[i].name,
                           blobs[i].n);
        if (blobs[i].name[0] != '/' || !memchr(blobs[i].name, '\0', sizeof blobs[i].name))
            return ap_fail(error, AP_BUG, "blob %d of a checkpoint has the name %.160s (an absolute path is needed)", i,
                           blobs[i].name);
    }
    return AP_OK;
}

static ap_status write_index(hid_t file, int n, const ap_blob *blobs, ap_error *error) {
    const char **names = malloc(((size_t)n + 1) * sizeof *names);
    int32_t *types = malloc(((size_t)n + 1) * sizeof *types);
    ap_status status = names && types ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for a checkpoint");
    for (int i = 0; status == AP_OK && i < n; i++) {
        names[i] = blobs[i].name;
        types[i] = (int32_t)blobs[i].type;
    }
    if (status == AP_OK) status = ap_h5_write_text(file, names_set, n, names, error);
    if (status == AP_OK) status = ap_h5_write(file, types_set, AP_I32, 1, &(int64_t){n}, types, NULL, error);
    free(names);
    free(types);
    return status;
}

static ap_status write_all(hid_t file, int64_t step, const char *identity, int n, const ap_blob *blobs,
                           ap_error *error) {
    AP_TRY(ap_h5_set_text(file, "/", "identity", identity, error));
    AP_TRY(ap_h5_set_i64(file, "/", "step", step, error));
    AP_TRY(write_index(file, n, blobs, error));
    for (int i = 0; i < n; i++)
        AP_TRY(ap_h5_write(file, blobs[i].name, blobs[i].type, 1, &blobs[i].n, blobs[i].data, NULL, error));
    return AP_OK;
}

ap_status ap_checkpoint_save(const char *directory, int64_t step, const char *identity, int n, const ap_blob *blobs,
                             ap_error *error) {
    char path[AP_PATH];
    size_t bytes;
    ap_h5_writer *writer;
    if (step < 0 || step > last_step)
        return ap_fail(error, AP_BUG, "a checkpoint of step %" PRId64 " (0 to %" PRId64 " have names)", step,
                       last_step);
    AP_TRY(check_blobs(n, blobs, &bytes, error));
    AP_TRY(path_of(path, directory, step, error));
    AP_TRY(bytes > large_bytes ? ap_h5_create_large(path, kind, &writer, error)
                               : ap_h5_create(path, kind, &writer, error));
    ap_status status = write_all(ap_h5_writer_file(writer), step, identity, n, blobs, error);
    if (status != AP_OK) {
        ap_h5_abandon(writer);
        return status;
    }
    AP_TRY(ap_h5_commit(writer, error));
    remove_old(directory, step);
    return AP_OK;
}

/* ---- loading */

void ap_checkpoint_free(ap_checkpoint *checkpoint) {
    for (int i = 0; i < checkpoint->n; i++) free(checkpoint->blobs[i].data);
    free(checkpoint->blobs);
    *checkpoint = (ap_checkpoint){.step = -1};
}

/* Nothing in a file can be larger than the file: the limit for what is allocated from its shapes. */
static ap_status size_of_file(const char *path, size_t *bytes, ap_error *error) {
    struct stat info;
    if (stat(path, &info)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    *bytes = (size_t)info.st_size;
    return AP_OK;
}

static ap_status read_blobs(hid_t file, size_t limit, char **names, const int32_t *types, int n, ap_checkpoint *c,
                            ap_error *error) {
    c->blobs = calloc((size_t)n + 1, sizeof *c->blobs);
    if (!c->blobs) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", c->path);
    for (int i = 0; i < n; i++) {
        ap_blob *blob = &c->blobs[i];
        if (types[i] < AP_F32 || types[i] > AP_U64 || strlen(names[i]) >= sizeof blob->name)
            return ap_fail(error, AP_DATA, "%s: blob %d has type %d and the name %.40s, which no checkpoint has",
                           c->path, i, types[i], names[i]);
        strcpy(blob->name, names[i]);
        blob->type = (ap_dtype)types[i];
        c->n = i + 1;
        AP_TRY(ap_h5_read(file, blob->name, blob->type, -1, limit, &blob->data, &blob->n, error));
    }
    return AP_OK;
}

static ap_status read_index(hid_t file, size_t limit, ap_checkpoint *c, ap_error *error) {
    int64_t n = 0, types = 0;
    char **names = NULL;
    void *type = NULL;
    ap_status status = ap_h5_read_text(file, names_set, &n, &names, error);
    if (status == AP_OK) status = ap_h5_read(file, types_set, AP_I32, n, limit, &type, &types, error);
    if (status == AP_OK && n > 1 << 20)
        status = ap_fail(error, AP_DATA, "%s: has %" PRId64 " blobs, more than any checkpoint", c->path, n);
    if (status == AP_OK) status = read_blobs(file, limit, names, type, (int)n, c, error);
    ap_h5_free_text(n, names);
    free(type);
    return status;
}

static ap_status check_identity(hid_t file, const char *identity, const ap_checkpoint *c, ap_error *error) {
    char *found;
    AP_TRY(ap_h5_get_text(file, "/", "identity", &found, error));
    ap_status status = AP_OK;
    if (strcmp(found, identity) != 0)
        status = ap_fail(error, AP_CONFIG,
                         "%s: is a checkpoint of \"%.300s\", the trial here is \"%.300s\"; give the job another "
                         "results folder, or remove this trial's folder to start it anew",
                         c->path, found, identity);
    free(found);
    return status;
}

static ap_status read_file(hid_t file, const char *identity, ap_checkpoint *c, ap_error *error) {
    int64_t step;
    size_t limit = 0;
    AP_TRY(check_identity(file, identity, c, error));
    AP_TRY(ap_h5_get_i64(file, "/", "step", &step, error));
    if (step != c->step) return ap_fail(error, AP_DATA, "%s: holds step %" PRId64 "; it was renamed", c->path, step);
    AP_TRY(size_of_file(c->path, &limit, error));
    return read_index(file, limit, c, error);
}

static ap_status load_step(const char *directory, int64_t step, const char *identity, ap_checkpoint *c,
                           ap_error *error) {
    hid_t file;
    *c = (ap_checkpoint){.step = step};
    ap_status status = path_of(c->path, directory, step, error);
    if (status == AP_OK) status = ap_h5_open_sealed(c->path, kind, true, &file, error);
    if (status == AP_OK) {
        status = read_file(file, identity, c, error);
        ap_h5_close(file);
    }
    if (status != AP_OK) ap_checkpoint_free(c);
    return status;
}

static void add_note(char note[AP_ERROR_TEXT], const char *text) {
    size_t length = strlen(note);
    snprintf(note + length, AP_ERROR_TEXT - length, "%s%.300s", length ? "; " : "", text);
}

ap_status ap_checkpoint_load(const char *directory, const char *identity, ap_checkpoint *checkpoint,
                             char note[AP_ERROR_TEXT], ap_error *error) {
    int64_t *steps;
    int n;
    char then[128] = "the trial starts anew";
    *checkpoint = (ap_checkpoint){.step = -1};
    note[0] = '\0';
    AP_TRY(list_steps(directory, &steps, &n, error));
    ap_error damage = {0};
    ap_status status = AP_OK;
    for (int i = 0; i < n; i++) {
        status = load_step(directory, steps[i], identity, checkpoint, &damage);
        if (status != AP_DATA) break;
        add_note(note, damage.text);
        status = AP_OK;
    }
    free(steps);
    if (status != AP_OK) {
        if (error) *error = damage;
        return status;
    }
    if (checkpoint->step >= 0)
        snprintf(then, sizeof then, "the one before, of step %" PRId64 ", is used", checkpoint->step);
    if (note[0]) add_note(note, then);
    return AP_OK;
}

ap_status ap_checkpoint_find(const ap_checkpoint *checkpoint, const char *name, ap_dtype type, int64_t n, void **data,
                             ap_error *error) {
    for (int i = 0; i < checkpoint->n; i++) {
        const ap_blob *blob = &checkpoint->blobs[i];
        if (strcmp(blob->name, name) != 0) continue;
        if (blob->type != type || blob->n != n)
            return ap_fail(error, AP_DATA, "%s: %s has %" PRId64 " x %s, %" PRId64 " x %s is needed", checkpoint->path,
                           name, blob->n, ap_dtype_name(blob->type), n, ap_dtype_name(type));
        *data = blob->data;
        return AP_OK;
    }
    return ap_fail(error, AP_DATA, "%s: %s is not in it", checkpoint->path, name);
}
