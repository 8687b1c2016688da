//! One check for each rule.

mod atomic;
mod cancel;
mod expiry;
mod faults;
mod fence;
mod full;
mod identity;
mod windows;

use super::{
    ReplayContract, StoreFixture,
    report::{Coverage, Rule, Violation},
};

pub(super) async fn check<F: StoreFixture>(
    contract: &ReplayContract<F>,
    rule: Rule,
) -> Result<Coverage, Violation> {
    let fixture = &contract.fixture;
    match rule {
        Rule::Atomic => atomic::check(fixture).await,
        Rule::KeyedByBoth => identity::check(fixture).await,
        Rule::LiveEntriesStay => full::live_entries_stay(fixture).await,
        Rule::ExpiryIsAnInstant => expiry::whole_window(fixture).await,
        Rule::ExpiredIsNotFresh => expiry::expired_is_not_fresh(fixture).await,
        Rule::FailClosed => faults::check(fixture).await,
        Rule::Bounded => full::bounded(fixture).await,
        Rule::NoRecordLostUnseen => fence::check(fixture).await,
        Rule::OneSetOfWindows => windows::check(fixture).await,
        Rule::CancelSafe => cancel::check(fixture).await,
    }
}
