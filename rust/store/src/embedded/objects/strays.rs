//! Collections: objects whose rows are gone, and what crashes and failures left.
//!
//! An object without a row that nobody holds is garbage at once: whoever sends one holds its note from before the first
//! request until the row is committed. A note is kept for a day, so that an upload in parts can be gone on with.
//! Promises: an object goes in this order: its note is ours, or there is none; no row names it; the note is gone for good;
//! the request. So a request that fails, and happens later, takes nothing that was put again meanwhile.
//! Must never: remove an object whose note, or mark, somebody has; look for the row before it has the note; remove what is
//! not known to be ours.

use std::path::PathBuf;

use super::note::{Note, Taken, forgotten};
use super::{Objects, last_segment, mark};
use crate::embedded::blob::digest_and_time;
use crate::embedded::sqlite_error::io_error;
use crate::error::Result;
use crate::store::HOLD_MS;

/// Objects whose notes are synced together.
const TOGETHER: usize = 64;

/// Name and digest of an object that no row names.
type Stray = (String, [u8; 32]);

/// What lies in the place for nobody, as far as a listing tells.
#[derive(Default)]
pub(in crate::embedded) struct Strays {
    /// Objects that no row names.
    pub(in crate::embedded) objects: Vec<Stray>,
    /// What told that the store was being made.
    made: Vec<String>,
}

/// Of a digest and a name: whether a row has both.
type IsNamed<'o> = Box<dyn Fn(&[u8; 32], &str) -> Result<bool> + 'o>;

/// What the rest of the store knows.
pub(in crate::embedded) struct Outside<'o> {
    /// Whether a row names that object.
    pub(in crate::embedded) is_named: IsNamed<'o>,
    /// False while somebody copies the objects of a snapshot, whose rows may be gone since. To be asked after the rows.
    pub(in crate::embedded) may_remove: Box<dyn Fn() -> bool + 'o>,
}

impl Objects {
    /// Removes objects whose rows are gone. What is read or held, or can't be removed, stays for the next collection. False:
    /// the bucket failed, as it may for the next one, after as long.
    pub(in crate::embedded) fn remove_named(
        &self,
        names: &[String],
        outside: &Outside<'_>,
    ) -> bool {
        let named = names
            .iter()
            .filter_map(|name| digest_and_time(name).map(|(digest, _)| (name.clone(), digest)));
        let removed = self.unless_closing(|| self.remove_each(named, outside));
        if let Err(error) = &removed {
            tracing::warn!(%error, "objects without a row stay until the next collection");
        }
        removed.is_ok()
    }

    /// What no row names. Errors: `Bucket`, those of the rows; `Cancelled`.
    pub(in crate::embedded) fn strays(&self, outside: &Outside<'_>) -> Result<Strays> {
        self.unless_closing(|| self.look_for_strays(outside))
    }

    fn look_for_strays(&self, outside: &Outside<'_>) -> Result<Strays> {
        let mut strays = Strays::default();
        self.each(&mut |name, _| {
            if let Some((digest, _)) = digest_and_time(&name) {
                if !(outside.is_named)(&digest, &name)? {
                    strays.objects.push((name, digest));
                }
            } else if self.is_of_making(&name) {
                strays.made.push(name);
            }
            Ok(())
        })?;
        Ok(strays)
    }

    /// Removes those of [`Objects::strays`] that still are; then what is left of notes. Errors: `Bucket`, those of the rows;
    /// `Invalid`, `Corrupt` where the place is not ours any more: nothing is removed then; `Cancelled`.
    pub(in crate::embedded) fn remove_strays(
        &self,
        strays: Strays,
        outside: &Outside<'_>,
    ) -> Result<()> {
        self.unless_closing(|| self.remove_found(strays, outside))
    }

    fn remove_found(&self, strays: Strays, outside: &Outside<'_>) -> Result<()> {
        if !strays.objects.is_empty() || !strays.made.is_empty() {
            self.expect_still_ours()?;
            self.remove_made(&strays.made);
            self.remove_each(strays.objects.into_iter(), outside)?;
        }
        if self.is_closing() {
            return Ok(());
        }
        self.remove_notes(outside)
    }

