//! Collecting a store in a directory: what a collection reads and changes, as statements.
//!
//! Blocks in colder tiers are not collected: each counts as reached.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use treering_block::{Cid, Codec};

use super::EmbeddedStore;
use super::core::Shared;
use super::directory::FILES_LOCK;
use super::files_lock::{FilesLock, may_remove_files};
use super::queue::Work;
use super::reply::Reply;
use super::row_check::Table;
use super::session::Session;
use super::stray_files::settling;
use super::transaction::Transaction;
use crate::commit::Durability;
use crate::error::{Result, StoreError};
use crate::gc::{Bitmap, Change, Changes, Figures, GraphPage, Ground, Kept, Learned, Purged, View};
use crate::store::Store;
use crate::tier::Tier;

/// A small transaction deletes rows for no longer than this, so that no writer waits for it.
const PURGE_TIME_MAX: Duration = Duration::from_millis(2);
/// Blocks of a tier that are read at a time.
const PAGE: usize = 1024;

/// One moment of the store.
pub(super) struct Moment<'c> {
    pub(super) session: Session<'c>,
    pub(super) tiers: &'c [Arc<dyn Tier>],
    /// Next ordinal and blocks: inside a transaction they are not written down yet.
    pub(super) next_ordinal: u64,
    pub(super) blocks: u64,
    /// What all refs add up to, as the commits left them; None if that is not known.
    pub(super) refs_sum: Option<u64>,
}

impl View for Moment<'_> {
    fn generation(&mut self) -> Result<u64> {
        self.session.gc_generation()
    }

    fn next_ordinal(&mut self) -> Result<u64> {
        Ok(self.next_ordinal)
    }

    fn blocks(&mut self) -> Result<u64> {
        Ok(self.blocks)
    }

    fn position(&mut self) -> Result<u64> {
        // Roots that moved since are told by the journal: it has to be whole up to here.
        Ok(self.session.tip_row()?.head.position)
    }

    fn dead(&mut self) -> Result<Bitmap> {
        self.session.dead_ordinals()
    }

    fn refs(&mut self, visit: &mut dyn FnMut(&str, Cid) -> Result<()>) -> Result<()> {
        // A root that a damaged page passes over would be collected with all that it keeps.
        self.session.expect_whole(Table::Ref)?;
        self.session.expect_whole(Table::Hold)?;
        let sum = self.session.each_ref(visit)?;
        // So would one whose row is gone, or is that of an earlier commit.
        if self.refs_sum.is_some_and(|noted| noted != sum) {
            return Err(StoreError::Corrupt {
                what: "table",
                which: "ref".into(),
                detail: "its rows are not those that the commits left: one is gone, or older"
                    .into(),
            });
        }
        Ok(())
    }

    fn targets_after(
        &mut self,
        position: u64,
        visit: &mut dyn FnMut(u64, Cid) -> Result<()>,
    ) -> Result<()> {
        let start = self.session.journal_start()?.head;
        let Some(chain) = self.session.chain_at(position)? else {
            if position < start.position {
                return Err(expired(position));
            }
            return Err(StoreError::Corrupt {
                what: "journal row",
                which: position.to_string(),
                detail: "the row is missing".into(),
            });
        };
        if position < start.position {
            return Err(expired(position));
        }
        let mut previous = crate::cursor::Head { position, chain };
        loop {
            let rows = self.session.journal_page(previous.position)?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                if let Some(fault) = row.faults(&previous).into_iter().next() {
                    return Err(StoreError::Corrupt {
                        what: "journal row",
                        which: row.position.to_string(),
                        detail: fault,
                    });
                }
                previous = row.head();
                let entry = row.entry()?;
                // An erased scope has no refs any more.
                if entry.blank && !entry.erased {
                    return Err(expired(position));
                }
                for target in entry.moves.iter().filter_map(|moved| moved.target) {
                    visit(row.position, target)?;
                }
            }
        }
    }

    fn holds(
        &mut self,
        ordinals: Range<u64>,
        visit: &mut dyn FnMut(u64, i64) -> ControlFlow<()>,
    ) -> Result<()> {
        self.session.each_hold(ordinals, visit)
    }

    fn hold_floor(&mut self, below: u64, count: usize) -> Result<u64> {
        self.session.hold_floor(below, count)
    }

    fn ordinal(&mut self, cid: &Cid) -> Result<Option<u64>> {
        if let Some(row) = self.session.find_block(cid)? {
            return Ok(Some(row.ordinal));
        }
        for tier in self.tiers {
            if let Some(ordinal) = tier.ordinal(cid)? {
                return Ok(Some(ordinal));
            }
        }
        Ok(None)
    }

    fn graph_down(&mut self, below: u64, limit: usize, dead: &Bitmap) -> Result<GraphPage> {
        self.session.graph_rows_down(below, limit, dead)
    }

    fn graph_from(
        &mut self,
        from: u64,
        visit: &mut dyn FnMut(u64, &[u64]) -> Result<()>,
    ) -> Result<()> {
        self.session.graph_rows_from(from, visit)
    }

    fn links(&mut self, ordinal: u64) -> Result<Vec<u64>> {
        self.session.links(ordinal)
    }

    fn figures(&mut self, ordinal: u64) -> Result<Option<Figures>> {
        let Some((row, dead)) = self.session.row_and_death(ordinal)? else {
            return Ok(None);
        };
        let row = match row {
            // Of a dead block's row nothing is wanted but that it goes.
            Err(StoreError::Corrupt { .. }) if dead => {
                return Ok(Some(Figures {
                    blocks: 1,
                    ..Figures::default()
                }));
            }
            row => row?,
        };
        let links = if dead {
            0
        } else {
            self.session.links(ordinal)?.len() as u64
        };
        Ok(Some(Figures {
            blocks: 1,
            nodes: u64::from(row.cid.codec() == Codec::DagCbor),
            bytes: row.size,
            links,
        }))
    }

    fn elsewhere(&mut self, visit: &mut dyn FnMut(u64, &[u64])) -> Result<()> {
        for tier in self.tiers {
            let mut after = 0;
            loop {
                let found = tier.blocks(after, PAGE)?;
                let Some(last) = found.last() else { break };
                after = last.ordinal;
                for info in found {
                    let links = tier.links(info.ordinal)?;
                    let links = links.ok_or_else(|| StoreError::Corrupt {
                        what: "block",
                        which: info.cid.to_string(),
                        detail: "its tier does not say what it links to".into(),
                    })?;
                    visit(info.ordinal, &links);
                }
            }
        }
        Ok(())
    }
}

