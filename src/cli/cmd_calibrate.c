/* algoperf calibrate: the baseline's step time on this cluster, and the budget file made of it. */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "harness/budgets.h"
#include "harness/pace.h"
#include "harness/provenance.h"
#include "tensor/kernels/isa.h"

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_STEPS = 1 << 16, LEAST_STEPS = 10, LEAST_WARM_UP = 3, ITEMS = 128 };
static const double warm_up_share = 0.2; /* of the seconds given, before anything counts */
static const double restless = 0.1;      /* a spread or drift above this is worth a warning */

typedef struct settings {
    const char *workloads, *scale, *to, *name, *data, *math;
    int64_t ranks_per_trial, threads, shards;
    double seconds;
} settings;

typedef struct calibration {
    settings set;
    MPI_Comm comm; /* of this rank's group */
    ap_group *group;
    bool broken;
    double *step_s;
    ap_budgets budgets;
    ap_budget budget[ITEMS];
    double published_s[ITEMS], drift[ITEMS];
} calibration;

/* ---- one workload at one scale */

typedef struct measured {
    double median, p10, p90, drift;
    int64_t steps, batch, step_hint;
    double max_runtime_s, eval_period_s; /* published */
} measured;

/* The median of the second half over that of the first, less 1: a machine that is still warming up, or is shared. */
static double drift_of(const double *step_s, int64_t n) {
    double *copy = malloc((size_t)n * sizeof *copy);
    if (!copy) return NAN;
    memcpy(copy, step_s, (size_t)n * sizeof *copy);
    double first = ap_pace_quantile(copy, n / 2, 0.5), second = ap_pace_quantile(copy + n / 2, n - n / 2, 0.5);
    free(copy);
    return second / first - 1;
}

/* Whole nanoseconds, so that the file is easy to read. */
static double to_ns(double s) {
    return round(s * 1e9) / 1e9;
}

/* Steps until the seconds are over, the warm-up first. The slowest rank's times are the same on all ranks, so all stop
 * together. Collective over the group. */
static ap_status time_steps(const calibration *c, ap_pace *pace, measured *m, ap_error *error) {
    double total = 0, one;
    for (int64_t n = 0; n < LEAST_WARM_UP || total < warm_up_share * c->set.seconds; n++, total += one)
        AP_TRY(ap_pace_steps(pace, 1, &one, error));
    total = 0;
    for (m->steps = 0; m->steps < MOST_STEPS && (m->steps < LEAST_STEPS || total < c->set.seconds); m->steps++) {
        AP_TRY(ap_pace_steps(pace, 1, &c->step_s[m->steps], error));
        total += c->step_s[m->steps];
    }
    m->drift = drift_of(c->step_s, m->steps);
    m->median = to_ns(ap_pace_quantile(c->step_s, m->steps, 0.5));
    m->p10 = to_ns(ap_pace_quantile(c->step_s, m->steps, 0.1));
    m->p90 = to_ns(ap_pace_quantile(c->step_s, m->steps, 0.9));
    return AP_OK;
}

static ap_status measure_in_group(calibration *c, const char *workload, const char *scale, const char *data,
                                  measured *m, ap_error *error) {
    ap_problem *problem = NULL;
    ap_dataset *dataset = NULL;
    ap_pace *pace = NULL;
    AP_TRY(ap_group_agree(c->group, ap_pace_problem(workload, scale, data, &problem, &dataset, error), error));
    ap_pace_options options = {.group = c->group,
                               .problem = problem,
                               .dataset = dataset,
                               .math = strcmp(c->set.math, "blas") ? AP_MATH_ORDERED : AP_MATH_BLAS,
                               .threads = (int)c->set.threads};
    ap_status status = ap_pace_open(&options, &pace, error);
    if (!status) status = time_steps(c, pace, m, error);
    if (!status) {
        m->batch = ap_pace_batch(pace), m->step_hint = problem->scale.step_hint;
        m->max_runtime_s = problem->scale.max_runtime_s, m->eval_period_s = problem->scale.eval_period_s;
    }
    ap_pace_close(pace);
    ap_dataset_close(dataset);
    ap_problem_close(problem);
    return status;
}

/* All groups measure at the same time, since trials will run so; the slowest group's numbers count. Collective over the
 * world. */
