use std::time::Duration;

use super::super::{
    StoreFixture,
    history::fresh_once,
    load::Load,
    report::{Coverage, Rule, Violation},
    scene::{NODES, Scene},
};

/// How many proofs are used before a fault, and how many of those that are used meanwhile.
const PROOFS: usize = 30;
/// How many calls each node completes during a fault, unless they take too long.
const CALLS: u64 = 40;
const CALLS_TAKE: Duration = Duration::from_secs(10);

pub(super) async fn check<F: StoreFixture>(fixture: &F) -> Result<Coverage, Violation> {
    let faults = fixture.faults();
    if faults.is_empty() {
        return Ok(Coverage::Without(vec![
            "that the store fails closed: the fixture has no `faults`",
        ]));
    }
    for fault in faults {
        passes(fixture, fault)
            .await
            .map_err(|violation| violation.during(fault))?;
    }
    Ok(Coverage::Checked)
}

async fn passes<F: StoreFixture>(fixture: &F, fault: &'static str) -> Result<(), Violation> {
    let scene = Scene::open(fixture, Rule::FailClosed).await?;
    let began = scene.now();
    let mut proofs = scene.use_new(PROOFS).await?;
    for node in 0..PROOFS {
        proofs.push(scene.make(node)?);
    }
    let load = Load::begin(&scene, NODES, &proofs)?;
    load.some_calls(2, CALLS_TAKE).await;

    let result = fixture.begin(fault).await;
    result.map_err(|error| scene.failed("begin the fault", &error))?;
    load.some_calls(CALLS, CALLS_TAKE).await;
    let result = fixture.end(fault).await;
    result.map_err(|error| scene.failed("end the fault", &error))?;

    for node in 0..NODES {
        scene.recovered(node).await?;
    }
    load.some_calls(2, CALLS_TAKE).await;
    load.end(&scene).await?;
    for (node, made) in proofs.iter().enumerate() {
        scene.use_made(node, *made).await?;
    }
    scene.judge(fresh_once)?;
    if scene.now() > began.saturating_add(scene.life) {
        let what = "the proofs of the kit expired meanwhile: the fixture needs a greater `longest_life`, or a \
                    fault that takes less time";
        return Err(scene.violation(what));
    }
    Ok(())
}
