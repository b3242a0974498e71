#include "harness/job.h"

#include "algorithms/algorithms.h"
#include "base/file.h"
#include "harness/job_points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- option tables */

static const char *const rulesets[] = {"external_tuning", "self_tuning", NULL}; /* order of ap_ruleset */
static const char *const clocks[] = {"wall", "steps", NULL};                    /* order of ap_job_clock */
static const char *const ends[] = {"target", "budget", NULL};                   /* order of ap_job_end */
static const char *const orders[] = {"same", "shuffled", "fresh", NULL};        /* of ap_points_order */
static const char *const versions[] = {"v0.6", "v0.5", NULL};                   /* of ap_rules */
static const char *const maths[] = {"ordered", "blas", NULL};                   /* order of ap_math */

static const char *const isolations[] = {"world", "step", NULL}; /* order of ap_isolation */

#define AT(member) offsetof(ap_job_settings, member)
static const ap_option settings_options[] = {
    {"results", AP_OPTION_STRING, AT(results), .help = "folder of the result tree; made if it is not there"},
    {"ruleset", AP_OPTION_STRING, AT(ruleset), .choices = rulesets, .fallback = "external_tuning",
     .help = "the benchmark's ruleset"},
    {"seed", AP_OPTION_INT, AT(seed), .max = 9e15, .fallback = "1", .help = "all randomness derives from it"},
    {"studies", AP_OPTION_INT, AT(studies), .min = 1, .max = 1000, .fallback = "1",
     .help = "independent repetitions of the tuning"},
    {"trials", AP_OPTION_INT, AT(trials), .min = 1, .max = 100000, .fallback = "5",
     .help = "trials a study under external tuning"},
    {"points", AP_OPTION_STRING, AT(points), .choices = orders, .fallback = "same",
     .help = "the studies' hyperparameters: same = every study the same points in order, shuffled = in an order of its "
             "own from the seed, fresh = each study the next ones"},
    {"rules", AP_OPTION_STRING, AT(rules), .choices = versions, .fallback = "v0.6",
     .help = "version of the budgets: full scale, and the factor of self-tuning (v0.6: 1.5, v0.5: 3)"},
    {"shards", AP_OPTION_INT, AT(shards), .min = 1, .max = 1024, .fallback = "8",
     .help = "virtual devices a batch is cut into, a power of two; decides the bits"},
    {"ranks_per_trial", AP_OPTION_INT, AT(ranks_per_trial), .min = 0, .max = 1024, .fallback = "0",
     .help = "MPI ranks that run one trial, a power of two; 0 = all ranks"},
    {"threads", AP_OPTION_INT, AT(threads), .min = 1, .max = 1024, .fallback = "1", .help = "OpenMP threads a rank"},
    {"math", AP_OPTION_STRING, AT(math), .choices = maths, .fallback = "ordered",
     .help = "matrix products: ordered (reproducible bits) or blas (OpenBLAS)"},
    {"clock", AP_OPTION_STRING, AT(clock), .choices = clocks, .fallback = "wall",
     .help = "wall: the benchmark's seconds; steps: a step counts max_runtime / step_hint seconds"},
    {"end", AP_OPTION_STRING, AT(end), .choices = ends, .fallback = "target",
     .help = "a trial ends when its targets are reached (the benchmark), or trains on until its budget is spent"},
    {"budgets", AP_OPTION_STRING, AT(budgets), .fallback = "",
     .help = "this cluster's seconds, a file from `algoperf calibrate`, in place of the published ones"},
    {"max_runtime_s", AP_OPTION_FLOAT, AT(max_runtime_s), .max = 1e9, .fallback = "0",
     .help = "budget of a trial in place of the workload's, s; 0 = the workload's"},
    {"max_steps", AP_OPTION_INT, AT(max_steps), .max = 1e15, .fallback = "0", .help = "step cap; 0 = none"},
    {"eval_every", AP_OPTION_INT, AT(eval_every), .max = 1e15, .fallback = "0",
     .help = "evaluate every so many steps in place of the eval period; 0 = the workload's period"},
    {"checkpoint_s", AP_OPTION_FLOAT, AT(checkpoint_s), .max = 1e9, .fallback = "600",
     .help = "at most this much run time between checkpoints, s (one is also written at every evaluation)"},
    {"watchdog_s", AP_OPTION_FLOAT, AT(watchdog_s), .max = 1e9, .fallback = "300",
     .help = "a rank that keeps the others waiting longer is named and the job ends; 0 = never"},
    {"isolation", AP_OPTION_STRING, AT(isolation), .choices = isolations, .fallback = "world",
     .help = "groups of ranks: all in the MPI world that you start (world), or each in one of its own, so that a crash "
             "stays in its group (step: start `algoperf run` as one plain process)"},
    {"max_attempts", AP_OPTION_INT, AT(max_attempts), .min = 1, .max = 1000000, .fallback = "3",
     .help = "starts of a trial without progress before its verdict is `crashed`"},
};
#define WORKLOAD_AT(member) offsetof(ap_job_workload, member)
static const ap_option workload_options[] = {
    {"name", AP_OPTION_STRING, WORKLOAD_AT(name), .help = "workload, see `algoperf list`"},
    {"scale", AP_OPTION_STRING, WORKLOAD_AT(scale), .fallback = "mini", .help = "full or mini"},
    {"variant", AP_OPTION_STRING, WORKLOAD_AT(variant), .fallback = "", .help = "held-out variant; empty = the base"},
    {"data", AP_OPTION_STRING, WORKLOAD_AT(data), .fallback = "synthetic",
     .help = "packed file from `algoperf prepare`, or synthetic"},
    {"label", AP_OPTION_STRING, WORKLOAD_AT(own_label), .fallback = "",
     .help = "what trees and results call it, in place of its name: for a workload that is there twice"},
    {"max_runtime_s", AP_OPTION_FLOAT, WORKLOAD_AT(max_runtime_s), .max = 1e9, .fallback = "0",
     .help = "budget of its trials, s; 0 = the job's, or the workload's"},
};
#define SUBMISSION_AT(member) offsetof(ap_job_submission, member)
static const ap_option submission_options[] = {
    {"submission", AP_OPTION_STRING, SUBMISSION_AT(submission),
     .help = "built-in name, or a shared object (./mine.so)"},
    {"search_space", AP_OPTION_STRING, SUBMISSION_AT(search_space), .fallback = "",
     .help = "JSON file in place of the submission's own (under self-tuning: its one point)"},
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static int choice(const char *const *choices, const char *text) {
    for (int i = 0; choices[i]; i++)
        if (!strcmp(choices[i], text)) return i;
    return 0; /* the schema has checked */
}

void ap_job_help(FILE *out) {
    fprintf(out, "Job file (libconfig):\n");
    ap_options_help(settings_options, COUNT(settings_options), out);
    fprintf(out, "\nworkloads = ( { ... }, ... ), each with\n");
    ap_options_help(workload_options, COUNT(workload_options), out);
    fprintf(out, "  options = { ... }  the workload's own options, see `algoperf list WORKLOAD`\n");
    fprintf(out, "\nsubmissions = ( { ... }, ... ), each with\n");
    ap_options_help(submission_options, COUNT(submission_options), out);
}

/* ---- parts */

/* A path of the job file: absolute, or relative to its folder. */
static ap_status resolve(const ap_job *job, const char *path, char out[AP_PATH], ap_error *error) {
    if (*path == '/') return ap_path(out, error, "%s", path);
    return ap_path(out, error, "%s/%s", job->directory, path);
}

/* Says where in the job file a failure comes from, unless its text does already. Returns the status. */
static ap_status locate(const ap_job *job, const ap_section *section, const char *key, ap_error *error) {
    size_t n = strlen(job->path);
    if (error && !strncmp(error->text, job->path, n) && error->text[n] == ':') return error->status;
    return ap_context(error, "%s", ap_section_where(section, key));
}

static ap_status make_label(const ap_section *section, ap_job_workload *w, ap_error *error) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *own = w->own_label;
    enum { LONGEST = 48 };
    if (strspn(own, letters) != strlen(own) || strlen(own) > LONGEST || *own == '.')
        return ap_fail(error, AP_CONFIG, "%s: label = \"%.60s\" (must be at most %d letters, digits, '_', '-' or '.')",
                       ap_section_where(section, "label"), own, LONGEST);
    if (*own)
        snprintf(w->label, sizeof w->label, "%s", own);
    else
        snprintf(w->label, sizeof w->label, "%.80s%s%.40s", w->name, *w->variant ? "_" : "", w->variant);
    return AP_OK;
}

