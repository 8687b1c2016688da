//! The form of a proof: JSON, base64url and length.

use dpop_tower::{
    clock::UnixTime,
    crypto::Algorithm,
    proof::{Ath, Htu, ProofContext, ProofVerifier},
};
use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    crypto::{JoseKey, base64url},
    rfc9449::case::{Case, JoseClient, jwk_of, object},
    support::{Verdict, Way},
};

/// The signature covers the odd spelling, so only the spelling is wrong.
pub(super) async fn rfc_7515_section_2_base64url_has_one_spelling(way: Way) {
    let client = JoseClient::new(way.api(), JoseKey::new(Algorithm::Es256));
    let sign = |input: &str| client.key.sign(input.as_bytes());
    let whole = |input: &str| format!("{input}.{}", base64url(sign(input)));
    let respelled = |text: &str| {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = text.chars().last().unwrap();
        let next = &alphabet[alphabet.find(last).unwrap() + 1..][..1];
        format!("{}{next}", &text[..text.len() - 1])
    };
    // One byte more than a multiple of three leaves four unused bits in the last character.
    let fill = |mut json: String| {
        while json.len() % 3 != 1 {
            json.push(' ');
        }
        json
    };
    let header = fill(Value::Object(client.header()).to_string());
    let payload = fill(client.payload());
    let (header, payload) = (base64url(header), base64url(payload));
    let input = format!("{header}.{payload}");
    client
        .case
        .check("canonical", &whole(&input), Verdict::Admitted)
        .await;
    let signature = base64url(sign(&input));
    for (what, text) in [
        ("padded header", whole(&format!("{header}==.{payload}"))),
        ("padded payload", whole(&format!("{input}=="))),
        ("padded signature", format!("{input}.{signature}==")),
        (
            "loose header",
            whole(&format!("{}.{payload}", respelled(&header))),
        ),
        (
            "loose payload",
            whole(&format!("{header}.{}", respelled(&payload))),
        ),
        (
            "loose signature",
            format!("{input}.{}", respelled(&signature)),
        ),
    ] {
        client.case.reject(what, &text, "proof_malformed").await;
    }
    let signature = (0..100)
        .map(|_| base64url(sign(&input)))
        .find(|signature| signature.contains(['-', '_']))
        .unwrap();
    let standard = signature.replace('-', "+").replace('_', "/");
    client
        .case
        .reject(
            "the standard alphabet",
            &format!("{input}.{standard}"),
            "proof_malformed",
        )
        .await;
}

