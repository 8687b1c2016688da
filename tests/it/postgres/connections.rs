//! Passwords, TLS, the rights of the user, the name of the table, and what errors say.

use std::time::Duration;

use dpop_test_servers::postgres::{Certificate, Postgres};
use dpop_tower::{
    ConfigErrorKind,
    replay::{
        Freshness, PostgresReplayStore, PostgresReplayStoreBuilder, PostgresTls, ReplayStore,
        StoreErrorKind,
    },
};
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{
        X509, X509Name,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};
use tokio::{task::JoinSet, time::Instant};

use super::{PATIENCE, builder, connected, on, proof, warm};

/// A certificate authority.
struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn certificate(name: &str, serial: u32, key: &PKey<Private>, issuer: Option<&Authority>) -> X509 {
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&subject).unwrap();
    let by = issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name());
    builder.set_issuer_name(by).unwrap();
    builder.set_pubkey(key).unwrap();
    builder
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::days_from_now(2).unwrap())
        .unwrap();
    let mut constraints = BasicConstraints::new();
    if issuer.is_none() {
        constraints.critical().ca();
    } else {
        let mut names = SubjectAlternativeName::new();
        names.dns(name);
        let names = names.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
    }
    builder
        .append_extension(constraints.build().unwrap())
        .unwrap();
    let signer = issuer.map_or(key, |issuer| &issuer.key);
    builder.sign(signer, MessageDigest::sha256()).unwrap();
    builder.build()
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = key();
        Self {
            certificate: certificate(name, 1, &key, None),
            key,
        }
    }

    fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// Starts a server with a certificate for this name.
    fn server(&self, name: &str) -> Postgres {
        let key = key();
        let certificate = certificate(name, 2, &key, Some(self));
        let certificate = certificate.to_pem().unwrap();
        let key = key.private_key_to_pem_pkcs8().unwrap();
        let server = Postgres::builder().certificate(Certificate {
            certificate: &certificate,
            key: &key,
        });
        server.start()
    }
}

/// Connects to the server under a name that no resolver knows.
fn named(server: &Postgres, name: &str, mode: &str) -> String {
    let (address, port) = server.address();
    format!("postgres://postgres@{name}:{port}/postgres?hostaddr={address}&sslmode={mode}")
}

async fn error_of(builder: PostgresReplayStoreBuilder) -> String {
    let store = builder.build().unwrap();
    let error = store.warm_up().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(store.check_and_insert(proof(0)).await.is_err());
    format!("{error:?}")
}

