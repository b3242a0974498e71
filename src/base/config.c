#include "base/config.h"
#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <libconfig.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LONGEST_FILE = 1 << 20, DEEPEST = 32, SHOWN = 64, TEXT = 512 };

/* A section is libconfig's setting under our name; its `config` member leads back to the ap_config around it. */
struct ap_config {
    config_t lib; /* first */
    char *name;
};

static config_setting_t *setting_of(const ap_section *section) {
    return (config_setting_t *)(uintptr_t)section;
}

static const ap_section *section_of(const config_setting_t *setting) {
    return (const ap_section *)setting;
}

static const char *where_is(const config_setting_t *setting) {
    static _Thread_local char text[AP_PATH + 16];
    const ap_config *config = (const ap_config *)(const void *)setting->config;
    unsigned line = config_setting_source_line(setting); /* 0: the file as a whole */
    snprintf(text, sizeof text, line ? "%s:%u" : "%s", config->name, line);
    return text;
}

/* ---- the source text, before libconfig sees it
 *
 * libconfig 1.5 reads 3000000000 as a negative number, 99999999999999999999 as -1 and 1e999 as infinity, all with
 * success. So every number of the text is checked here, and integers are handed on in decimal with the suffix L, which
 * it reads as 64 bits. Lines are kept. */

typedef struct scanner {
    const char *at, *end, *name;
    int line, depth, opened[DEEPEST + 1]; /* the lines of the brackets that are open */
    FILE *out;
    ap_error *error;
} scanner;

AP_PRINTF(2, 3) static ap_status scan_fail(const scanner *s, const char *format, ...) {
    char text[TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return ap_fail(s->error, AP_CONFIG, "%s:%d: %s", s->name, s->line, text);
}

static bool at_text(const scanner *s, const char *text) {
    size_t n = strlen(text);
    return (size_t)(s->end - s->at) >= n && memcmp(s->at, text, n) == 0;
}

static void copy(scanner *s) {
    if (*s->at == '\n') s->line++;
    fputc(*s->at++, s->out);
}

static ap_status scan_comment(scanner *s) {
    if (at_text(s, "/*")) {
        const scanner start = *s;
        while (s->at < s->end && !at_text(s, "*/")) copy(s);
        if (s->at == s->end) return scan_fail(&start, "the comment that starts here with /* has no */");
        copy(s);
        copy(s);
    } else {
        while (s->at < s->end && *s->at != '\n') copy(s);
    }
    return AP_OK;
}

static ap_status scan_string(scanner *s) {
    copy(s);
    while (s->at < s->end && *s->at != '"' && *s->at != '\n') {
        if (*s->at == '\\') copy(s);
        if (s->at < s->end && *s->at != '\n') copy(s);
    }
    if (s->at == s->end || *s->at == '\n') return scan_fail(s, "a string is not closed on its line: a \" is missing");
    copy(s);
    return AP_OK;
}

static ap_status scan_integer(scanner *s, const char *text, size_t digits_at, int base) {
    char *rest;
    errno = 0;
    long long value = strtoll(text + digits_at, &rest, base);
    if (rest == text + digits_at || strspn(rest, "L") > 2 || rest[strspn(rest, "L")])
        return scan_fail(s, "%.60s is not a number", text);
    if (errno == ERANGE) return scan_fail(s, "%.60s does not fit in 64 bits (at most 9223372036854775807)", text);
    fprintf(s->out, "%lldL", value);
    return AP_OK;
}

static ap_status scan_float(scanner *s, const char *text) {
    char *rest;
    errno = 0;
    double value = strtod(text, &rest);
    if (*rest || !*text) return scan_fail(s, "%.60s is not a number", text);
    if (isinf(value)) return scan_fail(s, "%.60s is too large for a double (at most 1.79e308)", text);
    if (value == 0 && errno == ERANGE) return scan_fail(s, "%.60s is too small for a double; write 0.0", text);
    fputs(text, s->out);
    return AP_OK;
}

/* A number is all that follows without a break, so 12abc or 1.2.3 is one wrong number and not two tokens. */
static ap_status scan_number(scanner *s) {
    char text[TEXT];
    size_t n = 0;
    bool hex = at_text(s, "0x") || at_text(s, "0X");
    while (s->at < s->end) {
        char c = *s->at;
        bool sign = c == '+' || c == '-';
        if (sign ? n > 0 && (hex || (text[n - 1] != 'e' && text[n - 1] != 'E'))
                 : !isalnum((unsigned char)c) && c != '.')
            break;
        if (n == sizeof text - 1) return scan_fail(s, "a number of more than %zu digits", n);
        text[n++] = c;
        s->at++;
    }
    text[n] = '\0';
    if (hex) return scan_integer(s, text, 2, 16);
    if (text[strspn(text, "+-0123456789L")] == '\0') return scan_integer(s, text, 0, 10);
    if (text[strspn(text, "+-.0123456789eE")] == '\0') return scan_float(s, text);
    return scan_fail(s, "%.60s is not a number that is allowed here", text);
}

static ap_status scan_word(scanner *s) {
    const char *start = s->at;
    while (s->at < s->end && (isalnum((unsigned char)*s->at) || strchr("-_*", *s->at))) copy(s);
    int n = (int)(s->at - start);
    const char *next = s->at;
    while (next < s->end && (*next == ' ' || *next == '\t')) next++;
    bool is_key = next < s->end && (*next == '=' || *next == ':');
    if (!is_key && ((n == 3 && (!strncasecmp(start, "inf", 3) || !strncasecmp(start, "nan", 3))) ||
                    (n == 8 && !strncasecmp(start, "infinity", 8))))
        return scan_fail(s, "%.*s is not a number that is allowed here: numbers are finite", n, start);
    return AP_OK;
}

static ap_status scan_other(scanner *s) {
    unsigned char c = (unsigned char)*s->at;
    if (c == '@') return scan_fail(s, "@include is not supported: write one file");
    if (!isprint(c) && !isspace(c)) return scan_fail(s, "byte 0x%02x is not text; is this a configuration file?", c);
    if (strchr("{[(", c)) s->opened[s->depth++] = s->line;
    if (s->depth > DEEPEST) return scan_fail(s, "groups and lists are nested more than %d deep", DEEPEST);
    if (strchr("}])", c) && s->depth-- == 0) return scan_fail(s, "this %c closes nothing", c);
    copy(s);
    return AP_OK;
}

static ap_status scan(scanner *s) {
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at;
        if (c == '#' || at_text(s, "//") || at_text(s, "/*"))
            AP_TRY(scan_comment(s));
        else if (c == '"')
            AP_TRY(scan_string(s));
        else if (isalpha(c) || c == '*')
            AP_TRY(scan_word(s));
        else if (isdigit(c) || c == '.' || c == '+' || c == '-')
            AP_TRY(scan_number(s));
        else
            AP_TRY(scan_other(s));
    }
    if (s->depth == 0) return AP_OK;
    s->line = s->opened[s->depth - 1];
    return scan_fail(s, "the group or list that starts here is not closed");
}

