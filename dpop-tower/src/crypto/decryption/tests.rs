use ::josekit::{
    Value as Json,
    jwe::{
        ECDH_ES, ECDH_ES_A128KW, JweContentEncryption as _, JweDecrypter as _, JweHeader,
        RSA_OAEP_256, enc::aesgcm::AesgcmJweEncryption,
    },
    jwk::Jwk,
};
use openssl::{
    ec::{EcGroup, EcKey},
    nid::Nid,
    pkey::{PKey, Private},
    rsa::Rsa,
};

use super::{
    Header, KeyRing, KeyRingError,
    ring::{DecryptionKey, Unusable},
};
use crate::{
    crypto::private::PrivateKeyError,
    jose::{base64url, encrypted::CompactJwe, json::Object},
};

/// RFC 7520 section 5.4.1
const RFC_7520_KEY: &str = r#"{"keys":[{
    "kty": "EC",
    "kid": "peregrin.took@tuckborough.example",
    "use": "enc",
    "crv": "P-384",
    "x": "YU4rRUzdmVqmRtWOs2OpDE_T5fsNIodcG8G5FWPrTPMyxpzsSOGaQLpe2FpxBmu2",
    "y": "A8-yxCHxkfBz3hKZfI1jUYMjUhsEveZ9THuwFjH2sCNdtksRJU7D5-SkgaFL1ETP",
    "d": "iTx2pk7wW-GqJkHcEkFQb2EFyYcO7RugmaW3mRrQVAOUiPommT0IdnYK2xDlZh-j"
}]}"#;

/// RFC 7520 section 5.4.5
const RFC_7520_JWE: &str = "\
    eyJhbGciOiJFQ0RILUVTK0ExMjhLVyIsImtpZCI6InBlcmVncmluLnRvb2tAdH\
    Vja2Jvcm91Z2guZXhhbXBsZSIsImVwayI6eyJrdHkiOiJFQyIsImNydiI6IlAt\
    Mzg0IiwieCI6InVCbzRrSFB3Nmtiang1bDB4b3dyZF9vWXpCbWF6LUdLRlp1NH\
    hBRkZrYllpV2d1dEVLNml1RURzUTZ3TmROZzMiLCJ5Ijoic3AzcDVTR2haVkMy\
    ZmFYdW1JLWU5SlUyTW84S3BvWXJGRHI1eVBOVnRXNFBnRXdaT3lRVEEtSmRhWT\
    h0YjdFMCJ9LCJlbmMiOiJBMTI4R0NNIn0\
    .0DJjBXri_kBcC46IkU5_Jk9BqaQeHdv2\
    .mH-G2zVqgztUtnW_\
    .tkZuOO9h95OgHJmkkrfLBisku8rGf6nzVxhRM3sVOhXgz5NJ76oID7lpnAi_cP\
    WJRCjSpAaUZ5dOR3Spy7QuEkmKx8-3RCMhSYMzsXaEwDdXta9Mn5B7cCBoJKB0\
    IgEnj_qfo1hIi-uEkUpOZ8aLTZGHfpl05jMwbKkTe2yK3mjF6SBAsgicQDVCkc\
    Y9BLluzx1RmC3ORXaM0JaHPB93YcdSDGgpgBWMVrNU1ErkjcMqMoT_wtCex3w0\
    3XdLkjXIuEr2hWgeP-nkUZTPU9EoGSPj6fAS-bSz87RCPrxZdj_iVyC6QWcqAu\
    07WNhjzJEPc4jVntRJ6K53NgPQ5p99l3Z408OUqj4ioYezbS6vTPlQ\
    .WuGzxmcreYjpHGJoa17EBg";

/// RFC 7520 section 5
const RFC_7520_TEXT: &str = "You can trust us to stick with you through thick and thin\u{2013}to the \
    bitter end. And you can trust us to keep any secret of yours\u{2013}closer than you keep it yourself. \
    But you cannot trust us to let you face trouble alone, and go off without a word. We are your friends, \
    Frodo.";

