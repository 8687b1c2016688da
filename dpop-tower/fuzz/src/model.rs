//! The rules of RFC 9449 and RFC 9068 once more, as plainly as possible.

use dpop_tower::{
    clock::UnixTime,
    crypto::AwsLcRs,
    nonce::{NonceContext, NonceSource as _, StatelessNonces},
};
use http::{HeaderValue, Request};
use serde_json::{Map, Value};

use crate::{
    reading::{self, Jws},
    rig::{AUDIENCE, ISSUER, ORIGIN},
};

/// The algorithms that are allowed by default.
const DEFAULT_ALGS: [&str; 5] = ["ES256", "Ed25519", "EdDSA", "PS256", "RS256"];
pub const NONCE_PERIOD: i64 = 120;

/// A proof that was admitted.
#[derive(Debug)]
pub struct Proof {
    pub text: HeaderValue,
    pub key: [u8; 32],
    pub jti: String,
    /// The last second of its window.
    pub until: i128,
}

/// Decides who may be admitted at a point in time by the configuration of a [`Session`].
///
/// [`Session`]: crate::session::Session
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub now: i64,
    /// Set if every proof needs a nonce.
    pub nonces: Option<&'a StatelessNonces>,
}

impl Rules<'_> {
    /// Returns the proof of the request if the request may be admitted.
    pub fn proof(&self, request: &Request<()>) -> Result<Proof, &'static str> {
        let (scheme, token) = credentials(request)?;
        require(scheme == "dpop", "the scheme")?;
        let claims = self.token(&token)?;

        let proofs = reading::all(request.headers(), "dpop");
        require(proofs.len() == 1, "one proof")?;
        let text = proofs[0].clone();
        let proof = text.to_str().map_err(|_| "visible ASCII")?;
        require(proof.len() <= 16 * 1024, "the proof's length")?;
        let proof = Jws::read(proof).ok_or("a compact JWS")?;
        let (header, payload) = (&proof.header, &proof.payload);
        let header_text = |name| reading::text(header, name);
        let payload_text = |name| reading::text(payload, name);
        require(header_text("typ") == Some("dpop+jwt"), "the proof's typ")?;
        let alg = header_text("alg").unwrap_or_default();
        require(DEFAULT_ALGS.contains(&alg), "the proof's alg")?;
        require(!header.contains_key("crit"), "no critical extension")?;
        let jwk = header.get("jwk").and_then(|jwk| jwk.as_object());
        let jwk = jwk.ok_or("a key")?;
        require(!reading::has_secret_member(jwk), "a public key")?;
        let key = reading::thumbprint(jwk).ok_or("a thumbprint")?;
        let kty = match alg {
            "ES256" => "EC",
            "Ed25519" | "EdDSA" => "OKP",
            _ => "RSA",
        };
        require(reading::text(jwk, "kty") == Some(kty), "a key for alg")?;

        let jti = payload_text("jti").unwrap_or_default();
        require((1..=256).contains(&jti.len()), "a jti")?;
        require(
            payload_text("htm") == Some(request.method().as_str()),
            "htm",
        )?;
        let url = format!("{ORIGIN}{}", request.uri().path());
        let expected = reading::normalised(&url).ok_or("a target")?;
        let htu = payload_text("htu").and_then(reading::normalised);
        require(htu == Some(expected), "htu")?;
        let now = i128::from(self.now);
        let date = |name| {
            reading::date(payload, name)
                .transpose()
                .map_err(|()| "a date")
        };
        let iat = date("iat")?.ok_or("an iat")?;
        require((now - 70..=now + 10).contains(&iat), "the window of iat")?;
        require(date("nbf")?.is_none_or(|nbf| nbf <= now + 10), "nbf")?;
        require(date("exp")?.is_none_or(|exp| now - 10 < exp), "exp")?;
        let ath = reading::encode(reading::sha256(&token));
        require(payload_text("ath") == Some(&ath), "ath")?;
        if let Some(nonces) = self.nonces {
            let known = [-NONCE_PERIOD, 0, NONCE_PERIOD].map(|age| {
                nonces.current(&NonceContext::new(
                    UnixTime::from_secs(self.now + age),
                    &AwsLcRs,
                ))
            });
            let nonce = payload_text("nonce").ok_or("a nonce")?;
            require(known.iter().any(|known| known == nonce), "the nonce")?;
        }

        let cnf = claims.get("cnf").and_then(|cnf| cnf.as_object());
        let cnf = cnf.ok_or("a bound token")?;
        require(!cnf.contains_key("x5t#S256"), "no certificate")?;
        let jkt = reading::text(cnf, "jkt").ok_or("a bound token")?;
        require(jkt == reading::encode(key), "the binding")?;
        Ok(Proof {
            jti: jti.to_owned(),
            key,
            text: text.clone(),
            until: iat + 70,
        })
    }

    /// Whether the request has a valid unbound token.
    pub fn unbound(&self, request: &Request<()>) -> Result<(), &'static str> {
        let (scheme, token) = credentials(request)?;
        require(scheme == "bearer", "the scheme")?;
        let claims = self.token(&token)?;
        require(!claims.contains_key("cnf"), "an unbound token")
    }

    /// Returns the claims of a token that is active and for this API. Every token here counts as
    /// genuine.
    fn token(&self, token: &str) -> Result<Map<String, Value>, &'static str> {
        require(token.len() <= 16 * 1024, "the token's length")?;
        let token = Jws::read(token).ok_or("a token")?;
        let (header, claims) = (token.header, token.payload);
        let typ = reading::text(&header, "typ").unwrap_or_default();
        let typ = typ.to_ascii_lowercase();
        require(
            ["at+jwt", "application/at+jwt"].contains(&typ.as_str()),
            "the token's typ",
        )?;
        // The issuer has one key of each kind.
        let alg = reading::text(&header, "alg").unwrap_or_default();
        let kid = match alg {
            "ES256" => "k0",
            "Ed25519" | "EdDSA" => "k1",
            "PS256" | "RS256" => "k2",
            _ => return Err("the token's alg"),
        };
        require(
            header.get("kid").is_none_or(|named| named == kid),
            "the issuer's key",
        )?;
        require(!header.contains_key("crit"), "no critical extension")?;
        require(reading::text(&claims, "iss") == Some(ISSUER), "iss")?;
        let aud = claims.get("aud").ok_or("an audience")?;
        let audiences = aud
            .as_array()
            .map_or(std::slice::from_ref(aud), Vec::as_slice);
        require(audiences.iter().any(|aud| aud == AUDIENCE), "the audience")?;
        let now = i128::from(self.now);
        let date = |name| {
            reading::date(&claims, name)
                .transpose()
                .map_err(|()| "a date")
        };
        require(date("exp")?.is_some_and(|exp| now < exp), "the token's exp")?;
        for name in ["nbf", "iat"] {
            require(date(name)?.is_none_or(|date| date <= now + 10), name)?;
        }
        Ok(claims)
    }
}

fn credentials(request: &Request<()>) -> Result<(String, String), &'static str> {
    let values = reading::all(request.headers(), "authorization");
    reading::credentials(&values).ok_or("credentials")
}

fn require(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}
