"""Packed data sets with h5py, without a line of algoperf (src/data/README.md).

    packed.py check FILE          verify the seal and every example's digest
    packed.py copy FROM TO        read all examples and write them to a new file
"""
import ctypes, ctypes.util, sys
import h5py, numpy as np

SPLITS, SEAL = ("train", "validation", "test"), 512
xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash"))  # or: pip/apt python3-xxhash


class Digest128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


xxhash.XXH3_64bits.restype, xxhash.XXH3_128bits.restype = ctypes.c_uint64, Digest128
for function in (xxhash.XXH3_64bits, xxhash.XXH3_128bits):
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def seal_of(path):
    """The 512 bytes that belong in front of this file."""
    data = open(path, "rb").read()
    d = xxhash.XXH3_128bits(data[SEAL:], len(data) - SEAL)
    text = f"algoperf-sealed 1\nkind=data\nbytes={len(data)}\nxxh3_128={d.high:016x}{d.low:016x}\n"
    return text.encode().ljust(SEAL, b"\0")


def field(group, name, i):
    """Example i of one field: a data set [n, ...], or a group with ragged `values` and `offsets`."""
    node = group[name]
    if isinstance(node, h5py.Dataset):
        return node[i]
    return node["values"][node["offsets"][i] : node["offsets"][i + 1]]


def examples(group, names):
    for i in range(len(group["digest"])):
        yield [np.asarray(field(group, name, i)) for name in names]


def digest(example):
    data = b"".join(a.tobytes() for a in example)
    return xxhash.XXH3_64bits(data, len(data))


def check(path, names):
    assert open(path, "rb").read(SEAL) == seal_of(path), "the seal does not fit the file"
    with h5py.File(path) as f:
        assert f.attrs["format"] == 1
        for split in SPLITS:
            stored = f[split]["digest"][...]
            assert [digest(e) for e in examples(f[split], names)] == [int(d) for d in stored], split


def write(path, workload, data_set, source, splits, ragged, names):
    """splits: {split: [example, ...]}, an example being the list of its fields' arrays; ragged: names of ragged fields."""
    with h5py.File(path, "w", userblock_size=SEAL) as f:
        f.attrs.update(format=np.int64(1), workload=workload, data_set=data_set, source=source)
        for split in SPLITS:
            rows = splits[split]
            for k, name in enumerate(names):
                column = [row[k] for row in rows]
                if name in ragged:
                    offsets = np.cumsum([0] + [len(c) for c in column])
                    f[f"{split}/{name}/values"] = np.concatenate(column)
                    f[f"{split}/{name}/offsets"] = offsets.astype("<i8")
                else:
                    f[f"{split}/{name}"] = np.stack(column)
            f[f"{split}/digest"] = np.array([digest(row) for row in rows], "<u8")
    seal = seal_of(path)
    with open(path, "r+b") as f:
        f.write(seal)


def main():
    # The field order is the workload's (`inputs`, `targets` for mnist); here that of tests/unit/packed_sample.h.
    names = ["image", "text", "frames", "label"]
    check(sys.argv[2], names)
    if sys.argv[1] == "copy":
        with h5py.File(sys.argv[2]) as f:
            splits = {split: list(examples(f[split], names)) for split in SPLITS}
            write(sys.argv[3], f.attrs["workload"], f.attrs["data_set"], "a copy", splits, {"text", "frames"}, names)
        check(sys.argv[3], names)


if __name__ == "__main__":
    main()
