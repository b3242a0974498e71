#include "workloads/ogbg/raw.h"

#include "base/checked.h"
#include "base/file.h"
#include "data/lines.h"
#include "workloads/ogbg/ogbg.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lines of a CSV file */

typedef struct csv {
    char path[AP_PATH];
    ap_lines *lines;
    char line[AP_LONGEST_LINE + 1]; /* NUL-terminated, without its end */
} csv;

/* FOLDER/NAME.csv.gz, or FOLDER/NAME.csv. */
static ap_status open_csv(const char *folder, const char *name, csv *c, ap_error *error) {
    c->lines = NULL;
    AP_TRY(ap_path(c->path, error, "%s/%s.csv.gz", folder, name));
    if (!ap_file_exists(c->path)) AP_TRY(ap_path(c->path, error, "%s/%s.csv", folder, name));
    if (!ap_file_exists(c->path))
        return ap_fail(error, AP_IO, "%s: has neither %s.csv.gz nor %s.csv", folder, name, name);
    return ap_lines_open(c->path, 0, &c->lines, error);
}

/* Ends with the file's name and digest behind `source`. */
static void close_csv(csv *c, char *source, size_t size) {
    if (!c->lines) return;
    char digest[AP_DIGEST_TEXT], *name = strrchr(c->path, '/') + 1;
    ap_digest_text(ap_lines_digest(c->lines), digest);
    const size_t used = strlen(source);
    snprintf(source + used, size - used, "%s%.*s xxh3_128=%s", used ? "; " : "", (int)strcspn(name, "."), name, digest);
    ap_lines_close(c->lines);
    c->lines = NULL;
}

static ap_status wrong(const csv *c, ap_error *error, const char *format, ...) AP_PRINTF(3, 4);
static ap_status wrong(const csv *c, ap_error *error, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return ap_fail(error, AP_DATA, "%s:%" PRId64 ": %s", c->path, ap_lines_count(c->lines), text);
}

/* *there = false at the end of the file. */
static ap_status next_line(csv *c, bool *there, ap_error *error) {
    const char *line;
    size_t n;
    const ap_status status = ap_lines_next(c->lines, &line, &n, error);
    *there = line != NULL;
    if (status != AP_OK && line) return ap_context(error, "%s:%" PRId64, c->path, ap_lines_count(c->lines));
    if (status != AP_OK || !line) return status;
    if (memchr(line, 0, n)) return wrong(c, error, "a NUL byte");
    memcpy(c->line, line, n);
    c->line[n] = 0;
    return AP_OK;
}

/* A field that is a whole number in low .. high, behind *at, which moves on. */
static ap_status read_whole(const csv *c, const char **at, int field, int64_t low, int64_t high, int64_t *value,
                            ap_error *error) {
    char *end;
    *value = strtoll(*at, &end, 10);
    const bool none = end == *at || isspace((unsigned char)**at);
    if (!none && end[0] == '.' && end[1] == '0') end += 1 + strspn(end + 1, "0"); /* 1.0 */
    if (none || (*end && *end != ','))
        return wrong(c, error, "value %d, \"%.*s\", is not a whole number", field + 1,
                     (int)strcspn(*at, ",") < 40 ? (int)strcspn(*at, ",") : 40, *at);
    if (*value < low || *value > high)
        return wrong(c, error, "value %d is %" PRId64 " (must be %" PRId64 " to %" PRId64 ")", field + 1, *value, low,
                     high);
    *at = end;
    return AP_OK;
}

/* A line of exactly n whole numbers. */
static ap_status read_row(const csv *c, int n, int64_t low, int64_t high, int64_t *values, ap_error *error) {
    const char *at = c->line;
    for (int i = 0; i < n; i++) {
        AP_TRY(read_whole(c, &at, i, low, high, &values[i], error));
        if (i + 1 < n && *at != ',') return wrong(c, error, "%d values (expected %d)", i + 1, n);
        at += i + 1 < n;
    }
    return *at ? wrong(c, error, "more than %d value%s", n, n == 1 ? "" : "s") : AP_OK;
}

/* ---- arrays that grow with what is really there */

typedef struct array {
    void *data;
    int64_t n, room; /* elements */
} array;

