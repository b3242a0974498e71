/* Beam search with the published length penalty (Wu et al. 2016, arXiv 1609.08144, equation 14, without coverage), for
 * all examples of a batch at once; see workloads/README, "wmt: metric".
 *
 * At each step every live beam is continued by every token; the 2 beams best continuations are kept. Those that end
 * compete with the finished ones by log-probability / ((5 + length) / 6)^alpha; the best others live on. It is over
 * when no live beam of any example can still beat the example's worst finished one. What an example gets does not
 * depend on the others. One beam: greedy, the best token each time and the end at the first EOS. Beams are in ascending
 * order. Ties: the earlier beam, the smaller token. Log-probabilities are floats, as published; sums over the
 * vocabulary in double. */
#include "workloads/wmt/wmt.h"

#include "base/fmath.h"
#include "tensor/kernels/reduce.h"
#include "tensor/kernels/vecmath.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float minus_infinity = -1e7f; /* as published */

typedef struct beam {
    int64_t *tokens; /* [most] */
    float score;     /* live: log-probability; finished: divided by the penalty */
    bool finished;
    int64_t parent; /* live: the beam that it continues */
} beam;

typedef struct candidate {
    float score;
    int64_t beam, token;
} candidate;

typedef struct search {
    const ap_search_options *options;
    int64_t n, vocabulary, at, kept; /* at: place of the last token */
    beam *live, *done, *new_live, *new_done;
    int64_t *tokens; /* of all these beams */
    candidate *best; /* [kept], in descending order */
    float *work;     /* [vocabulary] */
    int64_t *last, *parent;
} search;

static float penalty(const search *s, int64_t length) {
    return (float)ap_f64_pow((5 + (double)length) / 6, s->options->alpha);
}

/* ---- memory */

static bool create(const ap_search_options *o, int64_t n, int64_t vocabulary, search *s) {
    const int64_t rows = n * o->beams;
    *s = (search){.options = o, .n = n, .vocabulary = vocabulary, .kept = o->beams == 1 ? 1 : 2 * o->beams};
    beam *beams = calloc((size_t)(2 * rows + 2 * o->beams + 1), sizeof *beams);
    s->live = beams;
    s->tokens = calloc((size_t)((2 * rows + 2 * o->beams) * o->most + 1), sizeof *s->tokens);
    s->best = calloc((size_t)s->kept, sizeof *s->best);
    s->work = calloc((size_t)vocabulary, sizeof *s->work);
    s->last = calloc((size_t)(2 * rows + 1), sizeof *s->last);
    if (!beams || !s->tokens || !s->best || !s->work || !s->last) return false;
    s->done = beams + rows, s->new_live = beams + 2 * rows, s->new_done = s->new_live + o->beams;
    s->parent = s->last + rows;
    for (int64_t i = 0; i < 2 * rows + 2 * o->beams; i++) {
        beams[i].tokens = s->tokens + i * o->most;
        beams[i].score = i < rows && i % o->beams == 0 ? 0 : minus_infinity;
    }
    for (int64_t i = 0; i < rows; i++) s->parent[i] = i;
    return true;
}

static void release(search *s) {
    free(s->live), free(s->tokens), free(s->best), free(s->work), free(s->last);
}

/* ---- a step */

/* Keeps c if it is among the best so far; equal ones stay in the order in which they come. */
static void offer(search *s, candidate c) {
    int64_t i = s->kept;
    if (!(c.score > s->best[i - 1].score)) return;
    for (i--; i > 0 && c.score > s->best[i - 1].score; i--) s->best[i] = s->best[i - 1];
    s->best[i] = c;
}

/* The best continuations of an example's live beams; logits [beams, vocabulary]. */
static void find_best(search *s, const beam *live, const float *logits) {
    const size_t n = (size_t)s->vocabulary;
    for (int64_t i = 0; i < s->kept; i++) s->best[i] = (candidate){.score = -INFINITY};
    for (int64_t b = 0; b < s->options->beams; b++, logits += n) {
        const float top = ap_max(n, logits);
        for (size_t j = 0; j < n; j++) s->work[j] = logits[j] - top;
        ap_vexp(n, s->work, s->work);
        const float log_sum = (float)ap_f64_log(ap_sum_f64(n, s->work));
        for (size_t j = 0; j < n; j++)
            offer(s, (candidate){(logits[j] - top - log_sum) + live[b].score, b, (int64_t)j});
    }
}

/* to = from with one more token; their memory stays their own. */
static void put(const search *s, beam *to, const beam *from, float score, bool finished) {
    memcpy(to->tokens, from->tokens, (size_t)s->options->most * sizeof *to->tokens);
    to->score = score, to->finished = finished, to->parent = from->parent;
}

/* The best `beams` of the kept ones that do not end, into live, in ascending order. */
static void live_on(search *s, beam *live) {
    const int64_t beams = s->options->beams;
    int64_t filled = 0;
    /* Ended ones have -1e7 added and so come behind all others, in the same order. */
    for (int ended = 0; ended < 2; ended++)
        for (int64_t i = 0; i < s->kept && filled < beams; i++) {
            const candidate *c = &s->best[i];
            if ((c->token == s->options->end) != ended) continue;
            beam *to = &s->new_live[beams - 1 - filled++];
            put(s, to, &live[c->beam], ended ? c->score + minus_infinity : c->score, false);
            to->tokens[s->at + 1] = c->token, to->parent = c->beam;
        }
    for (int64_t b = 0; b < beams; b++) {
        put(s, &live[b], &s->new_live[b], s->new_live[b].score, false);
        live[b].parent = s->new_live[b].parent;
    }
}

