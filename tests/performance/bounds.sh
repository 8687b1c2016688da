#!/usr/bin/env bash
# Fails if a request costs more, besides the one signature check, than it should: allocations, and
# instructions as valgrind counts them. Neither depends on how busy the machine is.
#
# valgrind offers programs no SHA instructions, so hashing counts for more here than it takes.
set -euo pipefail

MOST_ALLOCATIONS=12
MOST_INSTRUCTIONS=65000

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CARGO_TARGET_DIR=$PWD/target/performance
cargo build --locked --release --manifest-path tests/performance/Cargo.toml \
  --bin allocations --bin instructions
bin=$CARGO_TARGET_DIR/release

"$bin/allocations" "$MOST_ALLOCATIONS"

# count WHAT FUNCTION N: instructions of N calls of FUNCTION.
count() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="$2" \
    "$bin/instructions" aws-lc-rs "$1" "$3" 2>&1 | sed -n 's/.*Collected : //p'
}

# What the first requests cost once falls out of the difference.
per_call() {
  local few many
  few=$(count "$1" "$2" 100) many=$(count "$1" "$2" 300)
  [[ $few -gt 0 && $many -gt $few ]] || {
    echo "valgrind has counted $few and $many instructions" >&2
    return 1
  }
  echo $(((many - few) / 200))
}

raw=$(per_call raw '*performance::Raw::verify*')
layer=$(per_call layer '*performance::call*')
echo "$layer instructions, $raw of them for the signature check, $((layer - raw)) besides"
((layer - raw <= MOST_INSTRUCTIONS)) || {
  echo "that is more than $MOST_INSTRUCTIONS" >&2
  exit 1
}
