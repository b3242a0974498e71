#!/usr/bin/env python3
"""A result.h5 without our code: h5py and h5dump read it, and what they read is what write_result.c was told to write.

usage: result_readable.py WRITE_RESULT     (exit 77: h5py is not installed)
"""
import ctypes
import ctypes.util
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import h5py
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

failures = 0


def check(condition, *what):
    global failures
    if not condition:
        failures += 1
        print("FAILED:", *what)


def same(got, want):
    """Equal to the bit, and NaN where NaN is wanted."""
    return len(got) == len(want) and all(g == w or (math.isnan(w) and math.isnan(g)) for g, w in zip(got, want))


EVALUATIONS, STEPS = 4, 25
I = range(1, EVALUATIONS + 1)
S = range(1, EVALUATIONS * STEPS + 1)
NAN = [math.nan] * EVALUATIONS
# column: (type, unit, values)
COLUMNS = {
    "evaluations/global_step": ("<i8", "step", [STEPS * i for i in I]),
    "evaluations/accumulated_submission_time": ("<f8", "s", [1.5 * i for i in I]),
    "evaluations/accumulated_eval_time": ("<f8", "s", [0.25 * i for i in I]),
    "evaluations/accumulated_logging_time": ("<f8", "s", [0.125 * i for i in I]),
    "evaluations/total_duration": ("<f8", "s", [2.0 * i for i in I]),
    "evaluations/score": ("<f8", "s", [1.5 * i for i in I]),
    "evaluations/preemption_count": ("<i8", "1", [0] * EVALUATIONS),
    "evaluations/train/accuracy": ("<f8", "1", [0.5 + 0.0625 * i for i in I]),
    "evaluations/train/loss": ("<f8", "1", [1.0 / i for i in I]),
    "evaluations/train/num_examples": ("<i8", "example", [1000] * EVALUATIONS),
    "evaluations/validation/accuracy": ("<f8", "1", [0.46875 + 0.0625 * i for i in I]),
    "evaluations/validation/loss": ("<f8", "1", [1.0 / (i + 1) for i in I]),
    "evaluations/validation/num_examples": ("<i8", "example", [500] * EVALUATIONS),
    "evaluations/test/accuracy": ("<f8", "1", NAN),
    "evaluations/test/loss": ("<f8", "1", NAN),
    "evaluations/test/num_examples": ("<i8", "example", [0] * EVALUATIONS),
    "steps/global_step": ("<i8", "step", list(S)),
    "steps/loss": ("<f8", "1", [2.0 / s for s in S]),
    "steps/submission_time": ("<f8", "s", [0.0625 * s for s in S]),
}


class Digest(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


# The library itself, which the programs are linked with.
xxh3_128 = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0").XXH3_128bits
xxh3_128.restype, xxh3_128.argtypes = Digest, [ctypes.c_char_p, ctypes.c_size_t]


def check_digest(data, stated, name):
    digest = xxh3_128(data, len(data))
    check(f"{digest.high:016x}{digest.low:016x}" == stated, name, "stated digest", stated)


def check_columns(file):
    found = []
    file.visititems(lambda name, o: found.append(name) if isinstance(o, h5py.Dataset) else None)
    check(set(found) == set(COLUMNS) | {"evaluations/parameter_digest"}, "columns:", sorted(found))
    for name, (kind, unit, values) in COLUMNS.items():
        data = file[name]
        check(data.dtype.str == kind and data.ndim == 1, name, data.dtype.str, data.shape)
        check(same(data[()], values), name, data[()], "expected", values)
        check(data.attrs["unit"] == unit, name, "unit", data.attrs["unit"])
        check_digest(data[()].tobytes(), data.attrs["xxh3_128"], name)
    digests = file["evaluations/parameter_digest"]
    check(digests.dtype.kind == "S" and digests.dtype.itemsize == 32, "digest type", digests.dtype)
    texts = [t.decode() for t in digests[()]]
    check(len(set(texts)) == EVALUATIONS and all(len(bytes.fromhex(t)) == 16 for t in texts), "digests", texts)


def check_attributes(file):
    a = file.attrs
    want = {"submission": "nadamw", "workload": "mnist", "variant": "", "scale": "mini", "data_set": "synthetic",
            "ruleset": "external_tuning", "clock": "wall", "target_metric": "accuracy", "direction": "higher",
            "loss_type": "softmax_cross_entropy", "verdict": "target_reached", "reason": "", "study": 0, "trial": 0,
            "validation_target": 0.7, "max_runtime_s": 60.0, "eval_period_s": 1.5, "step_hint": 1000,
            "global_batch_size": 128, "steps": 100, "steps_dropped": 0, "resumes": 0, "status": 0, "format_version": 1}
    for name, value in want.items():
        check(name in a and a[name] == value, "attribute", name, a.get(name))
    check(math.isnan(a["test_target"]), "test_target", a["test_target"])
    check(json.loads(a["hyperparameters"]) == {"learning_rate": 0.001}, a["hyperparameters"])
    check(sum(json.loads(a["buckets"]).values()) == 8 * 10**9, a["buckets"])
    for key in ("host", "compiler", "cpu_model", "source_revision", "hdf5"):
        check(file["provenance"].attrs.get(key), "provenance", key)


def check_seal(path):
    """The 512 bytes in front are text that `head -c` shows."""
    data = path.read_bytes()
    lines = data[:512].rstrip(b"\0").decode().splitlines()
    seal = dict(line.split("=", 1) for line in lines[1:])
    check(lines[0] == "algoperf-sealed 1" and seal["kind"] == "result", lines)
    check(int(seal["bytes"]) == len(data), "bytes", seal["bytes"], len(data))
    check_digest(data[512:], seal["xxh3_128"], "seal")


def check_dump(path):
    if not shutil.which("h5dump"):
        print("not tried: h5dump (not installed)")
        return
    out = subprocess.run(["h5dump", path], capture_output=True, text=True)
    check(out.returncode == 0 and not out.stderr, "h5dump", out.returncode, out.stderr)
    for text in ("GROUP \"evaluations\"", "DATASET \"accumulated_submission_time\"", "GROUP \"provenance\"", "target_reached"):
        check(text in out.stdout, "h5dump does not show", text)


def check_events(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    check([line["event"] for line in lines] == ["started"] + ["evaluation"] * EVALUATIONS + ["finished"], lines)
    check([line["train/loss"] for line in lines[1:-1]] == [1.0 / i for i in I], "train/loss in events.jsonl")
    check(all(line["test/loss"] is None for line in lines[1:-1]), "NaN is null")


with tempfile.TemporaryDirectory() as folder:
    trial = pathlib.Path(folder) / "nadamw/study_0/mnist/trial_1"
    subprocess.run([sys.argv[1], trial], check=True)
    with h5py.File(trial / "result.h5", "r") as result:
        check_columns(result)
        check_attributes(result)
    check_seal(trial / "result.h5")
    check_dump(trial / "result.h5")
    check_events(trial / "events.jsonl")
print(f"{failures} failed" if failures else f"ok: {len(COLUMNS) + 1} columns read with h5py {h5py.__version__}")
sys.exit(1 if failures else 0)
