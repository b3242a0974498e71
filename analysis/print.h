/* What `algoperf-score score` prints: text tables, CSV, JSON. Results only: warnings are the caller's. Not collective.
 */
#ifndef AP_ANALYSIS_PRINT_H
#define AP_ANALYSIS_PRINT_H

#include "analysis/bootstrap.h"
#include "analysis/speedup.h"
#include <stdio.h>

typedef struct ap_printed {
    const ap_leaderboard *board;
    const ap_speedups *speedups;     /* NULL: none */
    const ap_confidence *confidence; /* NULL: none */
} ap_printed;

/* Per-trial summary; time to target of every study; median, ratio and credit; speedups; scores and profile. */
ap_status ap_print_text(const ap_printed *printed, FILE *out, ap_error *error);

/* The score table alone: "submission,score,score_exact_integral", best first, every digit; with a bootstrap also
 * "score_low,score_high,rank_low,rank_high". */
ap_status ap_print_csv(const ap_printed *printed, FILE *out, ap_error *error);

/* Everything, as one JSON object (README.md has its members). A number that is infinite is the text "inf", one that is
 * not known is null. */
ap_status ap_print_json(const ap_printed *printed, FILE *out, ap_error *error);

/* JSON values: infinite and unknown numbers as above; a text that is no UTF-8 with "?" for its bytes above 126. */
struct json_t *ap_json_number(double value);
struct json_t *ap_json_text(const char *text);
/* Prints and frees `object`; AP_ENVIRONMENT if it is NULL or memory runs out. */
ap_status ap_json_dump(struct json_t *object, FILE *out, ap_error *error);

/* The shortest decimal text that reads back as the same double; "inf" and "nan" are spelled so. */
void ap_print_exactly(double value, FILE *out);
/* A name as a cell of CSV (out NULL: only checked); AP_DATA if it cannot be one. */
ap_status ap_print_cell(const char *name, FILE *out, ap_error *error);

/* Why a base workload earns the submission no credit, "no data, held_out_x not reached"; empty if it does. */
enum { AP_REASONS = 512 };
void ap_reasons(const ap_leaderboard *board, size_t submission, size_t base, char text[AP_REASONS]);
/* A column's own loss in words; "" if none. */
const char *ap_loss_text(ap_loss_of_credit loss);
/* "1234.5", "not reached" or "no data". */
enum { AP_TIME_TEXT = 32 };
const char *ap_time_text(double time, char text[AP_TIME_TEXT]);

/* Studies that have trials which are still running. */
size_t ap_incomplete_studies(const ap_leaderboard *board);

#endif
