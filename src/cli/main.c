#include "cli/cli.h"

#include "base/file.h"
#include "base/log.h"
#include "tensor/kernels/isa.h"

#include <errno.h>
#include <locale.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const ap_command *const commands[] = {&ap_command_run,       &ap_command_list,   &ap_command_prepare,
                                             &ap_command_verify,    &ap_command_bench,  &ap_command_inspect,
                                             &ap_command_calibrate, &ap_command_doctor, &ap_command_status,
                                             &ap_command_watch,     &ap_command_cancel, &ap_command_retry};
enum { COMMANDS = sizeof commands / sizeof *commands };

ap_status ap_cli_parse(const ap_command *command, int argc, char **argv, const ap_flag *flags, char ***rest, int *count,
                       bool *helped, ap_error *error) {
    return ap_command_parse("algoperf", command, argc, argv, flags, rest, count, helped, error);
}

ap_status ap_cli_integer(const char *name, const char *text, int64_t least, int64_t most, int64_t *value,
                         ap_error *error) {
    char *rest;
    errno = 0;
    long long read = strtoll(text, &rest, 10);
    if (rest == text || *rest || errno || read < least || read > most)
        return ap_fail(error, AP_USAGE, "--%s %.60s (must be a whole number from %lld to %lld)", name, text,
                       (long long)least, (long long)most);
    *value = read;
    return AP_OK;
}

ap_status ap_cli_number(const char *name, const char *text, double least, double most, double *value, ap_error *error) {
    char *rest;
    double read = strtod(text, &rest);
    if (rest == text || *rest || !(read >= least && read <= most))
        return ap_fail(error, AP_USAGE, "--%s %.60s (must be a number from %g to %g)", name, text, least, most);
    *value = read;
    return AP_OK;
}

int ap_cli_report(const ap_error *error) {
    bool failure = error->status != AP_TARGET_NOT_REACHED && error->status != AP_INTERRUPTED;
    ap_log(AP_GLOBAL, failure ? AP_LOG_ERROR : AP_LOG_INFO, "%s", error->text);
    return (int)error->status;
}

/* ---- the program */

static void usage(FILE *out) {
    fprintf(out, "usage: algoperf COMMAND [ARGUMENTS]      (algoperf COMMAND --help tells more)\n\n"
                 "AlgoPerf, the benchmark of neural-network training algorithms, on MPI ranks.\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++) fprintf(out, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\nExit codes:\n");
    for (int code = 0; code < 128; code++)
        if (strcmp(ap_status_word((ap_status)code), "unknown"))
            fprintf(out, "  %-3d %s\n", code, ap_status_meaning((ap_status)code));
}

/* The variable in which a launcher says that it started more than one process; NULL: it did not. */
static const char *launched_as_many(void) {
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *value = getenv(sizes[i]);
        if (value && atoi(value) > 1) return sizes[i];
    }
    return NULL;
}

/* A process that a launcher started as one of many, and that MPI believes to be alone, is N runs in one place by
 * mistake: the launcher and the MPI library do not fit together. */
ap_status ap_cli_check_launch(ap_error *error) {
    int ranks;
    const char *size = launched_as_many();
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks == 1 && size)
        return ap_fail(error, AP_ENVIRONMENT,
                       "%s = %s, yet MPI says that this process is alone: the launcher is not the one of this MPI "
                       "library, so every rank would run the whole job. Use Open MPI's own mpirun, or srun "
                       "--mpi=pmix",
                       size, getenv(size));
    return AP_OK;
}

/* Open MPI ends a process that it cannot initialise with exit(1) or _exit(1), which here would mean that all is done.
 */
static bool in_mpi_init;
static void exit_of_mpi(void) {
    if (in_mpi_init) _exit(1);
}

__attribute__((visibility("default"))) void
_exit(int code) { /* in place of the C library's, which does no more than this either */
    if (in_mpi_init) {
        code = AP_ENVIRONMENT;
        ap_log(AP_GLOBAL, AP_LOG_ERROR,
               "MPI could not be initialised (its own message stands above); `ulimit -n`, memory and a full /tmp are "
               "the usual reasons");
    }
    for (;;) syscall(SYS_exit_group, code);
}

