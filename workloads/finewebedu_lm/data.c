/* Windows of tokens for finewebedu_lm: collate, loss, perplexity, and the built-in synthetic language. */
#include "workloads/finewebedu_lm/finewebedu_lm.h"

#include "base/fmath.h"
#include "base/random.h"

#include <string.h>

/* ---- collate */

static ap_status check_example(const ap_finewebedu_lm_model *m, const ap_example *e, ap_error *error) {
    const int32_t *tokens = e->data[AP_LM_TOKENS];
    if (e->length[AP_LM_TOKENS] != m->seq_len + 1)
        return ap_fail(error, AP_DATA,
                       "a window of %lld tokens (the model's seq_len = %lld wants %lld; "
                       "`algoperf prepare --scale` cuts them for a scale's model)",
                       (long long)e->length[AP_LM_TOKENS], (long long)m->seq_len, (long long)(m->seq_len + 1));
    for (int64_t i = 0; i <= m->seq_len; i++)
        if (tokens[i] < 0 || tokens[i] >= m->vocab_size)
            return ap_fail(error, AP_DATA, "token %lld of a window is %d (must be in 0 .. %lld: vocab_size = %lld)",
                           (long long)i, tokens[i], (long long)(m->vocab_size - 1), (long long)m->vocab_size);
    return AP_OK;
}

ap_status ap_finewebedu_lm_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                                   int64_t padded_to, ap_batch *batch, ap_error *error) {
    const ap_finewebedu_lm_model *m = model;
    const int64_t steps = m->seq_len, shape[2] = {padded_to, steps};
    const bool weighted = padded_to > n || !key->training;
    int64_t *inputs = ap_batch_add(batch, "inputs", AP_I64, 2, shape);
    int64_t *targets = ap_batch_add(batch, "targets", AP_I64, 2, shape);
    float *weights = weighted ? ap_batch_add(batch, "weights", AP_F32, 2, shape) : NULL;
    if (!inputs || !targets || (weighted && !weights))
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for a batch of %lld windows of %lld tokens",
                       (long long)padded_to, (long long)steps);
    for (int64_t i = 0; i < padded_to; i++) {
        if (i < n) AP_TRY(check_example(m, &examples[i], error));
        const int32_t *tokens = i < n ? examples[i].data[AP_LM_TOKENS] : NULL;
        for (int64_t t = 0; t < steps; t++) {
            inputs[i * steps + t] = tokens ? tokens[t] : 0;
            targets[i * steps + t] = tokens ? tokens[t + 1] : 0;
            if (weights) weights[i * steps + t] = tokens ? 1 : 0;
        }
    }
    batch->examples = padded_to;
    batch->real_examples = n;
    return AP_OK;
}

ap_status ap_finewebedu_lm_attach(void *model, const ap_dataset *dataset, ap_error *error) {
    const ap_finewebedu_lm_model *m = model;
    int64_t tokens = 0;
    for (const char *at = ap_dataset_vocabulary(dataset); at && (at = strchr(at, '\n')); at++) tokens++;
    if (tokens <= m->vocab_size) return AP_OK;
    return ap_fail(
        error, AP_DATA,
        "a vocabulary of %lld tokens (the model has vocab_size = %lld); `algoperf prepare --scale` makes one "
        "for a scale's model",
        (long long)tokens, (long long)m->vocab_size);
}

/* ---- loss and metric */

ap_loss ap_finewebedu_lm_loss(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                              const ap_loss_options *options) {
    (void)model;
    const ap_array *targets = ap_batch_find(batch, "targets"), *weights = ap_batch_find(batch, "weights");
    if (!logits) return (ap_loss){0};
    const int64_t tokens = logits->size / logits->shape[logits->rank - 1];
    if (!targets || targets->type != AP_I64 || targets->size != tokens ||
        (weights && (weights->type != AP_F32 || weights->size != tokens))) {
        ap_tape_fail_as(tape, AP_DATA,
                        "finewebedu_lm: the batch needs `targets`, int64, and if there are any `weights`, "
                        "float32, of the shape of `inputs`");
        return (ap_loss){0};
    }
    return ap_softmax_cross_entropy(tape, logits, targets->data, weights ? weights->data : NULL,
                                    options->label_smoothing);
}

