//! The checks of an access token, one by one.
//!
//! As with proofs, the library decides: an inspection adapts the settings to the token where a check fails, and
//! asks again.

use dpop_tower::{
    ConfigError, DpopConfig, Issuer, Policy, PublicOrigin, RequestHead, Verdict, Verifier,
    clock::{ManualClock, UnixTime},
    crypto::{Algorithm, CryptoProvider as _},
    token::{Confirmation, TokenError, TokenErrorKind, VerifiedToken},
};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use serde_json::{Map, Value};

use super::{
    Options, Unreadable,
    crypto::{BACKEND, NOBODY, WithoutTokenSignature},
    dates::Clock,
    jws::{self, Jws},
    now_or_never,
    proof::not_reached,
    reasons,
    report::Check,
    rules::Rule,
};

/// Stands for an issuer or an audience that the token does not name.
const NAMELESS: &str = "https://unknown.invalid";

/// A token, and the settings by which it is checked.
pub(super) struct TokenQuestion<'a> {
    pub(super) token: &'a str,
    pub(super) options: &'a Options,
    pub(super) clock: Clock,
}

/// The outcomes, and what the checks of the request use.
pub(super) struct TokenAnswer {
    pub(super) checks: Vec<Check>,
    pub(super) bound: Check,
    pub(super) confirmation: Option<Confirmation>,
    /// What the library says of the token, or `None` if only the issuer can tell.
    pub(super) verdict: Option<Result<Map<String, Value>, TokenErrorKind>>,
}

#[derive(Clone, PartialEq)]
struct Settings {
    issuer: String,
    audience: String,
    now: UnixTime,
    accepts_any_jwt: bool,
    every_algorithm: bool,
    ignores_signature: bool,
}

