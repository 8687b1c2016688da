use std::collections::BTreeMap;

use http::Method;

use super::Policy;
use crate::error::{ConfigError, ConfigErrorKind};

/// Policies by path and method, for a service that has one layer for everything.
///
/// Patterns are those of axum: `/orders/{id}` for one segment, `/files/{*path}` for the rest of the
/// path. A gRPC method is a path, too: `/pkg.Service/Method`, and all of a service
/// `/pkg.Service/{*method}`. Where several patterns fit, the one with more fixed text counts. A request
/// that fits none, or whose path has more than one reading (dot segments, doubled slashes, octets that
/// need not be encoded, encoded slashes), gets [`Policy::strict`].
///
/// ```
/// use dpop_tower::{Policy, policy::PolicyTable};
/// use http::Method;
///
/// let table = PolicyTable::builder()
///     .route("/health", Policy::off())
///     .route("/orders/{id}", Policy::strict().any_scope(["orders:read", "orders:write"]))
///     .methods("/orders", [Method::POST], Policy::strict().scope("orders:write"))
///     .route("/grpc.health.v1.Health/{*method}", Policy::off())
///     .build()?;
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PolicyTable {
    routes: matchit::Router<Route>,
    policies: Vec<Policy>,
}

/// Where in the list of policies those of a pattern are.
#[derive(Clone, Debug, Default)]
struct Route {
    by_method: Vec<(Method, usize)>,
    otherwise: Option<usize>,
}

/// Builds a [`PolicyTable`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PolicyTableBuilder {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    pattern: String,
    methods: Option<Vec<Method>>,
    policy: Policy,
}

impl PolicyTable {
    /// An empty table.
    pub fn builder() -> PolicyTableBuilder {
        PolicyTableBuilder::default()
    }

    pub(crate) fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Which of [`policies`](Self::policies) is for such a request; none of them is, if it gets
    /// [`Policy::strict`].
    pub(crate) fn choose(&self, method: &Method, path: &str) -> Option<usize> {
        if has_several_readings(path) {
            return None;
        }
        self.routes.at(path).ok()?.value.policy(method)
    }
}

impl Route {
    fn policy(&self, method: &Method) -> Option<usize> {
        let of = |method: &Method| {
            let mut methods = self.by_method.iter();
            methods.find_map(|(listed, policy)| (listed == method).then_some(*policy))
        };
        // Servers answer HEAD with what they have for GET (RFC 9110 section 9.3.2).
        of(method)
            .or_else(|| of(&Method::GET).filter(|_| method == Method::HEAD))
            .or(self.otherwise)
    }

    fn add(&mut self, methods: Option<Vec<Method>>, policy: usize) -> Result<(), &'static str> {
        let twice = "two policies are given for it";
        match methods {
            None if self.otherwise.is_some() => return Err(twice),
            None => self.otherwise = Some(policy),
            Some(methods) if methods.is_empty() => return Err("it is for no method"),
            Some(methods) => {
                for method in methods {
                    if self.by_method.iter().any(|(listed, _)| *listed == method) {
                        return Err(twice);
                    }
                    self.by_method.push((method, policy));
                }
            }
        }
        Ok(())
    }
}

impl PolicyTableBuilder {
    /// The policy for all methods on paths of this pattern, but for those that have one of their own.
    pub fn route(mut self, pattern: impl Into<String>, policy: Policy) -> Self {
        self.rows.push(Row {
            pattern: pattern.into(),
            methods: None,
            policy,
        });
        self
    }

    /// The policy for these methods on paths of this pattern. `GET` covers `HEAD`, unless that is listed
    /// itself.
    pub fn methods(
        mut self,
        pattern: impl Into<String>,
        methods: impl IntoIterator<Item = Method>,
        policy: Policy,
    ) -> Self {
        self.rows.push(Row {
            pattern: pattern.into(),
            methods: Some(methods.into_iter().collect()),
            policy,
        });
        self
    }