/// RFC 7518 appendix C
const BOB: &str = r#"{
    "kty": "EC",
    "kid": "bob",
    "crv": "P-256",
    "x": "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
    "y": "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
    "d": "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"
}"#;

fn set(jwk: &str) -> String {
    format!(r#"{{"keys":[{jwk}]}}"#)
}

fn ring(jwk: &str) -> KeyRing {
    KeyRing::from_jwk_set(&set(jwk)).unwrap()
}

/// Decrypts without the checks for nested tokens, which these examples are not.
fn decrypt(key: &DecryptionKey, jwe: &str) -> Result<Vec<u8>, &'static str> {
    let jwe = CompactJwe::split(jwe).unwrap();
    let header = jwe.header().unwrap();
    let header = Header::read(&Object::parse(&header).unwrap())?;
    key.decrypt(&header, &jwe)
}

/// A private key as a JWK with these members in addition.
fn ec_jwk(nid: Nid, members: &str) -> String {
    let group = EcGroup::from_curve_name(nid).unwrap();
    jwk(
        &PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap(),
        members,
    )
}

fn rsa_jwk(bits: u32, members: &str) -> String {
    jwk(
        &PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap(),
        members,
    )
}

fn jwk(key: &PKey<Private>, members: &str) -> String {
    let public = crate::crypto::private::openssl::public_jwk(key).unwrap();
    let number = |number: &openssl::bn::BigNumRef| base64url::encode(&number.to_vec());
    let private = if let Ok(ec) = key.ec_key() {
        let len = ec.group().degree().div_ceil(8);
        let d = ec.private_key().to_vec_padded(len.try_into().unwrap());
        format!(r#","d":"{}""#, base64url::encode(&d.unwrap()))
    } else {
        let rsa = key.rsa().unwrap();
        let [p, q, dp, dq, qi] =
            [rsa.p(), rsa.q(), rsa.dmp1(), rsa.dmq1(), rsa.iqmp()].map(|n| number(n.unwrap()));
        let d = number(rsa.d());
        format!(r#","d":"{d}","p":"{p}","q":"{q}","dp":"{dp}","dq":"{dq}","qi":"{qi}""#)
    };
    public.replace('}', &format!("{private}{members}}}"))
}

#[test]
fn rfc_7520_section_5_4_the_example_is_decrypted() {
    let ring = KeyRing::from_jwk_set(RFC_7520_KEY).unwrap();
    let key = ring.find("peregrin.took@tuckborough.example").unwrap();
    let text = decrypt(key, RFC_7520_JWE).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), RFC_7520_TEXT);
}

#[test]
fn no_character_of_a_jwe_can_be_changed() {
    let ring = KeyRing::from_jwk_set(RFC_7520_KEY).unwrap();
    let key = ring.find("peregrin.took@tuckborough.example").unwrap();
    for (at, old) in RFC_7520_JWE.char_indices().filter(|(_, old)| *old != '.') {
        let mut jwe = RFC_7520_JWE.to_owned();
        let new = if old == 'A' { "B" } else { "A" };
        jwe.replace_range(at..=at, new);
        let parts = CompactJwe::split(&jwe).unwrap();
        let header = parts.header();
        let header = header.as_deref().and_then(Object::parse);
        let header = header.and_then(|header| Header::read(&header).ok());
        let result = header.map(|header| key.decrypt(&header, &parts));
        assert!(!matches!(result, Some(Ok(_))), "{at}");
    }
}

