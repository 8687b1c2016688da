//! What all tasks share.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use crate::{
    faults::Windows,
    people::{Credentials, People},
    record::Record,
};

/// How the programs are tested.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program `dpop`.
    pub dpop: PathBuf,
    /// Where the table, the plot and the logs go.
    pub results: PathBuf,
    pub length: Duration,
    /// Good requests per second.
    pub rate: f64,
    /// The maximum age of a proof, and its leeway, in seconds.
    pub max_age: u64,
    pub leeway: u64,
}

impl Settings {
    /// Returns whether the run is long enough to tell a slope from noise.
    pub fn is_long(&self) -> bool {
        self.length >= Duration::from_secs(600)
    }

    /// Returns the length of an interval of the table.
    pub fn interval(&self) -> Duration {
        Duration::from_secs((self.length.as_secs() / 360).max(1))
    }
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Gateway,
    Tls,
    Api,
}

/// What all tasks share.
#[derive(Debug)]
pub struct State {
    pub settings: Settings,
    pub people: RefCell<People>,
    pub record: RefCell<Record>,
    pub windows: RefCell<Windows>,
    pub addresses: [SocketAddr; 3],
    pub client_hello: Vec<u8>,
    pub stopped: Cell<bool>,
}

impl State {
    pub fn runs(&self) -> bool {
        !self.stopped.get()
    }

    pub fn address(&self, target: Target) -> SocketAddr {
        self.addresses[match target {
            Target::Gateway => 0,
            Target::Tls => 1,
            Target::Api => 2,
        }]
    }

    pub fn event(&self, name: &str) {
        self.record.borrow_mut().event(name);
    }

    pub fn fail(&self, what: impl Into<String>) {
        self.record.borrow_mut().fail(what);
    }

    pub fn count(&self, name: &str) {
        self.record.borrow_mut().count(name);
    }

    /// Returns credentials that were admitted by a service with the same store, and are not too old.
    pub fn used(&self, target: Target) -> Option<Credentials> {
        let fresh = Duration::from_secs(self.settings.max_age);
        let api = target == Target::Api;
        self.people.borrow_mut().used(api, fresh)
    }
}
