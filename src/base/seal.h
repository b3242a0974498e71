/* The seal: the 512 bytes in front of every file that this program writes as HDF5 (base/h5.h tells the format). Checked
 * by plain reads, before libhdf5 sees a byte. Not collective. */
#ifndef AP_BASE_SEAL_H
#define AP_BASE_SEAL_H

#include "base/digest.h"
#include "base/status.h"

enum { AP_SEAL_BYTES = 512, AP_SEAL_KIND = 32 };

/* The seal of a file of `bytes` bytes in all, `digest` being that of everything behind the seal. */
void ap_seal_make(char seal[AP_SEAL_BYTES], const char *kind, int64_t bytes, ap_digest digest);

/* Digest of what stands behind the seal of an open file; `path` for messages. */
ap_status ap_seal_digest(int fd, const char *path, ap_digest *digest, ap_error *error);

/* Magic, kind, size and, if `check_digest`, digest of an open file. AP_DATA says what is wrong. *digest (NULL: not
 * wanted) = the one in the seal. */
ap_status ap_seal_check(int fd, const char *path, const char *kind, bool check_digest, ap_digest *digest,
                        ap_error *error);

/* What kind of sealed file `path` is: the name in its seal, nothing else of which is checked. AP_DATA: not sealed. */
ap_status ap_seal_kind(const char *path, char kind[AP_SEAL_KIND], ap_error *error);

#endif
