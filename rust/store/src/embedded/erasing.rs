//! Erasing a scope in a directory.
//!
//! *Look*, on a snapshot: everything that is to go can be read, or nothing is changed. *Begin*, one durable commit, however
//! many refs there are: a mark hides all of them (that of a fork in the making, which every read looks for), its note and
//! its name stand in `manifest`. What is behind it is in `stripping.rs`: *Take away*, in small commits: refs, then leases, the mark
//! with the last of them. *Strip*, in small commits: receipts, holds, bodies in the table `journal`, then sealed
//! files, each written anew without what the scope's commits said. *End*, one durable commit: the name is gone.
//! Promises: whatever stops it behind Begin, the scope stays gone, takes no commit, and the next one goes on. The note counts
//! what went in the commit with which it went. A sealed file is on disk before the row that names it, and the old one is
//! removed after. Deletions work on a full disk; a sealed file that is to be written anew needs room.
//! Must never: touch a row or a body of another scope, hold the write lock for longer than a moment, or keep a fork waiting
//! while it waits for the writer.

use ulid::Ulid;

use super::EmbeddedStore;
use super::gc::Moment;
use super::remains::{Page, Place};
use super::sealed_gaps::place;
use super::session::Session;
use super::staging::is_in_use;
use super::stripping::Patience;
use crate::commit::Durability;
use crate::erasure::held::held;
use crate::erasure::{
    self, ERASE_ROWS_MAX, EraseOptions, Erased, ErasedFigures, Erasure, digest_of_command,
};
use crate::error::{Result, StoreError};
use crate::store::Store;

/// Holds that are read at a time.
const PAGE: usize = 256;

/// What came of beginning.
struct Begun {
    /// The note's.
    id: Ulid,
    held_by: Vec<String>,
    /// It was the same command that began, before.
    replayed: bool,
}

impl Begun {
    fn before(note: &Erasure) -> Self {
        Self {
            id: note.id,
            held_by: Vec::new(),
            replayed: true,
        }
    }
}

impl EmbeddedStore {
    /// See [`crate::store::Store::erase`].
    pub(super) fn erase_scope(&self, scope: &str, options: &EraseOptions) -> Result<Erased> {
        erasure::check(scope, options)?;
        if options.dry_run {
            return self.look_at_scope(scope).map(|looked| Erased {
                figures: looked.0,
                held_by: looked.1,
                ..Erased::default()
            });
        }
        self.writable()?;
        let rows = options.rows_at_a_time;
        let unfinished = |error| {
            let why = match &error {
                StoreError::LockTimeout { waited_ms, holder } => {
                    format!("waited {waited_ms} ms for a lock, held by {holder}")
                }
                StoreError::DiskFull => "the disk is full".to_owned(),
                StoreError::Io { .. } => error.to_string(),
                StoreError::Poisoned { why } | StoreError::CommitUnknown { why } => {
                    format!("the store takes no commit until it is opened anew: {why}")
                }
                _ => return error,
            };
            StoreError::EraseUnfinished {
                scope: scope.to_owned(),
                why,
                cause: Box::new(error),
            }
        };
        // What was left is finished first: it may be this very command.
        let wait = Patience::of(self.lock_wait);
        let left = self.finish_in_pieces(wait, ERASE_ROWS_MAX);
        let left = match left {
            Err(error) if self.reading(|session| session.is_erasing(scope))? => {
                return Err(unfinished(error));
            }
            left => left?,
        };
        if let Some(stuck) = left.into_iter().find(|stuck| stuck.scope == scope) {
            return Err(unfinished(stuck.error));
        }
        let digest = self.reading(|session| session.digest_of(scope))?;
        let command = options
            .command_id
            .as_deref()
            .map(|id| digest_of_command(&digest, id));
        let begun = self.begin(scope, digest, command)?;
        let id = begun.id;
        // One that somebody else is at says what it did when it is finished.
        let left = self.finish_in_pieces(wait, rows);
        let mut left = left.map_err(unfinished)?.into_iter();
        if let Some(stuck) = left.find(|stuck| stuck.id == id) {
            return Err(unfinished(stuck.error));
        }
        let note = self.reading(|session| session.erasure(id))?;
        let note = note.ok_or_else(|| StoreError::CommitUnknown {
            why: "the note of the erasure is gone".into(),
        })?;
        Ok(Erased {
            held_by: begun.held_by,
            replayed: begun.replayed,
            ..note.replayed()
        })
    }