/* *checked: malloc'ed, for libconfig. */
static ap_status scan_text(const char *text, size_t n, const char *name, char **checked, ap_error *error) {
    scanner s = {.at = text, .end = text + n, .name = name, .line = 1, .error = error};
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n') s.line++;
        if ((c < ' ' && !strchr("\t\n\r", c)) || c == 0x7f || c == 0)
            return scan_fail(&s, "byte 0x%02x is not text; is this a configuration file?", c);
    }
    s.line = 1;
    *checked = NULL;
    size_t size;
    s.out = open_memstream(checked, &size);
    if (!s.out) return ap_fail(error, AP_ENVIRONMENT, "%s: no memory to read it", name);
    ap_status status = scan(&s);
    fputc('\n', s.out); /* libconfig takes a comment that ends the file without one for a syntax error */
    if (fclose(s.out) && status == AP_OK) status = ap_fail(error, AP_ENVIRONMENT, "%s: no memory to read it", name);
    if (status == AP_OK) return AP_OK;
    free(*checked);
    *checked = NULL;
    return status;
}

/* ---- files */

static ap_status parse(const char *text, size_t n, const char *name, ap_config **config, ap_error *error) {
    if (n > LONGEST_FILE)
        return ap_fail(error, AP_CONFIG, "%s: has %zu bytes (at most %d); is it a configuration file?", name, n,
                       LONGEST_FILE);
    char *checked;
    AP_TRY(scan_text(text, n, name, &checked, error));
    ap_config *c = calloc(1, sizeof *c);
    if (!c || !(c->name = strdup(name))) {
        free(c);
        free(checked);
        return ap_fail(error, AP_ENVIRONMENT, "%s: no memory to read it", name);
    }
    config_init(&c->lib);
    ap_status status = AP_OK;
    if (!config_read_string(&c->lib, checked))
        status = ap_fail(error, AP_CONFIG, "%s:%d: %s; settings are `key = value;`, groups { }, lists ( )", name,
                         config_error_line(&c->lib), config_error_text(&c->lib));
    free(checked);
    if (status == AP_OK)
        *config = c;
    else
        ap_config_destroy(c);
    return status;
}

