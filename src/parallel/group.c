/* Groups of ranks. Since the number of ranks is a power of two, every collective is a handful of exchanges with the
 * ranks r^1, r^2, r^4, ...; they are written here on nonblocking messages because a blocking MPI collective cannot be
 * watched, and because a sum must follow our tree. */
#include "parallel/group.h"

#include "base/clock.h"

#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_SHARDS = 1024,
    HOST = 64,           /* bytes of a host name, NUL included */
    PLACE = 192,         /* bytes of "the gradient sum of step 57" */
    SOME_DOUBLES = 512,  /* sums and maxima go in pieces of this size: no allocation */
    LARGEST = 1 << 30,   /* bytes of one message: MPI counts in int */
    SPINS = 64,          /* looks at the requests before the first yield: about 10 us */
    FAREWELL_MS = 50,    /* time given to MPI to get a verdict out */
    MOST_RANKS_NAMED = 8 /* in a message */
};
static const double sleep_after_s = 2e-3;   /* a wait that has taken this long begins to sleep, ... */
static const double sleep_share = 1.0 / 32; /* ... each time this part of what it has waited, ... */
static const double sleep_most_s = 1e-3;    /* ... and no longer than this */

/* A longer turn means that this process did not run: a job that its scheduler suspends must find its limits where it
 * left them. */
static const double longest_turn_s = 0.1;

enum { TAG_AGREE, TAG_BROADCAST, TAG_ALLGATHER, TAG_MAX, TAG_BARRIER, TAG_SUM };
enum { NOTE_WAITS, NOTE_GOES_ON, NOTE_GAVE_UP }; /* tags on the side communicator; the message is a text */

/* What this rank knows of another one, and has told it. */
typedef struct peer {
    char host[HOST];
    bool waits;
    char place[PLACE]; /* where it waits */
    bool told;         /* it was sent our NOTE_WAITS, and no NOTE_GOES_ON since */
    char note[PLACE];  /* that note; MPI's until the request is done */
    MPI_Request waits_note, goes_on_note, farewell;
} peer;

struct ap_group {
    MPI_Comm comm, side;
    int rank, ranks, shards;
    double watchdog_s;
    const char *activity;
    bool telling; /* some peer is `told` */
    bool broken;
    char verdict[AP_ERROR_TEXT]; /* why it is broken */
    peer peers[];                /* [ranks] */
};

int ap_group_rank(const ap_group *group) {
    return group->rank;
}
const char *ap_group_host(const ap_group *group, int rank) {
    return group->peers[rank].host;
}
int ap_group_ranks(const ap_group *group) {
    return group->ranks;
}
int ap_group_shards(const ap_group *group) {
    return group->shards;
}
int ap_group_local_shards(const ap_group *group) {
    return group->shards / group->ranks;
}
int ap_group_first_shard(const ap_group *group) {
    return group->rank * ap_group_local_shards(group);
}
bool ap_group_is_broken(const ap_group *group) {
    return group->broken;
}
MPI_Comm ap_group_comm(const ap_group *group) {
    return group->comm;
}
void ap_group_set_activity(ap_group *group, const char *what) {
    group->activity = what;
}

/* ---- texts */

