#!/bin/sh
# every_case.sh PROGRAM FOLDER: ctest, which reads the cases of the test PROGRAM from a file in FOLDER, knows as many
# as it has. CMake loses cases whose names hold brackets or semicolons, and all of a program that refuses to list them.
set -eu
program=$1 folder=$2

known=$(cat "$folder/$(basename "$program")"_tests-*.cmake | grep -c '^add_test' || true)
# The program's exit code is the number of its cases.
cases=$("$program" --list-test-names-only '~[.]' 2>&1 | grep -c . || true)
if [ "$known" -eq 0 ] || [ "$known" -ne "$cases" ]; then
  echo "ctest knows $known cases of $program, which lists $cases:" >&2
  "$program" --list-test-names-only '~[.]' 2>&1 | grep -E 'error|[][;]' >&2 || true
  exit 1
fi
