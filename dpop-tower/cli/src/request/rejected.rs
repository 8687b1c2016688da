//! What a rejection means, and what to do about it.

use dpop_tower::clock::{SystemClock, TimeSource as _};
use http::{Response, StatusCode, header};
use serde_json::Value;

use super::{
    arguments::Prepared,
    challenge::{Challenge, challenges},
    text,
    verbose::shown,
};
use crate::{failure::Failure, proof::decoded};

/// A difference of the clocks in seconds that is worth a word.
const SKEW: i64 = 30;

/// Returns the failure of the command, if the response is one.
pub(super) fn rejection<B>(response: &Response<B>, prepared: &Prepared) -> Option<Failure> {
    let status = response.status();
    let challenges = challenges(response.headers());
    let of_dpop = challenges.iter().find(|challenge| challenge.is_dpop());
    let rejects_credentials = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        || status == StatusCode::BAD_REQUEST && of_dpop.is_some();
    if !rejects_credentials {
        let message = format!("the server answered with {status}");
        return (prepared.fail && status.as_u16() >= 400).then(|| Failure::rejected(message));
    }
    let Some(challenge) = of_dpop else {
        let failure = Failure::rejected(format!(
            "the server rejected the request with {status}, without a challenge for DPoP"
        ));
        return Some(match challenges.first() {
            Some(other) => failure.next_step(format!(
                "It asks for {}: it may not support DPoP at this URL.",
                shown(other.scheme.as_bytes())
            )),
            None => failure.next_step("-i shows the response."),
        });
    };
    let error = challenge.get("error");
    let mut message = format!("the server rejected the request with {status}");
    for part in [error, challenge.get("error_description")]
        .into_iter()
        .flatten()
    {
        message = format!("{message}: {}", shown(part.as_bytes()));
    }
    Some(Failure::rejected(message).next_step(next_step(error, challenge, response, prepared)))
}

fn next_step<B>(
    error: Option<&str>,
    challenge: &Challenge,
    response: &Response<B>,
    prepared: &Prepared,
) -> String {
    match error {
        Some("use_dpop_nonce") => {
            "The server did not accept the nonce that it gave. Its nodes may have different nonce secrets."
                .to_owned()
        }
        Some("invalid_dpop_proof") => of_clock(response).unwrap_or_else(|| {
            "-v shows the proof. Check that `htu` is the URL that the server believes to have, and that it \
             accepts the algorithm."
                .to_owned()
        }),
        Some("invalid_token") => of_token(prepared).unwrap_or_else(|| {
            let step = "Get a new token with `dpop token`. It has to be for this API and from an issuer that the \
                        API trusts";
            // RFC 9728 section 5.1
            match challenge.get("resource_metadata") {
                Some(url) => format!("{step}, which {} names.", shown(url.as_bytes())),
                None => format!("{step}."),
            }
        }),
        Some("insufficient_scope") => match challenge.get("scope") {
            Some(scope) => format!(
                "Get a token with `dpop token --scope {:?}`.",
                shown(scope.as_bytes())
            ),
            None => "Get a token with more scopes: `dpop token --scope …`.".to_owned(),
        },
        Some("insufficient_user_authentication") => {
            let wanted = ["acr_values", "max_age"].map(|name| {
                let value = challenge.get(name)?;
                Some(format!("{name}={}", shown(value.as_bytes())))
            });
            let wanted: Vec<String> = wanted.into_iter().flatten().collect();
            format!(
                "The user has to log in again ({}): `dpop token --grant authorization_code`.",
                wanted.join(", ")
            )
        }
        _ => "-v shows what was sent and the whole challenge.".to_owned(),
    }
}

/// Compares the clocks, by the `Date` of the response.
fn of_clock<B>(response: &Response<B>) -> Option<String> {
    let date = text(response.headers(), header::DATE.as_str())?;
    let server = httpdate::parse_http_date(date).ok()?;
    let server = server.duration_since(std::time::UNIX_EPOCH).ok()?;
    let ahead = SystemClock
        .now()
        .as_secs()
        .saturating_sub(i64::try_from(server.as_secs()).ok()?);
    (ahead.abs() > SKEW).then(|| {
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        format!(
            "The clock of this machine is {} s {direction} the server's: set it.",
            ahead.abs()
        )
    })
}

/// Looks into the token, which the server rejected, for the usual reasons.
fn of_token(prepared: &Prepared) -> Option<String> {
    let [_, claims] = decoded(&prepared.token);
    // Only the issuer can read an opaque token.
    if claims.is_null() {
        return None;
    }
    let thumbprint = prepared.key.thumbprint().to_string();
    let bound_to = claims.get("cnf").and_then(|cnf| cnf.get("jkt"));
    match bound_to.and_then(Value::as_str) {
        None => {
            return Some(
                "The token is not bound to a key: it has no `cnf.jkt`. Get one with `dpop token`."
                    .to_owned(),
            );
        }
        Some(jkt) if jkt != thumbprint => {
            return Some(format!(
                "The token is bound to the key {}, and --key is {thumbprint}.",
                jkt.escape_debug()
            ));
        }
        Some(_) => {}
    }
    let expires = claims.get("exp").and_then(Value::as_i64)?;
    let now = SystemClock.now().as_secs();
    (expires <= now).then(|| {
        format!(
            "The token expired {} s ago: get a new one with `dpop token`.",
            now.saturating_sub(expires)
        )
    })
}
