#!/usr/bin/env bash
# Runs every fuzz target of the tree for FUZZTIME (30s by default) each.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-30s}
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# once fuzzes one target. Inputs that are merely interesting are not made small at length: the
# time is for new ones.
once() {
  go test "./$1" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 50x </dev/null 2>&1 | tee "$said"
}

# late tells a run that found nothing, but was told to be late: Go 1.26 can take the end of
# -fuzztime for a failure (golang/go issue 75804). A finding names its input, or panics.
late() {
  grep -q '^ *context deadline exceeded$' "$said" && ! grep -qE 'Failing input|panic|fatal error|DATA RACE' "$said"
}

grep -rlE '^func Fuzz' --include='*_test.go' internal | sort | while read -r file; do
  for target in $(grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | awk '{print $2}'); do
    echo "== ${file%/*} $target $time"
    once "${file%/*}" "$target" && continue
    late || exit 1
    echo "== once more"
    once "${file%/*}" "$target" || exit 1
  done
done
