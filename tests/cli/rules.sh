#!/usr/bin/env bash
# The benchmark's rules: plugins that break one each end with the verdict rule_violation and the reason; the points of a job before it runs; list and bench.
. "$(dirname "$0")/lib.sh"
command -v cc >/dev/null || skip "no C compiler"
cd "$T" || exit 1

plugin() { # NAME SOURCE-LINES...: a job of the dummy workload, budget 1 s
  local name=$1
  shift
  { printf '#include "submission/submission.h"\n'; printf '%s\n' "$@"; } >"$T/$name.c"
  cc -O1 -pthread -shared -fPIC -I "$SOURCE/src" "$T/$name.c" -o "$T/$name.so" || fail "cannot build $name"
  job "$T/$name.cfg" "results = \"$T/$name\"; trials = 1; max_attempts = 1; clock = \"steps\"; max_steps = 70; eval_every = 20;" \
    'workloads = ( { name = "dummy"; } );' "submissions = ( { submission = \"./$name.so\"; } );"
}
common='static const char *const space = "[{\"learning_rate\": 0.0}]";
static int update(ap_host *h) { double l; ap_loss_request r = {0}; return !h->call->loss_and_gradient(h, &r, &l); }'
table() { # INIT SELECTION UPDATE BATCH
  echo "static const ap_submission table = {.abi = AP_SUBMISSION_ABI, .struct_size = sizeof table, .name = \"rules\", .summary = \"s\", .source = \"s\", .init_optimizer_state = $1, .data_selection = $2, .update_params = $3, .get_batch_size = $4, .search_space = &space}; const ap_submission *ap_submission_entry(void) { return &table; }"
}
none='static int none(ap_host *h) { (void)h; return 0; }'
verdict() { grep -q '"verdict":"'"$2"'"' "$T/$1"/rules/study_0/dummy/trial_1/events.jsonl && pass "$1: $2" || fail "$1 has no verdict $2"; }

plugin init "$common" 'static int init(ap_host *h) { h->call->value(h, 0)[0] += 1; return 0; }' "$(table init 0 update 0)"
expect 8 "init_optimizer_state of submission rules changed parameters" "$ALGOPERF" run init.cfg
verdict init rule_violation
plugin selection "$common" "$none" 'static int select_(ap_host *h) { h->call->value(h, 0)[0] += 1; return !h->call->next_batch(h); }' "$(table none select_ update 0)"
expect 8 "data_selection of submission rules changed parameters" mpirun -n 2 "$ALGOPERF" run selection.cfg
verdict selection rule_violation
# A thread of the submission's own, which asks the host whenever it can: also while no function of the submission runs.
plugin thread "$common" '#include <pthread.h>' '#include <unistd.h>' \
  'static ap_host *kept; static void *ask(void *x) { (void)x; for (;;) { usleep(200); kept->call->step(kept); } return 0; }' \
  'static int init(ap_host *h) { pthread_t t; kept = h; return pthread_create(&t, 0, ask, 0); }' "$(table init 0 update 0)"
timeout 300 "$ALGOPERF" run thread.cfg >"$T/out" 2>&1 # it goes on asking after the end, and takes the process down then, maybe before the log has its line
grep -q "while none of the submission" "$T/thread/rules/study_0/dummy/trial_1/events.jsonl" && pass "a thread that asks is noticed" || fail "the thread was not noticed"
verdict thread rule_violation
# Ten thousand batches in one step: 100 s of a budget of 1 s.
plugin budget "$common" "$none" 'static int many(ap_host *h) { for (int i = 0; i < 10000; i++) if (!h->call->next_batch(h)) return 1; return update(h); }' "$(table none 0 many 0)"
expect 8 "after the budget" "$ALGOPERF" run budget.cfg
verdict budget rule_violation
# The name is seen in get_batch_size, and nowhere else.
plugin name "$common" '#include <string.h>' 'static int64_t batch(const ap_workload_info *w) { return strcmp(w->name, "dummy") ? 1 : 16; }' \
  'static int init(ap_host *h) { const ap_workload_info *w = h->call->workload(h); if (*w->name || *w->variant) { h->call->fail(h, "I see %s", w->name); return 1; } return 0; }' "$(table init 0 update batch)"
expect 1 "0 of 1 studies" "$ALGOPERF" run name.cfg
verdict name step_cap

job "$T/points.cfg" "results = \"$T/points\"; studies = 2; trials = 3;" 'workloads = ( { name = "dummy"; } );' \
  'submissions = ( { submission = "adamw"; }, { submission = "shampoo_submission"; } );'
