//! What RFC 9449 sections 4.2 and 4.3 ask of a proof, one part broken at a time.

use std::time::Duration;

use dpop_tower::{
    crypto::Algorithm,
    rejection::Rejection,
    test_util::{KeyKind, ProofBuilder, TestClient},
};
use http::{HeaderValue, Method, Request};
use josekit::jwk::{
    Jwk,
    alg::{ecx::EcxCurve, ed::EdCurve},
};
use serde_json::{Map, Value, json};

use crate::{
    crypto::{
        FITTING, JoseKey, base64url, der_signature, from_base64url, hmac_jws, rsa, signing_input,
    },
    support::{Api, URL, Verdict, invalid_proof, send},
};

#[tokio::test]
async fn a_good_request_is_let_in_once() {
    let api = Api::new();
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::LetIn);
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_replayed")
    );
}

/// An API and a good token for it. Whatever was refused, a good proof has to pass afterwards.
struct Case {
    api: Api,
    token: String,
}

impl Case {
    fn new() -> Self {
        Self::of(Api::new())
    }

    fn of(api: Api) -> Self {
        let token = api.token().mint();
        Self { api, token }
    }

    fn proof(&self) -> ProofBuilder {
        self.api.proof(&self.token)
    }

    async fn send(&self, proof: &str) -> Verdict {
        self.api.get(&self.token, proof).await
    }

    async fn check(&self, what: &str, proof: &str, expected: Verdict) {
        assert_eq!(self.send(proof).await, expected, "{what}");
    }

    async fn refuse(&self, what: &str, proof: &str, reason: &'static str) {
        self.check(what, proof, invalid_proof(reason)).await;
    }

    /// Refused because of the key, for this reason in the operator's words.
    async fn refuse_key(&self, what: &str, proof: &str, detail: &str) {
        let request = self
            .api
            .client
            .request_with_proof(Method::GET, URL, &self.token, proof);
        let response = send(self.api.router.clone(), request).await;
        let text = response
            .extensions()
            .get::<Rejection>()
            .map(ToString::to_string);
        assert_eq!(
            Verdict::of(response),
            invalid_proof("proof_key_invalid"),
            "{what}"
        );
        assert!(text.unwrap().ends_with(detail), "{what}");
    }

    async fn finish(self) {
        let proof = self.proof().sign();
        self.check("a good proof", &proof, Verdict::LetIn).await;
    }
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap()
}

fn jwk_of(proof: &ProofBuilder) -> Map<String, Value> {
    object(&proof.header_json())["jwk"]
        .as_object()
        .unwrap()
        .clone()
}

/// A client whose key is josekit's, and a token for it.
struct JoseClient {
    key: JoseKey,
    case: Case,
}

impl JoseClient {
    fn new(api: Api, key: JoseKey) -> Self {
        let token = api
            .token()
            .bound_to_thumbprint(key.public_jwk().thumbprint())
            .mint();
        Self {
            key,
            case: Case { api, token },
        }
    }

    fn header(&self) -> Map<String, Value> {
        let header = json!({
            "typ": "dpop+jwt",
            "alg": self.key.algorithm.as_str(),
            "jwk": self.key.public(),
        });
        header.as_object().unwrap().clone()
    }

    fn payload(&self) -> String {
        self.case.proof().payload_json()
    }

    fn sign(&self) -> String {
        self.key
            .jws(&Value::Object(self.header()).to_string(), &self.payload())
    }
}

#[tokio::test]
async fn section_4_3_item_1_there_is_exactly_one_dpop_header() {
    let case = Case::new();
    let request = |values: &[&str]| {
        let mut request =
            case.api
                .client
                .request_with_proof(Method::GET, URL, &case.token, "placeholder");
        request.headers_mut().remove("dpop");
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request.headers_mut().append("dpop", value);
        }
        request
    };
    let (one, two) = (case.proof().sign(), case.proof().sign());
    for (what, values, reason) in [
        ("none", &[][..], "proof_missing"),
        ("two", &[&one[..], &two], "proof_multiple"),
        ("the same twice", &[&one, &one], "proof_multiple"),
        ("an empty one beside it", &[&one, ""], "proof_multiple"),
        ("two in one", &[&format!("{one}, {two}")], "proof_malformed"),
        ("empty", &[""], "proof_malformed"),
        ("not ASCII", &["\u{e4}"], "proof_malformed"),
    ] {
        assert_eq!(
            case.api.send(request(values)).await,
            invalid_proof(reason),
            "{what}"
        );
    }
    // None of those counts as a use.
    case.check("alone", &one, Verdict::LetIn).await;
    case.finish().await;
}

#[tokio::test]
async fn section_4_3_item_2_only_the_compact_serialization_is_a_proof() {
    let client = JoseClient::new(Api::new(), JoseKey::new(Algorithm::Es256));
    let malformed = "proof_malformed";
    let proof = client.sign();
    let [header, payload, signature] = proof.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    let flattened = json!({"protected": header, "payload": payload, "signature": signature});
    let general = json!({
        "payload": payload,
        "signatures": [{"protected": header, "signature": signature}],
    });
    for (what, text) in [
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{proof}.{signature}")),
        (
            "five parts, as a JWE",
            format!("{proof}.{signature}.{signature}"),
        ),
        ("a dot before", format!(".{proof}")),
        ("a dot behind", format!("{proof}.")),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("dots only", "..".to_owned()),
        ("flattened JSON", flattened.to_string()),
        ("general JSON", general.to_string()),
        ("a scheme before", format!("DPoP {proof}")),
        ("quotes", format!("\"{proof}\"")),
        ("a space before", format!(" {proof}")),
        ("a space behind", format!("{proof} ")),
        ("a tab", format!("{header}\t.{payload}.{signature}")),
        ("a space", format!("{header}. {payload}.{signature}")),
        ("padded signature", format!("{proof}==")),
        ("a comma", format!("{proof},")),
        ("a percent-encoding", proof.replacen('.', "%2E", 1)),
    ] {
        client.case.refuse(what, &text, malformed).await;
    }
    client.case.check("as it is", &proof, Verdict::LetIn).await;
}

