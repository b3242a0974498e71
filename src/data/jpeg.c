#include "data/jpeg.h"

#ifdef AP_HAVE_JPEG

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* libjpeg's manager of errors, with the place to go back to. */
typedef struct handler {
    struct jpeg_error_mgr base; /* first */
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
} handler;

static handler *handler_of(j_common_ptr jpeg) {
    return (handler *)(void *)jpeg->err;
}

static void give_up(j_common_ptr jpeg) {
    handler *h = handler_of(jpeg);
    h->base.format_message(jpeg, h->text);
    longjmp(h->back, 1);
}

/* Warnings: these mean that pixels are missing or wrong; others (bytes too many before a marker) do not. */
static void warn(j_common_ptr jpeg, int level) {
    const int code = jpeg->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
                      code == JWRN_ARITH_BAD_CODE || code == JWRN_MUST_RESYNC))
        give_up(jpeg);
}

static ap_status start(struct jpeg_decompress_struct *jpeg, handler *h, const uint8_t *bytes, size_t n,
                       ap_error *error) {
    if (n < 3 || bytes[0] != 0xff || bytes[1] != 0xd8 || bytes[2] != 0xff)
        return ap_fail(error, AP_DATA, "begins with %02x %02x %02x, so it is not a JPEG image (ff d8 ff)",
                       n > 0 ? bytes[0] : 0, n > 1 ? bytes[1] : 0, n > 2 ? bytes[2] : 0);
    memset(jpeg, 0, sizeof *jpeg);
    jpeg->err = jpeg_std_error(&h->base);
    h->base.error_exit = give_up;
    h->base.emit_message = warn;
    return AP_OK;
}

/* Within setjmp. */
static ap_status read_header(struct jpeg_decompress_struct *jpeg, const uint8_t *bytes, size_t n, ap_error *error) {
    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, bytes, n);
    jpeg_read_header(jpeg, TRUE);
    const int colours = jpeg->num_components;
    const bool known = (jpeg->jpeg_color_space == JCS_GRAYSCALE && colours == 1) ||
                       ((jpeg->jpeg_color_space == JCS_YCbCr || jpeg->jpeg_color_space == JCS_RGB) && colours == 3) ||
                       ((jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK) && colours == 4);
    if (!known)
        return ap_fail(error, AP_DATA,
                       "JPEG of %d components in an unknown colour space (grey, YCbCr, RGB, CMYK and YCCK are read)",
                       colours);
    if ((int64_t)jpeg->image_height * jpeg->image_width > AP_JPEG_LARGEST)
        return ap_fail(error, AP_DATA, "JPEG of %u x %u pixels (at most %d in all)", jpeg->image_height,
                       jpeg->image_width, AP_JPEG_LARGEST);
    return AP_OK;
}

ap_status ap_jpeg_size(const uint8_t *bytes, size_t n, int64_t *height, int64_t *width, ap_error *error) {
    struct jpeg_decompress_struct jpeg;
    handler h;
    AP_TRY(start(&jpeg, &h, bytes, n, error));
    ap_status status;
    if (setjmp(h.back) == 0) {
        status = read_header(&jpeg, bytes, n, error);
        *height = jpeg.image_height, *width = jpeg.image_width;
    } else {
        status = ap_fail(error, AP_DATA, "damaged JPEG: %s", h.text);
    }
    jpeg_destroy_decompress(&jpeg);
    return status;
}

static void widen_grey(uint8_t *row, int64_t w) {
    for (int64_t x = w - 1; x >= 0; x--) row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = row[x];
}

static uint8_t divided_by_255(int product) {
    const int t = product + 128;
    return (uint8_t)(((t >> 8) + t) >> 8);
}

/* Pillow's: the four are inverted as they are read, then the colours are nk - c nk / 255, nk = 255 - k. */
static void mix_inks(const uint8_t *inks, int64_t w, uint8_t *row) {
    for (int64_t x = 0; x < w; x++) {
        const int nk = inks[4 * x + 3];
        for (int c = 0; c < 3; c++) row[3 * x + c] = (uint8_t)(nk - divided_by_255((255 - inks[4 * x + c]) * nk));
    }
}

/* Within setjmp; `inks` [w, 4] for CMYK. */
static void read_rows(struct jpeg_decompress_struct *jpeg, uint8_t *pixels, uint8_t *inks) {
    const int64_t w = jpeg->output_width;
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = pixels + 3 * w * (int64_t)jpeg->output_scanline;
        JSAMPROW to = inks ? inks : row;
        jpeg_read_scanlines(jpeg, &to, 1);
        if (inks)
            mix_inks(inks, w, row);
        else if (jpeg->out_color_space == JCS_GRAYSCALE)
            widen_grey(row, w);
    }
    jpeg_finish_decompress(jpeg);
}

static ap_status decode(struct jpeg_decompress_struct *jpeg, const uint8_t *bytes, size_t n, int64_t h, int64_t w,
                        uint8_t *pixels, uint8_t *inks, ap_error *error) {
    AP_TRY(read_header(jpeg, bytes, n, error));
    if (jpeg->image_height != h || jpeg->image_width != w)
        return ap_fail(error, AP_DATA, "JPEG of %u x %u pixels (its record says %lld x %lld)", jpeg->image_height,
                       jpeg->image_width, (long long)h, (long long)w);
    jpeg->dct_method = JDCT_ISLOW;
    jpeg->do_fancy_upsampling = TRUE;
    jpeg->do_block_smoothing = FALSE; /* of progressive images that are cut off, which are refused */
    jpeg->out_color_space = jpeg->num_components == 1 ? JCS_GRAYSCALE : jpeg->num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(jpeg);
    read_rows(jpeg, pixels, jpeg->num_components == 4 ? inks : NULL);
    return AP_OK;
}

ap_status ap_jpeg_decode(const uint8_t *bytes, size_t n, int64_t height, int64_t width, uint8_t *pixels,
                         ap_error *error) {
    struct jpeg_decompress_struct jpeg;
    handler h;
    AP_TRY(start(&jpeg, &h, bytes, n, error));
    uint8_t *inks = malloc((size_t)(width > 0 ? width : 1) * 4);
    if (!inks) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_status status = setjmp(h.back) == 0 ? decode(&jpeg, bytes, n, height, width, pixels, inks, error)
                                           : ap_fail(error, AP_DATA, "damaged JPEG: %s", h.text);
    jpeg_destroy_decompress(&jpeg);
    free(inks);
    return status;
}

bool ap_jpeg_available(void) {
    return true;
}

const char *ap_jpeg_library(void) {
    return "libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION);
}

#else

static ap_status absent(ap_error *error) {
    return ap_fail(error, AP_ENVIRONMENT,
                   "this program was built without libjpeg-turbo, so it cannot read JPEG images; on Debian: apt-get "
                   "install libjpeg62-turbo-dev, then build again");
}

ap_status ap_jpeg_size(const uint8_t *bytes, size_t n, int64_t *h, int64_t *w, ap_error *error) {
    (void)bytes, (void)n, (void)h, (void)w;
    return absent(error);
}

ap_status ap_jpeg_decode(const uint8_t *bytes, size_t n, int64_t h, int64_t w, uint8_t *pixels, ap_error *error) {
    (void)bytes, (void)n, (void)h, (void)w, (void)pixels;
    return absent(error);
}

bool ap_jpeg_available(void) {
    return false;
}

const char *ap_jpeg_library(void) {
    return "none";
}

#endif
