#!/bin/sh
# deb.sh BUILD FOLDER COMPILER VERSION: the Debian package made from the BUILD folder, unpacked into FOLDER, is
# found by CMake and pkg-config, and a program compiles with it.
set -eu
for program in cpack cmake dpkg-deb pkg-config; do
  command -v $program > /dev/null || { echo "$program was not found"; exit 77; }
done

here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$2"
mkdir -p "$2/root"
cpack -G DEB --config "$1/CPackConfig.cmake" -B "$2" > "$2/log" || { cat "$2/log"; exit 1; }
package=$2/libburrow-dev_$4_all.deb
dpkg-deb -f "$package" Package Version Architecture Depends
dpkg-deb -f "$package" Depends | grep -q '^libeigen3-dev (>= 3.4)$'
dpkg-deb -x "$package" "$2/root"

outside=$(cd "$2/root" && find . -type f | grep -vE '^./usr/(include|share/(cmake|pkgconfig|doc))/' || true)
if [ -n "$outside" ]; then
  echo "these files are in no place of a library of headers: $outside"
  exit 1
fi

cmake -S "$here/find_package" -B "$2/consumer" -DCMAKE_PREFIX_PATH="$2/root/usr" -DEXPECTED_VERSION="$4" \
  -DCMAKE_CXX_COMPILER="$3" > "$2/log" || { cat "$2/log"; exit 1; }
grep -q "burrow_DIR.*$2/root/usr/share/cmake/burrow" "$2/consumer/CMakeCache.txt"
sh "$here/pkg_config.sh" "$2/root/usr/share/pkgconfig" "$3"
