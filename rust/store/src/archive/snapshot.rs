//! The refs and receipts of a scope as they were at one position of the journal, while others write.
//!
//! What is read ref by ref is of several moments. The journal says what moved meanwhile, with target,
//! record and version, so laying that over what was read gives the state at the last position that was
//! looked at, however busy the scope is.

use std::collections::BTreeMap;

use crate::commit::RefValue;
use crate::error::{Result, StoreError};
use crate::journal::JournalCommand;
use crate::name::RefName;
use crate::scope::forking::marker;
use crate::scope::lineage::lineage_key;
use crate::scope::refs::Pages;
use crate::store::Store;

/// Rows that are read at once.
const PAGE: usize = 1000;

/// See the top of this file.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Refs that were wanted.
    pub refs: BTreeMap<RefName, RefValue>,
    /// All receipts but what the scope was forked of, by key.
    pub receipts: BTreeMap<[u8; 32], JournalCommand>,
    /// Receipts that are not among these, since nobody can say whether they were there.
    pub receipts_unsettled: u64,
}

/// Takes the refs of a scope that are wanted. `names`: those alone are read; None: all of these kinds, or of every kind.
///
/// Errors: `Corrupt` for the first ref or receipt that is broken; `BeingForked` for a scope that is being made.
pub fn snapshot(
    store: &dyn Store,
    scope: &str,
    names: Option<&[RefName]>,
    wanted: impl Fn(&RefName) -> bool,
) -> Result<Snapshot> {
    loop {
        if let Some(taken) = once(store, scope, names, &wanted)? {
            return Ok(taken);
        }
    }
}

/// None: what a commit that came meanwhile did is not known any more, or it began or ended to make the scope, or erased it.
fn once(
    store: &dyn Store,
    scope: &str,
    names: Option<&[RefName]>,
    wanted: &impl Fn(&RefName) -> bool,
) -> Result<Option<Snapshot>> {
    // First: that the scope is being made is found there, or told by a commit that comes after.
    let mut cursor = store.head()?.cursor();
    let (since, mut erased) = (cursor.position, false);
    let marker = marker(scope)?;
    if store.read_ref(&marker)?.is_some() {
        return Err(StoreError::BeingForked {
            scope: scope.to_owned(),
        });
    }
    let mut taken = Snapshot {
        refs: read_refs(store, scope, names, wanted)?,
        receipts: read_receipts(store, scope)?,
        receipts_unsettled: store.receipts_unsettled(scope)?,
    };
    loop {
        let page = store.journal(Some(&cursor), PAGE)?;
        let Some(last) = page.last() else { break };
        cursor = last.cursor();
        for entry in page {
            if entry.blank && !entry.erased {
                return Ok(None);
            }
            erased |= entry.erased;
            if entry.scope != scope {
                continue;
            }
            for moved in entry.moves {
                if moved.name == marker {
                    return Ok(None);
                }
                if !wanted(&moved.name) {
                    continue;
                }
                match (moved.target, moved.record) {
                    (Some(target), Some(record)) => {
                        let version = moved.version;
                        let value = RefValue {
                            version,
                            target,
                            record,
                        };
                        taken.refs.insert(moved.name, value);
                    }
                    _ => {
                        taken.refs.remove(&moved.name);
                    }
                }
            }
            let left = entry.command.into_iter().chain(entry.receipts);
            taken
                .receipts
                .extend(left.map(|command| (command.key, command)));
        }
    }
    // A commit of an erased scope moved no ref of any other. Which scope that was, the notes say.
    if erased
        && store
            .erasures()?
            .of(scope)
            .any(|note| note.position > since)
    {
        return Ok(None);
    }
    taken.receipts.remove(&lineage_key(scope));
    Ok(Some(taken))
}

fn read_refs(
    store: &dyn Store,
    scope: &str,
    names: Option<&[RefName]>,
    wanted: &impl Fn(&RefName) -> bool,
) -> Result<BTreeMap<RefName, RefValue>> {
    let mut refs = BTreeMap::new();
    if let Some(names) = names {
        for name in names {
            if let Some(value) = store.read_ref(name)? {
                refs.insert(name.clone(), value);
            }
        }
        return Ok(refs);
    }
    for kind in store.kinds(scope)? {
        let mut pages = Pages::new(store, scope, &kind);
        while let Some((name, value)) = pages.next_ref()? {
            if wanted(&name) {
                refs.insert(name, value);
            }
        }
    }
    Ok(refs)
}