    /// Checks the rows, each and together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names a pattern that is malformed or can never fit, one that contradicts another,
    /// and a policy that nothing can satisfy.
    pub fn build(self) -> Result<PolicyTable, ConfigError> {
        let mut policies = Vec::new();
        let mut by_pattern: BTreeMap<String, Route> = BTreeMap::new();
        for Row {
            pattern,
            methods,
            policy,
        } in self.rows
        {
            if let Some(why) = never_fits(&pattern).or_else(|| policy.demands().contradiction()) {
                return Err(refused(&pattern, why));
            }
            let route = by_pattern.entry(pattern.clone()).or_default();
            route
                .add(methods, policies.len())
                .map_err(|why| refused(&pattern, why))?;
            policies.push(policy);
        }
        let mut routes = matchit::Router::new();
        for (pattern, route) in by_pattern {
            routes.insert(pattern.as_str(), route).map_err(|error| {
                refused(&pattern, "it does not go with the others").with_source(error)
            })?;
        }
        Ok(PolicyTable { routes, policies })
    }
}

fn refused(pattern: &str, why: &str) -> ConfigError {
    let message = format!("the policy for the pattern {pattern:?} cannot be used: {why}");
    ConfigError::new(ConfigErrorKind::Policy, message)
}

fn never_fits(pattern: &str) -> Option<&'static str> {
    if !pattern.starts_with('/') {
        Some("it does not begin with a slash")
    } else if !pattern.bytes().all(|octet| octet.is_ascii_graphic()) {
        Some("it has a character that no path has")
    } else if pattern.contains(['?', '#']) {
        Some("it has a query or a fragment, and only the path is compared")
    } else if has_several_readings(pattern) {
        Some("requests for such a path always get the strict policy")
    } else {
        None
    }
}

/// Whether a service further in may take the path for another one. A weak policy of a pattern must not
/// be reached with a path that ends up where a stronger one is wanted.
fn has_several_readings(path: &str) -> bool {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // Some servers take parameters off before they look at the dots.
        let name = segment.split(';').next().unwrap_or_default();
        let is_last = segments.peek().is_none();
        if matches!(name, "." | "..") || (segment.is_empty() && !is_last) {
            return true;
        }
    }
    path.contains('\\') || path.split('%').skip(1).any(is_needless_or_divides)
}