    /// Looks and begins, unless the same command was done before.
    fn begin(&self, scope: &str, digest: [u8; 32], command: Option<[u8; 32]>) -> Result<Begun> {
        self.begin_after(scope, digest, command, &|| ())
    }

    /// The same; `meanwhile` happens between the two.
    fn begin_after(
        &self,
        scope: &str,
        digest: [u8; 32],
        command: Option<[u8; 32]>,
        meanwhile: &dyn Fn(),
    ) -> Result<Begun> {
        let done = |session: Session<'_>| match &command {
            Some(command) => session.erasure_by(&digest, command),
            None => Ok(None),
        };
        let (before, generation) =
            self.in_one_read(|session| Ok((done(session)?, session.gc_generation()?)))?;
        if let Some(note) = before {
            return Ok(Begun::before(&note));
        }
        let (figures, held_by) = self.look_at_scope(scope)?;
        let id = command.map_or_else(Ulid::generate, |command| erasure::id_of(&command));
        let note = Erasure {
            id,
            position: 0,
            at_ms: 0,
            scope: digest,
            command: command.unwrap_or_default(),
            // The others are counted when they go.
            figures: ErasedFigures {
                blocks: figures.blocks,
                held_blocks: figures.held_blocks,
                ..ErasedFigures::default()
            },
        };
        meanwhile();
        let (name, now_ms) = (scope.to_owned(), self.now_ms());
        self.in_freeing_transaction(Durability::Durable, move |transaction| {
            // Whoever began since then, and ended: all notes need not be read under the lock.
            let session = transaction.session();
            if session.gc_generation()? != generation
                && let Some(command) = &command
                && let Some(note) = session.erasure_by(&digest, command)?
            {
                return Ok(Begun::before(&note));
            }
            transaction.begin_erasing(&name, note, now_ms)?;
            Ok(Begun {
                id,
                held_by,
                replayed: false,
            })
        })
    }

    /// What would go, and who else reaches it. Errors: `Corrupt` for what can't be read, and might be the scope's.
    fn look_at_scope(&self, scope: &str) -> Result<(ErasedFigures, Vec<String>)> {
        let shared = &self.usable()?.shared;
        // Those that nobody is at.
        let mut unnamed = shared.unnamed_sealed_files()?;
        unnamed.retain(|name| !is_in_use(&place(&shared.root, name)));
        let look = |session: Session<'_>| {
            session.expect_none_is_missing(&unnamed)?;
            let mut figures = session.count_remains(scope)?;
            let going = session.going()?;
            let mut holds = Vec::new();
            let mut after = (0, String::new());
            loop {
                let page = session.hold_rows((after.0, &after.1), PAGE)?;
                let Some((ordinal, of, _)) = page.last() else {
                    break;
                };
                after = (*ordinal, of.clone());
                for (ordinal, of, end) in page {
                    end?;
                    holds.push((ordinal, of));
                }
            }
            let totals = session.totals()?;
            let mut moment = Moment {
                session,
                tiers: &shared.tiers,
                next_ordinal: totals.next_ordinal,
                blocks: totals.blocks,
                refs_sum: totals.refs_sum,
            };
            // What another erase has begun on, and not taken away yet, holds nothing for anybody.
            let seen = |name: &str| !going.has(name.as_bytes());
            let held = held(&mut moment, scope, holds, &seen)?;
            if !session.is_erasing(scope)? {
                figures.refs = session.count_refs_of(scope)?;
                figures.leases = session.count_leases_of(scope)?;
            }
            figures.blocks = held.blocks;
            figures.held_blocks = held.held_blocks;
            Ok((figures, held.held_by))
        };
        self.unless_files_went_meanwhile(|session| {
            let looked = session.in_one_read(look);
            let sound = !matches!(looked, Err(StoreError::Corrupt { .. }));
            Ok((looked, sound))
        })?
    }
}

