//! Makes calls to a server that requires a nonce in every proof, and shows their outcomes.

use std::{future::pending, process::ExitCode};

use demo_support::listen;
use dpop_tower::{
    DpopConfig, PublicOrigin,
    nonce::{NonceSecret, StatelessNonces},
    test_util::{TestClient, TestIssuer},
};
use grpc_example::{
    calls::{self, Client, pears},
    client::{Credentials, error_code},
    proto::{PlaceRequest, orders_client::OrdersClient},
    server,
};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::Result;

pub(crate) async fn run() -> Result<ExitCode> {
    let (listener, url) = listen(0).await?;
    let issuer = TestIssuer::new().audience(url.as_str());
    let nonces = StatelessNonces::new(NonceSecret::random()?);
    let config = DpopConfig::builder(PublicOrigin::new(url.as_str())?, issuer.tokens());
    let config = config.nonce_source(nonces).require_nonces().build()?;
    tokio::spawn(server::serve(listener, config, pending()));
    let channel = Endpoint::from_shared(url.clone())?.connect().await?;

    let (app, thief) = (TestClient::new(), TestClient::new());
    let token = |scope| {
        let token = issuer.token().subject("alice").scope(scope);
        token.bound_to(&app).mint()
    };
    let (writer, reader) = (token("orders:write"), token("orders:read"));
    let client = |key: &TestClient, token: &str| -> Client {
        let credentials = Credentials::new(key.clone(), token, &url);
        OrdersClient::new(credentials.channel(channel.clone()))
    };
    let mut demo = Demo::default();

    let alice = client(&app, &writer);
    demo.tell("Place", calls::place(&alice).await, "3 pears for alice");
    let stages = calls::watch(&alice).await;
    demo.tell("Watch", stages, "accepted, packed, sent");
    let placed = calls::place_all(&alice).await;
    demo.tell("PlaceAll", placed, "2 orders of 7 for alice");
    demo.tell("Quote", calls::quote(&alice).await, "250, 500 cents");

    let alice = client(&app, &reader);
    demo.tell(
        "Place, with a token for reading",
        calls::place(&alice).await,
        "PermissionDenied insufficient_scope",
    );
    demo.tell(
        "Watch, with a token for reading",
        calls::watch(&alice).await,
        "accepted, packed, sent",
    );

    let anybody = Anybody(OrdersClient::new(channel.clone()));
    demo.tell(
        "Place, without a token",
        anybody.place(&[]).await,
        "Unauthenticated",
    );
    let bearer = format!("Bearer {writer}");
    demo.tell(
        "Place, with a stolen token as a bearer token",
        anybody.place(&[("authorization", &bearer)]).await,
        "Unauthenticated invalid_token",
    );
    demo.tell(
        "Place, with a stolen token and another key",
        calls::place(&client(&thief, &writer)).await,
        "Unauthenticated invalid_token",
    );
    let dpop = format!("DPoP {writer}");
    let htu = format!("{url}/orders.v1.Orders/Place");
    let proof = app.proof("POST", &htu).access_token(&writer);
    let call = async |proof: &str| {
        let sent = [("authorization", dpop.as_str()), ("dpop", proof)];
        anybody.place(&sent).await
    };
    let challenged = call(&proof.clone().sign()).await;
    let nonce = nonce(&challenged).unwrap_or_default();
    demo.tell(
        "Place, with a proof without a nonce",
        challenged,
        "Unauthenticated use_dpop_nonce",
    );
    let proof = proof.nonce(&nonce).sign();
    demo.tell(
        "Place, with the nonce from that response",
        call(&proof).await,
        "3 pears for alice",
    );
    demo.tell(
        "Place, with the same proof again",
        call(&proof).await,
        "Unauthenticated invalid_dpop_proof",
    );

    let mut health = HealthClient::new(channel);
    let health = health.check(HealthCheckRequest::default()).await;
    let health = health.map(|answer| answer.into_inner().status());
    demo.tell(
        "Health, without a token",
        health.map(|status| status.as_str_name().to_owned()),
        "SERVING",
    );
    Ok(match demo.failed {
        false => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    })
}

/// A client without a key, which sends the metadata that it is given.
struct Anybody(OrdersClient<Channel>);

impl Anybody {
    async fn place(&self, sent: &[(&'static str, &str)]) -> std::result::Result<String, Status> {
        let mut request: Request<PlaceRequest> = Request::new(pears(3));
        for (name, value) in sent {
            let value = value.parse();
            let value = value.map_err(|_| Status::internal("not a valid metadata value"))?;
            request.metadata_mut().insert(*name, value);
        }
        let order = self.0.clone().place(request).await?.into_inner();
        Ok(format!("{} pears for {}", order.quantity, order.subject))
    }
}

fn nonce<T>(outcome: &std::result::Result<T, Status>) -> Option<String> {
    let nonce = outcome.as_ref().err()?.metadata().get("dpop-nonce")?;
    Some(nonce.to_str().ok()?.to_owned())
}

#[derive(Default)]
struct Demo {
    failed: bool,
}

impl Demo {
    fn tell(&mut self, what: &str, outcome: std::result::Result<String, Status>, expected: &str) {
        let outcome = outcome.unwrap_or_else(|status| match error_code(&status) {
            Some(error) => format!("{:?} {error}", status.code()),
            None => format!("{:?}", status.code()),
        });
        println!("{what:<46} {outcome}");
        if outcome != expected {
            println!("{:<46} expected: {expected}", "");
            self.failed = true;
        }
    }
}
