//! Rows of the graph: from the bytes of their blocks.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use treering_block::{Block, Cid, Codec};

use super::mends::Mend;
use super::one_byte::mend_row;
use super::raw::{Cell, RawRow, each_row, row_at};
use super::totals::ONE_BYTE;
use crate::embedded::blob::BlobFiles;
use crate::embedded::block_rows::to_sql;
use crate::embedded::links_codec;
use crate::embedded::row_check::Table;
use crate::embedded::session::Session;
use crate::error::Result;
use crate::findings::Check;
use crate::gc::Bitmap;
use crate::tier::Tier;

/// Ordinals that are looked at while the store's own counter can not be read.
const ORDINALS_MAX: u64 = 1 << 32;

/// A row with these links.
fn graph_row(ordinal: u64, links: &[u64]) -> Option<RawRow> {
    let encoded = links_codec::encode(ordinal, links).ok()?;
    Some(RawRow::new(
        Table::Graph,
        vec![Cell::Int(to_sql(ordinal)), Cell::Blob(encoded)],
    ))
}

/// What the graph was looked through for.
#[derive(Default)]
pub(super) struct Looked {
    /// Blocks that are linked to and have no row: their ordinals, from the graph of who links to them.
    pub(super) missing: BTreeMap<Cid, u64>,
    /// Ordinals that some living row links to.
    pub(super) linked: HashSet<u64>,
}

/// `suspects`: blocks whose links verify found at fault; those whose row is broken or gone are found here.
/// `duplicates`: their ordinals are looked for among all links.
pub(super) fn mend_graph(
    session: Session<'_>,
    blobs: &BlobFiles,
    tiers: &[Arc<dyn Tier>],
    suspects: &HashSet<Cid>,
    duplicates: bool,
    mends: &mut Vec<Mend>,
) -> Result<Looked> {
    let mut looked = Looked::default();
    let dead = session.dead_ordinals()?;
    let mut broken = Bitmap::default();
    let mut present = Bitmap::default();
    // A place in a bitmap costs memory: an ordinal that was never given gets none.
    let given = session
        .totals()
        .map_or(ORDINALS_MAX, |totals| totals.next_ordinal);
    each_row(session, Table::Graph, &mut |row| {
        let ordinal = row.cell(0).int().unwrap_or(0).cast_unsigned();
        if ordinal >= given || dead.contains(ordinal) {
            return Ok(());
        }
        present.insert(ordinal);
        if row.is_sound() {
            if duplicates && let Ok(links) = session.links(ordinal) {
                looked.linked.extend(links);
            }
        } else {
            broken.insert(ordinal);
        }
        Ok(())
    })?;
    let mut after = 0;
    loop {
        let page = session.blocks_after(after, 1024)?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (ordinal, row) in page {
            let Ok(row) = row else { continue };
            let at_fault = broken.contains(ordinal) || !present.contains(ordinal);
            if !at_fault && !suspects.contains(&row.cid) {
                continue;
            }
            let before = row_at(session, Table::Graph, &[Cell::Int(to_sql(ordinal))])?;
            let bytes: Option<Arc<[u8]>> = match &row.file {
                // It links to nothing, whatever it holds.
                Some(_) if row.cid.codec() == Codec::Raw => None,
                Some(_) => blobs.read(&row).ok(),
                None => session.payload(ordinal)?.map(Arc::from),
            };
            let block = match (bytes, row.cid.codec()) {
                (None, Codec::Raw) if row.file.is_some() => Some(Block {
                    cid: row.cid,
                    bytes: Arc::default(),
                    links: Vec::new(),
                }),
                (bytes, _) => bytes.and_then(|bytes| Block::stored(row.cid, bytes).ok()),
            };
            let links = match &block {
                Some(block) => resolve(session, tiers, block, before.as_ref(), &mut looked)?,
                None => None,
            };
            if let Some(sound) = links.and_then(|links| graph_row(ordinal, &links)) {
                if before.as_ref() != Some(&sound) {
                    mends.push(Mend::row(
                        Check::Links,
                        before,
                        sound,
                        format!("written anew from the bytes of {}", row.cid),
                    ));
                }
            } else if at_fault && let Some(sound) = before.as_ref().and_then(mend_row) {
                mends.push(Mend::row(Check::Links, before, sound, ONE_BYTE));
            }
        }
    }
    Ok(looked)
}

