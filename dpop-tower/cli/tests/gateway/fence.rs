//! A gateway that restarts has lost its used proofs, and with a fence none of them passes again.

use std::{fs, time::Duration};

use dpop_cli::gateway::{self, Gateway, Settings, Shutdown};
use http::{Response, header};
use tokio::{net::TcpListener, sync::oneshot};

use super::{ORIGIN, Rig, Wanted, error_of, mirror, soon};

/// Without a leeway, proofs pass the fence one second after the start.
const FENCE: &str = "[replay]\nfence = true\n[proof]\nleeway = 0\n";
const PLAIN: &str = "[proof]\nleeway = 0\n";

/// Ends the gateway and starts one from the same file.
async fn restart(rig: &mut Rig) {
    rig.stop.take().unwrap().send(()).unwrap();
    soon(&mut rig.served).await.unwrap().unwrap();
    let settings = Settings::read(&rig.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    rig.address = listener.local_addr().unwrap();
    let (limits, timeout) = (settings.limits(), settings.shutdown_timeout());
    rig.gateway = Gateway::new(settings).unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = Shutdown {
        signal: async move {
            let _ = stopped.await;
        },
        timeout,
    };
    rig.stop = Some(stop);
    let gateway = rig.gateway.clone();
    rig.served = tokio::spawn(gateway::serve(listener, gateway, limits, shutdown));
}

fn nonce_of<B>(response: &Response<B>) -> String {
    assert_eq!(response.status(), 401);
    assert_eq!(error_of(response).as_deref(), Some("use_dpop_nonce"));
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    response.headers()["dpop-nonce"]
        .to_str()
        .unwrap()
        .to_owned()
}

struct Sent {
    token: String,
    proof: String,
}

impl Sent {
    fn new(rig: &Rig, nonce: Option<&str>) -> Self {
        let token = rig.token();
        let url = format!("{ORIGIN}/orders");
        let proof = rig.client.proof("GET", &url).access_token(&token);
        let proof = match nonce {
            Some(nonce) => proof.nonce(nonce),
            None => proof,
        };
        let proof = proof.sign();
        Self { token, proof }
    }

    async fn to(&self, rig: &Rig) -> Response<hyper::body::Incoming> {
        rig.send(rig.with_proof("/orders", &self.token, &self.proof))
            .await
    }

    async fn status(&self, rig: &Rig) -> u16 {
        self.to(rig).await.status().as_u16()
    }
}

async fn past_the_fence() {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
}

#[tokio::test]
async fn a_proof_that_was_used_before_a_restart_is_rejected_and_its_client_recovers() {
    let mut rig = Rig::with(mirror(), Wanted::tables(FENCE)).await;
    past_the_fence().await;
    let used = Sent::new(&rig, None);
    assert_eq!(used.status(&rig).await, 200);
    restart(&mut rig).await;
    let nonce = nonce_of(&used.to(&rig).await);
    assert_eq!(Sent::new(&rig, Some(&nonce)).status(&rig).await, 200);
    past_the_fence().await;
    nonce_of(&used.to(&rig).await);
    // A client that does not handle nonces.
    assert_eq!(Sent::new(&rig, None).status(&rig).await, 200);
}

#[tokio::test]
async fn a_nonce_from_before_a_restart_is_unknown_although_its_secret_survives() {
    let tables = format!("{FENCE}[nonces]\nmode = 'required'\nsecret_file = 'nonces'\n");
    let mut rig = rig_with_secret(&tables).await;
    let nonce = nonce_of(&Sent::new(&rig, None).to(&rig).await);
    let used = Sent::new(&rig, Some(&nonce));
    assert_eq!(used.status(&rig).await, 200);
    restart(&mut rig).await;
    let next = nonce_of(&used.to(&rig).await);
    assert_eq!(Sent::new(&rig, Some(&next)).status(&rig).await, 200);
    past_the_fence().await;
    nonce_of(&used.to(&rig).await);
    nonce_of(&Sent::new(&rig, Some(&nonce)).to(&rig).await);
}

#[tokio::test]
async fn a_reload_changes_neither_the_fence_nor_the_nonces() {
    let tables = format!("{FENCE}[nonces]\nmode = 'required'\nsecret_file = 'nonces'\n");
    let rig = rig_with_secret(&tables).await;
    let nonce = nonce_of(&Sent::new(&rig, None).to(&rig).await);
    let used = Sent::new(&rig, Some(&nonce));
    assert_eq!(used.status(&rig).await, 200);
    for tables in [&tables, &tables.replace("fence = true", "fence = false")] {
        rig.reload(Wanted::tables(tables));
        let response = used.to(&rig).await;
        assert_eq!(error_of(&response).as_deref(), Some("invalid_dpop_proof"));
        assert_eq!(Sent::new(&rig, Some(&nonce)).status(&rig).await, 200);
    }
}

/// This is what the fence is for.
#[tokio::test]
async fn without_a_fence_a_used_proof_passes_after_a_restart() {
    let mut rig = Rig::with(mirror(), Wanted::tables(PLAIN)).await;
    let used = Sent::new(&rig, None);
    assert_eq!(used.status(&rig).await, 200);
    assert_eq!(used.status(&rig).await, 401);
    restart(&mut rig).await;
    assert_eq!(used.status(&rig).await, 200);
}

/// Starts a gateway that reads its nonce secret from a file in its folder.
async fn rig_with_secret(tables: &str) -> Rig {
    let mut rig = Rig::with(mirror(), Wanted::tables(FENCE)).await;
    fs::write(rig.folder.path().join("nonces"), [b'n'; 32]).unwrap();
    rig.write(Wanted::tables(tables));
    restart(&mut rig).await;
    rig
}
