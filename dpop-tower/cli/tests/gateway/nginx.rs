//! nginx, configured by `docs/forward-auth/nginx.conf`, in front of a service that does not
//! support DPoP.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use http::{HeaderValue, Method, Request, StatusCode, header};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};

use super::{
    ORIGIN, PATIENCE, Wanted, error_of, forward_auth::ForwardAuthRig, identity::spellings, json,
    mirror, send, serve,
};

/// The configuration, exactly as users copy it.
const CONFIG: &str = include_str!("../../../../docs/forward-auth/nginx.conf");

/// A process of nginx, which ends with the test.
pub(super) struct Nginx {
    pub(super) address: SocketAddr,
    process: Child,
    folder: TempDir,
}

impl Nginx {
    /// Starts nginx with this part of a configuration, which listens at `address`.
    pub(super) async fn start(server: &str, address: SocketAddr) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("nginx.conf");
        fs::write(&path, whole(server, folder.path())).unwrap();
        let mut process = Command::new(program())
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&path)
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx is installed (Debian's package nginx)");
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            let ended = process.try_wait().unwrap();
            let log = fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "{ended:?}: {log}"
            );
            sleep(std::time::Duration::from_millis(20)).await;
        }
        Self {
            address,
            process,
            folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Kills all of it, since it runs as one process.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(self.folder.path().join("nginx.pid"));
    }
}

/// Returns an address for nginx, which cannot be handed a socket.
pub(super) fn free_address() -> SocketAddr {
    ([127, 0, 0, 1], dpop_test_servers::free_port()).into()
}

/// Puts the addresses of a test in the place of those in a documented configuration.
pub(super) fn with_addresses(mut server: String, addresses: &[(&str, String)]) -> String {
    for (documented, here) in addresses {
        assert!(server.contains(documented), "{documented}");
        server = server.replace(documented, here);
    }
    server
}

/// nginx in front of a mirror. It asks a gateway about each request.
pub(super) struct Asking {
    pub(super) asked: ForwardAuthRig,
    pub(super) address: SocketAddr,
    _nginx: Nginx,
}

impl Asking {
    async fn start(wanted: Wanted<'_>) -> Self {
        Self::listening("", wanted).await
    }

    /// Starts nginx with this after the address of its directive `listen`.
    pub(super) async fn listening(how: &str, wanted: Wanted<'_>) -> Self {
        Self::with(CONFIG, how, wanted).await
    }

    /// Starts nginx with another location.
    pub(super) async fn and(location: &str, wanted: Wanted<'_>) -> Self {
        let config = CONFIG.replace(
            "    location / {",
            &format!("{location}\n    location / {{"),
        );
        Self::with(&config, "", wanted).await
    }

    async fn with(config: &str, how: &str, wanted: Wanted<'_>) -> Self {
        let asked = ForwardAuthRig::by("nginx", wanted).await;
        let service = serve(mirror()).await;
        let service = service
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let address = free_address();
        let addresses = [
            ("127.0.0.1:8081", asked.address.to_string()),
            ("127.0.0.1:9000", service),
            ("127.0.0.1:8000", format!("{address}{how}")),
        ];
        let server = with_addresses(config.to_owned(), &addresses);
        Self {
            asked,
            address,
            _nginx: Nginx::start(&server, address).await,
        }
    }
}

/// Debian installs nginx in a folder that only root's search path contains.
fn program() -> &'static str {
    let debian = "/usr/sbin/nginx";
    if Path::new(debian).exists() {
        debian
    } else {
        "nginx"
    }
}

/// A configuration for one process in the foreground that writes only to `folder`.
fn whole(server: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nevents {{}}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi;\nuwsgi_temp_path {folder}/uwsgi;\n\
         scgi_temp_path {folder}/scgi;\n{server}\n}}\n"
    )
}

