#include "harness/claim.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLAIM_LIMIT = 1 << 16 };

/* ---- who we are */

/* Field 22 of /proc/PID/stat: start time in clock ticks since boot; -1 if there is no such process or it is a zombie.
 */
static int64_t process_start(int64_t pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    char *at = strrchr(text, ')'); /* the name before it may hold anything */
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X') return -1;
    at += 2;
    for (int field = 3; field < 22 && at; field++) at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) : -1;
}

static void boot_id(char text[64]) {
    text[0] = 0;
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (!file) return;
    if (!fgets(text, 64, file)) text[0] = 0;
    fclose(file);
    text[strcspn(text, "\n")] = 0;
}

/* Two containers may share host name and boot, and then count their processes apart. */
static void process_namespace(char text[64]) {
    ssize_t n = readlink("/proc/self/ns/pid", text, 63);
    text[n < 0 ? 0 : n] = 0;
}

static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static char *our_claim(const char *world, int64_t progress, int64_t attempts) {
    char host[256] = "", boot[64], space[64], now[24];
    gethostname(host, sizeof host - 1);
    boot_id(boot);
    process_namespace(space);
    ap_clock_utc(now);
    json_t *claim =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:I, s:I}", "host", host, "boot", boot, "namespace",
                  space, "pid", (json_int_t)getpid(), "process_start", (json_int_t)process_start(getpid()), "slurm_job",
                  environment("SLURM_JOB_ID"), "slurm_restart", environment("SLURM_RESTART_COUNT"), "world", world,
                  "time", now, "progress", (json_int_t)progress, "attempts", (json_int_t)attempts);
    char *text = claim ? json_dumps(claim, JSON_INDENT(1)) : NULL;
    json_decref(claim);
    return text;
}

/* ---- whether another's claim still holds */

static const char *get_text(const json_t *claim, const char *key) {
    const char *text = json_string_value(json_object_get(claim, key));
    return text ? text : "";
}
static int64_t get_number(const json_t *claim, const char *key) {
    return json_integer_value(json_object_get(claim, key));
}

typedef enum owner_state { ALIVE, GONE, UNKNOWN } owner_state;

static owner_state state_of_owner(const json_t *claim) {
    char host[256] = "", boot[64], space[64];
    gethostname(host, sizeof host - 1);
    boot_id(boot);
    process_namespace(space);
    const char *job = environment("SLURM_JOB_ID");
    if (*job && !strcmp(job, get_text(claim, "slurm_job")) &&
        atoll(environment("SLURM_RESTART_COUNT")) > atoll(get_text(claim, "slurm_restart")))
        return GONE;
    if (strcmp(host, get_text(claim, "host"))) return UNKNOWN;
    if (*boot && *get_text(claim, "boot") && strcmp(boot, get_text(claim, "boot"))) return GONE;
    if (strcmp(space, get_text(claim, "namespace"))) return UNKNOWN;
    int64_t start = process_start(get_number(claim, "pid"));
    return start >= 0 && start == get_number(claim, "process_start") ? ALIVE : GONE;
}

/* Who asks for a claim. */
typedef struct asker {
    const char *world;
    bool reclaim;
} asker;

/* Claims appear whole, so one that cannot be understood was not made by this program and protects nobody. */
static json_t *parse(const char *text, size_t n) {
    json_t *claim = json_loadb(text, n, 0, NULL);
    if (*get_text(claim, "host")) return claim;
    json_decref(claim);
    return NULL;
}

/* Reclaiming never goes against a process that is known to live, nor against another group of the same world. */
static bool is_void(const json_t *claim, const asker *by) {
    if (!claim) return true;
    owner_state owner = state_of_owner(claim);
    return owner == GONE || (owner == UNKNOWN && by->reclaim && strcmp(by->world, get_text(claim, "world")) != 0);
}

static void name_owner(const json_t *claim, char text[256]) {
    snprintf(text, 256, "process %lld on %.100s since %.40s", (long long)get_number(claim, "pid"),
             get_text(claim, "host"), get_text(claim, "time"));
}

/* ---- taking */

/* Of all who see a void claim one creates the mark `claim.<digest of the void claim>`. If its creator died before it
 * replaced the claim, the mark is a void claim itself: the next mark has its digest, and so on. */
