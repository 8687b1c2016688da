//! Each pair of modes with each kind of request.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::body::Body;
use dpop_tower::{
    BearerToken, BoundToken, Dpop, DpopConfigBuilder, DpopLayer, Policy, Report, RequireScopeLayer,
    nonce::{NonceSecret, StatelessNonces},
    rejection::Rejection,
};
use http::{Method, Request, Response, header};
use tower::{Layer as _, Service, ServiceExt as _, service_fn, util::MapRequestLayer};

use crate::{
    rejection::challenge::Challenge,
    support::{Api, Backend, URL},
};

dpop_conformance::each_backend!(
    each_pair_of_modes_does_with_each_request_as_the_table_says,
    the_table_holds_for_two_configurations_too,
    where_credentials_are_exchanged_between_layers_the_handler_sees_the_new_ones_alone,
    the_outermost_layer_that_rejects_says_which_schemes_it_takes,
    a_pair_rejects_whatever_one_of_it_rejects,
    a_pair_rejects_whatever_one_of_it_rejects_where_nonces_are_on,
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    Bound,
    Bearer,
    BoundAsBearer,
    OtherUrl,
    Replayed,
    Twice,
}

const KINDS: [Kind; 7] = [
    Kind::Nothing,
    Kind::Bound,
    Kind::Bearer,
    Kind::BoundAsBearer,
    Kind::OtherUrl,
    Kind::Replayed,
    Kind::Twice,
];

pub(super) const STRICT: fn() -> Policy = Policy::strict;
pub(super) const OPTIONAL: fn() -> Policy = Policy::optional;
pub(super) const REPORT: fn() -> Policy = Policy::report_only;
pub(super) const OFF: fn() -> Policy = Policy::off;

