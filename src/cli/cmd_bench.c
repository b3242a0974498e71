/* algoperf bench: what this machine does, measured by commands that anyone can run. */
#include "cli/bench.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *help;
    ap_status (*run)(int argc, char **argv, ap_error *error);
} benches[] = {
    {"gemm", "ordered matrix products against OpenBLAS and the fma peak of a core", ap_bench_gemm},
    {"conv", "convolutions of ResNet-50 against the fma peak and oneDNN", ap_bench_conv},
    {"eigen", "the symmetric eigensolver against LAPACK's", ap_bench_eigen},
    {"speech", "an LSTM layer against the fma peak, and the CTC loss", ap_bench_speech},
    {"step", "a workload's training step, part by part", ap_bench_step},
    {"update", "time and memory of a step of every training algorithm", ap_bench_update},
    {"scaling", "a step on 1, 2, ... ranks, the reduction's share, and a model of up to 512", ap_bench_scaling},
    {"schedule", "how well groups share a sweep, the cost of claims, and a model of many groups", ap_bench_schedule},
    {"overhead", "time of a training step outside the submission's own work", ap_bench_overhead},
};
enum { BENCHES = sizeof benches / sizeof *benches };

static int run(int argc, char **argv) {
    ap_error error;
    if (argc >= 2)
        for (int i = 0; i < BENCHES; i++)
            if (!strcmp(argv[1], benches[i].name))
                return benches[i].run(argc - 1, argv + 1, &error) ? ap_cli_report(&error) : AP_OK;
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        printf("usage: algoperf bench %s\n%s\n\nBenchmarks (each has --help):\n", ap_command_bench.arguments,
               ap_command_bench.summary);
        for (int i = 0; i < BENCHES; i++) printf("  %-10s %s\n", benches[i].name, benches[i].help);
        return AP_OK;
    }
    ap_fail(&error, AP_USAGE, "algoperf bench: %s%s; see `algoperf bench --help`",
            argc < 2 ? "say which benchmark" : "there is no benchmark ", argc < 2 ? "" : argv[1]);
    return ap_cli_report(&error);
}

const ap_command ap_command_bench = {"bench", "BENCHMARK [OPTIONS]", "measure kernels and overheads on this machine",
                                     run, false};
