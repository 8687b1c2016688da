//! The commands of a client, run as a program against services on real sockets.

mod keys;
mod logins;
mod proofs;
mod redirects;
mod requests;
mod tokens;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use axum::Router;
use dpop_tower::{
    DpopConfig, DpopLayer, Policy, PublicOrigin,
    jwk::Thumbprint,
    test_util::{TestIssuer, TokenBuilder},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::mirror;

/// What a program printed, and how it ended.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// Expects this exit code, and these parts on the standard error.
    #[track_caller]
    fn failed(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} in {self:#?}");
        }
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{self:#?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// Runs the program without the environment of the test, but with these variables.
fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_dpop"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
        .into()
}

fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, &[])
}

/// A folder with a key and a token for it, and the service that accepts the token.
struct Scene {
    folder: TempDir,
    issuer: TestIssuer,
    key: String,
    thumbprint: Thumbprint,
    url: String,
}

impl Scene {
    async fn new<S>(policy: Policy<S>) -> Self {
        Self::with(policy, mirror()).await
    }

    /// Serves this router behind the layer.
    async fn with<S>(policy: Policy<S>, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = TestIssuer::new();
        let origin = PublicOrigin::new(&url).unwrap();
        let config = DpopConfig::builder(origin, issuer.tokens()).policy(policy);
        let layer = DpopLayer::new(config.build().unwrap());
        let router = router.layer(layer);
        tokio::spawn(async move { axum::serve(listener, router).await });

        let folder = TempDir::new().unwrap();
        let key = folder.path().join("key.json");
        let key = key.to_str().unwrap().to_owned();
        run(&["key", "new", "--out", &key]).succeeded();
        let thumbprint = run(&["key", "thumbprint", &key]).succeeded().stdout;
        let scene = Self {
            folder,
            issuer,
            key,
            thumbprint: thumbprint.trim().parse().unwrap(),
            url,
        };
        scene.write_token(&scene.token().mint());
        scene
    }

    fn token(&self) -> TokenBuilder {
        let token = self.issuer.token().subject("alice").scope("f1:read");
        token.bound_to_thumbprint(&self.thumbprint)
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    fn write_token(&self, token: &str) {
        write_secret(&self.token_file(), token);
    }

    /// Runs `dpop request` with the key and the token.
    async fn request(&self, path: &str, further: &[&str]) -> Ran {
        let token_file = self.token_file();
        let url = format!("{}{path}", self.url);
        let mut arguments = vec!["request", &url, "--key", &self.key];
        arguments.extend(["--token-file", token_file.to_str().unwrap()]);
        arguments.extend(further);
        self.run(&arguments).await
    }

    /// Runs the program while the service answers.
    async fn run(&self, arguments: &[&str]) -> Ran {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run(&arguments)
        })
        .await
        .unwrap()
    }
}

/// Writes a file that only its owner can read.
fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn completions_and_manual_pages_cover_all_commands() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "fish", "zsh"] {
        let script = run(&["completions", shell]).succeeded().stdout;
        assert!(script.contains("token-file"), "{shell}");
    }
    let page = run(&["man"]).succeeded().stdout;
    assert!(
        page.contains(".TH dpop") && page.contains("Exit codes"),
        "{page}"
    );
    let out = folder.path().to_str().unwrap();
    run(&["man", "--out", out]).succeeded();
    for page in ["dpop.1", "dpop-key-new.1", "dpop-request.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
    run(&["completions", "no-such-shell"]).failed(2, &["bash"]);
}