static void append(char *text, size_t size, const char *format, ...) AP_PRINTF(3, 4);
static void append(char *text, size_t size, const char *format, ...) {
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

static void name_place(const ap_group *group, const char *what, char place[PLACE]) {
    snprintf(place, PLACE, group->activity ? "%s of %s" : "%s", what, group->activity);
}

/* "rank 3 (host n2)" or "ranks 1, 2": the ranks that wait or do not wait. */
static void append_ranks(const ap_group *group, bool waiting, bool with_host, char *text, size_t size) {
    int n = 0;
    for (int r = 0; r < group->ranks; r++) n += group->peers[r].waits == waiting;
    append(text, size, n == 1 ? "rank" : "ranks");
    int named = 0;
    for (int r = 0; r < group->ranks && named < MOST_RANKS_NAMED; r++) {
        const peer *who = &group->peers[r];
        if (who->waits != waiting) continue;
        append(text, size, named++ ? ", %d" : " %d", r);
        if (with_host && *who->host) append(text, size, " (host %s)", who->host);
    }
    if (n > named) append(text, size, " and %d more", n - named);
}

/* The places of the waiting ranks that wait elsewhere than `place`. */
static void append_other_places(const ap_group *group, const char *place, char *text, size_t size) {
    int named = 0;
    for (int r = 0; r < group->ranks && named < MOST_RANKS_NAMED; r++) {
        const peer *who = &group->peers[r];
        if (!who->waits || !strcmp(who->place, place)) continue;
        append(text, size, "%s rank %d in %s", named++ ? "," : ";", r, who->place);
    }
}

/* ---- the watchdog
 *
 * A rank that has waited for half the limit, or hears that another one does, tells the others where it waits, and takes
 * it back when it goes on. At the limit, whoever has not told is the one the others wait for. Notes are synchronous
 * sends, at most one of each kind under way to a peer, so that destroy can know that none is left. */

static void break_group(ap_group *group, const char *verdict) {
    group->broken = true;
    snprintf(group->verdict, sizeof group->verdict, "%s", verdict);
}

static ap_status refuse_broken(const ap_group *group, ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT, "this group of ranks cannot go on: %s", group->verdict);
}

static void tell_waiting(ap_group *group, const char *place) {
    for (int r = 0; r < group->ranks; r++) {
        peer *to = &group->peers[r];
        if (r == group->rank || to->told) continue;
        int first, second; /* notes of an earlier wait may still be under way */
        MPI_Test(&to->waits_note, &first, MPI_STATUS_IGNORE);
        MPI_Test(&to->goes_on_note, &second, MPI_STATUS_IGNORE);
        if (!first || !second) continue;
        snprintf(to->note, PLACE, "%s", place);
        MPI_Issend(to->note, (int)strlen(to->note) + 1, MPI_CHAR, r, NOTE_WAITS, group->side, &to->waits_note);
        to->told = group->telling = true;
    }
}

static void tell_going_on(ap_group *group) {
    for (int r = 0; r < group->ranks; r++) {
        peer *to = &group->peers[r];
        if (!to->told) continue;
        MPI_Issend(NULL, 0, MPI_CHAR, r, NOTE_GOES_ON, group->side, &to->goes_on_note);
        to->told = false;
    }
    group->telling = false;
}

/* Takes in all notes that are there. Returns the rank that gave the group up (its text is then the verdict), or -1. */
static int take_notes(ap_group *group) {
    for (;;) {
        int there;
        MPI_Status status;
        if (MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, group->side, &there, &status) != MPI_SUCCESS || !there) return -1;
        char text[AP_ERROR_TEXT] = "";
        MPI_Recv(text, sizeof text, MPI_CHAR, status.MPI_SOURCE, status.MPI_TAG, group->side, MPI_STATUS_IGNORE);
        peer *from = &group->peers[status.MPI_SOURCE];
        if (status.MPI_TAG == NOTE_GAVE_UP) {
            break_group(group, text);
            return status.MPI_SOURCE;
        }
        from->waits = status.MPI_TAG == NOTE_WAITS;
        if (from->waits) memcpy(from->place, text, PLACE);
    }
}

static bool someone_else_waits(const ap_group *group) {
    for (int r = 0; r < group->ranks; r++)
        if (r != group->rank && group->peers[r].waits) return true;
    return false;
}

static void nap(double seconds) {
    nanosleep(&(struct timespec){.tv_nsec = (long)(seconds * 1e9)}, NULL);
}

/* Sends the verdict to all, also to the rank that is missing: it hears why nobody answers when it comes after all. */
static void say_farewell(ap_group *group) {
    for (int r = 0; r < group->ranks; r++)
        if (r != group->rank)
            MPI_Isend(group->verdict, (int)strlen(group->verdict) + 1, MPI_CHAR, r, NOTE_GAVE_UP, group->side,
                      &group->peers[r].farewell);
    for (int ms = 0; ms < FAREWELL_MS; ms++) {
        int all = 1;
        for (int r = 0; r < group->ranks; r++) {
            int sent;
            MPI_Test(&group->peers[r].farewell, &sent, MPI_STATUS_IGNORE);
            all &= sent;
        }
        if (all) return;
        nap(1e-3);
    }
}

