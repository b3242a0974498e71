/* algoperf prepare imagenet_resnet, imagenet_vit: ImageNet's photographs as they are published, kept as JPEG files; or
 * the IDX files of MNIST and Fashion-MNIST as a small real set. */
#include "workloads/vision/imagenet.h"

#include "data/jpeg.h"
#include "workloads/vision/image.h"
#include "workloads/vision/image_files.h"
#include "workloads/vision/prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAP_PART = 1000, CLASS_NAME = 256 };

/* ---- what is there: groups of images that lie together, each a part of the plan */

typedef struct group {
    char name[CLASS_NAME]; /* of its class; "" = a piece of a heap */
    ap_image_place place;  /* path owned */
    int64_t first, count;  /* of the split's list; count -1: listed when it is read */
    ap_split split;
    int32_t label; /* of all; -1: each has its own, in the split's labels */
} group;

typedef struct photos {
    group *group;
    int64_t groups, room;
    ap_image_list list[AP_SPLITS]; /* where a whole split lies in one heap or tar file */
    int32_t *labels[AP_SPLITS];    /* of list's files, for a heap */
    int64_t classes;               /* the first groups are those of training, by class, in order of their names */
    ap_digest_stream *digest;      /* of all names and sizes that are known */
} photos;

static void release(void *reader) {
    photos *r = reader;
    for (int64_t i = 0; i < r->groups; i++) ap_image_place_free(&r->group[i].place);
    for (int s = 0; s < AP_SPLITS; s++) {
        ap_image_list_free(&r->list[s]);
        free(r->labels[s]);
    }
    ap_digest_stream_destroy(r->digest);
    free(r->group);
    free(r);
}

/* Takes the place's path, also after a failure. `end`: length of the name to take. */
static ap_status add_group(photos *r, const char *name, size_t end, ap_image_place place, int64_t first, int64_t count,
                           ap_error *error) {
    if (r->groups == r->room) {
        const int64_t room = r->room ? 2 * r->room : 1024;
        group *grown = realloc(r->group, (size_t)room * sizeof *grown);
        if (grown) r->group = grown, r->room = room;
    }
    if (r->groups == r->room || !place.path || end >= CLASS_NAME) {
        ap_status status = end >= CLASS_NAME ? ap_fail(error, AP_DATA, "%s: the class name %.80s... is too long",
                                                       place.path ? place.path : "?", name)
                                             : ap_fail(error, AP_ENVIRONMENT, "out of memory");
        ap_image_place_free(&place);
        return status;
    }
    group *g = &r->group[r->groups++];
    *g = (group){.place = place, .first = first, .count = count, .label = -1};
    memcpy(g->name, name, end);
    ap_digest_stream_add(r->digest, g->name, end + 1);
    return AP_OK;
}

static void digest_list(photos *r, const ap_image_list *list) {
    for (int64_t i = 0; i < list->n; i++) {
        ap_digest_stream_add(r->digest, list->file[i].name, strlen(list->file[i].name) + 1);
        ap_digest_stream_add(r->digest, &list->file[i].bytes, sizeof list->file[i].bytes);
    }
}

static int64_t count_images(const ap_image_list *list) {
    int64_t n = 0;
    for (int64_t i = 0; i < list->n; i++) n += ap_image_name(list->file[i].name);
    return n;
}

static ap_status no_images(const ap_image_place *place, ap_error *error) {
    return ap_fail(error, AP_DATA, "%s: the class has no images (files that end in .jpeg or .jpg)", place->path);
}

/* DIR/CLASS/IMAGE */
static ap_status add_class_folders(photos *r, const ap_image_place *place, const ap_image_list *folders,
                                   ap_error *error) {
    for (int64_t i = 0; i < folders->n; i++) {
        char path[AP_PATH];
        ap_image_place folder;
        ap_image_list files = {0};
        AP_TRY(ap_path(path, error, "%s/%s", place->path, folders->file[i].name));
        AP_TRY(ap_image_place_open(path, &folder, error));
        ap_status status = ap_image_place_list(&folder, &files, error);
        if (status == AP_OK && !count_images(&files)) status = no_images(&folder, error);
        if (status == AP_OK) digest_list(r, &files);
        ap_image_list_free(&files);
        if (status != AP_OK) {
            ap_image_place_free(&folder);
            return status;
        }
        AP_TRY(add_group(r, folders->file[i].name, strlen(folders->file[i].name), folder, 0, -1, error));
    }
    return AP_OK;
}

