/* wmt's own parts that a fixture of the whole model does not show: positions, packed rows, the search against the model
 * without a cache, texts, wrong options and batches. */
#include "base/h5.h"
#include "check.h"
#include "workloads/text/vocabulary.h"
#include "workloads/wmt/wmt.h"

#include <math.h>

/* ---- positions */

static void check_positions(const char *name, int64_t d, int64_t n, const int64_t *rows, double tolerance) {
    hid_t file;
    void *want;
    int64_t read;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/positional.h5", &file, NULL), AP_OK);
    CHECK_INT(ap_h5_read(file, name, AP_F32, n * d, 1 << 24, &want, &read, NULL), AP_OK);
    float *table = malloc((size_t)(256 * d) * sizeof *table);
    ap_wmt_positions(256, d, table);
    double worst = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j++)
            worst = fmax(worst, fabs((double)(table[(rows ? rows[i] : i) * d + j] - ((float *)want)[i * d + j])));
    CHECK_NEAR(worst, 0, tolerance);
    free(table), free(want);
    ap_h5_close(file);
}

/* The published table is made with a float exp that is off by one unit now and then: 255 units in the angle. */
static void test_positions(void) {
    check_positions("/wmt/d16_len256", 16, 256, NULL, 2e-7);
    check_positions("/wmt/d1024_first_rows", 1024, 5, (int64_t[]){0, 1, 2, 17, 255}, 2e-5);
}

/* ---- models */

static ap_wmt_model model_of(const char *variant) {
    const ap_workload *w;
    ap_wmt_model m;
    CHECK_INT(ap_workload_find("wmt", &w, NULL), AP_OK);
    CHECK_INT(ap_workload_model(w, variant, &m, NULL), AP_OK);
    m.ntoken = 40, m.d_model = m.d_hid = 16, m.nhead = 2, m.nlayers = 2, m.max_len_pe = 24;
    return m;
}
static void free_model(ap_wmt_model *m) {
    ap_options_free(ap_wmt_options, ap_wmt_option_count, m);
}

static ap_params *params_of(const ap_wmt_model *m) {
    ap_params *params = ap_params_create(), *state = ap_params_create();
    CHECK_INT(ap_wmt_define(m, params, state, NULL), AP_OK);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_params_initialise(params, 5);
    ap_params_destroy(state);
    return params;
}

/* A found sequence's log-probability by the model as a whole, teacher-forced. */
static double score_of(const ap_wmt_model *m, ap_tape *tape, int64_t length, const int64_t *source, int64_t n,
                       const int64_t *found) {
    ap_batch batch = {0};
    memcpy(ap_batch_add(&batch, "inputs", AP_I64, 2, (int64_t[]){1, length}), source, (size_t)length * sizeof *source);
    memcpy(ap_batch_add(&batch, "targets", AP_I64, 2, (int64_t[]){1, n}), found, (size_t)n * sizeof *found);
    batch.examples = batch.real_examples = 1;
    ap_tape_begin(tape, &(ap_pass){0});
    const ap_tensor *logits = ap_wmt_forward(m, tape, &batch);
    CHECK(logits != NULL);
    double score = 0;
    for (int64_t i = 0; logits && i < n; i++) {
        double sum = 0;
        const float *z = logits->data + i * m->ntoken;
        for (int64_t j = 0; j < m->ntoken; j++) sum += exp((double)z[j]);
        score += (double)z[found[i]] - log(sum);
    }
    ap_batch_free(&batch);
    return score;
}

enum { BEAMS = 3, MOST = 9, SOURCES = 2, LENGTH = 6 };
static const int64_t sources[SOURCES * LENGTH] = {5, 9, 11, 30, 7, 2, 8, 21, 2, 0, 0, 0};

