//! Lines that change valid requests and send them to one layer, and the expected outcomes.

use std::{num::NonZeroUsize, sync::LazyLock};

use dpop_tower::{
    DpopConfig, DpopLayer, Issuer, Policy, PublicOrigin,
    clock::{ManualClock, UnixTime},
    crypto::AwsLcRs,
    nonce::{NonceContext, NonceSecret, NonceSource as _, StatelessNonces},
    replay::MemoryReplayStore,
};
use http::{HeaderValue, Method, Request, Uri};

use crate::{
    model::{NONCE_PERIOD, Proof, Rules},
    reading,
    rig::{ALGS, AUDIENCE, ISSUER, JWKS, NOW, ORIGIN, Reached, Signatures, send, thumbprint},
};

/// Nonces of the present, the past and the future, in periods.
const NONCES: [(&str, i64); 5] = [
    ("$NONCE-2", -2),
    ("$NONCE-1", -1),
    ("$NONCE+1", 1),
    ("$NONCE+2", 2),
    ("$NONCE", 0),
];

/// Room for more proofs than a session sends.
const REPLAY_CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// The issuer's keys: one of each kind.
static ISSUER_KEYS: LazyLock<String> = LazyLock::new(|| {
    let key = |(i, jwk): (usize, &str)| jwk.replacen('{', &format!(r#"{{"kid":"k{i}","#), 1);
    let keys: Vec<String> = JWKS.into_iter().enumerate().map(key).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
});

/// A configuration, the requests that were sent to it, and what may be admitted.
#[derive(Debug)]
pub struct Session {
    layer: DpopLayer,
    clock: ManualClock,
    nonces: Option<StatelessNonces>,
    now: i64,
    latest: i64,
    used: Vec<Proof>,
    sent: usize,
    next: Draft,
}

/// The differences between the next request and a valid one.
#[derive(Debug, Default)]
struct Draft {
    changes: Vec<(Part, String, String)>,
    whole: Vec<(Part, String)>,
    authorization: Vec<String>,
    dpop: Vec<String>,
    method: Option<String>,
    target: Option<String>,
    key: usize,
    policy: Mode,
    jti: Option<char>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Strict,
    Optional,
    ReportOnly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    ProofHeader,
    ProofPayload,
    TokenHeader,
    TokenPayload,
}

impl Part {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "ph" => Self::ProofHeader,
            "pp" => Self::ProofPayload,
            "th" => Self::TokenHeader,
            "tp" => Self::TokenPayload,
            _ => return None,
        })
    }
}

impl Draft {
    fn is_good(&self) -> bool {
        self.changes.is_empty()
            && self.whole.is_empty()
            && self.authorization.is_empty()
            && self.dpop.is_empty()
            && self.method.is_none()
            && self.target.is_none()
    }
}

impl Session {
    pub fn new(with_nonces: bool) -> Self {
        let clock = ManualClock::new(UnixTime::from_secs(NOW));
        let tokens = Issuer::new(ISSUER)
            .jwks(ISSUER_KEYS.as_str())
            .audience(AUDIENCE)
            .cache_capacity(16);
        let origin = PublicOrigin::new(ORIGIN).expect("an origin");
        let mut config = DpopConfig::builder(origin, tokens)
            .crypto(Signatures::Any)
            .replay_store(MemoryReplayStore::with_capacity(REPLAY_CAPACITY))
            .clock(clock.clone());
        let nonces = with_nonces
            .then(|| StatelessNonces::new(NonceSecret::new([7; 32]).expect("long enough")));
        if let Some(nonces) = &nonces {
            config = config.nonce_source(nonces.clone()).require_nonces();
        }
        Self {
            layer: DpopLayer::new(config.build().expect("a configuration")),
            clock,
            nonces,
            now: NOW,
            latest: NOW,
            used: Vec::new(),
            sent: 0,
            next: Draft::default(),
        }
    }

    pub const fn sent(&self) -> usize {
        self.sent
    }

