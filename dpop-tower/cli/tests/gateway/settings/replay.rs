//! `[replay]`: which store, and the settings that it has.

use std::{fs, path::Path};

use dpop_cli::gateway::{Settings, SettingsError};
use tempfile::TempDir;

use super::{LINE, TABLES, parse, rejected};

const REDIS: &str = "store = 'redis://127.0.0.1:6379'";
const POSTGRES: &str = "store = 'postgres://postgres@127.0.0.1/proofs'";

fn table(lines: &str) -> Result<Settings, SettingsError> {
    parse("", &format!("[replay]\n{lines}\n"))
}

#[tokio::test]
async fn a_store_is_named_by_its_url() {
    for url in [
        "memory",
        "redis://127.0.0.1:6379",
        "rediss://redis.test:6380/2",
        "redis-cluster://127.0.0.1:7000,127.0.0.1:7001",
        "redis-sentinel://127.0.0.1:26379/proofs",
        "postgres://postgres@127.0.0.1/proofs",
        "postgresql://postgres@127.0.0.1/proofs",
    ] {
        table(&format!("store = '{url}'")).unwrap_or_else(|error| panic!("{url}: {error}"));
    }
}

/// Neither an error nor the settings in force show the password.
#[tokio::test]
async fn an_error_in_the_url_names_the_part_and_shows_no_password() {
    for (url, told) in [
        ("", "no scheme"),
        ("hunter2", "no scheme"),
        ("mongodb://:hunter2@db.test", "scheme"),
        ("redis://:hunter2@", "host"),
        ("redis://:hunter2@db.test:port", "port"),
        ("redis://:hunter2@db.test/?colour=red", "query"),
        ("postgres://user:hunter2@/proofs", "host"),
        ("postgres://user:hunter2@db.test:99999/proofs", "port"),
        (
            "postgres://user:hunter2@db.test/proofs?colour=red",
            "parameter",
        ),
    ] {
        let error = table(&format!("store = '{url}'")).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.field(), "replay.store", "{text}");
        assert_eq!(error.line(), Some(TABLES + 1), "{text}");
        assert!(text.contains(told), "{url}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let settings = table("store = 'redis://me:hunter2@redis.test:6380'").unwrap();
    let shown = format!("{}\n{settings:?}", settings.effective());
    assert!(shown.contains("redis.test:6380"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_setting_that_the_store_does_not_have_is_told_with_its_field() {
    for (store, lines, field) in [
        ("", "time_out_ms = 100", "time_out_ms"),
        ("", "clock_margin = 5", "clock_margin"),
        ("", "window = 130", "window"),
        ("", "ca_file = 'jwks.json'", "ca_file"),
        (
            "",
            "danger_fall_back_to_memory = true",
            "danger_fall_back_to_memory",
        ),
        ("", "key_prefix = 'a'", "key_prefix"),
        ("", "table = 'a'", "table"),
        (REDIS, "capacity = 10", "capacity"),
        (REDIS, "capacity_per_key = 10", "capacity_per_key"),
        (REDIS, "capacity_per_subject = 10", "capacity_per_subject"),
        (REDIS, "fence = true", "fence"),
        (
            REDIS,
            "danger_fall_back_to_memory = true\nfence = true",
            "fence",
        ),
        (REDIS, "table = 'a'", "table"),
        (REDIS, "create_table = true", "create_table"),
        (REDIS, "max_connections = 4", "max_connections"),
        (POSTGRES, "key_prefix = 'a'", "key_prefix"),
        (POSTGRES, "wait_for_replicas = 1", "wait_for_replicas"),
        (
            POSTGRES,
            "danger_allow_eviction = true",
            "danger_allow_eviction",
        ),
    ] {
        let error = table(&format!("{store}\n{lines}")).unwrap_err();
        assert_eq!(error.field(), format!("replay.{field}"), "{error}");
        assert!(error.to_string().contains("no such setting"), "{error}");
    }
}

#[tokio::test]
async fn a_store_has_its_settings() {
    for lines in [
        "key_prefix = 'orders:'\ntime_out_ms = 100\nclock_margin = 2\nwindow = 130\ndanger_allow_eviction = true",
        "wait_for_replicas = 1",
        "danger_fall_back_to_memory = true\ncapacity = 1000\ncapacity_per_key = 10",
    ] {
        table(&format!("{REDIS}\n{lines}")).unwrap_or_else(|error| panic!("{lines}: {error}"));
    }
    let lines =
        "table = 'auth.proofs'\ncreate_table = true\nmax_connections = 4\ntime_out_ms = 100";
    table(&format!("{POSTGRES}\n{lines}")).unwrap();
}

#[tokio::test]
async fn a_value_that_the_store_does_not_take_is_told_with_its_field() {
    for (store, line, field) in [
        (REDIS, "time_out_ms = 0", "time_out_ms"),
        (POSTGRES, "time_out_ms = 0", "time_out_ms"),
        (POSTGRES, "table = 'a; DROP TABLE b'", "table"),
        (POSTGRES, "max_connections = 0", "max_connections"),
        (
            "store = 'rediss://127.0.0.1:6379'",
            "ca_file = 'short'",
            "ca_file",
        ),
        (REDIS, "ca_file = 'absent.pem'", "ca_file"),
    ] {
        let error = table(&format!("{store}\n{line}")).unwrap_err();
        assert_eq!(error.field(), format!("replay.{field}"), "{error}");
        assert_eq!(error.line(), Some(TABLES + 2), "{error}");
    }
}

#[tokio::test]
async fn the_password_can_be_in_a_file_of_its_own() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (secret, empty) = (file("secret", "p@ss/wörd:1?#\n"), file("empty", "\n"));
    let with = |store: &str, file: &str| table(&format!("{store}\npassword_file = '{file}'"));
    for store in [
        REDIS,
        POSTGRES,
        "store = 'redis://me@127.0.0.1:6379/1'",
        "store = 'redis-cluster://127.0.0.1:7000,127.0.0.1:7001'",
    ] {
        let settings = with(store, &secret).unwrap_or_else(|error| panic!("{store}: {error}"));
        assert!(
            !settings.effective().contains("p@ss"),
            "{}",
            settings.effective()
        );
    }
    for (store, file, told) in [
        ("store = 'memory'", &secret, "a URL"),
        ("", &secret, "a URL"),
        (
            "store = 'redis://:known@127.0.0.1'",
            &secret,
            "already has a password",
        ),
        (REDIS, &empty, "empty"),
        (REDIS, &"/nonexistent".to_owned(), "cannot be read"),
    ] {
        let error = with(store, file).unwrap_err();
        assert_eq!(error.field(), "replay.password_file", "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn the_url_can_come_from_the_environment() {
    rejected(
        "",
        "[replay]\nstore_env = 'DPOP_TEST_NO_SUCH_VARIABLE'",
        TABLES + 1,
        "replay.store_env",
        "no such variable",
    );
    // Every process has this variable, and it is not a URL.
    rejected(
        "",
        "[replay]\nstore_env = 'PATH'",
        TABLES + 1,
        "replay.store_env",
        "no scheme",
    );
    rejected(
        "",
        "[replay]\nstore = 'memory'\nstore_env = 'PATH'",
        TABLES + 2,
        "replay.store_env",
        "already set",
    );
}

#[test]
fn the_whole_table_is_told_when_it_is_no_table() {
    rejected(
        "replay = 'redis://127.0.0.1'",
        "",
        LINE,
        "replay",
        "expected",
    );
    let text = "[replay]\nurl = 'redis://127.0.0.1'\n";
    let error = Settings::parse(text, Path::new("gateway.toml")).unwrap_err();
    assert!(error.to_string().contains("unknown field `url`"), "{error}");
}
