#!/usr/bin/env bash
# A requeue storm: a sweep is started and told to stop again and again, at random moments from the program's first instant
# to its end, alone, with mpirun, and several at once on one tree. Every start ends with 0, 1 or 75 (done; stopped after a
# checkpoint); the sweep ends with exactly one verdict a trial, and with the rows and digests of an undisturbed one.
. "$(dirname "$0")/lib.sh"
starts=${STARTS:-30}
draw
trials=4

sed 's/^\[\(.*\)\]$/[\1,\1,\1,\1]/' "$T/slow.json" >"$T/four.json"
sweep() { # NAME
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_runtime_s = 1e6; max_steps = 200; eval_every = 20; trials = $trials; max_attempts = 2;" \
    'workloads = ( { name = "dummy"; options = { sleep_ms = 1.0; }; } );' 'submissions = ( { submission = "nadamw"; search_space = "four.json"; } );'
}
all_digests() { for i in $(seq $trials); do echo "trial $i"; digests "$T/$1/nadamw/study_0/dummy/trial_$i"; done; }
sweep calm
run calm
[ $? -le 1 ] || { cat "$T/calm.log"; fail "the undisturbed sweep"; done_testing; }

# The program leaves its first word in the log when signals are remembered; one that comes before ends the process as any
# other, and nothing has happened yet.
early=0 stopped=0 finished=0
count() { # NAME CODE LOG
  case $2 in
  0 | 1) finished=$((finished + 1)) ;;
  75) stopped=$((stopped + 1)) ;;
  *)
    if [ "$2" -gt 128 ] && ! grep -q 'shards' "$3"; then early=$((early + 1)); return; fi
    fail "$1: exit code $2"
    sed 's/^/    /' "$3" | tail -n 4
    ;;
  esac
}
moment() { sleep "$(printf '0.%03d' $((RANDOM % $1)))"; }
# At any moment from the first instant on, or, half of the times, when a trial has begun.
any_moment() { # PID LOG
  [ $((RANDOM % 2)) -eq 0 ] || wait_for begun "$1" "$2"
  moment 700
}
begun() { grep -q 'step ' "$2" || ! kill -0 "$1" 2>/dev/null; }

alone() { # NAME I: one start, told to stop
  "$ALGOPERF" run "$T/$1.cfg" >"$T/$1.$2" 2>&1 &
  local pid=$!
  any_moment $pid "$T/$1.$2"
  kill -TERM $pid 2>/dev/null
  wait $pid
  count "$1" $? "$T/$1.$2"
}
under_mpirun() { # as a batch script does: mpirun passes SIGUSR1 on to its ranks, once there are some
  mpirun -n 2 "$ALGOPERF" run "$T/$1.cfg" >"$T/$1.$2" 2>&1 &
  local pid=$!
  wait_for ranks_or_none $pid
  any_moment $pid "$T/$1.$2"
  kill -USR1 $pid 2>/dev/null
  wait $pid
  count "$1" $? "$T/$1.$2"
}
ranks_or_none() { [ -n "$(pgrep -P "$1")" ] || ! kill -0 "$1" 2>/dev/null; }
together() { # three at once; each told to stop by itself
  local pids='' pid n=0
  for n in 1 2 3; do
    "$ALGOPERF" run "$T/$1.cfg" >"$T/$1.$2.$n" 2>&1 &
    pids="$pids $!"
  done
  any_moment "${pids##* }" "$T/$1.$2.3"
  for pid in $pids; do
    kill -TERM "$pid" 2>/dev/null
    moment 200
  done
  n=0
  for pid in $pids; do
    wait "$pid"
    count "$1" $? "$T/$1.$2.$((n += 1))"
  done
}

check() { # NAME: one undisturbed start ends it
  run "$1"
  local code=$? verdicts
  [ $code -le 1 ] || { fail "$1: the last start ended with $code"; cat "$T/$1.log"; }
  verdicts=$(cat "$T/$1"/nadamw/study_0/dummy/trial_*/events.jsonl | grep -c '"event":"finished"')
  [ "$verdicts" -eq $trials ] || fail "$1: $verdicts verdicts for $trials trials"
  cmp -s <(all_digests calm) <(all_digests "$1") && pass "$1: the rows and digests of the undisturbed sweep" || fail "$1: rows differ"
  [ -z "$PYTHON" ] || for i in $(seq $trials); do
    "$PYTHON" "$SOURCE/tests/cli/same_result.py" "$T/calm/nadamw/study_0/dummy/trial_$i/result.h5" "$T/$1/nadamw/study_0/dummy/trial_$i/result.h5" || fail "$1: results differ"
  done
  tidy "$1"
  grep -h '"event":"resumed"' "$T/$1"/nadamw/study_0/dummy/trial_*/events.jsonl | sed 's/.*"repeated_steps":\([0-9]*\).*/\1/' |
    awk -v name="$1" '{ n++; steps += $1 } END { printf "%s: %d resumes, %d steps done twice\n", name, n, steps }'
}
for kind in alone under_mpirun together; do
  sweep $kind
  early=0 stopped=0 finished=0
  n=$starts
  [ $kind = alone ] || n=$((starts / 3))
  for i in $(seq "$n"); do $kind $kind "$i"; done
  echo "$kind: $stopped starts stopped with 75, $early before the program was up, $finished were through"
  check $kind
done
done_testing
