//! Certificates that change while the gateway runs.

use std::{fs, os::unix::fs::symlink};

use dpop_cli::gateway::watch;
use dpop_conformance::logging::Log;

use super::{Http, TlsRig, replace, tls_table};
use crate::{Wanted, soon};

/// Returns the certificate that a new connection gets.
async fn certificate(rig: &TlsRig) -> Vec<u8> {
    let stream = rig.connect(&rig.client("h2")).await.unwrap();
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap()[0].to_vec()
}

async fn until_certificate_is(rig: &TlsRig, expected: &[u8]) {
    soon(async {
        while certificate(rig).await != expected {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Waits for a line in the log that contains `what`, and returns it.
async fn until_logged(log: &Log, what: &str) -> String {
    soon(async {
        loop {
            if let Some(line) = log.take().into_iter().find(|line| line.contains(what)) {
                return line;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_new_pair_is_for_new_connections_and_old_ones_go_on() {
    let rig = TlsRig::new().await;
    let _watching = tokio::spawn(watch(rig.rig.gateway.clone(), rig.rig.path()));
    let mut old = Vec::new();
    for protocol in ["h2", "http/1.1"] {
        let stream = rig.connect(&rig.client(protocol)).await.unwrap();
        old.push(Http::over(stream).await);
    }
    for _ in 0..2 {
        let pair = rig.authority.server("api.test");
        replace(&pair, rig.folder.path());
        until_certificate_is(&rig, &pair.certificate_der()).await;
    }
    // Files that are written in place are noticed, too.
    let pair = rig.authority.server("api.test");
    pair.write(rig.folder.path(), "server");
    until_certificate_is(&rig, &pair.certificate_der()).await;
    for http in &mut old {
        let response = http.send(rig.rig.get("/orders")).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

/// Kubernetes keeps the files behind a link to a folder, and changes the link.
#[tokio::test]
async fn a_pair_behind_links_that_change_is_noticed() {
    let rig = TlsRig::new().await;
    let mounted = rig.folder.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let mut pairs = Vec::new();
    for version in ["..1", "..2"] {
        let pair = rig.authority.server("api.test");
        fs::create_dir(mounted.join(version)).unwrap();
        pair.write(&mounted.join(version), "server");
        pairs.push(pair);
    }
    symlink("..1", mounted.join("..data")).unwrap();
    for name in ["server.pem", "server.key"] {
        symlink(format!("..data/{name}"), mounted.join(name)).unwrap();
    }
    let tables = tls_table(&mounted, "");
    rig.rig.reload(Wanted::tables(&tables));
    let _watching = tokio::spawn(watch(rig.rig.gateway.clone(), rig.rig.path()));
    until_certificate_is(&rig, &pairs[0].certificate_der()).await;
    symlink("..2", mounted.join("..next")).unwrap();
    fs::rename(mounted.join("..next"), mounted.join("..data")).unwrap();
    until_certificate_is(&rig, &pairs[1].certificate_der()).await;
}

/// The files behind the links are written, and nothing changes in the folder of the links.
#[tokio::test]
async fn a_pair_that_is_written_behind_links_is_noticed() {
    let rig = TlsRig::new().await;
    let links = rig.folder.path().join("links");
    fs::create_dir(&links).unwrap();
    for name in ["server.pem", "server.key"] {
        symlink(format!("../{name}"), links.join(name)).unwrap();
    }
    rig.rig.reload(Wanted::tables(&tls_table(&links, "")));
    let _watching = tokio::spawn(watch(rig.rig.gateway.clone(), rig.rig.path()));
    for _ in 0..2 {
        let pair = rig.authority.server("api.test");
        pair.write(rig.folder.path(), "server");
        until_certificate_is(&rig, &pair.certificate_der()).await;
    }
}

#[tokio::test]
async fn a_pair_that_is_no_good_is_told_and_the_old_one_stays() {
    let log = Log::listen();
    let rig = TlsRig::new().await;
    let before = certificate(&rig).await;
    let _watching = tokio::spawn(watch(rig.rig.gateway.clone(), rig.rig.path()));
    // Only the certificate is new, so the key is not its key.
    let next = rig.authority.server("api.test");
    let server = |kind: &str| rig.folder.path().join(format!("server.{kind}"));
    fs::write(server("pem"), next.certificate_pem()).unwrap();
    let line = until_logged(&log, "tls.key_file: ").await;
    assert!(
        line.contains("ERROR") && line.contains("not the key"),
        "{line}"
    );
    assert!(
        line.contains("gateway.toml:") && line.contains("stays"),
        "{line}"
    );
    assert_eq!(certificate(&rig).await, before);
    fs::write(server("pem"), "nothing").unwrap();
    let line = until_logged(&log, "tls.certificate_file: ").await;
    assert!(line.contains("no certificate"), "{line}");
    fs::remove_file(server("key")).unwrap();
    fs::write(server("pem"), next.certificate_pem()).unwrap();
    let line = until_logged(&log, "tls.key_file: ").await;
    assert!(line.contains("cannot be read"), "{line}");
    assert_eq!(certificate(&rig).await, before);
    // The missing key is written.
    fs::write(server("key"), next.key_pem()).unwrap();
    until_certificate_is(&rig, &next.certificate_der()).await;
}

/// Otherwise, a file without the table would make the gateway accept tokens without TLS.
#[tokio::test]
async fn no_file_turns_tls_off_or_on() {
    let log = Log::listen();
    let rig = TlsRig::new().await;
    let before = certificate(&rig).await;
    rig.rig.reload(Wanted::default());
    until_logged(&log, "the new `tls` takes effect after a restart").await;
    assert_eq!(certificate(&rig).await, before);
    assert_eq!(rig.get(&rig.client("h2")).await.status(), 200);

    let plain = crate::Rig::new(crate::mirror()).await;
    let tables = tls_table(rig.folder.path(), "");
    plain.reload(Wanted::tables(&tables));
    until_logged(&log, "the new `tls` takes effect after a restart").await;
    assert_eq!(plain.status(plain.get("/orders")).await, 200);
}
