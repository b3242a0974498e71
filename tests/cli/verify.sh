#!/usr/bin/env bash
# Golden numbers of the published implementation through the program, on every instruction set and both kinds of arithmetic; and that a wrong number, a missing one and a damaged file are found.
. "$(dirname "$0")/lib.sh"
model=$SOURCE/tests/fixtures/mnist.h5 rules=$SOURCE/tests/fixtures/optimizers.h5

for isa in portable avx2 avx512; do
  case $isa in
  avx2) grep -qw avx2 /proc/cpuinfo || continue ;;
  avx512) grep -qw avx512f /proc/cpuinfo || continue ;;
  esac
  expect 0 "^PASS" env ALGOPERF_ISA=$isa "$ALGOPERF" verify mnist --fixture "$model"
done
expect 0 "^PASS" "$ALGOPERF" verify mnist --fixture "$model" --math blas
expect 0 "^PASS" "$ALGOPERF" verify --optimizers "$rules"
expect 2 "must be ordered or blas" "$ALGOPERF" verify mnist --fixture "$model" --math fast
expect 2 "give a workload" "$ALGOPERF" verify
expect 5 "none.h5" "$ALGOPERF" verify mnist --fixture "$T/none.h5"
head -c 100000 "$model" >"$T/short.h5"
expect 4 "short.h5" "$ALGOPERF" verify mnist --fixture "$T/short.h5"
expect 4 "" "$ALGOPERF" verify --optimizers "$model"
expect 4 "" "$ALGOPERF" verify mnist --fixture "$rules"

[ -n "$PYTHON" ] || { echo "no h5py: the altered fixtures are left out"; done_testing; }
alter() { # FILE COPY PYTHON
  cp "$1" "$T/$2.h5"
  "$PYTHON" -c "import h5py; f = h5py.File('$T/$2.h5', 'r+'); $3"
}
alter "$model" parameter "f['params/net.layer2.bias'][3] += 1e-2"
expect 6 "FAIL" "$ALGOPERF" verify mnist --fixture "$T/parameter.h5"
alter "$model" gradient "f['grads/net.layer1.weight'][3, 300] += 1e-2"
expect 6 "net.layer1.weight" "$ALGOPERF" verify mnist --fixture "$T/gradient.h5"
alter "$model" nan "f['outputs/train_logits'][0, 0] = float('nan')"
expect 6 "FAIL" "$ALGOPERF" verify mnist --fixture "$T/nan.h5"
alter "$model" missing "del f['params/net.layer1.bias']"
expect 4 "net.layer1.bias" "$ALGOPERF" verify mnist --fixture "$T/missing.h5"
alter "$rules" trajectory "f['nadamw/trajectory/w2'][20] += 1e-3"
expect 6 "nadamw.*FAIL" "$ALGOPERF" verify --optimizers "$T/trajectory.h5"
alter "$rules" schedule "f['schedules/torch_linear_warmup_cosine_hint200_factor0.05'][150] += 1e-6"
expect 6 "FAIL" "$ALGOPERF" verify --optimizers "$T/schedule.h5"
done_testing