/// The signature is over the odd spelling, so nothing but the spelling is wrong.
#[tokio::test]
async fn rfc_7515_section_2_base64url_has_one_spelling() {
    let client = JoseClient::new(Api::new(), JoseKey::new(Algorithm::Es256));
    let sign = |input: &str| client.key.sign(input.as_bytes());
    let whole = |input: &str| format!("{input}.{}", base64url(sign(input)));
    let respelled = |text: &str| {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = text.chars().last().unwrap();
        let next = &alphabet[alphabet.find(last).unwrap() + 1..][..1];
        format!("{}{next}", &text[..text.len() - 1])
    };
    // One octet more than a multiple of three leaves four bits of the last character unused.
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
        .check("canonical", &whole(&input), Verdict::LetIn)
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
        client.case.refuse(what, &text, "proof_malformed").await;
    }
    let signature = (0..100)
        .map(|_| base64url(sign(&input)))
        .find(|signature| signature.contains(['-', '_']))
        .unwrap();
    let standard = signature.replace('-', "+").replace('_', "/");
    client
        .case
        .refuse(
            "the standard alphabet",
            &format!("{input}.{standard}"),
            "proof_malformed",
        )
        .await;
}

#[tokio::test]
async fn header_and_payload_are_one_json_object_each() {
    let case = Case::new();
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
            case.refuse(what, &broken.sign(), "proof_malformed").await;
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
            case.refuse(what, &broken.sign(), "proof_malformed").await;
        }
    }
    // White space is JSON.
    let spaced = proof
        .raw_header(format!(" {header}\n"))
        .raw_payload(format!("\t{payload} "));
    case.check("white space", &spaced.sign(), Verdict::LetIn)
        .await;
    case.finish().await;
}

#[tokio::test]
async fn every_header_parameter_is_required_and_has_its_json_type() {
    let case = Case::new();
    let jwk = Value::Object(jwk_of(&case.proof()));
    let table = [
        ("typ", json!("dpop+jwt"), "proof_typ_invalid"),
        ("alg", json!("ES256"), "proof_alg_not_allowed"),
        ("jwk", jwk.clone(), "proof_key_invalid"),
    ];
    for (name, good, reason) in table {
        let missing = case.proof().without_header(name).sign();
        case.refuse(&format!("no {name}"), &missing, reason).await;
        for wrong in [
            json!(null),
            json!(7),
            json!(1.5),
            json!(true),
            json!(false),
            json!(""),
            json!("x"),
            json!("a".repeat(8_000)),
            json!([]),
            json!([good]),
            json!({}),
            json!({ name: good }),
            json!(good.to_string()),
        ] {
            let proof = case.proof().header(name, wrong.clone()).sign();
            case.refuse(&format!("{name}: {wrong}"), &proof, reason)
                .await;
        }
    }
    case.finish().await;
}

#[tokio::test]
async fn every_claim_is_required_and_has_its_json_type() {
    let case = Case::new();
    let claims = object(&case.proof().payload_json());
    assert_eq!(claims.len(), 5);
    for (name, good) in claims {
        let missing = case.proof().without_claim(&name).sign();
        case.refuse(&format!("no {name}"), &missing, "proof_missing_claim")
            .await;
        let mut wrongs = vec![
            json!(null),
            json!(true),
            json!(false),
            json!([]),
            json!([good]),
            json!({}),
            json!({ "value": good }),
        ];
        if name == "iat" {
            wrongs.extend([json!(""), json!("x"), json!(good.to_string())]);
        } else {
            wrongs.extend([json!(0), json!(7), json!(1.5)]);
        }
        for wrong in wrongs {
            let proof = case.proof().claim(&name, wrong.clone()).sign();
            case.refuse(&format!("{name}: {wrong}"), &proof, "proof_invalid_claim")
                .await;
        }
    }
    case.finish().await;
}

#[tokio::test]
async fn empty_and_overlong_claims_are_refused() {
    let case = Case::new();
    let long = "a".repeat(10_000);
    for (name, value, reason) in [
        ("jti", String::new(), "proof_invalid_claim"),
        ("jti", long.clone(), "proof_invalid_claim"),
        ("htm", String::new(), "proof_htm_mismatch"),
        ("htm", long.clone(), "proof_htm_mismatch"),
        ("htu", String::new(), "proof_htu_invalid"),
        ("htu", format!("{URL}/{long}"), "proof_htu_mismatch"),
        ("ath", String::new(), "proof_ath_mismatch"),
        ("ath", long, "proof_ath_mismatch"),
    ] {
        let what = format!("{name}: {} characters", value.len());
        let proof = case.proof().claim(name, value).sign();
        case.refuse(&what, &proof, reason).await;
    }
    case.finish().await;
}

/// RFC 7515 section 4, RFC 7519 section 4: two parsers may see two different proofs.
#[tokio::test]
async fn duplicate_members_are_refused_in_every_spelling() {
    let case = Case::new();
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
            // The same value twice, or a first one that a lenient parser would drop.
            for value in [&value, &json!("other")] {
                let text = doubled(&header, &spelling, value);
                let proof = proof.clone().raw_header(text).sign();
                case.refuse(&spelling, &proof, "proof_malformed").await;
            }
        }
    }
    for (name, value) in object(&payload) {
        for spelling in [format!("\"{name}\""), escaped(&name)] {
            for value in [&value, &json!("other")] {
                let text = doubled(&payload, &spelling, value);
                let proof = proof.clone().raw_payload(text).sign();
                case.refuse(&spelling, &proof, "proof_malformed").await;
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
            case.refuse(&format!("jwk: {spelling}"), &proof, "proof_malformed")
                .await;
        }
    }
    // An escape alone is just another spelling.
    let once = header.replacen("\"typ\"", &escaped("typ"), 1);
    assert_ne!(once, header);
    let proof = proof.raw_header(once).sign();
    case.check("escaped once", &proof, Verdict::LetIn).await;
    case.finish().await;
}

