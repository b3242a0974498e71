/* BLEU against recorded corpora and tokenised lines of the published code (bleu.json). */
#include "check.h"
#include "workload/bleu.h"

#include <jansson.h>
#include <stdlib.h>

static void check_set(const char *name, json_t *set) {
    const int before = ap_check_failures;
    json_t *hypotheses = json_object_get(set, "hypotheses"), *references = json_object_get(set, "references");
    ap_bleu_counts counts = {0};
    for (size_t i = 0; i < json_array_size(hypotheses); i++)
        CHECK(ap_bleu_add(json_string_value(json_array_get(hypotheses, i)),
                          json_string_value(json_array_get(references, i)), &counts));
    for (size_t k = 0; k < AP_BLEU_ORDERS; k++) {
        CHECK_NEAR(counts.correct[k], json_number_value(json_array_get(json_object_get(set, "correct"), k)), 0);
        CHECK_NEAR(counts.total[k], json_number_value(json_array_get(json_object_get(set, "total"), k)), 0);
    }
    CHECK_NEAR(counts.hypothesis, json_number_value(json_object_get(set, "sys_len")), 0);
    CHECK_NEAR(counts.reference, json_number_value(json_object_get(set, "ref_len")), 0);
    CHECK_NEAR(ap_bleu_score(&counts), json_number_value(json_object_get(set, "score")), 1e-9);
    if (ap_check_failures > before) printf("in set %s\n", name);
}

static void test_recorded(void) {
    json_t *all = json_load_file(AP_TEST_FIXTURES "/bleu.json", 0, NULL), *set;
    CHECK(all != NULL);
    const char *name;
    json_object_foreach(json_object_get(all, "sets"), name, set) check_set(name, set);
    json_t *lines = json_object_get(all, "tokenisation_13a"), *line;
    size_t i;
    CHECK(json_array_size(lines) > 10);
    json_array_foreach(lines, i, line) {
        char *tokens = ap_bleu_tokens(json_string_value(json_array_get(line, 0)));
        CHECK(tokens && strcmp(tokens, json_string_value(json_array_get(line, 1))) == 0);
        if (tokens && strcmp(tokens, json_string_value(json_array_get(line, 1))))
            printf("line %zu: %s\n  not %s\n", i, tokens, json_string_value(json_array_get(line, 1)));
        free(tokens);
    }
    json_decref(all);
}

static void check_tokens(const char *line, const char *want) {
    char *tokens = ap_bleu_tokens(line);
    CHECK(tokens && strcmp(tokens, want) == 0);
    if (tokens && strcmp(tokens, want)) printf("\"%s\": \"%s\", not \"%s\"\n", line, tokens, want);
    free(tokens);
}

/* By the rules, by hand. */
static void test_tokens(void) {
    check_tokens("", "");
    check_tokens(" \t ", "");
    check_tokens("a\u00a0b\u2009c\u3000", "a b c");         /* Unicode's spaces part words */
    check_tokens("a\x1c \x1d \x1e \x1f \xc2\x85 b", "a b"); /* and the separators of ASCII and Latin-1 */
    check_tokens("a-\n\u3000", "a-");                       /* the end is stripped before a hyphen joins lines */
    check_tokens("1,000.5, 3-4 x-y.", "1,000.5 , 3 - 4 x-y .");
    check_tokens("........", ". . . . . . . .");
    check_tokens("((((((((", "( ( ( ( ( ( ( (");
    check_tokens("&amp;quot;", "& quot ;"); /* in that order: &quot; first */
    check_tokens("a-\nb\nc <skipped>", "ab c");
}

/* Segments' counts add up in any order. */
static void test_counts_add_up(void) {
    ap_bleu_counts both = {0}, first = {0}, second = {0};
    CHECK(ap_bleu_add("a b a b", "a b b a", &first) && ap_bleu_add("c d", "c d e f", &second));
    CHECK(ap_bleu_add("c d", "c d e f", &both) && ap_bleu_add("a b a b", "a b b a", &both));
    for (int k = 0; k < AP_BLEU_ORDERS; k++) CHECK_NEAR(both.correct[k], first.correct[k] + second.correct[k], 0);
    CHECK_NEAR(first.correct[0], 4, 0);
    CHECK_NEAR(first.correct[1], 2, 0); /* "a b" once and "b a" once: the second "a b" has no partner */
}

AP_TEST_MAIN(test_recorded, test_tokens, test_counts_add_up)
