/* algoperf prepare fastmri: a folder of volumes for each split -> slices in one packed file. */
#include "workloads/fastmri/fastmri.h"
#include "workloads/fastmri/volume.h"

#include "base/file.h"
#include "base/log.h"

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
    char *whole = realpath(from, NULL);
    const char *last = whole ? strrchr(whole, '/') : NULL;
    *name = last && strcasestr(last, "ixi") ? "ixi-t1-2mm" : "nifti";
    free(whole);
    for (int s = 0; s < AP_SPLITS; s++) {
        AP_TRY(ap_path(path, error, "%s/%s", from, folders[s]));
        AP_TRY(list_folder(path, is_nifti, ".nii or .nii.gz", &list[s], error));
    }
    return AP_OK;
}

/* ---- the first pass: how much there is, and of what bytes */

typedef struct survey {
    int64_t slices[AP_SPLITS], lengths[AP_SPLITS][AP_FASTMRI_FIELDS], side;
    char source[256];
} survey;

static ap_status survey_volume(const char *path, ap_split split, ap_digest_stream *digests, survey *all,
                               ap_error *error) {
    ap_mri_volume v;
    ap_status status = ap_mri_open(path, true, &v, error);
    if (status == AP_OK && all->side == 0) all->side = v.side;
    if (status == AP_OK && v.side != all->side)
        status = ap_fail(error, AP_DATA, "%s: images of %lld x %lld (all files before have %lld x %lld)", path,
                         (long long)v.side, (long long)v.side, (long long)all->side, (long long)all->side);
    if (status == AP_OK) {
        char text[AP_DIGEST_TEXT];
        ap_digest_text(v.digest, text);
        const char *name = strrchr(path, '/') + 1;
        ap_digest_stream_add(digests, text, strlen(text));
        ap_digest_stream_add(digests, "  ", 2);
        ap_digest_stream_add(digests, name, strlen(name));
        ap_digest_stream_add(digests, "\n", 1);
        all->slices[split] += v.slices;
        all->lengths[split][AP_FASTMRI_KSPACE] += v.slices * 2 * v.h * v.w;
        all->lengths[split][AP_FASTMRI_TARGET] += v.slices * v.side * v.side;
    }
    ap_mri_close(&v);
    return status;
}

static ap_status survey_files(const file_list list[AP_SPLITS], survey *all, ap_error *error) {
    ap_digest_stream *digests = ap_digest_stream_create();
    if (!digests) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_status status = AP_OK;
    for (int s = 0; s < AP_SPLITS; s++)
        for (int64_t i = 0; status == AP_OK && i < list[s].n; i++)
            status = survey_volume(list[s].path[i], (ap_split)s, digests, all, error);
    char text[AP_DIGEST_TEXT];
    ap_digest_text(ap_digest_stream_final(digests), text);
    ap_digest_stream_destroy(digests);
    snprintf(all->source, sizeof all->source,
             "%lld, %lld and %lld files; xxh3_128=%s of their list, lines \"xxh3_128  name\"",
             (long long)list[AP_TRAIN].n, (long long)list[AP_VALIDATION].n, (long long)list[AP_TEST].n, text);
    return status;
}

/* ---- the second pass */

static ap_status pack_slices(ap_packer *packer, ap_mri_volume *v, int64_t *index, ap_example *example,
                             ap_error *error) {
    const int64_t lengths[AP_FASTMRI_FIELDS] = {2 * v->h * v->w, 2, v->side * v->side, 1, 1};
    for (int64_t z = 0; z < v->slices; z++) {
        AP_TRY(ap_example_reserve(example, AP_FASTMRI_FIELDS, ap_fastmri_generator.field, lengths, error));
        AP_TRY(ap_mri_read(v, z, example->data[AP_FASTMRI_KSPACE], example->data[AP_FASTMRI_TARGET], error));
        int32_t *size = example->data[AP_FASTMRI_SIZE];
        size[0] = (int32_t)v->h, size[1] = (int32_t)v->w;
        *(float *)example->data[AP_FASTMRI_VOLUME_MAX] = v->max;
        *(int64_t *)example->data[AP_FASTMRI_INDEX] = (*index)++;
        AP_TRY(ap_packer_append(packer, example, error));
    }
    return AP_OK;
}

static ap_status pack_split(ap_packer *packer, ap_split split, const file_list *list, const survey *all,
                            ap_error *error) {
    ap_example example = {0};
    int64_t index = 0;
    ap_status status = ap_packer_begin(packer, split, all->slices[split], all->lengths[split], error);
    for (int64_t i = 0; status == AP_OK && i < list->n; i++) {
        ap_mri_volume v;
        status = ap_mri_open(list->path[i], false, &v, error);
        if (status == AP_OK) status = pack_slices(packer, &v, &index, &example, error);
        ap_mri_close(&v);
        if (status == AP_OK && ((i + 1) % 50 == 0 || i + 1 == list->n))
            ap_log(AP_GLOBAL, AP_LOG_INFO, "fastmri: %s, %lld of %lld files, %lld slices", ap_split_names[split],
                   (long long)(i + 1), (long long)list->n, (long long)index);
    }
    ap_example_free(&example);
    return status;
}

static ap_status pack(const ap_prepare_options *options, const char *name, const file_list list[AP_SPLITS],
                      ap_error *error) {
    survey all = {0};
    ap_packer *packer;
    AP_TRY(survey_files(list, &all, error));
    AP_TRY(ap_packer_create(options->to, "fastmri", options->name ? options->name : name, all.source, AP_FASTMRI_FIELDS,
                            ap_fastmri_generator.field, &packer, error));
    if (!packer) return AP_OK; /* already there */
    ap_status status = AP_OK;
    for (int s = 0; status == AP_OK && s < AP_SPLITS; s++)
        status = pack_split(packer, (ap_split)s, &list[s], &all, error);
    if (status == AP_OK) return ap_packer_commit(packer, error);
    ap_packer_abandon(packer);
    return status;
}

ap_status ap_fastmri_prepare(const ap_prepare_options *options, ap_error *error) {
    file_list list[AP_SPLITS] = {0};
    const char *name = "";
    ap_status status = list_files(options->from, list, &name, error);
    if (status == AP_OK) status = pack(options, name, list, error);
    for (int s = 0; s < AP_SPLITS; s++) free_list(&list[s]);
    return status;
}
