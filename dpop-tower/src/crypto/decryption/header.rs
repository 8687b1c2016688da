//! The header of a JWE. All of it is checked before a key is touched, because anyone can write it.

use super::{ContentEncryption, KeyManagement};
use crate::{
    jose::{
        base64url,
        json::{Object, Value},
        media_type,
    },
    jwk::{EcCurve, KeyParameters, PublicJwk},
};

/// A header that asks for nothing that is not supported.
pub(crate) struct Header {
    pub(crate) kid: String,
    pub(super) algorithm: KeyManagement,
    pub(super) encryption: ContentEncryption,
    /// Present for ECDH-ES.
    pub(super) agreement: Option<Agreement>,
    /// The claims that are replicated in the header (RFC 7519 section 5.3).
    pub(crate) replicated: Vec<(&'static str, serde_json::Value)>,
}

/// The parameters of ECDH-ES (RFC 7518 section 4.6.1).
pub(super) struct Agreement {
    pub(super) curve: EcCurve,
    pub(super) epk: PublicJwk,
    pub(super) apu: Option<String>,
    pub(super) apv: Option<String>,
}

/// The reason why a header is rejected, for the operator.
type Rejected = &'static str;

impl Header {
    pub(crate) fn check(header: &Object<'_>) -> Result<Self, Rejected> {
        // RFC 7516 section 4.1.13: an extension that is not understood must not be ignored.
        if header.contains("crit") {
            return Err("it has a critical extension");
        }
        // A compressed token can be much larger than what was received (RFC 8725 section 3.6).
        if header.contains("zip") {
            return Err("it is compressed");
        }
        // RFC 7519 section 5.2: it "MUST be present" for nested tokens.
        let cty = header.get("cty").and_then(Value::as_str);
        if !cty.is_some_and(|cty| media_type::are_equal(cty, "JWT")) {
            return Err("its `cty` is not JWT: its content has to be a signed JWT");
        }
        Self::read(header)
    }

