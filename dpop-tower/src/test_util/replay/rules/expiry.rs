use std::time::Duration;

use tokio::time;

use super::super::{
    StoreFixture,
    history::Outcome::{Fresh, Replayed},
    report::{Coverage, Rule, Violation},
    scene::{NODES, Scene},
};
use crate::{
    clock::UnixTime,
    replay::{ReplayStore, UsedProof},
};

/// How long proofs live whose end the kit waits for. A clock that is advanced allows more.
const SHORT_LIFE: Duration = Duration::from_secs(3);
const SECOND: Duration = Duration::from_secs(1);
/// How many uses come between two looks at a proof if the clock is advanced, so that a store has reason to remove
/// what has expired.
const CROWD: usize = 200;

pub(super) async fn whole_window<F: StoreFixture>(fixture: &F) -> Result<Coverage, Violation> {
    let mut scene = Scene::open(fixture, Rule::ExpiryIsAnInstant).await?;
    let longest = scene.life;
    // Half of it, so that the same proof can have a later expiry.
    scene.life = match scene.has_clock() {
        true => longest / 2,
        false => SHORT_LIFE.min(longest / 2),
    };
    let difference = fixture.clock_difference();
    let start = scene.now();
    let expires_at = start.saturating_add(scene.life);

    // Of a node with the right time, and of one that is ahead of the others.
    let plain = scene.proof();
    let replayed = scene.proof();
    let ahead = UsedProof {
        now: start.saturating_add(difference),
        expires_at: expires_at.saturating_add(difference),
        ..scene.proof()
    };
    for (node, proof) in [plain, replayed, ahead].into_iter().enumerate() {
        scene.expect(node, proof, &Fresh, "the first use").await?;
    }
    // Another node may accept the same proof for longer, and sees it replayed.
    let with_longer_life = UsedProof {
        expires_at: start.saturating_add(longest.max(scene.life)),
        ..replayed
    };
    scene
        .expect(
            1,
            with_longer_life,
            &Replayed,
            "the second use, with a later expiry",
        )
        .await?;

    still_known(
        &scene,
        &[
            Watched {
                proof: plain,
                behind: Duration::ZERO,
            },
            Watched {
                proof: replayed,
                behind: Duration::ZERO,
            },
            Watched {
                proof: ahead,
                behind: Duration::ZERO,
            },
            // A node that is behind accepts the proof for longer.
            Watched {
                proof: plain,
                behind: difference,
            },
        ],
    )
    .await?;

    let mut rest = Vec::new();
    match fixture.kept_longer_by() {
        None => {
            rest.push(
                "that a replay does not extend a record: the fixture has no `kept_longer_by`",
            );
        }
        Some(longer) => {
            let gone = expires_at.saturating_add(longer).saturating_add(SECOND);
            scene.wait_until(gone.saturating_add(SECOND)).await;
            for (proof, what) in [
                (plain, "a record was kept for longer than the fixture says"),
                (replayed, "a replay has extended the life of a record"),
            ] {
                let now = scene.now();
                let proof = UsedProof {
                    now,
                    expires_at: now.saturating_add(scene.life),
                    ..proof
                };
                scene.expect(0, proof, &Fresh, what).await?;
            }
        }
    }
    Ok(match rest.is_empty() {
        true => Coverage::Checked,
        false => Coverage::Without(rest),
    })
}

/// A proof that has been used, and how far the clock of the node is behind that sees it again.
struct Watched {
    proof: UsedProof,
    behind: Duration,
}

impl Watched {
    /// Returns the last instant, by the right time, at which the node accepts the proof.
    const fn until(&self) -> UnixTime {
        self.proof.expires_at.saturating_add(self.behind)
    }
}