/// Whether what follows a percent sign encodes an octet that need not be encoded, or one that separates
/// segments, or nothing.
fn is_needless_or_divides(after_percent: &str) -> bool {
    let octet = after_percent
        .get(..2)
        .and_then(|hex| u8::from_str_radix(hex, 16).ok());
    octet.is_none_or(|octet| octet.is_ascii_alphanumeric() || b"-._~/\\\0".contains(&octet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Mode;

    fn table() -> PolicyTable {
        PolicyTable::builder()
            .route("/", Policy::optional())
            .route("/public/{*rest}", Policy::off())
            .route("/public/admin", Policy::strict().scope("admin"))
            .route("/orders/{id}", Policy::optional())
            .methods(
                "/orders/{id}",
                [Method::POST, Method::PUT],
                Policy::strict().scope("write"),
            )
            .methods("/reports", [Method::GET], Policy::report_only())
            .route("/pkg.Service/{*method}", Policy::off())
            .route("/pkg.Service/Delete", Policy::optional())
            .build()
            .unwrap()
    }

    fn mode(method: &Method, path: &str) -> Mode {
        let table = table();
        let chosen = table.choose(method, path);
        chosen.map_or(Policy::strict().mode(), |index| {
            table.policies()[index].mode()
        })
    }

    #[test]
    fn the_most_precise_pattern_counts_and_the_method_within_it() {
        for (method, path, expected) in [
            (Method::GET, "/", Mode::Optional),
            (Method::GET, "/public/x", Mode::Off),
            (Method::GET, "/public/x/y", Mode::Off),
            (Method::GET, "/public/admin", Mode::Strict),
            (Method::GET, "/orders/7", Mode::Optional),
            (Method::DELETE, "/orders/7", Mode::Optional),
            (Method::POST, "/orders/7", Mode::Strict),
            (Method::PUT, "/orders/7", Mode::Strict),
            (Method::GET, "/reports", Mode::ReportOnly),
            (Method::HEAD, "/reports", Mode::ReportOnly),
            (Method::POST, "/pkg.Service/Get", Mode::Off),
            (Method::POST, "/pkg.Service/Delete", Mode::Optional),
        ] {
            assert_eq!(mode(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn what_is_not_listed_is_strict() {
        for (method, path) in [
            (Method::GET, "/unlisted"),
            (Method::GET, ""),
            (Method::GET, "*"),
            (Method::GET, "/public"),
            (Method::GET, "/public/"),
            (Method::GET, "/orders"),
            (Method::GET, "/orders/7/"),
            (Method::GET, "/orders/7/items"),
            (Method::GET, "/PUBLIC/x"),
            (Method::POST, "/reports"),
            (Method::OPTIONS, "/reports"),
        ] {
            assert_eq!(mode(&method, path), Mode::Strict, "{method} {path}");
        }
    }

    #[test]
    fn a_path_with_several_readings_is_strict() {
        for path in [
            "/public/../admin",
            "/public/./x",
            "/public/..",
            "/public/.",
            "/public/..;/admin",
            "/public/.;a=b/admin",
            "/public//admin",
            "//public/x",
            "/public/%61dmin",
            "/public/%2e%2e/admin",
            "/public/%2E",
            "/public/x%2Fy",
            "/public/x%2fy",
            "/public/x%5Cy",
            "/public/x\\y",
            "/public/x%00",
            "/public/%",
            "/public/%4",
            "/public/%zz",
        ] {
            assert_eq!(mode(&Method::GET, path), Mode::Strict, "{path}");
        }
        for path in [
            "/public/a%20b",
            "/public/%C3%A4",
            "/public/...",
            "/public/.well-known",
            "/public/a;b=c",
            "/public/x/",
        ] {
            assert_eq!(mode(&Method::GET, path), Mode::Off, "{path}");
        }
    }

    #[test]
    fn rows_that_can_never_count_are_named() {
        let strict = Policy::strict;
        for (builder, told) in [
            (PolicyTable::builder().route("", strict()), "slash"),
            (PolicyTable::builder().route("orders", strict()), "slash"),
            (PolicyTable::builder().route("/a b", strict()), "character"),
            (
                PolicyTable::builder().route("/\u{e4}", strict()),
                "character",
            ),
            (PolicyTable::builder().route("/a?b", strict()), "query"),
            (PolicyTable::builder().route("/a#b", strict()), "query"),
            (
                PolicyTable::builder().route("/a/../b", strict()),
                "strict policy",
            ),
            (
                PolicyTable::builder().route("/a//b", strict()),
                "strict policy",
            ),
            (
                PolicyTable::builder().route("/%61", strict()),
                "strict policy",
            ),
            (
                PolicyTable::builder().route("/{", strict()),
                "go with the others",
            ),
            (
                PolicyTable::builder().route("/{*a}/b", strict()),
                "go with the others",
            ),
            (
                PolicyTable::builder()
                    .route("/{a}", strict())
                    .route("/{b}", strict()),
                "go with the others",
            ),
            (
                PolicyTable::builder()
                    .route("/a", strict())
                    .route("/a", strict()),
                "two policies",
            ),
            (
                PolicyTable::builder()
                    .methods("/a", [Method::GET, Method::PUT], strict())
                    .methods("/a", [Method::PUT], strict()),
                "two policies",
            ),
            (
                PolicyTable::builder().methods("/a", [], strict()),
                "no method",
            ),
            (
                PolicyTable::builder().route("/a", strict().scope("a b")),
                "no token can have",
            ),
            (
                PolicyTable::builder().route("/a", strict().any_scope([""; 0])),
                "no token can have",
            ),
            (
                PolicyTable::builder().route("/a", strict().algorithms([])),
                "no algorithm",
            ),
            (
                PolicyTable::builder().route("/a", strict().acr([""; 0])),
                "no way of authentication",
            ),
        ] {
            let error = builder.clone().build().unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Policy);
            assert!(error.to_string().contains(told), "{builder:?}: {error}");
        }
    }
}
