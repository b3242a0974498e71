/* Photographs for the ImageNet workloads: decoding, resizing, crops, RandAugment, mixup. */
#include "data/jpeg.h"
#include "data_scratch.h"
#include "workloads/imagenet_vit/imagenet_vit.h"
#include "workloads/vision/photo.h"
#include "workloads/vision/randaugment.h"
#include "workloads/vision/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#ifdef AP_HAVE_JPEG
#include <stdio.h>

#include <jpeglib.h>
#endif

static ap_error error;

/* FNV-1a: the golden numbers below are of the bytes that Pillow 10.4 and torchvision 0.29 made of the same image. */
static uint64_t hash(const uint8_t *bytes, size_t n) {
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++) h = (h ^ bytes[i]) * 0x100000001b3u;
    return h;
}

static uint8_t *make_image(int h, int w) {
    uint8_t *pixels = malloc((size_t)(h * w * 3));
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < 3; c++)
                pixels[(y * w + x) * 3 + c] =
                    (uint8_t)((y * 3 + x * 2 + c * 50 + ((x * y) % 17) * 9 + (x * x) / 31) % 200 + 20);
    return pixels;
}

/* ---- against Pillow and torchvision */

static void test_resize_is_pillows(void) {
    static const struct {
        int h, w, to_h, to_w;
        uint64_t hash;
    } golden[] = {{375, 500, 224, 224, 0x8aae9e33f1cff33bu},
                  {375, 500, 256, 341, 0x61ff43ed4daaf11bu},
                  {40, 30, 224, 224, 0x6cb5f1178b0993f0u},
                  {1, 7, 16, 16, 0x0cf0e56b33df3d40u},
                  {375, 500, 300, 600, 0xff784a0d59c3eb2cu}};
    for (size_t k = 0; k < sizeof golden / sizeof *golden; k++) {
        const int h = golden[k].h, w = golden[k].w, to_h = golden[k].to_h, to_w = golden[k].to_w;
        uint8_t *image = make_image(h, w), *out = malloc((size_t)(to_h * to_w * 3)), *part = malloc(5 * 6 * 3);
        const ap_image_view view = {image, h, w, w * 3};
        CHECK_OK(ap_image_resize(view, to_h, to_w, 0, 0, to_h, to_w, out, &error));
        CHECK(hash(out, (size_t)(to_h * to_w * 3)) == golden[k].hash);
        CHECK_OK(ap_image_resize(view, to_h, to_w, 7, 3, 5, 6, part, &error)); /* a part equals that of the whole */
        for (int y = 0; y < 5; y++) CHECK(!memcmp(part + y * 18, out + ((y + 7) * to_w + 3) * 3, 18));
        free(image), free(out), free(part);
    }
}

static void test_augmentations_are_torchvisions(void) {
    static const struct {
        int operation, sign;
        uint64_t hash;
    } golden[] = {{AP_AUGMENT_SHEAR_X, 1, 0x9329ec37a9879277u},      {AP_AUGMENT_SHEAR_X, -1, 0xc35a4bcfda449896u},
                  {AP_AUGMENT_SHEAR_Y, 1, 0xdf6e60c9dfdaef2fu},      {AP_AUGMENT_SHEAR_Y, -1, 0x3ffd8b0678a5d540u},
                  {AP_AUGMENT_TRANSLATE_X, 1, 0x47d9097e386be63du},  {AP_AUGMENT_TRANSLATE_X, -1, 0x65cfb4136d4330d5u},
                  {AP_AUGMENT_TRANSLATE_Y, 1, 0x56267ae3bd1444acu},  {AP_AUGMENT_TRANSLATE_Y, -1, 0x71d02cc3747d744au},
                  {AP_AUGMENT_ROTATE, 1, 0x46007e295930ecf8u},       {AP_AUGMENT_ROTATE, -1, 0x48cea8a61b753ab8u},
                  {AP_AUGMENT_BRIGHTNESS, 1, 0x30fdd84a9208d7f8u},   {AP_AUGMENT_COLOUR, 1, 0x1439b4520069cfcfu},
                  {AP_AUGMENT_CONTRAST, 1, 0x4c9fd6376c8c1206u},     {AP_AUGMENT_SHARPNESS, 1, 0xb184f9075446d76eu},
                  {AP_AUGMENT_POSTERIZE, 1, 0xa57e81711a0af3d0u},    {AP_AUGMENT_SOLARIZE, 1, 0x716ebbcaac595b44u},
                  {AP_AUGMENT_SOLARIZE_ADD, 1, 0xce95f74e4f48d530u}, {AP_AUGMENT_AUTO_CONTRAST, 1, 0x46ae0c51d0d9005eu},
                  {AP_AUGMENT_EQUALIZE, 1, 0x6e295aec3e773579u},     {AP_AUGMENT_INVERT, 1, 0x83ae8cc0535bb85cu},
                  {AP_AUGMENT_CUTOUT, 1, 0xafb3c81707f09e4au}};
    enum { H = 224, W = 200 };
    uint8_t *scratch_pixels = malloc(H * W * 3);
    for (size_t k = 0; k < sizeof golden / sizeof *golden; k++) {
        uint8_t *image = make_image(H, W);
        ap_augment(golden[k].operation, golden[k].sign, 0.25f, 0.75f, H, W, image, scratch_pixels);
        if (hash(image, H * W * 3) != golden[k].hash)
            printf("operation %d, sign %d: other pixels\n", golden[k].operation, golden[k].sign), ap_check_failures++;
        free(image);
    }
    free(scratch_pixels);
}

