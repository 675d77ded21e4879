//! A store in memory, shown to `verify`. Memory rots too: a stray write is found like one on disk.

use std::sync::Arc;

use treering_block::Cid;

use super::state::State;
use crate::commit::RefValue;
use crate::cursor::Head;
use crate::erasure::Erasure;
use crate::error::Result;
use crate::findings::VerifyReport;
use crate::journal::{JournalCommand, JournalRow};
use crate::lease::LeaseState;
use crate::name::RefName;
use crate::scope::lineage::{Receipt, Wanted};
use crate::verify::{BlockRow, Evidence, HoldRow, Stored, Visit};

impl Evidence for State {
    fn own_checks(&self, _: &mut VerifyReport) -> Result<()> {
        Ok(())
    }

    fn blocks(&self, visit: Visit<'_, BlockRow>) -> Result<()> {
        for (ordinal, stored) in self.live() {
            visit(Ok(BlockRow {
                ordinal: *ordinal,
                cid: stored.cid,
                size: stored.bytes.len() as u64,
                bytes: Ok(Stored::Bytes(Arc::clone(&stored.bytes))),
                links: Ok(stored.links.clone()),
            }));
        }
        Ok(())
    }

    fn ordinal(&self, cid: &Cid) -> Result<Option<u64>> {
        Ok(self
            .ordinals
            .get(cid)
            .copied()
            .filter(|ordinal| State::has_ordinal(self, *ordinal)))
    }

    fn has_ordinal(&self, ordinal: u64) -> Result<bool> {
        Ok(State::has_ordinal(self, ordinal))
    }

    fn next_ordinal(&self) -> Result<u64> {
        Ok(self.last_ordinal.saturating_add(1))
    }

    fn erasures(&self) -> Result<Vec<Erasure>> {
        Ok(self.erasures.clone())
    }

    fn journal_start(&self) -> Result<Head> {
        Ok(self.start.head)
    }

    fn journal(&self, visit: Visit<'_, JournalRow>) -> Result<()> {
        for row in &self.journal {
            visit(Ok(row.clone()));
        }
        Ok(())
    }

    fn refs(&self, visit: Visit<'_, (RefName, RefValue)>) -> Result<()> {
        for (name, value) in &self.refs {
            visit(Ok((name.clone(), value.clone())));
        }
        Ok(())
    }

    fn receipts(&self, visit: Visit<'_, JournalCommand>) -> Result<()> {
        for (command, _) in self.receipts.values() {
            visit(Ok(command.clone()));
        }
        Ok(())
    }

    fn receipt(&self, scope: &str, key: &[u8; 32]) -> Result<Option<Receipt>> {
        self.left(Wanted::Of(scope, key))
    }

    fn holds(&self, visit: Visit<'_, HoldRow>) -> Result<()> {
        for ((ordinal, scope), expires_at_ms) in &self.holds {
            visit(Ok(HoldRow {
                scope: scope.clone(),
                ordinal: *ordinal,
                expires_at_ms: *expires_at_ms,
            }));
        }
        Ok(())
    }

    fn leases(&self, visit: Visit<'_, (RefName, LeaseState)>) -> Result<()> {
        for (name, state) in &self.leases {
            visit(Ok((name.clone(), state.clone())));
        }
        Ok(())
    }
}
