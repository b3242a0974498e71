/* An artificial pair of languages for wmt without data.
 *
 * The source is a clause of German build: subject, object, perhaps a place, and the verb at the end; the target is of
 * English build: subject, verb, object, place. A noun phrase is an article, perhaps an adjective, and a noun. So:
 *   reordering   the verb moves from the end behind the subject; with a time in front the source puts the subject third
 *   agreement    source: article and adjective agree with the noun's gender (a property of the word) and with its case;
 *                target: the verb agrees with the number of the subject, articles do not agree with anything
 *   compounds    some source nouns become two target words; some source words have two meanings, told apart by the verb
 * A sentence is one to three clauses, joined by "and". Words are drawn with a Zipf-like rank; a sentence is a function
 * of (seed, split, index). Integer arithmetic on Philox draws only. */
#include "workloads/wmt/wmt.h"

#include "base/random.h"

enum { MOST = 64, MOST_CLAUSES = 3 };

typedef struct writer {
    ap_random stream;
    uint64_t next;
    int64_t words; /* of an open class: nouns, verbs, .. on each side */
    int64_t n[2];
    int32_t text[2][MOST];
} writer;

static int64_t draw(writer *w, int64_t n) {
    return (int64_t)((uint64_t)ap_random_bits(&w->stream, w->next++) * (uint64_t)n >> 32);
}
/* Small numbers more often: the product of two uniform draws. */
static int64_t draw_word(writer *w, int64_t n) {
    return draw(w, draw(w, n) + 1);
}

static void say(writer *w, int side, int64_t token) {
    if (w->n[side] < MOST) w->text[side][w->n[side]++] = (int32_t)token;
}

/* ---- the vocabulary: 0 padding, 1, 2 end; closed classes; then the open ones, a sixth of the rest each */

enum { SOURCE, TARGET };
enum {
    SOURCE_ARTICLE = 3,               /* + 3 case + gender, plural: + 9 + case: 12 */
    TARGET_THE = SOURCE_ARTICLE + 12, /* singular, plural */
    SOURCE_AND = TARGET_THE + 2,
    TARGET_AND,
    SOURCE_IN,
    TARGET_IN,
    SOURCE_TIME,                   /* 4 */
    TARGET_TIME = SOURCE_TIME + 4, /* 4 */
    OPEN = TARGET_TIME + 4,
};
enum { SOURCE_NOUN, TARGET_NOUN, SOURCE_VERB, TARGET_VERB, SOURCE_ADJECTIVE, TARGET_ADJECTIVE, CLASSES };

static int64_t word(const writer *w, int class, int64_t i) {
    return OPEN + class * w->words + i % w->words;
}

/* ---- sentences */

typedef struct noun_phrase {
    int64_t noun, adjective; /* adjective: -1 none */
    bool plural;
} noun_phrase;

static noun_phrase draw_phrase(writer *w) {
    noun_phrase p = {.noun = draw_word(w, w->words / 2), .adjective = -1, .plural = draw(w, 3) == 0};
    if (draw(w, 3) == 0) p.adjective = draw_word(w, w->words / 3);
    return p;
}

static void say_source_phrase(writer *w, noun_phrase p, int64_t role) {
    const int64_t gender = p.noun * 7 % 3;
    say(w, SOURCE, SOURCE_ARTICLE + (p.plural ? 9 + role : 3 * role + gender));
    if (p.adjective >= 0) say(w, SOURCE, word(w, SOURCE_ADJECTIVE, 3 * p.adjective + (p.plural ? 0 : gender)));
    say(w, SOURCE, word(w, SOURCE_NOUN, 2 * p.noun + p.plural));
}

/* verb: tells which of two meanings every second noun has as an object. */
static void say_target_phrase(writer *w, noun_phrase p, int64_t verb) {
    const bool other = p.noun % 2 == 0 && verb % 3 == 1;
    say(w, TARGET, TARGET_THE + p.plural);
    if (p.adjective >= 0) say(w, TARGET, word(w, TARGET_ADJECTIVE, p.adjective));
    if (p.noun % 4 == 1) say(w, TARGET, word(w, TARGET_ADJECTIVE, w->words / 3 + p.noun));
    say(w, TARGET, word(w, TARGET_NOUN, 2 * p.noun + other));
}

static void say_clause(writer *w) {
    const noun_phrase subject = draw_phrase(w), object = draw_phrase(w), place = draw_phrase(w);
    const int64_t verb = draw_word(w, w->words / 2), when = draw(w, 12);
    const bool somewhere = draw(w, 3) == 0, first = when < 4;
    if (first) say(w, SOURCE, SOURCE_TIME + when);
    if (first) say_source_phrase(w, object, 1); /* behind a time the object comes before the subject */
    say_source_phrase(w, subject, 0);
    if (!first) say_source_phrase(w, object, 1);
    if (somewhere) say(w, SOURCE, SOURCE_IN), say_source_phrase(w, place, 2);
    say(w, SOURCE, word(w, SOURCE_VERB, verb));

    say_target_phrase(w, subject, 0);
    say(w, TARGET, word(w, TARGET_VERB, 2 * verb + subject.plural));
    say_target_phrase(w, object, verb);
    if (somewhere) say(w, TARGET, TARGET_IN), say_target_phrase(w, place, 0);
    if (first) say(w, TARGET, TARGET_TIME + when);
}

static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    const ap_wmt_model *m = model;
    writer w = {.stream = ap_random_stream(seed, AP_RANDOM_SYNTHETIC, (uint64_t)index, (uint32_t)split),
                .words = (m->ntoken - OPEN) / CLASSES};
    if (w.words < 6)
        return ap_fail(error, AP_CONFIG, "ntoken = %lld (the synthetic languages need %d or more)",
                       (long long)m->ntoken, OPEN + 6 * CLASSES);
    for (int64_t clause = 0, clauses = 1 + draw(&w, MOST_CLAUSES); clause < clauses; clause++) {
        if (clause > 0) say(&w, SOURCE, SOURCE_AND), say(&w, TARGET, TARGET_AND);
        say_clause(&w);
    }
    int64_t lengths[AP_WMT_FIELDS];
    for (int s = 0; s < AP_WMT_FIELDS; s++) {
        if (w.n[s] > m->max_len_pe - 1) w.n[s] = m->max_len_pe - 1;
        lengths[s] = w.n[s] + 1;
    }
    AP_TRY(ap_example_reserve(example, AP_WMT_FIELDS, ap_wmt_generator.field, lengths, error));
    for (int s = 0; s < AP_WMT_FIELDS; s++) {
        int32_t *ids = example->data[s];
        for (int64_t i = 0; i < w.n[s]; i++) ids[i] = w.text[s][i];
        ids[w.n[s]] = AP_WMT_EOS;
    }
    return AP_OK;
}

const ap_generator ap_wmt_generator = {
    .name = "synthetic", .fields = AP_WMT_FIELDS, .field = AP_WMT_FIELD_LIST, .generate = generate};
