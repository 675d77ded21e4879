//! A scope as it was: a store that shows the refs of one scope as they stood at a moment, and writes nothing.
//!
//! The journal says where each ref stood. A ref whose block a collection took since is *gone*: it is listed, and whoever
//! asks for it is told so; nothing of it can be shown. All others are whole, since a block that is there has all that it
//! links to. Who knows what a ref means may find the same elsewhere ([`AsOf::found`]).
//! Promises: everything that is written against [`Store`] reads the past through it. What is collected while it is
//! looked at is told by an error of its own, and never taken for damage.
//! Must never: write, or show anything of another scope.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use treering_block::{Cid, CidPrefix};

use super::forking::FORKING;
use super::left_by::LeftBy;
use super::lineage::Lineage;
use super::refs;
use crate::commit::{Address, Commit, RefValue};
use crate::cursor::{Cursor, Head};
use crate::erasure::{EraseOptions, Erased, Erasures};
use crate::error::{Result, StoreError};
use crate::findings::VerifyReport;
use crate::gc::{Collection, GcOptions};
use crate::journal::{JournalEntry, JournalMove};
use crate::lease::{Lease, LeaseState};
use crate::listening::{Listening, Wake};
use crate::name::{RefName, check_kind, check_scope, listing_prefix};
use crate::quarantine::Quarantined;
use crate::repair::RepairReport;
use crate::retention::{ExpireBefore, ExpireReport, JournalExtent, SealReport};
use crate::stats::{Counters, StoreStats};
use crate::store::{BlockInfo, Hold, ScopeReceipt, Store};
use crate::ticket::Ticket;
use crate::upload::BlockReader;
use crate::vacuum::Vacuumed;

/// Commits read, and targets looked for, at a time.
const PAGE: usize = 1_024;

/// Which moment is meant.
#[derive(Clone, Debug)]
pub enum Moment {
    /// After all commits up to this time, Unix milliseconds.
    Time(i64),
    /// After the commit that the cursor is of.
    Commit(Cursor),
}

/// Why a ref that was there can't be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// What it pointed at was collected since.
    Collected,
    /// The journal that is kept does not say any more where it stood.
    Forgotten,
}

/// See the top of this file.
pub struct AsOf {
    inner: Arc<dyn Store>,
    scope: String,
    /// The newest commit that counts, and when it was made.
    head: Head,
    at_ms: i64,
    refs: BTreeMap<RefName, RefValue>,
    gone: BTreeMap<RefName, Lost>,
    /// Where those stood that were collected.
    collected: BTreeMap<RefName, RefValue>,
    left_by: LeftBy,
}

impl AsOf {
    /// The scope as it was at a moment. `optional`: refs that nobody misses, since they can be made anew of others; such
    /// a one is absent if it is lost. O(commits that are kept).
    ///
    /// Errors: `MomentExpired` for one from before what is kept of the journal; `CursorLost` for a cursor that is not of
    /// this history; `Corrupt`.
    pub fn new(
        inner: Arc<dyn Store>,
        scope: &str,
        moment: &Moment,
        optional: impl Fn(&RefName) -> bool,
    ) -> Result<Self> {
        check_scope(scope)?;
        // First what is, then what happened: what moves in between is met in the journal.
        let now = refs::all(&*inner, scope)?;
        let mut past = Past::read(&*inner, scope, moment)?;
        past.judge(now);
        let Past {
            head,
            at_ms,
            known,
            forgotten,
            ..
        } = past;
        let mut refs: BTreeMap<RefName, RefValue> = known
            .into_iter()
            .map(|(name, known)| (name, known.value))
            .collect();
        let mut left_by = LeftBy::new(head.position);
        if refs.keys().any(is_marker) {
            // Nothing of it was seen then.
            refs.clear();
            left_by = LeftBy::new(0);
        }
        let mut collected = BTreeMap::new();
        let forgotten = forgotten.into_iter().map(|name| (name, Lost::Forgotten));
        let mut gone: BTreeMap<RefName, Lost> = forgotten.collect();
        let targets: Vec<(RefName, Cid)> = refs
            .iter()
            .map(|(name, value)| (name.clone(), value.target))
            .collect();
        for page in targets.chunks(PAGE) {
            let cids: Vec<Cid> = page.iter().map(|(_, target)| *target).collect();
            for ((name, _), there) in page.iter().zip(inner.has_many(&cids)?) {
                if !there
                    && let Some((name, value)) = refs.remove_entry(name)
                    && !optional(&name)
                {
                    gone.insert(name.clone(), Lost::Collected);
                    collected.insert(name, value);
                }
            }
        }
        gone.retain(|name, _| !optional(name));
        Ok(Self {
            inner,
            scope: scope.to_owned(),
            head,
            at_ms,
            refs,
            gone,
            collected,
            left_by,
        })
    }

