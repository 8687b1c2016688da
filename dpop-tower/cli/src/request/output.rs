//! The response, as it is written to the standard output or a file.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::http::chain;
use crate::{failure::Failure, terminal::Terminal};

/// Where the response goes.
pub(super) struct Output {
    pub(super) file: Option<PathBuf>,
    pub(super) include: bool,
}

pub(super) async fn write(
    response: Response<Incoming>,
    output: &Output,
    timeout: Duration,
    terminal: Terminal,
) -> Result<(), Failure> {
    let (head, mut body) = response.into_parts();
    let mut writer: Box<dyn Write + Send> = match &output.file {
        None => Box::new(io::stdout()),
        Some(file) => Box::new(File::create(file).map_err(|error| unwritten(&error))?),
    };
    if terminal.is_json() && output.file.is_none() {
        let mut bytes = Vec::new();
        while let Some(data) = part(&mut body, timeout).await? {
            bytes.extend_from_slice(&data);
        }
        let mut json = json!({
            "status": head.status.as_u16(),
            "headers": as_json(&head.headers),
        });
        let (name, value) = match String::from_utf8(bytes) {
            Ok(text) => match serde_json::from_str::<Value>(&text) {
                Ok(value) => ("body", value),
                Err(_) => ("body", text.into()),
            },
            Err(error) => ("body_base64", STANDARD.encode(error.as_bytes()).into()),
        };
        json[name] = value;
        return terminal.print("", &json);
    }
    let mut write = |bytes: &[u8]| writer.write_all(bytes).map_err(|error| unwritten(&error));
    if output.include {
        write(format!("{:?} {}\r\n", head.version, head.status).as_bytes())?;
        for (name, value) in &head.headers {
            write(name.as_str().as_bytes())?;
            write(b": ")?;
            write(value.as_bytes())?;
            write(b"\r\n")?;
        }
        write(b"\r\n")?;
    }
    while let Some(data) = part(&mut body, timeout).await? {
        write(&data)?;
    }
    writer.flush().map_err(|error| unwritten(&error))?;
    if let (true, Some(file)) = (terminal.is_json(), &output.file) {
        let json = json!({
            "status": head.status.as_u16(),
            "headers": as_json(&head.headers),
            "file": file.display().to_string(),
        });
        return terminal.print("", &json);
    }
    Ok(())
}

/// Returns the next part of the body.
async fn part(body: &mut Incoming, timeout: Duration) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = tokio::time::timeout(timeout, body.frame());
        let frame = frame.await.map_err(|_| {
            Failure::out_of_reach("the server stopped in the middle of its response")
        })?;
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => {
                return Err(Failure::out_of_reach(format!(
                    "the response ended too early: {}",
                    chain(&error)
                )));
            }
        }
    }
}

/// Returns the headers with a list of values for each name.
fn as_json(headers: &HeaderMap) -> Value {
    let mut json = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values: Vec<Value> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into())
            .collect();
        json.insert(name.as_str().to_owned(), values.into());
    }
    json.into()
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::wrong_use(format!("cannot write the response: {error}"))
}