#[tokio::test]
async fn a_good_request_gets_to_the_service_with_who_called() {
    let nginx = Asking::start(Wanted::default()).await;
    let rig = &nginx.asked.rig;
    let response = send(nginx.address, rig.get("/orders/a%2Fb?c=d")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let seen = json(response).await;
    assert_eq!(seen["uri"], "/orders/a%2Fb?c=d");
    let headers = seen["headers"].to_string().to_ascii_lowercase();
    let thumbprint = rig.client.thumbprint().to_string().to_ascii_lowercase();
    assert!(
        headers.contains(&format!("[\"x-dpop-thumbprint\",\"{thumbprint}\"]")),
        "{headers}"
    );
    assert!(
        headers.contains("[\"x-dpop-subject\",\"alice\"]"),
        "{headers}"
    );
    for gone in ["authorization", "\"dpop\""] {
        assert!(!headers.contains(gone), "{headers}");
    }
}

#[tokio::test]
async fn what_a_client_forges_does_not_get_to_the_service() {
    let nginx = Asking::start(Wanted::default()).await;
    for spelling in spellings("x-dpop-subject") {
        let mut request = nginx.asked.rig.get("/orders");
        let forged = HeaderValue::from_static("mallory");
        let name: http::HeaderName = spelling.parse().unwrap();
        request.headers_mut().insert(name, forged);
        let response = send(nginx.address, request).await;
        // nginx drops the header or replaces it, or the gateway rejects the request.
        if response.status() == StatusCode::OK {
            let seen = json(response).await.to_string();
            assert!(!seen.contains("mallory"), "{spelling}: {seen}");
        } else {
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{spelling}");
        }
    }
}

#[tokio::test]
async fn the_service_is_told_nothing_that_could_mislead_it() {
    let nginx = Asking::start(Wanted::default()).await;
    for name in ["x-http-method-override", "x-original-url", "x-rewrite-url"] {
        let mut request = nginx.asked.rig.get("/orders");
        let value = HeaderValue::from_static("misleading");
        request.headers_mut().insert(name, value);
        let response = send(nginx.address, request).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{name}");
    }
    let mut request = nginx.asked.rig.get("/orders");
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-real-ip",
        "forwarded",
        "x_original_url",
    ] {
        let value = HeaderValue::from_static("misleading");
        request.headers_mut().insert(name, value);
    }
    let response = send(nginx.address, request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let seen = json(response).await.to_string();
    assert!(!seen.contains("misleading"), "{seen}");
    assert!(
        seen.contains("[\"x-forwarded-for\",\"127.0.0.1\"]"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_rejected_client_gets_the_challenge_and_the_nonce_and_passes_with_it() {
    let tables = "[nonces]\nmode = 'required'\n[[route]]\npath = '/admin'\nscopes = ['admin']\n";
    let nginx = Asking::start(Wanted::tables(tables)).await;
    let rig = &nginx.asked.rig;
    let bare = Request::get("/orders").header(header::HOST, "api.test");
    let bare = bare.body(axum::body::Body::empty()).unwrap();
    let response = send(nginx.address, bare).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(
        response.headers()[header::WWW_AUTHENTICATE]
            .to_str()
            .unwrap()
            .starts_with("DPoP ")
    );

    let response = send(nginx.address, rig.get("/orders")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(error_of(&response).as_deref(), Some("use_dpop_nonce"));
    let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
    assert_eq!(challenges.iter().count(), 1);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let nonce = response.headers()["dpop-nonce"].to_str().unwrap();
    let with_nonce = |path: &str| {
        let (url, token) = (format!("{ORIGIN}{path}"), rig.token());
        let proof = rig.client.proof("GET", &url).access_token(&token);
        let proof = proof.nonce(nonce).sign();
        let request = rig
            .client
            .request_with_proof(Method::GET, &url, &token, &proof);
        let (mut parts, ()) = request.into_parts();
        parts.uri = path.parse().unwrap();
        parts
    };
    let body = axum::body::Body::empty;
    let parts = with_nonce("/orders");
    let replay = parts.clone();
    let response = send(nginx.address, Request::from_parts(parts, body())).await;
    assert_eq!(response.status(), StatusCode::OK);
    let response = send(nginx.address, Request::from_parts(replay, body())).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(error_of(&response).as_deref(), Some("invalid_dpop_proof"));

    let response = send(
        nginx.address,
        Request::from_parts(with_nonce("/admin"), body()),
    )
    .await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(error_of(&response).as_deref(), Some("insufficient_scope"));
}

#[tokio::test]
async fn a_proof_is_for_the_path_that_the_client_sent_and_not_what_nginx_made_of_it() {
    let nginx = Asking::start(Wanted::default()).await;
    let rig = &nginx.asked.rig;
    for (signed, sent) in [
        ("/orders", "//orders"),
        ("/orders", "/x/../orders/"),
        ("/a", "/b"),
    ] {
        let mut request = rig.get(signed);
        *request.uri_mut() = sent.parse().unwrap();
        let response = send(nginx.address, request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{sent}");
    }
}

#[tokio::test]
async fn what_nginx_cannot_pass_on_by_itself_arrives_all_the_same() {
    let tables = "[replay]\ncapacity = 1\n";
    let nginx = Asking::start(Wanted::tables(tables)).await;
    let rig = &nginx.asked.rig;
    let mut malformed = rig.get("/orders");
    let value = HeaderValue::from_static("DPoP a b");
    malformed.headers_mut().insert(header::AUTHORIZATION, value);
    let response = send(nginx.address, malformed).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let first = send(nginx.address, rig.get("/orders")).await;
    assert_eq!(first.status(), StatusCode::OK);
    let full = send(nginx.address, rig.get("/orders")).await;
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(full.headers().contains_key(header::RETRY_AFTER));
}
