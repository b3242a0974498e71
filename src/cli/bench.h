/* The benchmarks of `algoperf bench NAME`. argv[0] is the benchmark's name. Not collective unless said so. */
#ifndef AP_CLI_BENCH_H
#define AP_CLI_BENCH_H

#include "base/command.h"
#include <stddef.h>
#include <stdint.h>

/* Ordered matrix products against OpenBLAS and the fma peak of one core. Starts copies of this program, one for each
 * core type of OpenBLAS, since a process cannot change its own. */
ap_status ap_bench_gemm(int argc, char **argv, ap_error *error);

/* Time of a training step outside the submission's own work. Initialises MPI. */
ap_status ap_bench_overhead(int argc, char **argv, ap_error *error);

/* A training step on 1, 2, 4, ... ranks of this world, the links between them, and a model of more. Initialises MPI. */
ap_status ap_bench_scaling(int argc, char **argv, ap_error *error);

/* Trials of uneven length on this world's ranks against the longest-first bound, claims alone, or a model of many
 * groups on one metadata server. Initialises MPI, except for the model. */
ap_status ap_bench_schedule(int argc, char **argv, ap_error *error);

/* Convolutions of ResNet-50, forward and both gradients, against the fma peak and, where the program is built with it,
 * oneDNN. */
ap_status ap_bench_conv(int argc, char **argv, ap_error *error);

/* A workload's training step, part by part. Initialises MPI; collective over its world. */
ap_status ap_bench_step(int argc, char **argv, ap_error *error);

/* Time and memory of a step of every training algorithm on the parameters of ResNet-50. */
ap_status ap_bench_update(int argc, char **argv, ap_error *error);

/* The symmetric eigensolver against LAPACK's. */
ap_status ap_bench_eigen(int argc, char **argv, ap_error *error);

/* A bidirectional LSTM layer of librispeech_deepspeech against the fma peak, and the CTC loss. */
ap_status ap_bench_speech(int argc, char **argv, ap_error *error);

/* ---- shared by benchmarks */

/* ap_cli_parse for a benchmark without arguments: one is AP_USAGE. */
ap_status ap_bench_parse(const ap_command *self, int argc, char **argv, const ap_flag *flags, bool *helped,
                         ap_error *error);

/* Nanoseconds that this thread has run: what other processes take of the core does not count. */
int64_t ap_bench_cpu_ns(void);
/* GF/s of nothing but fma in registers: the best of many samples in a fifth of a second. */
double ap_bench_fma_peak(void);
/* What the memory moves: y += x / 2 over n numbers, bytes a second by that clock, the best of five; what is written is
 * read first, so 12 bytes a number. */
double ap_bench_bandwidth(int64_t n, const float *x, float *y, int64_t (*now_ns)(void));
/* Numbers in [-0.5, 0.5), page-aligned, from malloc; NULL when out of memory. */
float *ap_bench_filled(size_t floats);

#endif
