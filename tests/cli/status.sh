#!/usr/bin/env bash
# What people ask of a sweep while it runs and afterwards: status, watch, cancel, retry.
. "$(dirname "$0")/lib.sh"

points=$(for w in 1 2 3; do printf '%s{"learning_rate": 0.0, "one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0, "warmup_factor": 0.0%s, "label_smoothing": 0.0}' "$([ $w = 1 ] || echo ,)" $w; done)
echo "[$points]" >"$T/still.json" # learns nothing
job "$T/job.cfg" "results = \"$T/tree\"; clock = \"steps\"; trials = 3; max_steps = 1000000; max_runtime_s = 1e6; eval_every = 100;" \
  'workloads = ( { name = "dummy"; options = { sleep_ms = 0.5; } ; } );' 'submissions = ( { submission = "nadamw"; search_space = "still.json"; } );'
trial() { echo "$T/tree/nadamw/study_0/dummy/trial_$1"; }
state() { "$ALGOPERF" status "$T/tree" --json | tr -d '\n ' | grep -oE "\"path\":\"nadamw/study_0/dummy/trial_$1\",\"state\":\"[a-z]*\"" | sed 's/.*:"//; s/"//'; }
wait_for() { # WHAT COMMAND...
  local what=$1
  shift
  for _ in $(seq 1 6000); do "$@" && return 0; sleep 0.05; done
  fail "never: $what"
  cat "$T/log"
}
is() { [ "$(state "$1")" = "$2" ]; }
evaluated() { grep -q '"evaluation"' "$(trial "$1")/events.jsonl" 2>/dev/null; }

echo "== while it runs"
mpirun -n 2 "$ALGOPERF" run "$T/job.cfg" >"$T/log" 2>&1 &
pid=$!
wait_for "trial 1 has an evaluation" evaluated 1
expect 0 "trial_1: running, step .*validation accuracy .*process .* since 20" "$ALGOPERF" status "$T/tree"
expect 0 "1 running" "$ALGOPERF" status "$T/tree/"
expect 0 "2 pending" "$ALGOPERF" watch "$T/tree"
expect 0 "by the budgets it ends in .* at the latest" "$ALGOPERF" status "$T/tree"
"$ALGOPERF" status "$T/tree" --json >"$T/json"
[ -z "$PYTHON" ] || "$PYTHON" - "$T/json" <<'P' || fail "the JSON is not as expected: $(cat "$T/json")"
import json, os, sys
s = json.load(open(sys.argv[1]))
assert s["count"] == 3 and s["states"] == {"pending": 2, "running": 1, "stale": 0, "done": 0}, s["states"]
t = s["trials"][0]
assert t["state"] == "running" and t["step"] >= 100 and t["owner"]["process"] == "lives", t
os.kill(t["owner"]["pid"], 0)
assert s["trials"][2]["state"] == "pending" and s["latest_end_s"] > 0
P
expect 2 "no verdict yet" "$ALGOPERF" retry "$(trial 1)"
expect 2 "no verdict yet" "$ALGOPERF" retry "$(trial 3)"

echo "== cancel: the one that runs, and one before its turn"
expect 0 "gets the verdict .cancelled. when its turn comes" "$ALGOPERF" cancel "$(trial 2)"
expect 0 "trial_2: pending, to be cancelled" "$ALGOPERF" status "$T/tree"
expect 0 "stops it at its next step" "$ALGOPERF" cancel "$(trial 1)"
wait_for "trial 1 is done" is 1 done
wait_for "trial 2 is done" is 2 done
wait_for "trial 3 runs" evaluated 3
expect 0 "2 done (2 cancelled)" "$ALGOPERF" status "$T/tree"
expect 2 "verdict cancelled" "$ALGOPERF" cancel "$(trial 1)"
expect 0 "trial_2: cancelled, step 0: by .algoperf cancel., while nobody ran it" "$ALGOPERF" status "$T/tree" --all

echo "== retry while others run; what it keeps"
old=$(cksum <"$(trial 1)/result.h5")
expect 0 "pending again" "$ALGOPERF" retry "$(trial 1)"
[ "$old" = "$(cksum <"$(trial 1)/result.previous.h5")" ] && pass "the old result is kept beside" || fail "the old result is lost"
(cd "$T" && expect 2 "error: tree/nadamw.*no verdict yet" "$ALGOPERF" retry tree/nadamw/study_0/dummy/trial_1)
expect 2 "no verdict yet" "$ALGOPERF" retry "$(trial 1)"

echo "== stale: the job dies without a word"
kill -KILL $(pgrep -P $pid) 2>/dev/null
wait $pid 2>/dev/null
wait_for "trial 3 is stale" is 3 stale
expect 0 "1 stale" "$ALGOPERF" status "$T/tree"
expect 0 "which is gone" "$ALGOPERF" status "$T/tree"
"$ALGOPERF" cancel "$(trial 1)" "$(trial 3)" >/dev/null || fail "cancel of two"
expect 1 "3 trials: 3 cancelled" "$ALGOPERF" run "$T/job.cfg"
[ "$(find "$T/tree/.sweep/claims" -type f | wc -l)" -eq 0 ] || fail "claims are left"
grep -q '"verdict":"cancelled"' "$(trial 3)/events.jsonl" || fail "the log of trial 3 does not tell"
expect 0 "trial_3: cancelled, step [1-9]" "$ALGOPERF" status "$T/tree" --all

echo "== a tree that was copied without its index"
mkdir "$T/copy"
cp -r "$T"/tree/* "$T/copy"
expect 0 "3 done (3 cancelled)" "$ALGOPERF" status "$T/copy"

echo "== wrong input"
expect 4 "no result tree" "$ALGOPERF" status "$T"
expect 4 "no result tree" "$ALGOPERF" watch "$T/nowhere"
expect 2 "give one result tree" "$ALGOPERF" status
expect 2 "give one result tree" "$ALGOPERF" watch a b
expect 2 "every" "$ALGOPERF" watch "$T/tree" --every soon
expect 2 "give trials" "$ALGOPERF" cancel
expect 2 "give trials" "$ALGOPERF" retry
expect 2 "no trial of the tree" "$ALGOPERF" cancel "$T/tree/nadamw"
expect 2 "no trial of the tree" "$ALGOPERF" retry "$T/tree/nadamw/study_0/dummy/trial_4"
expect 2 "no folder above it" "$ALGOPERF" cancel "/nowhere/trial_1"
expect 2 "trial_9" "$ALGOPERF" retry "$(trial 1)" "$(trial 9)" # what can be done is done
[ -e "$(trial 1)/result.h5" ] && fail "trial 1 was not retried"
printf '{' >"$T/copy/trials.json"
expect 4 "not a list of trials" "$ALGOPERF" status "$T/copy"
done_testing
