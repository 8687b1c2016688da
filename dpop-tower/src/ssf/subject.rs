//! Subject identifiers (RFC 9493), and the complex subjects of SSF 1.0 section 3.3.

use serde_json::{Map, Value as Json};

/// What a subject identifies, as far as a revocation list can express it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subject<'s> {
    /// A user of this issuer.
    User { issuer: &'s str, subject: &'s str },
    /// A user or a session of the transmitter's issuer, depending on where the identifier is.
    Opaque(&'s str),
    /// The session of a complex subject.
    Session(&'s str),
    /// One token.
    Token { issuer: &'s str, jti: &'s str },
}

/// The subject is not one of RFC 9493.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

type Subjects<'s> = Result<Vec<Subject<'s>>, Malformed>;

/// Returns everything that a subject identifies. The list is empty if its format is not supported.
pub(super) fn read(subject: &Json) -> Subjects<'_> {
    let members = subject.as_object().ok_or(Malformed)?;
    match text(members, "format")? {
        "complex" => complex(members),
        "aliases" => aliases(members),
        format => simple(format, members),
    }
}

fn text<'s>(members: &'s Map<String, Json>, name: &str) -> Result<&'s str, Malformed> {
    let text = members.get(name).and_then(Json::as_str);
    text.filter(|text| !text.is_empty()).ok_or(Malformed)
}

fn simple<'s>(format: &str, members: &'s Map<String, Json>) -> Subjects<'s> {
    Ok(vec![match format {
        "iss_sub" => Subject::User {
            issuer: text(members, "iss")?,
            subject: text(members, "sub")?,
        },
        "opaque" => Subject::Opaque(text(members, "id")?),
        "jwt_id" => Subject::Token {
            issuer: text(members, "iss")?,
            jti: text(members, "jti")?,
        },
        _ => return Ok(Vec::new()),
    }])
}

/// RFC 9493 section 3.2.8: identifiers of one and the same subject, none of which is again a list.
fn aliases(members: &Map<String, Json>) -> Subjects<'_> {
    let Some(Json::Array(identifiers)) = members.get("identifiers") else {
        return Err(Malformed);
    };
    let mut all = Vec::new();
    for identifier in identifiers {
        all.extend(not_nested(identifier)?);
    }
    if identifiers.is_empty() {
        return Err(Malformed);
    }
    Ok(all)
}

/// SSF 1.0 section 3.3.1: all members belong to one subject, whose tokens are at most those of the user.
fn complex(members: &Map<String, Json>) -> Subjects<'_> {
    let mut all = Vec::new();
    for (name, member) in members {
        if name == "format" {
            continue;
        }
        let identified = not_nested(member)?;
        match &**name {
            "user" => all.extend(identified),
            "session" => all.extend(identified.into_iter().filter_map(|session| match session {
                Subject::Opaque(id) => Some(Subject::Session(id)),
                Subject::Token { .. } => Some(session),
                // The user is not the session.
                Subject::User { .. } | Subject::Session(_) => None,
            })),
            _ => {}
        }
    }
    Ok(all)
}

fn not_nested(identifier: &Json) -> Subjects<'_> {
    let members = identifier.as_object().ok_or(Malformed)?;
    match text(members, "format")? {
        "complex" | "aliases" => Err(Malformed),
        format => simple(format, members),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rfc_9493_section_3_2_each_format_names_what_it_is_about() {
        let user = Subject::User {
            issuer: "https://idp.test",
            subject: "145234573",
        };
        let token = Subject::Token {
            issuer: "https://idp.test",
            jti: "B70BA622",
        };
        let iss_sub = json!({"format": "iss_sub", "iss": "https://idp.test", "sub": "145234573"});
        let jwt_id = json!({"format": "jwt_id", "iss": "https://idp.test", "jti": "B70BA622"});
        let opaque = json!({"format": "opaque", "id": "11112222333344445555"});
        assert_eq!(read(&iss_sub), Ok(vec![user]));
        assert_eq!(read(&jwt_id), Ok(vec![token]));
        let id = Subject::Opaque("11112222333344445555");
        assert_eq!(read(&opaque), Ok(vec![id]));
        for other in [
            json!({"format": "email", "email": "a@example.com"}),
            json!({"format": "account", "uri": "acct:a@example.com"}),
            json!({"format": "did", "url": "did:example:123456"}),
            json!({"format": "phone_number", "phone_number": "+12065550100"}),
            json!({"format": "uri", "uri": "https://user.test/"}),
            json!({"format": "saml_assertion_id", "issuer": "a", "assertion_id": "b"}),
            json!({"format": "a format of tomorrow"}),
        ] {
            assert_eq!(read(&other), Ok(Vec::new()), "{other}");
        }
        let aliases = json!({"format": "aliases", "identifiers": [
            {"format": "email", "email": "a@example.com"}, iss_sub, opaque,
        ]});
        assert_eq!(read(&aliases).unwrap().len(), 2);
    }

    #[test]
    fn ssf_section_3_3_a_complex_subject_is_its_user_and_its_session() {
        let complex = json!({
            "format": "complex",
            "user": {"format": "iss_sub", "iss": "https://idp.test", "sub": "alice"},
            "session": {"format": "opaque", "id": "s1"},
            "device": {"format": "opaque", "id": "d1"},
            "tenant": {"format": "opaque", "id": "t1"},
        });
        let user = Subject::User {
            issuer: "https://idp.test",
            subject: "alice",
        };
        let all = read(&complex).unwrap();
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all.contains(&user) && all.contains(&Subject::Session("s1")));
        let device = json!({"format": "complex", "device": {"format": "opaque", "id": "d1"}});
        assert_eq!(read(&device), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_subject_is_malformed() {
        let opaque = json!({"format": "opaque", "id": "x"});
        for wrong in [
            json!(null),
            json!("alice"),
            json!([]),
            json!({}),
            json!({"format": 7, "id": "x"}),
            json!({"id": "x"}),
            json!({"format": "opaque"}),
            json!({"format": "opaque", "id": ""}),
            json!({"format": "opaque", "id": 7}),
            json!({"format": "iss_sub", "iss": "a"}),
            json!({"format": "iss_sub", "sub": "a"}),
            json!({"format": "jwt_id", "iss": "a"}),
            json!({"format": "aliases"}),
            json!({"format": "aliases", "identifiers": []}),
            json!({"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [opaque]}]}),
            json!({"format": "complex", "user": "alice"}),
            json!({"format": "complex", "user": {"format": "complex", "user": opaque}}),
            json!({"format": "complex", "tenant": {"id": "x"}}),
        ] {
            assert_eq!(read(&wrong), Err(Malformed), "{wrong}");
        }
    }
}