impl TokenQuestion<'_> {
    pub(super) fn answer(&self) -> Result<TokenAnswer, Unreadable> {
        let jws = Jws::read(self.token);
        match &jws {
            None if self.options.keys.is_none() => Ok(self.opaque()),
            _ => self.jwt(jws.as_ref()),
        }
    }

    /// A token that only its issuer can read.
    fn opaque(&self) -> TokenAnswer {
        let what = if jws::is_encrypted(self.token) {
            "it is encrypted for the service: only that knows what it says"
        } else {
            "it is opaque: only its issuer knows what it says"
        };
        TokenAnswer {
            checks: vec![Check::gap(Rule::TokenForm, what)],
            bound: Check::skipped(Rule::TokenBound, "only its issuer knows"),
            confirmation: None,
            verdict: None,
        }
    }

    fn jwt(&self, jws: Option<&Jws>) -> Result<TokenAnswer, Unreadable> {
        let mut settings = self.settings(jws);
        let mut failed: Vec<Check> = Vec::new();
        let (mut first, mut stopped) = (None, None);
        loop {
            let (kind, text) = match self.ask(&settings) {
                Ok(None) => break,
                Ok(Some(found)) => found,
                Err(error) if failed.is_empty() => return Err(error),
                // A configuration with this issuer or audience is not possible.
                Err(_) => {
                    stopped = failed.last().map(|check| check.rule);
                    break;
                }
            };
            let rule = reasons::rule(kind.as_str()).unwrap_or(Rule::TokenForm);
            first.get_or_insert(kind);
            failed.push(Check::failed(
                rule,
                kind.as_str(),
                self.explain(jws, rule, text),
            ));
            if !adapt(&mut settings, kind, jws) {
                stopped = Some(rule);
                break;
            }
        }
        let outcome = |rule: Rule| {
            let found = failed.iter().find(|check| check.rule == rule);
            match (found, stopped) {
                (Some(check), _) => check.clone(),
                (None, Some(stopped)) if rule >= stopped => not_reached(rule),
                (None, _) => self.passed(rule, jws),
            }
        };
        let claims = jws.map(|jws| jws.claims.clone()).unwrap_or_default();
        let verified = VerifiedToken::new(claims.clone());
        let confirmation = verified.ok().map(|token| token.confirmation());
        let bound = match stopped {
            Some(_) => outcome(Rule::TokenBound),
            None => bound(confirmation),
        };
        let verdict = match first {
            Some(kind) => Err(kind),
            None => Ok(claims),
        };
        Ok(TokenAnswer {
            checks: Rule::OF_TOKENS.into_iter().map(outcome).collect(),
            bound,
            confirmation,
            verdict: Some(verdict),
        })
    }

    fn settings(&self, jws: Option<&Jws>) -> Settings {
        let keys = self.options.keys.as_ref();
        let issuer = (keys.and_then(|keys| keys.issuer.clone()))
            .or_else(|| jws?.text("iss").map(str::to_owned));
        let audience = (self.options.audience.clone()).or_else(|| jws.and_then(own_audience));
        let mut settings = Settings {
            issuer: issuer.unwrap_or_else(|| NAMELESS.to_owned()),
            audience: audience.unwrap_or_else(|| NAMELESS.to_owned()),
            now: self.clock.now,
            accepts_any_jwt: self.options.accept_typ_jwt,
            every_algorithm: false,
            ignores_signature: self.options.keys.is_none(),
        };
        // No service can be configured for such an issuer, so the token is of another one.
        let is_given = keys.is_some_and(|keys| keys.issuer.is_some());
        if !is_given && self.config(&settings).is_err() {
            settings.issuer = NAMELESS.to_owned();
        }
        settings
    }

    /// Returns why the library rejects the token, and the explanation for the operator.
    ///
    /// The token is sent as a bearer token to a service that accepts those. So the library checks it as it
    /// would with a proof, and the reason for a good token is that it is bound.
    fn ask(&self, settings: &Settings) -> Result<Option<(TokenErrorKind, String)>, Unreadable> {
        let config = self.config(settings).map_err(|error| {
            Unreadable::new(format!("the token cannot be checked: {error}"))
                .next_step("give --issuer and --audience as the service has them")
        })?;
        let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", self.token)) else {
            return Ok(Some((TokenErrorKind::Malformed, String::new())));
        };
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let uri = Uri::from_static("/");
        let request = RequestHead::new(&Method::GET, &uri, &headers);
        let verification = Verifier::new(config).verify(request, &Policy::optional());
        match now_or_never(verification) {
            Some(Verdict::Rejected(rejection)) => {
                let kind = rejection.token_error().map(TokenError::kind);
                Ok(match kind {
                    // How the token is bound is checked elsewhere.
                    Some(
                        TokenErrorKind::BoundAsBearer | TokenErrorKind::ConfirmationNotSupported,
                    ) => None,
                    Some(kind) => Some((kind, rejection.to_string())),
                    None => Some((TokenErrorKind::Malformed, rejection.to_string())),
                })
            }
            _ => Ok(None),
        }
    }

    fn config(&self, settings: &Settings) -> Result<DpopConfig, ConfigError> {
        let keys = self.options.keys.as_ref().map(|keys| &*keys.jwks);
        let keys = keys.filter(|_| !settings.ignores_signature);
        let mut issuer = Issuer::new(&*settings.issuer)
            .audience(&*settings.audience)
            .jwks(keys.unwrap_or(NOBODY))
            .cache_capacity(1);
        if settings.accepts_any_jwt {
            issuer = issuer.danger_accept_typ_jwt();
        }
        if settings.every_algorithm {
            let every = Algorithm::ALL.into_iter();
            issuer = issuer.algorithms(every.filter(|algorithm| BACKEND.supports(*algorithm)));
        }
        let config = DpopConfig::builder(PublicOrigin::new(NAMELESS)?, issuer)
            .clock(ManualClock::new(settings.now));
        match settings.ignores_signature {
            true => config.crypto(WithoutTokenSignature::new()).build(),
            false => config.crypto(BACKEND).build(),
        }
    }

    fn explain(&self, jws: Option<&Jws>, rule: Rule, text: String) -> String {
        let claim = |name: &str| jws.and_then(|jws| jws.claims.get(name));
        let with = |value: Option<&Value>| match value {
            Some(value) => format!("{text}: it is {value}"),
            None => text.clone(),
        };
        match rule {
            Rule::TokenTyp => with(jws.and_then(|jws| jws.header.get("typ"))),
            Rule::TokenAlg => with(jws.and_then(|jws| jws.header.get("alg"))),
            Rule::TokenIssuer => with(claim("iss")),
            Rule::TokenAudience => with(claim("aud")),
            Rule::TokenExpiry => match jws.and_then(|jws| jws.seconds("exp")) {
                Some(exp) => format!("{text}; {}", self.clock.compared(exp)),
                None => text,
            },
            _ => text,
        }
    }

    fn passed(&self, rule: Rule, jws: Option<&Jws>) -> Check {
        let check = Check::passed(rule);
        let keys = self.options.keys.as_ref();
        match rule {
            Rule::TokenIssuer if keys.is_none_or(|keys| keys.issuer.is_none()) => {
                Check::gap(rule, "give --issuer to compare it")
            }
            Rule::TokenAudience if self.options.audience.is_none() => {
                Check::gap(rule, "give --audience to compare it")
            }
            Rule::TokenSignature if keys.is_none() => {
                Check::gap(rule, "give --issuer or --jwks to verify it")
            }
            Rule::TokenExpiry => match jws.and_then(|jws| jws.seconds("exp")) {
                Some(exp) => check.detail(self.clock.compared(exp)),
                None => check,
            },
            _ => check,
        }
    }
}