static ap_status push(array *a, size_t element, const void *values, int64_t n, ap_error *error) {
    if (a->n + n > a->room) {
        const int64_t room = 2 * a->room + n + 1024;
        size_t bytes;
        void *grown = ap_size_mul((size_t)room, element, &bytes) ? realloc(a->data, bytes) : NULL;
        if (!grown) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %" PRId64 " values", room);
        a->data = grown, a->room = room;
    }
    memcpy((char *)a->data + (size_t)a->n * element, values, (size_t)n * element);
    a->n += n;
    return AP_OK;
}

/* ---- the files, one by one */

typedef struct reader {
    ap_ogb_raw *raw;
    csv file;
    char folder[AP_PATH];
} reader;

static ap_status open_raw(reader *r, const char *name, ap_error *error) {
    return open_csv(r->folder, name, &r->file, error);
}
static void close_raw(reader *r) {
    if (r->file.lines) r->raw->bytes += ap_lines_offset(r->file.lines);
    close_csv(&r->file, r->raw->source, sizeof r->raw->source);
}

/* Running totals, [lines + 1], of the numbers in a file. */
static ap_status read_counts(reader *r, int64_t least, array *totals, ap_error *error) {
    int64_t total = 0, value;
    bool there;
    AP_TRY(push(totals, sizeof total, &total, 1, error));
    for (;;) {
        AP_TRY(next_line(&r->file, &there, error));
        if (!there) return AP_OK;
        AP_TRY(read_row(&r->file, 1, least, 1 << 20, &value, error));
        total += value;
        AP_TRY(push(totals, sizeof total, &total, 1, error));
    }
}

static ap_status read_sizes(reader *r, ap_error *error) {
    array nodes = {0}, edges = {0};
    ap_status status = open_raw(r, "num-node-list", error);
    if (status == AP_OK) status = read_counts(r, 1, &nodes, error);
    close_raw(r);
    r->raw->first_node = nodes.data;
    AP_TRY(status);
    status = open_raw(r, "num-edge-list", error);
    if (status == AP_OK) status = read_counts(r, 0, &edges, error);
    close_raw(r);
    r->raw->first_edge = edges.data;
    AP_TRY(status);
    r->raw->graphs = nodes.n - 1;
    if (nodes.n != edges.n)
        return ap_fail(error, AP_DATA, "%s: num-node-list has %" PRId64 " graphs, num-edge-list %" PRId64, r->folder,
                       nodes.n - 1, edges.n - 1);
    if (nodes.n < 2) return ap_fail(error, AP_DATA, "%s: num-node-list is empty", r->folder);
    r->raw->nodes = r->raw->first_node[r->raw->graphs], r->raw->edges = r->raw->first_edge[r->raw->graphs];
    return AP_OK;
}

/* The file must have as many lines as `counts` says. */
static ap_status check_lines(const reader *r, bool there, int64_t lines, int64_t wanted, const char *counts,
                             ap_error *error) {
    if (there) return wrong(&r->file, error, "more lines than the %" PRId64 " that %s adds up to", wanted, counts);
    if (lines < wanted)
        return ap_fail(error, AP_DATA, "%s: %" PRId64 " lines (%s adds up to %" PRId64 "); is the file complete?",
                       r->file.path, lines, counts, wanted);
    return AP_OK;
}

static ap_status read_feature_lines(reader *r, int columns, int64_t rows, const char *counts, array *features,
                                    ap_error *error) {
    int64_t values[AP_OGBG_NODE_FEATURES];
    uint8_t row[AP_OGBG_NODE_FEATURES];
    bool there;
    for (int64_t i = 0;; i++) {
        AP_TRY(next_line(&r->file, &there, error));
        if (!there || i == rows) return check_lines(r, there, i, rows, counts, error);
        AP_TRY(read_row(&r->file, columns, 0, 255, values, error));
        for (int j = 0; j < columns; j++) row[j] = (uint8_t)values[j];
        AP_TRY(push(features, 1, row, columns, error));
    }
}

