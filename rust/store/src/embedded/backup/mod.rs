//! A backup: a second directory that holds the store as it was at one moment, and can be opened for reading.
//!
//! The first one copies the database page by page and every large block; the following ones, into the same
//! directory, copy what came since in one transaction. Restoring is the same copy, into a store.
//! Promises: writers go on; what a backup holds is one moment of the store, whole, read again and checked
//! before it counts; whatever fails half-way leaves the backup of before, or a directory that is refused.
//! Never: it links to the store's files (one bad sector would be in both), or writes into a directory that
//! is something else.

mod clearing;
mod collecting;
mod database;
mod erasures;
mod files;
mod increment;
mod mirror;
mod rows;
mod sealed;
mod target;

use std::path::Path;
use std::time::Instant;

use treering_block::Cid;

pub use self::mirror::fetch_backup;
pub(super) use self::mirror::lies_in;
use self::target::{Found, Target, source_of};
use super::EmbeddedStore;
use super::blob::BlobFiles;
use super::directory::{BACKUP, FILES_LOCK, RESTORE};
use super::evidence::Snapshot;
use super::files_lock::{FilesLock, keep_files};
use super::manifest_rows::Totals;
use super::options::OpenOptions;
use super::session::Session;
use super::unread::Unread;
use crate::cursor::Head;
use crate::erasure::{Erasure, Erasures};
use crate::error::{Result, StoreError};
use crate::findings::VerifyReport;
use crate::progress::{Progress, Stage};
use crate::store::Store;
use crate::verify;

/// How a backup is made.
#[derive(Clone, Copy, Debug)]
pub struct BackupOptions {
    /// Whether a backup that is brought up to date is read again as a whole. What is copied always is.
    pub verify: bool,
}

impl Default for BackupOptions {
    fn default() -> Self {
        Self { verify: true }
    }
}

