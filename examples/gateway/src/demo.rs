//! The walk-through: what a client gets through the gateway, and what a thief does not.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use demo_support::listen;
use dpop_tower::test_util::TestClient;
use reqwest::{Client, RequestBuilder, header};
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use crate::{Result, f1_results, identity_provider};

/// Shows it, with everything on this machine, and says whether every answer was as expected.
pub(crate) async fn show(dpop: Option<PathBuf>) -> Result<bool> {
    let (idp_listener, idp) = listen(0).await?;
    let (f1_listener, f1) = listen(0).await?;
    // Free now, and soon the gateway's.
    let (_, gateway) = listen(0).await?;
    let provider = identity_provider(&idp, &gateway).router();
    tokio::spawn(async { axum::serve(idp_listener, provider).await });
    tokio::spawn(async { axum::serve(f1_listener, f1_results::router()).await });

    let file = include_str!("../gateway.toml")
        .replace("http://127.0.0.1:9001", &idp)
        .replace("http://127.0.0.1:9000", &f1)
        .replace("http://127.0.0.1:8080", &gateway)
        .replace("127.0.0.1:8080", gateway.trim_start_matches("http://"));
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    fs::write(&path, file)?;
    let _running = start(dpop, &path, &gateway).await?;
    println!(
        "\
A gateway in front of an API that knows nothing of DPoP

  identity provider  {idp}
  F1 results         {f1}   (no protection of its own)
  gateway            {gateway}   (dpop gateway serve examples/gateway/gateway.toml)
"
    );
    let mut story = Story::begin(&idp, gateway).await?;
    story.good_client().await?;
    story.thief().await?;
    story.rest().await?;
    match story.as_expected {
        true => println!("All {} answers were as expected.", story.count),
        false => println!("NOT every answer was as expected: see the lines marked with `!`."),
    }
    Ok(story.as_expected)
}

/// Runs the gateway, which cargo builds unless it is given, and waits until it serves.
async fn start(dpop: Option<PathBuf>, file: &Path, url: &str) -> Result<Child> {
    let mut command = match dpop {
        Some(program) => Command::new(program),
        None => {
            let mut cargo = Command::new("cargo");
            let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
            cargo.args([
                "run",
                "--quiet",
                "-p",
                "dpop-cli",
                "--manifest-path",
                manifest,
                "--",
            ]);
            cargo
        }
    };
    let command = command.args(["gateway", "serve"]).arg(file);
    let mut child = command.kill_on_drop(true).spawn()?;
    let http = Client::builder().no_proxy().build()?;
    while http.get(format!("{url}/healthz")).send().await.is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(format!("the gateway has ended: {status}").into());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(child)
}

struct Story {
    http: Client,
    app: TestClient,
    token: String,
    gateway: String,
    first_proof: String,
    as_expected: bool,
    count: usize,
}

/// What should come of a request.
#[derive(Debug)]
enum Expected {
    /// 200, and this in the body.
    Admitted(&'static str),
    /// 401, with this error code, and these words in its description.
    Rejected(&'static str, &'static str),
}

use Expected::{Admitted, Rejected};

impl Story {
    async fn begin(idp: &str, gateway: String) -> Result<Self> {
        let http = Client::builder().no_proxy().build()?;
        let app = TestClient::new();
        let url = format!("{idp}/token");
        let proof = app.proof("POST", &url).sign();
        let answer = http.post(&url).header("DPoP", proof).send().await?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let text = |name| answer.get(name).and_then(Value::as_str).unwrap_or("none");
        println!("The app has made a key, and got a token that is bound to it:");
        println!("  key thumbprint  {}", app.thumbprint());
        println!("  token_type      {}\n", text("token_type"));
        Ok(Self {
            token: text("access_token").to_owned(),
            as_expected: text("token_type") == "DPoP",
            gateway,
            http,
            app,
            first_proof: String::new(),
            count: 0,
        })
    }

    fn proof(&self, key: &TestClient, method: &str, path: &str) -> String {
        let url = format!("{}{path}", self.gateway);
        key.proof(method, &url).access_token(&self.token).sign()
    }

    fn get(&self, path: &str, scheme: &str, proof: Option<&str>) -> RequestBuilder {
        let credentials = format!("{scheme} {}", self.token);
        let request = self.http.get(format!("{}{path}", self.gateway));
        let request = request.header(header::AUTHORIZATION, credentials);
        match proof {
            None => request,
            Some(proof) => request.header("DPoP", proof),
        }
    }