static ap_status mpi_failed(ap_group *group, int code, const char *what, ap_error *error) {
    char place[PLACE], reason[MPI_MAX_ERROR_STRING] = "", text[AP_ERROR_TEXT];
    int n;
    MPI_Error_string(code, reason, &n);
    name_place(group, what, place);
    snprintf(text, sizeof text, "MPI failed on rank %d (host %s) in %s: %s", group->rank,
             group->peers[group->rank].host, place, reason);
    break_group(group, text);
    say_farewell(group);
    return ap_fail(error, AP_ENVIRONMENT, "%s", text);
}

static ap_status give_up(ap_group *group, const char *place, ap_error *error) {
    peer *self = &group->peers[group->rank];
    self->waits = true;
    snprintf(self->place, PLACE, "%s", place);
    int waiting = 0, elsewhere = 0;
    for (int r = 0; r < group->ranks; r++) {
        const peer *who = &group->peers[r];
        waiting += who->waits;
        elsewhere += who->waits && strcmp(who->place, place) != 0;
    }
    ap_status status = AP_ENVIRONMENT;
    char text[AP_ERROR_TEXT] = "";
    if (waiting < group->ranks) {
        append_ranks(group, false, true, text, sizeof text);
        append(text, sizeof text, " did not arrive in %s within %g s; ", place, group->watchdog_s);
        append_ranks(group, true, false, text, sizeof text);
        append(text, sizeof text, waiting == 1 ? " is waiting" : " are waiting");
        append_other_places(group, place, text, sizeof text);
        append(text, sizeof text, " (if that rank was only slow, raise watchdog_s)");
    } else if (elsewhere) {
        status = AP_BUG;
        append(text, sizeof text, "the ranks wait in different operations, a defect of this program, please report: ");
        append(text, sizeof text, "rank %d in %s", group->rank, place);
        append_other_places(group, place, text, sizeof text);
    } else {
        append(text, sizeof text,
               "all %d ranks wait in %s for %g s: messages do not get through; check the network between host %s and "
               "the others, and that no process is stopped",
               group->ranks, place, group->watchdog_s, self->host);
    }
    break_group(group, text);
    say_farewell(group);
    return ap_fail(error, status, "%s", text);
}

static ap_status watch(ap_group *group, const char *what, double waited_s, ap_error *error) {
    int who = take_notes(group);
    if (who >= 0) return ap_fail(error, AP_ENVIRONMENT, "rank %d gave up: %s", who, group->verdict);
    char place[PLACE];
    name_place(group, what, place);
    if (waited_s >= group->watchdog_s / 2 || someone_else_waits(group)) tell_waiting(group, place);
    if (waited_s < group->watchdog_s) return AP_OK;
    return give_up(group, place, error);
}

/* ---- waiting */

ap_status ap_group_wait_until(ap_group *group, ap_group_ready *ready, void *user, const char *what, ap_error *error) {
    if (group->broken) return refuse_broken(group, error);
    int64_t last = 0;
    double waited_s = 0;
    for (int turn = 0;; turn++) {
        bool done = false;
        int code = ready(user, &done);
        if (code != MPI_SUCCESS) return mpi_failed(group, code, what, error);
        if (done) break;
        if (turn == 0) last = ap_clock_ns();
        if (turn < SPINS) continue;
        int64_t now = ap_clock_ns();
        waited_s += fmin(ap_clock_s(now - last), longest_turn_s);
        last = now;
        if (waited_s < sleep_after_s) {
            sched_yield();
            continue;
        }
        if (group->watchdog_s > 0) AP_TRY(watch(group, what, waited_s, error));
        nap(fmin(waited_s * sleep_share, sleep_most_s));
    }
    if (group->telling) tell_going_on(group);
    return AP_OK;
}

typedef struct request_list {
    int n;
    MPI_Request *requests;
} request_list;

static int test_all(void *user, bool *done) {
    request_list *all = user;
    int flag = 0, code = MPI_Testall(all->n, all->requests, &flag, MPI_STATUSES_IGNORE);
    *done = flag;
    return code;
}

