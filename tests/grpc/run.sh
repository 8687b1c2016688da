#!/usr/bin/env bash
# Runs the gRPC suite. Usage: run.sh [SERVER-BINARY]. The example client has to be next to it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
server=${1:-$root/target/debug/orders-server}
client=$(dirname "$server")/orders-client
for program in "$server" "$client"; do
  [[ -x $program ]] || { echo "no program at $program: run cargo build -p grpc-example" >&2; exit 1; }
done
ORDERS_SERVER_BIN=$(realpath "$server")
ORDERS_CLIENT_BIN=$(realpath "$client")
export ORDERS_SERVER_BIN ORDERS_CLIENT_BIN

# npm writes this file at the end of an install, so an incomplete node_modules counts as missing.
for suite in "$here/../e2e" "$here"; do
  if [[ ! $suite/node_modules/.package-lock.json -nt $suite/package-lock.json ]]; then
    # No package here needs its install scripts.
    npm ci --no-audit --no-fund --ignore-scripts --prefix "$suite"
  fi
done

venv=$root/target/grpc-tests/venv
if [[ ! $venv/complete -nt $here/python/requirements.txt ]]; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/python/requirements.txt"
  touch "$venv/complete"
fi
export ORDERS_STUBS=$root/target/grpc-tests/stubs
rm -rf "$ORDERS_STUBS"
mkdir -p "$ORDERS_STUBS"
"$venv/bin/python" -m grpc_tools.protoc -I "$root/examples/grpc/proto" \
  --python_out="$ORDERS_STUBS" --grpc_python_out="$ORDERS_STUBS" orders.proto

output=$(mktemp)
trap 'rm -f "$output"' EXIT
# Both suites run, even if the first fails. A suite fails if a test was skipped, or if none ran.
status=0
run() {
  "$@" | tee "$output" || status=1
  for line in '# pass [1-9][0-9]*' '# skipped 0'; do
    grep -qx "$line" "$output" || { echo "the summary has no line '$line'" >&2; status=1; }
  done
}
cd "$here"
run npm test --silent
run "$venv/bin/python" -B python/orders_test.py
exit "$status"
