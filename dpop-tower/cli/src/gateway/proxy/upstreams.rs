//! Which upstream gets a request.
//!
//! It goes by the path, and by the same readings of it as the policies. The library says which rows all
//! readings of a path reach; here each row "requires" a scope that is named after its upstream. If rows of
//! different upstreams are reached, the request goes to none: whichever it went to might take it for what
//! the other one has. A reading that reaches no row leaves it to the others.

use std::collections::BTreeMap;

use dpop_tower::{ConfigError, Policy, policy::PolicyTable};
use http::Method;

use super::Upstream;

/// Where requests go: all to one place, but for those of routes that say otherwise.
#[derive(Clone, Debug)]
pub struct Upstreams<R = Routes> {
    /// The first is for what no route sends elsewhere.
    all: Vec<Upstream>,
    routes: R,
}

/// Paths and the upstreams that they lead to, ready to choose by.
#[derive(Clone, Debug)]
pub struct Routes {
    /// There is none if all requests go to the same place.
    table: Option<PolicyTable>,
    /// How the policy of a path reads that leads to the upstream at this place.
    policies: Vec<String>,
}

/// Paths and the upstreams that they lead to, as they are collected.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// By the form of the pattern without names, with the pattern and the place of the upstream.
    by_form: BTreeMap<String, (String, usize)>,
}

/// The readings of a path lead to different upstreams, or no server should be given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoUpstream;

impl From<Upstream> for Upstreams {
    fn from(only: Upstream) -> Self {
        Self {
            all: vec![only],
            routes: Routes {
                table: None,
                policies: Vec::new(),
            },
        }
    }
}

impl Upstreams<Collected> {
    /// Begins with where requests go that no route sends elsewhere.
    pub(crate) fn of(default: Upstream) -> Self {
        Self {
            all: vec![default],
            routes: Collected::default(),
        }
    }

    /// Adds a route. Without an upstream of its own it leads to the default one, also if a wider route
    /// leads elsewhere.
    ///
    /// # Errors
    ///
    /// In words, if another route with the same path leads elsewhere.
    pub(crate) fn add_route(
        &mut self,
        pattern: &str,
        upstream: Option<Upstream>,
    ) -> Result<(), String> {
        let place = match upstream {
            None => 0,
            Some(upstream) => match self.all.iter().position(|known| *known == upstream) {
                Some(place) => place,
                None => {
                    self.all.push(upstream);
                    self.all.len().saturating_sub(1)
                }
            },
        };
        let route = (pattern.to_owned(), place);
        let known = self.routes.by_form.entry(form(pattern)).or_insert(route);
        if known.1 != place {
            return Err(
                "the upstream goes by the path alone, and another route with this path has \
                 another one"
                    .to_owned(),
            );
        }
        Ok(())
    }

    pub(crate) fn build(self) -> Result<Upstreams, ConfigError> {
        let policy = |place: usize| Policy::strict().require_scope(format!("upstream-{place}"));
        let policies = (0..self.all.len()).map(|place| Ok(policy(place).build()?.to_string()));
        let policies = policies.collect::<Result<Vec<_>, ConfigError>>()?;
        let leads_elsewhere = self.all.len() > 1;
        let table = leads_elsewhere.then(|| {
            let rows = self.routes.by_form.into_values();
            rows.fold(PolicyTable::builder(), |table, (pattern, place)| {
                table.route(pattern, policy(place))
            })
            .build()
        });
        Ok(Upstreams {
            all: self.all,
            routes: Routes {
                table: table.transpose()?,
                policies,
            },
        })
    }
}

impl Upstreams {
    pub(crate) fn default_one(&self) -> Option<&Upstream> {
        self.all.first()
    }

    pub(super) fn all(&self) -> &[Upstream] {
        &self.all
    }

    /// The place among [`all`](Self::all) of the one that gets requests for this path.
    pub(super) fn choose(&self, path: &str) -> Result<usize, NoUpstream> {
        let Some(table) = &self.routes.table else {
            return Ok(0);
        };
        // The rows are for all methods.
        let policy = table
            .policy_for(&Method::GET, path)
            .map_err(|_| NoUpstream)?;
        let Some(policy) = policy.map(|policy| policy.to_string()) else {
            return Ok(0);
        };
        let mut policies = self.routes.policies.iter();
        policies
            .position(|known| *known == policy)
            .ok_or(NoUpstream)
    }
}

