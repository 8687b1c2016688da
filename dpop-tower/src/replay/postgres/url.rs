//! The URL of a database.

use std::{net::IpAddr, str::FromStr as _};

use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

use crate::error::{ConfigError, ConfigErrorKind};

/// Parameters that go to the database driver.
const PARAMETERS: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "tcp_user_timeout",
    "user",
];

/// Reads a URL. Errors name the part that is wrong, and quote nothing, because any part may be a password that was
/// not escaped.
pub(super) fn parse(url: &str) -> Result<Config, ConfigError> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(|| error("does not begin with `postgres://` or `postgresql://`"))?;
    let (credentials, rest) = match rest.split_once('@') {
        Some((credentials, rest)) => (Some(credentials), rest),
        None => (None, rest),
    };
    if credentials.is_some_and(|text| text.contains(['/', '?', '#'])) {
        return Err(error(
            "has a user, a password or a parameter with one of the characters `/?#@`: write them as %2F, %3F, %23 \
             and %40",
        ));
    }
    if rest.contains('@') {
        return Err(error(
            "has more than one `@`: write an `@` in a password or a parameter as %40",
        ));
    }
    if rest.contains('#') {
        return Err(error("has a fragment: write a `#` in a password as %23"));
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut ssl_mode = None;
    let mut parameters = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", value)) => ssl_mode = Some(mode(value)?),
            // The store needs a server that can be written to.
            Some(("target_session_attrs", "any" | "primary" | "read-write")) => {}
            Some(("target_session_attrs", _)) => {
                return Err(error(
                    "has a `target_session_attrs` other than `read-write`",
                ));
            }
            Some(("sslrootcert" | "sslcert" | "sslkey", _)) => {
                return Err(error(
                    "names a file with certificates: give the certificates to `root_certificates` instead",
                ));
            }
            Some((name, _)) if PARAMETERS.contains(&name) => parameters.push(parameter),
            _ => {
                let known = PARAMETERS.join("`, `");
                return Err(error(&format!(
                    "has an unknown parameter behind the `?`; known are `sslmode`, `{known}`"
                )));
            }
        }
    }
    let credentials = credentials
        .map(|text| format!("{text}@"))
        .unwrap_or_default();
    let plain = format!("postgres://{credentials}{place}?{}", parameters.join("&"));
    let mut config = Config::from_str(&plain).map_err(|invalid| {
        let source = std::error::Error::source(&invalid).map(ToString::to_string);
        error(&format!(
            "has an {}",
            source.unwrap_or_else(|| "invalid part".to_owned())
        ))
    })?;
    check(&config)?;
    let ssl_mode = ssl_mode.unwrap_or_else(|| match is_local(&config) {
        true => SslMode::Disable,
        false => SslMode::Require,
    });
    config.ssl_mode(ssl_mode);
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_application_name().is_none() {
        config.application_name("dpop-tower");
    }
    Ok(config)
}

fn error(what: &str) -> ConfigError {
    let message = format!("the PostgreSQL URL {what}");
    ConfigError::new(ConfigErrorKind::Replay, message)
}

/// Every connection with TLS is verified, so the modes between `require` and `verify-full` are the same.
fn mode(value: &str) -> Result<SslMode, ConfigError> {
    match value {
        "disable" => Ok(SslMode::Disable),
        "prefer" => Ok(SslMode::Prefer),
        "require" | "verify-ca" | "verify-full" => Ok(SslMode::Require),
        _ => Err(error(
            "has an `sslmode` other than `disable`, `prefer`, `require`, `verify-ca` and `verify-full`",
        )),
    }
}

fn check(config: &Config) -> Result<(), ConfigError> {
    let hosts = config.get_hosts();
    if hosts.is_empty() && config.get_hostaddrs().is_empty() {
        return Err(error("has no host"));
    }
    if hosts
        .iter()
        .any(|host| matches!(host, Host::Tcp(name) if name.is_empty()))
    {
        return Err(error("has an empty host"));
    }
    if config.get_user().is_none_or(str::is_empty) {
        return Err(error("has no user"));
    }
    let (hosts, ports) = (
        hosts.len().max(config.get_hostaddrs().len()),
        config.get_ports().len(),
    );
    if ports > 1 && ports != hosts {
        return Err(error("has another number of ports than of hosts"));
    }
    Ok(())
}

