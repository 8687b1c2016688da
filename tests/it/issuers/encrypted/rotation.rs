use super::{Api, FAILED, Pair, encrypting, keys};
use crate::support::Verdict;

#[tokio::test]
async fn a_key_that_is_withdrawn_stops_working_for_tokens_that_were_admitted_before() {
    for (old, new) in [
        (Pair::p256("1"), Pair::p256("2")),
        (Pair::rsa("1"), Pair::p256("2")),
    ] {
        let in_use = old.keys();
        let (issuer, tokens) = encrypting(&in_use);
        let api = Api::new(tokens);
        let jwt = api.token(&issuer);
        let (by_old, by_new) = (old.encrypt(&jwt), new.encrypt(&jwt));
        assert_eq!(api.present(&by_old).await, Verdict::Admitted);
        assert_eq!(api.present(&by_new).await, FAILED);

        in_use.replace_with(&keys([&new, &old]));
        assert_eq!(api.present(&by_old).await, Verdict::Admitted);
        assert_eq!(api.present(&by_new).await, Verdict::Admitted);

        in_use.replace_with(&new.keys());
        assert_eq!(api.present(&by_old).await, FAILED);
        assert_eq!(api.present(&by_new).await, Verdict::Admitted);
        // A token that is only signed was never decrypted.
        assert_eq!(api.present(&jwt).await, Verdict::Admitted);

        in_use.replace_with(&keys([&old]));
        assert_eq!(api.present(&by_old).await, Verdict::Admitted);
        assert_eq!(api.present(&by_new).await, FAILED);
    }
}

#[tokio::test]
async fn another_key_of_the_same_kid_is_another_key() {
    let (old, new) = (Pair::p256("1"), Pair::p256("1"));
    let in_use = old.keys();
    let (issuer, tokens) = encrypting(&in_use);
    let api = Api::new(tokens);
    let jwt = api.token(&issuer);
    let token = old.encrypt(&jwt);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    in_use.replace_with(&new.keys());
    assert_eq!(api.present(&token).await, FAILED);
    assert_eq!(api.present(&new.encrypt(&jwt)).await, Verdict::Admitted);
}

#[tokio::test]
async fn clones_share_the_keys_and_combinations_do_not() {
    let (a, b, c) = (Pair::p256("a"), Pair::p256("b"), Pair::p256("c"));
    let first = a.keys();
    let both = first.and(&b.keys()).unwrap();
    let (issuer, tokens) = encrypting(&both);
    let api = Api::new(tokens);
    let jwt = api.token(&issuer);
    first.replace_with(&c.keys());
    assert_eq!(api.present(&a.encrypt(&jwt)).await, Verdict::Admitted);
    assert_eq!(api.present(&b.encrypt(&jwt)).await, Verdict::Admitted);
    assert_eq!(api.present(&c.encrypt(&jwt)).await, FAILED);
    both.replace_with(&both);
    assert_eq!(api.present(&b.encrypt(&jwt)).await, Verdict::Admitted);
}