    /// The newest commit that counts.
    pub fn position(&self) -> u64 {
        self.head.position
    }

    /// When it was made, Unix milliseconds; 0 for before the first.
    pub fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// Refs that were there and can't be shown, by name, and why.
    pub fn gone(&self) -> &BTreeMap<RefName, Lost> {
        &self.gone
    }

    /// Where those refs stood of which a collection took what they pointed at.
    pub fn collected(&self) -> &BTreeMap<RefName, RefValue> {
        &self.collected
    }

    /// What one of [`AsOf::collected`] pointed at says the same as this block, which is there: it is shown in its place.
    pub fn found(&mut self, name: &RefName, target: Cid) {
        if let Some((name, value)) = self.collected.remove_entry(name) {
            self.gone.remove(&name);
            let value = RefValue { target, ..value };
            self.refs.insert(name, value);
        }
    }

    fn gone_since(&self, what: String, lost: Lost) -> StoreError {
        StoreError::CollectedSince {
            scope: self.scope.clone(),
            what,
            why: match lost {
                Lost::Collected => "a collection took it",
                Lost::Forgotten => "the journal does not say any more where it stood",
            },
        }
    }

    /// Blocks that are not there any more were there then.
    fn past<T>(&self, answer: Result<T>) -> Result<T> {
        match answer {
            Err(StoreError::BlockNotFound(cid)) => {
                Err(self.gone_since(format!("block {cid}"), Lost::Collected))
            }
            answer => answer,
        }
    }
}

fn is_marker(name: &RefName) -> bool {
    name.kind() == FORKING && name.parts().is_empty()
}

/// Where a ref stood, and the commit that says so.
struct Known {
    value: RefValue,
    position: u64,
}

/// What the journal says.
struct Past {
    head: Head,
    at_ms: i64,
    /// Refs as the newest commit up to the moment left them.
    known: BTreeMap<RefName, Known>,
    /// Refs that the newest such commit removed, and which that was.
    removed: BTreeMap<RefName, u64>,
    /// What the first commit after the moment that is known to have moved it made its version.
    next: BTreeMap<RefName, u64>,
    /// The newest commit up to the moment of which nothing is known, and whether there is one after it.
    blank: (u64, bool),
    /// The journal is known from its first commit on.
    from_start: bool,
    /// Refs that were there, or may have been, nobody knows where.
    forgotten: BTreeSet<RefName>,
}

