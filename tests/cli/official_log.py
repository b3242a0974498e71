#!/usr/bin/env python3
"""Official logs against the results they were exported from, without our code: official_log.py RESULTS OFFICIAL.

Reads every result.h5 with h5py and its eval_measurements.csv with Python's own csv and float, and compares all columns to the bit."""
import csv
import json
import math
import pathlib
import struct
import sys

import h5py

results, official = map(pathlib.Path, sys.argv[1:3])
trials = cells = 0
for path in sorted(results.glob("*/*/*/trial_*/result.h5")):
    submission, study, _, trial = path.relative_to(results).parts[:4]
    with h5py.File(path, "r") as f:
        name = f.attrs["workload"] + ("_" + f.attrs["variant"] if f.attrs["variant"] else "")
        name += "" if f.attrs["scale"] == "full" else "_" + f.attrs["scale"]
        folder = official / submission / study / f"{name}_jax" / trial
        columns = {}
        f["evaluations"].visititems(lambda n, o: columns.__setitem__(n, o[()]) if isinstance(o, h5py.Dataset) and o.dtype.kind in "if" else None)
        hyperparameters = json.loads(f.attrs["hyperparameters"])
        target = float(f.attrs["validation_target"])
    with open(folder / "eval_measurements.csv", newline="", encoding="ascii") as table:
        rows = list(csv.DictReader(table))
    assert rows and list(rows[0]) == sorted(columns), (folder, list(rows[0]), sorted(columns))
    assert len(rows) == len(columns["global_step"]), folder
    for i, row in enumerate(rows):
        for name, values in columns.items():
            cell, value = row[name], values[i]
            if values.dtype.kind == "i":
                assert int(cell) == value, (folder, i, name)
            elif math.isnan(value):
                assert cell == "", (folder, i, name)
            else:
                assert struct.pack("<d", float(cell)) == struct.pack("<d", value), (folder, i, name, cell, value)
            cells += 1
    assert json.loads((folder / "hparams.json").read_text()) == hyperparameters, folder
    meta = json.loads((folder / "meta_data_0.json").read_text())
    assert meta["workload.validation_target_value"] == target and "algoperf_mpi.provenance.host" not in meta
    assert json.loads((folder / "flags_0.json").read_text())["framework"] == "jax"
    trials += 1
found = len(list(official.glob("*/*/*/trial_*/eval_measurements.csv")))
assert trials and found == trials, (trials, found)
print(f"{trials} trials, {cells} cells: equal")
