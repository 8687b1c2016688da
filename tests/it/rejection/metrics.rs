//! Metrics of verdicts.

use std::collections::BTreeMap;

use axum::{Router, routing::get};
use dpop_tower::{DpopLayer, Policy, RequireScopeLayer, rejection::ProblemDetails};
use http::Request;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::{
    rejection::logging::Log,
    support::{Api, URL, Why},
};

/// Returns how often each combination of mode, outcome and reason was counted.
pub(crate) fn counted(send: impl AsyncFnOnce()) -> BTreeMap<String, u64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(send());
    });
    let snapshot = snapshotter.snapshot().into_vec();
    let counts = snapshot
        .into_iter()
        .filter_map(|(key, _, description, value)| {
            let (_, key) = key.into_parts();
            if key.name() != "dpop_verdicts_total" {
                return None;
            }
            assert!(description.is_some());
            let mut labels: Vec<_> = key.labels().collect();
            labels.sort_by_key(|label| label.key());
            assert!(
                labels
                    .iter()
                    .map(|label| label.key())
                    .eq(["mode", "outcome", "reason"])
            );
            let labels: Vec<_> = labels.iter().map(|label| label.value()).collect();
            let DebugValue::Counter(count) = value else {
                panic!("{value:?}");
            };
            Some((labels.join(" "), count))
        });
    counts.collect()
}

#[test]
fn every_request_counts_once_by_mode_outcome_and_reason() {
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
        ("optional admitted none", 2),
        ("report_only would_reject credentials_missing", 2),
        ("report_only admitted none", 1),
        ("report_only would_reject token_scheme_not_accepted", 2),
        ("strict rejected credentials_missing", 1),
        ("strict admitted none", 3),
        ("strict rejected policy_scope_missing", 1),
        ("strict rejected token_scheme_not_accepted", 1),
    ];
    let expected = expected.map(|(labels, count)| (labels.to_owned(), count));
    assert_eq!(counts, BTreeMap::from(expected));
}

#[test]
fn a_reason_has_one_code_whatever_the_response_looks_like() {
    let log = Log::listen();
    let mut expected = BTreeMap::new();
    let counts = counted(async || {
        let api = Api::new();
        let layer = DpopLayer::new(api.config().build().unwrap());
        let orders = || Router::new().route("/orders", get(|| async {}));
        let plain = orders().layer(layer.clone());
        let problem = orders().layer(layer.with_rejection_response(ProblemDetails));
        let token = api.token().mint();
        let requests = [
            Request::get(URL).body(()).unwrap(),
            api.client.get(URL, &api.issuer.token().mint()),
            api.client.get("https://api.test/elsewhere", &token),
        ];
        for mut request in requests {
            *request.uri_mut() = URL.parse().unwrap();
            let mut grpc = request.clone();
            let content_type = "application/grpc".parse().unwrap();
            grpc.headers_mut().insert("content-type", content_type);
            for (router, request) in [
                (plain.clone(), request.clone()),
                (problem.clone(), request),
                (plain.clone(), grpc),
            ] {
                let response = api.way.send(router, request).await;
                let reason = Why::of(&response).unwrap().reason;
                let line = log.take().concat();
                assert!(line.contains(&format!("reason=\"{reason}\"")), "{line}");
                *expected
                    .entry(format!("strict rejected {reason}"))
                    .or_insert(0) += 1;
            }
        }
    });
    assert_eq!(counts, expected);
    assert!(counts.values().eq(&[3; 3]), "{counts:?}");
}
