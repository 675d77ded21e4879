//! The threads of a scope as they were at one position of the journal, while others write.
//!
//! What is read ref by ref is of several moments. The journal says what moved meanwhile, with target,
//! record and version, so laying that over what was read gives the state at the last position that was
//! looked at, however busy the scope is.

use std::collections::{BTreeMap, BTreeSet};

use treering_block::Cid;
use treering_store::{JournalCommand, RefName, RefValue, Store};

use super::error::CarError;
use crate::error::ThreadError;
use crate::head::Head;
use crate::ident::{THREAD, THREAD_FAILED, failed_ref, thread_ref};
use crate::receipt;
use crate::threads::id_of;

/// Rows that are read at once.
const PAGE: usize = 1000;

/// A thread as its refs say.
pub(super) struct Taken {
    pub id: String,
    pub head: Head,
    pub failed: Option<Cid>,
}

/// Threads by id, and the receipts that name one of them, by key.
pub(super) struct Snapshot {
    pub threads: Vec<Taken>,
    pub receipts: Vec<JournalCommand>,
}

/// Takes the threads with these ids, or all of the scope.
pub(super) fn take(
    store: &dyn Store,
    scope: &str,
    ids: Option<&BTreeSet<String>>,
) -> Result<Snapshot, CarError> {
    let mut cursor = store.head()?.cursor();
    let mut refs = read_refs(store, scope, ids)?;
    let mut receipts = read_receipts(store, scope)?;
    loop {
        let page = store.journal(Some(&cursor), PAGE)?;
        let Some(last) = page.last() else { break };
        cursor = last.cursor();
        for entry in page.into_iter().filter(|entry| entry.scope == scope) {
            for moved in entry.moves {
                if !is_wanted(&moved.name, ids) {
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
                        refs.insert(moved.name, value);
                    }
                    _ => {
                        refs.remove(&moved.name);
                    }
                }
            }
            let left = entry.command.into_iter().chain(entry.receipts);
            receipts.extend(left.map(|command| (command.key, command)));
        }
    }
    let threads = threads_of(scope, &refs)?;
    if let Some(ids) = ids
        && let Some(id) = ids
            .iter()
            .find(|id| !threads.iter().any(|taken| taken.id == **id))
    {
        return Err(ThreadError::NotFound { id: id.clone() }.into());
    }
    let there: BTreeSet<&str> = threads.iter().map(|taken| taken.id.as_str()).collect();
    let mut named = Vec::new();
    for command in receipts.into_values() {
        // Those of actors, and of what the scope was forked of, are not about threads.
        let about = receipt::read(&command.receipt).unwrap_or_default();
        if about.iter().any(|one| there.contains(one.thread.as_str())) {
            named.push(command);
        }
    }
    Ok(Snapshot {
        threads,
        receipts: named,
    })
}

fn is_wanted(name: &RefName, ids: Option<&BTreeSet<String>>) -> bool {
    matches!(name.kind(), THREAD | THREAD_FAILED)
        && ids.is_none_or(|ids| id_of(name).is_some_and(|id| ids.contains(id)))
}

type Refs = BTreeMap<RefName, RefValue>;

fn read_refs(
    store: &dyn Store,
    scope: &str,
    ids: Option<&BTreeSet<String>>,
) -> Result<Refs, CarError> {
    let mut refs = Refs::new();
    if let Some(ids) = ids {
        for id in ids {
            for name in [thread_ref(scope, id)?, failed_ref(scope, id)?] {
                if let Some(value) = store.read_ref(&name)? {
                    refs.insert(name, value);
                }
            }
        }
        return Ok(refs);
    }
    for kind in [THREAD, THREAD_FAILED] {
        let mut after: Option<RefName> = None;
        loop {
            let page = store.list_refs(scope, kind, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (name, value) in page {
                refs.insert(name, value?);
            }
        }
    }
    Ok(refs)
}

fn read_receipts(
    store: &dyn Store,
    scope: &str,
) -> Result<BTreeMap<[u8; 32], JournalCommand>, CarError> {
    let mut receipts = BTreeMap::new();
    let mut after: Option<[u8; 32]> = None;
    loop {
        let page = store.receipts(scope, after.as_ref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok(receipts);
        };
        after = Some(last.key);
        receipts.extend(page.into_iter().map(|command| (command.key, command)));
    }
}

fn threads_of(scope: &str, refs: &Refs) -> Result<Vec<Taken>, CarError> {
    let mut threads = Vec::new();
    for (name, value) in refs.iter().filter(|(name, _)| name.kind() == THREAD) {
        let id = id_of(name).unwrap_or(name.encoded()).to_owned();
        let failed = refs.get(&failed_ref(scope, &id)?).map(|value| value.target);
        let head = Head::read(&id, value)?;
        threads.push(Taken { id, head, failed });
    }
    // The encoded name's order is not that of the ids' text for ids that need escaping.
    threads.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    Ok(threads)
}
