//! The story: what an honest client can do with its token, and what a thief cannot.

use std::error::Error;

use dpop_tower::test_util::TestClient;
use reqwest::{Client, Method, Response, header};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Tells the story, and returns whether every verdict was as expected.
pub(crate) async fn tell(idp: &str, api: &str) -> Result<bool> {
    let http = Client::new();
    let app = TestClient::new();
    let thief = TestClient::new();
    println!(
        "\
DPoP in one minute

An app calls an API with an access token. Anyone who copies a plain (\"bearer\") token can use it too.
With DPoP the token is bound to a key that never leaves the app, and every request carries a proof:
a little signed note that says \"this key, this method, this URL, this token, now, and only once\".

  identity provider  {idp}
  API                {api}   (protected by dpop-tower)
"
    );

    let token = fetch_token(&http, &app, idp).await?;
    println!("The app has created a key and received a token that is bound to it:");
    println!("  key thumbprint  {}", app.thumbprint());
    println!("  token           {}  (typ DPoP)\n", shorten(&token));

    let url = format!("{api}/resource");
    let mut story = Story {
        http,
        token,
        url: url.clone(),
        as_expected: true,
        count: 0,
    };
    let proof = |method: &str, url: &str, key: &TestClient, token: &str| {
        key.proof(method, url).access_token(token)
    };
    let token = story.token.clone();
    let token = token.as_str();

    println!("The app calls the API. It creates a new proof for each request.\n");
    let first = proof("GET", &url, &app, token).sign();
    story
        .send(
            "GET, with the token and a proof",
            Expected::Admitted,
            Outgoing::Dpop(Method::GET, Some(&first)),
        )
        .await?;
    let post = proof("POST", &url, &app, token).sign();
    story
        .send(
            "POST, with the token and a proof",
            Expected::Admitted,
            Outgoing::Dpop(Method::POST, Some(&post)),
        )
        .await?;

    println!("Now a thief has copied the token and even some of the proofs.\n");
    story
        .send(
            "the token as a plain Bearer token",
            Expected::Rejected("invalid_token", "with the DPoP scheme"),
            Outgoing::Bearer,
        )
        .await?;
    story
        .send(
            "the token without a proof",
            Expected::Rejected("invalid_dpop_proof", "missing"),
            Outgoing::Dpop(Method::GET, None),
        )
        .await?;
    let forged = proof("GET", &url, &thief, token).sign();
    story
        .send(
            "a proof made with the thief's own key",
            Expected::Rejected("invalid_token", "another key"),
            Outgoing::Dpop(Method::GET, Some(&forged)),
        )
        .await?;
    let disguised = proof("GET", &url, &app, token).signed_by(&thief).sign();
    story
        .send(
            "the same, disguised as a proof of the app's key",
            Expected::Rejected("invalid_dpop_proof", "signature"),
            Outgoing::Dpop(Method::GET, Some(&disguised)),
        )
        .await?;
    story
        .send(
            "the app's first proof, sent again",
            Expected::Rejected("invalid_dpop_proof", "used before"),
            Outgoing::Dpop(Method::GET, Some(&first)),
        )
        .await?;
    let other_url = proof("GET", &format!("{api}/other"), &app, token).sign();
    story
        .send(
            "a fresh proof of the app, but for another URL",
            Expected::Rejected("invalid_dpop_proof", "another URI"),
            Outgoing::Dpop(Method::GET, Some(&other_url)),
        )
        .await?;
    let other_method = proof("GET", &url, &app, token).sign();
    story
        .send(
            "a fresh proof of the app, but for another method",
            Expected::Rejected("invalid_dpop_proof", "another method"),
            Outgoing::Dpop(Method::POST, Some(&other_method)),
        )
        .await?;
    let an_hour_ago = app_time(&app)?.saturating_sub(3600);
    let old = proof("GET", &url, &app, token)
        .claim("iat", an_hour_ago)
        .sign();
    story
        .send(
            "an unused proof of the app, but an hour old",
            Expected::Rejected("invalid_dpop_proof", "too old"),
            Outgoing::Dpop(Method::GET, Some(&old)),
        )
        .await?;

    println!("Meanwhile the app keeps working.\n");
    let last = proof("GET", &url, &app, token).sign();
    story
        .send(
            "GET, with the token and a new proof",
            Expected::Admitted,
            Outgoing::Dpop(Method::GET, Some(&last)),
        )
        .await?;

    if story.as_expected {
        println!("All {} responses were as expected.", story.count);
    } else {
        println!("Some responses were NOT as expected: see the lines marked with `!`.");
    }
    Ok(story.as_expected)
}

async fn fetch_token(http: &Client, app: &TestClient, idp: &str) -> Result<String> {
    let url = format!("{idp}/token");
    let request = http
        .post(&url)
        .header("DPoP", app.proof("POST", &url).sign());
    let answer: Value = serde_json::from_slice(&request.send().await?.bytes().await?)?;
    let token = answer.get("access_token").and_then(Value::as_str);
    Ok(token
        .ok_or("the identity provider returned no token")?
        .to_owned())
}

/// Returns the time at which the app makes a proof.
fn app_time(app: &TestClient) -> Result<i64> {
    let proof: Value = serde_json::from_str(&app.proof("GET", "").payload_json())?;
    Ok(proof
        .get("iat")
        .and_then(Value::as_i64)
        .ok_or("the proof has no iat")?)
}

struct Story {
    http: Client,
    token: String,
    url: String,
    as_expected: bool,
    count: usize,
}

/// How a request carries the token.
enum Outgoing<'p> {
    Bearer,
    Dpop(Method, Option<&'p str>),
}

impl Story {
    async fn send(&mut self, what: &str, expected: Expected, outgoing: Outgoing<'_>) -> Result<()> {
        let (scheme, method, proof) = match outgoing {
            Outgoing::Bearer => ("Bearer", Method::GET, None),
            Outgoing::Dpop(method, proof) => ("DPoP", method, proof),
        };
        let credentials = format!("{scheme} {}", self.token);
        let mut request = self.http.request(method, &self.url);
        request = request.header(header::AUTHORIZATION, credentials);
        if let Some(proof) = proof {
            request = request.header("DPoP", proof);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let challenge = challenge(&response);
        let as_expected = expected.is(status, challenge.as_deref());
        self.as_expected &= as_expected;
        self.count += 1;
        let mark = if as_expected { ' ' } else { '!' };
        println!("{mark} {:>2}. {what}", self.count);
        println!("      {}", verdict(status));
        if let Some(challenge) = challenge {
            for line in wrap(&challenge) {
                println!("      {line}");
            }
        } else {
            println!("      {}", response.text().await?);
        }
        if !as_expected {
            println!("      expected: {expected:?}");
        }
        println!();
        Ok(())
    }
}

/// The expected outcome of a request.
#[derive(Debug)]
enum Expected {
    Admitted,
    /// Rejected with this error code, and with these words in the description.
    Rejected(&'static str, &'static str),
}

impl Expected {
    fn is(&self, status: u16, challenge: Option<&str>) -> bool {
        match (self, challenge) {
            (Self::Admitted, None) => status == 200,
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

fn challenge(response: &Response) -> Option<String> {
    let challenge = response.headers().get(header::WWW_AUTHENTICATE)?;
    Some(challenge.to_str().ok()?.to_owned())
}

fn verdict(status: u16) -> String {
    match status {
        200 => "200 OK: admitted".to_owned(),
        401 => "401 Unauthorized: rejected".to_owned(),
        other => format!("{other}"),
    }
}

/// Splits a challenge into one line per parameter.
fn wrap(challenge: &str) -> Vec<String> {
    let challenge = format!("WWW-Authenticate: {challenge}");
    let mut parts = challenge.split(", ").peekable();
    let mut lines = Vec::new();
    while let Some(part) = parts.next() {
        let indent = if lines.is_empty() { "" } else { "    " };
        let comma = if parts.peek().is_some() { "," } else { "" };
        lines.push(format!("{indent}{part}{comma}"));
    }
    lines
}

fn shorten(token: &str) -> String {
    token.chars().take(40).chain("...".chars()).collect()
}

pub(crate) fn what_to_try(idp: &str, api: &str) -> String {
    format!(
        "\
The API and its identity provider keep running (Ctrl-C stops them). Try:

  curl -i {api}/healthz                       open to everyone
  curl -i {api}/resource                      no token
  curl -s {idp}/try > request.sh            a request with a token and a new proof, valid for a minute
  sh request.sh                                             admitted
  sh request.sh                                             the same proof again

Below, the server logs why it rejects a request.
"
    )
}
