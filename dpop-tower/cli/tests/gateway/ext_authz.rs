//! Envoy, which asks over gRPC. The client is generated from Envoy's own definition of the service.

use std::collections::HashMap;

use dpop_cli::gateway::{
    Settings, Shutdown,
    ext_authz::{
        self, ExtAuthz,
        proto::envoy::config::core::v3::HeaderValueOption,
        proto::envoy::service::auth::v3::{
            AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
            attribute_context, authorization_client::AuthorizationClient,
            check_response::HttpResponse,
        },
    },
};
use http::{Method, Request};
use tokio::net::TcpListener;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

use super::{ORIGIN, Rig, Wanted, identity::spellings, mirror};

pub(super) struct Envoy {
    pub(super) rig: Rig,
    client: AuthorizationClient<Channel>,
}

impl Envoy {
    pub(super) async fn before(tables: &str) -> Self {
        Self::before_routes("", tables).await
    }

    pub(super) async fn before_routes(head: &str, tables: &str) -> Self {
        let tables = format!("[ext_authz]\nlisten = '127.0.0.1:0'\n{tables}");
        let wanted = Wanted {
            head,
            tables: &tables,
        };
        let rig = Rig::with(mirror(), wanted).await;
        let settings = Settings::read(&rig.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown {
            signal: std::future::pending::<()>(),
            timeout: settings.shutdown_timeout(),
        };
        let service = ExtAuthz::new(rig.gateway.clone());
        tokio::spawn(ext_authz::serve(
            listener,
            service,
            settings.limits(),
            shutdown,
        ));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let client = AuthorizationClient::new(endpoint.connect().await.unwrap());
        Self { rig, client }
    }

    async fn ask(&mut self, question: CheckRequest) -> CheckResponse {
        self.client.check(question).await.unwrap().into_inner()
    }

    /// Returns the status that a client gets, or 200.
    pub(super) async fn verdict<B>(&mut self, request: &Request<B>) -> u16 {
        self.status(about(request)).await
    }

    /// Returns the status that a client gets, or 200.
    pub(super) async fn status(&mut self, question: CheckRequest) -> u16 {
        match self.ask(question).await.http_response {
            Some(HttpResponse::DeniedResponse(response)) => {
                response.status.unwrap().code.try_into().unwrap()
            }
            _ => 200,
        }
    }

    pub(super) async fn admitted(&mut self, question: CheckRequest) -> OkHttpResponse {
        let answer = self.ask(question).await;
        assert_eq!(answer.status.unwrap().code, i32::from(Code::Ok));
        match answer.http_response {
            Some(HttpResponse::OkResponse(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the rejection and its HTTP status.
    pub(super) async fn rejected(&mut self, question: CheckRequest) -> (i32, DeniedHttpResponse) {
        let answer = self.ask(question).await;
        assert_ne!(answer.status.unwrap().code, i32::from(Code::Ok));
        match answer.http_response {
            Some(HttpResponse::DeniedResponse(response)) => {
                (response.status.unwrap().code, response)
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Returns Envoy's description of a request.
pub(super) fn about<B>(request: &Request<B>) -> CheckRequest {
    let path = request.uri().path_and_query().unwrap().to_string();
    let method = request.method().to_string();
    let mut headers: HashMap<String, String> = (request.headers().iter())
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.insert(":path".to_owned(), path.clone());
    headers.insert(":method".to_owned(), method.clone());
    CheckRequest {
        attributes: Some(AttributeContext {
            source: None,
            request: Some(attribute_context::Request {
                http: Some(attribute_context::HttpRequest {
                    method,
                    path,
                    headers,
                    ..Default::default()
                }),
            }),
        }),
    }
}

pub(super) fn header(headers: &[HeaderValueOption], name: &str) -> Option<String> {
    let mut found = headers.iter().filter_map(|option| option.header.as_ref());
    found
        .find(|header| header.key == name)
        .map(|header| header.value.clone())
}

#[tokio::test]
async fn a_good_request_passes_with_who_called_and_without_credentials() {
    let mut envoy = Envoy::before("").await;
    let response = envoy.admitted(about(&envoy.rig.get("/orders?a"))).await;
    let thumbprint = envoy.rig.client.thumbprint().to_string();
    assert_eq!(
        header(&response.headers, "x-dpop-thumbprint"),
        Some(thumbprint)
    );
    assert_eq!(
        header(&response.headers, "x-dpop-subject").as_deref(),
        Some("alice")
    );
    for name in ["authorization", "dpop"] {
        assert!(
            response
                .headers_to_remove
                .iter()
                .any(|removed| removed == name),
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_a_client_forges_is_replaced_or_removed() {
    let mut envoy = Envoy::before("").await;
    for spelling in spellings("x-dpop-subject") {
        let name: http::HeaderName = spelling.parse().unwrap();
        let mut request = envoy.rig.get("/orders");
        request
            .headers_mut()
            .insert(name.clone(), "mallory".parse().unwrap());
        let response = envoy.admitted(about(&request)).await;
        let is_set = header(&response.headers, name.as_str()).as_deref() == Some("alice");
        let is_removed = response
            .headers_to_remove
            .iter()
            .any(|removed| removed == name.as_str());
        assert!(is_set || is_removed, "{spelling}");
    }
}

#[tokio::test]
async fn a_rejection_has_what_the_client_needs() {
    let mut envoy = Envoy::before("[nonces]\nmode = 'required'\n").await;
    let (status, response) = envoy
        .rejected(about(&Request::get("/orders").body(()).unwrap()))
        .await;
    assert_eq!(status, 401);
    let challenge = header(&response.headers, "www-authenticate").unwrap();
    assert!(challenge.starts_with("DPoP "), "{challenge}");

    let (status, response) = envoy.rejected(about(&envoy.rig.get("/orders"))).await;
    assert_eq!(status, 401);
    let challenge = header(&response.headers, "www-authenticate").unwrap();
    assert!(
        challenge.contains("error=\"use_dpop_nonce\""),
        "{challenge}"
    );
    let nonce = header(&response.headers, "dpop-nonce").unwrap();
    let (url, token) = (format!("{ORIGIN}/orders"), envoy.rig.token());
    let proof = envoy.rig.client.proof("GET", &url).access_token(&token);
    let proof = proof.nonce(&nonce).sign();
    let request = envoy
        .rig
        .client
        .request_with_proof(Method::GET, &url, &token, &proof);
    envoy.admitted(about(&request)).await;
    let (status, _) = envoy.rejected(about(&request)).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_grpc_call_is_rejected_as_grpc_clients_read_it() {
    let mut envoy = Envoy::before("").await;
    let request =
        Request::post("/orders.v1.Orders/Place").header("content-type", "application/grpc");
    let (_, response) = envoy.rejected(about(&request.body(()).unwrap())).await;
    assert_eq!(
        header(&response.headers, "grpc-status").as_deref(),
        Some("16")
    );
}

#[tokio::test]
async fn a_question_that_envoy_would_not_ask_is_no_way_in() {
    let mut envoy = Envoy::before("").await;
    let (status, _) = envoy.rejected(CheckRequest::default()).await;
    assert_eq!(status, 500);
    let good = || about(&envoy.rig.get("/orders"));
    let questions = [
        ("another path in the headers", ":path", "/other"),
        ("another method in the headers", ":method", "POST"),
    ];
    let questions: Vec<_> = (questions.into_iter())
        .map(|(what, name, value)| {
            let mut question = good();
            let attributes = question.attributes.as_mut().unwrap();
            let http = attributes.request.as_mut().unwrap().http.as_mut().unwrap();
            http.headers.insert(name.to_owned(), value.to_owned());
            (what, question)
        })
        .collect();
    for (what, question) in questions {
        let (status, _) = envoy.rejected(question).await;
        assert_eq!(status, 500, "{what}");
    }
    for target in ["orders", "/orders#x", "*", "http://api.test/orders", ""] {
        let mut question = about(&envoy.rig.get("/orders"));
        let attributes = question.attributes.as_mut().unwrap();
        let http = attributes.request.as_mut().unwrap().http.as_mut().unwrap();
        target.clone_into(&mut http.path);
        http.headers.remove(":path");
        let (status, _) = envoy.rejected(question).await;
        assert!(status == 400 || status == 401, "{target}: {status}");
    }
}

#[tokio::test]
async fn a_proof_passes_once_through_the_gateway_and_envoy() {
    let mut envoy = Envoy::before("").await;
    let request = envoy.rig.get("/orders");
    let question = about(&request);
    assert_eq!(envoy.rig.status(request).await, 200);
    let (status, _) = envoy.rejected(question).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn what_could_mislead_the_service_is_removed() {
    let mut envoy = Envoy::before("").await;
    for name in [
        "x-http-method-override",
        "x_method_override",
        "x-original-url",
        "x.rewrite.url",
        "path_info",
        "x-host",
        "x_forwarded_host",
        "transfer_encoding",
    ] {
        let mut request = envoy.rig.get("/orders");
        let value = http::HeaderValue::from_static("misleading");
        request.headers_mut().insert(name, value);
        request
            .headers_mut()
            .insert("x-request-id", "1".parse().unwrap());
        let response = envoy.admitted(about(&request)).await;
        let removes = |name: &str| {
            response
                .headers_to_remove
                .iter()
                .any(|removed| removed == name)
        };
        assert!(removes(name), "{name}");
        assert!(!removes("x-request-id") && !removes("host"));
    }
}

#[tokio::test]
async fn what_is_no_request_is_rejected() {
    let mut envoy = Envoy::before("").await;
    for (host, headers, status) in [
        ("api.test", &[][..], 200),
        ("api.test", &[("host", "API.test")], 200),
        ("api.test", &[("transfer-encoding", "chunked")], 200),
        ("api.test", &[("host", "evil.example")], 400),
        (
            "evil.example, api.test",
            &[("host", "evil.example, api.test")],
            400,
        ),
        ("", &[("host", "a b")], 400),
        ("api.test", &[("transfer-encoding", "gzip, chunked")], 501),
        (
            "api.test",
            &[("transfer-encoding", "chunked"), ("content-length", "1")],
            400,
        ),
    ] {
        let mut request = envoy.rig.get("/orders");
        request.headers_mut().remove("host");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let mut question = about(&request);
        let attributes = question.attributes.as_mut().unwrap();
        let http = attributes.request.as_mut().unwrap().http.as_mut().unwrap();
        host.clone_into(&mut http.host);
        if status == 200 {
            envoy.admitted(question).await;
        } else {
            let (rejected, _) = envoy.rejected(question).await;
            assert_eq!(rejected, status, "{host} {headers:?}");
        }
    }
}

#[tokio::test]
async fn a_new_file_says_at_once_who_may_ask() {
    let mut envoy = Envoy::before("").await;
    let table = |rest: &str| format!("[ext_authz]\nlisten = '127.0.0.1:0'\n{rest}");
    envoy.admitted(about(&envoy.rig.get("/orders"))).await;
    let elsewhere = table("networks = ['192.0.2.0/24']");
    envoy.rig.reload(Wanted::tables(&elsewhere));
    let (status, _) = envoy.rejected(about(&envoy.rig.get("/orders"))).await;
    assert_eq!(status, 403);
    envoy
        .rig
        .reload(Wanted::tables(&table("networks = ['127.0.0.1']")));
    envoy.admitted(about(&envoy.rig.get("/orders"))).await;
    envoy.rig.reload(Wanted::default());
    let (status, _) = envoy.rejected(about(&envoy.rig.get("/orders"))).await;
    assert_eq!(status, 403);
}