#[tokio::test]
async fn section_4_3_item_4_typ_is_dpop_jwt_to_the_letter() {
    let case = Case::new();
    for typ in [
        "DPOP+JWT",
        "dpop+JWT",
        "DPoP+jwt",
        "application/dpop+jwt",
        "dpop",
        "dpop jwt",
        "JWT",
        "jwt",
        "at+jwt",
        " dpop+jwt",
        "dpop+jwt ",
        "dpop+jwt\0",
        "dpop+jws",
    ] {
        let proof = case.proof().header("typ", typ).sign();
        case.refuse(typ, &proof, "proof_typ_invalid").await;
    }
    // An access token is no proof, whoever signed it.
    case.refuse("the token", &case.token, "proof_typ_invalid")
        .await;
    case.finish().await;
}

#[tokio::test]
async fn section_4_3_item_5_none_is_no_algorithm() {
    let case = Case::new();
    for alg in ["none", "None", "NONE", "nOnE", " none"] {
        let proof = case.proof().header("alg", alg);
        for text in [
            proof.clone().sign(),
            proof.clone().empty_signature().sign(),
            proof.without_header("jwk").empty_signature().sign(),
        ] {
            case.refuse(alg, &text, "proof_alg_not_allowed").await;
        }
    }
    case.finish().await;
}

#[tokio::test]
async fn section_4_3_item_5_an_hmac_is_no_signature() {
    let case = Case::new();
    let proof = case.proof();
    let jwk = jwk_of(&proof);
    let coordinate = |name: &str| from_base64url(jwk[name].as_str().unwrap());
    let point = [&[4][..], &coordinate("x"), &coordinate("y")].concat();
    let payload = proof.payload_json();
    let secrets = [
        ("x", coordinate("x")),
        ("the point", point),
        (
            "the JWK",
            Value::Object(jwk.clone()).to_string().into_bytes(),
        ),
        ("x as text", jwk["x"].as_str().unwrap().as_bytes().to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, secret) in secrets {
        for (alg, reason) in [
            ("HS256", "proof_alg_not_allowed"),
            ("HS384", "proof_alg_not_allowed"),
            ("HS512", "proof_alg_not_allowed"),
            ("hs256", "proof_alg_not_allowed"),
            // The header says one thing, the signature is another.
            ("ES256", "proof_signature_invalid"),
        ] {
            let header = proof.clone().header("alg", alg).header_json();
            let text = hmac_jws(&header, &payload, &secret);
            case.refuse(&format!("{alg} with {what}"), &text, reason)
                .await;
        }
        let oct = json!({"kty": "oct", "k": base64url(&secret)});
        for (alg, symmetric) in [("HS256", false), ("ES256", true), ("EdDSA", true)] {
            let header = proof
                .clone()
                .header("alg", alg)
                .header("jwk", oct.clone())
                .header_json();
            let text = hmac_jws(&header, &payload, &secret);
            if symmetric {
                case.refuse_key(alg, &text, "the key is symmetric").await;
            } else {
                case.refuse(alg, &text, "proof_alg_not_allowed").await;
            }
        }
    }
    case.finish().await;
}

#[tokio::test]
async fn section_4_3_item_5_algorithms_are_those_of_the_configuration() {
    let default = [
        Algorithm::Es256,
        Algorithm::Ed25519,
        Algorithm::EdDsa,
        Algorithm::Ps256,
        Algorithm::Rs256,
    ];
    for algorithm in Algorithm::ALL {
        let client = JoseClient::new(Api::new(), JoseKey::new(algorithm));
        let expected = if default.contains(&algorithm) {
            Verdict::LetIn
        } else {
            invalid_proof("proof_alg_not_allowed")
        };
        client
            .case
            .check(algorithm.as_str(), &client.sign(), expected)
            .await;

        let only = Api::with(|tokens| tokens, |config| config.algorithms([algorithm]));
        let client = JoseClient::new(only, JoseKey::new(algorithm));
        client
            .case
            .check(algorithm.as_str(), &client.sign(), Verdict::LetIn)
            .await;
        let others = Algorithm::ALL.into_iter().filter(|alg| *alg != algorithm);
        let others = Api::with(|tokens| tokens, |config| config.algorithms(others));
        let client = JoseClient::new(others, JoseKey::new(algorithm));
        client
            .case
            .refuse(algorithm.as_str(), &client.sign(), "proof_alg_not_allowed")
            .await;
    }
}

#[tokio::test]
async fn rfc_7515_section_4_1_1_algorithm_names_have_a_case() {
    let case = Case::new();
    for alg in [
        "es256",
        "Es256",
        "ES256 ",
        "ES-256",
        "ES256K",
        "ECDSA",
        "SHA256withECDSA",
    ] {
        let proof = case.proof().header("alg", alg).sign();
        case.refuse(alg, &proof, "proof_alg_not_allowed").await;
    }
    let client = TestClient::with_key(KeyKind::Ed25519).clock(case.api.clock.clone());
    for alg in [
        "eddsa",
        "EDDSA",
        "ed25519",
        "ED25519",
        "Ed448",
        "EdDSA25519",
    ] {
        let proof = client
            .proof("GET", URL)
            .access_token(&case.token)
            .header("alg", alg)
            .sign();
        case.refuse(alg, &proof, "proof_alg_not_allowed").await;
    }
    case.finish().await;
}

#[tokio::test]
async fn an_alg_that_does_not_fit_the_key_is_refused() {
    let api = || Api::with(|tokens| tokens, |config| config.algorithms(Algorithm::ALL));
    for (kind, fitting) in FITTING {
        let client = JoseClient::new(api(), JoseKey::new(kind));
        for algorithm in Algorithm::ALL {
            let mut header = client.header();
            header.insert("alg".to_owned(), algorithm.as_str().into());
            let proof = client
                .key
                .jws(&Value::Object(header).to_string(), &client.payload());
            let ed25519 = kind == Algorithm::Ed25519;
            let expected = if !fitting.contains(&algorithm.as_str()) {
                invalid_proof("proof_key_mismatch")
            } else if algorithm == kind || ed25519 {
                Verdict::LetIn
            } else {
                // The key could, but the signature is another algorithm's.
                invalid_proof("proof_signature_invalid")
            };
            client
                .case
                .check(&format!("{kind} as {algorithm}"), &proof, expected)
                .await;
        }
    }
}

#[tokio::test]
async fn ed25519_clients_may_use_either_name() {
    let case = Case::new();
    let client = TestClient::with_key(KeyKind::Ed25519).clock(case.api.clock.clone());
    let token = case.api.issuer.token().bound_to(&client).mint();
    for alg in ["Ed25519", "EdDSA"] {
        let proof = client
            .proof("GET", URL)
            .access_token(&token)
            .header("alg", alg)
            .sign();
        assert_eq!(case.api.get(&token, &proof).await, Verdict::LetIn, "{alg}");
    }
}

#[tokio::test]
async fn section_4_3_item_7_no_private_member_is_tolerated() {
    let case = Case::new();
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
        for value in [
            json!("AQAB"),
            json!(""),
            json!(null),
            json!(7),
            json!([]),
            json!(false),
        ] {
            let mut jwk = jwk_of(&case.proof());
            jwk.insert(name.to_owned(), value.clone());
            let proof = case.proof().header("jwk", jwk).sign();
            let what = format!("{name}: {value}");
            case.refuse_key(&what, &proof, "the key has a private member")
                .await;
        }
    }
    case.finish().await;
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Rs256] {
        let client = JoseClient::new(Api::new(), JoseKey::new(algorithm));
        let mut header = client.header();
        header.insert("jwk".to_owned(), client.key.private().into());
        let proof = client
            .key
            .jws(&Value::Object(header).to_string(), &client.payload());
        client
            .case
            .refuse_key(algorithm.as_str(), &proof, "the key has a private member")
            .await;
        client
            .case
            .check(algorithm.as_str(), &client.sign(), Verdict::LetIn)
            .await;
    }
}