ap_status ap_config_read(const char *path, ap_config **config, ap_error *error) {
    char *text;
    size_t n;
    ap_status status = ap_read_file(path, LONGEST_FILE, &text, &n, error);
    if (status == AP_DATA && error) error->status = AP_CONFIG;
    if (status != AP_OK) return status == AP_DATA ? AP_CONFIG : status;
    status = parse(text, n, path, config, error);
    free(text);
    return status;
}

ap_status ap_config_parse(const char *text, const char *name, ap_config **config, ap_error *error) {
    return parse(text, strlen(text), name, config, error);
}

void ap_config_destroy(ap_config *config) {
    if (!config) return;
    config_destroy(&config->lib);
    free(config->name);
    free(config);
}

const ap_section *ap_config_root(const ap_config *config) {
    return section_of(config_root_setting(&config->lib));
}

const ap_section *ap_section_group(const ap_section *section, const char *key) {
    const config_setting_t *member = config_setting_get_member(setting_of(section), key);
    return member && config_setting_is_group(member) ? section_of(member) : NULL;
}

int ap_section_count(const ap_section *section, const char *key) {
    const config_setting_t *member = config_setting_get_member(setting_of(section), key);
    if (!member) return 0;
    return config_setting_is_list(member) ? config_setting_length(member) : 1;
}

const ap_section *ap_section_element(const ap_section *section, const char *key, int i) {
    const config_setting_t *member = config_setting_get_member(setting_of(section), key);
    if (!member || i < 0) return NULL;
    if (config_setting_is_list(member))
        member = config_setting_get_elem(member, (unsigned)i);
    else if (i > 0)
        return NULL;
    return member && config_setting_is_group(member) ? section_of(member) : NULL;
}

const char *ap_section_where(const ap_section *section, const char *key) {
    const config_setting_t *setting = setting_of(section), *member = NULL;
    if (key) member = config_setting_get_member(setting, key);
    return where_is(member ? member : setting);
}

/* ---- values */

typedef union value {
    int64_t i; /* first: {0} clears all of it */
    bool b;
    double f;
    char *text;
    char **list;
} value;

static size_t value_size(const ap_option *option) {
    switch (option->type) {
    case AP_OPTION_BOOL: return sizeof(bool);
    case AP_OPTION_INT: return sizeof(int64_t);
    case AP_OPTION_FLOAT: return sizeof(double);
    case AP_OPTION_STRING: return sizeof(char *);
    case AP_OPTION_LIST: return sizeof(char **);
    }
    return 0;
}

static void value_store(const ap_option *option, const value *v, void *object) {
    memcpy((char *)object + option->offset, v, value_size(option));
}

static value value_load(const ap_option *option, const void *object) {
    value v = {0};
    memcpy(&v, (const char *)object + option->offset, value_size(option));
    return v;
}

static void value_free(const ap_option *option, value *v) {
    if (option->type == AP_OPTION_STRING) free(v->text);
    if (option->type == AP_OPTION_LIST) {
        for (char **item = v->list; item && *item; item++) free(*item);
        free(v->list);
    }
    *v = (value){0};
}

/* The fewest digits that read back as the same double; whole numbers below a million without exponent. */
static void float_text(double x, char text[32]) {
    if (x == rint(x) && fabs(x) < 1e6) {
        snprintf(text, 32, "%.0f", x);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, x);
        if (strtod(text, NULL) == x) return;
    }
}

/* ---- what is allowed, in words */

