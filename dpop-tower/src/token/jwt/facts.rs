use std::fmt;

use super::{Issuer, Keys, typ::Types};
#[cfg(feature = "jwks")]
use crate::keys::PlainHttp;
use crate::{
    crypto::Algorithm,
    proof::DANGER,
    token::facts::{self, IssuerFacts},
};

impl Issuer {
    pub(in crate::token) fn facts(&self) -> IssuerFacts {
        let mut of = IssuerFacts::new(&self.issuer);
        if !self.has_no_jwts() {
            self.add_jwts(&mut of);
        }
        #[cfg(feature = "introspection")]
        if let Some(introspection) = &self.introspection {
            introspection.add_to(&mut of);
        }
        of
    }

    fn add_jwts(&self, of: &mut IssuerFacts) {
        let checks = &self.checks;
        of.lines.extend([
            ("audiences", checks.audiences.join(" ")),
            ("algorithms", facts::names(&checks.algorithms)),
            ("token types", checks.types.to_string()),
            ("keys", self.keys.to_string()),
        ]);
        #[cfg(feature = "jwks")]
        {
            let hosts = match self.plain_http {
                PlainHttp::Never => None,
                PlainHttp::Loopback => Some("this machine"),
                PlainHttp::AnyHost => Some("any host"),
            };
            if let Some(hosts) = hosts {
                let value = format!("{DANGER} fetched over plain http from {hosts}");
                of.lines.push(("keys", value));
                of.uses_plain_http = true;
            }
            if self.fetching.has_danger() {
                of.lines
                    .push(("keys", format!("{DANGER} used for longer than is safe")));
            }
        }
        if self.encryption.keys.is_some() {
            let encryption = match self.encryption.is_required {
                true => "required",
                false => "accepted",
            };
            of.lines.push(("encrypted tokens", encryption.to_owned()));
        }
        of.lines.push(("leeway", self.leeway.to_string()));
        of.leeways.push(self.leeway.duration());
        of.has_no_algorithm |= checks.algorithms.is_empty();
        #[cfg(feature = "status-list")]
        let has_status_lists = self.status_lists.is_some();
        #[cfg(not(feature = "status-list"))]
        let has_status_lists = false;
        of.reports_revocation = has_status_lists;
        if has_status_lists {
            of.lines
                .push(("revocation", "status lists of the issuer".to_owned()));
        }
    }

    /// Removes the algorithms that are not in `only`.
    pub(in crate::token) fn allow_only(&mut self, only: &[Algorithm]) {
        self.checks.algorithms.retain(|alg| only.contains(alg));
        #[cfg(feature = "introspection")]
        if let Some(introspection) = &mut self.introspection {
            introspection.allow_only(only);
        }
    }
}

/// Says where the keys are.
impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGiven => f.write_str("none"),
            #[cfg(feature = "jwks")]
            Self::Discover => f.write_str("found through the issuer's metadata"),
            #[cfg(feature = "jwks")]
            Self::Url(url) => f.write_str(&facts::url(url)),
            Self::File(path) => write!(f, "in the file {}", path.display()),
            Self::Inline(_) => f.write_str("given in place"),
        }
    }
}

/// Says which `typ` access tokens may have.
impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("at+jwt")?;
        for typ in &self.further {
            write!(f, ", {typ}")?;
        }
        if let Some(mark) = &self.mark {
            let values = mark.values.join(" or ");
            write!(f, ", JWT or none if the claim {} is {values}", mark.claim)?;
        }
        if self.any_jwt {
            write!(f, ", {DANGER} JWT or none")?;
        }
        Ok(())
    }
}
