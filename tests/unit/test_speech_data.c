/* Collate, vocabulary and synthetic utterances of the speech workloads. */
#include "check.h"
#include "workload/workload.h"
#include "workloads/speech/features.h"
#include "workloads/speech/speech.h"
#include "workloads/speech/vocabulary.h"
#include "workloads/text/vocabulary.h"

#include <math.h>

enum { N = 3, SEED = 5 };

typedef struct setup {
    const ap_workload *workload;
    void *model;
    ap_example examples[N];
} setup;

static setup begin(const char *name) {
    setup s = {0};
    ap_error error = {0};
    CHECK_INT(ap_workload_find(name, &s.workload, &error), AP_OK);
    s.model = calloc(1, s.workload->model_size);
    CHECK_INT(ap_workload_model(s.workload, "", s.model, &error), AP_OK);
    ap_speech *speech = s.model;
    speech->vocab_size = 32, speech->encoder_dim = 8, speech->max_samples = 48000, speech->use_specaug = false;
    for (int i = 0; i < N; i++)
        CHECK_INT(ap_speech_generator.generate(s.model, SEED, AP_TRAIN, i, &s.examples[i], &error), AP_OK);
    return s;
}
static void end(setup *s) {
    for (int i = 0; i < N; i++) ap_example_free(&s->examples[i]);
    ap_options_free(s->workload->options, s->workload->option_count, s->model);
    free(s->model);
}

/* What a pass gives: logits of valid steps, then gradients, those of the two convolutions (parameters 0 to 3) last. */
typedef struct numbers {
    float *value; /* [count], malloc'ed */
    int64_t exact, count;
} numbers;
enum { CONVOLUTIONS = 4 };

