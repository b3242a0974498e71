/* base/file: nothing is ever half-written; exclusive creation; left-overs of dead processes. */
#include "base/clock.h"
#include "base/file.h"
#include "check.h"
#include "folder.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static ap_error error;

static void put(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    if (!file) return;
    fputs(text, file);
    fclose(file);
}

static void check_content(const char *path, const char *want) {
    char *text = NULL;
    size_t n = 0;
    CHECK_INT(ap_read_file(path, 1000000, &text, &n, &error), AP_OK);
    CHECK(text && strcmp(text, want) == 0);
    CHECK_INT(n, strlen(want));
    free(text);
}

static void test_path_too_long_is_refused(void) {
    char path[AP_PATH], longer[AP_PATH + 10];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CHECK_INT(ap_path(path, &error, "%s/%d", "a", 5), AP_OK);
    CHECK(strcmp(path, "a/5") == 0);
    CHECK_INT(ap_path(path, &error, "%s", longer), AP_USAGE);
    CHECK_TEXT(error.text, "bytes long");
    longer[AP_PATH - 1] = '\0';
    CHECK_INT(ap_path(path, &error, "%s", longer), AP_OK);
}

static void test_write_read_and_replace(void) {
    start();
    const char *path = in_folder("a.txt");
    CHECK_INT(ap_write_file(path, "one", 3, &error), AP_OK);
    check_content(path, "one");
    CHECK_INT(ap_write_file(path, "", 0, &error), AP_OK);
    check_content(path, "");
    CHECK_INT(entries(folder), 1);
}

static void test_write_without_a_folder_part(void) {
    start();
    char before[AP_PATH];
    CHECK(getcwd(before, sizeof before) != NULL && chdir(folder) == 0);
    CHECK_INT(ap_write_file("plain", "x", 1, &error), AP_OK);
    CHECK(ap_file_exists("plain"));
    CHECK(chdir(before) == 0);
    CHECK_INT(ap_write_file("/", "x", 1, &error), AP_USAGE);
}

static void test_write_into_a_missing_folder_names_it(void) {
    start();
    CHECK_INT(ap_write_file(in_folder("none/a"), "x", 1, &error), AP_IO);
    CHECK_TEXT(error.text, "none/.a.");
    CHECK_TEXT(error.text, strerror(ENOENT));
}

static void test_rename_over_a_folder_fails_and_leaves_no_temp(void) {
    start();
    mkdir(in_folder("d"), 0777);
    CHECK_INT(ap_write_file(in_folder("d"), "x", 1, &error), AP_IO);
    CHECK_INT(entries(folder), 1);
}

/* A file size limit stands for the full disk: write(2) fails half-way in the same manner. */
static void test_failed_write_leaves_the_old_file(void) {
    start();
    static char big[100000];
    const char *path = in_folder("a");
    put(path, "old");
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &small);
    bool created = true;
    ap_status status = ap_write_file(path, big, sizeof big, &error);
    ap_status exclusive = ap_create_exclusive(in_folder("b"), big, sizeof big, &created, NULL);
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK_INT(status, AP_IO);
    CHECK_TEXT(error.text, strerror(EFBIG));
    CHECK_INT(exclusive, AP_IO);
    check_content(path, "old");
    CHECK_INT(entries(folder), 1);
}

static void test_make_directories(void) {
    start();
    CHECK_INT(ap_make_directories(in_folder("a/b//c/"), &error), AP_OK);
    CHECK(ap_file_exists(in_folder("a/b/c")));
    CHECK_INT(ap_make_directories(in_folder("a/b/c"), &error), AP_OK);
    put(in_folder("f"), "");
    CHECK_INT(ap_make_directories(in_folder("f/x"), &error), AP_IO);
    CHECK_INT(ap_make_directories(in_folder("f"), &error), AP_IO);
    CHECK_TEXT(error.text, strerror(ENOTDIR));
}

static void test_read_errors(void) {
    start();
    char *bytes = NULL;
    size_t n;
    CHECK_INT(ap_read_file(in_folder("none"), 10, &bytes, &n, &error), AP_IO);
    CHECK_TEXT(error.text, strerror(ENOENT));
    CHECK_INT(ap_read_file(folder, 10, &bytes, &n, &error), AP_IO);
    put(in_folder("eleven"), "12345678901");
    CHECK_INT(ap_read_file(in_folder("eleven"), 10, &bytes, &n, &error), AP_DATA);
    CHECK_TEXT(error.text, "longer than 10 bytes");
    CHECK_INT(ap_read_file("/dev/zero", 100000, &bytes, &n, &error), AP_DATA);
    CHECK_INT(ap_read_file(in_folder("eleven"), 11, &bytes, &n, &error), AP_OK);
    CHECK(n == 11 && bytes[11] == '\0');
    free(bytes);
}

