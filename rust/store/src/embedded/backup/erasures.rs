//! What was erased in the store goes from a copy of it: from a backup that is brought up to date, and from a store that is
//! restored from a backup of before.
//!
//! A note says no name, so every name that the copy knows is asked. The copy's own rows and files are stripped, in the
//! transaction that the copy is made in: nobody sees it before.
//! Promises: what is left of a copy is what an erase leaves of a store. Must never: touch a scope that no note means.

use std::collections::{BTreeSet, HashSet};

use super::target::Target;
use crate::embedded::remains::{Page, Place, without_scope};
use crate::embedded::sealed_files::write_sealed;
use crate::embedded::session::Session;
use crate::erasure::Erasure;
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
    for erasing in copy.erasing()? {
        meant.insert(copy.digest_of(&erasing.scope)?);
    }
    if meant.is_empty() {
        return Ok(0);
    }
    let mut stripped = 0;
    for scope in scopes_of(copy)? {
        if meant.contains(&copy.digest_of(&scope)?) {
            strip(copy, target, &scope)?;
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

fn strip(copy: Session<'_>, target: &Target, scope: &str) -> Result<()> {
    take_refs(copy, scope)?;
    let mut place = Place::FIRST;
    while !matches!(place, Place::End) {
        let (page, next) = copy.remains(scope, place, u64::MAX)?;
        place = next;
        match page {
            Page::Receipts(keys) => {
                for key in keys {
                    copy.delete_receipt_row(&key, scope)?;
                }
            }
            Page::Holds(ordinals) => {
                for ordinal in ordinals {
                    copy.delete_hold(ordinal, scope)?;
                }
            }
            Page::Commits(positions) => {
                for position in positions {
                    copy.strip_body(position, scope)?;
                }
            }
        }
    }
    for file in copy.sealed_files()? {
        strip_sealed(copy, target, &file?, scope)?;
    }
    Ok(())
}

/// Refs, the mark that hid them, and leases.
fn take_refs(copy: Session<'_>, scope: &str) -> Result<()> {
    let mut gone = copy.unhide(scope)?;
    loop {
        let (refs, sum) = copy.delete_some_refs(scope, PAGE)?;
        gone = gone.wrapping_add(sum);
        if refs == 0 && copy.delete_some_leases(scope, PAGE)? == 0 {
            break;
        }
    }
    let mut totals = copy.totals()?;
    totals.refs_sum = totals.refs_sum.map(|all| all.wrapping_sub(gone));
    copy.write_totals(totals)
}

/// The new file is on disk before the row that names it is committed; the old one goes with those that no row names.
fn strip_sealed(copy: Session<'_>, target: &Target, file: &SealedFile, scope: &str) -> Result<()> {
    let (rows, count) = without_scope(copy.sealed_commits(file)?, scope)?;
    if count == 0 {
        return Ok(());
    }
    if let Some((new, bytes)) = SealedFile::seal(&file.head_before(), &rows)? {
        drop(write_sealed(target.root(), target.disk(), &new, &bytes)?);
        copy.write_sealed_file(&new)?;
    }
    Ok(())
}
