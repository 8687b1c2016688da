//! The gateway as a program: its command line, its signals and its output.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use dpop_tower::test_util::{TestClient, TestIssuer};
use openssl::{
    asn1::Asn1Time,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::PKey,
    ssl::{SslAcceptor, SslMethod},
    x509::{
        X509, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};
use tempfile::TempDir;

/// Longer than any working operation takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn dpop(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dpop"))
        .args(arguments)
        .output()
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running program. It ends with the test.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    fn start_with(arguments: &[&str], environment: &[(&str, &Path)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dpop"))
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (line, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let line = line.clone();
            thread::spawn(move || {
                for text in BufReader::new(stream).lines().map_while(Result::ok) {
                    // Fails if nothing is listening any more.
                    let _ = line.send(text);
                }
            });
        }
        Self { child, lines }
    }

    /// Returns the next line that contains this text.
    pub(crate) fn line_with(&self, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut before = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(wanted) => return line,
                Ok(line) => before.push(line),
                Err(_) => panic!("no line with {wanted:?} after {before:#?}"),
            }
        }
    }

    /// Returns the address that the program listens on.
    fn address(&self) -> String {
        let line = self.line_with("listening on ");
        let (_, address) = line.split_once("listening on ").unwrap();
        address.trim_start_matches("http://").to_owned()
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it has not ended");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn file(folder: &TempDir, upstream: &str, tables: &str) -> PathBuf {
    let path = folder.path().join("gateway.toml");
    let text = format!(
        "\
listen = '127.0.0.1:0'
upstream = '{upstream}'
public_origins = ['https://api.test']
[[issuer]]
url = 'https://issuer.test'
audiences = ['https://api.test']
jwks_file = 'keys/jwks.json'
{tables}
"
    );
    fs::write(&path, text).unwrap();
    path
}

/// Writes to a folder that is not watched.
fn write_keys(folder: &TempDir, issuer: &TestIssuer) {
    let keys = folder.path().join("keys");
    fs::create_dir_all(&keys).unwrap();
    fs::write(keys.join("jwks.json"), issuer.jwks()).unwrap();
}

#[test]
fn help_names_what_it_can_do() {
    for (arguments, parts) in [
        (&["--help"][..], &["gateway"][..]),
        (&["gateway", "--help"], &["serve", "check"]),
        (&["gateway", "serve", "--help"], &["<FILE>", "SIGHUP"]),
    ] {
        let output = dpop(arguments);
        assert!(output.status.success());
        let help = text(&output.stdout);
        for part in parts {
            assert!(help.contains(part), "{help}");
        }
    }
}

#[test]
fn arguments_that_make_no_sense_are_an_error() {
    for arguments in [
        &[][..],
        &["gateway"],
        &["gateway", "gateway.toml"],
        &["gateway", "check"],
        &["gateway", "serve"],
        &["gateway", "serve", "--unknown"],
        &["gateway", "serve", "a", "b"],
    ] {
        let output = dpop(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("--help"), "{arguments:?}");
    }
}

