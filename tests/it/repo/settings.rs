//! docs/settings.md has every setter.

use std::{fs, path::Path};

/// A heading of the page, and the files with the setters of its type.
const SECTIONS: &[(&str, &[&str])] = &[
    ("DpopConfig", &["config/builder.rs"]),
    ("DpopLayer", &["middleware/layer.rs"]),
    ("Policy", &["policy/require.rs"]),
    ("PublicOrigin", &["target/public_origin.rs"]),
    ("ForwardedTarget", &["target/forwarded.rs"]),
    (
        "Issuer",
        &[
            "token/jwt/mod.rs",
            "token/jwt/typ.rs",
            "token/jwt/claim_names.rs",
        ],
    ),
    ("KeyFetching", &["keys/fetching.rs"]),
    ("Introspection", &["token/introspection/mod.rs"]),
    ("MemoryReplayStore", &["replay/memory.rs"]),
    ("StatelessNonces", &["nonce/stateless.rs"]),
];

/// Returns the public methods that take a value of the type and return one.
fn setters(source: &str) -> Vec<&str> {
    let functions = source.split("    pub ").skip(1);
    functions
        .filter_map(|rest| {
            let rest = rest.strip_prefix("const ").unwrap_or(rest);
            let (name, rest) = rest.strip_prefix("fn ")?.split_once(['(', '<'])?;
            let (signature, _) = rest.split_once('{')?;
            let takes = signature.contains("mut self") || signature.contains("(self");
            let takes = takes || signature.trim_start().starts_with("self");
            let result = signature.rsplit_once("->")?.1.trim();
            let returns = ["Self", "Policy<Draft>", "Result<Self, ConfigError>"].contains(&result);
            (takes && returns).then_some(name)
        })
        .collect()
}

#[test]
fn every_setter_is_in_the_documentation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/settings.md")).unwrap();
    let mut checked = 0;
    for (heading, files) in SECTIONS {
        let (_, section) = page
            .split_once(&format!("\n## `{heading}`\n"))
            .expect(heading);
        let section = section.split("\n## ").next().unwrap();
        for file in *files {
            let source = fs::read_to_string(root.join("dpop-tower/src").join(file)).unwrap();
            let setters = setters(&source);
            assert!(!setters.is_empty(), "{file} was not read");
            for setter in setters {
                checked += 1;
                assert!(
                    section.contains(&format!("`{setter}`")),
                    "docs/settings.md lacks {setter} of {heading}"
                );
            }
        }
    }
    assert!(checked > 80, "{checked} setters");
}