/// What a backup or a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Whether there was a backup already, which was brought up to date.
    pub incremental: bool,
    /// The end of the journal of the moment that was copied.
    pub head: Head,
    /// Commits that were copied.
    pub commits: u64,
    /// Blocks that were copied.
    pub blocks: u64,
    /// Blocks that the store had given up since the backup before, and that went from it too.
    pub removed_blocks: u64,
    /// Large blocks that were copied; they are among `blocks`.
    pub files: u64,
    /// Bytes that were copied: pages or rows of the database, and files.
    pub copied_bytes: u64,
    /// Scopes that were in it, and went because the store, or the notes that were given, say that they were erased.
    pub erased_scopes: u64,
    /// Blocks of the backup that were read again and hashed.
    pub checked_blocks: u64,
    /// Bytes that went to a bucket; 0 for a backup in a directory.
    pub sent_bytes: u64,
    /// Objects of former backups that are still in the bucket, since one could not be removed, 1 where they could not be listed;
    /// the next backup goes on. Of a restore: files and objects of erased scopes that are still there; whoever opens the
    /// store for writing next goes on.
    pub objects_left: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl EmbeddedStore {
    /// Copies the store, as it is at one moment, into the directory at `path`; brings a backup that is there
    /// up to date. Commits go on meanwhile; the log grows by what they write. A fork in another thread waits
    /// until it ends. O(store) the first time, then O(what is new), if `verify` is off.
    ///
    /// Errors: `Invalid` for a directory that holds something else; `Diverged` for a backup of another store,
    /// or of a history that this one's does not continue; `Corrupt` when what was copied is not sound;
    /// `LockTimeout` while another backup is made there; `DiskFull`, `Io`, `Cancelled`. The backup of before
    /// is whole then.
    pub fn backup(
        &self,
        path: impl AsRef<Path>,
        options: &BackupOptions,
        progress: &Progress,
    ) -> Result<BackupReport> {
        Ok(self.back_up_into(path.as_ref(), options, progress)?.1)
    }

    /// The same; the directory stays locked until the target is dropped.
    fn back_up_into(
        &self,
        path: &Path,
        options: &BackupOptions,
        progress: &Progress,
    ) -> Result<(Target, BackupReport)> {
        let started = Instant::now();
        let core = self.usable()?;
        let disk = &core.shared.disk;
        let target = Target::claim(path, BACKUP, &core.shared.root, disk, self.lock_wait)?;
        let mut report = match target.found() {
            Found::Store => self.at_one_moment(|moment| {
                increment::bring_up_to_date(moment, &target, options, progress)
            }),
            Found::Nothing => self
                .at_one_moment(|moment| first_copy(moment, &target, None, progress))
                .map(|copied| copied.report),
        }?;
        report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok((target, report))
    }

    /// Runs `work` on one moment of the store whose files stay until it ends.
    fn at_one_moment<T>(&self, work: impl FnOnce(&Moment<'_>) -> Result<T>) -> Result<T> {
        let shared = &self.usable()?.shared;
        let lock = shared.root.join(FILES_LOCK);
        // Before the snapshot: a collection that ends after it finds the lock taken.
        let files_stay = keep_files(&lock, &shared.disk, self.lock_wait)?;
        let reader = shared.connections.read()?;
        let session = reader.session();
        session.run("BEGIN", "read")?;
        let done =
            Moment::begin(self, session, files_stay.as_ref()).and_then(|moment| work(&moment));
        // Ends a read; if it fails, the connection is not used again.
        drop(session.run("ROLLBACK", "read"));
        if done.is_ok() && !reader.is_still_true() {
            return Err(StoreError::Invalid {
                what: "store directory",
                value: self.location(),
                rule: "it is read-only for this process and another one wrote to it; try again"
                    .into(),
            });
        }
        done
    }
}

/// Makes a store of a backup (or of another store's directory) in a directory that is absent or empty.
/// The store goes on where the backup ends; leases are not restored. With `options.blobs` its large blocks go to that bucket,
/// where nothing may lie.
///
/// Errors: as [`EmbeddedStore::backup`]; `NotAStore` if `backup` is none; `Invalid` for a directory with
/// something in it. An unfinished restore is refused when it is opened, and made anew by the next one.
pub fn restore(
    backup: impl AsRef<Path>,
    path: impl AsRef<Path>,
    options: &OpenOptions,
    progress: &Progress,
) -> Result<BackupReport> {
    restore_erased(backup, path, options, None, progress)
}

/// The same without the scopes that were erased in the store since the backup was made: `erased` is what the store
/// says, or a file of its notes; None for what the backup has. They are gone before there is a store to be
/// opened, and their notes are in it; what only they reached, or scopes that were erased before, is collected before this
/// answers. What a bucket did not remove is in the report, and goes with the next opening for writing.
///
/// Errors: as for [`restore`]; `Diverged` for notes of another store.
pub fn restore_erased(
    backup: impl AsRef<Path>,
    path: impl AsRef<Path>,
    options: &OpenOptions,
    erased: Option<&Erasures>,
    progress: &Progress,
) -> Result<BackupReport> {
    let started = Instant::now();
    let (given, place) = (options, options.blobs.as_ref());
    let options = OpenOptions {
        create: false,
        read_only: true,
        blobs: None,
        ..options.clone()
    };
    let source = EmbeddedStore::open(backup, &options)?;
    let root = source.core.shared.root.clone();
    let path = path.as_ref();
    let target = Target::claim(path, RESTORE, &root, &options.disk, options.lock_wait)?;
    let of = source.erasures()?.store_id;
    if erased.is_some_and(|erased| erased.store_id != of) {
        return Err(StoreError::Diverged {
            path: source.location(),
            why: "the notes of what was erased are of another store; nothing was restored".into(),
        });
    }
    if let Some(bucket) = place {
        let store_id = source.reading(|session| session.store_id_text())?;
        target.put_large_blocks_in(bucket, store_id)?;
    }
    let left_out = LeftOut {
        notes: erased.map_or(&[][..], |erased| &erased.notes),
        now_ms: source.now_ms(),
    };
    let copied =
        source.at_one_moment(|moment| first_copy(moment, &target, Some(&left_out), progress))?;
    let mut report = copied.report;
    if let Some(objects) = target.blobs().objects() {
        objects.settle_all();
    }
    if copied.is_clear {
        target.drop_marker()?;
    } else {
        // Its lock goes with it.
        drop(target);
        let restored = OpenOptions {
            create: false,
            ..given.clone()
        };
        report.objects_left = EmbeddedStore::open(path, &restored)?.clear_restored()?;
    }
    report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

/// What was erased since a backup was made, as the store says that it is of: the one at the place that the backup notes,
/// if it is there and the same. A directory that is a store, and no backup, says itself what it knows. None: nobody
/// says.
///
/// Errors: those of opening `backup`.
pub fn erased_since(backup: impl AsRef<Path>, options: &OpenOptions) -> Result<Option<Erasures>> {
    let options = OpenOptions {
        create: false,
        read_only: true,
        blobs: None,
        ..options.clone()
    };
    let backup = backup.as_ref();
    let known = EmbeddedStore::open(backup, &options)?.erasures()?;
    if !backup.join(BACKUP).exists() {
        return Ok(Some(known));
    }
    let Some(source) = source_of(backup) else {
        return Ok(None);
    };
    let told = EmbeddedStore::open(source, &options).and_then(|store| store.erasures());
    Ok(told.ok().filter(|told| told.store_id == known.store_id))
}

/// One moment of the store that is copied.
struct Moment<'c> {
    session: Session<'c>,
    blobs: &'c BlobFiles,
    /// For messages.
    location: String,
    totals: Totals,
    head: Head,
    /// Whether the files that it names stay.
    files_stay: bool,
}

impl<'c> Moment<'c> {
    fn begin(
        store: &'c EmbeddedStore,
        session: Session<'c>,
        files_stay: Option<&FilesLock>,
    ) -> Result<Self> {
        let shared = &store.core.shared;
        if !shared.tiers.is_empty() {
            return Err(StoreError::Invalid {
                what: "store",
                value: store.location(),
                rule: "blocks in colder tiers are not in its directory, so a backup of that would lack them; copy it to another store".into(),
            });
        }
        Ok(Self {
            session,
            blobs: &shared.blobs,
            location: store.location(),
            totals: session.totals()?,
            head: session.tip_row()?.head,
            files_stay: files_stay.is_some(),
        })
    }
}

/// What a first copy is.
struct FirstCopy {
    report: BackupReport,
    /// Nothing was ever erased from it, for all that it knows.
    is_clear: bool,
}

/// What a store is made without.
struct LeftOut<'e> {
    notes: &'e [Erasure],
    /// By the clock of whoever restores it.
    now_ms: i64,
}

