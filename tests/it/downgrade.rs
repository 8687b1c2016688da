//! A token that is bound to something is never a bearer token, and one that is bound to nothing
//! never passes for a bound one.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    routing::get,
};
use dpop_tower::{
    BearerToken, BoundToken, DpopConfig, DpopLayer, Policy, PublicOrigin, test_util::TestClient,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{
    Api, ORIGIN, URL, Verdict, invalid_proof, invalid_request, invalid_token, send,
};

/// An API that answers with how the token got in.
fn router(api: &Api, policy: Policy) -> Router {
    async fn how(request: Request) -> &'static str {
        let extensions = request.extensions();
        match (
            extensions.get::<BoundToken>(),
            extensions.get::<BearerToken>(),
        ) {
            (Some(_), None) => "bound",
            (None, Some(_)) => "bearer",
            (None, None) => "neither",
            (Some(_), Some(_)) => "both",
        }
    }
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), api.issuer.tokens())
        .clock(api.clock.clone())
        .policy(policy)
        .build()
        .unwrap();
    Router::new()
        .route("/orders", get(how))
        .layer(DpopLayer::new(config))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Bound,
    Bearer,
    Refused(Verdict),
}

async fn outcome(router: &Router, headers: HeaderMap) -> Outcome {
    let mut request = http::Request::new(());
    *request.uri_mut() = "/orders".parse().unwrap();
    *request.headers_mut() = headers;
    let response = send(router.clone(), request).await;
    if response.status() != StatusCode::OK {
        return Outcome::Refused(Verdict::of(response));
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 100).await.unwrap();
    let response = http::Response::from_parts(parts, Body::empty());
    assert_eq!(Verdict::of(response), Verdict::LetIn);
    match &body[..] {
        b"bound" => Outcome::Bound,
        b"bearer" => Outcome::Bearer,
        other => panic!("{other:?}"),
    }
}

