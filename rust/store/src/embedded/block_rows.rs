//! The table `block`: hot blocks, found by the first 8 bytes of their digest.
//!
//! Must never: answer from a row that does not match its check.
//!
//! The index holds 8 bytes of digest instead of 32: its pages are what an insert of a random key dirties,
//! and two fifths of the entry is two fifths of that traffic. The whole digest is compared on the row.

use std::sync::Arc;

use rusqlite::{Row, params};
use treering_block::{Cid, CidPrefix, Codec};

use super::row_check::{RowCheck, Table, corrupt, out_of_order};
use super::row_order::going_on;
use super::session::Session;
use crate::error::{Result, StoreError};
use crate::gc::Figures;
use crate::store::BlockInfo;

/// A block's row without its payload, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockRow {
    pub(super) ordinal: u64,
    pub(super) cid: Cid,
    pub(super) size: u64,
    /// Set when the bytes are a file of their own, below `blobs/`.
    pub(super) file: Option<String>,
}

/// Where a block's bytes are.
pub(super) enum Bytes {
    Here(Arc<[u8]>),
    File(BlockRow),
}

/// The first 8 bytes of a digest as an integer that sorts as they do.
pub(super) fn key8(digest: &[u8; 32]) -> i64 {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(digest) {
        *to = *from;
    }
    (u64::from_be_bytes(first) ^ (1 << 63)).cast_signed()
}

/// An ordinal or size for SQLite. Ours stay far below 2⁶³.
pub(super) fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn check(ordinal: i64, cid: &Cid, size: i64, file: Option<&str>) -> RowCheck {
    RowCheck::new(Table::Block)
        .int(ordinal)
        .int(key8(cid.digest()))
        .int(i64::from(cid.codec().code()))
        .bytes(cid.digest())
        .int(size)
        .optional_text(file)
}

/// Reads and checks the columns of [`sql`]. Errors: `Corrupt` naming the ordinal.
fn read_row(session: Session<'_>, row: &Row<'_>) -> Result<BlockRow> {
    let unread = |error| session.unread(error);
    let ordinal: i64 = row.get(0).map_err(unread)?;
    let broken = |detail: &str| corrupt(Table::Block, ordinal, detail);
    let codec: i64 = row.get(1).map_err(unread)?;
    let size: i64 = row.get(2).map_err(unread)?;
    let file = row
        .get_ref(3)
        .map_err(unread)?
        .as_str_or_null()
        .map_err(|_| broken("its file name is not text"))?;
    let stored = row
        .get_ref(4)
        .map_err(unread)?
        .as_blob()
        .map_err(|_| broken("its check is not bytes"))?;
    let digest = row
        .get_ref(5)
        .map_err(unread)?
        .as_blob()
        .map_err(|_| broken("its digest is not bytes"))?;
    let key: i64 = row.get(6).map_err(unread)?;
    let digest: [u8; 32] = digest
        .try_into()
        .map_err(|_| broken("its digest has not 32 bytes"))?;
    let codec = u64::try_from(codec)
        .ok()
        .and_then(Codec::from_code)
        .ok_or_else(|| broken("its codec is unknown"))?;
    let cid = Cid::new(codec, digest);
    check(ordinal, &cid, size, file).expect(stored, ordinal)?;
    if key != key8(&digest) {
        return Err(broken("its key is not the start of its digest"));
    }
    let (Ok(checked_ordinal), Ok(size)) = (u64::try_from(ordinal), u64::try_from(size)) else {
        return Err(broken("its ordinal or size is negative"));
    };
    Ok(BlockRow {
        ordinal: checked_ordinal,
        cid,
        size,
        file: file.map(str::to_owned),
    })
}

