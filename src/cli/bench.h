/* The benchmarks of `algoperf bench NAME`. argv[0] is the benchmark's name. Not collective unless said so. */
#ifndef AP_CLI_BENCH_H
#define AP_CLI_BENCH_H

#include "base/status.h"

/* Ordered matrix products against OpenBLAS and the fma peak of one core. Starts copies of this program, one for each
 * core type of OpenBLAS, since a process cannot change its own. */
ap_status ap_bench_gemm(int argc, char **argv, ap_error *error);

/* Time of a training step outside the submission's own work. Initialises MPI. */
ap_status ap_bench_overhead(int argc, char **argv, ap_error *error);

#endif
