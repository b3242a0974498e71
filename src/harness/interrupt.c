#include "harness/interrupt.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

static volatile sig_atomic_t interrupt_signal;

static void on_signal(int number) {
    interrupt_signal = number;
}
void ap_interrupt_install(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
}

void ap_interrupt_forget(void) {
    interrupt_signal = 0;
}

/* ---- among the ranks of a world: an empty message from who has the signal to every root */

static struct {
    MPI_Comm comm;
    int rank, ranks;
    int *roots;        /* [ranks] */
    MPI_Request *sent; /* [ranks]; NULL: nothing sent yet */
    int heard;         /* messages received */
} shared = {.comm = MPI_COMM_NULL};

ap_status ap_interrupt_share(MPI_Comm world, bool root, ap_error *error) {
    int mine = root;
    MPI_Comm_dup(world, &shared.comm);
    MPI_Comm_rank(world, &shared.rank);
    MPI_Comm_size(world, &shared.ranks);
    shared.sent = NULL;
    shared.heard = 0;
    shared.roots = calloc((size_t)shared.ranks, sizeof *shared.roots);
    if (!shared.roots) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %d ranks", shared.ranks);
    MPI_Allgather(&mine, 1, MPI_INT, shared.roots, 1, MPI_INT, shared.comm);
    return AP_OK;
}

static void tell(void) {
    shared.sent = malloc((size_t)shared.ranks * sizeof *shared.sent);
    if (!shared.sent) return; /* the next call tries again */
    for (int r = 0; r < shared.ranks; r++) {
        shared.sent[r] = MPI_REQUEST_NULL;
        if (shared.roots[r] && r != shared.rank) MPI_Isend(NULL, 0, MPI_BYTE, r, 0, shared.comm, &shared.sent[r]);
    }
}

static void listen(void) {
    int there = 0;
    while (MPI_Iprobe(MPI_ANY_SOURCE, 0, shared.comm, &there, MPI_STATUS_IGNORE) == MPI_SUCCESS && there) {
        MPI_Recv(NULL, 0, MPI_BYTE, MPI_ANY_SOURCE, 0, shared.comm, MPI_STATUS_IGNORE);
        shared.heard++;
    }
}

bool ap_interrupted(void) {
    if (shared.comm == MPI_COMM_NULL) return interrupt_signal != 0;
    if (interrupt_signal && !shared.heard && !shared.sent) tell();
    if (shared.roots[shared.rank] && !shared.heard) listen();
    return interrupt_signal != 0 || shared.heard > 0;
}

/* Every message is received before the communicator goes: all know how many ranks have sent. */
void ap_interrupt_unshare(void) {
    if (shared.comm == MPI_COMM_NULL) return;
    int mine = shared.sent != NULL, senders;
    MPI_Allreduce(&mine, &senders, 1, MPI_INT, MPI_SUM, shared.comm);
    int expected = shared.roots[shared.rank] ? senders - mine : 0;
    while (shared.heard < expected) {
        listen();
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    if (shared.sent) MPI_Waitall(shared.ranks, shared.sent, MPI_STATUSES_IGNORE);
    if (shared.heard && !interrupt_signal) interrupt_signal = SIGUSR1;
    free(shared.sent);
    free(shared.roots);
    shared.sent = NULL, shared.roots = NULL;
    MPI_Comm_free(&shared.comm);
}