#[tokio::test]
async fn tls_is_verified_with_both_libraries_whatever_the_mode() {
    let authority = Authority::new("authority");
    let other = Authority::new("another");
    let server = authority.server("db.test");
    for tls in [PostgresTls::Native, PostgresTls::Rustls] {
        for mode in ["prefer", "require", "verify-ca", "verify-full"] {
            let at = |name: &str| builder(&named(&server, name, mode)).tls(tls);
            let store = connected(at("db.test").root_certificates(authority.pem())).await;
            assert_eq!(
                server.sql(
                    "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                            WHERE application_name = 'dpop-tower'"
                ),
                "t"
            );
            drop(store);
            for (name, roots) in [
                ("other.test", Some(&authority)),
                ("db.test", Some(&other)),
                ("db.test", None),
            ] {
                let wrong = at(name);
                let wrong = match roots {
                    Some(roots) => wrong.root_certificates(roots.pem()),
                    None => wrong,
                };
                let error = error_of(wrong).await.to_lowercase();
                let is_about_tls = ["certificate", "tls", "hostname"]
                    .iter()
                    .any(|it| error.contains(it));
                assert!(is_about_tls, "{tls:?} {mode} {name}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_rejected_where_tls_is_required() {
    let server = Postgres::start();
    for tls in [PostgresTls::Native, PostgresTls::Rustls] {
        let error = error_of(builder(&named(&server, "db.test", "require")).tls(tls)).await;
        assert!(error.to_lowercase().contains("tls"), "{error}");
        connected(builder(&named(&server, "db.test", "prefer")).tls(tls)).await;
    }
    connected(builder(&named(&server, "db.test", "disable"))).await;
}

#[test]
fn root_certificates_have_to_be_some_and_need_tls() {
    let pem = Authority::new("authority").pem();
    for (mode, roots) in [
        ("disable", pem),
        ("require", Vec::new()),
        (
            "require",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
        ),
    ] {
        for tls in [PostgresTls::Native, PostgresTls::Rustls] {
            let url = format!("postgres://u@db.test/d?sslmode={mode}");
            let builder = PostgresReplayStore::builder(&url).unwrap().tls(tls);
            let error = builder
                .root_certificates(roots.clone())
                .build()
                .unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Replay);
            assert!(error.to_string().contains("root certificates"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_password_is_used_and_not_told() {
    let server = Postgres::builder().password("s3cret@/?").start();
    let (address, port) = server.address();
    let url = |password: &str| format!("postgres://postgres:{password}@{address}:{port}/postgres");
    let store = connected(builder(&url("s3cret%40%2F%3F"))).await;
    let text = format!("{store:?} {:?}", builder(&url("s3cret%40%2F%3F")));
    assert!(!text.contains("s3cret"), "{text}");
    let error = error_of(builder(&url("hunter2"))).await;
    assert!(error.contains("28P01"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_missing_table_is_an_error_that_names_what_makes_it_and_needs_no_restart() {
    let server = Postgres::start();
    let store = builder(&server.url()).table("used").build().unwrap();
    let error = store.warm_up().await.unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.contains("create_table") && text.contains("used"),
        "{text}"
    );
    assert!(store.check_and_insert(proof(0)).await.is_err());
    assert!(store.readiness().is_err());

    builder(&server.url())
        .table("used")
        .build()
        .unwrap()
        .create_table()
        .await
        .unwrap();
    warm(&store).await;
    assert_eq!(
        store.check_and_insert(proof(0)).await.unwrap(),
        Freshness::Fresh
    );

    server.sql("CREATE TABLE another (proof bytea)");
    let error = error_of(builder(&server.url()).table("another")).await;
    assert!(error.contains("was not made by"), "{error}");
}

#[test]
fn the_documents_have_the_schema_that_is_tested() {
    let schema = include_str!("../../../dpop-tower/src/replay/postgres/schema.sql");
    let page = include_str!("../../../docs/replay-postgres.md");
    assert!(
        page.contains(schema),
        "docs/replay-postgres.md has another schema"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_can_make_the_table_at_once() {
    let server = Postgres::start();
    let url = server.url();
    for round in 0..5 {
        let calls: JoinSet<_> = (0..8)
            .map(|_| {
                let store = builder(&url).table(format!("t{round}")).build().unwrap();
                async move {
                    store.create_table().await.unwrap();
                    warm(&store).await;
                    store.incarnation()
                }
            })
            .collect();
        let incarnations = calls.join_all().await;
        assert!(incarnations[0].is_some());
        assert!(
            incarnations
                .iter()
                .all(|incarnation| *incarnation == incarnations[0])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_suffice() {
    let server = Postgres::start();
    server.sql("CREATE SCHEMA replay");
    let url = server.url();
    builder(&url)
        .table("replay.used")
        .build()
        .unwrap()
        .create_table()
        .await
        .unwrap();
    server.sql("CREATE ROLE node LOGIN; GRANT USAGE ON SCHEMA replay TO node");
    let url = url.replace("postgres@", "node@");
    let node = || builder(&url).table("replay.used");
    let error = error_of(node()).await;
    assert!(
        error.contains("SELECT, INSERT, UPDATE and DELETE"),
        "{error}"
    );

    server.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON replay.used TO node");
    let store = node().build().unwrap();
    warm(&store).await;
    assert_eq!(
        store.check_and_insert(proof(0)).await.unwrap(),
        Freshness::Fresh
    );
    assert_eq!(
        store.check_and_insert(proof(0)).await.unwrap(),
        Freshness::Replayed
    );
    assert!(store.create_table().await.is_err(), "it may not create");
    server.sql(
        "INSERT INTO replay.used (proof, expires_at) VALUES ('old', now() - interval '1 hour')",
    );
    server.wait_for("SELECT count(*) = 2 FROM replay.used");
}

#[tokio::test]
async fn a_commit_is_on_disk_whatever_the_default_of_the_server() {
    let server = Postgres::builder()
        .settings("synchronous_commit = off")
        .start();
    let store = on(&server).await;
    assert_eq!(
        store.check_and_insert(proof(0)).await.unwrap(),
        Freshness::Fresh
    );
    server.sql(
        "CREATE TABLE seen (setting text); CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN new; END $$; \
         CREATE TRIGGER look BEFORE INSERT ON dpop_proofs FOR EACH ROW EXECUTE FUNCTION look()",
    );
    assert_eq!(
        store.check_and_insert(proof(1)).await.unwrap(),
        Freshness::Fresh
    );
    assert_eq!(server.sql("SELECT DISTINCT setting FROM seen"), "local");
}

#[tokio::test]
async fn a_store_connects_by_itself_when_the_server_starts_later() {
    let mut server = Postgres::start();
    on(&server).await;
    server.stop();
    let store = builder(&server.url())
        .time_out(Duration::from_millis(500))
        .build()
        .unwrap();
    assert!(store.warm_up().await.is_err());
    assert!(store.check_and_insert(proof(0)).await.is_err());
    server.restart();
    let begun = Instant::now();
    while store.check_and_insert(proof(1)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
