/* Images of the two ImageNet workloads: stored form, what the model sees, the synthetic set. */
#ifndef AP_WORKLOADS_VISION_IMAGENET_H
#define AP_WORKLOADS_VISION_IMAGENET_H

#include "workload/workload.h"
#include "workloads/vision/synthetic.h"

/* What both models' option structs begin with. */
typedef struct ap_imagenet_images {
    int64_t image_size, classes;
    double synthetic_turn;
} ap_imagenet_images;
/* Options `image_size` and `synthetic_turn`, for the model's table; the number of classes has another name in each. */
#define AP_IMAGENET_IMAGE_OPTIONS                                                                                      \
    {.name = "image_size",                                                                                             \
     .type = AP_OPTION_INT,                                                                                            \
     .offset = offsetof(ap_imagenet_images, image_size),                                                               \
     .min = 16,                                                                                                        \
     .max = 1024,                                                                                                      \
     .fallback = "224",                                                                                                \
     .help = "side of the images that the model sees, pixels"},                                                        \
        AP_SYNTHETIC_TURN_OPTION(ap_imagenet_images)

/* An example: `inputs`, the pixels [height, width, 3] row by row or, if their number is another, a JPEG file; the
 * height and width, `size`; `targets`, the class. */
enum { AP_IMAGENET_INPUTS, AP_IMAGENET_SIZE, AP_IMAGENET_TARGETS, AP_IMAGENET_FIELDS };
#define AP_IMAGENET_FIELD_LIST                                                                                         \
    {                                                                                                                  \
        {.name = "inputs", .type = AP_U8, .rank = 1, .shape = {-1}},                                                   \
            {.name = "size", .type = AP_I32, .rank = 1, .shape = {2}}, {.name = "targets", .type = AP_I32},            \
    }

/* A stored image is as large as the model's, or a whole part of it in both extents: then each pixel is repeated to a
 * square; others are refused here. Training: a flip with p = 0.5.
 * JPEG files: photo.h. */
ap_collate ap_imagenet_collate;
/* The same; augment: training photographs also go through RandAugment. */
ap_status ap_imagenet_collate_augmented(const ap_imagenet_images *images, bool augment, const ap_collate_key *key,
                                        int64_t n, const ap_example *examples, int64_t padded_to, ap_batch *batch,
                                        ap_error *error);
extern const ap_generator ap_imagenet_generator;

/* `algoperf prepare`: ImageNet's class folders or tar files (README.md), or MNIST's and Fashion-MNIST's IDX files. */
ap_status ap_imagenet_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error);
#define AP_IMAGENET_PREPARE_HELP                                                                                       \
    "folder with ImageNet: train, val and imagenetv2-matched-frequency-format-val, each class folders or .tar (see "   \
    "workloads/vision/README.md); or with the IDX files of Fashion-MNIST"

#endif
