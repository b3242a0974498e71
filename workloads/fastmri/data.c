/* Slices for fastmri: what the model sees (collate), and the built-in synthetic set: phantoms that look like a section
 * through a limb, measured in k-space. */
#include "workloads/fastmri/fastmri.h"

#include "base/fmath.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- collate */

/* Evaluation: seed 0 for every slice, so equal widths share one mask. Training: the slice's index decides, the same in
 * every epoch. */
static void draw_mask(const ap_collate_key *key, int64_t index, int64_t width, float *draws, float *keep) {
    const ap_random stream =
        ap_random_stream(key->training ? key->seed : 0, AP_RANDOM_AUGMENT, key->training ? (uint64_t)index : 0, 0);
    ap_random_fill_uniform(&stream, 0, (size_t)width, 0, 1, draws);
    ap_fastmri_mask(width, draws, keep);
}

typedef struct arrays {
    float *inputs, *targets, *mean, *std, *volume_max, *weights;
} arrays;

static ap_status add_arrays(const ap_collate_key *key, int64_t n, int64_t padded_to, int64_t size, ap_batch *batch,
                            arrays *a, ap_error *error) {
    const bool weighted = padded_to > n || !key->training;
    const int64_t image[3] = {padded_to, size, size}, pixels = size * size;
    a->inputs = ap_batch_add(batch, "inputs", AP_F32, 3, image);
    a->targets = ap_batch_add(batch, "targets", AP_F32, 3, image);
    a->mean = ap_batch_add(batch, "mean", AP_F32, 1, &padded_to);
    a->std = ap_batch_add(batch, "std", AP_F32, 1, &padded_to);
    a->volume_max = ap_batch_add(batch, "volume_max", AP_F32, 1, &padded_to);
    a->weights = weighted ? ap_batch_add(batch, "weights", AP_F32, 1, &padded_to) : NULL;
    if (!a->inputs || !a->targets || !a->mean || !a->std || !a->volume_max || (weighted && !a->weights))
        return ap_fail(error, AP_ENVIRONMENT, "out of memory for a batch of %lld slices of %lld x %lld pixels",
                       (long long)padded_to, (long long)size, (long long)size);
    memset(a->inputs + n * pixels, 0, (size_t)((padded_to - n) * pixels) * sizeof *a->inputs);
    memset(a->targets + n * pixels, 0, (size_t)((padded_to - n) * pixels) * sizeof *a->targets);
    for (int64_t i = n; i < padded_to; i++) a->mean[i] = a->std[i] = a->volume_max[i] = 0;
    for (int64_t i = 0; weighted && i < padded_to; i++) a->weights[i] = i < n ? 1.0f : 0.0f;
    batch->examples = padded_to;
    batch->real_examples = n;
    return AP_OK;
}

static int64_t target_side(const ap_example *e) {
    return (int64_t)sqrt((double)e->length[AP_FASTMRI_TARGET]);
}

static ap_status check_example(const ap_fastmri_model *m, const ap_example *e, ap_error *error) {
    const int32_t *size = e->data[AP_FASTMRI_SIZE];
    if (size[0] < 1 || size[1] < 1 || e->length[AP_FASTMRI_KSPACE] != 2 * (int64_t)size[0] * size[1])
        return ap_fail(error, AP_DATA, "a slice of %d x %d with %lld numbers in k-space (2 for each point are needed)",
                       size[0], size[1], (long long)e->length[AP_FASTMRI_KSPACE]);
    const int64_t side = target_side(e);
    if (side * side != e->length[AP_FASTMRI_TARGET] || side < m->image_size)
        return ap_fail(error, AP_DATA, "a target image of %lld pixels (a square of at least the model's %lld x %lld)",
                       (long long)e->length[AP_FASTMRI_TARGET], (long long)m->image_size, (long long)m->image_size);
    if (size[0] < side || size[1] < side)
        return ap_fail(error, AP_DATA, "a slice of %d x %d in k-space (its image needs %lld x %lld)", size[0], size[1],
                       (long long)side, (long long)side);
    return AP_OK;
}

/* What of the target the preprocessing takes of the input: the middle [size, size] of [h, w], of which the target is
 * the middle [side, side]. */
static void crop_target(const ap_fastmri_model *m, const ap_example *e, float *out) {
    const int64_t side = target_side(e), size = m->image_size;
    const int32_t *extent = e->data[AP_FASTMRI_SIZE];
    const int64_t top = (extent[0] - size) / 2 - (extent[0] - side) / 2,
                  left = (extent[1] - size) / 2 - (extent[1] - side) / 2;
    const float *target = e->data[AP_FASTMRI_TARGET];
    for (int64_t i = 0; i < size; i++)
        memcpy(out + i * size, target + (top + i) * side + left, (size_t)size * sizeof *out);
}