#[test]
fn check_says_whether_a_file_is_good() {
    let folder = TempDir::new().unwrap();
    write_keys(&folder, &TestIssuer::new());
    let good = file(&folder, "http://127.0.0.1:1", "");
    let output = dpop(&["gateway", "check", good.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).ends_with("gateway.toml: valid\n"));
    let output = dpop(&["gateway", "check", good.to_str().unwrap(), "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["valid"], true);
    let settings = json["settings"].as_array().unwrap();
    assert!(
        settings.contains(&"public origin         https://api.test".into()),
        "{json}"
    );

    let bad = file(&folder, "http://127.0.0.1:1", "[proof]\nmax_age = 0");
    for arguments in [
        &["gateway", "check", bad.to_str().unwrap()][..],
        &["gateway", "serve", bad.to_str().unwrap()],
    ] {
        let output = dpop(arguments);
        assert_eq!(output.status.code(), Some(2));
        let told = text(&output.stderr);
        assert!(
            told.contains("gateway.toml:9:11: proof.max_age: "),
            "{told}"
        );
    }
}

#[test]
fn check_prints_the_settings_in_force_route_by_route() {
    let folder = TempDir::new().unwrap();
    write_keys(&folder, &TestIssuer::new());
    fs::write(folder.path().join("nonces"), "5ecret-".repeat(6)).unwrap();
    let tables = "[proof]\nmax_age = 30\n[nonces]\nsecret_file = 'nonces'\n\
                  [replay]\ncapacity = 2000000\n\
                  [[route]]\npath = '/health'\nmode = 'off'\n\
                  [[route]]\npath = '/orders'\nmethods = ['GET', 'POST']\nscopes = ['orders']\n\
                  [[route]]\npath = '/old'\nmode = 'optional'";
    let path = file(&folder, "http://127.0.0.1:1", tables);
    let plain = fs::read_to_string(&path).unwrap();
    let check = |profile: &str| {
        fs::write(&path, format!("{profile}\n{plain}")).unwrap();
        let output = dpop(&["gateway", "check", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let told = check("");
    for line in [
        "public origin         https://api.test",
        "issuer                https://issuer.test",
        "proof age             30 s",
        "replay capacity       2000000 proofs, 200000 a key, 200000 a subject",
        "policy of /health     off (protects nothing)",
        "policy of GET POST /orders  strict, scope orders",
        "policy of /old        optional",
        "policy of others      strict",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}\n{told}");
    }
    assert!(!told.contains("5ecret"), "{told}");
    assert!(!told.contains("not met"), "{told}");

    let told = check("profile = 'fapi2'");
    let line = "  not met             policy of /old: unbound tokens are admitted (5.3.4 item 5)";
    assert!(told.lines().any(|told| told == line), "{told}");
    let told = check("profile = 'atproto'");
    let line = "policy of GET POST /orders  strict, scope orders, scope atproto, claim sub";
    assert!(told.lines().any(|told| told == line), "{told}");
    assert!(
        told.contains("required, offered with every response"),
        "{told}"
    );
}

#[test]
fn check_prints_policies_and_warnings_as_text_and_as_json() {
    let folder = TempDir::new().unwrap();
    write_keys(&folder, &TestIssuer::new());
    let check = |tables: &str| {
        let path = file(&folder, "http://127.0.0.1:1", tables);
        let told = dpop(&["gateway", "check", path.to_str().unwrap()]);
        let output = dpop(&["gateway", "check", path.to_str().unwrap(), "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (text(&told.stdout), text(&told.stderr), json)
    };
    let (stdout, stderr, json) = check("[[route]]\npath = '/orders'\nscopes = ['orders']");
    assert!(!stdout.contains("warning"), "{stdout}");
    assert_eq!(stderr, "");
    assert_eq!(json["warnings"], serde_json::json!([]));
    let policies = serde_json::json!([
        { "route": "/orders", "policy": "strict, scope orders" },
        { "route": "other requests", "policy": "strict" },
    ]);
    assert_eq!(json["policies"], policies);
    assert_eq!(check("").2["policies"][0]["route"], "all requests");

    let (.., json) = check("[trusted_proxies]\nnetworks = ['10.0.0.0/8', '::/0']");
    let told = json["warnings"][0].as_str().unwrap();
    let words = "trusted_proxies.networks[1]: forwarded headers of every peer are trusted";
    assert!(told.contains(words), "{json:#}");

    let (stdout, stderr, json) = check(
        "[nonces]\nmode = 'required'\n[replay]\nstore = 'redis://127.0.0.1:1'\n\
         [[route]]\npath = '/orders'\nmode = 'optional'\nrequire_nonce = true\n\
         [[route]]\npath = '/bound'\naccept_certificate_bound = true",
    );
    let warnings = json["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 3, "{json:#}");
    let of_layer = [
        "other processes share the replay store",
        "policy of /orders (optional, nonce): a bearer token passes without a proof",
    ];
    let of_file = "route[1].accept_certificate_bound: nothing reports the certificates of clients";
    for words in of_layer.iter().chain([&of_file]) {
        let has = |warning: &&serde_json::Value| warning.as_str().unwrap().contains(words);
        assert_eq!(warnings.iter().filter(has).count(), 1, "{words}: {json:#}");
        let lines = stderr
            .lines()
            .filter(|line| line.starts_with("dpop: warning: "));
        assert_eq!(
            lines.filter(|line| line.contains(words)).count(),
            1,
            "{stderr}"
        );
    }
    for words in of_layer {
        let mut lines = stdout.lines().filter(|line| line.starts_with("warning  "));
        assert!(lines.any(|line| line.contains(words)), "{stdout}");
    }
}

#[test]
fn check_warns_if_mcp_forbids_to_pass_tokens_on() {
    let folder = TempDir::new().unwrap();
    write_keys(&folder, &TestIssuer::new());
    let path = file(&folder, "http://127.0.0.1:1", "");
    let plain = fs::read_to_string(&path).unwrap();
    for (profile, warns) in [("mcp", true), ("fapi2", false)] {
        let head = format!("profile = '{profile}'\ndanger_pass_on_credentials = true\n");
        fs::write(&path, head + &plain).unwrap();
        let output = dpop(&["gateway", "check", path.to_str().unwrap()]);
        assert!(output.status.success());
        let told = text(&output.stderr);
        let warned = told.contains("warning") && told.contains("(Token Passthrough)");
        assert_eq!(warned, warns, "{told}");
    }
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = TempDir::new().unwrap();
    write_keys(&folder, &TestIssuer::new());
    let path = file(&folder, "http://127.0.0.1:1", "");
    let file = fs::read_to_string(&path).unwrap();
    fs::write(&path, file.replace("127.0.0.1:0", &address)).unwrap();
    let output = dpop(&["gateway", "serve", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot listen on"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_reads_its_file_again_on_sighup_and_ends_on_sigterm() {
    let folder = TempDir::new().unwrap();
    let (issuer, client) = (TestIssuer::new(), TestClient::new());
    write_keys(&folder, &issuer);
    let upstream = super::serve(super::mirror()).await;
    let path = file(&folder, &upstream, "");
    let mut running = Running::start(&["gateway", "serve", path.to_str().unwrap()]);
    let address = running.address();

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let status = async |issuer: &TestIssuer| {
        let token = issuer.token().bound_to(&client).mint();
        let signed = client.get("https://api.test/f1-results", &token);
        let mut request = http.get(format!("http://{address}/f1-results"));
        for name in ["authorization", "dpop"] {
            request = request.header(name, &signed.headers()[name]);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(&issuer).await, 200);

    // The file stays the same, but a file that it names changes.
    let other = TestIssuer::new();
    assert_eq!(status(&other).await, 401);
    write_keys(&folder, &other);
    running.signal("HUP");
    running.line_with("reloaded ");
    assert_eq!(status(&other).await, 200);
    assert_eq!(status(&issuer).await, 401);

    running.signal("TERM");
    running.line_with("ending");
    assert!(running.wait().success());
}

/// Starts an HTTPS service that answers everything with `ok`, and writes its certificate.
fn tls_upstream(certificate: &Path) -> String {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "upstream").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::days_from_now(2).unwrap())
        .unwrap();
    let address = SubjectAlternativeName::new()
        .ip("127.0.0.1")
        .build(&builder.x509v3_context(None, None))
        .unwrap();
    builder.append_extension(address).unwrap();
    let ca = BasicConstraints::new().critical().ca().build().unwrap();
    builder.append_extension(ca).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let signed = builder.build();
    fs::write(certificate, signed.to_pem().unwrap()).unwrap();

    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&signed).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that does not trust the certificate disconnects.
            let Ok(mut stream) = acceptor.accept(stream.unwrap()) else {
                continue;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).unwrap();
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_with_tls_has_a_certificate_that_is_trusted() {
    let folder = TempDir::new().unwrap();
    write_keys(&folder, &TestIssuer::new());
    let certificate = folder.path().join("upstream.pem");
    let upstream = tls_upstream(&certificate);
    let path = file(&folder, &upstream, "[[route]]\npath = '/'\nmode = 'off'");
    let nothing = folder.path().join("nothing");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (trusted, status, body) in [
        (&certificate, 200, "ok"),
        (&nothing, 502, r#"{"status":502,"title":"Bad Gateway"}"#),
    ] {
        let environment = [
            ("SSL_CERT_FILE", trusted.as_path()),
            ("SSL_CERT_DIR", &nothing),
        ];
        let running =
            Running::start_with(&["gateway", "serve", path.to_str().unwrap()], &environment);
        let url = format!("http://{}/", running.address());
        let response = http.get(url).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.text().await.unwrap(), body);
    }
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_read_again_on_sighup_and_check_says_what_is_wrong_with_it() {
    use crate::tls::certificates::{Authority, Validity};

    let folder = TempDir::new().unwrap();
    write_keys(&folder, &TestIssuer::new());
    let authority = Authority::new("servers");
    let expired = Validity {
        from: -9,
        until: -4,
    };
    let old = authority.issue("localhost", expired);
    old.write(folder.path(), "server");
    let tables = "[[route]]\npath = '/'\nmode = 'off'\n\
                  [tls]\ncertificate_file = 'server.pem'\nkey_file = 'server.key'";
    let upstream = super::serve(super::mirror()).await;
    let path = file(&folder, &upstream, tables);
    let check = || dpop(&["gateway", "check", path.to_str().unwrap()]);
    let output = check();
    assert!(output.status.success());
    let told = text(&output.stderr);
    let place = "gateway.toml:12:20: tls.certificate_file: ";
    assert!(told.contains("warning") && told.contains(place), "{told}");
    assert!(told.contains("expired 4 days ago"), "{told}");

    let mut running = Running::start(&["gateway", "serve", path.to_str().unwrap()]);
    running.line_with("expired 4 days ago");
    let address = running.address();
    let port = address.rsplit(':').next().unwrap().to_owned();
    let certificate = reqwest::Certificate::from_pem(&authority.pem()).unwrap();
    let status = async || {
        let http = reqwest::Client::builder().no_proxy();
        let http = http.tls_certs_only([certificate.clone()]).build().unwrap();
        let response = http.get(format!("https://localhost:{port}/")).send().await;
        response.ok().map(|response| response.status().as_u16())
    };
    assert_eq!(status().await, None);

    // The key of another pair is no good, and the old one stays.
    let new = authority.server("localhost");
    fs::write(folder.path().join("server.key"), new.key_pem()).unwrap();
    let output = check();
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(
        told.contains("gateway.toml:13:12: tls.key_file: "),
        "{told}"
    );
    running.signal("HUP");
    running.line_with("the previous configuration stays in force");

    new.write(folder.path(), "server");
    running.signal("HUP");
    running.line_with("reloaded ");
    assert_eq!(status().await, Some(200));
    assert!(text(&check().stderr).is_empty());
    running.signal("TERM");
    assert!(running.wait().success());
}