#[tokio::test]
async fn every_parameter_of_the_key_is_required_and_has_its_json_type() {
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Rs256] {
        let client = JoseClient::new(Api::new(), JoseKey::new(algorithm));
        for (name, good) in client.key.public() {
            let mut wrongs = vec![None];
            wrongs.extend(
                [
                    json!(null),
                    json!(7),
                    json!(true),
                    json!(""),
                    json!("x"),
                    json!([good]),
                    json!({ "value": good }),
                    json!(format!("{}=", good.as_str().unwrap())),
                    json!(format!(" {}", good.as_str().unwrap())),
                    json!(good.as_str().unwrap()[1..]),
                ]
                .map(Some),
            );
            for wrong in wrongs {
                let mut header = client.header();
                let jwk = header["jwk"].as_object_mut().unwrap();
                match wrong.clone() {
                    None => jwk.remove(&name),
                    Some(wrong) => jwk.insert(name.clone(), wrong),
                };
                let proof = client
                    .key
                    .jws(&Value::Object(header).to_string(), &client.payload());
                let what = format!("{algorithm}, {name}: {wrong:?}");
                client.case.refuse(&what, &proof, "proof_key_invalid").await;
            }
        }
    }
}

#[tokio::test]
async fn further_members_of_the_key_are_ignored() {
    let case = Case::new();
    for (name, value) in [
        ("kid", json!("1")),
        ("kid", json!(7)),
        ("alg", json!("ES256")),
        // josekit would refuse to use these; the client is free to write them.
        ("alg", json!("RS256")),
        ("use", json!("sig")),
        ("use", json!("enc")),
        ("key_ops", json!(["verify"])),
        ("key_ops", json!([])),
        ("ext", json!(true)),
        ("x5c", json!(["MII"])),
        ("n", json!("AQAB")),
    ] {
        let mut jwk = jwk_of(&case.proof());
        jwk.insert(name.to_owned(), value.clone());
        let proof = case.proof().header("jwk", jwk).sign();
        case.check(&format!("{name}: {value}"), &proof, Verdict::LetIn)
            .await;
    }
}