static numbers numbers_of(const setup *s, const ap_batch *batch) {
    ap_params *params = ap_params_create(), *state = ap_params_create();
    ap_error error = {0};
    CHECK_INT(s->workload->define(s->model, params, state, &error), AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    CHECK_INT(ap_params_allocate(state, NULL), AP_OK);
    ap_params_initialise(params, 3);
    ap_tape *tape = ap_tape_create(params, state, AP_MATH_ORDERED);
    float *new_state = calloc((size_t)ap_params_length(state) + 1, sizeof *new_state);
    const int64_t parameters = ap_params_length(params);
    float *gradients = calloc((size_t)parameters, sizeof *gradients);
    ap_tape_begin(tape,
                  &(ap_pass){.training = true, .wants_grad = true, .gradients = gradients, .new_state = new_state});
    ap_tensor *logits = s->workload->forward(s->model, tape, batch);
    s->workload->loss(s->model, tape, logits, batch, &(ap_loss_options){0});
    CHECK_INT(ap_tape_backward(tape, &error), AP_OK);
    if (error.text[0]) printf("%s\n", error.text);
    const int64_t *valid = ap_batch_i64(batch, "input_lengths_samples"), classes = logits->shape[2],
                  count = ap_batch_find(batch, "inputs")->shape[1];
    numbers out = {.value = malloc((size_t)(logits->size + parameters) * sizeof(float))};
    for (int64_t i = 0; i < N; i++) {
        const int64_t steps = ap_speech_valid_steps(count, valid[i]);
        memcpy(out.value + out.exact, logits->data + i * logits->shape[1] * classes,
               (size_t)(steps * classes) * sizeof(float));
        out.exact += steps * classes;
    }
    const int64_t first = ap_params_get(params, CONVOLUTIONS)->offset, exact = parameters - first;
    memcpy(out.value + out.exact, gradients + first, (size_t)exact * sizeof(float));
    out.exact += exact, out.count = out.exact + first;
    memcpy(out.value + out.exact, gradients, (size_t)first * sizeof(float));
    ap_tape_destroy(tape);
    ap_params_destroy(params), ap_params_destroy(state);
    free(new_state), free(gradients);
    return out;
}

/* The same examples padded to max_samples. */
static void pad_fully(const ap_batch *from, int64_t max_samples, ap_batch *to) {
    const ap_array *inputs = ap_batch_find(from, "inputs");
    float *wide = ap_batch_add(to, "inputs", AP_F32, 2, (int64_t[]){N, max_samples});
    int64_t *valid = ap_batch_add(to, "input_lengths_samples", AP_I64, 1, (int64_t[]){N});
    memset(wide, 0, (size_t)(N * max_samples) * sizeof *wide);
    memcpy(valid, ap_batch_i64(from, "input_lengths_samples"), N * sizeof *valid);
    static const char *const same[] = {"targets", "target_lengths"};
    for (int i = 0; i < 2; i++) {
        const ap_array *array = ap_batch_find(from, same[i]);
        memcpy(ap_batch_add(to, same[i], AP_I64, array->rank, array->shape), array->data,
               (size_t)array->size * sizeof(int64_t));
    }
    for (int64_t i = 0; i < N; i++)
        memcpy(wide + i * max_samples, (const float *)inputs->data + i * inputs->shape[1],
               (size_t)inputs->shape[1] * sizeof *wide);
}

/* Rows shorter than max_samples give the same bits as rows of max_samples, so what examples share a batch does not
 * matter; but for the gradients of the convolutions, sums over all positions in chunks, whose zeros are elsewhere. */
static void check_same(const numbers *a, const numbers *b) {
    double largest = 0;
    CHECK(a->exact == b->exact && a->count == b->count);
    CHECK(memcmp(a->value, b->value, (size_t)a->exact * sizeof(float)) == 0);
    for (int64_t i = a->exact; i < a->count; i++) largest = fmax(largest, fabs((double)b->value[i]));
    CHECK(largest > 0);
    for (int64_t i = a->exact; i < a->count; i++) CHECK_NEAR(a->value[i], b->value[i], 1e-5 * largest);
}
static void check_padding(const char *name) {
    setup s = begin(name);
    ap_error error = {0};
    ap_batch batch = {0}, full = {0};
    const ap_collate_key key = {.seed = 1, .training = true};
    for (int cut = 0; cut < 5; cut++) { /* all alignments */
        for (int i = 0; i < N; i++) s.examples[i].length[AP_SPEECH_AUDIO] -= cut ? AP_SPEECH_STEP : 0;
        ap_batch_clear(&batch), ap_batch_clear(&full);
        CHECK_INT(ap_speech_collate(s.model, &key, N, s.examples, N, &batch, &error), AP_OK);
        const int64_t max_samples = ((const ap_speech *)s.model)->max_samples;
        CHECK(ap_batch_find(&batch, "inputs")->shape[1] < max_samples);
        pad_fully(&batch, max_samples, &full);
        const numbers short_rows = numbers_of(&s, &batch), full_rows = numbers_of(&s, &full);
        check_same(&short_rows, &full_rows);
        free(short_rows.value), free(full_rows.value);
    }
    ap_batch_free(&batch), ap_batch_free(&full);
    end(&s);
}
static void test_padding(void) {
    check_padding("librispeech_conformer");
    check_padding("librispeech_deepspeech");
}

static void test_collate_rejects(void) {
    setup s = begin("librispeech_deepspeech");
    ap_speech *speech = s.model;
    ap_error error = {0};
    ap_batch batch = {0};
    const ap_collate_key key = {.seed = 1};
    speech->max_samples = s.examples[0].length[AP_SPEECH_AUDIO] - 1;
    CHECK_INT(ap_speech_collate(s.model, &key, 1, s.examples, 1, &batch, &error), AP_DATA);
    CHECK_TEXT(error.text, "max_samples");
    speech->max_samples = 48000, speech->vocab_size = 4;
    ap_batch_clear(&batch);
    CHECK_INT(ap_speech_collate(s.model, &key, 1, s.examples, 1, &batch, &error), AP_DATA);
    CHECK_TEXT(error.text, "must be in 1 .. 3");
    ap_batch_free(&batch);
    end(&s);
}

/* An example is a function of (seed, split, index); it has sound, and labels that fit into its steps. */
static void test_synthetic(void) {
    setup s = begin("librispeech_deepspeech");
    ap_example again = {0};
    ap_error error = {0};
    for (int i = 0; i < N; i++) {
        CHECK_INT(ap_speech_generator.generate(s.model, SEED, AP_TRAIN, i, &again, &error), AP_OK);
        CHECK(ap_example_digest(&again, AP_SPEECH_FIELDS, ap_speech_generator.field) ==
              ap_example_digest(&s.examples[i], AP_SPEECH_FIELDS, ap_speech_generator.field));
        const int64_t samples = again.length[AP_SPEECH_AUDIO], labels = again.length[AP_SPEECH_TARGETS];
        const int16_t *audio = again.data[AP_SPEECH_AUDIO];
        int loudest = 0;
        for (int64_t j = 0; j < samples; j++) loudest = abs(audio[j]) > loudest ? abs(audio[j]) : loudest;
        CHECK(loudest > 1000);
        CHECK(labels > 1 && labels <= ap_speech_valid_steps(samples, samples));
        CHECK_INT(((const int32_t *)again.data[AP_SPEECH_TARGETS])[labels - 1], AP_TOKEN_END);
    }
    CHECK_INT(ap_speech_generator.generate(s.model, SEED, AP_VALIDATION, 0, &again, &error), AP_OK);
    CHECK(ap_example_digest(&again, AP_SPEECH_FIELDS, ap_speech_generator.field) !=
          ap_example_digest(&s.examples[0], AP_SPEECH_FIELDS, ap_speech_generator.field));
    ap_example_free(&again);
    end(&s);
}

static void test_vocabulary(void) {
    const char *text = "IT'S A Z";
    int64_t tokens[16] = {3}, n = 1; /* a space in front is left out */
    for (const char *c = text; *c; c++) tokens[n++] = ap_speech_token_of(*c);
    tokens[n++] = AP_TOKEN_END;
    tokens[n++] = 3;
    ap_vocabulary v;
    CHECK(ap_vocabulary_open(ap_speech_characters, &v));
    CHECK_INT(v.pieces, AP_SPEECH_CHARACTERS);
    char *back = ap_vocabulary_text(&v, n, tokens);
    CHECK(back && strcmp(back, "IT'S A Z ") == 0);
    free(back);
    ap_vocabulary_close(&v);
    CHECK_INT(ap_speech_token_of('a'), -1);
}

AP_TEST_MAIN(test_padding, test_collate_rejects, test_synthetic, test_vocabulary)
