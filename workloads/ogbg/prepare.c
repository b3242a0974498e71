/* algoperf prepare ogbg: an OGB set of molecules -> graphs in one packed file, in the order of its split. A part is a
 * run of graphs of a split; the set itself is read once, by every process that works on it. */
#include "workloads/ogbg/ogbg.h"
#include "workloads/ogbg/raw.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRAPHS_A_PART = 16384 };

typedef struct reader {
    ap_ogb_raw raw;
    char name[AP_FOLDER_NAME];
} reader;

static void release(void *user) {
    reader *r = user;
    ap_ogb_raw_free(&r->raw);
    free(r);
}

static int64_t parts_of(const reader *r, int split) {
    return (r->raw.split_count[split] + GRAPHS_A_PART - 1) / GRAPHS_A_PART;
}

static ap_status read_part(void *user, int64_t index, ap_part_output *output, ap_error *error) {
    const reader *r = user;
    int split = AP_TRAIN;
    for (; index >= parts_of(r, split); split++) index -= parts_of(r, split);
    const int64_t first = index * GRAPHS_A_PART, left = r->raw.split_count[split] - first;
    ap_example example = {0};
    ap_status status = AP_OK;
    for (int64_t i = 0; status == AP_OK && i < left && i < GRAPHS_A_PART; i++) {
        status = ap_ogb_raw_example(&r->raw, r->raw.split[split][first + i], &example, error);
        if (status == AP_OK) status = ap_part_append(output, &example, error);
    }
    ap_example_free(&example);
    return status;
}

static ap_status plan_parts(const reader *r, ap_prepare_plan *plan, ap_error *error) {
    for (int s = 0; s < AP_SPLITS; s++)
        for (int64_t first = 0; first < r->raw.split_count[s]; first += GRAPHS_A_PART) {
            const int64_t left = r->raw.split_count[s] - first, n = left < GRAPHS_A_PART ? left : GRAPHS_A_PART;
            AP_TRY(ap_prepare_plan_add(plan, (ap_split)s, r->raw.bytes / r->raw.graphs * n, 0, error,
                                       "%s, graphs from %" PRId64 " on", ap_split_names[s], first));
        }
    return ap_prepare_plan_source(plan, error, "%s", r->raw.source);
}

ap_status ap_ogbg_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error) {
    reader *r = calloc(1, sizeof *r);
    if (!r) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    *plan = (ap_prepare_plan){.data_set = r->name, .reader = r, .read = read_part, .release = release};
    ap_prepare_folder_name(options->from, "ogb", r->name);
    if (strcasestr(r->name, "pcba")) snprintf(r->name, sizeof r->name, "ogbg-molpcba");
    AP_TRY(ap_ogb_raw_read(options->from, &r->raw, error));
    return plan_parts(r, plan, error);
}
