#!/usr/bin/env bash
# The promise for convolutional models: parameter and state digests are equal for 1, 2, 4 ranks, 1 and 2 threads and every instruction set, and after a stop and a resume on another number of ranks.
. "$(dirname "$0")/lib.sh"

# WORKLOAD OPTIONS STEPS BATCH-STATISTICS...: a short run, its digests in $T/LABEL.digests
run() { # LABEL WORKLOAD OPTIONS RANKS THREADS ISA STEPS
  local label=$1 workload=$2 options=$3 ranks=$4 threads=$5 isa=$6 steps=$7
  job "$T/$label.cfg" "results = \"$T/$label\"; clock = \"steps\"; max_steps = $steps; eval_every = 2; trials = 1; threads = $threads;" \
    "workloads = ( { name = \"$workload\"; scale = \"mini\"; data = \"synthetic\"; options = { $options }; } );" \
    'submissions = ( { submission = "nadamw"; } );'
  ALGOPERF_ISA=$isa timeout 300 mpirun -n "$ranks" "$ALGOPERF" run "$T/$label.cfg" >"$T/$label.log" 2>&1
  local code=$?
  [ $code -le 1 ] || { fail "$label: exit code $code"; tail -n 5 "$T/$label.log"; return; }
  digests "$T/$label/nadamw/study_0/$workload/trial_1" >"$T/$label.digests"
}
same() { # LABEL REFERENCE
  if [ -s "$T/$2.digests" ] && cmp -s "$T/$1.digests" "$T/$2.digests"; then pass "$1"; else fail "$1 differs from $2"; diff "$T/$1.digests" "$T/$2.digests"; fi
}

isas=portable
grep -qw fma /proc/cpuinfo && grep -qw avx2 /proc/cpuinfo && isas="avx2 $isas"
grep -qw avx512f /proc/cpuinfo && isas="avx512 $isas"
best=${isas%% *}
each() { # WORKLOAD OPTIONS
  run "$1-1" "$1" "$2" 1 1 "$best" 4
  [ "$(wc -l <"$T/$1-1.digests")" -eq 2 ] || fail "$1: not two evaluations"
  for isa in $isas; do
    [ "$isa" = "$best" ] || { run "$1-$isa" "$1" "$2" 1 1 "$isa" 4; same "$1-$isa" "$1-1"; }
  done
  run "$1-threads" "$1" "$2" 1 2 "$best" 4; same "$1-threads" "$1-1"
  run "$1-2-ranks" "$1" "$2" 2 1 "$best" 4; same "$1-2-ranks" "$1-1"
  run "$1-4-ranks" "$1" "$2" 4 1 "$best" 4; same "$1-4-ranks" "$1-1"
}
each cifar 'base_width = 4; layers = "1,1,1,1";'
done_testing
