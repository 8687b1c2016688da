//! The walk-through: what a client can do through the gateway, and what a thief cannot.

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

/// Runs everything on this machine, and returns whether every response was as expected.
pub(crate) async fn show(dpop: Option<PathBuf>) -> Result<bool> {
    let (idp_listener, idp) = listen(0).await?;
    let (f1_listener, f1) = listen(0).await?;
    // A free port, which the gateway will use.
    let (_, gateway) = listen(0).await?;
    let provider = identity_provider(&idp, &gateway).router()?;
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
A gateway in front of an API that does not support DPoP

  identity provider  {idp}
  F1 results         {f1}   (no protection of its own)
  gateway            {gateway}   (dpop gateway serve examples/gateway/gateway.toml)
"
    );
    let app = TestClient::new();
    let token = fetch_token(&app, &idp).await?;
    println!("The app has created a key and received a token that is bound to it:");
    println!("  key thumbprint  {}\n", app.thumbprint());
    let mut story = Story {
        http: Client::builder().no_proxy().build()?,
        gateway,
        token,
        count: 0,
        as_expected: true,
    };
    tell(&mut story, &app).await?;
    match story.as_expected {
        true => println!("All {} responses were as expected.", story.count),
        false => println!("Some responses were NOT as expected: see the lines marked with `!`."),
    }
    Ok(story.as_expected)
}

/// Runs the gateway and waits until it serves requests. Without a program, cargo builds it first.
async fn start(dpop: Option<PathBuf>, file: &Path, url: &str) -> Result<Child> {
    let mut command = match dpop {
        Some(program) => Command::new(program),
        None => {
            let mut cargo = Command::new("cargo");
            let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
            cargo.args("run --quiet -p dpop-cli --manifest-path".split(' '));
            cargo.args([manifest, "--"]);
            cargo
        }
    };
    let command = command.args(["gateway", "serve"]).arg(file);
    let mut child = command.kill_on_drop(true).spawn()?;
    let http = Client::builder().no_proxy().build()?;
    while http.get(format!("{url}/healthz")).send().await.is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(format!("the gateway exited: {status}").into());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(child)
}

async fn fetch_token(app: &TestClient, idp: &str) -> Result<String> {
    let url = format!("{idp}/token");
    let proof = app.proof("POST", &url).sign();
    let http = Client::builder().no_proxy().build()?;
    let answer = http.post(&url).header("DPoP", proof).send().await?;
    let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
    let token = answer.get("access_token").and_then(Value::as_str);
    let token = token.filter(|_| answer.get("token_type").is_some_and(|kind| kind == "DPoP"));
    Ok(token
        .ok_or("the identity provider returned no bound token")?
        .to_owned())
}

async fn tell(story: &mut Story, app: &TestClient) -> Result<()> {
    println!("It creates a proof for each request.\n");
    let path = "/f1-results";
    let first = story.proof(app, "GET", path);
    let request = story.get(path, "DPoP", Some(&first));
    let races = ["Bahrain Grand Prix"];
    (story.send("the token and a proof", request, 200, &races)).await?;
    let request = story.get("/whoami", "DPoP", Some(&story.proof(app, "GET", "/whoami")));
    let request = request.header("X_DPoP.Subject", "mallory");
    let what = "what the upstream sees when the app claims to be someone else";
    let subject = "\"x-dpop-subject\":\"alice\"";
    let seen = story.send(what, request, 200, &[subject]).await?;
    // Neither the credentials nor the forged header may reach the upstream.
    for unwanted in ["authorization", "\"dpop\"", "mallory"] {
        if seen.contains(unwanted) {
            println!("!     the upstream received {unwanted}\n");
            story.as_expected = false;
        }
    }

    println!("A thief has the token and some of the proofs.\n");
    let (token, proof) = ("invalid_token", "invalid_dpop_proof");
    let bearer = story.get(path, "Bearer", None);
    let none = story.get(path, "DPoP", None);
    let with = |proof: &str| story.get(path, "DPoP", Some(proof));
    let method = with(&story.proof(app, "POST", path));
    let url = with(&story.proof(app, "GET", "/whoami"));
    let again = with(&first);
    let key = with(&story.proof(&TestClient::new(), "GET", path));
    for (what, request, error, why) in [
        ("the token as a bearer token", bearer, token, "DPoP scheme"),
        ("no proof", none, proof, "missing"),
        ("htm is another method", method, proof, "another method"),
        ("htu is another URL", url, proof, "another URI"),
        ("the first proof again", again, proof, "used before"),
        ("a proof with the thief's key", key, token, "another key"),
    ] {
        let error = format!("DPoP error=\"{error}\"");
        story.send(what, request, 401, &[&error, why]).await?;
    }

    println!("Open routes stay open, and the app keeps working.\n");
    let request = story.http.get(format!("{}/healthz", story.gateway));
    let what = "/healthz, without credentials";
    story.send(what, request, 200, &["ok"]).await?;
    let path = "/f1-results/3";
    let request = story.get(path, "DPoP", Some(&story.proof(app, "GET", path)));
    let what = "one race, with a new proof";
    story.send(what, request, 200, &["Carlos Sainz"]).await?;
    Ok(())
}

struct Story {
    http: Client,
    gateway: String,
    token: String,
    count: usize,
    as_expected: bool,
}

impl Story {
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

    /// Sends a request and returns the challenge of the response, or its body. The text should contain
    /// `words`.
    async fn send(
        &mut self,
        what: &str,
        request: RequestBuilder,
        expected: u16,
        words: &[&str],
    ) -> Result<String> {
        let response = request.send().await?;
        let status = response.status();
        let challenge = response.headers().get(header::WWW_AUTHENTICATE);
        let told = match challenge {
            Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            None => response.text().await?,
        };
        let as_expected = status == expected && words.iter().all(|words| told.contains(words));
        self.as_expected &= as_expected;
        self.count += 1;
        let mark = if as_expected { ' ' } else { '!' };
        println!(
            "{mark} {:>2}. {what}\n      {status}\n      {}\n",
            self.count,
            told.trim_end()
        );
        if !as_expected {
            println!("      expected: {expected} with {words:?}\n");
        }
        Ok(told)
    }
}
