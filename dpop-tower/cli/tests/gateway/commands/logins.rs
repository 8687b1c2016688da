//! `dpop token` with a user, who has a browser.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr, Command, Stdio},
};

use dpop_conformance::authorization_server::Settings;
use http::header;
use serde_json::Value;

use super::{Ran, tokens::Both};

/// A running `dpop token`. It ends with the test.
struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    told: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dpop"))
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stderr,
            told: String::new(),
        }
    }

    /// Returns the first URL that it prints.
    fn url(&mut self) -> String {
        loop {
            let mut line = String::new();
            let len = self.stderr.read_line(&mut line).unwrap();
            assert!(len > 0, "no URL after {}", self.told);
            self.told.push_str(&line);
            if let Some(url) = line
                .split_whitespace()
                .find(|word| word.starts_with("http"))
            {
                return url.to_owned();
            }
        }
    }

    fn end(mut self) -> Ran {
        self.stderr.read_to_string(&mut self.told).unwrap();
        let mut stdout = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut stdout)
            .unwrap();
        Ran {
            code: self.child.wait().unwrap().code().unwrap(),
            stdout,
            stderr: std::mem::take(&mut self.told),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn browser() -> reqwest::Client {
    let browser = reqwest::Client::builder().no_proxy();
    browser
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// Visits the page of the authorization server and returns where the browser is sent.
async fn visit(url: &str) -> String {
    let response = browser().get(url).send().await.unwrap();
    assert_eq!(response.status(), 302);
    response.headers()[header::LOCATION]
        .to_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_logs_in_and_nobody_else_ends_the_wait() {
    let both = Both::new(Settings::default()).await;
    let out = both.out();
    // A public client without --grant has a user.
    let mut running = Running::start(&both.arguments(&["--scope", "f1:read", "--out", &out]));
    let url = running.url();
    assert!(
        url.contains(&format!("dpop_jkt={}", both.scene.thumbprint)),
        "{url}"
    );
    let redirect = visit(&url).await;
    assert!(redirect.starts_with("http://127.0.0.1:"), "{redirect}");

    let browser = browser();
    let get = async |url: &str| browser.get(url).send().await.unwrap();
    let (target, _) = redirect.split_once('?').unwrap();
    for foreign in [
        "",
        "?code=x",
        "?code=x&state=y",
        "?error=access_denied&state=",
    ] {
        let response = get(&format!("{target}{foreign}")).await;
        assert_eq!(response.status(), 400, "{foreign}");
    }
    assert_eq!(
        get(&target.replace("/callback", "/other")).await.status(),
        404
    );

    let response = get(&redirect).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert!(response.text().await.unwrap().contains("close this window"));
    let ran = running.end().succeeded();
    assert!(ran.stdout.contains("a refresh token"), "{ran:?}");
    let code = redirect
        .split("code=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    assert!(
        !ran.stderr.contains(code) && !ran.stderr.contains("eyJ"),
        "{ran:?}"
    );

    both.scene.request("/orders", &[]).await.succeeded();
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert!(stored["refresh_token"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_redirect_uri_is_listened_on_and_a_request_is_pushed() {
    let both = Both::new(Settings {
        requires_pushed_requests: true,
        ..Settings::default()
    })
    .await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!(
        "http://localhost:{}/oauth/back",
        free.local_addr().unwrap().port()
    );
    drop(free);
    let mut running = Running::start(&both.arguments(&["--redirect-uri", &uri]));
    let redirect = visit(&running.url()).await;
    assert!(redirect.starts_with(&uri), "{redirect}");
    let redirect = redirect.replace("localhost", "127.0.0.1");
    assert_eq!(browser().get(redirect).send().await.unwrap().status(), 200);
    let ran = running.end().succeeded();
    assert_eq!(ran.stdout.trim().split('.').count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_declines_or_does_not_come_is_told_apart() {
    let both = Both::new(Settings::default()).await;
    let mut running = Running::start(&both.arguments(&[]));
    let redirect = visit(&running.url()).await;
    let declined: Vec<&str> = redirect.split("code=").collect();
    let (_, rest) = declined[1].split_once('&').unwrap();
    let declined = format!("{}error=access_denied&{rest}", declined[0]);
    assert_eq!(browser().get(declined).send().await.unwrap().status(), 200);
    running.end().failed(1, &["access_denied", "declined"]);

    let running = Running::start(&both.arguments(&["--timeout", "1"]));
    running
        .end()
        .failed(3, &["nobody logged in within 1 s", "--timeout"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_another_device_enters_the_code() {
    let both = Both::new(Settings {
        pending: 0,
        ..Settings::default()
    })
    .await;
    let running = Running::start(&both.arguments(&["--grant", "device_code", "--json"]));
    let ran = tokio::task::spawn_blocking(|| running.end())
        .await
        .unwrap()
        .succeeded();
    assert!(
        ran.stderr.contains("WDJB-MJHT") && ran.stderr.contains("/device"),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("device-code"), "{ran:?}");
    let json = ran.json();
    assert!(json["access_token"].is_string() && json["refresh_token"].is_string());
}
