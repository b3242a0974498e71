/* Claims: who is gone and who is not, and that of many contenders exactly one gets a void claim. */
#include "crash.h"
#include "folder.h"

#include "base/digest.h"
#include "harness/claim.h"
#include "harness/scheduler.h"

#include <fcntl.h>
#include <jansson.h>

enum { TRIAL = 7 };
#define CLAIM ".sweep/claims/claim.000007"

static void new_tree(void) {
    start();
    CHECK_INT(ap_claims_prepare(folder, NULL), AP_OK);
}

static ap_status try_to_take(const char *world, int64_t progress, bool reclaim, ap_claim *claim, ap_error *error) {
    const ap_claimant by = {.results = folder, .world = world, .reclaim = reclaim, .asks = true};
    return ap_claim_take(&by, TRIAL, progress, claim, error);
}
static ap_claim take_as(const char *world, int64_t progress, bool reclaim) {
    ap_error error = {0};
    ap_claim claim;
    CHECK_INT(try_to_take(world, progress, reclaim, &claim, &error), AP_OK);
    return claim;
}
static void release(void) {
    ap_claim_release(folder, TRIAL);
}
static int claim_files(void) {
    return entries(in_folder(".sweep/claims"));
}
static bool look(ap_claim_info *info) {
    const ap_claimant by = {.results = folder, .world = "w"};
    return ap_claim_look(&by, TRIAL, info);
}
static ap_claim take(int64_t progress) {
    return take_as("w", progress, false);
}

static json_t *read_claim(void) {
    json_t *claim = json_load_file(in_folder(CLAIM), 0, NULL);
    CHECK(claim != NULL);
    return claim;
}

/* Writes the claim as it is, but with `key` changed: the claim of another process. */
static void rewrite(const char *key, json_t *value) {
    json_t *claim = read_claim();
    json_object_set_new(claim, key, value);
    CHECK_INT(json_dump_file(claim, in_folder(CLAIM), JSON_INDENT(1)), 0);
    json_decref(claim);
}
static void write_claim(const char *text) {
    CHECK_INT(ap_write_file(in_folder(CLAIM), text, strlen(text), NULL), AP_OK);
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
    new_tree();
    ap_claim mine = take(-1);
    CHECK(mine.taken);
    CHECK_INT(mine.attempts, 1);
    ap_claim second = take(-1);
    CHECK(!second.taken);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld on ", (long)getpid());
    CHECK_TEXT(second.owner, pid);
    ap_claim_info info;
    char who[256];
    CHECK(look(&info));
    ap_claim_owner_text(&info, who);
    CHECK_TEXT(who, pid);
    CHECK_INT(info.owner, AP_OWNER_LIVES);
    release();
    CHECK_INT(claim_files(), 0);
    CHECK(!look(&info));
    CHECK(take(-1).taken);
}

static void test_a_dead_process_holds_nothing(void) {
    new_tree();
    void_claim(-1);
    CHECK(take(-1).taken);
    release();
    CHECK_INT(claim_files(), 0); /* the take-over mark too */
}

static void test_a_zombie_is_dead(void) {
    new_tree();
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
    new_tree();
    CHECK(take(-1).taken);
    rewrite("process_start", json_integer(1));
    CHECK(take(-1).taken);
}

static void test_a_reboot_ends_all_claims_of_the_host(void) {
    new_tree();
    CHECK(take(-1).taken);
    rewrite("boot", json_string("00000000-0000-0000-0000-000000000000"));
    CHECK(take(-1).taken);
}

static void test_another_host_may_be_alive(void) {
    new_tree();
    CHECK(take(-1).taken);
    rewrite("host", json_string("elsewhere"));
    rewrite("boot", json_string("00000000-0000-0000-0000-000000000000")); /* its own boot says nothing here */
    ap_claim claim = take(-1);
    CHECK(!claim.taken);
    CHECK_TEXT(claim.owner, "elsewhere");
}

