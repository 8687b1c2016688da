use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, header, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    AccessToken, ClientError, ClientErrorKind, DpopClientLayer, RequestBody,
    body::Resend,
    challenge::Challenge,
    layer::{Api, Shared},
    nonce::Nonce,
    origin::target,
};
use crate::{
    error::BoxError,
    future::{self, MaybeReady},
    header::DPOP,
};

pin_project! {
    /// The future of a [`DpopClientService`](super::DpopClientService).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing more is sent. The server may have received the request by then.
    ///
    /// # Panics
    ///
    /// Like most futures, it panics if it is polled again after it has completed.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<RequestBody<B>>>,
    {
        #[pin]
        state: State<S::Future>,
        // The error of a request that is not sent, until it is returned.
        call: Result<Call<S, B>, Option<ClientError>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Token { token: MaybeReady<Result<AccessToken, ClientError>> },
        Proof { proof: MaybeReady<Result<String, ClientError>> },
        Sent { #[pin] future: F },
        // Until the inner service is ready for the second attempt.
        Waiting,
    }
}

/// A request, and what its attempts have in common.
struct Call<S, B> {
    inner: S,
    shared: Arc<Shared>,
    api: Arc<Api>,
    htu: String,
    head: Parts,
    /// The body of the next attempt.
    body: Option<RequestBody<B>>,
    /// `None` after the first response.
    resend: Option<Resend<B>>,
    token: Option<AccessToken>,
    /// The nonce of the next proof, or of the latest one.
    nonce: Option<Nonce>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<RequestBody<B>>>,
    B: Body,
{
    pub(super) fn new(inner: S, layer: &DpopClientLayer, request: Request<B>) -> Self {
        let shared = Arc::clone(&layer.shared);
        let (api, htu) = match target(request.uri(), &shared.apis, |api| &api.origin) {
            Ok((api, htu)) => (Arc::clone(api), htu),
            Err(error) => {
                tracing::debug!(%error, "a request is not sent");
                return Self {
                    state: State::Waiting,
                    call: Err(Some(error)),
                };
            }
        };
        let (head, body) = request.into_parts();
        let (body, resend) = RequestBody::first(body, layer.resend_limit);
        Self {
            state: State::Token {
                token: shared.tokens.token(),
            },
            call: Ok(Call {
                inner,
                shared,
                api,
                htu,
                head,
                body: Some(body),
                resend: Some(resend),
                token: None,
                nonce: None,
            }),
        }
    }
}

impl<S, B> Call<S, B> {
    fn set_token(&mut self, token: AccessToken) {
        // It replaces every value of the caller, such as the credentials of a request that is passed on.
        self.head
            .headers
            .insert(header::AUTHORIZATION, token.authorization());
        self.token = Some(token);
        self.nonce = self.api.nonce.get();
    }

    fn prove(&self) -> MaybeReady<Result<String, ClientError>> {
        let client = &self.shared.client;
        let ath = self.token.as_ref().map(|token| token.ath(client));
        let nonce = self.nonce.as_ref().map(Nonce::text);
        client
            .proof_for(&self.head.method, self.htu.clone())
            .with(ath, nonce)
            .sign()
    }

    fn send(&mut self, proof: String) -> Result<S::Future, ClientError>
    where
        S: Service<Request<RequestBody<B>>>,
    {
        let mut proof = HeaderValue::try_from(proof).map_err(|error| {
            let message = "the signature of the proof does not fit into a header";
            ClientError::new(ClientErrorKind::Signer, message).with_source(error)
        })?;
        proof.set_sensitive(true);
        let body = future::taken(&mut self.body, "each attempt has a body");
        self.head.headers.insert(DPOP, proof);
        let request = Request::from_parts(self.head.clone(), body);
        Ok(self.inner.call(request))
    }

    /// Learns from a response, and returns whether the request is sent again.
    fn is_sent_again_after<T>(&mut self, response: &Response<T>) -> bool {
        let resend = self.resend.take();
        let nonce = Nonce::of(response.headers());
        if let Some(nonce) = &nonce {
            self.api.nonce.set(nonce);
        }
        match (Challenge::of(response), nonce, resend) {
            (Some(Challenge::InvalidToken), ..) => {
                if let Some(token) = &self.token {
                    self.shared.tokens.rejected(token);
                }
                false
            }
            (Some(Challenge::UseNonce), Some(nonce), Some(resend))
                if self.nonce.as_ref() != Some(&nonce) =>
            {
                self.nonce = Some(nonce);
                self.body = resend.second();
                if self.body.is_none() {
                    tracing::debug!(
                        "the server requires a nonce, and the body is too long to be sent again"
                    );
                }
                self.body.is_some()
            }
            _ => false,
        }
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<RequestBody<B>>, Response = Response<ResBody>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<ResBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = loop {
            let call = match this.call {
                Ok(call) => call,
                Err(error) => break Err(taken(error).into()),
            };
            let next = match this.state.as_mut().project() {
                StateProj::Token { token } => match ready!(Pin::new(token).poll(cx)) {
                    Ok(token) => {
                        call.set_token(token);
                        State::Proof {
                            proof: call.prove(),
                        }
                    }
                    Err(error) => break Err(error.into()),
                },
                StateProj::Proof { proof } => {
                    let proof = ready!(Pin::new(proof).poll(cx));
                    match proof.and_then(|proof| call.send(proof)) {
                        Ok(future) => State::Sent { future },
                        Err(error) => break Err(error.into()),
                    }
                }
                StateProj::Sent { future } => match ready!(future.poll(cx)) {
                    Ok(response) if call.is_sent_again_after(&response) => State::Waiting,
                    result => break result.map_err(Into::into),
                },
                StateProj::Waiting => match ready!(call.inner.poll_ready(cx)) {
                    Ok(()) => State::Proof {
                        proof: call.prove(),
                    },
                    Err(error) => break Err(error.into()),
                },
            };
            this.state.set(next);
        };
        // The service may have reserved something for the call.
        *this.call = Err(None);
        Poll::Ready(result)
    }
}

fn taken<T>(value: &mut Option<T>) -> T {
    future::taken(value, "`ResponseFuture` polled after completion")
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<RequestBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Token { .. } => "ResponseFuture::Token",
            State::Proof { .. } => "ResponseFuture::Proof",
            State::Sent { .. } => "ResponseFuture::Sent",
            State::Waiting => "ResponseFuture::Waiting",
        })
    }
}