AP_PRINTF(3, 4) static void append(char *text, size_t size, const char *format, ...) {
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

static void append_names(char *text, size_t size, const char *const *names) {
    for (const char *const *name = names; *name; name++) append(text, size, "%s%s", name == names ? "" : ", ", *name);
}

/* "1 to 8", "at least 1", "at most 8", or nothing. */
static void range_text(const ap_option *option, char *text, size_t size) {
    char min[32], max[32];
    text[0] = '\0';
    if (option->min == 0 && option->max == 0) return;
    float_text(option->min, min);
    float_text(option->max, max);
    if (isinf(option->min))
        append(text, size, "at most %s", max);
    else if (isinf(option->max))
        append(text, size, "at least %s", min);
    else
        append(text, size, "%s to %s", min, max);
}

static void allowed_text(const ap_option *option, char *text, size_t size) {
    static const char *const nouns[] = {[AP_OPTION_BOOL] = "true or false",
                                        [AP_OPTION_INT] = "an integer",
                                        [AP_OPTION_FLOAT] = "a number",
                                        [AP_OPTION_STRING] = "a string",
                                        [AP_OPTION_LIST] = "a list of strings"};
    char range[80];
    text[0] = '\0';
    if (option->choices) {
        append(text, size, option->type == AP_OPTION_LIST ? "a list of " : "one of ");
        append_names(text, size, option->choices);
        return;
    }
    append(text, size, "%s", nouns[option->type]);
    range_text(option, range, sizeof range);
    if (*range) append(text, size, ", %s", range);
}

/* The one form of "this value is wrong". `where` may be "". */
static ap_status bad_value(const ap_option *option, const char *where, const char *shown, ap_error *error) {
    char allowed[TEXT];
    allowed_text(option, allowed, sizeof allowed);
    const char *closest = option->choices ? ap_closest(shown, option->choices) : NULL;
    ap_fail(error, AP_CONFIG, "%s%s%s = %.80s (must be %s); ", where, *where ? ": " : "", option->name, shown, allowed);
    if (!error) return AP_CONFIG;
    if (closest)
        append(error->text, sizeof error->text, "did you mean \"%s\"?", closest);
    else if (option->fallback)
        append(error->text, sizeof error->text, "correct it, or leave it out for the default %s",
               *option->fallback ? option->fallback : "\"\"");
    else
        append(error->text, sizeof error->text, "correct it: %s", option->help);
    return AP_CONFIG;
}

static bool is_choice(const ap_option *option, const char *text) {
    if (!option->choices) return true;
    for (const char *const *choice = option->choices; *choice; choice++)
        if (strcmp(*choice, text) == 0) return true;
    return false;
}

/* Texts end up in JSON and HDF5, so they must be UTF-8. */
static ap_status check_text(const ap_option *option, const char *text, const char *where, ap_error *error) {
    json_t *utf8 = json_string(text);
    json_decref(utf8);
    if (!utf8) return bad_value(option, where, "(bytes that are not UTF-8)", error);
    return is_choice(option, text) ? AP_OK : bad_value(option, where, text, error);
}

static bool in_range(const ap_option *option, double x) {
    return isfinite(x) && ((option->min == 0 && option->max == 0) || (x >= option->min && x <= option->max));
}

static ap_status no_memory(const ap_option *option, ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "no memory for the value of %s", option->name);
}

/* Appends a copy of text[0..n) to a list of `length` strings. */
static ap_status list_add(const ap_option *option, const char *where, char **list, size_t length, const char *text,
                          size_t n, ap_error *error) {
    list[length] = strndup(text, n);
    if (!list[length]) return no_memory(option, error);
    return check_text(option, list[length], where, error);
}

/* ---- values from text */

static ap_status list_from_text(const ap_option *option, const char *text, const char *where, value *v,
                                ap_error *error) {
    size_t n = *text ? 1 : 0;
    for (const char *c = text; *c; c++) n += *c == ',';
    v->list = calloc(n + 1, sizeof *v->list);
    if (!v->list) return no_memory(option, error);
    for (size_t i = 0; i < n; i++) {
        size_t length = strcspn(text, ",");
        AP_TRY(list_add(option, where, v->list, i, text, length, error));
        text += length + 1;
    }
    return AP_OK;
}

