//! The span of a verification.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{Router, routing::get};
use dpop_tower::{
    DpopLayer, Policy,
    test_util::{TestClient, TestIssuer},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};

use crate::{
    rejection::logging::Log,
    support::{Api, URL, send},
};

#[derive(Clone, Debug, Default)]
struct Seen {
    fields: BTreeMap<&'static str, String>,
    is_closed: bool,
    /// The lines that were logged in the span.
    lines: usize,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Remembers the spans of a thread.
#[derive(Clone, Debug, Default)]
struct Spans {
    seen: Arc<Mutex<Vec<Seen>>>,
    entered: Arc<Mutex<Vec<u64>>>,
}

impl Spans {
    /// Listens on this thread.
    ///
    /// The subscriber of the log, which wants everything, comes first and stays. Otherwise `tracing` might cache the
    /// answer that nobody wants a span.
    fn listen() -> (Self, DefaultGuard) {
        drop(Log::listen());
        let spans = Self::default();
        let guard = tracing::subscriber::set_default(spans.clone());
        (spans, guard)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }

    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen())
    }

    /// Returns the fields of the only span, which has been closed.
    fn fields(&self) -> BTreeMap<&'static str, String> {
        let [seen] = &*self.take() else {
            panic!("not one span");
        };
        assert!(seen.is_closed);
        seen.fields.clone()
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() || metadata.target() == "dpop_tower::verify"
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        assert_eq!(attributes.metadata().name(), "dpop.verify");
        let mut span = Seen::default();
        attributes.record(&mut span);
        let mut seen = self.seen();
        seen.push(span);
        span::Id::from_u64(seen.len() as u64)
    }

    fn record(&self, id: &span::Id, values: &span::Record<'_>) {
        let at = id.into_u64() as usize - 1;
        values.record(&mut self.seen()[at]);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "dpop_tower::rejection"
            && let Some(id) = self.entered.lock().unwrap().last()
        {
            self.seen()[*id as usize - 1].lines += 1;
        }
    }

    fn enter(&self, id: &span::Id) {
        self.entered.lock().unwrap().push(id.into_u64());
    }

    fn exit(&self, _: &span::Id) {
        self.entered.lock().unwrap().pop();
    }

    fn try_close(&self, id: span::Id) -> bool {
        let at = id.into_u64() as usize - 1;
        if let Some(span) = self.seen().get_mut(at) {
            span.is_closed = true;
        }
        true
    }
}

fn field<'f>(fields: &'f BTreeMap<&'static str, String>, name: &str) -> Option<&'f str> {
    fields.get(name).map(|value| &**value)
}

#[tokio::test]
async fn an_admitted_request_has_all_fields() {
    let (spans, _listening) = Spans::listen();
    let api = Api::new();
    let token = api.token().mint();
    api.get(&token, &api.proof(&token).sign()).await;
    let fields = spans.fields();
    let names = [
        "algorithm",
        "issuer",
        "mode",
        "outcome",
        "reason",
        "thumbprint",
    ];
    assert!(fields.keys().copied().eq(names), "{fields:?}");
    assert_eq!(field(&fields, "algorithm"), Some("ES256"));
    assert_eq!(field(&fields, "mode"), Some("strict"));
    assert_eq!(field(&fields, "outcome"), Some("admitted"));
    assert_eq!(field(&fields, "reason"), Some("none"));
    let thumbprint = api.client.thumbprint().to_string();
    assert_eq!(field(&fields, "thumbprint"), Some(&thumbprint[..8]));
    assert!(field(&fields, "issuer").unwrap().starts_with("https://"));
}