impl Session<'_> {
    /// How much is left of a scope behind its refs. O(journal + receipts of the store). Errors: `Corrupt` for the first row
    /// that can't be read.
    fn count_remains(self, scope: &str) -> Result<ErasedFigures> {
        let mut figures = ErasedFigures::default();
        let mut place = Place::FIRST;
        while !matches!(place, Place::End) {
            let (page, next) = self.remains(scope, place, u64::MAX)?;
            place = next;
            match page {
                Page::Receipts(keys) => figures.receipts += keys.len() as u64,
                Page::Holds(ordinals) => figures.holds += ordinals.len() as u64,
                Page::Commits(positions) => figures.commits += positions.len() as u64,
            }
        }
        // What a row had that is broken is in a file without a row, or nowhere.
        for file in self.sealed_files()?.into_iter().flatten() {
            figures.commits += self.count_commits_of(scope, &file)?;
        }
        Ok(figures)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::embedded::OpenOptions;
    use crate::embedded::retention::tests::act;

    /// As versions began it that gave notes any id.
    fn begin_as_before(store: &EmbeddedStore, scope: &str, command: Option<&str>) {
        let digest = store.reading(|session| session.digest_of(scope)).unwrap();
        let note = Erasure {
            id: Ulid::generate(),
            position: 0,
            at_ms: 0,
            scope: digest,
            command: command.map_or([0; 32], |id| digest_of_command(&digest, id)),
            figures: ErasedFigures::default(),
        };
        let name = scope.to_owned();
        store
            .in_transaction(Durability::Durable, move |transaction| {
                transaction.begin_erasing(&name, note, 1)
            })
            .unwrap();
        store.finish_erasing(Duration::from_secs(60)).unwrap();
    }

    fn by(command: &str) -> EraseOptions {
        EraseOptions {
            command_id: Some(command.into()),
            ..EraseOptions::default()
        }
    }

    #[test]
    fn a_repeat_of_what_an_earlier_version_did_erases_nothing() {
        let home = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(home.path(), &OpenOptions::default()).unwrap();
        act(&store, "alice", 1);
        begin_as_before(&store, "alice", Some("request"));
        act(&store, "alice", 2);
        act(&store, "bob", 3);
        let repeated = store.erase("alice", &by("request")).unwrap();
        assert!(repeated.replayed);
        assert_eq!(repeated.position, 2);
        assert_eq!(store.scopes().unwrap(), ["alice", "bob"]);
        // Another command, and the same one of another scope.
        assert!(!store.erase("bob", &by("request")).unwrap().replayed);
        assert!(!store.erase("alice", &by("another")).unwrap().replayed);
        assert!(store.scopes().unwrap().is_empty());
        assert_eq!(store.erasures().unwrap().notes.len(), 3);
    }

    #[test]
    fn one_that_an_earlier_version_began_meanwhile_is_found_under_the_lock() {
        let home = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(home.path(), &OpenOptions::default()).unwrap();
        act(&store, "alice", 1);
        let digest = store.reading(|session| session.digest_of("alice")).unwrap();
        let command = digest_of_command(&digest, "request");
        let begun = store
            .begin_after("alice", digest, Some(command), &|| {
                begin_as_before(&store, "alice", Some("request"));
                act(&store, "alice", 2);
            })
            .unwrap();
        assert!(begun.replayed);
        assert_eq!(store.scopes().unwrap(), ["alice"]);
        assert_eq!(store.erasures().unwrap().notes.len(), 1);
    }
}
