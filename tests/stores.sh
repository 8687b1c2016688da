#!/usr/bin/env bash
# Checks an example store: formatting, lints, and the contract of replay stores on a real server.
# Usage: stores.sh nats|dynamodb
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../examples/store-$1"

# Apart from the workspace, whose crates have other versions.
export CARGO_TARGET_DIR=../../target/stores

# npm writes this file at the end of an install, so an incomplete node_modules counts as missing.
if [[ -f package.json && ! node_modules/.package-lock.json -nt package-lock.json ]]; then
  npm ci --no-audit --no-fund
fi
cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings
cargo test --locked --no-fail-fast
