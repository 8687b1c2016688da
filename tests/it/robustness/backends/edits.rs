//! Signatures with single bytes changed.

use std::sync::LazyLock;

use dpop_tower::{crypto::Algorithm, jwk::PublicJwk};
use proptest::{
    prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest},
    sample::Index,
};
use serde_json::{Map, Value};

use super::{ACCEPTED, MESSAGE, REJECTED, ed25519};
use crate::robustness::crypto::{JoseKey, base64url, from_base64url, verdicts};

// Anything else.

#[derive(Clone, Debug)]
enum Edit {
    Flip(Index, u8),
    Set(Index, u8),
    Fill(Index, Index, u8),
    Add(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    SwapHalves,
    Reverse,
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Self::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Self::Set(at, value) => bytes[at.index(len)] = *value,
            Self::Fill(from, to, value) => {
                let (from, to) = (from.index(len), to.index(len));
                bytes[from.min(to)..=from.max(to)].fill(*value);
            }
            Self::Add(at, value) => {
                let at = at.index(len);
                bytes[at] = bytes[at].wrapping_add(*value);
            }
            Self::Insert(at, value) => bytes.insert(at.index(len), *value),
            Self::Remove(at) => drop(bytes.remove(at.index(len))),
            Self::SwapHalves => bytes.rotate_left(len / 2),
            Self::Reverse => bytes.reverse(),
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    let edge = prop_oneof![
        prop::sample::select(vec![0, 1, 0x7f, 0x80, 0xff]),
        any::<u8>()
    ];
    prop_oneof![
        4 => (index(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        2 => (index(), edge.clone()).prop_map(|(at, value)| Edit::Set(at, value)),
        2 => (index(), index(), edge.clone()).prop_map(|(from, to, value)| Edit::Fill(from, to, value)),
        1 => (index(), any::<u8>()).prop_map(|(at, value)| Edit::Add(at, value)),
        1 => (index(), edge).prop_map(|(at, value)| Edit::Insert(at, value)),
        1 => index().prop_map(Edit::Remove),
        1 => prop::strategy::Just(Edit::SwapHalves),
        1 => prop::strategy::Just(Edit::Reverse),
    ]
}

/// The part that is edited. A key has two parts at most.
#[derive(Clone, Copy, Debug)]
enum Part {
    Message,
    Signature,
    Key(usize),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        1 => prop::strategy::Just(Part::Message),
        6 => prop::strategy::Just(Part::Signature),
        6 => (0..2_usize).prop_map(Part::Key),
    ]
}

/// A signature over [`MESSAGE`] of every algorithm.
static SIGNED: LazyLock<[Signed; 11]> = LazyLock::new(|| {
    Algorithm::ALL.map(|algorithm| {
        let key = JoseKey::new(algorithm);
        Signed {
            algorithm,
            public: key.public(),
            signature: key.sign(MESSAGE),
        }
    })
});

struct Signed {
    algorithm: Algorithm,
    public: Map<String, Value>,
    signature: Vec<u8>,
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 4_000,
        // The source folder is no place for files that a run creates.
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn backends_agree_on_whatever_is_edited(
        which in any::<Index>(),
        edits in prop::collection::vec((part(), edit()), 0..4),
    ) {
        let Signed { algorithm, public, signature } = which.get(&*SIGNED);
        let (mut message, mut signed) = (MESSAGE.to_vec(), signature.clone());
        let mut jwk = public.clone();
        for (part, edit) in &edits {
            match part {
                Part::Message => edit.apply(&mut message),
                Part::Signature => edit.apply(&mut signed),
                Part::Key(number) => {
                    let names: Vec<_> = ["x", "y", "n", "e"]
                        .into_iter()
                        .filter(|name| jwk.contains_key(*name))
                        .collect();
                    let name = names[number % names.len()];
                    let mut bytes = from_base64url(jwk[name].as_str().unwrap());
                    edit.apply(&mut bytes);
                    jwk.insert(name.to_owned(), base64url(bytes).into());
                }
            }
        }
        let unchanged = message == MESSAGE && &signed == signature && &jwk == public;
        if let Ok(key) = PublicJwk::from_json(&Value::Object(jwk).to_string()) {
            let [(_, first), (_, second)] = verdicts(&key, *algorithm, &message, &signed);
            prop_assert_eq!(first, second, "{}", algorithm);
            prop_assert_eq!(first == ACCEPTED, unchanged, "{}", algorithm);
        } else {
            prop_assert!(!unchanged);
        }
    }

    #[test]
    fn backends_agree_on_any_bytes_as_an_ed25519_key(
        x in any::<[u8; 32]>(),
        signature in any::<[[u8; 32]; 2]>(),
    ) {
        if let Ok(key) = ed25519(x) {
            let signature = signature.concat();
            for (name, verdict) in verdicts(&key, Algorithm::EdDsa, MESSAGE, &signature) {
                prop_assert_eq!(verdict, REJECTED, "{}", name);
            }
        }
    }
}
