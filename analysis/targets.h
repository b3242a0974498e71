/* Which workloads count, and the target of each (leaderboard rules 3.1, 4.1, 9).
 *
 * The list comes from a table (the published ones are embedded, or a file of the same columns), or, without one, from
 * the results of `algoperf` themselves: every workload found there is a base workload with the target its results
 * name. Not collective. */
#ifndef AP_ANALYSIS_TARGETS_H
#define AP_ANALYSIS_TARGETS_H

#include "base/status.h"

typedef enum ap_role {
    AP_ROLE_BASE,     /* earns credit */
    AP_ROLE_HELD_OUT, /* earns nothing; missed, it takes its base workload's credit away */
    AP_ROLE_LISTED,   /* "listed_without_results": a base workload as soon as somebody has results of it */
    AP_ROLE_OTHER,    /* "variant": read, not scored */
} ap_role;

typedef enum ap_ruleset { AP_EXTERNAL_TUNING, AP_SELF_TUNING, AP_RULESETS } ap_ruleset;
extern const char *const ap_ruleset_names[AP_RULESETS + 1]; /* NULL-terminated */

typedef struct ap_target {
    char *workload, *metric;
    ap_role role;
    size_t base;   /* held-out: index of the base workload in the list; else its own */
    bool maximise; /* a value v reaches the target T if v >= T, otherwise if v <= T */
    double validation_target;
    double budget_s[AP_RULESETS]; /* time budget; NaN: not known. Only hits are timed: scores do not depend on it */
    double step_hint;             /* as the official scorer prints it; NaN: not known */
    char *identity; /* what the first result of the workload says it is, "mnist mini (fashion-mnist)"; or NULL */
} ap_target;

typedef struct ap_targets {
    char *name; /* "v05", "v06", the file; NULL: from the results */
    size_t n;
    ap_target *target;
} ap_targets;

/* `name`: v05, v06 or the path of a table. AP_USAGE if there is no such thing; AP_DATA names line and column. The
 * caller frees. */
ap_status ap_targets_load(const char *name, ap_targets *targets, ap_error *error);
/* The same from a text; takes `text` (malloc'ed). */
ap_status ap_targets_parse(char *text, const char *name, ap_targets *targets, ap_error *error);
void ap_targets_free(ap_targets *targets);

/* Index of a workload; targets->n if it is not listed. */
size_t ap_targets_find(const ap_targets *targets, const char *workload);

/* Adds a base workload without budgets; copies the texts. */
ap_status ap_targets_add(ap_targets *targets, const char *workload, const char *metric, bool maximise,
                         double validation_target, ap_error *error);

/* Does a validation value reach the target? Equality does, NaN never does; test values play no part. */
bool ap_target_is_reached(const ap_target *target, double value);

#endif
