//! The URL that a request was sent to.

use dpop_tower::PublicOrigin;
use http::{Uri, header};

use super::{Options, Unreadable, message::Request};

pub(super) struct Target {
    pub(super) origin: PublicOrigin,
    pub(super) uri: Uri,
    /// Says what was assumed.
    pub(super) note: Option<String>,
}

impl Target {
    /// Takes the options first, then a whole URL in the request, then its `Host`.
    pub(super) fn of(request: &Request, options: &Options) -> Result<Self, Unreadable> {
        let url = match &options.url {
            Some(url) => Some(parse(url)?),
            None => None,
        };
        let uri = match &url {
            Some(url) => url.clone(),
            None => parse(&request.target)?,
        };
        let (origin, note) = match (&options.origin, origin_of(&uri)) {
            (Some(origin), _) => (origin.clone(), None),
            (None, Some(origin)) => (origin, None),
            (None, None) => {
                let origin = by_host(request)?;
                let note = format!(
                    "the URL begins with {origin} according to Host: give --origin if clients call another one"
                );
                (origin, Some(note))
            }
        };
        let origin = PublicOrigin::new(&origin).map_err(|error| {
            Unreadable::new(error.to_string())
                .next_step("give --origin, such as https://api.example.com")
        })?;
        Ok(Self { origin, uri, note })
    }
}

fn parse(url: &str) -> Result<Uri, Unreadable> {
    let without_fragment = url.split('#').next().unwrap_or_default();
    without_fragment
        .parse()
        .map_err(|_| Unreadable::new("the URL of the request is not one").next_step("give --url"))
}

fn origin_of(uri: &Uri) -> Option<String> {
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

fn by_host(request: &Request) -> Result<String, Unreadable> {
    let host = request
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.ok_or(
        Unreadable::new("the request has no Host, so its URL is not known")
            .next_step("give --url, or --origin for the part before the path"),
    )?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let scheme = match name {
        "localhost" | "127.0.0.1" | "[::1]" => "http",
        _ => "https",
    };
    Ok(format!("{scheme}://{host}"))
}
