//! A redirect gets a new proof within its origin, and nothing at another one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    routing::any,
};
use dpop_tower::Policy;

use super::Scene;
use crate::serve;

/// Redirects with the status in the path to the location in the query.
fn redirecting(elsewhere: &str) -> Router {
    let elsewhere = elsewhere.to_owned();
    let to = move |status: u16, location: String| {
        (
            StatusCode::from_u16(status).unwrap(),
            [(header::LOCATION, location)],
        )
    };
    let within = to;
    Router::new()
        .route(
            "/within/{status}",
            any(async move |Path(status): Path<u16>| within(status, "/orders?page=2".to_owned())),
        )
        .route(
            "/loop",
            any(async || (StatusCode::FOUND, [(header::LOCATION, "/loop")])),
        )
        .route(
            "/elsewhere/{kind}",
            any(async move |Path(kind): Path<String>| {
                let host = elsewhere.trim_start_matches("http:");
                let location = match kind.as_str() {
                    "absolute" => format!("http:{host}/"),
                    "scheme-relative" => format!("{host}/"),
                    "backslash" => format!("/\\{}/", host.trim_start_matches('/')),
                    _ => format!("http://127.0.0.1@{}/", host.trim_start_matches('/')),
                };
                to(307, location)
            }),
        )
        .merge(crate::mirror())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_origin_never_gets_the_token() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let thief = serve(Router::new().fallback(async move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }))
    .await;
    let scene = Scene::with(Policy::strict(), redirecting(&thief)).await;
    for kind in ["absolute", "scheme-relative", "backslash", "user"] {
        let path = format!("/elsewhere/{kind}");
        let followed = scene.request(&path, &["-L"]).await;
        followed.failed(1, &["another origin", "does not get the token"]);
        // Without -L the redirect is the answer.
        let shown = scene.request(&path, &["-i"]).await.succeeded();
        assert!(shown.stdout.starts_with("HTTP/1.1 307"), "{shown:?}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_its_origin_a_redirect_is_followed_with_a_new_proof() {
    let scene = Scene::with(Policy::strict().require_nonce(), redirecting("http:")).await;
    for (status, method, body) in [
        (301, "GET", ""),
        (302, "GET", ""),
        (303, "GET", ""),
        (307, "POST", "a=b"),
        (308, "POST", "a=b"),
    ] {
        let path = format!("/within/{status}");
        let ran = scene.request(&path, &["-L", "-d", "a=b"]).await.succeeded();
        let seen = ran.json();
        assert_eq!(seen["uri"], "/orders?page=2", "{status}");
        assert_eq!(
            (&seen["method"], &seen["body"]),
            (&method.into(), &body.into())
        );
    }
    scene
        .request("/loop", &["-L"])
        .await
        .failed(1, &["more than 10 times"]);
}
