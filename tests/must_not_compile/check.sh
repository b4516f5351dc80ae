#!/bin/sh
# check.sh FILE COMPILER FLAGS...: COMPILER must refuse FILE. FILE begins with one or more lines
#   // expect: TEXT            or, where compilers word it differently,
#   // expect g++: TEXT        // expect clang++: TEXT
# and the compiler's first error must contain every TEXT and lead to a line of FILE.
set -eu
file=$1 compiler=$2
shift 2
compiler_name=$(basename "$compiler")

if "$compiler" --version | grep -q clang; then
  family='clang++' stop_at_first=-ferror-limit=1
else
  family='g++' stop_at_first=-fmax-errors=1
fi

fail() {
  printf '%s: %s\n\nWhat %s printed:\n%s\n' "$file" "$1" "$compiler_name" "$output" >&2
  exit 1
}

if output=$(LC_ALL=C "$compiler" -fsyntax-only "$stop_at_first" "$@" "$file" 2>&1); then
  fail 'compiles, but it must not'
fi
error=$(printf '%s\n' "$output" | grep -m 1 'error: ') || fail 'the compiler failed without an error message'

expected=$(sed -n -e '/^\/\/ expect/!q' -e 's,^// expect: ,,p' -e "s,^// expect $family: ,,p" "$file")
[ -n "$expected" ] || fail 'its first line must be "// expect: TEXT"'
printf '%s\n' "$expected" | while IFS= read -r text; do
  case $error in
    *"$text"*) ;;
    *) fail "the first error does not contain: $text" ;;
  esac
done

printf '%s\n' "$output" | grep -q "^$file:[0-9]" || fail 'the error does not lead to a line of this file'
