//! The one way to change a store: new blocks, ref moves and what they expect, all or nothing.

use std::collections::HashSet;
use std::sync::Arc;

use treering_block::{Block, Cid};

use crate::decide::Decide;
use crate::error::{Result, StoreError};
use crate::journal::JournalCommand;
use crate::name::{RefName, check_scope, check_written_scope};
use crate::upload::Uploaded;

/// At most this many bytes of blocks in one commit (64 MiB); files of their own do not count.
pub const COMMIT_BYTES_MAX: u64 = 64 << 20;
/// At most this many ref moves in one commit.
pub const COMMIT_MOVES_MAX: usize = 20_000;
/// At most this many bytes of record on one ref.
pub const RECORD_BYTES_MAX: usize = 4096;
/// At most this many receipts of other stores' commands in one commit.
pub const COMMIT_RECEIPTS_MAX: usize = 20_000;
/// At most this many bytes in a command id, at least one.
pub const COMMAND_ID_BYTES_MAX: usize = 256;
/// At most this many bytes in a command's receipt.
pub const RECEIPT_BYTES_MAX: usize = 4096;
/// Blocks of so many bytes (256 KiB) and more are files of their own where the backend has files.
pub const BLOB_BYTES_MIN: usize = 256 << 10;

/// How much of a failure an acknowledged commit outlives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power failure: answered after the log has reached the disk.
    #[default]
    Durable,
    /// A killed process, not a power failure: answered before the log is synced.
    Relaxed,
}

/// What a ref must be before a commit may move it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It does not exist.
    Absent,
    /// It stands at this version.
    Version(u64),
    /// It stands at this version and points there. For commits that are submitted before the ones they
    /// build on are answered: if one of those fails, somebody else's change may lead to the same number.
    At {
        /// The version.
        version: u64,
        /// The target.
        target: Cid,
    },
    /// Nothing: whatever it is (absent too), it is moved.
    Any,
}

/// What becomes of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It points at `target`, with `record` (≤ [`RECORD_BYTES_MAX`] bytes, without links) beside it.
    Set {
        /// A block that is present, or new in this commit.
        target: Cid,
        /// Opaque bytes; empty where there is nothing to say.
        record: Vec<u8>,
    },
    /// It is removed; nothing happens if it is absent and that was allowed.
    Delete,
}

/// One compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefMove {
    /// The ref to move; of the commit's own scope, and at most once in a commit.
    pub name: RefName,
    /// What it has to be.
    pub expect: Expect,
    /// What it becomes.
    pub change: Change,
}

/// A ref as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefValue {
    /// Counts from 1, grows by one with each move. A ref that was removed and made again counts from 1 again.
    pub version: u64,
    /// Where it points; always present.
    pub target: Cid,
    /// What was written beside it.
    pub record: Vec<u8>,
}

/// The lease that must be held on `name` for the commit to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseToken {
    /// The leased ref.
    pub name: RefName,
    /// The token that was granted.
    pub token: u64,
}

/// What makes a retry safe: the first commit under (`address`, `id`) leaves `receipt`; a later one with
/// the same `payload` gets that receipt back and writes nothing, one with another payload is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The addressed ref; for start, fork and a whole scope's commit: the scope itself.
    pub address: Address,
    /// The caller's command id, not empty, at most [`COMMAND_ID_BYTES_MAX`] bytes; only its digest is stored.
    pub id: String,
    /// Digest of what the caller gave: never of clock or random ids.
    pub payload: [u8; 32],
    /// Versions and ids, no content (DAG-CBOR, at most [`RECEIPT_BYTES_MAX`] bytes).
    pub receipt: Vec<u8>,
}

impl Command {
    /// The key that the receipt is stored under.
    pub fn key(&self) -> [u8; 32] {
        receipt_key(&self.address, &self.id)
    }
}

/// What a command id is unique within.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// One ref, which need not exist (any more).
    Ref(RefName),
    /// A whole scope.
    Scope(String),
}

impl Address {
    /// The scope that it is in.
    pub fn scope(&self) -> &str {
        match self {
            Self::Ref(name) => name.scope(),
            Self::Scope(scope) => scope,
        }
    }
}

