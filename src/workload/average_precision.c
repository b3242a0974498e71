#include "workload/average_precision.h"

#include "tensor/kernels/vecmath.h"

#include <math.h>
#include <stdlib.h>

typedef struct scored {
    float score;
    float label; /* 0 or 1 */
} scored;

static int by_score_descending(const void *a, const void *b) {
    const float x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x < y) - (x > y);
}

/* Of n labelled rows with `positives` ones, sorted. */
static double average_precision(int64_t n, const scored *row, double positives) {
    double sum = 0, hits = 0;
    for (int64_t i = 0; i < n;) {
        const double before = hits;
        const float score = row[i].score;
        for (; i < n && row[i].score == score; i++) hits += (double)row[i].label;
        sum += (hits - before) / positives * (hits / (double)i);
    }
    return sum;
}

/* One column. false: a NaN among the scores. */
static bool score_task(int64_t rows, int64_t ld, const float *logits, const float *labels, bool padded, scored *room,
                       float *scores, double *precision) {
    int64_t n = 0;
    double positives = 0;
    for (int64_t i = 0; i < rows; i++) {
        const float label = labels[i * ld];
        if (isnan(label)) continue;
        if (isnan(logits[i * ld])) return false;
        scores[n] = -logits[i * ld];
        room[n++].label = label;
        positives += (double)label;
    }
    const bool has_zero = padded || n < rows || positives < (double)n;
    *precision = NAN;
    if (positives == 0 || !has_zero) return true;
    ap_vexp((size_t)n, scores, scores);
    for (int64_t i = 0; i < n; i++) room[i].score = 1 / (1 + scores[i]);
    qsort(room, (size_t)n, sizeof *room, by_score_descending);
    *precision = average_precision(n, room, positives);
    return true;
}

double ap_mean_average_precision(int64_t rows, int64_t tasks, int64_t ld, const float *logits, const float *labels,
                                 bool padded, double *per_task) {
    scored *room = malloc((size_t)(rows + 1) * sizeof *room);
    float *scores = malloc((size_t)(rows + 1) * sizeof *scores);
    double sum = 0, precision = NAN;
    int64_t counted = 0;
    bool fine = room && scores;
    for (int64_t t = 0; t < tasks; t++) {
        fine = fine && score_task(rows, ld, logits + t, labels + t, padded, room, scores, &precision);
        if (per_task) per_task[t] = fine ? precision : NAN;
        if (fine && !isnan(precision)) sum += precision, counted++;
    }
    free(room), free(scores);
    return fine && counted ? sum / (double)counted : NAN;
}
