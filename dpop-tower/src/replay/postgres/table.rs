//! The table of used proofs, and the statements about it.

use crate::error::{ConfigError, ConfigErrorKind};

/// Makes the table of the default name.
const SCHEMA: &str = include_str!("schema.sql");

/// PostgreSQL cuts names after 63 bytes. The name of the index is longer than that of the table.
const MAX_NAME: usize = 63 - INDEX.len();
const INDEX: &str = "_expires_at";

/// The lock of `create_table`, so that several nodes can call it at once. Any number does.
const CREATION_LOCK: i64 = 0x6470_6f70_7461_626c;

/// Rows that are removed by one statement. Each has a lock until the statement ends.
pub(super) const BATCH: i64 = 1_000;

/// The text in which a table is named without the risk of an injection.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// In double quotes, with the schema if there is one.
    quoted: String,
    index: String,
    /// Without quotes, for messages.
    pub(super) name: String,
}

/// All statements about one table.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    /// `$1` proof, `$2` milliseconds to keep it, `$3` incarnation, `$4` the part of `$2` for differing clocks.
    pub(super) insert: String,
    /// Returns the state of the server and the marker.
    pub(super) check: String,
    /// `$1` incarnation, `$2` its beginning, `$3` the incarnation that has ended. Replaces the marker unless another
    /// node already has.
    pub(super) begin: String,
    /// `$1` the caller's clock in seconds, `$2` how far the clocks may differ. Removes a batch of expired rows.
    pub(super) remove: String,
}

impl Table {
    /// Checks the name of a table, with or without a schema.
    pub(super) fn new(name: &str) -> Result<Self, ConfigError> {
        let (schema, table) = match name.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, name),
        };
        if !is_name(table, MAX_NAME) || schema.is_some_and(|schema| !is_name(schema, 63)) {
            let message = format!(
                "the table of used proofs is not named by letters, digits and underscores, at most {MAX_NAME} of \
                 them, with or without a schema and a dot before them"
            );
            return Err(ConfigError::new(ConfigErrorKind::Replay, message));
        }
        Ok(Self {
            quoted: match schema {
                Some(schema) => format!("\"{schema}\".\"{table}\""),
                None => format!("\"{table}\""),
            },
            index: format!("\"{table}{INDEX}\""),
            name: name.to_owned(),
        })
    }

    /// Returns the statements that make the table, which run as one transaction.
    pub(super) fn creation(&self, unlogged: bool) -> String {
        let kind = if unlogged {
            "CREATE UNLOGGED TABLE"
        } else {
            "CREATE TABLE"
        };
        let schema = SCHEMA
            .replace("CREATE TABLE", kind)
            .replace(
                "EXISTS dpop_proofs_expires_at",
                &format!("EXISTS {}", self.index),
            )
            .replace("EXISTS dpop_proofs ", &format!("EXISTS {} ", self.quoted))
            .replace("ON dpop_proofs ", &format!("ON {} ", self.quoted));
        format!("SELECT pg_advisory_xact_lock({CREATION_LOCK});\n{schema}")
    }

    pub(super) fn statements(&self) -> Statements {
        let table = &self.quoted;
        // A restarted server has another start, a promoted one another timeline, and a table that was truncated,
        // restored or made again has other files. The text must not depend on settings of the session.
        let server = format!(
            "server AS MATERIALIZED (
                SELECT clock_timestamp() AS now, concat_ws('/',
                    extract(epoch FROM pg_postmaster_start_time()),
                    substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
                    '{table}'::regclass::oid,
                    pg_relation_filenode('{table}'::regclass)
                ) AS identity
            )"
        );
        // The marker is in the same table, so that nothing empties the table and leaves the marker. No proof is
        // empty.
        let marker = format!(
            "marker AS MATERIALIZED (
                SELECT incarnation, since, server, removed_until FROM {table} WHERE proof = ''::bytea
            )"
        );
        let now = "floor(extract(epoch FROM server.now))::bigint";
        let insert = format!(
            "WITH {server}, {marker}, used AS (
                INSERT INTO {table} AS used (proof, expires_at)
                SELECT $1::bytea, server.now + $2::bigint * interval '1 millisecond'
                FROM server, marker
                WHERE marker.incarnation = $3::bytea AND marker.server = server.identity
                    AND server.now + ($2::bigint - $4::bigint) * interval '1 millisecond'
                        > coalesce(marker.removed_until, '-infinity'::timestamptz)
                ON CONFLICT (proof) DO UPDATE SET expires_at = excluded.expires_at
                    WHERE used.expires_at < clock_timestamp()
                RETURNING true
            )
            SELECT {now},
                coalesce(marker.incarnation = $3::bytea AND marker.server = server.identity, false),
                EXISTS (SELECT FROM used)
            FROM server LEFT JOIN marker ON true"
        );
        let check = format!(
            "WITH {server}, {marker}
            SELECT {now}, marker.incarnation, marker.since
            FROM server LEFT JOIN marker ON marker.server = server.identity"
        );
        let begin = format!(
            "WITH {server}
            INSERT INTO {table} AS marker (proof, expires_at, incarnation, since, server)
            SELECT ''::bytea, 'infinity'::timestamptz, $1::bytea, $2::bigint, server.identity FROM server
            ON CONFLICT (proof) DO UPDATE SET
                incarnation = excluded.incarnation, since = excluded.since, server = excluded.server
                WHERE marker.server IS DISTINCT FROM excluded.server OR marker.incarnation = $3::bytea"
        );
        // A clock that is wrong for a while must not remove rows that are live when it is right again. So nothing
        // is removed while the clocks differ, and what may have been removed is not taken for new.
        let remove = format!(
            "WITH server AS MATERIALIZED (
                SELECT clock_timestamp() AS now
            ), expired AS MATERIALIZED (
                SELECT old.proof FROM {table} AS old
                WHERE old.expires_at < (
                    SELECT server.now FROM server
                    WHERE abs(extract(epoch FROM server.now) - $1::bigint) <= $2::bigint
                )
                ORDER BY old.expires_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED
            ), marked AS (
                UPDATE {table} AS marker
                SET removed_until = greatest(marker.removed_until, server.now) FROM server
                WHERE marker.proof = ''::bytea AND EXISTS (SELECT FROM expired)
            ), removed AS (
                DELETE FROM {table} AS old USING expired WHERE old.proof = expired.proof RETURNING true
            )
            SELECT count(*) FROM removed"
        );
        Statements {
            insert,
            check,
            begin,
            remove,
        }
    }
}

