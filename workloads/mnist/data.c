/* Images for mnist: what the model sees (collate), the built-in synthetic set, and the published files (prepare). */
#include "workloads/mnist/mnist.h"
#include "workloads/vision/prepare.h"

#include "base/random.h"

#include <inttypes.h>
#include <string.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10, INPUTS = 0, TARGETS = 1, FIELDS = 2 };

/* ---- collate */

/* (x / pixel_max - 0.1307) / 0.3081 in float32, each operation rounded once, as the reference computes it (its
 * constants are float32 there, too). The published pipeline has no division: pixel_max = 1, and x / 1 = x exactly. With
 * one channel [28, 28, 1] and [1, 28, 28] are the same bytes. */
static void normalize(const uint8_t *pixels, float pixel_max, float *out) {
    for (int i = 0; i < PIXELS; i++) out[i] = ((float)pixels[i] / pixel_max - 0.1307f) / 0.3081f;
}

ap_status ap_mnist_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                           int64_t padded_to, ap_batch *batch, ap_error *error) {
    const ap_mnist_model *m = model;
    if (m->input != PIXELS)
        return ap_fail(error, AP_CONFIG, "model option input = %" PRId64 " (these images have %d pixels)", m->input,
                       PIXELS);
    float *inputs = ap_batch_add(batch, "inputs", AP_F32, 4, (int64_t[]){padded_to, 1, SIDE, SIDE});
    int64_t *targets = ap_batch_add(batch, "targets", AP_I64, 1, &padded_to);
    bool weighted = padded_to > n || !key->training;
    float *weights = weighted ? ap_batch_add(batch, "weights", AP_F32, 1, &padded_to) : NULL;
    if (!inputs || !targets || (weighted && !weights))
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for a batch of %" PRId64 " images", padded_to);
    for (int64_t i = 0; i < n; i++) {
        uint8_t label = *(const uint8_t *)examples[i].data[TARGETS];
        if (label >= m->classes)
            return ap_fail(error, AP_DATA, "label %d (the model has %" PRId64 " classes)", label, m->classes);
        normalize(examples[i].data[INPUTS], (float)m->pixel_max, inputs + i * PIXELS);
        targets[i] = label;
    }
    memset(inputs + n * PIXELS, 0, (size_t)((padded_to - n) * PIXELS) * sizeof *inputs);
    memset(targets + n, 0, (size_t)(padded_to - n) * sizeof *targets);
    for (int64_t i = 0; weighted && i < padded_to; i++) weights[i] = i < n ? 1.0f : 0.0f;
    batch->examples = padded_to;
    batch->real_examples = n;
    return AP_OK;
}

/* ---- the synthetic set
 * An image is two strokes, one of four (A) and one of five (B): 20 pairs, two for each of ten classes. Class c is pairs
 * k = 2c and 2c + 1, pair k being strokes A[k mod 4] and B[k mod 5], so both of a class's pairs differ in both strokes
 * while the mixed pairs belong to other classes: no sum of evidence for single strokes tells the classes apart, a
 * linear classifier fails where a hidden layer learns the conjunctions. Every image is bent, turned, sheared, scaled
 * and shifted at random, a stray stroke crosses it, a patch may be hidden, and noise lies over all; some of it
 * destroys what tells the classes apart, so nothing reaches 100 %.
 *
 * Integer arithmetic on Philox draws only: the same bytes on every machine. About 12 us an image. */

enum { FIXED = 256, POINTS = 24, DRAWS = 512, GEOMETRY_DRAWS = 120 };
typedef struct point {
    int x, y; /* in 1/FIXED pixel */
} point;
typedef struct stroke {
    point control[3]; /* of a quadratic Bezier curve, in pixels */
} stroke;

static const stroke strokes_a[4] = {{{{8, 5}, {7, 14}, {8, 23}}},
                                    {{{6, 9}, {21, 3}, {14, 17}}},
                                    {{{5, 22}, {15, 14}, {10, 5}}},
                                    {{{5, 8}, {13, 6}, {22, 9}}}};
static const stroke strokes_b[5] = {{{{6, 20}, {14, 22}, {23, 19}}},
                                    {{{20, 5}, {21, 14}, {19, 23}}},
                                    {{{9, 10}, {16, 14}, {22, 22}}},
                                    {{{12, 22}, {25, 18}, {16, 9}}},
                                    {{{7, 13}, {15, 27}, {22, 12}}}};

/* Random draws, 24 bits each, consumed in order. */
typedef struct draws {
    float bits[DRAWS]; /* integers below 2^24, exact in float32 */
    int next;
} draws;

/* Uniform in [low, high]. */
static int between(draws *d, int low, int high) {
    uint64_t bits = (uint64_t)d->bits[d->next++];
    return low + (int)(bits * (uint64_t)(high - low + 1) >> 24);
}

/* Sum of two uniforms: most are small. */
static int around_zero(draws *d, int reach) {
    return (between(d, -reach, reach) + between(d, -reach, reach)) / 2;
}

/* Everything about one image that all its strokes share: x' = center + matrix (x - center) + shift. */
typedef struct pose {
    int matrix[2][2]; /* in 1/1024 */
    point shift;
    int radius_squared, gain; /* ink at squared distance d2 < radius_squared: gain (radius_squared - d2) / 2^16 */
} pose;