/// The key of the receipt of command `id` at `address`: BLAKE3 in derive_key mode, context
/// `treering v1 receipt key`, over one byte (1 for a ref, 2 for a scope), the length of the ref's encoded
/// name or the scope (u64 LE), that text, and BLAKE3(id). So a receipt is found in one look-up and no
/// caller's id is stored.
pub fn receipt_key(address: &Address, id: &str) -> [u8; 32] {
    let (tag, text) = match address {
        Address::Ref(name) => (1_u8, name.encoded()),
        Address::Scope(scope) => (2_u8, scope.as_str()),
    };
    let mut hasher = blake3::Hasher::new_derive_key("treering v1 receipt key");
    hasher.update(&[tag]);
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
    hasher.update(blake3::hash(id.as_bytes()).as_bytes());
    *hasher.finalize().as_bytes()
}

/// New blocks and ref moves with their expectations.
///
/// Blocks stand children first: every link of a block is present in the store or earlier in `blocks`.
/// All refs, leases and the command's address are in `scope`: the unit of transaction and of placement.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The scope on whose behalf; holds are booked on it.
    pub scope: String,
    /// Blocks to store, as [`Block`]'s constructors made them; those that are present cost a look-up.
    pub blocks: Vec<Block>,
    /// What [`crate::Store::upload`] has taken, for blocks, moves and holds of this commit to link to. One that nothing
    /// of it needs, or that is there already, is not stored.
    pub uploads: Vec<Arc<Uploaded>>,
    /// Refs to move.
    pub moves: Vec<RefMove>,
    /// Leases that must still be held.
    pub leases: Vec<LeaseToken>,
    /// The caller's command id, if the commit has to be safe to repeat.
    pub command: Option<Command>,
    /// Receipts that commands left in another store, under their keys there; of this scope. A key that
    /// has a receipt here keeps it, whatever comes: what was answered once stays the answer.
    pub receipts: Vec<JournalCommand>,
    /// CIDs handed to the caller that no move of this commit reaches (new or already there): kept from
    /// garbage collection for [`crate::store::HOLD_MS`].
    pub holds: Vec<Cid>,
    /// What else it does is decided when its turn comes.
    pub decide: Option<Arc<dyn Decide>>,
    /// What is decided deletes: it gives room back, once garbage is collected, and takes little, however much it
    /// deletes. So it may use what is reserved for that on a full disk.
    pub frees: bool,
    /// What the answer promises.
    pub durability: Durability,
}

impl Commit {
    /// Whether it only removes refs, or decides to delete: it gives room back, once garbage is collected, and takes
    /// next to none.
    pub(crate) fn is_deletion(&self) -> bool {
        let mut moves = self.moves.iter();
        if self.decide.is_some() {
            return self.frees
                && self.blocks.is_empty()
                && self.holds.is_empty()
                && self.moves.is_empty();
        }
        self.blocks.is_empty()
            && self.uploads.is_empty()
            && self.holds.is_empty()
            && !self.moves.is_empty()
            && moves.all(|step| step.change == Change::Delete)
    }

    /// Whether it says itself what is to be there: what it decides is checked once that is known, and receipts that it brings
    /// along are of commands of before.
    fn writes(&self) -> bool {
        let mut moves = self.moves.iter();
        !self.blocks.is_empty()
            || !self.uploads.is_empty()
            || !self.holds.is_empty()
            || self.command.is_some()
            || moves.any(|step| step.change != Change::Delete)
    }

