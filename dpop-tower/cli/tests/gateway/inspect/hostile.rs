//! Arbitrary bytes, and good inputs with changes: an inspection never panics, and never calls them valid by
//! mistake.

use std::sync::LazyLock;

use dpop_cli::inspect::{self, Options};
use http::{Method, Request};
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::{NOW, Parties, URL, raw};

/// Good inputs of every kind.
static GOOD: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let parties = Parties::new();
    let token = parties.token();
    let request: Request<()> = parties.client.request(Method::POST, URL, &token);
    let proof = request.headers()["dpop"].to_str().unwrap().to_owned();
    let challenge =
        "DPoP error=\"use_dpop_nonce\", error_description=\"a\\\"b\", algs=\"ES256\", Basic abc==";
    let har = json!({"log": {"entries": [{
        "startedDateTime": "2027-01-15T08:00:00Z",
        "time": 3,
        "request": {"method": "POST", "url": URL, "headers": [
            {"name": "Authorization", "value": format!("DPoP {token}")},
            {"name": "DPoP", "value": proof},
        ]},
        "response": {"status": 401, "headers": [
            {"name": "Date", "value": "Fri, 15 Jan 2027 08:00:00 GMT"},
            {"name": "WWW-Authenticate", "value": challenge},
        ]},
    }]}});
    let curl =
        format!("curl -X POST '{URL}' -H 'Authorization: DPoP {token}' -H \"DPoP: {proof}\" -d a");
    let verbose = format!(
        "> POST /orders HTTP/1.1\n> Host: api.test\n> DPoP: {proof}\n> \n< HTTP/1.1 401 No\n"
    );
    vec![
        raw(&request),
        format!("HTTP/1.1 401 No\r\nWWW-Authenticate: {challenge}\r\nDPoP-Nonce: a\r\n\r\n{{}}")
            .into_bytes(),
        challenge.as_bytes().to_vec(),
        har.to_string().into_bytes(),
        curl.into_bytes(),
        verbose.into_bytes(),
        token.into_bytes(),
        proof.into_bytes(),
    ]
});

/// A change at a place, which is a fraction of the length.
#[derive(Clone, Debug)]
enum Change {
    Replace(f64, u8),
    Insert(f64, Vec<u8>),
    Remove(f64, usize),
    Cut(f64),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (0.0..1.0, any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (0.0..1.0, vec(any::<u8>(), 1..4)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (0.0..1.0, "[\"'\\\\,=:;.{}\r\n $-]{1,3}")
            .prop_map(|(at, text)| Change::Insert(at, text.into_bytes())),
        (0.0..1.0, 1_usize..40).prop_map(|(at, len)| Change::Remove(at, len)),
        (0.0..1.0).prop_map(Change::Cut),
    ];
    vec(change, 1..5)
}

fn apply(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let place = |at: &f64| (*at * bytes.len() as f64) as usize;
        match change {
            Change::Replace(at, byte) if !bytes.is_empty() => {
                let at = place(at);
                bytes[at] = *byte;
            }
            Change::Replace(..) => {}
            Change::Insert(at, inserted) => {
                let at = place(at);
                bytes.splice(at..at, inserted.iter().copied());
            }
            Change::Remove(at, len) => {
                let at = place(at);
                bytes.drain(at..bytes.len().min(at + len));
            }
            Change::Cut(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

/// Inspects the input, and writes all that is said about it.
fn inspect(input: &[u8]) {
    let options = Options {
        token: Some("a.b.c".to_owned()),
        nonce: Some("a".to_owned()),
        ..Options::default()
    };
    for options in [Options::default(), options] {
        match inspect::inspect(input, &options, NOW) {
            Ok(report) => {
                let (json, text) = (report.to_json().to_string(), report.to_text(true));
                assert!(!json.is_empty());
                // Nothing of the input can control the terminal.
                let plain = text.replace("\u{1b}[31m", "").replace("\u{1b}[32m", "");
                let plain = plain.replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
                assert!(plain.chars().all(|char| char == '\n' || !char.is_control()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..300)) {
        inspect(&bytes);
    }

    #[test]
    fn arbitrary_text_after_a_known_beginning_does_not_panic(
        start in prop_oneof![
            Just("curl "), Just("GET / HTTP/1.1\n"), Just("HTTP/1.1 401\n"), Just("DPoP "), Just("DPoP: "),
            Just("{\"log\":{\"entries\":["), Just("> "), Just("WWW-Authenticate: "), Just("eyJ"), Just("-"),
        ],
        text in "\\PC{0,200}",
    ) {
        inspect(format!("{start}{text}").as_bytes());
    }

    #[test]
    fn changed_inputs_do_not_panic(which in 0_usize..8, changes in changes()) {
        inspect(&apply(GOOD[which].clone(), &changes));
    }
}

#[test]
fn deep_and_long_inputs_do_not_panic() {
    let depth = 100_000;
    for input in [
        format!("{}{}", "{\"a\":".repeat(depth), "}".repeat(depth)),
        "[".repeat(depth),
        format!("DPoP {}", "a=b, ".repeat(depth)),
        format!("DPoP {}", "\"".repeat(depth)),
        format!("curl {}", "-H 'a: b' ".repeat(depth)),
        format!("curl -{}", "s".repeat(depth)),
        format!("GET / HTTP/1.1\n{}\n", "a: b\n".repeat(depth)),
        ".".repeat(depth),
        format!("{}.e30.", "eyJ0eXAi".repeat(depth)),
    ] {
        inspect(input.as_bytes());
    }
}
