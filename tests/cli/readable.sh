#!/usr/bin/env bash
# A result is read without our code: h5dump, and Python's h5py where it is installed; its digests are those that xxhash's own library gives.
. "$(dirname "$0")/lib.sh"
job "$T/job.cfg" "results = \"$T/results\"; clock = \"steps\"; max_steps = 30; eval_every = 10; trials = 1;" \
  'workloads = ( { name = "mnist"; data = "synthetic"; options = { hidden = 16; }; } );' 'submissions = ( { submission = "nadamw"; } );'
"$ALGOPERF" run "$T/job.cfg" >"$T/log" 2>&1 || [ $? -eq 1 ] || { fail "the run"; cat "$T/log"; done_testing; }
result=$T/results/nadamw/study_0/mnist/trial_1/result.h5
expect 0 "nadamw" "$ALGOPERF" inspect "$result"
expect 0 "step_cap" "$ALGOPERF" inspect "$T/results"
if command -v h5dump >/dev/null; then
  expect 0 "global_step" h5dump -d /evaluations/global_step "$result"
  expect 0 "/evaluations/validation/accuracy" h5dump -n 1 "$result"
else
  echo "no h5dump here"
fi
[ -n "$PYTHON" ] || { echo "no h5py here"; done_testing; }
"$PYTHON" - "$result" <<'P' || fail "h5py"
import sys, h5py, numpy
f = h5py.File(sys.argv[1], "r")
e, s = f["evaluations"], f["steps"]
assert list(e["global_step"][:]) == [10, 20, 30], e["global_step"][:]
assert all(len(c) == 3 for c in (e["score"], e["validation/accuracy"], e["test/loss"], e["parameter_digest"]))
assert len(s["loss"]) == len(s["global_step"]) == 30 and numpy.isfinite(s["loss"][:]).all()
assert f.attrs["submission"] in ("nadamw", b"nadamw") and f.attrs["verdict"] in ("step_cap", b"step_cap")
assert 0 <= e["validation/accuracy"][2] <= 1
assert "xxh3_128" in e["global_step"].attrs and len(f["provenance"].attrs) > 10
print("h5py reads", len(e), "evaluation columns,", len(f["provenance"].attrs), "facts of provenance")
P
done_testing
