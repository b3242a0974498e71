/* The workload interface: data set + model + loss + metric + target, as one table of facts and functions.
 *
 * A workload is one folder under workloads/ and one line in workloads/table.c. Its workload.cfg (scales, targets,
 * published constants; embedded in the program) is read by ap_workload_open; its model code only calls tensor
 * operations. Not collective, knows no MPI. */
#ifndef AP_WORKLOAD_WORKLOAD_H
#define AP_WORKLOAD_WORKLOAD_H

#include "base/config.h"
#include "data/batch.h"
#include "data/dynamic_batch.h"
#include "data/prepare.h"
#include "tensor/ops.h"

enum { AP_MAX_METRICS = 8, AP_MAX_SUMS = 16 };

typedef struct ap_loss_options {
    float label_smoothing;
} ap_loss_options;

/* How a model that writes searches for the best sequence. */
typedef struct ap_search_options {
    int64_t beams, most; /* most: places of a sequence, the start token's included */
    int64_t end;         /* the token that ends a sequence */
    double alpha;        /* of the length penalty */
} ap_search_options;

typedef struct ap_prepare_options {
    const char *from, *to;  /* folder of the published files; packed file to make */
    const char *name;       /* data set name recorded in the file, selects the target; NULL: the workload's default */
    const char *vocabulary; /* file that says what token ids mean; NULL: found beside the text, or trained */
    const void *model;      /* of the scale that will train on it */
} ap_prepare_options;

typedef struct ap_workload {
    const char *name, *summary, *source; /* source: paper or benchmark section */
    const char *const *config_text; /* &embedded workload.cfg; indirect so that the table is a constant initialiser */
    /* NULL-terminated names of held-out variants; NULL: none. What each changes: `variants` of workload.cfg. */
    const char *const *variants;

    /* Model dimensions and other options: `model` groups of workload.cfg, job files (`options`) and fixtures' `config`
     * JSON go through this table. */
    const ap_option *options;
    size_t option_count, model_size;

    /* Declares parameters and state in published order. */
    ap_status (*define)(const void *model, ap_params *params, ap_params *state, ap_error *error);
    ap_tensor *(*forward)(const void *model, ap_tape *tape, const ap_batch *batch); /* logits */
    /* A fixed front end without gradient (features of sound) as an array of its own: when the batch has an array of
     * this name, forward starts from it. Fixtures record it in /intermediate: the front end is compared by itself, and
     * the model from the recorded numbers on. NULL: none. front_end: float32 [size] of the batch; false: it has another
     * size. */
    const char *front_end_name;
    bool (*front_end)(const void *model, const ap_batch *batch, int64_t size, float *values);
    /* weights [rows of the logits], 0 where a row is padding and its logits mean nothing: fixtures are not compared
     * there. NULL: every row counts. */
    void (*logit_weights)(const void *model, const ap_tensor *logits, const ap_batch *batch, float *weights);
    ap_loss (*loss)(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                    const ap_loss_options *options);
    /* Adds one evaluated shard to sums[sum_count] (the caller zeroes them, and adds over shards and batches in fixed
     * order). May begin passes of its own on the tape: the logits are gone afterwards, unless there is output_count. */
    int sum_count;
    const char *sum_names[AP_MAX_SUMS]; /* names of the sums in fixtures' /outputs; NULL: fixtures do not have it */
    void (*evaluate)(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch, double *sums);
    /* The most examples that an evaluation sends through the model at once; 0: all that a shard has of a batch. */
    int64_t most_examples_a_pass;
    /* Values of each example, for a metric that is no sum over examples (a ranking's): output_count floats, gathered on
     * all ranks in the order of the split, from which output_metrics makes further metrics after `metrics`. NULL: none.
     * outputs [rows of the batch][output_count]; those of padding are not looked at. */
    int64_t (*output_count)(const void *model);
    void (*outputs)(const void *model, const ap_tensor *logits, const ap_batch *batch, float *outputs);
    void (*output_metrics)(const void *model, int64_t examples, const float *outputs, double *metrics);
    /* The sequences that a model which writes finds for the batch's inputs, alive or finished, worst first: sequences
     * [examples][beams][most], scores [examples][beams]. Begins passes of its own on the tape, whose status tells
     * failures. Compared with /extra/GROUP/CASE of fixtures. NULL: it does not write. */
    void (*search)(const void *model, ap_tape *tape, const ap_batch *batch, const ap_search_options *options,
                   int64_t *sequences, float *scores);
    /* A metric of each example (SSIM), compared with outputs/<name> of fixtures; NULL: none. values [examples]; those
     * of padding are not looked at. */
    const char *example_metric_name;
    void (*example_metric)(const void *model, const ap_tensor *logits, const ap_batch *batch, float *values);
    /* sums over the split -> metrics[metric_count]; examples = real examples of the split. metrics[target_metric] is
     * compared with the target. */
    int metric_count, target_metric;
    const char *metric_names[AP_MAX_METRICS]; /* "accuracy", "loss": column names of the records */
    void (*metrics)(const double *sums, int64_t examples, double *metrics);

    /* Data. packed_as: the name in packed files; workloads with the same one train on the same files, and have the same
     * fields, generator and plan. NULL: the workload's name. */
    const char *packed_as;
    int fields;
    ap_field field[AP_MAX_FIELDS];
    ap_collate *collate;
    const ap_batch_budget *budget; /* training batches are filled by the examples' sizes; NULL: by their number */
    /* Tells the model what the data set says beside its examples (a vocabulary); the data set outlives it. NULL: it
     * need not know. */
    ap_status (*attach)(void *model, const ap_dataset *dataset, ap_error *error);
    const ap_generator *generator;
    /* The published files at `from` as parts of a plan (data/prepare.h), which holds nothing yet and is freed by the
     * caller, also after a failure. Called by every rank: it lists and checks, it does not read what is large. NULL:
     * nothing to prepare. */
    ap_status (*plan)(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error);
    const char *prepare_help;
    const char *vocabulary_help; /* what file options->vocabulary is; NULL: it takes none */
} ap_workload;

