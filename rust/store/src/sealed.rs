//! A sealed file of the journal: its bytes. `docs/format.md` has the layout.
//!
//! Promises: a file decodes to exactly the rows that it was made of, or not at all: a digest covers its
//! bytes, and the chain from the head before to the head after covers what they say.
//! Must never: decompress bytes that do not match their digest, or take memory that the file's row does not
//! account for.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use ulid::Ulid;

use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::journal::JournalRow;

const MAGIC: &[u8; 8] = b"ringjrnl";
/// The form of the file that this version writes, and the only one that it reads.
const FORM: u32 = 1;
const HEADER_BYTES: usize = 100;
const DIGEST_BYTES: usize = 32;
const DIGEST_CONTEXT: &str = "treering v1 sealed journal";
/// Bytes of a [`SealedFile`] in its row.
const RECORD_BYTES: usize = 8 + 8 + 32 + 32 + 8 + 8 + 8 + 8 + 32 + 16;
/// It makes journal bodies less than a third; the highest level gains a twentieth more.
const LEVEL: u8 = 3;

/// At most so many commits in one file …
pub const SEALED_COMMITS_MAX: usize = 4096;
/// … and so many bytes of bodies, before compression; a larger commit has a file of its own. A reader who
/// wants one commit reads its file.
pub const SEALED_BYTES_MAX: usize = 4 << 20;

/// What is known of a sealed file without reading it: the store's row that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedFile {
    /// Position of its first commit.
    pub first: u64,
    /// Of its last.
    pub last: u64,
    /// The chain before the first commit.
    pub before: [u8; 32],
    /// The chain after the last.
    pub after: [u8; 32],
    /// Time of the first commit, Unix milliseconds.
    pub first_at_ms: i64,
    /// Time of the last.
    pub last_at_ms: i64,
    /// Bytes of the rows in it, before compression.
    pub row_bytes: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The digest that ends the file.
    pub digest: [u8; 32],
    /// Makes its name one that was never used before.
    pub id: Ulid,
}

impl SealedFile {
    /// Commits in it.
    pub fn commits(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Its name below `journal/`.
    pub fn name(&self) -> String {
        format!("{:020}-{:020}-{}", self.first, self.last, self.id)
    }

    /// The head of the journal before its first commit.
    pub fn head_before(&self) -> Head {
        Head {
            position: self.first.saturating_sub(1),
            chain: self.before,
        }
    }

    /// The head of the journal after its last.
    pub fn head_after(&self) -> Head {
        Head {
            position: self.last,
            chain: self.after,
        }
    }

    /// What stands in its row.
    pub fn to_record(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RECORD_BYTES);
        out.extend(self.first.to_le_bytes());
        out.extend(self.last.to_le_bytes());
        out.extend(self.before);
        out.extend(self.after);
        out.extend(self.first_at_ms.to_le_bytes());
        out.extend(self.last_at_ms.to_le_bytes());
        out.extend(self.row_bytes.to_le_bytes());
        out.extend(self.bytes.to_le_bytes());
        out.extend(self.digest);
        out.extend(self.id.to_bytes());
        out
    }

