//! Several gateways behind nginx, configured by docs/replay.md, and one that restarts.

use std::collections::BTreeSet;

use axum::{Router, body::Body};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dpop_cli::gateway::Settings;
use futures_util::future::join_all;
use http::{Request, StatusCode};

use super::{
    ORIGIN, Rig, Wanted, error_of,
    nginx::{Nginx, free_address, with_addresses},
    send, serve_gateway, text,
};

const DOCUMENT: &str = include_str!("../../../../docs/replay.md");

/// Three gateways, each with a memory of its own, and an upstream that names the node.
struct Nodes {
    rigs: Vec<Rig>,
    nginx: Nginx,
}

impl Nodes {
    /// Starts nginx with the configuration of the document, after `change`.
    async fn start(change: impl FnOnce(String) -> String) -> Self {
        let mut rigs = Vec::new();
        for node in ["a", "b", "c"] {
            rigs.push(Rig::new(Router::new().fallback(async move || node)).await);
        }
        let [first, others @ ..] = &rigs[..] else {
            unreachable!()
        };
        for other in others {
            let keys = other.folder.path().join("jwks.json");
            std::fs::write(keys, first.issuer.jwks()).unwrap();
            other.reload(Wanted::default());
        }
        let (_, rest) = DOCUMENT.split_once("```nginx\n").unwrap();
        let (server, _) = rest.split_once("```").unwrap();
        let address = free_address();
        let addresses = [
            ("127.0.0.1:8081", rigs[0].address.to_string()),
            ("127.0.0.1:8082", rigs[1].address.to_string()),
            ("127.0.0.1:8083", rigs[2].address.to_string()),
            ("127.0.0.1:8000", address.to_string()),
        ];
        let server = with_addresses(change(server.to_owned()), &addresses);
        let nginx = Nginx::start(&server, address).await;
        Self { rigs, nginx }
    }

    fn first(&self) -> &Rig {
        &self.rigs[0]
    }

    /// Sends a request with each of these proofs at the same time, and returns the nodes that admitted one.
    async fn admit<'p>(
        &self,
        token: &str,
        proofs: impl IntoIterator<Item = &'p str>,
    ) -> Vec<String> {
        let responses = proofs.into_iter().map(async |proof| {
            let request = self.first().with_proof("/orders", token, proof);
            let response = send(self.nginx.address, request).await;
            match response.status() {
                StatusCode::OK => Some(text(response).await),
                StatusCode::UNAUTHORIZED => {
                    assert_eq!(error_of(&response).as_deref(), Some("invalid_dpop_proof"));
                    None
                }
                other => panic!("{other}"),
            }
        });
        join_all(responses).await.into_iter().flatten().collect()
    }

    fn proof(&self, token: &str) -> String {
        let url = format!("{ORIGIN}/orders");
        (self.first().client.proof("GET", &url))
            .access_token(token)
            .sign()
    }
}

/// Returns another valid ECDSA signature of the same message by the same key: `n - s` in place of `s`.
fn with_other_signature(proof: &str) -> String {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (signed, signature) = proof.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    assert_eq!(borrow, 0);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_proof_that_is_sent_to_all_nodes_at_once_passes_exactly_once() {
    let nodes = Nodes::start(|server| server).await;
    let token = nodes.first().token();
    let mut used = BTreeSet::new();
    for _ in 0..60 {
        let proof = nodes.proof(&token);
        let admitted = nodes.admit(&token, [&*proof; 3]).await;
        assert_eq!(admitted.len(), 1, "{admitted:?}");
        used.extend(admitted);
    }
    assert_eq!(used.len(), 3, "all nodes work: {used:?}");
}

/// A thief can turn an ECDSA signature into another valid one. It is another header, but the same proof.
#[tokio::test]
async fn a_proof_with_a_second_valid_signature_is_the_same_proof() {
    let nodes = Nodes::start(|server| server).await;
    let token = nodes.first().token();
    for _ in 0..30 {
        let proof = nodes.proof(&token);
        let other = with_other_signature(&proof);
        let admitted = nodes.admit(&token, [&*proof, &*other]).await;
        assert_eq!(admitted.len(), 1, "{admitted:?}");
        assert_eq!(nodes.admit(&token, [&*other]).await, [""; 0]);
    }
}

/// Why the document does not hash the whole header.
#[tokio::test]
async fn a_hash_of_the_whole_header_lets_a_second_valid_signature_pass() {
    let whole = |server: String| server.replace("hash $signed_part", "hash $http_dpop");
    let nodes = Nodes::start(whole).await;
    let token = nodes.first().token();
    let mut admitted = 0;
    for _ in 0..30 {
        let proof = nodes.proof(&token);
        let other = with_other_signature(&proof);
        admitted += nodes.admit(&token, [&*proof, &*other]).await.len();
    }
    assert!(admitted > 30, "{admitted} of 30 proofs passed");
}

#[tokio::test]
async fn the_proofs_of_a_node_that_is_down_go_to_no_other_node() {
    let mut nodes = Nodes::start(|server| server).await;
    let token = nodes.first().token();
    let proofs: Vec<_> = (0..30).map(|_| nodes.proof(&token)).collect();
    let mut of_last = Vec::new();
    for proof in &proofs {
        let admitted = nodes.admit(&token, [&**proof]).await;
        of_last.extend((admitted == ["c"]).then_some(proof));
    }
    assert!(!of_last.is_empty());
    let mut last = nodes.rigs.pop().unwrap();
    last.stop.take().unwrap().send(()).unwrap();
    (&mut last.served).await.unwrap().unwrap();
    drop(last);
    for proof in of_last {
        let request = nodes.first().with_proof("/orders", &token, proof);
        let response = send(nodes.nginx.address, request).await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    }
}

/// The memory of used proofs is gone after a restart, and so is the secret of the nonces.
#[tokio::test]
async fn with_nonces_no_proof_from_before_a_restart_passes() {
    let rig = Rig::with(
        Router::new().fallback(async || "ok"),
        Wanted::tables("[nonces]\nmode = 'required'\n"),
    )
    .await;
    let token = rig.token();
    let url = format!("{ORIGIN}/orders");
    let proof = |nonce: &str| {
        let proof = rig.client.proof("GET", &url).access_token(&token);
        proof.nonce(nonce).sign()
    };
    let nonce_of = |response: &http::Response<_>| {
        let nonce: &http::HeaderValue = &response.headers()["dpop-nonce"];
        nonce.to_str().unwrap().to_owned()
    };
    let get = |proof: &str| -> Request<Body> { rig.with_proof("/orders", &token, proof) };
    let challenge = rig.send(get(&proof("none"))).await;
    let used = proof(&nonce_of(&challenge));
    assert_eq!(rig.status(get(&used)).await, 200);

    let address = serve_gateway(Settings::read(&rig.path()).unwrap()).await;
    let response = send(address, get(&used)).await;
    assert_eq!(error_of(&response).as_deref(), Some("use_dpop_nonce"));
    let good = proof(&nonce_of(&response));
    assert_eq!(send(address, get(&good)).await.status(), 200);
}
