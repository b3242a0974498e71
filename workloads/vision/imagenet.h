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

/* An example: `inputs`, the pixels [height, width, 3] row by row, and their `size`; `targets`, the class. */
enum { AP_IMAGENET_INPUTS, AP_IMAGENET_SIZE, AP_IMAGENET_TARGETS, AP_IMAGENET_FIELDS };
#define AP_IMAGENET_FIELD_LIST                                                                                         \
    {                                                                                                                  \
        {.name = "inputs", .type = AP_U8, .rank = 1, .shape = {-1}},                                                   \
            {.name = "size", .type = AP_I32, .rank = 1, .shape = {2}}, {.name = "targets", .type = AP_I32},            \
    }

/* A stored image is as large as the model's, or a whole part of it in both extents: then each pixel is repeated to a
 * square; others are refused here. Training: a flip with p = 0.5. */
ap_collate ap_imagenet_collate;
extern const ap_generator ap_imagenet_generator;

/* `algoperf prepare` from a folder of MNIST's or Fashion-MNIST's IDX files, 28 x 28. */
ap_status ap_imagenet_prepare_idx(const char *workload, const ap_prepare_options *options, ap_error *error);

#endif
