//! What becomes of a ref of an archive that is no thread's, in a scope that may have something of that name.
//!
//! Promises: the answer to the same question is the same each time. A log that is here goes on only if it stands in that
//! of the file; a projection only if the file's has seen all that it has.

use treering_block::{Encoded, Ipld};
use treering_store::{Carried, Change, Expect, RefMove, RefName, RefValue};

use crate::error::{ActorError, Result};
use crate::projection::Projection;
use crate::read::Reader;

use super::check::Sort;

/// Sources that are compared at a time.
const PAGE: usize = 1_000;

/// What becomes of it.
pub(super) enum Becomes {
    /// It is here as it is in the file.
    There,
    /// It is made, or goes on.
    Moves(RefMove),
    /// Something else is here.
    Taken,
}

/// Judges a ref of the file that `file` shows, against what `here` has.
///
/// # Errors
/// Those of reading.
pub(super) fn judge(
    file: &Reader,
    here: &Reader,
    name: &RefName,
    value: &RefValue,
    sort: &Sort,
) -> Result<Becomes> {
    let Some(stands) = here.store().read_ref(name)? else {
        return Ok(Becomes::Moves(set(name, value, Expect::Absent)));
    };
    if stands.target == value.target && stands.record == value.record {
        return Ok(Becomes::There);
    }
    let goes_on = match sort {
        Sort::Log => log_goes_on(file, here, name, value, &stands)?,
        Sort::Projection => projection_goes_on(file, here, name)?,
        Sort::Thread | Sort::Model { .. } | Sort::Pin => false,
    };
    if !goes_on {
        return Ok(Becomes::Taken);
    }
    let expect = Expect::At {
        version: stands.version,
        target: stands.target,
    };
    Ok(Becomes::Moves(set(name, value, expect)))
}

/// The move that sets a ref as it is in the file.
pub(super) fn set(name: &RefName, value: &RefValue, expect: Expect) -> RefMove {
    RefMove {
        name: name.clone(),
        expect,
        change: Change::Set {
            target: value.target,
            record: value.record.clone(),
        },
    }
}

/// Whether the log of the file has the newest entry that there is here.
fn log_goes_on(
    file: &Reader,
    here: &Reader,
    name: &RefName,
    value: &RefValue,
    stands: &RefValue,
) -> Result<bool> {
    let now = here.standing(name, stands.target)?;
    let found = file.find(name, &value.target, now.version)?;
    Ok(found.is_some_and(|(cid, _)| cid == stands.target))
}

/// Whether the projection of the file has seen of each source at least what the one here has.
fn projection_goes_on(file: &Reader, here: &Reader, name: &RefName) -> Result<bool> {
    let [own] = name.parts() else {
        return Ok(false);
    };
    let there = opened(file, name.scope(), own)?.load()?;
    let now = opened(here, name.scope(), own)?.load()?;
    if there.events() <= now.events() {
        return Ok(false);
    }
    let mut after: Option<String> = None;
    loop {
        let page = now.checkpoint(after.as_deref(), PAGE)?;
        for (source, seen) in &page {
            if there.seen(source)? < *seen {
                return Ok(false);
            }
        }
        match page.into_iter().next_back() {
            Some((last, _)) => after = Some(last),
            None => return Ok(true),
        }
    }
}

/// A projection to be read, whatever it follows.
pub(super) fn opened(reader: &Reader, scope: &str, name: &str) -> Result<Projection> {
    let start = Encoded::from_ipld(&Ipld::Null).map_err(ActorError::from)?;
    let start = (start, Carried::default());
    Projection::new(reader.clone(), scope, name, &[], &[], start)
}