static void test_read_of_a_large_file(void) {
    start();
    enum { N = 1000003 };
    char *bytes = malloc(N), *back = NULL;
    size_t n = 0;
    for (int i = 0; i < N; i++) bytes[i] = (char)(i * 31 + i / 1000);
    CHECK_INT(ap_write_file(in_folder("large"), bytes, N, &error), AP_OK);
    CHECK_INT(ap_read_file(in_folder("large"), N, &back, &n, &error), AP_OK);
    CHECK(n == N && memcmp(bytes, back, N) == 0);
    free(bytes);
    free(back);
}

static void test_create_exclusive_only_once(void) {
    start();
    bool created = false;
    const char *path = in_folder("claim");
    CHECK_INT(ap_create_exclusive(path, "me", 2, &created, &error), AP_OK);
    CHECK(created);
    CHECK_INT(ap_create_exclusive(path, "you", 3, &created, &error), AP_OK);
    CHECK(!created);
    check_content(path, "me");
    CHECK_INT(entries(folder), 1);
}

static void test_exactly_one_of_many_processes_creates(void) {
    start();
    enum { PROCESSES = 8, FILES = 30 };
    pid_t child[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) {
        child[p] = fork();
        if (child[p]) continue;
        int made = 0;
        for (int f = 0; f < FILES; f++) {
            char name[32], text[32];
            bool created = false;
            snprintf(name, sizeof name, "claim%d", f);
            snprintf(text, sizeof text, "%d", p);
            if (ap_create_exclusive(in_folder(name), text, strlen(text), &created, NULL) != AP_OK) _exit(255);
            made += created;
        }
        _exit(made);
    }
    int total = 0;
    for (int p = 0; p < PROCESSES; p++) {
        int status = 0;
        waitpid(child[p], &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= FILES);
        total += WEXITSTATUS(status);
    }
    CHECK_INT(total, FILES);
    CHECK_INT(entries(folder), FILES);
}

/* A process that was killed between link(2) and unlink(2) leaves its temp file as a second name of the claim. A later
 * process with the same number must not write through it. */
static void test_old_temp_that_is_a_link_to_the_file_is_not_written_through(void) {
    start();
    char temp[AP_PATH];
    const char *path = in_folder("claim");
    put(path, "theirs");
    CHECK_INT(ap_temp_name(path, temp, &error), AP_OK);
    CHECK(link(path, temp) == 0);
    bool created = true;
    CHECK_INT(ap_create_exclusive(path, "mine", 4, &created, &error), AP_OK);
    CHECK(!created);
    check_content(path, "theirs");
    CHECK_INT(entries(folder), 1);
}

static void test_two_step_commit_and_abandon(void) {
    start();
    char temp[AP_PATH];
    const char *path = in_folder("r.h5");
    CHECK_INT(ap_temp_name(path, temp, &error), AP_OK);
    put(temp, "new");
    CHECK_INT(ap_commit_file(temp, path, &error), AP_OK);
    check_content(path, "new");
    CHECK(!ap_file_exists(temp));
    put(temp, "half");
    ap_abandon_file(temp);
    CHECK_INT(entries(folder), 1);
    CHECK_INT(ap_commit_file(temp, path, &error), AP_IO);
    check_content(path, "new");
}

static pid_t dead_pid(void) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
    return child;
}