/// A pattern without the names of its parameters.
fn form(pattern: &str) -> String {
    let segment = |segment: &str| match segment.strip_prefix('{') {
        Some(name) if name.starts_with('*') => "{*}".to_owned(),
        Some(name) if !name.starts_with('{') => "{}".to_owned(),
        _ => segment.to_owned(),
    };
    let segments: Vec<_> = pattern.split('/').map(segment).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = "http://default.test";

    fn upstreams(routes: &[(&str, Option<&str>)]) -> Upstreams {
        let upstream = |url: &str| Upstream::new(url).unwrap();
        let mut upstreams = Upstreams::of(upstream(DEFAULT));
        for (pattern, url) in routes {
            upstreams.add_route(pattern, url.map(upstream)).unwrap();
        }
        upstreams.build().unwrap()
    }

    fn chosen(upstreams: &Upstreams, path: &str) -> Option<String> {
        let place = upstreams.choose(path).ok()?;
        Some(upstreams.all()[place].to_string())
    }

    #[test]
    fn without_other_upstreams_every_path_leads_to_the_only_one() {
        let only = upstreams(&[("/a", None), ("/b", Some(DEFAULT))]);
        for path in ["/a", "/b", "/../a", "*", "/%zz"] {
            assert_eq!(chosen(&only, path).as_deref(), Some(DEFAULT), "{path}");
        }
    }

    #[test]
    fn the_readings_of_a_path_that_reach_a_row_choose_together() {
        let several = upstreams(&[
            ("/a", Some("http://a.test")),
            ("/a/{*rest}", Some("http://a.test")),
            ("/a/health", None),
            ("/b/{id}", Some("http://b.test")),
            ("/b/{id}/c", Some("http://c.test")),
        ]);
        for (path, url) in [
            ("/", Some(DEFAULT)),
            ("/x", Some(DEFAULT)),
            ("/a", Some("http://a.test")),
            ("/a/x/y", Some("http://a.test")),
            ("/a/health", Some(DEFAULT)),
            ("/b/7", Some("http://b.test")),
            ("/b/7/c", Some("http://c.test")),
            // Another reading than the literal one reaches a row, and no row contradicts it.
            ("/%61", Some("http://a.test")),
            ("/A/", Some("http://a.test")),
            ("//a", Some("http://a.test")),
            ("/a;v=1", Some("http://a.test")),
            ("/b/group%2Fproject", Some("http://b.test")),
            ("/b//7/c", Some("http://c.test")),
            // Two rows contradict each other.
            ("/a/health/", None),
            ("/a/%68ealth", None),
            ("/a/Health", None),
            ("/a/health%3Fx", None),
            ("/b/7%2Fc", None),
            ("/b/7%252Fc", None),
            // No honest client sends these.
            ("/a/../b/7", None),
            ("/a/%2e%2e/b/7", None),
            ("/a/..%2fb/7", None),
            ("/b/7/..;/c", None),
            ("/a/x%5C..", None),
            ("/a/%zz", None),
        ] {
            assert_eq!(chosen(&several, path).as_deref(), url, "{path}");
        }
    }

    #[test]
    fn routes_with_the_same_path_lead_to_the_same_upstream() {
        let upstream = |url| Some(Upstream::new(url).unwrap());
        let mut upstreams = Upstreams::of(Upstream::new(DEFAULT).unwrap());
        let mut add = |pattern, url| upstreams.add_route(pattern, url);
        assert!(add("/a/{x}", upstream("http://a.test")).is_ok());
        assert!(add("/a/{y}", upstream("http://a.test")).is_ok());
        assert!(add("/a/{z}", upstream("http://b.test")).is_err());
        assert!(add("/a/{z}", None).is_err());
        assert!(add("/b/{*rest}", upstream("http://b.test")).is_ok());
        assert!(upstreams.build().is_ok());
    }
}
