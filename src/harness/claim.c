#include "harness/claim.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "harness/scheduler.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLAIM_LIMIT = 1 << 16, WORLD_LIMIT = 100 };

/* ---- the files */

static ap_status path_of(char path[AP_PATH], const char *results, int trial, ap_error *error) {
    return ap_path(path, error, "%s/.sweep/claims/claim.%06d", results, trial);
}

ap_status ap_claims_prepare(const char *results, ap_error *error) {
    char path[AP_PATH];
    AP_TRY(ap_path(path, error, "%s/.sweep/claims", results));
    AP_TRY(ap_make_directories(path, error));
    AP_TRY(ap_path(path, error, "%s/.sweep/worlds", results));
    return ap_make_directories(path, error);
}

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

/* after: the world it is taken over from (then take-over marks lie about, to be removed with the claim), or "". */
static char *our_claim(const char *world, int64_t progress, int64_t attempts, const char *after) {
    char host[256] = "", boot[64], space[64], now[24];
    ap_slurm_place slurm;
    gethostname(host, sizeof host - 1);
    boot_id(boot);
    process_namespace(space);
    ap_clock_utc(now);
    ap_slurm_place_here(&slurm);
    json_t *claim = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:s}", "host", host, "boot", boot,
        "namespace", space, "pid", (json_int_t)getpid(), "process_start", (json_int_t)process_start(getpid()), "user",
        (json_int_t)getuid(), "slurm_cluster", slurm.cluster, "slurm_job", slurm.job, "slurm_array_task",
        slurm.array_task, "slurm_step", slurm.step, "slurm_restart", (json_int_t)slurm.restart, "world", world, "time",
        now, "progress", (json_int_t)progress, "attempts", (json_int_t)attempts, "after", after);
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

static ap_owner by_process(const json_t *claim) {
    char host[256] = "", boot[64], space[64];
    gethostname(host, sizeof host - 1);
    boot_id(boot);
    process_namespace(space);
    if (strcmp(host, get_text(claim, "host"))) return AP_OWNER_UNKNOWN;
    if (*boot && *get_text(claim, "boot") && strcmp(boot, get_text(claim, "boot"))) return AP_OWNER_GONE;
    if (strcmp(space, get_text(claim, "namespace"))) return AP_OWNER_UNKNOWN;
    int64_t start = process_start(get_number(claim, "pid"));
    return start >= 0 && start == get_number(claim, "process_start") ? AP_OWNER_LIVES : AP_OWNER_GONE;
}

static bool declared_gone(const char *results, const char *world) {
    char path[AP_PATH];
    return !ap_world_name_check(world, NULL) && !ap_path(path, NULL, "%s/.sweep/worlds/%s.gone", results, world) &&
           ap_file_exists(path);
}

static void place_of(const json_t *claim, ap_slurm_place *place) {
    *place = (ap_slurm_place){.restart = get_number(claim, "slurm_restart")};
    snprintf(place->cluster, sizeof place->cluster, "%s", get_text(claim, "slurm_cluster"));
    snprintf(place->job, sizeof place->job, "%s", get_text(claim, "slurm_job"));
    snprintf(place->array_task, sizeof place->array_task, "%s", get_text(claim, "slurm_array_task"));
    snprintf(place->step, sizeof place->step, "%s", get_text(claim, "slurm_step"));
}

/* Slurm may hide other users' jobs: then they only seem to be gone. */
static ap_owner by_slurm(const json_t *claim, bool asks) {
    ap_slurm_place place, here;
    place_of(claim, &place);
    ap_slurm_place_here(&here);
    if (!*place.job) return AP_OWNER_UNKNOWN;
    if (!strcmp(place.job, here.job) && !strcmp(place.cluster, here.cluster)) {
        if (here.restart > place.restart) return AP_OWNER_GONE;
        if (!*place.step) return AP_OWNER_UNKNOWN; /* the job lives: we are in it */
    }
    bool visible = getuid() == 0 || get_number(claim, "user") == (int64_t)getuid();
    ap_job_state state = asks && visible ? ap_slurm_ask(&place) : AP_JOB_UNKNOWN;
    return state == AP_JOB_GONE ? AP_OWNER_GONE : AP_OWNER_UNKNOWN; /* the job may outlive its processes */
}

static ap_owner state_of_owner(const json_t *claim, const ap_claimant *by) {
    const char *world = get_text(claim, "world");
    ap_owner owner = by_process(claim);
    if (owner != AP_OWNER_UNKNOWN) return owner;
    if (!strcmp(by->world, world)) return AP_OWNER_LIVES; /* a world ends as a whole */
    if (declared_gone(by->results, world)) return AP_OWNER_GONE;
    return by_slurm(claim, by->asks);
}

/* Claims appear whole, so one that cannot be understood was not made by this program and protects nobody. */
static json_t *parse(const char *text, size_t n) {
    json_t *claim = json_loadb(text, n, 0, NULL);
    if (*get_text(claim, "host")) return claim;
    json_decref(claim);
    return NULL;
}

