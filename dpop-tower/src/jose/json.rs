//! A strict JSON parser for signed objects, in which every text has one meaning.
//!
//! RFC 7515 section 4 and RFC 7519 section 4 let a parser reject duplicate member names or use the last
//! one. Two parsers that choose differently see two different tokens. This parser rejects duplicates at
//! every depth. It limits the depth and the number of members, because anyone can send the text.
//!
//! [`Object::parse_parts`] reads documents that are not signed and whose parts are independent.

mod strict;

use std::borrow::Cow;

use serde::de::DeserializeSeed as _;
use serde_json::Number;

use self::strict::{MAX_DEPTH, Strict};
use crate::clock::UnixTime;

/// A JSON value. Strings without escapes are borrowed from the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Object<'a>),
}

impl<'a> Value<'a> {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) const fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn into_json(self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => serde_json::Value::Bool(value),
            Value::Number(value) => serde_json::Value::Number(value),
            Value::String(value) => serde_json::Value::String(value.into_owned()),
            Value::Array(values) => values.into_iter().map(Value::into_json).collect(),
            Value::Object(object) => serde_json::Value::Object(object.into_json()),
        }
    }
}

/// Access to members by name, for an [`Object`] and for a `serde_json` map.
pub(crate) trait Members {
    /// Returns `None` if there is no such member, and `Some(None)` if it is not a number.
    fn number(&self, name: &str) -> Option<Option<&Number>>;
}

impl Members for Object<'_> {
    fn number(&self, name: &str) -> Option<Option<&Number>> {
        self.get(name).map(|value| match value {
            Value::Number(number) => Some(number),
            _ => None,
        })
    }
}

impl Members for serde_json::Map<String, serde_json::Value> {
    fn number(&self, name: &str) -> Option<Option<&Number>> {
        self.get(name).map(serde_json::Value::as_number)
    }
}

/// The member with this name is not a date.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidDate(pub(crate) &'static str);

/// Reads a `NumericDate` (RFC 7519 section 2) and rounds a fraction down. A value of the wrong JSON type is
/// an error and does not count as absent.
pub(crate) fn date(
    members: &impl Members,
    name: &'static str,
) -> Result<Option<UnixTime>, InvalidDate> {
    let number = members.number(name);
    number
        .map(|number| number.and_then(numeric_date).ok_or(InvalidDate(name)))
        .transpose()
}

/// Returns the seconds since the epoch, if every JSON implementation reads `number` alike.
fn numeric_date(number: &Number) -> Option<UnixTime> {
    if let Some(secs) = number.as_i64() {
        return Some(UnixTime::from_secs(secs));
    }
    if number.is_u64() {
        return Some(UnixTime::from_secs(i64::MAX));
    }
    let secs = number.as_f64()?;
    if !secs.is_finite() {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float-to-integer cast saturates, and the ends of time are rejected by every check"
    )]
    Some(UnixTime::from_secs(secs.floor() as i64))
}

/// A JSON object without duplicate members, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(Vec<Member<'a>>);

type Member<'a> = (Cow<'a, str>, Value<'a>);

