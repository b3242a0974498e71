/* algoperf verify: the program against numbers that others made. */
#include "cli/cli.h"
#include "cli/verify.h"

#include "workload/workload.h"

#include <stdio.h>
#include <string.h>

static ap_status verify(const char *fixture, const char *optimizers, const char *math, char **rest, int count,
                        ap_error *error) {
    if (optimizers && !fixture && !count) return ap_verify_optimizers(optimizers, error);
    if (!fixture || optimizers || count != 1)
        return ap_fail(error, AP_USAGE,
                       "algoperf verify: give a workload and --fixture FILE.h5, or --optimizers FILE.h5; see `algoperf "
                       "verify --help`");
    if (math && strcmp(math, "ordered") && strcmp(math, "blas"))
        return ap_fail(error, AP_USAGE, "--math = %s (must be ordered or blas)", math);
    const ap_workload *workload;
    const char *variant;
    AP_TRY(ap_workload_find_label(rest[0], &workload, &variant, error));
    return ap_verify_fixture(workload, variant, fixture, math && !strcmp(math, "blas") ? AP_MATH_BLAS : AP_MATH_ORDERED,
                             error);
}

static int run(int argc, char **argv) {
    const char *fixture = NULL, *optimizers = NULL, *math = NULL;
    const ap_flag flags[] = {
        {"fixture", "FILE.h5", "reference parameters, inputs, outputs and gradients of the workload", &fixture},
        {"optimizers", "FILE.h5", "reference trajectories of update rules, and schedules", &optimizers},
        {"math", "ordered|blas", "matrix products to use (default ordered)", &math},
        {0}};
    char **rest;
    int count;
    bool helped;
    ap_error error;
    if (ap_cli_parse(&ap_command_verify, argc, argv, flags, &rest, &count, &helped, &error))
        return ap_cli_report(&error);
    if (helped) return AP_OK;
    return verify(fixture, optimizers, math, rest, count, &error) ? ap_cli_report(&error) : AP_OK;
}

const ap_command ap_command_verify = {"verify", "WORKLOAD[_VARIANT] --fixture FILE.h5 | --optimizers FILE.h5",
                                      "compare model, loss, gradients or update rules with reference numbers", run,
                                      false};