/* Reclaiming never goes against a process that is known to live, nor against another group of the same world. */
static bool is_void(const json_t *claim, const ap_claimant *by) {
    if (!claim) return true;
    ap_owner owner = state_of_owner(claim, by);
    return owner == AP_OWNER_GONE || (owner == AP_OWNER_UNKNOWN && by->reclaim);
}

/* All but `owner`, which may need to ask Slurm. */
static void fill_info(const json_t *claim, ap_claim_info *info) {
    *info = (ap_claim_info){.pid = get_number(claim, "pid"),
                            .progress = get_number(claim, "progress"),
                            .attempts = get_number(claim, "attempts")};
    snprintf(info->host, sizeof info->host, "%s", get_text(claim, "host"));
    snprintf(info->slurm_job, sizeof info->slurm_job, "%s", get_text(claim, "slurm_job"));
    snprintf(info->world, sizeof info->world, "%s", get_text(claim, "world"));
    snprintf(info->after, sizeof info->after, "%s", get_text(claim, "after"));
    snprintf(info->since, sizeof info->since, "%s", get_text(claim, "time"));
}

void ap_claim_owner_text(const ap_claim_info *info, char text[256]) {
    snprintf(text, 256, "process %" PRId64 " on %.100s%s%s%s since %s", info->pid, info->host,
             *info->slurm_job ? " (Slurm job " : "", info->slurm_job, *info->slurm_job ? ")" : "", info->since);
}

/* ---- taking */

/* Of all who see a void claim one creates the mark `claim.<digest of the void claim>`. If its creator died before it
 * replaced the claim, the mark is a void claim itself: the next mark has its digest, and so on. */
