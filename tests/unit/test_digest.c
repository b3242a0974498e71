/* base/digest: XXH3-128 by its published value for no bytes, streaming, text form. */
#include "base/digest.h"
#include "check.h"

static void test_published_value_of_no_bytes(void) {
    /* XXH3_128bits of the empty input, seed 0: xxHash's sanity test vectors. */
    char text[AP_DIGEST_TEXT];
    ap_digest_text(ap_digest_of("", 0), text);
    CHECK(strcmp(text, "99aa06d3014798d86001c324468d497f") == 0);
    CHECK(ap_digest64("", 0) == 0x2d06800538d394c2u); /* XXH3_64bits */
}

static void test_stream_equals_whole(void) {
    static unsigned char bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t n = 0; n < sizeof bytes; n += 499) {
        ap_digest_stream *stream = ap_digest_stream_create();
        for (size_t at = 0, part = 1; at < n; at += part, part = part * 2 + 1)
            ap_digest_stream_add(stream, bytes + at, at + part <= n ? part : n - at);
        CHECK(ap_digest_equal(ap_digest_stream_final(stream), ap_digest_of(bytes, n)));
        ap_digest_stream_destroy(stream);
    }
}

static void test_final_does_not_end_the_stream(void) {
    ap_digest_stream *stream = ap_digest_stream_create();
    ap_digest_stream_add(stream, "abc", 3);
    CHECK(ap_digest_equal(ap_digest_stream_final(stream), ap_digest_of("abc", 3)));
    ap_digest_stream_add(stream, NULL, 0);
    ap_digest_stream_add(stream, "def", 3);
    CHECK(ap_digest_equal(ap_digest_stream_final(stream), ap_digest_of("abcdef", 6)));
    ap_digest_stream_destroy(stream);
    ap_digest_stream_destroy(NULL);
}

static void test_one_bit_matters(void) {
    char a[100] = {0}, b[100] = {0};
    for (size_t i = 0; i < 800; i++) {
        b[i / 8] ^= (char)(1 << i % 8);
        CHECK(!ap_digest_equal(ap_digest_of(a, 100), ap_digest_of(b, 100)));
        b[i / 8] ^= (char)(1 << i % 8);
    }
}

static void test_text_and_back(void) {
    ap_digest digest = {.high = 0x0123456789abcdefu, .low = 0xfu}, back;
    char text[AP_DIGEST_TEXT];
    ap_digest_text(digest, text);
    CHECK(strcmp(text, "0123456789abcdef000000000000000f") == 0);
    CHECK_INT(ap_digest_parse(text, &back), 1);
    CHECK(ap_digest_equal(back, digest));
}

static void test_parse_refuses_what_is_no_digest(void) {
    ap_digest digest;
    const char *const wrong[] = {"",
                                 "0123456789abcdef000000000000000",
                                 "0123456789abcdef000000000000000f0",
                                 "0123456789ABCDEF000000000000000f",
                                 "0123456789abcdeg000000000000000f",
                                 " 123456789abcdef000000000000000f"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK_INT(ap_digest_parse(wrong[i], &digest), 0);
}

AP_TEST_MAIN(test_published_value_of_no_bytes, test_stream_equals_whole, test_final_does_not_end_the_stream,
             test_one_bit_matters, test_text_and_back, test_parse_refuses_what_is_no_digest)