    fn remove_each(
        &self,
        objects: impl Iterator<Item = Stray>,
        outside: &Outside<'_>,
    ) -> Result<()> {
        let objects: Vec<Stray> = objects.collect();
        for together in objects.chunks(TOGETHER) {
            let mut released = Vec::new();
            for (name, digest) in together {
                if self.may_go(name, digest, outside)? {
                    released.push(name);
                }
            }
            if !released.is_empty() {
                self.forget_released()?;
            }
            for name in released {
                if self.is_closing() {
                    return Ok(());
                }
                self.bucket()?.remove(name)?;
            }
        }
        Ok(())
    }

    /// Releases an object that no row names.
    fn may_go(&self, name: &str, digest: &[u8; 32], outside: &Outside<'_>) -> Result<bool> {
        let Some(held) = self.take_note(name)? else {
            return Ok(false);
        };
        // Its row may have been committed since it was listed.
        if (outside.is_named)(digest, name)?
            || !(outside.may_remove)()
            || mark::is_read(&self.marks(), last_segment(name))
        {
            return Ok(false);
        }
        self.release(name, held)
    }

    /// The note of an object, if there is one. None: somebody has it. Errors: `Io`.
    fn take_note(&self, name: &str) -> Result<Option<Option<Note>>> {
        let path = self.notes().join(last_segment(name));
        match Note::take(&path, &self.disk) {
            Ok(Taken::Ours(note)) => Ok(Some(Some(*note))),
            Ok(Taken::Absent) => Ok(Some(None)),
            Ok(Taken::Held) => Ok(None),
            Err(error) => Err(io_error("lock", &path, error)),
        }
    }

    /// Before an object is removed: nobody takes it for whole from now on, or from [`Objects::forget_released`] on whatever
    /// fails. `note`: who has it gives it. False: somebody else has it. Errors: `Io`; the object is to stay then.
    pub(super) fn release(&self, name: &str, note: Option<Note>) -> Result<bool> {
        let note = match note {
            Some(note) => Some(note),
            None => match self.take_note(name)? {
                Some(note) => note,
                None => return Ok(false),
            },
        };
        // No other gets this name: who puts the same bytes sends them under a new one.
        note.map_or(Ok(()), Note::forget)
            .map_err(|error| io_error("remove a note of", &self.notes(), error))?;
        Ok(true)
    }

    /// Notes that are gone stay gone: also those of objects that were stored, which were not synced then.
    pub(super) fn forget_released(&self) -> Result<()> {
        forgotten(&self.notes(), &self.disk).map_err(|error| io_error("sync", &self.notes(), error))
    }

    /// Notes that nobody has: of what is stored, and of uploads that nobody went on with for a day.
    fn remove_notes(&self, outside: &Outside<'_>) -> Result<()> {
        let now_ms = self.clock.now_ms();
        for path in listed(&self.notes()).map_err(|error| io_error("list", &self.notes(), error))? {
            let file_name = path.file_name().unwrap_or_default().to_string_lossy();
            let folder = file_name.chars().take(2).collect::<String>();
            let name = format!("{folder}/{file_name}");
            let Some((digest, written_ms)) = digest_and_time(&name) else {
                continue;
            };
            let is_old = now_ms.saturating_sub(written_ms) > HOLD_MS;
            if !is_old && !(outside.is_named)(&digest, &name)? {
                continue;
            }
            if let Ok(Taken::Ours(note)) = Note::take(&path, &self.disk) {
                self.give_up(&name, &note)?;
                note.remove();
            }
        }
        // Marks of processes that were killed.
        for path in listed(&self.marks()).map_err(|error| io_error("list", &self.marks(), error))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            mark::is_read(&self.marks(), &name);
        }
        Ok(())
    }

    /// Aborts what a note tells of. A killed process may have begun an upload and not noted what it is called.
    fn give_up(&self, name: &str, note: &Note) -> Result<()> {
        let bucket = self.bucket()?;
        let mut uploads: Vec<String> = note.upload.iter().cloned().collect();
        if uploads.is_empty() && note.is_of_parts() {
            uploads = bucket.uploads(name)?;
        }
        for upload in uploads {
            bucket.abort(name, &upload)?;
        }
        Ok(())
    }
}

fn listed(folder: &std::path::Path) -> std::io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found?.map(|entry| Ok(entry?.path())).collect(),
    }
}