/* The best `beams` of the finished ones so far and the kept ones, into done, in ascending order. */
static void finish(search *s, const beam *live, beam *done) {
    const int64_t beams = s->options->beams;
    const float divisor = penalty(s, s->at + 1);
    int64_t old = beams - 1, fresh = 0; /* both from the best on; done is ascending */
    for (int64_t to = beams - 1; to >= 0; to--) {
        while (fresh < s->kept && s->best[fresh].token != s->options->end)
            fresh++; /* -1e7 and less: worse than any slot */
        const bool is_fresh = fresh < s->kept && (old < 0 || s->best[fresh].score / divisor > done[old].score);
        beam *slot = &s->new_done[to];
        if (is_fresh) {
            const candidate *c = &s->best[fresh++];
            put(s, slot, &live[c->beam], c->score / divisor, true);
            for (int64_t i = s->at + 1; i < s->options->most; i++) slot->tokens[i] = c->token; /* EOS to the end */
        } else {
            put(s, slot, &done[old], done[old].score, done[old].finished);
            old--;
        }
    }
    for (int64_t b = 0; b < beams; b++)
        put(s, &done[b], &s->new_done[b], s->new_done[b].score, s->new_done[b].finished);
}

/* No live beam of the example can still displace a finished one. */
static bool is_settled(const search *s, const beam *live, const beam *done) {
    const float bound = live[s->options->beams - 1].score / penalty(s, s->options->most);
    for (int64_t b = 0; b < s->options->beams; b++)
        if (!((done[b].finished ? done[0].score : minus_infinity) > bound)) return false;
    return true;
}

static bool is_over(const search *s) {
    if (s->at >= s->options->most - 1) return true;
    for (int64_t i = 0; i < s->n; i++)
        if (!is_settled(s, s->live + i * s->options->beams, s->done + i * s->options->beams)) return false;
    return true;
}

static void step(search *s, const float *logits) {
    const int64_t beams = s->options->beams;
    for (int64_t i = 0; i < s->n; i++) {
        beam *live = s->live + i * beams;
        find_best(s, live, logits + i * beams * s->vocabulary);
        finish(s, live, s->done + i * beams);
        live_on(s, live);
        for (int64_t b = 0; b < beams; b++) {
            s->parent[i * beams + b] = i * beams + live[b].parent;
            s->last[i * beams + b] = live[b].tokens[s->at + 1];
        }
    }
    s->at++;
}

/* ---- the search */

static void give(const search *s, int64_t *sequences, float *scores) {
    const int64_t beams = s->options->beams;
    for (int64_t i = 0; i < s->n; i++) {
        bool any = false;
        for (int64_t b = 0; b < beams; b++) any = any || s->done[i * beams + b].finished;
        for (int64_t b = 0; b < beams; b++) {
            const beam *from = (any ? s->done : s->live) + i * beams + b;
            memcpy(sequences + (i * beams + b) * s->options->most, from->tokens,
                   (size_t)s->options->most * sizeof *sequences);
            scores[i * beams + b] = from->score;
        }
    }
}

static void run(const ap_wmt_model *m, ap_tape *tape, const int64_t *inputs, search *s, ap_wmt_cache *cache) {
    const ap_pass pass = {.seed = ap_tape_pass(tape)->seed, .shard = ap_tape_pass(tape)->shard};
    ap_tape_begin(tape, &pass);
    ap_wmt_cache_encode(m, tape, inputs, cache);
    while (ap_tape_status(tape, NULL) == AP_OK && !is_over(s)) {
        ap_tape_begin(tape, &pass); /* the memory of one step, not of all */
        const ap_tensor *logits = ap_wmt_cache_step(m, tape, s->last, s->parent, cache);
        if (logits) step(s, logits->data);
    }
}

void ap_wmt_search(const void *model, ap_tape *tape, const ap_batch *batch, const ap_search_options *options,
                   int64_t *sequences, float *scores) {
    const ap_wmt_model *m = model;
    const ap_array *inputs = ap_batch_find(batch, "inputs");
    if (ap_tape_status(tape, NULL) != AP_OK) return;
    if (!inputs || inputs->type != AP_I64 || inputs->rank != 2 || inputs->shape[1] > m->max_len_pe ||
        options->most < 2 || options->most > m->max_len_pe || options->beams < 1 || m->ntoken < 2 * options->beams) {
        ap_tape_fail_as(tape, AP_DATA,
                        "wmt: a search needs `inputs`, int64 [examples, up to %lld], lengths in 2 .. %lld and a "
                        "vocabulary of twice the beams",
                        (long long)m->max_len_pe, (long long)m->max_len_pe);
        return;
    }
    search s;
    ap_wmt_cache cache;
    const int64_t n = inputs->shape[0];
    const bool room = create(options, n, m->ntoken, &s);
    const bool cached = ap_wmt_cache_create(m, n, options->beams, inputs->shape[1], options->most, &cache);
    if (room && cached && n) {
        run(m, tape, inputs->data, &s, &cache);
        give(&s, sequences, scores);
    }
    if (!room || !cached)
        ap_tape_fail_as(tape, AP_ENVIRONMENT, "out of memory for a search with %lld beams for each of %lld examples",
                        (long long)options->beams, (long long)n);
    release(&s);
    ap_wmt_cache_free(m, &cache);
}