static ap_status open_workload(ap_job *job, const ap_section *section, ap_job_workload *w, ap_error *error) {
    static const char *const groups[] = {"options", NULL};
    AP_TRY(ap_section_read(section, workload_options, COUNT(workload_options), groups, w, error));
    const ap_workload *workload;
    if (ap_workload_find(w->name, &workload, error)) return locate(job, section, "name", error);
    w->options = ap_section_group(section, "options");
    const char *dataset = w->data;
    bool synthetic = !strcmp(w->data, "synthetic");
    if (!synthetic) {
        char path[AP_PATH];
        if (resolve(job, w->data, path, error) || ap_workload_open_data(workload, path, &w->dataset, error))
            return locate(job, section, "data", error);
        dataset = ap_dataset_name(w->dataset);
    }
    if (ap_problem_open(workload, w->scale, w->variant, dataset, w->options, &w->problem, error))
        return locate(job, section, NULL, error);
    ap_rules_apply(job->rules, w->problem);
    if (job->budgets && ap_budgets_apply(job->budgets, job->settings.budgets, w->problem, error))
        return locate(job, section, "name", error);
    const ap_scale *scale = &w->problem->scale;
    if (synthetic) {
        if (!workload->generator)
            return ap_fail(error, AP_CONFIG, "%s: workload %s has no synthetic data; name a packed file",
                           ap_section_where(section, NULL), workload->name);
        int64_t counts[AP_SPLITS] = {scale->train_examples, scale->validation_examples, scale->test_examples};
        AP_TRY(ap_dataset_synthetic(workload->generator, w->problem->model, 0, counts, &w->dataset, error));
    }
    if (workload->attach && workload->attach(w->problem->model, w->dataset, error))
        return locate(job, section, "data", error);
    return make_label(section, w, error);
}

