use dpop_tower::{
    ConfigErrorKind, DpopConfig, Issuer, PublicOrigin,
    future::MaybeReady,
    test_util::TestIssuer,
    token::{DynamicIssuers, IssuerSource, TokenError},
};

use super::{Api, FAILED, Pair, issuer, keys};
use crate::support::{ORIGIN, Verdict, invalid_token, unavailable};

fn two() -> [TestIssuer; 2] {
    ["https://a.test", "https://b.test"].map(issuer)
}

#[tokio::test]
async fn the_key_has_to_be_one_of_the_issuer_that_the_token_names() {
    let [a, b] = two();
    let (for_a, for_b) = (Pair::p256("1"), Pair::p256("2"));
    let api = Api::new([
        a.tokens().decryption_keys(for_a.keys()),
        b.tokens()
            .decryption_keys(for_b.keys())
            .require_encrypted_tokens(),
    ]);
    let [of_a, of_b] = [&a, &b].map(|issuer| api.token(issuer));
    for _ in 0..2 {
        assert_eq!(api.present(&for_a.encrypt(&of_a)).await, Verdict::Admitted);
        assert_eq!(api.present(&for_b.encrypt(&of_b)).await, Verdict::Admitted);
        let other = invalid_token("token_issuer_mismatch");
        assert_eq!(api.present(&for_a.encrypt(&of_b)).await, other);
        assert_eq!(api.present(&for_b.encrypt(&of_a)).await, other);
        assert_eq!(api.present(&of_a).await, Verdict::Admitted);
        let needed = invalid_token("token_encryption_needed");
        assert_eq!(api.present(&of_b).await, needed);
        // An issuer that is not configured, encrypted by somebody who knows the public key.
        let unknown = for_a.encrypt(&api.token(&issuer("https://c.test")));
        assert_eq!(api.present(&unknown).await, other);
    }
}

#[tokio::test]
async fn an_issuer_without_keys_has_no_encrypted_tokens() {
    let [a, b] = two();
    let pair = Pair::p256("1");
    let api = Api::new([a.tokens().decryption_keys(pair.keys()), b.tokens()]);
    let token = pair.encrypt(&api.token(&b));
    let other = invalid_token("token_issuer_mismatch");
    assert_eq!(api.present(&token).await, other);
    assert_eq!(api.present(&api.token(&b)).await, Verdict::Admitted);
}

#[tokio::test]
async fn issuers_can_encrypt_for_the_same_key() {
    let [a, b] = two();
    let pair = Pair::p256("1");
    let shared = pair.keys();
    let api = Api::new([
        a.tokens().decryption_keys(shared.clone()),
        b.tokens().decryption_keys(pair.keys()),
    ]);
    for issuer in [&a, &b] {
        let token = pair.encrypt(&api.token(issuer));
        assert_eq!(api.present(&token).await, Verdict::Admitted);
    }
    // The key of the one is replaced by another of the same `kid`.
    let another = Pair::p256("1");
    shared.replace_with(&another.keys());
    let token = pair.encrypt(&api.token(&b));
    assert_eq!(api.present(&token).await, FAILED);
    let ambiguous = another.encrypt(&api.token(&a));
    assert_eq!(api.present(&ambiguous).await, FAILED);
    // That of the other alone still counts.
    shared.replace_with(&Pair::p256("2").keys());
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    let other = invalid_token("token_issuer_mismatch");
    assert_eq!(api.present(&pair.encrypt(&api.token(&a))).await, other);
}

#[test]
fn different_keys_of_one_kid_are_an_error() {
    let [a, b] = two();
    let config = |first: Issuer, second: Issuer| {
        DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), [first, second]).build()
    };
    let (one, other) = (Pair::p256("1"), Pair::p256("1"));
    let several = keys([&Pair::p256("0"), &other]);
    let error = config(
        a.tokens().decryption_keys(one.keys()),
        b.tokens().decryption_keys(several),
    )
    .unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Decryption);
    assert_eq!(error.issuer(), Some("https://b.test"));
    assert!(
        error.to_string().contains(r#"key "1" has the same `kid`"#),
        "{error}"
    );
}

#[derive(Debug)]
struct Encrypting(Issuers);

type Issuers = std::sync::Mutex<Option<Issuer>>;

impl IssuerSource for Encrypting {
    fn issuer(&self, _: &str) -> MaybeReady<Result<Option<Issuer>, TokenError>> {
        MaybeReady::ready(Ok(self.0.lock().unwrap().take()))
    }
}

#[tokio::test]
async fn issuers_that_are_looked_up_have_no_encrypted_tokens() {
    let [a, _] = two();
    let pair = Pair::p256("1");
    let tokens = a.tokens().decryption_keys(pair.keys());
    let api = Api::new(DynamicIssuers::new(Encrypting(Some(tokens).into())));
    let jwt = api.token(&a);
    let malformed = invalid_token("token_malformed");
    assert_eq!(api.present(&pair.encrypt(&jwt)).await, malformed);
    let verdict = api.present(&jwt).await;
    assert_eq!(verdict, unavailable("token_verifier_unavailable"));
}