/// Returns whether every connection stays on this machine.
fn is_local(config: &Config) -> bool {
    let is_local_host = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    let addresses = config.get_hostaddrs();
    if addresses.is_empty() {
        config.get_hosts().iter().all(is_local_host)
    } else {
        addresses.iter().all(IpAddr::is_loopback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_required_unless_the_connection_stays_on_this_machine() {
        for (url, mode) in [
            ("postgres://u@db.example.com/d", SslMode::Require),
            ("postgresql://u@db.example.com/d", SslMode::Require),
            ("postgres://u@localhost,db.example.com/d", SslMode::Require),
            (
                "postgres://u@localhost/d?hostaddr=192.0.2.1",
                SslMode::Require,
            ),
            ("postgres://u@localhost/d", SslMode::Disable),
            ("postgres://u@127.0.0.3:5433/d", SslMode::Disable),
            ("postgres://u@[::1]:5433/d", SslMode::Disable),
            ("postgres://u@%2Frun%2Fpostgresql/d", SslMode::Disable),
            (
                "postgres:///d?host=/run/postgresql&user=u",
                SslMode::Disable,
            ),
            ("postgres://u@db/d?sslmode=disable", SslMode::Disable),
            ("postgres://u@db/d?sslmode=prefer", SslMode::Prefer),
            ("postgres://u@localhost/d?sslmode=require", SslMode::Require),
            (
                "postgres://u@localhost/d?sslmode=verify-ca",
                SslMode::Require,
            ),
            (
                "postgres://u@localhost/d?sslmode=verify-full",
                SslMode::Require,
            ),
        ] {
            assert_eq!(parse(url).unwrap().get_ssl_mode(), mode, "{url}");
        }
    }

    #[test]
    fn only_a_server_that_can_be_written_to_is_used() {
        for end in [
            "",
            "?target_session_attrs=any",
            "?target_session_attrs=primary",
        ] {
            let config = parse(&format!("postgres://u:p%40@a:1,b:2/d{end}")).unwrap();
            assert_eq!(
                config.get_target_session_attrs(),
                TargetSessionAttrs::ReadWrite
            );
            assert_eq!(config.get_password(), Some(&b"p@"[..]));
            assert_eq!(config.get_ports(), [1, 2]);
            assert_eq!(config.get_application_name(), Some("dpop-tower"));
        }
        let named = parse("postgres://u@a/d?application_name=orders").unwrap();
        assert_eq!(named.get_application_name(), Some("orders"));
    }

    #[test]
    fn a_mistake_is_named_and_nothing_is_quoted() {
        for (url, part) in [
            ("hunter2", "begin with `postgres://`"),
            ("mysql://u:hunter2@h/d", "begin with `postgres://`"),
            ("postgres://u:hunter2@", "no host"),
            ("postgres://u:hunter2@/d", "no host"),
            ("postgres://u:hunter2@a,,b/d", "empty host"),
            ("postgres://h/d", "no user"),
            ("postgres://:hunter2@h/d", "no user"),
            ("postgres://u:hunter2@h:port/d", "`port`"),
            ("postgres://u:hunter2@h:99999/d", "`port`"),
            ("postgres://u:hunter2@[::1/d", "`host`"),
            ("postgres://u:hunter2@x@h/d", "more than one `@`"),
            ("postgres://u:hunter2/x@h/d", "%2F"),
            ("postgres://u:hunter2#x@h/d", "%23"),
            ("postgres://u@h/d#hunter2", "fragment"),
            ("postgres://u@h/d?password=a&hunter2", "unknown parameter"),
            ("postgres://u@h/d?hunter2=a", "unknown parameter"),
            ("postgres://u@h/d?sslmode=hunter2", "`sslmode`"),
            ("postgres://u@h/d?sslmode=allow", "`sslmode`"),
            (
                "postgres://u@h/d?sslrootcert=/hunter2",
                "`root_certificates`",
            ),
            (
                "postgres://u@h/d?target_session_attrs=read-only",
                "`target_session_attrs`",
            ),
            ("postgres://u@h/d?keepalives=hunter2", "`keepalives`"),
            ("postgres://u@h/d?hostaddr=hunter2", "`hostaddr`"),
            ("postgres://u@a,b/d?port=1,2,3", "number of ports"),
        ] {
            let error = parse(url).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(part), "{url}: {text}");
            assert!(!text.contains("hunter2"), "{text}");
            assert_eq!(error.kind(), ConfigErrorKind::Replay);
        }
    }
}
