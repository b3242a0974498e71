/* Synthetic utterances: words of a small lexicon, spoken by a source and a chain of resonators (Klatt, "Software for a
 * cascade/parallel formant synthesizer", J. Acoust. Soc. Am. 67, 1980), by speakers of different pitch, vocal tract
 * length and rate, in noise.
 *
 * Each letter is a sound: a vowel (three formants, pulses), a fricative (one band of noise), a nasal (low formants) or
 * a plosive (a gap and a burst). Sounds glide into each other, so a letter's neighbours change it; a word is 2 to 5
 * letters, an utterance one word and more, as many as fit. At full scale every utterance is about as long as the
 * published limit of 20 s: a step is measured at its largest. */
#include "workloads/speech/speech.h"

#include "base/fmath.h"
#include "base/random.h"
#include "workloads/speech/features.h"
#include "workloads/speech/vocabulary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const lexicon[] = {"AMI",  "SON",  "FUTA", "MISA", "TOE",  "NAF", "KISU", "PAN",
                                      "OSA",  "TIMO", "KANE", "FES",  "MUNO", "PIK", "SATE", "NOFI",
                                      "EMUS", "KOPA", "TUS",  "INA",  "FOMA", "PES", "NUKI", "SIPO"};
enum { WORDS = sizeof lexicon / sizeof *lexicon };
/* Words of an utterance: up to FEW_WORDS, or where max_samples are LONG_ROW and more always MOST_WORDS (their letters
 * stay below the published limit of 256). */
enum { FEW_WORDS = 6, MOST_WORDS = 48, LONG_ROW = 8 * AP_SPEECH_RATE };

/* Middle frequencies (Hz) of the resonators and how strong voice and noise are. */
typedef struct sound_of {
    char letter;
    double f1, f2, f3, voice, noise;
    bool stop; /* first half silent */
} sound_of;
static const sound_of sounds[] = {{'A', 730, 1200, 2500, 1, 0, false},     {'E', 530, 1840, 2480, 1, 0, false},
                                  {'I', 290, 2250, 3000, 1, 0, false},     {'O', 500, 850, 2450, 1, 0, false},
                                  {'U', 320, 760, 2240, 1, 0, false},      {'M', 250, 1000, 2200, 0.5, 0, false},
                                  {'N', 280, 1700, 2600, 0.5, 0, false},   {'S', 3800, 5200, 6500, 0, 0.7, false},
                                  {'F', 1400, 3500, 7000, 0, 0.35, false}, {'T', 2000, 3800, 5000, 0, 0.9, true},
                                  {'K', 800, 1900, 2900, 0, 0.9, true},    {'P', 450, 900, 2400, 0, 0.9, true}};
static const sound_of silence = {' ', 500, 1500, 2500, 0, 0, false};

static const sound_of *sound_for(char letter) {
    for (size_t i = 0; i < sizeof sounds / sizeof *sounds; i++)
        if (sounds[i].letter == letter) return &sounds[i];
    return &silence;
}

/* ---- the utterance: text and speaker */

typedef struct utterance {
    char text[MOST_WORDS * 6 + 2];
    double pitch, tract, rate, loudness, noise; /* Hz; factors; of full scale */
    int64_t start[MOST_WORDS * 6 + 3];          /* first sample of each character's sound; the end */
    int64_t characters, samples;
} utterance;

typedef struct draws {
    ap_random stream;
    uint64_t next;
} draws;
static double uniform(draws *d, double low, double high) {
    return low + (high - low) * (double)ap_random_uniform(&d->stream, d->next++);
}

/* Samples of a character's sound: 60 to 120 ms at the usual rate, pauses 40 to 160 ms. */
static int64_t draw_duration(draws *d, const utterance *u, char c) {
    const double seconds = c == ' ' ? uniform(d, 0.04, 0.16) : uniform(d, 0.06, 0.12);
    return (int64_t)(seconds / u->rate * AP_SPEECH_RATE);
}

/* Appends a character; false if the utterance would be too long. */
static bool append(draws *d, utterance *u, int64_t most_samples, char c) {
    const int64_t end = u->start[u->characters] + draw_duration(d, u, c);
    if (end + AP_SPEECH_RATE / 20 > most_samples) return false;
    u->text[u->characters++] = c;
    u->start[u->characters] = end;
    return true;
}

static utterance draw_utterance(draws *d, int64_t most_samples) {
    utterance u = {.pitch = uniform(d, 85, 240), .tract = uniform(d, 0.85, 1.18), .rate = uniform(d, 0.8, 1.25)};
    u.loudness = uniform(d, 0.1, 0.5);
    u.noise = u.loudness * uniform(d, 0.02, 0.4);
    u.start[0] = (int64_t)(uniform(d, 0.02, 0.12) * AP_SPEECH_RATE);
    const int64_t few = 1 + (int64_t)uniform(d, 0, FEW_WORDS), words = most_samples < LONG_ROW ? few : MOST_WORDS;
    for (int64_t w = 0; w < words; w++) {
        const char *word = lexicon[(int64_t)uniform(d, 0, WORDS)];
        const int64_t before = u.characters;
        bool fits = w == 0 || append(d, &u, most_samples, ' ');
        for (const char *c = word; fits && *c; c++) fits = append(d, &u, most_samples, *c);
        if (fits) continue;
        u.characters = before; /* the word is left out */
        break;
    }
    u.text[u.characters] = 0;
    u.samples = u.start[u.characters] + AP_SPEECH_RATE / 20;
    return u;
}

/* ---- its sound */