/* On failure *v may hold memory: the caller frees it. */
static ap_status value_from_text(const ap_option *option, const char *text, const char *where, value *v,
                                 ap_error *error) {
    char *rest = NULL;
    bool number = isdigit((unsigned char)*text) || (*text && strchr("+-.", *text));
    errno = 0;
    switch (option->type) {
    case AP_OPTION_BOOL:
        v->b = strcmp(text, "true") == 0;
        return v->b || strcmp(text, "false") == 0 ? AP_OK : bad_value(option, where, text, error);
    case AP_OPTION_INT:
        if (number) v->i = strtoll(text, &rest, 10);
        if (!number || *rest || errno == ERANGE || !in_range(option, (double)v->i))
            return bad_value(option, where, text, error);
        return AP_OK;
    case AP_OPTION_FLOAT:
        if (number && !strpbrk(text, "xXnN")) v->f = strtod(text, &rest);
        if (!rest || *rest || !in_range(option, v->f)) return bad_value(option, where, text, error);
        return AP_OK;
    case AP_OPTION_STRING:
        if (!(v->text = strdup(text))) return no_memory(option, error);
        return check_text(option, text, where, error);
    case AP_OPTION_LIST: return list_from_text(option, text, where, v, error);
    }
    return AP_BUG;
}

/* ---- values from libconfig */

/* The value as one would write it, shortened. */
static void show_setting(const config_setting_t *setting, char text[SHOWN]) {
    char number[32];
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT: snprintf(text, SHOWN, "%d", config_setting_get_int(setting)); break;
    case CONFIG_TYPE_INT64: snprintf(text, SHOWN, "%lld", config_setting_get_int64(setting)); break;
    case CONFIG_TYPE_FLOAT:
        float_text(config_setting_get_float(setting), number);
        snprintf(text, SHOWN, "%s%s", number, strpbrk(number, ".e") ? "" : ".0");
        break;
    case CONFIG_TYPE_STRING: snprintf(text, SHOWN, "\"%.50s\"", config_setting_get_string(setting)); break;
    case CONFIG_TYPE_BOOL: strcpy(text, config_setting_get_bool(setting) ? "true" : "false"); break;
    case CONFIG_TYPE_GROUP: strcpy(text, "{ a group }"); break;
    case CONFIG_TYPE_LIST: strcpy(text, "( a list )"); break;
    case CONFIG_TYPE_ARRAY: strcpy(text, "[ a list ]"); break;
    default: strcpy(text, "?");
    }
}

static ap_status list_from_setting(const ap_option *option, const config_setting_t *setting, value *v,
                                   ap_error *error) {
    bool single = config_setting_type(setting) == CONFIG_TYPE_STRING;
    int n = single ? 1 : config_setting_length(setting);
    v->list = calloc((size_t)n + 1, sizeof *v->list);
    if (!v->list) return no_memory(option, error);
    for (int i = 0; i < n; i++) {
        const config_setting_t *item = single ? setting : config_setting_get_elem(setting, (unsigned)i);
        if (config_setting_type(item) != CONFIG_TYPE_STRING) {
            char shown[SHOWN];
            show_setting(item, shown);
            return bad_value(option, where_is(item), shown, error);
        }
        const char *text = config_setting_get_string(item);
        AP_TRY(list_add(option, where_is(item), v->list, (size_t)i, text, strlen(text), error));
    }
    return AP_OK;
}

/* On failure *v may hold memory: the caller frees it. */
static ap_status value_from_setting(const ap_option *option, const config_setting_t *setting, value *v,
                                    ap_error *error) {
    int type = config_setting_type(setting);
    char shown[SHOWN];
    const char *text;
    show_setting(setting, shown);
    switch (option->type) {
    case AP_OPTION_BOOL:
        if (type != CONFIG_TYPE_BOOL) break;
        v->b = config_setting_get_bool(setting);
        return AP_OK;
    case AP_OPTION_INT:
        if (type != CONFIG_TYPE_INT64) break; /* scan_number made all of them 64-bit */
        v->i = config_setting_get_int64(setting);
        if (in_range(option, (double)v->i)) return AP_OK;
        break;
    case AP_OPTION_FLOAT:
        if (type != CONFIG_TYPE_FLOAT && type != CONFIG_TYPE_INT64) break;
        v->f =
            type == CONFIG_TYPE_FLOAT ? config_setting_get_float(setting) : (double)config_setting_get_int64(setting);
        if (in_range(option, v->f)) return AP_OK;
        break;
    case AP_OPTION_STRING:
        if (type != CONFIG_TYPE_STRING) break;
        text = config_setting_get_string(setting);
        AP_TRY(check_text(option, text, where_is(setting), error));
        v->text = strdup(text);
        return v->text ? AP_OK : no_memory(option, error);
    case AP_OPTION_LIST:
        if (type != CONFIG_TYPE_STRING && type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST) break;
        return list_from_setting(option, setting, v, error);
    }
    return bad_value(option, where_is(setting), shown, error);
}

