//! Reads which types of access tokens an issuer has.

use std::ops::Range;

use dpop_tower::{ConfigError, Issuer};
use toml::Spanned;

use super::{
    error::{SettingsError, Source},
    file::{IssuerTable, Mark},
};

/// Adds the types that the file names. `prefix` is the name of the table, with a dot at its end.
pub(super) fn with_types(
    mut tokens: Issuer,
    issuer: &IssuerTable,
    prefix: &str,
    source: &Source,
) -> Result<Issuer, SettingsError> {
    if let Some(types) = &issuer.typ {
        if types.get_ref().is_empty() {
            let message = "no type is named: name some, or leave the field out for \"at+jwt\"";
            return Err(source.error(types.span(), format!("{prefix}typ"), message));
        }
        for typ in types.get_ref() {
            tokens = tokens.accept_typ(typ.get_ref().as_str());
        }
    }
    if let Some(mark) = &issuer.accept_typ_jwt_if {
        let Mark { claim, values } = mark.get_ref();
        let values = values
            .get_ref()
            .iter()
            .map(|value| value.get_ref().as_str());
        tokens = tokens.accept_typ_jwt_if(claim.get_ref().as_str(), values);
    }
    if issuer.danger_accept_typ_jwt {
        tokens = tokens.danger_accept_typ_jwt();
    }
    Ok(tokens)
}

/// Returns the field that an error about types is about. The error quotes its value.
pub(super) fn culprit(error: &ConfigError, issuer: &IssuerTable) -> (Range<usize>, String) {
    let text = error.to_string();
    let quotes = |what: &str, value: &str| text.contains(&format!("the {what} {value:?} "));
    let types = issuer.typ.iter().flat_map(Spanned::get_ref);
    let mut types = types.enumerate();
    if let Some((index, typ)) = types.find(|(_, typ)| quotes("`typ`", typ.get_ref())) {
        return (typ.span(), format!("typ[{index}]"));
    }
    let Some(mark) = &issuer.accept_typ_jwt_if else {
        return (0..0, "typ".to_owned());
    };
    let of_mark = |name: &str| format!("accept_typ_jwt_if.{name}");
    let Mark { claim, values } = mark.get_ref();
    if issuer.danger_accept_typ_jwt {
        return (mark.span(), "accept_typ_jwt_if".to_owned());
    }
    let mut all = values.get_ref().iter().enumerate();
    if let Some((index, value)) = all.find(|(_, value)| quotes("value", value.get_ref())) {
        return (value.span(), of_mark(&format!("values[{index}]")));
    }
    if text.contains("no value") {
        return (values.span(), of_mark("values"));
    }
    (claim.span(), of_mark("claim"))
}
