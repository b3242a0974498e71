/* Running a trial again that has a verdict already. Not collective. */
#ifndef AP_HARNESS_RETRY_H
#define AP_HARNESS_RETRY_H

#include "harness/tree.h"

/* Discards the verdict of trial `trial` of the list: result.h5 and events.jsonl stay beside as result.previous.h5 and
 * events.previous.jsonl (an older previous one goes), and the trial is pending. Holds the trial's claim meanwhile, so
 * it is safe while a sweep runs; if it is killed, the trial has its verdict still, or is pending. AP_USAGE: there is no
 * verdict, or another process has the trial. */
ap_status ap_retry(const char *results, const ap_tree_list *list, int trial, ap_error *error);

#endif