/* DIR/CLASS.tar, or a tar file of CLASS.tar */
static ap_status add_class_tars(photos *r, const ap_image_place *place, const ap_image_list *files, ap_error *error) {
    for (int64_t i = 0; i < files->n; i++) {
        const ap_image_file *file = &files->file[i];
        const char *name = ap_image_base(file->name);
        ap_image_place inner = *place;
        if (!ap_tar_name(name)) continue;
        if (place->tar) {
            inner.path = strdup(place->path);
            inner.begin = file->offset, inner.end = file->offset + file->bytes;
        } else {
            char path[AP_PATH];
            AP_TRY(ap_path(path, error, "%s/%s", place->path, name));
            AP_TRY(ap_image_place_open(path, &inner, error));
        }
        const int64_t bytes = inner.end - inner.begin;
        ap_digest_stream_add(r->digest, &bytes, sizeof bytes);
        AP_TRY(add_group(r, name, strlen(name) - strlen(".tar"), inner, 0, -1, error));
    }
    return AP_OK;
}

/* The folder that a tar file's member lies in: *n letters. */
static const char *class_of(const char *name, size_t *n) {
    const char *end = ap_image_base(name);
    *n = 0;
    if (end == name) return name;
    const char *begin = --end;
    while (begin > name && begin[-1] != '/') begin--;
    *n = (size_t)(end - begin);
    if (*n == 1 && *begin == '.') *n = 0;
    return begin;
}

/* A tar file of .../CLASS/IMAGE, sorted: the images of a class stand together. */
static ap_status add_class_members(photos *r, const ap_image_place *place, ap_split split, ap_error *error) {
    const ap_image_list *list = &r->list[split];
    for (int64_t first = 0, end; first < list->n; first = end) {
        size_t n, other;
        const char *name = class_of(list->file[first].name, &n);
        for (end = first + 1; end < list->n; end++) {
            const char *next = class_of(list->file[end].name, &other);
            if (other != n || memcmp(next, name, n)) break;
        }
        ap_image_place same = *place;
        same.path = strdup(place->path);
        AP_TRY(add_group(r, name, n, same, first, end - first, error));
    }
    digest_list(r, list);
    return AP_OK;
}

/* ---- a heap of images with a list of labels */

static const char labels_name[] = "imagenet_2012_validation_synset_labels.txt";

