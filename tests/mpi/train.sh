#!/bin/sh
# train.sh GOPHER MPIRUN: under mpirun one process trains and leaves a checkpoint; two are refused in one sentence,
# since training is not distributed.
set -eu
gopher=$1 mpirun=$2
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat README.md docs/guide/*.md > "$folder/text"

train() {
  "$mpirun" --oversubscribe -n "$1" "$gopher" train --data "$folder/text" --layers 1 --width 16 --heads 2 \
    --head-width 8 --vocabulary 320 --context 16 --steps 2 --run "$folder/run$1" > "$folder/log$1" 2>&1
}

if ! train 1; then
  cat "$folder/log1" >&2
  echo 'one process under mpirun does not train' >&2
  exit 1
fi
ls "$folder"/run1/checkpoints/* > /dev/null
if train 2; then
  echo 'two processes train, each for itself' >&2
  exit 1
fi
grep -q 'one of 2 processes' "$folder/log2"
