//! Where the servers are, as a URL says it.

use std::fmt;

use crate::error::{ConfigError, ConfigErrorKind};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// The servers that a URL names.
#[derive(Clone)]
pub(super) struct Location {
    pub(super) kind: Kind,
    pub(super) tls: bool,
    pub(super) hosts: Vec<Host>,
    pub(super) credentials: Credentials,
    pub(super) database: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    Cluster,
    /// The name under which the sentinels know the master.
    Sentinel(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// Makes a kind of servers, with the name of the service if they are sentinels.
type KindOf = fn(String) -> Kind;

/// The scheme, whether it uses TLS, and what it names.
const SCHEMES: &[(&str, bool, KindOf)] = &[
    ("redis", false, |_| Kind::Single),
    ("rediss", true, |_| Kind::Single),
    ("redis-cluster", false, |_| Kind::Cluster),
    ("rediss-cluster", true, |_| Kind::Cluster),
    ("redis-sentinel", false, Kind::Sentinel),
    ("rediss-sentinel", true, Kind::Sentinel),
];

impl Location {
    /// Reads a URL. An error names the part that is wrong, and never contains a part of the URL.
    pub(super) fn parse(url: &str) -> Result<Self, ConfigError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong("scheme", "is missing: it begins with redis:// or rediss://"))?;
        let (_, tls, kind) = SCHEMES
            .iter()
            .find(|(name, ..)| name.eq_ignore_ascii_case(scheme))
            .ok_or_else(|| {
                wrong(
                    "scheme",
                    "is none of redis, rediss, redis-cluster, rediss-cluster, redis-sentinel and rediss-sentinel",
                )
            })?;
        if rest.contains(['?', '#']) {
            return Err(wrong(
                "end",
                "has a query or a fragment, which have no meaning; a `?` or `#` of the password is written %3F or %23",
            ));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Credentials::parse(credentials)?, hosts),
            None => (Credentials::default(), authority),
        };
        let (service, database) = match kind(String::new()) {
            Kind::Sentinel(_) => {
                let (service, database) = path.split_once('/').unwrap_or((path, ""));
                if service.is_empty() {
                    return Err(wrong("path", "does not name the service of the sentinels"));
                }
                (decoded(service, "path")?, database)
            }
            Kind::Single | Kind::Cluster => (String::new(), path),
        };
        let kind = kind(service);
        let database = match (database, &kind) {
            ("" | "0", _) => 0,
            (_, Kind::Cluster) => {
                return Err(wrong("path", "names a database, and a cluster has only 0"));
            }
            (number, _) => number
                .parse()
                .ok()
                .filter(|number| *number >= 0)
                .ok_or_else(|| wrong("path", "is not the number of a database"))?,
        };
        let port = match kind {
            Kind::Sentinel(_) => SENTINEL_PORT,
            Kind::Single | Kind::Cluster => PORT,
        };
        let hosts = hosts
            .split(',')
            .map(|host| Host::parse(host, port))
            .collect::<Result<Vec<_>, _>>()?;
        if kind == Kind::Single && hosts.len() > 1 {
            return Err(wrong(
                "host",
                "is a list, which only a cluster and sentinels can have",
            ));
        }
        if *tls && !TLS {
            return Err(wrong(
                "scheme",
                "needs TLS, which this build lacks: enable the feature `josekit` or `aws-lc-rs`",
            ));
        }
        Ok(Self {
            kind,
            tls: *tls,
            hosts,
            credentials,
            database,
        })
    }
}

/// Writes the kind and the hosts, without credentials.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_tls = if self.tls { " with TLS" } else { "" };
        match &self.kind {
            Kind::Single => write!(f, "server{with_tls}"),
            Kind::Cluster => write!(f, "cluster{with_tls}"),
            Kind::Sentinel(service) => write!(f, "service {service:?}{with_tls} of the sentinels"),
        }?;
        for (index, Host { name, port }) in self.hosts.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { ", " })?;
            match name.contains(':') {
                true => write!(f, "[{name}]:{port}"),
                false => write!(f, "{name}:{port}"),
            }?;
        }
        Ok(())
    }
}

/// Whether the build has TLS.
pub(super) const TLS: bool = cfg!(any(feature = "aws-lc-rs", feature = "josekit"));

impl Host {
    fn parse(text: &str, default: u16) -> Result<Self, ConfigError> {
        // The address of IPv6 is in brackets.
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest
                    .split_once(']')
                    .ok_or_else(|| wrong("host", "has a bracket that is not closed"))?;
                match port.strip_prefix(':') {
                    Some(port) => (name, Some(port)),
                    None if port.is_empty() => (name, None),
                    None => {
                        return Err(wrong(
                            "host",
                            "has something between its bracket and its port",
                        ));
                    }
                }
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        if name.is_empty() {
            return Err(wrong("host", "is missing"));
        }
        let port = match port {
            None => default,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| wrong("port", "is not a number from 1 to 65535"))?,
        };
        Ok(Self {
            name: name.to_owned(),
            port,
        })
    }
}

