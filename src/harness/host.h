/* The host: what a submission sees of a trial (submission.h), over an engine. */
#ifndef AP_HARNESS_HOST_H
#define AP_HARNESS_HOST_H

#include "harness/checkpoint.h"
#include "harness/engine.h"
#include "tuning/search_space.h"

typedef struct ap_trial_host ap_trial_host;
typedef struct ap_host_options {
    ap_group *group;
    ap_engine *engine;
    const ap_problem *problem;
    const ap_submission *submission;
    const ap_point *point;
    uint64_t seed;
    int64_t global_batch;
    int threads;
    ap_math math;
} ap_host_options;

/* All borrowed. Not collective. */
ap_status ap_trial_host_create(const ap_host_options *options, ap_trial_host **host, ap_error *error);
void ap_trial_host_destroy(ap_trial_host *host); /* NULL is fine */

/* The submission's functions, each with its own checks. They return AP_SUBMISSION with the submission's reason, or what
 * a host call failed with. Collective as far as the submission's calls are. */
ap_status ap_trial_host_init(ap_trial_host *host, ap_error *error);
ap_status ap_trial_host_update(ap_trial_host *host, ap_error *error); /* data selection, update_params; step + 1 */
ap_status ap_trial_host_prepare_for_eval(ap_trial_host *host, ap_error *error);

/* Rules: a submission that writes parameters where it may not (noticed in init_optimizer_state, in data_selection of
 * every 64th step, and over an evaluation), or calls the host while none of its functions runs, has violated them; its
 * next function, or this check, fails with AP_SUBMISSION and the trial ends with the verdict `rule_violation`. Nor does
 * it see the workload's name and variant, but in get_batch_size. */
ap_status ap_trial_host_check(ap_trial_host *host, ap_error *error);
bool ap_trial_host_violated(const ap_trial_host *host);
void ap_trial_host_evaluated(ap_trial_host *host, ap_digest before, ap_digest after); /* of the parameters */

/* Facts for the submission, the workload's for get_batch_size before there is an engine. train_examples: the data
 * set's, of which a scale may use fewer. */
void ap_workload_info_fill(ap_workload_info *info, const ap_problem *problem, int64_t train_examples);

int64_t ap_trial_host_step(const ap_trial_host *host);
void ap_trial_host_set_step(ap_trial_host *host, int64_t step);
double ap_trial_host_loss(const ap_trial_host *host);   /* of the last loss call of this step; NaN if there was none */
bool ap_trial_host_has_loss(const ap_trial_host *host); /* there was one */
const char *ap_trial_host_stopped(const ap_trial_host *host); /* why the submission wants to stop; NULL: it does not */
void ap_trial_host_set_time(ap_trial_host *host, double submission_time_s);
ap_status ap_trial_host_add_evaluation(ap_trial_host *host, const ap_eval_result *result, ap_error *error);

/* Brings the parts of state arrays that other ranks keep to every rank. Before a checkpoint. Collective. */
ap_status ap_trial_host_gather(ap_trial_host *host, ap_error *error);

/* Optimizer state as blobs: how many, and the i-th (data borrowed). Names "/optimizer/<state>/<parameter>" and
 * "/optimizer_numbers/<state>" and "/optimizer_arrays/<state>". */
int ap_trial_host_blobs(const ap_trial_host *host);
void ap_trial_host_blob(const ap_trial_host *host, int i, ap_blob *blob);

#endif