    /// Reads the algorithms and their parameters.
    pub(super) fn read(header: &Object<'_>) -> Result<Self, Rejected> {
        let text = |name| header.get(name).and_then(Value::as_str);
        let algorithm = (text("alg").and_then(KeyManagement::from_name)).ok_or(
            "its `alg` is none of RSA-OAEP-256, ECDH-ES, ECDH-ES+A128KW and ECDH-ES+A256KW",
        )?;
        let encryption = (text("enc").and_then(ContentEncryption::from_name))
            .ok_or("its `enc` is neither A128GCM nor A256GCM")?;
        let kid = text("kid").ok_or("it has no `kid`")?.to_owned();
        let agreement = match algorithm.is_agreement() {
            true => Some(Agreement::of(header)?),
            false => None,
        };
        let replicated = ["iss", "sub", "aud"].into_iter();
        let replicated = replicated
            .filter_map(|name| Some((name, header.get(name)?.clone().into_json())))
            .collect();
        Ok(Self {
            kid,
            algorithm,
            encryption,
            agreement,
            replicated,
        })
    }
}

impl Agreement {
    fn of(header: &Object<'_>) -> Result<Self, Rejected> {
        let epk = header.get("epk").and_then(Value::as_object);
        let epk = epk.and_then(|epk| PublicJwk::from_object(epk).ok());
        let no_key = "its `epk` is not a public key on P-256, P-384 or P-521";
        let epk = epk.ok_or(no_key)?;
        let KeyParameters::Ec { curve, .. } = epk.parameters() else {
            return Err(no_key);
        };
        let party = |name| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if base64url::decode(text).is_some() => {
                Ok(Some(text.to_string()))
            }
            Some(_) => Err("its `apu` or `apv` is not base64url"),
        };
        Ok(Self {
            curve: *curve,
            apu: party("apu")?,
            apv: party("apv")?,
            epk,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPK: &str = r#"{"kty":"EC","crv":"P-256","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0","y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}"#;

    fn check(header: &str) -> Result<Header, Rejected> {
        Header::check(&Object::parse(header.as_bytes()).unwrap())
    }

    fn with(name: &str, value: &str) -> Result<Header, Rejected> {
        let members = [
            ("alg", r#""ECDH-ES""#),
            ("enc", r#""A128GCM""#),
            ("cty", r#""JWT""#),
            ("kid", r#""1""#),
            ("epk", EPK),
        ];
        let mut members: Vec<String> = (members.into_iter())
            .filter(|(member, _)| *member != name)
            .map(|(member, value)| format!("\"{member}\":{value}"))
            .collect();
        if !value.is_empty() {
            members.push(format!("\"{name}\":{value}"));
        }
        check(&format!("{{{}}}", members.join(",")))
    }

    #[test]
    fn the_algorithms_are_those_of_the_list() {
        for alg in [
            "ECDH-ES",
            "ECDH-ES+A128KW",
            "ECDH-ES+A256KW",
            "RSA-OAEP-256",
        ] {
            assert!(with("alg", &format!("\"{alg}\"")).is_ok(), "{alg}");
        }
        for alg in [
            r#""RSA1_5""#,
            r#""RSA-OAEP""#,
            r#""RSA-OAEP-384""#,
            r#""RSA-OAEP-512""#,
            r#""dir""#,
            r#""A128KW""#,
            r#""A256GCMKW""#,
            r#""ECDH-ES+A192KW""#,
            r#""PBES2-HS256+A128KW""#,
            r#""PBES2-HS512+A256KW""#,
            r#""none""#,
            r#""ES256""#,
            r#""rsa-oaep-256""#,
            r#""""#,
            r#"["RSA-OAEP-256"]"#,
            "null",
            "",
        ] {
            assert!(with("alg", alg).err().unwrap().contains("`alg`"), "{alg}");
        }
        for enc in ["A128GCM", "A256GCM"] {
            assert!(with("enc", &format!("\"{enc}\"")).is_ok(), "{enc}");
        }
        for enc in [
            r#""A192GCM""#,
            r#""A128CBC-HS256""#,
            r#""A256CBC-HS512""#,
            r#""XC20P""#,
            r#""none""#,
            r#""a128gcm""#,
            "null",
            "",
        ] {
            assert!(with("enc", enc).err().unwrap().contains("`enc`"), "{enc}");
        }
    }

    #[test]
    fn nothing_critical_or_compressed_is_accepted_whatever_its_value() {
        for value in [r#"["exp"]"#, "[]", "null", r#""DEF""#, "false"] {
            assert!(with("crit", value).err().unwrap().contains("critical"));
            assert!(with("zip", value).err().unwrap().contains("compressed"));
        }
    }

    #[test]
    fn rfc_7519_section_5_2_the_content_is_a_jwt() {
        for cty in ["JWT", "jwt", "application/jwt", "Application/JWT"] {
            assert!(with("cty", &format!("\"{cty}\"")).is_ok(), "{cty}");
        }
        for cty in [
            r#""at+jwt""#,
            r#""text/jwt""#,
            r#""""#,
            "null",
            r#"["JWT"]"#,
            "",
        ] {
            assert!(with("cty", cty).err().unwrap().contains("`cty`"), "{cty}");
        }
    }

    #[test]
    fn a_header_names_its_key() {
        assert_eq!(with("kid", r#""a b""#).unwrap().kid, "a b");
        for kid in ["7", "null", r#"["1"]"#, ""] {
            assert!(with("kid", kid).err().unwrap().contains("`kid`"), "{kid}");
        }
    }

    #[test]
    fn the_ephemeral_key_is_a_public_key_on_a_curve() {
        let private = EPK.replace('}', r#","d":"AAAA"}"#);
        let padded = EPK.replace("SV0\"", "SV0=\"");
        let short = EPK.replace("gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", "gI0G");
        for epk in [
            &private,
            &padded,
            &short,
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            r#"{"kty":"oct","k":"AAAA"}"#,
            "{}",
            "null",
            r#""key""#,
            "",
        ] {
            assert!(with("epk", epk).err().unwrap().contains("`epk`"), "{epk}");
        }
        for name in ["apu", "apv"] {
            assert!(with(name, r#""QWxpY2U""#).is_ok());
            for party in [r#""QQ==""#, r#""QR""#, "7", "null"] {
                assert!(
                    with(name, party).err().unwrap().contains("`apu`"),
                    "{party}"
                );
            }
        }
    }
}