impl Session<'_> {
    /// The row of a block. O(log n).
    pub(super) fn find_block(self, cid: &Cid) -> Result<Option<BlockRow>> {
        let mut statement = self.kept(sql::FIND)?;
        let mut rows = statement
            .query([key8(cid.digest())])
            .map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let found = read_row(self, row)?;
            if found.cid == *cid && !self.is_dead(row, DEAD_COLUMN, found.ordinal)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The bytes of a block, or the row that names their file; bytes are checked against `cid`.
    pub(super) fn load_block(self, cid: &Cid) -> Result<Option<Bytes>> {
        let mut statement = self.kept(sql::LOAD)?;
        let mut rows = statement
            .query([key8(cid.digest())])
            .map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let found = read_row(self, row)?;
            if found.cid != *cid || self.is_dead(row, DEAD_COLUMN, found.ordinal)? {
                continue;
            }
            if found.file.is_some() {
                return Ok(Some(Bytes::File(found)));
            }
            let payload = row.get_ref(9).map_err(|error| self.unread(error))?;
            let payload = payload
                .as_blob()
                .map_err(|_| broken_bytes(cid, "its row has no bytes"))?;
            if !cid.matches(payload) {
                return Err(broken_bytes(cid, "its bytes do not hash to it"));
            }
            return Ok(Some(Bytes::Here(Arc::from(payload))));
        }
        Ok(None)
    }

    /// CIDs that start so, in CID order, at most `limit`.
    pub(super) fn blocks_by_prefix(self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>> {
        let mut statement = self.prepared(sql::PREFIX)?;
        let mut rows = statement
            .query([key8(&prefix.low()), key8(&prefix.high())])
            .map_err(|error| self.unread(error))?;
        let mut found: Vec<Cid> = Vec::new();
        let mut newest_key = None;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let key: i64 = row.get(6).map_err(|error| self.unread(error))?;
            // Rows of one key come in no order: all of them are read before the list is cut.
            if found.len() >= limit && newest_key != Some(key) {
                break;
            }
            let read = read_row(self, row)?;
            if prefix.matches(&read.cid) && !self.is_dead(row, DEAD_COLUMN, read.ordinal)? {
                found.push(read.cid);
                newest_key = Some(key);
            }
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }

    /// Rows of the living after that ordinal, in order; each checked on its own.
    pub(super) fn blocks_after(
        self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Result<BlockRow>)>> {
        let mut statement = self.prepared(sql::AFTER)?;
        let mut rows = statement
            .query([to_sql(after)])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        // Cut here and not by SQLite, since the dead do not count.
        while found.len() < limit
            && let Some(row) = rows.next().map_err(|error| self.unread(error))?
        {
            let ordinal: i64 = row.get(0).map_err(|error| self.unread(error))?;
            let ordinal = ordinal.cast_unsigned();
            match self.is_dead(row, DEAD_COLUMN, ordinal) {
                Ok(true) => {}
                Ok(false) => found.push((ordinal, read_row(self, row))),
                Err(error) => found.push((ordinal, Err(error))),
            }
        }
        going_on(
            found,
            |(ordinal, _)| *ordinal > after,
            |(one, _), (other, _)| one.cmp(other),
            |(ordinal, _)| out_of_order(Table::Block, ordinal),
        )
    }

    /// The payload in a row: None when it has none. Not checked.
    pub(super) fn payload(self, ordinal: u64) -> Result<Option<Vec<u8>>> {
        self.prepared("SELECT payload FROM block WHERE ordinal = ?1")?
            .query_row([to_sql(ordinal)], |row| row.get(0))
            .map_err(|error| self.unread(error))
    }

    /// The CID of an ordinal; None when no row has it or the block is dead.
    pub(super) fn cid_of(self, ordinal: u64) -> Result<Option<Cid>> {
        let mut statement = self.prepared(sql::ONE)?;
        let mut rows = statement
            .query([to_sql(ordinal)])
            .map_err(|error| self.unread(error))?;
        match rows.next().map_err(|error| self.unread(error))? {
            Some(row) if !self.is_dead(row, DEAD_COLUMN, ordinal)? => {
                Ok(Some(read_row(self, row)?.cid))
            }
            _ => Ok(None),
        }
    }

    /// Stores a block of that size whose bytes are these, or in `file` if that is given.
    pub(super) fn insert_block_row(
        self,
        ordinal: u64,
        cid: &Cid,
        (bytes, size): (&[u8], u64),
        file: Option<&str>,
    ) -> Result<()> {
        let (ordinal, size) = (to_sql(ordinal), to_sql(size));
        let payload = if file.is_some() { None } else { Some(bytes) };
        self.kept(
            "INSERT INTO block(ordinal, key8, codec, digest, size, file, chk, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            ordinal,
            key8(cid.digest()),
            i64::from(cid.codec().code()),
            cid.digest(),
            size,
            file,
            check(ordinal, cid, size, file).finish(),
            payload
        ])
        .map(drop)
        .map_err(|error| self.unwritten(error))
    }

    /// Writes the payload of a row anew.
    pub(super) fn replace_payload(self, ordinal: u64, bytes: &[u8]) -> Result<()> {
        self.prepared("UPDATE block SET payload = ?2 WHERE ordinal = ?1")?
            .execute(params![to_sql(ordinal), bytes])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }

    /// Has the row name another file.
    pub(super) fn replace_file(self, row: &BlockRow, file: &str) -> Result<()> {
        let (ordinal, size) = (to_sql(row.ordinal), to_sql(row.size));
        let check = check(ordinal, &row.cid, size, Some(file)).finish();
        self.prepared("UPDATE block SET file = ?2, chk = ?3 WHERE ordinal = ?1")?
            .execute(params![ordinal, file, check])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }

    /// Has the row hold the bytes, and name no file.
    pub(super) fn replace_file_by_payload(self, row: &BlockRow, bytes: &[u8]) -> Result<()> {
        let (ordinal, size) = (to_sql(row.ordinal), to_sql(row.size));
        let check = check(ordinal, &row.cid, size, None).finish();
        self.prepared("UPDATE block SET file = NULL, chk = ?2, payload = ?3 WHERE ordinal = ?1")?
            .execute(params![ordinal, check, bytes])
            .map(drop)
            .map_err(|error| self.unwritten(error))
    }

    /// The row with this ordinal, dead or not.
    pub(super) fn block_at(self, ordinal: u64) -> Result<Option<BlockRow>> {
        let mut statement = self.prepared(sql::ONE)?;
        let mut rows = statement
            .query([to_sql(ordinal)])
            .map_err(|error| self.unread(error))?;
        let row = rows.next().map_err(|error| self.unread(error))?;
        row.map(|row| read_row(self, row)).transpose()
    }

    /// The row with this ordinal, or what is wrong with it, and whether its block is dead; None for no row.
    pub(super) fn row_and_death(self, ordinal: u64) -> Result<Option<(Result<BlockRow>, bool)>> {
        let mut statement = self.prepared(sql::ONE)?;
        let mut rows = statement
            .query([to_sql(ordinal)])
            .map_err(|error| self.unread(error))?;
        let Some(row) = rows.next().map_err(|error| self.unread(error))? else {
            return Ok(None);
        };
        let dead = self.is_dead(row, DEAD_COLUMN, ordinal)?;
        Ok(Some((read_row(self, row), dead)))
    }

    /// The blocks that are there, counted; rows that are broken too.
    pub(super) fn count_living(self) -> Result<Figures> {
        let dead = self.dead_ordinals()?;
        let mut counted = Figures::default();
        let mut statement = self.prepared("SELECT ordinal, codec, size FROM block NOT INDEXED")?;
        let mut rows = statement.query([]).map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let (ordinal, codec, size): (i64, i64, i64) = row
                .get(0)
                .and_then(|ordinal| Ok((ordinal, row.get(1)?, row.get(2)?)))
                .map_err(|error| self.unread(error))?;
            if !dead.contains(ordinal.cast_unsigned()) {
                counted.blocks += 1;
                counted.nodes += u64::from(codec == i64::from(Codec::DagCbor.code()));
                counted.bytes = counted.bytes.saturating_add(size.cast_unsigned());
            }
        }
        Ok(counted)
    }

    /// Whether a row other than this one names its file.
    pub(super) fn file_is_shared(self, row: &BlockRow) -> Result<bool> {
        self.prepared("SELECT 1 FROM block WHERE key8 = ?1 AND file = ?2 AND ordinal <> ?3")?
            .exists(params![
                key8(row.cid.digest()),
                row.file,
                to_sql(row.ordinal)
            ])
            .map_err(|error| self.unread(error))
    }

    /// Whether a row names this file, a dead one too.
    pub(super) fn names_file(self, digest: &[u8; 32], file: &str) -> Result<bool> {
        self.prepared("SELECT 1 FROM block WHERE key8 = ?1 AND file = ?2")?
            .exists(params![key8(digest), file])
            .map_err(|error| self.unread(error))
    }

    /// Every row, the dead too, each checked on its own, and whether its block is dead. O(n), without their bytes.
    pub(super) fn each_block_row(
        self,
        visit: &mut dyn FnMut(Result<BlockRow>, bool) -> Result<()>,
    ) -> Result<()> {
        let mut statement = self.prepared(sql::ALL)?;
        let mut rows = statement.query([]).map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let ordinal: i64 = row.get(0).map_err(|error| self.unread(error))?;
            let is_dead = self.is_dead(row, DEAD_COLUMN, ordinal.cast_unsigned())?;
            visit(read_row(self, row), is_dead)?;
        }
        Ok(())
    }

    /// Deletes both rows of a block. True: there was one.
    pub(super) fn delete_block_rows(self, ordinal: u64) -> Result<bool> {
        let ordinal = to_sql(ordinal);
        let mut deleted = 0;
        for sql in [
            "DELETE FROM graph WHERE ordinal = ?1",
            "DELETE FROM block WHERE ordinal = ?1",
        ] {
            deleted = self
                .prepared(sql)?
                .execute([ordinal])
                .map_err(|error| self.unwritten(error))?;
        }
        Ok(deleted > 0)
    }
}

