/* algoperf doctor [RESULTS]: checks the place before a run, with and without mpirun. */
#include "cli/cli.h"
#include "cli/doctor.h"

#include "base/log.h"

#include <jansson.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[AP_SEVERITIES] = {"ok", "note", "warning", "problem"};

static ap_severity worst_of(const ap_findings *f) {
    ap_severity worst = AP_FINDING_OK;
    for (int i = 0; i < f->n; i++)
        if (f->item[i].severity > worst) worst = f->item[i].severity;
    return worst;
}

static void print(const ap_findings *f) {
    int count[AP_SEVERITIES] = {0};
    for (int i = 0; i < f->n; i++) {
        const ap_finding *x = &f->item[i];
        count[x->severity]++;
        printf("%-8s %-8s %s\n", words[x->severity], x->topic, x->text);
        if (*x->mend) printf("%-8s %-8s mend: %s\n", "", "", x->mend);
    }
    printf("\n%d ok, %d note%s, %d warning%s, %d problem%s\n", count[AP_FINDING_OK], count[AP_FINDING_NOTE],
           count[AP_FINDING_NOTE] == 1 ? "" : "s", count[AP_FINDING_WARNING], count[AP_FINDING_WARNING] == 1 ? "" : "s",
           count[AP_FINDING_PROBLEM], count[AP_FINDING_PROBLEM] == 1 ? "" : "s");
    if (f->dropped) printf("%d more findings have no room here\n", f->dropped);
}

static ap_status print_json(const ap_findings *f, ap_error *error) {
    json_t *list = json_array();
    for (int i = 0; i < f->n; i++) {
        const ap_finding *x = &f->item[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "severity", words[x->severity], "topic", x->topic,
                                              "text", x->text, "mend", x->mend));
    }
    json_t *all = json_pack("{s:s, s:i, s:o}", "worst", words[worst_of(f)], "dropped", f->dropped, "findings", list);
    char *text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
    json_decref(all);
    if (!text) return ap_fail(error, AP_ENVIRONMENT, "the findings cannot be written as JSON");
    puts(text);
    free(text);
    return AP_OK;
}

/* The result. A launch that is wrong makes N processes: the one that the launcher calls the first speaks. */
static int finish(const ap_findings *f, bool json) {
    static const char *const ranks[] = {"PMI_RANK", "SLURM_PROCID"};
    ap_error error;
    bool problem = worst_of(f) == AP_FINDING_PROBLEM;
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
        if (getenv(ranks[i]) && atoi(getenv(ranks[i])) > 0) return problem ? AP_ENVIRONMENT : AP_OK;
    if (!json) print(f);
    if (json && print_json(f, &error)) return ap_cli_report(&error);
    return problem ? AP_ENVIRONMENT : AP_OK;
}

/* Collective over the world; the findings come together on rank 0. */
static void examine(const char *folder, ap_findings *findings) {
    int rank, ranks;
    ap_rank_facts mine, *all = NULL;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    ap_doctor_facts(&mine);
    ap_doctor_skew(&mine);
    if (rank == 0) all = calloc((size_t)ranks, sizeof *all);
    int ready = rank != 0 || all != NULL;
    MPI_Bcast(&ready, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (ready) MPI_Gather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, 0, MPI_COMM_WORLD);
    if (rank == 0 && ready) {
        ap_doctor_launch(all, ranks, findings);
        ap_doctor_slurm(ranks, findings);
        ap_doctor_cpu(all, ranks, findings);
        ap_doctor_memory(all, ranks, findings);
        ap_doctor_clock(all, ranks, findings);
        if (!folder)
            ap_find(findings, AP_FINDING_NOTE, "disk", "algoperf doctor RESULTS_FOLDER",
                    "no result folder given: disk, claims and HDF5 were not tried");
    }
    if (folder) ap_doctor_disk(folder, findings);
    free(all);
}

static int run(int argc, char **argv) {
    static ap_findings findings;
    const char *json = NULL;
    const ap_flag flags[] = {{"json", NULL, "the findings as JSON on stdout", &json}, {0}};
    char **rest;
    int count, rank, provided;
    bool helped;
    ap_error error;
    if (ap_cli_parse(&ap_command_doctor, argc, argv, flags, &rest, &count, &helped, &error))
        return ap_cli_report(&error);
    if (helped) {
        printf("\nEach finding is ok, note, warning (slower or less safe than it could be) or problem (a run fails, or "
               "loses\nresults), with the value seen and what mends it. Start it as the run will be started: with the "
               "same mpirun\nor srun line. Exit code 0: no problem; %d: at least one; 2: wrong command line.\n",
               AP_ENVIRONMENT);
        return AP_OK;
    }
    if (count > 1) {
        ap_fail(&error, AP_USAGE, "algoperf doctor: at most one result folder; see --help");
        return ap_cli_report(&error);
    }
    if (ap_doctor_launcher_is_wrong(&findings)) return finish(&findings, json != NULL);
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided)) {
        ap_fail(&error, AP_ENVIRONMENT, "MPI could not be initialised");
        return ap_cli_report(&error);
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    ap_log_open(rank, rank == 0, AP_LOG_INFO);
    examine(count ? rest[0] : NULL, &findings);
    int code = rank == 0 ? finish(&findings, json != NULL) : 0;
    MPI_Bcast(&code, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Finalize();
    return code;
}

const ap_command ap_command_doctor = {"doctor", "[RESULTS_FOLDER] [--json]",
                                      "check launch, CPUs, libraries, disk, clock and memory before a run", run, false};