/* Better-than rule of the metric: '>' (accuracy, SSIM, mAP, BLEU), '<' (loss, WER), or '<=' as "<=" (finewebedu_lm
 * perplexity). */
typedef enum ap_direction { AP_HIGHER, AP_LOWER, AP_LOWER_OR_EQUAL } ap_direction;
bool ap_target_reached(ap_direction direction, double value, double target); /* NaN never reaches */

/* One scale of one workload, as workload.cfg has it: the published facts. Budgets in seconds belong to the machine
 * named there. */
typedef struct ap_scale {
    char *name; /* "full", "mini" */
    int64_t train_examples, eval_train_examples, validation_examples, test_examples;
    int64_t eval_batch_size, batch_size; /* batch_size: the published baseline's global training batch */
    double max_runtime_s, eval_period_s;
    int64_t step_hint;
} ap_scale;

/* A workload opened at a scale for a data set: what the harness works with. */
typedef struct ap_problem {
    const ap_workload *workload;
    const char *variant; /* "" = the base workload */
    ap_scale scale;
    ap_direction direction;
    char *loss_type;                       /* "softmax_cross_entropy" */
    double validation_target, test_target; /* NaN: no such target */
    bool has_test;
    void *model; /* workload->model_size bytes, options applied */
} ap_problem;

const ap_workload *const *ap_workload_table(void); /* NULL-terminated */
/* AP_CONFIG with the list and the closest name if unknown. */
ap_status ap_workload_find(const char *name, const ap_workload **workload, ap_error *error);
/* The same for WORKLOAD or WORKLOAD_VARIANT; *variant is "" for the base. */
ap_status ap_workload_find_label(const char *label, const ap_workload **workload, const char **variant,
                                 ap_error *error);
/* The name in its packed files (packed_as). */
const char *ap_workload_packed_as(const ap_workload *workload);
/* ap_dataset_open for a file that was prepared for this workload, or for one that shares its files. */
ap_status ap_workload_open_data(const ap_workload *workload, const char *path, ap_dataset **dataset, ap_error *error);
/* The defaults of the model's options with what the variant changes, into model_size bytes that hold nothing yet. Ends
 * with ap_options_free (also after a failure). */
ap_status ap_workload_model(const ap_workload *workload, const char *variant, void *model, ap_error *error);
/* The same with what the scale sets. */
ap_status ap_workload_scale_model(const ap_workload *workload, const char *name, void *model, ap_error *error);

/* Reads workload.cfg, picks the scale, applies `options` (section of the job file; NULL: none), and the targets for
 * data set `dataset` (a name; must be listed in the scale's targets). */
ap_status ap_problem_open(const ap_workload *workload, const char *scale, const char *variant, const char *dataset,
                          const ap_section *options, ap_problem **problem, ap_error *error);
void ap_problem_close(ap_problem *problem); /* NULL is fine */
/* Calls `visit` for every scale and every data set that it has targets for, in the order of workload.cfg (the base's
 * targets; a variant's: ap_problem_open). For `algoperf list`. */
typedef void ap_target_visitor(void *user, const ap_scale *scale, const char *dataset, double validation_target,
                               double test_target);
ap_status ap_workload_each_target(const ap_workload *workload, ap_target_visitor *visit, void *user, ap_error *error);

#endif
