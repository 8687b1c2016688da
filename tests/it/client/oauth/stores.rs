//! Tokens in a file.

use std::fs;

use dpop_tower::client::oauth::{FileTokenStore, OAuthErrorKind, TokenSet, TokenStore as _};
use tempfile::TempDir;

const JSON: &str = r#"{"access_token":"hunter2","token_type":"DPoP","expires_at":1700000000,"refresh_token":"hunter3","scope":"a b","jkt":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}"#;

#[tokio::test]
async fn a_file_has_the_tokens_of_the_last_save_for_its_owner_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokens.json");
    let store = FileTokenStore::new(&path);
    assert!(store.load().await.unwrap().is_none());
    let tokens = TokenSet::from_json(JSON).unwrap();
    for _ in 0..2 {
        store.save(&tokens).await.unwrap();
        let loaded = store.load().await.unwrap().unwrap();
        let expected: serde_json::Value = serde_json::from_str(JSON).unwrap();
        let saved: serde_json::Value = serde_json::from_str(loaded.to_json().as_str()).unwrap();
        assert_eq!(saved, expected);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            // The next save does not keep it.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(!format!("{tokens:?} {store:?}").contains("hunter"));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_an_error_and_not_an_empty_store() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokens.json");
    let store = FileTokenStore::new(&path);
    for text in [
        "",
        "hunter2",
        "{}",
        &JSON.replace("DPoP", "Bearer"),
        &JSON.replace("kPrK", "k"),
    ] {
        fs::write(&path, text).unwrap();
        let error = store.load().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter"));
    }
    assert_eq!(
        TokenSet::from_json("{").unwrap_err().kind(),
        OAuthErrorKind::Store
    );
    let missing = FileTokenStore::new(folder.path().join("no/tokens.json"));
    missing
        .save(&TokenSet::from_json(JSON).unwrap())
        .await
        .unwrap_err();
}
