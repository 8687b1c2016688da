use crate::rejection::Rejection;

/// What a layer with [`Policy::report_only`](crate::Policy::report_only) found out about a request.
/// It is in the request's extensions, and in [`Admitted::report`](crate::Admitted::report).
///
/// ```
/// use dpop_tower::Report;
///
/// fn count<B>(request: &http::Request<B>) -> &'static str {
///     match request.extensions().get::<Report>().map(Report::rejection) {
///         None => "not looked at",
///         Some(None) => "ready for strict",
///         Some(Some(rejection)) => rejection.reason(),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    rejection: Option<Rejection>,
}

impl Report {
    /// How the request would have been rejected; `None` if it would have been admitted.
    pub const fn rejection(&self) -> Option<&Rejection> {
        self.rejection.as_ref()
    }

    pub(super) const fn admitted() -> Self {
        Self { rejection: None }
    }

    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            rejection: Some(rejection),
        }
    }
}
