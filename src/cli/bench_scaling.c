/* algoperf bench scaling: a training step on 1, 2, 4, ... ranks of this world, and a model of more.
 *
 * The measurements take turns in short rounds, so that a machine that slows down slows all of them; speed-ups are
 * medians of the ratios within a round. Beside each number of ranks there is "1 each": every rank trains by itself at
 * the same time. What that is slower than one rank alone is the machine's share (memory bandwidth, turbo, neighbours);
 * the rest is the program's. */
#include "cli/bench.h"
#include "cli/cli.h"

#include "base/log.h"
#include "harness/pace.h"
#include "harness/scaling_model.h"

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const ap_command self = {
    "bench scaling", "[OPTIONS]",
    "step time on 1, 2, 4, ... ranks of this world: compute, reduction exposed and hidden, bytes, and a model of more",
    NULL, true};

enum { SETUPS = 12, MOST_ROUNDS = 101, MOST_STEPS = 20000 };

/* The same workload on so many ranks: all of this world's first ones, or, for EACH, every rank by itself. */
typedef struct setup {
    int ranks;
    bool each;
    MPI_Comm comm;
    ap_group *group;
    ap_pace *pace; /* NULL on ranks that take no part */
    double round_s[MOST_ROUNDS];
    ap_pace_parts parts, before; /* of the rounds; of the warm-up before them */
    ap_digest digest;
} setup;

typedef struct scaling {
    int rank, ranks, setups;
    setup setup[SETUPS];
    int64_t shards, threads, rounds, predict;
    double round_s, quantile;
    int ranks_per_host;
    bool has_far;
    ap_link near, far;
    ap_link given_far; /* of the command line; n = 0: none */
    int given_per_host;
    double *step_s;
} scaling;

/* ---- which workload: NAME[:SCALE][:KEY=VALUE ...]; the key `batch` is the global batch */

typedef struct subject {
    char text[256];
    ap_problem *problem;
    ap_dataset *dataset;
    int64_t batch;
} subject;

static ap_status open_subject(const char *text, const char *scale, subject *s, ap_error *error) {
    char copy[256], *save, *word, name[64];
    *s = (subject){0};
    snprintf(s->text, sizeof s->text, "%s", text);
    snprintf(copy, sizeof copy, "%s", text);
    word = strtok_r(copy, ":", &save);
    snprintf(name, sizeof name, "%s", word ? word : "");
    word = strtok_r(NULL, ":", &save);
    if (word && !strchr(word, '=')) {
        scale = word;
        word = strtok_r(NULL, ":", &save);
    }
    AP_TRY(ap_pace_problem(name, scale, NULL, &s->problem, &s->dataset, error));
    const ap_workload *w = s->problem->workload;
    for (; word; word = strtok_r(NULL, ":", &save)) {
        char *equals = strchr(word, '=');
        if (!equals) return ap_fail(error, AP_USAGE, "--workloads %s: \"%s\" (must be KEY=VALUE)", text, word);
        *equals = '\0';
        if (!strcmp(word, "batch"))
            AP_TRY(ap_cli_integer("workloads: batch", equals + 1, 1, 1 << 24, &s->batch, error));
        else
            AP_TRY(ap_options_set(w->options, w->option_count, word, equals + 1, text, s->problem->model, error));
    }
    return AP_OK;
}

static void close_subject(subject *s) {
    ap_dataset_close(s->dataset);
    ap_problem_close(s->problem);
}

/* ---- taking turns */

