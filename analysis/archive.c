#include "analysis/archive.h"

enum { VERSION = 1 };

ap_status ap_archive_check_version(hid_t collection, ap_error *error) {
    int64_t version;
    AP_TRY(ap_h5_get_i64(collection, ".", "format_version", &version, error));
    if (version == VERSION) return AP_OK;
    return ap_fail(error, AP_DATA,
                   "a collection of format_version %lld; this program reads %d: use the one that wrote it",
                   (long long)version, VERSION);
}