/* Klatt's resonator: y = a x + b y1 + c y2. */
typedef struct resonator {
    double a, b, c, y1, y2;
} resonator;
static void tune(resonator *r, double frequency, double bandwidth) {
    const double turn = 6.283185307179586 / AP_SPEECH_RATE, decay = ap_f64_exp(-0.5 * turn * bandwidth);
    const double limited = frequency < 7800 ? frequency : 7800;
    r->c = -decay * decay;
    r->b = 2 * decay * ap_f64_cos(turn * limited);
    r->a = 1 - r->b - r->c;
}
static double pass(resonator *r, double x) {
    const double y = r->a * x + r->b * r->y1 + r->c * r->y2;
    r->y2 = r->y1, r->y1 = y;
    return y;
}

/* Between two sounds: share of the second, 0 to 1 over the 20 ms around the border. */
static double glide(int64_t at, int64_t border) {
    const double share = 0.5 + (double)(at - border) / (0.02 * AP_SPEECH_RATE);
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

static double mix(double a, double b, double share) {
    return a + (b - a) * share;
}

/* What is spoken at a sample, neighbours mixed in. */
static sound_of spoken(const utterance *u, int64_t at, int64_t *character) {
    while (*character < u->characters && at >= u->start[*character + 1]) ++*character;
    const int64_t c = *character;
    const bool inside = at >= u->start[0] && c < u->characters;
    sound_of s = inside ? *sound_for(u->text[c]) : silence;
    if (!inside) return s;
    const int64_t first = u->start[c], end = u->start[c + 1], middle = first + (end - first) / 2;
    if (s.stop && at < middle) s.noise = 0;
    if (s.stop && at >= middle) s.noise *= 1 - glide(at, middle + AP_SPEECH_RATE / 60);
    const bool late = at >= middle;
    const int64_t other = late ? c + 1 : c - 1;
    const sound_of *next = other >= 0 && other < u->characters ? sound_for(u->text[other]) : &silence;
    const double share = late ? glide(at, end) : 1 - glide(at, first);
    s.f1 = mix(s.f1, next->f1, share), s.f2 = mix(s.f2, next->f2, share), s.f3 = mix(s.f3, next->f3, share);
    s.voice = mix(s.voice, next->voice, share), s.noise = mix(s.noise, next->stop ? 0 : next->noise, share);
    return s;
}

/* First element of the noise's draws, unless the utterance took more; samples between changes of the voice. */
enum { SPEAK = 256, CONTROL = 32 };

static void speak(const utterance *u, const draws *d, int16_t *audio) {
    const uint64_t first = d->next > SPEAK ? d->next : SPEAK;
    resonator voice[3] = {{0}}, hiss[2] = {{0}};
    sound_of s = silence;
    double phase = 0, pitch = 0;
    int64_t character = 0;
    float noise[2 * CONTROL]; /* of the sounds and of the room, sample by sample */
    for (int64_t t = 0; t < u->samples; t++) {
        const int64_t at = t % CONTROL;
        if (at == 0) {
            s = spoken(u, t, &character);
            const double f[3] = {s.f1 * u->tract, s.f2 * u->tract, s.f3 * u->tract}, width[3] = {80, 110, 160};
            for (int i = 0; i < 3; i++) tune(&voice[i], f[i], width[i]);
            tune(&hiss[0], f[1], 700), tune(&hiss[1], f[2], 900);
            pitch = u->pitch * (1 + 0.1 * ap_f64_cos((double)t * 6.283185307179586 / (double)u->samples));
            ap_random_fill_uniform(&d->stream, first + 2 * (uint64_t)t, 2 * CONTROL, -1, 2, noise);
        }
        const double grain = (double)noise[2 * at], room = (double)noise[2 * at + 1];
        phase += pitch / AP_SPEECH_RATE;
        const bool pulse = phase >= 1;
        if (pulse) phase -= 1;
        double x = s.voice * (pulse ? 40 : 0) + 0.02 * grain * s.voice;
        for (int i = 0; i < 3; i++) x = pass(&voice[i], x);
        const double noisy = s.noise * grain, band = pass(&hiss[0], noisy) + pass(&hiss[1], noisy);
        const double level = 32767 * (u->loudness * (0.25 * x + band) + u->noise * room);
        audio[t] = (int16_t)(level > 32767 ? 32767 : level < -32768 ? -32768 : rint(level));
    }
}

static ap_status generate(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                          ap_error *error) {
    const ap_speech *m = model;
    draws d = {ap_random_stream(seed, AP_RANDOM_SYNTHETIC, (uint64_t)index, (uint32_t)split), 0};
    const utterance u = draw_utterance(&d, m->max_samples);
    if (!u.characters || m->vocab_size < AP_SPEECH_CHARACTERS)
        return ap_fail(
            error, AP_CONFIG,
            "the synthetic utterances need max_samples of at least 16000 and vocab_size of at least %d (they "
            "are %lld and %lld)",
            AP_SPEECH_CHARACTERS, (long long)m->max_samples, (long long)m->vocab_size);
    AP_TRY(ap_example_reserve(example, AP_SPEECH_FIELDS, ap_speech_generator.field,
                              (int64_t[]){u.samples, u.characters + 1}, error));
    int32_t *targets = example->data[AP_SPEECH_TARGETS];
    for (int64_t i = 0; i < u.characters; i++) targets[i] = (int32_t)ap_speech_token_of(u.text[i]);
    targets[u.characters] = AP_TOKEN_END;
    speak(&u, &d, example->data[AP_SPEECH_AUDIO]);
    return AP_OK;
}

const ap_generator ap_speech_generator = {
    .name = "synthetic", .fields = AP_SPEECH_FIELDS, .field = AP_SPEECH_FIELD_LIST, .generate = generate};