/* Returns how many sequences could be compared. */
static int check_search(const char *variant, int64_t beams) {
    ap_wmt_model m = model_of(variant);
    ap_params *params = params_of(&m);
    float *end = ap_params_value(params, 0) + 2 * m.d_model; /* so that some sequences end */
    for (int64_t i = 0; i < m.d_model; i++) end[i] *= 2;
    ap_params_changed(params);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_batch batch = {.examples = SOURCES};
    memcpy(ap_batch_add(&batch, "inputs", AP_I64, 2, (int64_t[]){SOURCES, LENGTH}), sources, sizeof sources);
    int64_t found[SOURCES * BEAMS * MOST];
    float scores[SOURCES * BEAMS];
    const ap_search_options options = {.beams = beams, .alpha = 0.6, .most = MOST, .end = AP_WMT_EOS};
    ap_tape_begin(tape, &(ap_pass){0});
    ap_wmt_search(&m, tape, &batch, &options, found, scores);
    CHECK_INT(ap_tape_status(tape, NULL), AP_OK);
    int compared = 0;
    for (int64_t i = 0; i < SOURCES * beams; i++) {
        const int64_t *tokens = found + i * MOST + 1;
        int64_t n = 0;
        while (n < MOST - 1 && tokens[n] != AP_WMT_EOS) n++;
        const bool ended = n < MOST - 1;
        bool has_padding = false; /* 0 as a target hides keys from the whole model, not from the cache */
        for (int64_t j = 0; j < n; j++) has_padding = has_padding || tokens[j] == AP_WMT_PADDING;
        if (scores[i] <= -1e6f || has_padding) continue; /* nothing in this slot */
        compared++;
        const double want = score_of(&m, tape, LENGTH, sources + i / beams * LENGTH, n + ended, tokens);
        CHECK_NEAR((double)scores[i], ended ? want / pow((5 + (double)n + 1) / 6, 0.6) : want, 2e-5 * fabs(want));
        if (i % beams) CHECK(scores[i] >= scores[i - 1]);
    }
    ap_batch_free(&batch);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    free_model(&m);
    return compared;
}

static void test_search_against_the_whole_model(void) {
    static const char *const variants[] = {"", "post_ln", "attention_temp", "glu_tanh"};
    int compared = 0;
    for (size_t i = 0; i < 4; i++) compared += check_search(variants[i], BEAMS) + check_search(variants[i], 1);
    CHECK(compared >= 8);
}

/* Greedy: each token is the model's best after those before it. */
static void test_greedy(void) {
    ap_wmt_model m = model_of("");
    ap_params *params = params_of(&m);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_batch batch = {.examples = 1};
    memcpy(ap_batch_add(&batch, "inputs", AP_I64, 2, (int64_t[]){1, LENGTH}), sources, LENGTH * sizeof *sources);
    int64_t found[MOST];
    float score;
    ap_tape_begin(tape, &(ap_pass){0});
    ap_wmt_search(&m, tape, &batch, &(ap_search_options){.beams = 1, .alpha = 0.6, .most = MOST, .end = AP_WMT_EOS},
                  found, &score);
    for (int64_t n = 1; n < MOST && (n == 1 || found[n - 1] != AP_WMT_EOS); n++) {
        double best = -INFINITY;
        int64_t token = -1, tokens[MOST];
        memcpy(tokens, found + 1, (MOST - 1) * sizeof *tokens);
        for (int64_t t = 0; t < m.ntoken; t++) {
            tokens[n - 1] = t;
            const double s = score_of(&m, tape, LENGTH, sources, n, tokens);
            if (t > 0 && s > best) best = s, token = t; /* a target of 0 hides keys: it is compared below */
        }
        CHECK(found[n] == token || found[n] == 0);
        if (found[n] == 0) break;
    }
    ap_batch_free(&batch);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    free_model(&m);
}

