/* What the MPI test programs share: check.h, and a main() that starts MPI, runs the tests on all ranks and ends with 1
 * on all if a check failed on any. A test that has nothing to do with this number of ranks returns at once. */
#ifndef AP_TESTS_MPI_CHECK_H
#define AP_TESTS_MPI_CHECK_H

#include "check.h"
#include <mpi.h>

static int world_rank, world_ranks;

#define AP_MPI_TEST_MAIN(...)                                                                                          \
    int main(int argc, char **argv) {                                                                                  \
        void (*const tests[])(void) = {__VA_ARGS__};                                                                   \
        MPI_Init(&argc, &argv);                                                                                        \
        MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);                                                                    \
        MPI_Comm_size(MPI_COMM_WORLD, &world_ranks);                                                                   \
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) tests[i]();                                          \
        int failures = 0;                                                                                              \
        MPI_Allreduce(&ap_check_failures, &failures, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);                             \
        if (failures && world_rank == 0) printf("%d checks failed\n", failures);                                       \
        MPI_Finalize();                                                                                                \
        return failures ? 1 : 0;                                                                                       \
    }

#endif
