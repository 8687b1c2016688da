//! Access tokens that are bound to client certificates (RFC 8705 section 3).

mod forwarded;
mod handlers;
mod layering;
mod revoked;

use axum::{Router, body::to_bytes, extract::Request as AxumRequest, routing::get};
use dpop_tower::{
    BearerToken, BoundToken, CertificateBoundToken, DpopLayer, Mode, Policy, Report, RequestHead,
    Verdict, Verifier,
    certificate::{CertificateThumbprint, ClientCertificate},
    crypto::Josekit,
    test_util::TestClient,
};
use http::{HeaderValue, Request, StatusCode, header};

use crate::support::{Api, URL, Why, send};

/// RFC 8705 appendix A, figure 6.
const DER: &str = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDU\
    wMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9Oyl\
    MbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzu\
    ri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=";

/// RFC 8705 appendix A, figure 5.
const X5T: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

fn certificate() -> ClientCertificate {
    ClientCertificate::from_der(openssl::base64::decode_block(DER).unwrap())
}

fn thumbprint() -> CertificateThumbprint {
    X5T.parse().unwrap()
}

/// How a token is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Not,
    Key,
    Certificate,
    Both,
}

impl Bound {
    const ALL: [Self; 4] = [Self::Not, Self::Key, Self::Certificate, Self::Both];

    fn token(self, api: &Api) -> String {
        let token = match self {
            Self::Not | Self::Certificate => api.issuer.token(),
            Self::Key | Self::Both => api.token(),
        };
        match self {
            Self::Not | Self::Key => token,
            Self::Certificate | Self::Both => token.bound_to_certificate(&thumbprint()),
        }
        .scope("orders:read")
        .mint()
    }
}

fn as_bearer(token: &str) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = "/orders".parse().unwrap();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

fn with_certificate(
    mut request: Request<()>,
    certificate: Option<&ClientCertificate>,
) -> Request<()> {
    if let Some(certificate) = certificate {
        request.extensions_mut().insert(certificate.clone());
    }
    request
}

/// The three ways in which a client can be connected: with the certificate, with another, and with none.
fn connections() -> [Option<ClientCertificate>; 3] {
    let other = ClientCertificate::from_der(*b"another certificate");
    [Some(certificate()), Some(other), None]
}