/// Looks at proofs until they have expired.
async fn still_known<S: ReplayStore>(
    scene: &Scene<S>,
    watched: &[Watched],
) -> Result<(), Violation> {
    let mut node = 0_usize;
    loop {
        let now = scene.now();
        let open: Vec<&Watched> = watched.iter().filter(|it| now <= it.until()).collect();
        for it in &open {
            let now = now.saturating_sub(it.behind);
            let outcome = scene.call(node, UsedProof { now, ..it.proof }).await?;
            // If the time has run out meanwhile, the record may be gone.
            if outcome == Fresh && scene.now() <= it.until() {
                let left = it.until().seconds_since(scene.now());
                let what =
                    format!("a record was gone {left} seconds before the end of its last second");
                return Err(scene.violation_of(&it.proof.key, what));
            }
            node = node.saturating_add(1);
        }
        let Some(next) = open.iter().map(|it| it.until()).min() else {
            return Ok(());
        };
        if scene.has_clock() {
            crowd(scene).await?;
            // In larger steps, and then to the last second and to the one after it.
            let left = next.seconds_since(scene.now()).max(0);
            let step = u64::try_from(left / 2).unwrap_or(0).max(1);
            scene
                .wait_until(scene.now().saturating_add(Duration::from_secs(step)))
                .await;
        } else {
            time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn crowd<S: ReplayStore>(scene: &Scene<S>) -> Result<(), Violation> {
    for node in 0..CROWD {
        scene.call(node, scene.proof()).await?;
    }
    Ok(())
}

pub(super) async fn expired_is_not_fresh<F: StoreFixture>(
    fixture: &F,
) -> Result<Coverage, Violation> {
    let mut scene = Scene::open(fixture, Rule::ExpiredIsNotFresh).await?;
    let now = scene.now();
    for seconds in [1, 2, 60, 86_400, u64::MAX] {
        let expires_at = now.saturating_sub(Duration::from_secs(seconds));
        for node in 0..NODES {
            let proof = UsedProof {
                expires_at,
                ..scene.proof()
            };
            let what = format!("a proof that expired {seconds} seconds ago was fresh");
            scene.expect_not_fresh(node, proof, &what).await?;
        }
    }
    // Times that no database can represent must not wrap around.
    let (first, last) = (UnixTime::from_secs(i64::MIN), UnixTime::from_secs(i64::MAX));
    let extreme = |now, expires_at| UsedProof {
        now,
        expires_at,
        ..scene.proof()
    };
    let what = "a proof that had expired by far was fresh";
    scene
        .expect_not_fresh(0, extreme(last, first), what)
        .await?;
    scene.expect_not_fresh(0, extreme(now, first), what).await?;
    let endless = extreme(now, last);
    scene.call(0, endless).await?;
    let what = "a proof without an end was fresh after its first use";
    if scene.call(1, endless).await? == Fresh {
        scene.expect_not_fresh(2, endless, what).await?;
    }
    scene.judge(super::super::history::fresh_once)?;

    // One that was used, from the first instant at which it has expired until its record is gone.
    if !scene.has_clock() {
        scene.life = scene.life.min(SECOND);
    }
    let proof = scene.proof();
    scene.expect(0, proof, &Fresh, "the first use").await?;
    scene
        .wait_until(proof.expires_at.saturating_add(SECOND))
        .await;
    let what = "a used proof was fresh again when it had expired";
    scene
        .expect_not_fresh(1, scene.at_once(proof), what)
        .await?;
    if let Some(longer) = fixture.kept_longer_by() {
        let gone = proof
            .expires_at
            .saturating_add(longer)
            .saturating_add(SECOND);
        scene.wait_until(gone).await;
        scene
            .expect_not_fresh(2, scene.at_once(proof), what)
            .await?;
    }
    if scene.has_clock() {
        // The record may have been removed when the clock was ahead. Then it goes back.
        scene
            .wait_until(scene.now().saturating_add(scene.life))
            .await;
        crowd(&scene).await?;
        let what = "a used proof was fresh again when the clock was set back";
        scene.expect_not_fresh(0, proof, what).await?;
    }
    Ok(Coverage::Checked)
}