/// In the order of [`KINDS`]: `!` and the reason if the request is rejected; otherwise the token that
/// the handler sees and, after the slash, the report, if there is one.
pub(super) type Row = [&'static str; 7];

/// The outcomes of a strict layer.
const STRICTLY: Row = [
    "!credentials_missing",
    "bound",
    "!token_scheme_not_accepted",
    "!token_scheme_not_accepted",
    "!proof_htu_mismatch",
    "!proof_replayed",
    "!credentials_multiple",
];

/// The outcomes of an optional layer.
const OPTIONALLY: Row = [
    "!credentials_missing",
    "bound",
    "bearer",
    "!token_bound_as_bearer",
    "!proof_htu_mismatch",
    "!proof_replayed",
    "!credentials_multiple",
];

/// The outcomes of a report-only layer.
const REPORTED: Row = [
    "none/credentials_missing",
    "bound/good",
    "none/token_scheme_not_accepted",
    "none/token_scheme_not_accepted",
    "none/proof_htu_mismatch",
    "none/proof_replayed",
    "none/credentials_multiple",
];

const UNSEEN: Row = ["none"; 7];

/// The same row, with a report for each admitted request.
const fn with(row: Row, bound: &'static str, bearer: &'static str) -> Row {
    let mut row = row;
    row[1] = bound;
    row[2] = bearer;
    row
}

/// The outer policy, the inner policy, and the outcome of each kind of request.
pub(super) type Case = (fn() -> Policy, fn() -> Policy, Row);

const REJECTS_BEARER: &str = "!token_scheme_not_accepted";

/// The table follows from three rules: a request that either layer rejects is rejected; a report says
/// what a strict layer would have done; the handler sees what was verified.
pub(super) fn table() -> [Case; 16] {
    [
        (STRICT, STRICT, STRICTLY),
        (STRICT, OPTIONAL, STRICTLY),
        (STRICT, REPORT, with(STRICTLY, "bound/good", REJECTS_BEARER)),
        (STRICT, OFF, STRICTLY),
        // The outer layer admits the token as a bearer token, the inner one does not.
        (OPTIONAL, STRICT, with(OPTIONALLY, "bound", REJECTS_BEARER)),
        (OPTIONAL, OPTIONAL, OPTIONALLY),
        (
            OPTIONAL,
            REPORT,
            with(OPTIONALLY, "bound/good", "bearer/token_scheme_not_accepted"),
        ),
        (OPTIONAL, OFF, OPTIONALLY),
        (REPORT, STRICT, with(STRICTLY, "bound/good", REJECTS_BEARER)),
        (
            REPORT,
            OPTIONAL,
            with(OPTIONALLY, "bound/good", "bearer/token_scheme_not_accepted"),
        ),
        (REPORT, REPORT, REPORTED),
        (REPORT, OFF, REPORTED),
        (OFF, STRICT, STRICTLY),
        (OFF, OPTIONAL, OPTIONALLY),
        (OFF, REPORT, REPORTED),
        (OFF, OFF, UNSEEN),
    ]
}

/// Returns a request of this kind.
pub(super) fn request(api: &Api, kind: Kind) -> Request<()> {
    let token = api.token().mint();
    let authorized = |value: String| {
        let request = Request::get(URL).header(header::AUTHORIZATION, value);
        request.body(()).unwrap()
    };
    match kind {
        Kind::Nothing => Request::get(URL).body(()).unwrap(),
        Kind::Bound | Kind::Replayed => api.client.get(URL, &token),
        Kind::Bearer => authorized(format!("Bearer {}", api.issuer.token().mint())),
        Kind::BoundAsBearer => authorized(format!("Bearer {token}")),
        Kind::OtherUrl => {
            let proof = api.client.proof("GET", "https://api.test/other");
            let proof = proof.access_token(&token).sign();
            api.client
                .request_with_proof(Method::GET, URL, &token, &proof)
        }
        Kind::Twice => {
            let mut request = api.client.get(URL, &token);
            let again = request.headers()[header::AUTHORIZATION].clone();
            request.headers_mut().append(header::AUTHORIZATION, again);
            request
        }
    }
}

/// Tells what the handler sees.
#[derive(Clone)]
struct Seen(String);

/// Returns the outcome of a request of this kind, in the table's notation.
async fn outcome<S, B>(api: &Api, kind: Kind, service: S, calls: &AtomicUsize) -> String
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone,
    B: fmt::Debug,
{
    let request = request(api, kind);
    if kind == Kind::Replayed {
        service.clone().oneshot(request.clone()).await.unwrap();
    }
    answer(request, service, calls).await
}

/// Returns the outcome of this request, in the table's notation.
pub(super) async fn answer<S, B>(request: Request<()>, service: S, calls: &AtomicUsize) -> String
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: fmt::Debug,
{
    let response = respond(request, service, calls).await;
    match response.extensions().get::<Rejection>() {
        None => response.extensions().get::<Seen>().unwrap().0.clone(),
        Some(rejection) => format!("!{}", rejection.reason()),
    }
}

/// Returns the service's response. Asserts that the handler is called once, or never if the request is
/// rejected.
pub(super) async fn respond<S, B>(
    request: Request<()>,
    service: S,
    calls: &AtomicUsize,
) -> Response<B>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: fmt::Debug,
{
    let before = calls.load(Ordering::SeqCst);
    let response = service.oneshot(request).await.unwrap();
    let called = calls.load(Ordering::SeqCst) - before;
    let is_handlers = response.extensions().get::<Seen>().is_some();
    let is_rejection = response.extensions().get::<Rejection>().is_some();
    assert_ne!(is_handlers, is_rejection, "{response:?}");
    assert_eq!(called, usize::from(is_handlers), "{response:?}");
    response
}

pub(super) type Handler = tower::util::BoxCloneSyncService<Request<()>, Response<Body>, Infallible>;

pub(super) fn handler(calls: &Arc<AtomicUsize>) -> Handler {
    let calls = Arc::clone(calls);
    Handler::new(service_fn(move |request: Request<()>| {
        calls.fetch_add(1, Ordering::SeqCst);
        let extensions = request.extensions();
        let tokens = (
            extensions.get::<BoundToken>(),
            extensions.get::<BearerToken>(),
        );
        let token = match tokens {
            (Some(_), None) => "bound",
            (None, Some(_)) => "bearer",
            (None, None) => "none",
            (Some(_), Some(_)) => "both",
        };
        let report = extensions.get::<Report>().map(Report::rejection);
        let seen = match report {
            None => token.to_owned(),
            Some(None) => format!("{token}/good"),
            Some(Some(rejection)) => format!("{token}/{}", rejection.reason()),
        };
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Seen(seen));
        async { Ok(response) }
    }))
}