/// Copies everything into a directory that has no database yet; its last act is to name that. `left_out`: it is to be a store.
fn first_copy(
    moment: &Moment<'_>,
    target: &Target,
    left_out: Option<&LeftOut<'_>>,
    progress: &Progress,
) -> Result<FirstCopy> {
    target.clear()?;
    let mut report = BackupReport {
        head: moment.head,
        commits: moment
            .head
            .position
            .saturating_sub(moment.session.journal_start()?.head.position),
        ..BackupReport::default()
    };
    let new = database::copy_pages(moment, target, progress)?;
    report.copied_bytes += new.bytes;
    new.make_bare()?;
    if let Some(objects) = target.blobs().objects() {
        new.keep_large_blocks_in(&objects.marked_owner())?;
    }
    report.copied_bytes += sealed::copy(moment, target, &[], progress)?;
    let unsound = |why: String| StoreError::Corrupt {
        what: "store",
        which: moment.location.clone(),
        detail: format!("its copy is not sound, so there is no new backup: {why}"),
    };
    if let Some(why) = is_of_another(new.session(), moment)? {
        return Err(unsound(why.into()));
    }
    let mut is_clear = true;
    if let Some(left_out) = left_out {
        report.erased_scopes = without(new.session(), target, left_out.notes)?;
        // One that the backup knows of may have blocks that were not collected, or rows that were not taken away, when it was
        // made; and pages that were not given back.
        is_clear = new.session().erasures()?.is_empty();
        if !is_clear {
            collecting::collect(new.session(), left_out.now_ms)?;
        }
    }
    let copied = files::copy_new(moment, new.session(), target, 0, progress)?;
    report.files = copied.files;
    report.copied_bytes += copied.bytes;
    report.blocks = new.session().totals()?.blocks;
    progress.enter(Stage::Check, report.blocks)?;
    let checked = read_again(new.session(), target, 0, true, progress)?;
    report.checked_blocks = checked.blocks;
    if let Some(why) = first_finding(&checked) {
        return Err(unsound(why));
    }
    if !is_clear {
        target.note_left_out()?;
    }
    target.remove_unnamed_files(new.session());
    sealed::remove_unnamed(new.session(), target);
    new.finish()?;
    target.name_database()?;
    Ok(FirstCopy { report, is_clear })
}

/// Takes out what these notes mean, and keeps them; and what was being erased when the backup was made. How many scopes went.
fn without(copy: Session<'_>, target: &Target, erased: &[Erasure]) -> Result<u64> {
    let new = erasures::not_in(erased.to_vec(), copy)?;
    if new.is_empty() && copy.erasing()?.is_empty() {
        return Ok(0);
    }
    copy.run("BEGIN IMMEDIATE", "write")?;
    let stripped = erasures::apply(copy, target, &new)?;
    for note in new {
        // The commit is the store's, not this history's.
        copy.write_erasure(&Erasure {
            position: 0,
            ..note
        })?;
    }
    copy.run("COMMIT", "write")?;
    Ok(stripped)
}

/// Reads what was copied, and everything if `whole`: blocks are hashed, links, rows and the chain checked. Errors:
/// `Io` naming a file of the copy that the disk does not give; `Cancelled`.
fn read_again(
    session: Session<'_>,
    target: &Target,
    after: u64,
    whole: bool,
    progress: &Progress,
) -> Result<VerifyReport> {
    let blobs = target.blobs();
    let snapshot = Snapshot {
        session,
        blobs: &blobs,
        connections: None,
        after: if whole { 0 } else { after },
        progress,
        tiers: &[],
        unread: Unread::default(),
    };
    let report = if whole {
        verify::verify(&snapshot, None)
    } else {
        verify::verify_blocks(&snapshot)
    };
    progress.go_on()?;
    // What can't be read now is not known to be wrong.
    snapshot.unread.end()?;
    Ok(report)
}

/// What was found wrong with a copy; None if it is sound.
fn first_finding(checked: &VerifyReport) -> Option<String> {
    let first = checked.findings.first()?;
    Some(format!(
        "{} findings, the first: {}: {}",
        checked.findings.len(),
        first.which,
        first.detail
    ))
}

/// Why a copy is not of that moment; None if it is.
fn is_of_another(copy: Session<'_>, moment: &Moment<'_>) -> Result<Option<&'static str>> {
    Ok(if copy.tip_row()?.head != moment.head {
        Some("its journal does not end where the store's does")
    } else if copy.totals()? != moment.totals {
        Some("its totals are not the store's")
    } else {
        None
    })
}

/// `Corrupt` for a block whose file can't be copied.
fn broken_file(cid: &Cid, detail: &str) -> StoreError {
    super::block_rows::broken_bytes(cid, detail)
}
