/* Claims: who is gone and who is not, and that of many contenders exactly one gets a void claim. */
#include "crash.h"
#include "folder.h"

#include "base/digest.h"
#include "harness/claim.h"

#include <fcntl.h>
#include <jansson.h>

static ap_claim take_as(const char *world, int64_t progress, bool reclaim) {
    ap_error error = {0};
    ap_claim claim;
    CHECK_INT(ap_claim_take(folder, world, progress, reclaim, &claim, &error), AP_OK);
    return claim;
}
static ap_claim take(int64_t progress) {
    return take_as("w", progress, false);
}

static json_t *read_claim(void) {
    json_t *claim = json_load_file(in_folder("claim"), 0, NULL);
    CHECK(claim != NULL);
    return claim;
}

/* Writes the claim as it is, but with `key` changed: the claim of another process. */
static void rewrite(const char *key, json_t *value) {
    json_t *claim = read_claim();
    json_object_set_new(claim, key, value);
    CHECK_INT(json_dump_file(claim, in_folder("claim"), JSON_INDENT(1)), 0);
    json_decref(claim);
}
static void write_claim(const char *text) {
    CHECK_INT(ap_write_file(in_folder("claim"), text, strlen(text), NULL), AP_OK);
}

static void take_and_die(void *progress) {
    CHECK(take(*(int64_t *)progress).taken);
}
/* The claim of a process that has ended. */
static void void_claim(int64_t progress) {
    in_child(take_and_die, &progress);
}

/* ---- who is gone */

static void test_a_claim_is_exclusive_until_it_is_released(void) {
    start();
    ap_claim mine = take(-1);
    CHECK(mine.taken);
    CHECK_INT(mine.attempts, 1);
    ap_claim second = take(-1);
    CHECK(!second.taken);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld on ", (long)getpid());
    CHECK_TEXT(second.owner, pid);
    char who[256];
    CHECK(ap_claim_owner(folder, who));
    CHECK_TEXT(who, pid);
    ap_claim_release(folder);
    CHECK_INT(entries(folder), 0);
    CHECK(!ap_claim_owner(folder, who));
    CHECK(take(-1).taken);
}

static void test_a_dead_process_holds_nothing(void) {
    start();
    void_claim(-1);
    CHECK(take(-1).taken);
    ap_claim_release(folder);
    CHECK_INT(entries(folder), 0); /* the take-over mark too */
}

static void test_a_zombie_is_dead(void) {
    start();
    int64_t progress = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        take_and_die(&progress);
        _exit(0);
    }
    siginfo_t info;
    CHECK_INT(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0); /* dead, and not collected */
    CHECK(take(-1).taken);
    waitpid(child, NULL, 0);
}

/* The pid lives, but the process that has it now started at another time. */
static void test_a_reused_pid_is_not_the_owner(void) {
    start();
    CHECK(take(-1).taken);
    rewrite("process_start", json_integer(1));
    CHECK(take(-1).taken);
}

static void test_a_reboot_ends_all_claims_of_the_host(void) {
    start();
    CHECK(take(-1).taken);
    rewrite("boot", json_string("00000000-0000-0000-0000-000000000000"));
    CHECK(take(-1).taken);
}

static void test_another_host_may_be_alive(void) {
    start();
    CHECK(take(-1).taken);
    rewrite("host", json_string("elsewhere"));
    rewrite("boot", json_string("00000000-0000-0000-0000-000000000000")); /* its own boot says nothing here */
    ap_claim claim = take(-1);
    CHECK(!claim.taken);
    CHECK_TEXT(claim.owner, "elsewhere");
}

static void test_another_container_may_be_alive(void) {
    start();
    void_claim(-1);
    rewrite("namespace", json_string("pid:[1]"));
    CHECK(!take(-1).taken);
}

static void test_a_restarted_slurm_job_owns_its_old_claims(void) {
    setenv("SLURM_JOB_ID", "17", 1);
    start();
    CHECK(take(-1).taken);
    rewrite("host", json_string("elsewhere"));
    CHECK(!take(-1).taken); /* the same start of the job: a sibling */
    setenv("SLURM_RESTART_COUNT", "1", 1);
    CHECK(take(-1).taken);
    rewrite("host", json_string("elsewhere"));
    setenv("SLURM_JOB_ID", "18", 1);
    setenv("SLURM_RESTART_COUNT", "2", 1);
    CHECK(!take(-1).taken); /* another job */
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_RESTART_COUNT");
}

/* ---- reclaim */

static void test_reclaim_takes_what_cannot_be_known(void) {
    start();
    CHECK(take_as("old", -1, false).taken);
    rewrite("host", json_string("elsewhere"));
    CHECK(take_as("new", -1, true).taken);
}

/* Two groups of one world on two hosts, both told to reclaim, would else take each other's trials. */
static void test_reclaim_spares_the_own_world(void) {
    start();
    CHECK(take_as("same", -1, false).taken);
    rewrite("host", json_string("elsewhere"));
    CHECK(!take_as("same", -1, true).taken);
}