impl Past {
    fn read(store: &dyn Store, scope: &str, moment: &Moment) -> Result<Self> {
        let start = store.journal_extent()?.start;
        let mut past = Self {
            head: start.head,
            at_ms: start.at_ms,
            known: BTreeMap::new(),
            removed: BTreeMap::new(),
            next: BTreeMap::new(),
            blank: (0, false),
            from_start: start.head.position == 0,
            forgotten: BTreeSet::new(),
        };
        let expired = match moment {
            Moment::Time(at_ms) => !past.from_start && *at_ms < start.at_ms,
            Moment::Commit(cursor) => cursor.position < start.head.position,
        };
        if expired {
            return Err(StoreError::MomentExpired {
                scope: scope.to_owned(),
                oldest_ms: start.at_ms,
            });
        }
        if let Moment::Commit(cursor) = moment {
            // Whether it is of this history.
            store.journal(Some(cursor), 1)?;
        }
        let mut after = (!past.from_start).then(|| start.head.cursor());
        loop {
            let page = match store.journal(after.as_ref(), PAGE) {
                Err(StoreError::CursorExpired(_)) => {
                    // What was its beginning went meanwhile.
                    return Self::read(store, scope, moment);
                }
                page => page?,
            };
            let Some(last) = page.last() else {
                return Ok(past);
            };
            after = Some(last.cursor());
            for entry in page {
                past.take(scope, moment, entry);
            }
        }
    }

    fn take(&mut self, scope: &str, moment: &Moment, entry: JournalEntry) {
        let counts = match moment {
            Moment::Time(at_ms) => entry.at_ms <= *at_ms,
            Moment::Commit(cursor) => entry.position <= cursor.position,
        };
        if counts {
            (self.head, self.at_ms) = (entry.head(), entry.at_ms);
            // The commits of an erased scope moved no ref of any other, and its own are gone.
            if entry.blank && !entry.erased {
                self.blank.0 = entry.position;
            }
        } else if entry.blank && !entry.erased {
            self.blank.1 = true;
        }
        if entry.scope != scope {
            return;
        }
        for moved in entry.moves {
            if counts {
                self.note(moved, entry.position);
            } else if let Entry::Vacant(first) = self.next.entry(moved.name) {
                first.insert(moved.version);
            }
        }
    }

    fn note(&mut self, moved: JournalMove, position: u64) {
        let JournalMove {
            name,
            version,
            target,
            record,
        } = moved;
        match (target, record) {
            (Some(target), Some(record)) => {
                let value = RefValue {
                    version,
                    target,
                    record,
                };
                self.removed.remove(&name);
                self.known.insert(name, Known { value, position });
            }
            _ => {
                self.known.remove(&name);
                self.removed.insert(name, position);
            }
        }
    }

    /// What the journal leaves open is settled by what comes after the moment: the next version of a ref, or the ref as
    /// it is now, if nothing moved it since.
    fn judge(&mut self, now: BTreeMap<RefName, RefValue>) {
        let (blank, blank_after) = self.blank;
        let unmoved = |name: &RefName| now.get(name).map(|value| value.version);
        if blank > 0 {
            // It may have moved anything.
            let doubtful: Vec<RefName> = self
                .known
                .iter()
                .filter(|(name, known)| {
                    let version = known.value.version;
                    let went_on = match self.next.get(*name) {
                        // A version that is the next but one has one in between.
                        Some(next) => *next == version.saturating_add(1),
                        None => unmoved(name) == Some(version),
                    };
                    known.position < blank && !went_on
                })
                .map(|(name, _)| name.clone())
                .collect();
            for name in doubtful {
                self.known.remove(&name);
                self.forgotten.insert(name);
            }
        }
        if self.from_start && blank == 0 {
            return;
        }
        // Those that no commit up to the moment tells of, or that one told of before a commit that is lost.
        for (name, version) in &self.next {
            let told = self.known.contains_key(name) || self.is_removed(name);
            // The first version of a ref comes of nothing.
            if !told && *version != 1 {
                self.forgotten.insert(name.clone());
            }
        }
        for (name, value) in now {
            let told = self.known.contains_key(&name) || self.is_removed(&name);
            if told || self.next.contains_key(&name) || self.forgotten.contains(&name) {
                continue;
            }
            if blank_after {
                self.forgotten.insert(name);
            } else {
                let position = 0;
                self.known.insert(name, Known { value, position });
            }
        }
    }

