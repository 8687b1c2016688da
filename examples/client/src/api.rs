//! A client of an API, with a key and a token of its own.

use bytes::Bytes;
use dpop_tower::{
    client::{
        AccessToken, ApiOrigin, ClientError, ClientKey, DpopClient, DpopClientLayer,
        DpopClientService, RequestBody,
    },
    crypto::Algorithm,
    test_util::TestIssuer,
};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{BoxError, Layer as _, ServiceExt as _};

/// The client of hyper-util, which follows no redirects, inside the layer.
type Http = DpopClientService<Client<HttpConnector, RequestBody<Full<Bytes>>>>;

/// Clones share the connections, the token and the nonces.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    url: String,
    http: Http,
}

impl Api {
    /// Creates a client of the API at this URL, which acts for `subject`.
    pub(crate) fn new(url: &str, subject: &str, issuer: &TestIssuer) -> Result<Self, ClientError> {
        let key = ClientKey::generate(Algorithm::Es256)?;
        // A real client obtains the token from the issuer, and renews it in a `TokenSource`.
        let token = issuer.token().subject(subject);
        let token = token.bound_to_thumbprint(&key.thumbprint()).mint();
        let layer = DpopClientLayer::new(
            DpopClient::new(key)?,
            AccessToken::new(&token)?,
            ApiOrigin::new(url)?,
        );
        let http = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self {
            url: url.to_owned(),
            http: layer.layer(http),
        })
    }

    /// Begins a request for this path.
    pub(crate) fn get(&self, path: &str) -> http::request::Builder {
        Request::get(format!("{}{path}", self.url))
    }

    /// Sends a request, and reads the whole response.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, BoxError> {
        let (head, body) = self.http.clone().oneshot(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}
