//! Which proxies are trusted.

use dpop_cli::gateway::{Settings, TrustedProxies, forward_auth::AskingProxy};
use dpop_conformance::logging::Log;
use http::HeaderValue;

use super::{ForwardAuthRig, PROXIES, names};
use crate::{Wanted, send};

/// The headers of another kind of proxy may come from the client.
#[tokio::test]
async fn headers_of_other_proxies_say_nothing() {
    let families = [
        ["x-original-method", "x-original-uri"],
        ["x-forwarded-method", "x-forwarded-uri"],
    ];
    for (proxy, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, Wanted::default()).await;
        let (method, uri) = names(proxy);
        let other = families[usize::from(proxy == AskingProxy::Nginx)];
        // Instead of those of the proxy.
        let mut instead = asked.about(&asked.rig.get("/orders"));
        let headers = instead.headers_mut();
        let (said_method, said_uri) = (headers.remove(&method), headers.remove(&uri));
        headers.insert(other[0], said_method.unwrap());
        headers.insert(other[1], said_uri.unwrap());
        assert_eq!(asked.status(instead).await, 500, "{name}");
        // Beside them, with another value.
        for (header, value) in [(other[0], "POST"), (other[1], "/public"), (other[1], "")] {
            let request = asked.rig.get("/orders");
            let mut beside = asked.about(&request);
            beside
                .headers_mut()
                .insert(header, HeaderValue::from_static(value));
            assert_eq!(asked.status(beside).await, 400, "{name} {header}");
            // With the same value, for which the proof is still valid.
            let mut same = asked.about(&request);
            let (said_method, said_uri) = (
                same.headers()[&method].clone(),
                same.headers()[&uri].clone(),
            );
            same.headers_mut().insert(other[0], said_method);
            same.headers_mut().insert(other[1], said_uri);
            assert_eq!(asked.status(same).await, 200, "{name}");
        }
    }
}

/// CVE-2026-40575 and CVE-2026-76835 of oauth2-proxy: anyone could say what was requested.
#[tokio::test]
async fn only_the_proxy_may_ask() {
    let wanted = Wanted::tables("networks = ['192.0.2.0/24', '2001:db8::/32']\n");
    for (_, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, wanted).await;
        let mut asking = asked.about(&asked.rig.get("/orders"));
        // Whatever it claims about itself.
        let headers = asking.headers_mut();
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        headers.insert("forwarded", HeaderValue::from_static("for=192.0.2.1"));
        let response = send(asked.address, asking).await;
        assert_eq!(response.status(), 403, "{name}");
        assert!(!response.headers().contains_key("x-dpop-subject"));
    }
}

#[tokio::test]
async fn a_new_file_says_at_once_who_may_ask() {
    let log = Log::listen();
    let asked = ForwardAuthRig::by("traefik", Wanted::default()).await;
    let table = |proxy: &str, rest: &str| {
        format!("[forward_auth]\nlisten = '127.0.0.1:0'\nproxy = '{proxy}'\n{rest}")
    };
    let status = async || send(asked.address, asked.about(&asked.rig.get("/orders"))).await;
    assert_eq!(status().await.status(), 200);
    log.take();
    let elsewhere = table("traefik", "networks = ['192.0.2.0/24']");
    asked.rig.reload(Wanted::tables(&elsewhere));
    assert_eq!(status().await.status(), 403);
    // Another kind of proxy, which does not send these headers.
    asked.rig.reload(Wanted::tables(&table("nginx", "")));
    assert_eq!(status().await.status(), 500);
    let here = table("caddy", "networks = ['127.0.0.0/8']");
    asked.rig.reload(Wanted::tables(&here));
    assert_eq!(status().await.status(), 200);
    let lines = log.take();
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("takes effect after a restart")),
        "{lines:?}"
    );

    // No table at all. The address stays in use until the program restarts.
    asked.rig.reload(Wanted::default());
    assert_eq!(status().await.status(), 403);
    let told = "the new `forward_auth.listen` takes effect after a restart";
    let lines = log.take();
    assert!(lines.iter().any(|line| line.contains(told)), "{lines:?}");
}

#[test]
fn a_file_says_who_may_ask() {
    let file = |head: &str, tables: &str| {
        let text = format!(
            "public_origins = ['https://api.test']\n{head}\n[[issuer]]\n\
             url = 'https://issuer.test'\naudiences = ['a']\n{tables}"
        );
        Settings::parse(&text, std::path::Path::new("gateway.toml"))
    };
    // Nothing is forwarded.
    let alone = file("", "[forward_auth]\nlisten = '[::1]:1'\nproxy = 'caddy'\n").unwrap();
    assert!(alone.listen().is_none() && alone.upstream().is_none());
    assert_eq!(
        alone.forward_auth().unwrap().trusted_proxies,
        TrustedProxies::loopback()
    );
    assert!(file("", "[ext_authz]\nlisten = '127.0.0.1:1'\n").is_ok());
    let anywhere = "listen = '0.0.0.0:1'\n";
    for (head, tables, field, message) in [
        ("", "", "", "missing field `listen`"),
        (
            "listen = '127.0.0.1:1'",
            "[ext_authz]\nlisten = '127.0.0.1:1'\n",
            "",
            "missing field `upstream`",
        ),
        (
            "upstream = 'http://127.0.0.1:1'",
            "[ext_authz]\nlisten = '127.0.0.1:1'\n",
            "",
            "missing field `listen`",
        ),
        (
            "",
            "[forward_auth]\nlisten = '127.0.0.1:1'\n",
            "forward_auth",
            "missing field `proxy`",
        ),
        (
            "",
            "[forward_auth]\nlisten = '127.0.0.1:1'\nproxy = 'squid'\n",
            "forward_auth.proxy",
            "unknown variant",
        ),
        (
            "",
            &format!("[forward_auth]\n{anywhere}proxy = 'nginx'\n"),
            "forward_auth.listen",
            "needs `networks`",
        ),
        (
            "",
            &format!("[ext_authz]\n{anywhere}"),
            "ext_authz.listen",
            "needs `networks`",
        ),
        (
            "",
            &format!("[ext_authz]\n{anywhere}networks = []\n"),
            "ext_authz.networks",
            "must not be empty",
        ),
        (
            "",
            &format!("[ext_authz]\n{anywhere}networks = ['10.0.0.0/8', 'x']\n"),
            "ext_authz.networks[1]",
            "such as",
        ),
        (
            "",
            &format!("[ext_authz]\n{anywhere}networks = ['0.0.0.0/0']\n"),
            "ext_authz.networks[0]",
            "every address",
        ),
        (
            "",
            &format!("[ext_authz]\n{anywhere}networks = ['::/0']\n"),
            "ext_authz.networks[0]",
            "every address",
        ),
        (
            "",
            "[ext_authz]\nlisten = '127.0.0.1:1'\nport = 1\n",
            "ext_authz.port",
            "unknown field",
        ),
    ] {
        let error = file(head, tables).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}
