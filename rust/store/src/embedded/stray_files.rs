//! Files, objects and sealed files that no row names: what a crash left between one and its row, or between a row's
//! deletion and its file's.
//!
//! That no row names a file proves something only if every row is what was written. So before the first is removed all block
//! rows are read, and compared with their checks and their number: while one is damaged, or gone, any file may be its, and
//! all of them stay. It costs a pass over the rows, and only where there is something to remove.
//! Promises: what a row will name is told by a lock until then, and never removed; a commit whose end nobody knew is
//! overwritten, or seen, before what it may name goes.
//! Must never: wait for the writer while it holds the lock of who removes files.

use std::collections::HashSet;
use std::time::Duration;

use super::blob::{digest_and_time, without_tree_suffix};
use super::core::Shared;
use super::directory::FILES_LOCK;
use super::files_lock::nobody_copies_older;
use super::objects::{Objects, Outside, Strays};
use super::queue::Work;
use super::reply::Reply;
use super::session::Session;
use super::staging::is_in_use;
use crate::clock::Clock;
use crate::commit::Durability;
use crate::error::{Result, StoreError};
use crate::gc::Kept;
use crate::store::HOLD_MS;

/// Who begins an upload has the lock of who copies files for less than this.
const COPY_WAIT: Duration = Duration::from_millis(100);

/// Commits something, so that what was committed before, and never answered, is known to all.
pub(super) type Settle<'s> = &'s dyn Fn() -> Result<()>;

/// For the writer's queue: the generation once more.
pub(super) fn settling(reply: Reply<()>) -> Work {
    Work::Change {
        work: Box::new(|transaction| {
            let generation = transaction.session().gc_generation()?;
            transaction.writing(|session| session.write_gc_generation(generation))
        }),
        durability: Durability::Durable,
        frees: true,
        reply,
    }
}

/// The bucket's failure is not the collection's: what stays is found by the next one.
fn until_the_next(error: StoreError, count: u64) -> Result<Kept> {
    match error {
        StoreError::Bucket { .. } => {
            tracing::warn!(%error, "objects without a row stay until the next collection");
            Ok(Kept::because(count, &error))
        }
        // The store is being closed.
        StoreError::Cancelled => Ok(Kept::default()),
        error => Err(error),
    }
}

impl Shared {
    /// Files once nobody can be at them any more, by the machine's clock, since their names are; objects and sealed files
    /// whatever their age. Errors: `Io`, those of a commit.
    pub(super) fn remove_stray_files(&self, settle: Settle<'_>) -> Result<Kept> {
        let moment_ms = Clock::system().now_ms().saturating_sub(HOLD_MS);
        self.remove_stray_files_from_before(moment_ms, settle)
    }

    /// The same of files that were written before that moment.
    pub(super) fn remove_stray_files_from_before(
        &self,
        moment_ms: i64,
        settle: Settle<'_>,
    ) -> Result<Kept> {
        let mut kept = self.remove_stray_sealed_files(settle)?;
        if let Some(alone) = self.may_remove_files() {
            self.remove_dead_uploads(&alone)?;
        } else {
            return Ok(kept);
        }
        match self.blobs.objects() {
            Some(objects) => {
                kept.add(self.remove_stray_objects(objects, settle)?);
            }
            None => kept.add(self.remove_stray_blobs(moment_ms, settle)?),
        }
        Ok(kept)
    }

