#!/usr/bin/env bash
# The promise: parameter digests at every evaluation are equal for 1, 2, 4, 8 ranks, 1, 2 threads, all instruction sets and compilers; for the algorithms with eigendecompositions also whatever CPU OpenBLAS takes this one for.
# Every pair of these values runs together; FULL=1: every combination.
. "$(dirname "$0")/lib.sh"

run() { # LABEL PROGRAM RANKS THREADS ISA
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_steps = 24; eval_every = 8; trials = 1; threads = $4;" \
    'workloads = ( { name = "mnist"; scale = "mini"; data = "synthetic"; options = { hidden = 24; }; } );' \
    'submissions = ( { submission = "nadamw"; }, { submission = "momentum"; } );'
  ALGOPERF_ISA=$5 timeout 600 mpirun -n "$3" "$2" run "$T/$1.cfg" >"$T/$1.log" 2>&1
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
[ -x "${ALGOPERF_CLANG:-}" ] || echo "no clang build: gcc only"
all_combinations() {
  for build in gcc clang; do for n in 1 2 3; do for ranks in 1 2 4; do for threads in 1 2; do echo $n $ranks $threads $build; done; done; done; done
}
all_pairs() { # instruction set, ranks, threads, compiler
  printf '%s\n' "1 1 1 gcc" "1 2 2 gcc" "1 4 1 clang" "2 1 2 clang" "2 2 1 clang" "2 4 1 gcc" "3 1 1 gcc" "3 2 1 clang" "3 4 2 clang"
}
read -ra isa <<<"$isas"
while read -r n ranks threads build <&3; do
  [ "$n" -le ${#isa[@]} ] || continue
  program=$ALGOPERF
  [ $build = gcc ] || { [ -x "${ALGOPERF_CLANG:-}" ] && program=$ALGOPERF_CLANG || build=gcc; }
  run "$build-${isa[n - 1]}-$ranks-$threads" "$program" "$ranks" "$threads" "${isa[n - 1]}"
done 3< <(if [ -n "${FULL:-}" ]; then all_combinations; else all_pairs; fi)
run gcc-8-ranks "$ALGOPERF" 8 1 "${isas%% *}"
# and the digest is sensitive: another seed must differ
sed "s|$T/gcc-8-ranks|$T/other|; s|trials = 1;|trials = 1; seed = 2;|" "$T/gcc-8-ranks.cfg" >"$T/other.cfg"
"$ALGOPERF" run "$T/other.cfg" >/dev/null 2>&1
digests "$T/other/nadamw/study_0/mnist/trial_1" >"$T/other.digests"
head -n 3 "$T/reference" | cmp -s - "$T/other.digests" && fail "another seed gives the same digests"

# Blocks of at most 64, roots in every fifth step from the first on.
cat >"$T/roots.json" <<'END'
{"learning_rate": {"feasible_points": [0.002]}, "one_minus_beta1": {"feasible_points": [0.1]}, "beta2": {"feasible_points": [0.95]},
 "weight_decay": {"feasible_points": [0.01]}, "warmup_factor": {"feasible_points": [0.05]}, "max_preconditioner_dim": {"feasible_points": [64]},
 "precondition_frequency": {"feasible_points": [5]}ROOTS}
END
sed 's/ROOTS//' "$T/roots.json" >"$T/soap.json"
sed -i 's/ROOTS/, "start_preconditioning_step": {"feasible_points": [2]}/' "$T/roots.json"
roots() { # LABEL PROGRAM RANKS THREADS ISA CORE
  local a list=
  for a in shampoo shampoo_submission caspr_adaptive; do list="$list { submission = \"$a\"; search_space = \"$T/roots.json\"; },"; done
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_steps = 12; eval_every = 6; trials = 1; threads = $4;" \
    'workloads = ( { name = "mnist"; scale = "mini"; data = "synthetic"; options = { hidden = 24; }; } );' \
    "submissions = ($list { submission = \"soap\"; search_space = \"$T/soap.json\"; } );"
  ALGOPERF_ISA=$5 OPENBLAS_CORETYPE=$6 timeout 600 mpirun -n "$3" "$2" run "$T/$1.cfg" >"$T/$1.log" 2>&1
  local code=$?
  [ $code -le 1 ] || { fail "$1: exit code $code"; tail -n 5 "$T/$1.log"; return; }
  for a in shampoo shampoo_submission caspr_adaptive soap; do digests "$T/$1/$a/study_0/mnist/trial_1"; done >"$T/$1.digests"
  [ -s "$T/roots" ] || cp "$T/$1.digests" "$T/roots"
  [ "$(sort -u "$T/roots" | wc -l)" -eq 8 ] || fail "$1: $(sort -u "$T/roots" | wc -l) different digests, expected 8"
  if cmp -s "$T/$1.digests" "$T/roots"; then pass "$1"; else fail "$1 differs"; diff "$T/$1.digests" "$T/roots"; fi
}
roots roots-1 "$ALGOPERF" 1 1 "${isas%% *}" Haswell
roots roots-2 "$ALGOPERF" 2 2 portable Prescott
[ "${isas%% *}" = portable ] || roots roots-4 "$ALGOPERF" 4 1 avx2 Sandybridge
[ ! -x "${ALGOPERF_CLANG:-}" ] || roots roots-clang "$ALGOPERF_CLANG" 2 1 "${isas%% *}" Nehalem
done_testing