static void test_only_stale_temps_of_this_host_are_removed(void) {
    start();
    char host[256] = "", name[6][AP_PATH];
    gethostname(host, sizeof host - 1);
    long dead = dead_pid();
    const char *const kept[] = {"a.h5", ".hidden", ".a.h5.tmp", "..tmp"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) put(in_folder(kept[i]), "");
    snprintf(name[0], AP_PATH, "%s/.a.h5.%s.%ld.tmp", folder, host, (long)getpid()); /* alive */
    snprintf(name[1], AP_PATH, "%s/.a.h5.other-host.%ld.tmp", folder, dead);
    snprintf(name[2], AP_PATH, "%s/.a.h5.x%s.%ld.tmp", folder, host, dead);
    snprintf(name[3], AP_PATH, "%s/.%s.%ld.tmp", folder, host, dead); /* no NAME: not ours */
    snprintf(name[4], AP_PATH, "%s/.a.h5.%s.%ld.tmp", folder, host, dead);
    snprintf(name[5], AP_PATH, "%s/.b.%s.%ld.tmp", folder, host, dead);
    for (int i = 0; i < 6; i++) put(name[i], "");
    ap_remove_stale_temps(folder);
    for (int i = 0; i < 6; i++) CHECK_INT(ap_file_exists(name[i]), i < 4);
    CHECK_INT(entries(folder), 8);
    ap_remove_stale_temps(in_folder("none")); /* no such folder: nothing happens */
}

static void test_temps_of_all_hosts_are_removed(void) {
    start();
    const char *const gone[] = {".a.n1.7.tmp", ".a.h5.n-2.x.123456789.tmp", ".b.n1.7.tmp"};
    const char *const kept[] = {".a.n1.tmp", ".a.n1.7.tmp.x", "a.n1.7.tmp", ".7.tmp.7", ".a.n1.1234567890.tmp"};
    for (size_t i = 0; i < 3; i++) put(in_folder(gone[i]), "");
    for (size_t i = 0; i < 5; i++) put(in_folder(kept[i]), "");
    ap_remove_temps(folder, "b");
    CHECK_INT(entries(folder), 7);
    ap_remove_temps(folder, "a.h5");
    CHECK_INT(entries(folder), 6);
    ap_remove_temps(folder, NULL);
    for (size_t i = 0; i < 5; i++) CHECK(ap_file_exists(in_folder(kept[i])));
    CHECK_INT(entries(folder), 5);
    ap_remove_temps(in_folder("none"), NULL);
}

static void test_temp_of_a_zombie_is_stale(void) {
    start();
    char host[256] = "", name[AP_PATH];
    gethostname(host, sizeof host - 1);
    pid_t child = fork();
    if (child == 0) _exit(0);
    siginfo_t info;
    waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT); /* ended, not yet collected */
    snprintf(name, AP_PATH, "%s/.a.%s.%ld.tmp", folder, host, (long)child);
    put(name, "");
    ap_remove_stale_temps(folder);
    CHECK(!ap_file_exists(name));
    waitpid(child, NULL, 0);
}

/* Kills at every stage of a commit: the old or the new file is there, whole, and the temp file can be cleared away. */
static void test_kill_inside_a_commit(void) {
    start();
    const char *path = in_folder("state");
    int seen_old = 0, seen_new = 0;
    for (int round = 0; round < 8; round++) {
        CHECK_INT(ap_write_file(path, "old", 3, &error), AP_OK);
        pid_t child = fork();
        if (child == 0) {
            setenv("AP_TEST_WRITE_DELAY_MS", "20", 1);
            ap_write_file(path, "new", 3, NULL);
            pause();
        }
        usleep((useconds_t)(10000 * round));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        char *text = NULL;
        size_t n = 0;
        CHECK_INT(ap_read_file(path, 10, &text, &n, &error), AP_OK);
        CHECK(text && (strcmp(text, "old") == 0 || strcmp(text, "new") == 0));
        seen_old += text && strcmp(text, "old") == 0;
        seen_new += text && strcmp(text, "new") == 0;
        free(text);
        ap_remove_stale_temps(folder);
        CHECK_INT(entries(folder), 1);
    }
    CHECK(seen_old > 0 && seen_new > 0);
}

AP_TEST_MAIN(test_path_too_long_is_refused, test_write_read_and_replace, test_write_without_a_folder_part,
             test_write_into_a_missing_folder_names_it, test_rename_over_a_folder_fails_and_leaves_no_temp,
             test_failed_write_leaves_the_old_file, test_make_directories, test_read_errors, test_read_of_a_large_file,
             test_create_exclusive_only_once, test_exactly_one_of_many_processes_creates,
             test_old_temp_that_is_a_link_to_the_file_is_not_written_through, test_two_step_commit_and_abandon,
             test_only_stale_temps_of_this_host_are_removed, test_temps_of_all_hosts_are_removed,
             test_temp_of_a_zombie_is_stale, test_kill_inside_a_commit)
