//! HTTP archives, which browsers and proxies export.

use http::{HeaderMap, header};
use serde::Deserialize;

use super::{
    Unreadable, dates,
    message::{self, Exchange, Request, Response},
};

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    started_date_time: String,
    /// In milliseconds.
    #[serde(default)]
    time: f64,
    request: HarRequest,
    #[serde(default)]
    response: Option<HarResponse>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Field>,
    #[serde(default)]
    post_data: Option<Text>,
}

#[derive(Deserialize)]
struct HarResponse {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    headers: Vec<Field>,
    #[serde(default)]
    content: Option<Text>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    value: String,
}

#[derive(Deserialize, Default)]
struct Text {
    #[serde(default)]
    text: String,
    #[serde(default)]
    params: Vec<Param>,
}

#[derive(Deserialize)]
struct Param {
    name: String,
}

/// Reads the exchanges that have to do with DPoP, and a note on the others.
pub(super) fn parse(json: &[u8]) -> Result<(Vec<Exchange>, String), Unreadable> {
    let har: Har = serde_json::from_slice(json).map_err(|_| {
        Unreadable::new("the JSON is neither a HAR nor a token response")
            .next_step("a HAR has `log.entries`, each with a `request` that has `method` and `url`")
    })?;
    let total = har.log.entries.len();
    let mut exchanges = Vec::new();
    for (at, entry) in har.log.entries.into_iter().enumerate() {
        let exchange = entry.exchange()?;
        if concerns_dpop(&exchange) {
            exchanges.push(Exchange {
                notes: vec![format!("entry {} of the HAR", at.saturating_add(1))],
                ..exchange
            });
        }
    }
    if exchanges.is_empty() {
        let message = format!("none of the {total} entries of the HAR has to do with DPoP");
        return Err(Unreadable::new(message).next_step(
            "export the HAR with sensitive data: browsers leave out Authorization otherwise",
        ));
    }
    let note = format!(
        "{} of {total} entries have to do with DPoP",
        exchanges.len()
    );
    Ok((exchanges, note))
}

impl Entry {
    fn exchange(self) -> Result<Exchange, Unreadable> {
        let response = match self.response {
            // A browser writes the status 0 if there was no response.
            Some(response) if response.status != 0 => Some(Response {
                status: response.status,
                headers: headers(&response.headers)?,
                body: response.content.unwrap_or_default().text,
            }),
            _ => None,
        };
        Ok(Exchange {
            request: Some(Request {
                method: message::method(&self.request.method)?,
                target: self.request.url,
                headers: headers(&self.request.headers)?,
                body: self.request.post_data.map(Text::form).unwrap_or_default(),
            }),
            response,
            started: dates::parse(&self.started_date_time),
            seconds: (self.time / 1000.0).ceil() as u64,
            notes: Vec::new(),
        })
    }
}

impl Text {
    /// Returns the text, or the names of the fields if the HAR has only those.
    fn form(self) -> String {
        if !self.text.is_empty() {
            return self.text;
        }
        let names = self.params.iter().map(|param| format!("{}=", param.name));
        names.collect::<Vec<_>>().join("&")
    }
}

fn headers(fields: &[Field]) -> Result<HeaderMap, Unreadable> {
    let mut headers = HeaderMap::new();
    for Field { name, value } in fields {
        // Firefox joins several fields of one name with line breaks.
        for value in value.split('\n') {
            message::append(&mut headers, name, value.as_bytes())?;
        }
    }
    Ok(headers)
}

fn concerns_dpop(exchange: &Exchange) -> bool {
    let begins_with_dpop = |headers: &HeaderMap, name: header::HeaderName| {
        headers.get_all(name).iter().any(|value| {
            let scheme = value.as_bytes().get(..4);
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"dpop"))
        })
    };
    let request = exchange.request.as_ref().is_some_and(|request| {
        request.headers.contains_key("dpop")
            || begins_with_dpop(&request.headers, header::AUTHORIZATION)
    });
    let response = exchange.response.as_ref().is_some_and(|response| {
        response.headers.contains_key("dpop-nonce")
            || begins_with_dpop(&response.headers, header::WWW_AUTHENTICATE)
    });
    request || response
}
