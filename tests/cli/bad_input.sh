#!/usr/bin/env bash
# Bad input of every kind: each has its documented exit code (algoperf --help) and a text that says what to do, and nothing is lost.
. "$(dirname "$0")/lib.sh"

dummy() { # NAME EXTRA-SETTINGS DUMMY-OPTIONS [SUBMISSION]
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_steps = 40; eval_every = 10; trials = 1; $2" \
    "workloads = ( { name = \"dummy\"; options = { $3 }; } );" "submissions = ( { submission = \"${4:-nadamw}\"; } );"
}
flip() { # FILE OFFSET: one bit
  local byte
  byte=$(od -An -tu1 -j "$2" -N 1 "$1")
  printf "$(printf '\\x%02x' $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
trial_of() { echo "$T/$1/nadamw/study_0/dummy/trial_1"; }

echo "== command line and job file"
expect 2 "did you mean \"run\"" "$ALGOPERF" rum
expect 2 "give one job file" "$ALGOPERF" run
expect 2 "unknown option" "$ALGOPERF" run --recliam x.cfg
expect 5 "No such file" "$ALGOPERF" run "$T/none.cfg"
dummy typo 'sede = 1;' ''
expect 3 "seed" "$ALGOPERF" run "$T/typo.cfg"
dummy range 'shards = 6;' ''
expect 3 "power of two" "$ALGOPERF" run "$T/range.cfg"
dummy wrap 'seed = 99999999999999999999;' ''
expect 3 "99999999999999999999" "$ALGOPERF" run "$T/wrap.cfg"
dummy type 'math = 3;' ''
expect 3 "math" "$ALGOPERF" run "$T/type.cfg"
dummy option '' 'fault_stop = 3;'
expect 3 "fault_step" "$ALGOPERF" run "$T/option.cfg"
dummy unknown '' '' nadamv
expect 3 "nadamw" "$ALGOPERF" run "$T/unknown.cfg"

echo "== launch"
dummy launch '' ''
expect 7 "1, 2, 4 or 8" mpirun -n 3 "$ALGOPERF" run "$T/launch.cfg"
expect 7 "16 ranks in a group" mpirun -n 16 "$ALGOPERF" run "$T/launch.cfg"
dummy two 'ranks_per_trial = 2;' ''
expect 7 "mpirun -n 2" "$ALGOPERF" run "$T/two.cfg"
expect 7 "cannot be split" mpirun -n 3 "$ALGOPERF" run "$T/two.cfg"
expect 7 "launcher is not the one" env PMI_SIZE=4 PMI_RANK=1 "$ALGOPERF" run "$T/launch.cfg"
expect 7 "launcher is not the one" env SLURM_STEP_NUM_TASKS=4 "$ALGOPERF" run "$T/launch.cfg"
expect 7 "ALGOPERF_ISA" env ALGOPERF_ISA=avx1024 "$ALGOPERF" run "$T/launch.cfg"

echo "== trials that fail"
dummy nan '' 'fault = "nan"; fault_step = 12;'
expect 6 "not a number" mpirun -n 2 "$ALGOPERF" run "$T/nan.cfg"
expect 0 "diverged" "$ALGOPERF" inspect "$(trial_of nan)"
dummy hang 'watchdog_s = 5.0;' 'fault = "hang"; fault_rank = 1; fault_step = 5;'
expect 7 "rank 1" mpirun -n 2 "$ALGOPERF" run "$T/hang.cfg"
dummy crash 'max_attempts = 2;' 'fault = "crash"; fault_rank = 1; fault_step = 5;'
for attempt in 1 2; do timeout 300 mpirun -n 2 "$ALGOPERF" run "$T/crash.cfg" >/dev/null 2>&1; done
expect 7 "crashed" mpirun -n 2 "$ALGOPERF" run "$T/crash.cfg"
dummy once '' "fault = \"crash\"; fault_rank = 1; fault_step = 25; once = \"$T/once.mark\";"
timeout 300 mpirun -n 2 "$ALGOPERF" run "$T/once.cfg" >/dev/null 2>&1
[ -e "$T/once.mark" ] || fail "the crash did not take place"
expect 0 "resume\|reached\|step_cap" mpirun -n 1 "$ALGOPERF" run "$T/once.cfg"
dummy calm '' ''
sed -i "s|options = {  }|options = { fault_step = 25; fault_rank = 1; }|" "$T/calm.cfg"
"$ALGOPERF" run "$T/calm.cfg" >/dev/null 2>&1
cmp -s <(digests "$(trial_of calm)") <(digests "$(trial_of once)") && pass "the crashed and resumed trial has the undisturbed digests" || fail "digests differ after a crash"

echo "== one tree"
dummy tree '' ''
expect 0 "1 trials" "$ALGOPERF" run "$T/tree.cfg"
before=$(cksum "$(trial_of tree)/result.h5")
expect 0 "1 trials" "$ALGOPERF" run "$T/tree.cfg"
[ "$before" = "$(cksum "$(trial_of tree)/result.h5")" ] && pass "a finished trial is not run again" || fail "a finished trial was written again"
sed 's/max_steps/seed = 2; max_steps/' "$T/tree.cfg" >"$T/tree2.cfg"
expect 3 "belongs to another job" "$ALGOPERF" run "$T/tree2.cfg"
dummy both 'studies = 3;' 'sleep_ms = 1.0;'
"$ALGOPERF" run "$T/both.cfg" >"$T/both.1" 2>&1 &
"$ALGOPERF" run "$T/both.cfg" >"$T/both.2" 2>&1
wait $!
verdicts=$(grep -l '"event": *"finished"' "$T"/both/nadamw/study_*/dummy/trial_1/events.jsonl | wc -l)
starts=$(cat "$T"/both/nadamw/study_*/dummy/trial_1/events.jsonl | grep -c '"event": *"started"')
[ "$verdicts $starts" = "3 3" ] && pass "two jobs on one tree: each of 3 trials ran once" || fail "two jobs on one tree: $verdicts verdicts, $starts starts"

echo "== damaged files"
result=$(trial_of tree)/result.h5
cp "$result" "$T/good.h5"
flip "$result" 3000
expect 4 "digest" "$ALGOPERF" inspect "$result"
expect 4 "digest" "$SCORE" score "$T/tree"
expect 0 "runs again" "$ALGOPERF" run "$T/tree.cfg"
cmp -s "$T/good.h5" "$result" && fail "the result still has the old bytes"
head -c 700 "$T/good.h5" >"$result"
expect 4 "result.h5" "$ALGOPERF" inspect "$result"
printf 'hello' >"$result"
expect 4 "result.h5" "$ALGOPERF" inspect "$result"

mkdir "$T/idx"
python3 - "$T/idx" <<'P' || echo "python3 is needed for the IDX cases"
import gzip, random, struct, sys
random.seed(1)
for name, n in (("train", 60), ("t10k", 12)):
    open(f"{sys.argv[1]}/{name}-images-idx3-ubyte", "wb").write(struct.pack(">IIII", 0x803, n, 28, 28) + bytes(random.randrange(256) for _ in range(n * 784)))
    gzip.open(f"{sys.argv[1]}/{name}-labels-idx1-ubyte.gz", "wb").write(struct.pack(">II", 0x801, n) + bytes(random.randrange(10) for _ in range(n)))
P
expect 0 "train *50 examples" "$ALGOPERF" prepare mnist --name mnist --from "$T/idx" --to "$T/good-data.h5"
for case in truncated magic left-over gzip missing; do
  cp -r "$T/idx" "$T/idx-$case"
  images=$T/idx-$case/train-images-idx3-ubyte labels=$T/idx-$case/t10k-labels-idx1-ubyte.gz
  case $case in
  truncated) truncate -s -100 "$images" ;;
  magic) printf '\x01' | dd of="$images" bs=1 conv=notrunc status=none ;;
  left-over) echo >>"$images" ;;
  gzip) flip "$labels" $(($(stat -c %s "$labels") - 6)) ;; # in the checksum
  missing) rm "$labels" ;;
  esac
  [ $case = missing ] && code=5 || code=4
  expect $code "idx" "$ALGOPERF" prepare mnist --name mnist --from "$T/idx-$case" --to "$T/bad-$case.h5"
  [ -e "$T/bad-$case.h5" ] && fail "a packed file was left by bad IDX input ($case)"
