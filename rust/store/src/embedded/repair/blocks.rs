//! Rows of blocks: from their bytes, which hash to their names.

use std::collections::{BTreeMap, HashSet};

use treering_block::{Block, Cid, Codec};

use super::mends::{Mend, Step};
use super::one_byte::{is_near, mend_bytes};
use super::raw::{Cell, RawRow, each_row};
use crate::caller;
use crate::embedded::blob::{BlobFiles, digest_and_time, without_tree_suffix};
use crate::embedded::block_rows::{BlockRow, key8, to_sql};
use crate::embedded::row_check::Table;
use crate::embedded::session::Session;
use crate::error::Result;
use crate::findings::Check;

/// A row with these columns.
pub(super) fn block_row(ordinal: u64, cid: &Cid, size: u64, file: Option<&str>) -> RawRow {
    RawRow::new(
        Table::Block,
        vec![
            Cell::Int(to_sql(ordinal)),
            Cell::Int(key8(cid.digest())),
            Cell::Int(i64::from(cid.codec().code())),
            Cell::Blob(cid.digest().to_vec()),
            Cell::Int(to_sql(size)),
            file.map_or(Cell::Null, Cell::text),
        ],
    )
}

/// Rows that do not match their check, and what their bytes say that they were.
pub(super) fn mend_rows(
    session: Session<'_>,
    blobs: &BlobFiles,
    mends: &mut Vec<Mend>,
) -> Result<()> {
    let dead = session.dead_ordinals()?;
    let mut broken = Vec::new();
    each_row(session, Table::Block, &mut |row| {
        let ordinal = row.cell(0).int().unwrap_or(0).cast_unsigned();
        // Of a dead block's row nothing is wanted but that it goes.
        if !dead.contains(ordinal) && !row.is_sound() {
            broken.push(row);
        }
        Ok(())
    })?;
    for row in broken {
        caller::still_waits()?;
        let ordinal = row.cell(0).int().unwrap_or(0).cast_unsigned();
        let proved = match session.payload(ordinal)? {
            Some(payload) => prove(session, &row, &Found::of(payload), None)?,
            None => prove_file(session, blobs, &row)?,
        };
        if let Some(sound) = proved {
            mends.push(Mend::row(
                Check::BlockRow,
                Some(row),
                sound,
                "written anew from its bytes, which hash to its CID",
            ));
        }
    }
    Ok(())
}

/// Bytes that may be a block's.
struct Found {
    digest: [u8; 32],
    size: u64,
    /// None for more than a node may have.
    bytes: Option<Vec<u8>>,
}

impl Found {
    fn of(bytes: Vec<u8>) -> Self {
        Self {
            digest: *blake3::hash(&bytes).as_bytes(),
            size: bytes.len() as u64,
            bytes: Some(bytes),
        }
    }

    /// Those of a file.
    fn named(blobs: &BlobFiles, file: &str) -> Option<Self> {
        if let Some(bytes) = blobs.read_small(file) {
            return Some(Self::of(bytes));
        }
        let (digest, size) = blobs.hash(file)?;
        Some(Self {
            digest,
            size,
            bytes: None,
        })
    }

    /// How many links it has as a block of that codec; None if it can't be one.
    fn links(&self, codec: Codec) -> Option<usize> {
        match (&self.bytes, codec) {
            (Some(bytes), _) => {
                let block = Block::stored(Cid::new(codec, self.digest), bytes.as_slice());
                block.ok().map(|block| block.links.len())
            }
            (None, Codec::Raw) => Some(0),
            (None, Codec::DagCbor) => None,
        }
    }
}

