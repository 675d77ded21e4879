//! The threads of a scope as they were at one position of the journal, while others write.

use std::collections::BTreeSet;

use treering_block::Cid;
use treering_store::archive::snapshot;
use treering_store::{JournalCommand, RefName, Store};

use super::error::CarError;
use crate::error::ThreadError;
use crate::head::Head;
use crate::ident::{THREAD, THREAD_FAILED, failed_ref, thread_ref};
use crate::receipt;
use crate::threads::id_of;

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
    pub receipts_left: u64,
}

/// Takes the threads with these ids, or all of the scope.
pub(super) fn take(
    store: &dyn Store,
    scope: &str,
    ids: Option<&BTreeSet<String>>,
) -> Result<Snapshot, CarError> {
    let is_wanted = |name: &RefName| {
        matches!(name.kind(), THREAD | THREAD_FAILED)
            && ids.is_none_or(|ids| id_of(name).is_some_and(|id| ids.contains(id)))
    };
    let names = ids.map(|ids| {
        let both = |id: &String| Ok([thread_ref(scope, id)?, failed_ref(scope, id)?]);
        let names: Result<Vec<[RefName; 2]>, ThreadError> = ids.iter().map(both).collect();
        names.map(|names| names.into_iter().flatten().collect::<Vec<RefName>>())
    });
    let taken = snapshot(store, scope, names.transpose()?.as_deref(), is_wanted)?;
    let receipts_left = taken.receipts_unsettled;
    let threads = threads_of(scope, &taken.refs)?;
    if let Some(ids) = ids
        && let Some(id) = ids
            .iter()
            .find(|id| !threads.iter().any(|taken| taken.id == **id))
    {
        return Err(ThreadError::NotFound { id: id.clone() }.into());
    }
    let there: BTreeSet<&str> = threads.iter().map(|taken| taken.id.as_str()).collect();
    let mut named = Vec::new();
    for command in taken.receipts.into_values() {
        // Those of actors are not about threads.
        let about = receipt::read(&command.receipt).unwrap_or_default();
        if about.iter().any(|one| there.contains(one.thread.as_str())) {
            named.push(command);
        }
    }
    Ok(Snapshot {
        threads,
        receipts: named,
        receipts_left,
    })
}

type Refs = std::collections::BTreeMap<RefName, treering_store::RefValue>;

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
