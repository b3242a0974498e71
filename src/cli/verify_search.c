#include "cli/verify_search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_LIMIT = 1 << 28, NAME = 256, PATH = 3 * NAME };

typedef struct recorded {
    ap_search_options options;
    double multiplier, multiplier_of_end;
    int64_t n;
    int64_t *sequences; /* [n][beams][most] */
    float *scores;      /* [n][beams] */
} recorded;

static ap_status read_case(const ap_search_check *c, const char *group, recorded *r, ap_error *error) {
    char name[PATH + 16];
    int64_t shape[AP_H5_MAX_RANK], read;
    int rank;
    AP_TRY(ap_h5_get_i64(c->file, group, "beam_size", &r->options.beams, error));
    AP_TRY(ap_h5_get_i64(c->file, group, "max_decode_len", &r->options.most, error));
    AP_TRY(ap_h5_get_f64(c->file, group, "alpha", &r->options.alpha, error));
    AP_TRY(ap_h5_get_i64(c->file, group, "eos_id", &r->options.end, error));
    AP_TRY(ap_h5_get_f64(c->file, group, "embedding_multiplier", &r->multiplier, error));
    AP_TRY(ap_h5_get_f64(c->file, group, "embedding_row2_extra_multiplier", &r->multiplier_of_end, error));
    snprintf(name, sizeof name, "%s/all_beams", group);
    AP_TRY(ap_h5_shape(c->file, name, &rank, shape, error));
    r->n = c->batch->examples;
    if (rank != 3 || shape[0] != r->n || shape[1] != r->options.beams || shape[2] != r->options.most)
        return ap_fail(error, AP_DATA, "%s: %s is not [examples %lld, beams %lld, places %lld]", c->path, name,
                       (long long)r->n, (long long)r->options.beams, (long long)r->options.most);
    AP_TRY(ap_h5_read(c->file, name, AP_I64, shape[0] * shape[1] * shape[2], READ_LIMIT, (void **)&r->sequences, &read,
                      error));
    snprintf(name, sizeof name, "%s/scores", group);
    return ap_h5_read(c->file, name, AP_F32, shape[0] * shape[1], READ_LIMIT, (void **)&r->scores, &read, error);
}

static int find_embedding(const ap_params *params) {
    int at = 0;
    while (at < ap_params_count(params) && ap_params_get(params, at)->type != AP_PARAM_EMBEDDING) at++;
    return at < ap_params_count(params) ? at : -1;
}

static void compare(ap_search_check *c, const char *group, const recorded *r, const int64_t *sequences,
                    const float *scores) {
    double error = 0, wrong = 0;
    for (int64_t i = 0; i < r->n * r->options.beams; i++) {
        const size_t bytes = (size_t)r->options.most * sizeof *sequences;
        const int64_t at = i * r->options.most;
        const double want = (double)r->scores[i];
        wrong += memcmp(sequences + at, r->sequences + at, bytes) != 0;
        error = fmax(error, fabs((double)scores[i] - want) / fmax(1, fabs(want)));
    }
    if (wrong > 0 || !*c->worst) snprintf(c->worst, sizeof c->worst, "%.100s", group);
    if (error >= c->score_error) snprintf(c->worst_score, sizeof c->worst_score, "%.100s", group);
    c->wrong += wrong, c->score_error = fmax(c->score_error, error);
    c->cases++;
}

static ap_status search(ap_search_check *c, const char *group, const recorded *r, ap_error *error) {
    const size_t rows = (size_t)(r->n * r->options.beams);
    int64_t *sequences = calloc(rows * (size_t)r->options.most + 1, sizeof *sequences);
    float *scores = calloc(rows + 1, sizeof *scores);
    ap_status status = AP_OK;
    if (sequences && scores) {
        ap_tape_begin(c->tape, &(ap_pass){0});
        c->workload->search(c->model, c->tape, c->batch, &r->options, sequences, scores);
        status = ap_tape_status(c->tape, error);
        if (status == AP_OK) compare(c, group, r, sequences, scores);
    } else {
        status = ap_fail(error, AP_ENVIRONMENT, "out of memory for %zu sequences", rows);
    }
    free(sequences), free(scores);
    return status;
}

/* With the embedding altered; `kept` has its values. */
static ap_status run_case(ap_search_check *c, const char *group, int embedding, const float *kept, ap_error *error) {
    recorded r = {0};
    const ap_param *p = ap_params_get(c->params, embedding);
    float *values = ap_params_value(c->params, embedding);
    ap_status status = read_case(c, group, &r, error);
    if (status == AP_OK && (r.options.end < 0 || r.options.end >= p->shape[0]))
        status = ap_fail(error, AP_DATA, "%s: %s: eos_id = %lld (the vocabulary has %lld)", c->path, group,
                         (long long)r.options.end, (long long)p->shape[0]);
    if (status == AP_OK) {
        const int64_t width = p->size / p->shape[0];
        for (int64_t i = 0; i < p->size; i++) values[i] = kept[i] * (float)r.multiplier;
        for (int64_t i = 0; i < width; i++) values[r.options.end * width + i] *= (float)r.multiplier_of_end;
        ap_params_changed(c->params);
        status = search(c, group, &r, error);
        memcpy(values, kept, (size_t)p->size * sizeof *values);
        ap_params_changed(c->params);
    }
    free(r.sequences), free(r.scores);
    return status;
}

static ap_status run_group(ap_search_check *c, const char *group, int embedding, const float *kept, ap_error *error) {
    int64_t n;
    char **names;
    AP_TRY(ap_h5_list(c->file, group, &n, &names, error));
    ap_status status = AP_OK;
    for (int64_t i = 0; i < n && status == AP_OK; i++) {
        char path[PATH], needed[PATH + 16];
        snprintf(path, sizeof path, "%s/%s", group, names[i]);
        snprintf(needed, sizeof needed, "%s/predicted", path);
        if (ap_h5_exists(c->file, needed)) status = run_case(c, path, embedding, kept, error);
    }
    ap_h5_free_text(n, names);
    return status;
}

ap_status ap_verify_search(ap_search_check *c, ap_error *error) {
    const int embedding = find_embedding(c->params);
    if (embedding < 0) return AP_OK;
    const size_t bytes = (size_t)ap_params_get(c->params, embedding)->size * sizeof(float);
    float *kept = malloc(bytes ? bytes : 1);
    if (!kept) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a copy of the embedding");
    memcpy(kept, ap_params_value(c->params, embedding), bytes);
    ap_status status = AP_OK;
    int64_t n;
    char **names = NULL;
    if ((status = ap_h5_list(c->file, "/extra", &n, &names, error)) == AP_OK) {
        for (int64_t i = 0; i < n && status == AP_OK; i++) {
            char group[2 * NAME];
            snprintf(group, sizeof group, "/extra/%s", names[i]);
            status = run_group(c, group, embedding, kept, error);
        }
        ap_h5_free_text(n, names);
    }
    free(kept);
    return status;
}