static ap_status read_features(reader *r, const char *name, int columns, int64_t rows, const char *counts,
                               uint8_t **out, ap_error *error) {
    array features = {0};
    ap_status status = open_raw(r, name, error);
    if (status == AP_OK) status = read_feature_lines(r, columns, rows, counts, &features, error);
    close_raw(r);
    *out = features.data;
    return status;
}

static ap_status read_edge_lines(reader *r, array *links, ap_error *error) {
    ap_ogb_raw *raw = r->raw;
    int64_t graph = 0, values[2];
    bool there;
    for (int64_t i = 0;; i++) {
        AP_TRY(next_line(&r->file, &there, error));
        if (!there || i == raw->edges) return check_lines(r, there, i, raw->edges, "num-edge-list", error);
        while (raw->first_edge[graph + 1] <= i) graph++;
        const int64_t nodes = raw->first_node[graph + 1] - raw->first_node[graph];
        AP_TRY(read_row(&r->file, 2, INT32_MIN, INT32_MAX, values, error));
        if (values[0] < 0 || values[0] >= nodes || values[1] < 0 || values[1] >= nodes)
            return wrong(&r->file, error,
                         "edge %" PRId64 ",%" PRId64 " of graph %" PRId64 ", which has %" PRId64
                         " nodes (numbers from 0 to %" PRId64 " are allowed)",
                         values[0], values[1], graph, nodes, nodes - 1);
        const int32_t link[2] = {(int32_t)values[0], (int32_t)values[1]};
        AP_TRY(push(links, sizeof *link, link, 2, error));
    }
}

static ap_status read_edges(reader *r, ap_error *error) {
    array links = {0};
    ap_status status = open_raw(r, "edge", error);
    if (status == AP_OK) status = read_edge_lines(r, &links, error);
    close_raw(r);
    r->raw->links = links.data;
    return status;
}

/* One label at *at: 0, 1, empty, nan. */
static ap_status read_label(const csv *c, const char **at, int field, uint8_t *label, ap_error *error) {
    const size_t n = strcspn(*at, ",");
    *label = AP_OGBG_MISSING;
    if (n > 0 && !(n == 3 && !strncasecmp(*at, "nan", n))) {
        int64_t value;
        AP_TRY(read_whole(c, at, field, 0, 1, &value, error));
        *label = (uint8_t)value;
    } else {
        *at += n;
    }
    return AP_OK;
}

static ap_status read_label_lines(reader *r, array *labels, ap_error *error) {
    ap_ogb_raw *raw = r->raw;
    bool there;
    for (int64_t i = 0;; i++) {
        AP_TRY(next_line(&r->file, &there, error));
        if (!there || i == raw->graphs) return check_lines(r, there, i, raw->graphs, "num-node-list", error);
        const char *at = r->file.line;
        int64_t tasks = 0;
        for (bool more = true; more; tasks++) {
            uint8_t label;
            AP_TRY(read_label(&r->file, &at, (int)tasks, &label, error));
            AP_TRY(push(labels, 1, &label, 1, error));
            more = *at == ',';
            at += more;
        }
        if (i == 0) raw->tasks = tasks;
        if (tasks != raw->tasks)
            return wrong(&r->file, error, "%" PRId64 " labels (the first line has %" PRId64 ")", tasks, raw->tasks);
    }
}

static ap_status read_labels(reader *r, ap_error *error) {
    array labels = {0};
    ap_status status = open_raw(r, "graph-label", error);
    if (status == AP_OK) status = read_label_lines(r, &labels, error);
    close_raw(r);
    r->raw->labels = labels.data;
    return status;
}

/* ---- splits */

/* split/scaffold, or the only folder in split. */
static ap_status find_split_folder(const char *folder, char path[AP_PATH], ap_error *error) {
    AP_TRY(ap_path(path, error, "%s/split/scaffold", folder));
    if (ap_file_exists(path)) return AP_OK;
    char all[AP_PATH], only[256] = "";
    int n = 0;
    AP_TRY(ap_path(all, error, "%s/split", folder));
    DIR *directory = opendir(all);
    if (!directory) return ap_fail_errno(error, AP_IO, "%s: cannot be listed", all);
    for (const struct dirent *e; (e = readdir(directory));)
        if (*e->d_name != '.') snprintf(only, sizeof only, "%s", e->d_name), n++;
    closedir(directory);
    if (n != 1) return ap_fail(error, AP_IO, "%s: has %d folders and no scaffold (one is expected)", all, n);
    return ap_path(path, error, "%s/%s", all, only);
}

