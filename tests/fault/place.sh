#!/usr/bin/env bash
# The place a sweep runs at fails it: the tree goes away, permissions, damaged files, a clock that is set, limits on memory
# and files, a broken terminal.
. "$(dirname "$0")/lib.sh"

steps='max_steps = 120; eval_every = 20;'
dummy calm "$steps" ''
run calm
ended calm $? 1 "step_cap"
# again NAME [CODE]: another start ends it, with the rows of calm.
again() {
  run "$1"
  ended "$1" $? 1 "step_cap"
  same "$1" calm
  tidy "$1"
}
# stopped NAME: in the background, as $pid; it has stopped itself in step 50, after two evaluations.
stopped() {
  dummy "$1" "$steps" "fault = \"stop\"; fault_step = 50; once = \"$T/$1.mark\";"
  "$ALGOPERF" run "$T/$1.cfg" >"$T/$1.log" 2>&1 &
  pid=$!
  wait_for is_stopped $pid || fail "$1: it does not come to step 50"
}
goes_on() { # NAME CODE TEXT: how it ends
  kill -CONT $pid
  wait $pid
  ended "$1" $? "$2" "$3"
}

echo "== a tree that goes away"
stopped moved
mv "$T/moved" "$T/elsewhere"
goes_on moved 5 "moved/.*: No such file or directory"
mv "$T/elsewhere" "$T/moved"
again moved
grep -q '"event":"resumed"' "$(trial_of moved)/events.jsonl" || fail "moved: it did not go on from its checkpoint"
stopped removed
rm -rf "$T/removed"
goes_on removed 5 "removed/.*: No such file or directory"
again removed
mkdir "$T/mounted"
if mount -t tmpfs -o size=4m tmpfs "$T/mounted" 2>/dev/null; then
  stopped mounted
  umount -l "$T/mounted"
  goes_on mounted 5 "mounted/.*: No such file or directory"
  again mounted
else
  echo "mounting is not permitted here: a tree whose disk is unmounted is left out"
fi

echo "== permissions"
nobody=
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
  cp "$ALGOPERF" "$T/algoperf" # the build may lie where nobody else looks
  chmod -R a+rX "$T"
  nobody="setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/ TMPDIR=/tmp"
elif [ "$(id -u)" -ne 0 ]; then
  ln -s "$ALGOPERF" "$T/algoperf"
  nobody=env
fi
if [ -n "$nobody" ] && $nobody "$T/algoperf" --version >/dev/null 2>&1; then
  dummy shut "$steps" ''
  mkdir -m 555 "$T/shut"
  timeout 300 $nobody "$T/algoperf" run "$T/shut.cfg" >"$T/shut.log" 2>&1
  ended shut $? 5 "shut/.*Permission denied"
  [ -z "$(find "$T/shut" -mindepth 1)" ] || fail "shut: something was written"
  dummy secret "$steps" ''
  chmod 000 "$T/secret.cfg"
  timeout 300 $nobody "$T/algoperf" run "$T/secret.cfg" >"$T/secret.log" 2>&1
  ended secret $? 5 "secret.cfg.*Permission denied"
  # Somebody else's tree, which may be read: nothing of it changes.
  dummy others "$steps" ''
  cp -r "$T/calm" "$T/others" && rm "$T"/others/*/study_0/dummy/trial_1/result.h5
  chmod -R a+rX,go-w "$T/others"
  [ "$(id -u)" -eq 0 ] || chmod -R a-w "$T/others"
  before=$(find "$T/others" -type f -exec cksum {} + | sort)
  timeout 300 $nobody "$T/algoperf" run "$T/others.cfg" >"$T/others.log" 2>&1
  ended others $? 5 "others.*Permission denied"
  [ "$before" = "$(find "$T/others" -type f -exec cksum {} + | sort)" ] || fail "others: the tree was changed"
  chmod -R u+w "$T/others"
else
  echo "no other user to be: permissions are left out"
fi

echo "== a clock that is set"
dummy clock "$steps" ''
LD_PRELOAD=$CLOCK_SHIM run clock
ended clock $? 1 "step_cap"
same clock calm
LD_PRELOAD=$CLOCK_SHIM "$ALGOPERF" inspect "$T/clock" >"$T/out" && pass "inspect" || fail "inspect after the clock was set"
years=$(sed -n 's/.*"time":"\([0-9]*\)-.*/\1/p' "$(trial_of clock)/events.jsonl" | sort -u | wc -l)
[ "$years" -ge 2 ] && pass "its log is from $years years" || fail "the clock was not set: the shim does not work"
# On the benchmark's own clock: the budget is spent by a clock that is never set.
job "$T/budget.cfg" "results = \"$T/budget\"; clock = \"wall\"; max_runtime_s = 0.6; trials = 1;" \
  'workloads = ( { name = "dummy"; options = { sleep_ms = 1.0; }; } );' 'submissions = ( { submission = "nadamw"; search_space = "slow.json"; } );'
