/* The story of a trial's Slurm jobs: from the event log and the records beside it, whatever these hold. */
#include "folder.h"
#include "harness/slurm_jobs.h"

#include <limits.h>
#include <sys/stat.h>

static char *story;

static void put(const char *path, const char *text) {
    CHECK(!ap_write_file(in_folder(path), text, strlen(text), NULL));
}

/* Tells the story of the trial in the folder; the text is in `story`. */
static void tell(const char *path) {
    size_t n = 0;
    free(story);
    story = NULL;
    FILE *out = open_memstream(&story, &n);
    ap_slurm_jobs_print(in_folder(path), out);
    fclose(out);
}

static bool told(const char *text) {
    bool there = strstr(story, text) != NULL;
    if (!there) printf("no \"%s\" in:\n%s", text, story);
    return there;
}

#define TRIAL "adamw/study_0/mnist/trial_1"

static void make_tree(void) {
    start();
    CHECK(!ap_make_directories(in_folder(TRIAL), NULL));
    CHECK(!ap_make_directories(in_folder("jobs"), NULL));
}

static void test_plain_job_and_array(void) {
    make_tree();
    put(TRIAL "/events.jsonl",
        "{\"event\": \"started\", \"provenance\": {\"SLURM_JOB_ID\": \"17\"}}\n"
        "{\"event\": \"evaluation\", \"global_step\": 5}\n"
        "{\"event\": \"resumed\", \"provenance\": {\"SLURM_JOB_ID\": \"17\", \"SLURM_RESTART_COUNT\": \"1\"}}\n"
        "{\"event\": \"resumed\", \"provenance\": {\"SLURM_JOB_ID\": \"21\", \"SLURM_ARRAY_JOB_ID\": \"20\", "
        "\"SLURM_ARRAY_TASK_ID\": \"3\"}}\n");
    put("jobs/17.jsonl",
        "{\"event\": \"started\", \"job\": \"17\", \"restart\": 0, \"nodes\": \"n[1-2]\", \"partition\": \"main\", "
        "\"tasks\": 4}\n"
        "{\"event\": \"started\", \"job\": \"17\", \"restart\": 1, \"nodes\": \"n3\", \"partition\": \"main\", "
        "\"tasks\": 2}\n"
        "{\"event\": \"ended\", \"how\": \"requeued\", \"elapsed_s\": 61, \"why\": \"stopped after a checkpoint\"}\n"
        "{\"event\": \"accounting\", \"source\": \"sacct\", \"runs\": [{\"state\": \"OLD\"}]}\n"
        "{\"event\": \"accounting\", \"source\": \"sacct\", \"runs\": [{\"state\": \"NODE_FAIL\", \"exit_code\": "
        "\"0:0\", \"nodes\": \"n[1-2]\", \"energy_J\": 1234}]}\n");
    put("jobs/20_3.jsonl",
        "{\"event\": \"started\", \"job\": \"21\", \"restart\": 0, \"nodes\": \"n4\"}\n"
        "{\"event\": \"accounting\", \"source\": null, \"runs\": [], \"note\": \"no accounting\"}\n");
    tell(TRIAL);
    CHECK(told("job 17, restart 0: on n[1-2], partition main, 4 tasks: no end recorded"));
    CHECK(told("job 17, restart 1: on n3, partition main, 2 tasks: requeued after 61 s: stopped after a checkpoint"));
    CHECK(told("job 17 by accounting (sacct): on n[1-2], NODE_FAIL, exit code 0:0"));
    CHECK(told("job 17: 1234 J"));
    CHECK(!strstr(story, "OLD"));
    CHECK(told("job 20_3, restart 0: on n4"));
    CHECK(told("job 20_3: no accounting"));
    CHECK(!strstr(story, "job 21"));
}

static void test_of_a_result_file(void) {
    make_tree();
    put(TRIAL "/events.jsonl", "{\"event\": \"started\", \"provenance\": {\"SLURM_JOB_ID\": \"17\"}}\n");
    put(TRIAL "/result.h5", "");
    tell(TRIAL "/result.h5");
    CHECK(told("job 17: it left no record"));
}

