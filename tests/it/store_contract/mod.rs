//! The test kit for replay stores: the stores of the library keep the contract, and the kit finds stores that do not.

mod broken;
mod countdown;
mod memory;
mod postgres;
mod redis;

use dpop_tower::test_util::replay::{ReplayContract, Rule, StoreFixture, Violation};

/// Checks all rules, and returns those of which something was not checked.
async fn unchecked(fixture: impl StoreFixture) -> Result<Vec<Rule>, Violation> {
    let report = ReplayContract::new(fixture).check_all().await?;
    println!("{report}");
    Ok(report.unchecked().map(|(rule, _)| rule).collect())
}
