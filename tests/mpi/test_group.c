/* Groups of 1, 2, 4 and 8 ranks: who owns which shard, agreement, moves and sums; and what is refused. */
#include "mpi_check.h"
#include "parallel/group.h"

#include <stdint.h>

enum { SHARDS = 8 };

static bool is_allowed(void) {
    return world_ranks != 3;
}

static ap_group *make_group(void) {
    ap_group *group = NULL;
    ap_error error = {0};
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, SHARDS, 60, &group, &error), AP_OK);
    if (!group) printf("%s\n", error.text);
    return group;
}

static void test_ranks_that_are_no_power_of_two_are_refused(void) {
    if (is_allowed()) return;
    ap_group *group = NULL;
    ap_error error = {0};
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, SHARDS, 60, &group, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "3 ranks in a group (must be 1, 2, 4 or 8 with 8 shards)");
    CHECK_TEXT(error.text, "ranks_per_trial");
    CHECK(group == NULL);
}

static void test_more_ranks_than_shards_are_refused(void) {
    if (!is_allowed() || world_ranks < 2) return;
    ap_group *group = NULL;
    ap_error error = {0};
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, world_ranks / 2, 60, &group, &error), AP_ENVIRONMENT);
    char part[64];
    snprintf(part, sizeof part, "%d ranks in a group (must be 1", world_ranks);
    CHECK_TEXT(error.text, part);
    CHECK(group == NULL);
}

static void test_numbers_of_shards_that_are_no_power_of_two_are_refused(void) {
    const int wrong[] = {0, -8, 6, 12, 2048};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ap_group *group = NULL;
        ap_error error = {0};
        CHECK_INT(ap_group_create(MPI_COMM_WORLD, wrong[i], 60, &group, &error), AP_CONFIG);
        char part[64];
        snprintf(part, sizeof part, "shards = %d (must be a power of two from 1 to 1024)", wrong[i]);
        CHECK_TEXT(error.text, part);
        CHECK(group == NULL);
    }
}

static void test_ranks_with_different_shards_are_refused_by_all(void) {
    if (!is_allowed() || world_ranks < 2) return;
    ap_group *group = NULL;
    ap_error error = {0};
    int shards = world_rank == world_ranks - 1 ? 2 * SHARDS : SHARDS;
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, shards, 60, &group, &error), AP_CONFIG);
    char part[64];
    snprintf(part, sizeof part, "shards = 16 on rank %d, 8 on rank 0", world_ranks - 1);
    CHECK_TEXT(error.text, part);
}

static void test_shards_are_contiguous_blocks(void) {
    if (!is_allowed()) return;
    ap_group *group = make_group();
    CHECK_INT(ap_group_rank(group), world_rank);
    CHECK_INT(ap_group_ranks(group), world_ranks);
    CHECK_INT(ap_group_shards(group), SHARDS);
    CHECK_INT(ap_group_local_shards(group) * world_ranks, SHARDS);
    CHECK_INT(ap_group_first_shard(group), world_rank * SHARDS / world_ranks);
    int same;
    MPI_Comm_compare(ap_group_comm(group), MPI_COMM_WORLD, &same);
    CHECK_INT(same, MPI_CONGRUENT); /* same ranks, another context */
    ap_group_destroy(group);
}

static void test_agreement_without_failure_is_ok(void) {
    if (!is_allowed()) return;
    ap_group *group = make_group();
    ap_error error = {0};
    CHECK_INT(ap_group_agree(group, AP_OK, &error), AP_OK);
    CHECK_INT(ap_group_agree(group, AP_OK, NULL), AP_OK);
    ap_group_destroy(group);
}

static void test_every_rank_gets_the_text_of_the_rank_that_failed(void) {
    if (!is_allowed()) return;
    ap_group *group = make_group();
    for (int bad = 0; bad < world_ranks; bad++) {
        ap_error error = {0};
        ap_status mine = AP_OK;
        if (world_rank == bad) mine = ap_fail(&error, AP_DATA, "shard %d is damaged", bad);
        CHECK_INT(ap_group_agree(group, mine, &error), AP_DATA);
        CHECK_INT(error.status, AP_DATA);
        char want[64];
        if (world_rank == bad)
            snprintf(want, sizeof want, "shard %d is damaged", bad);
        else
            snprintf(want, sizeof want, "rank %d: shard %d is damaged", bad, bad);
        CHECK(strcmp(error.text, want) == 0);
    }
    ap_group_destroy(group);
}

