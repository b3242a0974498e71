/* From published files of labelled images, all of one size, to a packed file: the IDX folder, and the packing itself.
 */
#ifndef AP_WORKLOADS_VISION_PREPARE_H
#define AP_WORKLOADS_VISION_PREPARE_H

#include "data/idx.h"
#include "workload/workload.h"

/* ---- the folder of MNIST's and Fashion-MNIST's files, each plain or .gz: {train,t10k}-{images-idx3,labels-idx1}-ubyte
 */
enum { AP_IDX_TRAIN_IMAGES, AP_IDX_TRAIN_LABELS, AP_IDX_TEST_IMAGES, AP_IDX_TEST_LABELS, AP_IDX_FILES };
typedef struct ap_idx_folder {
    ap_idx file[AP_IDX_FILES];
    const char *name; /* "fashion-mnist" if the folder's own name has "fashion" in it, else "mnist" */
    char source[512]; /* the files and their digests */
} ap_idx_folder;
bool ap_idx_folder_is(const char *path); /* it has the training images */
/* AP_IO: a file is missing. AP_DATA: not images of side x side, not as many labels, a label that is no class. Freed by
 * ap_idx_folder_free, also after a failure. */
ap_status ap_idx_folder_read(const char *path, int64_t side, int classes, ap_idx_folder *folder, ap_error *error);
void ap_idx_folder_free(ap_idx_folder *folder);

/* ---- packing */

/* Image i begins at images + i image_stride, its label is labels[i label_stride]. Borrowed. */
typedef struct ap_labelled_images {
    const uint8_t *images, *labels;
    int64_t image_stride, label_stride, count;
} ap_labelled_images;
ap_labelled_images ap_idx_images(const ap_idx_folder *folder, bool test);

typedef struct ap_image_pack {
    const char *data_set, *source;
    int fields; /* of an example */
    const ap_field *field;
    const int64_t *lengths; /* of its ragged fields; NULL: there are none */
    ap_labelled_images train, test;
    int64_t validation;                                                     /* the last ones of `train` */
    void (*store)(const uint8_t *image, uint8_t label, ap_example *stored); /* fills an example that has its room */
    void *memory; /* where the images lie: goes with the plan */
    void (*release)(void *memory);
} ap_image_pack;
/* The plan of preparing these images; takes `memory`, also after a failure. AP_DATA without examples for a split. */
ap_status ap_plan_images(const ap_prepare_options *options, const ap_image_pack *pack, ap_prepare_plan *plan,
                         ap_error *error);
/* The same for an IDX folder of images side x side, of which a share of the training images is for validation; fields
 * to store are those of `form`. */
ap_status ap_plan_idx(const ap_prepare_options *options, int64_t side, int classes, int64_t share,
                      const ap_image_pack *form, ap_prepare_plan *plan, ap_error *error);

#endif
