/* The result folder: what claims, results and checkpoints ask of a file system, tried on it. */
#include "cli/doctor.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { RACES = 20, REPLACES = 15 };
static const double MiB = 1024.0 * 1024;

/* ---- kind and space */

typedef struct fs_kind {
    long magic;
    const char *name;
    ap_severity severity;
    const char *remark, *mend;
} fs_kind;
static const fs_kind kinds[] = {
    {0xef53, "ext4", AP_FINDING_OK, "", NULL},
    {0x58465342, "xfs", AP_FINDING_OK, "", NULL},
    {0x9123683e, "btrfs", AP_FINDING_OK, "", NULL},
    {0x2fc12fc1, "zfs", AP_FINDING_OK, "", NULL},
    {0x01021994, "tmpfs", AP_FINDING_WARNING, ": results are gone at reboot, and no other host sees them",
     "results = \"/a/shared/folder\" in the job file"},
    {0x794c7630, "overlayfs", AP_FINDING_WARNING, ": results may be gone with the container", "a mounted volume"},
    {0x6969, "NFS", AP_FINDING_NOTE, ", a network file system: other hosts may see changes some seconds late", NULL},
    {0x0bd00bd0, "Lustre", AP_FINDING_NOTE, ", a network file system", NULL},
    {0x47504653, "GPFS", AP_FINDING_NOTE, ", a network file system", NULL},
    {0x19830326, "BeeGFS", AP_FINDING_NOTE, ", a network file system", NULL},
    {0x00c36400, "CephFS", AP_FINDING_NOTE, ", a network file system", NULL},
    {(long)0xff534d42, "CIFS", AP_FINDING_WARNING, ", a network file system without reliable hard links",
     "NFS, Lustre"},
    {(long)0xfe534d42, "SMB", AP_FINDING_WARNING, ", a network file system without reliable hard links", "NFS, Lustre"},
    {0x65735546, "FUSE", AP_FINDING_NOTE, ", a user-space file system: what it promises depends on its program", NULL},
};

static void find_kind(const char *folder, ap_findings *findings) {
    struct statfs info;
    if (statfs(folder, &info)) return;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((uint32_t)kinds[i].magic == (uint32_t)info.f_type) {
            ap_find(findings, kinds[i].severity, "disk", kinds[i].mend, "%s is on %s%s", folder, kinds[i].name,
                    kinds[i].remark);
            return;
        }
    ap_find(findings, AP_FINDING_NOTE, "disk", NULL, "%s is on a file system of unknown kind 0x%lx", folder,
            (unsigned long)info.f_type);
}

static double find_space(const char *folder, ap_findings *findings) {
    struct statvfs info;
    const double little = 1024 * MiB, too_little = 64 * MiB, few_files = 10000;
    if (statvfs(folder, &info)) return 0;
    double bytes = (double)info.f_bavail * (double)info.f_frsize;
    bool limited = info.f_files > 0;
    bool few = limited && (double)info.f_favail < few_files;
    ap_find(findings,
            bytes < too_little      ? AP_FINDING_PROBLEM
            : bytes < little || few ? AP_FINDING_WARNING
                                    : AP_FINDING_OK,
            "disk",
            bytes < little || few ? "remove old checkpoints and results, or choose another `results` folder" : NULL,
            "%.1f GiB and %s%.0f files free", bytes / MiB / 1024, limited ? "" : "any number, not ",
            limited ? (double)info.f_favail : 0);
    return bytes;
}

/* ---- speed, on rank 0 */

static ap_status time_stream(const char *folder, double room, double *rate, double *sync_ms, ap_error *error) {
    enum { PIECE = 1 << 20 };
    char path[AP_PATH];
    int pieces = room > 640 * MiB ? 64 : 4;
    AP_TRY(ap_path(path, error, "%s/stream", folder));
    char *piece = malloc(PIECE);
    if (!piece) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    for (int i = 0; i < PIECE; i++) piece[i] = (char)((unsigned)i * 7919U >> 5);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), failed = fd < 0;
    int64_t start = ap_clock_ns();
    for (int i = 0; !failed && i < pieces; i++) failed = write(fd, piece, PIECE) != PIECE;
    int64_t written = ap_clock_ns();
    if (!failed) failed = fsync(fd) != 0;
    int64_t end = ap_clock_ns();
    int why = errno;
    if (fd >= 0) close(fd);
    unlink(path);
    free(piece);
    errno = why;
    if (failed) return ap_fail_errno(error, AP_IO, "%s: writing %d MiB", path, pieces);
    *rate = pieces / ap_clock_s(end - start);
    *sync_ms = ap_clock_s(end - written) * 1e3;
    return AP_OK;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static ap_status time_replace(const char *folder, double *median_ms, double *worst_ms, ap_error *error) {
    char path[AP_PATH], text[4096];
    double ms[REPLACES];
    memset(text, 'x', sizeof text);
    AP_TRY(ap_path(path, error, "%s/replaced", folder));
    for (int i = 0; i < REPLACES; i++) {
        int64_t start = ap_clock_ns();
        AP_TRY(ap_write_file(path, text, sizeof text, error));
        ms[i] = ap_clock_s(ap_clock_ns() - start) * 1e3;
    }
    qsort(ms, REPLACES, sizeof *ms, ascending);
    *median_ms = ms[REPLACES / 2], *worst_ms = ms[REPLACES - 1];
    return AP_OK;
}

