use serde_json::{Map, Value};

use super::key::SigningKey;
use crate::jose::base64url;

/// A JWS that is about to be signed, with everything that a test may want to break.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) key: SigningKey,
    pub(super) header: Map<String, Value>,
    pub(super) payload: Map<String, Value>,
    raw_header: Option<String>,
    raw_payload: Option<String>,
    corrupt_signature: bool,
    empty_signature: bool,
}

impl Draft {
    pub(super) fn new(
        key: SigningKey,
        header: Map<String, Value>,
        payload: Map<String, Value>,
    ) -> Self {
        Self {
            key,
            header,
            payload,
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

    pub(super) fn set_raw_header(&mut self, json: String) {
        self.raw_header = Some(json);
    }

    pub(super) fn set_raw_payload(&mut self, json: String) {
        self.raw_payload = Some(json);
    }

    pub(super) const fn corrupt_signature(&mut self) {
        self.corrupt_signature = true;
    }

    pub(super) const fn empty_signature(&mut self) {
        self.empty_signature = true;
    }
}

/// The methods that break a draft, for both builders.
macro_rules! breakable {
    ($builder:ident) => {
        impl $builder {
            /// Sets a header parameter.
            pub fn header(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
                self.draft.header.insert(name.to_owned(), value.into());
                self
            }

            /// Leaves a header parameter out.
            pub fn without_header(mut self, name: &str) -> Self {
                self.draft.header.remove(name);
                self
            }

            /// Sets a claim, of any JSON type.
            pub fn claim(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
                self.draft.payload.insert(name.to_owned(), value.into());
                self
            }

            /// Leaves a claim out.
            pub fn without_claim(mut self, name: &str) -> Self {
                self.draft.payload.remove(name);
                self
            }

            /// Uses this text as the header, for duplicate members and broken JSON.
            pub fn raw_header(mut self, json: impl Into<String>) -> Self {
                self.draft.set_raw_header(json.into());
                self
            }

            /// Uses this text as the payload, for duplicate members and broken JSON.
            pub fn raw_payload(mut self, json: impl Into<String>) -> Self {
                self.draft.set_raw_payload(json.into());
                self
            }

            /// Flips a bit of the signature.
            pub fn corrupt_signature(mut self) -> Self {
                self.draft.corrupt_signature();
                self
            }

            /// Leaves the signature empty, as in an unsecured JWS.
            pub fn empty_signature(mut self) -> Self {
                self.draft.empty_signature();
                self
            }

            /// The header as it stands, to build a [`raw_header`](Self::raw_header) from.
            pub fn header_json(&self) -> String {
                serde_json::Value::Object(self.draft.header.clone()).to_string()
            }

            /// The payload as it stands, to build a [`raw_payload`](Self::raw_payload) from.
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
