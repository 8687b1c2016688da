# The commands of this repository. `tests/run.sh` runs them all, and installs what they need.

# Lists the commands.
default:
    @just --list --unsorted

# Runs every check and test, as CI does. Installs what is missing if it has permission.
test:
    ./tests/run.sh

# Runs the tests of the workspace whose names contain one of the arguments.
unit *filter:
    cargo test --locked --workspace --all-features --no-fail-fast {{ filter }}

# Checks the formatting and the lints of all crates.
lint:
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

# `vendored` has an effect only with `josekit`: it builds OpenSSL instead of looking for its headers.
hack := "cargo hack --features vendored clippy --quiet --locked -p dpop-tower --lib"

# Checks the library with each feature alone, and with each combination of those that share code.
features:
    {{ hack }} --each-feature --exclude-all-features -- -D warnings
    {{ hack }} --feature-powerset --depth 2 --include-features axum,lifetime,metrics,tonic \
        --exclude-no-default-features -- -D warnings
    {{ hack }} --feature-powerset --depth 2 --include-features aws-lc-rs,introspection,josekit,jwks \
        --exclude-no-default-features -- -D warnings
    {{ hack }} --feature-powerset --depth 2 --include-features postgres-native-tls,postgres-rustls,redis \
        --exclude-no-default-features -- -D warnings
    {{ hack }} --feature-powerset --depth 3 --include-features aws-lc-rs,josekit,redis \
        --exclude-no-default-features -- -D warnings

# Checks the licences, the sources and the bans of all dependencies; see deny.toml.
deny:
    cargo deny --locked check licenses bans sources

# Checks the licences and sources, and the database of advisories, which has to be fetched.
advisories:
    cargo deny --locked check

# Checks the spelling; see typos.toml.
spelling:
    typos

# Builds the book into target/book and checks its links. Installs mdBook under target/ and needs Node.js.
book: doc
    tests/book.sh

# Packs the two packages. Each `option` is one of `cargo package`.
package *option="--no-verify":
    cargo package --locked --allow-dirty -p dpop-tower -p dpop-cli {{ option }}

# Compares the API with that of the latest release, or of a revision. Needs cargo-semver-checks.
semver *revision:
    cargo semver-checks -p dpop-tower --all-features {{ if revision == "" { "" } else { "--baseline-rev " + revision } }}

# Lists types of other crates in the API that are not allowed. Needs cargo-check-external-types and a nightly compiler.
external-types:
    cargo +nightly check-external-types --manifest-path dpop-tower/Cargo.toml --all-features

# Writes the components of `dpop` to target/dpop.cdx.json, as CycloneDX. Needs cargo-cyclonedx.
sbom:
    cargo cyclonedx --manifest-path dpop-tower/cli/Cargo.toml --format json --spec-version 1.5 --describe binaries
    mv dpop-tower/cli/dpop_bin.cdx.json target/dpop.cdx.json
    # The tool writes one for each program of the workspace.
    git clean -q -f -- '*_bin.cdx.json'

# Builds the documentation. A broken link is an error.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --all-features

# Runs the end-to-end tests, with the issuer and the clients of other projects.
e2e:
    cargo build --locked -p quickstart -p dpop-cli --features quickstart/josekit
    tests/e2e/run.sh target/debug/quickstart
    tests/e2e/run.sh tests/e2e/gateway.mjs
    tests/e2e/run.sh issuers target/debug/dpop

# Runs the clients of other projects, and `dpop` against their servers. Needs Apache's mod_oauth2 and Python.
clients:
    cargo build --locked -p quickstart -p dpop-cli --features quickstart/josekit
    tests/e2e/run.sh clients target/debug/dpop

# Runs the end-to-end tests with Glewlwyd, which has to be installed.
glewlwyd:
    cargo build --locked -p dpop-cli
    tests/e2e/run.sh glewlwyd target/debug/dpop

# Checks the example stores, on nats-server and dynalite, which have to be installed.
stores:
    tests/stores.sh nats
    tests/stores.sh dynamodb

# Runs the gRPC clients of other languages.
grpc:
    cargo build --locked -p grpc-example
    tests/grpc/run.sh target/debug/orders-server

# Runs every fuzz target, or the named ones, for this many seconds each. Needs a nightly compiler.
fuzz seconds="60" *targets:
    dpop-tower/fuzz/run.sh {{ seconds }} {{ targets }}

# Measures everything and draws the plots, which takes about a quarter of an hour.
bench:
    tests/performance/run.sh

# Checks that a request stays within its limits of allocations and instructions.
bounds:
    tests/performance/bounds.sh

# Runs the gateway and an axum service under mixed load while their neighbours fail, and plots what they take.
soak seconds="3600" *dpop:
    tests/performance/soak.sh {{ seconds }} {{ dpop }}
