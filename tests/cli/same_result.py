#!/usr/bin/env python3
"""Compares result.h5 files of the same job with the first one: all columns of /evaluations and /steps but the measured times must be equal to the bit."""
import sys
import h5py

TIMES = ("accumulated_", "total_duration", "submission_time", "preemption_count")


def columns(file):
    found = {}
    file.visititems(lambda name, o: found.__setitem__(name, o[()]) if isinstance(o, h5py.Dataset) else None)
    return {n: v for n, v in found.items() if n.split("/")[0] in ("evaluations", "steps") and not n.split("/")[-1].startswith(TIMES)}


a = columns(h5py.File(sys.argv[1], "r"))
failed = not a
for path in sys.argv[2:]:
    b = columns(h5py.File(path, "r"))
    bad = sorted(set(a) ^ set(b))
    bad += [n for n in a if n in b and (a[n].shape != b[n].shape or a[n].tobytes() != b[n].tobytes())]
    if bad or len(sys.argv) == 3:
        print(f"{path}: {len(a)} columns, {len(a.get('evaluations/global_step', []))} evaluations, {len(a.get('steps/loss', []))} steps:", "differ: " + ", ".join(bad) if bad else "equal")
    failed = failed or bool(bad)
if len(sys.argv) > 3:
    print(f"{len(sys.argv) - 2} results: {'some differ' if failed else 'all equal'}")
sys.exit(1 if failed else 0)