static void test_augmentations_of_odd_images(void) {
    for (int h = 1; h <= 3; h++)
        for (int w = 1; w <= 3; w++)
            for (int k = 0; k < AP_AUGMENTS; k++) {
                uint8_t *image = make_image(h, w), room[27];
                ap_augment(k, -1, 0.999f, 0, h, w, image, room);
                free(image);
            }
    uint8_t even[12], room[12];
    memset(even, 77, sizeof even); /* one value: nothing to stretch */
    ap_augment(AP_AUGMENT_AUTO_CONTRAST, 1, 0, 0, 2, 2, even, room);
    ap_augment(AP_AUGMENT_EQUALIZE, 1, 0, 0, 2, 2, even, room);
    for (int i = 0; i < 12; i++) CHECK_INT(even[i], 77);
}

/* ---- the cubic, against the formula without a table */

static double keys(double x) {
    x = fabs(x);
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

static double cubic_at(const uint8_t *image, int side_in, double y, double x, int c) {
    double sum = 0, total = 0;
    for (int i = 0; i < side_in; i++)
        for (int j = 0; j < side_in; j++) {
            const double weight = keys(y - i) * keys(x - j);
            sum += weight * image[(i * side_in + j) * 3 + c];
            total += weight;
        }
    return sum / total;
}

static void test_bicubic(void) {
    enum { IN = 23, OUT = 10 };
    uint8_t *image = make_image(IN, IN);
    float out[OUT * OUT * 3];
    double worst = 0;
    CHECK_OK(ap_image_resize_bicubic((ap_image_view){image, IN, IN, IN * 3}, OUT, out, &error));
    for (int i = 0; i < OUT; i++)
        for (int j = 0; j < OUT; j++)
            for (int c = 0; c < 3; c++) {
                const double y = (i + 0.5) * IN / OUT - 0.5, x = (j + 0.5) * IN / OUT - 0.5;
                const double off = fabs(out[(i * OUT + j) * 3 + c] - cubic_at(image, IN, y, x, c));
                worst = off > worst ? off : worst;
            }
    CHECK(worst < 0.3); /* places are rounded to 1/1024: slope up to 200 a pixel */
    free(image);
}

/* ---- the training crop */

static void test_random_box(void) {
    enum { N = 4000, H = 300, W = 400 };
    double area = 0, tallest = 0, widest = 0;
    for (int n = 0; n < N; n++) {
        float draws[64];
        ap_image_draws(&(ap_collate_key){.seed = 3, .step = n}, 0, AP_CROP_DRAWS, draws);
        const ap_image_box box = ap_image_random_box(H, W, draws);
        CHECK(box.h >= 1 && box.w >= 1 && box.top >= 0 && box.left >= 0);
        CHECK(box.top + box.h <= H && box.left + box.w <= W);
        const double share = (double)(box.h * box.w) / (H * W), aspect = (double)box.w / (double)box.h;
        CHECK(share > 0.078 && aspect > 0.74 && aspect < 1.35);
        area += share / N;
        tallest = (double)box.h > tallest ? (double)box.h : tallest;
        widest = (double)box.w > widest ? (double)box.w : widest;
    }
    /* 0.432 by the formula in Python with numbers of its own; five sigma = 0.02 */
    CHECK(area > 0.412 && area < 0.452);
    CHECK(tallest > 0.98 * H && widest > 0.95 * W);
    const float large[AP_CROP_DRAWS] = {[0] = 0.99f, 0.99f}; /* a strip: no try with this area fits */
    float draws[AP_CROP_DRAWS];
    for (int i = 0; i < AP_CROP_DRAWS; i++) draws[i] = large[i % 2];
    const ap_image_box strip = ap_image_random_box(10, 1000, draws);
    CHECK_INT(strip.h, 10);
    CHECK_INT(strip.w, 13); /* 10 x 4/3, rounded */
    CHECK_INT(strip.left, 493);
}

/* ---- JPEG */

#ifdef AP_HAVE_JPEG

static uint8_t *encode(const uint8_t *pixels, int h, int w, int components, J_COLOR_SPACE space, bool progressive,
                       unsigned long *n) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr manager;
    unsigned char *bytes = NULL;
    *n = 0;
    jpeg.err = jpeg_std_error(&manager);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, n);
    jpeg.image_height = (JDIMENSION)h, jpeg.image_width = (JDIMENSION)w;
    jpeg.input_components = components, jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 90, TRUE);
    if (progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)jpeg.next_scanline * (size_t)(w * components));
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return bytes;
}

