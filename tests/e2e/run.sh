#!/usr/bin/env bash
# Runs the end-to-end suite. Usage: run.sh [QUICKSTART-BINARY], or run.sh issuers|glewlwyd [DPOP-BINARY]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
script=test program=quickstart package=quickstart variable=QUICKSTART_BIN
if [[ ${1-} == issuers || ${1-} == glewlwyd ]]; then
  script=test:$1 program=dpop package=dpop-cli variable=DPOP_BIN
  shift
fi
binary=${1:-$here/../../target/debug/$program}
[[ -x $binary ]] || { echo "no program at $binary: run cargo build -p $package" >&2; exit 1; }
binary=$(realpath "$binary")
cd "$here"

# npm writes this file at the end of an install, so an incomplete node_modules counts as missing.
if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
  npm ci --no-audit --no-fund
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
env "$variable=$binary" npm run --silent "$script" | tee "$output"
# The run fails if a test was skipped, or if none ran.
for line in '# pass [1-9][0-9]*' '# skipped 0' '# todo 0'; do
  grep -qx "$line" "$output" || { echo "the summary has no line '$line'" >&2; exit 1; }
done