    /// The row, read; None for anything that [`SealedFile::to_record`] would not write.
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let mut input = Input(record);
        let file = Self {
            first: input.u64()?,
            last: input.u64()?,
            before: input.array()?,
            after: input.array()?,
            first_at_ms: input.i64()?,
            last_at_ms: input.i64()?,
            row_bytes: input.u64()?,
            bytes: input.u64()?,
            digest: input.array()?,
            id: Ulid::from_bytes(input.array()?),
        };
        let whole = input.0.is_empty() && file.first > 0 && file.first <= file.last;
        whole.then_some(file)
    }

    /// The bytes of a file with these rows, which follow `before` without a gap; None where there are none.
    ///
    /// Errors: `Corrupt` for a row that does not follow from the one before it.
    pub fn seal(before: &Head, rows: &[JournalRow]) -> Result<Option<(Self, Vec<u8>)>> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(None);
        };
        let mut content = Vec::new();
        let mut previous = *before;
        for row in rows {
            if let Some(fault) = row.faults(&previous).into_iter().next() {
                return Err(StoreError::Corrupt {
                    what: "journal row",
                    which: row.position.to_string(),
                    detail: fault,
                });
            }
            let length = u32::try_from(row.body.len()).map_err(|_| StoreError::LimitExceeded {
                what: "bytes of a commit in the journal",
                limit: u64::from(u32::MAX),
                actual: row.body.len() as u64,
            })?;
            content.extend(row.at_ms.to_le_bytes());
            content.extend(length.to_le_bytes());
            content.extend(&row.body);
            previous = row.head();
        }
        let packed = compress_to_vec(&content, LEVEL);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + packed.len() + DIGEST_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORM.to_le_bytes());
        bytes.extend(first.position.to_le_bytes());
        bytes.extend(last.position.to_le_bytes());
        bytes.extend(before.chain);
        bytes.extend(last.chain);
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(packed);
        let digest = digest_of(&bytes);
        bytes.extend(digest);
        let file = Self {
            first: first.position,
            last: last.position,
            before: before.chain,
            after: last.chain,
            first_at_ms: first.at_ms,
            last_at_ms: last.at_ms,
            row_bytes: content.len() as u64,
            bytes: bytes.len() as u64,
            digest,
            id: Ulid::generate(),
        };
        Ok(Some((file, bytes)))
    }

    /// What a file says of itself whose row is lost, and its commits; None for bytes that are no sealed file, whole. That they
    /// are the journal's is for the chain to prove, before and after.
    pub fn found(id: Ulid, bytes: &[u8]) -> Option<(Self, Vec<JournalRow>)> {
        let (_, digest) = bytes.split_last_chunk::<DIGEST_BYTES>()?;
        let mut input = Input(bytes);
        input.take(MAGIC.len() + FORM.to_le_bytes().len())?;
        let mut file = Self {
            first: input.u64()?,
            last: input.u64()?,
            before: input.array()?,
            after: input.array()?,
            first_at_ms: 0,
            last_at_ms: 0,
            row_bytes: input.u64()?,
            bytes: bytes.len() as u64,
            digest: *digest,
            id,
        };
        let rows = file.read(bytes).ok()?;
        file.first_at_ms = rows.first()?.at_ms;
        file.last_at_ms = rows.last()?.at_ms;
        Some((file, rows))
    }

    /// The commits in the file's bytes, every one checked. O(bytes).
    ///
    /// Errors: `Corrupt`, saying how these are not the bytes of this file.
    pub fn open(&self, bytes: &[u8]) -> Result<Vec<JournalRow>> {
        self.read(bytes).map_err(|detail| self.corrupt(detail))
    }

    /// An error about this file.
    pub fn corrupt(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt {
            what: "sealed journal file",
            which: self.name(),
            detail: detail.into(),
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<Vec<JournalRow>, &'static str> {
        if bytes.len() as u64 != self.bytes {
            return Err("it has not the length that its row says");
        }
        let end = bytes
            .len()
            .checked_sub(DIGEST_BYTES)
            .ok_or("it is shorter than its digest")?;
        let (bytes, stored) = bytes.split_at(end);
        let digest = digest_of(bytes);
        if digest != stored || digest != self.digest {
            return Err("its bytes do not match its digest");
        }
        let mut input = Input(bytes);
        let header = (|| {
            Some((
                input.array::<8>()?,
                u32::from_le_bytes(input.array()?),
                input.u64()?,
                input.u64()?,
                input.array::<32>()?,
                input.array::<32>()?,
                input.u64()?,
            ))
        })();
        let (magic, form, first, last, before, after, row_bytes) =
            header.ok_or("it is shorter than its header")?;
        if &magic != MAGIC || form != FORM {
            return Err("it is of a form that this version does not read");
        }
        if (first, last, before, after, row_bytes)
            != (
                self.first,
                self.last,
                self.before,
                self.after,
                self.row_bytes,
            )
        {
            return Err("its header is not what its row says");
        }
        let capacity = usize::try_from(row_bytes).map_err(|_| "its rows do not fit in memory")?;
        let content = decompress_to_vec_with_limit(input.0, capacity)
            .map_err(|_| "its rows can not be decompressed")?;
        self.rows(&content)
    }

    fn rows(&self, content: &[u8]) -> Result<Vec<JournalRow>, &'static str> {
        if content.len() as u64 != self.row_bytes {
            return Err("its rows have not the length that its header says");
        }
        let mut input = Input(content);
        let mut previous = self.head_before();
        let mut rows = Vec::new();
        while !input.0.is_empty() {
            let row = (|| {
                let at_ms = input.i64()?;
                let length = usize::try_from(u32::from_le_bytes(input.array()?)).ok()?;
                let body = input.take(length)?.to_vec();
                Some(JournalRow::after(&previous, at_ms, body))
            })();
            let row = row.ok_or("a row is cut off")?;
            previous = row.head();
            rows.push(row);
        }
        if previous == self.head_after() {
            Ok(rows)
        } else {
            Err("its commits do not lead from the chain before to the chain after")
        }
    }
}

