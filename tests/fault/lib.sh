# What the fault tests share beside tests/cli/lib.sh. Sourced with: . "$(dirname "$0")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.sh"

# So slow a learner never reaches the target: every run ends by its step cap, with code 1.
echo '[{"learning_rate": 1e-5, "one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0.01, "warmup_factor": 0.05, "dropout_rate": 0.0, "label_smoothing": 0.0}]' >"$T/slow.json"

dummy() { # NAME SETTINGS DUMMY-OPTIONS [SUBMISSION]: a job; its one trial is trial_of NAME
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_runtime_s = 1e6; trials = 1; $2" \
    "workloads = ( { name = \"dummy\"; options = { $3 }; } );" "submissions = ( { submission = \"${4:-nadamw}\"; search_space = \"slow.json\"; } );"
}
trial_of() { echo "$T/$1"/*/study_0/dummy/trial_1; } # as soon as it is there
run() { timeout 300 "$ALGOPERF" run "$T/$1.cfg" >"$T/$1.log" 2>&1; }
run_on() { timeout 300 mpirun -n "$1" "$ALGOPERF" run "$T/$2.cfg" >"$T/$2.log" 2>&1; }

# same NAME OF: the trial of NAME has the rows, digests and losses of the trial of OF.
same() {
  local a b
  a=$(trial_of "$2") b=$(trial_of "$1")
  [ -s "$a/events.jsonl" ] && cmp -s <(digests "$a") <(digests "$b") || { fail "$1: rows are not those of $2"; return; }
  [ -z "$PYTHON" ] || "$PYTHON" "$SOURCE/tests/cli/same_result.py" "$a/result.h5" "$b/result.h5" >"$T/same" || { fail "$1: $(cat "$T/same")"; return; }
  pass "$1: the rows, digests and losses of $2"
}
# tidy NAME: no half-written file, claim or checkpoint in its tree.
tidy() {
  local left
  left=$(find "$T/$1" -type f \( -name '.*.tmp' -o -name 'claim.*' -o -name 'checkpoint_*' \))
  [ -z "$left" ] || fail "$1: left over: $left"
}
# ended NAME CODE WANT TEXT: exit code and log of a run.
ended() {
  if [ "$2" -ne "$3" ]; then
    fail "$1: exit code $2, expected $3"
    sed 's/^/    /' "$T/$1.log" | tail -n 6
  elif ! grep -q -- "$4" "$T/$1.log"; then
    fail "$1: no \"$4\" in its log"
    sed 's/^/    /' "$T/$1.log" | tail -n 6
  else
    pass "$1: $2: $(grep -m1 -- "$4" "$T/$1.log" | cut -c1-180)"
  fi
}
# wait_for CONDITION...: until the command succeeds; false after five minutes, for a test that has gone wrong.
wait_for() {
  for _ in $(seq 1 6000); do
    "$@" && return 0
    sleep 0.05
  done
  return 1
}
evaluated() { [ "$(cat "$(trial_of "$1")/events.jsonl" 2>/dev/null | grep -c '"event":"evaluation"')" -ge "$2" ]; } # NAME N
is_stopped() { grep -qs '^State:[[:space:]]*T' "/proc/$1/status"; } # PID
# pid_of_rank LAUNCHER RANK
pid_of_rank() {
  local pid
  for pid in $(pgrep -P "$1"); do
    tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$2" && echo "$pid"
  done
}
flip() { # FILE OFFSET: one bit
  local byte
  byte=$(od -An -tu1 -j "$2" -N 1 "$1")
  printf "$(printf '\\x%02x' $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
