//! Erasing a whole scope: what is asked, what was done, and the note that stays of it.
//!
//! An erase begins with one commit: no ref of the scope is seen any more, and a note is in its place. From there on the
//! scope takes no commit until all is gone: its refs, receipts, holds, leases, and what its commits say in the journal, whose digests stay, so that the chain is proved as before. What a crash leaves is finished by the next
//! erase, the next vacuum, and whoever opens the store for writing next.
//! A note tells a scope by a digest and not by its name: whoever knows a name can ask whether it was erased, and nobody
//! can read from it which names there were.
//!
//! Promises: a reader sees the scope whole or not at all; nothing of another scope changes. Must never: make what was
//! erased come back from the journal, a backup that is brought up to date, or a receipt.

pub(crate) mod held;
pub mod notes;

use ulid::Ulid;

pub use notes::Erasures;

use crate::commit::COMMAND_ID_BYTES_MAX;
use crate::error::{Result, StoreError};
use crate::name::{check_scope, listing_prefix};

/// A small transaction of an erase takes away at most so many rows.
pub const ERASE_ROWS_MAX: usize = 256;

/// How a scope is erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraseOptions {
    /// What makes a retry safe: the same id for the same scope answers as the first did and erases nothing, also where
    /// the name was used again since.
    pub command_id: Option<String>,
    /// Only say what would go.
    pub dry_run: bool,
    /// A small transaction takes away at most so many rows; [`ERASE_ROWS_MAX`], less in tests. Nothing to a store in memory.
    pub rows_at_a_time: usize,
}

impl Default for EraseOptions {
    fn default() -> Self {
        Self {
            command_id: None,
            dry_run: false,
            rows_at_a_time: ERASE_ROWS_MAX,
        }
    }
}

/// What an erase took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedFigures {
    /// Refs.
    pub refs: u64,
    /// Receipts of commands.
    pub receipts: u64,
    /// Holds.
    pub holds: u64,
    /// Leases, given back ones too.
    pub leases: u64,
    /// Commits of the journal that say nothing any more.
    pub commits: u64,
    /// Blocks that refs and holds of the scope reached.
    pub blocks: u64,
    /// Of them, those that others reach as well.
    pub held_blocks: u64,
}

/// What an erase did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// What went.
    pub figures: ErasedFigures,
    /// Scopes with a ref or hold that reaches a block of the erased one, in order. Empty for a repeated command.
    pub held_by: Vec<String>,
    /// The commit with which the scope was gone; 0 for a dry run.
    pub position: u64,
    /// Its time, Unix milliseconds.
    pub at_ms: i64,
    /// The same command was done before: this is what it did.
    pub replayed: bool,
}

/// The note that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Tells it from all others; of an erase with a command id it follows from [`Erasure::command`].
    pub id: Ulid,
    /// The commit with which the scope was gone; 0 where it went from a copy, which has no such commit.
    pub position: u64,
    /// When it was gone in the store, Unix milliseconds.
    pub at_ms: i64,
    /// [`digest_of_scope`].
    pub scope: [u8; 32],
    /// [`digest_of_command`]; zeros without a command id.
    pub command: [u8; 32],
    /// What went.
    pub figures: ErasedFigures,
}

/// Bytes of a note.
const RECORD_BYTES: usize = 16 + 8 + 8 + 32 + 32 + 7 * 8;

/// What stands for a scope: BLAKE3 in derive_key mode, context `treering v1 erased scope`, over the store's id (16
/// bytes) and the name. So the same name is another digest in another store.
pub fn digest_of_scope(store_id: &[u8], scope: &str) -> [u8; 32] {
    digest("treering v1 erased scope", &[store_id, scope.as_bytes()])
}

/// The id of the note of an erase with a command id, so that a repeated one finds it: the first bytes of what stands for the
/// command id.
pub(crate) fn id_of(command: &[u8; 32]) -> Ulid {
    let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *command;
    Ulid::from_bytes(first)
}

/// What stands for a command id: the same, context `treering v1 erase command`, over the scope's digest and the id.
pub fn digest_of_command(scope: &[u8; 32], id: &str) -> [u8; 32] {
    digest("treering v1 erase command", &[scope, id.as_bytes()])
}

fn digest(context: &'static str, pieces: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for piece in pieces {
        hasher.update(piece);
    }
    *hasher.finalize().as_bytes()
}

impl Erasure {
    /// The digest of its commit's body, in whose place nothing but this stands: BLAKE3 in derive_key mode, context
    /// `treering v1 erasure`, over id, time and scope. So the chain proves the note.
    pub fn body_digest(&self) -> [u8; 32] {
        let at_ms = self.at_ms.to_le_bytes();
        digest(
            "treering v1 erasure",
            &[&self.id.to_bytes(), &at_ms, &self.scope],
        )
    }

