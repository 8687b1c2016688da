//! `dpop key`.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::{run, write_secret};

/// The names of all members that are a part of a private key.
const PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[cfg(unix)]
fn mode(path: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_key_is_a_jwk_with_its_thumbprint_as_kid() {
    for (alg, kty) in [
        ("ES256", "EC"),
        ("ES384", "EC"),
        ("Ed25519", "OKP"),
        ("EdDSA", "OKP"),
        ("PS256", "RSA"),
    ] {
        let key = run(&["key", "new", "--alg", alg]).succeeded().json();
        assert_eq!(key["kty"], kty);
        assert_eq!(key["alg"], alg);
        assert_eq!(key["use"], "sig");
        assert!(key["d"].is_string());
        let folder = TempDir::new().unwrap();
        let file = path(&folder, "key.json");
        write_secret(file.as_ref(), &key.to_string());
        let thumbprint = run(&["key", "thumbprint", &file]).succeeded().stdout;
        assert_eq!(key["kid"], thumbprint.trim());
    }
    run(&["key", "new", "--alg", "HS256"]).failed(2, &["ES256"]);
    run(&["key", "new", "--alg", "ES512"]).failed(2, &["ES256"]);
}

#[cfg(unix)]
#[test]
fn a_key_file_is_for_its_owner_alone_and_is_not_overwritten() {
    let folder = TempDir::new().unwrap();
    let file = path(&folder, "key.json");
    let told = run(&["key", "new", "--out", &file]).succeeded().stdout;
    assert_eq!(mode(&file), 0o600);
    let first = fs::read_to_string(&file).unwrap();
    let d = serde_json::from_str::<Value>(&first).unwrap()["d"].to_string();
    assert!(!told.contains(d.trim_matches('"')), "{told}");

    run(&["key", "new", "--out", &file]).failed(2, &["exists", "--force"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), first);

    // A file that others can read does not lend its mode to the new key.
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    run(&["key", "new", "--out", &file, "--force"]).succeeded();
    assert_eq!(mode(&file), 0o600);
    assert_ne!(fs::read_to_string(&file).unwrap(), first);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    // A link is replaced, and what it leads to stays.
    let link = path(&folder, "link");
    let target = path(&folder, "target");
    write_secret(target.as_ref(), "kept");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    run(&["key", "new", "--out", &link]).failed(2, &["exists"]);
    run(&["key", "new", "--out", &link, "--force"]).succeeded();
    assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_warned_of() {
    let folder = TempDir::new().unwrap();
    let file = path(&folder, "key.json");
    run(&["key", "new", "--out", &file]).succeeded();
    let quiet = run(&["key", "thumbprint", &file]).succeeded();
    assert_eq!(quiet.stderr, "");
    for mode in [0o644, 0o640, 0o602] {
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let warned = run(&["key", "thumbprint", &file]).succeeded();
        assert!(warned.stderr.contains("chmod 600"), "{warned:?}");
        assert_eq!(warned.stdout, quiet.stdout);
    }
}

#[test]
fn a_key_is_the_same_in_every_form() {
    let folder = TempDir::new().unwrap();
    for (name, form) in [("set.json", "--jwks"), ("key.pem", "--pem")] {
        let file = path(&folder, name);
        let new = run(&["--json", "key", "new", form, "--out", &file]).succeeded();
        let shown = run(&["--json", "key", "show", &file]).succeeded().json();
        assert_eq!(shown["thumbprint"], new.json()["thumbprint"]);
        assert_eq!(shown["alg"], "ES256");
    }
    let set: Value =
        serde_json::from_str(&fs::read_to_string(path(&folder, "set.json")).unwrap()).unwrap();
    let jwk = set["keys"][0].to_string();
    let file = path(&folder, "key.json");
    write_secret(file.as_ref(), &jwk);
    let thumbprint = |file: &str| run(&["key", "thumbprint", file]).succeeded().stdout;
    assert_eq!(thumbprint(&file), thumbprint(&path(&folder, "set.json")));
}

#[test]
fn of_a_set_with_several_keys_one_is_selected() {
    let folder = TempDir::new().unwrap();
    let new = || run(&["key", "new"]).succeeded().json();
    let (a, b) = (new(), new());
    let mut public = new();
    public.as_object_mut().unwrap().remove("d");
    let file = path(&folder, "set.json");
    let set = |keys: &[&Value]| {
        write_secret(
            file.as_ref(),
            &serde_json::json!({ "keys": keys }).to_string(),
        );
    };
    set(&[&public, &a]);
    let only = run(&["key", "thumbprint", &file]).succeeded().stdout;
    assert_eq!(a["kid"], only.trim());

    set(&[&a, &b]);
    run(&["key", "thumbprint", &file]).failed(2, &["several", "--kid"]);
    let kid = b["kid"].as_str().unwrap();
    let selected = run(&["key", "thumbprint", &file, "--kid", kid]).succeeded();
    assert_eq!(selected.stdout.trim(), kid);
    run(&["key", "thumbprint", &file, "--kid", "none"]).failed(2, &["\"none\""]);

    set(&[&public]);
    run(&["key", "thumbprint", &file]).failed(2, &["no private key"]);
}

#[test]
fn what_is_shown_of_a_key_is_its_public_half() {
    let folder = TempDir::new().unwrap();
    for alg in ["ES256", "Ed25519", "PS256"] {
        let key = run(&["key", "new", "--alg", alg]).succeeded().json();
        let file = path(&folder, "key.json");
        write_secret(file.as_ref(), &key.to_string());
        let text = run(&["key", "show", &file]).succeeded().stdout;
        let json = run(&["--json", "key", "show", &file]).succeeded();
        for shown in [&text, &json.stdout] {
            for member in PRIVATE {
                if let Some(value) = key[member].as_str() {
                    assert!(!shown.contains(value), "{member}");
                }
            }
            assert!(shown.contains(key["kid"].as_str().unwrap()));
        }
        let json = json.json();
        for member in PRIVATE {
            assert_eq!(json["jwk"].get(member), None);
        }
        assert_eq!(json["jwk"]["kty"], key["kty"]);
    }
}

#[test]
fn a_file_without_a_usable_key_is_an_error_that_contains_nothing_of_it() {
    let folder = TempDir::new().unwrap();
    let file = path(&folder, "key.json");
    for text in [
        "",
        "hunter2",
        r#"{"kty":"oct","k":"aHVudGVyMg"}"#,
        r#"{"kty":"EC","crv":"P-256","d":"hunter2"}"#,
        r#"{"kty":"EC" "hunter2"}"#,
        r#"{"keys":"hunter2"}"#,
        "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
    ] {
        write_secret(file.as_ref(), text);
        let ran = run(&["key", "show", &file]).failed(2, &["key.json: "]);
        assert!(!ran.stderr.contains("unter2"), "{ran:?}");
    }
    run(&["key", "show", &path(&folder, "missing")]).failed(2, &["missing"]);
}