static void test_another_container_may_be_alive(void) {
    new_tree();
    void_claim(-1);
    rewrite("namespace", json_string("pid:[1]"));
    CHECK(!take(-1).taken);
}

static void test_a_restarted_slurm_job_owns_its_old_claims(void) {
    new_tree();
    setenv("SLURM_JOB_ID", "17", 1);
    CHECK(take(-1).taken);
    rewrite("host", json_string("elsewhere"));
    CHECK(!take(-1).taken); /* the same start of the job: a sibling */
    setenv("SLURM_RESTART_COUNT", "1", 1);
    CHECK(take_as("its.next", -1, false).taken);
    rewrite("host", json_string("elsewhere"));
    setenv("SLURM_JOB_ID", "18", 1);
    setenv("SLURM_RESTART_COUNT", "2", 1);
    CHECK(!take(-1).taken); /* another job */
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_RESTART_COUNT");
}

/* ---- declared gone by a launcher */

static void test_a_world_declared_gone_holds_nothing(void) {
    new_tree();
    CHECK(take_as("n1.12.3", -1, false).taken);
    rewrite("host", json_string("elsewhere"));
    CHECK(!take(-1).taken);
    CHECK_INT(ap_world_declare_gone(folder, "n1.12.4", "exit code 1", NULL), AP_OK); /* another one */
    CHECK(!take(-1).taken);
    CHECK_INT(ap_world_declare_gone(folder, "n1.12.3", "signal 9", NULL), AP_OK);
    ap_claim_info info;
    CHECK(look(&info));
    CHECK_INT(info.owner, AP_OWNER_GONE);
    ap_claim taken = take(-1);
    CHECK(taken.taken);
    CHECK_INT(taken.attempts, 2);
    ap_world_forget(folder, "n1.12.3");
    ap_world_forget(folder, "n1.12.4");
    CHECK_INT(entries(in_folder(".sweep/worlds")), 0);
}

/* A process that is seen to live is not gone, whoever says so. */
static void test_a_living_process_cannot_be_declared_gone(void) {
    new_tree();
    CHECK(take_as("n1.12.3", -1, false).taken);
    CHECK_INT(ap_world_declare_gone(folder, "n1.12.3", "", NULL), AP_OK);
    CHECK(!take(-1).taken);
}

static void test_names_of_worlds(void) {
    const char *const bad[] = {"", "a/b", "..\n", "a b", "w\"", "\xc3\xa4"};
    ap_error error;
    new_tree();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(ap_world_name_check(bad[i], &error), AP_USAGE);
        CHECK_INT(ap_world_declare_gone(folder, bad[i], "", &error), AP_USAGE);
        CHECK_TEXT(error.text, "letters");
    }
    CHECK_INT(ap_world_name_check("n1.example.org.77-g0_2", NULL), AP_OK);
    CHECK(take_as("w", -1, false).taken);
    rewrite("host", json_string("elsewhere"));
    rewrite("world", json_string("../../x")); /* a claim that is not ours to trust */
    CHECK(!take(-1).taken);
}

/* ---- Slurm says: a script named squeue that comes first in PATH, logs its calls to `asked` and answers as told */

/* The same for `scontrol show config`, as far as it is read: a controller up for so long. */
static void fake_controller(const char *now, const char *boot) {
    char text[512];
    snprintf(text, sizeof text, "#!/bin/sh\necho 'Configuration data as of %s'\necho 'BOOT_TIME               = %s'\n",
             now, boot);
    CHECK_INT(ap_write_file(in_folder("bin/scontrol"), text, strlen(text), NULL), AP_OK);
    CHECK_INT(chmod(in_folder("bin/scontrol"), 0755), 0);
}

