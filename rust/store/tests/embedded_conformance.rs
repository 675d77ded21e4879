//! The store in a directory keeps the contract.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use treering_store::conformance::Backend;
use treering_store::{Clock, EmbeddedStore, OpenOptions, Store};

/// Keeps the directories until the theme is over.
struct Embedded(Mutex<Vec<tempfile::TempDir>>);

impl Embedded {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn open(path: PathBuf, clock: Clock) -> Arc<dyn Store> {
        let options = OpenOptions {
            clock,
            ..OpenOptions::default()
        };
        Arc::new(EmbeddedStore::open(path, &options).unwrap())
    }
}

impl Backend for Embedded {
    fn fresh(&self, clock: Clock) -> Arc<dyn Store> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        self.0.lock().unwrap().push(directory);
        Self::open(path, clock)
    }

    fn reopen(&self, closed: &dyn Store, clock: Clock) -> Option<Arc<dyn Store>> {
        Some(Self::open(closed.location().into(), clock))
    }
}

treering_store::conformance!(Embedded::new());
