//! A client, and a thief who gets each of its proofs at the moment it is sent.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use dpop_tower::test_util::TestClient;
use futures_util::future::join_all;
use reqwest::{Client, Response, StatusCode, header};
use tokio::time::sleep;

use crate::Result;

/// How long a client goes on trying.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Admitted,
    /// 401, `invalid_dpop_proof`.
    Replayed,
    /// 401, `use_dpop_nonce`.
    NeedsNonce,
    /// 503 with `Retry-After`, or a node that is down.
    Unavailable,
}

/// How many requests had each outcome.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<Outcome, usize>);

impl Tally {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        *self.0.entry(outcome).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (outcome, count) in other.0 {
            *self.0.entry(outcome).or_default() += count;
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (outcome, count) in &self.0 {
            let what = match outcome {
                Outcome::Admitted => "admitted",
                Outcome::Replayed => "rejected as replays (401)",
                Outcome::NeedsNonce => "asked for a nonce (401)",
                Outcome::Unavailable => "rejected because the store is out of reach (503)",
            };
            write!(f, "{comma}{count} {what}")?;
            comma = ", ";
        }
        Ok(())
    }
}

/// A client and its token, and all places to which the thief sends its proofs.
pub(crate) struct Thief {
    http: Client,
    client: TestClient,
    token: String,
    /// The URL that proofs are made for, at nginx.
    url: String,
    /// The nodes themselves, and nginx.
    places: Vec<String>,
    /// The last one that the service has sent, unless the client does not use nonces.
    nonce: Mutex<Option<String>>,
    uses_nonces: bool,
}

/// A proof, and how often it has been admitted.
pub(crate) struct Proof {
    text: String,
    admitted: usize,
}

impl Thief {
    pub(crate) fn new(
        client: TestClient,
        token: String,
        origin: &str,
        nodes: &[String],
    ) -> Result<Self> {
        let url = format!("{origin}/resource");
        let mut places: Vec<_> = nodes
            .iter()
            .map(|node| format!("{node}/resource"))
            .collect();
        places.push(url.clone());
        Ok(Self {
            http: Client::builder().no_proxy().build()?,
            client,
            token,
            url,
            places,
            nonce: Mutex::default(),
            uses_nonces: true,
        })
    }

    /// With stores in memory, only nginx may reach the nodes, and each node knows its own nonces only.
    pub(crate) fn only_through_nginx(&mut self) {
        self.places = vec![self.url.clone(); 3];
        self.uses_nonces = false;
    }

    fn nonce(&self) -> Option<String> {
        self.nonce.lock().map_or(None, |nonce| nonce.clone())
    }

    /// Makes a proof, with the nonce if the service has sent one.
    pub(crate) fn proof(&self) -> Proof {
        let proof = self
            .client
            .proof("GET", &self.url)
            .access_token(&self.token);
        let proof = match self.nonce() {
            Some(nonce) => proof.nonce(&nonce),
            None => proof,
        };
        Proof {
            text: proof.sign(),
            admitted: 0,
        }
    }

    /// Sends the proof to one place.
    async fn send(&self, place: &str, proof: &str) -> Result<Outcome> {
        let request = self
            .http
            .get(place)
            .header(header::AUTHORIZATION, format!("DPoP {}", self.token))
            .header("DPoP", proof);
        // A node that is down or restarts, which nginx reports with 502.
        let Ok(response) = request.send().await else {
            return Ok(Outcome::Unavailable);
        };
        self.outcome(&response)
    }

    fn outcome(&self, response: &Response) -> Result<Outcome> {
        let header = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let challenge = header(header::WWW_AUTHENTICATE.as_str()).unwrap_or_default();
        match response.status() {
            StatusCode::OK => Ok(Outcome::Admitted),
            StatusCode::UNAUTHORIZED if challenge.contains("invalid_dpop_proof") => {
                Ok(Outcome::Replayed)
            }
            StatusCode::UNAUTHORIZED if challenge.contains("use_dpop_nonce") => {
                if let (true, Ok(mut known)) = (self.uses_nonces, self.nonce.lock()) {
                    *known = header("dpop-nonce").map(str::to_owned);
                }
                Ok(Outcome::NeedsNonce)
            }
            StatusCode::BAD_GATEWAY => Ok(Outcome::Unavailable),
            StatusCode::SERVICE_UNAVAILABLE if header("retry-after").is_some() => {
                Ok(Outcome::Unavailable)
            }
            other => Err(format!("{}: {other} {challenge}", response.url()).into()),
        }
    }

    /// Sends the proof to all places at one moment.
    pub(crate) async fn send_everywhere(&self, proof: &mut Proof) -> Result<Tally> {
        let mut tally = Tally::default();
        let sent = self
            .places
            .iter()
            .map(|place| self.send(place, &proof.text));
        let outcomes = join_all(sent).await;
        for outcome in outcomes {
            let outcome = outcome?;
            tally.add(outcome);
            proof.admitted += usize::from(outcome == Outcome::Admitted);
        }
        Ok(tally)
    }

    /// Calls the API as a client does: with a new proof each time, the nonce that it was given, and another attempt if
    /// the service asks for one.
    pub(crate) async fn call(&self) -> Result<()> {
        self.call_at(&self.url).await
    }

    /// Calls the API at one node, or through nginx.
    pub(crate) async fn call_at(&self, place: &str) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.send(place, &self.proof().text).await? {
                Outcome::Admitted => return Ok(()),
                Outcome::Replayed => return Err("a new proof was taken for a replay".into()),
                Outcome::NeedsNonce | Outcome::Unavailable => {
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
        Err(format!("{place} does not recover").into())
    }
}

/// Returns how many of the proofs were admitted more than once.
pub(crate) fn passed_twice(proofs: &[Proof]) -> usize {
    proofs.iter().filter(|proof| proof.admitted > 1).count()
}

/// Returns how many of the proofs were admitted.
pub(crate) fn passed(proofs: &[Proof]) -> usize {
    proofs.iter().filter(|proof| proof.admitted > 0).count()
}
