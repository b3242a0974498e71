#!/usr/bin/env bash
# Criteo's text, plain, gzip and xz: the same examples from each, the same bytes on any number of ranks and after a kill; what is
# refused, and that nothing but whole parts is left; rows left out; a short training run.
. "$(dirname "$0")/lib.sh"
command -v xz >/dev/null || skip "xz makes the files"
rows() { # SEED COUNT: label, 13 integers, 26 categories of 8 digits; a tenth is missing
  awk -v seed="$1" -v count="$2" 'BEGIN { srand(seed); for (i = 0; i < count; i++) {
    printf "%d", rand() < 0.3
    for (f = 0; f < 13; f++) printf "\t%s", rand() < 0.1 ? "" : int(1000 * rand())
    for (f = 0; f < 26; f++) printf "\t%s", rand() < 0.1 ? "" : sprintf("%08x", int(40 * rand() * (f + 1)) * 7919)
    print "" } }'
}
mkdir -p "$T"/{flights-criteo,gz,xz,days,w,to}
rows 1 4000 >"$T/flights-criteo/train.tsv"
rows 2 500 >"$T/flights-criteo/valid.tsv"
rows 3 500 >"$T/flights-criteo/test.tsv"
for f in train valid test; do
  gzip -c "$T/flights-criteo/$f.tsv" >"$T/gz/$f.tsv.gz"
  xz -c "$T/flights-criteo/$f.tsv" >"$T/xz/$f.tsv.xz"
done
for d in $(seq 0 22); do rows "$d" 30 | gzip >"$T/days/day_$d.gz"; done
for p in $(seq -w 0 35); do rows "1$p" 10 >"$T/days/day_23_$p"; done

to() { # CODE TEXT FROM TO OPTIONS...
  local code=$1 text=$2 from=$3 to=$4
  shift 4
  expect "$code" "$text" "$ALGOPERF" prepare criteo1tb --from "$T/$from" --to "$T/to/$to.h5" "$@"
}
digests_of() { h5dump -d "/$2/digest" "$1" | sed -n '/DATA {/,/}/p' | sed 's/.*: //' | tr -d ' \n,'; }
same() { # NAME: its examples are those of plain.h5
  local s
  for s in train validation test; do
    [ -n "$(digests_of "$T/to/$1.h5" $s)" ] && [ "$(digests_of "$T/to/$1.h5" $s)" = "$(digests_of "$T/to/plain.h5" $s)" ] || { fail "$1: other $s examples"; return; }
  done
  pass "$1: the same examples"
}

# ---- plain, gzip, xz; days on any number of ranks
to 0 "data set flights-criteo" flights-criteo plain
expect 0 "intact" "$ALGOPERF" prepare criteo1tb --check "$T/to/plain.h5"
to 0 "train *4000 examples" gz gz
same gz
lzma=yes
"$ALGOPERF" prepare criteo1tb --from "$T/xz" --to "$T/to/xz.h5" 2>&1 | grep -q "built without liblzma" && lzma=
[ -z "$lzma" ] || same xz
to 0 "data set criteo1tb" days 1
expect 0 "on 2 ranks" mpirun -n 2 "$ALGOPERF" prepare criteo1tb --from "$T/days" --to "$T/to/2.h5"
cmp -s "$T/to/1.h5" "$T/to/2.h5" && pass "the same bytes on 2 ranks" || fail "other bytes on 2 ranks"
expect 0 "train *690 examples" "$ALGOPERF" prepare criteo1tb --check "$T/to/2.h5"
expect 0 "validation *170 examples" "$ALGOPERF" prepare criteo1tb --check "$T/to/2.h5"

# ---- killed
AP_TEST_WRITE_DELAY_MS=100 "$ALGOPERF" prepare criteo1tb --from "$T/days" --to "$T/to/killed.h5" >"$T/log" 2>&1 &
pid=$!
for _ in $(seq 600); do [ "$(ls "$T/to/killed.h5.parts" 2>/dev/null | grep -c '^0.*part$')" -ge 3 ] && break; sleep 0.05; done
kill -9 $pid; wait $pid 2>/dev/null
[ ! -e "$T/to/killed.h5" ] || fail "not killed in time"
expect 0 "[1-9][0-9]* of 59 parts were there" mpirun -n 3 "$ALGOPERF" prepare criteo1tb --from "$T/days" --to "$T/to/killed.h5"
cmp -s "$T/to/1.h5" "$T/to/killed.h5" && pass "the same bytes after a kill" || fail "other bytes after a kill"

