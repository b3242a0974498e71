#!/usr/bin/env bash
# SIGKILL of a random rank at random moments (writes are slowed down so that many kills fall inside a checkpoint or between write, sync and rename), each resumed on a random number of ranks.
# In the end the evaluation rows and digests must be those of an undisturbed run: nothing lost, nothing twice.
. "$(dirname "$0")/lib.sh"
kills=${KILLS:-24}
draw

echo '[{"learning_rate": 1e-6, "one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0.01, "warmup_factor": 0.05, "label_smoothing": 0.1}]' >"$T/slow.json" # too slow to reach the target

write_job() { # NAME STEPS
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_runtime_s = 1e6; max_steps = $2; eval_every = $(($2 / 25)); trials = 1;" \
    "checkpoint_s = 0.1; max_attempts = 1000; watchdog_s = 300.0;" \
    'workloads = ( { name = "mnist"; scale = "mini"; data = "synthetic"; } );' \
    'submissions = ( { submission = "nadamw"; search_space = "slow.json"; } );'
}
# Fast machines end the trial before there were enough kills: then it starts anew in another tree.
steps=2000
write_job calm $steps
mpirun -n 2 "$ALGOPERF" run "$T/calm.cfg" >"$T/calm.log" 2>&1
[ $? -le 1 ] || { fail "the undisturbed run failed"; cat "$T/calm.log"; done_testing; }

check() { # NAME: what the storm has left of this tree
  digests "$trial" >"$T/stormy.digests"
  cmp "$T/calm.digests" "$T/stormy.digests" || fail "$1: evaluations differ from the undisturbed run"
  compgen -G "$trial/.*.tmp" >/dev/null && fail "$1: temporary files are left: $(ls -A "$trial")"
  compgen -G "$T/$1/.sweep/claims/claim*" >/dev/null && fail "$1: a claim is left: $(ls -A "$T/$1/.sweep/claims")"
  [ -z "$PYTHON" ] || "$PYTHON" "$SOURCE/tests/cli/same_result.py" "$T/calm/nadamw/study_0/mnist/trial_1/result.h5" "$trial/result.h5" || fail "$1: results differ"
}
next_tree() {
  tree=$((${tree:-0} + 1))
  write_job stormy$tree $steps
  trial=$T/stormy$tree/nadamw/study_0/mnist/trial_1
}
digests "$T/calm/nadamw/study_0/mnist/trial_1" >"$T/calm.digests"
[ -s "$T/calm.digests" ] || fail "the undisturbed run has no evaluations"
changed() { stat -c %.Y "$trial/events.jsonl" 2>/dev/null; }
next_tree
done_kills=0 inside=0 launches=0
while [ $launches -lt 200 ]; do
  n=$((1 << (RANDOM % 3)))
  launches=$((launches + 1))
  seen=$(changed)
  AP_TEST_WRITE_DELAY_MS=8 mpirun -n $n "$ALGOPERF" run "$T/stormy$tree.cfg" >"$T/stormy.log" 2>&1 &
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
      # mpirun itself can hang when a rank dies while it connects ("PMIX ERROR: UNREACHABLE"): it is killed as well then
      for _ in $(seq 1 600); do kill -0 $launcher 2>/dev/null || break; sleep 0.1; done
      kill -9 $launcher "${ranks[@]}" 2>/dev/null && echo "launch $launches: mpirun did not end after a kill"
    fi
  fi
  wait $launcher
  code=$?
  [ $code -le 1 ] || continue
  check stormy$tree
  [ $done_kills -lt "$kills" ] || break
  next_tree
done
echo "$done_kills kills in $launches launches on $tree trees, $inside of them left a half-written temporary file"
[ $code -le 1 ] || { fail "the job never ended; last log:"; cat "$T/stormy.log"; }
[ $done_kills -ge "$kills" ] || fail "only $done_kills kills took place"
done_testing
