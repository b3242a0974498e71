#!/usr/bin/env bash
# The promise: parameter digests at every evaluation are equal for 1, 2, 4, 8 ranks x 1, 2 threads x instruction sets x compilers.
. "$(dirname "$0")/lib.sh"

run() { # LABEL PROGRAM RANKS THREADS ISA
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_steps = 24; eval_every = 8; trials = 1; threads = $4;" \
    'workloads = ( { name = "mnist"; scale = "mini"; data = "synthetic"; options = { hidden = 24; }; } );' \
    'submissions = ( { submission = "nadamw"; }, { submission = "momentum"; } );'
  ALGOPERF_ISA=$5 timeout 120 mpirun -n "$3" "$2" run "$T/$1.cfg" >"$T/$1.log" 2>&1
  local code=$?
  [ $code -le 1 ] || { fail "$1: exit code $code"; tail -n 5 "$T/$1.log"; return; }
  { digests "$T/$1/nadamw/study_0/mnist/trial_1"; digests "$T/$1/momentum/study_0/mnist/trial_1"; } >"$T/$1.digests"
  if [ ! -s "$T/reference" ]; then
    [ "$(wc -l <"$T/$1.digests")" -eq 6 ] || fail "$1: $(wc -l <"$T/$1.digests") evaluations, expected 6"
    cp "$T/$1.digests" "$T/reference"
  fi
  if cmp -s "$T/$1.digests" "$T/reference"; then pass "$1"; else fail "$1 differs"; diff "$T/$1.digests" "$T/reference"; fi
}

isas=portable
grep -qw fma /proc/cpuinfo && grep -qw avx2 /proc/cpuinfo && isas="avx2 $isas"
grep -qw avx512f /proc/cpuinfo && isas="avx512 $isas"
builds="gcc:$ALGOPERF"
[ -x "${ALGOPERF_CLANG:-}" ] && builds="$builds clang:$ALGOPERF_CLANG" || echo "no clang build: gcc only"
for build in $builds; do
  for isa in $isas; do
    for ranks in 1 2 4; do
      for threads in 1 2; do run "${build%%:*}-$isa-$ranks-$threads" "${build#*:}" $ranks $threads $isa; done
    done
  done
done
run gcc-8-ranks "$ALGOPERF" 8 1 "${isas%% *}"
# and the digest is sensitive: another seed must differ
sed "s|$T/gcc-8-ranks|$T/other|; s|trials = 1;|trials = 1; seed = 2;|" "$T/gcc-8-ranks.cfg" >"$T/other.cfg"
"$ALGOPERF" run "$T/other.cfg" >/dev/null 2>&1
digests "$T/other/nadamw/study_0/mnist/trial_1" >"$T/other.digests"
head -n 3 "$T/reference" | cmp -s - "$T/other.digests" && fail "another seed gives the same digests"
done_testing
