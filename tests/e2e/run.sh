#!/usr/bin/env bash
# Runs an end-to-end suite. Usage: run.sh [QUICKSTART-BINARY], or run.sh clients|issuers|glewlwyd|proxies [DPOP-BINARY], or
# run.sh playground [PLAYGROUND-BINARY].
# The suite `clients` also needs the programs quickstart and mcp-example in the folder of dpop.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
script=test program=quickstart package="-p quickstart --features josekit" variable=QUICKSTART_BIN
suite=${1-}
if [[ $suite =~ ^(clients|issuers|glewlwyd|proxies)$ ]]; then
  script=test:$suite program=dpop package="-p dpop-cli" variable=DPOP_BIN
  shift
elif [[ $suite == playground ]]; then
  script=test:playground program=playground package="-p playground" variable=PLAYGROUND_BIN
  shift
fi
binary=${1:-$here/../../target/debug/$program}
[[ -x $binary ]] || { echo "no program at $binary: run cargo build $package" >&2; exit 1; }
binary=$(realpath "$binary")
cd "$here"

# npm writes this file at the end of an install, so an incomplete node_modules counts as missing.
if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
  npm ci --no-audit --no-fund
fi

if [[ $suite == clients ]]; then
  export QUICKSTART_BIN=${binary%/*}/quickstart
  export MCP_BIN=${binary%/*}/mcp-example
  [[ -x $MCP_BIN ]] || { echo "no program at $MCP_BIN: run cargo build -p mcp-example" >&2; exit 1; }
  [[ -x $QUICKSTART_BIN ]] || { echo "no program at $QUICKSTART_BIN: run cargo build -p quickstart --features josekit" >&2; exit 1; }
  venv=$(realpath ../..)/target/e2e-tests/venv
  if [[ ! $venv/complete -nt clients/requirements.txt ]]; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r clients/requirements.txt
    touch "$venv/complete"
  fi
  export PYTHON=$venv/bin/python
  # The conformance suite of MCP needs Node.js 22. npm has newer versions than Debian.
  if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 22 ? 0 : 1)'; then
    newer=$(realpath ../..)/target/e2e-tests/node
    [[ -x $newer/node_modules/node/bin/node ]] ||
      npm install --silent --no-audit --no-fund --no-save --prefix "$newer" node@22
    PATH=$newer/node_modules/node/bin:$PATH
  fi
fi

if [[ $suite == proxies ]]; then
  venv=$(realpath ../..)/target/e2e-tests/proxies
  if [[ ! $venv/complete -nt proxies/requirements.txt ]]; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r proxies/requirements.txt
    touch "$venv/complete"
  fi
  export PROXIES_BIN=$venv/bin
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
env "$variable=$binary" npm run --silent "$script" | tee "$output"
# The run fails if a test was skipped, or if none ran.
for line in '# pass [1-9][0-9]*' '# skipped 0' '# todo 0'; do
  grep -qx "$line" "$output" || { echo "the summary has no line '$line'" >&2; exit 1; }
done
