use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

use super::{Member, Object, Value};

pub(super) const MAX_DEPTH: u8 = 16;
pub(super) const MAX_MEMBERS: usize = 256;

/// Up to this number of members, all pairs of names are compared, which does not allocate.
pub(super) const FEW_MEMBERS: usize = 16;

/// Deserializes a [`Value`] and rejects what other parsers read in more than one way.
#[derive(Clone, Copy)]
pub(super) struct Strict<'de> {
    pub(super) text: &'de str,
    pub(super) depth: u8,
    /// Whether an invalid part of the outermost object becomes `null`; see [`Object::parse_parts`].
    pub(super) in_parts: bool,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(E::custom("nested too deeply")),
        }
    }

    /// Skips the rest of an invalid part. If `value_is_next`, the value of the last name comes first.
    fn nothing_of<'de, A: MapAccess<'de>>(
        self,
        value_is_next: bool,
        mut map: A,
    ) -> Result<Value<'de>, A::Error> {
        if value_is_next {
            map.next_value::<IgnoredAny>()?;
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }

    /// Returns whether a borrowed name is a part of the text. `serde_json` generates names of its own.
    ///
    /// Any crate in the build can turn on the feature `arbitrary_precision` of `serde_json`. Fractions and
    /// large integers then arrive as a map with one generated member, which contains the text of the number.
    /// A sender cannot imitate such a map, because every name that was sent lies in the text.
    fn is_written(self, name: &str) -> bool {
        let text = self.text.as_bytes().as_ptr_range();
        text.contains(&name.as_ptr())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'de> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'de> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value<'de>, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        let inner = match self.deeper::<A::Error>() {
            Err(_) if self.in_parts => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Value::Null);
            }
            inner => inner?,
        };
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut next = next_name(&mut map)?;
        if let Some(Cow::Borrowed(name)) = next
            && !self.is_written(name)
        {
            return number(&map.next_value::<String>()?).map(Value::Number);
        }
        let inner = match self.deeper::<A::Error>() {
            Err(_) if self.in_parts => return self.nothing_of(next.is_some(), map),
            inner => inner?,
        };
        // Reserves room for a header or payload, but not for each inner object, of which there can be
        // as many as fit the text.
        let is_outermost = self.depth == MAX_DEPTH;
        let is_part = self.in_parts && !is_outermost;
        let mut members: Vec<Member<'de>> = Vec::with_capacity(if is_outermost { 8 } else { 0 });
        while let Some(name) = next {
            if members.len() == MAX_MEMBERS {
                if is_part {
                    return self.nothing_of(true, map);
                }
                return Err(A::Error::custom("too many members"));
            }
            members.push((name, map.next_value_seed(inner)?));
            next = next_name(&mut map)?;
        }
        if has_duplicate(&members) {
            if is_part {
                return Ok(Value::Null);
            }
            return Err(A::Error::custom("duplicate member"));
        }
        Ok(Value::Object(Object(members)))
    }
}

/// Needs at most `n log n` comparisons, because the sender chooses the number of members.
fn has_duplicate(members: &[Member<'_>]) -> bool {
    let names = members.iter().map(|(name, _)| &**name);
    if members.len() <= FEW_MEMBERS {
        let has_twin = |(i, name)| names.clone().skip(i + 1).any(|other| other == name);
        return names.clone().enumerate().any(has_twin);
    }
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
        .windows(2)
        .any(|pair| matches!(pair, [one, two] if one == two))
}

fn number<E: Error>(text: &str) -> Result<Number, E> {
    text.parse()
        .ok()
        .filter(|number: &Number| number.as_f64().is_some())
        .ok_or_else(|| E::custom("not a finite number"))
}

/// Borrows a name where it can, which `Cow` does only with this attribute.
#[derive(Deserialize)]
#[serde(transparent)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

fn next_name<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    let name = map.next_key()?;
    Ok(name.map(|MemberName(name)| name))
}
