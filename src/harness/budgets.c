#include "harness/budgets.h"

#include "base/file.h"
#include "harness/provenance.h"
#include "tensor/kernels/isa.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the file's keys */

#define AT(member) offsetof(ap_budgets, member)
static const ap_option head_options[] = {
    {"name", AP_OPTION_STRING, AT(name), .help = "what results call this clock; letters, digits, . _ -"},
    {"created", AP_OPTION_STRING, AT(created), .fallback = "", .help = "when it was measured, UTC"},
    {"hosts", AP_OPTION_STRING, AT(hosts), .fallback = "", .help = "where"},
    {"cpu", AP_OPTION_STRING, AT(cpu), .fallback = "", .help = "CPU model of the first host"},
    {"instruction_set", AP_OPTION_STRING, AT(instruction_set), .fallback = "", .help = "what the kernels used"},
    {"math", AP_OPTION_STRING, AT(math), .fallback = "ordered", .help = "matrix products: ordered or blas"},
    {"ranks", AP_OPTION_INT, AT(ranks), .min = 1, .max = 1024, .help = "ranks of a trial"},
    {"threads", AP_OPTION_INT, AT(threads), .min = 1, .max = 1024, .help = "OpenMP threads a rank"},
    {"shards", AP_OPTION_INT, AT(shards), .min = 1, .max = 1024, .fallback = "8", .help = "shards of a batch"},
    {"ranks_per_host", AP_OPTION_INT, AT(per_host), .min = 1, .max = 65536, .fallback = "1",
     .help = "ranks at work on a host while it was measured"},
    {"baseline", AP_OPTION_STRING, AT(baseline), .fallback = "", .help = "training algorithm and its point"},
    {"program", AP_OPTION_STRING, AT(program), .fallback = "", .help = "version that measured"},
    {"digest", AP_OPTION_STRING, AT(digest), .fallback = "",
     .help = "over all other keys; taken out by who edits the file"},
};
#define BUDGET_AT(member) offsetof(ap_budget, member)
static const ap_option budget_options[] = {
    {"workload", AP_OPTION_STRING, BUDGET_AT(workload), .help = "workload, see `algoperf list`"},
    {"scale", AP_OPTION_STRING, BUDGET_AT(scale), .help = "full or mini"},
    {"step_hint", AP_OPTION_INT, BUDGET_AT(step_hint), .min = 1, .max = 1e9, .help = "published schedule, steps"},
    {"batch_size", AP_OPTION_INT, BUDGET_AT(batch_size), .min = 1, .max = 1e9, .help = "the baseline's global batch"},
    {"step_time_s", AP_OPTION_FLOAT, BUDGET_AT(step_time_s), .min = 1e-9, .max = 1e6,
     .help = "median time of a step, s"},
    {"step_time_p10_s", AP_OPTION_FLOAT, BUDGET_AT(step_time_p10_s), .max = 1e6, .fallback = "0",
     .help = "a tenth of the steps was faster, s"},
    {"step_time_p90_s", AP_OPTION_FLOAT, BUDGET_AT(step_time_p90_s), .max = 1e6, .fallback = "0",
     .help = "a tenth of the steps was slower, s"},
    {"steps", AP_OPTION_INT, BUDGET_AT(steps), .max = 1e9, .fallback = "0", .help = "steps measured"},
    {"max_runtime_s", AP_OPTION_FLOAT, BUDGET_AT(max_runtime_s), .min = 1e-6, .max = 1e9,
     .help = "budget of a trial, s"},
    {"eval_period_s", AP_OPTION_FLOAT, BUDGET_AT(eval_period_s), .min = 1e-6, .max = 1e9,
     .help = "time between evaluations, s"},
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- the text, canonical: what the digest is of, and what is written */

static void write_option(FILE *out, const ap_option *option, const void *object, const char *end) {
    char text[1024];
    ap_option_text(option, object, text, sizeof text);
    fprintf(out, "%s = ", option->name);
    if (option->type != AP_OPTION_STRING) {
        bool whole = option->type == AP_OPTION_FLOAT && !strpbrk(text, ".e");
        fprintf(out, "%s%s;%s", text, whole ? ".0" : "", end);
        return;
    }
    ap_clean_text(text);
    fputc('"', out);
    for (const char *c = text; *c; c++) fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    fprintf(out, "\";%s", end);
}

static void write_body(FILE *out, const ap_budgets *b) {
    for (size_t i = 0; i < COUNT(head_options); i++)
        if (strcmp(head_options[i].name, "digest")) write_option(out, &head_options[i], b, "\n");
    fprintf(out, "budgets = (\n");
    for (int k = 0; k < b->n; k++) {
        fprintf(out, "  { ");
        for (size_t i = 0; i < COUNT(budget_options); i++)
            write_option(out, &budget_options[i], &b->budget[k],
                         i + 1 == COUNT(budget_options) ? " "
                         : (i == 3 || i == 7)           ? "\n    "
                                                        : " ");
        fprintf(out, "}%s\n", k + 1 < b->n ? "," : "");
    }
    fprintf(out, ");\n");
}

/* The body as malloc'ed text, and its digest. */
static ap_status make_body(const ap_budgets *b, char **body, char digest[AP_DIGEST_TEXT], ap_error *error) {
    size_t n = 0;
    FILE *out = open_memstream(body, &n);
    if (!out) return ap_fail_errno(error, AP_ENVIRONMENT, "cannot write a budget file");
    write_body(out, b);
    if (fclose(out)) return ap_fail_errno(error, AP_ENVIRONMENT, "cannot write a budget file");
    ap_digest_text(ap_digest_of(*body, n), digest);
    return AP_OK;
}

/* ---- reading */

typedef struct scale_search {
    const char *wanted;
    bool found;
    int64_t step_hint;
    char list[256];
} scale_search;

static void visit_scale(void *user, const ap_scale *scale, const char *dataset, double validation, double test) {
    (void)dataset, (void)validation, (void)test;
    scale_search *s = user;
    if (!strcmp(scale->name, s->wanted)) s->found = true, s->step_hint = scale->step_hint;
    if (strstr(s->list, scale->name)) return; /* a scale comes once for each data set */
    size_t used = strlen(s->list);
    snprintf(s->list + used, sizeof s->list - used, "%s%s", used ? ", " : "", scale->name);
}

static ap_status check_budget(const ap_budgets *b, const ap_section *section, const ap_budget *found, ap_error *error) {
    const ap_workload *workload;
    if (ap_workload_find(found->workload, &workload, error))
        return ap_context(error, "%s: workload", ap_section_where(section, "workload"));
    scale_search search = {.wanted = found->scale};
    AP_TRY(ap_workload_each_target(workload, visit_scale, &search, error));
    if (!search.found)
        return ap_fail(error, AP_CONFIG, "%s: scale = \"%s\" (workload %s has: %s)", ap_section_where(section, "scale"),
                       found->scale, found->workload, search.list);
    if (search.step_hint != found->step_hint)
        return ap_fail(error, AP_CONFIG,
                       "%s: step_hint = %lld (%s %s has %lld here): the file was made with another version; run "
                       "`algoperf calibrate` again",
                       ap_section_where(section, "step_hint"), (long long)found->step_hint, found->workload,
                       found->scale, (long long)search.step_hint);
    if (found->eval_period_s > found->max_runtime_s)
        return ap_fail(error, AP_CONFIG, "%s: eval_period_s = %g (must be at most max_runtime_s = %g)",
                       ap_section_where(section, "eval_period_s"), found->eval_period_s, found->max_runtime_s);
    if (ap_budgets_find(b, found->workload, found->scale))
        return ap_fail(error, AP_CONFIG, "%s: workload %s %s is there twice", ap_section_where(section, "workload"),
                       found->workload, found->scale);
    return AP_OK;
}

static ap_status check_name(const char *name, const char *where, ap_error *error) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(name);
    if (n >= 1 && n <= AP_BUDGETS_NAME && strspn(name, letters) == n) return AP_OK;
    return ap_fail(error, AP_CONFIG, "%sname = \"%.60s\" (must be 1 to %d letters, digits, '.', '_' or '-')", where,
                   name, AP_BUDGETS_NAME);
}

