#include "base/command.h"

#include <stdio.h>
#include <string.h>

static const ap_flag *find_flag(const ap_flag *flags, const char *name, size_t length) {
    for (; flags->name; flags++)
        if (strlen(flags->name) == length && !strncmp(flags->name, name, length)) return flags;
    return NULL;
}

static ap_status unknown_flag(const char *program, const ap_command *command, const ap_flag *flags, const char *text,
                              ap_error *error) {
    const char *names[32];
    size_t n = 0;
    for (; flags->name && n < 31; flags++) names[n++] = flags->name;
    names[n] = NULL;
    const char *close = ap_closest(text + strspn(text, "-"), names);
    return ap_fail(error, AP_USAGE, "%s %s: unknown option %s%s%s%s; see `%s %s --help`", program, command->name, text,
                   close ? "; did you mean --" : "", close ? close : "", close ? "?" : "", program, command->name);
}

static void help(const char *program, const ap_command *command, const ap_flag *flags) {
    enum { LEFT = 24 };
    printf("usage: %s %s %s\n%s\n", program, command->name, command->arguments, command->summary);
    if (flags->name) printf("\nOptions:\n");
    for (; flags->name; flags++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", flags->name, flags->argument ? " " : "",
                 flags->argument ? flags->argument : "");
        printf("  %-*s ", LEFT, left);
        if (strlen(left) > LEFT) printf("\n  %-*s ", LEFT, "");
        for (const char *p = flags->help; *p; p++) {
            putchar(*p);
            if (*p == '\n') printf("  %-*s ", LEFT, "");
        }
        putchar('\n');
    }
}

ap_status ap_command_parse(const char *program, const ap_command *command, int argc, char **argv, const ap_flag *flags,
                           char ***rest, int *count, bool *helped, ap_error *error) {
    *rest = argv + 1; /* positional arguments move to the front */
    *count = 0;
    *helped = false;
    bool only_positional = false;
    for (int i = 1; i < argc; i++) {
        char *text = argv[i];
        if (only_positional || *text != '-' || !text[1]) {
            (*rest)[(*count)++] = text;
        } else if (text[1] != '-') { /* there are no short options */
            return unknown_flag(program, command, flags, text, error);
        } else if (!text[2]) {
            only_positional = true;
        } else if (!strcmp(text, "--help")) {
            help(program, command, flags);
            *helped = true;
            return AP_OK;
        } else {
            size_t length = strcspn(text + 2, "=");
            const ap_flag *flag = find_flag(flags, text + 2, length);
            const char *value = text[2 + length] == '=' ? text + 3 + length : NULL;
            if (!flag) return unknown_flag(program, command, flags, text, error);
            if (!flag->argument && value)
                return ap_fail(error, AP_USAGE, "%s %s: --%s takes no value", program, command->name, flag->name);
            if (flag->argument && !value && i + 1 < argc && strncmp(argv[i + 1], "--", 2)) value = argv[++i];
            if (flag->argument && !value)
                return ap_fail(error, AP_USAGE, "%s %s: --%s needs a value (%s)", program, command->name, flag->name,
                               flag->argument);
            *flag->value = value ? value : "";
        }
    }
    return AP_OK;
}
