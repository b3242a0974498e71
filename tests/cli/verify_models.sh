#!/usr/bin/env bash
# Golden numbers of the published models and their variants, on every instruction set and with OpenBLAS; those of some variants are looked for beside the repository.
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
for label in cifar fastmri imagenet_vit ogbg criteo1tb finewebedu_lm wmt librispeech_conformer librispeech_deepspeech; do verify $label "$SOURCE/tests/fixtures/$label.h5"; done
for fixture in "$SOURCE"/tests/fixtures/variants/*.h5; do verify "$(basename "$fixture" .h5)" "$fixture"; done
for label in imagenet_resnet imagenet_resnet_{silu,gelu,large_bn_init} imagenet_vit_{glu,post_ln,map} fastmri_{model_size,tanh,layernorm} ogbg_{gelu,silu,model_size} criteo1tb_{test,layernorm,embed_init,resnet} wmt_{post_ln,attention_temp,glu_tanh} librispeech_conformer_{attention_temperature,layernorm,gelu} librispeech_deepspeech_{tanh,no_resnet,norm_and_spec_aug}; do
  if [ -e "$shared/$label.h5" ]; then verify $label "$shared/$label.h5"; else echo "no fixture of $label here"; fi
done
expect 4 "is a fixture of" "$ALGOPERF" verify cifar --fixture "$SOURCE/tests/fixtures/fastmri.h5"
expect 3 "no workload" "$ALGOPERF" verify imagenet_vit_odd --fixture "$SOURCE/tests/fixtures/imagenet_vit.h5"

[ -n "$PYTHON" ] || { echo "no h5py: the altered fixtures are left out"; done_testing; }
alter() { # FILE COPY PYTHON
  cp "$SOURCE/tests/fixtures/$1.h5" "$T/$2.h5"
  "$PYTHON" -c "import h5py; f = h5py.File('$T/$2.h5', 'r+'); $3"
}
alter cifar state "f['state/updated/bn1.running_var'][1] += 1e-3"
expect 6 "running_var" "$ALGOPERF" verify cifar --fixture "$T/state.h5"
alter cifar eval "f['outputs/eval_logits'][0, 0] += 1e-3"
expect 6 "eval_logits" "$ALGOPERF" verify cifar --fixture "$T/eval.h5"
alter fastmri ssim "f['outputs/eval_ssim_per_example'][1] += 1e-4"
expect 6 "eval_ssim_per_example" "$ALGOPERF" verify fastmri --fixture "$T/ssim.h5"
alter ogbg label "f['inputs/weights'][0, 1] = 1"
expect 6 "n_valid_examples" "$ALGOPERF" verify ogbg --fixture "$T/label.h5"
alter finewebedu_lm epsilon "f['extra/qk_eps/outputs'].attrs['qknorm_epsilon'] = 0.04" # the case's own option counts
expect 6 "qk_eps: train_logits.*FAIL" "$ALGOPERF" verify finewebedu_lm --fixture "$T/epsilon.h5"
alter imagenet_vit mixup "f['extra/mixup/grads/head.weight'][2, 3] += 1e-2"
expect 6 "head.weight" "$ALGOPERF" verify imagenet_vit --fixture "$T/mixup.h5"
alter wmt beam "f['extra/beam/g3.0_r2.5_L6/all_beams'][1, 2, 3] += 1"
expect 6 "sequences found" "$ALGOPERF" verify wmt --fixture "$T/beam.h5"
alter variants/librispeech_deepspeech_no_resnet zero "f['grads/subsample.lin.bias'][3] += 1e-4" # zero but for rounding
expect 6 "subsample.lin.bias" "$ALGOPERF" verify librispeech_deepspeech --fixture "$T/zero.h5"
alter wmt padding "f['outputs/train_logits'][0, 6, 0] += 1" # weight 0: not compared
expect 0 "^PASS" "$ALGOPERF" verify wmt --fixture "$T/padding.h5"
alter librispeech_deepspeech features "f['intermediate/features'][0, 3, 5] += 1e-3"
expect 6 "features.*FAIL" "$ALGOPERF" verify librispeech_deepspeech --fixture "$T/features.h5"
alter librispeech_conformer valid "f['outputs/train_logits'][1, 6, 2] += 1e-3"
expect 6 "train_logits.*FAIL" "$ALGOPERF" verify librispeech_conformer --fixture "$T/valid.h5"
alter librispeech_conformer silent "f['inputs/target_lengths'][:] = 0" # no label at all: divided by 1 instead of 9
expect 6 "n_valid_examples  *8.00e+00" "$ALGOPERF" verify librispeech_conformer --fixture "$T/silent.h5"
alter librispeech_conformer padding "f['outputs/train_logits'][1, 7, 2] += 1e-3" # the second utterance has 7 steps
expect 0 "^PASS" "$ALGOPERF" verify librispeech_conformer --fixture "$T/padding.h5"
done_testing