fn digest_of(bytes: &[u8]) -> [u8; 32] {
    blake3::derive_key(DIGEST_CONTEXT, bytes)
}

/// What is left to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64) -> Vec<JournalRow> {
        let mut previous = Head::default();
        (0..count)
            .map(|number| {
                let at_ms = 1_700_000_000_000 + number.cast_signed();
                let row = JournalRow::after(&previous, at_ms, format!("body {number}").into());
                previous = row.head();
                row
            })
            .collect()
    }

    fn sealed(before: &Head, rows: &[JournalRow]) -> (SealedFile, Vec<u8>) {
        SealedFile::seal(before, rows).unwrap().unwrap()
    }

    #[test]
    fn a_file_gives_back_its_rows() {
        let all = rows(20);
        let (file, bytes) = sealed(&Head::default(), &all);
        assert_eq!(file.open(&bytes).unwrap(), all);
        assert_eq!((file.first, file.last, file.commits()), (1, 20, 20));
        let (later, bytes) = sealed(&all[6].head(), &all[7..]);
        assert_eq!(later.open(&bytes).unwrap(), &all[7..]);
        assert_eq!(later.head_before(), all[6].head());
        assert_eq!(later.head_after(), all[19].head());
        assert_eq!(SealedFile::from_record(&later.to_record()), Some(later));
        assert!(SealedFile::seal(&Head::default(), &[]).unwrap().is_none());
    }

    #[test]
    fn a_file_without_its_row_says_the_same_of_itself() {
        let all = rows(20);
        let (file, bytes) = sealed(&all[6].head(), &all[7..]);
        let found = SealedFile::found(file.id, &bytes);
        assert_eq!(found, Some((file.clone(), all[7..].to_vec())));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(SealedFile::found(file.id, &changed), None, "byte {at}");
            assert_eq!(SealedFile::found(file.id, &bytes[..at]), None, "cut {at}");
        }
    }

    #[test]
    fn rows_that_do_not_follow_are_not_sealed() {
        let mut all = rows(5);
        all.remove(2);
        let refused = SealedFile::seal(&Head::default(), &all).unwrap_err();
        assert!(
            refused.to_string().contains("commits are missing"),
            "{refused}"
        );
    }

    #[test]
    fn no_changed_byte_is_read() {
        let (file, bytes) = sealed(&Head::default(), &rows(9));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(file.open(&changed).is_err(), "byte {at}");
            assert!(file.open(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn bytes_with_a_right_digest_are_still_held_to_the_chain() {
        let all = rows(9);
        let (file, _) = sealed(&Head::default(), &all);
        // Another history of the same length, under the first one's heads.
        let mut other = all.clone();
        other[3] = JournalRow::after(&all[2].head(), all[3].at_ms, b"body X".to_vec());
        for at in 4..9 {
            other[at] =
                JournalRow::after(&other[at - 1].head(), all[at].at_ms, all[at].body.clone());
        }
        let (_, mut bytes) = sealed(&Head::default(), &other);
        bytes.truncate(bytes.len() - DIGEST_BYTES);
        bytes[60..92].copy_from_slice(&file.after);
        let digest = digest_of(&bytes);
        bytes.extend(digest);
        let forged = SealedFile {
            digest,
            bytes: bytes.len() as u64,
            ..file
        };
        let refused = forged.open(&bytes).unwrap_err();
        assert!(refused.to_string().contains("lead from"), "{refused}");
    }

    #[test]
    fn a_record_of_another_length_is_none() {
        let (file, _) = sealed(&Head::default(), &rows(2));
        let record = file.to_record();
        assert_eq!(record.len(), RECORD_BYTES);
        assert_eq!(SealedFile::from_record(&record[1..]), None);
        assert_eq!(SealedFile::from_record(&[&record[..], &[0]].concat()), None);
        assert_eq!(SealedFile::from_record(&[0; RECORD_BYTES]), None);
    }
}