#[tokio::test]
async fn other_kinds_of_keys_are_refused() {
    let case = Case::new();
    let public = |jwk: Jwk| jwk.to_public_key().unwrap().as_ref().clone();
    let secp256k1 = json!({
        "kty": "EC",
        "crv": "secp256k1",
        "x": "eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g",
        "y": "SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg",
    });
    let mut lower = jwk_of(&case.proof());
    lower.insert("kty".to_owned(), "ec".into());
    let mut curve = jwk_of(&case.proof());
    curve.insert("crv".to_owned(), "p-256".into());
    let kty = "the key's type is not supported";
    let crv = "the key's curve is not supported";
    for (what, jwk, detail) in [
        (
            "Ed448",
            public(Jwk::generate_ed_key(EdCurve::Ed448).unwrap()),
            crv,
        ),
        (
            "X25519",
            public(Jwk::generate_ecx_key(EcxCurve::X25519).unwrap()),
            crv,
        ),
        ("secp256k1", secp256k1.as_object().unwrap().clone(), crv),
        ("a curve in lower case", curve, crv),
        ("a type in lower case", lower, kty),
        (
            "AKP",
            object(r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#),
            kty,
        ),
    ] {
        let proof = case.proof().header("jwk", jwk).sign();
        case.refuse_key(what, &proof, detail).await;
    }
    case.finish().await;
}

#[tokio::test]
async fn a_point_off_its_curve_is_refused() {
    let api = Api::new();
    let mut jwk = jwk_of(&api.proof(""));
    let mut y = from_base64url(jwk["y"].as_str().unwrap());
    y[31] ^= 1;
    jwk.insert("y".to_owned(), base64url(y).into());
    // It is the key that the token is bound to, so only the crypto backend can see it.
    let token = api
        .issuer
        .token()
        .bound_to_thumbprint(crate::crypto::parse(&jwk).thumbprint())
        .mint();
    let proof = api.proof(&token).header("jwk", jwk).sign();
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_key_invalid")
    );
}

#[tokio::test]
async fn an_ed25519_key_of_small_order_is_refused() {
    let case = Case::new();
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut other_sign = identity;
    other_sign[31] = 0x80;
    for (what, x) in [
        ("identity", identity),
        ("order 4", [0; 32]),
        ("the other encoding", other_sign),
    ] {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(x)});
        for alg in ["EdDSA", "Ed25519"] {
            let draft = case.proof().header("alg", alg).header("jwk", jwk.clone());
            let input = signing_input(&draft.header_json(), &draft.payload_json());
            // With the identity as key and as R, and zero as S, it fits every message.
            let proof = format!("{input}.{}", base64url([identity, [0; 32]].concat()));
            case.refuse_key(what, &proof, "the key is too weak or too large")
                .await;
        }
    }
    case.finish().await;
}

#[tokio::test]
async fn rsa_keys_have_2048_to_4096_bits() {
    let weak = "the key is too weak or too large";
    let largest = JoseKey::from_private(Algorithm::Ps256, rsa(4096));
    let client = JoseClient::new(Api::new(), largest);
    client
        .case
        .check("4096 bits", &client.sign(), Verdict::LetIn)
        .await;
    let too_large = JoseKey::from_private(Algorithm::Ps256, rsa(4104));
    let mut header = client.header();
    header.insert("jwk".to_owned(), too_large.public().into());
    let proof = too_large.jws(
        &Value::Object(header.clone()).to_string(),
        &client.payload(),
    );
    client.case.refuse_key("4104 bits", &proof, weak).await;

    // josekit signs with nothing so small; that it is refused before is what counts.
    for bits in [512, 1024, 2040] {
        header.insert(
            "jwk".to_owned(),
            JoseKey::from_private(Algorithm::Ps256, rsa(bits))
                .public()
                .into(),
        );
        let input = signing_input(
            &Value::Object(header.clone()).to_string(),
            &client.payload(),
        );
        let signature = vec![1; usize::try_from(bits / 8).unwrap()];
        let proof = format!("{input}.{}", base64url(signature));
        client
            .case
            .refuse_key(&format!("{bits} bits"), &proof, weak)
            .await;
    }
}