static pose draw_pose(draws *d) {
    pose p;
    int turn = around_zero(d, 180), shear = around_zero(d, 120);
    p.matrix[0][0] = 1024 + around_zero(d, 140);
    p.matrix[1][1] = 1024 + around_zero(d, 140);
    p.matrix[0][1] = -turn + shear;
    p.matrix[1][0] = turn;
    p.shift = (point){around_zero(d, 2 * FIXED), around_zero(d, 2 * FIXED)};
    int radius = between(d, 310, 470);
    p.radius_squared = radius * radius;
    p.gain = (between(d, 160, 255) << 16) / p.radius_squared;
    return p;
}

static point place(const pose *p, point at) {
    enum { CENTER = SIDE / 2 * FIXED };
    int x = at.x - CENTER, y = at.y - CENTER;
    return (point){CENTER + (p->matrix[0][0] * x + p->matrix[0][1] * y) / 1024 + p->shift.x,
                   CENTER + (p->matrix[1][0] * x + p->matrix[1][1] * y) / 1024 + p->shift.y};
}

static void ink(const pose *p, point at, uint8_t *image) {
    int left = at.x / FIXED - 2, top = at.y / FIXED - 2;
    for (int y = top < 0 ? 0 : top; y < top + 5 && y < SIDE; y++)
        for (int x = left < 0 ? 0 : left; x < left + 5 && x < SIDE; x++) {
            int dx = x * FIXED - at.x, dy = y * FIXED - at.y;
            int value = (p->radius_squared - dx * dx - dy * dy) * p->gain / 65536;
            if (value > image[y * SIDE + x]) image[y * SIDE + x] = (uint8_t)value;
        }
}

/* Bends the stroke by moving its control points, and draws it. */
static void draw_stroke(draws *d, const pose *p, const stroke *s, int bend, uint8_t *image) {
    point c[3];
    for (int i = 0; i < 3; i++) {
        point moved = {s->control[i].x * FIXED + around_zero(d, bend), s->control[i].y * FIXED + around_zero(d, bend)};
        c[i] = place(p, moved);
    }
    for (int t = 0; t <= POINTS; t++) {
        int u = POINTS - t, a = u * u, b = 2 * u * t, e = t * t;
        point at = {(a * c[0].x + b * c[1].x + e * c[2].x) / (POINTS * POINTS),
                    (a * c[0].y + b * c[1].y + e * c[2].y) / (POINTS * POINTS)};
        ink(p, at, image);
    }
}

static void draw_stray_stroke(draws *d, const pose *p, uint8_t *image) {
    int x = between(d, 3, 24), y = between(d, 3, 24), dx = between(d, -5, 5), dy = between(d, -5, 5);
    stroke s = {{{x - dx, y - dy}, {x, y}, {x + dx, y + dy}}};
    draw_stroke(d, p, &s, FIXED, image);
}

static void hide_patch(draws *d, uint8_t *image) {
    bool hidden = between(d, 0, 1) == 0;
    int w = between(d, 4, 8), h = between(d, 4, 8), left = between(d, 0, SIDE - w), top = between(d, 0, SIDE - h);
    for (int y = top; hidden && y < top + h; y++) memset(image + y * SIDE + left, 0, (size_t)w);
}

/* 12 bits a pixel: additive noise of an image-wide strength, and one pixel in 64 replaced. */
static void add_noise(draws *d, uint8_t *image) {
    int strength = between(d, 8, 48);
    const float *bits = d->bits + GEOMETRY_DRAWS;
    for (int i = 0; i < PIXELS; i++) {
        uint32_t both = (uint32_t)bits[i / 2];
        int r = (int)(i % 2 ? both >> 12 : both & 0xfff); /* [0, 4096) */
        int value = r % 64 == 0 ? r >> 4 : image[i] + (r - 2048) * strength / 2048;
        image[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    (void)model;
    draws d = {.next = 0};
    AP_TRY(ap_example_reserve(example, FIELDS, ap_mnist_generator.field, NULL, error));
    ap_random stream = ap_random_stream(seed, AP_RANDOM_SYNTHETIC, (uint64_t)index, (uint32_t)split);
    ap_random_fill_uniform(&stream, 0, DRAWS, 0.0f, 16777216.0f, d.bits);

    uint8_t *image = example->data[INPUTS];
    int label = between(&d, 0, CLASSES - 1), pair = 2 * label + between(&d, 0, 1);
    pose p = draw_pose(&d);
    memset(image, 0, PIXELS);
    draw_stroke(&d, &p, &strokes_a[pair % 4], 3 * FIXED / 2, image);
    draw_stroke(&d, &p, &strokes_b[pair % 5], 3 * FIXED / 2, image);
    draw_stray_stroke(&d, &p, image);
    hide_patch(&d, image);
    add_noise(&d, image);
    *(uint8_t *)example->data[TARGETS] = (uint8_t)label;
    return AP_OK;
}

const ap_generator ap_mnist_generator = {
    .name = "synthetic",
    .fields = FIELDS,
    .field = {{.name = "inputs", .type = AP_U8, .rank = 3, .shape = {SIDE, SIDE, 1}},
              {.name = "targets", .type = AP_U8}},
    .generate = generate};

/* ---- prepare: MNIST's and Fashion-MNIST's own files */

static void store(const uint8_t *image, uint8_t label, ap_example *stored) {
    memcpy(stored->data[INPUTS], image, PIXELS);
    *(uint8_t *)stored->data[TARGETS] = label;
}

ap_status ap_mnist_plan(const ap_prepare_options *options, ap_prepare_plan *plan, ap_error *error) {
    const ap_image_pack form = {.fields = FIELDS, .field = ap_mnist_generator.field, .store = store};
    /* The published split: the last 10,000 of 60,000 are for validation. */
    return ap_plan_idx(options, SIDE, CLASSES, 6, &form, plan, error);
}