static ap_status collate_one(const ap_fastmri_model *m, const ap_collate_key *key, const ap_example *e, int64_t i,
                             const arrays *a, ap_error *error) {
    AP_TRY(check_example(m, e, error));
    const int32_t *size = e->data[AP_FASTMRI_SIZE];
    double *work = malloc(ap_fastmri_work(size[0], size[1]) * sizeof *work);
    float *draws = malloc((size_t)(2 * size[1]) * sizeof *draws), *keep = draws ? draws + size[1] : NULL;
    ap_status status = AP_OK;
    if (!work || !draws)
        status = ap_fail(error, AP_ENVIRONMENT, "out of memory for a slice of %d x %d", size[0], size[1]);
    if (!status) {
        draw_mask(key, *(const int64_t *)e->data[AP_FASTMRI_INDEX], size[1], draws, keep);
        const int64_t side = m->image_size, at = i * side * side;
        crop_target(m, e, a->targets + at); /* normalised in place */
        const ap_fastmri_slice slice = {size[0], size[1],        side, side, e->data[AP_FASTMRI_KSPACE],
                                        keep,    a->targets + at};
        status = ap_fastmri_preprocess(&slice, work, a->inputs + at, a->targets + at, &a->mean[i], &a->std[i], error);
        a->volume_max[i] = *(const float *)e->data[AP_FASTMRI_VOLUME_MAX];
    }
    free(work);
    free(draws);
    return status;
}

ap_status ap_fastmri_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                             int64_t padded_to, ap_batch *batch, ap_error *error) {
    const ap_fastmri_model *m = model;
    arrays a;
    AP_TRY(add_arrays(key, n, padded_to, m->image_size, batch, &a, error));
    for (int64_t i = 0; i < n; i++) AP_TRY(collate_one(m, key, &examples[i], i, &a, error));
    return AP_OK;
}

/* ---- the synthetic set
 * A slice is an outer ellipse of soft tissue with a bright rim, and in it bones, vessels and other tissues, ellipses
 * with edges of one pixel, some with a fine texture; over all a smooth shading, a smooth phase, and complex noise.
 * k-space is its Fourier transform, the target the magnitude of the image that all of k-space gives. */

enum { PARTS = 14, SHAPE = 0, NOISE = 1024 };
typedef struct part {
    double x, y, cosine, sine, a, b, value, texture, u, v;
} part;

typedef struct draws {
    ap_random stream;
    uint64_t next;
} draws;
static double uniform(draws *d, double low, double high) {
    return low + (high - low) * (double)ap_random_uniform(&d->stream, d->next++);
}

/* Extents in units of the image's side. */
static part draw_part(draws *d, const part *outer) {
    const double turn = uniform(d, 0, 6.283185307179586), where = uniform(d, 0, 6.283185307179586),
                 far = outer ? 0.75 * sqrt(uniform(d, 0, 1)) : 0;
    part p = {.cosine = ap_f64_cos(turn), .sine = ap_f64_sin(turn)};
    p.x = (outer ? outer->x : 0.5) + (outer ? outer->a * far * ap_f64_cos(where) : uniform(d, -0.04, 0.04));
    p.y = (outer ? outer->y : 0.5) + (outer ? outer->b * far * ap_f64_sin(where) : uniform(d, -0.04, 0.04));
    p.a = outer ? uniform(d, 0.02, 0.14) : uniform(d, 0.32, 0.43);
    p.b = outer ? p.a * uniform(d, 0.35, 1) : uniform(d, 0.3, 0.43);
    if (!outer) p.cosine = 1, p.sine = 0;
    p.value = outer ? uniform(d, -0.35, 0.5) : uniform(d, 0.35, 0.55);
    p.texture = uniform(d, 0, 1) < 0.4 ? uniform(d, 0.03, 0.12) : 0;
    const double frequency = uniform(d, 20, 60), angle = uniform(d, 0, 6.283185307179586);
    p.u = frequency * ap_f64_cos(angle), p.v = frequency * ap_f64_sin(angle);
    return p;
}

/* 1 inside, 0 outside, linear over about a pixel. */
static double cover(const part *p, double x, double y, double pixel) {
    const double dx = x - p->x, dy = y - p->y, u = (p->cosine * dx + p->sine * dy) / p->a,
                 v = (p->cosine * dy - p->sine * dx) / p->b;
    const double inside = (1 - sqrt(u * u + v * v)) * p->b / pixel + 0.5;
    return inside < 0 ? 0 : inside > 1 ? 1 : inside;
}

