#include "workloads/vision/image_files.h"

#include "data/prepare.h"
#include "data/tar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t LARGEST_FILE = 1 << 28;

/* ---- names */

static bool ends_with(const char *name, const char *end) {
    const size_t n = strlen(name), m = strlen(end);
    return n > m && !strcasecmp(name + n - m, end);
}

const char *ap_image_base(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

bool ap_image_name(const char *name) {
    return *ap_image_base(name) != '.' && (ends_with(name, ".jpeg") || ends_with(name, ".jpg"));
}

bool ap_tar_name(const char *name) {
    return *ap_image_base(name) != '.' && ends_with(name, ".tar");
}

/* ---- lists */

void ap_image_list_free(ap_image_list *list) {
    for (int64_t i = 0; i < list->n; i++) free(list->file[i].name);
    free(list->file);
    *list = (ap_image_list){0};
}

static ap_status add(ap_image_list *list, const char *name, int64_t offset, int64_t bytes, ap_error *error) {
    if (list->n == list->room) {
        const int64_t room = list->room ? 2 * list->room : 256;
        ap_image_file *file = realloc(list->file, (size_t)room * sizeof *file);
        if (!file) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a list of %lld files", (long long)room);
        list->file = file;
        list->room = room;
    }
    char *copy = strdup(name);
    if (!copy) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    list->file[list->n++] = (ap_image_file){.name = copy, .offset = offset, .bytes = bytes};
    return AP_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const ap_image_file *)a)->name, ((const ap_image_file *)b)->name);
}

static void sort(ap_image_list *list) {
    if (list->n) qsort(list->file, (size_t)list->n, sizeof *list->file, by_name);
}

/* ---- places */

ap_status ap_image_place_open(const char *path, ap_image_place *place, ap_error *error) {
    struct stat info;
    *place = (ap_image_place){0};
    if (stat(path, &info)) return ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
    place->tar = !S_ISDIR(info.st_mode);
    place->end = (int64_t)info.st_size;
    place->stamp = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    place->path = strdup(path);
    return place->path ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
}

void ap_image_place_free(ap_image_place *place) {
    free(place->path);
    *place = (ap_image_place){0};
}

/* Whether an entry is a folder, also where the file system does not say so in the listing, or through a link. */
static bool is_folder(const ap_image_place *place, const struct dirent *entry) {
    struct stat info;
    char path[AP_PATH];
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK) return entry->d_type == DT_DIR;
    return !ap_path(path, NULL, "%s/%s", place->path, entry->d_name) && !stat(path, &info) && S_ISDIR(info.st_mode);
}

static ap_status list_folder(const ap_image_place *place, bool folders, ap_image_list *list, ap_error *error) {
    DIR *folder = opendir(place->path);
    if (!folder) return ap_fail_errno(error, AP_IO, "%s: cannot be listed", place->path);
    ap_status status = AP_OK;
    for (struct dirent *entry; status == AP_OK && (entry = readdir(folder));)
        if (*entry->d_name != '.' && is_folder(place, entry) == folders)
            status = add(list, entry->d_name, -1, 0, error);
    closedir(folder);
    return status;
}

static ap_status list_tar(const ap_image_place *place, ap_image_list *list, ap_error *error) {
    ap_tar tar = {.path = place->path, .at = place->begin, .end = place->end};
    ap_tar_member member;
    bool found = true;
    tar.fd = open(place->path, O_RDONLY | O_CLOEXEC);
    if (tar.fd < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be opened", place->path);
    ap_status status = AP_OK;
    while (status == AP_OK && found) {
        status = ap_tar_next(&tar, &member, &found, error);
        if (status == AP_OK && found && *ap_image_base(member.name) != '.')
            status = add(list, member.name, member.offset, member.bytes, error);
    }
    close(tar.fd);
    return status;
}

ap_status ap_image_place_list(const ap_image_place *place, ap_image_list *list, ap_error *error) {
    AP_TRY(place->tar ? list_tar(place, list, error) : list_folder(place, false, list, error));
    sort(list);
    return AP_OK;
}

ap_status ap_image_place_folders(const ap_image_place *place, ap_image_list *list, ap_error *error) {
    if (place->tar) return AP_OK;
    AP_TRY(list_folder(place, true, list, error));
    sort(list);
    return AP_OK;
}

static ap_status read_all(int fd, const char *path, int64_t offset, uint8_t *bytes, size_t n, ap_error *error) {
    for (size_t done = 0; done < n;) {
        const ssize_t got = pread(fd, bytes + done, n - done, (off_t)(offset + (int64_t)done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return ap_fail_errno(error, AP_IO, "%s: cannot be read", path);
        if (got == 0) return ap_fail(error, AP_DATA, "%s: ends at byte %zu; it is truncated", path, done);
        done += (size_t)got;
    }
    return AP_OK;
}

static ap_status read_open(int fd, const char *path, int64_t offset, int64_t size, uint8_t **bytes, size_t *room,
                           ap_error *error) {
    if (size < 0 || size > LARGEST_FILE)
        return ap_fail(error, AP_DATA, "%s: %lld bytes (an image has at most %lld)", path, (long long)size,
                       (long long)LARGEST_FILE);
    if ((size_t)size + 1 > *room) {
        free(*bytes);
        *room = 2 * (size_t)size + 1;
        *bytes = malloc(*room);
        if (!*bytes) *room = 0;
        if (!*bytes) return ap_fail(error, AP_ENVIRONMENT, "%s: out of memory", path);
    }
    return read_all(fd, path, offset, *bytes, (size_t)size, error);
}

ap_status ap_image_place_read(const ap_image_place *place, const ap_image_file *file, uint8_t **bytes, size_t *room,
                              size_t *n, ap_error *error) {
    char path[AP_PATH];
    struct stat info;
    if (place->tar)
        strcpy(path, place->path);
    else
        AP_TRY(ap_path(path, error, "%s/%s", place->path, file->name));
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info)) {
        ap_status status = ap_fail_errno(error, AP_IO, "%s: cannot be opened", path);
        if (fd >= 0) close(fd);
        return status;
    }
    const int64_t size = place->tar ? file->bytes : (int64_t)info.st_size;
    ap_status status = read_open(fd, path, place->tar ? file->offset : 0, size, bytes, room, error);
    close(fd);
    *n = (size_t)size;
    return status;
}