/// The example has no ciphertext, so one is made with the key that it derives.
#[test]
fn rfc_7518_appendix_c_the_key_is_derived() {
    let header = base64url::encode(
        br#"{"alg":"ECDH-ES","kid":"bob","enc":"A128GCM","apu":"QWxpY2U","apv":"Qm9i","epk":{"kty":"EC","crv":"P-256","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0","y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}}"#,
    );
    let key = base64url::decode("VqqN6vgjbSBcIijNcacQGg").unwrap();
    let (content, tag) = AesgcmJweEncryption::A128gcm
        .encrypt(&key, Some(&[7; 12]), b"text", header.as_bytes())
        .unwrap();
    let [iv, content, tag] = [&[7; 12][..], &content, &tag.unwrap()].map(base64url::encode);
    let jwe = format!("{header}..{iv}.{content}.{tag}");
    let ring = ring(BOB);
    assert_eq!(decrypt(ring.find("bob").unwrap(), &jwe).unwrap(), b"text");
    // A tag of which OpenSSL would compare only the beginning.
    let cut = format!("{header}..{iv}.{content}.{}", &tag[..16]);
    assert!(decrypt(ring.find("bob").unwrap(), &cut).is_err());
}

/// An answer for a point of another curve tells something of the private key.
#[test]
fn points_off_the_curve_are_rejected_by_josekit() {
    for nid in [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1] {
        let jwk = Jwk::from_bytes(ec_jwk(nid, "")).unwrap();
        let decrypter = ECDH_ES.decrypter_from_jwk(&jwk).unwrap();
        let mut epk = jwk.to_public_key().unwrap();
        let mut agree = |y: &str| {
            epk.set_parameter("y", Some(Json::String(y.to_owned())))
                .unwrap();
            let mut header = JweHeader::new();
            header
                .set_claim("epk", Some(Json::Object(epk.as_ref().clone())))
                .unwrap();
            decrypter
                .decrypt(None, &AesgcmJweEncryption::A128gcm, &header)
                .is_ok()
        };
        let y = jwk
            .parameter("y")
            .and_then(Json::as_str)
            .unwrap()
            .to_owned();
        assert!(agree(&y));
        let mut bytes = base64url::decode(&y).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(!agree(&base64url::encode(&bytes)));
        assert!(!agree(&base64url::encode(&vec![0; bytes.len()])));
    }
}

/// josekit would panic, and abort a program that does not unwind.
#[test]
fn an_encrypted_key_has_the_length_of_its_algorithm() {
    let ring = KeyRing::from_jwk_set(RFC_7520_KEY).unwrap();
    let key = ring.find("peregrin.took@tuckborough.example").unwrap();
    let parts: Vec<&str> = RFC_7520_JWE.split('.').collect();
    for len in [0, 1, 7, 8, 23, 25, 32, 40, 4096] {
        let encrypted = base64url::encode(&vec![0; len]);
        let jwe = [parts[0], &encrypted, parts[2], parts[3], parts[4]].join(".");
        assert!(decrypt(key, &jwe).is_err(), "{len}");
    }
}