/* ---- sections */

static const ap_option *find_option(const ap_option *table, size_t n, const char *key) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, key) == 0) return &table[i];
    return NULL;
}

static bool is_among(const char *key, const char *const *names) {
    for (; names && *names; names++)
        if (strcmp(*names, key) == 0) return true;
    return false;
}

static ap_status unknown_key(const char *where, const char *key, const ap_option *table, size_t n,
                             const char *const *other, ap_error *error) {
    size_t others = 0;
    while (other && other[others]) others++;
    const char **names = calloc(n + others + 1, sizeof *names);
    char list[TEXT] = "";
    if (!names) return ap_fail(error, AP_ENVIRONMENT, "no memory");
    for (size_t i = 0; i < n; i++) names[i] = table[i].name;
    for (size_t i = 0; i < others; i++) names[n + i] = other[i];
    append_names(list, sizeof list, names);
    const char *closest = ap_closest(key, names);
    free(names);
    return ap_fail(error, AP_CONFIG, "%s%sunknown key \"%.80s\"%s%s%s; known keys: %s", where, *where ? ": " : "", key,
                   closest ? "; did you mean \"" : "", closest ? closest : "", closest ? "\"?" : "",
                   *list ? list : "none");
}

/* A key that the caller reads itself is a group or a list of groups. */
static ap_status check_groups(const config_setting_t *setting, ap_error *error) {
    bool fine = config_setting_is_group(setting) || config_setting_is_list(setting);
    if (config_setting_is_list(setting))
        for (int i = 0; i < config_setting_length(setting); i++)
            fine = fine && config_setting_is_group(config_setting_get_elem(setting, (unsigned)i));
    if (fine) return AP_OK;
    char shown[SHOWN];
    show_setting(setting, shown);
    return ap_fail(error, AP_CONFIG,
                   "%s: %s = %s (must be a group { key = value; ... } or a list of groups ( { ... }, ... ))",
                   where_is(setting), config_setting_name(setting), shown);
}

static ap_status check_keys(const config_setting_t *group, const ap_option *table, size_t n, const char *const *other,
                            ap_error *error) {
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
        const char *key = config_setting_name(member);
        if (find_option(table, n, key)) continue;
        if (!is_among(key, other)) return unknown_key(where_is(member), key, table, n, other, error);
        AP_TRY(check_groups(member, error));
    }
    return AP_OK;
}

static ap_status value_of_key(const config_setting_t *group, const ap_option *option, value *v, ap_error *error) {
    const config_setting_t *member = config_setting_get_member(group, option->name);
    if (member) return value_from_setting(option, member, v, error);
    if (option->fallback) {
        ap_status status = value_from_text(option, option->fallback, "", v, error);
        return status == AP_OK || !error ? status : ap_context(error, "default");
    }
    char allowed[TEXT];
    allowed_text(option, allowed, sizeof allowed);
    return ap_fail(error, AP_CONFIG, "%s: the required key %s is missing (%s): %s", where_is(group), option->name,
                   allowed, option->help);
}

ap_status ap_section_read(const ap_section *section, const ap_option *table, size_t n, const char *const *other,
                          void *object, ap_error *error) {
    const config_setting_t *group = setting_of(section);
    AP_TRY(check_keys(group, table, n, other, error));
    value *values = calloc(n ? n : 1, sizeof *values);
    if (!values) return ap_fail(error, AP_ENVIRONMENT, "no memory for %zu options", n);
    ap_status status = AP_OK;
    for (size_t i = 0; status == AP_OK && i < n; i++) status = value_of_key(group, &table[i], &values[i], error);
    for (size_t i = 0; i < n; i++) {
        if (status == AP_OK)
            value_store(&table[i], &values[i], object);
        else
            value_free(&table[i], &values[i]);
    }
    free(values);
    return status;
}

