/* The raw folder of an OGB set of molecules, as ogb.stanford.edu packs them: CSV files without a header, plain or gzip.
 *
 *     raw/num-node-list, raw/num-edge-list   a number a graph
 *     raw/node-feat, raw/edge-feat           9 and 3 whole numbers (0 to 255) a node and an edge
 *     raw/edge                               "i,j" an edge, nodes numbered from 0 in their graph; each edge once
 *     raw/graph-label                        a graph's labels: 0, 1, or missing (empty, nan)
 *     split/RULE/{train,valid,test}          numbers of graphs, from 0; RULE: scaffold, or the only folder there */
#ifndef AP_WORKLOADS_OGBG_RAW_H
#define AP_WORKLOADS_OGBG_RAW_H

#include "data/dataset.h"

typedef struct ap_ogb_raw {
    int64_t graphs, nodes, edges, tasks;
    int64_t *first_node, *first_edge;       /* [graphs + 1] */
    uint8_t *node_features, *edge_features; /* [nodes, 9], [edges, 3] */
    int32_t *links;                         /* [edges, 2] */
    uint8_t *labels;                        /* [graphs, tasks]: 0, 1, AP_OGBG_MISSING */
    int64_t split_count[AP_SPLITS];
    int64_t *split[AP_SPLITS];
    int64_t bytes;     /* read, uncompressed */
    char source[1200]; /* the files and their digests */
} ap_ogb_raw;

/* All of it is held in memory (ogbg-molpcba: 0.4 GB). AP_DATA names the file, the line and the rule: not a whole number
 * in its range, too few or too many values, an edge to a node that its graph does not have, a graph without nodes,
 * files whose lines do not add up, a split that is empty or names a graph that is not there or is in a split already.
 * AP_IO: a file is missing. A graph without edges is fine. Freed by ap_ogb_raw_free, also after a failure. Not
 * collective. */
ap_status ap_ogb_raw_read(const char *folder, ap_ogb_raw *raw, ap_error *error);
void ap_ogb_raw_free(ap_ogb_raw *raw);

/* One graph as an example of the packed file. */
ap_status ap_ogb_raw_example(const ap_ogb_raw *raw, int64_t graph, ap_example *example, ap_error *error);

#endif