/* Ranks that do not work sleep: they must not take a core, nor memory bandwidth, from those that do. */
static void wait_for_all(void) {
    MPI_Request request;
    int done = 0;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    while (!done) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (!done) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* One status for the world. Collective. */
static ap_status together(ap_status status, ap_error *error) {
    int mine = (int)status, worst;
    MPI_Allreduce(&mine, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (worst && !status) return ap_fail(error, (ap_status)worst, "another rank failed");
    return status;
}

static ap_status open_setup(scaling *s, setup *x, const subject *what, ap_error *error) {
    int color = x->each ? s->rank : s->rank < x->ranks ? 0 : MPI_UNDEFINED;
    const double watchdog_s = 600;
    MPI_Comm_split(MPI_COMM_WORLD, color, s->rank, &x->comm);
    if (x->comm == MPI_COMM_NULL) return AP_OK;
    AP_TRY(ap_group_create(x->comm, (int)s->shards, watchdog_s, &x->group, error));
    ap_pace_options options = {.group = x->group,
                               .problem = what->problem,
                               .dataset = what->dataset,
                               .math = AP_MATH_ORDERED,
                               .threads = (int)s->threads,
                               .global_batch = what->batch};
    return ap_pace_open(&options, &x->pace, error);
}

static void close_setup(setup *x) {
    ap_pace_close(x->pace);
    ap_group_destroy(x->group);
    if (x->comm != MPI_COMM_NULL) MPI_Comm_free(&x->comm);
}

/* n steps of a setup; the median (or --quantile) of their times, the slowest rank's. Collective over the world. */
static ap_status take_turn(scaling *s, setup *x, int64_t n, double *median, ap_error *error) {
    ap_status status = AP_OK;
    double mine = 0;
    wait_for_all();
    if (x->pace) status = ap_pace_steps(x->pace, n, s->step_s, error);
    if (x->pace && !status) mine = ap_pace_quantile(s->step_s, n, s->quantile);
    wait_for_all();
    MPI_Allreduce(&mine, median, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return together(status, error);
}

static ap_pace_parts parts_since(const ap_pace_parts *before, ap_pace_parts now) {
    now.steps -= before->steps;
    now.own_s -= before->own_s, now.passes_s -= before->passes_s, now.data_wait_s -= before->data_wait_s;
    now.exposed_s -= before->exposed_s, now.sums_s -= before->sums_s, now.update_s -= before->update_s;
    now.hidden_s -= before->hidden_s, now.agreement_s -= before->agreement_s;
    now.reduction.bytes_sent -= before->reduction.bytes_sent;
    return now;
}

static ap_status measure(scaling *s, const subject *what, ap_error *error) {
    double one;
    for (int i = 0; i < s->setups; i++) AP_TRY(together(open_setup(s, &s->setup[i], what, error), error));
    for (int i = 0; i < s->setups; i++) AP_TRY(take_turn(s, &s->setup[i], 3, &one, error)); /* warm */
    AP_TRY(take_turn(s, &s->setup[0], 3, &one, error));
    for (int i = 1; i < s->setups; i++) { /* as many steps as the first: digests are compared */
        double unused;
        AP_TRY(take_turn(s, &s->setup[i], 3, &unused, error));
    }
    int64_t n = one > 0 ? (int64_t)(s->round_s / one) : MOST_STEPS;
    n = n < 3 ? 3 : n > MOST_STEPS ? MOST_STEPS : n;
    for (int i = 0; i < s->setups; i++)
        if (s->setup[i].pace) s->setup[i].before = ap_pace_get_parts(s->setup[i].pace);
    for (int round = 0; round < s->rounds; round++)
        for (int i = 0; i < s->setups; i++) AP_TRY(take_turn(s, &s->setup[i], n, &s->setup[i].round_s[round], error));
    for (int i = 0; i < s->setups; i++) {
        setup *x = &s->setup[i];
        if (!x->pace) continue;
        x->parts = parts_since(&x->before, ap_pace_get_parts(x->pace));
        x->digest = ap_pace_digest(x->pace);
    }
    return AP_OK;
}

/* ---- links */

/* Rank `other` of the world and rank 0 exchange messages of growing size, as the gradient sum does. Collective. */
static ap_status measure_link(const scaling *s, int other, ap_link *link, ap_error *error) {
    static const int sizes[] = {8, 256, 4096, 32768, 131072, 524288, 2097152, 8388608};
    enum { SIZES = sizeof sizes / sizeof *sizes, REPEATS = 15, LARGEST = 8388608 };
    MPI_Comm pair;
    ap_group *group = NULL;
    ap_status status = AP_OK;
    bool takes_part = s->rank == 0 || s->rank == other;
    char *out = NULL, *in = NULL;
    MPI_Comm_split(MPI_COMM_WORLD, takes_part ? 0 : MPI_UNDEFINED, s->rank, &pair);
    if (takes_part) {
        out = calloc(1, LARGEST), in = calloc(1, LARGEST);
        if (!out || !in) status = ap_fail(error, AP_ENVIRONMENT, "out of memory for messages");
        ap_status created = ap_group_create(pair, 2, 600, &group, error);
        if (!status) status = created;
    }
    for (int i = 0; group && !status && i < SIZES; i++) {
        double seconds[REPEATS];
        for (int k = -3; k < REPEATS && !status; k++) {
            int inner = sizes[i] <= 4096 ? 50 : 1;
            memset(out, k, (size_t)sizes[i]); /* fresh, as gradients are, in this core's cache */
            double start = MPI_Wtime();
            for (int n = 0; n < inner && !status; n++) {
                MPI_Request requests[2];
                MPI_Irecv(in, sizes[i], MPI_BYTE, !ap_group_rank(group), AP_GROUP_TAGS, ap_group_comm(group),
                          &requests[0]);
                MPI_Isend(out, sizes[i], MPI_BYTE, !ap_group_rank(group), AP_GROUP_TAGS, ap_group_comm(group),
                          &requests[1]);
                status = ap_group_wait(group, 2, requests, "an exchange", error);
            }
            if (k >= 0) seconds[k] = (MPI_Wtime() - start) / inner;
        }
        link->bytes[i] = sizes[i];
        link->seconds[i] = ap_pace_quantile(seconds, REPEATS, 0.5);
    }
    link->n = SIZES;
    ap_group_destroy(group);
    if (pair != MPI_COMM_NULL) MPI_Comm_free(&pair);
    free(out);
    free(in);
    wait_for_all();
    MPI_Bcast(link, sizeof *link, MPI_BYTE, 0, MPI_COMM_WORLD);
    return together(status, error);
}

/* The first rank on rank 0's host, and the first on another; 0: there is none. Collective. */
static void find_partners(scaling *s, int *near, int *far) {
    enum { HOST = 64 };
    char mine[HOST] = "";
    gethostname(mine, HOST - 1);
    *near = *far = 0, s->ranks_per_host = 1;
    for (int r = 1; r < s->ranks; r++) {
        char theirs[HOST];
        memcpy(theirs, mine, HOST);
        MPI_Bcast(theirs, HOST, MPI_CHAR, r, MPI_COMM_WORLD);
        int same = !strcmp(theirs, mine); /* as rank 0 sees it */
        MPI_Bcast(&same, 1, MPI_INT, 0, MPI_COMM_WORLD);
        s->ranks_per_host += same;
        if (same && !*near) *near = r;
        if (!same && !*far) *far = r;
    }
}

static void print_link(const char *what, const ap_link *link) {
    printf("%s: %.1f us, %.2f GB/s each way (", what, ap_link_latency(link) * 1e6, ap_link_rate(link) * 1e-9);
    for (int i = 0; i < link->n; i++)
        printf("%s%g KiB %.3g us", i ? ", " : "", link->bytes[i] / 1024, link->seconds[i] * 1e6);
    printf(")\n");
}

static ap_status measure_links(scaling *s, ap_error *error) {
    int near, far;
    find_partners(s, &near, &far);
    if (near) AP_TRY(measure_link(s, near, &s->near, error));
    if (far) AP_TRY(measure_link(s, far, &s->far, error));
    if (s->rank == 0 && near) print_link("exchange within a host", &s->near);
    if (s->rank == 0 && far) print_link("exchange between hosts", &s->far);
    if (!near) s->near = s->far;
    if (!far) s->far = s->near;
    s->has_far = far != 0;
    return AP_OK;
}

/* ---- printing, rank 0 */

static ap_scaling_input model_of(const scaling *s) {
    const ap_pace_parts *one = &s->setup[0].parts;
    double steps = (double)one->steps;
    const double backward = 2.0 / 3; /* of a pass: two products for each of the forward's */
    return (ap_scaling_input){.shard_s = one->passes_s / steps / (double)s->shards,
                              .update_s = (one->update_s + one->sums_s) / steps,
                              .data_s = one->data_wait_s / steps,
                              .backward_share = backward,
                              .shards = (int)s->shards,
                              .buckets = one->reduction.buckets,
                              .ranks_per_host = s->ranks_per_host,
                              .gradient_bytes = 4 * (double)one->reduction.length,
                              .last_bucket_bytes = 4 * (double)one->reduction.last_bucket_length,
                              .near = s->near,
                              .far = s->far};
}

static double median_ratio(const setup *a, const setup *b, int64_t rounds, double q) {
    double ratio[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) ratio[i] = a->round_s[i] / b->round_s[i];
    return ap_pace_quantile(ratio, rounds, q);
}

static void print_setup(const scaling *s, const setup *x, const ap_scaling_input *model) {
    const ap_pace_parts *p = &x->parts;
    double ms = 1e3 / (double)p->steps, rounds[MOST_ROUNDS];
    memcpy(rounds, x->round_s, sizeof rounds);
    double step = ap_pace_quantile(rounds, s->rounds, 0.5);
    double sent = (double)p->reduction.bytes_sent / (double)p->steps;
    char name[32], predicted[32] = "";
    snprintf(name, sizeof name, x->each ? "1 each" : "%d", x->ranks);
    if (!x->each && x->ranks > 1)
        snprintf(predicted, sizeof predicted, "%.4g", ap_scaling_predict(model, x->ranks).step_s * 1e3);
    printf("%-6s %9.4g %6.3f %5.2f-%-5.2f %9.4g %8.4g %8.4g %8.4g %8.4g %8.4g %8.4g %9.1f %9.1f %9s\n", name,
           step * 1e3, median_ratio(&s->setup[0], x, s->rounds, 0.5), median_ratio(&s->setup[0], x, s->rounds, 0),
           median_ratio(&s->setup[0], x, s->rounds, 1), p->passes_s * ms, p->update_s * ms, p->data_wait_s * ms,
           p->sums_s * ms, p->exposed_s * ms, p->hidden_s * ms, p->agreement_s * ms, sent / 1024,
           ap_scaling_bound(4 * (double)p->reduction.length, x->each ? 1 : x->ranks) / 1024, predicted);
}

static void print_predictions(const scaling *s, const ap_scaling_input *input) {
    ap_scaling_input more = *input;
    if (s->given_far.n) more.far = s->given_far;
    if (s->given_per_host) more.ranks_per_host = s->given_per_host;
    input = &more;
    double one = ap_scaling_predict(input, 1).step_s;
    printf("\nmodel, %d rank%s a host%s: the same batch on more ranks, and a batch that grows with them\n",
           input->ranks_per_host, input->ranks_per_host == 1 ? "" : "s",
           s->given_far.n ? ", links between hosts as given"
           : s->has_far   ? ""
                          : ", hosts joined as ranks here are");
    printf("%6s %10s %9s %10s %10s | %10s %9s\n", "ranks", "step ms", "speed-up", "exposed ms", "sum ms", "step ms",
           "speed-up");
    for (int r = 2; r <= s->predict; r *= 2) {
        ap_scaling_prediction p = ap_scaling_predict(input, r), w = ap_scaling_predict_weak(input, r);
        printf("%6d %10.4g %9.2f %10.4g %10.4g | %10.4g %9.2f\n", r, p.step_s * 1e3, one / p.step_s, p.exposed_s * 1e3,
               p.sum_s * 1e3, w.step_s * 1e3, r * one / w.step_s);
    }
}

static void print(const scaling *s, const subject *what) {
    ap_scaling_input model = model_of(s);
    const setup *one = &s->setup[0];
    printf("\n%s, %s, batch %lld in %lld shards, gradient %.1f KiB in %d bucket%s, %lld rounds, %lld steps in all; "
           "step ms: quantile %g\n",
           what->text, ap_pace_baseline(), (long long)ap_pace_batch(one->pace), (long long)s->shards,
           model.gradient_bytes / 1024, model.buckets, model.buckets == 1 ? "" : "s", (long long)s->rounds,
           (long long)one->parts.steps, s->quantile);
    printf("%-6s %9s %6s %-11s %9s %8s %8s %8s %8s %8s %8s %9s %9s %9s\n", "ranks", "step ms", "x", "least-most",
           "passes", "update", "data", "sums", "exposed", "hidden", "agree", "sent KiB", "bound KiB", "model ms");
    for (int i = 0; i < s->setups; i++) print_setup(s, &s->setup[i], &model);
    bool same = true;
    char digest[AP_DIGEST_TEXT];
    for (int i = 1; i < s->setups; i++) same &= ap_digest_equal(s->setup[i].digest, one->digest);
    ap_digest_text(one->digest, digest);
    printf("parameters after %lld steps: %s %s\n", (long long)one->parts.steps, digest,
           same ? "with every number of ranks" : "DIFFER between numbers of ranks");
    print_predictions(s, &model);
}

/* ---- the command */

static ap_status bench_subject(scaling *s, const char *text, const char *scale, ap_error *error) {
    subject what;
    ap_status status = together(open_subject(text, scale, &what, error), error);
    if (!status) status = measure(s, &what, error);
    int same = 1, all;
    for (int i = 1; !status && i < s->setups; i++)
        if (s->setup[i].pace && s->setup[0].pace) same &= ap_digest_equal(s->setup[i].digest, s->setup[0].digest);
    if (!status && s->rank == 0) print(s, &what);
    if (!status) {
        MPI_Allreduce(&same, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
        if (!all) status = ap_fail(error, AP_NUMERIC, "%s: parameters depend on the number of ranks", text);
    }
    for (int i = 0; i < s->setups; i++) {
        close_setup(&s->setup[i]);
        s->setup[i] = (setup){.ranks = s->setup[i].ranks, .each = s->setup[i].each, .comm = MPI_COMM_NULL};
    }
    close_subject(&what);
    return status;
}

static ap_status bench_all(scaling *s, const char *workloads, const char *scale, ap_error *error) {
    AP_TRY(measure_links(s, error));
    if (!workloads) {
        for (const ap_workload *const *w = ap_workload_table(); *w; w++)
            AP_TRY(bench_subject(s, (*w)->name, scale, error));
        return AP_OK;
    }
    char *copy = strdup(workloads), *save;
    ap_status status = copy ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (char *w = copy ? strtok_r(copy, ",", &save) : NULL; w && !status; w = strtok_r(NULL, ",", &save))
        status = bench_subject(s, w, scale, error);
    free(copy);
    return status;
}

static ap_status begin(scaling *s, ap_error *error) {
    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, &s->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &s->ranks);
    ap_log_open(s->rank, s->rank == 0, AP_LOG_WARNING);
    AP_TRY(ap_cli_check_launch(error));
    if (s->ranks < 2)
        return ap_fail(error, AP_ENVIRONMENT, "one rank tells nothing of scaling: mpirun -n 2 algoperf bench scaling");
    s->step_s = malloc(MOST_STEPS * sizeof *s->step_s);
    if (!s->step_s) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    s->setup[s->setups++] = (setup){.ranks = 1, .comm = MPI_COMM_NULL};
    s->setup[s->setups++] = (setup){.ranks = 1, .each = true, .comm = MPI_COMM_NULL};
    for (int r = 2; r <= s->ranks && r <= s->shards && s->setups < SETUPS; r *= 2)
        s->setup[s->setups++] = (setup){.ranks = r, .comm = MPI_COMM_NULL};
    return AP_OK;
}

ap_status ap_bench_scaling(int argc, char **argv, ap_error *error) {
    scaling s = {0};
    const char *workloads = NULL, *scale = "mini", *shards = "8", *threads = "1", *rounds = "7", *round_s = "0.3",
               *quantile = "0.5", *predict = "512", *latency = "0", *gbit = "0", *per_host = "0";
    double far_latency_us, far_gbit;
    int64_t ranks_per_host;
    const ap_flag flags[] = {
        {"workloads", "a,b:full,...", "NAME[:SCALE][:KEY=VALUE ...], keys: batch, and the workload's options",
         &workloads},
        {"scale", "mini|full", "where a workload names none (default: mini)", &scale},
        {"shards", "N", "shards of a batch (default 8)", &shards},
        {"threads", "N", "OpenMP threads a rank (default 1)", &threads},
        {"rounds", "N", "turns of each number of ranks (default 7)", &rounds},
        {"round-s", "S", "length of a turn on one rank (default 0.3)", &round_s},
        {"quantile", "Q", "of the steps in a turn (default 0.5, the median; on a shared machine 0.1 tells more)",
         &quantile},
        {"predict", "R", "the model goes up to so many ranks (default 512)", &predict},
        {"far-latency-us", "L", "the model's latency between hosts, in place of what was measured", &latency},
        {"far-gbit", "G", "and its bandwidth each way, Gbit/s", &gbit},
        {"ranks-per-host", "N", "of the model (default: as here)", &per_host},
        {0}};
    bool helped;
    AP_TRY(ap_bench_parse(&self, argc, argv, flags, &helped, error));
    if (helped) return AP_OK;
    AP_TRY(ap_cli_integer("shards", shards, 1, 1024, &s.shards, error));
    AP_TRY(ap_cli_integer("threads", threads, 1, 1024, &s.threads, error));
    AP_TRY(ap_cli_integer("rounds", rounds, 1, MOST_ROUNDS, &s.rounds, error));
    AP_TRY(ap_cli_number("round-s", round_s, 0.001, 600, &s.round_s, error));
    AP_TRY(ap_cli_number("quantile", quantile, 0, 1, &s.quantile, error));
    AP_TRY(ap_cli_integer("predict", predict, 2, 1 << 20, &s.predict, error));
    AP_TRY(ap_cli_number("far-latency-us", latency, 0, 1e6, &far_latency_us, error));
    AP_TRY(ap_cli_number("far-gbit", gbit, 0, 1e5, &far_gbit, error));
    AP_TRY(ap_cli_integer("ranks-per-host", per_host, 0, 65536, &ranks_per_host, error));
    if ((far_latency_us > 0) != (far_gbit > 0))
        return ap_fail(error, AP_USAGE, "--far-latency-us and --far-gbit go together");
    if (far_gbit > 0) s.given_far = ap_link_of(far_latency_us * 1e-6, far_gbit * 1e9 / 8);
    s.given_per_host = (int)ranks_per_host;
    ap_status status = begin(&s, error);
    if (!status) status = bench_all(&s, workloads, scale, error);
    free(s.step_s);
    MPI_Finalize();
    return status;
}
