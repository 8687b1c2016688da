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
    /// The document has this `jwks_uri`, which must not be fetched.
    JwksUri(String),
    /// There is no `jwks_uri`, which is optional in RFC 8414 section 2.
    NoJwksUri,
    NotAnObject,
    Status(u16),
    TimedOut,
    TooLong {
        most: usize,
    },
}

/// The reason why an attempt to fetch keys failed.
#[derive(Debug)]
pub(super) enum FetchError {
    Keys(Url, Unhelpful),
    /// None of the documents that could name the keys of this issuer can be used, each for this reason.
    Metadata(String, Vec<(Url, Unhelpful)>),
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
            Self::JwksUri(uri) => format!("its jwks_uri {} cannot be used", Quoted::new(uri)),
            Self::NoJwksUri => "it has no jwks_uri".to_owned(),
            Self::NotAnObject => "it is not a JSON object, or has a member twice".to_owned(),
            Self::Status(status) => format!("the answer has status {status}"),
            Self::TimedOut => "no answer in time".to_owned(),
            Self::TooLong { most } => format!("it has more than {most} bytes"),
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(url, why) => write!(f, "the JWK Set at {url}: {}", why.describe("")),
            Self::Metadata(issuer, tried) => {
                f.write_str("no metadata that names the keys")?;
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