#[tokio::test]
async fn a_rejected_request_has_what_was_verified_until_then() {
    let (spans, _listening) = Spans::listen();
    let api = Api::new();
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    api.get(&token, &proof).await;
    spans.take();

    api.get(&token, &proof).await;
    let fields = spans.fields();
    assert_eq!(field(&fields, "outcome"), Some("rejected"));
    assert_eq!(field(&fields, "reason"), Some("proof_replayed"));
    assert!(field(&fields, "issuer").is_some() && field(&fields, "thumbprint").is_some());

    // The key of another client: its holder is not known.
    let thief = TestClient::new().clock(api.clock.clone());
    let proof = thief.proof("GET", URL).access_token(&token).sign();
    api.get(&token, &proof).await;
    let fields = spans.fields();
    assert_eq!(field(&fields, "reason"), Some("token_binding_mismatch"));
    assert!(field(&fields, "issuer").is_some());
    assert_eq!(field(&fields, "thumbprint"), None);

    let unknown = TestIssuer::new().issuer("https://unknown.test").token();
    let unknown = unknown.bound_to(&api.client).mint();
    api.get(&unknown, &api.proof(&unknown).sign()).await;
    let fields = spans.fields();
    assert_eq!(field(&fields, "outcome"), Some("rejected"));
    assert_eq!(field(&fields, "issuer"), None);
}

#[tokio::test]
async fn the_line_of_a_rejection_is_in_its_span() {
    let (spans, _listening) = Spans::listen();
    let api = Api::new();
    api.get("e30.e30.e30", "e30.e30.e30").await;
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    api.get(&token, &proof).await;
    api.get(&token, &proof).await;
    let lines: Vec<_> = spans.take().iter().map(|span| span.lines).collect();
    assert_eq!(lines, [1, 0, 1]);
}

#[tokio::test]
async fn the_span_ends_before_the_inner_service_is_called() {
    let (spans, _listening) = Spans::listen();
    let api = Api::new();
    let inner = spans.clone();
    let handler = get(async move || {
        assert!(inner.entered.lock().unwrap().is_empty());
        let [span] = &*inner.take() else {
            panic!("not one span");
        };
        assert!(span.is_closed);
        assert_eq!(field(&span.fields, "outcome"), Some("admitted"));
    });
    let layer = DpopLayer::new(api.config().build().unwrap());
    let router = Router::new().route("/orders", handler).layer(layer);
    let request = api.client.get(URL, &api.token().mint());
    assert_eq!(send(router, request).await.status(), 200);
}

#[tokio::test]
async fn a_policy_that_only_reports_has_its_outcome_and_one_that_is_off_has_no_span() {
    let (spans, _listening) = Spans::listen();
    let api = Api::new();
    for (policy, expected) in [
        (Policy::report_only(), Some(("would_reject", "report_only"))),
        (Policy::strict(), Some(("rejected", "strict"))),
        (Policy::deny(), Some(("rejected", "deny"))),
        (Policy::off(), None),
    ] {
        let layer = DpopLayer::new(api.config().build().unwrap()).with_policy(policy);
        let router = Router::new()
            .route("/orders", get(async || {}))
            .layer(layer);
        send(router, http::Request::get(URL).body(()).unwrap()).await;
        let seen = spans.take();
        let fields = seen.first().map(|span| &span.fields);
        let outcome = fields.map(|fields| {
            let text = |name| field(fields, name).unwrap();
            (text("outcome"), text("mode"))
        });
        assert_eq!(outcome, expected);
    }
}

#[tokio::test]
async fn nothing_that_a_stranger_sends_is_in_a_span() {
    let (spans, _listening) = Spans::listen();
    let api = Api::new();
    let marker = "marker";
    let foreign = TestIssuer::new().issuer(marker).token();
    for token in [
        foreign.bound_to(&api.client).mint(),
        api.token().claim("aud", marker).mint(),
        marker.to_owned(),
    ] {
        for proof in [
            api.proof(&token).claim("htu", marker).sign(),
            api.proof(&token).claim("jti", marker).sign(),
            api.proof(&token).header("alg", marker).sign(),
            api.proof(&token).header("kid", marker).sign(),
            marker.to_owned(),
        ] {
            api.get(&token, &proof).await;
        }
    }
    let seen = spans.take();
    assert_eq!(seen.len(), 15);
    for span in seen {
        for (name, value) in span.fields {
            assert!(
                !value.contains(marker) && value.len() < 64,
                "{name}={value}"
            );
        }
    }
}
