//! Places in the journal.

use std::fmt;

use treering_block::Cid;

use crate::name::RefName;

/// The end of a journal at one moment: write it down elsewhere to prove later that the prefix is unmodified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Number of the newest commit; 0 for an empty journal.
    pub position: u64,
    /// BLAKE3(previous chain ‖ position ‖ time ‖ body digest); zeros for an empty journal.
    pub chain: [u8; 32],
}

/// An opaque place in the journal. Text: see [`Cursor::to_string`]; it names the position and the first
/// 8 bytes of the chain there, so that a tail lost at power failure is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub position: u64,
    pub chain8: [u8; 8],
}

/// One ref move of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalMove {
    pub name: RefName,
    /// Version after the move; 0 when the ref was deleted.
    pub version: u64,
    pub target: Option<Cid>,
    pub record: Option<Vec<u8>>,
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    pub position: u64,
    pub at_ms: i64,
    pub moves: Vec<JournalMove>,
    pub body_digest: [u8; 32],
    pub chain: [u8; 32],
}