void ap_group_release(int n, MPI_Request *requests) {
    for (int i = 0; i < n; i++) {
        if (requests[i] == MPI_REQUEST_NULL) continue;
        MPI_Cancel(&requests[i]);
        MPI_Request_free(&requests[i]);
    }
}

ap_status ap_group_wait(ap_group *group, int n, MPI_Request *requests, const char *what, ap_error *error) {
    ap_status status = ap_group_wait_until(group, test_all, &(request_list){n, requests}, what, error);
    if (status != AP_OK) ap_group_release(n, requests);
    return status;
}

/* Sends n_out bytes to one rank and receives up to n_in from another; MPI_PROC_NULL leaves a side out. */
static ap_status exchange(ap_group *group, int tag, int to, const void *out, size_t n_out, int from, void *in,
                          size_t n_in, const char *what, ap_error *error) {
    if (group->broken) return refuse_broken(group, error);
    const char *send = out;
    char *receive = in;
    do {
        int now_out = n_out < LARGEST ? (int)n_out : LARGEST, now_in = n_in < LARGEST ? (int)n_in : LARGEST;
        MPI_Request list[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
        int code = MPI_Irecv(receive, now_in, MPI_BYTE, from, tag, group->comm, &list[0]);
        if (code == MPI_SUCCESS) code = MPI_Isend(send, now_out, MPI_BYTE, to, tag, group->comm, &list[1]);
        if (code != MPI_SUCCESS) {
            ap_group_release(2, list);
            return mpi_failed(group, code, what, error);
        }
        AP_TRY(ap_group_wait(group, 2, list, what, error));
        send = send ? send + now_out : NULL, receive = receive ? receive + now_in : NULL;
        n_out -= (size_t)now_out, n_in -= (size_t)now_in;
    } while (n_out || n_in);
    return AP_OK;
}

/* ---- collectives */

typedef struct outcome {
    int status, rank;
    char text[AP_ERROR_TEXT];
} outcome;

/* An outcome travels without its text if all is well. */
static size_t outcome_bytes(const outcome *what) {
    return what->status == AP_OK ? offsetof(outcome, text) : sizeof *what;
}

ap_status ap_group_agree(ap_group *group, ap_status status, ap_error *error) {
    if (group->broken) return status != AP_OK ? status : refuse_broken(group, error);
    if (group->ranks == 1) return status;
    outcome mine = {.status = (int)status, .rank = group->rank}, theirs;
    if (status != AP_OK && error) memcpy(mine.text, error->text, sizeof mine.text);
    for (int d = 1; d < group->ranks; d *= 2) {
        int partner = group->rank ^ d;
        AP_TRY(exchange(group, TAG_AGREE, partner, &mine, outcome_bytes(&mine), partner, &theirs, sizeof theirs,
                        "the agreement on errors", error));
        if (theirs.status != AP_OK && (mine.status == AP_OK || theirs.rank < mine.rank)) mine = theirs;
    }
    if (mine.status == AP_OK || mine.rank == group->rank) return (ap_status)mine.status;
    return ap_fail(error, (ap_status)mine.status, "rank %d: %s", mine.rank, mine.text);
}

/* Binomial tree on the rank relative to the root; `^` serves as the difference. */
ap_status ap_group_broadcast(ap_group *group, void *bytes, size_t n, int root, ap_error *error) {
    if (group->broken) return refuse_broken(group, error);
    int relative = group->rank ^ root;
    for (int d = 1; d < group->ranks; d *= 2) {
        int partner = group->rank ^ d;
        if (relative >= 2 * d) continue;
        bool sends = relative < d;
        AP_TRY(exchange(group, TAG_BROADCAST, sends ? partner : MPI_PROC_NULL, bytes, sends ? n : 0,
                        sends ? MPI_PROC_NULL : partner, bytes, sends ? 0 : n, "the broadcast", error));
    }
    return AP_OK;
}

/* Recursive doubling: before the exchange with r^d, a rank has the d entries of its aligned block. */
ap_status ap_group_allgather(ap_group *group, const void *mine, size_t n, void *all, ap_error *error) {
    if (group->broken) return refuse_broken(group, error);
    char *entries = all;
    size_t rank = (size_t)group->rank;
    if (n) memmove(entries + rank * n, mine, n);
    for (size_t d = 1; d < (size_t)group->ranks; d *= 2) {
        size_t own = rank & ~(d - 1), other = own ^ d;
        int partner = group->rank ^ (int)d;
        AP_TRY(exchange(group, TAG_ALLGATHER, partner, entries + own * n, d * n, partner, entries + other * n, d * n,
                        "the allgather", error));
    }
    return AP_OK;
}

ap_status ap_group_max_f64(ap_group *group, double *values, int n, ap_error *error) {
    if (group->broken) return refuse_broken(group, error);
    double theirs[SOME_DOUBLES];
    for (int at = 0; at < n; at += SOME_DOUBLES) {
        int some = n - at < SOME_DOUBLES ? n - at : SOME_DOUBLES;
        size_t bytes = (size_t)some * sizeof *values;
        for (int d = 1; d < group->ranks; d *= 2) {
            int partner = group->rank ^ d;
            AP_TRY(exchange(group, TAG_MAX, partner, values + at, bytes, partner, theirs, bytes, "the maximum", error));
            for (int i = 0; i < some; i++) values[at + i] = fmax(values[at + i], theirs[i]);
        }
    }
    return AP_OK;
}

ap_status ap_group_barrier(ap_group *group, ap_error *error) {
    if (group->broken) return refuse_broken(group, error);
    for (int d = 1; d < group->ranks; d *= 2) {
        int partner = group->rank ^ d;
        AP_TRY(exchange(group, TAG_BARRIER, partner, NULL, 0, partner, NULL, 0, "the barrier", error));
    }
    return AP_OK;
}

/* values[0], values[stride], ...: the sum of `count` (a power of two) in the fixed tree, as a binary counter: after
 * value s, one partial sum is pending for each 1 bit of s + 1. */
static double sum_tree(const double *values, int count, int stride) {
    double pending[16]; /* log2(MOST_SHARDS) + 1 at most */
    int top = 0;
    for (int s = 0; s < count; s++) {
        double sum = values[(size_t)s * (size_t)stride];
        for (int bits = s; bits & 1; bits >>= 1) sum = pending[--top] + sum;
        pending[top++] = sum;
    }
    return pending[0];
}

ap_status ap_group_sum_shards(ap_group *group, const double *local, int n, double *total, ap_error *error) {
    if (group->broken) return refuse_broken(group, error);
    double theirs[SOME_DOUBLES];
    for (int at = 0; at < n; at += SOME_DOUBLES) {
        int some = n - at < SOME_DOUBLES ? n - at : SOME_DOUBLES;
        size_t bytes = (size_t)some * sizeof *total;
        for (int i = 0; i < some; i++) total[at + i] = sum_tree(local + at + i, ap_group_local_shards(group), n);
        for (int d = 1; d < group->ranks; d *= 2) {
            int partner = group->rank ^ d;
            AP_TRY(exchange(group, TAG_SUM, partner, total + at, bytes, partner, theirs, bytes, "the sum over shards",
                            error));
            for (int i = 0; i < some; i++) total[at + i] += theirs[i]; /* commutative: both sides get the same */
        }
    }
    return AP_OK;
}

/* ---- creation and destruction */

static bool is_power_of_two(int n) {
    return n > 0 && (n & (n - 1)) == 0;
}

static ap_status check_sizes(int ranks, int shards, ap_error *error) {
    if (!is_power_of_two(shards) || shards > MOST_SHARDS)
        return ap_fail(error, AP_CONFIG, "shards = %d (must be a power of two from 1 to %d)", shards, MOST_SHARDS);
    if (is_power_of_two(ranks) && ranks <= shards) return AP_OK;
    char allowed[128] = "1";
    for (int n = 2; n <= shards; n *= 2) append(allowed, sizeof allowed, n < shards ? ", %d" : " or %d", n);
    return ap_fail(error, AP_ENVIRONMENT,
                   "%d ranks in a group (must be %s with %d shards); set ranks_per_trial to one of these, or start "
                   "another number of ranks",
                   ranks, allowed, shards);
}

/* Tells all ranks each other's host, and checks that they were given the same shards. */
static ap_status introduce(ap_group *group, ap_error *error) {
    typedef struct card {
        int shards;
        char host[HOST];
    } card;
    card mine = {.shards = group->shards};
    if (gethostname(mine.host, sizeof mine.host - 1) != 0) snprintf(mine.host, sizeof mine.host, "unknown");
    memcpy(group->peers[group->rank].host, mine.host, HOST);
    card *all = calloc((size_t)group->ranks, sizeof *all);
    ap_status status = all ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory for %d ranks", group->ranks);
    AP_TRY(ap_group_agree(group, status, error));
    status = ap_group_allgather(group, &mine, sizeof mine, all, error);
    for (int r = 0; status == AP_OK && r < group->ranks; r++) {
        memcpy(group->peers[r].host, all[r].host, HOST);
        if (all[r].shards != all[0].shards)
            status = ap_fail(error, AP_CONFIG, "shards = %d on rank %d, %d on rank 0 (must be the same on all ranks)",
                             all[r].shards, r, all[0].shards);
    }
    free(all);
    return status;
}

static int own_notes_are_received(void *user, bool *done) {
    ap_group *group = user;
    take_notes(group);
    int all = 1;
    for (int r = 0; r < group->ranks; r++) {
        int first, second;
        MPI_Test(&group->peers[r].waits_note, &first, MPI_STATUS_IGNORE);
        MPI_Test(&group->peers[r].goes_on_note, &second, MPI_STATUS_IGNORE);
        all &= first && second;
    }
    *done = all || group->broken;
    return MPI_SUCCESS;
}

typedef struct departure {
    ap_group *group;
    MPI_Request everyone;
} departure;

static int all_notes_are_received(void *user, bool *done) {
    departure *leaving = user;
    take_notes(leaving->group);
    int flag = 0, code = MPI_Test(&leaving->everyone, &flag, MPI_STATUS_IGNORE);
    *done = flag || leaving->group->broken;
    return code;
}

/* Frees the communicators. First everyone arrives, then all notes are taken in: one's own have been received, then
 * everybody's have (the barrier): the method of Hoefler et al., "Scalable communication protocols for dynamic sparse
 * data exchange", PPoPP'10. If a rank turns out to have given up, they stay. */
static void leave(ap_group *group) {
    const char *what = "the end of the group";
    departure leaving = {.group = group, .everyone = MPI_REQUEST_NULL};
    if (ap_group_barrier(group, NULL) != AP_OK) return;
    if (ap_group_wait_until(group, own_notes_are_received, group, what, NULL) != AP_OK || group->broken) return;
    if (MPI_Ibarrier(group->side, &leaving.everyone) != MPI_SUCCESS) return;
    if (ap_group_wait_until(group, all_notes_are_received, &leaving, what, NULL) != AP_OK || group->broken) return;
    MPI_Comm_free(&group->side);
    MPI_Comm_free(&group->comm);
}

void ap_group_destroy(ap_group *group) {
    if (!group) return;
    if (!group->broken) leave(group);
    free(group);
}

ap_status ap_group_create(MPI_Comm comm, int shards, double watchdog_s, ap_group **out, ap_error *error) {
    int rank, ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    /* Ranks that were given different shards must all get as far as comparing them. */
    if (!is_power_of_two(ranks)) return check_sizes(ranks, shards, error);
    ap_group *group = calloc(1, sizeof *group + (size_t)ranks * sizeof group->peers[0]);
    if (!group) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a group of %d ranks", ranks);
    group->rank = rank, group->ranks = ranks, group->shards = shards, group->watchdog_s = watchdog_s;
    group->activity = "the creation of the group";
    for (int r = 0; r < ranks; r++) {
        peer *p = &group->peers[r];
        p->waits_note = p->goes_on_note = p->farewell = MPI_REQUEST_NULL;
    }
    MPI_Comm_dup(comm, &group->comm);
    MPI_Comm_dup(comm, &group->side);
    MPI_Comm_set_errhandler(group->comm, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(group->side, MPI_ERRORS_RETURN);
    ap_status status = introduce(group, error);
    if (status == AP_OK) status = check_sizes(ranks, shards, error);
    if (status != AP_OK) {
        ap_group_destroy(group);
        return status;
    }
    group->activity = NULL;
    *out = group;
    return AP_OK;
}
