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
    /// Everything; what [`Strict`](Self::Strict) would say of it is reported.
    ReportOnly,
    /// Everything; nothing is looked at.
    Off,
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

    /// Nothing is refused. What [`strict`](Self::strict) would do with a request is found out all the
    /// same, and said in a [`Report`](crate::Report) in the request's extensions and, if it would be
    /// refused, in the log: for an API that is on its way from bearer tokens to DPoP.
    ///
    /// The request and its response are otherwise left as they are, but for two things: the request
    /// may wait for the issuer's keys, and a proof that is good counts as used. Nonces are not asked
    /// for, and not looked at, since no client gets one.
    ///
    /// **This protects nothing**: whoever has relied on something else so far, such as a layer that
    /// checks bearer tokens, has to go on doing so. In a handler, a [`BoundToken`](crate::BoundToken)
    /// is as good as ever, but its absence says nothing about the request.
    pub const fn report_only() -> Self {
        Self {
            mode: Mode::ReportOnly,
        }
    }

    /// The layer does nothing at all, as if it were not there.
    ///
    /// **This protects nothing.** A layer further out or further in still does what its own policy
    /// says.
    pub const fn off() -> Self {
        Self { mode: Mode::Off }
    }

    /// Which requests pass.
    pub const fn mode(self) -> Mode {
        self.mode
    }
}
