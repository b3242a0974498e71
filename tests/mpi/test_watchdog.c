/* A rank that does not come is named on all ranks, also on itself when it comes too late; one that is only slow is not.
 *
 * After each case the ranks meet in MPI_COMM_WORLD, which is fine here because all of them live. */
#include "base/clock.h"
#include "mpi_check.h"
#include "parallel/group.h"
#include "parallel/reducer.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SHARDS = 8 };

static void sleep_s(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    nanosleep(&t, NULL);
}

static ap_group *make_group(double watchdog_s) {
    ap_group *group = NULL;
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, SHARDS, watchdog_s, &group, NULL), AP_OK);
    CHECK_INT(ap_group_barrier(group, NULL), AP_OK); /* from here on all clocks run */
    return group;
}

static void end(ap_group *group) {
    MPI_Barrier(MPI_COMM_WORLD);
    ap_group_destroy(group);
}

/* All that the barrier lacked may have been the absent rank's own part: then it learns in the next that it is late. */
static ap_status barrier(ap_group *group, bool absent, ap_error *error) {
    ap_status status = ap_group_barrier(group, error);
    return absent && status == AP_OK ? ap_group_barrier(group, error) : status;
}

static void name_absent(int rank, const char *place, char text[256]) {
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    MPI_Bcast(host, sizeof host, MPI_CHAR, rank, MPI_COMM_WORLD);
    snprintf(text, 256, "rank %d (host %s) did not arrive in %s within 1 s; ", rank, host, place);
}

static void test_an_absent_rank_is_named_by_all_that_wait(void) {
    ap_group *group = make_group(1);
    ap_error error = {0};
    int absent = world_ranks - 1;
    char text[256];
    name_absent(absent, "the barrier of step 57", text);
    ap_group_set_activity(group, "step 57");
    if (world_rank == absent) sleep_s(2.2);
    int64_t start = ap_clock_ns();
    CHECK_INT(barrier(group, world_rank == absent, &error), AP_ENVIRONMENT);
    double waited_s = ap_clock_s(ap_clock_ns() - start);
    CHECK_TEXT(error.text, text);
    CHECK_TEXT(error.text, world_ranks == 2 ? "rank 0 is waiting" : "ranks 0, 1, 2 are waiting");
    if (world_rank == absent) {
        CHECK_TEXT(error.text, "gave up: ");
        CHECK(waited_s < 0.9); /* it hears at once that nobody is left */
    } else {
        CHECK(waited_s > 0.9 && waited_s < 2.0);
    }
    end(group);
}

static void test_a_broken_group_refuses_at_once(void) {
    ap_group *group = make_group(1);
    ap_error error = {0};
    if (world_rank == 0) {
        sleep_s(2);
    } else {
        CHECK_INT(ap_group_barrier(group, NULL), AP_ENVIRONMENT);
        CHECK(ap_group_is_broken(group));
        int64_t start = ap_clock_ns();
        double value = 1;
        CHECK_INT(ap_group_barrier(group, &error), AP_ENVIRONMENT);
        CHECK_INT(ap_group_max_f64(group, &value, 1, &error), AP_ENVIRONMENT);
        CHECK_INT(ap_group_broadcast(group, &value, sizeof value, 0, &error), AP_ENVIRONMENT);
        CHECK_INT(ap_group_sum_shards(group, &value, 0, &value, &error), AP_ENVIRONMENT);
        CHECK_INT(ap_group_agree(group, AP_OK, &error), AP_ENVIRONMENT);
        CHECK_TEXT(error.text, "cannot go on: rank 0 (host");
        ap_fail(&error, AP_DATA, "my own");
        CHECK_INT(ap_group_agree(group, AP_DATA, &error), AP_DATA); /* a failure stays what it was */
        CHECK(strcmp(error.text, "my own") == 0);
        CHECK(ap_clock_s(ap_clock_ns() - start) < 0.1);
    }
    end(group);
}

