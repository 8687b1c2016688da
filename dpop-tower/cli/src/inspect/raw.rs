//! Raw HTTP/1.1 messages, and what `curl -v` prints.

use http::HeaderMap;

use super::{
    Unreadable,
    message::{self, Exchange, Request, Response},
};

/// Returns whether the first line is that of a message, or of the output of `curl -v`.
pub(super) fn is_message(input: &[u8]) -> bool {
    let Some(line) = first_line(input) else {
        return false;
    };
    let verbose = [&b"> "[..], b"< ", b"* "];
    line.starts_with(b"HTTP/")
        || is_request_line(line)
        || verbose.iter().any(|prefix| line.starts_with(prefix))
}

fn first_line(input: &[u8]) -> Option<&[u8]> {
    input.trim_ascii_start().split(|byte| *byte == b'\n').next()
}

fn is_request_line(line: &[u8]) -> bool {
    let mut parts = line.trim_ascii().split(|byte| *byte == b' ');
    let (method, target) = (parts.next(), parts.next());
    let version = parts.next();
    let has_version = version.is_some_and(|version| version.starts_with(b"HTTP/"));
    // HTTP/2 has no request line, so people write one without a version.
    let is_method = method.is_some_and(|method| {
        !method.is_empty() && (has_version || method.iter().all(u8::is_ascii_uppercase))
    });
    let is_target = target.is_some_and(|target| {
        has_version || target.starts_with(b"/") || target.starts_with(b"http")
    });
    let is_complete = has_version || version.is_none();
    is_method && is_target && is_complete && parts.next().is_none()
}

/// Parses a request, a response, or a request that is followed by its response.
pub(super) fn parse(input: &[u8]) -> Result<Exchange, Unreadable> {
    let input = input.trim_ascii_start();
    if !is_verbose(input) {
        return one(input);
    }
    let (mut request, mut response) = (Vec::new(), Vec::new());
    for line in input.split(|byte| *byte == b'\n') {
        let (part, text) = match (line.strip_prefix(b"> "), line.strip_prefix(b"< ")) {
            (Some(text), _) => (&mut request, text),
            (_, Some(text)) => (&mut response, text),
            _ => continue,
        };
        // A repeated request follows on the same connection. Only the last exchange is inspected.
        if text.starts_with(b"HTTP/") || is_request_line(text) {
            part.clear();
        }
        part.extend_from_slice(text.trim_ascii_end());
        part.push(b'\n');
    }
    let mut exchange = match request.is_empty() {
        true => Exchange::default(),
        false => one(&request)?,
    };
    if !response.is_empty() {
        exchange.response = one(&response)?.response;
    }
    Ok(exchange)
}

fn is_verbose(input: &[u8]) -> bool {
    (input.split(|byte| *byte == b'\n'))
        .any(|line| line.starts_with(b"> ") || line.starts_with(b"< "))
        && first_line(input).is_some_and(|line| b"><*".contains(line.first().unwrap_or(&b' ')))
}

fn one(input: &[u8]) -> Result<Exchange, Unreadable> {
    let mut rest = input;
    let start = take_line(&mut rest).unwrap_or_default();
    let mut headers = HeaderMap::new();
    while let Some(line) = take_line(&mut rest) {
        if line.is_empty() {
            break;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        let name = std::str::from_utf8(name).unwrap_or_default();
        match value {
            Some(value) => message::append(&mut headers, name.trim(), value)?,
            None => {
                return Err(Unreadable::new(
                    "a line of the message's header has no colon",
                ));
            }
        }
    }
    let body = String::from_utf8_lossy(rest).into_owned();
    let start = String::from_utf8_lossy(start).into_owned();
    let mut words = start.split_ascii_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    let second = second.unwrap_or_default();
    if first.starts_with("HTTP/") {
        let status = (second.parse().ok()).filter(|status| (100..1000).contains(status));
        let status = status.ok_or(Unreadable::new("the response has no status"))?;
        let response = Response {
            status,
            headers,
            body,
        };
        return Ok(Exchange {
            response: Some(response),
            ..Exchange::default()
        });
    }
    let request = Request {
        method: message::method(first)?,
        target: second.to_owned(),
        headers,
        body,
    };
    Ok(Exchange {
        request: Some(request),
        ..Exchange::default()
    })
}

fn take_line<'i>(rest: &mut &'i [u8]) -> Option<&'i [u8]> {
    if rest.is_empty() {
        return None;
    }
    let mut parts = rest.splitn(2, |byte| *byte == b'\n');
    let line = parts.next().unwrap_or_default();
    *rest = parts.next().unwrap_or_default();
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}
