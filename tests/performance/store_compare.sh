#!/usr/bin/env bash
# Measures the in-memory replay store of this working tree beside that of another revision, with batches that
# alternate: `store_compare.sh REVISION [LIVE...]`. It prints nanoseconds and instructions of an insertion.
#
# valgrind counts the instructions with fewer entries, since it is slow.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
revision=$1
shift
[[ $# -gt 0 ]] || set -- 1000000 10000000
export CARGO_TARGET_DIR=$PWD/target/performance
other=$CARGO_TARGET_DIR/other
results=$CARGO_TARGET_DIR/compared

# The other revision is measured with this version of the program.
rm -rf "$other" "$results"
mkdir -p "$other" "$results"
git archive "$revision" | tar -x -C "$other"
rm -rf "$other/tests/performance"
cp -r tests/performance "$other/tests/performance"

build() {
  cargo build --release --manifest-path "$1/tests/performance/Cargo.toml" \
    --bin store --bin store_batches --bin store_compare
  cp "$CARGO_TARGET_DIR/release/store" "$results/store-$2"
  cp "$CARGO_TARGET_DIR/release/store_batches" "$results/$2"
}
build "$other" "before"
build . "now"

for live in "$@"; do
  for clients in 100 "$live"; do
    "$CARGO_TARGET_DIR/release/store_compare" "$results/before" "$results/now" "$live" "$clients"
  done
done

# count VERSION CLIENTS BATCHES: prints the number of instructions of the insertions.
count() {
  seq 1 "$3" | sed 's/.*/1/' | valgrind --tool=callgrind --callgrind-out-file=/dev/null \
    --toggle-collect='*traffic::insert*' "$results/$1" 100000 "$2" 2>&1 >/dev/null | sed -n 's/.*Collected : //p'
}

for clients in 100 100000; do
  for version in before now; do
    few=$(count "$version" "$clients" 1) many=$(count "$version" "$clients" 21)
    echo "100000 live, $clients clients, $version: $(((many - few) / 200000)) instructions"
  done
done
