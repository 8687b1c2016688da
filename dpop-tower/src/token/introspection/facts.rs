use super::{ClientAuth, Introspection, Place};
use crate::{
    crypto::Algorithm,
    token::facts::{self, IssuerFacts, danger},
};

impl Introspection {
    /// Describes an issuer that has opaque tokens only.
    pub(in crate::token) fn facts(&self) -> IssuerFacts {
        let mut of = IssuerFacts::new(&self.issuer);
        self.add_to(&mut of);
        of
    }

    /// Adds the opaque tokens to what an issuer has.
    pub(in crate::token) fn add_to(&self, of: &mut IssuerFacts) {
        const NAME: &str = "opaque tokens";
        let place = match &self.place {
            Place::NotGiven => "nowhere".to_owned(),
            Place::Discover => "found through the issuer's metadata".to_owned(),
            Place::Url(url) => facts::url(url),
        };
        of.lines.push((NAME, format!("introspection {place}")));
        if let Some(client) = &self.client {
            let how = match client.auth {
                ClientAuth::Basic(_) => "a secret",
                ClientAuth::PrivateKeyJwt(_) => "a signed assertion",
            };
            let id = client.id.escape_debug();
            of.lines.push((NAME, format!("asked as {id} with {how}")));
        }
        let seconds = self.cache_for.as_secs();
        of.lines
            .push((NAME, format!("verdicts kept for {seconds} s")));
        let audiences = self.audiences.join(" ");
        of.lines.push((NAME, format!("audiences {audiences}")));
        if self.aud_may_be_missing {
            let value = danger("answers without an audience are accepted");
            of.lines.push((NAME, value));
            of.accepts_missing_audience = true;
        }
        of.lines.push((NAME, format!("leeway {}", self.leeway)));
        of.leeways.push(self.leeway.duration());
        if self.signed {
            let names = facts::names(&self.algorithms);
            of.lines.push((NAME, format!("signed answers: {names}")));
            of.has_no_algorithm |= self.algorithms.is_empty();
        }
        if self.plain_http {
            let value = danger("asked over plain http on this machine");
            of.lines.push((NAME, value));
            of.uses_plain_http = true;
        }
    }

    /// Removes the algorithms of signed answers that are not in `only`.
    pub(in crate::token) fn allow_only(&mut self, only: &[Algorithm]) {
        self.algorithms.retain(|alg| only.contains(alg));
    }
}
