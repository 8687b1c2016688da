//! The pages of other origins that may use the service.

use std::time::Duration;

use dpop_tower::proof::Origin;
use http::{HeaderName, HeaderValue, Method, Uri};
use toml::Spanned;

use super::{
    error::{SettingsError, Source},
    file::{Cors as Table, File},
};
use crate::gateway::cors::{Cors, Origins};

const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// Ten minutes.
const MAX_AGE: u64 = 600;

pub(super) fn cors(file: &File, source: &Source) -> Result<Option<Cors>, SettingsError> {
    let Some(table) = file.cors.as_ref().map(Spanned::get_ref) else {
        return Ok(None);
    };
    let max_age = match &table.max_age {
        None => MAX_AGE,
        Some(seconds) if *seconds.get_ref() <= 86_400 => *seconds.get_ref(),
        Some(seconds) => {
            let message = "must be at most 86400 seconds; browsers use even less";
            return Err(source.error(seconds.span(), "cors.max_age", message));
        }
    };
    Ok(Some(Cors::new(
        origins(table, source)?,
        match &table.methods {
            None => METHODS.to_vec(),
            Some(methods) => each(methods, "methods", source, method)?,
        },
        &each(&table.headers, "headers", source, name)?,
        &each(&table.expose, "expose", source, name)?,
        Duration::from_secs(max_age),
    )))
}

fn origins(table: &Table, source: &Source) -> Result<Origins, SettingsError> {
    let listed = table.origins.get_ref();
    if listed.is_empty() {
        let message =
            "list the origins of pages, such as \"https://app.example.com\", or leave `[cors]` out";
        return Err(source.error(table.origins.span(), "cors.origins", message));
    }
    if let [only] = &listed[..]
        && only.get_ref() == "*"
    {
        return Ok(Origins::Any);
    }
    each(listed, "origins", source, origin).map(Origins::Listed)
}

/// Parses every element of a list.
fn each<T>(
    list: &[Spanned<String>],
    field: &str,
    source: &Source,
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, SettingsError> {
    let read = |(index, text): (usize, &Spanned<String>)| {
        read(text.get_ref())
            .map_err(|message| source.error(text.span(), format!("cors.{field}[{index}]"), message))
    };
    list.iter().enumerate().map(read).collect()
}

/// Normalises an origin to the form that browsers write, since that is what is compared.
fn origin(text: &str) -> Result<HeaderValue, &'static str> {
    const FORM: &str =
        "expected an origin such as https://app.example.com or http://localhost:3000";
    if text == "null" {
        return Err("`null` is not allowed: any page can have this origin");
    }
    if text.contains('*') {
        return Err("patterns are not supported: list each origin, or only \"*\" for all");
    }
    let scheme = text.split_once("://").ok_or(FORM)?.0.to_ascii_lowercase();
    let written = if matches!(&*scheme, "http" | "https") {
        let origin = Origin::parse(text).map_err(|_| FORM)?;
        origin.as_str().to_owned()
    } else {
        // The origin of an app without a server, such as `capacitor://localhost`.
        let uri: Uri = text.parse().map_err(|_| FORM)?;
        let authority = uri.authority().ok_or(FORM)?.as_str().to_ascii_lowercase();
        if scheme == "file" || authority.contains('@') || !matches!(uri.path(), "" | "/") {
            return Err(FORM);
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(FORM);
        }
        format!("{scheme}://{authority}")
    };
    HeaderValue::try_from(written).map_err(|_| FORM)
}

fn method(text: &str) -> Result<Method, &'static str> {
    let method = Method::try_from(text).ok();
    let method =
        method.filter(|method| !method.as_str().contains(|c: char| c.is_ascii_lowercase()));
    match method.ok_or("expected a method such as GET")? {
        Method::CONNECT | Method::TRACE => Err("browsers do not let pages use this method"),
        // The gateway does not answer an `OPTIONS` request that is not a preflight.
        Method::OPTIONS => Err("OPTIONS is reserved for preflights"),
        method => Ok(method),
    }
}

fn name(text: &str) -> Result<HeaderName, &'static str> {
    match text {
        "*" => Err("wildcards are not supported: list each header"),
        text => text.parse().map_err(|_| "not a valid header name"),
    }
}