static char *real_path;
static void fake_squeue(const char *answer) {
    char text[2048];
    if (!real_path) real_path = strdup(getenv("PATH"));
    CHECK_INT(ap_make_directories(in_folder("bin"), NULL), AP_OK);
    snprintf(text, sizeof text, "#!/bin/sh\necho \"$*\" >>%s/asked\n%s\n", folder, answer);
    CHECK_INT(ap_write_file(in_folder("bin/squeue"), text, strlen(text), NULL), AP_OK);
    CHECK_INT(chmod(in_folder("bin/squeue"), 0755), 0);
    snprintf(text, sizeof text, "%s:%s", in_folder("bin"), real_path);
    setenv("PATH", text, 1);
    setenv("SLURM_CLUSTER_NAME", "here", 1);
    unlink(in_folder("asked"));
    fake_controller("2026-03-01T10:00:00", "2026-02-28T09:00:00");
    ap_slurm_set_patience(60, 10);
}
static int times_asked(void) {
    char *text = NULL;
    size_t n;
    int lines = 0;
    if (ap_read_file(in_folder("asked"), 1 << 16, &text, &n, NULL)) return 0;
    for (char *at = text; *at; at++) lines += *at == '\n';
    free(text);
    return lines;
}

/* The claim of job 17 on another host; this process is in no job. */
static void claim_of_job(const char *array_task, const char *step, int restart) {
    CHECK(take_as("theirs", -1, false).taken);
    rewrite("host", json_string("elsewhere"));
    rewrite("slurm_cluster", json_string("here"));
    rewrite("slurm_job", json_string("17"));
    rewrite("slurm_array_task", json_string(array_task));
    rewrite("slurm_step", json_string(step));
    rewrite("slurm_restart", json_integer(restart));
}

