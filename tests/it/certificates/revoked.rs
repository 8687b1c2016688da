use std::sync::Arc;

use axum::{Router, routing::get};
use dpop_tower::{
    DpopLayer,
    clock::TimeSource as _,
    revocation::{MemoryRevocationList, Revocation},
};

use super::{Bound, accepting, as_bearer, certificate, found, outcome, with_certificate};
use crate::support::{Api, URL};

#[tokio::test]
async fn a_revoked_token_is_rejected_however_it_is_bound() {
    let api = Api::new();
    let list = Arc::new(MemoryRevocationList::new().clock(api.clock.clone()));
    let config = api.config().revocation_list(Arc::clone(&list));
    let layer = DpopLayer::new(config.policy(accepting()).build().unwrap());
    let router = Router::new().route("/orders", get(found)).layer(layer);
    let request = |bound: Bound| {
        let token = bound.token(&api);
        let request = match bound {
            Bound::Not | Bound::Certificate => as_bearer(&token),
            Bound::Key | Bound::Both => api.client.get(URL, &token),
        };
        with_certificate(request, Some(&certificate()))
    };
    let ways = [
        (Bound::Key, "key"),
        (Bound::Certificate, "certificate"),
        (Bound::Both, "both"),
    ];
    for (bound, admitted) in ways {
        assert_eq!(outcome(&router, request(bound)).await, admitted);
    }
    let now = api.clock.now();
    let later = now.saturating_add(std::time::Duration::from_secs(600));
    for subject in ["alice", "test-subject"] {
        let revocation = Revocation::Subject {
            issuer: "https://issuer.test",
            subject,
            issued_before: now.saturating_add(std::time::Duration::from_secs(1)),
        };
        list.revoke(revocation, later).unwrap();
    }
    for (bound, _) in ways {
        let reason = outcome(&router, request(bound)).await;
        assert_eq!(reason, "token_revoked", "{bound:?}");
    }
}
