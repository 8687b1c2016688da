//! Verdicts in numbers.

use std::collections::BTreeMap;

use axum::{Router, routing::get};
use dpop_tower::{DpopLayer, Policy, RequireScopeLayer};
use http::Request;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::support::{Api, URL};

/// What has been counted: mode, verdict and reason, and how often.
pub(crate) fn counted(send: impl AsyncFnOnce()) -> BTreeMap<String, u64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(send());
    });
    let snapshot = snapshotter.snapshot().into_vec();
    let counts = snapshot.into_iter().map(|(key, _, description, value)| {
        let (_, key) = key.into_parts();
        assert_eq!(key.name(), "dpop_verdicts_total");
        assert!(description.is_some());
        let mut labels: Vec<_> = key.labels().collect();
        labels.sort_by_key(|label| label.key());
        assert!(
            labels
                .iter()
                .map(|label| label.key())
                .eq(["mode", "reason", "verdict"])
        );
        let labels: Vec<_> = labels.iter().map(|label| label.value()).collect();
        let DebugValue::Counter(count) = value else {
            panic!("{value:?}");
        };
        (labels.join(" "), count)
    });
    counts.collect()
}

#[test]
fn every_request_counts_once_by_mode_verdict_and_reason() {
    let counts = counted(async || {
        let api = Api::new();
        let config = std::sync::Arc::new(api.config().build().unwrap());
        let router = |policy| {
            let layer = DpopLayer::new(config.clone()).with_policy(policy);
            let admin = get(|| async {}).route_layer(RequireScopeLayer::new("admin").unwrap());
            Router::new()
                .route("/orders", get(|| async {}).layer(layer.clone()))
                .route("/admin", admin)
                .layer(layer)
        };
        let nothing = || Request::get(URL).body(()).unwrap();
        let good = || api.client.get(URL, &api.token().mint());
        let bearer = || {
            let value = format!("Bearer {}", api.issuer.token().mint());
            Request::get(URL)
                .header("authorization", value)
                .body(())
                .unwrap()
        };
        let user = || {
            api.client
                .get("https://api.test/admin", &api.token().mint())
        };
        for (policy, requests) in [
            (
                Policy::strict(),
                vec![nothing(), good(), good(), bearer(), user()],
            ),
            (Policy::optional(), vec![bearer(), good()]),
            (Policy::report_only(), vec![nothing(), good(), bearer()]),
            (Policy::off(), vec![nothing(), good()]),
        ] {
            let router = router(policy);
            for request in requests {
                api.way.send(router.clone(), request).await;
            }
        }
    });
    let expected = [
        ("optional none admitted", 2),
        ("report_only credentials_missing would_reject", 2),
        ("report_only none admitted", 1),
        ("report_only token_scheme_not_accepted would_reject", 2),
        ("strict credentials_missing rejected", 1),
        ("strict none admitted", 3),
        ("strict policy_scope_missing rejected", 1),
        ("strict token_scheme_not_accepted rejected", 1),
    ];
    let expected = expected.map(|(labels, count)| (labels.to_owned(), count));
    assert_eq!(counts, BTreeMap::from(expected));
}