fn headers(values: &[(header::HeaderName, String)]) -> HeaderMap {
    values
        .iter()
        .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

fn authorization(scheme: &str, token: &str) -> (header::HeaderName, String) {
    (header::AUTHORIZATION, format!("{scheme} {token}"))
}

fn dpop(proof: String) -> (header::HeaderName, String) {
    (header::HeaderName::from_static("dpop"), proof)
}

/// What a request carries, in the order of a row's columns.
const COLUMNS: [&str; 6] = [
    "Bearer",
    "DPoP with a proof",
    "DPoP without a proof",
    "DPoP with another client's proof",
    "both schemes in two headers with a proof",
    "Bearer with a proof",
];

fn request(api: &Api, thief: &TestClient, token: &str, column: usize) -> HeaderMap {
    let proof = || dpop(api.proof(token).sign());
    let of_thief = || dpop(thief.proof("GET", URL).access_token(token).sign());
    match column {
        0 => headers(&[authorization("Bearer", token)]),
        1 => headers(&[authorization("DPoP", token), proof()]),
        2 => headers(&[authorization("DPoP", token)]),
        3 => headers(&[authorization("DPoP", token), of_thief()]),
        4 => headers(&[
            authorization("Bearer", token),
            authorization("DPoP", token),
            proof(),
        ]),
        5 => headers(&[authorization("Bearer", token), proof()]),
        _ => panic!("no column {column}"),
    }
}

#[tokio::test]
async fn rfc_9449_section_7_2_the_downgrade_matrix() {
    const BOUND: Outcome = Outcome::Bound;
    const OPEN: Outcome = Outcome::Bearer;
    /// The route takes no bearer tokens at all.
    const SCHEME: Outcome = Outcome::Refused(invalid_token("token_scheme_not_accepted"));
    const AS_BEARER: Outcome = Outcome::Refused(invalid_token("token_bound_as_bearer"));
    const UNBOUND: Outcome = Outcome::Refused(invalid_token("token_not_bound"));
    const OTHER: Outcome = Outcome::Refused(invalid_token("token_binding_mismatch"));
    const UNKNOWN: Outcome = Outcome::Refused(invalid_token("token_confirmation_not_supported"));
    const BROKEN: Outcome = Outcome::Refused(invalid_token("token_confirmation_invalid"));
    const NO_PROOF: Outcome = Outcome::Refused(invalid_proof("proof_missing"));
    const TWO: Outcome = Outcome::Refused(invalid_request("credentials_multiple"));

    let api = Api::new();
    let thief = TestClient::new().clock(api.clock.clone());
    let jkt = api.client.thumbprint().to_string();
    let x5t = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";
    let hex: String = api
        .client
        .thumbprint()
        .as_bytes()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();

    let broken = [
        [SCHEME, BROKEN, NO_PROOF, BROKEN, TWO, SCHEME],
        [BROKEN, BROKEN, NO_PROOF, BROKEN, TWO, BROKEN],
    ];
    let unknown = [
        [SCHEME, UNKNOWN, NO_PROOF, UNKNOWN, TWO, SCHEME],
        [UNKNOWN, UNKNOWN, NO_PROOF, UNKNOWN, TWO, UNKNOWN],
    ];
    // The columns under `Policy::strict`, then under `Policy::optional`.
    let table: Vec<(Option<Value>, [[Outcome; 6]; 2])> = vec![
        (
            None,
            [
                [SCHEME, UNBOUND, NO_PROOF, UNBOUND, TWO, SCHEME],
                [OPEN, UNBOUND, NO_PROOF, UNBOUND, TWO, OPEN],
            ],
        ),
        (
            Some(json!({"jkt": jkt})),
            [
                [SCHEME, BOUND, NO_PROOF, OTHER, TWO, SCHEME],
                [AS_BEARER, BOUND, NO_PROOF, OTHER, TWO, AS_BEARER],
            ],
        ),
        (
            // RFC 7800 section 3.1: what is not understood beside it is ignored.
            Some(json!({"jkt": jkt, "new": {"x": 1}})),
            [
                [SCHEME, BOUND, NO_PROOF, OTHER, TWO, SCHEME],
                [AS_BEARER, BOUND, NO_PROOF, OTHER, TWO, AS_BEARER],
            ],
        ),
        (
            Some(json!({"jkt": TestClient::new().thumbprint().to_string()})),
            [
                [SCHEME, OTHER, NO_PROOF, OTHER, TWO, SCHEME],
                [AS_BEARER, OTHER, NO_PROOF, OTHER, TWO, AS_BEARER],
            ],
        ),
        (Some(json!({"x5t#S256": x5t})), unknown),
        (Some(json!({"x5t#S256": x5t, "jkt": jkt})), unknown),
        (Some(json!({"x5t#S256": null, "jkt": jkt})), unknown),
        (Some(json!({"jwk": {"kty": "EC"}})), unknown),
        (Some(json!({"kid": "1"})), unknown),
        (Some(json!({"new": {}})), unknown),
        (Some(json!({"JKT": jkt})), unknown),
        (Some(json!({"jkt ": jkt})), unknown),
        (Some(json!({"": jkt})), unknown),
        (Some(json!(null)), broken),
        (Some(json!([])), broken),
        (Some(json!([{"jkt": jkt}])), broken),
        (Some(json!("")), broken),
        (Some(json!(jkt)), broken),
        (Some(json!(true)), broken),
        (Some(json!(false)), broken),
        (Some(json!(0)), broken),
        (Some(json!(7)), broken),
        (Some(json!({})), broken),
        (Some(json!({"jkt": null})), broken),
        (Some(json!({"jkt": 7})), broken),
        (Some(json!({"jkt": true})), broken),
        (Some(json!({"jkt": [jkt]})), broken),
        (Some(json!({"jkt": {"jkt": jkt}})), broken),
        (Some(json!({"jkt": ""})), broken),
        (Some(json!({"jkt": format!("{jkt}=")})), broken),
        (Some(json!({"jkt": format!("{jkt} ")})), broken),
        (Some(json!({"jkt": format!("{jkt}A")})), broken),
        (Some(json!({"jkt": jkt[..42]})), broken),
        (Some(json!({"jkt": hex})), broken),
        (Some(json!({"jkt": 7, "x5t#S256": x5t})), broken),
        (Some(json!({"jkt": 7, "new": {}})), broken),
    ];
    let routers = [Policy::strict(), Policy::optional()].map(|policy| router(&api, policy));
    for (cnf, expected) in table {
        let token = match &cnf {
            None => api.issuer.token(),
            Some(cnf) => api.issuer.token().claim("cnf", cnf.clone()),
        };
        let token = token.mint();
        // The second time, the verdict on the token may be one that was kept.
        for round in 0..2 {
            for (router, expected, policy) in [
                (&routers[0], expected[0], "strict"),
                (&routers[1], expected[1], "optional"),
            ] {
                for (column, expected) in expected.into_iter().enumerate() {
                    let found = outcome(router, request(&api, &thief, &token, column)).await;
                    assert_eq!(
                        found, expected,
                        "{cnf:?}, {}, {policy}, round {round}",
                        COLUMNS[column]
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn the_scheme_of_a_bound_token_has_no_spelling_that_makes_it_a_bearer_token() {
    let api = Api::new();
    let token = api.token().mint();
    let router = router(&api, Policy::optional());
    let as_bearer = Outcome::Refused(invalid_token("token_bound_as_bearer"));
    let missing = Outcome::Refused(Verdict::Refused {
        status: 401,
        error: "",
        reason: "credentials_missing",
    });
    let malformed = Outcome::Refused(invalid_request("credentials_malformed"));
    for (value, expected) in [
        (format!("bearer {token}"), as_bearer),
        (format!("BEARER {token}"), as_bearer),
        (format!("Bearer  {token}"), as_bearer),
        (format!("Bearer\t{token}"), missing),
        (format!("Bearer:{token}"), missing),
        (format!("Bearer2 {token}"), missing),
        (format!("Token {token}"), missing),
        (format!("Basic {token}"), missing),
        (token.clone(), missing),
        (format!(" Bearer {token}"), malformed),
        (format!("Bearer {token},"), malformed),
        (format!("Bearer {token} x"), malformed),
        (format!("Bearer {token}, DPoP {token}"), malformed),
        (format!("DPoP {token}, Bearer {token}"), malformed),
        (format!("Bearer token={token}"), malformed),
        (format!("Bearer \"{token}\""), malformed),
    ] {
        let found = outcome(&router, headers(&[(header::AUTHORIZATION, value.clone())])).await;
        assert_eq!(found, expected, "{}", value.replace(&token, "…"));
    }
}

#[tokio::test]
async fn a_second_authorization_header_is_refused_whatever_it_is() {
    let api = Api::new();
    let (bound, open) = (api.token().mint(), api.issuer.token().mint());
    let two = Outcome::Refused(invalid_request("credentials_multiple"));
    for policy in [Policy::strict(), Policy::optional()] {
        let router = router(&api, policy);
        for (first, second) in [
            (authorization("DPoP", &bound), authorization("DPoP", &bound)),
            (
                authorization("DPoP", &bound),
                authorization("Bearer", &open),
            ),
            (
                authorization("Bearer", &open),
                authorization("DPoP", &bound),
            ),
            (
                authorization("Bearer", &open),
                authorization("Bearer", &bound),
            ),
            (
                authorization("Bearer", &open),
                authorization("Bearer", &open),
            ),
            (
                authorization("Basic", "YTpi"),
                authorization("DPoP", &bound),
            ),
            (
                authorization("DPoP", &bound),
                (header::AUTHORIZATION, String::new()),
            ),
        ] {
            let proof = dpop(api.proof(&bound).sign());
            let found = outcome(&router, headers(&[first, second, proof])).await;
            assert_eq!(found, two);
        }
    }
}

/// RFC 6750 sections 2.2 and 2.3 have other places for a bearer token; RFC 9700 section 4.3.2 rules
/// out the query.
#[tokio::test]
async fn a_token_anywhere_but_in_the_authorization_header_is_no_token() {
    let api = Api::new();
    for (policy, token) in [
        (Policy::strict(), api.token().mint()),
        (Policy::optional(), api.token().mint()),
        (Policy::optional(), api.issuer.token().mint()),
    ] {
        let router = router(&api, policy);
        let mut request = api.client.get(URL, &token);
        request.headers_mut().remove(header::AUTHORIZATION);
        *request.uri_mut() = format!("/orders?access_token={token}").parse().unwrap();
        let value: HeaderValue = format!("Bearer {token}").parse().unwrap();
        for name in ["x-authorization", "proxy-authorization", "cookie"] {
            request.headers_mut().insert(name, value.clone());
        }
        assert_eq!(
            Verdict::of(send(router, request).await),
            Verdict::Refused {
                status: 401,
                error: "",
                reason: "credentials_missing",
            }
        );
    }
}

#[tokio::test]
async fn a_bearer_token_that_is_not_valid_is_refused_as_any_other() {
    let api = Api::new();
    let router = router(&api, Policy::optional());
    let token = || api.issuer.token();
    for (what, token, reason) in [
        (
            "expired",
            token().claim("exp", api.now()).mint(),
            "token_expired",
        ),
        (
            "corrupt",
            token().corrupt_signature().mint(),
            "token_signature_invalid",
        ),
        (
            "not signed",
            token().header("alg", "none").empty_signature().mint(),
            "token_alg_not_allowed",
        ),
        (
            "another audience",
            token().claim("aud", "x").mint(),
            "token_audience_mismatch",
        ),
        ("no token", "x".to_owned(), "token_malformed"),
    ] {
        let found = outcome(&router, headers(&[authorization("Bearer", &token)])).await;
        assert_eq!(found, Outcome::Refused(invalid_token(reason)), "{what}");
    }
}
