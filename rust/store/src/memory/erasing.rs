//! Erasing a scope of a store in memory: at once, under its lock.

use ulid::Ulid;

use super::state::State;
use crate::erasure::held::held;
use crate::erasure::{
    EraseOptions, Erased, ErasedFigures, Erasure, digest_of_command, digest_of_scope, id_of,
};
use crate::error::Result;
use crate::journal::{JournalRow, erased_body};
use crate::ledger::Ledger;

impl State {
    pub(super) fn id(&mut self) -> [u8; 16] {
        self.store_id.get_or_insert_with(Ulid::generate).to_bytes()
    }

    pub(super) fn erase(
        &mut self,
        scope: &str,
        options: &EraseOptions,
        now_ms: i64,
    ) -> Result<Erased> {
        let digest = digest_of_scope(&self.id(), scope);
        let command = options
            .command_id
            .as_deref()
            .map(|id| digest_of_command(&digest, id));
        let id = command.map_or_else(Ulid::generate, |command| id_of(&command));
        if let Some(done) = self.erasures.iter().find(|done| done.id == id) {
            return Ok(done.replayed());
        }
        let holds = self.holds.keys().cloned().collect();
        let held = held(self, scope, holds, &|_| true)?;
        let mut rows = Vec::new();
        for (at, row) in self.journal.iter().enumerate() {
            let entry = row.entry()?;
            if !entry.blank && entry.scope == scope {
                rows.push(at);
            }
        }
        let count = |count: usize| count as u64;
        let figures = ErasedFigures {
            refs: count(
                self.refs
                    .keys()
                    .filter(|name| name.scope() == scope)
                    .count(),
            ),
            receipts: count(self.receipts.keys().filter(|(_, of)| of == scope).count()),
            holds: count(self.holds.keys().filter(|(_, of)| of == scope).count()),
            leases: count(
                self.leases
                    .keys()
                    .filter(|name| name.scope() == scope)
                    .count(),
            ),
            commits: count(rows.len()),
            blocks: held.blocks,
            held_blocks: held.held_blocks,
        };
        if options.dry_run {
            return Ok(Erased {
                figures,
                held_by: held.held_by,
                ..Erased::default()
            });
        }
        let tip = Ledger::tip(self)?;
        let note = Erasure {
            id,
            position: tip.head.position.saturating_add(1),
            at_ms: if tip.head.position == 0 {
                now_ms
            } else {
                now_ms.max(tip.at_ms)
            },
            scope: digest,
            command: command.unwrap_or_default(),
            figures,
        };
        self.refs.retain(|name, _| name.scope() != scope);
        self.receipts.retain(|(_, of), _| of != scope);
        self.holds.retain(|(_, of), _| of != scope);
        self.retain_leases(|name, _| name.scope() != scope);
        for at in rows {
            if let Some(row) = self.journal.get_mut(at) {
                *row = row.clone().erased();
            }
        }
        let body = erased_body(note.position, &note.body_digest());
        self.append_journal(&JournalRow::after(&tip.head, note.at_ms, body))?;
        self.erasures.push(note);
        Ok(Erased {
            held_by: held.held_by,
            replayed: false,
            ..note.replayed()
        })
    }
}