static ap_status create_mark(const char *path, const char *old, size_t n, const ap_claimant *by, const char *text,
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
static ap_status take_over(const char *path, const char *old, size_t n, const char *after, const ap_claimant *by,
                           int64_t progress, ap_claim *claim, ap_error *error) {
    char mark[AP_PATH];
    char *text = our_claim(by->world, progress, claim->attempts, after);
    if (!text) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a claim");
    bool ours = false;
    ap_status status = create_mark(path, old, n, by, text, mark, &ours, error);
    if (!status && ours) {
        claim->taken = still_holds(path, old, n);
        if (claim->taken) status = ap_write_file(path, text, strlen(text), error);
        if (status && still_holds(path, text, strlen(text))) unlink(path); /* in place, but its folder is not synced */
        if (status || !claim->taken) unlink(mark);
    }
    free(text);
    claim->taken &= status == AP_OK;
    if (!claim->taken) snprintf(claim->owner, sizeof claim->owner, "another process that took it over just now");
    return status;
}

/* There is a claim, or was a moment ago. */
static ap_status take_if_void(const ap_claimant *by, const char *path, int64_t progress, ap_claim *claim,
                              ap_error *error) {
    char *old = NULL;
    size_t n = 0;
    errno = 0;
    ap_status status = ap_read_file(path, CLAIM_LIMIT, &old, &n, error);
    if (status) { /* released between the two calls (it may be there again by now): the next round's chance */
        if (errno != ENOENT) return status;
        snprintf(claim->owner, sizeof claim->owner, "a process that just gave it back");
        return AP_OK;
    }
    json_t *held = parse(old, n);
    if (is_void(held, by)) {
        bool progressed = progress > get_number(held, "progress");
        claim->attempts = progressed || !held ? 1 : get_number(held, "attempts") + 1;
        const char *world = get_text(held, "world");
        status = take_over(path, old, n, *world ? world : "unknown", by, progress, claim, error);
    } else {
        ap_claim_info info;
        fill_info(held, &info);
        ap_claim_owner_text(&info, claim->owner);
    }
    json_decref(held);
    free(old);
    return status;
}

ap_status ap_claim_take(const ap_claimant *by, int trial, int64_t progress, ap_claim *claim, ap_error *error) {
    *claim = (ap_claim){.attempts = 1};
    char path[AP_PATH];
    AP_TRY(path_of(path, by->results, trial, error));
    if (!ap_file_exists(path)) { /* one operation in place of ten that would be in vain */
        char *text = our_claim(by->world, progress, 1, "");
        if (!text) return ap_fail(error, AP_ENVIRONMENT, "out of memory for a claim");
        ap_status status = ap_create_exclusive(path, text, strlen(text), &claim->taken, error);
        free(text);
        if (status || claim->taken) return status;
    }
    return take_if_void(by, path, progress, claim, error);
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

bool ap_claim_look(const ap_claimant *by, int trial, ap_claim_info *info) {
    char path[AP_PATH];
    json_t *claim = path_of(path, by->results, trial, NULL) ? NULL : read_claim(path);
    if (claim) {
        fill_info(claim, info);
        info->owner = state_of_owner(claim, by);
    }
    json_decref(claim);
    return claim != NULL;
}

/* The number in "claim.000012" (*mark: in "claim.000012.<digest>"), or -1. */
static int trial_of_name(const char *name, bool *mark) {
    int trial = -1, used = 0;
    if (sscanf(name, "claim.%d%n", &trial, &used) != 1 || trial < 0 || (name[used] && name[used] != '.')) return -1;
    *mark = name[used] == '.';
    return trial;
}

static DIR *open_claims(const char *results, char path[AP_PATH], ap_error *error) {
    if (ap_path(path, error, "%s/.sweep/claims", results)) return NULL;
    DIR *folder = opendir(path);
    if (!folder) ap_fail_errno(error, AP_IO, "%s: the claims cannot be listed", path);
    return folder;
}

ap_status ap_claims_list(const char *results, int trials, unsigned char *claimed, ap_error *error) {
    char path[AP_PATH];
    memset(claimed, 0, (size_t)trials);
    DIR *folder = open_claims(results, path, error);
    if (!folder) return AP_IO;
    for (struct dirent *entry; (entry = readdir(folder));) {
        bool mark;
        int trial = trial_of_name(entry->d_name, &mark);
        if (trial >= 0 && trial < trials && !mark) claimed[trial] = 1;
    }
    closedir(folder);
    return AP_OK;
}

/* Marks of one trial; trial < 0: of all. */
static void remove_marks(const char *results, int trial) {
    char path[AP_PATH];
    DIR *folder = open_claims(results, path, NULL);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        bool mark;
        int of = trial_of_name(entry->d_name, &mark);
        if (of >= 0 && mark && (trial < 0 || of == trial)) unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
}

/* Claims that were being made when their makers were killed, on whichever host: they name their owners. */
static void remove_void_temps(const ap_claimant *by) {
    char folder[AP_PATH], path[AP_PATH];
    DIR *claims = open_claims(by->results, folder, NULL);
    if (!claims) return;
    for (struct dirent *entry; (entry = readdir(claims));) {
        if (strncmp(entry->d_name, ".claim.", 7) || ap_path(path, NULL, "%s/%s", folder, entry->d_name)) continue;
        json_t *claim = read_claim(path);
        if (claim && is_void(claim, by)) unlink(path);
        json_decref(claim);
    }
    closedir(claims);
}

void ap_claims_tidy(const ap_claimant *by) {
    char path[AP_PATH];
    remove_marks(by->results, -1);
    remove_void_temps(by);
    if (!ap_path(path, NULL, "%s/.sweep/claims", by->results)) ap_remove_stale_temps(path);
}

void ap_claim_release(const char *results, int trial) {
    char path[AP_PATH];
    if (path_of(path, results, trial, NULL)) return;
    json_t *claim = read_claim(path);
    /* else it was reclaimed: it is another's now */
    bool ours = claim && by_process(claim) == AP_OWNER_LIVES && get_number(claim, "pid") == getpid();
    /* The claim goes last: while it is there nobody else can make one, whose marks these would be. */
    if (ours && *get_text(claim, "after")) remove_marks(results, trial);
    if (ours) unlink(path);
    json_decref(claim);
}

/* ---- worlds */

void ap_world_name_make(char world[128]) {
    char host[256] = "", space[64];
    gethostname(host, sizeof host - 1);
    process_namespace(space);
    for (char *c = host; *c; c++)
        if (ap_world_name_check((char[]){*c, 0}, NULL)) *c = '_';
    const char *number = space + strcspn(space, "0123456789"); /* pid:[4026531836] */
    snprintf(world, 128, "%.30s.%ld.%.*s.%lld", host, (long)getpid(), (int)strspn(number, "0123456789"), number,
             (long long)ap_clock_ns());
}

ap_status ap_world_name_check(const char *world, ap_error *error) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(world);
    if (n > 0 && n <= WORLD_LIMIT && strspn(world, allowed) == n) return AP_OK;
    return ap_fail(error, AP_USAGE, "the world's name \"%.120s\" must be 1 to %d letters, digits, '.', '_' and '-'",
                   world, WORLD_LIMIT);
}

ap_status ap_world_declare_gone(const char *results, const char *world, const char *why, ap_error *error) {
    char path[AP_PATH], text[256], now[24];
    AP_TRY(ap_world_name_check(world, error));
    AP_TRY(ap_path(path, error, "%s/.sweep/worlds/%s.gone", results, world));
    ap_clock_utc(now);
    int n = snprintf(text, sizeof text, "%s %.200s\n", now, why);
    return ap_write_file(path, text, (size_t)n, error);
}

void ap_world_forget(const char *results, const char *world) {
    char path[AP_PATH];
    if (!ap_world_name_check(world, NULL) && !ap_path(path, NULL, "%s/.sweep/worlds/%s.gone", results, world))
        unlink(path);
}
