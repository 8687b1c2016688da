use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::{task::yield_now, time};

use super::super::{
    StoreFixture,
    history::{Outcome, fresh_once},
    report::{Coverage, Rule, Violation},
    scene::Scene,
};
use crate::replay::{ReplayStore, UsedProof};

/// When calls that are under way are dropped.
const DROPPED: [Drop; 7] = [
    Drop::Polled(1),
    Drop::Polled(2),
    Drop::Polled(3),
    Drop::After(Duration::from_micros(200)),
    Drop::After(Duration::from_millis(1)),
    Drop::After(Duration::from_millis(3)),
    Drop::After(Duration::from_millis(10)),
];
/// What a dropped call left under way has ended by then.
const SETTLED: Duration = Duration::from_millis(300);

#[derive(Clone, Copy)]
enum Drop {
    /// After so many polls.
    Polled(u8),
    After(Duration),
}

pub(super) async fn check<F: StoreFixture>(fixture: &F) -> Result<Coverage, Violation> {
    let scene = Scene::open(fixture, Rule::CancelSafe).await?;
    let mut proofs = Vec::new();
    for drop in DROPPED {
        let (used, unused) = (scene.proof(), scene.proof());
        scene
            .expect(0, used, &Outcome::Fresh, "the first use")
            .await?;
        for proof in [used, unused] {
            dropped(&scene, 1, proof, drop).await?;
        }
        let what = "a proof was fresh again after a dropped call";
        scene.expect_not_fresh(2, scene.at_once(used), what).await?;
        scene.call(2, scene.at_once(unused)).await?;
        proofs.extend([used, unused]);
    }
    time::sleep(SETTLED).await;
    for proof in proofs {
        scene.call(0, scene.at_once(proof)).await?;
    }
    scene.judge(fresh_once)?;
    Ok(Coverage::Checked)
}

/// Begins a call, and drops it unless it has completed by then.
async fn dropped<S: ReplayStore>(
    scene: &Scene<S>,
    node: usize,
    proof: UsedProof,
    drop: Drop,
) -> Result<(), Violation> {
    let store = scene.node(node)?;
    let invoked = scene.history.instant();
    let mut call = store.check_and_insert(proof);
    let result = match drop {
        Drop::After(delay) => time::timeout(delay, call).await.ok(),
        Drop::Polled(polls) => {
            let mut result = None;
            for _ in 0..polls {
                let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut call).poll(cx))).await;
                if let Poll::Ready(completed) = polled {
                    result = Some(completed);
                    break;
                }
                yield_now().await;
            }
            std::mem::drop(call);
            result
        }
    };
    let outcome = match result {
        Some(result) => Outcome::of(result),
        None => Outcome::Unknown("dropped".to_owned()),
    };
    scene.history.record(&proof.key, node, invoked, outcome);
    Ok(())
}
