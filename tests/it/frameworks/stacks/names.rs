//! No public module of the crate has the name of a crate that users are likely to have. A glob import
//! therefore keeps the paths of those crates unambiguous.

use axum::{Router, routing::get};
use bytes::Bytes;
use dpop_tower::*;
use http::StatusCode;
use hyper::body::Incoming;
use metrics::Counter;
use serde_json::Value;
use tokio::time::Instant;
use tonic::{Request, Status};
use tower::ServiceBuilder;
use tower_http::cors::CorsLayer;
use tracing::Level;

use dpop_tower::{
    clock::{ManualClock, TimeSource as _, UnixTime},
    extract::Scopes,
    grpc::RequestExt as _,
};

#[test]
fn a_glob_import_stands_beside_the_crates_of_a_service() {
    async fn handler(token: BoundToken, _: Scopes) -> String {
        token.thumbprint().to_string()
    }
    fn method(request: &Request<Bytes>) -> Result<&BoundToken, Status> {
        request.bound_token()
    }
    type _Others = (Incoming, Counter, Value, Instant, CorsLayer, Level);

    let _: Router = Router::new().route("/", get(handler));
    let _ = ServiceBuilder::new();
    assert!(method(&Request::new(Bytes::new())).is_err());
    let clock = ManualClock::new(UnixTime::from_secs(1));
    assert_eq!(clock.now().as_secs(), 1);
    assert_eq!(StatusCode::OK, 200);
}
