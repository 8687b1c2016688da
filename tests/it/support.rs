//! One protected API with an issuer, a client and a clock, in process.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, routing::get};
use dpop_tower::{
    BoundToken, DpopConfig, DpopConfigBuilder, DpopLayer, JwtTokens, PublicOrigin,
    rejection::Rejection,
    test_util::{ProofBuilder, TestClient, TestIssuer, TokenBuilder},
    time::{ManualClock, TimeSource, UnixTime},
};
use http::{Method, Request, Response, StatusCode, header};
use tower::ServiceExt as _;

/// What clients call the API.
pub(crate) const ORIGIN: &str = "https://api.test";
/// Its one resource, for `GET` and `POST`.
pub(crate) const URL: &str = "https://api.test/orders";

pub(crate) struct Api {
    pub(crate) issuer: TestIssuer,
    pub(crate) client: TestClient,
    pub(crate) clock: ManualClock,
    pub(crate) router: Router,
}

impl Api {
    /// With every default but the clock, which stands still.
    pub(crate) fn new() -> Self {
        Self::with(|tokens| tokens, |config| config)
    }

    /// With settings of the test's own.
    pub(crate) fn with(
        tokens: impl FnOnce(JwtTokens) -> JwtTokens,
        config: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
    ) -> Self {
        let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
        let issuer = TestIssuer::new().clock(clock.clone());
        let client = TestClient::new().clock(clock.clone());
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let builder = DpopConfig::builder(origin, tokens(issuer.tokens())).clock(clock.clone());
        Self {
            router: router(config(builder).build().unwrap()),
            issuer,
            client,
            clock,
        }
    }

    /// A good token for the client's key, to break.
    pub(crate) fn token(&self) -> TokenBuilder {
        self.issuer.token().subject("alice").bound_to(&self.client)
    }

    /// A good proof for `GET` of [`URL`] with this token, to break.
    pub(crate) fn proof(&self, token: &str) -> ProofBuilder {
        self.client.proof("GET", URL).access_token(token)
    }

    /// Sends `GET` of [`URL`] with these.
    pub(crate) async fn get(&self, token: &str, proof: &str) -> Verdict {
        self.send(
            self.client
                .request_with_proof(Method::GET, URL, token, proof),
        )
        .await
    }

    pub(crate) async fn send(&self, request: Request<()>) -> Verdict {
        Verdict::of(send(self.router.clone(), request).await)
    }

    pub(crate) fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_secs()
    }
}

/// An API that answers with the subject of the token.
pub(crate) fn router(config: DpopConfig) -> Router {
    async fn orders(token: BoundToken) -> String {
        token.claims().subject().unwrap().to_owned()
    }
    Router::new()
        .route("/orders", get(orders).post(orders))
        .layer(DpopLayer::new(config))
}

pub(crate) async fn send(router: Router, request: Request<()>) -> Response<Body> {
    let response: Result<_, Infallible> = router.oneshot(request.map(|()| Body::empty())).await;
    response.unwrap()
}

/// What came of a request: let in, or refused with this error code for this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    LetIn,
    Refused {
        status: u16,
        /// The `error` of the `DPoP` challenge; empty if it has none.
        error: &'static str,
        /// The operator's code, from the response's extensions.
        reason: &'static str,
    },
}

impl Verdict {
    /// Also checks what every refusal has to have.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a response has no further use, and tests read better without the borrow"
    )]
    pub(crate) fn of(response: Response<Body>) -> Self {
        let Some(rejection) = response.extensions().get::<Rejection>() else {
            assert_eq!(response.status(), StatusCode::OK);
            assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
            return Self::LetIn;
        };
        assert_eq!(response.status(), rejection.status());
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let error = rejection.kind().error_code().unwrap_or_default();
        let challenges: Vec<_> = response
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        match (rejection.status().as_u16(), challenges.first()) {
            (503, None) => assert!(response.headers().contains_key(header::RETRY_AFTER)),
            (400 | 401, Some(first)) => {
                assert!(first.starts_with("DPoP "), "{first}");
                assert!(first.contains("algs=\""), "{first}");
                let code = format!("error=\"{error}\"");
                assert_eq!(first.contains("error="), !error.is_empty(), "{first}");
                assert!(error.is_empty() || first.contains(&code), "{first}");
            }
            (status, first) => panic!("{status} with {first:?}"),
        }
        Self::Refused {
            status: rejection.status().as_u16(),
            error,
            reason: rejection.reason(),
        }
    }
}

pub(crate) const fn invalid_proof(reason: &'static str) -> Verdict {
    Verdict::Refused {
        status: 401,
        error: "invalid_dpop_proof",
        reason,
    }
}

pub(crate) const fn invalid_token(reason: &'static str) -> Verdict {
    Verdict::Refused {
        status: 401,
        error: "invalid_token",
        reason,
    }
}

pub(crate) const fn invalid_request(reason: &'static str) -> Verdict {
    Verdict::Refused {
        status: 400,
        error: "invalid_request",
        reason,
    }
}

pub(crate) const fn unavailable(reason: &'static str) -> Verdict {
    Verdict::Refused {
        status: 503,
        error: "",
        reason,
    }
}
