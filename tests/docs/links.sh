#!/bin/sh
# links.sh: every relative link of the documentation leads to a file, every page of docs/ is linked from
# docs/README.md, and files of the project that pages name exist. Runs in the top folder.
set -eu
pages="README.md CHANGELOG.md $(find docs examples -name '*.md' | sort)"

complaints=$(
  for page in $pages; do
    folder=$(dirname "$page")
    # Code is left out: `f[i](x)` looks like a link.
    awk '/^ *```/ { code = !code; next } !code { gsub(/`[^`]*`/, ""); print }' "$page" |
      grep -oE '\]\([^)]+\)' | sed -e 's/^](//' -e 's/[)#].*//' | sort -u |
      while read -r link; do
        case $link in '' | http*) continue ;; esac
        [ -e "$folder/$link" ] || echo "$page: no file $link"
      done
    sed -e "s,build/[^ ]*,,g" "$page" |
      grep -oE "\\b(include/burrow|gopher_model|tests|scripts|examples|cmake)/[A-Za-z0-9_./]*[A-Za-z0-9_]" | sort -u |
      while read -r file; do [ -e "$file" ] || echo "$page: no file $file"; done
  done
  for page in $(find docs -name '*.md' ! -path docs/README.md); do
    grep -qF "](${page#docs/}" docs/README.md || echo "docs/README.md: no link to $page"
  done
)
[ -z "$complaints" ] || { echo "$complaints"; exit 1; }
