//! The store: blocks, refs and the journal behind one trait.
//!
//! What it promises: a [`Commit`] is atomic and, once its [`Ticket`] is answered, as durable as its
//! [`Durability`] says; a present node's links are present; a ref never points at what is absent;
//! bytes are checked against their CID whenever they come from a file.
//! What it must never do: know what a thread or an actor is, attach to Python, or run user code
//! under its lock.

pub mod archive;
pub mod blob_tree;
pub mod bucket;
pub mod caller;
pub mod clock;
pub mod collections;
pub mod commit;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod copy;
pub mod cursor;
pub mod decide;
pub mod embedded;
pub mod erasure;
pub mod error;
#[cfg(feature = "testing")]
pub mod faults;
pub mod findings;
pub mod gc;
pub mod journal;
pub mod lease;
pub mod ledger;
pub mod listening;
pub mod memory;
pub mod name;
pub mod process;
pub mod progress;
pub mod quarantine;
pub mod reachable;
mod read_only;
pub mod repair;
pub mod retention;
pub mod scope;
pub mod sealed;
pub mod stats;
pub mod store;
pub mod ticket;
pub mod tier;
pub mod upload;
pub mod vacuum;
pub mod verify;

pub use bucket::{Bucket, Object};
pub use clock::Clock;
pub use collections::{Carried, Landing, Large, Rooted, Version};
pub use commit::{
    Address, Change, Command, Commit, Committed, Durability, Expect, LeaseToken, RefMove, RefValue,
};
pub use copy::{CopyOptions, CopyReport, copy};
pub use cursor::{Cursor, Head};
pub use decide::{Decide, Decided, View};
pub use embedded::{
    BackupOptions, BackupReport, Disk, DiskLayer, EmbeddedStore, FileOp, OpenOptions, Verdict,
    erased_since, fetch_backup, restore, restore_erased,
};
pub use erasure::{ERASE_ROWS_MAX, EraseOptions, Erased, ErasedFigures, Erasure, Erasures};
pub use error::{Result, StoreError};
pub use findings::{Check, Finding, VerifyReport};
pub use gc::{Collection, GcOptions, GcReport};
pub use journal::{JournalCommand, JournalEntry, JournalMove, JournalRow};
pub use lease::{Identity, Lease, LeaseState};
pub use listening::{Listening, Wake};
pub use memory::MemoryStore;
pub use name::RefName;
pub use process::Liveness;
pub use progress::{Progress, Stage};
pub use quarantine::Quarantined;
pub use reachable::{Reached, reachable};
pub use repair::{Repair, RepairReport};
pub use retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
pub use sealed::SealedFile;
pub use stats::{Counters, StoreStats};
pub use store::{BlockInfo, Hold, ScopeReceipt, Store};
pub use ticket::Ticket;
pub use tier::Tier;
pub use upload::{BlockReader, Upload, Uploaded};
pub use vacuum::Vacuumed;
