/* The log-mel front end and SpecAugment against the published code (components/logmel.h5, specaugment.h5). */
#include "base/h5.h"
#include "check.h"
#include "workloads/speech/features.h"
#include "workloads/speech/resample.h"

static void *read_array(hid_t file, const char *path, ap_dtype type, int64_t size) {
    void *data = NULL;
    int64_t n;
    CHECK_INT(ap_h5_read(file, path, type, size, 1 << 20, &data, &n, NULL), AP_OK);
    return data;
}

static int64_t count_valid(int64_t n, const float *paddings) {
    int64_t valid = 0;
    while (valid < n && paddings[valid] == 0) valid++;
    return valid;
}

static void test_log_mel(void) {
    enum { N = 3, SAMPLES = 8000, FRAMES = 48 };
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/logmel.h5", &file, NULL), AP_OK);
    float *samples = read_array(file, "/samples", AP_F32, N * SAMPLES),
          *paddings = read_array(file, "/paddings", AP_F32, N * SAMPLES),
          *want = read_array(file, "/features", AP_F32, N * FRAMES * AP_SPEECH_BINS),
          *frame_paddings = read_array(file, "/feature_paddings", AP_F32, N * FRAMES);
    static float got[FRAMES * AP_SPEECH_BINS];
    CHECK_INT(ap_speech_frames(SAMPLES), FRAMES);
    for (int64_t i = 0; i < N; i++) {
        const int64_t valid = count_valid(SAMPLES, paddings + i * SAMPLES);
        CHECK_INT(ap_speech_valid_frames(SAMPLES, valid), count_valid(FRAMES, frame_paddings + i * FRAMES));
        ap_speech_log_mel(SAMPLES, valid, samples + i * SAMPLES, got);
        for (int64_t j = 0; j < FRAMES * AP_SPEECH_BINS; j++)
            CHECK_NEAR(got[j], want[i * FRAMES * AP_SPEECH_BINS + j], 2e-4);
    }
    free(samples), free(paddings), free(want), free(frame_paddings);
    ap_h5_close(file);
}

static void test_frames(void) {
    CHECK_INT(ap_speech_frames(320000), 1998);
    CHECK_INT(ap_speech_frames(400), 0);
    CHECK_INT(ap_speech_frames(401), 1);
    CHECK_INT(ap_speech_valid_frames(320000, 0), 0);
    CHECK_INT(ap_speech_valid_frames(320000, 1), 1);
    CHECK_INT(ap_speech_valid_frames(320000, 160), 1);
    CHECK_INT(ap_speech_valid_frames(320000, 161), 2);
    CHECK_INT(ap_speech_valid_frames(320000, 320000), 1998);
}

/* The recorded draws of both settings give the recorded masks; input of ones. */
static void check_masks(hid_t file, const char *group, ap_spec_augment options) {
    enum { N = 2, FRAMES = 200 };
    char path[64];
    const int counts[2] = {options.time_masks, options.frequency_masks};
    static const char *const names[4] = {"time_length_u", "time_start_u", "freq_length_u", "freq_start_u"};
    float *draws[4];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "/%s/%s", group, names[i]);
        draws[i] = read_array(file, path, AP_F32, (int64_t)N * counts[i / 2]);
    }
    snprintf(path, sizeof path, "/%s/paddings", group);
    float *paddings = read_array(file, path, AP_F32, N * FRAMES);
    snprintf(path, sizeof path, "/%s/mask", group);
    uint8_t *want = read_array(file, path, AP_U8, N * FRAMES * AP_SPEECH_BINS);
    static float got[FRAMES * AP_SPEECH_BINS];
    for (int64_t i = 0; i < N; i++) {
        ap_spec_draws d;
        float *const rows[4] = {d.time_length, d.time_start, d.frequency_length, d.frequency_start};
        for (int r = 0; r < 4; r++)
            memcpy(rows[r], draws[r] + i * counts[r / 2], (size_t)counts[r / 2] * sizeof(float));
        for (int64_t j = 0; j < FRAMES * AP_SPEECH_BINS; j++) got[j] = 1;
        ap_spec_augment_apply(&options, &d, FRAMES, count_valid(FRAMES, paddings + i * FRAMES), got);
        for (int64_t j = 0; j < FRAMES * AP_SPEECH_BINS; j++)
            CHECK_NEAR(got[j], want[i * FRAMES * AP_SPEECH_BINS + j], 0);
    }
    for (int i = 0; i < 4; i++) free(draws[i]);
    free(paddings), free(want);
}
static void test_spec_augment(void) {
    hid_t file;
    CHECK_INT(ap_h5_open(AP_TEST_FIXTURES "/specaugment.h5", &file, NULL), AP_OK);
    check_masks(file, "default", (ap_spec_augment){10, 2});
    check_masks(file, "norm_and_spec_aug", (ap_spec_augment){15, 4});
    ap_h5_close(file);
}

/* Draws of an example are its own, and uniform in [0, 1). */
static void test_draws(void) {
    const ap_random stream = ap_random_stream(1, AP_RANDOM_AUGMENT, 5, 2);
    ap_spec_draws a, b;
    ap_spec_augment_draw(&stream, 0, &a);
    ap_spec_augment_draw(&stream, 1, &b);
    CHECK(memcmp(&a, &b, sizeof a) != 0);
    for (int i = 0; i < AP_SPEC_MASKS; i++) CHECK(a.time_length[i] >= 0 && a.frequency_start[i] < 1);
    CHECK_NEAR(a.time_start[0], ap_random_uniform(&stream, AP_SPEC_MASKS), 0);
}

/* Tones below 3.6 kHz at 8 kHz become the same tones at 16 kHz, but for the rounding to integers. */
static void test_double_rate(void) {
    enum { N = 2000, EDGE = 40 };
    static int16_t slow[N], fast[2 * N];
    for (double hertz = 110; hertz < 3600; hertz += 317.3) {
        const double turn = 6.283185307179586 * hertz / AP_SPEECH_RATE;
        for (int i = 0; i < N; i++) slow[i] = (int16_t)lrint(12000 * sin(turn * 2 * i));
        ap_speech_double_rate(N, slow, fast);
        for (int i = 0; i < 2 * N; i += 2) CHECK_INT(fast[i], slow[i / 2]);
        for (int i = 2 * EDGE + 1; i < 2 * (N - EDGE); i += 2)
            CHECK_NEAR(fast[i], 12000 * sin(turn * i), 2); /* of rounded samples */
    }
    for (int i = 0; i < N; i++) slow[i] = i < N / 2 ? 32767 : -32768; /* overshoots: kept within 16 bits */
    ap_speech_double_rate(N, slow, fast);
    for (int i = 2 * EDGE + 1; i < N - 2 * EDGE; i += 2) CHECK(fast[i] > 32700);
    ap_speech_double_rate(0, slow, fast);
    ap_speech_double_rate(1, slow, fast);
    CHECK_INT(fast[0], 32767);
}

AP_TEST_MAIN(test_log_mel, test_double_rate, test_frames, test_spec_augment, test_draws)
