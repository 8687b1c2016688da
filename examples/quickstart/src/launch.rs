//! Builds and runs the quickstart with the OpenSSL that is at hand.
//!
//! Features of a dependency cannot depend on what is installed, and a build script comes too late to change them. This
//! program has no dependencies, so it is built in a second. It asks pkg-config for the headers of OpenSSL, and builds
//! the quickstart with the system's OpenSSL if they are there. Otherwise OpenSSL is built from source, which takes
//! longer and needs a C compiler, make and perl.
//!
//! With `--features aws-lc-rs` there is no OpenSSL. The replay stores in databases are built only if
//! `DPOP_REPLAY_STORE` names one.

use std::{
    env,
    ffi::OsString,
    process::{Command, ExitCode, Stdio},
};

/// What the `openssl` crate needs, with Ed25519.
const OLDEST_OPENSSL: &str = "1.1.1";

/// Set to anything but `0`, it makes `openssl-sys` look for the system's OpenSSL.
const NO_VENDOR: &str = "OPENSSL_NO_VENDOR";

fn main() -> ExitCode {
    let needs_openssl = cfg!(not(feature = "aws-lc-rs")) || cfg!(feature = "josekit");
    // Who sets the variable has decided.
    let is_found = needs_openssl && env::var_os(NO_VENDOR).is_none() && has_openssl();
    let store = env::var("DPOP_REPLAY_STORE").unwrap_or_default();
    let features = features(needs_openssl, &store);
    eprintln!(
        "quickstart: building with {}",
        told(needs_openssl, is_found)
    );

    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.args(["run", "--bin", "quickstart", "--features", features]);
    cargo.args([
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    if cfg!(not(debug_assertions)) {
        cargo.arg("--release");
    }
    if is_found {
        cargo.env(NO_VENDOR, "1");
    }
    cargo.arg("--").args(env::args_os().skip(1));
    run(cargo)
}

fn has_openssl() -> bool {
    let mut pkg_config = Command::new("pkg-config");
    pkg_config
        .arg(format!("--atleast-version={OLDEST_OPENSSL}"))
        .arg("openssl");
    let status = pkg_config
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn features(needs_openssl: bool, store: &str) -> &'static str {
    let needs_database = !matches!(store, "" | "memory");
    match (needs_openssl, needs_database) {
        (true, false) => "josekit",
        (true, true) => "josekit-stores",
        (false, false) => "aws-lc-rs",
        (false, true) => "aws-lc-rs-stores",
    }
}

fn told(needs_openssl: bool, is_found: bool) -> &'static str {
    match (needs_openssl, is_found) {
        (true, true) => "the system's OpenSSL, which pkg-config has found",
        (true, false) if env::var_os(NO_VENDOR).is_some() => "OpenSSL as OPENSSL_NO_VENDOR says",
        (true, false) => {
            "OpenSSL from source, because pkg-config does not find its headers (Debian's packages libssl-dev and \
             pkg-config)"
        }
        (false, _) => "AWS-LC",
    }
}

/// Becomes cargo, so that it gets the signals of this program.
#[cfg(unix)]
fn run(mut cargo: Command) -> ExitCode {
    use std::os::unix::process::CommandExt as _;

    let error = cargo.exec();
    eprintln!("quickstart: cannot run cargo: {error}");
    ExitCode::FAILURE
}

#[cfg(not(unix))]
fn run(mut cargo: Command) -> ExitCode {
    match cargo.status() {
        Ok(status) => match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(code) => ExitCode::from(code),
            None => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("quickstart: cannot run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_built_only_for_a_store_in_one() {
        for (store, openssl, aws_lc) in [
            ("", "josekit", "aws-lc-rs"),
            ("memory", "josekit", "aws-lc-rs"),
            ("redis://127.0.0.1", "josekit-stores", "aws-lc-rs-stores"),
            (
                "postgres://127.0.0.1/a",
                "josekit-stores",
                "aws-lc-rs-stores",
            ),
        ] {
            assert_eq!(features(true, store), openssl);
            assert_eq!(features(false, store), aws_lc);
        }
    }
}
