#!/usr/bin/env bash
# Checks the files in examples/gateway/deploy. Usage: run.sh systemd|kubernetes [DPOP-BINARY].
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
files=$root/examples/gateway/deploy
dpop=$(realpath "${2:-$root/target/debug/dpop}")
[[ -x $dpop ]] || { echo "no program at $dpop: run cargo build -p dpop-cli" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

# checked FILE: checks a file of the gateway, which must not have a warning.
checked() {
  local told
  told=$("$dpop" gateway check "$1" 2>&1) || { echo "$told" >&2; return 1; }
  [[ $told != *warning* ]] || { echo "$told" >&2; return 1; }
  grep "^policy of " <<<"$told"
}

nonces="current = $(head -c 32 /dev/urandom | base64)"

systemd() {
  local unit=$files/dpop-gateway.service
  # The unit names the installed program, which has to exist.
  sed "s#/usr/bin/dpop#$dpop#" "$unit" >"$folder/dpop-gateway.service"
  # What is wrong with other units of this machine is no matter.
  ! systemd-analyze verify --man=no --recursive-errors=no "$folder/dpop-gateway.service" 2>&1 | grep .
  # From 0, which is the least exposure, to 100.
  systemd-analyze security --offline=true --no-pager --threshold=15 "$unit"
  echo "$nonces" >"$folder/nonces"
  sed "s#/run/credentials/dpop-gateway.service#$folder#" "$files/gateway.toml" >"$folder/gateway.toml"
  checked "$folder/gateway.toml"
}

kubernetes() {
  local venv=$root/target/deploy-tests/venv
  if [[ ! $venv/complete -nt $root/tests/deploy/requirements.txt ]]; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$root/tests/deploy/requirements.txt"
    touch "$venv/complete"
  fi
  "$venv/bin/kubernetes-validate" --strict --kubernetes-version 1.37 "$files/kubernetes.yaml"
  "$venv/bin/python" "$root/tests/deploy/kubernetes.py" "$files/kubernetes.yaml" "$folder"
  # A gateway with the values of the file does not start.
  if "$dpop" gateway check "$folder/gateway.toml" >"$folder/told" 2>&1; then
    echo "the placeholder was taken as a secret" >&2
    return 1
  fi
  grep -q "nonces.secrets_file: line 1" "$folder/told" || { cat "$folder/told" >&2; return 1; }
  echo "$nonces" >"$folder/nonces"
  checked "$folder/gateway.toml"
}

case ${1-} in
  systemd | kubernetes) "$1" ;;
  *) echo "usage: run.sh systemd|kubernetes [DPOP-BINARY]" >&2; exit 2 ;;
esac
