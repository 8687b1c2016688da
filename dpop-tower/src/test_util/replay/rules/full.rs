use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::super::{
    ReplayContract, StoreFixture,
    history::Outcome,
    report::{Coverage, Rule, Violation},
    scene::{Scene, random},
};
use crate::replay::{ReplayStore, StoreErrorKind, UsedProof};

const THREADS: usize = 4;
/// How many proofs are in the store before it is flooded.
const EARLY: usize = 20;
const NO_SMALL_STORE: &str = "a full store: the fixture has no `open_small`";
const NO_LIMITS: &str = "the share of one client key and of one subject: the store has no `limits`";

/// Whose proofs flood a store.
#[derive(Clone, Copy)]
enum Flood {
    Everyone,
    OneClient([u8; 32]),
    OneSubject([u8; 32]),
}

pub(super) async fn live_entries_stay<F: StoreFixture>(fixture: &F) -> Result<Coverage, Violation> {
    let Some(scene) = Scene::open_small(fixture, Rule::LiveEntriesStay).await? else {
        return Ok(Coverage::Without(vec![NO_SMALL_STORE]));
    };
    let early: Vec<UsedProof> = (0..EARLY).map(|_| scene.proof()).collect();
    for proof in &early {
        scene
            .expect(0, *proof, &Outcome::Fresh, "the first use")
            .await?;
    }
    let recorded = flood(&scene, Flood::Everyone).await?.recorded;
    for proof in early.iter().chain(&recorded) {
        let what = "a live entry was forgotten when the store was flooded";
        scene
            .expect_not_fresh(0, scene.at_once(*proof), what)
            .await?;
    }
    if scene.has_clock() {
        scene
            .wait_until(scene.now().saturating_add(scene.life))
            .await;
        scene
            .wait_until(
                scene
                    .now()
                    .saturating_add(std::time::Duration::from_secs(1)),
            )
            .await;
        let what = "the first use when all entries have expired";
        scene
            .expect(0, scene.proof(), &Outcome::Fresh, what)
            .await?;
    }
    Ok(Coverage::Checked)
}

pub(super) async fn bounded<F: StoreFixture>(fixture: &F) -> Result<Coverage, Violation> {
    let Some(scene) = Scene::open_small(fixture, Rule::Bounded).await? else {
        return Ok(Coverage::Without(vec![NO_SMALL_STORE, NO_LIMITS]));
    };
    let Some(limits) = scene.node(0)?.limits() else {
        expect_full(&scene, Flood::Everyone, StoreErrorKind::Full).await?;
        return Ok(Coverage::Without(vec![NO_LIMITS]));
    };
    // In this order, so that each flood finds room.
    for (share, flood, kind) in [
        (
            limits.per_client,
            Flood::OneClient(random()),
            StoreErrorKind::KeyFull,
        ),
        (
            limits.per_subject,
            Flood::OneSubject(random()),
            StoreErrorKind::SubjectFull,
        ),
    ] {
        if share >= limits.entries {
            return Err(
                scene.violation("`limits` gives one client key or one subject the whole store")
            );
        }
        expect_full(&scene, flood, kind).await?;
        let what = "the use of a proof of another client, when one has used up its share";
        scene
            .expect(0, scene.proof(), &Outcome::Fresh, what)
            .await?;
    }
    expect_full(&scene, Flood::Everyone, StoreErrorKind::Full).await?;
    Ok(Coverage::Checked)
}

async fn expect_full<S: ReplayStore>(
    scene: &Scene<S>,
    kind_of_flood: Flood,
    kind: StoreErrorKind,
) -> Result<(), Violation> {
    let flooded = flood(scene, kind_of_flood).await?;
    match flooded.error {
        Some(found) if found == kind => Ok(()),
        Some(found) => Err(scene.violation(format!(
            "a store without room returned {found:?}, and not {kind:?}"
        ))),
        None => Err(scene.violation(format!(
            "the store took {} records, and was not full",
            ReplayContract::<()>::FULL_AFTER
        ))),
    }
}

struct Flooded {
    error: Option<StoreErrorKind>,
    /// Some of the proofs that were recorded.
    recorded: Vec<UsedProof>,
}

/// Uses proofs until the store returns an error.
async fn flood<S: ReplayStore>(scene: &Scene<S>, kind: Flood) -> Result<Flooded, Violation> {
    let store = Arc::clone(scene.node(0)?);
    let left = Arc::new(AtomicUsize::new(ReplayContract::<()>::FULL_AFTER));
    let now = scene.proof();
    let mut tasks = Vec::new();
    for _ in 0..THREADS {
        let (store, left) = (Arc::clone(&store), Arc::clone(&left));
        tasks.push(tokio::spawn(async move {
            let mut recorded = Vec::new();
            while left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                let (client, subject) = match kind {
                    Flood::Everyone => (random(), random()),
                    Flood::OneClient(client) => (client, random()),
                    Flood::OneSubject(subject) => (random(), subject),
                };
                let key = super::super::scene::key(client, random()).of_subject(subject);
                let proof = UsedProof { key, ..now };
                match store.check_and_insert(proof).await {
                    Ok(_) => recorded.push(proof),
                    Err(error) => return (recorded, Some(error.kind())),
                }
            }
            (recorded, None)
        }));
    }
    let mut flooded = Flooded {
        error: None,
        recorded: Vec::new(),
    };
    for task in tasks {
        let (recorded, error) = task
            .await
            .map_err(|error| scene.violation(format!("the store panicked: {error}")))?;
        flooded.error = flooded.error.or(error);
        flooded.recorded.extend(recorded.into_iter().step_by(16));
    }
    Ok(flooded)
}