expect 0 "adamw study 1 trial 3: learning_rate = " "$ALGOPERF" run points.cfg --points text
expect 0 "grafting_type = SGD" "$ALGOPERF" run points.cfg --points text
expect 0 '"study": 1, "trial": 3, "hyperparameters": {' "$ALGOPERF" run points.cfg --points json
expect 2 "must be text or json" "$ALGOPERF" run points.cfg --points xml
[ ! -e "$T/points" ] && pass "nothing was run" || fail "--points has made results"
sed -i 's/trials = 3/trials = 9/' points.cfg
expect 3 "a list of 5 points, 9 trials are wanted" "$ALGOPERF" run points.cfg
printf '[{"learning_rate": 0.1,\n "one_minus_beta1": 0.1,\n "beta2": 0.99, "weight_decay": 0, "warmup_factor": 0,\n "momentun": 0.9}]' >space.json
job "$T/unknown.cfg" "results = \"$T/points\"; trials = 1;" 'workloads = ( { name = "dummy"; } );' \
  'submissions = ( { submission = "nadamw"; search_space = "space.json"; } );'
expect 3 "space.json:4: point 1: submission nadamw has no hyperparameter momentun" "$ALGOPERF" run unknown.cfg
# end = "budget": the same training, on beyond its targets.
for end in target budget; do
  job "$T/end_$end.cfg" "results = \"$T/end_$end\"; trials = 1; clock = \"steps\"; end = \"$end\";" 'workloads = ( { name = "dummy"; } );' 'submissions = ( { submission = "nadamw"; } );'
  expect 0 "1 of 1 studies reached" "$ALGOPERF" run "end_$end.cfg"
  digests "$T/end_$end/nadamw/study_0/dummy/trial_1" >"$end.digests"
done
[ "$(head -n "$(wc -l <target.digests)" budget.digests)" = "$(cat target.digests)" ] && tail -n 1 budget.digests | grep -q '^100 ' &&
  [ "$(wc -l <budget.digests)" -gt "$(wc -l <target.digests)" ] && pass "end = budget goes on" || fail "end = budget: $(tail -n 1 budget.digests)"
sed 's/end = "budget"/end = "bugdet"/' end_budget.cfg >wrong_end.cfg
expect 3 "target, budget" "$ALGOPERF" run wrong_end.cfg

# Every kind of wrong search space: file, line and rule, before anything is made.
others='"one_minus_beta1": {"feasible_points": [0.1]}, "beta2": {"feasible_points": [0.9]}, "weight_decay": {"feasible_points": [0]}, "warmup_factor": {"feasible_points": [0]}'
point='"beta2": 0.9, "weight_decay": 0, "warmup_factor": 0'
refuse() { # TEXT SPACE
  printf "$2" >space.json
  sed 's/trials = 1/trials = 2/' unknown.cfg >bad_space.cfg
  expect 3 "$1" "$ALGOPERF" run bad_space.cfg
}
refuse "space.json:2: learning_rate has no min" "{$others,\n \"learning_rate\": {\"max\": 1, \"scaling\": \"log\"}}"
refuse "space.json:2: learning_rate has no max" "{$others,\n \"learning_rate\": {\"min\": 1, \"scaling\": \"log\"}}"
refuse "space.json:2: min of learning_rate is 2, max is 1" "{$others,\n \"learning_rate\": {\"min\": 2, \"max\": 1, \"scaling\": \"linear\"}}"
refuse "space.json:2: min of learning_rate is 0 (with log scaling min must be above 0" "{$others,\n \"learning_rate\": {\"min\": 0, \"max\": 1, \"scaling\": \"log\"}}"
refuse "space.json:2: feasible_points of learning_rate is empty" "{$others,\n \"learning_rate\": {\"feasible_points\": []}}"
refuse "space.json:1: .*learning_rate is missing" "{$others}"
refuse "space.json:2: .*no hyperparameter lr" "{$others, \"learning_rate\": {\"feasible_points\": [1]},\n \"lr\": {\"feasible_points\": [1]}}"
refuse "space.json:2: point 2: .*one_minus_beta1 is missing" "[{\"learning_rate\": 1, \"one_minus_beta1\": 0.1, $point},\n {\"learning_rate\": 1, $point}]"
refuse "space.json:3: point 2: .*one_minus_beta1 = 7 (must be" "[{\"learning_rate\": 1, \"one_minus_beta1\": 0.1, $point},\n {\"learning_rate\": 1,\n \"one_minus_beta1\": 7, $point}]"
refuse "a list of 1 points, 2 trials are wanted" "[{\"learning_rate\": 1, \"one_minus_beta1\": 0.1, $point}]"
[ ! -e "$T/points" ] && pass "no trial was started" || fail "a wrong search space has made results"
expect 0 "sinv6" "$ALGOPERF" list
expect 0 "2 ranks" timeout 300 mpirun -n 2 "$ALGOPERF" bench update --quick --only shampoo_submission,lamb
expect 2 "sinv6: there is no algorithm of that name" "$ALGOPERF" bench update --quick --only lion,sinv6
expect 0 "dsyevd" "$ALGOPERF" bench eigen --quick
expect 0 "LSTM, both directions" "$ALGOPERF" bench speech --quick
done_testing