    fn is_removed(&self, name: &RefName) -> bool {
        self.removed
            .get(name)
            .is_some_and(|position| *position > self.blank.0)
    }
}

/// What every write answers.
const REFUSED: StoreError = StoreError::ReadOnly;

impl Store for AsOf {
    fn submit(&self, _: Commit) -> Ticket {
        Ticket::answered(Err(REFUSED))
    }

    fn get(&self, cid: &Cid) -> Result<Arc<[u8]>> {
        self.past(self.inner.get(cid))
    }

    fn size(&self, cid: &Cid) -> Result<u64> {
        self.past(self.inner.size(cid))
    }

    fn range(&self, cid: &Cid, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.past(self.inner.range(cid, offset, length))
    }

    fn reader(&self, cid: &Cid) -> Result<Box<dyn BlockReader>> {
        self.past(self.inner.reader(cid))
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>> {
        self.inner.has_many(cids)
    }

    fn prefix(&self, prefix: &CidPrefix, limit: usize) -> Result<Vec<Cid>> {
        self.inner.prefix(prefix, limit)
    }

    fn blocks(&self, after: u64, limit: usize) -> Result<Vec<BlockInfo>> {
        self.inner.blocks(after, limit)
    }

    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        // Closed is closed.
        self.inner.head()?;
        match self.gone.get(name) {
            None => Ok(self.refs.get(name).cloned()),
            Some(lost) => Err(self.gone_since(format!("ref {name}"), *lost)),
        }
    }

    fn list_refs(
        &self,
        scope: &str,
        kind: &str,
        after: Option<&RefName>,
        limit: usize,
    ) -> Result<Vec<(RefName, Result<RefValue>)>> {
        check_scope(scope)?;
        check_kind(kind)?;
        self.inner.head()?;
        let prefix = listing_prefix(scope, kind);
        let first = match after {
            Some(name) if name.encoded() >= prefix.as_str() => Bound::Excluded(name.encoded()),
            _ => Bound::Included(prefix.as_str()),
        };
        let names = self.refs.range::<str, _>((first, Bound::Unbounded));
        Ok(names
            .take_while(|(name, _)| name.encoded().starts_with(&prefix))
            .take(limit)
            .map(|(name, value)| (name.clone(), Ok(value.clone())))
            .collect())
    }

    fn scopes(&self) -> Result<Vec<String>> {
        let scope = (!self.refs.is_empty()).then(|| self.scope.clone());
        Ok(scope.into_iter().collect())
    }

    fn kinds(&self, scope: &str) -> Result<Vec<String>> {
        check_scope(scope)?;
        self.inner.head()?;
        let own = self.refs.keys().filter(|name| name.scope() == scope);
        let kinds: BTreeSet<&str> = own.map(RefName::kind).collect();
        Ok(kinds.into_iter().map(str::to_owned).collect())
    }

    fn receipt(&self, _: &Address, _: &str) -> Result<Option<([u8; 32], Vec<u8>)>> {
        // Who asks is about to write.
        Err(REFUSED)
    }

    fn lineage(&self, scope: &str) -> Result<Option<Lineage>> {
        let lineage = self.inner.lineage(scope)?;
        let of_then = |lineage: &Lineage| {
            let nearest = lineage.ancestors.first();
            scope == self.scope
                && nearest.is_some_and(|nearest| nearest.until <= self.head.position)
        };
        Ok(lineage.filter(of_then))
    }

