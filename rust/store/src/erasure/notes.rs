//! All notes of a store's erasures, and the file that they are taken elsewhere in.
//!
//! A backup of before an erasure knows nothing of it; whoever restores one asks the store itself, or this file.
//! Promises: a file that is not whole, or of another store, is never taken for one without notes.

use super::{Erasure, RECORD_BYTES, digest_of_scope};

const MAGIC: &[u8; 8] = b"ringeras";
/// The form that this version writes, and the only one that it reads.
const FORM: u32 = 1;
const CONTEXT: &str = "treering v1 erasures";
const HEADER_BYTES: usize = 8 + 4 + 16 + 8;

/// The notes of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erasures {
    /// The store's id: of the same store are its backups, and what is restored from them.
    pub store_id: [u8; 16],
    /// The oldest first.
    pub notes: Vec<Erasure>,
}

impl Erasures {
    /// Those of a scope. O(notes).
    pub fn of(&self, scope: &str) -> impl Iterator<Item = &Erasure> {
        let digest = digest_of_scope(&self.store_id, scope);
        self.notes.iter().filter(move |note| note.scope == digest)
    }

    /// The bytes of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + 32);
        out.extend(MAGIC);
        out.extend(FORM.to_le_bytes());
        out.extend(self.store_id);
        out.extend((self.notes.len() as u64).to_le_bytes());
        for note in &self.notes {
            out.extend(note.to_record());
        }
        let digest = blake3::derive_key(CONTEXT, &out);
        out.extend(digest);
        out
    }

    /// The file, read; None for anything that [`Erasures::to_bytes`] would not write.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (content, digest) = bytes.split_last_chunk::<32>()?;
        if blake3::derive_key(CONTEXT, content) != *digest {
            return None;
        }
        let rest = content.strip_prefix(MAGIC)?;
        let rest = rest.strip_prefix(&FORM.to_le_bytes())?;
        let (store_id, rest) = rest.split_first_chunk::<16>()?;
        let (count, records) = rest.split_first_chunk::<8>()?;
        let notes = records
            .chunks(RECORD_BYTES)
            .map(Erasure::from_record)
            .collect::<Option<Vec<_>>>()?;
        (notes.len() as u64 == u64::from_le_bytes(*count)).then_some(Self {
            store_id: *store_id,
            notes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::erasure::ErasedFigures;

    #[test]
    fn a_file_reads_back_and_no_other_bytes_are_one() {
        let note = |at_ms| Erasure {
            id: ulid::Ulid::generate(),
            position: 1,
            at_ms,
            scope: digest_of_scope(&[7; 16], "alice"),
            command: [0; 32],
            figures: ErasedFigures::default(),
        };
        for notes in [vec![], vec![note(1)], vec![note(1), note(2)]] {
            let all = Erasures {
                store_id: [7; 16],
                notes,
            };
            let bytes = all.to_bytes();
            assert_eq!(Erasures::from_bytes(&bytes).as_ref(), Some(&all));
            assert_eq!(all.of("alice").count(), all.notes.len());
            assert_eq!(all.of("bob").count(), 0);
            for at in 0..bytes.len() {
                let mut broken = bytes.clone();
                broken[at] ^= 1;
                assert_eq!(Erasures::from_bytes(&broken), None, "byte {at}");
                assert_eq!(Erasures::from_bytes(&bytes[..at]), None, "cut at {at}");
            }
        }
    }
}
