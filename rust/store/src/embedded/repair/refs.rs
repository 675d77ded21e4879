//! Rows of refs: from the last word of the journal on each.

use std::collections::BTreeSet;

use treering_block::Cid;

use super::history::{History, Said};
use super::mends::{Mend, Step};
use super::one_byte::{is_near, mend_row};
use super::raw::{Cell, RawRow, delete_row, each_row};
use super::totals::ONE_BYTE;
use crate::commit::RefValue;
use crate::embedded::block_rows::to_sql;
use crate::embedded::row_check::Table;
use crate::embedded::session::Session;
use crate::error::Result;
use crate::findings::Check;
use crate::name::RefName;

const BY_JOURNAL: &str = "written anew from its last entry in the journal";

fn ref_row(name: &str, said: &Said) -> RawRow {
    RawRow::new(
        Table::Ref,
        vec![
            Cell::text(name),
            Cell::Int(to_sql(said.version)),
            Cell::Blob(said.target.to_bytes().to_vec()),
            Cell::Int(to_sql(said.position)),
            Cell::Blob(said.record.clone()),
        ],
    )
}

/// The ref that a row says, if the row is what was written.
pub(in crate::embedded) fn value_of(row: &RawRow) -> Option<(RefName, RefValue)> {
    if !row.is_sound() {
        return None;
    }
    let name = RefName::parse(std::str::from_utf8(row.cell(0).bytes()?).ok()?).ok()?;
    let value = RefValue {
        version: u64::try_from(row.cell(1).int()?).ok()?,
        target: Cid::from_bytes(row.cell(2).bytes()?).ok()?,
        record: row.cell(4).bytes()?.to_vec(),
    };
    Some((name, value))
}

/// Refs that are broken, gone, or not where the journal left them.
pub(super) fn mend_refs(
    session: Session<'_>,
    history: &History,
    mends: &mut Vec<Mend>,
) -> Result<()> {
    let mut met = BTreeSet::new();
    let mut nameless = Vec::new();
    let going = session.going()?;
    each_row(session, Table::Ref, &mut |row| {
        // What an erase has begun on goes by itself, and nothing of it is kept.
        if row.cell(0).bytes().is_some_and(|name| going.has(name)) {
            return Ok(());
        }
        let name = row
            .cell(0)
            .bytes()
            .and_then(|name| std::str::from_utf8(name).ok())
            .map(str::to_owned);
        let said = name.as_ref().and_then(|name| history.refs.get(name));
        match (name, said) {
            (Some(name), Some(said)) => {
                mends.extend(judge(row, &name, said, history));
                met.insert(name);
            }
            _ if value_of(&row).is_some() => {
                if history.is_whole() {
                    mends.push(Mend {
                        check: Check::RefHistory,
                        which: row.which(),
                        detail: "the journal does not have it; what it said is kept in quarantine"
                            .into(),
                        steps: vec![Step::SetAside(row.clone()), Step::Delete(row)],
                    });
                }
            }
            _ => nameless.push(row),
        }
        Ok(())
    })?;
    // What is gone comes back; a row under another name that was this one is the same, with its name broken.
    for (name, said) in &history.refs {
        if met.contains(name) || !history.is_last_word(said) {
            continue;
        }
        let after = ref_row(name, said);
        let mut mend = Mend::row(Check::RefHistory, None, after.clone(), BY_JOURNAL);
        if let Some(at) = nameless
            .iter()
            .position(|row| is_near(&row.chk, &after.computed()))
        {
            mend.steps.push(Step::Delete(nameless.swap_remove(at)));
            mend.detail =
                "its name was broken; written anew from its last entry in the journal".into();
        }
        mends.push(mend);
    }
    for row in nameless {
        if let Some(sound) = mend_row(&row) {
            mends.push(Mend::row(Check::Ref, Some(row), sound, ONE_BYTE));
        }
    }
    Ok(())
}

/// A row that the journal knows.
fn judge(row: RawRow, name: &str, said: &Said, history: &History) -> Option<Mend> {
    let after = ref_row(name, said);
    match value_of(&row) {
        None => {
            // The check as it was, but for a byte, proves it even where the journal has gaps.
            let proved = history.is_last_word(said) || is_near(&row.chk, &after.computed());
            let (sound, detail) = if proved {
                (after, BY_JOURNAL)
            } else {
                (mend_row(&row)?, ONE_BYTE)
            };
            Some(Mend::row(Check::Ref, Some(row), sound, detail))
        }
        Some((_, value)) => {
            let same = value.version == said.version
                && value.target == said.target
                && value.record == said.record;
            if same || !history.is_last_word(said) {
                return None;
            }
            Some(Mend {
                check: Check::RefHistory,
                which: row.which(),
                detail: format!(
                    "it stood at version {}, the journal says {}: written anew from the journal, \
                     what it said is kept in quarantine",
                    value.version, said.version
                ),
                steps: vec![
                    Step::SetAside(row.clone()),
                    Step::Row {
                        before: Some(row),
                        after,
                    },
                ],
            })
        }
    }
}

/// Takes a ref's row away, whatever it is.
pub(in crate::embedded) fn remove(session: Session<'_>, row: &RawRow) -> Result<()> {
    delete_row(session, row)
}