    fn receipts(
        &self,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<ScopeReceipt>> {
        check_scope(scope)?;
        if scope == self.scope {
            self.left_by.receipts(&*self.inner, scope, after, limit)
        } else {
            Ok(Vec::new())
        }
    }

    fn receipts_unsettled(&self, scope: &str) -> Result<u64> {
        check_scope(scope)?;
        if scope == self.scope {
            self.left_by.unsettled(&*self.inner, scope)
        } else {
            Ok(0)
        }
    }

    fn journal(&self, after: Option<&Cursor>, limit: usize) -> Result<Vec<JournalEntry>> {
        if after.is_some_and(|after| *after == self.head.cursor()) {
            // What came since may be all that is kept.
            self.inner.head()?;
            return Ok(Vec::new());
        }
        let mut entries = self.inner.journal(after, limit)?;
        entries.retain(|entry| entry.position <= self.head.position);
        Ok(entries)
    }

    fn cursor_at(&self, position: u64) -> Result<Option<Cursor>> {
        if position > self.head.position {
            return Ok(None);
        }
        self.inner.cursor_at(position)
    }

    fn seal_journal(&self, _: u64) -> Result<SealReport> {
        Err(REFUSED)
    }

    fn expire_journal(&self, _: &ExpireBefore) -> Result<ExpireReport> {
        Err(REFUSED)
    }

    fn give_up_commit(&self, _: u64) -> Result<()> {
        Err(REFUSED)
    }

    fn erase(&self, _: &str, _: &EraseOptions) -> Result<Erased> {
        Err(REFUSED)
    }

    fn erasures(&self) -> Result<Erasures> {
        self.inner.erasures()
    }

    fn vacuum(&self) -> Result<Vacuumed> {
        Err(REFUSED)
    }

    fn journal_extent(&self) -> Result<JournalExtent> {
        let extent = self.inner.journal_extent()?;
        Ok(JournalExtent {
            head: self.head,
            ..extent
        })
    }

    fn head(&self) -> Result<Head> {
        self.inner.head()?;
        Ok(self.head)
    }

    /// Nothing ever comes: it waits until time is up, or the store is closed.
    fn watch(&self, position: u64, timeout: Duration) -> Result<u64> {
        if position < self.head.position {
            self.inner.head()?;
        } else {
            self.inner.watch(u64::MAX, timeout)?;
        }
        Ok(self.head.position)
    }

    fn listen(&self, wake: Wake) -> Result<Listening> {
        self.inner.listen(wake)
    }

    fn lease_acquire(&self, _: &RefName, _: &str) -> Result<Lease> {
        Err(REFUSED)
    }

    fn lease_release(&self, _: &Lease) -> Result<()> {
        Err(REFUSED)
    }

    /// Leases are no history.
    fn lease_state(&self, _: &RefName) -> Result<Option<LeaseState>> {
        Ok(None)
    }

    /// Nor are holds.
    fn holds(&self, scope: &str, _: u64, _: usize) -> Result<Vec<Hold>> {
        check_scope(scope)?;
        Ok(Vec::new())
    }

    fn extend_hold(&self, _: &str, _: &Cid, _: i64) -> Result<i64> {
        Err(REFUSED)
    }

    fn release_hold(&self, _: &str, _: &Cid) -> Result<bool> {
        Err(REFUSED)
    }

    fn collection(&self, _: &GcOptions) -> Result<Collection<'_>> {
        Err(REFUSED)
    }

    fn verify(&self, since: Option<&Head>) -> Result<VerifyReport> {
        self.inner.verify(since)
    }

    fn repair(&self) -> Result<RepairReport> {
        Err(REFUSED)
    }

    fn all_refs(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Result<RefValue>)>> {
        let names = self.refs.iter();
        Ok(names
            .filter(|(name, _)| after.is_none_or(|after| name.encoded() > after))
            .take(limit)
            .map(|(name, value)| (name.encoded().to_owned(), Ok(value.clone())))
            .collect())
    }

    fn quarantine(&self, _: &[String]) -> Result<Quarantined> {
        Err(REFUSED)
    }

    fn stats(&self) -> Result<StoreStats> {
        self.inner.stats()
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }

    fn now_ms(&self) -> i64 {
        self.inner.now_ms()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    /// The store behind it is its owner's to close.
    fn close(&self) -> Result<()> {
        Ok(())
    }
}