enum { H = 61, W = 83 };

/* In a process of its own, since the library looks at the variable when it is first used. */
static uint64_t hash_of_a_round(bool progressive, bool without_simd) {
    int ends[2];
    uint64_t h = 0;
    if (pipe(ends)) exit(1);
    const pid_t child = fork();
    if (child == 0) {
        unsigned long n;
        uint8_t *image = make_image(H, W), *pixels = malloc(H * W * 3);
        if (without_simd) setenv("JSIMD_FORCENONE", "1", 1);
        const uint8_t *bytes = encode(image, H, W, 3, JCS_RGB, progressive, &n);
        if (ap_jpeg_decode(bytes, n, H, W, pixels, NULL)) _exit(1);
        h = hash(pixels, H * W * 3);
        _exit(write(ends[1], &h, sizeof h) != sizeof h);
    }
    int status = 1;
    close(ends[1]);
    CHECK_INT(read(ends[0], &h, sizeof h), sizeof h);
    close(ends[0]);
    waitpid(child, &status, 0);
    CHECK_INT(status, 0);
    return h;
}

/* First of the tests with images: this process must not have used the library yet. */
static void test_pixels_do_not_depend_on_the_cpu(void) {
    for (int progressive = 0; progressive < 2; progressive++)
        CHECK(hash_of_a_round(progressive, false) == hash_of_a_round(progressive, true));
}

