/* algoperf bench update: what a step of every training algorithm costs on a parameter set of the shapes of ResNet-50
 * (25.6 million), gradients given: nanoseconds per parameter, memory, and, for the rules that work element by element,
 * the share of what the memory of this machine moves. On several ranks those of the Shampoo family and Muon share out
 * their matrices. */
#include "cli/bench.h"
#include "cli/cli.h"

#include "algorithms/algorithms.h"
#include "base/clock.h"
#include "base/log.h"
#include "parallel/group.h"
#include "submission/solo_host.h"
#include "tuning/search_space.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the parameters of ResNet-50, in its order: [out, in, k, k] convolutions, each with a scale and a bias */

enum { MOST_PARAMS = 170 };
typedef struct parameters {
    int n;
    int64_t elements, shape[MOST_PARAMS][4];
    ap_param_info info[MOST_PARAMS];
    float *initial[MOST_PARAMS];
    int64_t loss_ns; /* spent in loss */
} parameters;

static void add(parameters *p, ap_param_type type, int rank, int64_t a, int64_t b, int64_t c, int64_t d) {
    int64_t *shape = p->shape[p->n], size = 1;
    shape[0] = a, shape[1] = b, shape[2] = c, shape[3] = d;
    for (int i = 0; i < rank; i++) size *= shape[i];
    p->info[p->n++] = (ap_param_info){.name = "layer", .type = type, .rank = rank, .shape = shape, .size = size};
    p->elements += size;
}

static void add_convolution(parameters *p, int64_t out, int64_t in, int64_t k) {
    add(p, AP_PARAM_CONV_WEIGHT, 4, out, in, k, k);
    add(p, AP_PARAM_BATCH_NORM_SCALE, 1, out, 0, 0, 0);
    add(p, AP_PARAM_BATCH_NORM_BIAS, 1, out, 0, 0, 0);
}

/* Divides every width by `shrink`. */
static void resnet50(parameters *p, int64_t shrink) {
    static const int blocks[] = {3, 4, 6, 3};
    int64_t in = 64 / shrink;
    add_convolution(p, in, 3, 7);
    for (int s = 0; s < 4; s++)
        for (int b = 0; b < blocks[s]; b++) {
            int64_t width = (64 << s) / shrink;
            add_convolution(p, width, in, 1);
            add_convolution(p, width, width, 3);
            add_convolution(p, 4 * width, width, 1);
            if (b == 0) add_convolution(p, 4 * width, in, 1);
            in = 4 * width;
        }
    add(p, AP_PARAM_WEIGHT, 2, 1000 / shrink, in, 0, 0);
    add(p, AP_PARAM_BIAS, 1, 1000 / shrink, 0, 0, 0);
}

static bool fill(parameters *p) {
    uint32_t x = 1;
    for (int i = 0; i < p->n; i++) {
        p->initial[i] = malloc((size_t)p->info[i].size * sizeof(float));
        if (!p->initial[i]) return false;
        for (int64_t j = 0; j < p->info[i].size; j++)
            p->initial[i][j] = (float)((x = x * 1664525u + 1013904223u) >> 8) / 0x1p24F - 0.5F;
    }
    return true;
}

/* Nanoseconds: of this thread alone on one rank, so that other programs' share of the core does not count; of the wall
 * on several, which wait for each other. */
static int64_t (*now_ns)(void) = ap_bench_cpu_ns;

/* A fresh gradient for every step; what it takes is no part of the step. */
static double loss(void *context, int64_t step, float *const *value, float *const *gradient) {
    parameters *p = context;
    int64_t start = now_ns();
    for (int i = 0; gradient && i < p->n; i++)
        memcpy(gradient[i], p->initial[i], (size_t)p->info[i].size * sizeof(float));
    p->loss_ns += now_ns() - start;
    (void)step;
    (void)value;
    return 1;
}

/* ---- what the memory moves: y = a x + y over an array as large as the parameters, bytes a second */

typedef struct arrays {
    int64_t n;
    float *x, *y;
} arrays;

static double bandwidth(const arrays *a) {
    return ap_bench_bandwidth(a->n, a->x, a->y, now_ns);
}

