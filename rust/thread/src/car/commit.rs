//! The commits of an import: blocks first, held until a ref reaches them, then the threads.
//!
//! Promises: each commit is within the limits of the store; at most two are on their way at a time; a
//! thread, its key, its failure and its receipts come in one commit, or its receipts before it.
//! Must never: move a ref before every block below it is acknowledged.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use treering_block::{Block, Cid, Node};
use treering_store::commit::COMMIT_RECEIPTS_MAX;
use treering_store::{Commit, Committed, Durability, JournalCommand, StoreError, Ticket, Uploaded};

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

/// Blocks of one commit.
const COMMIT_BLOCKS: usize = 2000;
/// Their bytes: they are in memory.
const COMMIT_BYTES: usize = 4 << 20;
/// Commits that are on their way at once.
const QUEUED_MAX: usize = 2;
/// Threads of one commit: their records have up to 2 MiB together.
const COMMIT_THREADS: usize = 500;

/// An import that is being written.
pub(super) struct Writing<'a> {
    threads: &'a Threads,
    blocks: Vec<Block>,
    bytes: usize,
    queued: VecDeque<Ticket>,
    new_blocks: u64,
    new_bytes: u64,
    new_receipts: u64,
}

impl<'a> Writing<'a> {
    pub fn new(threads: &'a Threads) -> Self {
        Self {
            threads,
            blocks: Vec::new(),
            bytes: 0,
            queued: VecDeque::new(),
            new_blocks: 0,
            new_bytes: 0,
            new_receipts: 0,
        }
    }

    /// (blocks, their bytes, receipts) that were not there before.
    pub fn written(&self) -> (u64, u64, u64) {
        (self.new_blocks, self.new_bytes, self.new_receipts)
    }

    /// Adds a block; what it links to was added before.
    pub fn block(&mut self, block: Block) -> Result<(), CarError> {
        self.bytes += block.bytes.len();
        self.blocks.push(block);
        if self.bytes >= COMMIT_BYTES || self.blocks.len() >= COMMIT_BLOCKS {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds a large block, which links to nothing.
    pub fn upload(&mut self, upload: Arc<Uploaded>) -> Result<(), CarError> {
        self.submit(Commit {
            holds: vec![upload.cid()],
            uploads: vec![upload],
            durability: Durability::Relaxed,
            ..Commit::default()
        })
    }

    /// Blocks that are there are put again all the same: nothing else keeps them from a collection that runs now.
    fn flush(&mut self) -> Result<(), CarError> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        let blocks = std::mem::take(&mut self.blocks);
        self.bytes = 0;
        let linked: HashSet<Cid> = blocks
            .iter()
            .flat_map(|block| block.links.iter().copied())
            .collect();
        let tops = blocks
            .iter()
            .map(|block| block.cid)
            .filter(|cid| !linked.contains(cid));
        let holds = tops.collect();
        self.submit(Commit {
            blocks,
            holds,
            // Whatever makes the threads durable makes these durable too: they stand before it in the log.
            durability: Durability::Relaxed,
            ..Commit::default()
        })
    }

    fn submit(&mut self, commit: Commit) -> Result<(), CarError> {
        let ticket = self.threads.store().submit(Commit {
            scope: self.threads.scope().to_owned(),
            ..commit
        });
        self.queued.push_back(ticket);
        self.settle(QUEUED_MAX)
    }

    /// Waits until at most so many are on their way.
    fn settle(&mut self, left: usize) -> Result<(), CarError> {
        while self.queued.len() > left {
            let Some(ticket) = self.queued.pop_front() else {
                break;
            };
            self.count(&ticket.wait().map_err(moved)?);
        }
        Ok(())
    }

    fn count(&mut self, committed: &Committed) {
        self.new_blocks += committed.new_blocks;
        self.new_bytes += committed.new_bytes;
        self.new_receipts += committed.new_receipts;
    }

    /// Makes the threads; `receipts` by the id in the file of the thread that they come with.
    pub fn threads(
        &mut self,
        new: &[(&Entry, &Verdict)],
        mut receipts: HashMap<&str, Vec<JournalCommand>>,
    ) -> Result<(), CarError> {
        self.flush()?;
        self.settle(0)?;
        for chunk in new.chunks(COMMIT_THREADS) {
            let mut moves = Vec::new();
            let mut brought = Vec::new();
            for (entry, verdict) in chunk {
                let Verdict::New { id, record } = verdict else {
                    continue;
                };
                let start = self.start_of(&entry.head)?;
                let head = Head::new(1, entry.head, (**record).clone());
                moves.extend(birth(self.threads.scope(), id, &head, start)?);
                if let Some(failed) = entry.failed {
                    moves.push(failed_move(self.threads.scope(), id, failed)?);
                }
                brought.extend(receipts.remove(entry.id.as_str()).unwrap_or_default());
            }
            // A receipt without its thread makes a repeated command fail, which is safe; a thread without
            // its receipt would let it happen twice. So what is too much for one commit comes before.
            while brought.len() > COMMIT_RECEIPTS_MAX {
                let receipts = brought.split_off(brought.len() - COMMIT_RECEIPTS_MAX);
                self.submit(Commit {
                    receipts,
                    durability: Durability::Relaxed,
                    ..Commit::default()
                })?;
            }
            self.settle(0)?;
            self.submit(Commit {
                moves,
                receipts: brought,
                durability: self.threads.durability(),
                ..Commit::default()
            })?;
            self.settle(0)?;
        }
        Ok(())
    }

    fn start_of(&self, head: &Cid) -> Result<Cid, CarError> {
        match read_node(&**self.threads.store(), head)? {
            Node::Start(_) => Ok(*head),
            Node::State(node) => Ok(node.start),
            Node::Content(_) => {
                Err(ThreadError::corrupt("thread head", head, "it is a content node").into())
            }
        }
    }
}

/// What a refused commit means: somebody made a thread of that id or key meanwhile.
fn moved(error: StoreError) -> CarError {
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
