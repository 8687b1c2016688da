//! Selects the upstream of a request by its path.
//!
//! A path has the same readings here as for the policies. The library finds the rows that the readings reach,
//! and each row here "requires" a scope that is named after its upstream. If the readings reach rows of
//! different upstreams, the request goes to none of them, because each might read the path as the one that
//! belongs to the other. A reading that reaches no row does not count.

use std::collections::BTreeMap;

use dpop_tower::{ConfigError, Policy, policy::PolicyTable};
use http::Method;

use super::Upstream;

/// The default upstream, and the upstreams of routes that lead elsewhere.
#[derive(Clone, Debug)]
pub struct Upstreams<R = Routes> {
    /// The first one is the default.
    all: Vec<Upstream>,
    routes: R,
}

/// The finished routes, by which an upstream is selected.
#[derive(Clone, Debug)]
pub struct Routes {
    /// `None` if all requests go to the same upstream.
    table: Option<PolicyTable>,
    /// The text of the policy that stands for the upstream at the same index.
    policies: Vec<String>,
}

/// The routes that were added so far.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// Patterns and the indexes of their upstreams, by the pattern without the names of its parameters.
    by_form: BTreeMap<String, (String, usize)>,
}

/// The readings of a path lead to different upstreams, or no upstream should receive the path.
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
    /// Starts with the default upstream, for requests that no route sends elsewhere.
    pub(crate) fn of(default: Upstream) -> Self {
        Self {
            all: vec![default],
            routes: Collected::default(),
        }
    }

    /// Adds a route. A route without an upstream leads to the default one, even if a wider route leads
    /// elsewhere.
    ///
    /// # Errors
    ///
    /// Returns a message if another route with the same path leads elsewhere.
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

    /// Returns the index in [`all`](Self::all) of the upstream for this path.
    pub(super) fn choose(&self, path: &str) -> Result<usize, NoUpstream> {
        let Some(table) = &self.routes.table else {
            return Ok(0);
        };
        // The rows apply to all methods, so the choice of the method does not matter.
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

/// Returns a pattern without the names of its parameters.
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
            // A reading other than the literal one reaches a row, and no other row contradicts it.
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
