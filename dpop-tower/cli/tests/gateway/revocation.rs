//! Security events and status lists, which revoke tokens.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use dpop_cli::gateway::Settings;
use dpop_tower::test_util::{TestIssuer, TokenBuilder};
use http::{Method, Request, header};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{
    ORIGIN, Rig, Wanted, error_of, mirror, serve, soon,
    streams::{handshake, websocket},
    text,
};
use dpop_conformance::logging::Log;

const PATH: &str = "/security-events";

/// The file of a gateway with one transmitter, whose keys are at a server.
struct Events {
    transmitter: TestIssuer,
    jwks: String,
    /// How often the keys were fetched.
    fetched: Arc<AtomicUsize>,
    secret: TempDir,
}

impl Events {
    async fn new() -> Self {
        let transmitter = TestIssuer::new().issuer("https://events.test");
        let (jwks, fetched) = (transmitter.jwks(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&fetched);
        let keys = Router::new().fallback(async move || {
            counted.fetch_add(1, Ordering::SeqCst);
            jwks
        });
        let secret = TempDir::new().unwrap();
        fs::write(secret.path().join("secret"), "Bearer s3cret\n").unwrap();
        Self {
            transmitter,
            jwks: format!("{}/jwks", serve(keys).await),
            fetched,
            secret,
        }
    }

    fn tables(&self, more: &str) -> String {
        format!(
            "[revocation]\ncapacity = 4\n{more}\n[[revocation.transmitter]]\nissuer = 'https://events.test'\n\
             audience = '{ORIGIN}{PATH}'\njwks_url = '{}'\nauthorization_file = '{}'\n\
             tokens_of = ['https://issuer.test']\ndanger_allow_plain_http = true\n",
            self.jwks,
            self.secret.path().join("secret").display()
        )
    }

    /// Returns a SET that ends this session.
    fn set(&self, session: &str) -> TokenBuilder {
        (self.transmitter.token().header("typ", "secevent+jwt"))
            .claim("aud", format!("{ORIGIN}{PATH}"))
            .without_claim("sub")
            .without_claim("exp")
            .claim("sub_id", json!({ "format": "opaque", "id": session }))
            .claim(
                "events",
                json!({ "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {} }),
            )
    }

    async fn deliver(&self, rig: &Rig, session: &str) -> u16 {
        let request = request(PATH, "Bearer s3cret", self.set(session));
        rig.status(request).await
    }
}

fn request(path: &str, authorization: &str, set: TokenBuilder) -> Request<Body> {
    let set = set.mint();
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::AUTHORIZATION, authorization)
        .header(header::CONTENT_TYPE, "application/secevent+jwt")
        .header(header::CONTENT_LENGTH, set.len())
        .body(Body::from(set))
        .unwrap()
}

fn of_session(rig: &Rig, session: &str) -> Request<Body> {
    let token = rig
        .issuer
        .token()
        .bound_to(&rig.client)
        .claim("sid", session);
    let request = rig.client.get(&format!("{ORIGIN}/orders"), &token.mint());
    request.map(|()| Body::empty())
}

async fn err(response: http::Response<Incoming>) -> Value {
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    body["err"].clone()
}

#[tokio::test]
async fn a_security_event_revokes_tokens_and_a_reload_brings_none_back() {
    let events = Events::new().await;
    let rig = Rig::with(mirror(), Wanted::tables(&events.tables(""))).await;
    assert_eq!(rig.status(of_session(&rig, "s1")).await, 200);
    assert_eq!(events.deliver(&rig, "s1").await, 202);
    let response = rig.send(of_session(&rig, "s1")).await;
    assert_eq!(response.status(), 401);
    assert_eq!(error_of(&response).as_deref(), Some("invalid_token"));
    assert_eq!(rig.status(of_session(&rig, "s2")).await, 200);
    for tables in [
        events.tables(""),
        events.tables("token_lifetime = 3600"),
        events.tables("path = '/other'"),
    ] {
        rig.reload(Wanted::tables(&tables));
        assert_eq!(rig.status(of_session(&rig, "s1")).await, 401, "{tables}");
        assert_eq!(rig.status(of_session(&rig, "s2")).await, 200, "{tables}");
    }
    let moved = request("/other", "Bearer s3cret", events.set("s2"));
    assert_eq!(rig.status(moved).await, 202);
    assert_eq!(events.fetched.load(Ordering::SeqCst), 1);
    // The endpoint goes, and what it has revoked stays.
    rig.reload(Wanted::default());
    for session in ["s1", "s2"] {
        assert_eq!(rig.status(of_session(&rig, session)).await, 401);
    }
    assert_eq!(events.deliver(&rig, "s3").await, 401);
}

#[tokio::test]
async fn an_open_websocket_ends_when_its_token_is_revoked() {
    use futures_util::StreamExt as _;

    let events = Events::new().await;
    let rig = Rig::with(websocket(), Wanted::tables(&events.tables(""))).await;
    let open = async |session: &str| {
        let token = rig
            .issuer
            .token()
            .subject("alice")
            .bound_to(&rig.client)
            .claim("sid", session);
        let request = rig.client.get(&format!("{ORIGIN}/ws"), &token.mint());
        let stream = TcpStream::connect(rig.address).await.unwrap();
        let connected = tokio_tungstenite::client_async(handshake(request.headers()), stream);
        soon(connected).await.unwrap().0
    };
    let (mut revoked, mut other) = (open("s1").await, open("s2").await);
    assert_eq!(events.deliver(&rig, "s1").await, 202);
    // The connection is cut off or closed. Either way, nothing more arrives.
    assert!(!matches!(soon(revoked.next()).await, Some(Ok(_))));
    let still_open = tokio::time::timeout(Duration::from_millis(100), other.next());
    assert!(still_open.await.is_err());
}

#[tokio::test]
async fn a_full_list_is_told_to_the_transmitter() {
    let events = Events::new().await;
    let rig = Rig::with(mirror(), Wanted::tables(&events.tables(""))).await;
    // Each event takes two entries: one for a session and one for a user of that name.
    for session in ["s1", "s2"] {
        assert_eq!(events.deliver(&rig, session).await, 202);
    }
    assert_eq!(events.deliver(&rig, "s3").await, 503);
    assert_eq!(rig.status(of_session(&rig, "s3")).await, 200);
    assert_eq!(rig.status(of_session(&rig, "s1")).await, 401);
}

#[tokio::test]
async fn only_the_exact_path_receives_events() {
    let events = Events::new().await;
    let rig = Rig::with(mirror(), Wanted::tables(&events.tables(""))).await;
    for path in [
        "/security-events/",
        "/Security-Events",
        "/security%2Devents",
        "//security-events",
        "/security-events;v=1",
        "/",
    ] {
        let response = rig
            .send(request(path, "Bearer s3cret", events.set("s1")))
            .await;
        assert_eq!(response.status(), 401, "{path}");
        assert!(
            response.headers().contains_key("www-authenticate"),
            "{path}"
        );
    }
    // A query does not change what the request is for, and the upstream gets none of these.
    let asked = request("/security-events?x=y", "Bearer s3cret", events.set("s1"));
    assert_eq!(rig.status(asked).await, 202);
    assert_eq!(rig.status(rig.get(PATH)).await, 405);
}

#[tokio::test]
async fn the_secret_of_the_file_authenticates_the_transmitter() {
    let events = Events::new().await;
    let rig = Rig::with(mirror(), Wanted::tables(&events.tables(""))).await;
    let with = |secret: &str| request(PATH, secret, events.set("s1"));
    let response = rig.send(with("Bearer other")).await;
    assert_eq!(response.status(), 400);
    assert_eq!(err(response).await, "authentication_failed");
    fs::write(events.secret.path().join("secret"), "Bearer other").unwrap();
    rig.reload(Wanted::tables(&events.tables("")));
    assert_eq!(rig.status(with("Bearer s3cret")).await, 400);
    assert_eq!(rig.status(with("Bearer other")).await, 202);
}

#[tokio::test]
async fn a_new_capacity_takes_effect_after_a_restart() {
    let events = Events::new().await;
    let rig = Rig::with(mirror(), Wanted::tables(&events.tables(""))).await;
    let log = Log::listen();
    rig.reload(Wanted::tables("[revocation]\ncapacity = 7"));
    let told = "the new `revocation.capacity` takes effect after a restart";
    assert!(log.take().iter().any(|line| line.contains(told)));
}

#[tokio::test]
async fn a_status_list_of_the_issuer_revokes_tokens() {
    // One byte for eight tokens, of which only the first is revoked: zlib of [1] in base64url.
    let list: Arc<Mutex<String>> = Arc::default();
    let served = Arc::clone(&list);
    let server = Router::new().fallback(async move || served.lock().unwrap().clone());
    let origin = serve(server).await;
    let table = format!(
        "danger_allow_plain_http = true\n[issuer.status_list]\norigins = ['{origin}']\nmax_age = 60\nmax_size = 1024"
    );
    let rig = Rig::with(mirror(), Wanted::tables(&table)).await;
    let uri = format!("{origin}/1");
    let token = (rig.issuer.token().header("typ", "statuslist+jwt"))
        .claim("sub", uri.as_str())
        .claim("status_list", json!({ "bits": 1, "lst": "eJxjBAAAAgAC" }));
    *list.lock().unwrap() = token.mint();
    let with_index = |index: u8| {
        let status = json!({ "status_list": { "idx": index, "uri": uri } });
        let token = rig
            .issuer
            .token()
            .bound_to(&rig.client)
            .claim("status", status);
        let request = rig.client.get(&format!("{ORIGIN}/orders"), &token.mint());
        request.map(|()| Body::empty())
    };
    assert_eq!(rig.status(with_index(0)).await, 401);
    assert_eq!(rig.status(with_index(1)).await, 200);
}

/// Each mistake with its field and its line.
#[test]
fn mistakes_are_told_with_their_field() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("secret", "Bearer s3cret");
    write("two-lines", "Bearer s3cret\nBearer s3cret\n");
    let head = format!(
        "listen = '127.0.0.1:0'\nupstream = 'http://127.0.0.1:1'\npublic_origins = ['{ORIGIN}']\n\
         [[issuer]]\nurl = 'https://issuer.test'\naudiences = ['a']\n"
    );
    let parse = |text: &str| Settings::parse(text, &folder.path().join("gateway.toml"));
    let transmitter =
        "[[revocation.transmitter]]\nissuer = 'https://a.test'\naudience = 'https://b.test'\n";
    for good in [
        "[revocation]".to_owned(),
        "[revocation]\ncapacity = 5".to_owned(),
        transmitter.to_owned(),
        format!(
            "{transmitter}authorization_file = 'secret'\ntokens_have_sid = true\nalgorithms = ['ES256']"
        ),
        format!("[revocation]\npath = '/a/b-1.x_y~z'\ntoken_lifetime = 60\n{transmitter}"),
        format!("{transmitter}{}", transmitter.replace("a.test", "c.test")),
        "[issuer.status_list]\norigins = ['https://status.test']\nmax_age = 20\nmax_size = 1024"
            .to_owned(),
    ] {
        if let Err(error) = parse(&format!("{head}{good}")) {
            panic!("{good}: {error}");
        }
    }
    let of_transmitter = |lines: &str| format!("{transmitter}{lines}");
    for (tables, field, line, told) in [
        (
            "[revocation]\nx = 1".to_owned(),
            "revocation.x",
            8,
            "unknown field",
        ),
        (
            "[revocation]\ncapacity = 0".to_owned(),
            "revocation.capacity",
            8,
            "nonzero",
        ),
        (
            "[revocation]\npath = '/x'".to_owned(),
            "revocation.path",
            8,
            "no `[[revocation.transmitter]]`",
        ),
        (
            "[revocation]\ntoken_lifetime = 9".to_owned(),
            "revocation.token_lifetime",
            8,
            "no `[[revocation",
        ),
        (
            format!("[revocation]\npath = 'x'\n{transmitter}"),
            "revocation.path",
            8,
            "begin with `/`",
        ),
        (
            format!("[revocation]\npath = '/'\n{transmitter}"),
            "revocation.path",
            8,
            "`/`",
        ),
        (
            format!("[revocation]\npath = '/a//b'\n{transmitter}"),
            "revocation.path",
            8,
            "`/`",
        ),
        (
            format!("[revocation]\npath = '/a/../b'\n{transmitter}"),
            "revocation.path",
            8,
            "dot segments",
        ),
        (
            format!("[revocation]\npath = '/a%62'\n{transmitter}"),
            "revocation.path",
            8,
            "letters",
        ),
        (
            format!("[revocation]\npath = '/a?b'\n{transmitter}"),
            "revocation.path",
            8,
            "letters",
        ),
        (
            format!("[revocation]\ntoken_lifetime = 0\n{transmitter}"),
            "revocation.token_lifetime",
            8,
            "between one second",
        ),
        (
            of_transmitter("x = 1"),
            "revocation.transmitter[0].x",
            10,
            "unknown field",
        ),
        (
            "[[revocation.transmitter]]\nissuer = 'https://a.test'".to_owned(),
            "revocation.transmitter[0]",
            7,
            "missing field `audience`",
        ),
        (
            transmitter.replace("https://a.test", ""),
            "revocation.transmitter[0].issuer",
            8,
            "empty",
        ),
        (
            transmitter.replace("https://a", "http://a"),
            "revocation.transmitter[0].issuer",
            8,
            "https",
        ),
        (
            transmitter.replace("https://b.test", ""),
            "revocation.transmitter[0].audience",
            9,
            "audience",
        ),
        (
            of_transmitter("jwks_url = 'http://a.test'"),
            "revocation.transmitter[0].jwks_url",
            10,
            "https",
        ),
        (
            of_transmitter("tokens_of = ['']"),
            "revocation.transmitter[0].tokens_of",
            10,
            "empty",
        ),
        (
            of_transmitter("algorithms = ['none']"),
            "revocation.transmitter[0].algorithms[0]",
            10,
            "not known",
        ),
        (
            of_transmitter("authorization_file = 'missing'"),
            "revocation.transmitter[0].authorization_file",
            10,
            "cannot be read",
        ),
        (
            of_transmitter("authorization_file = 'two-lines'"),
            "revocation.transmitter[0].authorization_file",
            10,
            "line break",
        ),
        (
            of_transmitter("authorization_env = 'DPOP_TEST_UNSET'"),
            "revocation.transmitter[0].authorization_env",
            10,
            "no such variable",
        ),
        (
            of_transmitter("authorization_file = 'secret'\nauthorization_env = 'HOME'"),
            "revocation.transmitter[0].authorization_env",
            11,
            "already set",
        ),
        (
            of_transmitter(transmitter),
            "revocation.transmitter[1].issuer",
            11,
            "listed twice",
        ),
        (
            "[issuer.status_list]\nx = 1".to_owned(),
            "issuer[0].status_list.x",
            8,
            "unknown field",
        ),
        (
            "[issuer.status_list]\norigins = []".to_owned(),
            "issuer[0].status_list.origins",
            8,
            "no origin",
        ),
        (
            "[issuer.status_list]\norigins = ['http://s.test']".to_owned(),
            "issuer[0].status_list.origins",
            8,
            "https",
        ),
        (
            "[issuer.status_list]\norigins = ['https://s.test']\nmax_age = 19".to_owned(),
            "issuer[0].status_list.max_age",
            9,
            "20 seconds",
        ),
        (
            "[issuer.status_list]\norigins = ['https://s.test']\nmax_age = 20\nmax_size = 1"
                .to_owned(),
            "issuer[0].status_list.max_size",
            10,
            "1 KiB",
        ),
    ] {
        let error = parse(&format!("{head}{tables}")).err();
        let error = error.unwrap_or_else(|| panic!("{tables}"));
        assert_eq!(
            (error.field(), error.line()),
            (field, Some(line)),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.contains(told), "{told}: {text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    let asked = format!(
        "public_origins = ['{ORIGIN}']\n[[issuer]]\nurl = 'https://issuer.test'\naudiences = ['a']\n\
         [forward_auth]\nlisten = '127.0.0.1:0'\nproxy = 'nginx'\n{transmitter}"
    );
    let error = parse(&asked).unwrap_err();
    assert_eq!(error.field(), "revocation.transmitter", "{error}");
    assert!(error.to_string().contains("no `listen`"), "{error}");
}
