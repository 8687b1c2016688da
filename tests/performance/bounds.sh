#!/usr/bin/env bash
# Fails if a request exceeds its limits, apart from the one signature check. The limits are allocations, and
# instructions as valgrind counts them. Neither depends on how busy the machine is.
#
# valgrind does not offer SHA instructions, so hashing weighs more here than in reality.
set -euo pipefail

MOST_ALLOCATIONS=11
MOST_INSTRUCTIONS=58000
# With 100 issuers in place of one. It is less than a microsecond.
MOST_INSTRUCTIONS_FOR_ISSUERS=1000

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CARGO_TARGET_DIR=$PWD/target/performance
cargo build --locked --release --manifest-path tests/performance/Cargo.toml \
  --bin allocations --bin instructions
bin=$CARGO_TARGET_DIR/release

"$bin/allocations" "$MOST_ALLOCATIONS"

# count WHAT FUNCTION N: prints the number of instructions of N calls of FUNCTION.
count() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="$2" \
    "$bin/instructions" aws-lc-rs "$1" "$3" 2>&1 | sed -n 's/.*Collected : //p'
}

# The difference excludes the one-time costs of the first requests.
per_call() {
  local few many
  few=$(count "$1" "$2" 100) many=$(count "$1" "$2" 300)
  [[ $few -gt 0 && $many -gt $few ]] || {
    echo "unexpected instruction counts: $few and $many" >&2
    return 1
  }
  echo $(((many - few) / 200))
}

raw=$(per_call raw '*performance::Raw::verify*')
layer=$(per_call layer '*performance::call*')
echo "$layer instructions, $raw of them for the signature check, $((layer - raw)) for the rest"
((layer - raw <= MOST_INSTRUCTIONS)) || {
  echo "the limit for the rest is $MOST_INSTRUCTIONS" >&2
  exit 1
}

issuers=$(per_call issuers '*performance::call*')
echo "$((issuers - layer)) instructions more with 100 issuers than with one"
((issuers - layer <= MOST_INSTRUCTIONS_FOR_ISSUERS)) || {
  echo "the limit with 100 issuers is $MOST_INSTRUCTIONS_FOR_ISSUERS" >&2
  exit 1
}
