/* Finds a submission by name among the built-in ones, or loads it from a shared object. */
#ifndef AP_SUBMISSION_LOADER_H
#define AP_SUBMISSION_LOADER_H

#include "base/digest.h"
#include "base/status.h"
#include "submission/submission.h"

typedef struct ap_loaded_submission {
    const ap_submission *submission;
    char *name;                  /* folder name in the result tree: the built-in's name, or the plugin's `name` */
    char *path;                  /* of the .so; "" if built in */
    char digest[AP_DIGEST_TEXT]; /* of the .so; "" if built in (the program's own version covers it) */
    void *handle;
} ap_loaded_submission;

/* what: a built-in name, or a path that contains '/' or ends in ".so" (relative to `base_directory`, the job file's
 * folder). AP_SUBMISSION for missing file, missing symbol, wrong ABI or struct size, missing functions, names with
 * characters other than [A-Za-z0-9_.-]; AP_CONFIG with the list and closest match for an unknown name. Not collective.
 */
ap_status ap_submission_load(const char *what, const char *base_directory, const ap_submission *const *builtin,
                             ap_loaded_submission **loaded, ap_error *error);
void ap_submission_unload(ap_loaded_submission *loaded); /* NULL is fine */

#endif