pub(super) async fn header_and_payload_are_one_json_object_each(way: Way) {
    let case = Case::new(way);
    let proof = case.proof();
    let (header, payload) = (proof.header_json(), proof.payload_json());
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let wide: Map<String, Value> = (0..300).map(|i| (i.to_string(), json!(0))).collect();
    for (what, text) in [
        ("empty", String::new()),
        ("null", "null".to_owned()),
        ("a string", "\"x\"".to_owned()),
        ("a number", "1".to_owned()),
        ("a list", "[]".to_owned()),
        ("not JSON", "{".to_owned()),
        ("single quotes", "{'typ': 'dpop+jwt'}".to_owned()),
    ] {
        for broken in [
            proof.clone().raw_header(text.clone()),
            proof.clone().raw_payload(text.clone()),
        ] {
            case.reject(what, &broken.sign(), "proof_malformed").await;
        }
    }
    let with = |json: &str, more: &str| format!("{},{more}}}", &json[..json.len() - 1]);
    type Change<'a> = &'a dyn Fn(&str) -> String;
    let changes: [(&str, Change<'_>); 9] = [
        ("in a list", &|json| format!("[{json}]")),
        ("twice", &|json| format!("{json}{json}")),
        ("something behind", &|json| format!("{json}x")),
        ("a byte order mark", &|json| format!("\u{feff}{json}")),
        ("a comment", &|json| format!("{json}/**/")),
        ("a trailing comma", &|json| with(json, "")),
        ("nested deeply", &|json| {
            with(json, &format!("\"z\":{deep}"))
        }),
        ("too many members", &|json| {
            with(json, &format!("\"z\":{}", Value::Object(wide.clone())))
        }),
        ("a number out of range", &|json| with(json, "\"z\":1e999")),
    ];
    for (what, change) in changes {
        for broken in [
            proof.clone().raw_header(change(&header)),
            proof.clone().raw_payload(change(&payload)),
        ] {
            case.reject(what, &broken.sign(), "proof_malformed").await;
        }
    }
    // White space is valid JSON.
    let spaced = proof
        .raw_header(format!(" {header}\n"))
        .raw_payload(format!("\t{payload} "));
    case.check("white space", &spaced.sign(), Verdict::Admitted)
        .await;
    case.finish().await;
}

/// RFC 7515 section 4, RFC 7519 section 4: two parsers may read two different proofs.
pub(super) async fn duplicate_members_are_rejected_in_every_spelling(way: Way) {
    let case = Case::new(way);
    let proof = case.proof();
    let doubled =
        |json: &str, name: &str, value: &Value| format!("{{{name}:{value},{}", &json[1..]);
    let escaped = |name: &str| {
        let (first, rest) = name.split_at(1);
        format!("\"\\u{:04x}{rest}\"", u32::from(first.as_bytes()[0]))
    };
    let (header, payload) = (proof.header_json(), proof.payload_json());
    for (name, value) in object(&header) {
        for spelling in [format!("\"{name}\""), escaped(&name)] {
            // The same value twice, or a first value that a lenient parser would drop.
            for value in [&value, &json!("other")] {
                let text = doubled(&header, &spelling, value);
                let proof = proof.clone().raw_header(text).sign();
                case.reject(&spelling, &proof, "proof_malformed").await;
            }
        }
    }
    for (name, value) in object(&payload) {
        for spelling in [format!("\"{name}\""), escaped(&name)] {
            for value in [&value, &json!("other")] {
                let text = doubled(&payload, &spelling, value);
                let proof = proof.clone().raw_payload(text).sign();
                case.reject(&spelling, &proof, "proof_malformed").await;
            }
        }
    }
    let jwk = jwk_of(&proof);
    let jwk_text = Value::Object(jwk.clone()).to_string();
    for (name, value) in jwk {
        for spelling in [format!("\"{name}\""), escaped(&name)] {
            let text = header.replace(&jwk_text, &doubled(&jwk_text, &spelling, &value));
            assert_ne!(text, header);
            let proof = proof.clone().raw_header(text).sign();
            case.reject(&format!("jwk: {spelling}"), &proof, "proof_malformed")
                .await;
        }
    }
    // An escape alone is only another spelling.
    let once = header.replacen("\"typ\"", &escaped("typ"), 1);
    assert_ne!(once, header);
    let proof = proof.raw_header(once).sign();
    case.check("escaped once", &proof, Verdict::Admitted).await;
    case.finish().await;
}

pub(super) async fn the_examples_of_the_rfc_are_good_proofs(way: Way) {
    let at_token_endpoint = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik\
        VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR\
        nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE\
        QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj\
        oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia\
        WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg\
        4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let at_resource = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik\
        VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR\
        nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE\
        QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj\
        oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z\
        WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF\
        c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E\
        OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let crypto = way.backend.verifier();
    let policy = ProofVerifier::default();

    let htu = Htu::parse("https://server.example.com/token").unwrap();
    let now = UnixTime::from_secs(1_562_262_616);
    let context = ProofContext::new(&Method::POST, &htu, now);
    let proof = policy.verify(at_token_endpoint, &context, crypto).unwrap();
    assert_eq!(proof.jti(), "-BwC3ESc6acc2lTc");

    let htu = Htu::parse("https://resource.example.org/protectedresource").unwrap();
    let now = UnixTime::from_secs(1_562_262_618);
    let context = ProofContext::new(&Method::GET, &htu, now).access_token(Ath::of(token, crypto));
    let proof = policy.verify(at_resource, &context, crypto).unwrap();
    assert_eq!(proof.jti(), "e1j3V_bKic8-LAEB");
    // The thumbprint is in section 6.1.
    let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    assert_eq!(proof.thumbprint().to_string(), thumbprint);
}

pub(super) async fn a_proof_has_at_most_16_kib(way: Way) {
    let case = Case::new(way);
    let of_len = |len: usize| {
        // base64url has no text of 4n + 1 characters, so two parts are needed to get every length.
        for i in 0..4 {
            let draft = case.proof().header("z", "z".repeat(i));
            let with = |j: usize| draft.clone().claim("z", "z".repeat(j)).sign();
            let about = (len - with(0).len()) * 3 / 4;
            if let Some(proof) = (about - 4..about + 4).map(with).find(|p| p.len() == len) {
                return proof;
            }
        }
        panic!("no proof of {len} characters");
    };
    case.check("8 KiB", &of_len(8 * 1024), Verdict::Admitted)
        .await;
    case.check("16 KiB", &of_len(16 * 1024), Verdict::Admitted)
        .await;
    case.reject("more", &of_len(16 * 1024 + 1), "proof_too_long")
        .await;
    case.reject("junk", &"a".repeat(100_000), "proof_too_long")
        .await;
}
