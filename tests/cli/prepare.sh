#!/usr/bin/env bash
# `algoperf prepare` in parts: the same bytes on any number of ranks, after a kill, after a full disk; records left out;
# one rank's failure. The input is fastMRI's form as NIfTI volumes, one of which is a part.
. "$(dirname "$0")/lib.sh"
[ -n "$PYTHON" ] || skip "python3 makes the volumes"
mkdir -p "$T/in"/{train,valid,test} "$T/to"
"$PYTHON" - "$T/in" <<'P' || exit 1
import random, struct, sys
random.seed(1)
def volume(path, n=8, side=12, bad=False):
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, side, side, n, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 16, 32)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<ff", header, 112, 1, 0)
    header[344:348] = b"n+1\0"
    voxels = [random.random() for _ in range(n * side * side)]
    if bad: voxels[3 * side * side] = float("nan")
    open(path, "wb").write(header + struct.pack(f"<{len(voxels)}f", *voxels))
for split, files in (("train", 7), ("valid", 2), ("test", 1)):
    for i in range(files): volume(f"{sys.argv[1]}/{split}/v{i}.nii")
import os
os.mkdir(sys.argv[1] + "-bad")
for s in ("train", "valid", "test"): os.symlink(f"{sys.argv[1]}/{s}", f"{sys.argv[1]}-bad/{s}") if s != "train" else os.mkdir(f"{sys.argv[1]}-bad/{s}")
for i in range(7):
    volume(f"{sys.argv[1]}-bad/train/v{i}.nii", bad=i in (2, 5))
P
OUT=$T/to
prepare() { timeout 120 "$ALGOPERF" prepare fastmri --from "$T/in" "$@"; }

# ---- any number of ranks
expect 0 "MB/s" "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/1.h5"
[ ! -e "$OUT/1.h5.parts" ] || fail "the folder of parts is left after a success"
for n in 2 3; do
  expect 0 "on $n ranks" mpirun -n $n "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/$n.h5"
  cmp -s "$OUT/1.h5" "$OUT/$n.h5" && pass "the same bytes on $n ranks" || fail "other bytes on $n ranks"
done
expect 0 "already there" mpirun -n 2 "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/1.h5"
expect 0 "intact" mpirun -n 2 "$ALGOPERF" prepare fastmri --check "$OUT/1.h5"
touch -d '+1 minute' "$T/in/train/v3.nii"
expect 2 "v3.nii.*was changed since" "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/1.h5"
touch "$T/in/train/v3.nii"

# ---- killed: the parts that are whole are used again, on another number of ranks too
AP_TEST_WRITE_DELAY_MS=100 "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/killed.h5" >"$T/log" 2>&1 &
pid=$!
for _ in $(seq 600); do [ "$(ls "$OUT/killed.h5.parts" 2>/dev/null | grep -c '^0.*part$')" -ge 2 ] && break; sleep 0.05; done
kill -9 $pid; wait $pid 2>/dev/null
whole=$(ls "$OUT/killed.h5.parts" | grep -c '^0.*part$')
[ "$whole" -ge 2 ] && [ ! -e "$OUT/killed.h5" ] || fail "killed with $whole parts"
expect 0 "[1-9][0-9]* of 10 parts were there" mpirun -n 3 "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/killed.h5"
cmp -s "$OUT/1.h5" "$OUT/killed.h5" && pass "the same bytes after a kill with $whole parts" || fail "other bytes after a kill"
[ -z "$(ls -A "$OUT" | grep -v '\.h5$')" ] || fail "left: $(ls -A "$OUT")"

# ---- a part that was damaged meanwhile
mkdir "$OUT/d.h5.parts"
AP_TEST_WRITE_DELAY_MS=100 "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/d.h5" >"$T/log" 2>&1 &
pid=$!
for _ in $(seq 600); do [ -e "$OUT/d.h5.parts/00000002.part" ] && break; sleep 0.05; done
kill -9 $pid; wait $pid 2>/dev/null
printf 'X' | dd of="$OUT/d.h5.parts/00000001.part" bs=1 seek=2000 conv=notrunc 2>/dev/null
expect 4 "damaged part" "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/d.h5"
expect 0 "9 of 10 parts" "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/d.h5"
cmp -s "$OUT/1.h5" "$OUT/d.h5" || fail "other bytes after a damaged part"

# ---- malformed input: named, agreed on, kept parts; and left out where the user allows it
expect 4 "v[25].nii: voxel 432 is not a finite number" "$ALGOPERF" prepare fastmri --from "$T/in-bad" --to "$OUT/bad.h5"
expect 4 "v[25].nii: voxel 432 is not a finite number" mpirun -n 3 "$ALGOPERF" prepare fastmri --from "$T/in-bad" --to "$OUT/bad.h5"
[ ! -e "$OUT/bad.h5" ] && ls "$OUT/bad.h5.parts" | grep -q . || fail "after bad input: $(ls -A "$OUT")"
[ -z "$(ls -A "$OUT/bad.h5.parts" | grep -v '^0.*part$')" ] || fail "left: $(ls -A "$OUT/bad.h5.parts")"
expect 4 "2 malformed records in all" "$ALGOPERF" prepare fastmri --from "$T/in-bad" --to "$OUT/bad.h5" --skip-bad 1
expect 0 "left out: 2" mpirun -n 2 "$ALGOPERF" prepare fastmri --from "$T/in-bad" --to "$OUT/bad.h5" --skip-bad 2
expect 0 "v5.nii: voxel 432" h5dump -a skipped_records "$OUT/bad.h5"
expect 2 "has none" "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/x.h5" --vocabulary "$T/log"
expect 2 "whole number" "$ALGOPERF" prepare fastmri --from "$T/in" --to "$OUT/x.h5" --skip-bad many

# ---- text in windows, which do not fit the parts: the same on any number of ranks; the tokenizer of another place
mkdir "$T/text"
for i in $(seq 400); do echo "line $i of $((i * i)) says that $((i * 7919 % 1000)) is not $i"; done >"$T/text/a.txt"
sed 's/.*/{"text": "JSON, & \\u00e9"}/' "$T/text/a.txt" | gzip >"$T/text/b.jsonl.gz"
text() { echo "$ALGOPERF" prepare finewebedu_lm --from "$T/text" --to "$OUT/$1.h5" --scale mini; }
head -n 301 "$SOURCE/tests/fixtures/bpe_merges.txt" >"$T/merges.txt"
if $(text t1) --vocabulary "$T/merges.txt" >"$T/log" 2>&1; then
  expect 0 "tokens of merges.txt" mpirun -n 3 $(text t3) --vocabulary "$T/merges.txt"
  cmp -s "$OUT/t1.h5" "$OUT/t3.h5" && pass "the same windows on 3 ranks" || fail "other windows on 3 ranks"
  expect 0 "already there" $(text t1) --vocabulary "$T/merges.txt"
  expect 0 "1024 tokens trained" $(text t4)
  expect 4 "vocab_size" $(text t5) --vocabulary "$SOURCE/tests/fixtures/bpe_merges.txt"
else
  grep -q PCRE2 "$T/log" && echo "built without PCRE2: no windows of tokens" || { fail "windows"; cat "$T/log"; }
fi
done_testing