static void test_reclaim_spares_a_process_that_lives(void) {
    start();
    CHECK(take_as("old", -1, false).taken);
    CHECK(!take_as("new", -1, true).taken);
}

static void test_a_reclaimed_claim_is_not_released_by_its_old_owner(void) {
    start();
    CHECK(take(-1).taken);
    rewrite("host", json_string("elsewhere")); /* somebody there has it now */
    ap_claim_release(folder);
    CHECK(ap_file_exists(in_folder("claim")));
}

/* ---- attempts */

static void test_attempts_count_starts_without_progress(void) {
    start();
    void_claim(-1);
    void_claim(-1);
    ap_claim third = take(-1);
    CHECK(third.taken);
    CHECK_INT(third.attempts, 3);
}

static void test_progress_resets_the_attempts(void) {
    start();
    void_claim(-1);
    void_claim(-1);
    void_claim(20); /* it started from a checkpoint that its predecessors had made */
    ap_claim again = take(20);
    CHECK(again.taken);
    CHECK_INT(again.attempts, 2);
    start();
    void_claim(20);
    CHECK_INT(take(40).attempts, 1);
}

/* ---- damage */

static void test_an_unreadable_claim_protects_nobody(void) {
    const char *const texts[] = {"", "{", "hello", "[1]", "{}", "{\"host\": 3}", "3"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        start();
        write_claim(texts[i]);
        ap_claim claim = take(5);
        CHECK(claim.taken);
        CHECK_INT(claim.attempts, 1);
    }
}

static void test_a_claim_that_is_no_file_is_an_error(void) {
    start();
    ap_error error = {0};
    ap_claim claim;
    CHECK_INT(mkdir(in_folder("claim"), 0777), 0);
    CHECK_INT(ap_claim_take(folder, "w", -1, false, &claim, &error), AP_IO);
    CHECK_TEXT(error.text, "claim");
    CHECK(!claim.taken);
}

static void test_a_missing_folder_is_an_error(void) {
    start();
    ap_error error = {0};
    ap_claim claim;
    CHECK_INT(ap_claim_take(in_folder("none"), "w", -1, false, &claim, &error), AP_IO);
    CHECK(!claim.taken);
    ap_claim_release(in_folder("none"));
}

/* A contender that died between its mark and the claim must not lock the trial up for ever. */
static void test_a_mark_of_a_dead_contender_is_passed(void) {
    start();
    void_claim(-1);
    char *old = NULL, *mark = NULL, hex[AP_DIGEST_TEXT], name[64];
    size_t n = 0, m = 0;
    CHECK_INT(ap_read_file(in_folder("claim"), 1 << 16, &old, &n, NULL), AP_OK);
    start();
    void_claim(7); /* what the dead contender wrote as its mark */
    CHECK_INT(ap_read_file(in_folder("claim"), 1 << 16, &mark, &m, NULL), AP_OK);
    write_claim(old);
    ap_digest_text(ap_digest_of(old, n), hex);
    snprintf(name, sizeof name, "claim.%s", hex);
    CHECK_INT(ap_write_file(in_folder(name), mark, m, NULL), AP_OK);
    ap_claim claim = take(-1);
    CHECK(claim.taken);
    CHECK_INT(claim.attempts, 2);
    ap_claim_release(folder);
    CHECK_INT(entries(folder), 0);
    free(old);
    free(mark);
}

/* While the contender lives, its mark counts. */
static void test_a_mark_of_a_living_contender_holds(void) {
    start();
    CHECK(take(-1).taken);
    char *mine = NULL, *old = NULL, hex[AP_DIGEST_TEXT], name[64];
    size_t n = 0, m = 0;
    CHECK_INT(ap_read_file(in_folder("claim"), 1 << 16, &mine, &m, NULL), AP_OK);
    ap_claim_release(folder);
    void_claim(-1);
    CHECK_INT(ap_read_file(in_folder("claim"), 1 << 16, &old, &n, NULL), AP_OK);
    ap_digest_text(ap_digest_of(old, n), hex);
    snprintf(name, sizeof name, "claim.%s", hex);
    CHECK_INT(ap_write_file(in_folder(name), mine, m, NULL), AP_OK);
    CHECK(!take(-1).taken);
    free(mine);
    free(old);
}

/* ---- contention */

enum { CONTENDERS = 16, ROUNDS = 12 };

/* All start at once when the pipe's writing end closes; each says by its exit code whether it won, and winners stay
 * alive until all have tried. */
