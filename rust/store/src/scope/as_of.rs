//! A scope as it was: a store that shows the refs of one scope as they stood at a moment, and writes nothing.
//!
//! The journal says where each ref stood. A ref whose block a collection took since is *gone*: it is listed, and whoever
//! asks for it is told so; nothing of it can be shown. All others are whole, since a block that is there has all that it
//! links to. Who knows what a ref means may find the same elsewhere ([`AsOf::found`]).
//! Promises: everything that is written against [`Store`] reads the past through it. What is collected while it is
//! looked at is told by an error of its own, and never taken for damage.
//! Must never: write, or show anything of another scope.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use treering_block::Cid;

use super::forking::is_marker;
use super::left_by::LeftBy;
use super::lineage::Lineage;
use super::past::{Moment, Past};
use super::refs;
use crate::commit::RefValue;
use crate::cursor::{Cursor, Head};
use crate::error::{Result, StoreError};
use crate::journal::JournalEntry;
use crate::name::{RefName, check_scope};
use crate::read_only::{ReadOnly, Shown};
use crate::retention::JournalExtent;
use crate::store::{ScopeReceipt, Store};
use crate::upload::BlockReader;

/// Targets looked for at a time.
const PAGE: usize = 1_024;

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
    /// The newest commit that counts, and when it was made.
    head: Head,
    at_ms: i64,
    shown: Shown,
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
            head,
            at_ms,
            shown: Shown {
                scope: scope.to_owned(),
                refs,
            },
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
            self.shown.refs.insert(name, value);
        }
    }

    fn gone_since(&self, what: String, lost: Lost) -> StoreError {
        StoreError::CollectedSince {
            scope: self.shown.scope.clone(),
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

impl ReadOnly for AsOf {
    fn shown(&self) -> &Shown {
        &self.shown
    }

    fn behind(&self) -> Option<&dyn Store> {
        Some(&*self.inner)
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

    fn read_ref(&self, name: &RefName) -> Result<Option<RefValue>> {
        match self.gone.get(name) {
            None => Ok(self.shown.refs.get(name).cloned()),
            Some(lost) => Err(self.gone_since(format!("ref {name}"), *lost)),
        }
    }

    fn lineage(&self, scope: &str) -> Result<Option<Lineage>> {
        let lineage = self.inner.lineage(scope)?;
        let of_then = |lineage: &Lineage| {
            let nearest = lineage.ancestors.first();
            scope == self.shown.scope
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
        if scope == self.shown.scope {
            self.left_by.receipts(&*self.inner, scope, after, limit)
        } else {
            Ok(Vec::new())
        }
    }

    fn receipts_unsettled(&self, scope: &str) -> Result<u64> {
        if scope == self.shown.scope {
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

    fn location(&self) -> String {
        self.inner.location()
    }
}