static double tissue(const part *parts, double x, double y, double pixel) {
    const double body = cover(&parts[0], x, y, pixel);
    if (body == 0) return 0;
    part rim = parts[0];
    rim.a -= 0.02, rim.b -= 0.02;
    double value = parts[0].value + 0.3 * (1 - cover(&rim, x, y, pixel));
    for (int i = 1; i < PARTS; i++) {
        const double c = cover(&parts[i], x, y, pixel);
        if (c == 0) continue;
        const double wave =
            parts[i].texture > 0 ? ap_f64_cos(6.283185307179586 * (parts[i].u * x + parts[i].v * y)) : 0;
        value += c * (parts[i].value * 0.8 + parts[i].texture * wave);
    }
    return body * (value < 0.03 ? 0.03 : value);
}

/* The complex image, shifted so that its transform is k-space with the middle in the middle. */
static void draw_slice(uint64_t seed, ap_split split, int64_t index, int64_t size, double *image) {
    draws d = {ap_random_stream(seed, AP_RANDOM_SYNTHETIC, (uint64_t)index, (uint32_t)split), SHAPE};
    part parts[PARTS];
    parts[0] = draw_part(&d, NULL);
    for (int i = 1; i < PARTS; i++) parts[i] = draw_part(&d, &parts[0]);
    const double shade_x = uniform(&d, -0.5, 0.5), shade_y = uniform(&d, -0.5, 0.5), turn_x = uniform(&d, -2, 2),
                 turn_y = uniform(&d, -2, 2), bend = uniform(&d, -3, 3), noise = uniform(&d, 0.005, 0.02);
    for (int64_t i = 0; i < size * size; i++) {
        const double x = ((double)(i % size) + 0.5) / (double)size, y = ((double)(i / size) + 0.5) / (double)size;
        const double shade = 1 + shade_x * (x - 0.5) + shade_y * (y - 0.5),
                     phase = turn_x * x + turn_y * y + bend * (x - 0.5) * (y - 0.5);
        const double value = tissue(parts, x, y, 1 / (double)size) * shade;
        float grain[2];
        ap_random_fill_normal(&d.stream, NOISE + 2 * (uint64_t)i, 2, 0, (float)noise, grain);
        double *to = image + 2 * ((i / size + (size + 1) / 2) % size * size + (i % size + (size + 1) / 2) % size);
        to[0] = value * ap_f64_cos(phase) + (double)grain[0];
        to[1] = value * ap_f64_sin(phase) + (double)grain[1];
    }
}

static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    const ap_fastmri_model *m = model;
    const int64_t size = m->image_size, pixels = size * size;
    const int64_t lengths[AP_FASTMRI_FIELDS] = {2 * pixels, 2, pixels, 1, 1};
    AP_TRY(ap_example_reserve(example, AP_FASTMRI_FIELDS, ap_fastmri_generator.field, lengths, error));
    double *image = malloc(ap_fastmri_work(size, size) * sizeof *image);
    if (!image) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a slice of %lld pixels", (long long)pixels);
    draw_slice(seed, split, index, size, image);
    float *target = example->data[AP_FASTMRI_TARGET], *kspace = example->data[AP_FASTMRI_KSPACE], max = 0;
    const int64_t half = (size + 1) / 2;
    for (int64_t i = 0; i < pixels; i++) {
        const double *p = image + 2 * ((i / size + half) % size * size + (i % size + half) % size);
        target[i] = (float)sqrt(p[0] * p[0] + p[1] * p[1]);
        if (target[i] > max) max = target[i];
    }
    const bool done = ap_fft2(size, size, false, image, image + 2 * pixels);
    const double scale = 1 / (double)size; /* the transform without a factor, and back with 1/sqrt(h w) */
    for (int64_t i = 0; i < pixels; i++) {
        const int64_t to = (i / size + size / 2) % size * size + (i % size + size / 2) % size;
        for (int c = 0; c < 2; c++) kspace[2 * to + c] = (float)(image[2 * i + c] * scale);
    }
    free(image);
    if (!done)
        return ap_fail(error, AP_CONFIG, "image_size = %lld has a prime factor above %d; choose another",
                       (long long)size, AP_FFT_LARGEST_PRIME);
    int32_t *extents = example->data[AP_FASTMRI_SIZE];
    extents[0] = extents[1] = (int32_t)size;
    *(float *)example->data[AP_FASTMRI_VOLUME_MAX] = max;
    *(int64_t *)example->data[AP_FASTMRI_INDEX] = index;
    return AP_OK;
}

const ap_generator ap_fastmri_generator = {
    .name = "synthetic", .fields = AP_FASTMRI_FIELDS, .field = AP_FASTMRI_FIELD_LIST, .generate = generate};
