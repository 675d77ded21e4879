//! A backup in a bucket: the files of a backup's directory, in pieces, and a manifest that names them.
//!
//! Objects are `pieces/GENERATION/BLAKE3` and `manifests/GENERATION`; none is ever changed, and the newest manifest is the
//! backup. A backup of generation n + 1 takes over pieces that manifest n names, sends the others under its own generation, and
//! makes manifest n + 1 unless there is one: of two that are made at once one gets it. Only then, and only by who got it,
//! what it does not name is removed of generations up to its own. Nobody else relies on that any more: the other one is
//! refused, and who came later has read the new manifest and sends under a later generation.
//! Promises: whatever ends it, the newest manifest and all that it names are there; bytes are hashed as they come back.
//! Never: a prefix that has anything else in it is written to.

mod fetch;
mod manifest;
mod place;
mod send;

use std::path::Path;

pub use self::fetch::fetch_backup;
use self::manifest::Manifest;
use self::place::Place;
pub(in crate::embedded) use self::place::lies_in;
use self::send::{Sending, named_paths, with_database};
use super::{BackupOptions, BackupReport};
use crate::bucket::Bucket;
use crate::embedded::EmbeddedStore;
use crate::embedded::registry;
use crate::error::{Result, StoreError};
use crate::progress::Progress;

impl EmbeddedStore {
    /// Copies the store into the directory `staging` as [`EmbeddedStore::backup`] does, and sends what of that the bucket lacks.
    /// Figures of the report are those of the directory; `sent_bytes` went to the bucket. A staging directory that is kept
    /// makes the next backup read what is new alone; one that is not there is made. O(backup) reading, O(what is new) sending.
    ///
    /// Errors: as [`EmbeddedStore::backup`]; `Invalid` for a prefix that holds something else or that lies in the place of a
    /// store or of another backup, a staging directory that this process has open, or when another backup was made there meanwhile; `Diverged` for a backup of another store, or of
    /// a history that this one's does not continue; `Corrupt` for a manifest that is none; `Bucket`. What the
    /// bucket held before is whole then.
    pub fn backup_to_bucket(
        &self,
        bucket: &dyn Bucket,
        staging: impl AsRef<Path>,
        options: &BackupOptions,
        progress: &Progress,
    ) -> Result<BackupReport> {
        let place = Place::look(bucket)?;
        place.expect_not_inside(bucket)?;
        let former = place.newest(bucket)?;
        if let Some((_, former)) = &former {
            self.prove_continues(former, bucket.url())?;
        }
        let (target, mut report) = self.back_up_into(staging.as_ref(), options, progress)?;
        let named = named_paths(&target)?;
        // Closing a file gives up all locks that this process has on it.
        let bare =
            registry::use_bare_alone(target.directory())?.ok_or_else(|| StoreError::Invalid {
                what: "staging directory",
                value: target.root().display().to_string(),
                rule: "this process has it open: close that store before it is sent".into(),
            })?;
        let store_id = self.reading(|session| session.store_id_text())?;
        let mut manifest = Manifest::of(store_id, report.head);
        let mut sending = Sending::new(bucket, &place, former.as_ref(), progress);
        let paths = with_database(&target, named);
        sending.send_all(&target, paths, &mut manifest)?;
        drop(bare);
        report.sent_bytes = sending.sent_bytes();
        let generation = match former {
            // The same again.
            Some((generation, former)) if former == manifest => generation,
            former => place.publish(bucket, former.map(|(generation, _)| generation), &manifest)?,
        };
        report.objects_left = place::remove_unnamed(bucket, generation, &manifest);
        Ok(report)
    }

    /// Errors: `Diverged`.
    fn prove_continues(&self, former: &Manifest, url: &str) -> Result<()> {
        let diverged = |why: String| StoreError::Diverged {
            path: url.to_owned(),
            why: format!("{why}; nothing was changed there: give another prefix"),
        };
        let position = former.head.position;
        let (store_id, chain) =
            self.reading(|session| Ok((session.store_id_text()?, session.chain_at(position)?)))?;
        if store_id != former.store_id {
            return Err(diverged("it is a backup of another store".into()));
        }
        if chain != Some(former.head.chain) {
            return Err(diverged(format!(
                "commit {position}, the backup's last, is not in the store's journal: the two went apart before it, or it was expired"
            )));
        }
        Ok(())
    }
}
