#!/bin/sh
# check_output.sh PROGRAM SOURCE: runs PROGRAM in a directory of its own; it must end with 0. Where SOURCE closes
# with a comment "// Output:", what PROGRAM prints must be the lines that follow it, without their "// ".
set -eu
program=$1 source=$2

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/run"
(cd "$scratch/run" && "$program") > "$scratch/printed" || {
  status=$?
  cat "$scratch/printed"
  echo "$source: the program ended with $status" >&2
  exit 1
}

if grep -q '^// Output:$' "$source"; then
  sed -e '1,/^\/\/ Output:$/d' -e 's,^// \{0\,1\},,' "$source" > "$scratch/expected"
  diff -u --label "$source" --label printed "$scratch/expected" "$scratch/printed"
else
  cat "$scratch/printed"
fi
