/* Sweeps of dummy trials by groups of several sizes: one verdict a trial, nothing run twice, and failures that all
 * ranks of a group report alike. */
#include "mpi_check.h"

#include "base/file.h"
#include "base/log.h"
#include "harness/claim.h"
#include "harness/sweep.h"
#include "harness/tree.h"

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a shared folder and a job in it */

static char tree[64], job_path[96];

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

static void end(void) {
    MPI_Barrier(MPI_COMM_WORLD);
    if (world_rank == 0 && *tree) nftw(tree, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_text(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", tree, name);
    if (world_rank == 0) CHECK_INT(ap_write_file(path, text, strlen(text), NULL), AP_OK);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* A new folder with a job: `settings` and the dummy's `options`. */
static ap_job *open_job(const char *settings, const char *options, const char *submission) {
    char text[2048];
    ap_error error = {0};
    ap_job *job = NULL;
    strcpy(tree, "/tmp/ap_sweep.XXXXXX");
    if (world_rank == 0 && !mkdtemp(tree)) perror("mkdtemp"), MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Bcast(tree, sizeof tree, MPI_CHAR, 0, MPI_COMM_WORLD);
    snprintf(text, sizeof text,
             "results = \"%s/results\"; clock = \"steps\"; watchdog_s = 20.0; %s\n"
             "workloads = ( { name = \"dummy\"; options = { %s }; } );\nsubmissions = ( { %s } );\n",
             tree, settings, options, submission);
    /* learns nothing, so that no target ends the trial */
    write_text("still.json",
               "[{\"learning_rate\": 0.0, \"one_minus_beta1\": 0.1, \"beta2\": 0.99, \"weight_decay\": 0, "
               "\"warmup_factor\": 0.05, \"dropout_rate\": 0.0, \"label_smoothing\": 0.0}]");
    write_text("point.json", "{\"learning_rate\": 0.0, \"one_minus_beta1\": 0.1, \"beta2\": 0.99, \"weight_decay\": 0, "
                             "\"warmup_factor\": 0.05, \"dropout_rate\": 0.0, \"label_smoothing\": 0.0}");
    write_text("job.cfg", text);
    snprintf(job_path, sizeof job_path, "%s/job.cfg", tree);
    if (ap_job_open(job_path, &job, &error)) printf("%s\n", error.text), MPI_Abort(MPI_COMM_WORLD, 1);
    return job;
}

static ap_status sweep(const ap_job *job, ap_sweep_summary *summary, ap_error *error) {
    bool broken;
    *error = (ap_error){0};
    ap_status status = ap_sweep_run(MPI_COMM_WORLD, &(ap_sweep_options){.job = job}, summary, &broken, error);
    CHECK(!broken);
    if (broken) printf("%s\n", error->text), MPI_Abort(MPI_COMM_WORLD, 1);
    int mine = (int)status, lowest, highest;
    MPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    MPI_Allreduce(&mine, &highest, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    CHECK_INT(lowest, highest); /* all ranks report alike */
    return status;
}

/* ---- what is in the tree */

static char *events_of(const ap_job *job, int study, int trial) {
    char directory[AP_PATH], path[AP_PATH + 16], *text = NULL;
    size_t n;
    CHECK_INT(ap_trial_directory(job, 0, study, 0, trial, directory, NULL), AP_OK);
    snprintf(path, sizeof path, "%s/events.jsonl", directory);
    CHECK_INT(ap_read_file(path, 1 << 20, &text, &n, NULL), AP_OK);
    return text ? text : calloc(1, 1);
}

static int count_events(const ap_job *job, int study, int trial, const char *event) {
    char *text = events_of(job, study, trial), what[64];
    int n = 0;
    snprintf(what, sizeof what, "\"event\":\"%s\"", event);
    for (char *at = text; (at = strstr(at, what)); at++) n++;
    free(text);
    return n;
}

/* Steps of the evaluations, "1 21 41". */
static void evaluated_steps(const ap_job *job, char *steps, size_t size) {
    char *text = events_of(job, 0, 0), *rest = text;
    *steps = 0;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *step = strstr(line, "\"global_step\":");
        if (strstr(line, "\"event\":\"evaluation\"") && step)
            snprintf(steps + strlen(steps), size - strlen(steps), "%s%d", *steps ? " " : "", atoi(step + 14));
    }
    free(text);
}

static ap_result_summary result_of(const ap_job *job, int trial) {
    char directory[AP_PATH];
    ap_result_summary summary = {.evaluations = -2};
    CHECK_INT(ap_trial_directory(job, 0, 0, 0, trial, directory, NULL), AP_OK);
    CHECK_INT(ap_result_summarise(directory, &summary, NULL), AP_OK);
    return summary;
}

static ino_t result_file(const ap_job *job, int study, int trial) {
    char directory[AP_PATH], path[AP_PATH + 16];
    struct stat info = {0};
    CHECK_INT(ap_trial_directory(job, 0, study, 0, trial, directory, NULL), AP_OK);
    snprintf(path, sizeof path, "%s/result.h5", directory);
    CHECK_INT(stat(path, &info), 0);
    return info.st_ino;
}

/* Claims and take-over marks that lie in the tree. */
static int claims_in(const ap_job *job) {
    char path[AP_PATH];
    int n = 0;
    snprintf(path, sizeof path, "%s/.sweep/claims", job->settings.results);
    DIR *folder = opendir(path);
    CHECK(folder != NULL);
    for (struct dirent *entry; folder && (entry = readdir(folder));) n += *entry->d_name != '.';
    if (folder) closedir(folder);
    return n;
}

/* ---- one verdict each */

static void run_by_groups_of(int ranks) {
    enum { STUDIES = 2, TRIALS = 4 };
    if (ranks > world_ranks) return;
    char settings[128];
    snprintf(settings, sizeof settings,
             "ranks_per_trial = %d; studies = 2; trials = 4; max_steps = 12; eval_every = 6;", ranks);
    ap_job *job = open_job(settings, "sleep_ms = 0.2;", "submission = \"nadamw\";");
    ap_sweep_summary summary;
    ap_error error;
    ino_t file[STUDIES][TRIALS] = {0};
    for (int again = 0; again < 2; again++) {
        CHECK(sweep(job, &summary, &error) <= AP_TARGET_NOT_REACHED);
        if (world_rank) continue;
        CHECK_INT(summary.trials, STUDIES * TRIALS);
        CHECK_INT(summary.verdicts[AP_VERDICT_TARGET_REACHED] + summary.verdicts[AP_VERDICT_STEP_CAP],
                  STUDIES * TRIALS);
        for (int s = 0; s < STUDIES; s++)
            for (int t = 0; t < TRIALS; t++) {
                CHECK_INT(count_events(job, s, t, "started"), 1);
                CHECK_INT(count_events(job, s, t, "finished"), 1);
                if (again) CHECK(result_file(job, s, t) == file[s][t]); /* skipped, not rewritten */
                file[s][t] = result_file(job, s, t);
            }
        CHECK_INT(claims_in(job), 0);
    }
    ap_job_close(job);
    end();
}
static void test_every_trial_gets_one_verdict(void) {
    run_by_groups_of(1);
    run_by_groups_of(2);
}

/* Trials that another process holds are left, and said to be unfinished. */
static void test_claimed_trials_are_left_alone(void) {
    ap_job *job =
        open_job("ranks_per_trial = 1; trials = 2; max_steps = 4; eval_every = 2;", "", "submission = \"nadamw\";");
    const ap_claimant other = {.results = job->settings.results, .world = "another.world"};
    ap_claim claim = {0};
    if (world_rank == 0) {
        CHECK_INT(ap_claims_prepare(job->settings.results, NULL), AP_OK);
        CHECK_INT(ap_claim_take(&other, 1, -1, &claim, NULL), AP_OK);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    ap_sweep_summary summary;
    ap_error error;
    sweep(job, &summary, &error);
    if (world_rank == 0) {
        CHECK_INT(summary.verdicts[AP_VERDICT_RUNNING], 1);
        CHECK_INT(result_of(job, 1).evaluations, -1);
        ap_claim_release(job->settings.results, 1);
    }
    ap_job_close(job);
    end();
}

/* ---- failures on one rank */

static ap_generator broken_generator;
static ap_split broken_split;
static int broken_after;
static atomic_int reads;

static ap_status generate_or_fail(const void *model, uint64_t seed, ap_split split, int64_t index, ap_example *example,
                                  ap_error *error) {
    const ap_workload *dummy;
    AP_TRY(ap_workload_find("dummy", &dummy, error));
    if (world_rank == world_ranks - 1 && split == broken_split && atomic_fetch_add(&reads, 1) >= broken_after)
        return ap_fail(error, AP_DATA, "example %lld cannot be read", (long long)index);
    return dummy->generator->generate(model, seed, split, index, example, error);
}

/* The last rank cannot read examples of `split` any more after `after` of them. */
static void run_with_unreadable(ap_split split, int after, int evaluations) {
    ap_job *job = open_job("trials = 2; max_steps = 30; eval_every = 5;", "", "submission = \"nadamw\";");
    ap_job_workload *w = &job->workload[0];
    int64_t counts[AP_SPLITS];
    for (int s = 0; s < AP_SPLITS; s++) counts[s] = ap_dataset_count(w->dataset, (ap_split)s);
    broken_generator = *w->problem->workload->generator;
    broken_generator.generate = generate_or_fail;
    broken_split = split, broken_after = after;
    atomic_store(&reads, 0);
    ap_dataset_close(w->dataset);
    ap_error error = {0};
    CHECK_INT(ap_dataset_synthetic(&broken_generator, w->problem->model, 0, counts, &w->dataset, &error), AP_OK);
    ap_sweep_summary summary;
    CHECK_INT(sweep(job, &summary, &error), AP_DATA);
    if (world_rank == 0) {
        CHECK_TEXT(error.text, "cannot be read");
        CHECK_INT(summary.verdicts[AP_VERDICT_FAILED], 2); /* the second trial was run after the first had failed */
        CHECK_INT(result_of(job, 0).status, AP_DATA);
        CHECK_INT(result_of(job, 0).evaluations, evaluations);
        CHECK_TEXT(result_of(job, 0).reason, "cannot be read");
        CHECK_INT(count_events(job, 0, 0, "failed"), 1);
    }
    ap_job_close(job);
    end();
}
static void test_unreadable_example_in_the_warm_up(void) {
    run_with_unreadable(AP_TRAIN, 0, 0);
}
static void test_unreadable_example_in_an_evaluation(void) {
    run_with_unreadable(AP_VALIDATION, 0, 0);
}

/* A failure that is not the trial's fault: no verdict, the claim is given back, all ranks hear of it. */
static void test_failure_of_the_place_leaves_the_trial_resumable(void) {
    char options[64];
    snprintf(options, sizeof options, "fault = \"fail\"; fault_step = 3; fault_rank = %d;", world_ranks - 1);
    ap_job *job = open_job("trials = 1; max_steps = 8; eval_every = 2;", options, "submission = \"nadamw\";");
    ap_sweep_summary summary;
    ap_error error;
    CHECK_INT(sweep(job, &summary, &error), AP_BUG);
    CHECK_TEXT(error.text, "a failure was asked for");
    if (world_rank == 0) {
        CHECK_INT(result_of(job, 0).verdict, AP_VERDICT_RUNNING);
        CHECK_INT(claims_in(job), 0);
    }
    ap_job_close(job);
    end();
}

static void test_nan_on_one_rank_diverges_on_all(void) {
    char options[64];
    snprintf(options, sizeof options, "fault = \"nan\"; fault_step = 3; fault_rank = %d;", world_ranks - 1);
    ap_job *job = open_job("trials = 1; max_steps = 8; eval_every = 2;", options, "submission = \"nadamw\";");
    ap_sweep_summary summary;
    ap_error error;
    CHECK_INT(sweep(job, &summary, &error), AP_NUMERIC);
    if (world_rank == 0) {
        CHECK_INT(result_of(job, 0).verdict, AP_VERDICT_DIVERGED);
        CHECK_INT(result_of(job, 0).steps, 3);
        CHECK_INT(result_of(job, 0).evaluations, 1);
    }
    ap_job_close(job);
    end();
}

/* A batch that does not fit is the trial's failure, recorded though no step was made. */
static void test_failure_before_the_first_step_is_recorded(void) {
    ap_job *job = open_job("shards = 64; trials = 1;", "", "submission = \"nadamw\";"); /* batch 32 */
    ap_sweep_summary summary;
    ap_error error;
    CHECK_INT(sweep(job, &summary, &error), AP_CONFIG);
    if (world_rank == 0) {
        CHECK_TEXT(error.text, "batch size 32");
        CHECK_INT(result_of(job, 0).verdict, AP_VERDICT_FAILED);
        CHECK_INT(result_of(job, 0).steps, 0);
    }
    ap_job_close(job);
    end();
}

static void test_launch_that_does_not_fit_is_refused(void) {
    ap_job *job = open_job("trials = 1; shards = 64; ranks_per_trial = 64;", "", "submission = \"nadamw\";");
    ap_sweep_summary summary;
    ap_error error;
    CHECK_INT(sweep(job, &summary, &error), AP_ENVIRONMENT);
    CHECK_TEXT(error.text, "ranks_per_trial = 64");
    ap_job_close(job);
    end();
}

/* ---- the clock: dummy mini has budget 1 s, period 0.2 s, step hint 100, so a step counts 0.01 s */

static void check_clock(const char *settings, const char *search_space, ap_verdict verdict, const char *steps) {
    char submission[128], seen[512];
    snprintf(submission, sizeof submission, "submission = \"nadamw\"; search_space = \"%s\";", search_space);
    ap_job *job = open_job(settings, "", submission);
    ap_sweep_summary summary;
    ap_error error;
    CHECK_INT(sweep(job, &summary, &error), AP_TARGET_NOT_REACHED);
    if (world_rank == 0) {
        evaluated_steps(job, seen, sizeof seen);
        if (strcmp(seen, steps)) printf("evaluated at %s, expected %s\n", seen, steps);
        CHECK(!strcmp(seen, steps));
        CHECK_INT(result_of(job, 0).verdict, verdict);
    }
    ap_job_close(job);
    end();
}
static void test_evaluations_by_time_and_the_budget(void) {
    check_clock("trials = 1;", "still.json", AP_VERDICT_BUDGET_SPENT, "1 21 41 61 81 100");
}
static void test_self_tuning_has_half_as_much_again(void) {
    check_clock("ruleset = \"self_tuning\";", "point.json", AP_VERDICT_BUDGET_SPENT, "1 21 41 61 81 101 121 141 150");
}
static void test_own_budget_leaves_the_clock_alone(void) {
    check_clock("trials = 1; max_runtime_s = 0.5;", "still.json", AP_VERDICT_BUDGET_SPENT, "1 21 41 50");
}
static void test_step_cap_and_evaluation_by_steps(void) {
    check_clock("trials = 1; max_steps = 25; eval_every = 10;", "still.json", AP_VERDICT_STEP_CAP, "10 20 25");
}

/* ---- the index of verdicts */

static void remove_result(const ap_job *job, int trial) {
    char directory[AP_PATH], path[AP_PATH + 16];
    CHECK_INT(ap_trial_directory(job, 0, 0, 0, trial, directory, NULL), AP_OK);
    snprintf(path, sizeof path, "%s/result.h5", directory);
    CHECK_INT(unlink(path), 0);
}

/* Results are the truth: what is removed runs again, and an index that is lost is made again. */
static void test_the_index_follows_the_results(void) {
    ap_job *job =
        open_job("ranks_per_trial = 1; trials = 3; max_steps = 4; eval_every = 2;", "", "submission = \"nadamw\";");
    ap_sweep_summary summary;
    ap_error error;
    char entry[AP_PATH];
    ino_t kept = 0;
    sweep(job, &summary, &error);
    snprintf(entry, sizeof entry, "%s/.sweep/verdicts/000000", job->settings.results);
    if (world_rank == 0) {
        CHECK_INT(summary.verdicts[AP_VERDICT_RUNNING], 0);
        CHECK(ap_file_exists(entry));
        kept = result_file(job, 0, 0);
        unlink(entry);
        remove_result(job, 1);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    sweep(job, &summary, &error);
    if (world_rank == 0) {
        CHECK_INT(summary.verdicts[AP_VERDICT_RUNNING], 0);
        CHECK(ap_file_exists(entry));
        CHECK(result_file(job, 0, 0) == kept);
        CHECK_INT(count_events(job, 0, 0, "started"), 1);
        CHECK(result_of(job, 1).steps > 0);
        CHECK_INT(claims_in(job), 0);
    }
    ap_job_close(job);
    end();
}

static void test_a_cancelled_trial_ends_unrun(void) {
    ap_job *job = open_job("trials = 2; max_steps = 4; eval_every = 2;", "", "submission = \"nadamw\";");
    if (world_rank == 0) {
        CHECK_INT(ap_tree_prepare(job->settings.results, NULL), AP_OK);
        CHECK_INT(ap_cancel_ask(job->settings.results, 1, NULL), AP_OK);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    ap_sweep_summary summary;
    ap_error error;
    CHECK(sweep(job, &summary, &error) <= AP_TARGET_NOT_REACHED);
    if (world_rank == 0) {
        CHECK_INT(summary.verdicts[AP_VERDICT_CANCELLED], 1);
        CHECK_INT(result_of(job, 1).verdict, AP_VERDICT_CANCELLED);
        CHECK_INT(result_of(job, 1).steps, 0);
        CHECK(result_of(job, 0).steps > 0);
        CHECK(!ap_cancel_is_asked(job->settings.results, 1));
        CHECK_INT(claims_in(job), 0);
    }
    ap_job_close(job);
    end();
}

static void on_alarm(int number) {
    (void)number;
    raise(SIGUSR1);
}

/* ---- signals: the last tests, since a signal stays */

static void test_a_signal_on_one_rank_before_the_first_step_stops_all(void) {
    ap_job *job = open_job("trials = 2; max_steps = 8; eval_every = 4;", "", "submission = \"nadamw\";");
    char directory[AP_PATH];
    ap_trial_directory(job, 0, 0, 0, 0, directory, NULL);
    ap_interrupt_install();
    if (world_rank == world_ranks - 1) raise(SIGUSR1);
    ap_sweep_summary summary;
    ap_error error;
    CHECK_INT(sweep(job, &summary, &error), AP_INTERRUPTED);
    CHECK(summary.interrupted);
    if (world_rank == 0) {
        CHECK_INT(summary.verdicts[AP_VERDICT_RUNNING], 2);
        CHECK_INT(ap_checkpoint_newest(directory), -1);
        CHECK_INT(claims_in(job), 0);
    }
    ap_job_close(job);
    end();
}

/* The signal of one rank ends all groups, not only its own. */
static void test_a_signal_reaches_the_other_groups(void) {
    if (world_ranks == 1) return;
    char settings[128];
    snprintf(settings, sizeof settings,
             "ranks_per_trial = 1; studies = %d; trials = 1; max_steps = 1000000; max_runtime_s = 1e6;",
             2 * world_ranks);
    ap_job *job = open_job(settings, "sleep_ms = 1.0;", "submission = \"nadamw\"; search_space = \"still.json\";");
    ap_interrupt_install();
    if (world_rank == world_ranks - 1) signal(SIGALRM, on_alarm), alarm(1);
    ap_sweep_summary summary;
    ap_error error;
    CHECK_INT(sweep(job, &summary, &error), AP_INTERRUPTED); /* or never ends */
    ap_interrupt_forget();
    if (world_rank == 0) {
        CHECK_INT(summary.verdicts[AP_VERDICT_RUNNING], 2 * world_ranks);
        CHECK_INT(claims_in(job), 0);
    }
    ap_job_close(job);
    end();
}

/* ---- a signal while an evaluation is under way */

static const ap_workload *real_workload;
static int evaluated, raise_at; /* shards that this rank has evaluated; the last rank raises at that one, < 0: never */

static void evaluate_and_raise(const void *model, ap_tape *tape, ap_tensor *logits, const ap_batch *batch,
                               double *sums) {
    if (evaluated++ == raise_at && world_rank == world_ranks - 1) raise(SIGUSR1);
    real_workload->evaluate(model, tape, logits, batch, sums);
}

/* Steps and digests of all evaluations, "10 abc... 20 def...". */
static void digests_of(const ap_job *job, char *out, size_t size) {
    char *text = events_of(job, 0, 0), *rest = text;
    *out = 0;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *step = strstr(line, "\"global_step\":"), *digest = strstr(line, "\"parameter_digest\":\"");
        if (strstr(line, "\"event\":\"evaluation\"") && step && digest)
            snprintf(out + strlen(out), size - strlen(out), "%d %.32s ", atoi(step + 14), digest + 20);
    }
    free(text);
}

/* Interrupts the evaluation with this number (from 0; -1: none), and goes on to the end. */
static void run_with_signal_in_evaluation(int evaluation, char *digests, size_t size) {
    ap_job *job = open_job("trials = 1; max_steps = 25; eval_every = 10;", "",
                           "submission = \"nadamw\"; search_space = \"still.json\";");
    ap_problem *problem = job->workload[0].problem;
    real_workload = problem->workload;
    ap_workload raising = *real_workload;
    raising.evaluate = evaluate_and_raise;
    problem->workload = &raising;
    raise_at = evaluation < 0 ? -1 : evaluated / 3 * evaluation + 1; /* `evaluated` is of the undisturbed run */
    evaluated = 0;
    ap_sweep_summary summary;
    ap_error error;
    char directory[AP_PATH];
    ap_trial_directory(job, 0, 0, 0, 0, directory, NULL);
    ap_interrupt_install();
    if (evaluation >= 0) {
        CHECK_INT(sweep(job, &summary, &error), AP_INTERRUPTED);
        ap_interrupt_forget();
        if (world_rank == 0) {
            int step = evaluation == 2 ? 25 : 10 * (evaluation + 1);
            CHECK_INT(ap_checkpoint_newest(directory), step);
            CHECK_INT(count_events(job, 0, 0, "evaluation"), evaluation); /* it was left, not finished */
            CHECK_INT(count_events(job, 0, 0, "interrupted"), 1);
        }
    }
    CHECK_INT(sweep(job, &summary, &error), AP_TARGET_NOT_REACHED);
    if (world_rank == 0) {
        CHECK_INT(result_of(job, 0).verdict, AP_VERDICT_STEP_CAP);
        CHECK_INT(result_of(job, 0).steps, 25);
        digests_of(job, digests, size);
    }
    problem->workload = real_workload;
    ap_job_close(job);
    end();
}
static void test_a_signal_leaves_an_evaluation_which_is_made_again(void) {
    char calm[256], seen[256];
    evaluated = 0;
    run_with_signal_in_evaluation(-1, calm, sizeof calm);
    int of_three = evaluated;
    if (world_rank == 0) CHECK(strlen(calm) > 100);
    for (int evaluation = 0; evaluation < 3; evaluation++) {
        evaluated = of_three;
        run_with_signal_in_evaluation(evaluation, seen, sizeof seen);
        if (world_rank == 0 && strcmp(calm, seen)) printf("%s\n%s\n", calm, seen);
        if (world_rank == 0) CHECK(!strcmp(calm, seen));
    }
}

static void quiet(void) {
    ap_log_open(world_rank, false, AP_LOG_ERROR);
}

AP_MPI_TEST_MAIN(quiet, test_every_trial_gets_one_verdict, test_claimed_trials_are_left_alone,
                 test_unreadable_example_in_the_warm_up, test_unreadable_example_in_an_evaluation,
                 test_failure_of_the_place_leaves_the_trial_resumable, test_nan_on_one_rank_diverges_on_all,
                 test_failure_before_the_first_step_is_recorded, test_launch_that_does_not_fit_is_refused,
                 test_evaluations_by_time_and_the_budget, test_self_tuning_has_half_as_much_again,
                 test_own_budget_leaves_the_clock_alone, test_step_cap_and_evaluation_by_steps,
                 test_the_index_follows_the_results, test_a_cancelled_trial_ends_unrun,
                 test_a_signal_reaches_the_other_groups, test_a_signal_leaves_an_evaluation_which_is_made_again,
                 test_a_signal_on_one_rank_before_the_first_step_stops_all)
