//! `server NAME`: a server for the load generator. It reads the issuer from its standard input, and
//! prints its address to its standard output. `server store` uses the replay store that `DPOP_REPLAY_STORE`
//! names.

use std::{env, num::NonZeroUsize, time::Duration};

use axum::{
    Router,
    routing::get,
    serve::{Listener as _, ListenerExt as _},
};
use dpop_tower::{
    DpopConfig, DpopLayer, Issuer, Policy, PublicOrigin,
    crypto::AwsLcRs,
    replay::{MemoryReplayStore, ReplayStore},
};
use dpop_tower_performance::load::{
    Error,
    setup::{MAX_AGE, ORIGIN, Setup},
};

const LEEWAY: Duration = Duration::from_secs(1);

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
        "aws-lc-rs" => Ok(plain.layer(layer(setup, AwsLcRs, memory()?)?)),
        #[cfg(feature = "josekit")]
        "josekit" => Ok(plain.layer(layer(setup, dpop_tower::crypto::Josekit, memory()?)?)),
        #[cfg(feature = "stores")]
        "store" => {
            let store = store(&env::var("DPOP_REPLAY_STORE")?).await?;
            Ok(plain.layer(layer(setup, AwsLcRs, store)?))
        }
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
    store: impl ReplayStore,
) -> Result<DpopLayer, Error> {
    let tokens = Issuer::new(setup.issuer.as_str()).jwks(setup.jwks.as_str());
    let tokens = tokens.audience(setup.audience.as_str());
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN)?, tokens)
        .crypto(backend)
        .danger_max_age(Duration::from_secs(MAX_AGE))
        .leeway(LEEWAY)
        .replay_store(store)
        .build()?;
    Ok(DpopLayer::new(config).with_policy(Policy::strict()))
}

fn memory() -> Result<MemoryReplayStore, Error> {
    // All requests are from one client.
    let room = NonZeroUsize::new(1_000_000).ok_or("it is more than nothing")?;
    Ok(MemoryReplayStore::with_capacity(room).capacity_per_key(room))
}

/// Returns a store that admits requests at once, since the generator sends no nonces.
#[cfg(feature = "stores")]
async fn store(url: &str) -> Result<std::sync::Arc<dyn ReplayStore>, Error> {
    use dpop_tower::{
        clock::{SystemClock, TimeSource as _},
        replay::ReplayStoreBuilder,
    };

    let store: std::sync::Arc<dyn ReplayStore> = match ReplayStoreBuilder::from_url(url)? {
        ReplayStoreBuilder::Memory => std::sync::Arc::new(memory()?),
        ReplayStoreBuilder::Postgres(postgres) => {
            let store = postgres.build()?;
            match env::var_os("UNLOGGED").is_some_and(|unlogged| !unlogged.is_empty()) {
                true => store.create_unlogged_table().await?,
                false => store.create_table().await?,
            }
            std::sync::Arc::new(store)
        }
        other => other.build()?,
    };
    store.warm_up().await?;
    // Proofs from before the store's beginning do not pass.
    let since = store.incarnation().map(|incarnation| incarnation.since());
    while since.is_some_and(|since| SystemClock.now() <= since.saturating_add(LEEWAY)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(store)
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