static ap_status check_digest(ap_budgets *b, const ap_section *root, ap_error *error) {
    char *body = NULL, digest[AP_DIGEST_TEXT];
    ap_status status = make_body(b, &body, digest, error);
    free(body);
    AP_TRY(status);
    if (*b->digest && strcmp(b->digest, digest))
        return ap_fail(error, AP_CONFIG,
                       "%s: digest = \"%.40s\", but the keys here have %s: the file was changed after it was measured; "
                       "measure again with `algoperf calibrate`, or take the digest out to use it as it is",
                       ap_section_where(root, "digest"), b->digest, digest);
    snprintf(b->label, sizeof b->label, "%s %s", b->name, digest);
    return AP_OK;
}

static ap_status load(ap_budgets *b, const ap_config *config, const char *path, ap_error *error) {
    static const char *const lists[] = {"budgets", NULL};
    char where[AP_PATH + 32];
    const ap_section *root = ap_config_root(config);
    AP_TRY(ap_section_read(root, head_options, COUNT(head_options), lists, b, error));
    snprintf(where, sizeof where, "%s: ", ap_section_where(root, "name"));
    AP_TRY(check_name(b->name, where, error));
    int n = ap_section_count(root, "budgets");
    if (n < 1) return ap_fail(error, AP_CONFIG, "%s: budgets: the list is empty or not there", path);
    b->budget = calloc((size_t)n, sizeof *b->budget);
    if (!b->budget) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %d budgets", n);
    for (int i = 0; i < n; i++) {
        const ap_section *section = ap_section_element(root, "budgets", i);
        ap_budget one = {0};
        AP_TRY(ap_section_read(section, budget_options, COUNT(budget_options), NULL, &one, error));
        ap_status status = check_budget(b, section, &one, error);
        b->budget[b->n++] = one; /* also on failure: freed with the others */
        AP_TRY(status);
    }
    return check_digest(b, root, error);
}