    /// What the same command is answered with.
    pub fn replayed(&self) -> Erased {
        Erased {
            figures: self.figures,
            held_by: Vec::new(),
            position: self.position,
            at_ms: self.at_ms,
            replayed: true,
        }
    }

    /// As it is stored.
    pub fn to_record(&self) -> Vec<u8> {
        let ErasedFigures {
            refs,
            receipts,
            holds,
            leases,
            commits,
            blocks,
            held_blocks,
        } = self.figures;
        let mut out = Vec::with_capacity(RECORD_BYTES);
        out.extend(self.id.to_bytes());
        out.extend(self.position.to_le_bytes());
        out.extend(self.at_ms.to_le_bytes());
        out.extend(self.scope);
        out.extend(self.command);
        for figure in [refs, receipts, holds, leases, commits, blocks, held_blocks] {
            out.extend(figure.to_le_bytes());
        }
        out
    }

    /// The note, read; None for anything that [`Erasure::to_record`] would not write.
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let (id, rest) = record.split_first_chunk::<16>()?;
        let (position, rest) = rest.split_first_chunk::<8>()?;
        let (at_ms, rest) = rest.split_first_chunk::<8>()?;
        let (scope, rest) = rest.split_first_chunk::<32>()?;
        let (command, rest) = rest.split_first_chunk::<32>()?;
        let (figures, []) = rest.as_chunks::<8>() else {
            return None;
        };
        let figures: &[[u8; 8]; 7] = figures.try_into().ok()?;
        let [refs, receipts, holds, leases, commits, blocks, held_blocks] =
            figures.map(u64::from_le_bytes);
        Some(Self {
            id: Ulid::from_bytes(*id),
            position: u64::from_le_bytes(*position),
            at_ms: i64::from_le_bytes(*at_ms),
            scope: *scope,
            command: *command,
            figures: ErasedFigures {
                refs,
                receipts,
                holds,
                leases,
                commits,
                blocks,
                held_blocks,
            },
        })
    }
}

/// Errors: those of a scope that no ref can have; `Invalid`, `LimitExceeded` for a command id.
pub(crate) fn check(scope: &str, options: &EraseOptions) -> Result<()> {
    check_scope(scope)?;
    match options.command_id.as_deref() {
        Some("") => Err(StoreError::Invalid {
            what: "command id",
            value: String::new(),
            rule: "it is empty".into(),
        }),
        Some(id) if id.len() > COMMAND_ID_BYTES_MAX => Err(StoreError::LimitExceeded {
            what: "bytes of a command id",
            limit: COMMAND_ID_BYTES_MAX as u64,
            actual: id.len() as u64,
        }),
        _ => Ok(()),
    }
}

/// The encoded names of a scope's refs are from the first on and before the second.
pub(crate) fn names_of(scope: &str) -> (String, String) {
    // `-` is the first character that a kind may have, `0` is what follows `/`.
    let first = listing_prefix(scope, "-");
    let first = first.strip_suffix("-/").unwrap_or(&first).to_owned();
    let end = format!("{}0", first.strip_suffix('/').unwrap_or(&first));
    (first, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::RefName;

    #[test]
    fn a_note_reads_back_and_nothing_else_is_one() {
        let note = Erasure {
            id: Ulid::generate(),
            position: 7,
            at_ms: -3,
            scope: [1; 32],
            command: [2; 32],
            figures: ErasedFigures {
                refs: 1,
                receipts: 2,
                holds: 3,
                leases: 4,
                commits: 5,
                blocks: 6,
                held_blocks: u64::MAX,
            },
        };
        let record = note.to_record();
        assert_eq!(record.len(), RECORD_BYTES);
        assert_eq!(Erasure::from_record(&record), Some(note));
        assert_eq!(Erasure::from_record(&record[1..]), None);
        assert_eq!(Erasure::from_record(&[&record[..], &[0]].concat()), None);
    }

    #[test]
    fn a_scope_is_told_by_store_and_name() {
        let digests = [
            digest_of_scope(&[1; 16], "alice"),
            digest_of_scope(&[2; 16], "alice"),
            digest_of_scope(&[1; 16], "bob"),
            digest_of_command(&[1; 32], "alice"),
        ];
        for (at, one) in digests.iter().enumerate() {
            assert!(!digests[at + 1..].contains(one));
        }
    }

    #[test]
    fn the_names_of_a_scope_are_between_its_bounds_and_those_of_no_other() {
        let scopes = [
            "a", "a-", "a/", "a b", "a0", "a.", "A", "ä", "a%2F", "~", "a/b",
        ];
        for scope in scopes {
            let (first, end) = names_of(scope);
            for other in scopes {
                for kind in ["-", "0", "thread", "z.z"] {
                    let name = RefName::new(other, kind, ["x"]).unwrap();
                    let inside = (first.as_str()..end.as_str()).contains(&name.encoded());
                    assert_eq!(inside, scope == other, "{scope} {name}");
                }
            }
        }
    }
}
