//! Repair: what verify finds in a directory, mended as far as the journal, other rows and hashes prove it.
//!
//! Looking and proving happen on a snapshot, outside the write lock; what is proved is made in one durable
//! transaction, in which each mend first looks whether what it changes is still what was proved. One mend
//! may make the next provable (a block's row, then the graph), so this goes on until nothing is left to do.
//! Promises: a repair that fails half-way has changed nothing of its round; nothing that can be read is
//! deleted.
//! Must never: guess; change what is sound on the word of what is not.

mod blocks;
mod graph;
mod history;
mod housekeeping;
mod look;
mod mends;
mod one_byte;
mod quarantine;
mod raw;
mod refs;
mod sealed;
mod totals;

use std::collections::HashSet;

use rusqlite::Connection;
use treering_block::Cid;

use self::history::History;
pub(super) use self::history::newest_commit_told;
use self::mends::{Mend, Step};
use super::EmbeddedStore;
use super::core::Shared;
use super::manifest_rows::KEYS;
use super::session::Session;
use crate::caller;
use crate::commit::Durability;
use crate::error::{Result, StoreError};
use crate::findings::{Check, VerifyReport};
use crate::repair::{Repair, RepairReport};
use crate::store::Store;

/// One mend may be what another rests on; so deep they go at most.
const ROUNDS_MAX: usize = 8;

/// What one look at the store came to.
struct Plan {
    mends: Vec<Mend>,
    /// The newest commit that was looked at.
    position: u64,
    /// Collections so far: what was present then may be gone in another one.
    generation: u64,
}

impl EmbeddedStore {
    /// See [`Store::repair`].
    pub(super) fn mend_all(&self) -> Result<RepairReport> {
        let shared = &self.writable()?.shared;
        let mut repairs = Vec::new();
        let mut left = self.verify(None)?;
        for _ in 0..ROUNDS_MAX {
            if left.findings.is_empty() {
                break;
            }
            // What the check was kept from reading is no finding.
            caller::still_waits()?;
            match self.mend_once(&left)? {
                None => {}
                Some(made) if made.is_empty() => {
                    // Either nothing more can be proved, or others mended it after it was found.
                    let before = std::mem::replace(&mut left, self.verify(None)?);
                    if left.findings == before.findings {
                        break;
                    }
                    continue;
                }
                Some(made) => repairs.extend(made),
            }
            left = self.verify(None)?;
        }
        repairs.splice(0..0, shared.take_mended_at_open());
        Ok(RepairReport { repairs, left })
    }

    /// One round: what was mended, nothing if nothing could be proved; None if others came in between and
    /// everything is to be looked at anew.
    fn mend_once(&self, report: &VerifyReport) -> Result<Option<Vec<Repair>>> {
        let taken = self.mend_sealed()?;
        if !taken.is_empty() {
            return Ok(Some(taken));
        }
        let shared = &self.usable()?.shared;
        let now_ms = self.now_ms();
        let suspects = Suspects::of(report);
        let plan = self.look_once(&|session| look(session, shared, &suspects, now_ms))?;
        self.make_all(plan)
    }

    /// What is left of lost blocks that nothing reaches any more, and the totals without them.
    fn sweep_after_loss(&self) -> Result<()> {
        let shared = &self.usable()?.shared;
        for _ in 0..2 {
            let plan = self.look_once(&|session| {
                let mut mends = Vec::new();
                graph::mend_lonely(session, &shared.tiers, &mut mends)?;
                if mends.is_empty() {
                    totals::mend_totals(session, &mut mends)?;
                }
                Ok(Plan {
                    mends,
                    position: session.position()?,
                    generation: session.gc_generation()?,
                })
            })?;
            self.make_all(plan)?;
        }
        Ok(())
    }

    /// See [`Store::give_up_commit`].
    pub(super) fn give_up_body(&self, position: u64) -> Result<()> {
        self.writable()?;
        self.in_transaction(Durability::Durable, move |transaction| {
            let row = history::given_up(transaction.session(), position)?;
            tracing::warn!(position, "the body of a commit is given up");
            transaction.writing(|session| history::write_commit(session, &row))
        })
    }