    /// Checks what can be checked without a store: limits, and that all names are of the commit's scope.
    /// O(blocks + moves).
    ///
    /// Errors: `LimitExceeded`, of the scope's name unless it only deletes; `Invalid` for a blank scope, a name of another scope, an empty command id
    /// or a ref that is moved twice.
    pub fn check(&self) -> Result<()> {
        if self.is_deletion() || !self.writes() {
            check_scope(&self.scope)?;
        } else {
            check_written_scope(&self.scope)?;
        }
        let bytes: u64 = self
            .blocks
            .iter()
            .map(|block| block.bytes.len())
            .filter(|size| *size < BLOB_BYTES_MIN)
            .map(|size| size as u64)
            .sum();
        within("bytes of blocks in one commit", COMMIT_BYTES_MAX, bytes)?;
        within(
            "ref moves in one commit",
            COMMIT_MOVES_MAX as u64,
            self.moves.len() as u64,
        )?;
        let mut moved = HashSet::with_capacity(self.moves.len());
        for step in &self.moves {
            self.check_scope_of("ref", &step.name)?;
            if let Change::Set { record, .. } = &step.change {
                within(
                    "bytes of a ref's record",
                    RECORD_BYTES_MAX as u64,
                    record.len() as u64,
                )?;
            }
            if !moved.insert(&step.name) {
                return Err(StoreError::Invalid {
                    what: "commit",
                    value: step.name.to_string(),
                    rule: "a commit moves a ref at most once".into(),
                });
            }
        }
        for lease in &self.leases {
            self.check_scope_of("lease", &lease.name)?;
        }
        within(
            "receipts brought along in one commit",
            COMMIT_RECEIPTS_MAX as u64,
            self.receipts.len() as u64,
        )?;
        for brought in &self.receipts {
            within(
                "bytes of a receipt",
                RECEIPT_BYTES_MAX as u64,
                brought.receipt.len() as u64,
            )?;
        }
        if let Some(command) = &self.command {
            if command.address.scope() != self.scope {
                return Err(self.other_scope("command", command.address.scope().to_owned()));
            }
            if command.id.is_empty() {
                return Err(StoreError::Invalid {
                    what: "command id",
                    value: String::new(),
                    rule: "it is empty".into(),
                });
            }
            within(
                "bytes of a command id",
                COMMAND_ID_BYTES_MAX as u64,
                command.id.len() as u64,
            )?;
            within(
                "bytes of a receipt",
                RECEIPT_BYTES_MAX as u64,
                command.receipt.len() as u64,
            )?;
        }
        Ok(())
    }

    fn check_scope_of(&self, what: &'static str, name: &RefName) -> Result<()> {
        if name.scope() == self.scope {
            Ok(())
        } else {
            Err(self.other_scope(what, name.to_string()))
        }
    }

    fn other_scope(&self, what: &'static str, value: String) -> StoreError {
        StoreError::Invalid {
            what,
            value,
            rule: format!(
                "a commit of scope {:?} touches nothing of another",
                self.scope
            ),
        }
    }
}

fn within(what: &'static str, limit: u64, actual: u64) -> Result<()> {
    if actual > limit {
        Err(StoreError::LimitExceeded {
            what,
            limit,
            actual,
        })
    } else {
        Ok(())
    }
}

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the journal; the newest commit's when nothing had to be written (`replay`, or a put of
    /// what is already there).
    pub position: u64,
    /// The store's clock at the commit, Unix milliseconds; never before the previous commit's.
    pub at_ms: i64,
    /// Blocks that were not there before, and their bytes.
    pub new_blocks: u64,
    /// Their bytes together.
    pub new_bytes: u64,
    /// Version of each moved ref after the commit, in the order of `moves` (0 for a delete). Empty for a replay.
    pub versions: Vec<u64>,
    /// How many of [`Commit::receipts`] were not there before.
    pub new_receipts: u64,
    /// The receipt of the first commit under this command id: nothing was written now.
    pub replay: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_of_before_whose_name_is_too_long_is_left_and_not_written() {
        let scope = "s".repeat(950);
        let name = RefName::new(&scope, "thread", ["x"]).unwrap();
        let step = |change| RefMove {
            name: name.clone(),
            expect: Expect::Absent,
            change,
        };
        let of = |commit: Commit| {
            let scope = scope.clone();
            Commit { scope, ..commit }.check()
        };
        // What a fork of it says in it: which commit its name was said with.
        of(Commit::default()).unwrap();
        of(Commit {
            moves: vec![step(Change::Delete)],
            ..Commit::default()
        })
        .unwrap();
        let block = Block::raw(b"x".to_vec());
        let set = Change::Set {
            target: block.cid,
            record: Vec::new(),
        };
        for written in [
            Commit {
                moves: vec![step(set)],
                ..Commit::default()
            },
            Commit {
                blocks: vec![block],
                ..Commit::default()
            },
        ] {
            let refused = of(written);
            assert!(matches!(refused, Err(StoreError::LimitExceeded { .. })));
        }
    }

    #[test]
    fn receipt_keys_tell_addresses_and_ids_apart() {
        let name = |part: &str| RefName::new("main", "thread", [part]).unwrap();
        let keys = [
            receipt_key(&Address::Ref(name("a")), "1"),
            receipt_key(&Address::Ref(name("a")), "2"),
            receipt_key(&Address::Ref(name("b")), "1"),
            receipt_key(&Address::Scope("main".into()), "1"),
            receipt_key(&Address::Scope("main/thread/a".into()), "1"),
        ];
        let distinct: HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(keys[0], receipt_key(&Address::Ref(name("a")), "1"));
    }
}