/// The row that these bytes belong to, if they and the broken row's columns or check prove it.
fn prove(
    session: Session<'_>,
    row: &RawRow,
    found: &Found,
    file: Option<&str>,
) -> Result<Option<RawRow>> {
    let ordinal = row.cell(0).int().unwrap_or(0).cast_unsigned();
    let candidate = |codec| block_row(ordinal, &Cid::new(codec, found.digest), found.size, file);
    // The check as it stands, or but for one byte, says which of the two it was.
    for codec in [Codec::DagCbor, Codec::Raw] {
        let candidate = candidate(codec);
        if is_near(&row.chk, &candidate.computed()) {
            return Ok(Some(candidate));
        }
    }
    // Without the check the digest has to be that of the bytes, and the graph says whether they have links.
    if row.cell(3).bytes() != Some(&found.digest) {
        return Ok(None);
    }
    let named = row
        .cell(2)
        .int()
        .and_then(|codec| u64::try_from(codec).ok())
        .and_then(Codec::from_code);
    let links = session.links(ordinal).ok();
    let fits = |codec: Codec| {
        found
            .links(codec)
            .is_some_and(|count| links.as_ref().is_none_or(|links| links.len() == count))
    };
    Ok(named.filter(|codec| fits(*codec)).map(candidate))
}

/// The same for a block whose bytes are a file: one of those that bear its digest.
fn prove_file(session: Session<'_>, blobs: &BlobFiles, row: &RawRow) -> Result<Option<RawRow>> {
    let named = row
        .cell(5)
        .bytes()
        .and_then(|name| std::str::from_utf8(name).ok())
        .map(str::to_owned);
    let mut names: Vec<String> = named.into_iter().collect();
    for (file, _) in listed(blobs) {
        if !names.contains(&file) && !session.names_file(&digest_of(&file), &file)? {
            names.push(file);
        }
    }
    for file in names {
        if let Some(found) = Found::named(blobs, &file)
            && let Some(sound) = prove(session, row, &found, Some(&file))?
        {
            return Ok(Some(sound));
        }
    }
    Ok(None)
}

/// Files of large blocks, without their trees; what bears another name is none of ours.
fn listed(blobs: &BlobFiles) -> Vec<(String, [u8; 32])> {
    let files = blobs.list().unwrap_or_default();
    files
        .into_iter()
        .filter(|(name, _)| without_tree_suffix(name) == name)
        .filter_map(|(name, _)| digest_and_time(&name).map(|(digest, _)| (name, digest)))
        .collect()
}

fn digest_of(file: &str) -> [u8; 32] {
    digest_and_time(file).map_or([0; 32], |(digest, _)| digest)
}

/// Bytes that do not hash to the CID of their row: another row or file has them, or one bit is wrong.
/// `damaged`: what verify found.
pub(super) fn mend_bytes_of(
    session: Session<'_>,
    blobs: &BlobFiles,
    damaged: &HashSet<Cid>,
    mends: &mut Vec<Mend>,
) -> Result<()> {
    for cid in damaged {
        caller::still_waits()?;
        for row in session.block_rows_of(cid)? {
            if row.file.is_some() {
                mend_file(blobs, &row, mends)?;
                continue;
            }
            let Some(before) = session.payload(row.ordinal)? else {
                continue;
            };
            if cid.matches(&before) {
                continue;
            }
            let (after, detail) = match other_bytes(session, cid)? {
                Some(bytes) => (
                    bytes,
                    "its bytes were taken from another row of the same block",
                ),
                None => match mend_bytes(&before, |trial| cid.matches(trial)) {
                    Some(bytes) => (bytes, "one byte of it was wrong; its CID proves which"),
                    None => continue,
                },
            };
            mends.push(Mend {
                check: Check::BlockBytes,
                which: cid.to_string(),
                detail: detail.into(),
                steps: vec![Step::Payload {
                    ordinal: row.ordinal,
                    before,
                    after,
                }],
            });
        }
    }
    Ok(())
}