fn is_name(text: &str, max: usize) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.len() <= max
        && text.starts_with(is_first)
        && text.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_schema_makes_the_table_of_any_name() {
        let logged = Table::new("a.b").unwrap().creation(false);
        assert!(logged.contains("CREATE TABLE IF NOT EXISTS \"a\".\"b\" ("));
        assert!(logged.contains("EXISTS \"b_expires_at\" ON \"a\".\"b\" (expires_at)"));
        assert!(!logged.contains("dpop_proofs"), "{logged}");
        let unlogged = Table::new("b").unwrap().creation(true);
        assert!(unlogged.contains("CREATE UNLOGGED TABLE IF NOT EXISTS \"b\" ("));
    }

    #[test]
    fn a_name_cannot_end_its_quotes() {
        for name in [
            "t",
            "dpop_proofs",
            "a.b",
            "_1",
            &"t".repeat(52),
            &format!("{}.t", "s".repeat(63)),
        ] {
            let table = Table::new(name).unwrap();
            assert_eq!(table.quoted, format!("\"{}\"", name.replace('.', "\".\"")));
        }
        for name in [
            "",
            ".",
            "a.",
            ".b",
            "a.b.c",
            "a b",
            "a\"",
            "a\" --",
            "a;b",
            "a'b",
            "1a",
            "tä",
            "a-b",
            &"t".repeat(53),
            &format!("{}.t", "s".repeat(64)),
        ] {
            assert_eq!(
                Table::new(name).unwrap_err().kind(),
                ConfigErrorKind::Replay,
                "{name}"
            );
        }
    }
}
