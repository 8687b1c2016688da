//! Bad requests. Which of them a server rejects shows what it checks.

use dpop_tower::test_util::TestClient;
use http::HeaderValue;

use super::{
    Error,
    client::Sender,
    setup::{MAX_AGE, Parties, now},
};
use crate::URL;

/// A request with one thing wrong.
#[derive(Debug)]
pub struct Probe {
    pub name: &'static str,
    token: String,
    proof: Option<String>,
}

/// Returns all probes. The proof `used` has been sent before.
pub fn probes(parties: &Parties, used: &str) -> Vec<Probe> {
    let Parties {
        issuer,
        client,
        token,
    } = parties;
    let for_token = |token: &str| client.proof("GET", URL).access_token(token);
    let proof = || for_token(token);
    let with_proof = |name, proof: String| Probe {
        name,
        token: token.clone(),
        proof: Some(proof),
    };
    let with_token = |name, token: String| Probe {
        name,
        proof: Some(for_token(&token).sign()),
        token,
    };
    let minted = || issuer.token().subject("alice").bound_to(client);
    let elsewhere = |method: &str, url: &str| client.proof(method, url).access_token(token).sign();
    vec![
        Probe {
            name: "proof present",
            token: token.clone(),
            proof: None,
        },
        with_proof("proof signature", proof().corrupt_signature().sign()),
        with_proof("typ", proof().header("typ", "jwt").sign()),
        with_proof("htm", elsewhere("POST", URL)),
        with_proof("htu", elsewhere("GET", "https://api.example.com/orders/43")),
        with_proof(
            "htu's case",
            elsewhere("GET", "https://api.example.com/Orders/42"),
        ),
        with_proof("iat", proof().claim("iat", now() - 2 * MAX_AGE).sign()),
        with_proof("ath", for_token("another").sign()),
        with_proof(
            "jkt",
            TestClient::new()
                .proof("GET", URL)
                .access_token(token)
                .sign(),
        ),
        with_proof("replay", used.to_owned()),
        with_token("token signature", minted().corrupt_signature().mint()),
        with_token(
            "exp",
            minted()
                .claim("exp", now() - 600)
                .claim("iat", now() - 900)
                .mint(),
        ),
        with_token("iss", minted().claim("iss", "https://other.test").mint()),
        with_token("aud", minted().claim("aud", "https://other.test").mint()),
    ]
}

/// Returns the names of the probes that were rejected, and of those that were not.
pub async fn run(
    sender: &mut Sender,
    probes: &[Probe],
) -> Result<(Vec<&'static str>, Vec<&'static str>), Error> {
    let (mut rejected, mut accepted) = (Vec::new(), Vec::new());
    for probe in probes {
        let authorization = HeaderValue::from_str(&format!("DPoP {}", probe.token))?;
        let proof = probe.proof.as_deref().map(HeaderValue::from_str);
        let proof = proof.transpose()?;
        let status = sender.send(&authorization, proof.as_ref()).await?;
        if status.is_success() {
            accepted.push(probe.name);
        } else if status.is_client_error() {
            rejected.push(probe.name);
        } else {
            return Err(format!("{}: {status}", probe.name).into());
        }
    }
    Ok((rejected, accepted))
}