/// The block's bytes in any row, a dead one too.
fn other_bytes(session: Session<'_>, cid: &Cid) -> Result<Option<Vec<u8>>> {
    for ordinal in session.ordinals_of(cid)? {
        if let Some(bytes) = session.payload(ordinal)?
            && cid.matches(&bytes)
        {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// A large block whose file or tree is not what it should be: another file with the same digest, or the
/// same bytes written once more with their tree.
fn mend_file(blobs: &BlobFiles, row: &BlockRow, mends: &mut Vec<Mend>) -> Result<()> {
    let mut files: Vec<String> = row.file.clone().into_iter().collect();
    let others = listed(blobs);
    let others = others
        .into_iter()
        .filter(|(name, digest)| digest == row.cid.digest() && Some(name) != row.file.as_ref());
    files.extend(others.map(|(name, _)| name));
    if blobs.open(row).and_then(|file| file.check()).is_ok() {
        return Ok(());
    }
    let whole = |file: &&String| blobs.hash(file) == Some((*row.cid.digest(), row.size));
    let Some(sound) = files.iter().find(whole) else {
        return Ok(());
    };
    // Never over the file that the row names: a new one, and the row follows.
    let written = blobs.copy(sound, &row.cid)?;
    let before = block_row(row.ordinal, &row.cid, row.size, row.file.as_deref());
    let after = block_row(row.ordinal, &row.cid, row.size, Some(&written));
    let mut mend = Mend::row(
        Check::BlockBytes,
        Some(before),
        after,
        "its file and tree were written anew from bytes that hash to its CID",
    );
    mend.which = row.cid.to_string();
    mends.push(mend);
    Ok(())
}

/// Blocks that are linked to and have no row, while a file with their bytes lies there: the graph of who
/// links to them says their ordinal. `missing`: CID → ordinal.
pub(super) fn mend_missing(
    session: Session<'_>,
    blobs: &BlobFiles,
    missing: &BTreeMap<Cid, u64>,
    mends: &mut Vec<Mend>,
) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let files = listed(blobs);
    for (cid, ordinal) in missing {
        if session.block_at(*ordinal).is_ok_and(|row| row.is_some()) {
            continue;
        }
        let found = files.iter().filter(|(_, digest)| digest == cid.digest());
        for (file, _) in found {
            if let Some((digest, size)) = blobs.hash(file)
                && digest == *cid.digest()
            {
                let mut mend = Mend::row(
                    Check::Links,
                    None,
                    block_row(*ordinal, cid, size, Some(file)),
                    "its row was written anew: its file hashes to its CID, and the graph of a block \
                     that links to it has its ordinal",
                );
                mend.which = cid.to_string();
                mends.push(mend);
                break;
            }
        }
    }
    Ok(())
}

/// Blocks with more than one row that is alive: all but the one that look-ups find go, once nothing links
/// to them. `linked`: ordinals that some row of the graph links to.
pub(super) fn mend_duplicates(
    session: Session<'_>,
    cids: &HashSet<Cid>,
    linked: &HashSet<u64>,
    mends: &mut Vec<Mend>,
) -> Result<()> {
    for cid in cids {
        let Some(found) = session.find_block(cid)? else {
            continue;
        };
        let whole = |ordinal| -> Result<bool> {
            Ok(session
                .payload(ordinal)?
                .is_some_and(|bytes| cid.matches(&bytes)))
        };
        if found.file.is_none() && !whole(found.ordinal)? {
            continue;
        }
        for row in session.block_rows_of(cid)? {
            if row.ordinal == found.ordinal || linked.contains(&row.ordinal) {
                continue;
            }
            let mut steps = vec![Step::Bury(row.ordinal)];
            each_row(session, Table::Hold, &mut |hold| {
                if hold.cell(0) == &Cell::Int(to_sql(row.ordinal)) {
                    steps.push(Step::Delete(hold));
                }
                Ok(())
            })?;
            mends.push(Mend {
                check: Check::BlockRow,
                which: format!("block row {}", row.ordinal),
                detail: format!(
                    "it is {cid} once more; ordinal {} has the same bytes and everything links to that one",
                    found.ordinal
                ),
                steps,
            });
        }
    }
    Ok(())
}