/// What moved since is not known, where a collection wanted to go on from; it starts anew.
fn expired(position: u64) -> StoreError {
    StoreError::CursorExpired(format!("after commit {position}"))
}

impl Changes for Transaction<'_> {
    fn view(&mut self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        self.expect_tip()?;
        work(&mut self.moment())
    }

    fn bury(&mut self, garbage: &Bitmap, gone: Figures) -> Result<u64> {
        let generation = self.moment().generation()?.saturating_add(1);
        self.writing(|session| {
            session.insert_dead(garbage)?;
            session.write_gc_generation(generation)
        })?;
        self.subtract(gone);
        Ok(generation)
    }

    fn purge(&mut self, ordinals: &[u64]) -> Result<Purged> {
        let started = Instant::now();
        let mut purged = Purged::default();
        for ordinal in ordinals {
            if purged.done > 0 && started.elapsed() >= PURGE_TIME_MAX {
                break;
            }
            purged.done += 1;
            self.writing(|session| purge_one(session, *ordinal, &mut purged))?;
        }
        Ok(purged)
    }

    fn drop_holds(&mut self, ordinals: Range<u64>, until_ms: i64) -> Result<()> {
        self.expect_tip()?;
        self.writing(|session| session.delete_ended_holds(ordinals, until_ms))
    }

    fn learn(&mut self, learned: &Learned) -> Result<()> {
        self.writing(|session| session.write_learned(learned))
    }
}

/// Deletes the rows of one block, if it is there and dead.
fn purge_one(session: Session<'_>, ordinal: u64, purged: &mut Purged) -> Result<()> {
    let Some((row, true)) = session.row_and_death(ordinal)? else {
        return Ok(());
    };
    match row {
        Ok(row) => {
            purged.bytes = purged.bytes.saturating_add(row.size);
            if row.file.is_some() && !session.file_is_shared(&row)? {
                purged.files.extend(row.file);
            }
        }
        // A name that can't be trusted removes no file.
        Err(StoreError::Corrupt { .. }) => {
            tracing::warn!(
                ordinal,
                "a dead block's row is broken; its file stays, if it had one"
            );
        }
        Err(error) => return Err(error),
    }
    purged.blocks += u64::from(session.delete_block_rows(ordinal)?);
    Ok(())
}

