use serde_json::{Map, Value};

use super::key::SigningKey;
use crate::jose::base64url;

/// A JWS that has not been signed yet. A test can change any part of it.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) key: SigningKey,
    pub(super) header: Map<String, Value>,
    pub(super) payload: Map<String, Value>,
    pub(super) raw_header: Option<String>,
    pub(super) raw_payload: Option<String>,
    pub(super) corrupt_signature: bool,
    pub(super) empty_signature: bool,
}

impl Draft {
    pub(super) fn new(key: SigningKey, header: Value, payload: Value) -> Self {
        Self {
            key,
            header: object(header),
            payload: object(payload),
            raw_header: None,
            raw_payload: None,
            corrupt_signature: false,
            empty_signature: false,
        }
    }

    pub(super) fn sign(&self) -> String {
        let part = |raw: &Option<String>, members: &Map<String, Value>| {
            let text = raw
                .clone()
                .unwrap_or_else(|| Value::Object(members.clone()).to_string());
            base64url::encode(text.as_bytes())
        };
        let signing_input = format!(
            "{}.{}",
            part(&self.raw_header, &self.header),
            part(&self.raw_payload, &self.payload)
        );
        let mut signature = self.key.sign(signing_input.as_bytes());
        if self.corrupt_signature
            && let Some(last) = signature.last_mut()
        {
            *last ^= 1;
        }
        if self.empty_signature {
            signature.clear();
        }
        format!("{signing_input}.{}", base64url::encode(&signature))
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Defines the methods of both builders that change a draft.
macro_rules! breakable {
    ($builder:ident) => {
        impl $builder {
            /// Sets a parameter of the JOSE header, of any JSON type.
            pub fn header(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
                self.draft.header.insert(name.to_owned(), value.into());
                self
            }

            /// Removes a parameter of the JOSE header.
            pub fn without_header(mut self, name: &str) -> Self {
                self.draft.header.remove(name);
                self
            }

            /// Sets a claim, of any JSON type.
            pub fn claim(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
                self.draft.payload.insert(name.to_owned(), value.into());
                self
            }

            /// Removes a claim.
            pub fn without_claim(mut self, name: &str) -> Self {
                self.draft.payload.remove(name);
                self
            }

            /// Sets the text of the header, for duplicate members and broken JSON.
            ///
            /// It replaces all parameters. It is base64url-encoded and signed as it is.
            pub fn raw_header(mut self, json: impl Into<String>) -> Self {
                self.draft.raw_header = Some(json.into());
                self
            }

            /// Sets the text of the payload, for duplicate members and broken JSON.
            ///
            /// It replaces all claims. It is base64url-encoded and signed as it is. To repeat a claim,
            /// change the text of [`payload_json`](Self::payload_json):
            ///
            /// ```
            /// use dpop_tower::test_util::TestClient;
            ///
            /// let proof = TestClient::new().proof("GET", "https://api.example.com/orders");
            /// let twice = proof.payload_json().replacen('{', r#"{"htm":"POST","#, 1);
            /// let proof = proof.raw_payload(twice).sign();
            /// ```
            pub fn raw_payload(mut self, json: impl Into<String>) -> Self {
                self.draft.raw_payload = Some(json.into());
                self
            }

            /// Flips the last bit of the signature.
            pub fn corrupt_signature(mut self) -> Self {
                self.draft.corrupt_signature = true;
                self
            }

            /// Removes the signature, as in an unsecured JWS (RFC 7515 appendix A.5).
            pub fn empty_signature(mut self) -> Self {
                self.draft.empty_signature = true;
                self
            }

            /// Returns the header as JSON, as a basis for a [`raw_header`](Self::raw_header).
            pub fn header_json(&self) -> String {
                serde_json::Value::Object(self.draft.header.clone()).to_string()
            }

            /// Returns the payload as JSON, as a basis for a [`raw_payload`](Self::raw_payload).
            pub fn payload_json(&self) -> String {
                serde_json::Value::Object(self.draft.payload.clone()).to_string()
            }
        }

        impl std::fmt::Debug for $builder {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("header", &self.draft.header)
                    .field("payload", &self.draft.payload)
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(super) use breakable;
