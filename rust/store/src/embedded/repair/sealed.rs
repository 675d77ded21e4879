//! Sealed files whose row is lost: the chain proves them, so they get it back.
//!
//! Promises: what is taken back leads from the commit before the gap to the one behind it, whole; what an erase has noted since
//! does not come back with it. Must never: take a file for the journal's because of its name.

use std::fs;

use crate::commit::Durability;
use crate::embedded::EmbeddedStore;
use crate::embedded::sealed_gaps::{Gap, beginning_after, place};
use crate::embedded::staging::is_in_use;
use crate::erasure::{Erasure, digest_of_scope};
use crate::error::Result;
use crate::findings::Check;
use crate::journal::JournalRow;
use crate::repair::Repair;
use crate::sealed::SealedFile;

/// A file that was found, and its commits as they may come back.
struct Found {
    file: SealedFile,
    rows: Vec<JournalRow>,
    /// How many of them an erase has noted since.
    erased: u64,
}

impl EmbeddedStore {
    /// Takes back what closes gaps, nothing if nothing proves what is there; and takes away rows that are broken, once no commit is
    /// missing. Errors: those of reads, writes and a commit.
    pub(super) fn mend_sealed(&self) -> Result<Vec<Repair>> {
        let mut made = self.take_back_sealed()?;
        made.extend(self.delete_broken_rows()?);
        Ok(made)
    }

    fn delete_broken_rows(&self) -> Result<Vec<Repair>> {
        let files = self.reading(|session| session.sealed_files())?;
        if files.iter().all(Result::is_ok) {
            return Ok(Vec::new());
        }
        let deleted = self.in_transaction(Durability::Durable, move |transaction| {
            // Damage elsewhere may hide a gap.
            if !matches!(transaction.session().sealed_gaps(), Ok(gaps) if gaps.is_empty()) {
                return Ok(Vec::new());
            }
            let mut keys = Vec::new();
            transaction.writing(|session| {
                keys = session.delete_broken_sealed_rows()?;
                Ok(())
            })?;
            Ok(keys)
        })?;
        let repairs = deleted.into_iter().map(|which| Repair {
            check: Check::Manifest,
            which,
            detail: "the row was taken away: it described no file, and every commit is in another one's, or in the table".into(),
        });
        Ok(repairs.collect())
    }

    fn take_back_sealed(&self) -> Result<Vec<Repair>> {
        let mut made = Vec::new();
        let mut unnamed = self.writable()?.shared.unnamed_sealed_files()?;
        if unnamed.is_empty() {
            return Ok(made);
        }
        // Erases that are under way write such files.
        let alone = self.alone_with_erases(self.lock_wait)?;
        let root = &self.writable()?.shared.root;
        unnamed.retain(|name| !is_in_use(&place(root, name)));
        // What says nothing of its own damage is for others to mend.
        let read = self.in_one_read(|session| {
            Ok((
                session.sealed_gaps()?,
                session.store_id()?,
                session.erasures()?,
            ))
        });
        let Ok((gaps, store_id, notes)) = read else {
            return Ok(made);
        };
        for gap in gaps {
            let Some(found) = self.path_through(&gap, &unnamed, &store_id, &notes)? else {
                continue;
            };
            made.extend(self.name_again(gap, found)?);
        }
        drop(alone);
        if !made.is_empty() {
            self.remove_stray_sealed_files()?;
        }
        Ok(made)
    }

    /// Files that lead through the gap; None if they don't.
    fn path_through(
        &self,
        gap: &Gap,
        unnamed: &[String],
        store_id: &[u8; 16],
        notes: &[Erasure],
    ) -> Result<Option<Vec<Found>>> {
        let root = &self.writable()?.shared.root;
        let (mut path, mut end) = (Vec::new(), gap.before);
        while !gap.ends_with(&end) {
            // Two of one beginning say the same, but for what was erased.
            let next = beginning_after(unnamed, &end)
                .into_iter()
                .find_map(|(name, id)| {
                    let bytes = fs::read(place(root, name)).ok()?;
                    let (file, rows) = SealedFile::found(id, &bytes)?;
                    let follows = file.head_before() == end && file.last <= gap.last;
                    (follows && file.name() == name).then_some((file, rows))
                });
            let Some((file, rows)) = next else {
                return Ok(None);
            };
            end = file.head_after();
            let mut erased = 0;
            let strip = |row: JournalRow| -> Result<JournalRow> {
                let entry = row.entry()?;
                let of = digest_of_scope(store_id, &entry.scope);
                let noted = |note: &Erasure| note.scope == of && row.position <= note.position;
                if entry.blank || !notes.iter().any(noted) {
                    return Ok(row);
                }
                erased += 1;
                Ok(row.erased())
            };
            let rows = rows.into_iter().map(strip).collect::<Result<_>>()?;
            path.push(Found { file, rows, erased });
        }
        Ok(Some(path))
    }

    /// Writes their rows, if the gap is still there. What is to be stripped is written anew before.
    fn name_again(&self, gap: Gap, found: Vec<Found>) -> Result<Vec<Repair>> {
        let (mut named, mut held, mut made) = (Vec::new(), Vec::new(), Vec::new());
        for Found { file, rows, erased } in found {
            let mut detail =
                "its row was written anew; the chain before and after it proves it".to_owned();
            let mut file = file;
            if erased > 0
                && let Some((new, bytes)) = SealedFile::seal(&file.head_before(), &rows)?
            {
                let new_file = self.hold_sealed(&new)?;
                new_file.write(&bytes)?;
                held.push(new_file);
                file = new;
                detail = format!("{detail}; what was erased since is not in it any more");
            }
            made.push(Repair {
                check: Check::Manifest,
                which: format!("commits {} to {}", file.first, file.last),
                detail,
            });
            named.push(file);
        }
        let still = self.in_transaction(Durability::Durable, move |transaction| {
            let session = transaction.session();
            if !session.sealed_gaps()?.contains(&gap) {
                return Ok(false);
            }
            let generation = session.gc_generation()?.saturating_add(1);
            transaction.writing(|session| {
                for file in &named {
                    session.write_sealed_file(file)?;
                }
                // What others have read of the journal was not all of it.
                session.write_gc_generation(generation)
            })?;
            Ok(true)
        })?;
        Ok(if still { made } else { Vec::new() })
    }
}
