use std::sync::Arc;

use super::super::{
    StoreFixture,
    history::{Outcome, linearizable},
    report::{Coverage, Rule, Violation},
    scene::{NODES, Scene},
};
use crate::replay::UsedProof;

const THREADS: usize = 8;
/// How many proofs all threads use at the same moment, each twice.
const PROOFS: usize = 150;
/// How many proofs one node uses after the other.
const IN_SEQUENCE: usize = 50;

pub(super) async fn check<F: StoreFixture>(fixture: &F) -> Result<Coverage, Violation> {
    let scene = Scene::open(fixture, Rule::Atomic).await?;
    // A store that answers before the record is there, or that other nodes do not see at once.
    for first in 0..IN_SEQUENCE {
        let proof = scene.proof();
        scene
            .expect(first, proof, &Outcome::Fresh, "the first use")
            .await?;
        let next = first.saturating_add(1);
        scene
            .expect(
                next,
                scene.at_once(proof),
                &Outcome::Replayed,
                "the second use, on another node",
            )
            .await?;
    }

    let proofs: Vec<UsedProof> = (0..PROOFS).map(|_| scene.proof()).collect();
    let keys: Vec<_> = proofs.iter().map(|proof| proof.key).collect();
    let (history, nodes) = (Arc::clone(&scene.history), scene.nodes.clone());
    scene
        .on_threads(THREADS, move |index, meeting| {
            let node = index.checked_rem(NODES).unwrap_or(0);
            let Some(store) = nodes.get(node) else { return };
            for proof in &proofs {
                meeting.wait();
                for _ in 0..2 {
                    meeting.call(&history, (node, &**store), *proof);
                }
            }
        })
        .await?;
    for key in &keys {
        let calls = scene.history.of(key);
        if let Some(error) = calls
            .iter()
            .find(|call| matches!(call.outcome, Outcome::Unknown(_)))
            && calls.iter().all(|call| call.outcome != Outcome::Fresh)
        {
            let what = format!(
                "no call returned Fresh, and there were errors: {}",
                error.outcome
            );
            return Err(scene.violation_of(key, what));
        }
    }
    scene.judge(linearizable)?;
    Ok(Coverage::Checked)
}
