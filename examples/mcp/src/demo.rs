//! A client that knows only the URL of the server, and a thief who has its token.

use std::error::Error;

use dpop_tower::test_util::TestClient;
use reqwest::{Client, Response, header};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

pub(crate) async fn run(url: &str) -> Result<()> {
    let http = Client::new();
    let (client, thief) = (TestClient::new(), TestClient::new());
    let whoami = call("whoami", &json!({}));

    println!("A client calls {url} without a token. The challenge names the metadata:");
    let challenged = send(&http, url, None, &whoami).await?;
    expect(&challenged, 401)?;
    let challenge = challenged.headers()[header::WWW_AUTHENTICATE].to_str()?;
    println!("  {challenge}\n");
    let metadata = between(challenge, "resource_metadata=\"", "\"")?;

    let metadata = get(&http, metadata).await?;
    println!("The metadata names the authorization server:\n  {metadata}\n");
    // RFC 9728 section 3.3: otherwise another server could have answered for this one.
    if metadata["resource"] != url {
        return Err("the metadata is of another resource".into());
    }
    let issuer = text(&metadata["authorization_servers"][0])?;
    let server = get(
        &http,
        &format!("{issuer}/.well-known/oauth-authorization-server"),
    )
    .await?;
    let endpoint = text(&server["token_endpoint"])?;
    let proof = client.proof("POST", endpoint).sign();
    let body = "grant_type=client_credentials";
    let form = "application/x-www-form-urlencoded";
    let response = http
        .post(endpoint)
        .header("dpop", proof)
        .header("content-type", form);
    let answer: Value = json_of(response.body(body).send().await?).await?;
    let token = text(&answer["access_token"])?;
    println!("The client gets a token that is bound to its key.");

    for (what, request, key) in [
        (
            "calls `add`",
            call("add", &json!({ "left": 40, "right": 2 })),
            &client,
        ),
        ("calls `whoami`", whoami.clone(), &client),
    ] {
        let response = send(&http, url, Some((token, key)), &request).await?;
        expect(&response, 200)?;
        let answer = json_of(response).await?;
        let told = text(&answer["result"]["content"][0]["text"])?;
        println!("  {what}: {told}");
    }

    let stolen = send(&http, url, Some((token, &thief)), &whoami).await?;
    expect(&stolen, 401)?;
    let challenge = stolen.headers()[header::WWW_AUTHENTICATE].to_str()?;
    let why = between(challenge, "error_description=\"", "\"")?;
    println!("\nA thief with the token and a key of its own is rejected: {why}.");
    Ok(())
}

fn call(tool: &str, arguments: &Value) -> String {
    let params = json!({ "name": tool, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()
}

/// Sends a message, with a token and a proof that is made with this key.
async fn send(
    http: &Client,
    url: &str,
    token: Option<(&str, &TestClient)>,
    message: &str,
) -> Result<Response> {
    let request = http
        .post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .body(message.to_owned());
    let request = match token {
        None => request,
        Some((token, key)) => request
            .header(header::AUTHORIZATION, format!("DPoP {token}"))
            .header("dpop", key.proof("POST", url).access_token(token).sign()),
    };
    Ok(request.send().await?)
}

async fn get(http: &Client, url: &str) -> Result<Value> {
    json_of(http.get(url).send().await?).await
}

async fn json_of(response: Response) -> Result<Value> {
    Ok(serde_json::from_str(&response.text().await?)?)
}

fn text(value: &Value) -> Result<&str> {
    Ok(value.as_str().ok_or("a text is missing")?)
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Result<&'t str> {
    let (_, rest) = text.split_once(start).ok_or("a parameter is missing")?;
    Ok(rest.split(end).next().unwrap_or_default())
}

fn expect(response: &Response, status: u16) -> Result<()> {
    match response.status().as_u16() {
        found if found == status => Ok(()),
        found => Err(format!("the status is {found}, and {status} was expected").into()),
    }
}