static void test_nothing_known(void) {
    make_tree();
    tell(TRIAL);
    CHECK(!strcmp(story, ""));
    put(TRIAL "/events.jsonl", "{\"event\": \"started\", \"provenance\": {\"host\": \"n1\"}}\n");
    tell(TRIAL);
    CHECK(!strcmp(story, ""));
}

/* Files that are anyone's: job numbers that are paths, torn lines, wrong types, control characters. */
static void test_hostile_files(void) {
    make_tree();
    put("secret.jsonl", "{\"event\": \"started\", \"nodes\": \"SECRET\"}\n");
    put(TRIAL "/events.jsonl",
        "{\"event\": \"started\", \"provenance\": {\"SLURM_JOB_ID\": \"../secret\"}}\n"
        "{\"event\": \"started\", \"provenance\": {\"SLURM_JOB_ID\": 17}}\n"
        "{\"event\": \"started\", \"provenance\": [1, 2]}\n[]\n\n{\"event\": \n"
        "{\"event\": \"resumed\", \"provenance\": {\"SLURM_JOB_ID\": \"18\"}}\n{\"event\": \"resumed\", \"prov");
    put("jobs/18.jsonl", "{\"event\": \"ended\", \"how\": \"x\"}\n"
                         "{\"event\": \"started\", \"nodes\": {\"a\": 1}, \"partition\": \"a\\u001b[31mb\"}\n"
                         "{\"event\": \"accounting\", \"runs\": {\"state\": \"x\"}, \"note\": 3}\n"
                         "{\"event\": 7}\n\"text\"\n");
    tell(TRIAL);
    CHECK(!strstr(story, "SECRET") && !strstr(story, "job 17"));
    CHECK(told("job 18, restart -: on -, partition a?[31mb, - tasks: no end recorded"));
    free(story);
    story = NULL;
}

/* ---- jobs that Slurm holds: a script named squeue comes first in PATH */

static void fake_squeue(const char *body) {
    char text[5 * AP_PATH], path[3 * AP_PATH];
    static char *before;
    if (!before) before = strdup(getenv("PATH"));
    CHECK(!ap_make_directories(in_folder("bin"), NULL));
    snprintf(text, sizeof text, "#!/bin/sh\n%s\n", body);
    put("bin/squeue", text);
    CHECK_INT(chmod(in_folder("bin/squeue"), 0755), 0);
    snprintf(path, sizeof path, "%s:%s", in_folder("bin"), before);
    setenv("PATH", path, 1);
}

static void test_held_jobs_of_this_sweep(void) {
    make_tree();
    char jobs[PATH_MAX], answer[4 * PATH_MAX];
    ap_held_job held[AP_HELD_JOBS];
    CHECK(realpath(in_folder("jobs"), jobs) != NULL);
    put("jobs/17.jsonl", "");
    put("jobs/20_3.jsonl", "");
    snprintf(
        answer, sizeof answer,
        "cat <<'E'\n17|launch failed requeued held|/other/script\n18|JobHeldUser|/other/script\n"
        "19|JobHeldAdmin|%s/submit-1.sbatch\n20_3|job requeued in held state|(null)\n21|Priority|%s/submit-1.sbatch\n"
        "22|JobHeldUser|%s-2/submit-1.sbatch\n../17|JobHeldUser|(null)\nnonsense\n\nE",
        jobs, jobs, jobs);
    fake_squeue(answer);
    CHECK_INT(ap_slurm_jobs_held(folder, held), 3);
    CHECK_TEXT(held[0].id, "17");
    CHECK_TEXT(held[0].reason, "launch failed requeued held");
    CHECK_TEXT(held[1].id, "19");
    CHECK_TEXT(held[1].reason, "JobHeldAdmin");
    CHECK_TEXT(held[2].id, "20_3");
    fake_squeue("for i in $(seq 100); do echo \"17|JobHeldUser|x\"; done");
    CHECK_INT(ap_slurm_jobs_held(folder, held), AP_HELD_JOBS);
    fake_squeue("echo '17|JobHeldUser|x'; exit 1"); /* no answer */
    CHECK_INT(ap_slurm_jobs_held(folder, held), 0);
    CHECK_INT(ap_slurm_jobs_held(in_folder("none"), held), 0);
}

AP_TEST_MAIN(test_plain_job_and_array, test_of_a_result_file, test_nothing_known, test_hostile_files,
             test_held_jobs_of_this_sweep)
