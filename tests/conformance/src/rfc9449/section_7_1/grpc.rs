//! Rejections of gRPC requests.

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;

use super::{cases, plain};
use crate::support::{Way, Why};

fn as_grpc(mut request: Request<()>, content_type: &'static str) -> Request<()> {
    let value = HeaderValue::from_static(content_type);
    request.headers_mut().insert(header::CONTENT_TYPE, value);
    request
}

pub(super) async fn every_rejection_of_a_grpc_request_is_a_response_of_headers_alone(way: Way) {
    for mut case in cases(way).await {
        let (reason, status) = (case.reason, case.status);
        case.request = as_grpc(case.request, "application/grpc");
        let response = case.response(way).await;
        assert_eq!(response.status(), StatusCode::OK, "{reason}");
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], "application/grpc");
        let grpc_status = if status == 503 { "14" } else { "16" };
        assert_eq!(headers["grpc-status"], grpc_status, "{reason}");
        let why = Why::of(&response).unwrap();
        assert_eq!(why.reason, reason);
        assert_eq!(headers["dpop-reason"], reason);
        // The protocol percent-encodes `%` and everything that is not printable ASCII.
        let message = headers["grpc-message"].to_str().unwrap();
        assert_eq!(message, why.description);
        assert!(
            message
                .bytes()
                .all(|byte| (0x20..0x7f).contains(&byte) && byte != b'%')
        );
        let body = response.into_body().collect().await.unwrap();
        assert!(body.trailers().is_none() && body.to_bytes().is_empty());
    }
}

pub(super) async fn a_grpc_rejection_keeps_the_headers_of_the_http_one(way: Way) {
    const KEPT: [header::HeaderName; 4] = [
        header::WWW_AUTHENTICATE,
        header::CACHE_CONTROL,
        header::RETRY_AFTER,
        header::HeaderName::from_static("dpop-nonce"),
    ];
    for (http, mut grpc) in cases(way).await.into_iter().zip(cases(way).await) {
        let reason = http.reason;
        grpc.request = as_grpc(grpc.request, "application/grpc+proto");
        let (http, grpc) = (http.response(way).await, grpc.response(way).await);
        for name in KEPT {
            let values = |response: &Response<Body>| -> Vec<_> {
                let values = response.headers().get_all(&name).iter();
                values.cloned().collect()
            };
            assert_eq!(values(&http), values(&grpc), "{reason}: {name}");
        }
    }
}

pub(super) async fn a_grpc_rejection_has_the_content_type_of_the_request_without_its_message_format(
    way: Way,
) {
    let api = way.api();
    for (requested, answered) in [
        ("application/grpc", "application/grpc"),
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc+json", "application/grpc"),
        ("application/grpc;charset=x", "application/grpc"),
        ("Application/GRPC+Proto", "application/grpc"),
        ("application/grpc-web", "application/grpc-web"),
        ("application/grpc-web+proto", "application/grpc-web"),
        ("APPLICATION/GRPC-WEB+PROTO", "application/grpc-web"),
        ("application/grpc-web-text", "application/grpc-web-text"),
        (
            "application/grpc-web-text+proto",
            "application/grpc-web-text",
        ),
    ] {
        let request = as_grpc(plain(&[]), requested);
        let response = api.response(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{requested}");
        assert_eq!(response.headers()["grpc-status"], "16", "{requested}");
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            answered,
            "{requested}"
        );
    }
}

pub(super) async fn other_content_types_are_not_taken_for_grpc(way: Way) {
    let api = way.api();
    for other in [
        "application/json",
        "application/grp",
        "application/grpcx",
        "application/grpc-webx",
        "application/x-grpc",
        "text/plain; application/grpc",
        "",
    ] {
        let request = as_grpc(plain(&[]), other);
        let response = api.response(request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{other:?}");
        assert!(!response.headers().contains_key("grpc-status"), "{other:?}");
    }
}
