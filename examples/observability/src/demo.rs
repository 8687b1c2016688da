//! Good and bad requests, and what they leave behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use demo_support::listen;
use dpop_tower::test_util::TestClient;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Any,
};
use prost::Message as _;
use reqwest::{Client, Response};
use serde_json::Value;

use crate::Result;

const PAGE: &str = include_str!("../../../docs/observability.md");

/// The fields of each span.
pub(crate) type Spans = Arc<Mutex<Vec<BTreeMap<String, String>>>>;

/// Starts a collector of OTLP over HTTP, and returns its URL.
pub(crate) async fn collector() -> Result<(String, Spans)> {
    let (listener, url) = listen(0).await?;
    let spans = Spans::default();
    let router = Router::new()
        .route("/v1/traces", post(collect))
        .with_state(Arc::clone(&spans));
    tokio::spawn(async { axum::serve(listener, router).await });
    Ok((url, spans))
}

async fn collect(State(spans): State<Spans>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let received = (request.resource_spans.into_iter())
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .filter(|span| span.name == "dpop.verify")
        .map(|span| {
            let fields =
                span.attributes
                    .into_iter()
                    .filter_map(|field| match field.value?.value? {
                        Any::StringValue(text) => Some((field.key, text)),
                        _ => None,
                    });
            fields.collect()
        });
    spans
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(received);
    StatusCode::OK
}

pub(crate) struct Demo {
    pub(crate) idp: String,
    pub(crate) api: String,
    pub(crate) metrics: String,
}

impl Demo {
    /// Sends one request of each kind. Each metric and each field is due to one of them.
    pub(crate) async fn send_requests(&self) -> Result<()> {
        let (http, client) = (Client::new(), TestClient::new());
        let token = self.token(&http, &client).await?;
        let orders = format!("{}/orders", self.api);
        let proof = || client.proof("GET", &orders).access_token(&token).sign();
        let send = async |what: &str, url: &str, token: &str, proof: &str, status: u16| {
            let request = http.get(url).header("dpop", proof);
            let response = request
                .header("authorization", format!("DPoP {token}"))
                .send();
            expect(what, &response.await?, status)
        };

        let first = proof();
        send("a good request", &orders, &token, &first, 200).await?;
        send("another one", &orders, &token, &proof(), 200).await?;
        send("a replay", &orders, &token, &first, 401).await?;
        let thief = TestClient::new().proof("GET", &orders).access_token(&token);
        send(
            "a thief with a key of their own",
            &orders,
            &token,
            &thief.sign(),
            401,
        )
        .await?;
        let transfers = format!("{}/transfers", self.api);
        let without = client.proof("GET", &transfers).access_token(&token).sign();
        send("a proof without a nonce", &transfers, &token, &without, 401).await?;
        let opaque = "opaque-token-that-nobody-issued";
        let with_opaque = client.proof("GET", &orders).access_token(opaque).sign();
        send(
            "an opaque token that is not active",
            &orders,
            opaque,
            &with_opaque,
            401,
        )
        .await?;
        let trial = format!("{}/trial", self.api);
        let response = http.get(trial).send().await?;
        expect("a route that only reports", &response, 200)?;
        let events = http.post(format!("{}/security-events", self.api));
        let event = events
            .header("content-type", "application/secevent+jwt")
            .body("no event");
        expect("a security event that is none", &event.send().await?, 400)
    }

    async fn token(&self, http: &Client, client: &TestClient) -> Result<String> {
        let url = format!("{}/token", self.idp);
        let proof = client.proof("POST", &url).sign();
        let response = http.post(&url).header("dpop", proof).send().await?;
        let body: Value = serde_json::from_slice(&response.bytes().await?)?;
        let token = body.get("access_token").and_then(Value::as_str);
        Ok(token
            .ok_or("the identity provider issued no token")?
            .to_owned())
    }

    /// Scrapes the metrics, and checks that each is there that the page lists.
    pub(crate) async fn check_metrics(&self) -> Result<()> {
        let text = Client::new()
            .get(&self.metrics)
            .send()
            .await?
            .text()
            .await?;
        println!("\nMetrics, without buckets:");
        for line in text.lines() {
            if !line.starts_with('#') && !line.is_empty() && !line.contains("_bucket{") {
                println!("  {line}");
            }
        }
        let types: BTreeSet<(&str, &str)> = (text.lines())
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .collect();
        let listed: BTreeSet<(&str, &str)> = rows("Metrics")
            .filter_map(|row| Some((row.first().copied()?, row.get(1).copied()?)))
            .collect();
        let missing: Vec<_> = listed.difference(&types).collect();
        if listed.len() < 10 || !missing.is_empty() {
            return Err(format!("docs/observability.md also lists {missing:?}").into());
        }
        println!(
            "All {} metrics of docs/observability.md are there.",
            listed.len()
        );
        Ok(())
    }
}

/// Returns the cells of a table of the page, without backticks.
fn rows(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let section = PAGE
        .split("\n## ")
        .find(|section| section.starts_with(heading));
    let lines = section.unwrap_or_default().lines();
    lines.filter(|line| line.starts_with("| `")).map(|line| {
        let cells = line.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().trim_matches('`')).collect()
    })
}

fn expect(what: &str, response: &Response, status: u16) -> Result<()> {
    println!("{what:<36}  {}", response.status());
    if response.status().as_u16() == status {
        return Ok(());
    }
    Err(format!("{status} was expected").into())
}

/// Checks the spans that the collector got: one for each request, and each field that the page lists.
pub(crate) fn check_spans(spans: &Spans) -> Result<()> {
    let spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
    let listed: BTreeSet<_> = rows("The span")
        .filter_map(|row| row.first().copied())
        .collect();
    println!("\nSpans that the collector got:");
    for span in spans.iter() {
        let fields = listed
            .iter()
            .filter_map(|name| Some((name, span.get(*name)?)));
        let fields: Vec<_> = fields
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        println!("  {}", fields.join(" "));
    }
    let is_complete = |span: &BTreeMap<String, String>| {
        !listed.is_empty() && listed.iter().all(|name| span.contains_key(*name))
    };
    let of = |outcome: &str| {
        let has = |span: &&BTreeMap<_, _>| span.get("outcome").is_some_and(|of| of == outcome);
        spans.iter().filter(has).count()
    };
    // The token request of the demo is verified as well.
    let counts = ["admitted", "rejected", "would_reject"].map(of);
    if counts == [3, 4, 1] && spans.iter().any(is_complete) {
        return Ok(());
    }
    Err(format!("unexpected spans: {counts:?} are admitted, rejected, or would be rejected").into())
}
