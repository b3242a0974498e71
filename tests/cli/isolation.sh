#!/usr/bin/env bash
# isolation = "step": one plain process starts each group as a world of its own; a crash, a signal or the launcher's death ends as it should.
. "$(dirname "$0")/lib.sh"

echo '[{"learning_rate": 0.0, "one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0, "warmup_factor": 0.05, "label_smoothing": 0.0}]' >"$T/still.json" # learns nothing
dummy() { # NAME SETTINGS OPTIONS
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; isolation = \"step\"; trials = 1; $2" \
    "workloads = ( { name = \"dummy\"; options = { $3 } ; } );" 'submissions = ( { submission = "nadamw"; search_space = "still.json"; } );'
}
count() { find "$1" -name "$2" -type f | wc -l; }
all_digests() { for s in 0 1 2 3 4 5; do digests "$1/nadamw/study_$s/dummy/trial_1"; done; }
start() { "$ALGOPERF" run "$@" >"$T/log" 2>&1 & pid=$!; }

echo "== a crash stays in its group"
six='studies = 6; ranks_per_trial = 1; max_steps = 60; eval_every = 20;'
dummy calm "$six" ''
expect 1 "6 trials: 6 step_cap" "$ALGOPERF" run "$T/calm.cfg" --groups 2
dummy crash "$six" "fault = \"crash\"; fault_step = 30; once = \"$T/once\";"
expect 1 "6 trials: 6 step_cap" "$ALGOPERF" run "$T/crash.cfg" --groups 2
grep -q "group . (.*) ended with code 137" "$T/out" || fail "the crash was not said"
[ -e "$T/once" ] || fail "nothing has crashed"
cmp <(all_digests "$T/calm") <(all_digests "$T/crash") && pass "the same digests as undisturbed" || fail "digests differ"
[ "$(all_digests "$T/calm" | wc -l)" -eq 18 ] || fail "not 18 evaluations"
[ "$(count "$T/crash/.sweep/claims" '*') $(count "$T/crash/.sweep/worlds" '*')" = "0 0" ] && pass "no claim and no world is left" || fail "left: $(ls -A "$T"/crash/.sweep/*)"

echo "== a trial that always crashes"
dummy bad 'studies = 2; ranks_per_trial = 2; max_steps = 60; max_attempts = 2;' 'fault = "crash"; fault_rank = 1; fault_step = 3;'
expect 7 "2 trials: 2 crashed" "$ALGOPERF" run "$T/bad.cfg" --groups 2
expect 7 "2 trials: 2 crashed" "$ALGOPERF" run "$T/bad.cfg"

echo "== signals"
dummy long 'studies = 2; ranks_per_trial = 2; max_steps = 1000000; max_runtime_s = 1e6; eval_every = 100;' 'sleep_ms = 0.5;'
events=$T/long/nadamw/study_1/dummy/trial_1/events.jsonl
begun() { grep -cE '"event":"(started|resumed)"' "$events" 2>/dev/null; }
times=0
for signal in TERM USR1 INT; do
  times=$((times + 1))
  start "$T/long.cfg" --groups 2
  for _ in $(seq 1 6000); do [ "$(begun)" = $times ] && break; sleep 0.05; done
  kill -$signal $pid
  wait $pid
  code=$?
  [ "$code" -eq 75 ] && pass "75 after SIG$signal" || { fail "exit code $code after SIG$signal"; cat "$T/log"; }
  [ "$(count "$T/long/.sweep/claims" '*')" -eq 0 ] || fail "a claim is left"
  compgen -G "$T/long/nadamw/study_1/dummy/trial_1/checkpoint_*" >/dev/null || fail "no checkpoint"
done
[ "$(grep -c '"interrupted"' "$events")" -eq 3 ] || fail "not three interruptions"

echo "== the launcher dies: its groups leave with a checkpoint"
start "$T/long.cfg" --groups 2
for _ in $(seq 1 6000); do [ "$(begun)" = 4 ] && break; sleep 0.05; done
kill -KILL $pid
wait $pid 2>/dev/null
for _ in $(seq 1 6000); do [ "$(count "$T/long/.sweep/claims" '*')" -eq 0 ] && break; sleep 0.05; done
[ "$(count "$T/long/.sweep/claims" '*')" -eq 0 ] && pass "both groups have left" || fail "groups go on without their launcher"

echo "== a group that cannot be started"
dummy lost 'studies = 2; ranks_per_trial = 1; max_steps = 4;' ''
mkdir "$T/bin"
printf '#!/bin/sh\nexit 1\n' >"$T/bin/mpirun"
chmod +x "$T/bin/mpirun"
expect 7 "no group could go on" env PATH="$T/bin:$PATH" "$ALGOPERF" run "$T/lost.cfg" --groups 2

echo "== wrong command lines"
dummy world 'isolation_ = 1;' ''
sed -i 's/isolation_ = 1;//; s/"step"/"world"/' "$T/world.cfg"
expect 2 "go with isolation" "$ALGOPERF" run "$T/world.cfg" --groups 2
expect 2 "whole number" "$ALGOPERF" run "$T/lost.cfg" --groups two
expect 2 "whole number" "$ALGOPERF" run "$T/lost.cfg" --groups 0
expect 2 "auto, srun or mpirun" "$ALGOPERF" run "$T/lost.cfg" --launcher ssh
expect 2 "no Slurm allocation" env -u SLURM_JOB_ID "$ALGOPERF" run "$T/lost.cfg" --launcher srun
expect 2 "one plain process" mpirun -n 2 "$ALGOPERF" run "$T/lost.cfg"
expect 2 "letters, digits" "$ALGOPERF" run "$T/lost.cfg" --world a/b
expect 2 "does not go with" "$ALGOPERF" run "$T/lost.cfg" --world a --groups 2
sed -i 's/"step"/"island"/' "$T/lost.cfg"
expect 3 "isolation" "$ALGOPERF" run "$T/lost.cfg"
done_testing
