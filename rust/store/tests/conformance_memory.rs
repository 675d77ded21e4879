//! The store in memory keeps the contract.

use std::sync::Arc;

use treering_store::conformance::Backend;
use treering_store::{Clock, MemoryStore, Store};

struct Memory;

impl Backend for Memory {
    fn fresh(&self, clock: Clock) -> Arc<dyn Store> {
        Arc::new(MemoryStore::with_clock(clock))
    }
}

treering_store::conformance!(Memory);
