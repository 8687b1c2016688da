/// The parameters of a form.
pub(super) type Parameters = Vec<(&'static str, String)>;

/// What a token is asked for: its scopes, and the APIs that it is for.
///
/// ```
/// use dpop_tower::client::oauth::TokenRequest;
///
/// let request = TokenRequest::new()
///     .scope("orders:read")
///     .scope("orders:write")
///     .resource("https://api.example.com");
/// ```
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    scopes: Vec<String>,
    parameters: Parameters,
}

impl TokenRequest {
    /// Returns a request for the default scopes of the client.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a scope, or several separated by spaces.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Adds an API by its URL (RFC 8707).
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.parameters.push(("resource", resource.into()));
        self
    }

    /// Adds an API by the `audience` parameter, which is not standardised for these grants. Some servers take
    /// it instead of `resource`.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.parameters.push(("audience", audience.into()));
        self
    }

    pub(super) fn parameters(&self) -> Parameters {
        let scope = self.joined_scopes().map(|scopes| ("scope", scopes));
        scope.into_iter().chain(self.parameters.clone()).collect()
    }

    pub(super) fn joined_scopes(&self) -> Option<String> {
        (!self.scopes.is_empty()).then(|| self.scopes.join(" "))
    }
}
