//! The checks in the order in which the library makes them.

macro_rules! rules {
    ($($rule:ident = $name:literal, $clause:literal;)+) => {
        /// One check. The order is that in which the layer makes the checks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Rule {
            $($rule,)+
        }

        impl Rule {
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)+
                }
            }

            pub(super) const fn clause(self) -> &'static str {
                match self {
                    $(Self::$rule => $clause,)+
                }
            }
        }
    };
}

rules! {
    Credentials = "one Authorization header with a token", "RFC 9110 section 11.6.2";
    Scheme = "the scheme is DPoP", "RFC 9449 section 7.1";
    OneProof = "one DPoP header", "RFC 9449 section 4.3 item 1";
    Target = "a proof can be made for the target", "RFC 9110 section 7.1";
    Form = "the proof is a well-formed JWT", "RFC 9449 section 4.3 item 2";
    Typ = "typ is dpop+jwt", "RFC 9449 section 4.3 item 4";
    Crit = "no critical extension", "RFC 7515 section 4.1.11";
    Alg = "alg is an accepted asymmetric algorithm", "RFC 9449 section 4.3 item 5";
    Key = "jwk is a good public key", "RFC 9449 section 4.3 item 7";
    KeyFits = "jwk fits alg", "RFC 7518 section 3.1";
    Claims = "the required claims are present", "RFC 9449 section 4.3 item 3";
    Htm = "htm is the method of the request", "RFC 9449 section 4.3 item 8";
    Htu = "htu is the URL of the request", "RFC 9449 section 4.3 item 9";
    Iat = "iat is recent", "RFC 9449 section 4.3 item 11";
    Dates = "exp and nbf, if present, allow it", "RFC 7519 sections 4.1.4 and 4.1.5";
    Nonce = "nonce is one of the server", "RFC 9449 section 4.3 item 10";
    Ath = "ath is the hash of the token", "RFC 9449 section 4.3 item 12";
    TokenForm = "the token is a well-formed JWT", "RFC 9068 section 4";
    TokenEncryption = "the token can be decrypted", "RFC 9068 section 4";
    TokenTyp = "the token's typ is at+jwt", "RFC 9068 section 4";
    TokenCrit = "the token has no critical extension", "RFC 7515 section 4.1.11";
    TokenAlg = "the token's alg is accepted", "RFC 8725 section 3.1";
    TokenClaims = "the token's claims are present", "RFC 9068 section 2.2";
    TokenIssuer = "iss is the issuer", "RFC 9068 section 4";
    TokenAudience = "aud names this API", "RFC 9068 section 4";
    TokenExpiry = "exp is in the future", "RFC 9068 section 4";
    TokenStart = "nbf and iat are not in the future", "RFC 7519 section 4.1.5";
    TokenSignature = "the token's signature", "RFC 9068 section 4";
    TokenState = "the token is not revoked", "RFC 7662 section 2.2";
    TokenBound = "the token is bound to a key (cnf.jkt)", "RFC 9449 section 6.1";
    Binding = "cnf.jkt is the thumbprint of jwk", "RFC 9449 section 4.3 item 12";
    Signature = "the proof's signature", "RFC 9449 section 4.3 item 6";
    Scope = "the token has what the route requires", "RFC 6750 section 3.1";
    Replay = "the proof was not used before", "RFC 9449 section 11.1";
    Answer = "the server accepts the request", "RFC 9449 section 7.1";
    AnswerNonce = "the server accepts the nonce", "RFC 9449 section 8";
    AnswerStepUp = "the server accepts the authentication", "RFC 9470 section 3";
}

impl Rule {
    /// The checks of a proof that come before the token.
    pub(super) const OF_PROOFS: [Self; 13] = [
        Self::Form,
        Self::Typ,
        Self::Crit,
        Self::Alg,
        Self::Key,
        Self::KeyFits,
        Self::Claims,
        Self::Htm,
        Self::Htu,
        Self::Iat,
        Self::Dates,
        Self::Nonce,
        Self::Ath,
    ];

    /// The checks of a token.
    pub(super) const OF_TOKENS: [Self; 10] = [
        Self::TokenForm,
        Self::TokenTyp,
        Self::TokenCrit,
        Self::TokenAlg,
        Self::TokenClaims,
        Self::TokenIssuer,
        Self::TokenAudience,
        Self::TokenExpiry,
        Self::TokenStart,
        Self::TokenSignature,
    ];
}
