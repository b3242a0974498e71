# The command-line tests' few words. Sourced by each test with: . "$(dirname "$0")/lib.sh"
# CTest sets ALGOPERF, SCORE (the programs), SOURCE (the repository), and, where that build exists, ALGOPERF_CLANG.
set -u
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_rmaps_base_oversubscribe=1
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# mpirun waits twice this long, in s, whenever a rank has ended with another code than 0, also if none is left.
export OMPI_MCA_odls_base_sigkill_timeout=0

# A Python with h5py, if there is one: Debian's own first, since another python3 may stand before it in PATH.
PYTHON=
for python in /usr/bin/python3 python3; do
  "$python" -c 'import h5py' 2>/dev/null && PYTHON=$python && break
done

T=$(mktemp -d "${TMPDIR:-/tmp}/algoperf-test.XXXXXX")
# Ranks that are killed leave their memory segments behind: in a folder of this test's own.
if segments=$(mktemp -d /dev/shm/algoperf-test.XXXXXX 2>/dev/null); then chmod 1777 "$segments" && export OMPI_MCA_btl_vader_backing_directory=$segments; fi
failures=0
finish() {
  rm -rf "$T" "$segments"
  [ "$failures" -eq 0 ] || echo "$failures failed"
}
trap finish EXIT

skip() { echo "skipped: $*"; exit 77; }
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
pass() { echo "ok: $*"; }
done_testing() { [ "$failures" -eq 0 ]; exit; }

# expect CODE TEXT COMMAND...: runs it (300 s at most), checks its exit code and that its output contains TEXT.
expect() {
  local want=$1 text=$2 got=0
  shift 2
  timeout 300 "$@" >"$T/out" 2>&1 || got=$?
  if [ "$got" -ne "$want" ]; then
    fail "exit code $got, expected $want: $*"
    sed 's/^/    /' "$T/out" | tail -n 12
  elif ! grep -q -- "$text" "$T/out"; then
    fail "no \"$text\" in the output of: $*"
    sed 's/^/    /' "$T/out" | tail -n 12
  else
    pass "$want: $(grep -m1 -- "$text" "$T/out" | cut -c1-150)"
  fi
}

# draw: RANDOM from here on by SEED: 1, or what the caller has set; SEED=random: another one each time.
draw() {
  [ "${SEED:=1}" != random ] || SEED=$$
  RANDOM=$SEED
  echo "this draw: SEED=$SEED"
}

# ranks N COMMAND...
ranks() { local n=$1; shift; mpirun -n "$n" "$@"; }

# job FILE LINES...: a job file; later lines may repeat none of the earlier keys.
job() { local f=$1; shift; printf '%s\n' "$@" >"$f"; }

# digests TRIAL-FOLDER: step and parameter digest of every evaluation.
digests() { sed -n 's/.*"event": *"evaluation".*"global_step": *\([0-9]*\).*"parameter_digest": *"\([0-9a-f]*\)".*/\1 \2/p' "$1/events.jsonl"; }
