/* Members of tar files (POSIX ustar, GNU long names, pax path and size), also of a tar file inside another: found by
 * their headers alone, so that a reader may go to any of them. */
#ifndef AP_DATA_TAR_H
#define AP_DATA_TAR_H

#include "base/file.h"

typedef struct ap_tar {
    const char *path; /* for messages; borrowed */
    int fd;           /* open for reading; the caller closes it */
    int64_t at, end;  /* bytes [at, end) of the file are the archive; `at` moves on to the next header */
} ap_tar;

typedef struct ap_tar_member {
    char name[AP_PATH];
    int64_t offset, bytes; /* where its content lies in the file */
} ap_tar_member;

/* The next regular file; *found = false at the end of the archive. Folders, links and others are passed over. AP_DATA
 * names the file, the byte and the rule: a header's checksum, a member that goes beyond the end, no end of the archive
 * (a truncated file). */
ap_status ap_tar_next(ap_tar *tar, ap_tar_member *member, bool *found, ap_error *error);

#endif
