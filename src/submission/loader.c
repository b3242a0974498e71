#include "submission/loader.h"
#include "base/file.h"
#include <dlfcn.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LARGEST_PLUGIN = 256 << 20, LONGEST_NAME = 100 };

static const char rebuild[] = "rebuild it with this program's submission/submission.h";

/* ---- built in */

static bool is_path(const char *what) {
    size_t n = strlen(what);
    return strchr(what, '/') != NULL || (n >= 3 && strcmp(what + n - 3, ".so") == 0);
}

static const ap_submission *find_builtin(const char *name, const ap_submission *const *builtin) {
    for (; *builtin; builtin++)
        if (!strcmp((*builtin)->name, name)) return *builtin;
    return NULL;
}

static ap_status unknown_name(const char *what, const ap_submission *const *builtin, ap_error *error) {
    enum { LISTED = 64 };
    const char *names[LISTED + 1] = {NULL};
    char list[512] = "";
    for (int i = 0; builtin[i] && i < LISTED; i++) {
        names[i] = builtin[i]->name;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *closest = ap_closest(what, names);
    return ap_fail(error, AP_CONFIG,
                   "submission \"%s\" is not built in%s%s%s (built in: %s); for one of your own give its path, as in "
                   "\"./%s.so\"",
                   what, closest ? "; did you mean \"" : "", closest ? closest : "", closest ? "\"?" : "", list, what);
}

/* ---- a plugin */

static ap_status check_file(const char *path, ap_error *error) {
    struct stat info;
    if (stat(path, &info) != 0)
        return ap_fail_errno(error, AP_SUBMISSION,
                             "submission %s cannot be opened (built with the line in "
                             "submission.h? paths are relative to the job file)",
                             path);
    if (!S_ISREG(info.st_mode))
        return ap_fail(error, AP_SUBMISSION, "submission %s is %s (must be a shared object)", path,
                       S_ISDIR(info.st_mode) ? "a directory" : "not a regular file");
    return AP_OK;
}

/* Do all segments, and the table of sections at the end, lie within the file? dlopen maps segments unseen and dies with
 * SIGBUS on a file that is cut short; of what is no ELF file it says so itself. */
static bool is_whole(const char *bytes, size_t n) {
    Elf64_Ehdr header = {0};
    if (n >= sizeof header) memcpy(&header, bytes, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64) return true;
    size_t table = (size_t)header.e_shnum * header.e_shentsize;
    if (header.e_shoff > n || table > n - header.e_shoff) return false;
    for (size_t i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        size_t at = header.e_phoff + i * sizeof segment;
        if (header.e_phoff > n || at > n - sizeof segment) return false;
        memcpy(&segment, bytes + at, sizeof segment);
        if (segment.p_offset > n || segment.p_filesz > n - segment.p_offset) return false;
    }
    return true;
}

static ap_status read_plugin(const char *path, char digest[AP_DIGEST_TEXT], ap_error *error) {
    char *bytes;
    size_t n;
    ap_error cause;
    if (ap_read_file(path, LARGEST_PLUGIN, &bytes, &n, &cause) != AP_OK)
        return ap_fail(error, AP_SUBMISSION, "submission %s", cause.text);
    bool whole = is_whole(bytes, n);
    ap_digest_text(ap_digest_of(bytes, n), digest);
    free(bytes);
    if (whole) return AP_OK;
    return ap_fail(error, AP_SUBMISSION, "submission %s is cut short at %zu bytes; build or copy it again", path, n);
}

static ap_status open_plugin(const char *path, void **handle, ap_error *error) {
    *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (*handle) return AP_OK;
    return ap_fail(error, AP_SUBMISSION,
                   "submission %s cannot be loaded: %s; build it as a shared object "
                   "(cc -shared -fPIC) with all it calls",
                   path, dlerror());
}

static ap_status find_entry(const char *path, void *handle, const ap_submission **submission, ap_error *error) {
    const ap_submission *(*entry)(void);
    void *symbol = dlsym(handle, "ap_submission_entry");
    if (!symbol)
        return ap_fail(error, AP_SUBMISSION,
                       "submission %s has no symbol ap_submission_entry; export that function "
                       "with AP_SUBMISSION_EXPORT, and as extern \"C\" from C++",
                       path);
    memcpy(&entry, &symbol, sizeof entry); /* POSIX allows what ISO C cannot spell */
    *submission = entry();
    if (*submission) return AP_OK;
    return ap_fail(error, AP_SUBMISSION, "submission %s: ap_submission_entry returned NULL (must be a table)", path);
}

static ap_status check_name(const char *path, const char *name, const ap_submission *const *builtin, ap_error *error) {
    static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.-";
    size_t n = name ? strspn(name, allowed) : 0;
    /* The name becomes a folder of the result tree. */
    if (n == 0 || name[n] != '\0' || n > LONGEST_NAME || name[0] == '.' || name[0] == '-')
        return ap_fail(error, AP_SUBMISSION,
                       "submission %s calls itself \"%.120s\" (must be 1 to %d of A-Z a-z 0-9 _ . -, and begin with a "
                       "letter, digit or _); correct its `name`",
                       path, name ? name : "", LONGEST_NAME);
    if (find_builtin(name, builtin))
        return ap_fail(error, AP_SUBMISSION,
                       "submission %s calls itself \"%s\", the name of a built-in one; their results would mix, so "
                       "choose another `name`",
                       path, name);
    return AP_OK;
}

/* The first two members say whether the rest can be read at all. */
static ap_status check_table(const char *path, const ap_submission *s, const ap_submission *const *builtin,
                             ap_error *error) {
    if (s->abi != AP_SUBMISSION_ABI)
        return ap_fail(error, AP_SUBMISSION, "submission %s has ABI %u (must be %d); %s", path, (unsigned)s->abi,
                       AP_SUBMISSION_ABI, rebuild);
    if (s->struct_size != sizeof *s)
        return ap_fail(error, AP_SUBMISSION, "submission %s has struct_size %zu (must be %zu); %s", path,
                       s->struct_size, sizeof *s, rebuild);
    AP_TRY(check_name(path, s->name, builtin, error));
    const char *missing = !s->init_optimizer_state ? "function init_optimizer_state"
                          : !s->update_params      ? "function update_params"
                          : !s->summary            ? "text summary"
                          : !s->source             ? "text source"
                                                   : NULL;
    if (missing)
        return ap_fail(error, AP_SUBMISSION, "submission %s has no %s (required); set it in its ap_submission", path,
                       missing);
    return AP_OK;
}

static ap_status load_plugin(const char *path, const ap_submission *const *builtin, ap_loaded_submission *loaded,
                             ap_error *error) {
    AP_TRY(check_file(path, error));
    AP_TRY(read_plugin(path, loaded->digest, error));
    AP_TRY(open_plugin(path, &loaded->handle, error));
    AP_TRY(find_entry(path, loaded->handle, &loaded->submission, error));
    return check_table(path, loaded->submission, builtin, error);
}

/* dlopen searches the library path for a name without '/', so the path always gets one. */
static ap_status full_path(const char *what, const char *base_directory, char path[AP_PATH], ap_error *error) {
    if (what[0] == '/') return ap_path(path, error, "%s", what);
    return ap_path(path, error, "%s/%s", base_directory[0] ? base_directory : ".", what);
}

/* ---- */

ap_status ap_submission_load(const char *what, const char *base_directory, const ap_submission *const *builtin,
                             ap_loaded_submission **out, ap_error *error) {
    char path[AP_PATH] = "";
    const ap_submission *found = NULL;
    if (is_path(what)) {
        AP_TRY(full_path(what, base_directory, path, error));
    } else {
        found = find_builtin(what, builtin);
        if (!found) return unknown_name(what, builtin, error);
    }
    ap_loaded_submission *loaded = calloc(1, sizeof *loaded);
    if (!loaded) return ap_fail(error, AP_ENVIRONMENT, "submission %s: out of memory", what);
    loaded->submission = found;
    ap_status status = found ? AP_OK : load_plugin(path, builtin, loaded, error);
    if (status == AP_OK) {
        loaded->path = strdup(path);
        loaded->name = strdup(loaded->submission->name);
        if (!loaded->path || !loaded->name)
            status = ap_fail(error, AP_ENVIRONMENT, "submission %s: out of memory", what);
    }
    if (status != AP_OK) {
        ap_submission_unload(loaded);
        return status;
    }
    *out = loaded;
    return AP_OK;
}

void ap_submission_unload(ap_loaded_submission *loaded) {
    if (!loaded) return;
    free(loaded->name);
    free(loaded->path);
    if (loaded->handle) dlclose(loaded->handle);
    free(loaded);
}
