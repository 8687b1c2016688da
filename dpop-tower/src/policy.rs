//! What a route asks of a request.

/// How strict a route is.
///
/// The default is [`strict`](Self::strict).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[must_use]
pub struct Policy {
    mode: Mode,
}

/// Which requests a [`Policy`] lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Mode {
    /// A token that is bound to a key, with a proof of that key.
    #[default]
    Strict,
    /// That, or a token that is bound to nothing with the `Bearer` scheme.
    Optional,
}

impl Policy {
    /// Only a bound token with the `DPoP` scheme and a proof passes (RFC 9449 section 7.1).
    pub const fn strict() -> Self {
        Self { mode: Mode::Strict }
    }

    /// An unbound token with the `Bearer` scheme passes too (RFC 9449 section 7.2), for an API whose
    /// clients do not all know DPoP yet. A bound token that is sent as `Bearer` is refused all the
    /// same: it may be stolen. A request without a token is refused as well.
    ///
    /// Handlers tell the two apart by [`BoundToken`](crate::BoundToken) and
    /// [`BearerToken`](crate::token::BearerToken).
    pub const fn optional() -> Self {
        Self {
            mode: Mode::Optional,
        }
    }

    /// Which requests pass.
    pub const fn mode(self) -> Mode {
        self.mode
    }
}
