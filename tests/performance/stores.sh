#!/usr/bin/env bash
# Measures a node over HTTP with its replay store in memory, in Redis and in PostgreSQL, side by side:
# `stores.sh [ROUNDS [REQUESTS]]`. It takes a few minutes, and needs two processors, Redis and PostgreSQL.
#
# It starts the databases, and stops them. The results go to DPOP_RESULTS.
set -euo pipefail

rounds=${1:-5} requests=${2:-20000}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CARGO_TARGET_DIR=$PWD/target/performance
cargo build --locked --release --manifest-path tests/performance/Cargo.toml \
  --features stores --bin server --bin stores
"$CARGO_TARGET_DIR/release/stores" "$rounds" "$requests"