    /// Reads one line. Lines with another syntax are skipped.
    pub fn line(&mut self, line: &str) {
        if line.is_empty() {
            self.send();
            return;
        }
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        let next = &mut self.next;
        match name {
            "policy" => {
                next.policy = match value {
                    "optional" => Mode::Optional,
                    "report" => Mode::ReportOnly,
                    _ => Mode::Strict,
                }
            }
            "key" => next.key = value.parse().unwrap_or(0) % JWKS.len(),
            "jti" => next.jti = value.chars().next(),
            "clock" => {
                let secs: i16 = value.parse().unwrap_or(0);
                self.now += i64::from(secs);
                self.clock.set(UnixTime::from_secs(self.now));
            }
            "method" => next.method = Some(value.to_owned()),
            "target" => next.target = Some(value.to_owned()),
            "auth" => next.authorization.push(value.to_owned()),
            "dpop" => next.dpop.push(value.to_owned()),
            _ => {
                if let Some(part) = name.strip_suffix('!').and_then(Part::of) {
                    next.whole.push((part, value.to_owned()));
                } else if let Some((part, member)) = name.split_once('.')
                    && let Some(part) = Part::of(part)
                {
                    next.changes
                        .push((part, member.to_owned(), value.to_owned()));
                }
            }
        }
    }

    fn send(&mut self) {
        self.sent += 1;
        let draft = std::mem::take(&mut self.next);
        let Some(request) = self.request(&draft) else {
            return;
        };
        let policy = match draft.policy {
            Mode::Strict => Policy::strict(),
            Mode::Optional => Policy::optional(),
            Mode::ReportOnly => Policy::report_only(),
        };
        let layer = self.layer.clone().with_policy(policy);
        let (head, ()) = request.into_parts();
        let again = Request::from_parts(head.clone(), ());
        let response = send(&layer, again);
        let reached = response.extensions().get::<Reached>();

        let rules = Rules {
            now: self.now,
            nonces: self
                .nonces
                .as_ref()
                .filter(|_| draft.policy != Mode::ReportOnly),
        };
        let bound = reached.and_then(|reached| reached.bound.as_ref());
        let bearer = reached.and_then(|reached| reached.bearer.as_ref());
        let head = Request::from_parts(head, ());
        if let Some(token) = bound {
            let proof = rules.proof(&head).expect("may be admitted");
            assert_eq!(token.thumbprint().as_bytes(), &proof.key);
            let is_replay = |used: &Proof| {
                let alive = (used.key, &used.jti) == (proof.key, &proof.jti)
                    && used.until >= i128::from(self.now);
                alive || used.text == proof.text
            };
            assert!(!self.used.iter().any(is_replay), "admitted twice");
            self.used.push(proof);
        }
        if bearer.is_some() {
            assert!(draft.policy == Mode::Optional && bound.is_none());
            rules.unbound(&head).expect("may be admitted");
        }
        match reached {
            None => assert_ne!(draft.policy, Mode::ReportOnly),
            Some(reached) if draft.policy == Mode::ReportOnly => {
                let report = reached.report.as_ref().expect("a report");
                assert_eq!(report.rejection().is_none(), bound.is_some());
            }
            Some(_) => assert!(bound.is_some() || bearer.is_some()),
        }

        // The other direction, for requests without a fault.
        self.latest = self.latest.max(self.now);
        if draft.is_good() && self.now == self.latest && bound.is_none() {
            let jti = draft.jti.unwrap_or('j').to_string();
            let may_be_known = |used: &Proof| {
                let margin = used.until + 5;
                (used.key, &used.jti) == (thumbprint(draft.key), &jti) && margin >= self.now.into()
            };
            assert!(self.used.iter().any(may_be_known), "rejected");
        }
    }

