use std::time::Duration;

use super::super::{
    StoreFixture,
    history::fresh_once,
    load::Load,
    report::{Coverage, Rule, Violation},
    scene::{NODES, Scene},
};
use crate::replay::ReplayStore as _;

const PROOFS: usize = 30;
/// One node does nothing while the records are lost and the others recover. Its connections are the last to notice.
const BUSY: usize = NODES - 1;
const CALLS_TAKE: Duration = Duration::from_secs(10);

pub(super) async fn check<F: StoreFixture>(fixture: &F) -> Result<Coverage, Violation> {
    let scene = Scene::open(fixture, Rule::NoRecordLostUnseen).await?;
    let Some(before) = scene.node(0)?.incarnation() else {
        return Ok(Coverage::Without(vec![
            "the fence: the store has no `incarnation`",
        ]));
    };
    for node in &scene.nodes {
        if node.incarnation() != Some(before) {
            return Err(
                scene.violation("two nodes that share records are of different incarnations")
            );
        }
    }
    let used = scene.use_new(PROOFS).await?;
    let last_use = scene.now();
    let load = Load::begin(&scene, BUSY, &used)?;
    load.some_calls(2, CALLS_TAKE).await;
    let lost = fixture.lose_records().await;
    let lost = lost.map_err(|error| scene.failed("have the records lost", &error))?;
    if lost {
        for node in 0..BUSY {
            scene.recovered(node).await?;
        }
        load.some_calls(u64::try_from(PROOFS).unwrap_or(u64::MAX), CALLS_TAKE)
            .await;
    }
    load.end(&scene).await?;
    if !lost {
        return Ok(Coverage::Without(vec![
            "the fence: the fixture has no `lose_records`",
        ]));
    }

    // The idle node first, with the proofs that the others have not used since.
    for node in [BUSY, 0, 1] {
        for made in &used {
            scene.use_made(node, *made).await?;
        }
    }
    scene.judge(fresh_once)?;
    scene.recovered(BUSY).await?;
    let after = scene.node(0)?.incarnation();
    for node in &scene.nodes {
        let Some(incarnation) = node.incarnation() else {
            return Err(scene.violation("a store without an incarnation admits proofs"));
        };
        if Some(incarnation) != after {
            return Err(
                scene.violation("two nodes that share records are of different incarnations")
            );
        }
        if incarnation.id() == before.id() {
            return Ok(Coverage::Without(vec![
                "the fence: no record was lost by `lose_records`",
            ]));
        }
        if incarnation.since() < last_use {
            return Err(scene.violation(format!(
                "a proof was used at {last_use} and its record lost, and the new incarnation begins at {}",
                incarnation.since()
            )));
        }
    }
    Ok(Coverage::Checked)
}