impl Credentials {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let (user, password) = match text.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (text, None),
        };
        if password.is_none_or(str::is_empty) {
            return Err(wrong(
                "password",
                "is missing: credentials are user:password or :password",
            ));
        }
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Self {
            user: filled(&decoded(user, "user")?),
            password: password.map(|text| decoded(text, "password")).transpose()?,
        })
    }
}

/// Decodes what a URL writes with percent signs.
fn decoded(text: &str, part: &'static str) -> Result<String, ConfigError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = others.first_chunk::<2>();
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or_else(|| {
                wrong(
                    part,
                    "has a `%` that two hexadecimal digits do not follow; `%` is written %25",
                )
            })?;
        bytes.push(byte);
        rest = others.get(2..).unwrap_or_default();
    }
    String::from_utf8(bytes).map_err(|_| wrong(part, "is not UTF-8 after decoding"))
}

fn wrong(part: &str, what: &str) -> ConfigError {
    ConfigError::new(
        ConfigErrorKind::Replay,
        format!("the {part} of the replay store's URL {what}"),
    )
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location")
            .field("kind", &self.kind)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (Kind, bool, Vec<(String, u16)>, Credentials, i64) {
        let location = Location::parse(url).unwrap();
        let hosts = location
            .hosts
            .into_iter()
            .map(|host| (host.name, host.port));
        (
            location.kind,
            location.tls,
            hosts.collect(),
            location.credentials,
            location.database,
        )
    }

    fn credentials(user: Option<&str>, password: &str) -> Credentials {
        Credentials {
            user: user.map(str::to_owned),
            password: Some(password.to_owned()),
        }
    }

    #[test]
    fn every_scheme_says_what_it_names() {
        let host = |name: &str, port| (name.to_owned(), port);
        let none = Credentials::default;
        assert_eq!(
            parsed("redis://db"),
            (Kind::Single, false, vec![host("db", 6379)], none(), 0)
        );
        assert_eq!(
            parsed("REDIS://:p%40s%25s+@[::1]:7000/3"),
            (
                Kind::Single,
                false,
                vec![host("::1", 7000)],
                credentials(None, "p@s%s+"),
                3
            )
        );
        assert_eq!(
            parsed("redis-cluster://a:1,b,c:3/"),
            (
                Kind::Cluster,
                false,
                vec![host("a", 1), host("b", 6379), host("c", 3)],
                none(),
                0
            )
        );
        assert_eq!(
            parsed("redis-sentinel://me:it@a,b:2/main/4"),
            (
                Kind::Sentinel("main".to_owned()),
                false,
                vec![host("a", 26379), host("b", 2)],
                credentials(Some("me"), "it"),
                4
            )
        );
        if TLS {
            assert!(parsed("rediss://db").1);
            assert!(parsed("rediss-cluster://db").1);
            assert!(parsed("rediss-sentinel://db/main").1);
        } else {
            assert!(Location::parse("rediss://db").is_err());
        }
    }

    #[test]
    fn a_mistake_names_the_part_and_shows_nothing_of_the_url() {
        for (url, part) in [
            ("secret", "scheme"),
            ("secret://host", "scheme"),
            ("redis://", "host"),
            ("redis://secret,", "host"),
            ("redis://secret,secret", "host"),
            ("redis://[secret", "host"),
            ("redis://[secret]secret", "host"),
            ("redis://secret:", "port"),
            ("redis://secret:0", "port"),
            ("redis://secret:65536", "port"),
            ("redis://:secret@host:x", "port"),
            ("redis://secret@host", "password"),
            ("redis://secret:@host", "password"),
            ("redis://user:secret%4@host", "password"),
            ("redis://user:secret%+4@host", "password"),
            ("redis://user:secret%ff@host", "password"),
            ("redis://secret%:x@host", "user"),
            ("redis://host/secret", "path"),
            ("redis://host/-1", "path"),
            ("redis-cluster://secret/1", "path"),
            ("redis-sentinel://secret", "path"),
            ("redis-sentinel://secret/", "path"),
            ("redis-sentinel://secret/main/x", "path"),
            ("redis://host?secret", "end"),
            ("redis://:secret#x@host", "end"),
        ] {
            let error = Location::parse(url).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Replay);
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("the {part} of the replay store's URL ")),
                "{url}: {text}"
            );
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_host_and_no_password() {
        let location = Location::parse("redis://user:secret@host").unwrap();
        let text = format!("{location:?} {:?}", location.credentials);
        assert!(!text.contains("secret") && !text.contains("host"), "{text}");
    }
}