    fn request(&self, draft: &Draft) -> Option<Request<()>> {
        let method = draft.method.as_deref().unwrap_or("GET");
        let target = draft.target.as_deref().unwrap_or("/orders");
        let (now, key) = (self.now, draft.key);
        let fill = |part, members: &[(&str, String)]| self.part(draft, part, members);
        let token_header = fill(
            Part::TokenHeader,
            &[
                ("typ", r#""at+jwt""#.to_owned()),
                ("alg", r#""ES256""#.to_owned()),
                ("kid", r#""k0""#.to_owned()),
            ],
        );
        let token_payload = fill(
            Part::TokenPayload,
            &[
                ("iss", quoted(ISSUER)),
                ("aud", quoted(AUDIENCE)),
                ("iat", now.to_string()),
                ("exp", (now + 300).to_string()),
                ("cnf", format!(r#"{{"jkt":"$JKT{key}"}}"#)),
            ],
        );
        let token = format!(
            "{}.{}.AA",
            reading::encode(token_header),
            reading::encode(token_payload)
        );
        let ath = reading::encode(reading::sha256(&token));
        let proof_header = fill(
            Part::ProofHeader,
            &[
                ("typ", r#""dpop+jwt""#.to_owned()),
                ("alg", quoted(ALGS[key])),
                ("jwk", format!("$JWK{key}")),
            ],
        );
        let path = target.split('?').next()?;
        let mut claims = vec![
            ("jti", quoted(&draft.jti.unwrap_or('j').to_string())),
            ("htm", quoted(method)),
            ("htu", quoted(&format!("{ORIGIN}{path}"))),
            ("iat", now.to_string()),
            ("ath", r#""$ATH""#.to_owned()),
        ];
        if self.nonces.is_some() {
            claims.push(("nonce", r#""$NONCE""#.to_owned()));
        }
        let proof_payload = fill(Part::ProofPayload, &claims).replace("$ATH", &ath);
        let proof = format!(
            "{}.{}.AA",
            reading::encode(proof_header),
            reading::encode(proof_payload)
        );

        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
        *request.uri_mut() = target.parse::<Uri>().ok()?;
        let headers = request.headers_mut();
        let values = |lines: &[String], default: String| {
            if lines.is_empty() {
                return vec![default];
            }
            let replaced = |line: &String| line.replace("$TOKEN", &token).replace("$PROOF", &proof);
            lines.iter().map(replaced).collect::<Vec<_>>()
        };
        for value in values(&draft.authorization, format!("DPoP {token}")) {
            headers.append("authorization", HeaderValue::try_from(value).ok()?);
        }
        for value in values(&draft.dpop, proof.clone()) {
            headers.append("dpop", HeaderValue::try_from(value).ok()?);
        }
        Some(request)
    }

    /// Returns the JSON of one part: `members` with the changes of the draft. A change to nothing
    /// removes a member, `+name` adds one that may already be present, and a signed number is relative
    /// to now.
    fn part(&self, draft: &Draft, part: Part, members: &[(&str, String)]) -> String {
        if let Some((_, whole)) = draft.whole.iter().find(|(of, _)| *of == part) {
            return self.filled(whole);
        }
        let mut members: Vec<(&str, String)> = members.to_vec();
        for (_, name, value) in draft.changes.iter().filter(|(of, ..)| *of == part) {
            let (name, twice) = match name.strip_prefix('+') {
                Some(name) => (name, true),
                None => (name.as_str(), false),
            };
            if !twice {
                members.retain(|(other, _)| *other != name);
            }
            let relative = value.starts_with(['+', '-']).then(|| value.parse::<i32>());
            match relative {
                Some(Ok(secs)) => members.push((name, (self.now + i64::from(secs)).to_string())),
                _ if value.is_empty() => {}
                _ => members.push((name, value.clone())),
            }
        }
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        self.filled(&format!("{{{}}}", members.join(",")))
    }

    fn filled(&self, text: &str) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let mut text = text.replace("$NOW", &self.now.to_string());
        if text.contains("$J") {
            for (i, jwk) in JWKS.iter().enumerate() {
                text = text
                    .replace(&format!("$JKT{i}"), &reading::encode(thumbprint(i)))
                    .replace(&format!("$JWK{i}"), jwk);
            }
        }
        if let Some(nonces) = &self.nonces {
            for (name, periods) in NONCES {
                let then = UnixTime::from_secs(self.now + periods * NONCE_PERIOD);
                text = text.replace(name, &nonces.current(&NonceContext::new(then, &AwsLcRs)));
            }
        }
        text
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
