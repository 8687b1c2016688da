#!/usr/bin/env bash
# Runs the end-to-end suite. Usage: run.sh [QUICKSTART-BINARY]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=${1:-$here/../../target/debug/quickstart}
[[ -x $binary ]] || { echo "no program at $binary: run cargo build -p quickstart" >&2; exit 1; }
binary=$(realpath "$binary")
cd "$here"

# npm writes this file at the end of an install, so an incomplete node_modules counts as missing.
if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
  npm ci --no-audit --no-fund
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
QUICKSTART_BIN=$binary npm test --silent | tee "$output"
# The run fails if a test was skipped, or if none ran.
for line in '# pass [1-9][0-9]*' '# skipped 0' '# todo 0'; do
  grep -qx "$line" "$output" || { echo "the summary has no line '$line'" >&2; exit 1; }
done