done
compgen -G "$T/.*.tmp" >/dev/null && fail "temporary files are left"
packed() { # FILE: a job that trains on it
  job "$T/packed.cfg" "results = \"$T/packed\"; trials = 1; max_steps = 4; shards = 1;" \
    "workloads = ( { name = \"mnist\"; data = \"$1\"; } );" 'submissions = ( { submission = "nadamw"; } );'
}
for case in flipped truncated magic; do
  cp "$T/good-data.h5" "$T/$case.h5"
  case $case in
  flipped) flip "$T/$case.h5" 20000 ;;
  truncated) truncate -s -1000 "$T/$case.h5" ;;
  magic) printf 'X' | dd of="$T/$case.h5" bs=1 conv=notrunc status=none ;;
  esac
  packed "$T/$case.h5"
  expect 4 "$case.h5" "$ALGOPERF" run "$T/packed.cfg"
done

echo "== checkpoints"
# So slow a learner reaches no target before the signal.
echo '[{"learning_rate": 1e-6, "one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0.01, "warmup_factor": 0.05, "dropout_rate": 0.0, "label_smoothing": 0.0}]' >"$T/slow.json"
long() { # NAME: a job that stops itself in step 50, to be told to end
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_steps = 400; max_runtime_s = 9.0; eval_every = 20; trials = 1;" \
    "workloads = ( { name = \"dummy\"; options = { fault = \"stop\"; fault_step = 50; once = \"$T/$1.mark\"; }; } );" 'submissions = ( { submission = "nadamw"; search_space = "slow.json"; } );'
}
long whole
: >"$T/whole.mark"
"$ALGOPERF" run "$T/whole.cfg" >/dev/null 2>&1
for case in none newest all; do
  long "stopped-$case"
  trial=$(trial_of "stopped-$case")
  "$ALGOPERF" run "$T/stopped-$case.cfg" >"$T/out" 2>&1 &
  while kill -0 $! 2>/dev/null && ! grep -qs '^State:[[:space:]]*T' "/proc/$!/status"; do sleep 0.05; done
  kill -TERM $!
  kill -CONT $!
  wait $!
  code=$?
  [ $code -eq 75 ] && pass "75: SIGTERM writes a checkpoint and asks to be requeued" || { fail "exit code $code after SIGTERM"; cat "$T/out"; }
  case $case in
  newest) flip "$(ls "$trial"/checkpoint_*.h5 | tail -n 1)" 2000 ;;
  all) for c in "$trial"/checkpoint_*.h5; do flip "$c" 2000; done ;;
  esac
  if [ $case = none ]; then expect 1 "1 trials" mpirun -n 2 "$ALGOPERF" run "$T/stopped-$case.cfg"
  else expect 1 "digest" mpirun -n 2 "$ALGOPERF" run "$T/stopped-$case.cfg"; fi
  cmp -s <(digests "$(trial_of whole)") <(digests "$trial") && pass "checkpoint damage $case: same rows and digests" || fail "rows differ ($case)"
