/* algoperf prepare fastmri: a folder of volumes for each split -> slices in one packed file. */
#include "workloads/fastmri/fastmri.h"
#include "workloads/fastmri/volume.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which files */

typedef struct file_list {
    char **path;
    int64_t n;
} file_list;

static void free_list(file_list *list) {
    for (int64_t i = 0; i < list->n; i++) free(list->path[i]);
    free(list->path);
    *list = (file_list){0};
}

static bool ends_with(const char *name, const char *end) {
    const size_t n = strlen(name), m = strlen(end);
    return n > m && *name != '.' && !strcmp(name + n - m, end);
}
static int is_hdf5(const struct dirent *entry) {
    return ends_with(entry->d_name, ".h5");
}
static int is_nifti(const struct dirent *entry) {
    return ends_with(entry->d_name, ".nii") || ends_with(entry->d_name, ".nii.gz");
}
static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Sorted by name, byte by byte. */
static ap_status list_folder(const char *folder, int (*wanted)(const struct dirent *), const char *what,
                             file_list *list, ap_error *error) {
    struct dirent **entry = NULL;
    char path[AP_PATH];
    errno = 0;
    const int n = scandir(folder, &entry, wanted, by_bytes);
    if (n < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be listed", folder);
    ap_status status = n ? AP_OK : ap_fail(error, AP_IO, "%s: has no %s files", folder, what);
    list->path = calloc((size_t)n + 1, sizeof *list->path);
    if (!list->path) status = ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (int i = 0; i < n; i++) {
        if (status == AP_OK) status = ap_path(path, error, "%s/%s", folder, entry[i]->d_name);
        if (status == AP_OK && !(list->path[list->n++] = strdup(path)))
            status = ap_fail(error, AP_ENVIRONMENT, "out of memory");
        free(entry[i]);
    }
    free(entry);
    return status;
}

/* The published split of the validation folder: the first 100 of its 199 files, the rest is for testing; of fewer than
 * 101 files the first half. */
static void split_validation(file_list *validation, file_list *test) {
    const int64_t keep = validation->n > 100 ? 100 : (validation->n + 1) / 2;
    test->path = calloc((size_t)(validation->n - keep) + 1, sizeof *test->path);
    for (; test->path && keep + test->n < validation->n; test->n++)
        test->path[test->n] = validation->path[keep + test->n];
    if (test->path) validation->n = keep;
}

static ap_status list_published(const char *train, const char *validation, file_list list[AP_SPLITS], ap_error *error) {
    AP_TRY(list_folder(train, is_hdf5, ".h5", &list[AP_TRAIN], error));
    AP_TRY(list_folder(validation, is_hdf5, ".h5", &list[AP_VALIDATION], error));
    split_validation(&list[AP_VALIDATION], &list[AP_TEST]);
    if (list[AP_TEST].n < 1)
        return ap_fail(error, AP_DATA,
                       "%s: %lld files (at least 2: the first half, at most 100, are for validation, "
                       "the others for testing)",
                       validation, (long long)list[AP_VALIDATION].n);
    return AP_OK;
}

/* *name: the data set's name where the user gives none. */
static ap_status list_files(const char *from, file_list list[AP_SPLITS], const char **name, ap_error *error) {
    static const char *const published[][2] = {{"knee_singlecoil_train", "knee_singlecoil_val"},
                                               {"singlecoil_train", "singlecoil_val"}};
    static const char *const folders[AP_SPLITS] = {"train", "valid", "test"};
    char path[AP_PATH], other[AP_PATH];
    for (int i = 0; i < 2; i++) {
        AP_TRY(ap_path(path, error, "%s/%s", from, published[i][0]));
        AP_TRY(ap_path(other, error, "%s/%s", from, published[i][1]));
        *name = "fastmri-knee";
        if (ap_file_exists(path)) return list_published(path, other, list, error);
    }
    AP_TRY(ap_path(path, error, "%s/%s", from, folders[AP_TRAIN]));
    if (!ap_file_exists(path))
        return ap_fail(error, AP_IO,
                       "%s: has neither %s and %s (fastMRI's .h5 files) nor train, valid and test (.nii or .nii.gz)",
                       from, published[0][0], published[0][1]);
    char own[AP_FOLDER_NAME];
    ap_prepare_folder_name(from, "", own);
    *name = strcasestr(own, "ixi") ? "ixi-t1-2mm" : "nifti";
    for (int s = 0; s < AP_SPLITS; s++) {
        AP_TRY(ap_path(path, error, "%s/%s", from, folders[s]));
        AP_TRY(list_folder(path, is_nifti, ".nii or .nii.gz", &list[s], error));
    }
    return AP_OK;
}

/* ---- the plan: a part is a file */

typedef struct volumes {
    file_list list[AP_SPLITS];
    int64_t side; /* of all files' images */
} volumes;

static void release(void *reader) {
    volumes *r = reader;
    for (int s = 0; s < AP_SPLITS; s++) free_list(&r->list[s]);
    free(r);
}

static const char *file_of(const volumes *r, int64_t index) {
    int s = AP_TRAIN;
    for (; index >= r->list[s].n; s++) index -= r->list[s].n;
    return r->list[s].path[index];
}

static ap_status read_slices(volumes *r, const char *path, ap_mri_volume *v, ap_part_output *output,
                             ap_example *example, ap_error *error) {
    if (v->side != r->side)
        return ap_fail(error, AP_DATA, "%s: images of %lld x %lld (%s, the first of all files, has %lld x %lld)", path,
                       (long long)v->side, (long long)v->side, r->list[AP_TRAIN].path[0], (long long)r->side,
                       (long long)r->side);
    const int64_t lengths[AP_FASTMRI_FIELDS] = {2 * v->h * v->w, 2, v->side * v->side, 1, 1};
    for (int64_t z = 0; z < v->slices; z++) {
        AP_TRY(ap_example_reserve(example, AP_FASTMRI_FIELDS, ap_fastmri_generator.field, lengths, error));
        ap_status status = ap_mri_read(v, z, example->data[AP_FASTMRI_KSPACE], example->data[AP_FASTMRI_TARGET], error);
        if (status == AP_OK) {
            int32_t *size = example->data[AP_FASTMRI_SIZE];
            size[0] = (int32_t)v->h, size[1] = (int32_t)v->w;
            *(float *)example->data[AP_FASTMRI_VOLUME_MAX] = v->max;
            *(int64_t *)example->data[AP_FASTMRI_INDEX] = 0; /* see place */
            status = ap_part_append(output, example, error);
        } else {
            status = ap_part_skip(output, error);
        }
        AP_TRY(status);
    }
    return AP_OK;
}

/* A whole file that is malformed is one record. */
static ap_status read_file(void *reader, int64_t index, ap_part_output *output, ap_error *error) {
    volumes *r = reader;
    const char *path = file_of(r, index);
    ap_mri_volume v;
    ap_example example = {0};
    ap_status status = ap_mri_open(path, &v, error);
    if (status == AP_OK)
        status = read_slices(r, path, &v, output, &example, error);
    else
        status = ap_part_skip(output, error);
    ap_mri_close(&v);
    ap_example_free(&example);
    return status;
}

static void place(ap_example *example, int64_t index) {
    *(int64_t *)example->data[AP_FASTMRI_INDEX] = index;
}

static ap_status plan_files(volumes *r, ap_prepare_plan *plan, ap_digest_stream *digest, ap_error *error) {
    for (int s = 0; s < AP_SPLITS; s++)
        for (int64_t i = 0; i < r->list[s].n; i++) {
            const char *path = r->list[s].path[i], *name = strrchr(path, '/') + 1;
            int64_t bytes, stamp;
            AP_TRY(ap_prepare_plan_stat(path, &bytes, &stamp, error));
            AP_TRY(ap_prepare_plan_add(plan, (ap_split)s, bytes, stamp, error, "%s, images of %lld x %lld", path,
                                       (long long)r->side, (long long)r->side));
            ap_digest_stream_add(digest, name, strlen(name) + 1);
            ap_digest_stream_add(digest, &bytes, sizeof bytes);
        }
    char text[AP_DIGEST_TEXT];
    ap_digest_text(ap_digest_stream_final(digest), text);
    return ap_prepare_plan_source(plan, error, "%lld, %lld and %lld files; xxh3_128=%s of their names and sizes",
                                  (long long)r->list[AP_TRAIN].n, (long long)r->list[AP_VALIDATION].n,
                                  (long long)r->list[AP_TEST].n, text);
}

ap_status ap_fastmri_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error) {
    volumes *r = calloc(1, sizeof *r);
    ap_digest_stream *digest = ap_digest_stream_create();
    ap_status status = r && digest ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    plan->reader = r;
    if (r) plan->release = release;
    plan->read = read_file;
    plan->place = place;
    if (status == AP_OK) status = list_files(options->from, r->list, &plan->data_set, error);
    if (status == AP_OK) {
        ap_mri_volume first;
        status = ap_mri_open(r->list[AP_TRAIN].path[0], &first, error);
        r->side = first.side;
        ap_mri_close(&first);
    }
    if (status == AP_OK) status = plan_files(r, plan, digest, error);
    ap_digest_stream_destroy(digest);
    return status;
}
