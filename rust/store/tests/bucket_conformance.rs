//! The store in a directory keeps the contract with its large blocks in a bucket, too.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use treering_store::conformance::Backend;
use treering_store::faults::SimulatedBucket;
use treering_store::{Clock, EmbeddedStore, OpenOptions, Store};

/// Keeps the directories, and the bucket of each, until the theme is over.
struct InBucket(Mutex<HashMap<PathBuf, (tempfile::TempDir, Arc<SimulatedBucket>)>>);

impl InBucket {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn open(path: PathBuf, bucket: Arc<SimulatedBucket>, clock: Clock) -> Arc<dyn Store> {
        let options = OpenOptions {
            clock,
            blobs: Some(bucket),
            ..OpenOptions::default()
        };
        Arc::new(EmbeddedStore::open(path, &options).unwrap())
    }
}

impl Backend for InBucket {
    fn fresh(&self, clock: Clock) -> Arc<dyn Store> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let bucket = SimulatedBucket::new("sim://bucket/prefix");
        let kept = (directory, Arc::clone(&bucket));
        self.0.lock().unwrap().insert(path.clone(), kept);
        Self::open(path, bucket, clock)
    }

    fn reopen(&self, closed: &dyn Store, clock: Clock) -> Option<Arc<dyn Store>> {
        let path = PathBuf::from(closed.location());
        let bucket = Arc::clone(&self.0.lock().unwrap()[&path].1);
        Some(Self::open(path, bucket, clock))
    }
}

treering_store::conformance!(InBucket::new());