impl Ground for EmbeddedStore {
    fn now_ms(&self) -> i64 {
        Store::now_ms(self)
    }

    fn read(&self, work: &mut dyn FnMut(&mut dyn View) -> Result<()>) -> Result<()> {
        self.usable()?.shared.read_moment(work)
    }

    fn change(&self, durability: Durability, work: Change) -> Result<()> {
        self.ask_writer(|reply| change(durability, true, work, reply))
    }

    fn note(&self, durability: Durability, work: Change) -> Result<()> {
        self.ask_writer(|reply| change(durability, false, work, reply))
    }

    fn remove_files(&self, names: &[String]) -> bool {
        self.core.shared.remove_files(names)
    }

    fn remove_stray_files(&self) -> Result<Kept> {
        let settle = || self.ask_writer(settling);
        self.usable()?.shared.remove_stray_files(&settle)
    }

    fn shrink(&self) -> Result<bool> {
        self.usable()?
            .shared
            .shrink_a_little(|work| self.ask_writer(|reply| freeing(work, reply)))
    }
}

/// A change for the writer's queue. `frees`: it may use what is reserved on a full disk.
pub(super) fn change(durability: Durability, frees: bool, work: Change, reply: Reply<()>) -> Work {
    Work::Change {
        work: Box::new(move |transaction| work(transaction)),
        durability,
        frees,
        reply,
    }
}

/// Giving room back, for the writer's queue.
pub(super) fn freeing(work: TransactionWork, reply: Reply<()>) -> Work {
    Work::Change {
        work,
        durability: Durability::Relaxed,
        frees: true,
        reply,
    }
}

impl Shared {
    /// Reads one moment of the store.
    pub(super) fn read_moment(
        &self,
        work: &mut dyn FnMut(&mut dyn View) -> Result<()>,
    ) -> Result<()> {
        let reader = self.connections.read()?;
        let session = reader.session();
        session.run("BEGIN", "read")?;
        let read = session.totals().and_then(|totals| {
            work(&mut Moment {
                session,
                tiers: &self.tiers,
                next_ordinal: totals.next_ordinal,
                blocks: totals.blocks,
                refs_sum: totals.refs_sum,
            })
        });
        // Ends a read; if it fails, the connection is not used again.
        drop(session.run("ROLLBACK", "read"));
        if reader.is_still_true() {
            read
        } else {
            Err(StoreError::Invalid {
                what: "store directory",
                value: self.root.display().to_string(),
                rule: "it is read-only for this process and another one wrote to it; try again"
                    .into(),
            })
        }
    }

    /// None: somebody copies the files of a snapshot, or it can't be told. They stay for the next
    /// collection then, which finds that no row names them.
    pub(super) fn may_remove_files(&self) -> Option<FilesLock> {
        let path = self.root.join(FILES_LOCK);
        may_remove_files(&path, &self.disk).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "files without a row stay behind");
            None
        })
    }
}

/// A request for a change, for [`EmbeddedStore::ask_writer`] to queue.
pub(super) type TransactionWork = Box<dyn FnOnce(&mut Transaction<'_>) -> Result<()> + Send>;

impl EmbeddedStore {
    /// Runs `work` in a transaction of the writer's and returns what it answers.
    pub(super) fn in_transaction<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.transact(durability, false, work)
    }

    /// The same for what gives room back: it works on a full disk, too.
    pub(super) fn in_freeing_transaction<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.transact(durability, true, work)
    }

    fn transact<T: Send + 'static>(
        &self,
        durability: Durability,
        frees: bool,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.ask_writer(|reply| Work::Change {
            work: Box::new(move |transaction| {
                let answer = work(transaction)?;
                // The caller waits for the commit, so it is there.
                drop(sender.send(answer));
                Ok(())
            }),
            durability,
            frees,
            reply,
        })?;
        receiver.recv().map_err(|_| StoreError::CommitUnknown {
            why: "the writer stopped".into(),
        })
    }
}
