use self::sealed::Policies;
use super::{Policy, PolicyTable};

/// The policy of a layer or a verifier: one [`Policy`] for every request, or a [`PolicyTable`].
///
/// [`DpopLayer::with_policy`](crate::DpopLayer::with_policy) and
/// [`Verifier::with_policy`](crate::Verifier::with_policy) take it. The trait is sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the policy of a layer",
    label = "is neither a `Policy` nor a `PolicyTable`",
    note = "methods that ask for more make a `Policy<Draft>`, which `.build()?` checks and makes a `Policy`; \
            a `PolicyTableBuilder` has a `.build()?`, too"
)]
pub trait LayerPolicy: sealed::IntoPolicies {}

impl LayerPolicy for Policy {}

impl LayerPolicy for PolicyTable {}

impl sealed::IntoPolicies for Policy {
    fn into_policies(self) -> Policies {
        Policies::One(self)
    }
}

impl sealed::IntoPolicies for PolicyTable {
    fn into_policies(self) -> Policies {
        Policies::Table(self)
    }
}

pub(crate) mod sealed {
    use super::{Policy, PolicyTable};

    #[derive(Debug)]
    pub enum Policies {
        One(Policy),
        Table(PolicyTable),
    }

    pub trait IntoPolicies {
        fn into_policies(self) -> Policies;
    }
}
