//! Answers Envoy, which asks over gRPC whether a request may pass (`ext_authz`).
//!
//! The response either lists the headers that Envoy sets on the request and those that it removes, or
//! contains the rejection for the client. `docs/forward-auth.md` describes how to configure Envoy.
//!
//! Every failure is answered with a rejection. With `failure_mode_allow`, Envoy lets a request pass on a
//! gRPC error.

use std::{future::Future, io};

use axum::body::Body;
use dpop_tower::{rejection::Rejection, target::CertificateHeader};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tonic::Code;
use tower::ServiceExt as _;
use tracing::{error, warn};

use self::{
    asked::{Trouble, Understood, understand},
    proto::{
        envoy::{
            config::core::v3::{
                HeaderValue as ProtoHeader, HeaderValueOption,
                header_value_option::HeaderAppendAction,
            },
            service::auth::v3::{
                CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
                authorization_server::{Authorization, AuthorizationServer},
                check_response::HttpResponse,
            },
            r#type::v3::HttpStatus,
        },
        google::rpc::Status,
    },
};
use crate::gateway::{
    asked::{join_challenges, misleading, peer, report_certificate},
    guard::Verdict,
    identity::Identity,
    live::Gateway,
    names::is_client_certificate,
    server::{Shutdown, serve_with},
    settings::{EnvoyCertificate, Limits},
};

mod asked;
pub mod proto;

static DPOP: HeaderName = dpop_tower::header::DPOP;

const X_FORWARDED_CLIENT_CERT: &str = "x-forwarded-client-cert";

/// The header in which the guard finds the certificate that Envoy reports apart from the headers.
const PEER_CERTIFICATE: HeaderName = HeaderName::from_static("x-peer-certificate");

/// The headers of a request are smaller than this, but Envoy may send part of its body as well.
const LARGEST_QUESTION: usize = 1024 * 1024;

/// The authorization service for Envoy. Clones are cheap.
#[derive(Clone, Debug)]
pub struct ExtAuthz {
    gateway: Gateway,
}

impl ExtAuthz {
    /// Shares the guard of this gateway, and with it the replay store. The current settings decide on
    /// each request who may ask; without `[ext_authz]`, nobody may.
    pub fn new(gateway: Gateway) -> Self {
        Self { gateway }
    }