/// The ordinals of the block's links; None if one is not there. What is missing is noted, with the ordinal
/// that a sound row of the graph has in its place.
fn resolve(
    session: Session<'_>,
    tiers: &[Arc<dyn Tier>],
    block: &Block,
    before: Option<&RawRow>,
    looked: &mut Looked,
) -> Result<Option<Vec<u64>>> {
    let sound = before.filter(|row| row.is_sound());
    let noted = sound.and_then(|row| {
        let ordinal = row.cell(0).int()?.cast_unsigned();
        links_codec::decode(ordinal, row.cell(1).bytes()?).ok()
    });
    let mut ordinals = Vec::with_capacity(block.links.len());
    for (index, link) in block.links.iter().enumerate() {
        // A look-up fails while a row beside it is broken: that one is mended first.
        let mut found = session
            .find_block(link)
            .unwrap_or_default()
            .map(|row| row.ordinal);
        for tier in tiers {
            if found.is_none() {
                found = tier.ordinal(link)?;
            }
        }
        match found {
            Some(ordinal) => ordinals.push(ordinal),
            None => {
                if let Some(noted) = &noted
                    && noted.len() == block.links.len()
                    && let Some(ordinal) = noted.get(index)
                {
                    looked.missing.insert(*link, *ordinal);
                }
            }
        }
    }
    Ok((ordinals.len() == block.links.len()).then_some(ordinals))
}

/// Rows of the graph whose block has no row, and that nothing needs: neither a ref nor a hold reaches
/// them, and every ref's target is there. What they kept is as little reached as they are.
pub(super) fn mend_lonely(
    session: Session<'_>,
    tiers: &[Arc<dyn Tier>],
    mends: &mut Vec<Mend>,
) -> Result<()> {
    let lonely = session.lonely_graph_ordinals()?;
    if lonely.is_empty() {
        return Ok(());
    }
    let Some(reached) = reached(session, tiers)? else {
        return Ok(());
    };
    for ordinal in lonely {
        if !reached.contains(ordinal)
            && let Some(row) = row_at(session, Table::Graph, &[Cell::Int(to_sql(ordinal))])?
        {
            mends.push(Mend::delete(
                Check::BlockRow,
                row,
                "its block is gone and nothing reaches it: the rest of a block that was garbage",
            ));
        }
    }
    Ok(())
}

/// Every ordinal that a ref or a hold reaches, whether its block is there or not; None if that can't be
/// told, because a root or a row is broken.
fn reached(session: Session<'_>, tiers: &[Arc<dyn Tier>]) -> Result<Option<Bitmap>> {
    if !tiers.is_empty() {
        // What is in colder tiers reaches the graph in ways that are not looked at here.
        return Ok(None);
    }
    let dead = session.dead_ordinals()?;
    let mut marked = Bitmap::default();
    let mut targets = Vec::new();
    let read = session.each_ref(&mut |_, target| {
        targets.push(target);
        Ok(())
    });
    if read.is_err() {
        return Ok(None);
    }
    for target in targets {
        match session.find_block(&target) {
            Ok(Some(row)) => {
                marked.insert(row.ordinal);
            }
            _ => return Ok(None),
        }
    }
    let held = session.each_hold(0..u64::MAX, &mut |ordinal, _| {
        marked.insert(ordinal);
        ControlFlow::Continue(())
    });
    if held.is_err() {
        return Ok(None);
    }
    let mut below = u64::MAX;
    loop {
        let Ok(page) = session.graph_rows_down(below, 4096, &dead) else {
            return Ok(None);
        };
        for (ordinal, links) in page.rows() {
            if marked.contains(ordinal) {
                links.iter().for_each(|link| {
                    marked.insert(*link);
                });
            }
        }
        match page.lowest {
            Some(lowest) => below = lowest,
            None => return Ok(Some(marked)),
        }
    }
}
