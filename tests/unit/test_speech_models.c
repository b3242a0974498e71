/* Both speech models and all their variants, small: every parameter's gradient against the loss along it; and what a
 * variant is by its definition, against the base with other parameters. */
#include "check.h"
#include "workload/workload.h"
#include "workloads/speech/speech.h"

enum { N = 3, SEED = 6, DIM = 8, SAMPLES = 24000 };

typedef struct setup {
    const ap_workload *workload;
    void *model;
    ap_params *params, *state;
    ap_tape *tape;
    ap_batch batch;
    float *new_state, *gradients;
} setup;

static void set_option(const ap_workload *w, void *model, const char *name, int64_t value) {
    for (size_t i = 0; i < w->option_count; i++)
        if (strcmp(w->options[i].name, name) == 0) memcpy((char *)model + w->options[i].offset, &value, sizeof value);
}

static void make_batch(setup *s) {
    ap_example examples[N] = {0};
    for (int i = 0; i < N; i++)
        CHECK_INT(ap_speech_generator.generate(s->model, SEED, AP_TRAIN, i, &examples[i], NULL), AP_OK);
    const ap_collate_key key = {.seed = 1, .training = true};
    CHECK_INT(ap_speech_collate(s->model, &key, N, examples, N, &s->batch, NULL), AP_OK);
    for (int i = 0; i < N; i++) ap_example_free(&examples[i]);
}

static setup begin(const char *label) {
    setup s = {0};
    const char *variant;
    ap_error error = {0};
    CHECK_INT(ap_workload_find_label(label, &s.workload, &variant, &error), AP_OK);
    s.model = calloc(1, s.workload->model_size);
    CHECK_INT(ap_workload_model(s.workload, variant, s.model, &error), AP_OK);
    ap_speech *speech = s.model;
    speech->vocab_size = 32, speech->encoder_dim = DIM, speech->max_samples = SAMPLES, speech->use_specaug = false;
    set_option(s.workload, s.model, "num_attention_heads", 2);
    set_option(s.workload, s.model, "num_encoder_layers", 2);
    set_option(s.workload, s.model, "num_lstm_layers", 2);
    set_option(s.workload, s.model, "num_ffn_layers", 2);
    s.params = ap_params_create(), s.state = ap_params_create();
    CHECK_INT(s.workload->define(s.model, s.params, s.state, &error), AP_OK);
    CHECK_INT(ap_params_allocate(s.params, NULL), AP_OK);
    CHECK_INT(ap_params_allocate(s.state, NULL), AP_OK);
    ap_params_initialise(s.params, 3), ap_params_initialise(s.state, 3);
    s.tape = ap_tape_create(s.params, s.state, AP_MATH_ORDERED);
    s.new_state = calloc((size_t)ap_params_length(s.state) + 1, sizeof *s.new_state);
    s.gradients = calloc((size_t)ap_params_length(s.params), sizeof *s.gradients);
    make_batch(&s);
    return s;
}
static void end(setup *s) {
    ap_options_free(s->workload->options, s->workload->option_count, s->model);
    ap_tape_destroy(s->tape);
    ap_params_destroy(s->params), ap_params_destroy(s->state);
    ap_batch_free(&s->batch);
    free(s->model), free(s->new_state), free(s->gradients);
}

/* Loss; gradients if `wanted`. *logits: the tape's, until its next pass. */
static double pass(setup *s, bool wanted, const ap_tensor **logits) {
    ap_error error = {0};
    ap_params_changed(s->params);
    ap_tape_begin(s->tape, &(ap_pass){.training = true,
                                      .wants_grad = wanted,
                                      .gradients = s->gradients,
                                      .update_state = true,
                                      .new_state = s->new_state});
    ap_tensor *made = s->workload->forward(s->model, s->tape, &s->batch);
    const ap_loss loss = s->workload->loss(s->model, s->tape, made, &s->batch, &(ap_loss_options){0});
    if (wanted) CHECK_INT(ap_tape_backward(s->tape, NULL), AP_OK);
    CHECK_INT(ap_tape_status(s->tape, &error), AP_OK);
    if (error.text[0]) printf("%s\n", error.text);
    if (logits) *logits = made;
    return loss.summed;
}

/* ---- gradients */

/* Parameters away from their beginning: zeros hide what they multiply. */
static void shake(setup *s) {
    const ap_random stream = ap_random_stream(SEED, AP_RANDOM_INIT, 999, 0);
    float *values = ap_params_values(s->params);
    for (int64_t i = 0; i < ap_params_length(s->params); i++)
        values[i] += 0.2f * (ap_random_uniform(&stream, (uint64_t)i) - 0.5f);
}

/* The loss's growth along the gradient, by differences of two steps. */
static double growth(setup *s, float *value, const float *kept, const float *gradient, int64_t n, double length,
                     double step) {
    double loss[2];
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n; i++)
            value[i] = kept[i] + (float)((side ? step : -step) * (double)gradient[i] / (length + 1e-30));
        loss[side] = pass(s, false, NULL);
    }
    return (loss[1] - loss[0]) / (2 * step);
}

