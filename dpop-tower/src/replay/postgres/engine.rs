//! PostgreSQL as the database of a supervised store.

use std::{fmt, sync::Arc};

use super::session::{Database, Session, State};
use crate::replay::{
    Freshness, Incarnation,
    shared::{ClockBound, Engine, Failure, Opening, Record},
};

pub(super) struct PostgresEngine {
    database: Arc<Database>,
    bound: ClockBound,
}

/// A session whose marker names one incarnation.
pub(super) struct Open {
    session: Session,
    incarnation: Incarnation,
}

impl PostgresEngine {
    pub(super) const fn new(database: Arc<Database>, bound: ClockBound) -> Self {
        Self { database, bound }
    }

    /// Reads the state of the server, whose clock must not differ by more than the margin.
    async fn state(&self, session: &Session) -> Result<State, Failure> {
        let before = self.bound.now();
        let state = session.state().await?;
        self.bound.check(before, state.now)?;
        Ok(state)
    }
}

impl Engine for PostgresEngine {
    type Session = Open;

    async fn open(&self, opening: Opening) -> Result<(Open, Incarnation), Failure> {
        let session = self.database.session()?;
        let state = self.state(&session).await?;
        let incarnation = match state.incarnation {
            Some(found) if opening.accepts(found) => found,
            found => {
                // Nothing is recorded under the old marker any more. It may come from another server, whose clock was
                // ahead of this one.
                let time = state.now.saturating_add(self.bound.margin());
                let new = opening.begin(time, &self.bound)?;
                session.begin(new, found).await?;
                // Another node may have been faster.
                let state = self.state(&session).await?;
                state
                    .incarnation
                    .filter(|found| *found == new || opening.accepts(*found))
                    .ok_or_else(|| {
                        Failure::session("the marker in the table changes all the time")
                    })?
            }
        };
        let open = Open {
            session,
            incarnation,
        };
        Ok((open, incarnation))
    }

    async fn check(&self, open: &Open) -> Result<(), Failure> {
        let state = self.state(&open.session).await?;
        if state.incarnation != Some(open.incarnation) {
            return Err(changed());
        }
        open.session.remove_expired(&self.bound);
        Ok(())
    }

    async fn insert(&self, open: &Open, record: Record) -> Result<Freshness, Failure> {
        let before = self.bound.now();
        let (life, grace) = (record.keep, self.bound.grace());
        let answer = open
            .session
            .insert(&record.key, life, open.incarnation.id(), grace)
            .await?;
        self.bound.check(before, answer.now)?;
        match (answer.is_same, answer.is_fresh) {
            (true, true) => Ok(Freshness::Fresh),
            (true, false) => Ok(Freshness::Replayed),
            (false, _) => Err(changed()),
        }
    }
}

/// The session of a server that has restarted or a table that was emptied.
fn changed() -> Failure {
    Failure::session(
        "records may have been lost: the server has restarted, or the table was replaced",
    )
}

impl fmt::Debug for PostgresEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresEngine").finish_non_exhaustive()
    }
}