impl<'a> Object<'a> {
    /// Parses a text that consists of one JSON object.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        Self::parse_as(text, false)
    }

    /// Parses like [`parse`](Self::parse), but replaces an invalid inner object or array with `null` and
    /// keeps the values beside it. Invalid means duplicate members, too many members, or too great a depth.
    pub(crate) fn parse_parts(text: &'a [u8]) -> Option<Self> {
        Self::parse_as(text, true)
    }

    fn parse_as(text: &'a [u8], in_parts: bool) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let strict = Strict {
            text,
            depth: MAX_DEPTH,
            in_parts,
        };
        let value = strict.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        match value {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0
            .iter()
            .find_map(|(member, value)| (member == name).then_some(value))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns the object with each value replaced by the result of `change`, which removes it by `None`.
    pub(crate) fn map(&self, change: impl Fn(&str, &Value<'a>) -> Option<Value<'a>>) -> Self {
        let changed = |(name, value): &Member<'a>| Some((name.clone(), change(name, value)?));
        Self(self.0.iter().filter_map(changed).collect())
    }

    pub(crate) fn into_json(self) -> serde_json::Map<String, serde_json::Value> {
        self.0
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_json()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        strict::{FEW_MEMBERS, MAX_MEMBERS},
        *,
    };

    fn parses(text: &str) -> bool {
        Object::parse(text.as_bytes()).is_some()
    }

    #[test]
    fn duplicate_members_are_rejected_at_every_depth_and_in_every_spelling() {
        assert!(parses(r#"{"a":1,"b":{"a":1}}"#));
        for twice in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
        ] {
            assert!(!parses(twice), "{twice}");
        }
    }

    #[test]
    fn duplicate_members_are_rejected_wherever_they_stand_and_however_many_there_are() {
        let with = |names: &[usize]| {
            let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":0")).collect();
            format!("{{\"o\":{{{}}}}}", members.join(","))
        };
        for count in [2, FEW_MEMBERS, FEW_MEMBERS + 1, MAX_MEMBERS] {
            let names: Vec<usize> = (0..count).collect();
            assert!(parses(&with(&names)), "{count}");
            let (first, middle, last) = (0, (count - 1) / 2, count - 1);
            for (from, to) in [(first, last), (last, first), (middle, last), (last, middle)] {
                let mut twice = names.clone();
                twice[to] = twice[from];
                assert!(!parses(&with(&twice)), "{count}: {from} also at {to}");
            }
        }
    }

    #[test]
    fn only_one_object_and_nothing_else_is_taken() {
        for wrong in [
            "",
            "[]",
            "null",
            "1",
            r#""a""#,
            "{} {}",
            "{}x",
            "{",
            "\u{feff}{}",
        ] {
            assert!(!parses(wrong), "{wrong:?}");
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_none());
        assert!(parses(" {\t}\n"));
    }

    #[test]
    fn depth_and_members_are_bounded() {
        let nested =
            |depth: usize| format!("{}{}", "{\"a\":".repeat(depth) + "1", "}".repeat(depth));
        assert!(parses(&nested(usize::from(MAX_DEPTH))));
        assert!(!parses(&nested(usize::from(MAX_DEPTH) + 1)));
        assert!(!parses(&nested(100_000)));
        let wide = |n: usize| {
            let members: Vec<String> = (0..n).map(|i| format!("\"{i}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(parses(&wide(MAX_MEMBERS)));
        assert!(!parses(&wide(MAX_MEMBERS + 1)));
    }

    #[test]
    fn what_is_wrong_with_a_part_spoils_only_that_part_where_that_is_asked_for() {
        let deep = format!("{}1{}", "{\"a\":".repeat(60), "}".repeat(60));
        let deep_list = format!("{}1{}", "[".repeat(60), "]".repeat(60));
        let wide: Vec<String> = (0..=MAX_MEMBERS).map(|i| format!("\"{i}\":[0]")).collect();
        let wide = format!("{{{}}}", wide.join(","));
        for bad in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, &wide] {
            let text = format!(r#"{{"parts":[{{"b":1}},{bad},{{"c":[2]}}],"end":3}}"#);
            assert!(!parses(&text), "{bad}");
            let document = Object::parse_parts(text.as_bytes()).unwrap();
            let expected: serde_json::Value =
                serde_json::from_str(r#"{"parts":[{"b":1},null,{"c":[2]}],"end":3}"#).unwrap();
            assert_eq!(serde_json::Value::Object(document.into_json()), expected);
        }
        for bad in [&deep, &deep_list] {
            let text = format!(r#"{{"parts":[{{"b":1}},{bad}],"end":3}}"#);
            assert!(!parses(&text), "{bad}");
            let document = Object::parse_parts(text.as_bytes()).unwrap();
            assert!(document.contains("end"), "{bad}");
            let Some(Value::Array(parts)) = document.get("parts") else {
                panic!("a list");
            };
            assert!(parts[0].as_object().is_some(), "{bad}");
        }
        // Of the outermost object, which of two members counts is for nobody to choose.
        for wrong in [
            r#"{"parts":[],"parts":[1]}"#,
            &wide,
            "[]",
            "{",
            r#"{"a":1e999}"#,
        ] {
            assert_eq!(Object::parse_parts(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn plain_strings_are_borrowed() {
        let object = Object::parse(br#"{"a":"b","c":"d\n"}"#).unwrap();
        assert!(matches!(
            object.0[0],
            (Cow::Borrowed("a"), Value::String(Cow::Borrowed("b")))
        ));
        assert_eq!(object.get("c").and_then(Value::as_str), Some("d\n"));
        assert_eq!(object.get("e"), None);
    }

    #[test]
    fn numeric_dates_are_numbers_and_saturate() {
        let read = |text: &str| {
            let text = format!("{{\"t\":{text}}}");
            Object::parse(text.as_bytes())
                .and_then(|object| date(&object, "t").ok()?)
                .map(UnixTime::as_secs)
        };
        assert_eq!(read("1700000000"), Some(1_700_000_000));
        assert_eq!(read("1700000000.9"), Some(1_700_000_000));
        assert_eq!(read("-0.5"), Some(-1));
        assert_eq!(read("1.7e9"), Some(1_700_000_000));
        assert_eq!(read("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(read("18446744073709551615"), Some(i64::MAX));
        assert_eq!(read("1e300"), Some(i64::MAX));
        assert_eq!(read("-1e300"), Some(i64::MIN));
        for wrong in [
            "\"1700000000\"",
            "null",
            "true",
            "[1]",
            "{}",
            "1e999",
            "NaN",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    /// `tests/run.sh` runs these tests with `arbitrary_precision` too.
    #[test]
    fn a_number_has_one_spelling_whatever_serde_json_makes_of_it() {
        let token = "$serde_json::private::Number";
        let escaped = token.replacen('$', "\\u0024", 1);
        for name in [token, &escaped] {
            let text = format!("{{\"t\":{{\"{name}\":\"1700000000\"}}}}");
            let object = Object::parse(text.as_bytes()).unwrap();
            let written = object.get("t").unwrap();
            assert_eq!(date(&object, "t"), Err(InvalidDate("t")));
            let member = written.as_object().and_then(|object| object.get(token));
            assert_eq!(member.and_then(Value::as_str), Some("1700000000"));
        }
        let largest = "9".repeat(300);
        for good in ["1.5", "1.7e9", "-1E-2", "18446744073709551616", &largest] {
            let text = format!("{{\"t\":[{good}]}}");
            let object = Object::parse(text.as_bytes()).unwrap();
            let Some(Value::Array(values)) = object.get("t") else {
                panic!("an array");
            };
            assert!(matches!(values[..], [Value::Number(_)]), "{good}");
        }
        // At the greatest depth a number is still no deeper than another value.
        let depth = usize::from(MAX_DEPTH);
        let text = format!("{}1.5{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(parses(&text));
        for wrong in [
            "1e999", "-1e999", "1.", ".5", "1e", "+1", "01", "0x1", "1_0",
        ] {
            assert!(!parses(&format!("{{\"t\":{wrong}}}")), "{wrong}");
        }
    }

    #[test]
    fn becomes_ordinary_json() {
        let text = r#"{"s":"x","n":1,"f":1.5,"b":true,"z":null,"a":[1,{"k":"v"}]}"#;
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        let object = Object::parse(text.as_bytes()).unwrap();
        assert_eq!(serde_json::Value::Object(object.into_json()), expected);
    }
}