/* ---- what a rule must move at least, if no tensor stays in cache: floats a parameter, read or written (what is
 * written is read into the cache first). w, g: value, gradient; the other letters are states, those of the rule's own
 * file; x' is x written. */

typedef struct traffic {
    const char *name, *passes;
    double floats;
} traffic;
static const traffic least[] = {
    {"adafactor", "g r c u' r' c' | w u m w' m'  (rms of u before its step; most matrices are 1 x 1 here)", 9.5},
    {"adamg", "w g m v r w' m' v' r'", 9},
    {"adamw", "w g m v w' m' v'", 7},
    {"ademamix", "g | w g m n v w' m' n' v'  (its point clips)", 10},
    {"amos", "g | g g' | w g m w' m'  (global norm, clipped squares before the step; its first point: reduced v)", 8},
    {"cautious_nadamw", "g m v u' m' v' | w u w'  (a tensor's share of signs before its step)", 9},
    {"cyclic_lr", "w g m v w' m' v'", 7},
    {"generalized_adam", "w g u w' u'  (its first point: no preconditioning)", 5},
    {"lamb", "w g m v r' m' v' | w r w'  (a tensor's norms before its step)", 10},
    {"lawa_ema", "w g m v w' m' v'  (copies now and then)", 7},
    {"lawa_queue", "w g m v w' m' v'  (copies now and then)", 7},
    {"lion", "w g m w' m'", 5},
    {"momentum", "w g u w' u'", 5},
    {"nadamp", "w g m v w' m' v'", 7},
    {"nadamw", "w g m v w' m' v'", 7},
    {"nadamw_sequential", "w g m v w' m' v'", 7},
    {"nesterov", "w g u w' u'", 5},
    {"sam", "g | w g o w' o' | w o g m v w' m' v'  (norm, climb, second gradient)", 14},
    {"schedule_free_adamw", "w z w' | w g z v w' z' v'  (the gradient is at y, evaluations at x)", 10},
    {"schedule_free_adamw_v2", "w z w' | w g z v w' z' v'", 10},
    {"schedule_free_prodigy", "w z w' | g v s p z v' s' | w z v g w' z'  (d of all before the step)", 16},
    {"single_worker_diloco", "w g m v w' m' v'  (outer step every 75)", 7},
    {"weighted_schedule_free_adamw", "w z w' | w g z v o s w' z' v' s'", 13},
    {0}};

static const traffic *traffic_of(const char *name) {
    const traffic *t = least;
    while (t->name && strcmp(t->name, name) != 0) t++;
    return t->name ? t : NULL;
}

/* ---- one algorithm */

/* Steps from one computation of roots to the next; 1: no such thing. */
static int period_of(const char *name) {
    bool twenty = !strcmp(name, "shampoo") || !strcmp(name, "caspr_adaptive");
    return !strcmp(name, "shampoo_submission") ? 100 : twenty ? 20 : !strcmp(name, "soap") ? 10 : 1;
}

static ap_status point_of(const ap_submission *a, ap_point *point, ap_error *error) {
    ap_points points = {0};
    if (!a->search_space) return ap_point_parse(*a->self_tuning_point, a->name, point, error);
    AP_TRY(ap_search_space_draw(*a->search_space, a->name, 1, &points, error));
    *point = points.point[0];
    free(points.point);
    return AP_OK;
}

/* The seconds of one step, of the slowest rank. */
static ap_status timed_step(ap_solo *solo, const ap_submission *a, parameters *p, ap_group *group, double *s,
                            ap_error *error) {
    AP_TRY(ap_group_barrier(group, error));
    p->loss_ns = 0;
    int64_t start = now_ns();
    AP_TRY(ap_solo_step(solo, a, error));
    *s = ap_clock_s(now_ns() - start - p->loss_ns);
    return ap_group_max_f64(group, s, 1, error);
}

typedef struct result {
    double best, mean; /* seconds: an ordinary step; with the roots' share */
} result;

/* An ordinary step: the best of several. Where roots are taken every so often: one such step, too, reached by setting
 * the step number; before it the statistics have had a gradient. */
