/* A submission for tests of clusters: gradient ascent, which never reaches a target, and in which every step takes as
 * long as the search space says, asleep, so that trials last without using the machine; and, if AP_TEST_STEP_LOG names
 * a folder, rank 0 writes every step it begins to a file there, named after the trial's learning rate, which tells
 * trials apart: the steps that are there twice were done again. While that folder holds a file named `pause` no step is
 * begun beyond the number in it (none: no step at all). */
#include "submission/submission.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static double hyperparameter(ap_host *host, const char *name) {
    double value = 0;
    host->call->hyperparameter(host, name, &value);
    return value;
}

static int init_optimizer_state(ap_host *host) {
    return host->call->state_numbers(host, "updates", 1) ? 0 : 1;
}

/* False also if there is none. */
static int beyond(const char *path, long long step) {
    long long last = 0;
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    if (fscanf(file, "%lld", &last) != 1) last = 0;
    fclose(file);
    return step > last;
}

static void wait_while_paused(ap_host *host) {
    const char *folder = getenv("AP_TEST_STEP_LOG");
    char path[4096];
    if (!folder) return;
    snprintf(path, sizeof path, "%s/pause", folder);
    while (beyond(path, (long long)host->call->step(host) + 1)) usleep(10000);
}

/* One write of one line to a file opened for appending: whole, also from two processes. */
static void log_step(ap_host *host) {
    const char *folder = getenv("AP_TEST_STEP_LOG");
    if (!folder || host->call->rank(host) != 0) return;
    char path[4096], line[64];
    snprintf(path, sizeof path, "%s/%.17g", folder, hyperparameter(host, "learning_rate"));
    int n = snprintf(line, sizeof line, "%lld\n", (long long)host->call->step(host) + 1);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (file < 0) return;
    if (write(file, line, (size_t)n) != n) host->call->log(host, "the step log cannot be written");
    close(file);
}

static int update_params(ap_host *host) {
    double loss;
    const ap_loss_request request = {0};
    wait_while_paused(host);
    log_step(host);
    usleep((unsigned)(hyperparameter(host, "step_ms") * 1000));
    if (!host->call->loss_and_gradient(host, &request, &loss)) return 1;
    host->call->state_numbers(host, "updates", 1)[0] += 1;
    const float rate = (float)hyperparameter(host, "learning_rate");
    const ap_workload_info *workload = host->call->workload(host);
    for (int p = 0; p < workload->params; p++) {
        float *value = host->call->value(host, p);
        const float *gradient = host->call->gradient(host, p);
        for (int64_t i = 0; i < workload->param[p].size; i++) value[i] += rate * gradient[i];
    }
    return 0;
}

static const ap_submission table = {.abi = AP_SUBMISSION_ABI,
                                    .struct_size = sizeof table,
                                    .name = "paced",
                                    .summary = "gradient ascent with steps of a chosen length",
                                    .source = "tests",
                                    .init_optimizer_state = init_optimizer_state,
                                    .update_params = update_params};
const ap_submission *ap_submission_entry(void);
const ap_submission *ap_submission_entry(void) {
    return &table;
}
