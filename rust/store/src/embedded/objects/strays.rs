//! Collections: objects whose rows are gone, and what crashes and failures left.
//!
//! An object without a row that nobody holds is garbage at once: whoever sends one holds its note from before the first
//! request until the row is committed. A note is kept for a day, so that an upload in parts can be gone on with.
//! Must never: remove an object whose note, or mark, somebody has; look for the row before it has the note.

use std::path::PathBuf;

use super::note::{Note, Taken};
use super::{Objects, last_segment, mark};
use crate::embedded::blob::digest_and_time;
use crate::embedded::sqlite_error::io_error;
use crate::error::Result;
use crate::store::HOLD_MS;

/// What the rest of the store knows.
pub(in crate::embedded) struct Outside<'o> {
    /// Whether a row names that object.
    pub(in crate::embedded) is_named: &'o dyn Fn(&[u8; 32], &str) -> Result<bool>,
    /// False while somebody copies the objects of a snapshot, whose rows may be gone since. To be asked after the rows.
    pub(in crate::embedded) may_remove: &'o dyn Fn() -> bool,
}

impl Objects {
    /// Removes an object whose row is gone. What is read, or can't be removed, stays for the next collection.
    pub(in crate::embedded) fn remove_named(&self, name: &str) {
        if self.is_closing() {
            return;
        }
        if mark::is_read(&self.marks(), last_segment(name)) {
            tracing::debug!(
                object = name,
                "it is being read, and stays until the next collection"
            );
            return;
        }
        let removed = self.unless_closing(|| self.bucket()?.remove(name));
        if let Err(error) = removed {
            tracing::warn!(%error, object = name, "an object without a row stays until the next collection");
        }
    }

    /// Errors: `Bucket`, those of the rows; `Cancelled`.
    pub(in crate::embedded) fn remove_strays(&self, outside: &Outside<'_>) -> Result<()> {
        self.unless_closing(|| self.look_for_strays(outside))
    }

    fn look_for_strays(&self, outside: &Outside<'_>) -> Result<()> {
        let mut strays = Vec::new();
        self.each(&mut |name, _| {
            if let Some((digest, _)) = digest_and_time(&name)
                && !(outside.is_named)(&digest, &name)?
            {
                strays.push((name, digest));
            }
            Ok(())
        })?;
        for (name, digest) in strays {
            if self.is_closing() {
                return Ok(());
            }
            self.remove_stray(&name, &digest, outside)?;
        }
        self.remove_notes(outside)
    }

    fn remove_stray(&self, name: &str, digest: &[u8; 32], outside: &Outside<'_>) -> Result<()> {
        let path = self.notes().join(last_segment(name));
        let note = match Note::take(&path, &self.disk) {
            Ok(Taken::Ours(note)) => Some(note),
            Ok(Taken::Absent) => None,
            Ok(Taken::Held) => return Ok(()),
            Err(error) => return Err(io_error("lock", &path, error)),
        };
        // Its row may have been committed since it was listed.
        if (outside.is_named)(digest, name)?
            || !(outside.may_remove)()
            || mark::is_read(&self.marks(), last_segment(name))
        {
            return Ok(());
        }
        self.bucket()?.remove(name)?;
        if let Some(note) = note {
            // Of an upload that was completed nothing is left at the server.
            note.remove();
        }
        Ok(())
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
