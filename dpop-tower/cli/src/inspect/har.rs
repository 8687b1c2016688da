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
    started_date_time: Option<String>,
    /// In milliseconds.
    #[serde(default)]
    time: Option<f64>,
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
    status: Option<i64>,
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
    text: Option<String>,
    #[serde(default)]
    params: Option<Vec<Param>>,
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
    let (mut exchanges, mut malformed) = (Vec::new(), 0_usize);
    for (at, entry) in har.log.entries.into_iter().enumerate() {
        match entry.exchange() {
            Ok(exchange) if concerns_dpop(&exchange) => exchanges.push(Exchange {
                place: Some(format!("entry {}", at.saturating_add(1))),
                ..exchange
            }),
            Ok(_) => {}
            Err(_) => malformed = malformed.saturating_add(1),
        }
    }
    if exchanges.is_empty() {
        let message = format!("none of the {total} entries of the HAR has to do with DPoP");
        return Err(Unreadable::new(message).next_step(
            "export the HAR with sensitive data: browsers leave out Authorization otherwise",
        ));
    }
    let mut note = format!(
        "{} of {total} entries have to do with DPoP",
        exchanges.len()
    );
    if malformed > 0 {
        note.push_str(&format!(", and {malformed} cannot be read"));
    }
    Ok((exchanges, note))
}

impl Entry {
    fn exchange(self) -> Result<Exchange, Unreadable> {
        let response = match self.response {
            // A browser writes the status 0 if there was no response.
            Some(response) if response.status.is_some_and(|status| status > 0) => Some(Response {
                status: (response.status)
                    .and_then(|status| u16::try_from(status).ok())
                    .unwrap_or(u16::MAX),
                headers: headers(&response.headers)?,
                body: response
                    .content
                    .and_then(|content| content.text)
                    .unwrap_or_default(),
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
            started: self.started_date_time.as_deref().and_then(dates::parse),
            // The cast saturates.
            seconds: (self.time.unwrap_or_default() / 1000.0).ceil() as u64,
            place: None,
            notes: Vec::new(),
        })
    }
}

impl Text {
    /// Returns the text, or the names of the fields if the HAR has only those.
    fn form(self) -> String {
        if let Some(text) = self.text.filter(|text| !text.is_empty()) {
            return text;
        }
        let params = self.params.unwrap_or_default();
        let names = params.iter().map(|param| format!("{}=", param.name));
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