static ap_status time_steps(ap_solo *solo, const ap_submission *a, parameters *p, ap_group *group, result *r,
                            ap_error *error) {
    int period = period_of(a->name), rounds = period > 1 ? 2 : 10;
    double s, sum = 0, roots = 0;
    AP_TRY(timed_step(solo, a, p, group, &s, error)); /* touches all memory */
    if (period > 1) {
        int64_t due = period == 20 ? 120 : period - 1; /* shampoo.c counts from 0 and begins behind step 100 */
        ap_solo_set_step(solo, due - 1);
        AP_TRY(timed_step(solo, a, p, group, &s, error));
        AP_TRY(timed_step(solo, a, p, group, &roots, error));
    }
    r->best = INFINITY;
    for (int i = 0; i < rounds; i++) {
        AP_TRY(timed_step(solo, a, p, group, &s, error));
        r->best = fmin(r->best, s);
        sum += s;
    }
    r->mean = period > 1 ? (roots + (period - 1) * r->best) / period : sum / rounds;
    return AP_OK;
}

static void print(const ap_submission *a, bool clips, const parameters *p, const ap_solo *solo, const result *r,
                  double bytes_s) {
    char name[64];
    double n = (double)p->elements;
    const traffic *t = traffic_of(a->name);
    snprintf(name, sizeof name, "%s%s", a->name, clips ? " + grad_clip" : "");
    printf("%-29s %9.2f %9.2f %9.1f %8.0f", name, r->best / n * 1e9, r->mean / n * 1e9, r->mean * 1e3,
           (double)ap_solo_state_bytes(solo) / 1e6);
    if (t) {
        double bytes = 4 * (t->floats + (clips ? 1 : 0));
        printf(" %7.0f %6.0f %%  %s%s\n", bytes, 100 * bytes * n / r->best / bytes_s, clips ? "g | " : "", t->passes);
    } else {
        printf(" %7s %6s    matrix products\n", "", "");
    }
    fflush(stdout);
}

typedef struct bench {
    parameters *p;
    ap_group *group;
    ap_solo_ranks ranks;
    arrays arrays;
} bench;

static ap_status measure(const ap_submission *a, bool clips, bench *b, ap_error *error) {
    parameters *p = b->p;
    ap_workload_info workload = {.name = "",
                                 .variant = "",
                                 .scale = "",
                                 .loss_type = "",
                                 .target_metric = "",
                                 .step_hint = 1000,
                                 .max_runtime_s = 1000,
                                 .eval_period_s = 4,
                                 .params = p->n,
                                 .param = p->info};
    ap_point point = {0};
    AP_TRY(point_of(a, &point, error));
    enum { MOST = 64 };
    char *name[MOST + 1] = {"grad_clip"}, *text[MOST + 1] = {NULL};
    double value[MOST + 1] = {1e-3};
    for (int i = 0; i < point.n && i < MOST; i++) {
        name[clips + i] = point.name[i];
        value[clips + i] = point.value[i];
        text[clips + i] = point.text ? point.text[i] : NULL;
    }
    ap_solo_problem problem = {.workload = &workload,
                               .initial = (const float *const *)p->initial,
                               .loss = loss,
                               .context = p,
                               .hyperparameters = clips + point.n,
                               .name = name,
                               .value = value,
                               .text = text,
                               .ranks = &b->ranks};
    ap_solo *solo = NULL;
    result r;
    double before = bandwidth(&b->arrays);
    ap_status status = ap_solo_create(&problem, &solo, error);
    if (!status) status = ap_solo_init(solo, a, error);
    if (!status) status = time_steps(solo, a, p, b->group, &r, error);
    if (!status && b->ranks.rank == 0) print(a, clips, p, solo, &r, fmax(before, bandwidth(&b->arrays)));
    ap_solo_destroy(solo);
    ap_point_free(&point);
    return status;
}

/* Is `name` in the list "a,b,c"? */
static bool listed(const char *list, const char *name) {
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return true;
    return false;
}

