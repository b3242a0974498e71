/* algoperf prepare: the published data set's own files -> one packed file, on any number of ranks; and the check of a
 * packed file. */
#include "cli/cli.h"
#include "cli/prepare_crew.h"

#include "base/file.h"
#include "workload/workload.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct arguments {
    const char *workload, *from, *to, *name, *scale, *vocabulary, *check, *skip_bad_text;
    int64_t skip_bad;
} arguments;

/* Names end up in job files, result paths and target tables. */
static ap_status check_name(const char *name, ap_error *error) {
    bool fine = *name && strlen(name) <= 64;
    for (const char *c = name; *c; c++) fine = fine && (isalnum((unsigned char)*c) || strchr("-_.", *c));
    return fine ? AP_OK
                : ap_fail(error, AP_USAGE, "--name \"%s\" (1 to 64 letters, digits, '-', '_' and '.' are allowed)",
                          name);
}

static void print_summary(const char *path, const ap_dataset *dataset) {
    struct stat info;
    int64_t bytes = stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
    printf("%s: data set %s, %" PRId64 " bytes, xxh3_128 %s\n", path, ap_dataset_name(dataset), bytes,
           ap_dataset_digest(dataset));
    for (ap_split split = 0; split < AP_SPLITS; split++)
        printf("  %-10s %10" PRId64 " examples\n", ap_split_names[split], ap_dataset_count(dataset, split));
    printf("  source: %s\n", ap_dataset_source(dataset));
}

/* Rank 0: what was written is read back, through all the checks of opening. */
static ap_status report(const ap_workload *workload, const arguments *a, bool there, const ap_crew_totals *totals,
                        ap_error *error) {
    ap_dataset *dataset;
    AP_TRY(ap_workload_open_data(workload, a->to, &dataset, error));
    if (there) printf("already there: %s was made from the same files\n", a->to);
    print_summary(a->to, dataset);
    ap_dataset_close(dataset);
    if (totals->seconds <= 0) return AP_OK;
    if (totals->skipped)
        printf("  left out: %" PRId64 " malformed record%s, named in the attribute skipped_records\n", totals->skipped,
               totals->skipped > 1 ? "s" : "");
    if (totals->left_out)
        printf("  left out: %" PRId64 " by the published rules (length), counted in the attribute left_out\n",
               totals->left_out);
    if (totals->reused)
        printf("  %" PRId64 " of %" PRId64 " parts were there from an earlier call\n", totals->reused,
               totals->reused + totals->parts);
    const int ranks = ap_crew_ranks();
    printf("  %.1f MB read in %.2f s on %d rank%s: %.1f MB/s, %.0f examples/s\n", 1e-6 * (double)totals->bytes,
           totals->seconds, ranks, ranks > 1 ? "s" : "", 1e-6 * (double)totals->bytes / totals->seconds,
           (double)totals->examples / totals->seconds);
    return AP_OK;
}

static ap_status prepare_in_parts(const ap_workload *workload, const arguments *a, const ap_prepare_options *options,
                                  bool *there, ap_crew_totals *totals, ap_error *error) {
    ap_prepare_plan plan = {0};
    ap_prepare_target target = {.to = a->to,
                                .workload = ap_workload_packed_as(workload),
                                .data_set = a->name,
                                .fields = workload->fields,
                                .field = workload->field,
                                .skip_bad = a->skip_bad};
    ap_status status = ap_crew_agree(workload->plan(options, &plan, error), error);
    if (status == AP_OK) status = ap_crew_prepare(&target, &plan, there, totals, error);
    ap_prepare_plan_free(&plan);
    return status;
}

static ap_status prepare(const ap_workload *workload, const arguments *a, ap_error *error) {
    if (!workload->plan)
        return ap_fail(error, AP_USAGE, "workload %s has nothing to prepare: its data set is built in", workload->name);
    if (a->name) AP_TRY(check_name(a->name, error));
    if (a->vocabulary && !workload->vocabulary_help)
        return ap_fail(error, AP_USAGE, "--vocabulary: the data of %s has none", workload->name);
    const bool alone = ap_crew_rank() == 0;
    bool there = alone && ap_file_exists(a->to);
    void *model = calloc(1, workload->model_size + 1);
    if (!model) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_prepare_options options = {
        .from = a->from, .to = a->to, .name = a->name, .vocabulary = a->vocabulary, .model = model};
    ap_crew_totals totals = {0};
    ap_status status = ap_workload_scale_model(workload, a->scale ? a->scale : "full", model, error);
    if (status == AP_OK) status = prepare_in_parts(workload, a, &options, &there, &totals, error);
    ap_options_free(workload->options, workload->option_count, model);
    free(model);
    if (status != AP_OK) return status;
    return ap_crew_agree(alone ? report(workload, a, there, &totals, error) : AP_OK, error);
}