static ap_status measure(calibration *c, const char *workload, const char *scale, const char *data, ap_error *error) {
    measured m = {0};
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Barrier(MPI_COMM_WORLD);
    ap_status status = measure_in_group(c, workload, scale, data, &m, error);
    c->broken = ap_group_is_broken(c->group);
    if (c->broken) return status;
    int code = (int)status, worst;
    MPI_Allreduce(&code, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (worst) return status ? status : ap_fail(error, (ap_status)worst, "another group of ranks failed");
    struct {
        double median;
        int rank;
    } mine = {m.median, rank}, slowest;
    MPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE_INT, MPI_MAXLOC, MPI_COMM_WORLD);
    MPI_Bcast(&m, sizeof m, MPI_BYTE, slowest.rank, MPI_COMM_WORLD);

    int i = c->budgets.n;
    double budget_s = m.median * (double)m.step_hint;
    c->published_s[i] = m.max_runtime_s, c->drift[i] = m.drift;
    c->budget[i] = (ap_budget){.workload = strdup(workload),
                               .scale = strdup(scale),
                               .step_hint = m.step_hint,
                               .batch_size = m.batch,
                               .steps = m.steps,
                               .step_time_s = m.median,
                               .step_time_p10_s = m.p10,
                               .step_time_p90_s = m.p90,
                               .max_runtime_s = budget_s,
                               .eval_period_s = m.eval_period_s * budget_s / m.max_runtime_s};
    if (!c->budget[i].workload || !c->budget[i].scale) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    c->budgets.n++;
    return AP_OK;
}

/* ---- which ones */

/* Entry `i` of a comma-separated list; false: there are no more. */
static bool entry_of(const char *list, int i, char text[AP_PATH]) {
    for (; i > 0; i--) {
        list = strchr(list, ',');
        if (!list) return false;
        list++;
    }
    snprintf(text, AP_PATH, "%.*s", (int)strcspn(list, ","), list);
    return true;
}

/* The file of --data for a workload, or NULL. */
static const char *data_of(const calibration *c, const char *workload, char text[AP_PATH]) {
    for (int i = 0; c->set.data && entry_of(c->set.data, i, text); i++) {
        size_t n = strcspn(text, "=");
        if (strlen(workload) == n && !strncmp(text, workload, n)) return text + n + 1;
    }
    return NULL;
}

static ap_status check_data(const calibration *c, ap_error *error) {
    char text[AP_PATH];
    for (int i = 0; c->set.data && entry_of(c->set.data, i, text); i++) {
        const ap_workload *w;
        char *equals = strchr(text, '=');
        if (!equals) return ap_fail(error, AP_USAGE, "--data %s (must be WORKLOAD=FILE.h5, ...)", text);
        *equals = '\0';
        AP_TRY(ap_workload_find(text, &w, error));
    }
    return AP_OK;
}

static ap_status measure_scales(calibration *c, const char *workload, ap_error *error) {
    char scale[AP_PATH], data[AP_PATH];
    for (int i = 0; entry_of(c->set.scale, i, scale); i++) {
        if (c->budgets.n == ITEMS) return ap_fail(error, AP_USAGE, "more than %d workloads and scales", ITEMS);
        for (int k = 0; k < c->budgets.n; k++)
            if (!strcmp(c->budget[k].workload, workload) && !strcmp(c->budget[k].scale, scale))
                return ap_fail(error, AP_USAGE, "workload %s %s is named twice", workload, scale);
        AP_TRY(measure(c, workload, scale, data_of(c, workload, data), error));
        const ap_budget *b = &c->budget[c->budgets.n - 1];
        double spread = (b->step_time_p90_s - b->step_time_p10_s) / b->step_time_s;
        ap_log(AP_GLOBAL, AP_LOG_INFO, "%s %s: %.4g ms a step over %lld steps", workload, scale, b->step_time_s * 1e3,
               (long long)b->steps);
        if (spread > restless || fabs(c->drift[c->budgets.n - 1]) > restless)
            ap_log(
                AP_GLOBAL, AP_LOG_WARNING,
                "%s %s: the steps from p10 to p90 spread over %.0f %% of the median, and the second half differs from "
                "the first by %+.0f %%: is the machine shared? Measure on idle nodes, or longer (--seconds)",
                workload, scale, 100 * spread, 100 * c->drift[c->budgets.n - 1]);
    }
    return AP_OK;
}

static ap_status measure_all(calibration *c, ap_error *error) {
    char name[AP_PATH];
    if (c->set.workloads) {
        for (int i = 0; entry_of(c->set.workloads, i, name); i++) AP_TRY(measure_scales(c, name, error));
        return AP_OK;
    }
    for (const ap_workload *const *w = ap_workload_table(); *w; w++) AP_TRY(measure_scales(c, (*w)->name, error));
    return AP_OK;
}