    /// Looks at one snapshot: at another one if sealed files went meanwhile.
    fn look_once(&self, look: &dyn Fn(Session<'_>) -> Result<Plan>) -> Result<Plan> {
        self.unless_files_went_meanwhile(|session| {
            session.run("BEGIN", "read")?;
            let plan = look(session);
            // Ends a read; if it fails, the connection is not used again.
            drop(session.run("ROLLBACK", "read"));
            let nothing = matches!(&plan, Ok(plan) if plan.mends.is_empty());
            Ok((plan, nothing))
        })?
    }

    /// Makes what was planned, in one transaction. None: others came in between.
    fn make_all(&self, plan: Plan) -> Result<Option<Vec<Repair>>> {
        let shared = &self.usable()?.shared;
        let now_ms = self.now_ms();
        let written: Vec<String> = plan.mends.iter().flat_map(files_of).collect();
        // What it was kept from reading proves nothing.
        let made = if let Err(cancelled) = caller::still_waits() {
            Err(cancelled)
        } else if plan.mends.is_empty() {
            Ok(Some(Vec::new()))
        } else {
            self.in_transaction(Durability::Durable, move |transaction| {
                if transaction.session().gc_generation().unwrap_or(0) != plan.generation {
                    return Ok(None);
                }
                let moved = moved_since(transaction.session(), plan.position)?;
                let mut made = Vec::new();
                for mend in plan.mends {
                    made.extend(mend.make(transaction, &moved, now_ms)?);
                }
                // Somebody else was first, everywhere: that is no end either.
                Ok((!made.is_empty()).then_some(made))
            })
        };
        // After an unknown end a row may name any of them.
        if !matches!(made, Err(StoreError::CommitUnknown { .. })) {
            for name in written {
                let digest =
                    super::blob::digest_and_time(&name).map_or([0; 32], |(digest, _)| digest);
                if !self
                    .reading(|session| session.names_file(&digest, &name))
                    .unwrap_or(true)
                {
                    shared.blobs.remove(&name);
                } else {
                    shared.blobs.settle(&name);
                }
            }
        }
        made
    }
}

/// Files that a mend has written, or whose row it leads elsewhere.
fn files_of(mend: &Mend) -> Vec<String> {
    let mut files = Vec::new();
    for step in &mend.steps {
        if let Step::Row {
            before: Some(before),
            after,
        } = step
            && after.table == super::row_check::Table::Block
            && before.is_sound()
        {
            for row in [before, after] {
                let name = row.cell(5).bytes().map(String::from_utf8_lossy);
                files.extend(name.map(std::borrow::Cow::into_owned));
            }
        }
    }
    files
}

/// What verify's findings point at.
#[derive(Default)]
struct Suspects {
    damaged: HashSet<Cid>,
    links: HashSet<Cid>,
    rows: HashSet<Cid>,
    database: bool,
}

impl Suspects {
    fn of(report: &VerifyReport) -> Self {
        let mut suspects = Self::default();
        for finding in &report.findings {
            let cid = finding.which.parse::<Cid>();
            let set = match finding.check {
                Check::BlockBytes => &mut suspects.damaged,
                Check::Links | Check::LinkOrder => &mut suspects.links,
                Check::BlockRow => &mut suspects.rows,
                _ => {
                    suspects.database |= finding.which == "database";
                    continue;
                }
            };
            set.extend(cid);
        }
        // A tree that is not its file's is told of the block.
        suspects.damaged.extend(suspects.rows.iter().copied());
        suspects
    }
}

/// Everything that can be proved now. Stages that rest on one another come in later rounds.
fn look(session: Session<'_>, shared: &Shared, suspects: &Suspects, now_ms: i64) -> Result<Plan> {
    let mut mends = Vec::new();
    let generation = session.gc_generation().unwrap_or(0);
    if suspects.database && indexes_are_at_fault(session)? {
        mends.push(Mend {
            check: Check::Manifest,
            which: "database".into(),
            detail: "its indexes were made anew from their tables".into(),
            steps: vec![Step::Reindex],
        });
        // Look-ups lie until then.
        return Ok(Plan {
            mends,
            position: session.position()?,
            generation,
        });
    }
    totals::mend_manifest(session, &mut mends)?;
    housekeeping::mend_dead(session, &mut mends)?;
    let history = from_journal(session, &mut mends)?;
    refs::mend_refs(session, &history, &mut mends)?;
    housekeeping::mend_leases(session, now_ms, &mut mends)?;
    let mut plan = Plan {
        mends,
        position: history.known_position,
        generation,
    };
    if session.dead_ordinals().is_ok() {
        look_at_blocks(session, shared, suspects, now_ms, &mut plan.mends)?;
    }
    if plan.mends.is_empty() {
        // Last of all: what else is mended may be what the journal's end follows.
        history::mend_end(session, &mut plan.mends)?;
    }
    Ok(plan)
}

fn look_at_blocks(
    session: Session<'_>,
    shared: &Shared,
    suspects: &Suspects,
    now_ms: i64,
    mends: &mut Vec<Mend>,
) -> Result<()> {
    let blobs = &shared.blobs;
    blocks::mend_rows(session, blobs, mends)?;
    blocks::mend_bytes_of(session, blobs, &suspects.damaged, mends)?;
    let duplicates = !suspects.rows.is_empty();
    let looked = graph::mend_graph(
        session,
        blobs,
        &shared.tiers,
        &suspects.links,
        duplicates,
        mends,
    )?;
    blocks::mend_missing(session, blobs, &looked.missing, mends)?;
    blocks::mend_duplicates(session, &suspects.rows, &looked.linked, mends)?;
    if mends.is_empty() {
        // What nothing needs is told by what is whole: when all else is mended.
        housekeeping::mend_holds(session, now_ms, mends)?;
        graph::mend_lonely(session, &shared.tiers, mends)?;
    }
    if mends.is_empty() {
        totals::mend_totals(session, mends)?;
    }
    Ok(())
}

/// Reads the journal: its own rows, and the receipts that its commits left.
fn from_journal(session: Session<'_>, mends: &mut Vec<Mend>) -> Result<History> {
    let mut keys = HashSet::new();
    let mut receipts = Vec::new();
    let history = history::read_history(session, mends, &mut |position, scope, left| {
        receipts.extend(housekeeping::receipt(session, position, scope, &left)?);
        keys.insert(left.key);
        Ok(())
    })?;
    mends.extend(receipts);
    if history.is_whole() {
        housekeeping::mend_receipts(session, &keys, mends)?;
    }
    Ok(history)
}

/// Whether SQLite's own check speaks of an index.
fn indexes_are_at_fault(session: Session<'_>) -> Result<bool> {
    let faults = session.page_faults("PRAGMA integrity_check(100)")?;
    Ok(faults.iter().any(|line| line.contains("index")))
}

/// Refs that commits after this one moved.
fn moved_since(session: Session<'_>, position: u64) -> Result<HashSet<String>> {
    let mut moved = HashSet::new();
    let mut after = position;
    loop {
        let rows = session.journal_page(after)?;
        let Some(last) = rows.last() else {
            return Ok(moved);
        };
        after = last.position;
        for row in rows {
            let names = row.entry()?.moves.into_iter();
            moved.extend(names.map(|moved| moved.name.encoded().to_owned()));
        }
    }
}

/// The store's own rows, before anything else can be read: without them it does not open. In one
/// transaction; the caller holds the write lock. Nothing is written if nothing can be proved.
///
/// Errors: as SQLite's.
pub(super) fn mend_own_rows(conn: &Connection, session: Session<'_>) -> Result<Vec<Repair>> {
    session.run("BEGIN IMMEDIATE", "begin a repair of")?;
    let mut made = Vec::new();
    let mended = KEYS.iter().try_for_each(|key| {
        let Some(mend) = totals::manifest_row(session, key)? else {
            return Ok(());
        };
        made.push(Repair {
            check: mend.check,
            which: mend.which,
            detail: mend.detail,
        });
        for step in mend.steps {
            if let Step::Row { before, after } = step {
                tracing::warn!(row = after.which(), "mended");
                raw::write_row(session, before.as_ref(), &after)?;
            }
        }
        Ok(())
    });
    let ended = mended.and_then(|()| session.run("COMMIT", "commit a repair to"));
    if ended.is_err() && !conn.is_autocommit() {
        drop(session.run("ROLLBACK", "end a repair of"));
    }
    ended.map(|()| made)
}
