#!/bin/sh
# reference.sh DOXYFILE FOLDER: Doxygen reads every header without a complaint, and every public name has a
# comment. Ends with 77 where Doxygen is not found.
set -eu
command -v doxygen > /dev/null || { echo 'doxygen was not found'; exit 77; }

here=$(dirname "$0")
rm -rf "$2"
mkdir -p "$2"
{
  cat "$1"
  echo "OUTPUT_DIRECTORY = $2"
  echo 'GENERATE_HTML = NO'
  echo 'GENERATE_XML = YES'
  echo 'XML_PROGRAMLISTING = NO'
  echo 'EXTRACT_ALL = YES'
  echo 'HIDE_UNDOC_MEMBERS = NO'
} | doxygen -
awk -f "$here/undocumented.awk" "$2"/xml/*.xml