static void test_slurm_says_whether_a_job_is_gone(void) {
    static const struct {
        const char *answer, *array_task, *step;
        int restart;
        bool gone;
    } cases[] = {
        {"echo '17 RUNNING 0'", "", "", 0, false},
        {"echo '17 COMPLETING 0'", "", "", 0, false},
        {"echo '17 COMPLETING 1'", "", "", 0, false}, /* requeued; its processes are being ended */
        {"echo '17 SUSPENDED 0'", "", "", 0, false},
        {"echo '17 PENDING 1'", "", "", 0, true},  /* requeued: waits to start again */
        {"echo '17 PENDING 0'", "", "", 0, false}, /* a controller that does not know of the start that claimed */
        {"echo '17 PENDING 1'", "", "", 1, false},
        {"echo '17 RUNNING 0'", "", "", 1, false},
        {"echo '17 RUNNING 1'", "", "", 0, true}, /* started again since */
        {"echo '17 RUNNING 1'", "", "", 1, false},
        {"echo '17 TIMEOUT 0'", "", "", 0, true},
        {"exit 0", "", "", 0, true},                                                             /* over */
        {"echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", "", "", 0, true}, /* forgotten */
        {"echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1", "", "", 0,
         false},
        {"echo 'squeue: error: Invalid job format specification: RestartCnt' >&2; exit 1", "", "", 0, false},
        {"exit 127", "", "", 0, false},
        /* Asked for the first task of an array, squeue may list others too. */
        {"case \"$*\" in *'-j 17_3'*) echo '19 RUNNING 0'; echo '17 RUNNING 0';; esac", "17_3", "", 0, false},
        {"echo '19 RUNNING 0'", "17_3", "", 0, true},
        /* Steps. */
        {"case \"$*\" in *-s*) echo '17.2 sh main root 0:02 n2';; *) echo '17 RUNNING 0';; esac", "", "2", 0, false},
        {"case \"$*\" in *-s*) ;; *) echo '17 RUNNING 0';; esac", "", "2", 0, true},
        {"case \"$*\" in *-s*) exit 1;; *) echo '17 RUNNING 0';; esac", "", "2", 0, false},
        {"case \"$*\" in *'-s 17.2'*) echo '17_4.2 x'; echo '17_3.2 x';; *) echo '17 RUNNING 0';; esac", "17_3", "2", 0,
         false},
        {"case \"$*\" in *'-s 17.2'*) echo '17_4.2 x';; *) echo '17 RUNNING 0';; esac", "17_3", "2", 0, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        new_tree();
        fake_squeue(cases[i].answer);
        claim_of_job(cases[i].array_task, cases[i].step, cases[i].restart);
        bool taken = take(-1).taken;
        if (taken != cases[i].gone) printf("case %zu: %s\n", i, cases[i].answer);
        CHECK(taken == cases[i].gone);
    }
    setenv("PATH", real_path, 1);
}

/* Killed and started again, it may have forgotten jobs that run: it is believed when its nodes have reported. */
static void test_a_controller_that_has_just_started_is_not_believed(void) {
    static const struct {
        const char *now, *boot;
        bool believed;
    } cases[] = {
        {"2026-03-01T10:00:59", "2026-03-01T10:00:00", false}, {"2026-03-01T10:01:00", "2026-03-01T10:00:00", true},
        {"2026-03-01T00:00:30", "2026-02-28T23:59:31", false}, {"2026-03-01T00:00:30", "2026-02-28T23:59:30", true},
        {"2026-03-01T10:00:00", "2026-03-01T10:00:05", false}, {"2026-03-01T10:00:00", "unknown", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        new_tree();
        fake_squeue("exit 0");
        fake_controller(cases[i].now, cases[i].boot);
        claim_of_job("", "", 0);
        CHECK(take(-1).taken == cases[i].believed);
    }
    setenv("PATH", real_path, 1);
}

static void test_slurm_is_asked_rarely(void) {
    new_tree();
    fake_squeue("echo '17 RUNNING 0'");
    claim_of_job("", "", 0);
    for (int i = 0; i < 5; i++) CHECK(!take(-1).taken);
    CHECK_INT(times_asked(), 1);
    ap_slurm_set_patience(0, 10);
    for (int i = 0; i < 5; i++) CHECK(!take(-1).taken);
    CHECK_INT(times_asked(), 6);
    setenv("PATH", real_path, 1);
}

static void test_a_controller_that_hangs_is_given_up_and_left_alone(void) {
    new_tree();
    fake_squeue("sleep 600");
    claim_of_job("", "", 0);
    ap_slurm_set_patience(0, 0.3);
    for (int i = 0; i < 5; i++) CHECK(!take(-1).taken); /* would take long if each asked */
    CHECK_INT(times_asked(), 1);
    setenv("PATH", real_path, 1);
}

static void test_slurm_of_another_cluster_or_for_another_user_says_nothing(void) {
    new_tree();
    fake_squeue("exit 0");
    claim_of_job("", "", 0);
    rewrite("slurm_cluster", json_string("there"));
    CHECK(!take(-1).taken);
    rewrite("slurm_cluster", json_string("here"));
    rewrite("user", json_integer((json_int_t)getuid() + 1));
    ap_slurm_set_patience(60, 10);
    CHECK(take(-1).taken == (getuid() == 0)); /* root sees all jobs */
    CHECK_INT(times_asked(), getuid() == 0);
    setenv("PATH", real_path, 1);
}

/* On the owner's own host its process is looked at, and Slurm is not needed. */
static void test_slurm_is_not_asked_for_what_the_host_knows(void) {
    new_tree();
    fake_squeue("exit 0");
    setenv("SLURM_JOB_ID", "17", 1);
    CHECK(take_as("theirs", -1, false).taken);
    CHECK(!take(-1).taken);
    CHECK_INT(times_asked(), 0);
    unsetenv("SLURM_JOB_ID");
    setenv("PATH", real_path, 1);
}

static void test_a_claim_says_where_in_slurm_it_is(void) {
    new_tree();
    setenv("SLURM_JOB_ID", "18", 1);
    setenv("SLURM_STEP_ID", "3", 1);
    setenv("SLURM_ARRAY_JOB_ID", "17", 1);
    setenv("SLURM_ARRAY_TASK_ID", "2", 1);
    setenv("SLURM_RESTART_COUNT", "5", 1);
    CHECK(take(-1).taken);
    json_t *claim = read_claim();
    CHECK_TEXT(json_string_value(json_object_get(claim, "slurm_job")), "18");
    CHECK_TEXT(json_string_value(json_object_get(claim, "slurm_step")), "3");
    CHECK_TEXT(json_string_value(json_object_get(claim, "slurm_array_task")), "17_2");
    CHECK_INT(json_integer_value(json_object_get(claim, "slurm_restart")), 5);
    json_decref(claim);
    release();
    setenv("SLURM_STEP_ID", "4294967291", 1); /* the batch script: no step that squeue lists by number */
    CHECK(take(-1).taken);
    claim = read_claim();
    CHECK(!*json_string_value(json_object_get(claim, "slurm_step")));
    json_decref(claim);
    const char *const names[] = {"JOB_ID", "STEP_ID", "ARRAY_JOB_ID", "ARRAY_TASK_ID", "RESTART_COUNT"};
    for (int i = 0; i < 5; i++) {
        char name[64];
        snprintf(name, sizeof name, "SLURM_%s", names[i]);
        unsetenv(name);
    }
}

/* ---- lists */

static void test_the_list_of_claims(void) {
    new_tree();
    unsigned char claimed[12];
    const ap_claimant by = {.results = folder, .world = "w"};
    ap_claim claim;
    for (int i = 0; i < 12; i += 4) CHECK_INT(ap_claim_take(&by, i, -1, &claim, NULL), AP_OK);
    CHECK_INT(ap_write_file(in_folder(".sweep/claims/claim.000001.abc"), "", 0, NULL), AP_OK); /* a mark */
    CHECK_INT(ap_write_file(in_folder(".sweep/claims/claim.000099"), "", 0, NULL), AP_OK);     /* beyond the list */
    CHECK_INT(ap_claims_list(folder, 12, claimed, NULL), AP_OK);
    for (int i = 0; i < 12; i++) CHECK_INT(claimed[i], i % 4 == 0);
    ap_claims_tidy(&by);
    CHECK(!ap_file_exists(in_folder(".sweep/claims/claim.000001.abc")));
    CHECK(ap_file_exists(in_folder(".sweep/claims/claim.000004")));
    CHECK_INT(ap_claims_list(in_folder("none"), 12, claimed, NULL), AP_IO);
}

/* Unfinished claims of other hosts go when their owner is known to be gone, and not before. */
static void test_unfinished_claims_of_the_dead_are_removed(void) {
    new_tree();
    const ap_claimant by = {.results = folder, .world = "new"};
    char temp[AP_PATH];
    snprintf(temp, sizeof temp, "%s/.sweep/claims/.claim.000007.n9.17.tmp", folder);
    CHECK(take_as("old", -1, false).taken);
    rewrite("host", json_string("n9"));
    CHECK_INT(rename(in_folder(CLAIM), temp), 0);
    ap_claims_tidy(&by);
    CHECK(ap_file_exists(temp));
    CHECK_INT(ap_world_declare_gone(folder, "old", "it ended", NULL), AP_OK);
    ap_claims_tidy(&by);
    CHECK(!ap_file_exists(temp));
    CHECK_INT(ap_write_file(temp, "{\"host\": \"n9", 12, NULL), AP_OK); /* torn: it tells nothing */
    ap_claims_tidy(&by);
    CHECK(ap_file_exists(temp));
}

/* ---- reclaim */

static void test_reclaim_takes_what_cannot_be_known(void) {
    new_tree();
    CHECK(take_as("old", -1, false).taken);
    rewrite("host", json_string("elsewhere"));
    CHECK(take_as("new", -1, true).taken);
}

/* Two groups of one world on two hosts, both told to reclaim, would else take each other's trials. */
static void test_reclaim_spares_the_own_world(void) {
    new_tree();
    CHECK(take_as("same", -1, false).taken);
    rewrite("host", json_string("elsewhere"));
    CHECK(!take_as("same", -1, true).taken);
}

static void test_reclaim_spares_a_process_that_lives(void) {
    new_tree();
    CHECK(take_as("old", -1, false).taken);
    CHECK(!take_as("new", -1, true).taken);
}

static void test_a_reclaimed_claim_is_not_released_by_its_old_owner(void) {
    new_tree();
    CHECK(take(-1).taken);
    rewrite("host", json_string("elsewhere")); /* somebody there has it now */
    release();
    CHECK(ap_file_exists(in_folder(CLAIM)));
}

/* ---- attempts */

static void test_attempts_count_starts_without_progress(void) {
    new_tree();
    void_claim(-1);
    void_claim(-1);
    ap_claim third = take(-1);
    CHECK(third.taken);
    CHECK_INT(third.attempts, 3);
}

static void test_progress_resets_the_attempts(void) {
    new_tree();
    void_claim(-1);
    void_claim(-1);
    void_claim(20); /* it started from a checkpoint that its predecessors had made */
    ap_claim again = take(20);
    CHECK(again.taken);
    CHECK_INT(again.attempts, 2);
    new_tree();
    void_claim(20);
    CHECK_INT(take(40).attempts, 1);
}

/* ---- damage */

static void test_an_unreadable_claim_protects_nobody(void) {
    const char *const texts[] = {"", "{", "hello", "[1]", "{}", "{\"host\": 3}", "3"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        new_tree();
        write_claim(texts[i]);
        ap_claim claim = take(5);
        CHECK(claim.taken);
        CHECK_INT(claim.attempts, 1);
    }
}

static void test_a_claim_that_is_no_file_is_an_error(void) {
    new_tree();
    ap_error error = {0};
    ap_claim claim;
    CHECK_INT(mkdir(in_folder(CLAIM), 0777), 0);
    CHECK_INT(try_to_take("w", -1, false, &claim, &error), AP_IO);
    CHECK_TEXT(error.text, "claim");
    CHECK(!claim.taken);
}

static void test_a_missing_folder_is_an_error(void) {
    new_tree();
    ap_error error = {0};
    ap_claim claim;
    const ap_claimant by = {.results = in_folder("none"), .world = "w"};
    CHECK_INT(ap_claim_take(&by, TRIAL, -1, &claim, &error), AP_IO);
    CHECK(!claim.taken);
    ap_claim_release(in_folder("none"), TRIAL);
}

/* A contender that died between its mark and the claim must not lock the trial up for ever. */
static void test_a_mark_of_a_dead_contender_is_passed(void) {
    new_tree();
    void_claim(-1);
    char *old = NULL, *mark = NULL, hex[AP_DIGEST_TEXT], name[128];
    size_t n = 0, m = 0;
    CHECK_INT(ap_read_file(in_folder(CLAIM), 1 << 16, &old, &n, NULL), AP_OK);
    new_tree();
    void_claim(7); /* what the dead contender wrote as its mark */
    CHECK_INT(ap_read_file(in_folder(CLAIM), 1 << 16, &mark, &m, NULL), AP_OK);
    write_claim(old);
    ap_digest_text(ap_digest_of(old, n), hex);
    snprintf(name, sizeof name, CLAIM ".%s", hex);
    CHECK_INT(ap_write_file(in_folder(name), mark, m, NULL), AP_OK);
    ap_claim claim = take(-1);
    CHECK(claim.taken);
    CHECK_INT(claim.attempts, 2);
    release();
    CHECK_INT(claim_files(), 0);
    free(old);
    free(mark);
}

/* While the contender lives, its mark counts. */
static void test_a_mark_of_a_living_contender_holds(void) {
    new_tree();
    CHECK(take(-1).taken);
    char *mine = NULL, *old = NULL, hex[AP_DIGEST_TEXT], name[128];
    size_t n = 0, m = 0;
    CHECK_INT(ap_read_file(in_folder(CLAIM), 1 << 16, &mine, &m, NULL), AP_OK);
    release();
    void_claim(-1);
    CHECK_INT(ap_read_file(in_folder(CLAIM), 1 << 16, &old, &n, NULL), AP_OK);
    ap_digest_text(ap_digest_of(old, n), hex);
    snprintf(name, sizeof name, CLAIM ".%s", hex);
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
        ap_status status = try_to_take("w", -1, false, &claim, &error);
        if (status) fprintf(stderr, "claim: %s\n", error.text);
        if (claim.taken && releases) release();
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
        new_tree();
        CHECK_INT(contend(false, 0), 1);
    }
}

static void test_one_of_many_gets_a_void_claim(void) {
    for (int round = 0; round < ROUNDS; round++) {
        new_tree();
        void_claim(-1);
        CHECK_INT(contend(false, round * 50), 1);
    }
}

/* Round after round on the same folder: the winners of one are dead in the next, their marks lie about. */
static void test_void_claims_of_winners_are_taken_again(void) {
    new_tree();
    for (int round = 0; round < ROUNDS; round++) CHECK_INT(contend(false, 0), 1);
    json_t *claim = read_claim();
    CHECK_INT(json_integer_value(json_object_get(claim, "attempts")), ROUNDS);
    json_decref(claim);
}

/* Holders write their name into a file only they may have; a second holder at the same time would find it. */
static void test_no_two_hold_at_once_while_others_release(void) {
    new_tree();
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
            if (try_to_take("w", -1, false, &claim, &error)) {
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
            release();
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
        new_tree();
        CHECK(contend(true, 0) >= 1);
        CHECK_INT(claim_files(), 0);
    }
}

AP_TEST_MAIN(test_a_claim_is_exclusive_until_it_is_released, test_a_dead_process_holds_nothing, test_a_zombie_is_dead,
             test_a_reused_pid_is_not_the_owner, test_a_reboot_ends_all_claims_of_the_host,
             test_another_host_may_be_alive, test_another_container_may_be_alive,
             test_a_restarted_slurm_job_owns_its_old_claims, test_a_world_declared_gone_holds_nothing,
             test_a_living_process_cannot_be_declared_gone, test_names_of_worlds, test_slurm_says_whether_a_job_is_gone,
             test_a_controller_that_has_just_started_is_not_believed, test_slurm_is_asked_rarely,
             test_a_controller_that_hangs_is_given_up_and_left_alone,
             test_slurm_of_another_cluster_or_for_another_user_says_nothing,
             test_slurm_is_not_asked_for_what_the_host_knows, test_a_claim_says_where_in_slurm_it_is,
             test_the_list_of_claims, test_unfinished_claims_of_the_dead_are_removed,
             test_reclaim_takes_what_cannot_be_known, test_reclaim_spares_the_own_world,
             test_reclaim_spares_a_process_that_lives, test_a_reclaimed_claim_is_not_released_by_its_old_owner,
             test_attempts_count_starts_without_progress, test_progress_resets_the_attempts,
             test_an_unreadable_claim_protects_nobody, test_a_claim_that_is_no_file_is_an_error,
             test_a_missing_folder_is_an_error, test_a_mark_of_a_dead_contender_is_passed,
             test_a_mark_of_a_living_contender_holds, test_one_of_many_gets_a_free_trial,
             test_one_of_many_gets_a_void_claim, test_void_claims_of_winners_are_taken_again,
             test_no_two_hold_at_once_while_others_release, test_release_during_a_look_is_no_error)