    async fn good_client(&mut self) -> Result<()> {
        println!("For each request it makes a proof.\n");
        self.first_proof = self.proof(&self.app, "GET", "/f1-results");
        let results = self.get("/f1-results", "DPoP", Some(&self.first_proof));
        self.send("the token and a proof", Admitted("Bahrain"), results)
            .await?;
        let proof = self.proof(&self.app, "GET", "/whoami");
        let forged = self.get("/whoami", "DPoP", Some(&proof));
        let forged = forged.header("X_DPoP.Subject", "mallory");
        let what = "what the upstream sees, though the app claims to be somebody else";
        let expected = Admitted("\"x-dpop-subject\":\"alice\"");
        let body = self.send(what, expected, forged).await?;
        // Neither the credentials nor the forged header got there.
        for unwanted in ["authorization", "\"dpop\"", "mallory"] {
            if body.contains(unwanted) {
                println!("!     the upstream got {unwanted}\n");
                self.as_expected = false;
            }
        }
        Ok(())
    }

    async fn thief(&mut self) -> Result<()> {
        println!("A thief has the token, and some of the proofs.\n");
        let (path, thief) = ("/f1-results", TestClient::new());
        let bare = self.get(path, "Bearer", None);
        let expected = Rejected("invalid_token", "DPoP scheme");
        self.send("the bare token", expected, bare).await?;
        let none = self.get(path, "DPoP", None);
        let expected = Rejected("invalid_dpop_proof", "missing");
        self.send("no proof", expected, none).await?;
        for (what, error, why, proof) in [
            (
                "htm is another method",
                "invalid_dpop_proof",
                "another method",
                self.proof(&self.app, "POST", path),
            ),
            (
                "htu is another URL",
                "invalid_dpop_proof",
                "another URI",
                self.proof(&self.app, "GET", "/whoami"),
            ),
            (
                "the first proof again",
                "invalid_dpop_proof",
                "used before",
                self.first_proof.clone(),
            ),
            (
                "a proof with a key of the thief's",
                "invalid_token",
                "another key",
                self.proof(&thief, "GET", path),
            ),
        ] {
            let request = self.get(path, "DPoP", Some(&proof));
            self.send(what, Rejected(error, why), request).await?;
        }
        Ok(())
    }

    async fn rest(&mut self) -> Result<()> {
        println!("What the file leaves open is open, and the app goes on.\n");
        let open = self.http.get(format!("{}/healthz", self.gateway));
        self.send("/healthz, without anything", Admitted("ok"), open)
            .await?;
        let proof = self.proof(&self.app, "GET", "/f1-results/3");
        let race = self.get("/f1-results/3", "DPoP", Some(&proof));
        self.send("one race, with a new proof", Admitted("Carlos Sainz"), race)
            .await?;
        Ok(())
    }

    /// Gives the body of the answer.
    async fn send(
        &mut self,
        what: &str,
        expected: Expected,
        request: RequestBuilder,
    ) -> Result<String> {
        let response = request.send().await?;
        let status = response.status();
        let challenge = response.headers().get(header::WWW_AUTHENTICATE);
        let challenge =
            challenge.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = response.text().await?;
        let as_expected = expected.is(status.as_u16(), challenge.as_deref(), &body);
        self.as_expected &= as_expected;
        self.count += 1;
        let mark = if as_expected { ' ' } else { '!' };
        println!("{mark} {:>2}. {what}\n      {status}", self.count);
        println!(
            "      {}\n",
            challenge.as_deref().unwrap_or(body.trim_end())
        );
        if !as_expected {
            println!("      expected: {expected:?}\n");
        }
        Ok(body)
    }
}

impl Expected {
    fn is(&self, status: u16, challenge: Option<&str>, body: &str) -> bool {
        match (self, challenge) {
            (Admitted(text), None) => status == 200 && body.contains(text),
            (Rejected(error, why), Some(challenge)) => {
                status == 401
                    && challenge.starts_with("DPoP ")
                    && challenge.contains(&format!("error=\"{error}\""))
                    && challenge.contains(why)
            }
            _ => false,
        }
    }
}
