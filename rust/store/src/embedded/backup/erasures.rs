//! What was erased in the store goes from a copy of it: from a backup that is brought up to date, and from a store that is
//! restored from a backup of before.
//!
//! A note says no name, so every name that the copy knows is asked. The copy's own rows and files are stripped, in the
//! transaction that the copy is made in: nobody sees it before.
//! Promises: what is left of a copy is what an erase leaves of a store. Must never: touch a scope that no note means.

use std::collections::{BTreeSet, HashSet};

use ulid::Ulid;

use super::target::Target;
use crate::embedded::remains::{Page, Place, without_scope};
use crate::embedded::sealed_files::write_sealed;
use crate::embedded::session::Session;
use crate::erasure::{ErasedFigures, Erasure};
use crate::error::Result;
use crate::journal::JournalRow;
use crate::name::RefName;
use crate::sealed::SealedFile;

/// Rows read at a time.
const PAGE: usize = 256;

/// Notes of the store that the copy has not.
pub(super) fn new_in(store: Session<'_>, copy: Session<'_>) -> Result<Vec<Erasure>> {
    not_in(store.erasures()?, copy)
}

/// Those of these notes that the copy has not.
pub(super) fn not_in(notes: Vec<Erasure>, copy: Session<'_>) -> Result<Vec<Erasure>> {
    let there: HashSet<_> = copy.erasures()?.into_iter().map(|note| note.id).collect();
    let new = notes.into_iter().filter(|note| !there.contains(&note.id));
    Ok(new.collect())
}

/// Strips the copy of the scopes that these notes mean, and of those whose erase had begun and not ended when it was
/// made; how many it had. In a transaction of the copy. Its own notes are not written here.
pub(super) fn apply(copy: Session<'_>, target: &Target, notes: &[Erasure]) -> Result<u64> {
    let mut meant: HashSet<[u8; 32]> = notes.iter().map(|note| note.scope).collect();
    let under_way = copy.erasing()?;
    for erasing in &under_way {
        meant.insert(copy.digest_of(&erasing.scope)?);
    }
    if meant.is_empty() {
        return Ok(0);
    }
    let mut stripped = 0;
    for scope in scopes_of(copy)? {
        if meant.contains(&copy.digest_of(&scope)?) {
            let went = strip(copy, target, &scope)?;
            for erasing in under_way.iter().filter(|erasing| erasing.scope == scope) {
                count(copy, erasing.id, &went)?;
            }
            stripped += 1;
        }
    }
    Ok(stripped)
}

/// Every name of a scope that stands anywhere in the copy. O(copy without its blocks).
fn scopes_of(copy: Session<'_>) -> Result<BTreeSet<String>> {
    let mut scopes = BTreeSet::new();
    copy.each_ref(&mut |name, _| {
        // The mark over a scope that was being erased may have a name that no ref can have.
        if let Ok(name) = RefName::parse(name) {
            scopes.insert(name.scope().to_owned());
        }
        Ok(())
    })?;
    let erasing = copy.erasing()?.into_iter();
    scopes.extend(erasing.map(|erasing| erasing.scope));
    for table in ["receipt", "hold"] {
        let mut statement = copy.prepared(&format!("SELECT DISTINCT scope FROM {table}"))?;
        let named = statement
            .query_map([], |row| row.get(0))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<String>>>)
            .map_err(|error| copy.unread(error))?;
        scopes.extend(named);
    }
    let mut note = |row: &JournalRow| -> Result<()> {
        let entry = row.entry()?;
        if !entry.blank {
            scopes.insert(entry.scope);
        }
        Ok(())
    };
    for file in copy.sealed_files()? {
        copy.sealed_commits(&file?)?
            .iter()
            .try_for_each(&mut note)?;
    }
    let mut after = 0;
    loop {
        let page = copy.unsealed_page(after)?;
        let Some(last) = page.last() else {
            return Ok(scopes);
        };
        after = last.position;
        page.iter().try_for_each(&mut note)?;
    }
}

/// What an erase that was under way did not take away itself is in its note all the same.
fn count(copy: Session<'_>, id: Ulid, went: &ErasedFigures) -> Result<()> {
    let Some(mut note) = copy.erasure(id)? else {
        return Ok(());
    };
    note.figures.refs += went.refs;
    note.figures.leases += went.leases;
    note.figures.receipts += went.receipts;
    note.figures.holds += went.holds;
    note.figures.commits += went.commits;
    copy.write_erasure(&note)
}

/// What went; blocks are not counted.
fn strip(copy: Session<'_>, target: &Target, scope: &str) -> Result<ErasedFigures> {
    let mut went = take_refs(copy, scope)?;
    let mut place = Place::FIRST;
    while !matches!(place, Place::End) {
        let (page, next) = copy.remains(scope, place, u64::MAX)?;
        place = next;
        match page {
            Page::Receipts(keys) => {
                for key in keys {
                    went.receipts += copy.delete_receipt_row(&key, scope)?;
                }
            }
            Page::Holds(ordinals) => {
                for ordinal in ordinals {
                    went.holds += u64::from(copy.delete_hold(ordinal, scope)?);
                }
            }
            Page::Commits(positions) => {
                for position in positions {
                    went.commits += copy.strip_body(position, scope)?.0;
                }
            }
        }
    }
    for file in copy.sealed_files()? {
        went.commits += strip_sealed(copy, target, &file?, scope)?;
    }
    Ok(went)
}

/// Refs, the mark that hid them, and leases.
fn take_refs(copy: Session<'_>, scope: &str) -> Result<ErasedFigures> {
    let mut went = ErasedFigures::default();
    let mut gone = copy.unhide(scope)?;
    loop {
        let (refs, sum) = copy.delete_some_refs(scope, PAGE)?;
        gone = gone.wrapping_add(sum);
        let leases = if refs == 0 {
            copy.delete_some_leases(scope, PAGE)?
        } else {
            0
        };
        if refs == 0 && leases == 0 {
            break;
        }
        went.refs += refs as u64;
        went.leases += leases as u64;
    }
    let mut totals = copy.totals()?;
    totals.refs_sum = totals.refs_sum.map(|all| all.wrapping_sub(gone));
    copy.write_totals(totals)?;
    Ok(went)
}

/// The new file is on disk before the row that names it is committed; the old one goes with those that no row names.
fn strip_sealed(copy: Session<'_>, target: &Target, file: &SealedFile, scope: &str) -> Result<u64> {
    let (rows, count) = without_scope(copy.sealed_commits(file)?, scope)?;
    if count == 0 {
        return Ok(0);
    }
    if let Some((new, bytes)) = SealedFile::seal(&file.head_before(), &rows)? {
        drop(write_sealed(target.root(), target.disk(), &new, &bytes)?);
        copy.write_sealed_file(&new)?;
    }
    Ok(count)
}