#[tokio::test]
async fn rfc_7515_section_4_1_11_critical_extensions_are_refused() {
    let case = Case::new();
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!(["alg"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("crit", json!("exp")),
        ("crit", json!({})),
        ("b64", json!(true)),
        ("b64", json!(false)),
        ("b64", json!(null)),
    ] {
        let proof = case.proof().header(name, value.clone()).sign();
        let what = format!("{name}: {value}");
        case.refuse(&what, &proof, "proof_crit_not_supported").await;
    }
    let both = case
        .proof()
        .header("crit", json!(["b64"]))
        .header("b64", false);
    case.refuse("both", &both.sign(), "proof_crit_not_supported")
        .await;
    case.finish().await;
}

#[tokio::test]
async fn unknown_header_parameters_and_claims_are_ignored() {
    let case = Case::new();
    for name in [
        "kid",
        "jku",
        "x5u",
        "x5t",
        "cty",
        "zip",
        "iss",
        "http://example.com/x",
    ] {
        for value in [json!("x"), json!(null), json!(["x", {"y": 1}])] {
            let proof = case.proof().header(name, value.clone()).sign();
            case.check(&format!("{name}: {value}"), &proof, Verdict::LetIn)
                .await;
        }
    }
    for name in [
        "iss",
        "sub",
        "aud",
        "cnf",
        "bdh",
        "typ",
        "http://example.com/x",
    ] {
        for value in [json!("x"), json!(null), json!(["x", {"y": 1}])] {
            let proof = case.proof().claim(name, value.clone()).sign();
            case.check(&format!("{name}: {value}"), &proof, Verdict::LetIn)
                .await;
        }
    }
}

#[tokio::test]
async fn a_key_elsewhere_in_the_header_is_not_the_key() {
    let case = Case::new();
    let other = TestClient::new().clock(case.api.clock.clone());
    let proof = other
        .proof("GET", URL)
        .access_token(&case.token)
        .header("kid", case.api.client.thumbprint().to_string())
        .header("jku", "https://evil.test/jwks")
        .header("x5c", json!(["MII"]));
    // It is the other client's proof, however much it says about this one.
    assert_eq!(
        case.send(&proof.sign()).await,
        crate::support::invalid_token("token_binding_mismatch")
    );
    case.finish().await;
}

#[tokio::test]
async fn without_configured_nonces_a_nonce_is_ignored_unless_it_is_no_text() {
    let case = Case::new();
    for nonce in ["", "any", "eyJ7S_zG.eyJH0-Z.HX4w-7v"] {
        let proof = case.proof().nonce(nonce).sign();
        case.check(nonce, &proof, Verdict::LetIn).await;
    }
    for nonce in [json!(null), json!(7), json!([]), json!({}), json!(true)] {
        let proof = case.proof().claim("nonce", nonce.clone()).sign();
        case.refuse(&nonce.to_string(), &proof, "proof_invalid_claim")
            .await;
    }
}

#[tokio::test]
async fn section_4_3_item_12_ath_is_the_hash_of_this_token() {
    let case = Case::new();
    let claims = object(&case.proof().payload_json());
    let good = claims["ath"].as_str().unwrap().to_owned();
    let octets = from_base64url(&good);
    let hash = |text: &str| object(&case.api.proof(text).payload_json())["ath"].clone();
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(&good[42..]).unwrap();
    for (what, ath) in [
        ("of another token", hash(&case.api.token().mint())),
        ("of nothing", hash("")),
        ("of the header", hash(&format!("DPoP {}", case.token))),
        ("of less", hash(&case.token[..case.token.len() - 1])),
        ("of the hash", hash(&good)),
        ("the token", json!(case.token)),
        ("padded", json!(format!("{good}="))),
        (
            "loose",
            json!(format!("{}{}", &good[..42], &alphabet[last + 1..][..1])),
        ),
        ("shortened", json!(good[..42])),
        ("longer", json!(format!("{good}A"))),
        ("hex", json!(hex)),
        ("base64url of hex", json!(base64url(&hex))),
        ("half", json!(base64url(&octets[..16]))),
        ("lower case", json!(good.to_lowercase())),
        ("white space", json!(format!("{good} "))),
    ] {
        let proof = case.proof().claim("ath", ath).sign();
        case.refuse(what, &proof, "proof_ath_mismatch").await;
    }
    case.finish().await;
}

#[tokio::test]
async fn section_4_3_item_8_htm_is_the_method_to_the_letter() {
    let case = Case::new();
    for htm in [
        "get",
        "Get",
        "POST",
        "HEAD",
        "GET ",
        " GET",
        "GET,POST",
        "*",
        "G\u{112}T",
    ] {
        let proof = case.proof().claim("htm", htm).sign();
        case.refuse(htm, &proof, "proof_htm_mismatch").await;
    }
    for (method, htm, expected) in [
        (Method::POST, "POST", Verdict::LetIn),
        (Method::POST, "GET", invalid_proof("proof_htm_mismatch")),
        (Method::POST, "post", invalid_proof("proof_htm_mismatch")),
        // axum answers HEAD with the handler of GET.
        (Method::HEAD, "HEAD", Verdict::LetIn),
        (Method::HEAD, "GET", invalid_proof("proof_htm_mismatch")),
    ] {
        let proof = case.proof().claim("htm", htm).sign();
        let request = case
            .api
            .client
            .request_with_proof(method.clone(), URL, &case.token, &proof);
        assert_eq!(case.api.send(request).await, expected, "{htm} for {method}");
    }
    case.finish().await;
}

#[tokio::test]
async fn section_4_3_item_9_equivalent_spellings_of_htu_are_accepted() {
    let case = Case::new();
    for htu in [
        "HTTPS://api.test/orders",
        "https://API.TEST/orders",
        "https://api.test:443/orders",
        "https://api.test:/orders",
        "https://api.test:0443/orders",
        "https://api.test/%6Frders",
        "https://api.test/%6frders",
        "https://api.test/./orders",
        "https://api.test/a/../orders",
        "https://api.test/../orders",
        "https://api.test/orders?",
        "https://api.test/orders?a=/b&c",
        "https://api.test/orders#fragment",
        "https://api.test/orders?a#b",
        "https://api.test/%2E/orders",
    ] {
        let proof = case.proof().claim("htu", htu).sign();
        case.check(htu, &proof, Verdict::LetIn).await;
    }
}

#[tokio::test]
async fn section_4_3_item_9_the_query_of_the_request_is_not_part_of_htu() {
    let case = Case::new();
    for htu in [
        URL,
        "https://api.test/orders?a=1",
        "https://api.test/orders?b=2",
    ] {
        let proof = case.proof().claim("htu", htu).sign();
        let request: Request<()> = case.api.client.request_with_proof(
            Method::GET,
            "https://api.test/orders?a=1",
            &case.token,
            &proof,
        );
        assert_eq!(case.api.send(request).await, Verdict::LetIn, "{htu}");
    }
}

#[tokio::test]
async fn section_4_3_item_9_another_htu_is_refused() {
    let case = Case::new();
    let (mismatch, invalid) = ("proof_htu_mismatch", "proof_htu_invalid");
    for (htu, reason) in [
        ("http://api.test/orders", mismatch),
        ("http://api.test:443/orders", mismatch),
        ("https://api.test:80/orders", mismatch),
        ("https://api.test:8443/orders", mismatch),
        ("https://api.test./orders", mismatch),
        ("https://api.test.evil.test/orders", mismatch),
        ("https://evil.test/orders", mismatch),
        ("https://evil.test/https://api.test/orders", mismatch),
        ("https://www.api.test/orders", mismatch),
        ("https://127.0.0.1/orders", mismatch),
        ("https://api.test", mismatch),
        ("https://api.test/", mismatch),
        ("https://api.test?/orders", mismatch),
        ("https://api.test/Orders", mismatch),
        ("https://api.test/ORDERS", mismatch),
        ("https://api.test/orders/", mismatch),
        ("https://api.test//orders", mismatch),
        ("https://api.test/orders//", mismatch),
        ("https://api.test/a//../orders", mismatch),
        ("https://api.test/%2Forders", mismatch),
        ("https://api.test/orders%2F", mismatch),
        ("https://api.test/orders%3F", mismatch),
        ("https://api.test/orders%00", mismatch),
        ("https://api.test/%4Frders", mismatch),
        ("https://api.test/%256Frders", mismatch),
        ("https://api.test/orders;v=1", mismatch),
        ("https://api.test/orders/7", mismatch),
        ("https://api.test/order", mismatch),
        ("https://api.test/v1/orders", mismatch),
        ("https://user@api.test/orders", invalid),
        ("https://api.test@evil.test/orders", invalid),
        ("https://api.test:x/orders", invalid),
        ("https://api.test:70000/orders", invalid),
        ("https://api.test/%zz", invalid),
        ("https://api.test/orders ", invalid),
        (" https://api.test/orders", invalid),
        ("https:/api.test/orders", invalid),
        ("https:api.test/orders", invalid),
        ("//api.test/orders", invalid),
        ("api.test/orders", invalid),
        ("/orders", invalid),
        ("orders", invalid),
        ("*", invalid),
        ("https://", invalid),
        ("https:///orders", invalid),
        ("ftp://api.test/orders", invalid),
        ("wss://api.test/orders", invalid),
        ("https://\u{430}pi.test/orders", invalid),
        ("https://api.test\\orders", invalid),
    ] {
        let proof = case.proof().claim("htu", htu).sign();
        case.refuse(htu, &proof, reason).await;
    }
    case.finish().await;
}

#[tokio::test]
async fn section_4_3_item_9_a_proof_does_not_fit_a_request_for_another_spelling() {
    let case = Case::new();
    for path in [
        "/Orders",
        "/orders/",
        "//orders",
        "/orders//",
        "/%2Forders",
        "/orders%2F",
        "/orders;v=1",
        "/",
    ] {
        let mut request = case.api.client.get(URL, &case.token);
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(
            case.api.send(request).await,
            invalid_proof("proof_htu_mismatch"),
            "{path}"
        );
    }
    case.finish().await;
}

#[tokio::test]
async fn section_4_3_item_11_iat_lies_within_the_window_to_the_second() {
    let (old, future) = ("proof_too_old", "proof_from_future");
    for (max_age, leeway) in [(60, 10), (1, 0), (300, 0), (5, 3600)] {
        let case = Case::of(Api::with(
            |tokens| tokens,
            |config| {
                config
                    .max_age(Duration::from_secs(max_age))
                    .leeway(Duration::from_secs(leeway))
            },
        ));
        let (max_age, leeway) = (max_age.cast_signed(), leeway.cast_signed());
        for (offset, expected) in [
            (-max_age - leeway - 1, invalid_proof(old)),
            (-max_age - leeway, Verdict::LetIn),
            (0, Verdict::LetIn),
            (leeway, Verdict::LetIn),
            (leeway + 1, invalid_proof(future)),
        ] {
            let proof = case.proof().claim("iat", case.api.now() + offset).sign();
            let what = format!("{offset} s with {max_age} s and {leeway} s");
            case.check(&what, &proof, expected).await;
        }
    }
}

#[tokio::test]
async fn section_4_3_item_11_the_default_window_is_70_s_back_and_10_s_ahead() {
    let case = Case::new();
    for (offset, expected) in [
        (-71, invalid_proof("proof_too_old")),
        (-70, Verdict::LetIn),
        (10, Verdict::LetIn),
        (11, invalid_proof("proof_from_future")),
    ] {
        let proof = case.proof().claim("iat", case.api.now() + offset).sign();
        case.check(&offset.to_string(), &proof, expected).await;
    }
    // The same seen from a proof whose time passes.
    let (last, late) = (case.proof().sign(), case.proof().sign());
    case.api.advance(70);
    case.check("70 s later", &last, Verdict::LetIn).await;
    case.api.advance(1);
    case.refuse("71 s later", &late, "proof_too_old").await;
}

#[tokio::test]
async fn no_iat_is_too_extreme_for_arithmetic() {
    let case = Case::new();
    let (old, future) = ("proof_too_old", "proof_from_future");
    let payload = case.proof().without_claim("iat").payload_json();
    for (iat, reason) in [
        ("-9223372036854775808", old),
        ("-9223372036854775809", old),
        ("-9223372036854775000", old),
        ("-1", old),
        ("0", old),
        ("-0", old),
        ("1e-300", old),
        ("-1e300", old),
        ("-1.7976931348623157e308", old),
        ("9223372036854775807", future),
        ("9223372036854775808", future),
        ("9223372036854775737", future),
        ("18446744073709551615", future),
        ("18446744073709551616", future),
        ("1e300", future),
        ("1.7976931348623157e308", future),
        ("1e999", "proof_malformed"),
        ("-1e999", "proof_malformed"),
        ("NaN", "proof_malformed"),
        ("Infinity", "proof_malformed"),
        ("0x6b49d200", "proof_malformed"),
        ("01800000000", "proof_malformed"),
        ("+1800000000", "proof_malformed"),
        // Milliseconds, the usual slip.
        ("1800000000000", future),
    ] {
        let text = format!("{{\"iat\":{iat},{}", &payload[1..]);
        let proof = case.proof().raw_payload(text).sign();
        case.refuse(iat, &proof, reason).await;
    }
    case.finish().await;
}

#[tokio::test]
async fn rfc_7519_section_2_iat_may_have_a_fraction() {
    let case = Case::new();
    let payload = case.proof().without_claim("iat").payload_json();
    let now = case.api.now();
    for (iat, expected) in [
        (format!("{now}.0"), Verdict::LetIn),
        (format!("{now}.999"), Verdict::LetIn),
        ("1.8e9".to_owned(), Verdict::LetIn),
        (format!("{}.5", now + 10), Verdict::LetIn),
        (format!("{}.5", now - 70), Verdict::LetIn),
        (format!("{}.5", now - 71), invalid_proof("proof_too_old")),
        (
            format!("{}.0", now + 11),
            invalid_proof("proof_from_future"),
        ),
    ] {
        // Equal proofs would be replays of each other.
        let payload = payload.replacen("\"jti\":\"", &format!("\"jti\":\"{iat}"), 1);
        let text = format!("{{\"iat\":{iat},{}", &payload[1..]);
        let proof = case.proof().raw_payload(text).sign();
        case.check(&iat, &proof, expected).await;
    }
}

#[tokio::test]
async fn exp_and_nbf_of_a_proof_are_obeyed() {
    let case = Case::new();
    let now = case.api.now();
    let (expired, early) = ("proof_expired", "proof_not_yet_valid");
    for (name, value, expected) in [
        ("exp", json!(now + 60), Verdict::LetIn),
        ("exp", json!(now), Verdict::LetIn),
        ("exp", json!(now - 9), Verdict::LetIn),
        ("exp", json!(now - 10), invalid_proof(expired)),
        ("exp", json!(0), invalid_proof(expired)),
        ("exp", json!(i64::MIN), invalid_proof(expired)),
        ("exp", json!(-1e300), invalid_proof(expired)),
        ("exp", json!(u64::MAX), Verdict::LetIn),
        ("nbf", json!(now), Verdict::LetIn),
        ("nbf", json!(now + 10), Verdict::LetIn),
        ("nbf", json!(now + 11), invalid_proof(early)),
        ("nbf", json!(u64::MAX), invalid_proof(early)),
        ("nbf", json!(1e300), invalid_proof(early)),
        ("nbf", json!(i64::MIN), Verdict::LetIn),
    ] {
        let proof = case.proof().claim(name, value.clone()).sign();
        case.check(&format!("{name}: {value}"), &proof, expected)
            .await;
    }
    for name in ["exp", "nbf"] {
        for value in [
            json!(null),
            json!("1"),
            json!(true),
            json!([now]),
            json!({}),
        ] {
            let proof = case.proof().claim(name, value.clone()).sign();
            let what = format!("{name}: {value}");
            case.refuse(&what, &proof, "proof_invalid_claim").await;
        }
    }
}

#[tokio::test]
async fn a_jti_has_1_to_256_octets() {
    let case = Case::new();
    for (jti, expected) in [
        ("a".to_owned(), Verdict::LetIn),
        (" ".to_owned(), Verdict::LetIn),
        ("\0".to_owned(), Verdict::LetIn),
        ("a".repeat(256), Verdict::LetIn),
        ("\u{e9}".repeat(128), Verdict::LetIn),
        ("a".repeat(257), invalid_proof("proof_invalid_claim")),
        ("\u{e9}".repeat(129), invalid_proof("proof_invalid_claim")),
    ] {
        let proof = case.proof().claim("jti", jti.as_str()).sign();
        case.check(&jti, &proof, expected).await;
    }
}

#[tokio::test]
async fn a_proof_has_at_most_16_kib() {
    let case = Case::new();
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
    case.check("8 KiB", &of_len(8 * 1024), Verdict::LetIn).await;
    case.check("16 KiB", &of_len(16 * 1024), Verdict::LetIn)
        .await;
    case.refuse("more", &of_len(16 * 1024 + 1), "proof_too_long")
        .await;
    case.refuse("junk", &"a".repeat(1 << 20), "proof_too_long")
        .await;
}

#[tokio::test]
async fn section_4_3_item_6_the_signature_verifies_with_the_key_in_the_header() {
    let case = Case::new();
    let invalid = "proof_signature_invalid";
    let other = TestClient::new();
    let good = case.proof().sign();
    let (input, signature) = good.rsplit_once('.').unwrap();
    let octets = from_base64url(signature);
    let with = |octets: &[u8]| format!("{input}.{}", base64url(octets));
    let stolen = case.proof().sign();
    let (_, of_another) = stolen.rsplit_once('.').unwrap();
    for (what, proof) in [
        ("corrupt", case.proof().corrupt_signature().sign()),
        ("by another key", case.proof().signed_by(&other).sign()),
        ("empty", case.proof().empty_signature().sign()),
        ("of another proof", format!("{input}.{of_another}")),
        ("truncated", with(&octets[..63])),
        ("r only", with(&octets[..32])),
        ("longer", with(&[&octets[..], &[0]].concat())),
        ("all zero", with(&[0; 64])),
        ("all one", with(&[0xff; 64])),
        ("DER", with(&der_signature(&octets))),
        ("as hex", with(format!("{octets:02x?}").as_bytes())),
    ] {
        case.refuse(what, &proof, invalid).await;
    }
    case.check("as it is", &good, Verdict::LetIn).await;
    // The key is known by now; nothing is let through on that account.
    let proof = case.proof().corrupt_signature().sign();
    case.refuse("corrupt, known key", &proof, invalid).await;
}

#[tokio::test]
async fn section_4_3_item_6_the_signature_covers_header_and_payload_as_sent() {
    let case = Case::new();
    let draft = case.proof();
    let good = draft.clone().sign();
    let (_, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = (draft.header_json(), draft.payload_json());
    for (what, header, payload) in [
        ("white space", format!("{header} "), payload.clone()),
        ("white space", header.clone(), format!(" {payload}")),
        (
            "a claim",
            header.clone(),
            draft.clone().claim("z", 1).payload_json(),
        ),
        (
            "the jti",
            header,
            draft.clone().claim("jti", "z").payload_json(),
        ),
    ] {
        let proof = format!("{}.{signature}", signing_input(&header, &payload));
        case.refuse(what, &proof, "proof_signature_invalid").await;
    }
    case.check("as it is", &good, Verdict::LetIn).await;
}