static void find_speed(const char *folder, double room, ap_findings *findings) {
    ap_error error;
    double rate = 0, sync_ms = 0, median_ms = 0, worst_ms = 0;
    const double slow_ms = 200, slow_rate = 20;
    if (time_stream(folder, room, &rate, &sync_ms, &error) || time_replace(folder, &median_ms, &worst_ms, &error)) {
        ap_find(findings, AP_FINDING_PROBLEM, "disk", "another `results` folder; df -h, quota -s", "%s", error.text);
        return;
    }
    bool slow = rate < slow_rate || median_ms > slow_ms;
    ap_find(findings, slow ? AP_FINDING_WARNING : AP_FINDING_OK, "disk",
            slow ? "a faster folder, or fewer checkpoints: checkpoint_s in the job file" : NULL,
            "writes %.0f MiB/s synced (last sync %.0f ms); replacing 4 KiB atomically (write, fsync, rename, folder "
            "fsync) takes %.2f ms, at worst %.2f ms",
            rate, sync_ms, median_ms, worst_ms);
    char path[AP_PATH];
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fsync(fd) && !ap_path(path, NULL, "%s", folder))
        ap_find(findings, AP_FINDING_NOTE, "disk", NULL,
                "folders cannot be synced here (%s): a power cut may undo the last renames", strerror(errno));
    if (fd >= 0) close(fd);
}

static void find_hdf5(const char *folder, ap_findings *findings) {
    unsigned major = 0, minor = 0, release = 0;
    char path[AP_PATH];
    ap_h5_writer *writer;
    ap_error error;
    hid_t file;
    const double number = 1;
    const int64_t one = 1;
    ap_h5_version(&major, &minor, &release);
    ap_status status = ap_path(path, &error, "%s/result.h5", folder);
    if (!status) status = ap_h5_create(path, "result", &writer, &error);
    if (!status) {
        status = ap_h5_write(ap_h5_writer_file(writer), "/x", AP_F64, 1, &one, &number, "1", &error);
        if (status)
            ap_h5_abandon(writer);
        else
            status = ap_h5_commit(writer, &error);
    }
    if (!status) status = ap_h5_open_sealed(path, "result", true, &file, &error);
    if (!status) ap_h5_close(file);
    const char *locking = getenv("HDF5_USE_FILE_LOCKING");
    ap_find(findings, status ? AP_FINDING_PROBLEM : AP_FINDING_OK, "hdf5",
            status ? "export HDF5_USE_FILE_LOCKING=FALSE   (file systems without locks), or another folder" : NULL,
            "HDF5 %u.%u.%u, %s build, serial driver%s%s: %s", major, minor, release,
#ifdef H5_HAVE_PARALLEL
            "parallel",
#else
            "serial",
#endif
            locking ? ", HDF5_USE_FILE_LOCKING=" : "", locking ? locking : "",
            status ? error.text : "a result is written, sealed and read back");
}

/* ---- claims and visibility, on all ranks */

