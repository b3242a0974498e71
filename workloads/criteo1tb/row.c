/* A line of the published files -> what the published input pipeline makes of it. */
#include "workloads/criteo1tb/criteo1tb.h"

#include "tensor/kernels/vecmath.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 1 + AP_CRITEO1TB_INPUTS, FIRST_CATEGORY = 1 + AP_CRITEO1TB_DENSE, HEX_DIGITS = 8, INT_DIGITS = 18 };

const int64_t ap_criteo1tb_vocabulary[AP_CRITEO1TB_SPARSE] = {
    39884406, 39043, 17289, 7420, 20263, 3,  7120,     1543,     63,       38532951, 2953546, 403346, 10,
    2208,     11938, 155,   4,    976,   14, 39979771, 25641295, 39664984, 585935,   12972,   108,    36};

/* ---- FarmHash Fingerprint64 of 1 to 16 bytes, which is CityHash64 1.1's there (Pike and Alakuijala; the constants are
 * theirs). */

static uint64_t load64(const char *s) {
    uint64_t x;
    memcpy(&x, s, sizeof x);
    return x;
}
static uint64_t load32(const char *s) {
    uint32_t x;
    memcpy(&x, s, sizeof x);
    return x;
}
static uint64_t rotate(uint64_t x, int by) {
    return x >> by | x << (64 - by);
}
static uint64_t fold(uint64_t x) {
    return x ^ x >> 47;
}
static uint64_t join(uint64_t u, uint64_t v, uint64_t times) {
    return fold((fold((u ^ v) * times) ^ v) * times) * times;
}

uint64_t ap_criteo1tb_fingerprint(const char *s, size_t n) {
    const uint64_t k0 = 0xc3a5c85c97cb3127, k2 = 0x9ae16a3b2f90404f, times = k2 + 2 * n;
    if (n >= 8) {
        const uint64_t a = load64(s) + k2, b = load64(s + n - 8);
        return join(rotate(b, 37) * times + a, (rotate(a, 25) + b) * times, times);
    }
    if (n >= 4) return join(n + (load32(s) << 3), load32(s + n - 4), times);
    const uint64_t first = (uint8_t)s[0], middle = (uint8_t)s[n / 2], last = (uint8_t)s[n - 1];
    return fold((first + (middle << 8)) * k2 ^ (n + (last << 2)) * k0) * k2;
}

/* ---- fields */

static bool is_default(const char *s, size_t n) {
    return n == 0 || (n == 2 && s[0] == '-' && s[1] == '1');
}

/* A whole number; false if it is none, or has more than 18 digits. */
static bool whole(const char *s, size_t n, int64_t *value) {
    const bool minus = *s == '-';
    size_t i = minus;
    *value = 0;
    if (n == i || n > INT_DIGITS + i) return false;
    for (; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
        *value = 10 * *value + (s[i] - '0');
    }
    if (minus) *value = -*value;
    return true;
}

static bool is_hex(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f') || (s[i] >= 'A' && s[i] <= 'F')))
            return false;
    return n <= HEX_DIGITS;
}

/* The column's number is written behind the digits; the bucket becomes a float32, which above 2^24 loses its low bits,
 * as published. */
static float category(const char *s, size_t n, int column) {
    char text[HEX_DIGITS + 2];
    memcpy(text, s, n);
    if (column >= 10) text[n++] = (char)('0' + column / 10);
    text[n++] = (char)('0' + column % 10);
    return (float)(int64_t)(ap_criteo1tb_fingerprint(text, n) % (uint64_t)ap_criteo1tb_vocabulary[column]);
}

static ap_status wrong(ap_error *error, int field, const char *s, size_t n, const char *rule) {
    return ap_fail(error, AP_DATA, "field %d is \"%.*s\" (%s)", field + 1, (int)(n < 40 ? n : 40), s, rule);
}

static ap_status read_field(int field, const char *s, size_t n, float *inputs, uint8_t *label, ap_error *error) {
    int64_t value = 0;
    const bool missing = is_default(s, n);
    if (field >= FIRST_CATEGORY) {
        if (missing) s = "00000000", n = HEX_DIGITS;
        if (!is_hex(s, n)) return wrong(error, field, s, n, "a category must be 1 to 8 hexadecimal digits, or empty");
        inputs[field - 1] = category(s, n, field - FIRST_CATEGORY);
        return AP_OK;
    }
    if (!missing && !whole(s, n, &value))
        return wrong(error, field, s, n, "must be a whole number of at most 18 digits, or empty");
    if (field > 0)
        inputs[field - 1] = value > 0 ? (float)value + 1 : 1; /* its logarithm: when the row is whole */
    else if (value != 0 && value != 1)
        return wrong(error, field, s, n, "the label must be 0 or 1, or empty for 0");
    else
        *label = (uint8_t)value;
    return AP_OK;
}

ap_status ap_criteo1tb_row(const char *line, size_t n, float inputs[AP_CRITEO1TB_INPUTS], uint8_t *label,
                           ap_error *error) {
    const char *at = line, *const end = line + n;
    for (int field = 0;; field++) {
        const char *stop = at;
        while (stop < end && *stop != '\t') stop++;
        AP_TRY(read_field(field, at, (size_t)(stop - at), inputs, label, error));
        if (stop == end && field + 1 < COLUMNS)
            return ap_fail(error, AP_DATA, "%d field%s (must be %d, separated by tabs)", field + 1, field ? "s" : "",
                           COLUMNS);
        if (stop == end) break;
        if (field + 1 == COLUMNS)
            return ap_fail(error, AP_DATA, "more than %d fields (must be %d, separated by tabs)", COLUMNS, COLUMNS);
        at = stop + 1;
    }
    ap_vlog(AP_CRITEO1TB_DENSE, inputs, inputs); /* log(max(x, 0) + 1) in float32, as published */
    return AP_OK;
}