pub(super) type Pair = Dpop<Dpop<Handler>>;

pub(super) fn pair(outer: &DpopLayer, inner: &DpopLayer, calls: &Arc<AtomicUsize>) -> Pair {
    outer.layer(inner.layer(handler(calls)))
}

async fn each_pair_of_modes_does_with_each_request_as_the_table_says(backend: Backend) {
    for (outer, inner, row) in table() {
        let api = backend.api();
        let layer = DpopLayer::new(api.config().build().unwrap());
        let calls = Arc::default();
        let layers = (
            layer.clone().with_policy(outer()),
            layer.with_policy(inner()),
        );
        let service = pair(&layers.0, &layers.1, &calls);
        for (kind, expected) in KINDS.into_iter().zip(row) {
            let outcome = outcome(&api, kind, service.clone(), &calls).await;
            let pair = (outer().mode(), inner().mode());
            assert_eq!(outcome, expected, "{kind:?} through {pair:?}");
        }
    }
}

/// Each layer verifies the request and remembers the proof for itself.
async fn the_table_holds_for_two_configurations_too(backend: Backend) {
    for (outer, inner, row) in table() {
        let api = backend.api();
        let layer =
            |policy: Policy| DpopLayer::new(api.config().build().unwrap()).with_policy(policy);
        let calls = Arc::default();
        let service = pair(&layer(outer()), &layer(inner()), &calls);
        for (kind, expected) in KINDS.into_iter().zip(row) {
            let outcome = outcome(&api, kind, service.clone(), &calls).await;
            let pair = (outer().mode(), inner().mode());
            assert_eq!(outcome, expected, "{kind:?} through {pair:?}");
        }
    }
}

async fn where_credentials_are_exchanged_between_layers_the_handler_sees_the_new_ones_alone(
    backend: Backend,
) {
    let api = backend.api();
    let calls = Arc::default();
    let layer = || DpopLayer::new(api.config().build().unwrap());
    let bearer = format!("Bearer {}", api.issuer.token().scope("orders:read").mint());
    let exchange = MapRequestLayer::new(move |mut request: Request<()>| {
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, bearer.parse().unwrap());
        headers.remove("dpop");
        request
    });
    let inner = layer().with_policy(Policy::optional());
    let service = layer().layer(exchange.layer(inner.layer(handler(&calls))));
    let seen = answer(request(&api, Kind::Bound), service, &calls).await;
    assert_eq!(seen, "bearer");

    // The scopes are also those of the new token.
    for (scope, expected) in [
        ("orders:read", "bearer"),
        ("orders:write", "!policy_scope_missing"),
    ] {
        let scoped = RequireScopeLayer::new(scope)
            .unwrap()
            .layer(handler(&calls));
        let service = layer().layer(exchange.layer(inner.layer(scoped)));
        let seen = answer(request(&api, Kind::Bound), service, &calls).await;
        assert_eq!(seen, expected, "{scope}");
    }
}

