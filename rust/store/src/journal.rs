//! The journal's rows: how a commit is written down, chained and read back.
//!
//! What a commit did is its row's body (`body.rs`): refs and command receipts can be rebuilt from the journal alone. Blocks
//! prove themselves; leases and holds are housekeeping and are not history.
//!
//! Promises: `chain` fixes everything before it.
//! Must never: depend on a backend.

mod body;

use treering_block::Cid;

use self::body::{Body, blanked, decode_body};
use crate::cursor::{Cursor, Head};
use crate::error::{Result, StoreError};
use crate::name::RefName;
pub use body::{blank_body, digest_of_body, encode_body, erased_body};

/// One ref move of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalMove {
    /// The ref that was moved.
    pub name: RefName,
    /// Version after the move; 0 when the ref was deleted.
    pub version: u64,
    /// Where it points since; None when it was deleted.
    pub target: Option<Cid>,
    /// What stands beside it since; None when it was deleted.
    pub record: Option<Vec<u8>>,
}

/// The command receipt that a commit left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalCommand {
    /// [`crate::commit::Command::key`].
    pub key: [u8; 32],
    /// Digest of what the caller gave.
    pub payload: [u8; 32],
    /// The receipt.
    pub receipt: Vec<u8>,
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its number: the first commit is 1, each following one more.
    pub position: u64,
    /// Unix milliseconds by the store's clock; never before the previous entry's.
    pub at_ms: i64,
    /// The scope that committed.
    pub scope: String,
    /// Ref moves in the commit's order. Empty for a commit that only put blocks or left a receipt.
    pub moves: Vec<JournalMove>,
    /// The receipt that it left, if it had a command id.
    pub command: Option<JournalCommand>,
    /// Receipts of another store that it brought along, those that were not there before.
    pub receipts: Vec<JournalCommand>,
    /// Its body was lost and given up, or all of it was, with the journal's end: what it did is not known any more, here an empty scope and nothing.
    pub blank: bool,
    /// It is blank because its scope was erased: it moved no ref of any other.
    pub erased: bool,
    /// BLAKE3 of the encoded body; zeros where nothing of the commit is known.
    pub body_digest: [u8; 32],
    /// See [`Head::chain`].
    pub chain: [u8; 32],
}

impl JournalEntry {
    /// The head of the journal that ends with this commit.
    pub fn head(&self) -> Head {
        Head {
            position: self.position,
            chain: self.chain,
        }
    }

    /// The place behind this commit.
    pub fn cursor(&self) -> Cursor {
        self.head().cursor()
    }
}

/// A commit as a backend stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Its number, from 1.
    pub position: u64,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The encoded body, or what [`blank_body`] made of it.
    pub body: Vec<u8>,
    /// BLAKE3 of the encoded body.
    pub body_digest: [u8; 32],
    /// See [`Head::chain`].
    pub chain: [u8; 32],
}

impl JournalRow {
    /// The row that follows `previous`.
    pub fn after(previous: &Head, at_ms: i64, body: Vec<u8>) -> Self {
        let position = previous.position.saturating_add(1);
        let body_digest = digest_of_body(position, &body);
        let chain = chain(&previous.chain, position, at_ms, &body_digest);
        Self {
            position,
            at_ms,
            body,
            body_digest,
            chain,
        }
    }

    /// The mark of a commit that is lost as a whole, in its place behind `previous`: a blank body, its digest zeros
    /// since not even that is known.
    pub fn lost(previous: &Head, at_ms: i64) -> Self {
        let position = previous.position.saturating_add(1);
        Self::after(previous, at_ms, blank_body(position, &[0; 32]))
    }

    /// The row without what it says: its digest, chain and time stay.
    #[must_use]
    pub fn erased(self) -> Self {
        Self {
            body: erased_body(self.position, &self.body_digest),
            ..self
        }
    }

    /// The head of the journal that ends with this row.
    pub fn head(&self) -> Head {
        Head {
            position: self.position,
            chain: self.chain,
        }
    }

    /// What is wrong with this row as the successor of `previous`; empty when nothing is.
    pub fn faults(&self, previous: &Head) -> Vec<String> {
        let mut faults = Vec::new();
        if Some(self.position) != previous.position.checked_add(1) {
            faults.push(format!(
                "position {} follows {}: commits are missing",
                self.position, previous.position
            ));
        }
        if digest_of_body(self.position, &self.body) != self.body_digest {
            faults.push("the body does not hash to its digest".to_owned());
        }
        if chain(
            &previous.chain,
            self.position,
            self.at_ms,
            &self.body_digest,
        ) != self.chain
        {
            faults.push("the chain does not follow from the previous commit".to_owned());
        }
        faults
    }

    /// The row, read. O(length of the body).
    ///
    /// Errors: `Corrupt` when the body is not one that [`encode_body`] or [`blank_body`] writes.
    pub fn entry(&self) -> Result<JournalEntry> {
        if let Some((_, erased)) = blanked(self.position, &self.body) {
            return Ok(JournalEntry {
                position: self.position,
                at_ms: self.at_ms,
                scope: String::new(),
                moves: Vec::new(),
                command: None,
                receipts: Vec::new(),
                blank: true,
                erased,
                body_digest: self.body_digest,
                chain: self.chain,
            });
        }
        let Body {
            scope,
            moves,
            command,
            receipts,
        } = decode_body(&self.body).map_err(|detail| StoreError::Corrupt {
            what: "journal commit",
            which: self.position.to_string(),
            detail,
        })?;
        Ok(JournalEntry {
            position: self.position,
            at_ms: self.at_ms,
            scope,
            moves,
            command,
            receipts,
            blank: false,
            erased: false,
            body_digest: self.body_digest,
            chain: self.chain,
        })
    }
}

/// BLAKE3(previous chain ‖ position u64 LE ‖ time i64 LE ‖ body digest).
pub fn chain(previous: &[u8; 32], position: u64, at_ms: i64, body_digest: &[u8; 32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous);
    hasher.update(&position.to_le_bytes());
    hasher.update(&at_ms.to_le_bytes());
    hasher.update(body_digest);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_fixes_everything_before() {
        let first = JournalRow::after(&Head::default(), 10, b"one".to_vec());
        let second = JournalRow::after(&first.head(), 11, b"two".to_vec());
        assert_eq!((first.position, second.position), (1, 2));
        assert!(first.faults(&Head::default()).is_empty());
        assert!(second.faults(&first.head()).is_empty());
        assert!(!second.faults(&Head::default()).is_empty());
        let mut time = second.clone();
        time.at_ms += 1;
        assert_eq!(time.faults(&first.head()).len(), 1);
        let mut body = second.clone();
        body.body.push(0);
        assert_eq!(body.faults(&first.head()).len(), 1);
        let mut before = first;
        before.chain[0] ^= 1;
        assert_eq!(second.faults(&before.head()).len(), 1);
    }
}