static ap_status read_all(const ap_dataset *dataset, ap_error *error) {
    ap_example example = {0};
    ap_status status = AP_OK;
    for (ap_split split = 0; split < AP_SPLITS; split++)
        for (int64_t i = 0; status == AP_OK && i < ap_dataset_count(dataset, split); i++)
            status = ap_dataset_read(dataset, split, i, &example, error);
    ap_example_free(&example);
    return status;
}

static ap_status check(const ap_workload *workload, const char *path, ap_error *error) {
    ap_digest digest;
    ap_dataset *dataset;
    AP_TRY(ap_h5_check_seal(path, "data", &digest, error)); /* the whole digest, whatever the size */
    AP_TRY(ap_workload_open_data(workload, path, &dataset, error));
    ap_status status = read_all(dataset, error);
    if (status == AP_OK) {
        print_summary(path, dataset);
        printf("intact: the seal and the digest of every example\n");
    }
    ap_dataset_close(dataset);
    return status;
}

static ap_status run_checked(const arguments *a, ap_error *error) {
    const ap_workload *workload;
    AP_TRY(ap_workload_find(a->workload, &workload, error));
    if (a->check && (a->from || a->to || a->name || a->scale || a->vocabulary || a->skip_bad_text))
        return ap_fail(error, AP_USAGE, "--check FILE stands alone, without the options of a file to make");
    if (a->check) return ap_crew_agree(ap_crew_rank() == 0 ? check(workload, a->check, error) : AP_OK, error);
    if (a->skip_bad_text && !workload->plan)
        return ap_fail(error, AP_USAGE, "--skip-bad: the reader of %s cannot leave records out", workload->name);
    if (!a->from || !a->to)
        return ap_fail(error, AP_USAGE, "prepare %s needs --from DIR (%s) and --to FILE.h5, or --check FILE.h5",
                       workload->name, workload->prepare_help ? workload->prepare_help : "nothing to prepare");
    return prepare(workload, a, error);
}

static int run(int argc, char **argv) {
    arguments a = {0};
    ap_error error = {0};
    char **rest;
    int count;
    bool helped;
    const ap_flag flags[] = {
        {"from", "DIR", "folder of the data set's published files", &a.from},
        {"to", "FILE", "packed HDF5 file to make; never overwritten, left alone if it is already the same", &a.to},
        {"name", "NAME", "data set name in the record, selects the targets (default: from the folder)", &a.name},
        {"scale", "NAME", "scale whose model it is for: of tokens and windows, others ignore it (default: full)",
         &a.scale},
        {"vocabulary", "FILE", "what cuts text into tokens (default: found in DIR, else trained)", &a.vocabulary},
        {"skip-bad", "N", "leave out up to N malformed records; the file says which (default 0: the first one ends it)",
         &a.skip_bad_text},
        {"check", "FILE", "verify a packed file: its seal, its layout and every example's digest", &a.check},
        {0},
    };
    if (ap_cli_parse(&ap_command_prepare, argc, argv, flags, &rest, &count, &helped, &error) != AP_OK)
        return ap_cli_report(&error);
    if (helped) return AP_OK;
    if (count != 1) {
        ap_fail(&error, AP_USAGE, "prepare takes one workload, %d words were given; see algoperf prepare --help",
                count);
        return ap_cli_report(&error);
    }
    a.workload = rest[0];
    if (a.skip_bad_text && ap_cli_integer("skip-bad", a.skip_bad_text, 0, 100000, &a.skip_bad, &error) != AP_OK)
        return ap_cli_report(&error);
    return run_checked(&a, &error) == AP_OK ? AP_OK : ap_cli_report(&error);
}

const ap_command ap_command_prepare = {
    .name = "prepare",
    .arguments = "WORKLOAD --from DIR --to FILE.h5 [--name NAME] [--scale NAME] [--vocabulary FILE] [--skip-bad N] | "
                 "WORKLOAD --check FILE.h5",
    .summary = "pack a data set's published files into one checksummed HDF5 file; on any number of ranks",
    .run = run,
    .parallel = AP_RANKS_IF_LAUNCHED,
};
