use std::{error::Error, fmt};

use reqwest::Url;

use super::{quoted::Quoted, set::KeySetError};

/// The reason why a document of the issuer cannot be used.
#[derive(Debug)]
pub(super) enum Unhelpful {
    /// There is no answer. Contains the chain of causes.
    Connection(String),
    /// The document names this other issuer, or none.
    Issuer(Option<String>),
    KeySet(KeySetError),
    /// There is no such member, such as `jwks_uri`, which is optional in RFC 8414 section 2.
    NoUrl(&'static str),
    NotAnObject,
    Status(u16),
    TimedOut,
    TooLong {
        most: usize,
    },
    /// The member has this URL, which must not be used.
    Url(&'static str, String),
}

/// The reason why an attempt to fetch keys failed.
#[derive(Debug)]
pub(super) enum FetchError {
    Keys(Url, Unhelpful),
    /// None of the documents of this issuer that could have this member can be used, each for this reason.
    Metadata(&'static str, String, Vec<(Url, Unhelpful)>),
    NoRuntime,
}

impl Unhelpful {
    pub(super) fn connection(error: reqwest::Error) -> Self {
        // The message contains the configured URL once already.
        let error = error.without_url();
        let mut chain = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            chain = format!("{chain}: {cause}");
            next = cause.source();
        }
        Self::Connection(chain)
    }

    fn describe(&self, expected_issuer: &str) -> String {
        match self {
            Self::Connection(chain) => format!("no answer: {}", Quoted::long(chain)),
            Self::Issuer(None) => "it names no issuer".to_owned(),
            Self::Issuer(Some(named)) => {
                let is_slash = named.trim_end_matches('/') == expected_issuer.trim_end_matches('/');
                format!(
                    "it is of the issuer {}, and the configured issuer is {}{}",
                    Quoted::new(named),
                    Quoted::new(expected_issuer),
                    if is_slash {
                        ": check the slash at the end"
                    } else {
                        ""
                    },
                )
            }
            Self::KeySet(error) => error.to_string(),
            Self::NoUrl(member) => format!("it has no {member}"),
            Self::NotAnObject => "it is not a JSON object, or has a member twice".to_owned(),
            Self::Status(status) => format!("the answer has status {status}"),
            Self::TimedOut => "no answer in time".to_owned(),
            Self::TooLong { most } => format!("it has more than {most} bytes"),
            Self::Url(member, url) => format!("its {member} {} cannot be used", Quoted::new(url)),
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(url, why) => write!(f, "the JWK Set at {url}: {}", why.describe("")),
            Self::Metadata(member, issuer, tried) => {
                f.write_str(match *member {
                    "jwks_uri" => "no metadata that names the keys",
                    "token_endpoint" => "no metadata that names the token endpoint",
                    _ => "no metadata that names the introspection endpoint",
                })?;
                for (url, why) in tried {
                    write!(f, "; {url}: {}", why.describe(issuer))?;
                }
                Ok(())
            }
            Self::NoRuntime => {
                f.write_str("to fetch the issuer's keys takes a tokio runtime, and there is none")
            }
        }
    }
}

impl Error for FetchError {}
