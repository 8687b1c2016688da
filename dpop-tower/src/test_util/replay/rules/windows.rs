use std::time::Duration;

use super::super::{
    StoreFixture,
    report::{Coverage, Rule, Violation},
    scene::Scene,
};
use crate::replay::ReplayStore as _;

pub(super) async fn check<F: StoreFixture>(fixture: &F) -> Result<Coverage, Violation> {
    let scene = Scene::open(fixture, Rule::OneSetOfWindows).await?;
    let (one, other) = (scene.node(0)?, scene.node(1)?);
    for node in [one, other] {
        let first = node.windows().clone();
        // A use of the store changes nothing.
        scene.call(0, scene.proof()).await?;
        if !first.is_same(node.windows()) {
            return Err(scene.violation("`windows` returns other windows than before"));
        }
    }
    let (one, other) = (one.windows(), other.windows());
    if !one.is_same(other) && (one.longest() == Duration::ZERO || one.longest() != other.longest())
    {
        let what = format!(
            "two stores that share records remember for {:?} and {:?}: share the windows, or make both with \
             `AcceptanceWindows::at_least` and the longest window of all",
            one.longest(),
            other.longest()
        );
        return Err(scene.violation(what));
    }
    Ok(Coverage::Checked)
}
