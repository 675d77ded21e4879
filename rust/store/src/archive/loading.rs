//! The blocks of an archive on their way into a store, held until a ref reaches them.
//!
//! Promises: each commit is within the limits of the store; at most two are on their way at a time.
//! Must never: put a block before what it links to.

use std::collections::{HashSet, VecDeque};
use std::io::{Read, Seek};
use std::sync::Arc;

use treering_block::{Block, Cid};

use super::error::ArchiveError;
use super::index::Index;
use super::{Pace, Watcher, tell};
use crate::commit::{Commit, Committed, Durability, LeaseToken};
use crate::error::Result;
use crate::store::Store;
use crate::ticket::Ticket;
use crate::upload::Uploaded;

/// Blocks of one commit.
const COMMIT_BLOCKS: usize = 2000;
/// Their bytes: they are in memory.
const COMMIT_BYTES: usize = 4 << 20;
/// Commits that are on their way at once.
const QUEUED_MAX: usize = 2;
/// Bytes before those of a block, CID and mostly two bytes of length: only for telling how far it is.
const HEAD_BYTES: u64 = 38;

/// An import that is being written.
pub struct Loading<'a> {
    store: &'a dyn Store,
    scope: &'a str,
    leases: Vec<LeaseToken>,
    blocks: Vec<Block>,
    bytes: usize,
    queued: VecDeque<Ticket>,
    /// Blocks that were not there before.
    pub new_blocks: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// Receipts that were not there before.
    pub new_receipts: u64,
}

impl<'a> Loading<'a> {
    /// Into that store; holds are booked on the scope. `leases`: what its commits need.
    pub fn new(store: &'a dyn Store, scope: &'a str, leases: Vec<LeaseToken>) -> Self {
        Self {
            store,
            scope,
            leases,
            blocks: Vec::new(),
            bytes: 0,
            queued: VecDeque::new(),
            new_blocks: 0,
            new_bytes: 0,
            new_receipts: 0,
        }
    }

    /// Puts these blocks of a file, which stand behind what they link to. All are acknowledged when it returns.
    ///
    /// Errors: those of reading and of a commit; `Stopped`.
    pub fn load<R: Read + Seek>(
        &mut self,
        file: &mut Index<R>,
        order: &[Cid],
        watcher: &mut Watcher<'_>,
    ) -> Result<(), ArchiveError> {
        let (mut read, mut pace): (u64, _) = (0, Pace::default());
        for cid in order {
            let before = read;
            if file.is_large(cid) {
                let upload = file.upload(cid, self.store)?;
                read += upload.size() + HEAD_BYTES;
                self.upload(upload)?;
            } else {
                let block = file.block(cid)?;
                read += block.bytes.len() as u64 + HEAD_BYTES;
                self.block(block)?;
            }
            if pace.block(read - before)? {
                let size = file.size;
                tell(watcher, size + read.min(size), Some(size.saturating_mul(2)))?;
            }
        }
        self.flush()?;
        Ok(self.settle(0)?)
    }

    /// Adds a block; what it links to was added before.
    fn block(&mut self, block: Block) -> Result<()> {
        self.bytes += block.bytes.len();
        self.blocks.push(block);
        if self.bytes >= COMMIT_BYTES || self.blocks.len() >= COMMIT_BLOCKS {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds a large block, which links to nothing.
    fn upload(&mut self, upload: Arc<Uploaded>) -> Result<()> {
        self.submit(Commit {
            holds: vec![upload.cid()],
            uploads: vec![upload],
            durability: Durability::Relaxed,
            ..Commit::default()
        })
    }

    /// Blocks that are there are put again all the same: nothing else keeps them from a collection that runs now.
    fn flush(&mut self) -> Result<()> {
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
            // Whatever makes the refs durable makes these durable too: they stand before it in the log.
            durability: Durability::Relaxed,
            ..Commit::default()
        })
    }

    /// Queues a commit of the scope.
    ///
    /// Errors: those of the commits before it.
    pub fn submit(&mut self, commit: Commit) -> Result<()> {
        let ticket = self.store.submit(Commit {
            scope: self.scope.to_owned(),
            leases: self.leases.clone(),
            ..commit
        });
        self.queued.push_back(ticket);
        self.settle(QUEUED_MAX)
    }

    /// Waits until at most so many are on their way.
    ///
    /// Errors: those of the commits.
    pub fn settle(&mut self, left: usize) -> Result<()> {
        while self.queued.len() > left {
            let Some(ticket) = self.queued.pop_front() else {
                break;
            };
            self.count(&ticket.wait()?);
        }
        Ok(())
    }

    fn count(&mut self, committed: &Committed) {
        self.new_blocks += committed.new_blocks;
        self.new_bytes += committed.new_bytes;
        self.new_receipts += committed.new_receipts;
    }
}