    fn remove_stray_blobs(&self, moment_ms: i64, settle: Settle<'_>) -> Result<Kept> {
        let mut strays = Vec::new();
        for (file, _) in self.blobs.list()? {
            let name = without_tree_suffix(&file);
            if let Some((digest, written_ms)) = digest_and_time(name)
                && written_ms < moment_ms
                && !self.is_named(&digest, name)?
            {
                strays.push((name.to_owned(), digest));
            }
        }
        // A file and its tree are one.
        strays.sort();
        strays.dedup();
        if let Some(kept) = self.in_doubt(strays.iter().map(|(name, _)| &**name), settle)? {
            return Ok(kept);
        }
        let Some(_alone) = self.may_remove_files() else {
            return Ok(Kept::default());
        };
        for (name, digest) in strays {
            // Who held it may have committed its row since.
            if !is_in_use(&self.blobs.place(&name)) && !self.is_named(&digest, &name)? {
                self.blobs.remove(&name);
            }
        }
        Ok(Kept::default())
    }

    fn remove_stray_objects(&self, objects: &Objects, settle: Settle<'_>) -> Result<Kept> {
        let outside = self.outside();
        let strays = match objects.strays(&outside) {
            Ok(strays) => strays,
            Err(error) => return until_the_next(error, 0),
        };
        let names = strays.objects.iter().map(|(name, _)| &**name);
        let (strays, mut kept) = match self.in_doubt(names, settle)? {
            None => (strays, Kept::default()),
            // Notes go all the same: they are of what is stored, or of what never was.
            Some(doubt) => (Strays::default(), doubt),
        };
        let count = strays.objects.len() as u64;
        if let Err(error) = objects.remove_strays(strays, &outside) {
            kept.add(until_the_next(error, count)?);
        }
        Ok(kept)
    }

    /// Removes files that no row names any more, unless somebody copies the files of a snapshot that names them, for longer than
    /// a moment: they stay for a later collection then. False: so does the rest, since the bucket does not answer.
    pub(super) fn remove_files(&self, names: &[String]) -> bool {
        // Whoever copies from now on has a snapshot in which the rows are gone: nobody waits for the network.
        if names.is_empty() || !self.nobody_copies_older(COPY_WAIT) {
            return true;
        }
        if let Some(objects) = self.blobs.objects() {
            return objects.remove_named(names, &self.outside());
        }
        for name in names {
            self.blobs.remove(name);
        }
        true
    }

    fn outside(&self) -> Outside<'_> {
        Outside {
            is_named: Box::new(|digest, name| self.is_named(digest, name)),
            may_remove: Box::new(|| self.nobody_copies_older(Duration::ZERO)),
        }
    }

    /// False where that can't be told, too.
    fn nobody_copies_older(&self, wait: Duration) -> bool {
        let path = self.root.join(FILES_LOCK);
        nobody_copies_older(&path, &self.disk, wait).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "files without a row stay behind");
            false
        })
    }

    fn is_named(&self, digest: &[u8; 32], name: &str) -> Result<bool> {
        self.connections
            .reading(|session| session.names_file(digest, name))
    }

    /// Whether one of these may be a damaged row's all the same: then all of them stay. Errors: `Io`, those of a commit.
    fn in_doubt<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        settle: Settle<'_>,
    ) -> Result<Option<Kept>> {
        let names: HashSet<&str> = names.collect();
        if names.is_empty() {
            return Ok(None);
        }
        settle()?;
        let looked = self.connections.reading(|session| {
            session.run("BEGIN", "read")?;
            let looked = expect_sound_rows(session, &names);
            // Ends a read; if it fails, the connection is not used again.
            drop(session.run("ROLLBACK", "read"));
            looked
        });
        match looked {
            Ok(()) => Ok(None),
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(%error, files = names.len(), "files without a row stay: one may be the damaged row's");
                Ok(Some(Kept::because(names.len() as u64, &error)))
            }
            Err(error) => Err(error),
        }
    }
}