static ap_status create_mark(const char *path, const char *old, size_t n, const asker *by, const char *text,
                             char mark[AP_PATH], bool *ours, ap_error *error) {
    ap_digest digest = ap_digest_of(old, n);
    for (bool next = true; next;) {
        char hex[AP_DIGEST_TEXT], *held = NULL;
        size_t length = 0;
        ap_digest_text(digest, hex);
        AP_TRY(ap_path(mark, error, "%s.%s", path, hex));
        AP_TRY(ap_create_exclusive(mark, text, strlen(text), ours, error));
        if (*ours || ap_read_file(mark, CLAIM_LIMIT, &held, &length, NULL)) return AP_OK;
        json_t *holder = parse(held, length);
        ap_digest follows = ap_digest_of(held, length);
        next = is_void(holder, by) && !ap_digest_equal(follows, digest);
        digest = follows;
        json_decref(holder);
        free(held);
    }
    return AP_OK;
}

static bool still_holds(const char *path, const char *old, size_t n) {
    char *now = NULL;
    size_t length = 0;
    if (ap_read_file(path, CLAIM_LIMIT, &now, &length, NULL)) return false;
    bool same = length == n && !memcmp(now, old, n);
    free(now);
    return same;
}

/* The mark alone does not decide: a slow contender can create it again after the winner has finished, removed the marks
 * and let others claim anew. So the winner replaces the claim only if it is still the one it saw. */
static ap_status take_over(const char *path, const char *old, size_t n, const asker *by, int64_t progress,
                           ap_claim *claim, ap_error *error) {
    char mark[AP_PATH];
    char *text = our_claim(by->world, progress, claim->attempts);
    if (!text) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a claim");
    bool ours = false;
    ap_status status = create_mark(path, old, n, by, text, mark, &ours, error);
    if (!status && ours) {
        claim->taken = still_holds(path, old, n);
        if (claim->taken) status = ap_write_file(path, text, strlen(text), error);
        if (status || !claim->taken) unlink(mark);
    }
    free(text);
    claim->taken &= status == AP_OK;
    if (!claim->taken) snprintf(claim->owner, sizeof claim->owner, "another process that took it over just now");
    return status;
}

ap_status ap_claim_take(const char *directory, const char *world, int64_t progress, bool reclaim, ap_claim *claim,
                        ap_error *error) {
    const asker by = {.world = world, .reclaim = reclaim};
    *claim = (ap_claim){.attempts = 1};
    char path[AP_PATH];
    AP_TRY(ap_path(path, error, "%s/claim", directory));
    char *text = our_claim(world, progress, 1);
    if (!text) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a claim");
    ap_status status = ap_create_exclusive(path, text, strlen(text), &claim->taken, error);
    free(text);
    if (status || claim->taken) return status;

    char *old = NULL;
    size_t n = 0;
    errno = 0;
    status = ap_read_file(path, CLAIM_LIMIT, &old, &n, error);
    if (status) { /* released between the two calls (it may be there again by now): the next round's chance */
        if (errno != ENOENT) return status;
        snprintf(claim->owner, sizeof claim->owner, "a process that just gave it back");
        return AP_OK;
    }
    json_t *held = parse(old, n);
    if (is_void(held, &by)) {
        bool progressed = progress > get_number(held, "progress");
        claim->attempts = progressed || !held ? 1 : get_number(held, "attempts") + 1;
        status = take_over(path, old, n, &by, progress, claim, error);
    } else {
        name_owner(held, claim->owner);
    }
    json_decref(held);
    free(old);
    return status;
}

/* ---- looking and giving back */

static json_t *read_claim(const char *path) {
    char *text = NULL;
    size_t n = 0;
    if (ap_read_file(path, CLAIM_LIMIT, &text, &n, NULL)) return NULL;
    json_t *claim = parse(text, n);
    free(text);
    return claim;
}

bool ap_claim_owner(const char *directory, char owner[256]) {
    char path[AP_PATH];
    json_t *claim = ap_path(path, NULL, "%s/claim", directory) ? NULL : read_claim(path);
    if (claim) name_owner(claim, owner);
    json_decref(claim);
    return claim != NULL;
}

static bool is_ours(const json_t *claim) {
    return claim && state_of_owner(claim) == ALIVE && get_number(claim, "pid") == getpid();
}

void ap_claim_release(const char *directory) {
    char claim_path[AP_PATH], path[AP_PATH];
    if (ap_path(claim_path, NULL, "%s/claim", directory)) return;
    json_t *claim = read_claim(claim_path);
    bool ours = is_ours(claim);
    json_decref(claim);
    DIR *dir = ours ? opendir(directory) : NULL; /* else it was reclaimed: it is another's now */
    if (!dir) return;
    /* The claim goes last: while it is there nobody else can make one, whose marks these would be. */
    for (struct dirent *entry; (entry = readdir(dir));)
        if (!strncmp(entry->d_name, "claim.", 6) && !ap_path(path, NULL, "%s/%s", directory, entry->d_name))
            unlink(path);
    closedir(dir);
    unlink(claim_path);
}
