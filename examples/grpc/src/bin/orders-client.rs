//! Gets a token that is bound to its key with the client credentials grant, and calls each method of the
//! service.

use std::{env, error::Error, process::ExitCode};

use dpop_tower::test_util::TestClient;
use grpc_example::{
    calls::{self, Client},
    client::Credentials,
    proto::orders_client::OrdersClient,
};
use reqwest::{Response, Url, header};
use serde_json::Value;
use tonic::transport::Endpoint;

const HELP: &str = "\
usage: orders-client

environment:
  DPOP_ISSUER         the issuer, such as https://idp.example.com
  DPOP_AUDIENCE       the `aud` of the server, requested from the issuer as `resource` (RFC 8707)
  DPOP_PUBLIC_ORIGIN  the origin by which clients call the server, such as https://api.example.com
  CLIENT_ID, CLIENT_SECRET
                      the client's ID and secret, for the client credentials grant
  SERVER_URL          the address to connect to, without TLS (http://127.0.0.1:50051 by default)";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    if env::args().len() > 1 {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orders-client: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let key = TestClient::new();
    let token = token(&key).await?;
    let url = env::var("SERVER_URL").unwrap_or_else(|_| "http://127.0.0.1:50051".to_owned());
    let channel = Endpoint::from_shared(url)?.connect().await?;
    let credentials = Credentials::new(key, &token, &variable("DPOP_PUBLIC_ORIGIN")?);
    let client: Client = OrdersClient::new(credentials.channel(channel));
    println!("Place     {}", calls::place(&client).await?);
    println!("Watch     {}", calls::watch(&client).await?);
    println!("PlaceAll  {}", calls::place_all(&client).await?);
    println!("Quote     {}", calls::quote(&client).await?);
    Ok(())
}

/// Fetches a token. RFC 9449 section 5: it is bound to the key of the proof.
async fn token(key: &TestClient) -> Result<String> {
    let http = reqwest::Client::new();
    let mut issuer = Url::parse(&variable("DPOP_ISSUER")?)?;
    // RFC 8414 section 3: the well-known path comes before the issuer's own path.
    let path = issuer.path().trim_end_matches('/').to_owned();
    issuer.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    let metadata = json(http.get(issuer).send().await?).await?;
    let endpoint = member(&metadata, "token_endpoint")?;

    // A form body has the same syntax as a query.
    let mut form = Url::parse(endpoint)?;
    form.set_query(None);
    form.query_pairs_mut()
        .append_pair("grant_type", "client_credentials")
        .append_pair("scope", "orders:write")
        .append_pair("resource", &variable("DPOP_AUDIENCE")?);
    let request = http
        .post(endpoint)
        .basic_auth(variable("CLIENT_ID")?, Some(variable("CLIENT_SECRET")?))
        .header("DPoP", key.proof("POST", endpoint).sign())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.query().unwrap_or_default().to_owned());
    let answer = json(request.send().await?).await?;
    // The issuer issues a bearer token if it ignores the proof.
    if !member(&answer, "token_type")?.eq_ignore_ascii_case("DPoP") {
        return Err("the issuer returned a token that is not bound to the key".into());
    }
    Ok(member(&answer, "access_token")?.to_owned())
}

async fn json(response: Response) -> Result<Value> {
    let response = response.error_for_status()?;
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}

fn member<'a>(object: &'a Value, name: &str) -> Result<&'a str> {
    let member = object.get(name).and_then(Value::as_str);
    Ok(member.ok_or_else(|| format!("the issuer's response has no {name}"))?)
}

fn variable(name: &str) -> Result<String> {
    Ok(env::var(name).map_err(|_| format!("{name} is not set\n\n{HELP}"))?)
}