/* The first waits 2 s; a rank that comes 0.7 of the limit later tells at once that it is there. */
static void test_only_the_absent_rank_is_named_not_the_late_one(void) {
    if (world_ranks < 4) return;
    ap_group *group = make_group(2);
    ap_error error = {0};
    if (world_rank == 1) sleep_s(1.4);
    if (world_rank == 2) sleep_s(3);
    CHECK_INT(barrier(group, world_rank == 2, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "rank 2 (host");
    CHECK_TEXT(error.text, "did not arrive in the barrier within 2 s; ranks 0, 1, 3 are waiting");
    end(group);
}

/* Long enough that all report that they wait, and take it back. */
static void test_a_slow_rank_is_waited_for(void) {
    ap_group *group = make_group(1.5);
    for (int slow = 0; slow < 2; slow++) {
        if (world_rank == slow) sleep_s(1);
        CHECK_INT(ap_group_barrier(group, NULL), AP_OK);
    }
    ap_group_destroy(group);
}

/* Rank 0 has long gone on when rank 1 does not come: its report of the earlier wait must not count. */
static void test_a_report_that_was_taken_back_does_not_count(void) {
    ap_group *group = make_group(1);
    ap_error error = {0};
    if (world_rank == 1) sleep_s(0.8);
    CHECK_INT(ap_group_barrier(group, NULL), AP_OK);
    if (world_rank == 0) sleep_s(2);
    CHECK_INT(barrier(group, world_rank == 0, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "rank 0 (host");
    CHECK_TEXT(error.text, world_ranks == 2 ? "rank 1 is waiting" : "ranks 1, 2, 3 are waiting");
    end(group);
}

/* Stops all ranks for 2 s, as a scheduler does that suspends the job; a child does it, since nobody else runs then. */
static void suspend_all(const int *pids) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        for (int r = 0; r < world_ranks; r++) kill(pids[r], SIGSTOP);
        sleep_s(2);
        for (int r = 0; r < world_ranks; r++) kill(pids[r], SIGCONT);
        _exit(0);
    }
    CHECK(child > 0);
    waitpid(child, NULL, 0);
}

static void test_time_in_which_the_job_was_suspended_does_not_count(void) {
    ap_group *group = make_group(1);
    int pids[64], mine = (int)getpid();
    CHECK_INT(ap_group_allgather(group, &mine, sizeof mine, pids, NULL), AP_OK);
    if (world_rank == 1) {
        sleep_s(0.2); /* the others wait by now */
        suspend_all(pids);
        sleep_s(0.2);
    }
    ap_error error = {0};
    CHECK_INT(ap_group_barrier(group, &error), AP_OK);
    CHECK(strcmp(error.text, "") == 0);
    end(group);
}

static void test_ranks_in_different_operations_are_called_a_defect(void) {
    ap_group *group = make_group(1);
    ap_error error = {0};
    double value = 0;
    ap_status status = world_rank == 0 ? ap_group_max_f64(group, &value, 1, &error) : ap_group_barrier(group, &error);
    CHECK(status == AP_BUG || (status == AP_ENVIRONMENT && strstr(error.text, "gave up: ")));
    CHECK_TEXT(error.text, "different operations");
    CHECK_TEXT(error.text, "in the maximum");
    CHECK_TEXT(error.text, "in the barrier");
    end(group);
}

static void test_a_rank_stuck_in_its_backward_pass_is_named(void) {
    ap_group *group = make_group(1);
    ap_error error = {0};
    ap_reducer *reducer = NULL;
    float *sum = NULL;
    char text[256];
    name_absent(1, "the gradient sum of step 7", text);
    CHECK_INT(ap_reducer_create(group, 1000, 1, (int64_t[]){0}, 0, &reducer, NULL), AP_OK);
    ap_group_set_activity(group, "step 7");
    ap_reducer_begin(reducer);
    if (world_rank == 1) sleep_s(2.2);
    for (int s = 0; s < ap_group_local_shards(group); s++) ap_reducer_shard_end(reducer, s);
    CHECK_INT(ap_reducer_finish(reducer, 1, &sum, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, text);
    /* another round does not touch MPI */
    ap_reducer_begin(reducer);
    for (int s = 0; s < ap_group_local_shards(group); s++) ap_reducer_shard_end(reducer, s);
    CHECK_INT(ap_reducer_finish(reducer, 1, &sum, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "cannot go on");
    MPI_Barrier(MPI_COMM_WORLD);
    ap_reducer_destroy(reducer);
    ap_group_destroy(group);
}

AP_MPI_TEST_MAIN(test_an_absent_rank_is_named_by_all_that_wait, test_a_broken_group_refuses_at_once,
                 test_only_the_absent_rank_is_named_not_the_late_one, test_a_slow_rank_is_waited_for,
                 test_a_report_that_was_taken_back_does_not_count,
                 test_time_in_which_the_job_was_suspended_does_not_count,
                 test_ranks_in_different_operations_are_called_a_defect,
                 test_a_rank_stuck_in_its_backward_pass_is_named)