/* Replaces the value in `object`, or frees the new one. */
static ap_status replace(const ap_option *option, ap_status status, value *v, void *object) {
    if (status == AP_OK) {
        value old = value_load(option, object);
        value_free(option, &old);
        value_store(option, v, object);
    } else {
        value_free(option, v);
    }
    return status;
}

ap_status ap_section_overlay(const ap_section *section, const ap_option *table, size_t n, void *object,
                             ap_error *error) {
    const config_setting_t *group = setting_of(section);
    AP_TRY(check_keys(group, table, n, NULL, error));
    for (size_t i = 0; i < n; i++) {
        const config_setting_t *member = config_setting_get_member(group, table[i].name);
        value v = {0};
        if (member) AP_TRY(replace(&table[i], value_from_setting(&table[i], member, &v, error), &v, object));
    }
    return AP_OK;
}

/* ---- options from elsewhere */

ap_status ap_options_defaults(const ap_option *table, size_t n, void *object, ap_error *error) {
    for (size_t i = 0; i < n; i++) {
        value none = {0};
        value_store(&table[i], &none, object);
    }
    for (size_t i = 0; i < n; i++) {
        value v = {0};
        if (!table[i].fallback) continue;
        ap_status status = value_from_text(&table[i], table[i].fallback, "default", &v, error);
        if (replace(&table[i], status, &v, object) != AP_OK) {
            ap_options_free(table, n, object);
            return status;
        }
    }
    return AP_OK;
}

ap_status ap_options_set(const ap_option *table, size_t n, const char *key, const char *text, const char *where,
                         void *object, ap_error *error) {
    const ap_option *option = find_option(table, n, key);
    value v = {0};
    if (!option) return unknown_key(where, key, table, n, NULL, error);
    return replace(option, value_from_text(option, text, where, &v, error), &v, object);
}

void ap_options_free(const ap_option *table, size_t n, void *object) {
    for (size_t i = 0; i < n; i++) {
        value v = value_load(&table[i], object);
        if (table[i].type != AP_OPTION_STRING && table[i].type != AP_OPTION_LIST) continue;
        value_free(&table[i], &v);
        value_store(&table[i], &v, object);
    }
}

static const char *type_word(ap_option_type type) {
    static const char *const words[] = {[AP_OPTION_BOOL] = "bool",
                                        [AP_OPTION_INT] = "integer",
                                        [AP_OPTION_FLOAT] = "number",
                                        [AP_OPTION_STRING] = "string",
                                        [AP_OPTION_LIST] = "list"};
    return words[type];
}

static const char *default_word(const ap_option *option) {
    if (!option->fallback) return "required";
    return *option->fallback ? option->fallback : "\"\"";
}

void ap_options_help(const ap_option *table, size_t n, FILE *out) {
    int name = 0, fallback = 0;
    for (size_t i = 0; i < n; i++) {
        if ((int)strlen(table[i].name) > name) name = (int)strlen(table[i].name);
        if ((int)strlen(default_word(&table[i])) > fallback) fallback = (int)strlen(default_word(&table[i]));
    }
    for (size_t i = 0; i < n; i++) {
        char limits[TEXT] = "";
        if (table[i].choices)
            append_names(limits, sizeof limits, table[i].choices);
        else
            range_text(&table[i], limits, sizeof limits);
        fprintf(out, "  %-*s  %-7s  %-*s  %s%s%s%s\n", name, table[i].name, type_word(table[i].type), fallback,
                default_word(&table[i]), table[i].help, *limits ? " [" : "", limits, *limits ? "]" : "");
    }
}

void ap_option_text(const ap_option *option, const void *object, char *text, size_t size) {
    value v = value_load(option, object);
    char number[32];
    if (size == 0) return;
    text[0] = '\0';
    switch (option->type) {
    case AP_OPTION_BOOL: append(text, size, "%s", v.b ? "true" : "false"); break;
    case AP_OPTION_INT: append(text, size, "%" PRId64, v.i); break;
    case AP_OPTION_FLOAT:
        float_text(v.f, number);
        append(text, size, "%s", number);
        break;
    case AP_OPTION_STRING: append(text, size, "%s", v.text ? v.text : ""); break;
    case AP_OPTION_LIST:
        for (char **item = v.list; item && *item; item++) append(text, size, "%s%s", item == v.list ? "" : ",", *item);
        break;
    }
}
