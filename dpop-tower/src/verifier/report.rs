use crate::rejection::Rejection;

/// The verdict of a [`Policy::report_only`](crate::Policy::report_only) layer on a request.
///
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
    pub(crate) rejection: Option<Rejection>,
}

impl Report {
    /// Returns the rejection that a strict policy would have caused.
    ///
    /// Returns `None` if the request would have been admitted.
    pub const fn rejection(&self) -> Option<&Rejection> {
        self.rejection.as_ref()
    }
}