# ---- what is refused, and that nothing but whole parts is left
bad() { # CODE TEXT OPTIONS...: of the folder w, which is made anew each time
  local code=$1 text=$2
  shift 2
  to "$code" "$text" w bad "$@"
  [ ! -e "$T/to/bad.h5" ] || fail "a packed file"
  [ -z "$(ls -A "$T/to/bad.h5.parts" 2>/dev/null | grep -v '^0.*part$')" ] || fail "left $(ls -A "$T/to/bad.h5.parts")"
  rm -rf "$T/to/bad.h5.parts"
}
copy() { rm -rf "$T/w"; cp -r "$T/$1" "$T/w"; }
edit() { copy flights-criteo; sed -i "$1" "$T/w/train.tsv"; }
edit '17s/\t[^\t]*$//'; bad 4 'w/train.tsv:17: 39 fields (must be 40'
edit '18s/$/\t/'; bad 4 'w/train.tsv:18: more than 40 fields'
edit '19s/\t[^\t]*/\t3.5/5'; bad 4 'w/train.tsv:19: field 6 is "3.5" (must be a whole number'
edit '20s/\t[^\t]*/\t100000000/20'; bad 4 'w/train.tsv:20: field 21 is "100000000" (a category must be 1 to 8 hex'
edit '21s/^./2/'; bad 4 'w/train.tsv:21: field 1 is "2" (the label must be 0 or 1'
edit '22s/.*//'; bad 4 'w/train.tsv:22: 1 field (must be 40'
edit '17s/\t[^\t]*$//; 3000s/^/x/'; bad 4 '2 malformed records\|more than 1 malformed' --skip-bad 1
to 0 "left out: 2" w skipped --skip-bad 2
expect 0 'train.tsv:3000: field 1 is "x' h5dump -a skipped_records "$T/to/skipped.h5"
copy gz; truncate -s -500 "$T/w/train.tsv.gz"; bad 4 'w/train.tsv.gz: the gzip stream ends early'
copy gz; printf 'XXXX' | dd of="$T/w/train.tsv.gz" bs=1 seek=9000 conv=notrunc 2>/dev/null; bad 4 'w/train.tsv.gz: broken gzip'
if [ -n "$lzma" ]; then
  copy xz; truncate -s -500 "$T/w/train.tsv.xz"; bad 4 'w/train.tsv.xz: the xz stream ends early'
  copy xz; printf 'XXXX' | dd of="$T/w/train.tsv.xz" bs=1 seek=9000 conv=notrunc 2>/dev/null; bad 4 'w/train.tsv.xz: broken xz'
  copy xz; echo >>"$T/w/train.tsv.xz"; bad 4 'w/train.tsv.xz: \(bytes that are no xz stream\|broken xz\|the xz stream ends early\)'
fi
copy flights-criteo; : >"$T/w/valid.tsv"; bad 4 'w/valid.tsv: is empty'
copy gz; : | gzip >"$T/w/valid.tsv.gz"; bad 4 'w/valid.tsv.gz: is empty'
copy flights-criteo; rm "$T/w/test.tsv"; bad 5 'w/test.tsv: is missing'
copy days; rm "$T/w/day_11.gz"; bad 5 'w/day_11: is missing'
copy days; rm "$T/w/day_23_20"; bad 5 'w/day_23_20: is missing'
copy days; rm "$T"/w/day_23_*; rows 1 20 >"$T/w/day_23"; bad 4 'w/day_23: has no more than 95000000 lines, which are the test split; validation'
expect 4 'w/day_23.gz: has no more than 95000000 lines' bash -c "gzip '$T/w/day_23'; mpirun -n 2 '$ALGOPERF' prepare criteo1tb --from '$T/w' --to '$T/to/bad.h5'"
bad 5 '/nowhere: cannot be read' --from "$T/nowhere"

# ---- trained on: the same bits on 1 and 2 ranks
for n in 1 2; do
  job "$T/r$n.cfg" "results = \"$T/r$n\"; clock = \"steps\"; max_steps = 3; eval_every = 3; trials = 1;" \
    "workloads = ( { name = \"criteo1tb\"; scale = \"mini\"; data = \"$T/to/plain.h5\"; } ); submissions = ( { submission = \"nadamw\"; } );"
  timeout 100 mpirun -n $n "$ALGOPERF" run "$T/r$n.cfg" >"$T/r$n.log" 2>&1
  [ $? -le 1 ] || { fail "training on $n ranks"; tail -n 4 "$T/r$n.log"; }
  digests "$T/r$n/nadamw/study_0/criteo1tb/trial_1" >"$T/r$n.digests"
done
[ -s "$T/r1.digests" ] && cmp -s "$T/r1.digests" "$T/r2.digests" && pass "the same bits on 1 and 2 ranks" || fail "other bits"
done_testing