/// For a request without a token, and for one with an unbound bearer token.
async fn the_outermost_layer_that_rejects_says_which_schemes_it_takes(backend: Backend) {
    const BOTH: &[&str] = &["DPoP", "Bearer"];
    const DPOP: &[&str] = &["DPoP"];
    const ADMITTED: &[&str] = &[];
    let api = backend.api();
    let calls = Arc::default();
    let layer = || DpopLayer::new(api.config().build().unwrap());
    for (outer, inner, to_nothing, to_bearer) in [
        (STRICT, STRICT, DPOP, DPOP),
        (STRICT, OPTIONAL, DPOP, DPOP),
        (STRICT, REPORT, DPOP, DPOP),
        (STRICT, OFF, DPOP, DPOP),
        // The outer layer does not know that the inner one rejects bearer tokens.
        (OPTIONAL, STRICT, BOTH, DPOP),
        (OPTIONAL, OPTIONAL, BOTH, ADMITTED),
        (OPTIONAL, REPORT, BOTH, ADMITTED),
        (OPTIONAL, OFF, BOTH, ADMITTED),
        (REPORT, STRICT, DPOP, DPOP),
        (REPORT, OPTIONAL, BOTH, ADMITTED),
        (OFF, STRICT, DPOP, DPOP),
        (OFF, OPTIONAL, BOTH, ADMITTED),
    ] {
        let shared = layer();
        for (outer_layer, inner_layer) in [(shared.clone(), shared), (layer(), layer())] {
            let service = pair(
                &outer_layer.with_policy(outer()),
                &inner_layer.with_policy(inner()),
                &calls,
            );
            for (kind, expected) in [(Kind::Nothing, to_nothing), (Kind::Bearer, to_bearer)] {
                let response = respond(request(&api, kind), service.clone(), &calls).await;
                let challenges = Challenge::all(response.headers());
                let schemes: Vec<_> = challenges.iter().map(|it| it.scheme.as_str()).collect();
                let modes = (outer().mode(), inner().mode());
                assert_eq!(schemes, expected, "{kind:?} through {modes:?}");
            }
        }
    }
}

/// Uses what each layer does alone instead of the table: layers tighten, and never loosen.
async fn a_pair_rejects_whatever_one_of_it_rejects(backend: Backend) {
    assert_pairs_only_tighten(backend, |config| config).await;
}

/// The same with a requirement of the configuration that none of the requests meets: a report-only layer
/// does not require nonces, but an inner layer does.
async fn a_pair_rejects_whatever_one_of_it_rejects_where_nonces_are_on(backend: Backend) {
    let nonces = StatelessNonces::new(NonceSecret::new([3; 32]).unwrap());
    assert_pairs_only_tighten(backend, |config| {
        config.nonce_source(nonces.clone()).require_nonces()
    })
    .await;
}

async fn assert_pairs_only_tighten(
    backend: Backend,
    settings: impl Fn(DpopConfigBuilder) -> DpopConfigBuilder,
) {
    for (outer, inner, _) in table() {
        let api = backend.api();
        let layer = || DpopLayer::new(settings(api.config()).build().unwrap());
        let calls = Arc::default();
        let alone = |policy: Policy| layer().with_policy(policy).layer(handler(&calls));
        let (outer_alone, inner_alone) = (alone(outer()), alone(inner()));
        let shared = layer();
        let of_one = pair(
            &shared.clone().with_policy(outer()),
            &shared.with_policy(inner()),
            &calls,
        );
        let of_two = pair(
            &layer().with_policy(outer()),
            &layer().with_policy(inner()),
            &calls,
        );
        for kind in KINDS {
            let one = outcome(&api, kind, outer_alone.clone(), &calls).await;
            let other = outcome(&api, kind, inner_alone.clone(), &calls).await;
            let rejects = |outcome: &str| outcome.starts_with('!');
            for (pair, configurations) in [(&of_one, "one"), (&of_two, "two")] {
                let both = outcome(&api, kind, pair.clone(), &calls).await;
                assert_eq!(
                    rejects(&both),
                    rejects(&one) || rejects(&other),
                    "{kind:?} through {:?} and {:?} of {configurations}: {both}, alone {one} and {other}",
                    outer().mode(),
                    inner().mode()
                );
            }
        }
    }
}