/* All ranks create one name at once: exactly one may win. Collective. */
static void find_claims(const char *folder, int rank, int ranks, ap_findings *findings) {
    int double_wins = 0, lost = 0, failures = 0;
    ap_error error = {0}, first = {0};
    double start_s = MPI_Wtime();
    for (int i = 0; i < RACES; i++) {
        char path[AP_PATH];
        bool created = false;
        ap_status status = ap_path(path, &error, "%s/claim.%d", folder, i);
        MPI_Barrier(MPI_COMM_WORLD);
        if (!status) status = ap_create_exclusive(path, "mine", 4, &created, &error);
        if (status && !failures++) first = error;
        int mine = created, wins;
        MPI_Allreduce(&mine, &wins, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
        double_wins += wins > 1;
        lost += wins == 0;
    }
    double each_ms = (MPI_Wtime() - start_s) / RACES * 1e3;
    int any;
    MPI_Allreduce(&failures, &any, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (rank) return;
    if (any || double_wins || lost)
        ap_find(
            findings, AP_FINDING_PROBLEM, "claims", "a file system with hard links (ext4, xfs, NFS, Lustre, GPFS)",
            "of %d exclusive creations by %d rank%s at once, %d had two winners and %d none: trials would run twice "
            "or never%s%s",
            RACES, ranks, ranks == 1 ? "" : "s", double_wins, lost, *first.text ? ": " : "", first.text);
    else
        ap_find(findings, AP_FINDING_OK, "claims", NULL,
                "exclusive creation (link) by %d rank%s at once: one winner in each of %d rounds, %.2f ms a round",
                ranks, ranks == 1 ? "" : "s", RACES, each_ms);
}

/* What rank 0 has just put in place, the others must see. Collective. */
static void find_visibility(const char *folder, const char *host, int rank, int ranks, ap_findings *findings) {
    enum { ROUNDS = 5, MISSING, STALE, OUTCOMES };
    int outcome[OUTCOMES] = {0}, all[OUTCOMES];
    char path[AP_PATH], text[16];
    snprintf(path, sizeof path, "%.4000s/visible", folder);
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(text, sizeof text, "round %d", i);
        if (rank == 0) ap_write_file(path, text, strlen(text), NULL);
        MPI_Barrier(MPI_COMM_WORLD);
        char *seen = NULL;
        size_t n;
        if (ap_read_file(path, 64, &seen, &n, NULL))
            outcome[MISSING]++;
        else
            outcome[STALE] += strcmp(seen, text) != 0;
        free(seen);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    char blind[64] = "";
    MPI_Allreduce(outcome, all, OUTCOMES, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    int who = outcome[MISSING] == ROUNDS ? rank : ranks, first_blind;
    MPI_Allreduce(&who, &first_blind, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first_blind < ranks) {
        if (rank == first_blind) snprintf(blind, sizeof blind, "%s", host);
        MPI_Bcast(blind, sizeof blind, MPI_CHAR, first_blind, MPI_COMM_WORLD);
    }
    if (rank || ranks == 1) return;
    if (*blind)
        ap_find(findings, AP_FINDING_PROBLEM, "disk", "a folder on a file system that all hosts share",
                "rank %d on %s does not see the folder that rank 0 writes", first_blind, blind);
    else if (all[MISSING] || all[STALE])
        ap_find(findings, AP_FINDING_NOTE, "disk", "mount with lookupcache=none or a short actimeo",
                "other ranks saw %d old and %d missing states of a file right after it was replaced (cached "
                "attributes): claims stay exclusive, but `status` and skipped trials may lag",
                all[STALE], all[MISSING]);
    else
        ap_find(findings, AP_FINDING_OK, "disk", NULL, "all ranks see a replaced file at once");
}

/* ---- the whole */

/* A folder for the trials of the above, in `folder` or, if that is not there yet, in the nearest one above it. */
static ap_status make_place(const char *folder, char place[AP_PATH], char real[AP_PATH], ap_error *error) {
    AP_TRY(ap_path(real, error, "%s", *folder ? folder : "."));
    while (!ap_file_exists(real)) {
        char *slash = strrchr(real, '/');
        if (slash == real) slash++;
        if (slash)
            *slash = '\0';
        else
            strcpy(real, ".");
    }
    AP_TRY(ap_path(place, error, "%s/.algoperf-doctor.XXXXXX", real));
    if (!mkdtemp(place)) return ap_fail_errno(error, AP_IO, "%s: nothing can be made in it", real);
    return AP_OK;
}

static void remove_place(const char *place) {
    static const char *const names[] = {"stream", "replaced", "result.h5", "visible"};
    char path[AP_PATH + 64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", place, names[i]);
        unlink(path);
    }
    for (int i = 0; i < RACES; i++) {
        snprintf(path, sizeof path, "%s/claim.%d", place, i);
        unlink(path);
    }
    rmdir(place);
}

void ap_doctor_disk(const char *folder, ap_findings *findings) {
    int rank, ranks;
    char place[AP_PATH] = "", real[AP_PATH] = "", host[64] = "";
    ap_error error;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    gethostname(host, sizeof host - 1);
    int failed = rank == 0 && make_place(folder, place, real, &error) != AP_OK;
    MPI_Bcast(&failed, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (failed) {
        if (rank == 0)
            ap_find(findings, AP_FINDING_PROBLEM, "disk", "chmod u+w, or another `results` folder; df -h, mount", "%s",
                    error.text);
        return;
    }
    MPI_Bcast(place, sizeof place, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        if (strcmp(real, folder))
            ap_find(findings, AP_FINDING_NOTE, "disk", NULL, "%s is not there yet: %s was tried", folder, real);
        find_kind(real, findings);
        double room = find_space(real, findings);
        find_speed(place, room, findings);
        find_hdf5(place, findings);
    }
    find_visibility(place, host, rank, ranks, findings);
    find_claims(place, rank, ranks, findings);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) remove_place(place);
}