/// Changes the settings so that the failed check passes. Returns `false` if that is not possible.
fn adapt(settings: &mut Settings, kind: TokenErrorKind, jws: Option<&Jws>) -> bool {
    let before = settings.clone();
    match (kind, jws) {
        (TokenErrorKind::TypInvalid, _) => settings.accepts_any_jwt = true,
        (TokenErrorKind::AlgNotAllowed, _) => settings.every_algorithm = true,
        (TokenErrorKind::KeyUnknown | TokenErrorKind::SignatureInvalid, _) => {
            settings.ignores_signature = true;
        }
        (TokenErrorKind::IssuerMismatch, Some(jws)) => {
            settings.issuer = jws.text("iss").unwrap_or(NAMELESS).to_owned();
        }
        (TokenErrorKind::AudienceMismatch, Some(jws)) => {
            settings.audience = own_audience(jws).unwrap_or_default();
        }
        // Moves the clock in one direction only, so this ends.
        (TokenErrorKind::Expired, Some(jws)) => {
            let exp = jws.seconds("exp").unwrap_or_default();
            settings.now = settings.now.min(UnixTime::from_secs(exp.saturating_sub(1)));
        }
        _ => return false,
    }
    before != *settings
}

fn own_audience(jws: &Jws) -> Option<String> {
    let audience = jws.claims.get("aud")?;
    let one = audience.as_str().or_else(|| audience.get(0)?.as_str())?;
    Some(one.to_owned()).filter(|one| !one.is_empty())
}

fn bound(confirmation: Option<Confirmation>) -> Check {
    let failed =
        |kind: TokenErrorKind, detail: &str| Check::failed(Rule::TokenBound, kind.as_str(), detail);
    match confirmation {
        Some(Confirmation::Key(key) | Confirmation::KeyAndCertificate(key, _)) => {
            Check::passed(Rule::TokenBound).detail(format!("to the key {key}"))
        }
        Some(Confirmation::Unbound) => failed(
            TokenErrorKind::NotBound,
            "there is no cnf: anyone who gets hold of the token can use it",
        ),
        Some(Confirmation::Certificate(_)) => failed(
            TokenErrorKind::ConfirmationNotSupported,
            "the token is bound to a client certificate (RFC 8705) and to no key",
        ),
        Some(_) => failed(TokenErrorKind::ConfirmationNotSupported, "cnf has no jkt"),
        None => failed(TokenErrorKind::ConfirmationInvalid, "cnf is malformed"),
    }
}
