#!/usr/bin/env bash
# Builds the book, docs/, into target/book with mdBook, and checks every link in it and in the guides of rustdoc.
#
# Installs mdBook from its crate, unless a program of the same version is on the PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VERSION=0.5.4

root=$PWD/target/mdbook
PATH=$PATH:$root/bin
if [[ $(mdbook --version 2>/dev/null) != "mdbook v$VERSION" ]]; then
  # The debug build takes half a minute, which a release build takes several times.
  CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$root/build cargo install --quiet --locked --debug \
    --root "$root" --no-default-features --features search "mdbook@$VERSION"
  rm -rf "$root/build"
  PATH=$root/bin:$PATH
fi

# mdBook reports what it skips, such as a page that does not exist, as a warning.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
mdbook build docs 2>&1 | tee "$log"
if grep -E '^ *(WARN|ERROR)' "$log"; then
  exit 1
fi
node tests/book/links.mjs target/book
# The same pages are the module `_guide` of the library, where `cargo doc` was run.
node tests/book/links.mjs target/doc/dpop_tower/_guide target/doc
