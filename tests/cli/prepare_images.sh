#!/usr/bin/env bash
# ImageNet's published forms: class folders, a tar file of class tar files, class tar files, a tar file of class folders, a heap
# with a list of labels; the same examples from each. What is refused. A short training run on JPEG images.
. "$(dirname "$0")/lib.sh"
command -v cjpeg >/dev/null && command -v python3 >/dev/null || skip "cjpeg (libjpeg-turbo-progs) and python3 make the images"
"$ALGOPERF" prepare imagenet_resnet --from /nowhere --to "$T/x.h5" 2>&1 | grep -q "built without libjpeg" && skip "built without libjpeg-turbo"
mkdir "$T/to"
python3 - "$T/a" <<'P' || exit 1
import os, random, subprocess, sys
random.seed(3)
def image(path, base, *options):
    h, w = random.randrange(40, 90), random.randrange(40, 90)
    pixels = bytearray()
    for y in range(h):
        for x in range(w): pixels += bytes(((base * 40 + x * 3 + y) % 256, (base * 90 + x * y // 9) % 256, (x + y * 2 + random.randrange(30)) % 256))
    subprocess.run(["cjpeg", "-quality", "80", *options, "-outfile", path], input=b"P6 %d %d 255\n" % (w, h) + bytes(pixels), check=True)
number = 0
for split, n in (("train", 33), ("val", 4), ("imagenetv2-matched-frequency-format-val", 3)):
    for c in range(4):
        name = str(c) if split.startswith("imagenetv2") else f"n0{c + 1}"
        os.makedirs(f"{sys.argv[1]}/{split}/{name}")
        for i in range(n):
            number += 1
            image(f"{sys.argv[1]}/{split}/{name}/{'ILSVRC2012_val_%08d' % (97 * number % 1000) if split == 'val' else f'{name}_{i}'}.JPEG", c, *(["-grayscale"] if i == 2 else ["-progressive"] if i == 1 else []))
P
V2=imagenetv2-matched-frequency-format-val
prepare() { local to=$1 from=$2; shift 2; timeout 120 "$ALGOPERF" prepare imagenet_resnet --from "$from" --to "$T/to/$to.h5" "$@"; }
digests_of() { h5dump -d "/$2/digest" "$1" | sed -n '/DATA {/,/}/p' | sed 's/.*: //' | tr -d ' \n,'; }
same() { # FILE: its examples are those of a.h5 (the digest is of pixels and class)
  local s
  for s in train validation test; do
    [ "$(digests_of "$T/to/a.h5" $s)" = "$(digests_of "$T/to/$1.h5" $s)" ] || { fail "$1: other $s examples"; return; }
  done
  pass "$1: the same examples"
}
expect 0 "train *132 examples" "$ALGOPERF" prepare imagenet_resnet --from "$T/a" --to "$T/to/a.h5"
expect 0 "on 3 ranks" mpirun -n 3 "$ALGOPERF" prepare imagenet_resnet --from "$T/a" --to "$T/to/ranks.h5"
cmp -s "$T/to/a.h5" "$T/to/ranks.h5" && pass "the same bytes on 3 ranks" || fail "other bytes on 3 ranks"
expect 0 "intact" "$ALGOPERF" prepare imagenet_resnet --check "$T/to/a.h5"

# ---- the other forms
mkdir -p "$T/tars/c" "$T/b" "$T/c/train" "$T/d"
for c in 1 2 3 4; do
  tar -C "$T/a/train/n0$c" -cf "$T/tars/n0$c.tar" $(ls -r "$T/a/train/n0$c")
  cp "$T/tars/n0$c.tar" "$T/c/train/"
done
tar -C "$T/tars" -cf "$T/b/ILSVRC2012_img_train.tar" n03.tar n01.tar n04.tar n02.tar
tar -C "$T/a" -cf "$T/d/train.tar" train
for d in b c; do ln -s "$T/a/val" "$T/$d/val"; done
tar -C "$T/a" --format=pax -cf "$T/d/val.tar" val
tar -C "$T/a" -cf "$T/b/imagenetv2-matched-frequency.tar" $V2
ln -s "$T/a/$V2" "$T/c/test"
ln -s "$T/a/$V2" "$T/d/$V2"
for form in b c d; do prepare $form "$T/$form" >"$T/log" 2>&1 || { fail "form $form"; tail -n 3 "$T/log"; continue; }; same $form; done
mkdir -p "$T/e/heap"
ln -s "$T/a/train" "$T/e/train"
ln -s "$T/a/$V2" "$T/e/test"
cp "$T"/a/val/*/*.JPEG "$T/e/heap/"
for f in $(ls "$T/e/heap"); do basename "$(dirname "$(ls "$T"/a/val/*/"$f")")"; done >"$T/e/imagenet_2012_validation_synset_labels.txt"
tar -C "$T/e/heap" -cf "$T/e/ILSVRC2012_img_val.tar" $(ls -r "$T/e/heap")
rm -r "$T/e/heap"
prepare e "$T/e" >"$T/log" 2>&1 || { fail "a heap"; tail -n 3 "$T/log"; }
sorted() { h5dump -d /validation/digest "$1" | sed -n '/DATA {/,/}/p' | sed 's/.*: //' | tr ',' '\n' | grep -o '[0-9]\{6,\}' | sort; }
[ -n "$(sorted "$T/to/e.h5")" ] && [ "$(sorted "$T/to/e.h5")" = "$(sorted "$T/to/a.h5")" ] &&
  pass "a heap with labels: the same examples" || fail "a heap with labels: other examples"

# ---- what is refused, and that nothing but whole parts is left
bad() { # NAME CODE TEXT OPTIONS...: of the folder $T/w, a copy
  local name=$1 code=$2 text=$3
  shift 3
  expect "$code" "$text" "$ALGOPERF" prepare imagenet_resnet --from "$T/w" --to "$T/to/$name.h5" "$@"
  [ ! -e "$T/to/$name.h5" ] || [ "$code" = 0 ] || fail "$name: a packed file"
  [ -z "$(ls -A "$T/to/$name.h5.parts" 2>/dev/null | grep -v '^0.*part$')" ] || fail "$name: left $(ls -A "$T/to/$name.h5.parts")"
  rm -rf "$T/w" "$T/to/$name.h5.parts"
}
copy() { rm -rf "$T/w"; cp -r "$T/a" "$T/w"; }
copy; truncate -s 700 "$T/w/train/n02/n02_3.JPEG"; bad corrupt 4 "w/train/n02/n02_3.JPEG: damaged JPEG"
copy; printf '\211PNG\r\n\032\n0000' >"$T/w/val/n01/x.JPEG"; bad png 4 "x.JPEG: begins with 89 50 4e, so it is not a JPEG"
copy; : >"$T/w/train/n04/n04_0.JPEG"; bad empty_file 4 "n04_0.JPEG: begins with 00 00 00"
copy; : >"$T/w/train/n04/n04_0.JPEG"; truncate -s 700 "$T/w/val/n02/$(ls "$T/w/val/n02" | head -n 1)"; bad skipped 0 "left out: 2" --skip-bad 2
copy; rm -r "$T/w/val/n03"; bad class_missing 4 'w/val: class "n03" is missing'
copy; mv "$T/w/$V2/3" "$T/w/$V2/4"; bad class_unknown 4 'class "4" has no training images'
copy; rm "$T"/w/train/n02/*; bad class_empty 4 "w/train/n02: the class has no images"
copy; rm -r "$T/w/val"; bad no_split 5 "has no validation images"
copy; rm -r "$T/w/train"; cp "$T/b/ILSVRC2012_img_train.tar" "$T/w/"; truncate -s -20000 "$T/w/ILSVRC2012_img_train.tar"; bad tar_cut 4 "ILSVRC2012_img_train.tar: at byte .* truncated"
copy; rm -r "$T/w/train"; mkdir "$T/w/train"; cp "$T"/tars/*.tar "$T/w/train/"; truncate -s 3000 "$T/w/train/n03.tar"; bad inner_cut 4 "n03.tar: at byte .* truncated"
copy; rm -r "$T/w/train"; gzip -c "$T/b/ILSVRC2012_img_train.tar" >"$T/w/train.tar"; bad compressed 4 "is it compressed"
rm -rf "$T/w"; cp -r "$T/e" "$T/w"; sed -i '$d' "$T/w/imagenet_2012_validation_synset_labels.txt"; bad labels_short 4 "15 labels for 16 images"
rm -rf "$T/w"; cp -r "$T/e" "$T/w"; sed -i '3s/.*/n77/' "$T/w/imagenet_2012_validation_synset_labels.txt"; bad labels_unknown 4 'line 3 is "n77"'

# ---- trained on by both workloads: the same bits on 1 and 2 ranks, and with RandAugment and mixup
prepare small "$T/a" --name synthetic >"$T/log" 2>&1 || fail "another name: $(tail -n 1 "$T/log")"
train() { # LABEL WORKLOAD DATA OPTIONS RANKS
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_steps = 4; eval_every = 2; trials = 1; shards = 4;" \
    "workloads = ( { name = \"$2\"; scale = \"mini\"; data = \"$3\"; options = { $4 }; } );" \
    'submissions = ( { submission = "nadamw"; } );'
  timeout 100 mpirun -n "$5" "$ALGOPERF" run "$T/$1.cfg" >"$T/$1.log" 2>&1
  [ $? -le 1 ] || { fail "training $1"; tail -n 4 "$T/$1.log"; }
  digests "$T/$1/nadamw/study_0/$2/trial_1" >"$T/$1.digests"
}
resnet='base_width = 4; layers = "1,1,1,1"; image_size = 32; classes = 4;'
vit='width = 16; depth = 1; mlp_dim = 24; num_heads = 2; patch_size = "8,8"; image_size = 32; num_classes = 4;'
train r1 imagenet_resnet "$T/to/small.h5" "$resnet" 1
train r2 imagenet_resnet "$T/to/small.h5" "$resnet" 2
train v1 imagenet_vit "$T/to/small.h5" "$vit randaugment = true; mixup_alpha = 0.2;" 1
train v2 imagenet_vit "$T/to/small.h5" "$vit randaugment = true; mixup_alpha = 0.2;" 2
train v0 imagenet_vit "$T/to/small.h5" "$vit" 2
for k in r v; do
  [ "$(wc -l <"$T/${k}1.digests")" -eq 2 ] && cmp -s "$T/${k}1.digests" "$T/${k}2.digests" && pass "$k: the same bits on 1 and 2 ranks" || fail "$k: other bits"
done
cmp -s "$T/v1.digests" "$T/v0.digests" && fail "RandAugment and mixup change nothing"
done_testing
