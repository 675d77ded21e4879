//! The threads of an archive of a whole scope: what its refs say of them, and what becomes of each here.
//!
//! A thread is its ref and that of its failure; its key's ref is made of its record, and stands in no archive.
//! Promises: a thread that is here and went on otherwise is never changed; one that the file only knows more of goes on
//! as the file has it. Must never: believe a record that its chain does not bear out.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek};

use treering_block::Cid;
use treering_store::archive::Index;
use treering_store::{Change, Expect, RefMove, RefName, RefValue, Store, StoreError};

use super::chains::reach;
use super::commit::start_of;
use super::conflict::{OnConflict, Verdict, judge};
use super::error::CarError;
use super::manifest::{Entry, is_id, read_record};
use crate::chain::is_ancestor;
use crate::error::ThreadError;
use crate::fork::failed_move;
use crate::head::Head;
use crate::ident::{THREAD, THREAD_FAILED, THREAD_KEY, failed_ref, thread_ref};
use crate::info::Status;
use crate::receipt;
use crate::record::Record;
use crate::start::birth;
use crate::threads::Threads;

/// The threads that an archive's refs are of, by id.
pub struct ScopeThreads {
    entries: Vec<Entry>,
}

/// What becomes of them, in their order.
pub struct Verdicts(Vec<Becomes>);

enum Becomes {
    Judged(Verdict),
    /// The file has more of it than there is here.
    Ahead {
        here: RefValue,
        /// A failure that is not here.
        failed: Option<Cid>,
    },
}

/// What an import does to threads.
#[derive(Debug, Default)]
pub struct Brings {
    /// The moves that make it so.
    pub moves: Vec<RefMove>,
    /// Ids here of those that are made.
    pub new: Vec<String>,
    /// Ids of those that go on.
    pub ahead: Vec<String>,
    /// Ids of those that are here as they are in the file.
    pub there: Vec<String>,
    /// Ids of those that are left out.
    pub skipped: Vec<String>,
    /// (id in the file, id here).
    pub renamed: Vec<(String, String)>,
    /// What is to be there before the moves.
    pub roots: Vec<Cid>,
}

/// Whether a ref is a thread's, and stands in an archive.
#[must_use]
pub fn is_threads(name: &RefName) -> bool {
    matches!(name.kind(), THREAD | THREAD_FAILED)
}

/// Whether a ref is made of others when a thread comes in.
#[must_use]
pub fn is_made(name: &RefName) -> bool {
    name.kind() == THREAD_KEY
}

