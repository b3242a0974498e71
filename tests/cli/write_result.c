/* Writes a trial's folder of known content for result_readable.py: write_result FOLDER. Evaluation i of 4 comes after
 * step 25 i; what its numbers are is said again, independently, in the script. */
#include "base/file.h"
#include "harness/record.h"
#include <math.h>

enum { EVALUATIONS = 4, STEPS = 25 };

static ap_eval_row row_of(int i) {
    ap_eval_row row = {.global_step = STEPS * i,
                       .preemption_count = 0,
                       .accumulated_submission_time = 1.5 * i,
                       .accumulated_eval_time = 0.25 * i,
                       .accumulated_logging_time = 0.125 * i,
                       .total_duration = 2.0 * i,
                       .score = 1.5 * i,
                       .num_examples = {1000, 500, 0},
                       .parameter_digest = ap_digest_of(&i, sizeof i)};
    for (int s = 0; s < AP_RECORD_SPLITS; s++)
        for (int m = 0; m < AP_RECORD_METRICS; m++) row.metric[s][m] = NAN;
    for (int s = 0; s < 2; s++) {
        row.metric[s][0] = 0.5 + 0.0625 * i - 0.03125 * s; /* accuracy */
        row.metric[s][1] = 1.0 / (i + s);                  /* loss */
    }
    return row;
}

static ap_status write_trial(ap_record *record, ap_error *error) {
    ap_buckets buckets = {.ns = {6000000000, 1000000000, 200000000, 500000000, 250000000, 50000000}};
    AP_TRY(ap_record_reserve_steps(record, EVALUATIONS * STEPS, error));
    for (int i = 1; i <= EVALUATIONS; i++) {
        for (int s = STEPS * (i - 1) + 1; s <= STEPS * i; s++) ap_record_step(record, s, 2.0 / s, 0.0625 * s);
        ap_eval_row row = row_of(i);
        AP_TRY(ap_record_evaluation(record, &row, &buckets, error));
    }
    return ap_record_finish(record, AP_VERDICT_TARGET_REACHED, "", &buckets, error);
}

static ap_status write_folder(const char *folder, ap_error *error) {
    static ap_provenance provenance;
    ap_provenance_collect(&provenance);
    const ap_record_head head = {.submission = "nadamw",
                                 .workload = "mnist",
                                 .variant = "",
                                 .scale = "mini",
                                 .data_set = "synthetic",
                                 .ruleset = "external_tuning",
                                 .clock = "wall",
                                 .hyperparameters = "{\"learning_rate\":0.001}",
                                 .loss_type = "softmax_cross_entropy",
                                 .target_metric = "accuracy",
                                 .direction = "higher",
                                 .validation_target = 0.7,
                                 .test_target = NAN,
                                 .max_runtime_s = 60,
                                 .eval_period_s = 1.5,
                                 .step_hint = 1000,
                                 .global_batch_size = 128,
                                 .metrics = 2,
                                 .metric_names = {"accuracy", "loss"},
                                 .provenance = &provenance};
    ap_record *record;
    AP_TRY(ap_make_directories(folder, error));
    AP_TRY(ap_record_open(folder, &head, NULL, &record, error));
    ap_status status = write_trial(record, error);
    ap_record_close(record);
    return status;
}

int main(int argc, char **argv) {
    ap_error error = {.text = "usage: write_result FOLDER"};
    ap_status status = argc == 2 ? write_folder(argv[1], &error) : AP_USAGE;
    if (status != AP_OK) fprintf(stderr, "%s\n", error.text);
    return (int)status;
}
