//! `[metadata]`: the metadata of the protected resource (RFC 9728).

use std::ops::Range;

use dpop_tower::{ConfigError, DpopConfigBuilder, metadata::ResourceMetadata};
use toml::Spanned;

use super::file::{File, Metadata};

/// Applies the settings of the file.
pub(super) fn with_metadata(config: DpopConfigBuilder, file: &File) -> DpopConfigBuilder {
    match &file.metadata {
        Some(table) => config.resource_metadata(metadata(table.get_ref())),
        None => config,
    }
}

fn metadata(table: &Metadata) -> ResourceMetadata {
    let text = |field: &Spanned<String>| field.get_ref().clone();
    let list = |field: &Spanned<Vec<Spanned<String>>>| -> Vec<String> {
        field.get_ref().iter().map(text).collect()
    };
    let resources = table.resources.iter().flat_map(list);
    let mut metadata = resources.fold(ResourceMetadata::new(), ResourceMetadata::resource);
    if let Some(servers) = &table.authorization_servers {
        metadata = metadata.authorization_servers(list(servers));
    }
    if let Some(scopes) = &table.scopes_supported {
        metadata = metadata.scopes_supported(list(scopes));
    }
    type Set = fn(ResourceMetadata, String) -> ResourceMetadata;
    let texts: [(&Option<Spanned<String>>, Set); 4] = [
        (&table.resource_name, ResourceMetadata::resource_name),
        (
            &table.resource_documentation,
            ResourceMetadata::resource_documentation,
        ),
        (
            &table.resource_policy_uri,
            ResourceMetadata::resource_policy_uri,
        ),
        (&table.resource_tos_uri, ResourceMetadata::resource_tos_uri),
    ];
    for (field, set) in texts {
        if let Some(field) = field {
            metadata = set(metadata, text(field));
        }
    }
    match table.danger_allow_plain_http {
        true => metadata.danger_allow_plain_http(),
        false => metadata,
    }
}

/// Returns the field that an error about the metadata is about. The error quotes its value.
pub(super) fn culprit(error: &ConfigError, file: &File) -> (Range<usize>, String) {
    let Some(table) = &file.metadata else {
        return (0..0, "metadata".to_owned());
    };
    let (place, table) = (table.span(), table.get_ref());
    let text = error.to_string();
    let is_quoted = |value: &Spanned<String>| text.contains(&format!("{:?}", value.get_ref()));
    let lists = [
        ("resources", &table.resources),
        ("authorization_servers", &table.authorization_servers),
        ("scopes_supported", &table.scopes_supported),
    ];
    for (name, list) in lists {
        let values = list.iter().flat_map(Spanned::get_ref).enumerate();
        if let Some((index, value)) = values.filter(|(_, value)| is_quoted(value)).last() {
            return (value.span(), format!("metadata.{name}[{index}]"));
        }
    }
    let pages = [
        ("resource_documentation", &table.resource_documentation),
        ("resource_policy_uri", &table.resource_policy_uri),
        ("resource_tos_uri", &table.resource_tos_uri),
    ];
    for (name, page) in pages {
        if let Some(value) = page
            && is_quoted(value)
            && text.contains(name)
        {
            return (value.span(), format!("metadata.{name}"));
        }
    }
    (place, "metadata".to_owned())
}
