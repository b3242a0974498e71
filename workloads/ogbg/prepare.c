/* algoperf prepare ogbg: an OGB set of molecules -> graphs in one packed file, in the order of its split. */
#include "workloads/ogbg/ogbg.h"
#include "workloads/ogbg/raw.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The data set's name where the user gives none: "ogbg-molpcba" if the folder's own name has "pcba" in it, else that
 * name. */
static const char *name_of(const char *folder, char name[64]) {
    char *whole = realpath(folder, NULL);
    const char *last = whole ? strrchr(whole, '/') : NULL;
    snprintf(name, 64, "%s", last && strcasestr(last, "pcba") ? "ogbg-molpcba" : last && last[1] ? last + 1 : "ogb");
    free(whole);
    return name;
}

static ap_status pack_split(ap_packer *packer, ap_split split, const ap_ogb_raw *raw, ap_error *error) {
    int64_t lengths[AP_OGBG_FIELDS] = {0};
    const int64_t n = raw->split_count[split], *graph = raw->split[split];
    for (int64_t i = 0; i < n; i++) {
        const int64_t edges = raw->first_edge[graph[i] + 1] - raw->first_edge[graph[i]];
        lengths[AP_OGBG_NODES] += raw->first_node[graph[i] + 1] - raw->first_node[graph[i]];
        lengths[AP_OGBG_EDGES] += edges, lengths[AP_OGBG_LINKS] += edges;
        lengths[AP_OGBG_LABELS] += raw->tasks;
    }
    ap_example example = {0};
    ap_status status = ap_packer_begin(packer, split, n, lengths, error);
    for (int64_t i = 0; status == AP_OK && i < n; i++) {
        status = ap_ogb_raw_example(raw, graph[i], &example, error);
        if (status == AP_OK) status = ap_packer_append(packer, &example, error);
    }
    ap_example_free(&example);
    return status;
}

static ap_status pack(const ap_prepare_options *options, const ap_ogb_raw *raw, ap_error *error) {
    char name[64];
    ap_packer *packer;
    AP_TRY(ap_packer_create(options->to, "ogbg", options->name ? options->name : name_of(options->from, name),
                            raw->source, AP_OGBG_FIELDS, ap_ogbg_generator.field, &packer, error));
    if (!packer) return AP_OK; /* already there */
    ap_log(AP_GLOBAL, AP_LOG_INFO, "ogbg: %" PRId64 " graphs, %" PRId64 " nodes, %" PRId64 " edges, %" PRId64 " tasks",
           raw->graphs, raw->nodes, raw->edges, raw->tasks);
    ap_status status = AP_OK;
    for (int s = 0; status == AP_OK && s < AP_SPLITS; s++) status = pack_split(packer, (ap_split)s, raw, error);
    if (status == AP_OK) return ap_packer_commit(packer, error);
    ap_packer_abandon(packer);
    return status;
}

ap_status ap_ogbg_prepare(const ap_prepare_options *options, ap_error *error) {
    ap_ogb_raw raw;
    ap_status status = ap_ogb_raw_read(options->from, &raw, error);
    if (status == AP_OK) status = pack(options, &raw, error);
    ap_ogb_raw_free(&raw);
    return status;
}