impl ScopeThreads {
    /// What the refs of threads among these say.
    ///
    /// # Errors
    /// `Manifest` for a record, an id or a failure that no thread has.
    pub fn of(refs: &BTreeMap<RefName, RefValue>) -> Result<Self, CarError> {
        let mut entries = Vec::new();
        let mut failures = 0;
        for (name, value) in refs.iter().filter(|(name, _)| is_threads(name)) {
            if name.kind() == THREAD_FAILED {
                failures += 1;
                continue;
            }
            let id = match name.parts() {
                [id] if is_id(id) => id.clone(),
                _ => {
                    return Err(CarError::manifest(format!(
                        "ref {} has no thread's id",
                        name.unscoped()
                    )));
                }
            };
            let failed = refs.get(&failed_ref(name.scope(), &id)?);
            if let Some(failed) = failed
                && !failed.record.is_empty()
            {
                return Err(CarError::manifest(format!(
                    "the failure of thread {id} has a record"
                )));
            }
            entries.push(Entry {
                record: read_record(&id, &value.record)?,
                id,
                head: value.target,
                version: 1,
                failed: failed.map(|failed| failed.target),
            });
        }
        if failures
            != entries
                .iter()
                .filter(|entry| entry.failed.is_some())
                .count()
        {
            return Err(CarError::manifest(
                "it has a failure of a thread that it does not have",
            ));
        }
        entries.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let mut keys: Vec<&String> = entries
            .iter()
            .filter_map(|entry| entry.record.key.as_ref())
            .collect();
        keys.sort_unstable();
        if let Some([key, _]) = keys
            .windows(2)
            .find(|pair| matches!(pair, [a, b] if a == b))
        {
            return Err(CarError::manifest(format!(
                "two of its threads have the key {key:?}"
            )));
        }
        Ok(Self { entries })
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Checks each thread's chain, and gives all blocks that they and `others` reach, each behind what it links to.
    ///
    /// # Errors
    /// `MissingLink`, `Manifest`; those of reading.
    pub fn check<R: Read + Seek>(
        &self,
        file: &mut Index<R>,
        others: impl IntoIterator<Item = Cid>,
    ) -> Result<Vec<Cid>, CarError> {
        reach(file, self.entries.iter(), others)
    }

    /// What becomes of each in a scope of `store`. `file`: where their chains are read.
    ///
    /// # Errors
    /// `ThreadExists`, `KeyExists`: as `on_conflict` says; those of reading.
    pub fn judge(
        &self,
        file: &dyn Store,
        store: &dyn Store,
        scope: &str,
        on_conflict: OnConflict,
    ) -> Result<Verdicts, CarError> {
        let mut ahead: HashMap<&str, Becomes> = HashMap::new();
        let mut others = Vec::new();
        for entry in &self.entries {
            match goes_on(entry, file, store, scope)? {
                Some(becomes) => {
                    ahead.insert(&entry.id, becomes);
                }
                None => others.push(entry.clone()),
            }
        }
        let mut judged = judge(store, scope, &others, on_conflict)?.into_iter();
        let becomes = self.entries.iter().filter_map(|entry| {
            let ahead = ahead.remove(entry.id.as_str());
            ahead.or_else(|| judged.next().map(Becomes::Judged))
        });
        Ok(Verdicts(becomes.collect()))
    }

    /// What that means for the refs of `threads`. `file`: where a chain's start is read.
    ///
    /// # Errors
    /// Those of reading; `LimitExceeded` for a name that is too long there.
    pub fn brings(
        &self,
        verdicts: &Verdicts,
        file: &Threads,
        scope: &str,
    ) -> Result<Brings, CarError> {
        let mut brings = Brings::default();
        for (entry, becomes) in self.entries.iter().zip(&verdicts.0) {
            let mut failed = entry.failed;
            match becomes {
                Becomes::Judged(Verdict::New { id, record }) => {
                    let start = start_of(file, &entry.head)?;
                    let head = Head::new(1, entry.head, (**record).clone());
                    brings.moves.extend(birth(scope, id, &head, start)?);
                    if let Some(failed) = failed {
                        brings.moves.push(failed_move(scope, id, failed)?);
                    }
                    brings.new.push(id.clone());
                    if *id != entry.id {
                        brings.renamed.push((entry.id.clone(), id.clone()));
                    }
                }
                Becomes::Ahead { here, failed: new } => {
                    failed = *new;
                    brings.moves.push(RefMove {
                        name: thread_ref(scope, &entry.id)?,
                        expect: Expect::At {
                            version: here.version,
                            target: here.target,
                        },
                        change: Change::Set {
                            target: entry.head,
                            record: entry.record.encode()?,
                        },
                    });
                    if let Some(failed) = new {
                        brings.moves.push(failed_move(scope, &entry.id, *failed)?);
                    }
                    brings.ahead.push(entry.id.clone());
                }
                Becomes::Judged(Verdict::There { id }) => {
                    brings.there.push(id.clone());
                    continue;
                }
                Becomes::Judged(Verdict::Skipped) => {
                    brings.skipped.push(entry.id.clone());
                    continue;
                }
            }
            brings.roots.push(entry.head);
            brings.roots.extend(failed);
        }
        Ok(brings)
    }

    /// Whether a receipt that names these threads is good here: each of them that the file has keeps its id, since that
    /// stands in its key.
    #[must_use]
    pub fn keep(&self, verdicts: &Verdicts, named: &[String]) -> bool {
        named.iter().all(|id| {
            let place = self.entries.binary_search_by(|entry| entry.id.cmp(id));
            let becomes = place.ok().and_then(|place| verdicts.0.get(place));
            match becomes {
                Some(Becomes::Judged(verdict)) => verdict.id() == Some(id.as_str()),
                Some(Becomes::Ahead { .. }) | None => true,
            }
        })
    }
}

/// The threads that a receipt of threads names; None for one of something else.
#[must_use]
pub fn named_by(receipt: &[u8]) -> Option<Vec<String>> {
    let about = receipt::read(receipt)?;
    Some(about.into_iter().map(|one| one.thread).collect())
}

/// Whether the file has more of a thread than there is here, and nothing happened to it here that the file does not know.
fn goes_on(
    entry: &Entry,
    file: &dyn Store,
    store: &dyn Store,
    scope: &str,
) -> Result<Option<Becomes>, CarError> {
    let Some(here) = store.read_ref(&thread_ref(scope, &entry.id)?)? else {
        return Ok(None);
    };
    let Ok(record) = Record::decode(&entry.id, &here.record) else {
        return Ok(None);
    };
    let same = here.target == entry.head;
    let failed = store.read_ref(&failed_ref(scope, &entry.id)?)?;
    let failed = failed.map(|failed| failed.target);
    // What was ended, or held still, here was so after the file's moment or is known to it.
    let open = matches!(record.status, Status::Idle | Status::Failed);
    if (same && record == entry.record)
        || !open
        || !is_later(&record, &entry.record)
        || (failed.is_some() && failed != entry.failed)
    {
        return Ok(None);
    }
    let leads_there = same
        || match is_ancestor(file, &here.target, &entry.head) {
            Ok(leads) => leads,
            // The file does not have it, so it does not lead there.
            Err(ThreadError::Store(StoreError::BlockNotFound(_))) => false,
            Err(error) => return Err(error.into()),
        };
    Ok(leads_there.then_some(Becomes::Ahead {
        here,
        failed: entry.failed.filter(|_| failed.is_none()),
    }))
}

/// Whether a record may be what became of another.
fn is_later(before: &Record, after: &Record) -> bool {
    let fixed = |record: &Record| {
        (
            record.key.clone(),
            record.workflow.clone(),
            record.labels.clone(),
            record.created_at_ms,
            record.forked_from.clone(),
        )
    };
    fixed(before) == fixed(after)
        && before.updated_at_ms <= after.updated_at_ms
        && before.steps <= after.steps
}