static void test_colour_spaces(void) {
    unsigned long n;
    uint8_t *image = make_image(H, W * 4 / 3 + 1), *pixels = malloc(H * W * 3);
    int64_t h, w;
    unsigned char *bytes = encode(image, H, W, 1, JCS_GRAYSCALE, false, &n);
    CHECK_OK(ap_jpeg_size(bytes, n, &h, &w, &error));
    CHECK_INT(h, H);
    CHECK_INT(w, W);
    CHECK_OK(ap_jpeg_decode(bytes, n, H, W, pixels, &error));
    int wrong = 0, far = 0;
    for (int i = 0; i < H * W; i++) {
        wrong += pixels[3 * i] != pixels[3 * i + 1] || pixels[3 * i] != pixels[3 * i + 2];
        far += abs(pixels[3 * i] - image[i]) > 60;
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(far, 0);
    free(bytes);
    uint8_t inks[H * W * 4]; /* inverted, as Adobe's are: 255 = no ink */
    for (int i = 0; i < H * W; i++) memcpy(inks + 4 * i, (uint8_t[]){200, 100, 50, 128}, 4);
    bytes = encode(inks, H, W, 4, JCS_CMYK, false, &n);
    CHECK_OK(ap_jpeg_decode(bytes, n, H, W, pixels, &error));
    /* nk = 128, colours 128 - 128 (255 - ink) / 255 = 100.4, 50.2, 25.1, within what the compression loses */
    CHECK(abs(pixels[0] - 100) <= 2 && abs(pixels[1] - 50) <= 2 && abs(pixels[2] - 25) <= 2);
    free(bytes);
    bytes = encode(image, H, W, 2, JCS_UNKNOWN, false, &n);
    CHECK_INT(ap_jpeg_decode(bytes, n, H, W, pixels, &error), AP_DATA);
    CHECK_TEXT(error.text, "unknown colour space");
    free(bytes), free(image), free(pixels);
}

static void test_damaged(void) {
    unsigned long n;
    uint8_t *image = make_image(H, W), *pixels = malloc(H * W * 3), *bytes = encode(image, H, W, 3, JCS_RGB, false, &n);
    CHECK_OK(ap_jpeg_decode(bytes, n, H, W, pixels, &error));
    CHECK_INT(ap_jpeg_decode(bytes, n - 200, H, W, pixels, &error), AP_DATA);
    CHECK_TEXT(error.text, "damaged JPEG");
    CHECK_INT(ap_jpeg_decode(bytes, n, H, W + 1, pixels, &error), AP_DATA);
    CHECK_TEXT(error.text, "61 x 83");
    CHECK_INT(ap_jpeg_decode((const uint8_t *)"\x89PNG", 4, H, W, pixels, &error), AP_DATA);
    CHECK_TEXT(error.text, "89 50 4e, so it is not a JPEG");
    CHECK_INT(ap_jpeg_decode(bytes, 0, H, W, pixels, &error), AP_DATA);
    for (unsigned long cut = 0; cut < n; cut += 7) CHECK(ap_jpeg_decode(bytes, cut, H, W, pixels, &error) == AP_DATA);
    for (unsigned long at = 4; at < n; at += 11) { /* flipped bits: refused or pixels, never a crash */
        bytes[at] ^= 0x24;
        (void)ap_jpeg_decode(bytes, n, H, W, pixels, &error);
        bytes[at] ^= 0x24;
    }
    free(bytes), free(image), free(pixels);
}

/* ---- as the models see it */

static void make_example(ap_example *example, int32_t label) {
    unsigned long n;
    uint8_t *image = make_image(H, W), *bytes = encode(image, H, W, 3, JCS_RGB, false, &n);
    const int64_t lengths[AP_IMAGENET_FIELDS] = {(int64_t)n, 2, 1};
    CHECK_OK(ap_example_reserve(example, AP_IMAGENET_FIELDS, ap_imagenet_generator.field, lengths, &error));
    memcpy(example->data[AP_IMAGENET_INPUTS], bytes, n);
    memcpy(example->data[AP_IMAGENET_SIZE], (int32_t[]){H, W}, 8);
    *(int32_t *)example->data[AP_IMAGENET_TARGETS] = label;
    free(bytes), free(image);
}

static ap_imagenet_vit_model model = {.images = {.image_size = 32, .classes = 10}};

static void test_splits_see_their_crops(void) {
    enum { SIDE = 32 };
    ap_example example = {0};
    ap_batch validation = {0}, test = {0}, training = {0}, again = {0};
    make_example(&example, 4);
    CHECK_OK(
        ap_imagenet_collate(&model, &(ap_collate_key){.split = AP_VALIDATION}, 1, &example, 1, &validation, &error));
    CHECK_OK(ap_imagenet_collate(&model, &(ap_collate_key){.split = AP_TEST}, 1, &example, 1, &test, &error));
    const ap_collate_key key = {.seed = 1, .step = 2, .training = true};
    CHECK_OK(ap_imagenet_collate(&model, &key, 1, &example, 1, &training, &error));
    CHECK_OK(ap_imagenet_collate(&model, &key, 1, &example, 1, &again, &error));
    const float *a = ap_batch_f32(&validation, "inputs"), *b = ap_batch_f32(&test, "inputs"),
                *c = ap_batch_f32(&training, "inputs");
    double near = 0;
    for (int i = 0; i < 3 * SIDE * SIDE; i++) near += fabs((double)a[i] - (double)b[i]) / (3 * SIDE * SIDE);
    CHECK(near > 0.01 && near < 0.6); /* about the same part, another interpolation */
    CHECK(memcmp(c, a, 3 * SIDE * SIDE * sizeof *c) && !memcmp(c, ap_batch_f32(&again, "inputs"), 3 * SIDE * SIDE * 4));

    /* The validation crop by hand: 61 x 83 to 37 x 50, of which rows 2 .. 33 and columns 9 .. 40. */
    uint8_t pixels[H * W * 3], part[SIDE * SIDE * 3];
    CHECK_OK(ap_jpeg_decode(example.data[0], (size_t)example.length[0], H, W, pixels, &error));
    CHECK_OK(ap_image_resize((ap_image_view){pixels, H, W, W * 3}, 37, 50, 2, 9, SIDE, SIDE, part, &error));
    CHECK_NEAR(a[0], ((double)part[0] / 255 - 0.485) / 0.229, 1e-5);
    CHECK_NEAR(a[2 * SIDE * SIDE + 5], ((double)part[17] / 255 - 0.406) / 0.225, 1e-5);
    ap_batch_free(&validation), ap_batch_free(&test), ap_batch_free(&training), ap_batch_free(&again);
    ap_example_free(&example);
}

static void test_mixup(void) {
    enum { N = 4, STEPS = 300, SIDE = 32, SIZE = 3 * SIDE * SIDE };
    ap_example examples[N] = {0};
    ap_batch mixed = {0}, plain = {0};
    ap_imagenet_vit_model mixing = model;
    double mean = 0, square = 0;
    mixing.mixup_alpha = 0.2;
    for (int i = 0; i < N; i++) make_example(&examples[i], 2 * i);
    for (int step = 0; step < STEPS; step++) {
        const ap_collate_key key = {.seed = 9, .step = step, .shard = 1, .training = true};
        ap_batch_clear(&mixed);
        CHECK_OK(ap_imagenet_vit_collate(&mixing, &key, N, examples, N, &mixed, &error));
        const ap_array *targets = ap_batch_find(&mixed, "targets");
        if (!targets || targets->type != AP_F32 || targets->size != N * 10) exit(1);
        const float *t = targets->data;
        const float w = t[0], rest = t[2 * 3]; /* example 0 with the last */
        CHECK_NEAR(w + rest, 1, 1e-6);
        for (int i = 0; i < N; i++) CHECK(t[10 * i + 2 * i] == w && t[10 * i + 2 * ((i + N - 1) % N)] == rest);
        mean += w / STEPS, square += w * w / STEPS;
        if (step > 3) continue;
        ap_batch_clear(&plain);
        CHECK_OK(ap_imagenet_vit_collate(&model, &key, N, examples, N, &plain, &error));
        const float *x = ap_batch_f32(&plain, "inputs"), *y = ap_batch_f32(&mixed, "inputs");
        for (int i = 0; i < N; i++)
            for (int k = 0; k < SIZE; k += 101)
                CHECK_NEAR(y[i * SIZE + k], w * x[i * SIZE + k] + rest * x[(i + N - 1) % N * SIZE + k], 1e-5);
    }
    /* Beta(0.2, 0.2): mean 1/2, variance 0.25 / 1.4 = 0.179; five sigma of the mean = 0.12 */
    CHECK(fabs(mean - 0.5) < 0.12 && fabs(square - mean * mean - 0.179) < 0.05);
    ap_batch_clear(&plain);
    CHECK_OK(ap_imagenet_vit_collate(&mixing, &(ap_collate_key){0}, 1, examples, 1, &plain, &error));
    CHECK_INT(ap_batch_i64(&plain, "targets")[0], 0); /* evaluation has labels */
    for (int i = 0; i < N; i++) ap_example_free(&examples[i]);
    ap_batch_free(&mixed), ap_batch_free(&plain);
}

AP_TEST_MAIN(test_resize_is_pillows, test_augmentations_are_torchvisions, test_augmentations_of_odd_images,
             test_bicubic, test_random_box, test_pixels_do_not_depend_on_the_cpu, test_colour_spaces, test_damaged,
             test_splits_see_their_crops, test_mixup)
#else
static void test_absence_is_said(void) {
    CHECK(!ap_jpeg_available());
    CHECK_INT(ap_jpeg_size((const uint8_t *)"", 0, NULL, NULL, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "libjpeg62-turbo-dev");
}

AP_TEST_MAIN(test_resize_is_pillows, test_augmentations_are_torchvisions, test_augmentations_of_odd_images,
             test_bicubic, test_random_box, test_absence_is_said)
#endif
