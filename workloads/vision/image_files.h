/* Labelled image files as they are published: class folders, tar files of classes, a tar file of class tar files, or
 * one heap with a list of labels. */
#ifndef AP_WORKLOADS_VISION_IMAGE_FILES_H
#define AP_WORKLOADS_VISION_IMAGE_FILES_H

#include "base/file.h"
#include <stdint.h>

/* One file: in a folder (offset -1), or in a tar file. */
typedef struct ap_image_file {
    char *name; /* in a tar file with the folders in it */
    int64_t offset, bytes;
} ap_image_file;

/* Files that lie together: a folder, or bytes [begin, end) of a tar file. */
typedef struct ap_image_place {
    char *path;
    bool tar;
    int64_t begin, end, stamp; /* stamp: see ap_part */
} ap_image_place;

typedef struct ap_image_list {
    int64_t n, room;
    ap_image_file *file;
} ap_image_list;
void ap_image_list_free(ap_image_list *list);

bool ap_image_name(const char *name);        /* .jpg, .jpeg, in any case, not hidden */
bool ap_tar_name(const char *name);          /* .tar */
const char *ap_image_base(const char *name); /* behind the last '/' */
ap_status ap_image_place_open(const char *path, ap_image_place *place, ap_error *error); /* a folder or a tar file */
void ap_image_place_free(ap_image_place *place);

/* All that lies in a place (in folders: not the folders below), sorted by name, byte by byte, but for hidden files.
 * A folder's files have no size yet. */
ap_status ap_image_place_list(const ap_image_place *place, ap_image_list *list, ap_error *error);
/* Names of the folders in a folder, sorted. */
ap_status ap_image_place_folders(const ap_image_place *place, ap_image_list *list, ap_error *error);
/* A file's bytes, into memory of *bytes with *room that grows; *n of them. */
ap_status ap_image_place_read(const ap_image_place *place, const ap_image_file *file, uint8_t **bytes, size_t *room,
                              size_t *n, ap_error *error);

#endif
