//! The commits of an import that make threads, once all their blocks are there.
//!
//! Promises: each commit is within the limits of the store; a thread, its key, its failure and its receipts come in one commit, or its receipts before it.
//! Must never: move a ref before every block below it is acknowledged.

use std::collections::HashMap;

use treering_block::{Cid, Node};
use treering_store::archive::Loading;
use treering_store::commit::COMMIT_RECEIPTS_MAX;
use treering_store::{Commit, Durability, JournalCommand, StoreError};

use super::conflict::Verdict;
use super::error::CarError;
use super::manifest::Entry;
use crate::chain::read_node;
use crate::error::ThreadError;
use crate::fork::failed_move;
use crate::head::Head;
use crate::ident::{THREAD, THREAD_KEY};
use crate::start::{birth, refused};
use crate::threads::Threads;

/// Threads of one commit: their records have up to 2 MiB together.
const COMMIT_THREADS: usize = 500;

/// Makes the threads; `receipts` by the id in the file of the thread that they come with.
pub(super) fn make(
    threads: &Threads,
    loading: &mut Loading<'_>,
    new: &[(&Entry, &Verdict)],
    mut receipts: HashMap<&str, Vec<JournalCommand>>,
) -> Result<(), CarError> {
    for chunk in new.chunks(COMMIT_THREADS) {
        let mut moves = Vec::new();
        let mut brought = Vec::new();
        for (entry, verdict) in chunk {
            let Verdict::New { id, record } = verdict else {
                continue;
            };
            let start = start_of(threads, &entry.head)?;
            let head = Head::new(1, entry.head, (**record).clone());
            moves.extend(birth(threads.scope(), id, &head, start)?);
            if let Some(failed) = entry.failed {
                moves.push(failed_move(threads.scope(), id, failed)?);
            }
            brought.extend(receipts.remove(entry.id.as_str()).unwrap_or_default());
        }
        // A receipt without its thread makes a repeated command fail, which is safe; a thread without
        // its receipt would let it happen twice. So what is too much for one commit comes before.
        while brought.len() > COMMIT_RECEIPTS_MAX {
            let receipts = brought.split_off(brought.len() - COMMIT_RECEIPTS_MAX);
            loading
                .submit(Commit {
                    receipts,
                    durability: Durability::Relaxed,
                    ..Commit::default()
                })
                .map_err(moved)?;
        }
        loading.settle(0).map_err(moved)?;
        loading
            .submit(Commit {
                moves,
                receipts: brought,
                durability: threads.durability(),
                ..Commit::default()
            })
            .map_err(moved)?;
        loading.settle(0).map_err(moved)?;
    }
    Ok(())
}

/// The node that a thread's chain begins with.
pub(super) fn start_of(threads: &Threads, head: &Cid) -> Result<Cid, CarError> {
    match read_node(&**threads.store(), head)? {
        Node::Start(_) => Ok(*head),
        Node::State(node) => Ok(node.start),
        Node::Content(_) => {
            Err(ThreadError::corrupt("thread head", head, "it is a content node").into())
        }
    }
}

/// What a refused commit means: somebody made a thread of that id or key meanwhile.
pub fn moved(error: StoreError) -> CarError {
    match &error {
        StoreError::RefMoved { name, .. } if name.kind() == THREAD => CarError::ThreadExists {
            thread: name.parts().first().cloned().unwrap_or_default(),
        },
        StoreError::RefMoved { name, .. } if name.kind() == THREAD_KEY => match refused(error) {
            ThreadError::AlreadyExists { key, thread } => CarError::KeyExists {
                key,
                thread: "of the file".into(),
                holder: thread,
            },
            other => other.into(),
        },
        _ => error.into(),
    }
}
