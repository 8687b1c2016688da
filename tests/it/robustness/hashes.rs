//! SHA-256 and HMAC-SHA-256 of both crypto backends: known answers, and agreement with each other.

use super::crypto::BACKENDS;
use dpop_tower::{
    ConfigErrorKind, DpopConfig, PublicOrigin,
    crypto::{Algorithm, AwsLcRs, CryptoProvider, InvalidKey, Josekit, PreparedKey},
    jwk::PublicJwk,
    test_util::TestIssuer,
};
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, any},
    prop_assert_eq, proptest,
};
use sha2::{Digest as _, Sha256};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cuts a message into parts of this many bytes, with an empty part between two of them.
fn parts(message: &[u8], size: usize) -> Vec<&[u8]> {
    message
        .chunks(size)
        .flat_map(|part| [part, &[][..]])
        .collect()
}

fn assert_sha256(message: &[u8], expected: &str) {
    for (name, backend) in BACKENDS {
        assert_eq!(hex(&backend.sha256(&[message])), expected, "{name}");
        for size in [1, 63, 64, 65] {
            let hash = backend.sha256(&parts(message, size));
            assert_eq!(hex(&hash), expected, "{name}, parts of {size}");
        }
    }
}

/// The vectors of whole bytes, except for the longest.
#[test]
fn rfc_6234_section_8_5_sha_256_has_the_known_answers() {
    let numbers = b"0123456701234567012345670123456701234567012345670123456701234567".repeat(10);
    let random = [
        0xe3, 0xd7, 0x25, 0x70, 0xdc, 0xdd, 0x78, 0x7c, 0xe3, 0x88, 0x7a, 0xb2, 0xcd, 0x68, 0x46,
        0x52,
    ];
    for (message, expected) in [
        (
            &b"abc"[..],
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (
            &b"a".repeat(1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        ),
        (
            &numbers,
            "594847328451bdfa85056225462cc1d867d877fb388df0ce35f25ab5562bfbb5",
        ),
        (
            &[0x19],
            "68aa2e2ee5dff96e3355e6c7ee373e3d6a4e17f75f9518d843709c0c9bc3e3d4",
        ),
        (
            &random,
            "175ee69b02ba9b58e2b0a5fd13819cea573f3940a94f825128cf4209beabb4e8",
        ),
    ] {
        assert_sha256(message, expected);
    }
}

#[test]
fn nothing_at_all_has_a_hash() {
    let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_sha256(&[], expected);
    for (name, backend) in BACKENDS {
        assert_eq!(hex(&backend.sha256(&[])), expected, "{name}");
    }
}

#[test]
fn rfc_4231_section_4_hmac_sha_256_has_the_known_answers() {
    let counting: Vec<u8> = (1..=25).collect();
    for (key, message, expected) in [
        (
            &[0x0b; 20][..],
            &b"Hi There"[..],
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            &counting,
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            &[0x0c; 20],
            b"Test With Truncation",
            // The RFC has the first half.
            "a3b6167473100ee06e0c796c2955552b",
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            &[0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. \
              The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ] {
        for (name, backend) in BACKENDS {
            let whole = hex(&backend.hmac_sha256(key, &[message]));
            assert_eq!(&whole[..expected.len()], expected, "{name}");
            for size in [1, 64] {
                let cut = hex(&backend.hmac_sha256(key, &parts(message, size)));
                assert_eq!(cut, whole, "{name}, parts of {size}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn backends_agree_on_every_hash(message in vec(vec(any::<u8>(), 0..200), 0..4)) {
        let parts: Vec<&[u8]> = message.iter().map(Vec::as_slice).collect();
        let expected: [u8; 32] = Sha256::digest(message.concat()).into();
        prop_assert_eq!(AwsLcRs.sha256(&parts), expected);
        prop_assert_eq!(Josekit.sha256(&parts), expected);
    }

    #[test]
    fn backends_agree_on_every_mac(
        key in vec(any::<u8>(), 0..200),
        message in vec(vec(any::<u8>(), 0..200), 0..4),
    ) {
        let parts: Vec<&[u8]> = message.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(AwsLcRs.hmac_sha256(&key, &parts), Josekit.hmac_sha256(&key, &parts));
    }
}

#[test]
fn hashes_are_computed_by_many_threads_at_once() {
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            scope.spawn(move || {
                for round in 0..200_u8 {
                    let message = [thread, round];
                    let expected: [u8; 32] = Sha256::digest(message).into();
                    for (name, backend) in BACKENDS {
                        assert_eq!(backend.sha256(&[&message]), expected, "{name}");
                    }
                }
            });
        }
    });
}

/// A backend that verifies correctly, but hashes every message to the same value.
#[derive(Debug)]
struct Constant;

impl CryptoProvider for Constant {
    fn supports(&self, algorithm: Algorithm) -> bool {
        AwsLcRs.supports(algorithm)
    }

    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey> {
        AwsLcRs.prepare(key, algorithm)
    }

    fn sha256(&self, _: &[&[u8]]) -> [u8; 32] {
        [0; 32]
    }

    fn hmac_sha256(&self, _: &[u8], _: &[&[u8]]) -> [u8; 32] {
        [0; 32]
    }
}

#[test]
fn a_backend_without_hashes_is_a_mistake_in_the_configuration() {
    let origin = PublicOrigin::new("https://api.example.com").unwrap();
    let builder = DpopConfig::builder(origin, TestIssuer::new().tokens());
    let error = builder.crypto(Constant).build().unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Crypto);
    assert!(error.to_string().contains("SHA-256"), "{error}");
}
