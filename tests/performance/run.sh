#!/usr/bin/env bash
# Measures everything in docs/performance.md, draws its plots, and prints the tables. It takes about half
# an hour, most of it for building. Nothing else should run meanwhile.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CARGO_TARGET_DIR=$PWD/target/performance
results=$CARGO_TARGET_DIR/results
rm -rf "$results"
export DPOP_RESULTS=$results

cargo build --locked --release --features josekit --manifest-path tests/performance/Cargo.toml
bin=$CARGO_TARGET_DIR/release

title() { printf '\n=== %s\n' "$1"; }

title "a request beside one signature check"
"$bin/targets"
title "a client's request beside one signature"
"$bin/client"
title "the replay store"
"$bin/store"
title "what a request allocates"
"$bin/allocations"
title "each stage"
cargo bench --locked -p dpop-tower --no-default-features --features aws-lc-rs,josekit,test-util \
  --bench stages
cp -r "$CARGO_TARGET_DIR/criterion" "$results/criterion"
title "over HTTP, beside other software"
tests/performance/http.sh
title "over HTTP, with each replay store"
tests/performance/stores.sh

"$bin/plot" "$results" docs/performance
