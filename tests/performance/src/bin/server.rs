//! `server NAME`: a server for the load generator. It reads the issuer from its standard input, and
//! prints its address to its standard output.

use std::{env, num::NonZeroUsize, time::Duration};

use axum::{
    Router,
    routing::get,
    serve::{Listener as _, ListenerExt as _},
};
use dpop_tower::{
    DpopConfig, DpopLayer, Issuer, Policy, PublicOrigin, crypto::AwsLcRs, replay::MemoryReplayStore,
};
use dpop_tower_performance::load::{
    Error,
    setup::{MAX_AGE, ORIGIN, Setup},
};

fn main() -> Result<(), Error> {
    let name = env::args().nth(1).ok_or("usage: server NAME")?;
    let setup = Setup::read()?;
    // One thread, since there is one processor.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let router = router(&name, &setup).await?;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let listener = listener.tap_io(|stream| {
            // If this fails, responses only arrive later.
            let _ = stream.set_nodelay(true);
        });
        println!("{}", listener.local_addr()?);
        Ok(axum::serve(listener, router).await?)
    })
}

async fn router(name: &str, setup: &Setup) -> Result<Router, Error> {
    let plain = Router::new().route("/orders/{id}", get(async || "ok"));
    match name {
        "bare" => Ok(plain),
        "aws-lc-rs" => Ok(plain.layer(layer(setup, AwsLcRs)?)),
        #[cfg(feature = "josekit")]
        "josekit" => Ok(plain.layer(layer(setup, dpop_tower::crypto::Josekit)?)),
        #[cfg(feature = "peers")]
        "huskarl" => handlers::huskarl(setup).await,
        #[cfg(feature = "peers")]
        "dpop-verifier" => Ok(handlers::dpop_verifier()),
        _ => Err(format!("there is no server {name} in this build").into()),
    }
}

fn layer(
    setup: &Setup,
    backend: impl dpop_tower::crypto::CryptoProvider,
) -> Result<DpopLayer, Error> {
    let tokens = Issuer::new(setup.issuer.as_str()).jwks(setup.jwks.as_str());
    let tokens = tokens.audience(setup.audience.as_str());
    // All requests are from one client.
    let room = NonZeroUsize::new(1_000_000).ok_or("it is more than nothing")?;
    let store = MemoryReplayStore::with_capacity(room).capacity_per_key(room);
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN)?, tokens)
        .crypto(backend)
        .danger_max_age(Duration::from_secs(MAX_AGE))
        .replay_store(store)
        .build()?;
    Ok(DpopLayer::new(config).with_policy(Policy::strict()))
}

/// The other crates have no layer. This is the code that an application would write.
#[cfg(feature = "peers")]
mod handlers {
    use std::sync::Arc;

    use axum::{
        Router,
        extract::{Request, State},
        response::{IntoResponse as _, Response},
        routing::get,
    };
    use dpop_tower_performance::{
        load::{
            Error,
            setup::{ORIGIN, Setup},
        },
        peers::{DpopVerifier, Huskarl},
    };
    use http::{HeaderMap, StatusCode, header};

    pub(super) async fn huskarl(setup: &Setup) -> Result<Router, Error> {
        let peer = Huskarl::new(&setup.issuer, &setup.audience, &setup.jwks).await?;
        Ok(Router::new()
            .route("/orders/{id}", get(with_huskarl))
            .with_state(Arc::new(peer)))
    }

    async fn with_huskarl(State(peer): State<Arc<Huskarl>>, request: Request) -> Response {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let Ok(uri) = format!("{ORIGIN}{path}").parse() else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let verified = peer.verify(request.headers(), request.method(), &uri).await;
        match verified {
            Ok(()) => "ok".into_response(),
            Err(rejection) => rejection
                .apply(Response::builder())
                .body(axum::body::Body::empty())
                .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()),
        }
    }

    pub(super) fn dpop_verifier() -> Router {
        Router::new()
            .route("/orders/{id}", get(with_dpop_verifier))
            .with_state(Arc::new(DpopVerifier::new()))
    }

    async fn with_dpop_verifier(
        State(peer): State<Arc<DpopVerifier>>,
        request: Request,
    ) -> Response {
        let headers = request.headers();
        let (Some(token), Some(proof)) = (token(headers), only(headers, "dpop")) else {
            return StatusCode::UNAUTHORIZED.into_response();
        };
        let url = format!("{ORIGIN}{}", request.uri().path());
        match peer
            .verify(proof, &url, request.method().as_str(), token)
            .await
        {
            Ok(_) => "ok".into_response(),
            Err(_) => StatusCode::UNAUTHORIZED.into_response(),
        }
    }

    fn token(headers: &HeaderMap) -> Option<&str> {
        let (scheme, token) = only(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("dpop").then_some(token)
    }

    fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let mut values = headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }
}
