/* Typed configuration over libconfig. libconfig is never used raw: version 1.5 reads 99999999999999999999 as -1, wraps
 * 3000000000, keeps the default when `lr = 1;` is read as a float, and lets misspelt keys pass.
 *
 * A table of ap_option describes the keys of a group. One table serves the reader, `--help`, and the provenance record.
 * Every wrong input is AP_CONFIG with "file:line: key = value (what is allowed); what to do". Not collective. */
#ifndef AP_BASE_CONFIG_H
#define AP_BASE_CONFIG_H

#include "base/status.h"
#include <stdint.h>
#include <stdio.h>

typedef enum ap_option_type {
    AP_OPTION_BOOL,   /* bool    */
    AP_OPTION_INT,    /* int64_t, range [min, max] */
    AP_OPTION_FLOAT,  /* double, finite, range [min, max]; an integer literal is accepted */
    AP_OPTION_STRING, /* char *, malloc'ed; `choices` (NULL-terminated) restricts */
    AP_OPTION_LIST,   /* strings: char **, NULL-terminated, malloc'ed; a single string is a list of one */
} ap_option_type;

typedef struct ap_option {
    const char *name;
    ap_option_type type;
    size_t offset;              /* in the struct that is filled: offsetof(ap_job, seed) */
    double min, max;            /* inclusive; both 0: no limit. INFINITY and -INFINITY: none on that side */
    const char *const *choices; /* strings and lists */
    const char *fallback;       /* default as text ("8", "0.5", "true", "ordered"); NULL: the key is required */
    const char *help;           /* one line, with the unit */
} ap_option;

typedef struct ap_config ap_config; /* a parsed file; a `section` is a group in it */
typedef struct ap_section ap_section;

/* Parses a file or a text (`name` stands for the file in messages), at most 1 MiB, nested at most 32 deep. Numbers that
 * do not fit 64 bits, duplicate keys, inf and nan are refused here; integers need no L suffix. The caller destroys.
 * @include is refused. A file that cannot be opened is AP_IO. */
ap_status ap_config_read(const char *path, ap_config **config, ap_error *error);
ap_status ap_config_parse(const char *text, const char *name, ap_config **config, ap_error *error);
void ap_config_destroy(ap_config *config); /* NULL is fine; sections die with it */
const ap_section *ap_config_root(const ap_config *config);

/* Fills `object` by the table (`n` options). Keys that are neither in the table nor in `other` (NULL-terminated list of
 * keys the caller reads itself; NULL = none; each must be a group or a list of groups) are errors that name the closest
 * match. Keys that are not there get their fallback. What `object` held before is overwritten, not freed. On failure
 * `object` is untouched. */
ap_status ap_section_read(const ap_section *section, const ap_option *table, size_t n, const char *const *other,
                          void *object, ap_error *error);
/* The same for an object that has values already: only the keys that are there are set; no key is required. On failure
 * `object` may be partly overwritten, and is still safe to free. */
ap_status ap_section_overlay(const ap_section *section, const ap_option *table, size_t n, void *object,
                             ap_error *error);
/* Sub-group `key`, or element i of the list `key`; NULL if it is not there. */
const ap_section *ap_section_group(const ap_section *section, const char *key);
/* Length of a list of groups; 0 = not there. A single group counts as a list of one. */
int ap_section_count(const ap_section *section, const char *key);
const ap_section *ap_section_element(const ap_section *section, const char *key, int i);
/* "file:line" of the section or of its key (NULL, or not there: the section; of the root "file"), for messages. Static
 * buffer per thread.
 */
const char *ap_section_where(const ap_section *section, const char *key);

/* The same table for other sources. Defaults into an object that holds nothing yet (a required key becomes NULL, 0 or
 * false: set it). One value as text into an object that is filled (the old string is freed):
 * JSON numbers, command line; `where` starts the message; lists are separated by commas. AP_CONFIG. */
ap_status ap_options_defaults(const ap_option *table, size_t n, void *object, ap_error *error);
ap_status ap_options_set(const ap_option *table, size_t n, const char *key, const char *value, const char *where,
                         void *object, ap_error *error);
void ap_options_free(const ap_option *table, size_t n, void *object); /* frees the strings in object */
/* One line an option, in columns: name, type, default, help [range or choices]. */
void ap_options_help(const ap_option *table, size_t n, FILE *out);
/* The value of one option as canonical text (for provenance and digests) into text[size]; floats in the fewest digits
 * that give the same double. */
void ap_option_text(const ap_option *option, const void *object, char *text, size_t size);

#endif