LD_PRELOAD=$CLOCK_SHIM run budget
ended budget $? 1 "budget_spent after [0-9]* steps, \(0\.[6-9]\|[1-9]\)"
evaluated budget 1 || fail "budget: no evaluation"

echo "== damaged files"
# A tree whose owner was killed in step 50, by the workload itself: claim, job.txt, log, result, checkpoints of steps 20 and 40.
dummy killed "$steps" "fault = \"crash\"; fault_step = 50; once = \"$T/once\";"
run killed
code=$?
[ $code -eq 137 ] || fail "killed: exit code $code"
[ "$(find "$T/killed" -name 'checkpoint_*' | wc -l)" -eq 2 ] || fail "killed: not two checkpoints: $(find "$T/killed" -name 'checkpoint_*')"
damaged() { # NAME FILE-PATTERN HOW: a copy of that tree with one file damaged
  local file how=$3
  cp -a "$T/killed" "$T/$1"
  sed "s|$T/killed|$T/$1|" "$T/killed.cfg" >"$T/$1.cfg"
  for file in $(find "$T/$1" -path "$2" -type f | sort); do
    case $how in
    flip) flip "$file" $(($(stat -c %s "$file") * 2 / 3)) ;;
    half) truncate -s $(($(stat -c %s "$file") / 2)) "$file" ;;
    empty) : >"$file" ;;
    esac
  done
  [ -n "${file:-}" ] || fail "$1: there is no file $2"
}
for how in flip half empty; do
  damaged claim-$how '*/claim.*' $how
  again claim-$how
  damaged log-$how '*/events.jsonl' $how
  again log-$how
  damaged result-$how '*/result.h5' $how
  again result-$how
  damaged newest-$how "$(find "$T/killed" -name 'checkpoint_*' | sort | tail -n 1 | sed 's|.*/|*/|')" $how
  again newest-$how
  grep -q "is damaged\|no complete file\|cut off" "$T/newest-$how.log" || fail "newest-$how: it does not say which checkpoint"
  grep -q "the one before, of step 20, is used" "$T/newest-$how.log" || fail "newest-$how: it does not say what is used"
  damaged both-$how '*/checkpoint_*' $how
  again both-$how
  grep -q "the trial starts anew" "$T/both-$how.log" || fail "both-$how: it does not say that it starts anew"
  damaged job-$how '*/job.txt' $how
  run job-$how
  ended job-$how $? 3 "job-$how.*job.txt"
done

echo "== limits"
limited() { # NAME LIMIT VALUE: under ulimit
  rm -rf "${T:?}/$1"
  (ulimit "$2" "$3" && exec timeout 300 "$ALGOPERF" run "$T/$1.cfg") >"$T/$1.log" 2>&1
}
dummy files "max_steps = 10; eval_every = 5;" ''
refused=0
for n in 4 8 12 16 20 24 26 27 28 30; do # some end in MPI, some after it
  limited files -n $n
  code=$?
  [ $code -eq 7 ] || [ $code -eq 5 ] && refused=$((refused + 1))
  case $code in
  1) grep -q step_cap "$T/files.log" || fail "at most $n open files: exit code 1 and no verdict" ;;
  5 | 7) grep -q "error: " "$T/files.log" || fail "at most $n open files: $code without a word" ;;
  127) grep -q "error while loading shared libraries" "$T/files.log" || fail "at most $n open files: exit code 127" ;; # the program did not start: who starts the tests has files open
  *) fail "at most $n open files: exit code $code"; tail -n 3 "$T/files.log" ;;
  esac
  [ -z "$(find "$T/files" -name '.*.tmp' 2>/dev/null)" ] || fail "at most $n open files: half-written files"