static ap_status check_names(const char *only, ap_error *error) {
    char name[100];
    for (const char *at = only; only && *at; at += *at == ',') {
        size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), at);
        const ap_submission *const *a = ap_algorithms();
        while (*a && strcmp((*a)->name, name) != 0) a++;
        if (!*a)
            return ap_fail(error, AP_USAGE, "--only %s: there is no algorithm of that name; see `algoperf list`", name);
        at += length;
    }
    return AP_OK;
}

static void print_head(const bench *b) {
    printf("%d tensors, %.1f million parameters; %d rank%s, one thread each; y += a x moves %.1f GB/s\n", b->p->n,
           (double)b->p->elements / 1e6, b->ranks.ranks, b->ranks.ranks > 1 ? "s" : "", bandwidth(&b->arrays) / 1e9);
    printf("mean: with the share of steps that take roots; least: bytes a parameter that the passes must move\n");
    printf("%-29s %9s %9s %9s %8s %7s %8s\n", "", "best", "mean", "mean", "state", "least", "share of");
    printf("%-29s %9s %9s %9s %8s %7s %8s  %s\n", "algorithm", "ns/param", "ns/param", "ms/step", "MB", "bytes",
           "memory", "passes");
}

static ap_status measure_all(const char *only, bench *b, ap_error *error) {
    if (b->ranks.rank == 0) print_head(b);
    for (const ap_submission *const *a = ap_algorithms(); *a; a++) {
        if (only && !listed(only, (*a)->name)) continue;
        AP_TRY(measure(*a, false, b, error));
        if (!strcmp((*a)->name, "nadamw")) AP_TRY(measure(*a, true, b, error));
    }
    return AP_OK;
}

static bool broadcast(void *group, void *bytes, size_t n, int root) {
    ap_error error;
    return ap_group_broadcast(group, bytes, n, root, &error) == AP_OK;
}
static bool allgather(void *group, const void *mine, size_t n, void *all) {
    ap_error error;
    return ap_group_allgather(group, mine, n, all, &error) == AP_OK;
}

static ap_status with_memory(const char *only, bool quick, ap_group *group, ap_error *error) {
    bench b = {.p = calloc(1, sizeof *b.p),
               .group = group,
               .ranks = {.rank = ap_group_rank(group),
                         .ranks = ap_group_ranks(group),
                         .broadcast = broadcast,
                         .allgather = allgather,
                         .context = group}};
    ap_status status = b.p ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    if (!status) {
        resnet50(b.p, quick ? 8 : 1);
        b.arrays =
            (arrays){b.p->elements, ap_bench_filled((size_t)b.p->elements), ap_bench_filled((size_t)b.p->elements)};
        if (!fill(b.p) || !b.arrays.x || !b.arrays.y)
            status = ap_fail(error, AP_ENVIRONMENT, "out of memory for the parameters");
    }
    status = ap_group_agree(group, status, error);
    if (!status) status = measure_all(only, &b, error);
    for (int i = 0; b.p && i < b.p->n; i++) free(b.p->initial[i]);
    free(b.p);
    free(b.arrays.x);
    free(b.arrays.y);
    return status;
}

ap_status ap_bench_update(int argc, char **argv, ap_error *error) {
    static const ap_command self = {"bench update", "", "time and memory of a step of every training algorithm", NULL,
                                    false};
    const char *only = NULL, *quick = NULL;
    const ap_flag flags[] = {{"only", "NAME,...", "only these", &only},
                             {"quick", NULL, "an eighth of every width: does it run", &quick},
                             {0}};
    bool helped;
    AP_TRY(ap_bench_parse(&self, argc, argv, flags, &helped, error));
    if (helped) return AP_OK;
    AP_TRY(check_names(only, error));
    MPI_Init(NULL, NULL);
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    ap_log_open(rank, rank == 0, AP_LOG_WARNING);
    if (ranks > 1) now_ns = ap_clock_ns;
    ap_group *group = NULL;
    ap_status status = ap_group_create(MPI_COMM_WORLD, ranks > 8 ? ranks : 8, 0, &group, error);
    if (!status) status = with_memory(only, quick != NULL, group, error);
    ap_group_destroy(group);
    MPI_Finalize();
    return status;
}
