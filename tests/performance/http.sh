#!/usr/bin/env bash
# Measures servers over HTTP, and verifications in one process: `http.sh [ROUNDS [REQUESTS]]`. It takes a few
# minutes, and needs two processors and Node.js. Measuring Apache also needs Debian's packages of it.
#
# Each program stops the processes that it starts. The results go to DPOP_RESULTS.
set -euo pipefail

rounds=${1:-5} requests=${2:-20000}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CARGO_TARGET_DIR=$PWD/target/performance
cargo build --locked --release --manifest-path tests/performance/Cargo.toml \
  --features josekit,peers --bin http --bin server --bin peers
npm ci --no-fund --no-audit --silent --prefix tests/performance/peers/express

servers=(bare aws-lc-rs josekit huskarl dpop-verifier express)
if [[ ! -e /usr/lib/apache2/modules/mod_oauth2.so ]] && command -v apt-get >/dev/null && [[ $(id -u) = 0 ]]; then
  apt-get install --yes --no-install-recommends apache2 libapache2-mod-oauth2
fi
if [[ -e /usr/lib/apache2/modules/mod_oauth2.so ]]; then
  servers+=(mod_oauth2)
else
  echo "Apache is not measured: mod_oauth2 is not installed" >&2
fi

"$CARGO_TARGET_DIR/release/peers"
"$CARGO_TARGET_DIR/release/http" "$rounds" "$requests" "${servers[@]}"