static void test_the_lowest_of_several_failing_ranks_counts(void) {
    if (!is_allowed()) return;
    ap_group *group = make_group();
    ap_error error = {0};
    ap_status mine = AP_OK;
    int lowest = world_ranks / 2;
    if (world_rank >= lowest) mine = ap_fail(&error, world_rank == lowest ? AP_IO : AP_NUMERIC, "from %d", world_rank);
    CHECK_INT(ap_group_agree(group, mine, &error), AP_IO);
    char want[64];
    if (world_rank == lowest)
        snprintf(want, sizeof want, "from %d", lowest);
    else
        snprintf(want, sizeof want, "rank %d: from %d", lowest, lowest);
    CHECK(strcmp(error.text, want) == 0);
    ap_group_destroy(group);
}

static unsigned char byte_of(int rank, size_t i) {
    return (unsigned char)(rank * 31 + (int)(i * 7 + i / 251));
}

static void test_broadcast_from_every_root(void) {
    if (!is_allowed()) return;
    ap_group *group = make_group();
    const size_t sizes[] = {0, 1, 7, 100003};
    unsigned char *bytes = malloc(100003);
    for (int root = 0; root < world_ranks; root++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            for (size_t i = 0; i < sizes[k]; i++) bytes[i] = byte_of(world_rank, i);
            CHECK_INT(ap_group_broadcast(group, bytes, sizes[k], root, NULL), AP_OK);
            size_t wrong = 0;
            for (size_t i = 0; i < sizes[k]; i++) wrong += bytes[i] != byte_of(root, i);
            CHECK_INT(wrong, 0);
        }
    free(bytes);
    ap_group_destroy(group);
}

static void test_allgather_places_every_rank(void) {
    if (!is_allowed()) return;
    ap_group *group = make_group();
    const size_t sizes[] = {0, 1, 13, 20011};
    unsigned char *mine = malloc(20011), *all = malloc(20011 * (size_t)world_ranks);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k], wrong = 0;
        for (size_t i = 0; i < n; i++) mine[i] = byte_of(world_rank, i);
        memset(all, 0xee, n * (size_t)world_ranks);
        CHECK_INT(ap_group_allgather(group, mine, n, all, NULL), AP_OK);
        for (int r = 0; r < world_ranks; r++)
            for (size_t i = 0; i < n; i++) wrong += all[(size_t)r * n + i] != byte_of(r, i);
        CHECK_INT(wrong, 0);
    }
    free(mine);
    free(all);
    ap_group_destroy(group);
}

/* 1100 values: more than the group moves at a time. */
static void test_maximum_over_ranks(void) {
    if (!is_allowed()) return;
    ap_group *group = make_group();
    double values[1100];
    for (int i = 0; i < 1100; i++) values[i] = (world_rank + i) % world_ranks - i;
    values[5] = world_rank == 0 ? -1e300 : (double)NAN; /* NaN loses to any number */
    CHECK_INT(ap_group_max_f64(group, values, 1100, NULL), AP_OK);
    int wrong = 0;
    for (int i = 0; i < 1100; i++)
        if (i != 5) wrong += values[i] != world_ranks - 1 - i;
    CHECK_INT(wrong, 0);
    CHECK(values[5] == -1e300);
    ap_group_destroy(group);
}

/* Numbers of many magnitudes, so that another order gives other bits. */
static double term(int shard, int i) {
    uint64_t x = (uint64_t)(shard * 100003 + i + 1) * 0x9e3779b97f4a7c15u;
    x ^= x >> 31, x *= 0xbf58476d1ce4e5b9u, x ^= x >> 29;
    return ldexp((double)(int64_t)x, (int)(x % 40) - 80);
}

static double tree(int first, int n, int i) {
    return n == 1 ? term(first, i) : tree(first, n / 2, i) + tree(first + n / 2, n / 2, i);
}

