/* The sum of tables gives the bits of the fixed tree over shards for every number of ranks: rows that all, some, one or
 * no shard has; and what is sent is about what is summed. Inputs are a pure function of (round, shard, table, row). */
#include "mpi_check.h"
#include "parallel/row_reducer.h"

#include <stdint.h>
#include <stdlib.h>

enum { SHARDS = 8, TABLES = 3 };
static const int64_t rows_of[TABLES] = {1000, 1, 7}, columns_of[TABLES] = {5, 16, 1};

static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
static uint64_t key(int round, int shard, int t, int64_t row) {
    return mix(mix(mix((uint64_t)round * 100 + (uint64_t)shard) + (uint64_t)t) + (uint64_t)row);
}
/* Round 0: about a third of the rows; 1: none; 2: all; 3: of one shard alone. */
static bool has_row(int round, int shard, int t, int64_t row) {
    if (round % 4 == 0) return key(round, shard, t, row) % 3 == 0;
    return round % 4 == 2 || (round % 4 == 3 && shard == 5);
}
static float value(int round, int shard, int t, int64_t row, int64_t column) {
    const uint64_t x = mix(key(round, shard, t, row) + (uint64_t)column);
    return ldexpf((float)((int64_t)(x & 0xffffff) - 0x800000), (int)(x >> 32 & 15) - 30);
}

static void fill(ap_rows *list, int round, int shard) {
    for (int t = 0; t < TABLES; t++) {
        CHECK(ap_rows_reserve(&list[t], rows_of[t]));
        for (int64_t row = 0; row < rows_of[t]; row++) {
            if (!has_row(round, shard, t, row)) continue;
            const int64_t i = list[t].count++;
            list[t].row[i] = (int32_t)row;
            for (int64_t j = 0; j < columns_of[t]; j++)
                list[t].values[i * columns_of[t] + j] = value(round, shard, t, row, j);
        }
    }
}

/* The tree over shards first .. first + n - 1; false: none of them has the row. */
static bool tree(int round, int first, int n, int t, int64_t row, int64_t column, float *sum) {
    if (n == 1) {
        *sum = value(round, first, t, row, column);
        return has_row(round, first, t, row);
    }
    float a, b;
    const bool left = tree(round, first, n / 2, t, row, column, &a);
    const bool right = tree(round, first + n / 2, n / 2, t, row, column, &b);
    *sum = left && right ? a + b : left ? a : b;
    return left || right;
}

static void check_sum(const ap_rows *sum, int round, float scale) {
    for (int t = 0; t < TABLES; t++) {
        int64_t next = 0;
        for (int64_t row = 0; row < rows_of[t]; row++) {
            float want;
            if (!tree(round, 0, SHARDS, t, row, 0, &want)) continue;
            CHECK(next < sum[t].count && sum[t].row[next] == row);
            for (int64_t j = 0; j < columns_of[t]; j++) {
                tree(round, 0, SHARDS, t, row, j, &want);
                CHECK(sum[t].values[next * columns_of[t] + j] == want * scale);
            }
            next++;
        }
        CHECK_INT(sum[t].count, next);
    }
}

static void test_rounds(void) {
    ap_group *group;
    ap_row_reducer *reducer;
    ap_error error = {0};
    CHECK_INT(ap_group_create(MPI_COMM_WORLD, SHARDS, 60, &group, &error), AP_OK);
    CHECK_INT(ap_row_reducer_create(group, TABLES, rows_of, columns_of, &reducer, &error), AP_OK);
    const int first = ap_group_first_shard(group), local = ap_group_local_shards(group);
    for (int round = 0; round < 8; round++) {
        const int64_t before = ap_row_reducer_get_statistics(reducer).bytes_sent;
        ap_rows *sum;
        ap_row_reducer_begin(reducer);
        for (int s = 0; s < local; s++) {
            fill(ap_row_reducer_shard_rows(reducer, s), round, first + s);
            ap_row_reducer_shard_end(reducer, s);
        }
        const float scale = round % 2 ? 1 : 0.125f;
        CHECK_INT(ap_row_reducer_finish(reducer, scale, &sum, &error), AP_OK);
        check_sum(sum, round, scale);
        int64_t bytes = 0;
        for (int t = 0; t < TABLES; t++)
            bytes += sum[t].count * (columns_of[t] * (int64_t)sizeof(float) + (int64_t)sizeof(int32_t));
        const int64_t sent = ap_row_reducer_get_statistics(reducer).bytes_sent - before;
        CHECK(ap_group_ranks(group) > 1 ? sent <= 2 * bytes + 1024 : sent == 0);
    }
    /* A sum that is left out, and one that is finished too early. */
    ap_rows *sum;
    ap_row_reducer_begin(reducer);
    ap_row_reducer_shard_rows(reducer, 0);
    ap_row_reducer_begin(reducer);
    CHECK_INT(ap_row_reducer_finish(reducer, 1, &sum, &error), AP_BUG);
    ap_row_reducer_destroy(reducer);
    ap_group_destroy(group);
}

AP_MPI_TEST_MAIN(test_rounds)