static int contend(bool releases, int spread_us) {
    int go[2], done[2], tried[2];
    if (pipe(go) || pipe(done) || pipe(tried)) perror("pipe"), exit(1);
    pid_t child[CONTENDERS];
    fflush(stdout);
    for (int i = 0; i < CONTENDERS; i++) {
        child[i] = fork();
        if (child[i]) continue;
        char byte = 0;
        ap_claim claim = {0};
        ap_error error;
        close(go[1]), close(done[1]), close(tried[0]);
        if (read(go[0], &byte, 1)) _exit(3);
        usleep((useconds_t)(i * spread_us));
        ap_status status = ap_claim_take(folder, "w", -1, false, &claim, &error);
        if (status) fprintf(stderr, "claim: %s\n", error.text);
        if (claim.taken && releases) ap_claim_release(folder);
        if (write(tried[1], &byte, 1) != 1 || read(done[0], &byte, 1)) _exit(4);
        _exit(status ? 2 : claim.taken ? 1 : 0);
    }
    close(go[1]);
    for (int i = 0; i < CONTENDERS; i++) {
        char byte;
        if (read(tried[0], &byte, 1) != 1) perror("read"), exit(1);
    }
    close(done[1]);
    int winners = 0;
    for (int i = 0; i < CONTENDERS; i++) {
        int status = 0;
        waitpid(child[i], &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        winners += WIFEXITED(status) && WEXITSTATUS(status) == 1;
    }
    close(go[0]), close(done[0]), close(tried[0]), close(tried[1]);
    return winners;
}

static void test_one_of_many_gets_a_free_trial(void) {
    for (int round = 0; round < ROUNDS; round++) {
        start();
        CHECK_INT(contend(false, 0), 1);
    }
}

static void test_one_of_many_gets_a_void_claim(void) {
    for (int round = 0; round < ROUNDS; round++) {
        start();
        void_claim(-1);
        CHECK_INT(contend(false, round * 50), 1);
    }
}

/* Round after round on the same folder: the winners of one are dead in the next, their marks lie about. */
static void test_void_claims_of_winners_are_taken_again(void) {
    start();
    for (int round = 0; round < ROUNDS; round++) CHECK_INT(contend(false, 0), 1);
    json_t *claim = read_claim();
    CHECK_INT(json_integer_value(json_object_get(claim, "attempts")), ROUNDS);
    json_decref(claim);
}

/* Holders write their name into a file only they may have; a second holder at the same time would find it. */
static void test_no_two_hold_at_once_while_others_release(void) {
    start();
    void_claim(-1);
    int go[2];
    if (pipe(go)) perror("pipe"), exit(1);
    char busy[AP_PATH];
    snprintf(busy, sizeof busy, "%s", in_folder("busy"));
    pid_t child[CONTENDERS];
    fflush(stdout);
    for (int i = 0; i < CONTENDERS; i++) {
        child[i] = fork();
        if (child[i]) continue;
        char byte;
        ap_error error;
        close(go[1]);
        if (read(go[0], &byte, 1)) _exit(2);
        int held = 0;
        for (int turn = 0; turn < 40; turn++) {
            ap_claim claim = {0};
            if (ap_claim_take(folder, "w", -1, false, &claim, &error)) {
                fprintf(stderr, "claim: %s\n", error.text);
                _exit(3);
            }
            if (!claim.taken) continue;
            int fd = open(busy, O_CREAT | O_EXCL, 0600);
            if (fd < 0) _exit(4); /* two at once */
            close(fd);
            held++;
            if (held == 3) unlink(busy), _exit(0); /* dies with the claim in hand */
            unlink(busy);
            ap_claim_release(folder);
        }
        _exit(0);
    }
    close(go[0]), close(go[1]);
    for (int i = 0; i < CONTENDERS; i++) {
        int status = 0;
        waitpid(child[i], &status, 0);
        CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
    }
}

/* A claim that vanishes between the exclusive creation and the look at it is not an error. */
static void test_release_during_a_look_is_no_error(void) {
    for (int round = 0; round < ROUNDS; round++) {
        start();
        CHECK(contend(true, 0) >= 1);
        CHECK_INT(entries(folder), 0);
    }
}

AP_TEST_MAIN(test_a_claim_is_exclusive_until_it_is_released, test_a_dead_process_holds_nothing, test_a_zombie_is_dead,
             test_a_reused_pid_is_not_the_owner, test_a_reboot_ends_all_claims_of_the_host,
             test_another_host_may_be_alive, test_another_container_may_be_alive,
             test_a_restarted_slurm_job_owns_its_old_claims, test_reclaim_takes_what_cannot_be_known,
             test_reclaim_spares_the_own_world, test_reclaim_spares_a_process_that_lives,
             test_a_reclaimed_claim_is_not_released_by_its_old_owner, test_attempts_count_starts_without_progress,
             test_progress_resets_the_attempts, test_an_unreadable_claim_protects_nobody,
             test_a_claim_that_is_no_file_is_an_error, test_a_missing_folder_is_an_error,
             test_a_mark_of_a_dead_contender_is_passed, test_a_mark_of_a_living_contender_holds,
             test_one_of_many_gets_a_free_trial, test_one_of_many_gets_a_void_claim,
             test_void_claims_of_winners_are_taken_again, test_no_two_hold_at_once_while_others_release,
             test_release_during_a_look_is_no_error)
