#!/usr/bin/env bash
# Runs every fuzz target of the tree for FUZZTIME (30s by default) each.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-30s}
grep -rlE '^func Fuzz' --include='*_test.go' internal | sort | while read -r file; do
  for target in $(grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | awk '{print $2}'); do
    echo "== ${file%/*} $target $time"
    go test "./${file%/*}" -run '^$' -fuzz "^${target}\$" -fuzztime "$time" </dev/null
  done
done
