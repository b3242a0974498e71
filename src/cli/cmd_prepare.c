/* algoperf prepare: the published data set's own files -> one packed file; and the check of a packed file. */
#include "cli/cli.h"

#include "base/file.h"
#include "workload/workload.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct arguments {
    const char *workload, *from, *to, *name, *check;
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

static ap_status prepare(const ap_workload *workload, const arguments *a, ap_error *error) {
    if (!workload->prepare)
        return ap_fail(error, AP_USAGE, "workload %s has nothing to prepare: its data set is built in", workload->name);
    if (a->name) AP_TRY(check_name(a->name, error));
    bool before = ap_file_exists(a->to);
    ap_prepare_options options = {.from = a->from, .to = a->to, .name = a->name};
    AP_TRY(workload->prepare(&options, error));

    ap_dataset *dataset; /* what was written is read back, through all the checks of opening */
    AP_TRY(ap_dataset_open(a->to, workload->name, workload->fields, workload->field, &dataset, error));
    if (before) printf("already there: %s was made from the same files\n", a->to);
    print_summary(a->to, dataset);
    ap_dataset_close(dataset);
    return AP_OK;
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
    AP_TRY(ap_dataset_open(path, workload->name, workload->fields, workload->field, &dataset, error));
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
    if (a->check && (a->from || a->to || a->name))
        return ap_fail(error, AP_USAGE, "--check FILE stands alone, without --from, --to and --name");
    if (a->check) return check(workload, a->check, error);
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
    return run_checked(&a, &error) == AP_OK ? AP_OK : ap_cli_report(&error);
}

const ap_command ap_command_prepare = {
    .name = "prepare",
    .arguments = "WORKLOAD --from DIR --to FILE.h5 [--name NAME] | WORKLOAD --check FILE.h5",
    .summary = "pack a data set's published files into one checksummed HDF5 file",
    .run = run,
};