static int32_t find_class(const photos *r, const char *name) {
    int64_t low = 0, high = r->classes;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        const int order = strcmp(r->group[middle].name, name);
        if (order == 0) return (int32_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static ap_status read_labels(photos *r, ap_split split, const char *path, char *text, ap_error *error) {
    const int64_t n = r->list[split].n;
    int64_t line = 0;
    char *rest = NULL;
    r->labels[split] = malloc((size_t)n * sizeof *r->labels[split]);
    if (!r->labels[split]) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_digest_stream_add(r->digest, text, strlen(text));
    for (char *word = strtok_r(text, " \t\r\n", &rest); word; word = strtok_r(NULL, " \t\r\n", &rest), line++) {
        const int32_t label = find_class(r, word);
        if (label < 0)
            return ap_fail(error, AP_DATA, "%s: line %lld is \"%.60s\", which is no class of the training images", path,
                           (long long)line + 1, word);
        if (line < n) r->labels[split][line] = label;
    }
    if (line != n)
        return ap_fail(error, AP_DATA, "%s: %lld labels for %lld images", path, (long long)line, (long long)n);
    return AP_OK;
}

static ap_status add_heap(photos *r, const char *from, const ap_image_place *place, ap_split split, ap_error *error) {
    char path[AP_PATH], *text;
    size_t size;
    const ap_image_list *list = &r->list[split];
    if (split == AP_TRAIN || !list->n || count_images(list) != list->n)
        return ap_fail(error, AP_DATA,
                       "%s: has neither class folders nor tar files of classes%s; it must hold one or the other",
                       place->path, split == AP_TRAIN ? "" : " nor images alone");
    AP_TRY(ap_path(path, error, "%s/%s", from, labels_name));
    if (!ap_file_exists(path))
        return ap_fail(error, AP_IO,
                       "%s: has images without class folders, and %s is not there (a line for each image in order of "
                       "their names: the name of its class)",
                       place->path, path);
    AP_TRY(ap_read_file(path, 1 << 26, &text, &size, error));
    ap_status status = read_labels(r, split, path, text, error);
    free(text);
    for (int64_t first = 0; status == AP_OK && first < list->n; first += HEAP_PART) {
        const int64_t left = list->n - first;
        ap_image_place same = *place;
        same.path = strdup(place->path);
        status = add_group(r, "", 0, same, first, left < HEAP_PART ? left : HEAP_PART, error);
    }
    digest_list(r, list);
    return status;
}

/* ---- a split */

static const char *const candidates[AP_SPLITS][4] = {
    {"train", "ILSVRC2012_img_train.tar", "train.tar"},
    {"val", "ILSVRC2012_img_val.tar", "val.tar"},
    {"imagenetv2-matched-frequency-format-val", "imagenetv2-matched-frequency.tar", "test", "test.tar"}};

static ap_status find_place(const char *from, ap_split split, ap_image_place *place, ap_error *error) {
    const char *const *name = candidates[split];
    char path[AP_PATH];
    for (int i = 0; i < 4 && name[i]; i++) {
        AP_TRY(ap_path(path, error, "%s/%s", from, name[i]));
        if (ap_file_exists(path)) return ap_image_place_open(path, place, error);
    }
    return ap_fail(error, AP_IO, "%s: has no %s images: none of %s, %s%s%s%s%s%s", from, ap_split_names[split], name[0],
                   name[1], name[2] ? ", " : "", name[2] ? name[2] : "", name[3] ? ", " : "", name[3] ? name[3] : "",
                   split == AP_TRAIN ? ", nor IDX files (train-images-idx3-ubyte, plain or .gz, ...)" : "");
}

static ap_status add_place(photos *r, const char *from, const ap_image_place *place, ap_split split,
                           const ap_image_list *folders, ap_error *error) {
    ap_image_list *list = &r->list[split];
    size_t letters = 0;
    if (folders->n) return add_class_folders(r, place, folders, error);
    AP_TRY(ap_image_place_list(place, list, error));
    for (int64_t i = 0; i < list->n; i++)
        if (ap_tar_name(list->file[i].name)) return add_class_tars(r, place, list, error);
    if (place->tar && list->n) class_of(list->file[0].name, &letters);
    return letters ? add_class_members(r, place, split, error) : add_heap(r, from, place, split, error);
}

static int by_class(const void *a, const void *b) {
    return strcmp(((const group *)a)->name, ((const group *)b)->name);
}

/* Names that are numbers stand for places in the order of the training classes, as ImageNet-v2's folders are named. */
static ap_status set_label(const photos *r, group *g, ap_error *error) {
    char *rest;
    g->label = find_class(r, g->name);
    const long number = strtol(g->name, &rest, 10);
    if (g->label < 0 && rest != g->name && !*rest && number >= 0 && number < r->classes) g->label = (int32_t)number;
    if (g->label >= 0) return AP_OK;
    return ap_fail(error, AP_DATA, "%s: class \"%s\" has no training images", g->place.path, g->name);
}

static int by_label(const void *a, const void *b) {
    const group *x = a, *y = b;
    return (x->label > y->label) - (x->label < y->label);
}

/* Groups [first, groups) are the split's: labels, order, and that every class is there once. */
static ap_status check_classes(photos *r, ap_split split, int64_t first, const char *path, ap_error *error) {
    const int64_t n = r->groups - first;
    if (r->labels[split]) return AP_OK;
    qsort(r->group + first, (size_t)n, sizeof *r->group, by_class);
    if (split == AP_TRAIN) r->classes = n;
    for (int64_t i = 0; i < n; i++) AP_TRY(set_label(r, &r->group[first + i], error));
    qsort(r->group + first, (size_t)n, sizeof *r->group, by_label);
    for (int64_t i = 0; i < n; i++)
        if (i > 0 && r->group[first + i].label == r->group[first + i - 1].label)
            return ap_fail(error, AP_DATA, "%s: class \"%s\" is there twice", path, r->group[first + i].name);
    for (int64_t i = 0; i < r->classes; i++)
        if (i >= n || r->group[first + i].label != i)
            return ap_fail(error, AP_DATA, "%s: class \"%s\" is missing (there are training images of %lld classes)",
                           path, r->group[i].name, (long long)r->classes);
    return AP_OK;
}

static ap_status add_split(photos *r, const char *from, ap_split split, ap_error *error) {
    ap_image_place place;
    ap_image_list folders = {0};
    const int64_t first = r->groups;
    AP_TRY(find_place(from, split, &place, error));
    ap_status status = ap_image_place_folders(&place, &folders, error);
    if (status == AP_OK) status = add_place(r, from, &place, split, &folders, error);
    for (int64_t i = first; i < r->groups; i++) r->group[i].split = split;
    if (status == AP_OK) status = check_classes(r, split, first, place.path, error);
    ap_image_list_free(&folders);
    ap_image_place_free(&place);
    return status;
}

/* ---- reading a part */

typedef struct reading {
    uint8_t *bytes, *pixels;
    size_t room, pixel_room;
    ap_example example;
} reading;

/* The file decoded once, to find what is damaged now and not in the middle of the training. */
static ap_status check_image(reading *m, size_t n, int32_t size[2], ap_error *error) {
    int64_t h, w;
    AP_TRY(ap_jpeg_size(m->bytes, n, &h, &w, error));
    if ((size_t)(h * w * AP_COLOURS) > m->pixel_room) {
        free(m->pixels);
        m->pixel_room = (size_t)(h * w * AP_COLOURS);
        m->pixels = malloc(m->pixel_room);
        if (!m->pixels) m->pixel_room = 0;
        if (!m->pixels) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    }
    size[0] = (int32_t)h, size[1] = (int32_t)w;
    return ap_jpeg_decode(m->bytes, n, h, w, m->pixels, error);
}

/* A file with just as many bytes as the pixels would take gets one more behind its end, which decoders do not read. */
static ap_status pack_image(reading *m, size_t n, int32_t label, ap_error *error) {
    int32_t size[2];
    AP_TRY(check_image(m, n, size, error));
    const bool ambiguous = (int64_t)n == (int64_t)size[0] * size[1] * AP_COLOURS;
    const int64_t lengths[AP_IMAGENET_FIELDS] = {(int64_t)n + ambiguous, 2, 1};
    AP_TRY(ap_example_reserve(&m->example, AP_IMAGENET_FIELDS, ap_imagenet_generator.field, lengths, error));
    uint8_t *inputs = m->example.data[AP_IMAGENET_INPUTS];
    memcpy(inputs, m->bytes, n);
    if (ambiguous) inputs[n] = 0;
    memcpy(m->example.data[AP_IMAGENET_SIZE], size, sizeof size);
    *(int32_t *)m->example.data[AP_IMAGENET_TARGETS] = label;
    return AP_OK;
}

static ap_status read_image(reading *m, const group *g, const ap_image_file *file, int32_t label,
                            ap_part_output *output, ap_error *error) {
    size_t n;
    ap_status status = ap_image_place_read(&g->place, file, &m->bytes, &m->room, &n, error);
    if (status != AP_OK) return status == AP_DATA ? ap_part_skip(output, error) : status;
    ap_part_count(output, (int64_t)n);
    status = pack_image(m, n, label, error);
    if (status == AP_OK) return ap_part_append(output, &m->example, error);
    ap_context(error, g->place.tar ? "%s: %s" : "%s/%s", g->place.path, file->name);
    return ap_part_skip(output, error);
}

static ap_status read_group(void *reader, int64_t index, ap_part_output *output, ap_error *error) {
    photos *r = reader;
    const group *g = &r->group[index];
    reading m = {0};
    ap_image_list listed = {0};
    ap_status status = g->count < 0 ? ap_image_place_list(&g->place, &listed, error) : AP_OK;
    const ap_image_list *list = g->count < 0 ? &listed : &r->list[g->split];
    const int64_t first = g->count < 0 ? 0 : g->first, end = g->count < 0 ? listed.n : g->first + g->count;
    int64_t images = 0;
    for (int64_t i = first; status == AP_OK && i < end; i++) {
        if (!ap_image_name(list->file[i].name)) continue;
        images++;
        status = read_image(&m, g, &list->file[i], g->label < 0 ? r->labels[g->split][i] : g->label, output, error);
    }
    if (status == AP_OK && images == 0) status = no_images(&g->place, error);
    ap_image_list_free(&listed);
    ap_example_free(&m.example);
    free(m.bytes), free(m.pixels);
    return status;
}

/* ---- the plan */

/* A guess for class folders, whose files are not measured before they are read. */
static int64_t bytes_of(const photos *r, const group *g) {
    int64_t bytes = 0;
    if (g->count < 0) return g->place.tar ? g->place.end - g->place.begin : 1300 * 110000;
    for (int64_t i = g->first; i < g->first + g->count; i++) bytes += r->list[g->split].file[i].bytes;
    return bytes;
}

static ap_status plan_groups(const photos *r, ap_prepare_plan *plan, ap_error *error) {
    int64_t groups[AP_SPLITS] = {0};
    char text[AP_DIGEST_TEXT];
    for (int64_t i = 0; i < r->groups; i++) {
        const group *g = &r->group[i];
        groups[g->split]++;
        AP_TRY(ap_prepare_plan_add(plan, g->split, bytes_of(r, g), g->place.stamp, error,
                                   "%s %s bytes %lld to %lld, images from %lld, class %d", ap_split_names[g->split],
                                   g->place.path, (long long)g->place.begin, (long long)g->place.end,
                                   (long long)g->first, g->label));
    }
    ap_digest_text(ap_digest_stream_final(r->digest), text);
    return ap_prepare_plan_source(plan, error,
                                  "JPEG images of %lld classes; %lld, %lld and %lld groups of files; xxh3_128=%s of "
                                  "their names and known sizes",
                                  (long long)r->classes, (long long)groups[AP_TRAIN], (long long)groups[AP_VALIDATION],
                                  (long long)groups[AP_TEST], text);
}

static ap_status plan_photos(const char *from, ap_prepare_plan *plan, ap_error *error) {
    if (!ap_jpeg_available()) { /* before the folder is listed, which takes a while for a million images */
        ap_jpeg_size(NULL, 0, NULL, NULL, error);
        return ap_context(error, "%s", from);
    }
    photos *r = calloc(1, sizeof *r);
    if (!r) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    *plan = (ap_prepare_plan){.data_set = "imagenet", .reader = r, .read = read_group, .release = release};
    r->digest = ap_digest_stream_create();
    if (!r->digest) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (int s = 0; s < AP_SPLITS; s++) AP_TRY(add_split(r, from, (ap_split)s, error));
    return plan_groups(r, plan, error);
}

/* ---- IDX: grey images of 28 x 28, the same in all colours */

enum { GREY = 28, GREY_CLASSES = 10 };

static void store_grey(const uint8_t *image, uint8_t label, ap_example *stored) {
    uint8_t *pixels = stored->data[AP_IMAGENET_INPUTS];
    for (int i = 0; i < GREY * GREY; i++) memset(pixels + AP_COLOURS * i, image[i], AP_COLOURS);
    int32_t *size = stored->data[AP_IMAGENET_SIZE];
    size[0] = size[1] = GREY;
    *(int32_t *)stored->data[AP_IMAGENET_TARGETS] = label;
}

ap_status ap_imagenet_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error) {
    static const int64_t lengths[AP_IMAGENET_FIELDS] = {AP_COLOURS * GREY * GREY, 2, 1};
    if (!ap_idx_folder_is(options->from)) return plan_photos(options->from, plan, error);
    const ap_image_pack form = {
        .fields = AP_IMAGENET_FIELDS, .field = ap_imagenet_generator.field, .lengths = lengths, .store = store_grey};
    return ap_plan_idx(options, GREY, GREY_CLASSES, 6, &form, plan, error);
}
