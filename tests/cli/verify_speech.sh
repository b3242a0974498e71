#!/usr/bin/env bash
# Golden numbers of the published speech models and of their front end, on every instruction set and with OpenBLAS; those that are not copied here are looked for beside the repository.
. "$(dirname "$0")/lib.sh"
shared=$SOURCE/../shared/fixtures

verify() { # LABEL FIXTURE
  for isa in portable avx2 avx512; do
    case $isa in
    avx2) grep -qw avx2 /proc/cpuinfo || continue ;;
    avx512) grep -qw avx512f /proc/cpuinfo || continue ;;
    esac
    expect 0 "^PASS" env ALGOPERF_ISA=$isa "$ALGOPERF" verify "$1" --fixture "$2"
  done
  expect 0 "^PASS" "$ALGOPERF" verify "$1" --fixture "$2" --math blas
}
for label in librispeech_conformer librispeech_deepspeech; do verify $label "$SOURCE/tests/fixtures/$label.h5"; done
for label in librispeech_conformer_{attention_temperature,layernorm,gelu} librispeech_deepspeech_{tanh,no_resnet,norm_and_spec_aug}; do
  if [ -e "$shared/$label.h5" ]; then verify $label "$shared/$label.h5"; else echo "no fixture of $label here"; fi
done

[ -n "$PYTHON" ] || { echo "no h5py: the altered fixtures are left out"; done_testing; }
alter() { # FILE COPY PYTHON
  cp "$SOURCE/tests/fixtures/$1.h5" "$T/$2.h5"
  "$PYTHON" -c "import h5py; f = h5py.File('$T/$2.h5', 'r+'); $3"
}
alter librispeech_deepspeech features "f['intermediate/features'][0, 3, 5] += 1e-3"
expect 6 "features.*FAIL" "$ALGOPERF" verify librispeech_deepspeech --fixture "$T/features.h5"
alter librispeech_conformer valid "f['outputs/train_logits'][1, 6, 2] += 1e-3"
expect 6 "train_logits.*FAIL" "$ALGOPERF" verify librispeech_conformer --fixture "$T/valid.h5"
alter librispeech_conformer padding "f['outputs/train_logits'][1, 7, 2] += 1e-3" # the second utterance has 7 steps
expect 0 "^PASS" "$ALGOPERF" verify librispeech_conformer --fixture "$T/padding.h5"
done_testing
