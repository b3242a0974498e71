#!/usr/bin/env bash
# A submission of one's own: the worked example of jobs/my_optimizer, built as its README says against an installed program; and plugins that are wrong.
. "$(dirname "$0")/lib.sh"
command -v cc >/dev/null || skip "no C compiler"

cmake --install "$BUILD" --prefix "$T/prefix" >/dev/null || fail "cmake --install"
cp -r "$SOURCE/jobs/my_optimizer" "$T/mine"
cd "$T/mine" || exit 1
line=$(grep -m1 -o 'cc .*PREFIX.*my_optimizer.so' README.md | sed "s|PREFIX|$T/prefix|g")
[ -n "$line" ] || fail "README.md of the example has no build line"
echo "$line"
sh -c "$line" || fail "the build line of the example"
sed -i "s|^results.*|results = \"$T/results\"; max_steps = 200;|; s|ranks_per_trial = 2|ranks_per_trial = 0|" my_optimizer.cfg
timeout 300 mpirun -n 2 "$T/prefix/bin/algoperf" run my_optimizer.cfg >"$T/run.log" 2>&1
[ $? -le 1 ] && pass "the example runs" || { fail "the example does not run"; cat "$T/run.log"; }
expect 0 "my_optimizer" "$T/prefix/bin/algoperf-score" score "$T/results"
cd "$T" || exit 1

plugin() { # NAME SOURCE-LINES...
  local name=$1
  shift
  { printf '#include "submission/submission.h"\n'; printf '%s\n' "$@"; } >"$T/$name.c"
  cc -O1 -shared -fPIC -I "$T/prefix/include/algoperf" "$T/$name.c" -o "$T/$name.so" || fail "cannot build $name"
  job "$T/$name.cfg" "results = \"$T/$name\"; trials = 1; max_attempts = 1; clock = \"steps\"; max_steps = 5;" \
    'workloads = ( { name = "dummy"; } );' "submissions = ( { submission = \"./$name.so\"; } );"
}
table='static int init(ap_host *h) { (void)h; return 0; } static const char *const space = "[{\"learning_rate\": 0.1}]";
#define TABLE(abi_, size_, update_) static const ap_submission table = {.abi = abi_, .struct_size = size_, .name = "wrong", .summary = "s", .source = "s", .init_optimizer_state = init, .update_params = update_, .search_space = &space}; const ap_submission *ap_submission_entry(void) { return &table; }'
good='static int update(ap_host *h) { double l; ap_loss_request r = {0}; return !h->call->loss_and_gradient(h, &r, &l); }'
plugin abi "$table" "$good" 'TABLE(77, sizeof table, update)'
expect 8 "77" "$T/prefix/bin/algoperf" run abi.cfg
plugin size "$table" "$good" 'TABLE(AP_SUBMISSION_ABI, 8, update)'
expect 8 "size" "$T/prefix/bin/algoperf" run size.cfg
plugin symbol 'int nothing(void); int nothing(void) { return 0; }'
expect 8 "ap_submission_entry" "$T/prefix/bin/algoperf" run symbol.cfg
plugin undefined "$table" 'int not_there(void); static int update(ap_host *h) { (void)h; return not_there(); }' 'TABLE(AP_SUBMISSION_ABI, sizeof table, update)'
expect 8 "not_there" "$T/prefix/bin/algoperf" run undefined.cfg
plugin function "$table" 'TABLE(AP_SUBMISSION_ABI, sizeof table, 0)'
expect 8 "update_params" "$T/prefix/bin/algoperf" run function.cfg
plugin says "$table" 'static int update(ap_host *h) { h->call->fail(h, "no idea at step %d", (int)h->call->step(h)); return 1; }' 'TABLE(AP_SUBMISSION_ABI, sizeof table, update)'
expect 8 "no idea at step 0" mpirun -n 2 "$T/prefix/bin/algoperf" run says.cfg
plugin silent "$table" 'static int update(ap_host *h) { (void)h; return 7; }' 'TABLE(AP_SUBMISSION_ABI, sizeof table, update)'
expect 8 "returned 7" "$T/prefix/bin/algoperf" run silent.cfg
plugin late "$table" 'static int update(ap_host *h) { return h->call->state(h, "m", 0) == 0; }' 'TABLE(AP_SUBMISSION_ABI, sizeof table, update)'
expect 8 "init_optimizer_state" "$T/prefix/bin/algoperf" run late.cfg
plugin crash "$table" 'static int update(ap_host *h) { (void)h; *(volatile int *)8 = 1; return 0; }' 'TABLE(AP_SUBMISSION_ABI, sizeof table, update)'
timeout 300 mpirun -n 2 "$T/prefix/bin/algoperf" run crash.cfg >"$T/out" 2>&1 # takes its world down
[ $? -ge 128 ] && pass "a plugin that crashes ends its world" || fail "the crash was not noticed"
expect 7 "crashed" mpirun -n 2 "$T/prefix/bin/algoperf" run crash.cfg
echo "text" >"$T/text.so"
job "$T/text.cfg" "results = \"$T/text\";" 'workloads = ( { name = "dummy"; } );' 'submissions = ( { submission = "./text.so"; } );'
expect 8 "text.so" "$T/prefix/bin/algoperf" run text.cfg
done_testing