static ap_status open_submission(ap_job *job, const ap_section *section, int i, ap_error *error) {
    ap_job_submission *s = &job->submission[i];
    AP_TRY(ap_section_read(section, submission_options, COUNT(submission_options), NULL, s, error));
    if (ap_submission_load(s->submission, job->directory, ap_algorithms(), &s->loaded, error))
        return locate(job, section, "submission", error);
    for (int j = 0; j < i; j++)
        if (!strcmp(job->submission[j].loaded->name, s->loaded->name))
            return ap_fail(error, AP_CONFIG, "%s: a submission named %s is in the job already; its results would mix",
                           ap_section_where(section, "submission"), s->loaded->name);
    char file[AP_PATH] = "";
    if (*s->search_space) AP_TRY(resolve(job, s->search_space, file, error));
    if (ap_job_draw_points(job, s, file, error))
        return locate(job, section, *s->search_space ? "search_space" : NULL, error);
    return AP_OK;
}

/* ---- identity: what decides the training, and nothing else (not: where, on how many ranks, how patiently) */

static void describe(FILE *out, const ap_job *job) {
    static const char *const not_deciding[] = {"results",      "ranks_per_trial", "threads",   "budgets", "watchdog_s",
                                               "checkpoint_s", "max_attempts",    "isolation", NULL};
    char text[512];
    for (size_t i = 0; i < COUNT(settings_options); i++) {
        bool skip = false;
        for (const char *const *n = not_deciding; *n; n++) skip |= !strcmp(*n, settings_options[i].name);
        if (skip) continue;
        ap_option_text(&settings_options[i], &job->settings, text, sizeof text);
        fprintf(out, "%s = %s\n", settings_options[i].name, text);
    }
    if (job->budgets) fprintf(out, "calibration = %s\n", job->budgets->label);
    for (int i = 0; i < job->workloads; i++) {
        const ap_job_workload *w = &job->workload[i];
        const ap_workload *table = w->problem->workload;
        fprintf(out, "workload = %s %s %s %s\n", w->label, w->scale, ap_dataset_name(w->dataset),
                ap_dataset_digest(w->dataset));
        if (job->budgets)
            fprintf(out, "  max_runtime_s = %.17g, eval_period_s = %.17g\n", w->problem->scale.max_runtime_s,
                    w->problem->scale.eval_period_s);
        if (w->max_runtime_s > 0) fprintf(out, "  max_runtime_s = %.17g\n", w->max_runtime_s);
        for (size_t o = 0; o < table->option_count; o++) {
            ap_option_text(&table->options[o], w->problem->model, text, sizeof text);
            fprintf(out, "  %s = %s\n", table->options[o].name, text);
        }
    }
    for (int i = 0; i < job->submissions; i++) {
        const ap_job_submission *s = &job->submission[i];
        fprintf(out, "submission = %s %s\n", s->loaded->name, s->loaded->digest);
        for (int p = 0; p < s->points.n; p++) {
            char *json = ap_point_json(&s->points.point[p]);
            fprintf(out, "  %s\n", json ? json : "");
            free(json);
        }
    }
}

