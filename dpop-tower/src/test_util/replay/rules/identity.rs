use super::super::{
    StoreFixture,
    history::Outcome::{Fresh, Replayed},
    report::{Coverage, Rule, Violation},
    scene::{Scene, key, random},
};
use crate::replay::{ReplayKey, UsedProof};

pub(super) async fn check<F: StoreFixture>(fixture: &F) -> Result<Coverage, Violation> {
    let scene = Scene::open(fixture, Rule::KeyedByBoth).await?;
    let now = scene.now();
    let expires_at = now.saturating_add(scene.life);
    let used = |key: ReplayKey| UsedProof {
        key,
        now,
        expires_at,
    };

    let (client, digest) = (random(), random());
    let (alice, bob) = (random(), random());
    let proof = used(key(client, digest).of_subject(alice));
    scene.expect(0, proof, &Fresh, "the first proof").await?;
    let of_same_client = used(key(client, random()).of_subject(alice));
    scene
        .expect(
            1,
            of_same_client,
            &Fresh,
            "another proof of the same client",
        )
        .await?;
    let of_same_subject = used(key(random(), random()).of_subject(alice));
    scene
        .expect(
            2,
            of_same_subject,
            &Fresh,
            "a proof of another client of the same subject",
        )
        .await?;

    // A digest that differs in one bit belongs to another proof.
    for index in [0, 7, 8, 15, 16, 23, 24, 31] {
        let mut other = digest;
        if let Some(byte) = other.get_mut(index) {
            *byte ^= 1;
        }
        let what = format!("a proof whose digest differs in a bit of byte {index}");
        let similar = used(key(client, other).of_subject(alice));
        scene.expect(index, similar, &Fresh, &what).await?;
    }

    // The subject is not part of the identity.
    for (node, key) in [key(client, digest), key(client, digest).of_subject(bob)]
        .into_iter()
        .enumerate()
    {
        let what = "the first proof with another token";
        scene.expect(node, used(key), &Replayed, what).await?;
    }
    scene
        .expect(2, proof, &Replayed, "the first proof again")
        .await?;
    Ok(Coverage::Checked)
}
