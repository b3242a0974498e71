#include "cli/prepare_crew.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Rank r makes the parts r, r + R, r + 2 R, ... and tells rank 0 of each; last it says how it ended. Rank 0 sends each
 * of the others one message: when the first failure is known, or when all have ended. */
enum { TAG_NEWS = 1, TAG_END = 2 };
static const double PLAIN_LINE_S = 30;

typedef struct news {
    int64_t parts, reused, examples, skipped, left_out, bytes; /* since the last news */
    int32_t ended, failed;
} news;

typedef struct crew {
    int rank, ranks;
    const ap_prepare_plan *plan;
    int64_t begun_ns, said_ns;
    /* rank 0 */
    ap_crew_totals all;
    int64_t all_bytes, own_examples; /* of the plan; of the part in work here */
    int ended;                       /* other ranks */
    bool failed, end_sent, joining;
} crew;

static bool has_mpi(void) {
    int yes;
    return MPI_Initialized(&yes) == MPI_SUCCESS && yes;
}

int ap_crew_rank(void) {
    int rank = 0;
    if (has_mpi()) MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

int ap_crew_ranks(void) {
    int ranks = 1;
    if (has_mpi()) MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    return ranks;
}

ap_status ap_crew_agree(ap_status status, ap_error *error) {
    const int rank = ap_crew_rank(), ranks = ap_crew_ranks();
    if (ranks == 1) return status;
    int failed = status == AP_OK ? ranks : rank, first;
    MPI_Allreduce(&failed, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == ranks) return AP_OK;
    MPI_Bcast(error, (int)sizeof *error, MPI_BYTE, first, MPI_COMM_WORLD);
    if (first != rank) ap_context(error, "rank %d", first);
    return error->status;
}

/* ---- progress */

static void show(crew *c) {
    const int64_t now = ap_clock_ns();
    const bool terminal = ap_log_is_terminal();
    if (!terminal && ap_clock_s(now - c->said_ns) < PLAIN_LINE_S) return;
    c->said_ns = now;
    const double s = ap_clock_s(now - c->begun_ns) + 1e-9, mega = 1e-6;
    const long long done = (long long)(c->all.parts + c->all.reused), examples = (long long)c->all.examples;
    char text[256];
    if (c->joining)
        snprintf(text, sizeof text, "joining: %lld of %lld examples", (long long)c->own_examples, examples);
    else
        snprintf(text, sizeof text, "parts %lld of %lld, %lld examples, %.0f of about %.0f MB, %.1f MB/s", done,
                 (long long)c->plan->parts, examples + (long long)c->own_examples, (double)c->all.bytes * mega,
                 (double)c->all_bytes * mega, (double)c->all.bytes * mega / s);
    if (terminal)
        ap_log_live("%s", text);
    else
        ap_log(AP_GLOBAL, AP_LOG_INFO, "%s", text);
}

static void take_news(crew *c, const news *n) {
    c->all.parts += n->parts;
    c->all.reused += n->reused;
    c->all.examples += n->examples;
    c->all.skipped += n->skipped;
    c->all.left_out += n->left_out;
    c->all.bytes += n->bytes;
}

static void end_others(crew *c) {
    for (int r = 1; r < c->ranks && !c->end_sent; r++) MPI_Send(NULL, 0, MPI_BYTE, r, TAG_END, MPI_COMM_WORLD);
    c->end_sent = true;
}

/* Rank 0: what the others have to say. */
static void listen(crew *c) {
    int there = 1;
    MPI_Status who;
    while (c->ranks > 1 && MPI_Iprobe(MPI_ANY_SOURCE, TAG_NEWS, MPI_COMM_WORLD, &there, &who) == MPI_SUCCESS && there) {
        news n;
        MPI_Recv(&n, (int)sizeof n, MPI_BYTE, who.MPI_SOURCE, TAG_NEWS, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        take_news(c, &n);
        c->ended += n.ended;
        c->failed = c->failed || n.failed;
    }
    if (c->failed) end_others(c);
}

static bool told_to_end(const crew *c) {
    int there = 0;
    if (c->rank == 0) return c->failed;
    MPI_Iprobe(0, TAG_END, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
    return there;
}

static ap_status watch(void *user, int64_t examples, ap_error *error) {
    crew *c = user;
    if (c->rank == 0 && !c->joining) listen(c);
    if (!c->joining && told_to_end(c)) return ap_fail(error, AP_INTERRUPTED, "another rank has failed");
    c->own_examples = examples;
    if (c->rank == 0) show(c);
    return AP_OK;
}

/* ---- the parts */

static void tell(crew *c, const news *n) {
    if (c->rank == 0)
        take_news(c, n);
    else
        MPI_Send(n, (int)sizeof *n, MPI_BYTE, 0, TAG_NEWS, MPI_COMM_WORLD);
}

static ap_status make_own(crew *c, const ap_preparation *p, ap_error *error) {
    for (int64_t i = c->rank; i < c->plan->parts; i += c->ranks) {
        ap_part_result made;
        AP_TRY(watch(c, 0, error));
        AP_TRY(ap_preparation_make(p, i, watch, c, &made, error));
        c->own_examples = 0;
        tell(c, &(news){.parts = !made.reused,
                        .reused = made.reused,
                        .examples = made.examples,
                        .skipped = made.skipped,
                        .left_out = made.left_out,
                        .bytes = made.bytes});
    }
    return AP_OK;
}

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

/* Until all have ended: messages and answers fit each other exactly. */
static void wait_for_others(crew *c, bool failed) {
    if (c->rank == 0) {
        c->failed = c->failed || failed;
        for (listen(c); c->ended < c->ranks - 1; listen(c)) {
            show(c);
            nap();
        }
        end_others(c);
        return;
    }
    tell(c, &(news){.ended = 1, .failed = failed});
    while (!told_to_end(c)) nap();
    MPI_Recv(NULL, 0, MPI_BYTE, 0, TAG_END, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static ap_status make_parts(crew *c, const ap_preparation *p, ap_error *error) {
    ap_status status = make_own(c, p, error);
    const bool stopped = status == AP_INTERRUPTED; /* by another's failure, which that one reports */
    wait_for_others(c, status != AP_OK && !stopped);
    return ap_crew_agree(stopped ? AP_OK : status, error);
}

/* ---- all of it */

static ap_status check_same(const crew *c, const ap_preparation *p, ap_error *error) {
    ap_digest mine, first;
    ap_status status = ap_preparation_identity(p, &mine, error);
    first = mine;
    if (c->ranks > 1) MPI_Bcast(&first, (int)sizeof first, MPI_BYTE, 0, MPI_COMM_WORLD);
    if (status == AP_OK && !ap_digest_equal(mine, first))
        status = ap_fail(error, AP_ENVIRONMENT,
                         "sees other files in the input folder than rank 0, or is another build of this program");
    return ap_crew_agree(status, error);
}

static ap_status begin(const crew *c, ap_preparation *p, bool *there, ap_error *error) {
    int done = 0;
    bool found = false;
    ap_status status = c->rank == 0 ? ap_preparation_begin(p, &found, error) : AP_OK;
    status = ap_crew_agree(status, error);
    done = found;
    if (status == AP_OK && c->ranks > 1) MPI_Bcast(&done, 1, MPI_INT, 0, MPI_COMM_WORLD);
    *there = done;
    return status;
}

static ap_status work(crew *c, ap_preparation *p, bool *there, ap_error *error) {
    AP_TRY(check_same(c, p, error));
    AP_TRY(begin(c, p, there, error));
    if (*there) return AP_OK;
    ap_status status = make_parts(c, p, error);
    if (status == AP_OK) {
        c->joining = true;
        status = ap_crew_agree(c->rank == 0 ? ap_preparation_join(p, watch, c, error) : AP_OK, error);
    }
    ap_log_live_end();
    c->all.seconds = ap_clock_s(ap_clock_ns() - c->begun_ns);
    const int64_t whole = status != AP_OK && c->rank == 0 ? ap_preparation_leave(p) : 0;
    if (whole)
        ap_log(AP_GLOBAL, AP_LOG_INFO, "%" PRId64 " of %" PRId64 " parts are whole; the same command goes on from them",
               whole, c->plan->parts);
    return status;
}

ap_status ap_crew_prepare(const ap_prepare_target *target, const ap_prepare_plan *plan, bool *there,
                          ap_crew_totals *totals, ap_error *error) {
    crew c = {.rank = ap_crew_rank(), .ranks = ap_crew_ranks(), .plan = plan};
    ap_preparation *p = NULL;
    c.begun_ns = c.said_ns = ap_clock_ns();
    for (int64_t i = 0; i < plan->parts; i++) c.all_bytes += plan->part[i].bytes;
    AP_TRY(ap_crew_agree(ap_preparation_open(target, plan, &p, error), error));
    ap_status status = work(&c, p, there, error);
    ap_preparation_close(p);
    *totals = c.all;
    return status;
}