static ap_status identify(ap_job *job, ap_error *error) {
    size_t n = 0;
    FILE *out = open_memstream(&job->description, &n);
    if (!out) return ap_fail_errno(error, AP_ENVIRONMENT, "cannot describe the job");
    describe(out, job);
    if (fclose(out)) return ap_fail_errno(error, AP_ENVIRONMENT, "cannot describe the job");
    ap_digest_text(ap_digest_of(job->description, n), job->identity);
    return AP_OK;
}

/* ---- the whole */

enum { MOST_TRIALS = 1000000 };

static ap_status check_settings(const ap_job *job, const ap_section *root, ap_error *error) {
    int64_t shards = job->settings.shards, ranks = job->settings.ranks_per_trial;
    if (shards & (shards - 1))
        return ap_fail(error, AP_CONFIG, "%s: shards = %lld (must be a power of two, 1 to 1024)",
                       ap_section_where(root, "shards"), (long long)shards);
    if (ranks & (ranks - 1) || ranks > shards)
        return ap_fail(
            error, AP_CONFIG,
            "%s: ranks_per_trial = %lld (must be a power of two and at most shards = %lld, or 0 for all ranks)",
            ap_section_where(root, "ranks_per_trial"), (long long)ranks, (long long)shards);
    if (!*job->settings.results)
        return ap_fail(error, AP_CONFIG, "%s: results is empty (must be a folder; it is made if it is not there)",
                       ap_section_where(root, "results"));
    return AP_OK;
}

static ap_status check_lists(const ap_job *job, const ap_section *root, ap_error *error) {
    if (job->workloads == 0 || job->submissions == 0)
        return ap_fail(error, AP_CONFIG, "%s: a job needs at least one workload and one submission: %s", job->path,
                       job->workloads ? "submissions = ( { submission = \"nadamw\"; } );"
                                      : "workloads = ( { name = \"mnist\"; } );");
    for (int i = 0; i < job->workloads; i++)
        for (int j = 0; j < i; j++)
            if (!strcmp(job->workload[i].label, job->workload[j].label))
                return ap_fail(error, AP_CONFIG, "%s: workload %s is there twice; give one a `label`",
                               ap_section_where(ap_section_element(root, "workloads", i), "name"),
                               job->workload[i].label);
    int64_t trials = 0;
    for (int i = 0; i < job->submissions; i++) trials += job->settings.studies * job->workloads * ap_job_trials(job, i);
    if (trials > MOST_TRIALS)
        return ap_fail(error, AP_CONFIG, "%s: %lld trials in all (at most %d); use several job files", job->path,
                       (long long)trials, MOST_TRIALS);
    return AP_OK;
}