static ap_status initialise_mpi(int *argc, char ***argv, ap_error *error) {
    int provided;
    in_mpi_init = true;
    atexit(exit_of_mpi);
    int code = MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    in_mpi_init = false;
    return code ? ap_fail(error, AP_ENVIRONMENT, "MPI could not be initialised") : AP_OK;
}

/* Rank 0 alone ends with an error, its own or else the others' worst: mpirun reports the first code that is not 0, ends
 * all others then, and drops what they wrote last. Collective over `ends`, as MPI_Finalize is over the world. */
static int code_of_world(MPI_Comm ends, int rank, int code) {
    int worst = code;
    MPI_Reduce(&code, &worst, 1, MPI_INT, MPI_MAX, 0, ends);
    return rank ? AP_OK : code ? code : worst;
}

static int run_parallel(const ap_command *command, int argc, char **argv) {
    int rank, ranks;
    ap_error error;
    MPI_Comm ends; /* no other collective runs on it, so a rank that ends early disturbs none */
    if (initialise_mpi(&argc, &argv, &error)) return ap_cli_report(&error);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_dup(MPI_COMM_WORLD, &ends);
    ap_log_open(rank, rank == 0, getenv("ALGOPERF_DEBUG") ? AP_LOG_DEBUG : AP_LOG_INFO);
    int code = ap_cli_check_launch(&error) ? ap_cli_report(&error) : command->run(argc, argv);
    code = code_of_world(ends, rank, code);
    MPI_Comm_free(&ends);
    MPI_Finalize();
    if (code && ranks > 1) nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* the others end first */
    return code;
}

/* For commands that use MPI by themselves (bench, doctor, ...) and have left it: mpirun drops what rank 0 wrote last if
 * another rank is the first to end with an error. When rank 0 has ended so, mpirun ends the others, and their sleep. */
static void let_rank_0_end_first(void) {
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (rank && atoi(rank) > 0) nanosleep(&(struct timespec){.tv_sec = 5}, NULL);
}

/* What a command prints is its result, except that of `run`, whose results are files. */
static int check_output(const ap_command *command, int code) {
    ap_error error;
    errno = 0;
    if (command == &ap_command_run || (fflush(stdout) == 0 && !ferror(stdout))) return code;
    if (!errno) errno = EIO; /* it failed earlier, and the reason is gone */
    ap_fail_errno(&error, AP_IO, "the output could not be written");
    return code == AP_OK ? ap_cli_report(&error) : code;
}

int main(int argc, char **argv) {
    ap_guard_standard_files();
    setlocale(LC_NUMERIC, "C");
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
        usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? AP_USAGE : AP_OK;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("algoperf %s\n", ALGOPERF_VERSION);
        return AP_OK;
    }
    ap_error error;
    const char *names[COMMANDS + 1] = {0};
    for (int i = 0; i < COMMANDS; i++) {
        names[i] = commands[i]->name;
        if (strcmp(argv[1], names[i])) continue;
        if (ap_isa_check(&error)) return ap_cli_report(&error);
        bool wants_help = false;
        for (int a = 2; a < argc && strcmp(argv[a], "--"); a++) wants_help |= !strcmp(argv[a], "--help");
        int code;
        if (commands[i] == &ap_command_run && !wants_help && ap_run_as_launcher(argc - 1, argv + 1, &code)) return code;
        bool parallel = !wants_help && (commands[i]->parallel == AP_RANKS_ALWAYS ||
                                        (commands[i]->parallel == AP_RANKS_IF_LAUNCHED && launched_as_many()));
        code = parallel ? run_parallel(commands[i], argc - 1, argv + 1) : commands[i]->run(argc - 1, argv + 1);
        if (code && !parallel) let_rank_0_end_first();
        return check_output(commands[i], code);
    }
    const char *close = ap_closest(argv[1], names);
    ap_fail(&error, AP_USAGE, "there is no command \"%s\"%s%s%s; see `algoperf --help`", argv[1],
            close ? "; did you mean \"" : "", close ? close : "", close ? "\"?" : "");
    return ap_cli_report(&error);
}
