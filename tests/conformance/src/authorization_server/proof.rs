use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dpop_tower::{
    crypto::{Algorithm, CryptoProvider as _, Josekit},
    jwk::{PublicJwk, Thumbprint},
};
use http::HeaderMap;
use serde_json::Value;

/// Verifies a proof for a POST to this URL, without an access token (RFC 9449 section 5).
pub(super) fn verify(
    headers: &HeaderMap,
    htu: &str,
) -> Result<Option<(Thumbprint, Value)>, &'static str> {
    let mut proofs = headers.get_all("dpop").iter();
    let proof = match (proofs.next(), proofs.next()) {
        (None, _) => return Ok(None),
        (Some(proof), None) => proof.to_str().map_err(|_| "not text")?,
        (Some(_), Some(_)) => return Err("several"),
    };
    let (input, signature) = proof.rsplit_once('.').ok_or("no JWS")?;
    let (header, claims) = input.split_once('.').ok_or("no JWS")?;
    let json = |part: &str| {
        let json = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice::<Value>(&json).ok()
    };
    let (header, claims) = (json(header).ok_or("header")?, json(claims).ok_or("claims")?);
    if header["typ"] != "dpop+jwt" {
        return Err("typ");
    }
    let algorithm = header["alg"].as_str().and_then(Algorithm::from_name);
    let jwk = PublicJwk::from_json(&header["jwk"].to_string()).map_err(|_| "jwk")?;
    let key = Josekit.prepare(&jwk, algorithm.ok_or("alg")?);
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "signature")?;
    let verified = key.map_err(|_| "jwk")?.verify(input.as_bytes(), &signature);
    verified.map_err(|_| "signature")?;
    if claims["htm"] != "POST" || claims["htu"] != htu || claims.get("ath").is_some() {
        return Err("not for this request");
    }
    Ok(Some((Thumbprint::of(&jwk, &Josekit), claims)))
}