void ap_finewebedu_lm_evaluate(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                               double *sums) {
    const ap_loss loss = ap_finewebedu_lm_loss(model, tape, logits, batch, &(ap_loss_options){0});
    if (!loss.per_example) return;
    sums[AP_LM_LOSS] += loss.summed;
    sums[AP_LM_WEIGHTS] += loss.n_valid;
}

void ap_finewebedu_lm_metrics(const double *sums, int64_t examples, double *metrics) {
    (void)examples;
    const double mean = sums[AP_LM_WEIGHTS] > 0 ? sums[AP_LM_LOSS] / sums[AP_LM_WEIGHTS] : 0;
    metrics[0] = ap_f64_exp(mean);
    metrics[1] = mean;
}

/* ---- the synthetic language
 * A window is a stream of sentences. A topic, drawn for the window, decides which words are frequent and what follows
 * what; clauses open and close with matching brackets, three deep at most, so a closing one needs a look back; and four
 * names are drawn for the window and come up again and again behind a word that announces one, in the order in which
 * they were first said, so that the next name is known to who remembers the round.
 *
 * Tokens: 0 end of sentence; 1 the announcing word; brackets; names; the rest are words. */

enum { END, ANNOUNCE, OPEN = 2, KINDS = 6, CLOSE = OPEN + KINDS, NAMES_FROM = CLOSE + KINDS, NAMES = 32 };
enum { WORDS_FROM = NAMES_FROM + NAMES, TOPICS = 4, DEEPEST = 3, ROUND = 4, LEAST_VOCABULARY = WORDS_FROM + 32 };

typedef struct speech {
    ap_random stream;
    uint64_t next;
    int64_t words; /* of the vocabulary */
    int64_t topic, word, depth, said;
    int32_t open[DEEPEST], names[ROUND];
} speech;

static double uniform(speech *s) {
    return (double)ap_random_uniform(&s->stream, s->next++);
}
static int64_t below(speech *s, int64_t n) {
    return (int64_t)(uniform(s) * (double)n);
}

/* The next word: mostly one of four that may follow this one in this topic, else any by a Zipf-like law. */
static int32_t next_word(speech *s) {
    if (uniform(s) < 0.8) {
        const double u = uniform(s);
        const int64_t choice = u < 0.55 ? 0 : u < 0.8 ? 1 : u < 0.93 ? 2 : 3;
        s->word = (s->word * 31 + (choice + 1) * 17 + s->topic * 59 + 7) % s->words;
    } else {
        const double u = uniform(s);
        s->word = ((int64_t)(u * u * u * (double)s->words) + s->topic * 13) % s->words;
    }
    return (int32_t)(WORDS_FROM + s->word);
}

static int32_t next_token(speech *s, int32_t before) {
    if (before == ANNOUNCE) return s->names[s->said++ % ROUND];
    const double u = uniform(s);
    if (u < 0.10) return ANNOUNCE;
    if (u < 0.18 && s->depth < DEEPEST) return s->open[s->depth++] = (int32_t)(OPEN + below(s, KINDS));
    if (u < 0.28 && s->depth > 0) return s->open[--s->depth] + KINDS;
    if (u < 0.33 && s->depth == 0) return END;
    return next_word(s);
}

static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    const ap_finewebedu_lm_model *m = model;
    const int64_t length = m->seq_len + 1;
    if (m->vocab_size < LEAST_VOCABULARY)
        return ap_fail(error, AP_CONFIG, "vocab_size = %lld (the synthetic language needs at least %d)",
                       (long long)m->vocab_size, LEAST_VOCABULARY);
    AP_TRY(ap_example_reserve(example, AP_LM_FIELDS, ap_finewebedu_lm_generator.field, &length, error));
    speech s = {.stream = ap_random_stream(seed, AP_RANDOM_SYNTHETIC, (uint64_t)index, (uint32_t)split),
                .words = (m->vocab_size < 4096 ? m->vocab_size : 4096) - WORDS_FROM};
    s.topic = below(&s, TOPICS), s.word = below(&s, s.words);
    for (int i = 0; i < ROUND; i++) s.names[i] = (int32_t)(NAMES_FROM + below(&s, NAMES));
    int32_t *tokens = example->data[AP_LM_TOKENS], before = END;
    for (int64_t i = 0; i < length; i++) before = tokens[i] = next_token(&s, before);
    return AP_OK;
}

const ap_generator ap_finewebedu_lm_generator = {
    .name = "synthetic", .fields = AP_LM_FIELDS, .field = AP_LM_FIELD_LIST, .generate = generate};
