//! What went wrong at the database, without types of the driver.

use std::{error::Error, fmt};

use tokio_postgres::error::SqlState;

use crate::replay::shared::Failure;

/// The reason why the database did not answer as expected.
#[derive(Debug)]
pub(super) struct DatabaseError {
    what: String,
    is_full: bool,
    /// Whether the server has answered and the connection can be used again.
    pub(super) keeps_connection: bool,
}

impl DatabaseError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            is_full: false,
            keeps_connection: false,
        }
    }

    /// Describes an error of the driver. What the server writes about itself has no values of rows, since its details
    /// are left out.
    pub(super) fn of_driver(error: &tokio_postgres::Error, table: &str) -> Self {
        let Some(answer) = error.as_db_error() else {
            return Self::new(chain(error));
        };
        let hint = match answer.code() {
            &SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME => format!(
                ": call `PostgresReplayStore::create_table` once, or run the SQL of its documentation, to make the \
                 table {table}"
            ),
            &SqlState::UNDEFINED_COLUMN => {
                format!(": the table {table} was not made by `PostgresReplayStore::create_table`")
            }
            &SqlState::INSUFFICIENT_PRIVILEGE => {
                format!(": the user needs SELECT, INSERT, UPDATE and DELETE on the table {table}")
            }
            &SqlState::READ_ONLY_SQL_TRANSACTION | &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
                ": a standby cannot record proofs".to_owned()
            }
            _ => String::new(),
        };
        let code = answer.code().code();
        Self {
            what: format!("PostgreSQL: {} ({code}){hint}", answer.message()),
            is_full: matches!(
                *answer.code(),
                SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY
            ),
            // The session cannot continue after FATAL and PANIC, nor on a server that takes no writes.
            keeps_connection: answer.severity() == "ERROR"
                && !matches!(
                    *answer.code(),
                    SqlState::READ_ONLY_SQL_TRANSACTION
                        | SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
                ),
        }
    }
}

/// Joins the messages of an error and its sources.
fn chain(error: &dyn Error) -> String {
    let mut text = format!("PostgreSQL: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for DatabaseError {}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match (error.is_full, error.keeps_connection) {
            (true, _) => Self::full(),
            (false, true) => Self::call(error.what),
            (false, false) => Self::session(error.what),
        }
    }
}
