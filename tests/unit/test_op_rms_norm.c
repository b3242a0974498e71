/* ap_rms_norm, ap_unit_rows, ap_rotary, ap_scale_learned against their twins. */
#include "gradient.h"

enum { N = 2, STEPS = 3, HEADS = 2, D = 4, WIDTH = HEADS * D, SIZE = N * STEPS * WIDTH };
enum { RMS, UNIT, ROTARY, LEARNED };
static const float cosine[STEPS * D / 2] = {1, 1, 0.5f, 0.9f, -0.4f, 0.7f},
                                      sine[STEPS * D / 2] = {0, 0, 0.8f, 0.4f, 0.9f, -0.7f};

static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    switch (*(const int *)user) {
    case RMS: return ap_rms_norm(tape, x[0], x[1], 1e-3f);
    case UNIT: return ap_unit_rows(tape, x[0], D, 0.05f);
    case ROTARY: return ap_rotary(tape, x[0], HEADS, cosine, sine);
    default: return ap_scale_learned(tape, x[0], x[1]);
    }
}

static double square_of(const double *x, int n) {
    double sum = 0;
    for (int j = 0; j < n; j++) sum += x[j] * x[j];
    return sum;
}

static void twin(const double *const *x, double *y, const void *user) {
    for (int i = 0; i < SIZE; i++) {
        const int row = i / WIDTH, step = row % STEPS, pair = i % D / 2, angle = step * (D / 2) + pair;
        switch (*(const int *)user) {
        case RMS: y[i] = x[0][i] / sqrt(square_of(x[0] + row * WIDTH, WIDTH) / WIDTH + 1e-3) * x[1][i % WIDTH]; break;
        case UNIT: y[i] = x[0][i] / sqrt(square_of(x[0] + i / D * D, D)) + 0.05; break;
        case ROTARY:
            y[i] = i % 2 ? x[0][i] * (double)cosine[angle] + x[0][i - 1] * (double)sine[angle]
                         : x[0][i] * (double)cosine[angle] - x[0][i + 1] * (double)sine[angle];
            break;
        default: y[i] = x[0][i] * x[1][0];
        }
    }
}

static void check_kind(int kind, int inputs, int64_t second) {
    gradient_check(&(gradient_case){.name = "rms norm and rotary",
                                    .inputs = inputs,
                                    .input = {{3, {N, STEPS, WIDTH}}, {1, {second}}},
                                    .range = 2,
                                    .op = op,
                                    .twin = twin,
                                    .outputs = SIZE,
                                    .user = &kind,
                                    .tolerance = 3e-6});
}
static void test_gradients(void) {
    check_kind(RMS, 2, WIDTH);
    check_kind(UNIT, 1, 0);
    check_kind(ROTARY, 1, 0);
    check_kind(LEARNED, 2, 1);
}

AP_TEST_MAIN(test_gradients)
