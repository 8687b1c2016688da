#!/usr/bin/env bash
# `soak.sh [SECONDS [DPOP]]`: the gateway and an axum service under mixed load, an hour unless told otherwise. Builds the
# gateway unless a program is given. Needs Redis and openssl.
#
# The table, the plot and the summary go to target/performance/soak; docs/performance.md describes them.
set -euo pipefail

seconds=${1:-3600}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dpop=${2:+$(realpath "$2")}
export CARGO_TARGET_DIR=$PWD/target/performance
# The features and the profile of bounds.sh, so that only this program is built anew after it.
cargo build --locked --release --manifest-path tests/performance/Cargo.toml --bin soak
if [[ -z $dpop ]]; then
  cargo build --locked --release -p dpop-cli --no-default-features --features aws-lc-rs
  dpop=$CARGO_TARGET_DIR/release/dpop
fi
"$CARGO_TARGET_DIR/release/soak" "$dpop" "$seconds" "$CARGO_TARGET_DIR/soak"
