/* The test programs' few words. A test program is one file: static void test_x(void) functions, then
 * AP_TEST_MAIN(test_x, ...). A failed check says file, line and values, and the program ends with 1 after all tests
 * ran. Exit 77 = skipped (CTest's SKIP_RETURN_CODE). */
#ifndef AP_TESTS_CHECK_H
#define AP_TESTS_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ap_check_failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #condition);                                       \
            ap_check_failures++;                                                                                       \
        }                                                                                                              \
    } while (0)
#define CHECK_INT(got, want)                                                                                           \
    do {                                                                                                               \
        long long got_ = (long long)(got), want_ = (long long)(want);                                                  \
        if (got_ != want_) {                                                                                           \
            printf("%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #got, got_, want_);                       \
            ap_check_failures++;                                                                                       \
        }                                                                                                              \
    } while (0)
#define CHECK_NEAR(got, want, tolerance)                                                                               \
    do {                                                                                                               \
        double got_ = (double)(got), want_ = (double)(want), tolerance_ = (double)(tolerance);                         \
        if (!(fabs(got_ - want_) <= tolerance_)) {                                                                     \
            printf("%s:%d: %s is %.17g, expected %.17g +- %g\n", __FILE__, __LINE__, #got, got_, want_, tolerance_);   \
            ap_check_failures++;                                                                                       \
        }                                                                                                              \
    } while (0)
#define CHECK_TEXT(got, part)                                                                                          \
    do {                                                                                                               \
        const char *got_ = (got);                                                                                      \
        if (!got_ || !strstr(got_, (part))) {                                                                          \
            printf("%s:%d: %s is \"%s\", expected it to contain \"%s\"\n", __FILE__, __LINE__, #got,                   \
                   got_ ? got_ : "(null)", (part));                                                                    \
            ap_check_failures++;                                                                                       \
        }                                                                                                              \
    } while (0)
#define SKIP(why)                                                                                                      \
    do {                                                                                                               \
        printf("skipped: %s\n", (why));                                                                                \
        exit(77);                                                                                                      \
    } while (0)

#define AP_TEST_MAIN(...)                                                                                              \
    int main(void) {                                                                                                   \
        void (*const tests[])(void) = {__VA_ARGS__};                                                                   \
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) tests[i]();                                          \
        if (ap_check_failures) printf("%d checks failed\n", ap_check_failures);                                        \
        return ap_check_failures ? 1 : 0;                                                                              \
    }

#endif
