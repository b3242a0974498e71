/* For the tests of analysis/: a folder of one's own, files in it, and everything from folder to scores in one call. */
#ifndef AP_TESTS_SCORED_H
#define AP_TESTS_SCORED_H

#include "analysis/leaderboard.h"
#include "analysis/read_tree.h"
#include "base/file.h"
#include "check.h"
#include <ftw.h>
#include <unistd.h>

typedef struct scored {
    ap_leaderboard board;
    ap_status status;
    ap_error error;
} scored;

static inline void must(ap_status status, const ap_error *error) {
    if (status == AP_OK) return;
    printf("the test cannot be set up: %s\n", error->text);
    exit(1);
}

/* ---- folders */

static inline const char *new_folder(char root[64]) {
    strcpy(root, "test_score_XXXXXX");
    if (!mkdtemp(root)) perror(root), exit(1);
    return root;
}

static inline int remove_one(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info, (void)type, (void)at;
    return remove(path);
}
static inline void remove_folder(const char *root) {
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes the folder of `path` below root. */
static inline void make_place(char full[AP_PATH], const char *root, const char *path) {
    ap_error error = {0};
    must(ap_path(full, &error, "%s/%s", root, path), &error);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    must(ap_make_directories(full, &error), &error);
    *slash = '/';
}

static inline void put_bytes(const char *root, const char *path, const char *bytes, size_t n) {
    char full[AP_PATH];
    ap_error error = {0};
    make_place(full, root, path);
    must(ap_write_file(full, bytes, n, &error), &error);
}
static inline void put_text(const char *root, const char *path, const char *text) {
    put_bytes(root, path, text, strlen(text));
}

/* ---- folder -> scores */

/* The stages of ap_leaderboard_read, with a table that is a text. */
static inline ap_status score_stages(scored *s, const char *const *roots) {
    ap_leaderboard *board = &s->board;
    for (; *roots; roots++) AP_TRY(ap_read_tree(*roots, &board->targets, &board->trials, &s->error));
    AP_TRY(ap_trials_sort(&board->trials, &s->error));
    return ap_leaderboard_score(board, &s->error);
}

/* `table`: text of a table of targets, or NULL: the results name theirs. */
static inline scored score_folders(const char *const *roots, const char *table) {
    scored s = {.board.rules = ap_rules_published()};
    if (table) must(ap_targets_parse(strdup(table), "table", &s.board.targets, &s.error), &s.error);
    s.status = score_stages(&s, roots);
    return s;
}
static inline scored score_folder(const char *root, const char *table) {
    return score_folders((const char *const[]){root, NULL}, table);
}
static inline void free_scored(scored *s) {
    ap_leaderboard_free(&s->board);
}

/* ---- looking things up by name; a name that is not there ends the test */

static inline size_t submission_of(const scored *s, const char *name) {
    for (size_t i = 0; i < s->board.trials.submissions.n; i++)
        if (!strcmp(s->board.trials.submissions.name[i], name)) return i;
    printf("no submission %s (%s)\n", name, s->error.text);
    exit(1);
}
static inline size_t column_named(const scored *s, const char *workload) {
    for (size_t c = 0; s->board.scores && c < s->board.scores->columns; c++)
        if (!strcmp(s->board.targets.target[s->board.scores->workload[c]].workload, workload)) return c;
    printf("no workload %s (%s)\n", workload, s->error.text);
    exit(1);
}
static inline double score_of(const scored *s, const char *submission) {
    return s->board.scores ? s->board.scores->score[submission_of(s, submission)] : NAN;
}
static inline double time_of(const scored *s, const char *submission, const char *workload) {
    if (!s->board.scores) return NAN;
    return s->board.scores->time[submission_of(s, submission) * s->board.scores->columns + column_named(s, workload)];
}

#endif