done

echo "== disks"
mkdir "$T/small" "$T/readonly"
if mount -t tmpfs -o size=1m tmpfs "$T/small" 2>/dev/null; then
  job "$T/full.cfg" "results = \"$T/small/results\"; clock = \"steps\"; max_steps = 30; eval_every = 10; trials = 1;" \
    'workloads = ( { name = "mnist"; } );' 'submissions = ( { submission = "nadamw"; } );'
  expect 5 "No space left" "$ALGOPERF" run "$T/full.cfg"
  find "$T/small" -name '.*.tmp' | grep -q . && fail "a full disk left temporary files"
  mount -o remount,size=64m "$T/small"
  expect 1 "step_cap" "$ALGOPERF" run "$T/full.cfg"
  expect 0 "1 rows\|1e-\|step" "$ALGOPERF" inspect "$T/small/results/nadamw/study_0/mnist/trial_1"
  umount "$T/small"
  mount -t tmpfs -o ro,size=1m tmpfs "$T/readonly"
  job "$T/ro.cfg" "results = \"$T/readonly/results\"; trials = 1;" 'workloads = ( { name = "dummy"; } );' 'submissions = ( { submission = "nadamw"; } );'
  expect 5 "Read-only" "$ALGOPERF" run "$T/ro.cfg"
  umount "$T/readonly"
else
  echo "mounting a small disk is not permitted here: disk cases left out"
fi
done_testing
