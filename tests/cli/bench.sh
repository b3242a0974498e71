#!/usr/bin/env bash
# The benchmarks that measure a cluster run, say what they must, keep the bits, and refuse what makes no sense. No number is judged here.
. "$(dirname "$0")/lib.sh"
cd "$T"
scaling() { timeout 300 mpirun -n "$1" "$ALGOPERF" bench scaling --rounds 2 --round-s 0.02 "${@:2}"; }

echo "== scaling"
expect 0 "with every number of ranks" mpirun -n 2 "$ALGOPERF" bench scaling --rounds 2 --round-s 0.02 --workloads dummy,mnist:mini:hidden=16:batch=64
expect 0 "^2  *[0-9]" mpirun -n 2 "$ALGOPERF" bench scaling --rounds 1 --round-s 0.02 --workloads dummy
expect 0 "^   512  *[0-9]" mpirun -n 4 "$ALGOPERF" bench scaling --rounds 1 --round-s 0.02 --workloads dummy:full
expect 0 "links between hosts as given" mpirun -n 2 "$ALGOPERF" bench scaling --rounds 1 --round-s 0.02 --workloads dummy --far-latency-us 5 --far-gbit 100 --ranks-per-host 1
# bytes sent are counted, not derived: equal to the bound for two ranks
scaling 2 --workloads mnist >out 2>&1
awk '$1 == "2" && NF > 10 { found = 1; exit !($12 == $13 && $12 > 300) } END { if (!found) exit 1 }' out && pass "two ranks send what the bound allows" || { fail "bytes sent"; cat out; }
expect 7 "mpirun -n 2" "$ALGOPERF" bench scaling --workloads dummy
expect 3 "did you mean \"mnist\"" mpirun -n 2 "$ALGOPERF" bench scaling --workloads mnits
expect 3 "there are: full, mini" mpirun -n 2 "$ALGOPERF" bench scaling --workloads dummy:tiny
expect 3 "hidden" mpirun -n 2 "$ALGOPERF" bench scaling --workloads mnist:mini:hiden=3
expect 3 "at least the 8 shards" mpirun -n 2 "$ALGOPERF" bench scaling --workloads mnist:mini:batch=4
expect 2 "KEY=VALUE" mpirun -n 2 "$ALGOPERF" bench scaling --workloads dummy:mini:fast
expect 2 "go together" "$ALGOPERF" bench scaling --far-gbit 10
expect 2 "from 1 to 101" "$ALGOPERF" bench scaling --rounds 0

echo "== schedule"
expect 0 "busy share here: in a trial" mpirun -n 2 "$ALGOPERF" bench schedule --trials 6 --shortest 0.05 --longest 0.2 --folder "$T"
expect 0 "a trial's claim in all" "$ALGOPERF" bench schedule --claims 10 --folder "$T"
[ -z "$(ls -d algoperf-schedule.* 2>/dev/null)" ] && pass "the trees are removed" || fail "left behind: $(ls)"
expect 0 "operations a second on" "$ALGOPERF" bench schedule --simulate 1000,100 --shortest 60 --longest 600
expect 0 "at none of these rates" "$ALGOPERF" bench schedule --simulate 1000,100 --shortest 1 --longest 2 --rates 10,20
expect 2 "TRIALS,GROUPS" "$ALGOPERF" bench schedule --simulate 10
expect 2 "from 1 to 64" "$ALGOPERF" bench schedule --trials 100
expect 2 "at most --longest" "$ALGOPERF" bench schedule --shortest 3 --longest 2
expect 5 "no folder can be made" "$ALGOPERF" bench schedule --folder /proc
done_testing
