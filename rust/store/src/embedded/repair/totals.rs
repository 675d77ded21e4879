//! The store's own rows: what can be counted or read elsewhere, what only a check can prove, and the two that
//! may be given anew, since nothing in the store rests on them.

use ulid::Ulid;

use super::history::newest_commit_told;
use super::mends::{Mend, Step};
use super::one_byte::mend_row;
use super::raw::{Cell, RawRow, each_row, row_at};
use crate::cursor::Head;
use crate::embedded::links_codec;
use crate::embedded::manifest_rows::{
    KEY_CREATED_AT_MS, KEY_FORMAT, KEY_TOTALS, KEYS, STORE_ID, Totals,
};
use crate::embedded::row_check::Table;
use crate::embedded::session::Session;
use crate::error::Result;
use crate::findings::Check;
use crate::gc::Bitmap;

/// The totals, counted. The next ordinal is greater than every one that any table names, so that none is
/// given twice. Errors: `Corrupt` while the pages of the dead can not be read.
pub(super) fn count(session: Session<'_>) -> Result<Totals> {
    let dead = session.dead_ordinals()?;
    let living = session.count_living()?;
    let mut totals = Totals {
        next_ordinal: 1,
        blocks: living.blocks,
        nodes: living.nodes,
        block_bytes: living.bytes,
        links: 0,
        refs_sum: Some(session.refs_sum()?),
        head: head(session)?,
    };
    let noted = session.totals().map_or(1, |noted| noted.next_ordinal);
    let newest = |sql| session.number(sql).map(i64::cast_unsigned);
    let greatest = [
        noted.saturating_sub(1),
        newest("SELECT coalesce(max(ordinal), 0) FROM block")?,
        newest("SELECT coalesce(max(ordinal), 0) FROM graph")?,
        newest("SELECT coalesce(max(ordinal), 0) FROM hold")?,
        dead.highest_below(u64::MAX).unwrap_or(0),
    ];
    totals.next_ordinal = greatest.into_iter().max().unwrap_or(0).saturating_add(1);
    totals.links = links(session, &dead)?;
    Ok(totals)
}

/// The newest commit: that of the journal, but where others tell of a later one what was noted stays, or nothing is
/// said.
fn head(session: Session<'_>) -> Result<Option<Head>> {
    let noted = session.totals();
    let tip = session.tip_row();
    let last = tip.as_ref().map_or(0, |tip| tip.head.position);
    let is_whole = tip.is_ok() && newest_commit_told(session)? <= last;
    Ok(match (noted, tip) {
        (Ok(Totals { head: None, .. }), _) => None,
        (_, Ok(tip)) if is_whole => Some(tip.head),
        (Ok(noted), _) => noted.head,
        (Err(_), _) => None,
    })
}

/// Links of the living, as far as their rows can be read.
fn links(session: Session<'_>, dead: &Bitmap) -> Result<u64> {
    let mut links = 0;
    each_row(session, Table::Graph, &mut |row| {
        let ordinal = row.cell(0).int().unwrap_or(0).cast_unsigned();
        if !dead.contains(ordinal)
            && row.is_sound()
            && let Some(Ok(found)) = row
                .cell(1)
                .bytes()
                .map(|links| links_codec::decode(ordinal, links))
        {
            links += found.len() as u64;
        }
        Ok(())
    })?;
    Ok(links)
}

/// Whether the totals are not what can be counted.
pub(super) fn mend_totals(session: Session<'_>, mends: &mut Vec<Mend>) -> Result<()> {
    // Without the pages of the dead nothing can be counted; they are mended first.
    let Ok(counted) = count(session) else {
        return Ok(());
    };
    if session.totals().is_ok_and(|noted| noted == counted) {
        return Ok(());
    }
    mends.push(Mend {
        check: Check::Manifest,
        which: "manifest row totals".into(),
        detail: "counted anew from the rows that they total".into(),
        steps: vec![Step::Totals],
    });
    Ok(())
}

/// The rows of the manifest that are broken, but for the totals.
pub(super) fn mend_manifest(session: Session<'_>, mends: &mut Vec<Mend>) -> Result<()> {
    for key in KEYS {
        if let Some(mend) = manifest_row(session, key)? {
            mends.push(mend);
        }
    }
    each_row(session, Table::Manifest, &mut |row| {
        let ours = KEYS.iter().any(|key| row.cell(0) == &Cell::text(key));
        if !ours
            && !row.is_sound()
            && let Some(sound) = mend_row(&row)
        {
            mends.push(Mend::row(Check::Manifest, Some(row), sound, ONE_BYTE));
        }
        Ok(())
    })
}

/// How a row is explained whose check proves the byte that was wrong.
pub(super) const ONE_BYTE: &str = "one byte of it was wrong; its check proves which";

/// The mend of one row that has to be there; None if it is sound or nothing proves it.
pub(super) fn manifest_row(session: Session<'_>, key: &str) -> Result<Option<Mend>> {
    let before = row_at(session, Table::Manifest, &[Cell::text(key)])?;
    if before.as_ref().is_some_and(RawRow::is_sound) {
        return Ok(None);
    }
    if let Some(row) = &before
        && let Some(sound) = mend_row(row)
    {
        return Ok(Some(Mend::row(Check::Manifest, before, sound, ONE_BYTE)));
    }
    let row =
        |value: Vec<u8>| RawRow::new(Table::Manifest, vec![Cell::text(key), Cell::Blob(value)]);
    Ok(match key {
        // The number stands in the database's header too, where opening has just read it.
        KEY_FORMAT => Some(Mend::row(
            Check::Manifest,
            before,
            row(session
                .number("PRAGMA user_version")?
                .to_le_bytes()
                .to_vec()),
            "written anew from the database's header",
        )),
        KEY_TOTALS => match count(session) {
            Ok(counted) => Some(Mend::row(
                Check::Manifest,
                before,
                row(counted.to_bytes()),
                "counted anew from the rows that they total",
            )),
            Err(_) => None,
        },
        // Says nothing of what is in the store.
        KEY_CREATED_AT_MS => {
            let oldest = session.number(
                "SELECT coalesce((SELECT at_ms FROM journal ORDER BY position LIMIT 1), 0)",
            )?;
            Some(Mend::row(
                Check::Manifest,
                before,
                row(oldest.to_le_bytes().to_vec()),
                "the time of the oldest commit that is kept",
            ))
        }
        STORE_ID => Some(Mend::row(
            Check::Manifest,
            before,
            row(Ulid::generate().to_bytes().to_vec()),
            "a new one: backups that were made before are of another store now",
        )),
        _ => None,
    })
}