/* Along the gradient of parameter `index` the loss grows by its length: a wrong gradient at no step, a right one at one
 * that is neither so large that ReLUs switch on the way nor so small that rounding shows. */
static void check_parameter(setup *s, const char *label, int index, const float *gradient) {
    const ap_param *p = ap_params_get(s->params, index);
    float *value = ap_params_value(s->params, index);
    double square = 0;
    for (int64_t i = 0; i < p->size; i++) square += (double)gradient[i] * (double)gradient[i];
    const double length = sqrt(square), room = 0.03 * length + 0.02;
    float *kept = malloc((size_t)p->size * sizeof *kept);
    memcpy(kept, value, (size_t)p->size * sizeof *kept);
    double step = fmin(4e-4, 0.05 / (length + 1e-30)), grown = NAN;
    for (int k = 0; k < 3 && !(fabs(grown - length) <= room); k++, step /= 3)
        grown = growth(s, value, kept, gradient, p->size, length, step);
    memcpy(value, kept, (size_t)p->size * sizeof *kept);
    const int before = ap_check_failures;
    CHECK_NEAR(grown, length, room);
    if (ap_check_failures > before) printf("%s %s\n", label, p->name);
    free(kept);
}

static void check_gradients(const char *label) {
    setup s = begin(label);
    shake(&s);
    CHECK(pass(&s, true, NULL) > 0);
    const size_t bytes = (size_t)ap_params_length(s.params) * sizeof *s.gradients;
    float *gradients = malloc(bytes);
    memcpy(gradients, s.gradients, bytes);
    for (int i = 0; i < ap_params_count(s.params); i++)
        check_parameter(&s, label, i, gradients + (ap_params_value(s.params, i) - ap_params_values(s.params)));
    free(gradients);
    end(&s);
}

static void test_gradients(void) {
    static const char *const labels[] = {"librispeech_conformer",
                                         "librispeech_conformer_attention_temperature",
                                         "librispeech_conformer_layernorm",
                                         "librispeech_conformer_gelu",
                                         "librispeech_deepspeech",
                                         "librispeech_deepspeech_tanh",
                                         "librispeech_deepspeech_no_resnet",
                                         "librispeech_deepspeech_norm_and_spec_aug"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) check_gradients(labels[i]);
}

/* ---- variants by their definition */

/* What attention gives is multiplied by 1.6 before out_proj: the base with 1.6 times out_proj's weights. */
static void test_attention_temperature(void) {
    setup base = begin("librispeech_conformer"), variant = begin("librispeech_conformer_attention_temperature");
    const ap_tensor *plain, *hot;
    CHECK_INT(ap_params_length(base.params), ap_params_length(variant.params));
    pass(&variant, false, &hot);
    pass(&base, false, &plain);
    double apart = 0;
    for (int64_t i = 0; i < hot->size; i++) apart = fmax(apart, fabs((double)(hot->data[i] - plain->data[i])));
    CHECK(apart > 1e-2);
    int changed = 0;
    for (int i = 0; i < ap_params_count(base.params); i++) {
        const ap_param *p = ap_params_get(base.params, i);
        if (!strstr(p->name, "out_proj.weight")) continue;
        float *w = ap_params_value(base.params, i);
        for (int64_t k = 0; k < p->size; k++) w[k] *= 1.6f;
        changed++;
    }
    CHECK_INT(changed, 2);
    pass(&base, false, &plain);
    for (int64_t i = 0; i < hot->size; i++) CHECK_NEAR(plain->data[i], hot->data[i], 2e-4);
    end(&base), end(&variant);
}

/* Without sums around the layers nothing passes a layer whose parameters are 0: all frames have the same logits. */
static void check_passes(const char *label, const char *layer, bool passes) {
    setup s = begin(label);
    int changed = 0;
    for (int i = 0; i < ap_params_count(s.params); i++) {
        const ap_param *p = ap_params_get(s.params, i);
        if (strncmp(p->name, layer, strlen(layer)) != 0) continue;
        memset(ap_params_value(s.params, i), 0, (size_t)p->size * sizeof(float));
        changed++;
    }
    CHECK(changed > 1);
    const ap_tensor *logits;
    pass(&s, false, &logits);
    double apart = 0;
    const int64_t classes = logits->shape[2];
    for (int64_t i = classes; i < 8 * classes; i++)
        apart = fmax(apart, fabs((double)(logits->data[i] - logits->data[i % classes])));
    CHECK((apart > 1e-3) == passes);
    end(&s);
}
static void test_no_resnet(void) {
    check_passes("librispeech_deepspeech", "lstms.1.lstm.", true);
    check_passes("librispeech_deepspeech", "ffns.1.lin.", true);
    check_passes("librispeech_deepspeech_no_resnet", "lstms.1.lstm.", false);
    check_passes("librispeech_deepspeech_no_resnet", "ffns.1.lin.", false);
}

AP_TEST_MAIN(test_gradients, test_attention_temperature, test_no_resnet)
