#include "workloads/vision/synthetic.h"

#include "base/fmath.h"
#include "base/random.h"

#include <math.h>

/* Elements of the example's stream. */
enum { LABEL = 0, SHAPE = 4, NOISE = 64 };
enum { LEAST_SILHOUETTES = 4, LEAST_TEXTURES = 5, TEXTURE_KINDS = 5 };

static ap_random stream_of(uint64_t seed, ap_split split, int64_t index) {
    return ap_random_stream(seed, AP_RANDOM_SYNTHETIC, (uint64_t)index, (uint32_t)split);
}

int64_t ap_synthetic_label(uint64_t seed, ap_split split, int64_t index, int64_t classes) {
    const ap_random stream = stream_of(seed, split, index);
    return (int64_t)((uint64_t)ap_random_bits(&stream, LABEL) * (uint64_t)classes >> 32);
}

/* Draws of one image, in order. */
typedef struct draws {
    ap_random stream;
    uint64_t next;
    double turn; /* forms and textures: up to so many radians */
} draws;
static double uniform(draws *d, double low, double high) {
    return low + (high - low) * (double)ap_random_uniform(&d->stream, d->next++);
}

/* ---- texture: a value in [-1, 1] at a place, of period about 1 */

typedef struct texture {
    int64_t kind;
    double cosine, sine, x0, y0; /* turned and moved */
    double frequency;            /* a pixel */
} texture;

/* cos(2 pi turns), between the WAVES + 1 values of a table, one period */
enum { WAVES = 256 };
static double wave(const double *table, double turns) {
    const double at = fabs(turns) * WAVES, whole = (double)(int64_t)at;
    const int64_t i = (int64_t)at % WAVES;
    return table[i] + (at - whole) * (table[i + 1] - table[i]);
}

static texture draw_texture(draws *d, int64_t number, double frequency) {
    const double angle = uniform(d, -d->turn, d->turn);
    texture t = {.kind = number % TEXTURE_KINDS, .cosine = ap_f64_cos(angle), .sine = ap_f64_sin(angle)};
    t.x0 = uniform(d, 0, 32), t.y0 = uniform(d, 0, 32);
    t.frequency = frequency * uniform(d, 0.85, 1.15) * (1 + 0.6 * (double)(number / TEXTURE_KINDS));
    return t;
}

static double texture_at(const texture *t, const double *table, double x, double y) {
    const double u = (t->cosine * (x - t->x0) + t->sine * (y - t->y0)) * t->frequency;
    const double v = (t->cosine * (y - t->y0) - t->sine * (x - t->x0)) * t->frequency;
    switch (t->kind) {
    case 0: return wave(table, u);                                      /* stripes */
    case 1: return wave(table, 0.45 * u);                               /* broad stripes */
    case 2: return wave(table, 0.75 * u) * wave(table, 0.75 * v);       /* checks */
    case 3: return wave(table, sqrt(u * u + v * v));                    /* rings */
    default: return wave(table, 0.8 * u + 0.5 * wave(table, 0.35 * v)); /* waves */
    }
}

/* ---- silhouette: inside where r < radius (1 + depth cos(lobes * angle)) */

typedef struct silhouette {
    int64_t lobes;
    double x, y, cosine, sine, radius, depth;
} silhouette;

static silhouette draw_silhouette(draws *d, int64_t number, double size) {
    const double angle = uniform(d, -d->turn, d->turn);
    silhouette s = {.lobes = 2 + number, .cosine = ap_f64_cos(angle), .sine = ap_f64_sin(angle)};
    s.x = size * uniform(d, 0.45, 0.55), s.y = size * uniform(d, 0.45, 0.55);
    s.radius = size * uniform(d, 0.27, 0.35), s.depth = uniform(d, 0.3, 0.42);
    return s;
}

/* cos(n a) = real part of (cos a + i sin a)^n */
static bool is_inside(const silhouette *s, double x, double y) {
    const double dx = x - s->x, dy = y - s->y, r = sqrt(dx * dx + dy * dy);
    if (r < 0.5) return true;
    const double c = (s->cosine * dx + s->sine * dy) / r, e = (s->cosine * dy - s->sine * dx) / r;
    double re = 1, im = 0;
    for (int64_t i = 0; i < s->lobes; i++) {
        const double next = re * c - im * e;
        im = re * e + im * c;
        re = next;
    }
    return r < s->radius * (1 + s->depth * re);
}

/* ---- the image */

typedef struct surface {
    texture texture;
    double base[3], contrast[3];
} surface;

/* dark: the lowest level of its colours */
static surface draw_surface(draws *d, int64_t number, double frequency, double strength, double dark) {
    surface s = {.texture = draw_texture(d, number, frequency)};
    const double sign = uniform(d, 0, 1) < 0.5 ? -1 : 1;
    for (int c = 0; c < 3; c++)
        s.base[c] = uniform(d, dark, dark + 90), s.contrast[c] = sign * strength * uniform(d, 25, 60);
    return s;
}

/* Parts of class c: silhouette c mod a and texture c mod b, a and b = a + 1 large enough for all classes to differ. */
static void parts_of(int64_t classes, int64_t label, int64_t *shape, int64_t *fill) {
    int64_t a = LEAST_SILHOUETTES, b = LEAST_TEXTURES;
    while (a * b < classes) a++, b++;
    *shape = label % a, *fill = label % b;
}

void ap_synthetic_image(uint64_t seed, ap_split split, int64_t index, int64_t classes, int64_t size, double turn,
                        uint8_t *pixels) {
    draws d = {stream_of(seed, split, index), SHAPE, turn};
    int64_t shape, fill;
    parts_of(classes, ap_synthetic_label(seed, split, index, classes), &shape, &fill);
    const double frequency = 7.0 / (double)size;
    const silhouette s = draw_silhouette(&d, shape, (double)size);
    const surface front = draw_surface(&d, fill, frequency, 1, 115);
    const surface ground = draw_surface(&d, (int64_t)uniform(&d, 0, TEXTURE_KINDS), frequency, 0.4, 35);
    const double patch = uniform(&d, 0, 1) < 0.5 ? (double)size * 0.12 : 0; /* hides a square, half of the time */
    const double patch_x = uniform(&d, 0, (double)size), patch_y = uniform(&d, 0, (double)size);
    const double noise = uniform(&d, 5, 20);
    double table[WAVES + 1];
    for (int i = 0; i <= WAVES; i++) table[i] = ap_f64_cos(6.283185307179586 * i / WAVES);
    for (int64_t i = 0; i < size * size; i++) {
        const double x = (double)(i % size), y = (double)(i / size);
        const bool hidden = fabs(x - patch_x) < patch && fabs(y - patch_y) < patch;
        const surface *at = is_inside(&s, x, y) ? &front : &ground;
        const double value = hidden ? 0 : texture_at(&at->texture, table, x, y);
        float grain[3];
        ap_random_fill_uniform(&d.stream, NOISE + 4 * (uint64_t)i, 3, -1, 2, grain); /* a block of four a pixel */
        for (int c = 0; c < 3; c++) {
            const double level = (hidden ? 128 : at->base[c] + at->contrast[c] * value) + (double)grain[c] * noise;
            pixels[3 * i + c] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
        }
    }
}