static void test_sum_over_shards_is_the_fixed_tree(void) {
    if (!is_allowed()) return;
    ap_group *group = make_group();
    enum { N = 1030 };
    int mine = ap_group_local_shards(group), first = ap_group_first_shard(group), differs = 0;
    double *local = malloc(sizeof(double) * N * (size_t)mine), total[N], want[N];
    for (int s = 0; s < mine; s++)
        for (int i = 0; i < N; i++) local[s * N + i] = term(first + s, i);
    for (int i = 0; i < N; i++) {
        double in_order = 0;
        for (int s = 0; s < SHARDS; s++) in_order += term(s, i);
        want[i] = tree(0, SHARDS, i);
        differs += in_order != want[i];
    }
    CHECK(differs > N / 10); /* else the test would not notice a wrong order */
    CHECK_INT(ap_group_sum_shards(group, local, N, total, NULL), AP_OK);
    CHECK(memcmp(total, want, sizeof total) == 0);
    free(local);
    ap_group_destroy(group);
}

static void test_wait_completes_requests_of_the_caller(void) {
    if (!is_allowed()) return;
    ap_group *group = make_group();
    int right = (world_rank + 1) % world_ranks, left = (world_rank + world_ranks - 1) % world_ranks, got = -1;
    MPI_Request list[3] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    MPI_Irecv(&got, 1, MPI_INT, left, 1 << 20, ap_group_comm(group), &list[0]);
    MPI_Isend(&world_rank, 1, MPI_INT, right, 1 << 20, ap_group_comm(group), &list[2]);
    CHECK_INT(ap_group_wait(group, 3, list, "the ring", NULL), AP_OK);
    CHECK_INT(got, left);
    ap_group_destroy(group);
}

/* A message that is too long is an error of MPI; it must come back as a text and not end the program. */
static void test_an_error_of_mpi_breaks_the_group(void) {
    if (!is_allowed()) return;
    ap_group *group = make_group();
    MPI_Barrier(MPI_COMM_WORLD); /* else a slow rank hears of it while it still creates its group */
    ap_error error = {0};
    char shorter[4];
    const char longer[64] = {0};
    MPI_Request list[2];
    MPI_Isend(longer, 64, MPI_CHAR, world_rank, 1 << 20, ap_group_comm(group), &list[0]);
    MPI_Irecv(shorter, 4, MPI_CHAR, world_rank, 1 << 20, ap_group_comm(group), &list[1]);
    ap_group_set_activity(group, "step 3");
    CHECK_INT(ap_group_wait(group, 2, list, "the echo", &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "in the echo of step 3");
    CHECK(ap_group_is_broken(group));
    CHECK_INT(ap_group_barrier(group, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "cannot go on");
    ap_group_destroy(group);
}

static void test_two_groups_do_not_mix(void) {
    if (world_ranks < 2 || !is_allowed()) return;
    MPI_Comm half;
    MPI_Comm_split(MPI_COMM_WORLD, world_rank * 2 / world_ranks, world_rank, &half);
    ap_group *group = NULL;
    CHECK_INT(ap_group_create(half, SHARDS, 60, &group, NULL), AP_OK);
    CHECK_INT(ap_group_ranks(group), world_ranks / 2);
    double first = world_rank * 2 / world_ranks;
    CHECK_INT(ap_group_max_f64(group, &first, 1, NULL), AP_OK);
    CHECK(first == world_rank * 2 / world_ranks);
    ap_group_destroy(group);
    MPI_Comm_free(&half);
}

static void test_destroy_takes_null(void) {
    ap_group_destroy(NULL);
}

AP_MPI_TEST_MAIN(test_ranks_that_are_no_power_of_two_are_refused, test_more_ranks_than_shards_are_refused,
                 test_numbers_of_shards_that_are_no_power_of_two_are_refused,
                 test_ranks_with_different_shards_are_refused_by_all, test_shards_are_contiguous_blocks,
                 test_agreement_without_failure_is_ok, test_every_rank_gets_the_text_of_the_rank_that_failed,
                 test_the_lowest_of_several_failing_ranks_counts, test_broadcast_from_every_root,
                 test_allgather_places_every_rank, test_maximum_over_ranks, test_sum_over_shards_is_the_fixed_tree,
                 test_wait_completes_requests_of_the_caller, test_an_error_of_mpi_breaks_the_group,
                 test_two_groups_do_not_mix, test_destroy_takes_null)