done
[ $refused -gt 0 ] && pass "too few open files: 7 (or 5), $refused times" || fail "no limit was too low"

# From what is too little to start MPI up to enough. Open MPI and HDF5 may crash by themselves (139, 134) where they get
# no memory to start up; the program must not.
crash_of_library() { # no step was made, and the first frame that is not the C library's is not ours
  ! grep -q 'step ' "$T/memory.log" && { ! grep -q shards "$T/memory.log" || grep '\] \[ *[0-9]*\] /' "$T/memory.log" | grep -v '/libc\.' | head -n 1 | grep -q '/lib/'; }
}
dummy memory "max_steps = 10; eval_every = 5;" ''
low=60 high=4000
while [ $((high - low)) -gt 1 ]; do
  middle=$(((low + high) / 2))
  limited memory -v $((middle * 1024))
  [ $? -eq 1 ] && grep -q step_cap "$T/memory.log" && high=$middle || low=$middle
done
refused=0 crashes=0
for below in 1 2 3 4 6 8 10 12; do
  limited memory -v $(((high - below) * 1024))
  code=$?
  case $code in
  1) grep -q step_cap "$T/memory.log" || fail "memory: exit code 1 and no verdict" ;;
  7) refused=$((refused + 1)); grep -q "memory\|limit\|MPI could not" "$T/memory.log" || { fail "memory: 7 without a word of it"; tail -n 3 "$T/memory.log"; } ;;
  134 | 139) crashes=$((crashes + 1)); crash_of_library || { fail "memory: a crash ($code) at $((high - below)) MiB"; tail -n 20 "$T/memory.log"; } ;;
  *) fail "memory: exit code $code at $((high - below)) MiB"; tail -n 3 "$T/memory.log" ;;
  esac
  [ -z "$(find "$T/memory" -name '.*.tmp' 2>/dev/null)" ] || fail "memory: half-written files"
done
[ $((refused + crashes)) -gt 0 ] && pass "too little memory (below $high MiB): 7, $refused times; crashes inside a library: $crashes" || fail "no limit was too low"
run memory
ended memory $? 1 "step_cap"
tidy memory

echo "== surroundings"
dummy home "$steps" ''
env -u HOME TMPDIR="/tmp" timeout 300 mpirun -n 2 "$ALGOPERF" run "$T/home.cfg" >"$T/home.log" 2>&1
ended home $? 1 "step_cap"
same home calm
long=$T/$(printf 'long-%.0s' $(seq 40))
mkdir "$long"
dummy tmpdir "$steps" ''
TMPDIR=$long timeout 300 mpirun -n 2 "$ALGOPERF" run "$T/tmpdir.cfg" >"$T/tmpdir.log" 2>&1
ended tmpdir $? 1 "step_cap"
same tmpdir calm

for where in /dev/full closed pipe; do # training does not depend on who reads its log
  name=log-to-$(basename $where)
  dummy "$name" "$steps" ''
  case $where in
  closed) timeout 300 "$ALGOPERF" run "$T/$name.cfg" <&- >&- 2>&- ;;
  pipe) { timeout 300 "$ALGOPERF" run "$T/$name.cfg" 2>&1; echo $? >"$T/code"; } | true ;;
  *) timeout 300 "$ALGOPERF" run "$T/$name.cfg" >$where 2>&1 ;;
  esac
  code=$?
  [ $where = pipe ] && code=$(cat "$T/code")
  [ "$code" -eq 1 ] && pass "$name: 1" || fail "$name: exit code $code"
  same "$name" calm
done
# What prints its result says when that is lost.
"$ALGOPERF" inspect "$T/calm" >/dev/full 2>"$T/out"
[ $? -eq 5 ] && grep -q "No space left" "$T/out" && pass "inspect to a full disk: 5" || fail "inspect to a full disk"
"$ALGOPERF" list >/dev/full 2>"$T/out"
[ $? -eq 5 ] && pass "list to a full disk: 5" || fail "list to a full disk"
"$SCORE" score "$T/calm" >/dev/full 2>"$T/out"
[ $? -eq 5 ] && grep -q "No space left" "$T/out" && pass "score to a full disk: 5" || { fail "score to a full disk"; cat "$T/out"; }
done_testing