    async fn verdict(&self, question: tonic::Request<CheckRequest>) -> CheckResponse {
        let settings = self.gateway.ext_authz();
        let settings =
            settings.filter(|settings| settings.trusted_proxies.include(question.extensions()));
        let Some(settings) = settings else {
            let peer = peer(question.extensions());
            warn!(target: "gateway", "rejected an `ext_authz` request from {peer:?}: the address is not in `ext_authz.networks`");
            return denied(Code::PermissionDenied, StatusCode::FORBIDDEN);
        };
        let peer = peer(question.extensions());
        let understood = match understand(question.into_inner()) {
            Ok(understood) => understood,
            Err(Trouble::Envoy(what)) => {
                error!(target: "gateway", "Envoy sends {what}; see docs/forward-auth.md");
                return denied(Code::Internal, StatusCode::INTERNAL_SERVER_ERROR);
            }
            Err(Trouble::Request) => return denied(Code::Unauthenticated, StatusCode::BAD_REQUEST),
            Err(Trouble::Malformed(malformed)) => {
                warn!(target: "gateway", "rejected a request: {}", malformed.what());
                return denied(Code::Unauthenticated, malformed.status());
            }
        };
        let Understood {
            asked,
            headers,
            peer_certificate,
        } = understood;
        let guard = self.gateway.guard();
        if guard.has_metadata_at(&Uri::from(asked.target.clone())) {
            let names = [header::ORIGIN, header::ACCESS_CONTROL_REQUEST_METHOD];
            return match guard.metadata(asked.request(&headers, &names, peer)).await {
                Some(document) => told(document).await,
                None => denied(Code::NotFound, StatusCode::NOT_FOUND),
            };
        }
        let names = [header::AUTHORIZATION, DPOP.clone(), header::CONTENT_TYPE];
        let mut request = asked.request(&headers, &names, peer);
        let certificate = settings.client_certificate.as_ref();
        let reported = certificate.and_then(EnvoyCertificate::header);
        if let Some(header) = reported {
            let values = headers.get_all(header.name());
            report_certificate(&mut request, header.clone(), values);
        } else if certificate == Some(&EnvoyCertificate::Peer) {
            // No client can write this header: the request has only those that are copied above.
            let header = CertificateHeader::escaped_pem(PEER_CERTIFICATE);
            report_certificate(&mut request, header, [&peer_certificate]);
        }
        match guard.check(request).await {
            Verdict::Admitted {
                identity,
                response_headers,
            } => CheckResponse {
                status: Some(status(Code::Ok)),
                http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
                    headers_to_remove: self.removed(
                        &headers,
                        &identity,
                        guard.identity(),
                        reported,
                    ),
                    headers: set(&identity),
                    response_headers_to_add: set(&response_headers),
                })),
            },
            Verdict::Rejected(response) => {
                let page = headers.get(header::ORIGIN);
                rejected(self.gateway.readable(page, response).await).await
            }
        }
    }

    /// Lists the headers that Envoy removes. Envoy removes headers after it sets others, so the list
    /// must not contain the headers that are set.
    fn removed(
        &self,
        sent: &HeaderMap,
        set: &HeaderMap,
        identity: &Identity,
        reported: Option<&CertificateHeader>,
    ) -> Vec<String> {
        let misleads = |name: &HeaderName| misleading(std::iter::once(name), reported).is_some();
        // Envoy writes `X-Forwarded-Client-Cert` itself, or removes it. It passes on the headers of RFC 9440.
        let is_of_client = |name: &HeaderName| {
            is_client_certificate(name)
                && name != X_FORWARDED_CLIENT_CERT
                && reported != Some(&CertificateHeader::client_cert())
        };
        let forged = sent
            .keys()
            .filter(|name| identity.is_reserved(name) || misleads(name) || is_of_client(name));
        // Adds all identity headers: Envoy may have reported only some of the client's headers.
        let mut names: Vec<&HeaderName> = forged.chain(identity.names()).collect();
        if !self.gateway.passes_on_credentials() {
            names.extend([&header::AUTHORIZATION, &DPOP]);
        }
        let mut names: Vec<String> = (names.into_iter())
            .filter(|name| !set.contains_key(*name))
            .map(ToString::to_string)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[tonic::async_trait]
impl Authorization for ExtAuthz {
    async fn check(
        &self,
        request: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        Ok(tonic::Response::new(self.verdict(request).await))
    }
}

/// Converts a rejection for Envoy to send to the client. If the client uses gRPC, Envoy builds the gRPC
/// response itself, with the `grpc-status` among the headers.
async fn rejected(response: Response<Body>) -> CheckResponse {
    let kind = response.extensions().get().map(Rejection::kind);
    let (code, http) = match kind {
        Some(kind) => (Code::from(i32::from(kind.grpc_status())), kind.status()),
        // The gateway's own response when no issuer is configured and nobody is admitted.
        None => (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
    };
    instead(response, code, http).await
}

/// Makes Envoy answer by itself with the metadata of the protected resource, or with the error of a request for it.
async fn told(response: Response<Body>) -> CheckResponse {
    let status = response.status();
    // A question with any code but `OK` is answered in place of the service.
    instead(response, Code::PermissionDenied, status).await
}

/// Makes Envoy send a response, and not the request.
async fn instead(response: Response<Body>, code: Code, http: StatusCode) -> CheckResponse {
    let (mut parts, body) = response.into_parts();
    join_challenges(&mut parts.headers);
    parts.headers.remove(header::CONTENT_LENGTH);
    // The body is a text in memory.
    let body = (body.collect().await).map_or_else(|_| Vec::new(), |body| body.to_bytes().to_vec());
    CheckResponse {
        status: Some(status(code)),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus {
                code: http.as_u16().into(),
            }),
            headers: set(&parts.headers),
            body: String::from_utf8(body).unwrap_or_default(),
        })),
    }
}

/// A rejection that gives the client no reason.
fn denied(code: Code, http: StatusCode) -> CheckResponse {
    let no_store =
        HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
    CheckResponse {
        status: Some(status(code)),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus {
                code: http.as_u16().into(),
            }),
            headers: set(&no_store),
            body: String::new(),
        })),
    }
}

fn status(code: Code) -> Status {
    Status {
        code: code.into(),
        message: code.description().to_owned(),
    }
}

/// Headers that replace all others of the same name.
fn set(headers: &HeaderMap) -> Vec<HeaderValueOption> {
    let option = |(name, value): (&HeaderName, &HeaderValue)| HeaderValueOption {
        header: Some(ProtoHeader {
            key: name.to_string(),
            // The gateway writes only ASCII.
            value: value.to_str().unwrap_or_default().to_owned(),
            raw_value: Vec::new(),
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
    };
    headers.iter().map(option).collect()
}

/// Answers on a socket until shutdown; see [`serve`](crate::gateway::serve).
///
/// # Errors
///
/// Returns an error if the listener has no address.
pub async fn serve(
    listener: TcpListener,
    ext_authz: ExtAuthz,
    limits: Limits,
    shutdown: Shutdown<impl Future<Output = ()>>,
) -> io::Result<()> {
    let service = AuthorizationServer::new(ext_authz).max_decoding_message_size(LARGEST_QUESTION);
    let answer = move |request: Request<Body>| {
        let service = service.clone();
        async move {
            match service.oneshot(request).await {
                Ok(response) => response.map(Body::new),
                Err(never) => match never {},
            }
        }
    };
    serve_with(listener, "answering Envoy", answer, limits, shutdown).await
}
