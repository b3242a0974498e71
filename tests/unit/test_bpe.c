/* Byte-pair tokens against recorded ids and trained tokens of the Python package `tokenizers` (bpe.json), from both
 * published file formats; malformed files are named with place and rule. */
#include "check.h"
#include "workloads/finewebedu_lm/bpe.h"

#include <jansson.h>
#include <unistd.h>

static json_t *recorded;
static char folder[] = "/tmp/algoperf-bpe-XXXXXX", path[128];

static void check_cases(const char *file) {
    ap_error error = {0};
    ap_bpe *bpe = NULL;
    CHECK_INT(ap_bpe_load(file, &bpe, &error), AP_OK);
    if (!bpe) {
        printf("%s\n", error.text);
        return;
    }
    CHECK_INT(ap_bpe_size(bpe), 1257);
    CHECK_INT(ap_bpe_end_of_text(bpe), 1256);
    json_t *one;
    size_t i;
    json_array_foreach(json_object_get(recorded, "cases"), i, one) {
        const json_t *text = json_object_get(one, "text"), *want = json_object_get(one, "ids");
        for (int again = 0; again < 2; again++) { /* the second time from what was kept of the first */
            ap_bpe_ids ids = {0};
            CHECK_INT(ap_bpe_encode(bpe, json_string_value(text), json_string_length(text), &ids, &error), AP_OK);
            CHECK_INT(ids.n, json_array_size(want));
            for (int64_t k = 0; k < ids.n; k++)
                if (ids.id[k] != json_integer_value(json_array_get(want, (size_t)k))) {
                    printf("case %zu: ", i);
                    CHECK_INT(ids.id[k], json_integer_value(json_array_get(want, (size_t)k)));
                    break;
                }
            free(ids.id);
        }
    }
    ap_bpe_free(bpe);
}

static void test_published_files(void) {
    check_cases(AP_TEST_FIXTURES "/bpe_merges.txt");
    CHECK_INT(json_dump_file(json_object_get(recorded, "tokenizer"), path, 0), 0);
    check_cases(path);
}

static void test_training(void) {
    ap_error error = {0};
    ap_bpe_trainer *trainer;
    ap_bpe *bpe = NULL;
    const json_t *training = json_object_get(recorded, "training"), *text = json_object_get(training, "text");
    CHECK_INT(ap_bpe_trainer_create(&trainer, &error), AP_OK);
    CHECK_INT(ap_bpe_trainer_add(trainer, json_string_value(text), json_string_length(text), &error), AP_OK);
    CHECK_INT(ap_bpe_trainer_finish(trainer, json_integer_value(json_object_get(training, "size")), &bpe, &error),
              AP_OK);
    ap_bpe_trainer_free(trainer);
    char *list = ap_bpe_list(bpe), *rest = list;
    json_t *want;
    size_t i;
    json_array_foreach(json_object_get(training, "tokens"), i, want) {
        const char *token = strsep(&rest, "\n");
        CHECK(token && strcmp(token, json_string_value(want)) == 0);
    }
    CHECK(rest && *rest == '\0');
    free(list);
    ap_bpe_free(bpe);
    CHECK_INT(ap_bpe_trainer_create(&trainer, &error), AP_OK);
    CHECK_INT(ap_bpe_trainer_add(trainer, "aaab", 4, &error), AP_OK);
    CHECK_INT(ap_bpe_trainer_finish(trainer, 1000, &bpe, &error), AP_DATA);
    CHECK_TEXT(error.text, "1000 tokens cannot be trained on 1 different words");
    ap_bpe_trainer_free(trainer);
}

static void check_refused(const char *text, const char *says) {
    ap_error error = {0};
    ap_bpe *bpe;
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fputs(text, file);
    fclose(file);
    CHECK_INT(ap_bpe_load(path, &bpe, &error), AP_DATA);
    CHECK_TEXT(error.text, path);
    CHECK_TEXT(error.text, says);
}

/* The recorded tokenizer.json with one member set otherwise. */
static void check_changed(const char *group, const char *member, const char *value, const char *says) {
    json_t *whole = json_deep_copy(json_object_get(recorded, "tokenizer"));
    json_t *object = *group ? json_object_get(whole, group) : whole;
    json_object_set_new(object, member, json_loads(value, JSON_DECODE_ANY, NULL));
    char *text = json_dumps(whole, 0);
    check_refused(text, says);
    free(text);
    json_decref(whole);
}

static void test_malformed_files_are_named(void) {
    check_refused("", "has no merges");
    check_refused("#version: 0.2\na b\nab", "merge 2 is \"ab\" (wanted: two tokens with a space between)");
    check_refused("a b\nab cd\n", "merge 2 has \"cd\", which is no token yet");
    check_refused("{", "bpe.file:1: ");
    check_refused("{}", "model.type must be \"BPE\"");
    check_changed("model", "byte_fallback", "true", "model.byte_fallback is set");
    check_changed("model", "vocab", "{\"a\":0,\"b\":0}", "id of \"b\" in model.vocab (ids must be 0 to");
    check_changed("model", "merges", "[]", "model.merges must be a list");
    check_changed("model", "merges", "[[\"a\",\"\\u00e9\"]]", "makes a token that the vocabulary lacks");
    check_changed("model", "merges", "[7]", "merge 1 is neither");
    check_changed("", "normalizer", "{\"type\":\"NFC\"}", "normalizer must be null");
    check_changed("pre_tokenizer", "add_prefix_space", "true", "pre_tokenizer must be ByteLevel");
    check_changed("", "added_tokens", "[]", "added_tokens must be <|endoftext|> alone");
    check_changed("", "model", "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":1256}}",
                  "id of");
}

static void test_begin(void) {
    if (!ap_bpe_available()) {
        printf("built without PCRE2\n");
        exit(77);
    }
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/bpe.file", folder);
    recorded = json_load_file(AP_TEST_FIXTURES "/bpe.json", JSON_ALLOW_NUL, NULL);
    CHECK(recorded != NULL);
}

static void test_end(void) {
    json_decref(recorded);
    unlink(path);
    CHECK_INT(rmdir(folder), 0);
}

AP_TEST_MAIN(test_begin, test_published_files, test_training, test_malformed_files_are_named, test_end)