static ap_status read_split_lines(reader *r, int split, uint8_t *taken, array *indices, ap_error *error) {
    int64_t graph;
    bool there;
    for (;;) {
        AP_TRY(next_line(&r->file, &there, error));
        if (!there) break;
        AP_TRY(read_row(&r->file, 1, 0, r->raw->graphs - 1, &graph, error));
        if (taken[graph])
            return wrong(&r->file, error, "graph %" PRId64 " is in split %s already", graph,
                         ap_split_names[taken[graph] - 1]);
        taken[graph] = (uint8_t)(split + 1);
        AP_TRY(push(indices, sizeof graph, &graph, 1, error));
    }
    return indices->n ? AP_OK : ap_fail(error, AP_DATA, "%s: the split is empty", r->file.path);
}

static ap_status read_splits(reader *r, const char *folder, ap_error *error) {
    static const char *const names[AP_SPLITS] = {"train", "valid", "test"};
    AP_TRY(find_split_folder(folder, r->folder, error));
    uint8_t *taken = calloc((size_t)r->raw->graphs, 1);
    ap_status status = taken ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (int s = 0; status == AP_OK && s < AP_SPLITS; s++) {
        array indices = {0};
        status = open_raw(r, names[s], error);
        if (status == AP_OK) status = read_split_lines(r, s, taken, &indices, error);
        close_raw(r);
        r->raw->split[s] = indices.data, r->raw->split_count[s] = indices.n;
    }
    free(taken);
    return status;
}

/* ---- the whole */

ap_status ap_ogb_raw_read(const char *folder, ap_ogb_raw *raw, ap_error *error) {
    *raw = (ap_ogb_raw){0};
    reader r = {.raw = raw};
    AP_TRY(ap_path(r.folder, error, "%s/raw", folder));
    AP_TRY(read_sizes(&r, error));
    AP_TRY(
        read_features(&r, "node-feat", AP_OGBG_NODE_FEATURES, raw->nodes, "num-node-list", &raw->node_features, error));
    AP_TRY(
        read_features(&r, "edge-feat", AP_OGBG_EDGE_FEATURES, raw->edges, "num-edge-list", &raw->edge_features, error));
    AP_TRY(read_edges(&r, error));
    AP_TRY(read_labels(&r, error));
    return read_splits(&r, folder, error);
}

void ap_ogb_raw_free(ap_ogb_raw *raw) {
    free(raw->first_node), free(raw->first_edge);
    free(raw->node_features), free(raw->edge_features);
    free(raw->links), free(raw->labels);
    for (int s = 0; s < AP_SPLITS; s++) free(raw->split[s]);
    *raw = (ap_ogb_raw){0};
}

ap_status ap_ogb_raw_example(const ap_ogb_raw *raw, int64_t graph, ap_example *example, ap_error *error) {
    const int64_t node = raw->first_node[graph], edge = raw->first_edge[graph];
    const int64_t nodes = raw->first_node[graph + 1] - node, edges = raw->first_edge[graph + 1] - edge;
    const int64_t lengths[AP_OGBG_FIELDS] = {nodes, edges, edges, raw->tasks};
    AP_TRY(ap_example_reserve(example, AP_OGBG_FIELDS, ap_ogbg_generator.field, lengths, error));
    memcpy(example->data[AP_OGBG_NODES], raw->node_features + node * AP_OGBG_NODE_FEATURES,
           (size_t)(nodes * AP_OGBG_NODE_FEATURES));
    if (edges)
        memcpy(example->data[AP_OGBG_EDGES], raw->edge_features + edge * AP_OGBG_EDGE_FEATURES,
               (size_t)(edges * AP_OGBG_EDGE_FEATURES));
    if (edges) memcpy(example->data[AP_OGBG_LINKS], raw->links + 2 * edge, (size_t)(2 * edges) * sizeof *raw->links);
    memcpy(example->data[AP_OGBG_LABELS], raw->labels + graph * raw->tasks, (size_t)raw->tasks);
    return AP_OK;
}
