/* Log: progress and warnings on stderr. Results go to stdout and are not this module's business.
 *
 * Two categories, after libsc: AP_GLOBAL lines are printed by the rank that ap_log_open() was told is the speaker (rank
 * 0 of the world); AP_RANK lines by whoever calls, with the rank in front. A terminal gets one live line, redrawn in
 * place; a file or pipe gets plain lines (no carriage returns, no colour). Thread-safe. Not collective. */
#ifndef AP_BASE_LOG_H
#define AP_BASE_LOG_H

#include "base/status.h"

typedef enum ap_log_category { AP_GLOBAL, AP_RANK } ap_log_category;
typedef enum ap_log_level { AP_LOG_ERROR, AP_LOG_WARNING, AP_LOG_INFO, AP_LOG_DEBUG } ap_log_level;

/* rank < 0: no MPI. `speaker`: this process prints AP_GLOBAL lines. Default before the call: rank -1, speaker, INFO. */
void ap_log_open(int rank, bool speaker, ap_log_level most_detailed);
void ap_log(ap_log_category category, ap_log_level level, const char *format, ...) AP_PRINTF(3, 4);

/* The live line: replaces itself on a terminal, at most ten times a second; a no-op elsewhere. An ap_log line clears it
 * first. */
void ap_log_live(const char *format, ...) AP_PRINTF(1, 2);
void ap_log_live_end(void);
bool ap_log_is_terminal(void);

#endif
