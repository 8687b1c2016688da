//! Requests that can be sent more than once.

use axum::Router;
use http::{Method, Response};

use crate::support::{Api, URL, Verdict, send};

pub(super) const fn use_nonce(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 401,
        error: "use_dpop_nonce",
        reason,
    }
}

/// A token that outlives the test, and a proof.
pub(super) struct Sent {
    pub(super) token: String,
    pub(super) proof: String,
}

impl Sent {
    pub(super) fn new(api: &Api, nonce: Option<&str>, offset: i64) -> Self {
        let token = api.token().claim("exp", api.now() + 100_000).mint();
        let iat = api.now() + offset;
        let proof = api.proof(&token).claim("iat", iat);
        let proof = match nonce {
            Some(nonce) => proof.nonce(nonce),
            None => proof,
        };
        Self {
            proof: proof.sign(),
            token,
        }
    }

    pub(super) async fn response(&self, api: &Api, router: &Router) -> Response<axum::body::Body> {
        let request = api
            .client
            .request_with_proof(Method::GET, URL, &self.token, &self.proof);
        send(router.clone(), request).await
    }

    pub(super) async fn to(&self, api: &Api, router: &Router) -> Verdict {
        Verdict::of(self.response(api, router).await)
    }
}

pub(super) fn nonce_of<B>(response: &Response<B>) -> Option<String> {
    let nonce = response.headers().get("dpop-nonce")?;
    Some(nonce.to_str().unwrap().to_owned())
}

/// Sends a request without a nonce, and returns the nonce of the challenge.
pub(super) async fn challenge(api: &Api, router: &Router) -> String {
    let response = Sent::new(api, None, 0).response(api, router).await;
    let nonce = nonce_of(&response).unwrap();
    assert!(matches!(
        Verdict::of(response),
        Verdict::Rejected {
            error: "use_dpop_nonce",
            ..
        }
    ));
    nonce
}
