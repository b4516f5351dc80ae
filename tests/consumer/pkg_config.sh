#!/bin/sh
# pkg_config.sh FOLDER COMPILER: a program compiles with what pkg-config says of the burrow.pc in FOLDER.
set -eu
command -v pkg-config > /dev/null || exit 77

flags=$(PKG_CONFIG_PATH=$1 pkg-config --cflags --libs burrow)
echo "pkg-config says: $flags"
# shellcheck disable=SC2086  # the flags are words
"$2" -std=c++20 -fsyntax-only "$(dirname "$0")/main.cpp" $flags
