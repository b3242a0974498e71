#!/usr/bin/env bash
# doctor finds what is wrong, says what mends it, and ends with 7 exactly when there is a problem.
. "$(dirname "$0")/lib.sh"
unset OPENBLAS_CORETYPE ALGOPERF_ISA
cd "$T"

# says SEVERITY TOPIC TEXT: the last output has such a finding.
says() { if grep -q -- "^$1  *$2  *.*$3" "$T/out"; then pass "$1 $2: $3"; else fail "no finding: $1 $2 $3"; cat "$T/out"; fi; }
mends() { if grep -q -- "mend: .*$1" "$T/out"; then pass "mend: $1"; else fail "no mend: $1"; cat "$T/out"; fi; }

echo "== a good launch"
mkdir results
expect 0 " 0 problems" mpirun -n 2 "$ALGOPERF" doctor results
says ok launch "2 ranks on 1 host"
says ok hdf5 "written, sealed and read back"
says ok claims "one winner in each"
says ok disk "replacing 4 KiB atomically"
[ -z "$(ls -A results)" ] && pass "the folder is as before" || fail "left behind: $(ls -A results)"
expect 0 "not there yet" "$ALGOPERF" doctor not/yet/there
[ -e not ] && fail "doctor made a folder" || pass "doctor makes no result folder"
expect 0 "were not tried" "$ALGOPERF" doctor

echo "== launches"
expect 7 "1 problem" env PMI_SIZE=4 PMI_RANK=0 "$ALGOPERF" doctor
says problem launch "rank 0 of 1"
mends "srun --mpi=pmix"
[ -z "$(env PMI_SIZE=4 PMI_RANK=1 "$ALGOPERF" doctor)" ] && pass "only the first of the singletons speaks" || fail "all singletons speak"
expect 7 "without PMIx" env SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 "$ALGOPERF" doctor
expect 0 "not a power of two" mpirun -n 3 "$ALGOPERF" doctor
expect 0 "0 problems" taskset -c 0 mpirun -n 2 "$ALGOPERF" doctor
says warning cpus "2 ranks x 1 threads share 1 CPUs"
expect 0 "0 problems" env OMP_NUM_THREADS=64 taskset -c 0 "$ALGOPERF" doctor
says warning binding "has 64 threads and is bound to 1 CPU"

echo "== libraries"
expect 0 "0 problems" env OPENBLAS_CORETYPE=Nehalem "$ALGOPERF" doctor
if grep -qw avx2 /proc/cpuinfo; then
  says warning blas "set by OPENBLAS_CORETYPE=Nehalem"
  mends "unset OPENBLAS_CORETYPE"
  expect 0 "0 problems" env ALGOPERF_ISA=portable "$ALGOPERF" doctor
  says warning isa "kernels use portable; it could use"
  mends "unset ALGOPERF_ISA"
fi

echo "== folders"
expect 0 "0 problems" "$ALGOPERF" doctor /dev/shm
says warning disk "tmpfs"
expect 7 "1 problem" "$ALGOPERF" doctor /proc/nothing
says problem disk "nothing can be made in it"
echo x >file
expect 7 "1 problem" "$ALGOPERF" doctor file/results
small=$T/small
mkdir "$small"
if mount -t tmpfs -o size=2m none "$small" 2>/dev/null; then
  expect 7 "problem" "$ALGOPERF" doctor "$small"
  says problem disk "0.0 GiB"
  mount -o remount,ro "$small"
  expect 7 "Read-only" "$ALGOPERF" doctor "$small"
  umount "$small"
else
  echo "no mounts allowed here: the small and the read-only disk are not tried"
fi

echo "== JSON and command line"
"$ALGOPERF" doctor --json results >json
if [ -n "$PYTHON" ]; then
  "$PYTHON" -c 'import json,sys; d=json.load(open("json")); assert d["findings"] and {"severity","topic","text","mend"} <= set(d["findings"][0]), d' && pass "JSON" || fail "JSON"
fi
expect 2 "at most one" "$ALGOPERF" doctor a b
expect 2 "did you mean --json" "$ALGOPERF" doctor --jsno
expect 0 "Exit code 0: no problem; 7" "$ALGOPERF" doctor --help
done_testing
