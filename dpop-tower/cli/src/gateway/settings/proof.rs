//! `[proof]`: the maximum age of a proof, and the leeway for clients' clocks.

use std::time::Duration;

use dpop_tower::{ConfigError, DpopConfigBuilder, proof::ProofVerifier};
use toml::Spanned;

use super::{
    error::{SettingsError, Source, explain},
    file::File,
};

/// A field, and the setter of the library that it corresponds to. `check` tests the value first.
struct Field<'f> {
    name: &'static str,
    value: Option<&'f Spanned<u64>>,
    check: fn(ProofVerifier, Duration) -> Result<ProofVerifier, ConfigError>,
    set: fn(DpopConfigBuilder, Duration) -> DpopConfigBuilder,
}

/// Applies the settings of the file.
pub(super) fn with_window(
    mut config: DpopConfigBuilder,
    file: &File,
    source: &Source,
) -> Result<DpopConfigBuilder, SettingsError> {
    let proof = &file.proof;
    let pairs = [
        [
            Field {
                name: "proof.max_age",
                value: proof.max_age.as_ref(),
                check: ProofVerifier::max_age,
                set: DpopConfigBuilder::max_age,
            },
            Field {
                name: "proof.danger_max_age",
                value: proof.danger_max_age.as_ref(),
                check: ProofVerifier::danger_max_age,
                set: DpopConfigBuilder::danger_max_age,
            },
        ],
        [
            Field {
                name: "proof.leeway",
                value: proof.leeway.as_ref(),
                check: ProofVerifier::leeway,
                set: DpopConfigBuilder::leeway,
            },
            Field {
                name: "proof.danger_leeway",
                value: proof.danger_leeway.as_ref(),
                check: ProofVerifier::danger_leeway,
                set: DpopConfigBuilder::danger_leeway,
            },
        ],
    ];
    for [plain, danger] in pairs {
        if let (Some(_), Some(value)) = (plain.value, danger.value) {
            let message = format!("`{}` is already set", plain.name);
            return Err(source.error(value.span(), danger.name, message));
        }
        for field in [plain, danger] {
            let Some(value) = field.value else { continue };
            let duration = Duration::from_secs(*value.get_ref());
            (field.check)(ProofVerifier::default(), duration)
                .map_err(|error| source.error(value.span(), field.name, explain(&error)))?;
            config = (field.set)(config, duration);
        }
    }
    Ok(config)
}
