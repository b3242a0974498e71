#!/usr/bin/env python3
"""Compares two result.h5 of the same job: all columns of /evaluations and /steps but the measured times must be equal to the bit."""
import sys
import h5py

TIMES = ("accumulated_", "total_duration", "submission_time", "preemption_count")


def columns(file):
    found = {}
    file.visititems(lambda name, o: found.__setitem__(name, o[()]) if isinstance(o, h5py.Dataset) else None)
    return {n: v for n, v in found.items() if n.split("/")[0] in ("evaluations", "steps") and not n.split("/")[-1].startswith(TIMES)}


a, b = (columns(h5py.File(p, "r")) for p in sys.argv[1:3])
bad = sorted(set(a) ^ set(b))
bad += [n for n in a if n in b and (a[n].shape != b[n].shape or a[n].tobytes() != b[n].tobytes())]
print(f"{len(a)} columns, {len(a.get('evaluations/global_step', []))} evaluations, {len(a.get('steps/loss', []))} steps:", "differ: " + ", ".join(bad) if bad else "equal")
sys.exit(1 if bad or not a else 0)