#[test]
fn an_rsa_key_decrypts_what_has_the_length_of_its_modulus() {
    let jwk = rsa_jwk(2048, r#","kid":"1""#);
    let ring = ring(&jwk);
    let encrypter = RSA_OAEP_256
        .encrypter_from_jwk(&Jwk::from_bytes(&jwk).unwrap())
        .unwrap();
    let mut header = JweHeader::new();
    header.set_content_encryption("A256GCM");
    let jwe = ::josekit::jwe::serialize_compact(b"text", &header, &encrypter).unwrap();
    let key = ring.find("1").unwrap();
    assert_eq!(decrypt(key, &jwe).unwrap(), b"text");
    let parts: Vec<&str> = jwe.split('.').collect();
    let whole = base64url::decode(parts[1]).unwrap();
    for encrypted in [
        &whole[1..],
        &whole[..255],
        &[&[0], &whole[..]].concat(),
        &[0; 256],
        &[0xff; 256],
        &[],
    ] {
        let encrypted = base64url::encode(encrypted);
        let jwe = [parts[0], &encrypted, parts[2], parts[3], parts[4]].join(".");
        assert!(decrypt(key, &jwe).is_err(), "{}", encrypted.len());
    }
}

#[test]
fn a_key_decrypts_with_the_algorithms_that_it_is_for() {
    for (restriction, is_good) in [
        (String::new(), true),
        (r#","alg":"ECDH-ES+A128KW""#.to_owned(), true),
        (r#","alg":"ECDH-ES""#.to_owned(), false),
        (r#","enc":"A128GCM""#.to_owned(), true),
        (r#","enc":"A256GCM""#.to_owned(), false),
    ] {
        let jwk = ec_jwk(Nid::SECP521R1, &format!(r#","kid":"1"{restriction}"#));
        let ring = ring(&jwk);
        let public = ec_only(&jwk);
        let encrypter = ECDH_ES_A128KW.encrypter_from_jwk(&public).unwrap();
        let mut header = JweHeader::new();
        header.set_content_encryption("A128GCM");
        let jwe = ::josekit::jwe::serialize_compact(b"text", &header, &encrypter).unwrap();
        let result = decrypt(ring.find("1").unwrap(), &jwe);
        assert_eq!(result.is_ok(), is_good, "{restriction}: {result:?}");
        let told = result.err().unwrap_or_default();
        assert_eq!(told.contains("of the key"), !is_good, "{told}");
    }
}

/// The key without `alg` and `enc`, which josekit obeys.
fn ec_only(jwk: &str) -> Jwk {
    let mut jwk = Jwk::from_bytes(jwk).unwrap();
    jwk.set_parameter("alg", None).unwrap();
    jwk.set_parameter("enc", None).unwrap();
    jwk
}

#[test]
fn an_ephemeral_key_is_on_the_curve_of_the_key() {
    let ring = ring(BOB);
    let error = decrypt(ring.find("bob").unwrap(), RFC_7520_JWE).unwrap_err();
    assert!(error.contains("curve"), "{error}");
}

#[test]
fn keys_of_every_kind_are_read() {
    let rsa = rsa_jwk(
        2048,
        r#","kid":"rsa","use":"enc","alg":"RSA-OAEP-256","enc":"A256GCM""#,
    );
    let p256 = ec_jwk(
        Nid::X9_62_PRIME256V1,
        r#","kid":"256","key_ops":["deriveKey"]"#,
    );
    let p384 = ec_jwk(Nid::SECP384R1, r#","kid":"384","alg":"ECDH-ES""#);
    let p521 = ec_jwk(Nid::SECP521R1, r#","kid":"521","x5c":[]"#);
    let all = ring(&[rsa, p256, p384, p521].join(","));
    let kids: Vec<&str> = all.ids().map(|id| id.kid.as_str()).collect();
    assert_eq!(kids, ["rsa", "256", "384", "521"]);

    let pem =
        |key: PKey<Private>| String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let rsa = pem(PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap());
    let pems = KeyRing::from_pkcs8_pem("pem", &rsa).unwrap();
    let both = all.and(&pems).unwrap();
    assert_eq!(both.ids().count(), 5);
    assert!(both.find("pem").is_some() && both.find("rsa").is_some());
    let twice = pems.and(&pems).unwrap_err();
    assert!(
        twice
            .to_string()
            .contains(r#""pem" cannot be used: another key has the same"#),
        "{twice}"
    );
}

#[test]
fn a_key_that_cannot_be_used_is_named_and_not_shown() {
    let good = ec_jwk(Nid::X9_62_PRIME256V1, r#","kid":"good""#);
    let p256 = |members: &str| ec_jwk(Nid::X9_62_PRIME256V1, members);
    let rsa = rsa_jwk(2048, r#","kid":"k""#);
    let without = |jwk: &str, name: &str| jwk.replace(&format!("\"{name}\":"), "\"gone\":");
    let other = Jwk::from_bytes(p256("")).unwrap();
    let d = other.parameter("d").and_then(Json::as_str).unwrap();
    let mixed = {
        let mut jwk = Jwk::from_bytes(p256(r#","kid":"k""#)).unwrap();
        jwk.set_parameter("d", Some(Json::String(d.to_owned())))
            .unwrap();
        jwk.to_string()
    };
    let ed25519 = r#"{"kty":"OKP","crv":"Ed25519","kid":"k","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    for (jwk, why) in [
        (p256(""), Unusable::NoKid),
        (p256(r#","kid":"""#), Unusable::NoKid),
        (p256(r#","kid":7"#), Unusable::NoKid),
        (p256(r#","kid":"good""#), Unusable::KidTwice),
        (
            p256(r#","kid":"k","use":"sig""#),
            Unusable::NotForDecryption,
        ),
        (
            p256(r#","kid":"k","key_ops":["sign"]"#),
            Unusable::NotForDecryption,
        ),
        (
            p256(r#","kid":"k","alg":"RSA-OAEP-256""#),
            Unusable::Algorithm,
        ),
        (p256(r#","kid":"k","alg":"ES256""#), Unusable::Algorithm),
        (p256(r#","kid":"k","alg":null"#), Unusable::Algorithm),
        (
            p256(r#","kid":"k","enc":"A128CBC-HS256""#),
            Unusable::Encryption,
        ),
        (
            without(&p256(r#","kid":"k""#), "d"),
            PrivateKeyError::NoPrivateHalf.into(),
        ),
        (without(&rsa, "qi"), PrivateKeyError::NoPrivateHalf.into()),
        (mixed, Unusable::Inconsistent),
        (ed25519.to_owned(), Unusable::Kind),
        (
            r#"{"kty":"oct","kid":"k","k":"AAAA"}"#.to_owned(),
            PrivateKeyError::Jwk(crate::jwk::JwkError::Symmetric).into(),
        ),
        (
            rsa_jwk(1024, r#","kid":"k""#),
            PrivateKeyError::Jwk(crate::jwk::JwkError::WeakKey).into(),
        ),
    ] {
        let error = KeyRing::from_jwk_set(&set(&format!("{good},{jwk}"))).unwrap_err();
        let KeyRingError::Key {
            position,
            why: found,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!((*position, *found), (Some(2), why), "{error}");
        let text = error.to_string();
        assert!(text.contains("at position 2"), "{text}");
        let secret: Json = serde_json::from_str(&jwk).unwrap();
        for member in ["d", "p", "k"] {
            let value = secret[member].as_str();
            assert!(value.is_none_or(|value| !text.contains(value)), "{text}");
        }
    }
    for text in [
        "",
        "{}",
        "[]",
        r#"{"keys":{}}"#,
        r#"{"keys":[7]}"#,
        &good,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        let error = KeyRing::from_jwk_set(text).unwrap_err();
        assert_eq!(error, KeyRingError::NotJwkSet, "{text}");
    }
    assert_eq!(
        KeyRing::from_jwk_set(r#"{"keys":[]}"#).unwrap_err(),
        KeyRingError::Empty
    );
    let long = format!(r#"{{"keys":[],"pad":"{}"}}"#, " ".repeat(64 * 1024));
    assert_eq!(
        KeyRing::from_jwk_set(&long).unwrap_err(),
        KeyRingError::NotJwkSet
    );
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let [one, other] = [0, 1].map(|_| EcKey::generate(&group).unwrap());
    let mixed = EcKey::from_private_components(&group, one.private_key(), other.public_key());
    let mixed = PKey::from_ec_key(mixed.unwrap()).unwrap();
    let mixed = String::from_utf8(mixed.private_key_to_pem_pkcs8().unwrap()).unwrap();
    for (pem, why) in [
        ("", PrivateKeyError::NotPem.into()),
        (mixed.as_str(), Unusable::Inconsistent),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            Unusable::Kind,
        ),
    ] {
        let error = KeyRing::from_pkcs8_pem("k", pem).unwrap_err();
        assert!(
            matches!(error, KeyRingError::Key { why: found, .. } if found == why),
            "{error}"
        );
    }
    let debug = format!("{:?}", ring(&good));
    let secret = Jwk::from_bytes(&good).unwrap();
    assert!(debug.contains("good"));
    assert!(!debug.contains(secret.parameter("d").and_then(Json::as_str).unwrap()));
}