fn read_receipts(store: &dyn Store, scope: &str) -> Result<BTreeMap<[u8; 32], JournalCommand>> {
    let mut receipts = BTreeMap::new();
    let mut after: Option<[u8; 32]> = None;
    loop {
        let page = store.receipts(scope, after.as_ref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok(receipts);
        };
        after = Some(last.command.key);
        let left = page.into_iter().map(|left| left.command);
        receipts.extend(left.map(|command| (command.key, command)));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use treering_block::Block;

    use super::*;
    use crate::commit::{Change, Commit, Expect, LeaseToken, RefMove};
    use crate::erasure::EraseOptions;
    use crate::memory::MemoryStore;

    fn moved(store: &MemoryStore, name: &RefName, content: Option<&str>) {
        let block = content.map(|content| Block::raw(content.as_bytes().to_vec()));
        let change = block.as_ref().map_or(Change::Delete, |block| Change::Set {
            target: block.cid,
            record: Vec::new(),
        });
        // A scope that is being made takes commits of who makes it alone.
        let lease = store.lease_acquire(name, "maker").unwrap();
        let commit = Commit {
            scope: name.scope().to_owned(),
            moves: vec![RefMove {
                name: name.clone(),
                expect: Expect::Any,
                change,
            }],
            blocks: block.into_iter().collect(),
            leases: vec![LeaseToken {
                name: lease.name.clone(),
                token: lease.token,
            }],
            ..Commit::default()
        };
        store.submit(commit).wait().unwrap();
        store.lease_release(&lease).unwrap();
    }

    /// The parts of what is taken of `main`, and the tries that it takes. `meanwhile` is done in each.
    fn taken_while(store: &MemoryStore, meanwhile: impl Fn(u32)) -> (Vec<String>, u32) {
        let tries = Cell::new(0);
        let first = RefName::new("main", "thread", ["a"]).unwrap();
        let taken = snapshot(store, "main", None, |name| {
            if *name == first {
                tries.set(tries.get() + 1);
                assert!(tries.get() < 10, "it begins anew for ever");
                meanwhile(tries.get());
            }
            true
        });
        let refs = taken.unwrap().refs.into_keys();
        (
            refs.map(|name| name.parts().join("/")).collect(),
            tries.get(),
        )
    }

    #[test]
    fn erases_of_others_are_no_reason_to_begin_anew() {
        let store = MemoryStore::new();
        let thread = |scope: &str, part: &str| RefName::new(scope, "thread", [part]).unwrap();
        moved(&store, &thread("main", "a"), Some("a"));
        let others = |_| {
            moved(&store, &thread("other", "x"), Some("x"));
            moved(&store, &thread("main", "b"), Some("b"));
            store.erase("other", &EraseOptions::default()).unwrap();
        };
        let (parts, tries) = taken_while(&store, others);
        assert_eq!((parts, tries), (vec!["a".into(), "b".into()], 1));
    }

    #[test]
    fn a_scope_that_is_erased_meanwhile_is_not_taken_by_half() {
        let store = MemoryStore::new();
        let thread = |part: &str| RefName::new("main", "thread", [part]).unwrap();
        for anew in [false, true] {
            moved(&store, &thread("a"), Some("a"));
            moved(&store, &thread("b"), Some("b"));
            let (parts, _) = taken_while(&store, |tries| {
                if tries == 1 {
                    store.erase("main", &EraseOptions::default()).unwrap();
                    if anew {
                        moved(&store, &thread("c"), Some("c"));
                    }
                }
            });
            let after: &[&str] = if anew { &["c"] } else { &[] };
            assert_eq!(parts, after);
        }
    }

    #[test]
    fn a_scope_that_begins_to_be_made_meanwhile_is_not_taken_by_half() {
        let store = MemoryStore::new();
        let thread = |part: &str| RefName::new("main", "thread", [part]).unwrap();
        let marker = marker("main").unwrap();
        moved(&store, &thread("a"), Some("a"));
        for is_made in [false, true] {
            let begun = Cell::new(false);
            let taken = snapshot(&store, "main", None, |name| {
                if name.kind() == "thread" && !begun.replace(true) {
                    moved(&store, &marker, Some("making"));
                    if is_made {
                        moved(&store, &marker, None);
                    }
                }
                true
            });
            if is_made {
                let refs: Vec<RefName> = taken.unwrap().refs.into_keys().collect();
                assert_eq!(refs, [thread("a")]);
            } else {
                assert!(
                    matches!(taken, Err(StoreError::BeingForked { .. })),
                    "{taken:?}"
                );
                moved(&store, &marker, None);
            }
        }
    }
}
