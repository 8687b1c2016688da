//! The walk-through: what a client gets through the gateway, and what a thief does not.

use std::{error::Error, net::Ipv4Addr, path::Path, time::Duration};

use axum::Router;
use dpop_tower::test_util::TestClient;
use reqwest::{Client, Method, RequestBuilder, header};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{f1_results, identity_provider};
use crate::{Gateway, Settings, Shutdown};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The file that comes with the program.
const FILE: &str = include_str!("../../gateway.toml");

/// Tells it, with everything on this machine, and whether every answer was as expected.
///
/// # Errors
///
/// If something could not be started or called.
pub async fn tell() -> Result<bool> {
    let (idp_listener, idp) = listen().await?;
    let (f1_listener, f1) = listen().await?;
    let (gateway_listener, gateway) = listen().await?;
    let file = FILE
        .replace("http://127.0.0.1:9001", &idp)
        .replace("http://127.0.0.1:9000", &f1)
        .replace("http://127.0.0.1:8080", &gateway);
    let settings = Settings::parse(&file, Path::new("gateway.toml"))?;
    let limits = settings.limits();
    let shutdown = Shutdown {
        signal: std::future::pending::<()>(),
        timeout: Duration::ZERO,
    };
    spawn(idp_listener, identity_provider::router(&idp, &gateway));
    spawn(f1_listener, f1_results::router());
    tokio::spawn(crate::serve(
        gateway_listener,
        Gateway::new(settings)?,
        limits,
        shutdown,
    ));
    println!(
        "\
A gateway in front of an API that knows nothing of DPoP

  identity provider  {idp}
  F1 results         {f1}   (no protection of its own)
  gateway            {gateway}   (examples/gateway/gateway.toml)
"
    );
    let mut story = Story::begin(&idp, &gateway).await?;
    story.good_client().await?;
    story.thief().await?;
    story.rest().await?;
    if story.as_expected {
        println!("All {} answers were as expected.", story.count);
    } else {
        println!("NOT every answer was as expected: see the lines marked with `!`.");
    }
    Ok(story.as_expected)
}

async fn listen() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

fn spawn(listener: TcpListener, router: Router) {
    tokio::spawn(async move { axum::serve(listener, router).await });
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

impl Story {
    async fn begin(idp: &str, gateway: &str) -> Result<Self> {
        let http = Client::builder().no_proxy().build()?;
        let app = TestClient::new();
        let url = format!("{idp}/token");
        let proof = app.proof("POST", &url).sign();
        let answer = http
            .post(&url)
            .header("DPoP", proof)
            .send()
            .await?
            .bytes()
            .await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let text = |name| answer.get(name).and_then(Value::as_str);
        let token = text("access_token").ok_or("the identity provider gave no token")?;
        let is_bound = text("token_type") == Some("DPoP");
        println!("The app has made a key, and got a token that is bound to it:");
        println!("  key thumbprint  {}", app.thumbprint());
        println!(
            "  token_type      {}\n",
            text("token_type").unwrap_or("none")
        );
        Ok(Self {
            token: token.to_owned(),
            gateway: gateway.to_owned(),
            http,
            app,
            first_proof: String::new(),
            as_expected: is_bound,
            count: 0,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.gateway)
    }

    fn proof(&self, key: &TestClient, method: &str, path: &str) -> String {
        key.proof(method, &self.url(path))
            .access_token(&self.token)
            .sign()
    }

    fn request(&self, path: &str, proof: Option<&str>) -> RequestBuilder {
        let request = self.http.request(Method::GET, self.url(path));
        let request = request.header(header::AUTHORIZATION, format!("DPoP {}", self.token));
        match proof {
            None => request,
            Some(proof) => request.header("DPoP", proof),
        }
    }

    async fn good_client(&mut self) -> Result<()> {
        println!("For each request it makes a proof.\n");
        self.first_proof = self.proof(&self.app, "GET", "/f1-results");
        let results = self.request("/f1-results", Some(&self.first_proof));
        self.send(
            "the token and a proof",
            Expected::Admitted("Bahrain Grand Prix"),
            results,
        )
        .await?;
        let proof = self.proof(&self.app, "GET", "/whoami");
        let forged = self
            .request("/whoami", Some(&proof))
            .header("X_DPoP.Subject", "mallory");
        let what = "what the upstream sees, though the app claims to be somebody else";
        let body = self
            .send(
                what,
                Expected::Admitted("\"x-dpop-subject\":\"alice\""),
                forged,
            )
            .await?;
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
        let path = "/f1-results";
        let bare = format!("Bearer {}", self.token);
        let bare = self
            .http
            .get(self.url(path))
            .header(header::AUTHORIZATION, bare);
        self.send(
            "the bare token",
            Expected::Rejected("invalid_token", "DPoP scheme"),
            bare,
        )
        .await?;
        let thief = TestClient::new();
        let with = |proof: String| self.request(path, Some(&proof));
        let attempts = [
            ("no proof", "missing", self.request(path, None)),
            (
                "htm is another method",
                "another method",
                with(self.proof(&self.app, "POST", path)),
            ),
            (
                "htu is another URL",
                "another URI",
                with(self.proof(&self.app, "GET", "/whoami")),
            ),
            (
                "the first proof again",
                "used before",
                with(self.first_proof.clone()),
            ),
        ];
        let other_key = with(self.proof(&thief, "GET", path));
        for (what, why, attempt) in attempts {
            self.send(what, Expected::Rejected("invalid_dpop_proof", why), attempt)
                .await?;
        }
        let expected = Expected::Rejected("invalid_token", "another key");
        self.send("a proof with a key of the thief's", expected, other_key)
            .await?;
        Ok(())
    }

    async fn rest(&mut self) -> Result<()> {
        println!("What the file leaves open is open, and the app goes on.\n");
        let open = self.http.get(self.url("/healthz"));
        self.send("/healthz, without anything", Expected::Admitted("ok"), open)
            .await?;
        let proof = self.proof(&self.app, "GET", "/f1-results/3");
        let race = self.request("/f1-results/3", Some(&proof));
        self.send(
            "one race, with a new proof",
            Expected::Admitted("Carlos Sainz"),
            race,
        )
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
        let challenge = challenge
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = response.text().await?;
        let as_expected = expected.is(status.as_u16(), challenge.as_deref(), &body);
        self.as_expected &= as_expected;
        self.count += 1;
        println!(
            "{} {:>2}. {what}",
            if as_expected { ' ' } else { '!' },
            self.count
        );
        println!("      {status}");
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
            (Self::Admitted(text), None) => status == 200 && body.contains(text),
            (Self::Rejected(error, why), Some(challenge)) => {
                status == 401
                    && challenge.starts_with("DPoP ")
                    && challenge.contains(&format!("error=\"{error}\""))
                    && challenge.contains(why)
            }
            _ => false,
        }
    }
}