ap_status ap_budgets_read(const char *path, ap_budgets **budgets, ap_error *error) {
    ap_budgets *b = calloc(1, sizeof *b);
    if (!b) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the budgets");
    ap_config *config = NULL;
    ap_status status = ap_config_read(path, &config, error);
    if (!status) status = load(b, config, path, error);
    ap_config_destroy(config);
    if (status) {
        ap_budgets_free(b);
        return status;
    }
    *budgets = b;
    return AP_OK;
}

void ap_budgets_free(ap_budgets *budgets) {
    if (!budgets) return;
    for (int i = 0; i < budgets->n; i++) ap_options_free(budget_options, COUNT(budget_options), &budgets->budget[i]);
    free(budgets->budget);
    ap_options_free(head_options, COUNT(head_options), budgets);
    free(budgets);
}

/* ---- writing */

ap_status ap_budgets_may_write(const char *path, ap_error *error) {
    ap_budgets *there = NULL;
    ap_error why;
    char folder[AP_PATH];
    const char *slash = strrchr(path, '/');
    AP_TRY(ap_path(folder, error, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : "."));
    if (access(folder, W_OK)) return ap_fail_errno(error, AP_IO, "%s: cannot be written: folder %s", path, folder);
    if (!ap_file_exists(path)) return AP_OK;
    if (ap_budgets_read(path, &there, &why))
        return ap_fail(error, AP_USAGE, "%s is there and is no budget file (%.400s): name another, or remove it", path,
                       why.text);
    ap_budgets_free(there);
    return AP_OK;
}

ap_status ap_budgets_write(ap_budgets *budgets, const char *path, ap_error *error) {
    AP_TRY(check_name(budgets->name, "", error));
    AP_TRY(ap_budgets_may_write(path, error));
    char *body = NULL, *text = NULL, digest[AP_DIGEST_TEXT];
    size_t n = 0;
    ap_status status = make_body(budgets, &body, digest, error);
    FILE *out = status ? NULL : open_memstream(&text, &n);
    if (out) {
        fprintf(out,
                "# This cluster's budgets, measured by `algoperf calibrate`. A job uses them with budgets = \"FILE\";\n"
                "# max_runtime_s = step_hint * step_time_s; eval_period_s is the published one times the same factor.\n"
                "# Times are in seconds. To use edited numbers take `digest` out.\n%sdigest = \"%s\";\n",
                body, digest);
        if (fclose(out)) status = ap_fail_errno(error, AP_ENVIRONMENT, "%s", path);
    } else if (!status) {
        status = ap_fail_errno(error, AP_ENVIRONMENT, "%s", path);
    }
    if (!status) status = ap_write_file(path, text, n, error);
    snprintf(budgets->label, sizeof budgets->label, "%s %s", budgets->name, digest);
    free(body);
    free(text);
    return status;
}

/* ---- use */

const ap_budget *ap_budgets_find(const ap_budgets *budgets, const char *workload, const char *scale) {
    for (int i = 0; i < budgets->n; i++)
        if (!strcmp(budgets->budget[i].workload, workload) && !strcmp(budgets->budget[i].scale, scale))
            return &budgets->budget[i];
    return NULL;
}

ap_status ap_budgets_apply(const ap_budgets *budgets, const char *path, ap_problem *problem, ap_error *error) {
    const char *workload = problem->workload->name, *scale = problem->scale.name;
    const ap_budget *found = ap_budgets_find(budgets, workload, scale);
    if (!found)
        return ap_fail(error, AP_CONFIG,
                       "%s has no budget for workload %s, scale %s: measure it with `algoperf calibrate --workloads %s "
                       "--scale %s`, on the ranks that run the job",
                       path, workload, scale, workload, scale);
    problem->scale.max_runtime_s = found->max_runtime_s;
    problem->scale.eval_period_s = found->eval_period_s;
    return AP_OK;
}

AP_PRINTF(3, 4) static void append(char *text, size_t size, const char *format, ...) {
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    if (used) used += (size_t)snprintf(text + used, size - used, ", ");
    if (used < size) vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

void ap_budgets_difference(const ap_budgets *budgets, int ranks, int64_t threads, const char *math, char text[256]) {
    static ap_provenance here;
    here.n = 0;
    ap_provenance_collect(&here);
    const char *cpu = ap_provenance_get(&here, "cpu_model"), *isa = ap_isa_name(ap_isa_current());
    *text = '\0';
    if (budgets->ranks != ranks) append(text, 256, "%d ranks a trial, not %lld", ranks, (long long)budgets->ranks);
    if (budgets->threads != threads)
        append(text, 256, "%lld threads, not %lld", (long long)threads, (long long)budgets->threads);
    if (strcmp(budgets->math, math)) append(text, 256, "math %s, not %.16s", math, budgets->math);
    if (*budgets->instruction_set && strcmp(budgets->instruction_set, isa))
        append(text, 256, "%s, not %.16s", isa, budgets->instruction_set);
    if (*budgets->cpu && cpu && strcmp(budgets->cpu, cpu)) append(text, 256, "CPU %.60s, not %.60s", cpu, budgets->cpu);
}