static ap_status open_budgets(ap_job *job, const ap_section *root, ap_error *error) {
    char path[AP_PATH];
    if (!*job->settings.budgets) return AP_OK;
    if (resolve(job, job->settings.budgets, path, error) || ap_budgets_read(path, &job->budgets, error))
        return locate(job, root, "budgets", error);
    return AP_OK;
}

static const char *const lists[] = {"workloads", "submissions", NULL};

ap_status ap_job_peek(const char *path, ap_isolation *isolation, ap_error *error) {
    ap_job_settings settings = {0};
    ap_config *config;
    AP_TRY(ap_config_read(path, &config, error));
    ap_status status =
        ap_section_read(ap_config_root(config), settings_options, COUNT(settings_options), lists, &settings, error);
    if (!status) *isolation = (ap_isolation)choice(isolations, settings.isolation);
    ap_options_free(settings_options, COUNT(settings_options), &settings);
    ap_config_destroy(config);
    return status;
}

static ap_status load(ap_job *job, ap_error *error) {
    AP_TRY(ap_config_read(job->path, &job->config, error));
    const ap_section *root = ap_config_root(job->config);
    AP_TRY(ap_section_read(root, settings_options, COUNT(settings_options), lists, &job->settings, error));
    AP_TRY(check_settings(job, root, error));
    job->ruleset = (ap_ruleset)choice(rulesets, job->settings.ruleset);
    job->clock = (ap_job_clock)choice(clocks, job->settings.clock);
    job->end = (ap_job_end)choice(ends, job->settings.end);
    job->math = (ap_math)choice(maths, job->settings.math);
    job->points = (ap_points_order)choice(orders, job->settings.points);
    job->rules = (ap_rules)choice(versions, job->settings.rules);
    AP_TRY(open_budgets(job, root, error));
    job->isolation = (ap_isolation)choice(isolations, job->settings.isolation);
    int workloads = ap_section_count(root, "workloads"), submissions = ap_section_count(root, "submissions");
    if (workloads > AP_JOB_ITEMS || submissions > AP_JOB_ITEMS)
        return ap_fail(error, AP_CONFIG, "%s: %d workloads and %d submissions (at most %d each)", job->path, workloads,
                       submissions, AP_JOB_ITEMS);
    for (; job->workloads < workloads; job->workloads++)
        AP_TRY(open_workload(job, ap_section_element(root, "workloads", job->workloads), &job->workload[job->workloads],
                             error));
    for (; job->submissions < submissions; job->submissions++)
        AP_TRY(
            open_submission(job, ap_section_element(root, "submissions", job->submissions), job->submissions, error));
    AP_TRY(check_lists(job, root, error));
    return identify(job, error);
}

ap_status ap_job_open(const char *path, ap_job **job, ap_error *error) {
    ap_job *j = calloc(1, sizeof *j);
    if (!j) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the job");
    ap_status status = ap_path(j->path, error, "%s", path);
    const char *slash = strrchr(path, '/');
    if (!status)
        status =
            slash ? ap_path(j->directory, error, "%.*s", (int)(slash - path), path) : ap_path(j->directory, error, ".");
    if (!status && slash == path) status = ap_path(j->directory, error, "/");
    if (!status) status = load(j, error);
    if (status) {
        ap_job_close(j);
        return status;
    }
    *job = j;
    return AP_OK;
}

void ap_job_close(ap_job *job) {
    if (!job) return;
    for (int i = 0; i < AP_JOB_ITEMS; i++) {
        ap_dataset_close(job->workload[i].dataset);
        ap_problem_close(job->workload[i].problem);
        ap_options_free(workload_options, COUNT(workload_options), &job->workload[i]);
        ap_points_free(&job->submission[i].points);
        ap_submission_unload(job->submission[i].loaded);
        ap_options_free(submission_options, COUNT(submission_options), &job->submission[i]);
    }
    ap_options_free(settings_options, COUNT(settings_options), &job->settings);
    ap_budgets_free(job->budgets);
    ap_config_destroy(job->config);
    free(job->description);
    free(job);
}
