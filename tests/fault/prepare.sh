#!/usr/bin/env bash
# One file operation of `algoperf prepare` fails, or is the last before a kill: 5 and the file named, no half-written
# packed file, and the next call makes the very file of an undisturbed one. Every operation is tried.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || skip "python3 makes the small data set"
mkdir "$T/idx" "$T/to"
python3 - "$T/idx" <<'P' || exit 1
import random, struct, sys
random.seed(1)
for name, n in (("train", 60), ("t10k", 12)):
    open(f"{sys.argv[1]}/{name}-images-idx3-ubyte", "wb").write(struct.pack(">IIII", 0x803, n, 28, 28) + bytes(random.randrange(256) for _ in range(n * 784)))
    open(f"{sys.argv[1]}/{name}-labels-idx1-ubyte", "wb").write(struct.pack(">II", 0x801, n) + bytes(random.randrange(10) for _ in range(n)))
P
prepare() { timeout 60 "$ALGOPERF" prepare mnist --name mnist --from "$T/idx" --to "$T/to/data.h5"; }
faulty() { LD_PRELOAD=$DISK_SHIM FAULT_PREFIX=$1 FAULT_KIND=$2 FAULT_MODE=$3 FAULT_AT=$4 FAULT_LOG=$T/log prepare >"$T/out" 2>&1; }
prepare >"$T/out" 2>&1 || { fail "the undisturbed call"; cat "$T/out"; done_testing; }
mv "$T/to/data.h5" "$T/calm.h5"

say() { fail "$kind $mode at operation $at ($operation): $*"; tail -n 2 "$T/out" | cut -c1-200; }
check() { # CODE
  case $mode in
  kill*) [ "$1" -eq 137 ] || say "exit code $1 after SIGKILL" ;;
  *)
    # What was read back after the file was finished, or could be read again, may go unsaid: the file is compared below.
    [ "$1" -ne 0 ] || [ "$kind" = read ] || case ${operation%% *} in unlink | open | ftruncate* | close) ;; *) say "nothing was said" ;; esac
    [ "$1" -eq 0 ] || [ "$1" -eq 5 ] || say "exit code $1"
    [ "$1" -eq 0 ] || grep -q "data.h5\|idx\|$T/to: the folder" "$T/out" || say "no file is named"
    [ -z "$(find "$T/to" -name '.*')" ] || [ "${operation%% *}" = unlink ] || say "left: $(ls -A "$T/to")"
    ;;
  esac
  [ ! -e "$T/to/data.h5" ] || cmp -s "$T/calm.h5" "$T/to/data.h5" || say "a packed file that is another"
  prepare >"$T/again" 2>&1 || say "the next call: $(tail -n 1 "$T/again")"
  cmp -s "$T/calm.h5" "$T/to/data.h5" || say "the next call makes another file"
  rm -rf "$T"/to/* "$T"/to/.*.tmp
}
for what in "$T/to write ENOSPC" "$T/to write EIO" "$T/to write short" "$T/to write kill" "$T/to read EIO" "$T/idx read EIO" "$T/idx read short"; do
  set -- $what
  kind=$2 mode=$3
  rm -f "$T/log"
  faulty "$1" "$2" EIO 0
  rm -rf "$T"/to/*
  n=$(wc -l <"$T/log")
  for at in $(seq 1 $((n > 60 ? (n + 59) / 60 : 1)) "$n"); do
    rm -f "$T/log"
    faulty "$1" "$2" "$mode" "$at"
    code=$?
    operation=$(sed -n "${at}p" "$T/log" | cut -d' ' -f2-)
    [ "$mode" != short ] || [ $code -ne 0 ] || operation="open" # the rest was moved by the next call
    check $code
  done
  echo "$2 $mode in ${1##*/}: $n operations"
done
done_testing
