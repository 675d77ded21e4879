//! Work on its way to the writer: a commit, whose large blocks are written on the caller's thread first, and what waits for
//! an answer.
//!
//! Promises: files of a commit that was not queued are removed.

use std::collections::HashMap;

use treering_block::Cid;

use super::core::Core;
use super::queue::{OwedTicket, Request, Work};
use super::reply::{Awaited, Reply};
use super::{EmbeddedStore, staging};
use crate::commit::Commit;
use crate::error::{Result, StoreError};
use crate::store::Store;
use crate::ticket::{Helper, PATIENCE, Ticket};

impl EmbeddedStore {
    /// See [`crate::Store::submit`].
    pub(super) fn queue_commit(&self, commit: Commit) -> Result<Ticket> {
        let core = self.writable()?;
        commit.check()?;
        core.shared.expect_own_uploads(&commit)?;
        core.shared.refuse_without_room(&commit)?;
        staging::send_uploads(&core.shared, &commit)?;
        let files = self.write_files(core, &commit)?;
        let ticket = Ticket::helped_by(core.committer.clone());
        let work = Work::Commit {
            commit: Box::new(commit),
            files,
            ticket: OwedTicket(ticket.clone()),
        };
        if let Err(request) = core
            .queue
            .push(Request::new(work, self.lock_wait), !self.callers_wait)
        {
            remove_files(core, request.file_names());
            request.refuse(StoreError::Closed);
        }
        core.collect_if_due();
        Ok(ticket)
    }

    /// Writes the large blocks of a commit that are not there yet, on the caller's thread: the writer
    /// must not wait for them.
    fn write_files(&self, core: &Core, commit: &Commit) -> Result<HashMap<Cid, String>> {
        let mut files = HashMap::new();
        for block in commit
            .blocks
            .iter()
            .filter(|block| core.shared.blobs.is_apart(block))
        {
            let written = if files.contains_key(&block.cid) {
                continue;
            } else {
                self.is_whole(core, &block.cid).and_then(|whole| {
                    // Only a hint: asked again under the lock; a file too many is removed then.
                    if whole {
                        Ok(None)
                    } else {
                        core.shared.blobs.write(block).map(Some)
                    }
                })
            };
            match written {
                Ok(Some(name)) => {
                    files.insert(block.cid, name);
                }
                Ok(None) => {}
                Err(error) => {
                    remove_files(core, files.into_values());
                    return Err(error);
                }
            }
        }
        Ok(files)
    }

    /// Whether a large block is there, its file as long as it has to be.
    fn is_whole(&self, core: &Core, cid: &Cid) -> Result<bool> {
        match self.reading(|session| session.find_block(cid))? {
            Some(row) => Ok(row.file.is_none() || core.shared.blobs.has_length_of(&row)),
            None => self.has(cid),
        }
    }

    /// Queues work and waits for it, whether its caller does or not: it may rest on what he holds.
    pub(super) fn ask_writer<T>(&self, work: impl FnOnce(Reply<T>) -> Work) -> Result<T> {
        self.queue_work(work, Awaited::wait)
    }

    /// The same for work on leases. Errors: `Cancelled` as well.
    pub(super) fn ask_for_lease<T>(&self, work: impl FnOnce(Reply<T>) -> Work) -> Result<T> {
        self.queue_work(work, Awaited::wait_while_wanted)
    }

    fn queue_work<T>(
        &self,
        work: impl FnOnce(Reply<T>) -> Work,
        wait: impl FnOnce(Awaited<T>) -> Option<Result<T>>,
    ) -> Result<T> {
        let core = self.writable()?;
        let (reply, answer) = Reply::new();
        if core
            .queue
            .push(Request::new(work(reply), self.lock_wait), false)
            .is_err()
        {
            return Err(StoreError::Closed);
        }
        match core.committer.upgrade() {
            Some(committer) => committer.help(PATIENCE),
            None => core.queue.announce(),
        }
        // The writer answers everything that it took; gone without an answer, it panicked.
        wait(answer).unwrap_or_else(|| {
            Err(StoreError::CommitUnknown {
                why: "the writer stopped".into(),
            })
        })
    }
}

fn remove_files(core: &Core, names: impl IntoIterator<Item = String>) {
    for name in names {
        core.shared.blobs.remove(&name);
    }
}
