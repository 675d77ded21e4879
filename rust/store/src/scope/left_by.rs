//! Which receipts a scope had at a position of the journal: those of commands that were done by then, and those that an
//! import had brought.
//!
//! Receipts stay until their scope is erased, and each says which commit left it. Those of old stores don't: of these the
//! journal tells, as far as it is kept.
//! Promises: none is shown that came later. One of which nobody knows is counted, and not shown: a command that counts as
//! done, and was not, would be lost.

use std::collections::HashSet;
use std::sync::OnceLock;

use crate::error::{Result, StoreError};
use crate::store::{ScopeReceipt, Store};

/// Commits, and receipts, that are read at a time.
const PAGE: usize = 1_000;

/// See the top of this file.
#[derive(Debug)]
pub(super) struct LeftBy {
    position: u64,
    /// Asked of the journal once a receipt is met that does not say.
    told: OnceLock<Told>,
}

/// What the journal says of the scope's receipts.
#[derive(Debug, Default)]
struct Told {
    by_then: HashSet<[u8; 32]>,
    later: HashSet<[u8; 32]>,
    /// Not of all later commits it is known what they left.
    later_unknown: bool,
}

impl LeftBy {
    /// By that commit; 0 for before the first.
    pub fn new(position: u64) -> Self {
        Self {
            position,
            told: OnceLock::new(),
        }
    }

    /// As [`Store::receipts`].
    pub fn receipts(
        &self,
        store: &dyn Store,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<ScopeReceipt>> {
        let mut found = Vec::new();
        let mut after = after.copied();
        while found.len() < limit {
            let page = store.receipts(scope, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.command.key);
            for left in page {
                if found.len() < limit && self.was_left(store, scope, &left)? == Some(true) {
                    found.push(left);
                }
            }
        }
        Ok(found)
    }

    /// As [`Store::receipts_unsettled`].
    pub fn unsettled(&self, store: &dyn Store, scope: &str) -> Result<u64> {
        let mut count = 0;
        let mut after: Option<[u8; 32]> = None;
        loop {
            let page = store.receipts(scope, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            after = Some(last.command.key);
            for left in page {
                count += u64::from(self.was_left(store, scope, &left)?.is_none());
            }
        }
    }

    /// None: nobody knows.
    fn was_left(
        &self,
        store: &dyn Store,
        scope: &str,
        left: &ScopeReceipt,
    ) -> Result<Option<bool>> {
        if self.position == 0 {
            return Ok(Some(false));
        }
        if left.position > 0 {
            return Ok(Some(left.position <= self.position));
        }
        let told = match self.told.get() {
            Some(told) => told,
            None => {
                let told = self.ask(store, scope)?;
                self.told.get_or_init(|| told)
            }
        };
        let key = &left.command.key;
        if told.by_then.contains(key) {
            return Ok(Some(true));
        }
        if told.later.contains(key) {
            return Ok(Some(false));
        }
        // No later commit left it, so an earlier one did: one that is expired, or lost.
        Ok((!told.later_unknown).then_some(true))
    }

    fn ask(&self, store: &dyn Store, scope: &str) -> Result<Told> {
        let start = store.journal_extent()?.start.head;
        let mut told = Told {
            later_unknown: start.position > self.position,
            ..Told::default()
        };
        let mut after = (start.position > 0).then(|| start.cursor());
        loop {
            let page = match store.journal(after.as_ref(), PAGE) {
                // What was its beginning went meanwhile.
                Err(StoreError::CursorExpired(_)) => return self.ask(store, scope),
                page => page?,
            };
            let Some(last) = page.last() else {
                return Ok(told);
            };
            after = Some(last.cursor());
            for entry in page {
                let is_later = entry.position > self.position;
                // What an erased commit left is gone.
                told.later_unknown |= is_later && entry.blank && !entry.erased;
                if entry.scope == scope {
                    let left = entry.command.into_iter().chain(entry.receipts);
                    let keys = left.map(|command| command.key);
                    match is_later {
                        true => told.later.extend(keys),
                        false => told.by_then.extend(keys),
                    }
                }
            }
        }
    }
}