static void test_wrong_models_and_batches(void) {
    ap_error error = {0};
    ap_wmt_model m = model_of("glu_tanh");
    ap_params *params = ap_params_create();
    m.d_hid = 24;
    CHECK_INT(ap_wmt_define(&m, params, params, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "d_hid = 24 (with glu it must be d_model, 16, as published)");
    ap_params_destroy(params);
    m.d_hid = 16;
    params = params_of(&m);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_batch batch = {.examples = 1};
    int64_t *inputs = ap_batch_add(&batch, "inputs", AP_I64, 2, (int64_t[]){1, 2});
    inputs[0] = 40, inputs[1] = 2;
    memcpy(ap_batch_add(&batch, "targets", AP_I64, 2, (int64_t[]){1, 2}), (int64_t[]){3, 2}, 2 * sizeof(int64_t));
    ap_tape_begin(tape, &(ap_pass){0});
    CHECK(!ap_wmt_forward(&m, tape, &batch));
    CHECK_INT(ap_tape_status(tape, &error), AP_DATA);
    ap_batch_free(&batch);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
    free_model(&m);
}

/* ---- packed rows */

enum { PAIRS = 600 };

/* Every pair lies whole and in order in the rows; positions restart, segments count from 1; padding is 0; no row could
 * have taken the pair that begins the next, unless a group of the stream begins there. */
static void check_rows(const ap_wmt_model *m, const ap_example *e, int64_t n, int64_t first, const ap_batch *b) {
    const int64_t width = m->max_len_pe;
    const int64_t *token[2] = {ap_batch_i64(b, "inputs"), ap_batch_i64(b, "targets")};
    const int64_t *position[2] = {ap_batch_i64(b, "inputs_position"), ap_batch_i64(b, "targets_position")};
    const int64_t *segment[2] = {ap_batch_i64(b, "inputs_segmentation"), ap_batch_i64(b, "targets_segmentation")};
    int64_t row = 0, used[2] = {0}, count = 0;
    for (int64_t i = 0; i < n; i++) {
        const bool fits = used[0] + e[i].length[0] <= width && used[1] + e[i].length[1] <= width;
        if (i && (!fits || (first + i) % AP_WMT_PACKING_GROUP == 0)) {
            for (int s = 0; s < 2; s++)
                for (int64_t j = used[s]; j < width; j++)
                    CHECK(!token[s][row * width + j] && !segment[s][row * width + j] && !position[s][row * width + j]);
            row++, used[0] = used[1] = count = 0;
        }
        count++;
        for (int s = 0; s < 2; s++)
            for (int64_t j = 0; j < e[i].length[s]; j++, used[s]++) {
                const int64_t at = row * width + used[s];
                CHECK(token[s][at] == ((const int32_t *)e[i].data[s])[j] && position[s][at] == j &&
                      segment[s][at] == count);
            }
    }
    CHECK_INT(b->examples, row + 1);
}

static void test_packed_rows(void) {
    ap_wmt_model m = model_of("");
    m.ntoken = 200, m.max_len_pe = 40;
    static ap_example e[PAIRS];
    ap_batch batch = {0};
    ap_error error = {0};
    for (int64_t i = 0; i < PAIRS; i++) CHECK_INT(ap_wmt_generator.generate(&m, 1, AP_TRAIN, i, &e[i], &error), AP_OK);
    for (int64_t first = 0; first < 1000; first += 333) {
        ap_batch_clear(&batch);
        const ap_collate_key key = {.training = true, .first = first};
        CHECK_INT(ap_wmt_collate(&m, &key, PAIRS, e, PAIRS, &batch, &error), AP_OK);
        check_rows(&m, e, PAIRS, first, &batch);
    }
    /* evaluation: a pair a row, as wide as the longest; rows behind the last are padding */
    ap_batch_clear(&batch);
    CHECK_INT(ap_wmt_collate(&m, &(ap_collate_key){0}, 5, e, 7, &batch, &error), AP_OK);
    CHECK_INT(batch.examples, 7);
    CHECK_INT(batch.real_examples, 5);
    const ap_array *targets = ap_batch_find(&batch, "targets");
    const float *weights = ap_batch_f32(&batch, "weights");
    for (int64_t i = 0; i < targets->size; i++) CHECK((weights[i] == 1) == (((const int64_t *)targets->data)[i] > 0));
    CHECK(!ap_batch_find(&batch, "inputs_position"));
    /* an unknown token, 0, costs the last one, as published */
    ((int32_t *)e[0].data[0])[1] = 0;
    ap_batch_clear(&batch);
    CHECK_INT(ap_wmt_collate(&m, &(ap_collate_key){0}, 1, e, 1, &batch, &error), AP_OK);
    CHECK_INT(ap_batch_find(&batch, "inputs")->shape[1], e[0].length[0] - 1);
    ((int32_t *)e[1].data[0])[0] = 200;
    ap_batch_clear(&batch);
    CHECK_INT(ap_wmt_collate(&m, &(ap_collate_key){0}, 2, e, 2, &batch, &error), AP_DATA);
    CHECK_TEXT(error.text, "a sentence with token 200 (the model has 200: option ntoken)");
    for (int64_t i = 0; i < PAIRS; i++) ap_example_free(&e[i]);
    ap_batch_free(&batch);
    free_model(&m);
}

/* ---- texts */

static void test_texts(void) {
    ap_vocabulary v;
    CHECK(ap_vocabulary_open("<unk>\n<s>\n</s>\n\u2581Der\n\u2581Hund\ne\n.\n", &v));
    CHECK_INT(v.pieces, 7);
    static const struct {
        int64_t n, token[6];
        const char *want;
    } cases[] = {{5, {3, 4, 5, 6, 2}, "Der Hunde."}, {0, {0}, ""}, {3, {5, 0, 4}, "e \u2047  Hund"}, {1, {2}, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = ap_vocabulary_text(&v, cases[i].n, cases[i].token);
        CHECK(text && strcmp(text, cases[i].want) == 0);
        free(text);
    }
    ap_vocabulary_close(&v);
    CHECK(ap_vocabulary_open(NULL, &v));
    char *text = ap_vocabulary_text(&v, 3, (int64_t[]){17, 3, 2});
    CHECK(text && strcmp(text, "w17 w3") == 0);
    free(text);
    ap_vocabulary_close(&v);
}

AP_TEST_MAIN(test_positions, test_search_against_the_whole_model, test_greedy, test_wrong_models_and_batches,
             test_packed_rows, test_texts)
