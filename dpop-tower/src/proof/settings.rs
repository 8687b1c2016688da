use std::time::Duration;

use super::window::{LEEWAY, MAX_AGE, Setting};
use crate::{crypto::Algorithm, error::ConfigError};

/// The checks of RFC 9449 section 4.3, with the allowed algorithms and the acceptance window.
///
/// The default allows [`Algorithm::DEFAULT`], a maximum age of 60 seconds and a leeway of 10 seconds
/// for the difference between two clocks. The age counts from `iat`, so a proof is accepted while
/// `now - 70 s <= iat <= now + 10 s`.
///
/// # Security
///
/// The verifier keeps no state, so it accepts the same proof again until it is too old. Pass the
/// [`VerifiedProof`](super::VerifiedProof) to a [`ReplayStore`](crate::replay::ReplayStore) if a proof must
/// be used only once (RFC 9449 section 11.1).
///
/// # Example
///
/// ```
/// # #[cfg(feature = "josekit")] {
/// use dpop_tower::{crypto::Josekit, proof::{Ath, Htu, ProofContext, ProofVerifier}, clock::UnixTime};
///
/// // The example of RFC 9449 section 7.1.
/// let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik\
///     VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR\
///     nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE\
///     QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj\
///     oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z\
///     WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF\
///     c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E\
///     OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
/// let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
///
/// let htu = Htu::parse("https://resource.example.org/protectedresource").unwrap();
/// let now = UnixTime::from_secs(1_562_262_620);
/// let context =
///     ProofContext::new(&http::Method::GET, &htu, now).access_token(Ath::of(token, &Josekit));
/// let proof = ProofVerifier::default().verify(proof, &context, &Josekit).unwrap();
/// assert_eq!(proof.thumbprint().to_string(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProofVerifier {
    pub(super) algorithms: Vec<Algorithm>,
    pub(crate) max_age: Duration,
    pub(crate) leeway: Duration,
}

impl Default for ProofVerifier {
    fn default() -> Self {
        Self {
            algorithms: Algorithm::DEFAULT.to_vec(),
            max_age: Duration::from_secs(60),
            leeway: Duration::from_secs(10),
        }
    }
}

impl ProofVerifier {
    /// Sets the allowed algorithms in order of preference. Challenges advertise them in this order.
    ///
    /// Defaults to [`Algorithm::DEFAULT`]. With an empty list, every proof is rejected with
    /// [`AlgNotAllowed`](super::ProofErrorKind::AlgNotAllowed).
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Sets the maximum age of a proof: whole seconds, from one second to 10 minutes. Defaults to 60 seconds.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for anything else.
    ///
    /// ```
    /// use std::time::Duration;
    /// use dpop_tower::{ConfigErrorKind, proof::ProofVerifier};
    ///
    /// let verifier = ProofVerifier::default().max_age(Duration::from_secs(30))?;
    ///
    /// let an_hour = Duration::from_secs(60 * 60);
    /// let error = verifier.max_age(an_hour).unwrap_err();
    /// assert_eq!(error.kind(), ConfigErrorKind::Window);
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn max_age(self, max_age: Duration) -> Result<Self, ConfigError> {
        self.with_max_age(Setting::Plain(max_age))
    }

    /// Sets the maximum age as [`max_age`](Self::max_age) does, up to one day.
    ///
    /// # Security
    ///
    /// A copied proof that was not used yet is valid for this long, and a used one has to be remembered
    /// for as long (RFC 9449 section 11.1).
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for anything else.
    pub fn danger_max_age(self, max_age: Duration) -> Result<Self, ConfigError> {
        self.with_max_age(Setting::Danger(max_age))
    }

    /// Sets how far the client's clock may be off in either direction: whole seconds, up to 60. Defaults to
    /// 10 seconds.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for anything else.
    pub fn leeway(self, leeway: Duration) -> Result<Self, ConfigError> {
        self.with_leeway(Setting::Plain(leeway))
    }

    /// Sets the leeway as [`leeway`](Self::leeway) does, up to one hour.
    ///
    /// # Security
    ///
    /// An attacker who can use the key for a moment can make proofs that are valid this much later. The
    /// FAPI 2.0 Security Profile requires servers to reject an `iat` that is more than 60 seconds ahead.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for anything else.
    pub fn danger_leeway(self, leeway: Duration) -> Result<Self, ConfigError> {
        self.with_leeway(Setting::Danger(leeway))
    }

    pub(crate) fn with_max_age(mut self, max_age: Setting) -> Result<Self, ConfigError> {
        self.max_age = MAX_AGE.check(max_age)?;
        Ok(self)
    }

    pub(crate) fn with_leeway(mut self, leeway: Setting) -> Result<Self, ConfigError> {
        self.leeway = LEEWAY.check(leeway)?;
        Ok(self)
    }

    pub(crate) fn allowed_algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }
}
