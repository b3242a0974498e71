/* BLEU of a corpus (Papineni et al. 2002) with one reference a segment, orders 1 to 4 and the tokens of mteval-v13a, as
 * sacrebleu's corpus_bleu computes it and AlgoPerf's wmt uses it. Case counts. */
#ifndef AP_WORKLOAD_BLEU_H
#define AP_WORKLOAD_BLEU_H

#include "base/status.h"

enum { AP_BLEU_ORDERS = 4 };
/* Counts of a segment or a corpus: those of segments add up. Whole numbers, so no order of sums matters. */
typedef struct ap_bleu_counts {
    double correct[AP_BLEU_ORDERS], total[AP_BLEU_ORDERS]; /* n-grams of the hypothesis: in the reference too; all */
    double hypothesis, reference;                          /* lengths, tokens */
} ap_bleu_counts;
enum { AP_BLEU_COUNTS = sizeof(ap_bleu_counts) / sizeof(double) };

/* Adds a segment. false: out of memory. */
bool ap_bleu_add(const char *hypothesis, const char *reference, ap_bleu_counts *counts);
/* 0 to 100: geometric mean of the precisions times the brevity penalty. A precision of 0 is smoothed ("exp"): the k-th
 * of them becomes 1 / (2^k total). 0 for an empty corpus, or without any n-gram of some order. */
double ap_bleu_score(const ap_bleu_counts *counts);
/* The tokens of a line with single spaces between them, from malloc; NULL: out of memory. Spaces at the line's end do
 * not count. */
char *ap_bleu_tokens(const char *line);

#endif