/* ---- the file */

/* "n1, n2", and the most ranks on one of them. Collective over the world. */
static void name_hosts(char list[512], int64_t *per_host) {
    enum { HOST = 64 };
    int ranks;
    char mine[HOST] = "";
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    gethostname(mine, HOST - 1);
    char(*all)[HOST] = malloc((size_t)ranks * HOST);
    *list = '\0', *per_host = 1;
    if (!all) snprintf(mine, HOST, "?");
    MPI_Allgather(mine, HOST, MPI_CHAR, all ? *all : mine, all ? HOST : 0, MPI_CHAR, MPI_COMM_WORLD);
    for (int i = 0; all && i < ranks; i++) {
        int64_t here = 0;
        bool first = true;
        for (int k = 0; k < ranks; k++) {
            bool same = !strcmp(all[i], all[k]);
            here += same;
            first &= !same || k >= i;
        }
        if (here > *per_host) *per_host = here;
        size_t used = strlen(list);
        if (first) snprintf(list + used, 512 - used, "%s%s", used ? ", " : "", all[i]);
    }
    free(all);
}

static ap_status write_file(calibration *c, ap_error *error) {
    static ap_provenance here;
    char hosts[512], created[24], baseline[64], program[128], default_name[128];
    ap_budgets *b = &c->budgets;
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    name_hosts(hosts, &b->per_host);
    ap_provenance_collect(&here);
    ap_clock_utc(created);
    snprintf(baseline, sizeof baseline, "%s, first published point", ap_pace_baseline());
    snprintf(program, sizeof program, "%s %s", ap_provenance_get(&here, "program_version"),
             ap_provenance_get(&here, "source_revision"));
    snprintf(default_name, sizeof default_name, "%.*s-%dx%d", (int)strcspn(hosts, ",. "), hosts,
             ap_group_ranks(c->group), (int)c->set.threads);
    const char *cpu = ap_provenance_get(&here, "cpu_model");
    const struct {
        char **to;
        const char *text;
    } texts[] = {{&b->name, c->set.name ? c->set.name : default_name},
                 {&b->created, created},
                 {&b->hosts, hosts},
                 {&b->cpu, cpu ? cpu : ""},
                 {&b->instruction_set, ap_isa_name(ap_isa_current())},
                 {&b->math, c->set.math},
                 {&b->baseline, baseline},
                 {&b->program, program}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!(*texts[i].to = strdup(texts[i].text))) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    b->ranks = ap_group_ranks(c->group), b->threads = c->set.threads, b->shards = c->set.shards;
    b->budget = c->budget;
    int code = rank == 0 ? (int)ap_budgets_write(b, c->set.to, error) : 0;
    MPI_Bcast(&code, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return rank == 0 || !code ? (ap_status)code : ap_fail(error, (ap_status)code, "see rank 0");
}

static void print(const calibration *c) {
    printf("%-22s %-5s %6s %7s %10s %10s %10s %7s %12s %12s\n", "workload", "scale", "batch", "steps", "ms a step",
           "p10", "p90", "drift", "budget s", "published s");
    for (int i = 0; i < c->budgets.n; i++) {
        const ap_budget *b = &c->budget[i];
        printf("%-22s %-5s %6lld %7lld %10.4g %10.4g %10.4g %+6.1f%% %12.4g %12.4g\n", b->workload, b->scale,
               (long long)b->batch_size, (long long)b->steps, b->step_time_s * 1e3, b->step_time_p10_s * 1e3,
               b->step_time_p90_s * 1e3, 100 * c->drift[i], b->max_runtime_s, c->published_s[i]);
    }
    printf("\n%d rank%s x %lld thread%s a trial, %lld ranks a host at work; calibration %s\n"
           "written: %s; a job uses it with budgets = \"%s\";\n",
           ap_group_ranks(c->group), ap_group_ranks(c->group) == 1 ? "" : "s", (long long)c->set.threads,
           c->set.threads == 1 ? "" : "s", (long long)c->budgets.per_host, c->budgets.label, c->set.to, c->set.to);
}

/* ---- the command */

/* The world in groups of neighbours, as `run` makes them. */
static ap_status make_group(calibration *c, ap_error *error) {
    int rank, ranks, per = (int)c->set.ranks_per_trial;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (per == 0) per = ranks;
    if (per > ranks || ranks % per)
        return ap_fail(
            error, AP_ENVIRONMENT,
            "--ranks-per-trial %d (the %d ranks of this world must be a multiple): start it with mpirun -n %d", per,
            ranks, per > ranks ? per : ranks / per * per);
    MPI_Comm_split(MPI_COMM_WORLD, rank / per, rank, &c->comm);
    const double watchdog_s = 600;
    return ap_group_create(c->comm, (int)c->set.shards, watchdog_s, &c->group, error);
}

static ap_status calibrate(calibration *c, ap_error *error) {
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    int code = rank == 0 ? (int)ap_budgets_may_write(c->set.to, error) : 0;
    MPI_Bcast(&code, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (code) return rank == 0 ? (ap_status)code : ap_fail(error, (ap_status)code, "see rank 0");
    AP_TRY(make_group(c, error));
    c->step_s = malloc(MOST_STEPS * sizeof *c->step_s);
    if (!c->step_s) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %d steps", MOST_STEPS);
    AP_TRY(check_data(c, error));
    AP_TRY(measure_all(c, error));
    AP_TRY(write_file(c, error));
    if (rank == 0) print(c);
    return AP_OK;
}

static void clean_up(calibration *c) {
    ap_budgets *b = &c->budgets;
    char *const texts[] = {b->name, b->created, b->hosts, b->cpu, b->instruction_set, b->math, b->baseline, b->program};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
    for (int i = 0; i < ITEMS; i++) {
        free(c->budget[i].workload);
        free(c->budget[i].scale);
    }
    free(c->step_s);
    ap_group_destroy(c->group);
    if (c->comm != MPI_COMM_NULL) MPI_Comm_free(&c->comm);
    free(c);
}

static int run(int argc, char **argv) {
    settings set = {.scale = "mini", .to = "budgets.cfg", .math = "ordered"};
    const char *ranks_per_trial = "0", *threads = "1", *shards = "8", *seconds = "10";
    const ap_flag flags[] = {
        {"workloads", "a,b", "which (default: all)", &set.workloads},
        {"scale", "mini,full", "at which scales (default: mini)", &set.scale},
        {"to", "FILE.cfg", "the budget file to write (default: budgets.cfg)", &set.to},
        {"name", "NAME", "what results call this clock (default: HOST-RANKSxTHREADS)", &set.name},
        {"ranks-per-trial", "N",
         "as in the job file: groups of so many ranks measure side by side (default 0: all "
         "ranks)",
         &ranks_per_trial},
        {"threads", "N", "OpenMP threads a rank (default 1)", &threads},
        {"shards", "N", "shards of a batch (default 8)", &shards},
        {"math", "ordered|blas", "matrix products (default: ordered)", &set.math},
        {"seconds", "S",
         "time of each measurement, after a warm-up of a fifth of it (default 10; at least 10 steps are "
         "measured however long they take)",
         &seconds},
        {"data", "W=FILE.h5,...", "packed data of a workload (default: synthetic)", &set.data},
        {0}};
    char **rest;
    int count;
    bool helped;
    ap_error error;
    if (ap_cli_parse(&ap_command_calibrate, argc, argv, flags, &rest, &count, &helped, &error))
        return ap_cli_report(&error);
    if (helped) return AP_OK;
    if (count) {
        ap_fail(&error, AP_USAGE, "algoperf calibrate: no argument \"%s\" is known; see --help", rest[0]);
        return ap_cli_report(&error);
    }
    if (ap_cli_integer("ranks-per-trial", ranks_per_trial, 0, 1024, &set.ranks_per_trial, &error) ||
        ap_cli_integer("threads", threads, 1, 1024, &set.threads, &error) ||
        ap_cli_integer("shards", shards, 1, 1024, &set.shards, &error) ||
        ap_cli_number("seconds", seconds, 0.01, 86400, &set.seconds, &error))
        return ap_cli_report(&error);
    if (strcmp(set.math, "ordered") && strcmp(set.math, "blas")) {
        ap_fail(&error, AP_USAGE, "--math %s (must be ordered or blas)", set.math);
        return ap_cli_report(&error);
    }
    calibration *c = calloc(1, sizeof *c);
    if (!c) return AP_ENVIRONMENT;
    c->set = set;
    c->comm = MPI_COMM_NULL;
    ap_status status = calibrate(c, &error);
    if (c->broken) {
        ap_log(AP_RANK, AP_LOG_ERROR, "%s", error.text);
        MPI_Abort(MPI_COMM_WORLD, (int)status);
    }
    clean_up(c);
    return status ? ap_cli_report(&error) : AP_OK;
}

const ap_command ap_command_calibrate = {
    "calibrate", "[OPTIONS]", "measure the baseline's step time here and write this cluster's budget file", run, true};
