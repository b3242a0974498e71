#!/usr/bin/env bash
# SIGKILL of a random rank at random moments (writes are slowed down so that many kills fall inside a checkpoint or between write, sync and rename), each resumed on a random number of ranks.
# In the end the evaluation rows and digests must be those of an undisturbed run: nothing lost, nothing twice.
. "$(dirname "$0")/lib.sh"
kills=${KILLS:-24}
draw

echo '[{"learning_rate": 1e-6, "one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0.01, "warmup_factor": 0.05, "label_smoothing": 0.1}]' >"$T/slow.json" # too slow to reach the target

write_job() { # NAME STEPS
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_runtime_s = 1e6; max_steps = $2; eval_every = $(($2 / 25)); trials = 1;" \
    "checkpoint_s = 0.1; max_attempts = 1000; watchdog_s = 60.0;" \
    'workloads = ( { name = "mnist"; scale = "mini"; data = "synthetic"; } );' \
    'submissions = ( { submission = "nadamw"; search_space = "slow.json"; } );'
}
calm() { # NAME: an undisturbed run
  mpirun -n 2 "$ALGOPERF" run "$T/$1.cfg" >"$T/$1.log" 2>&1
  [ $? -le 1 ] || { fail "the undisturbed run $1 failed"; cat "$T/$1.log"; done_testing; }
}
# As many steps as this machine does in 25 s, so that the kills all come before the end.
write_job pace 1500
calm pace
steps=$(sed -n 's/.*"global_step":1500,"accumulated_submission_time":\([0-9.]*\),.*/\1/p' "$T/pace/nadamw/study_0/mnist/trial_1/events.jsonl" |
  awk '{ printf "%d", int(1500 * 25 / $1 / 25) * 25 }')
[ "${steps:-0}" -gt 1500 ] || { fail "no pace found: $steps steps"; done_testing; }
echo "$steps steps"
write_job calm "$steps"
calm calm

changed() { stat -c %.Y "$trial/events.jsonl" 2>/dev/null; }
write_job stormy "$steps"
trial=$T/stormy/nadamw/study_0/mnist/trial_1
done_kills=0 inside=0 launches=0
while [ $launches -lt 200 ]; do
  n=$((1 << (RANDOM % 3)))
  launches=$((launches + 1))
  seen=$(changed)
  AP_TEST_WRITE_DELAY_MS=8 mpirun -n $n "$ALGOPERF" run "$T/stormy.cfg" >"$T/stormy.log" 2>&1 &
  launcher=$!
  if [ $done_kills -lt "$kills" ]; then
    # Most kills come after the trial has begun (its log has changed), some as soon as there are ranks.
    [ $((RANDOM % 6)) -eq 0 ] && early=1 || early=0
    for _ in $(seq 1 500); do
      [ -n "$(pgrep -P $launcher)" ] && { [ $early -eq 1 ] || [ "$(changed)" != "$seen" ]; } && break
      kill -0 $launcher 2>/dev/null || break
      sleep 0.02
    done
    sleep "$(printf '0.%03d' $((RANDOM % 900)))"
    mapfile -t ranks < <(pgrep -P $launcher)
    if [ ${#ranks[@]} -gt 0 ] && kill -9 "${ranks[RANDOM % ${#ranks[@]}]}" 2>/dev/null; then
      done_kills=$((done_kills + 1))
      compgen -G "$trial/.*.tmp" >/dev/null && inside=$((inside + 1))
    fi
  fi
  wait $launcher
  code=$?
  [ $code -le 1 ] && break
  rm -f /dev/shm/vader_segment.*."$(id -u)".* 2>/dev/null # a killed Open MPI leaves its segments behind
done
echo "$done_kills kills in $launches launches, $inside of them left a half-written temporary file"
[ $code -le 1 ] || { fail "the job never ended; last log:"; cat "$T/stormy.log"; }
[ $done_kills -ge 20 ] || fail "only $done_kills kills took place: make the job longer"
digests "$trial" >"$T/stormy.digests"
digests "$T/calm/nadamw/study_0/mnist/trial_1" >"$T/calm.digests"
[ -s "$T/calm.digests" ] || fail "the undisturbed run has no evaluations"
cmp "$T/calm.digests" "$T/stormy.digests" || fail "evaluations differ from the undisturbed run"
compgen -G "$trial/.*.tmp" >/dev/null && fail "temporary files are left: $(ls -A "$trial")"
compgen -G "$T/stormy/.sweep/claims/claim*" >/dev/null && fail "a claim is left: $(ls -A "$T/stormy/.sweep/claims")"
if [ -n "$PYTHON" ]; then
  "$PYTHON" "$SOURCE/tests/cli/same_result.py" "$T/calm/nadamw/study_0/mnist/trial_1/result.h5" "$trial/result.h5" || fail "results differ"
fi
done_testing
