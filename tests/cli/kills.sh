#!/usr/bin/env bash
# SIGKILL of a random rank at random moments (writes are slowed down so that many kills fall inside a checkpoint or between write, sync and rename), each resumed on a random number of ranks.
# In the end the evaluation rows and digests must be those of an undisturbed run: nothing lost, nothing twice.
. "$(dirname "$0")/lib.sh"
kills=${KILLS:-24}
RANDOM=${SEED:-$$}
echo "seed of this run: SEED=${SEED:-$$}"

write_job() { # NAME
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_steps = ${STEPS:-6000}; eval_every = 150; trials = 1; max_attempts = 1000; watchdog_s = 60.0;" \
    'workloads = ( { name = "mnist"; scale = "mini"; data = "synthetic"; } );' \
    'submissions = ( { submission = "nadamw"; } );'
}
write_job calm
mpirun -n 2 "$ALGOPERF" run "$T/calm.cfg" >"$T/calm.log" 2>&1
[ $? -le 1 ] || { fail "the undisturbed run failed"; cat "$T/calm.log"; done_testing; }

write_job stormy
trial=$T/stormy/nadamw/study_0/mnist/trial_1
done_kills=0 inside=0 launches=0
while [ $launches -lt 200 ]; do
  n=$((1 << (RANDOM % 3)))
  launches=$((launches + 1))
  AP_TEST_WRITE_DELAY_MS=8 mpirun -n $n "$ALGOPERF" run "$T/stormy.cfg" >"$T/stormy.log" 2>&1 &
  launcher=$!
  if [ $done_kills -lt "$kills" ]; then
    sleep "$(printf '%d.%03d' 0 $((500 + RANDOM % 450)))"
    [ $((RANDOM % 3)) -eq 0 ] && sleep 0.7
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
compgen -G "$trial/claim*" >/dev/null && fail "a claim is left: $(ls -A "$trial")"
if [ -n "$PYTHON" ]; then
  "$PYTHON" "$SOURCE/tests/cli/same_result.py" "$T/calm/nadamw/study_0/mnist/trial_1/result.h5" "$trial/result.h5" || fail "results differ"
fi
done_testing