/// A handler that says what it finds in the request.
async fn found(request: AxumRequest) -> String {
    let extensions = request.extensions();
    let of_bound = |token: &BoundToken| match token.certificate_thumbprint() {
        Some(certificate) if *certificate == thumbprint() => "both",
        Some(_) => "another certificate",
        None => "key",
    };
    let tokens = [
        extensions.get::<BoundToken>().map(of_bound),
        extensions.get::<BearerToken>().map(|_| "bearer"),
        (extensions.get::<CertificateBoundToken>())
            .filter(|token| *token.certificate_thumbprint() == thumbprint())
            .map(|_| "certificate"),
    ];
    let tokens: Vec<_> = tokens.into_iter().flatten().collect();
    let report = extensions.get::<Report>().and_then(Report::rejection);
    let report = report.map(|rejection| format!("would be {}", rejection.reason()));
    tokens
        .into_iter()
        .map(str::to_owned)
        .chain(report)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns what the handler finds, or the reason of the rejection.
async fn outcome(router: &Router, request: Request<()>) -> String {
    let response = send(router.clone(), request).await;
    if let Some(why) = Why::of(&response) {
        return why.reason.to_owned();
    }
    assert_eq!(response.status(), StatusCode::OK);
    let body = to_bytes(response.into_body(), 1000).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn router(api: &Api, policy: Policy) -> Router {
    let config = api.config().policy(policy).build().unwrap();
    Router::new()
        .route("/orders", get(found))
        .layer(DpopLayer::new(config))
}

fn accepting() -> Policy {
    Policy::strict().accept_certificate_bound()
}

#[test]
fn rfc_8705_appendix_a_the_thumbprint_is_the_hash_of_the_certificate() {
    assert_eq!(certificate().thumbprint(&Josekit), thumbprint());
}

/// The columns are a connection with the certificate, with another one, and with none.
#[tokio::test]
async fn rfc_8705_section_3_a_bound_token_needs_its_certificate() {
    let api = Api::new();
    let not = "token_not_bound";
    let bearer = "token_scheme_not_accepted";
    let unsupported = "token_confirmation_not_supported";
    let as_bearer_needs_proof = ["token_bound_as_bearer"; 3];
    let both = [
        "both",
        "token_certificate_mismatch",
        "token_certificate_missing",
    ];
    let alone = [
        "certificate",
        "token_certificate_mismatch",
        "token_certificate_missing",
    ];
    for (policy, rows) in [
        (
            Policy::strict(),
            [
                (Bound::Not, [not; 3], [bearer; 3]),
                (Bound::Key, ["key"; 3], [bearer; 3]),
                (Bound::Certificate, [unsupported; 3], [bearer; 3]),
                (Bound::Both, both, [bearer; 3]),
            ],
        ),
        (
            Policy::optional(),
            [
                (Bound::Not, [not; 3], ["bearer"; 3]),
                (Bound::Key, ["key"; 3], as_bearer_needs_proof),
                (Bound::Certificate, [unsupported; 3], [unsupported; 3]),
                (Bound::Both, both, as_bearer_needs_proof),
            ],
        ),
        (
            accepting(),
            [
                (Bound::Not, [not; 3], [bearer; 3]),
                (Bound::Key, ["key"; 3], as_bearer_needs_proof),
                (Bound::Certificate, [not; 3], alone),
                (Bound::Both, both, as_bearer_needs_proof),
            ],
        ),
        (
            Policy::optional().accept_certificate_bound(),
            [
                (Bound::Not, [not; 3], ["bearer"; 3]),
                (Bound::Key, ["key"; 3], as_bearer_needs_proof),
                (Bound::Certificate, [not; 3], alone),
                (Bound::Both, both, as_bearer_needs_proof),
            ],
        ),
    ] {
        let router = router(&api, policy.clone());
        for (bound, with_proof, without_proof) in rows {
            let token = bound.token(&api);
            for (i, connection) in connections().iter().enumerate() {
                // The second time, the verdict on the token comes from the cache.
                for _ in 0..2 {
                    let case = format!("{policy}, {bound:?}, {connection:?}");
                    let request =
                        with_certificate(api.client.get(URL, &token), connection.as_ref());
                    assert_eq!(outcome(&router, request).await, with_proof[i], "{case}");
                    let request = with_certificate(as_bearer(&token), connection.as_ref());
                    assert_eq!(outcome(&router, request).await, without_proof[i], "{case}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_report_says_what_a_strict_layer_with_the_same_setting_would_do() {
    let api = Api::new();
    let reporting = router(&api, Policy::report_only().accept_certificate_bound());
    let without_setting = router(&api, Policy::report_only());
    let strict = router(&api, accepting());
    for bound in Bound::ALL {
        let token = bound.token(&api);
        for connection in connections() {
            let request = || with_certificate(as_bearer(&token), connection.as_ref());
            let expected = match outcome(&strict, request()).await {
                found if found == "certificate" => found,
                reason => format!("would be {reason}"),
            };
            assert_eq!(outcome(&reporting, request()).await, expected, "{bound:?}");
            assert_eq!(
                outcome(&without_setting, request()).await,
                "would be token_scheme_not_accepted"
            );
        }
    }
}

#[tokio::test]
async fn a_policy_can_require_a_certificate_beside_the_key_or_alone() {
    let api = Api::new();
    let missing = "policy_certificate_binding_missing";
    let own = certificate();
    for (policy, expected) in [
        (
            Policy::strict().require_certificate_bound(),
            [missing, "both", "token_scheme_not_accepted"],
        ),
        (
            Policy::optional().require_certificate_bound(),
            [missing, "both", "token_confirmation_not_supported"],
        ),
        (
            accepting().require_certificate_bound(),
            [missing, "both", "certificate"],
        ),
    ] {
        let policy = policy.build().unwrap();
        let router = router(&api, policy.clone());
        let found = async |request| outcome(&router, with_certificate(request, Some(&own))).await;
        let key = found(api.client.get(URL, &Bound::Key.token(&api))).await;
        let both = found(api.client.get(URL, &Bound::Both.token(&api))).await;
        let alone = found(as_bearer(&Bound::Certificate.token(&api))).await;
        assert_eq!([&*key, &*both, &*alone], expected, "{policy}");
        let bearer = match policy.mode() {
            Mode::Optional => missing,
            _ => "token_scheme_not_accepted",
        };
        assert_eq!(found(as_bearer(&Bound::Not.token(&api))).await, bearer);
    }
}

#[tokio::test]
async fn a_request_with_the_wrong_certificate_does_not_use_up_its_proof() {
    let api = Api::new();
    let router = router(&api, Policy::strict());
    let token = Bound::Both.token(&api);
    let request = api.client.get(URL, &token);
    for (connection, expected) in connections().iter().rev().zip([
        "token_certificate_missing",
        "token_certificate_mismatch",
        "both",
    ]) {
        let again = with_certificate(request.clone(), connection.as_ref());
        assert_eq!(outcome(&router, again).await, expected);
    }
}

#[tokio::test]
async fn another_client_needs_both_keys_of_a_token_with_both_bindings() {
    let api = Api::new();
    let router = router(&api, accepting());
    let token = Bound::Both.token(&api);
    let thief = TestClient::new().clock(api.clock.clone());
    for connection in connections() {
        let request = with_certificate(thief.get(URL, &token), connection.as_ref());
        assert_eq!(outcome(&router, request).await, "token_binding_mismatch");
    }
}

#[tokio::test]
async fn a_verifier_takes_the_certificate_from_the_request_head() {
    let api = Api::new();
    let verifier = Verifier::new(api.config().policy(accepting()).build().unwrap());
    let request = as_bearer(&Bound::Certificate.token(&api));
    let head = || RequestHead::new(request.method(), request.uri(), request.headers());
    let own = certificate();
    let Verdict::Admitted(admitted) = verifier
        .verify_request(head().client_certificate(&own))
        .await
    else {
        panic!("rejected");
    };
    let token = admitted.certificate_bound_token().unwrap();
    assert_eq!(*token.certificate_thumbprint(), thumbprint());
    assert!(admitted.bound_token().is_none() && admitted.bearer_token().is_none());
    let Verdict::Rejected(rejection) = verifier.verify_request(head()).await else {
        panic!("admitted");
    };
    assert_eq!(rejection.reason(), "token_certificate_missing");
    assert_eq!(rejection.kind().error_code(), Some("invalid_token"));
}

/// RFC 6750 section 3: a client learns which schemes it can use.
#[tokio::test]
async fn a_challenge_offers_bearer_if_the_policy_accepts_any_token_with_it() {
    let api = Api::new();
    let is_offered = async |policy: Policy| {
        let mut request = Request::new(());
        *request.uri_mut() = "/orders".parse().unwrap();
        let response = send(router(&api, policy), request).await;
        assert_eq!(response.status(), 401);
        let values = response.headers().get_all("www-authenticate");
        let values: Vec<_> = values.iter().map(|value| value.to_str().unwrap()).collect();
        assert!(values[0].starts_with("DPoP "), "{values:?}");
        values.get(1) == Some(&"Bearer")
    };
    let required = |policy: Policy| policy.require_certificate_bound().build().unwrap();
    for (policy, expected) in [
        (Policy::strict(), false),
        (accepting(), true),
        (required(Policy::strict()), false),
        (required(accepting()), true),
        (Policy::optional(), true),
        (required(Policy::optional()), false),
        (
            required(Policy::optional().accept_certificate_bound()),
            true,
        ),
    ] {
        assert_eq!(is_offered(policy.clone()).await, expected, "{policy}");
    }
    // The error is in the challenge of the scheme that was used (RFC 9449 section 7.2).
    let request = as_bearer(&Bound::Certificate.token(&api));
    let response = send(router(&api, accepting()), request).await;
    let values = response.headers().get_all("www-authenticate");
    let values: Vec<_> = values.iter().map(|value| value.to_str().unwrap()).collect();
    assert!(!values[0].contains("error"), "{values:?}");
    assert!(
        values[1].starts_with("Bearer error=\"invalid_token\""),
        "{values:?}"
    );
}
