#!/bin/sh
# faults.sh PROGRAM MPIRUN: when one of three ranks fails, all end within seconds, and a message names it.
set -eu
program=$1 mpirun=$2
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

ends_with() {  # how, and what the messages say
  started=$(date +%s)
  if timeout --kill-after 5 60 "$mpirun" --oversubscribe --bind-to none -n 3 "$program" "$1" > "$log" 2>&1; then
    echo "$1: all ranks end well"
    failed=1
  fi
  seconds=$(($(date +%s) - started))
  if [ "$seconds" -gt 15 ]; then
    echo "$1: it took $seconds s until all had ended, after these messages:"
    cat "$log"
    failed=1
  fi
  if ! grep -q "$2" "$log"; then
    echo "$1: nothing says '$2', but:"
    cat "$log"
    failed=1
  fi
}

ends_with throw 'rank 1 of 3, on .*, ends all ranks: the disk is full'
ends_with caught 'caught: the disk is full'
ends_with caught 'rank 1 of 3, on .*, ends all ranks: it exits while others may wait for it'
ends_with exit 'rank 1 of 3, on .*, ends all ranks: it exits while others may wait for it'
ends_with kill 'process rank 1 .* exited on signal 9'
ends_with late 'all_reduce: rank [02] has waited 1 s in vain for rank 1 \['
ends_with split 'split: rank [02] has waited 1 s in vain for rank 1 \[faults.cpp:[0-9]*\]'
ends_with differ 'rank 1 calls all_reduce (max) of 7 float \[faults.cpp:[0-9]*\]; rank 0 and others call all_reduce (sum) of 8 float \[faults.cpp:[0-9]*\]'
export BURROW_COLLECTIVE_TIMEOUT=2
ends_with absent 'point_to_point: rank 0 has waited 2 s in vain for rank 1 \['
exit $failed