/// `Corrupt` for the bytes of a block.
pub(super) fn broken_bytes(cid: &Cid, detail: &str) -> StoreError {
    StoreError::Corrupt {
        what: "block",
        which: cid.to_string(),
        detail: detail.to_owned(),
    }
}

/// A row limit for SQLite.
pub(super) fn limit_sql(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl From<&BlockRow> for BlockInfo {
    fn from(row: &BlockRow) -> Self {
        Self {
            ordinal: row.ordinal,
            cid: row.cid,
            size: row.size,
        }
    }
}

/// Where the columns of the joined page of `dead` are in every select of [`sql`].
const DEAD_COLUMN: usize = 7;

mod sql {
    //! The selects; each starts with the same columns, which [`super::read_row`] reads, followed by those
    //! of the page that says whether the block is dead (2048 ordinals a page).
    macro_rules! select {
        ($more:literal, $rest:literal) => {
            concat!(
                "SELECT b.ordinal, b.codec, b.size, b.file, b.chk, b.digest, b.key8, d.bits, d.chk",
                $more,
                " FROM block b LEFT JOIN dead d ON d.page = b.ordinal >> 11 ",
                $rest
            )
        };
    }
    pub(super) const FIND: &str = select!("", "WHERE b.key8 = ?1");
    pub(super) const LOAD: &str = select!(", b.payload", "WHERE b.key8 = ?1");
    pub(super) const PREFIX: &str = select!("", "WHERE b.key8 BETWEEN ?1 AND ?2 ORDER BY b.key8");
    pub(super) const AFTER: &str = select!("", "WHERE b.ordinal > ?1 ORDER BY b.ordinal");
    pub(super) const ALL: &str = select!("", "ORDER BY b.ordinal");
    pub(super) const ONE: &str = select!("", "WHERE b.ordinal = ?1");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_digests() {
        let mut digests: Vec<[u8; 32]> = (0..200u32)
            .map(|seed| *blake3::hash(&seed.to_le_bytes()).as_bytes())
            .collect();
        digests.push([0; 32]);
        digests.push([0xff; 32]);
        digests.sort();
        assert!(
            digests
                .windows(2)
                .all(|pair| key8(&pair[0]) < key8(&pair[1]))
        );
        assert_eq!((key8(&[0; 32]), key8(&[0xff; 32])), (i64::MIN, i64::MAX));
    }
}