/// Errors: `Corrupt` where the rows are not all that were written, or one of them names one of these files after all.
fn expect_sound_rows(session: Session<'_>, names: &HashSet<&str>) -> Result<()> {
    let mut living = 0;
    session.each_block_row(&mut |row, is_dead| {
        let row = row?;
        living += u64::from(!is_dead);
        match row.file.filter(|file| names.contains(&**file)) {
            None => Ok(()),
            Some(file) => Err(StoreError::Corrupt {
                what: "table",
                which: "block".into(),
                detail: format!(
                    "its index does not lead to row {}, which names {file}",
                    row.ordinal
                ),
            }),
        }
    })?;
    let told = session.totals()?.blocks;
    if living == told {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        what: "table",
        which: "block".into(),
        detail: format!("it has {living} blocks, and {told} were stored"),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use treering_block::{Block, Cid, Encoded, Ipld};
    use ulid::Ulid;

    use super::*;
    use crate::bucket::Bucket;
    use crate::commit::{Change, Commit, Expect, RefMove};
    use crate::embedded::blob::{named, tree_path};
    use crate::embedded::{EmbeddedStore, OpenOptions};
    use crate::faults::{Request, SimulatedBucket};
    use crate::gc::GcOptions;
    use crate::name::RefName;
    use crate::store::Store;

    /// More than a row holds.
    const SIZE: usize = 300_000;

    fn open(path: &Path, bucket: Option<&Arc<SimulatedBucket>>) -> EmbeddedStore {
        let options = OpenOptions {
            blobs: bucket.map(|bucket| Arc::clone(bucket) as Arc<dyn Bucket>),
            ..OpenOptions::default()
        };
        EmbeddedStore::open(path, &options).unwrap()
    }

    fn put(store: &EmbeddedStore, byte: u8) -> Cid {
        // Reached by a link alone: a collection reads its row in the graph, and no other.
        let leaf = Block::raw(vec![byte; SIZE]);
        let list = Ipld::List(vec![Ipld::Link(leaf.cid.into())]);
        let node = Block::from_encoded(Encoded::from_ipld(&list).unwrap()).unwrap();
        let commit = Commit {
            scope: "main".into(),
            moves: vec![RefMove {
                name: RefName::new("main", "thread", [format!("{byte}")]).unwrap(),
                expect: Expect::Any,
                change: Change::Set {
                    target: node.cid,
                    record: vec![],
                },
            }],
            blocks: vec![leaf.clone(), node],
            ..Commit::default()
        };
        store.submit(commit).wait().unwrap();
        leaf.cid
    }

    /// In a directory: the file as one of the day before yesterday.
    fn grow_old(store: &EmbeddedStore, cid: &Cid) {
        let row = store
            .reading(|session| session.find_block(cid))
            .unwrap()
            .unwrap();
        let now_ms = u64::try_from(Clock::system().now_ms()).unwrap();
        let old = Ulid::from_parts(now_ms - 2 * HOLD_MS.cast_unsigned(), 7);
        let (from, to) = (row.file.clone().unwrap(), named(cid.digest(), old));
        let blobs = &store.core.shared.blobs;
        std::fs::rename(blobs.place(&from), blobs.place(&to)).unwrap();
        let (from, to_tree) = (tree_path(&blobs.place(&from)), tree_path(&blobs.place(&to)));
        std::fs::rename(from, to_tree).unwrap();
        let work = move |transaction: &mut crate::embedded::transaction::Transaction<'_>| {
            transaction.writing(|session| session.replace_file(&row, &to))
        };
        store.in_transaction(Durability::Durable, work).unwrap();
    }

    fn damage(path: &Path, sql: &str) {
        let conn = rusqlite::Connection::open(path.join("store.db")).unwrap();
        conn.execute_batch(sql).unwrap();
    }

    const DAMAGES: [&str; 6] = [
        // One byte of the name, and none of it.
        "UPDATE block SET file = replace(file, substr(file, -1), '~') WHERE size = 300000 AND digest = X",
        "UPDATE block SET file = NULL WHERE digest = X",
        "UPDATE block SET key8 = key8 + 1 WHERE digest = X",
        "UPDATE block SET digest = zeroblob(32) WHERE digest = X",
        "UPDATE block SET size = 300001 WHERE digest = X",
        // The row is gone.
        "DELETE FROM block WHERE digest = X",
    ];

    fn a_file_stays_while_rows_are_damaged(in_bucket: bool) {
        for sql in DAMAGES {
            let home = tempfile::tempdir().unwrap();
            let bucket = in_bucket.then(|| SimulatedBucket::new("sim://bucket/prefix"));
            let store = open(home.path(), bucket.as_ref());
            let (cid, stray) = (put(&store, 1), put(&store, 2));
            if !in_bucket {
                grow_old(&store, &cid);
                grow_old(&store, &stray);
            }
            let file = |cid: &Cid| {
                let row = store.reading(|session| session.find_block(cid)).unwrap();
                row.unwrap().file.unwrap()
            };
            let (kept, gone) = (file(&cid), file(&stray));
            let there = |name: &str| match &bucket {
                Some(bucket) => bucket.contents().objects.contains_key(name),
                None => home.path().join("blobs").join(name).exists(),
            };
            // The second one's row is taken away whole, as a crash might leave it.
            store
                .in_transaction(Durability::Durable, move |transaction| {
                    let row = transaction.session().find_block(&stray)?.unwrap();
                    transaction
                        .writing(|session| session.delete_block_rows(row.ordinal).map(drop))?;
                    transaction.subtract(crate::gc::Figures {
                        blocks: 1,
                        bytes: SIZE as u64,
                        ..crate::gc::Figures::default()
                    });
                    Ok(())
                })
                .unwrap();
            store
                .submit(Commit {
                    scope: "main".into(),
                    moves: vec![RefMove {
                        name: RefName::new("main", "thread", ["2"]).unwrap(),
                        expect: Expect::Any,
                        change: Change::Delete,
                    }],
                    ..Commit::default()
                })
                .wait()
                .unwrap();
            drop(store);
            let digest = blake3::Hash::from_bytes(*cid.digest()).to_hex();
            damage(home.path(), &sql.replace('X', &format!("x'{digest}'")));
            let store = open(home.path(), bucket.as_ref());
            let report = store.gc(&GcOptions::default()).unwrap();
            assert!(there(&kept) && there(&gone), "{sql}");
            assert!(report.kept_files > 0, "{sql}");
            let why = report.kept_because.unwrap();
            assert!(why.contains("block"), "{why}");
            assert!(store.vacuum().unwrap().files_left > 0);
            // A repair finds what it needs, and then the other one goes.
            store.repair().unwrap();
            assert_eq!(*store.get(&cid).unwrap(), vec![1; SIZE], "{sql}");
            let report = store.gc(&GcOptions::default()).unwrap();
            assert_eq!((report.kept_files, report.kept_because), (0, None), "{sql}");
            assert!(!there(&gone), "{sql}");
            assert_eq!(*store.get(&cid).unwrap(), vec![1; SIZE], "{sql}");
        }
    }

    #[test]
    fn a_file_in_the_directory_stays_while_rows_are_damaged() {
        a_file_stays_while_rows_are_damaged(false);
    }

    #[test]
    fn an_object_stays_while_rows_are_damaged() {
        a_file_stays_while_rows_are_damaged(true);
    }

    #[test]
    fn nothing_is_looked_at_where_nothing_lies_about() {
        let home = tempfile::tempdir().unwrap();
        let bucket = SimulatedBucket::new("sim://bucket/prefix");
        let store = open(home.path(), Some(&bucket));
        put(&store, 1);
        let generation = || store.reading(|session| session.gc_generation()).unwrap();
        let (before, commits) = (generation(), store.stats().unwrap());
        bucket.forget();
        store.gc(&GcOptions::default()).unwrap();
        assert_eq!(generation(), before);
        assert_eq!(store.stats().unwrap().blocks, commits.blocks);
        assert_eq!(bucket.count(Request::List), 1);
        assert_eq!(bucket.count(Request::Read), 0);
    }
}
