//! Backups of a store in a directory: what they hold, what they copy, what they refuse.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod backups;
mod embedded;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backups::*;
use embedded::{bytes, commit, fill, name, open, put, set};
use treering_block::Block;
use treering_store::{
    Disk, DiskLayer, EmbeddedStore, Expect, FileOp, OpenOptions, Progress, Stage, Store,
    StoreError, Verdict, restore,
};

struct Place {
    _home: tempfile::TempDir,
    store: PathBuf,
    backup: PathBuf,
    restored: PathBuf,
}

fn place() -> Place {
    let home = tempfile::tempdir().unwrap();
    Place {
        store: home.path().join("store"),
        backup: home.path().join("above/backup"),
        restored: home.path().join("restored"),
        _home: home,
    }
}

fn quick(store: &EmbeddedStore, path: &Path) -> treering_store::BackupReport {
    store.backup(path, &QUICK, &Progress::default()).unwrap()
}

fn refused(store: &EmbeddedStore, path: &Path) -> StoreError {
    store
        .backup(path, &VERIFIED, &Progress::default())
        .unwrap_err()
}

#[test]
fn a_first_backup_is_the_store_as_it_was() {
    let place = place();
    let store = open(&place.store);
    fill(&store);
    step(&store, 0);
    loose(&store, 0);
    let before = picture(&store);
    let report = back_up(&store, &place.backup);
    assert!(!report.incremental);
    let stats = store.stats().unwrap();
    assert_eq!(report.head, store.head().unwrap());
    assert_eq!(report.commits, stats.commits);
    assert_eq!(report.blocks, stats.blocks);
    assert_eq!(report.checked_blocks, stats.blocks);
    assert_eq!(report.files, 3);
    assert!(report.copied_bytes > stats.block_bytes);
    step(&store, 1);
    assert_is(&place.backup, &before);
    let backup = open_read_only(&place.backup).unwrap();
    assert!(store.lease_state(&name("one")).unwrap().is_some());
    assert_eq!(backup.lease_state(&name("one")).unwrap(), None);
}

#[test]
fn a_backup_is_opened_for_reading_only_whoever_asks() {
    let place = place();
    let store = open(&place.store);
    step(&store, 0);
    back_up(&store, &place.backup);
    let backup = open(&place.backup);
    assert!(!backup.may_write());
    let put = backup.submit(put(vec![Block::raw(b"x".to_vec())]));
    assert!(matches!(put.wait(), Err(StoreError::ReadOnly)));
    assert_eq!(picture(&backup), picture(&store));
}

#[test]
fn the_next_backup_copies_what_is_new_and_nothing_else() {
    let place = place();
    let store = open(&place.store);
    for number in 0..5 {
        step(&store, number);
    }
    let first = back_up(&store, &place.backup);
    let again = quick(&store, &place.backup);
    assert!(again.incremental);
    // The manifest's few rows are always copied.
    assert!(again.copied_bytes < 300, "{again:?}");
    assert_eq!((again.commits, again.blocks, again.files), (0, 0, 0));
    assert_eq!(again.checked_blocks, 0);
    assert_eq!(again.head, first.head);

    step(&store, 5);
    let before = fs::metadata(place.backup.join("store.db")).unwrap().len();
    let third = quick(&store, &place.backup);
    assert_eq!((third.commits, third.blocks, third.files), (1, 3, 1));
    assert_eq!(third.checked_blocks, 3);
    // A large block, its tree (1/16 of it), a small one; rows take a few hundred bytes each.
    let least = 300_000 + 300_000 / 16 + 700;
    assert!(
        third.copied_bytes > least && third.copied_bytes < least + 4_000,
        "{third:?}"
    );
    let after = fs::metadata(place.backup.join("store.db")).unwrap().len();
    assert!(after < before + 64_000, "{before} → {after}");
    assert_is(&place.backup, &picture(&store));

    let whole = back_up(&store, &place.backup);
    assert_eq!(whole.checked_blocks, store.stats().unwrap().blocks);
}

#[test]
fn what_was_removed_and_collected_goes_from_the_backup_too() {
    for dead_rows_left in [false, true] {
        let place = place();
        let store = open(&place.store);
        step(&store, 0);
        let gone = other(&store, "gone", 1);
        let held = loose(&store, 2);
        back_up(&store, &place.backup);
        assert_eq!(files(&place.backup).len(), 6);
        remove(&store, "gone");
        assert!(store.release_hold("main", &held.cid).unwrap());
        let short = loose(&store, 3);
        assert!(store.release_hold("main", &short.cid).unwrap());
        if dead_rows_left {
            // Buried, and not purged yet.
            let options = treering_store::GcOptions { dry_run: false };
            let mut collection = store.collection(&options).unwrap();
            while !matches!(collection.phase(), treering_store::gc::Phase::Purge(_)) {
                collection.step().unwrap();
            }
        } else {
            collect(&store);
        }
        loose(&store, 4);
        let report = back_up(&store, &place.backup);
        assert_eq!((report.blocks, report.removed_blocks), (1, 2));
        assert_is(&place.backup, &picture(&store));
        let backup = open_read_only(&place.backup).unwrap();
        for block in [&gone, &held, &short] {
            assert!(!backup.has(&block.cid).unwrap());
        }
        drop(backup);
        assert_eq!(
            files(&place.backup).len(),
            4,
            "files of the gone are removed"
        );
        // The same bytes again: a new block, which the backup gets.
        other(&store, "back", 1);
        assert_eq!(back_up(&store, &place.backup).blocks, 1);
        assert_is(&place.backup, &picture(&store));
    }
}

#[test]
fn a_hold_that_is_renewed_or_released_is_so_in_the_backup() {
    let place = place();
    let store = open(&place.store);
    let (one, two) = (loose(&store, 1), loose(&store, 2));
    back_up(&store, &place.backup);
    store
        .extend_hold("main", &one.cid, store.now_ms() + 1_000_000_000)
        .unwrap();
    store.release_hold("main", &two.cid).unwrap();
    let report = quick(&store, &place.backup);
    assert_eq!(report.commits, 0);
    assert_is(&place.backup, &picture(&store));
}

/// Runs something once, when the copy of a large block is made.
struct Meanwhile {
    below: PathBuf,
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl DiskLayer for Meanwhile {
    fn before(&self, op: &FileOp<'_>) -> Verdict {
        if let FileOp::Open { path, .. } = op
            && path.starts_with(self.below.join("blobs"))
            && let Some(act) = self.act.lock().unwrap().take()
        {
            act();
        }
        Verdict::Do
    }
    fn after(&self, _: &FileOp<'_>, _: bool) {}
}

/// A store with a backup under way, into `place.backup`, during which `act` runs.
fn back_up_while(
    place: &Place,
    prepare: impl Fn(&EmbeddedStore),
    act: impl FnOnce(&EmbeddedStore) + Send + 'static,
) -> (Arc<EmbeddedStore>, String) {
    fs::create_dir_all(&place.backup).unwrap();
    let layer = Arc::new(Meanwhile {
        below: place.backup.canonicalize().unwrap(),
        act: Mutex::default(),
    });
    let options = OpenOptions {
        disk: Disk::behind(Arc::clone(&layer) as _),
        ..OpenOptions::default()
    };
    let store = Arc::new(EmbeddedStore::open(&place.store, &options).unwrap());
    prepare(&store);
    let before = picture(&*store);
    let inner = Arc::clone(&store);
    *layer.act.lock().unwrap() = Some(Box::new(move || act(&inner)));
    back_up(&store, &place.backup);
    assert!(layer.act.lock().unwrap().is_none(), "it has run");
    (store, before)
}

#[test]
fn a_collection_meanwhile_takes_no_file_that_is_to_be_copied() {
    let place = place();
    let prepare = |store: &EmbeddedStore| {
        step(store, 0);
        other(store, "gone", 1);
        other(store, "gone too", 2);
    };
    let (store, before) = back_up_while(&place, prepare, |store| {
        step(store, 1);
        remove(store, "gone");
        remove(store, "gone too");
        collect(store);
        // The rows are gone, the files are not.
        assert_eq!(store.stats().unwrap().blocks, 6);
        assert_eq!(store.stats().unwrap().blob_files, 4);
    });
    assert_is(&place.backup, &before);
    // The next collection finds them.
    assert_eq!(store.stats().unwrap().blob_files, 4);
    back_up(&store, &place.backup);
    assert_is(&place.backup, &picture(&*store));
    assert_eq!(files(&place.backup).len(), 4);
}

#[test]
fn commits_go_on_meanwhile_and_are_in_the_next_one() {
    let place = place();
    let (store, before) = back_up_while(
        &place,
        |store| step(store, 0),
        |store| {
            for number in 1..4 {
                step(store, number);
            }
        },
    );
    assert_is(&place.backup, &before);
    let report = back_up(&store, &place.backup);
    assert_eq!((report.commits, report.blocks), (3, 9));
    assert_is(&place.backup, &picture(&*store));
}

#[test]
fn a_reader_of_the_backup_sees_one_moment_while_it_is_brought_up_to_date() {
    let place = place();
    let store = open(&place.store);
    step(&store, 0);
    back_up(&store, &place.backup);
    let reader = open(&place.backup);
    let before = picture(&reader);
    step(&store, 1);
    back_up(&store, &place.backup);
    assert_ne!(picture(&reader), before);
    assert_eq!(picture(&reader), picture(&store));
    assert_sound(&reader);
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let place = place();
    let store = open(&place.store);
    step(&store, 0);
    let foreign = place.backup.with_file_name("foreign");
    fs::create_dir_all(&foreign).unwrap();
    fs::write(foreign.join("thesis.txt"), b"mine").unwrap();
    let another = open(&place.restored);
    step(&another, 9);
    let inside = place.store.join("backup");
    let file = place.backup.with_file_name("file");
    fs::write(&file, b"mine").unwrap();
    for (path, why) in [
        (&foreign, "other files"),
        (&place.restored, "there is a store in it"),
        (&place.store, "own directory"),
        (&inside, "inside it"),
        (&place.store.join("blobs/deep/er"), "inside it"),
    ] {
        let error = refused(&store, path);
        assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
        let error = restore(
            &place.store,
            path,
            &OpenOptions::default(),
            &Progress::default(),
        );
        assert!(
            matches!(error, Err(StoreError::Invalid { .. })),
            "{error:?}"
        );
    }
    assert!(matches!(refused(&store, &file), StoreError::Io { .. }));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
    assert!(!inside.exists() && !place.store.join("blobs/deep").exists());
    assert_sound(&another);
    step(&another, 10);
}

#[test]
fn a_backup_of_another_history_is_refused_and_left_alone() {
    let place = place();
    let store = open(&place.store);
    step(&store, 0);
    back_up(&store, &place.backup);
    let kept = picture(&store);

    let stranger = open(&place.store.with_file_name("stranger"));
    step(&stranger, 0);
    let error = refused(&stranger, &place.backup);
    assert!(matches!(error, StoreError::Diverged { .. }), "{error:?}");
    assert!(error.to_string().contains("another store"), "{error}");

    // Restored, and both went on.
    restore_now(&place.backup, &place.restored);
    let restored = open(&place.restored);
    step(&restored, 1);
    step(&store, 2);
    back_up(&store, &place.backup);
    let error = refused(&restored, &place.backup);
    assert!(error.to_string().contains("went apart"), "{error}");
    // The shorter one is refused, too: it would take commits away.
    let old = place.store.with_file_name("old");
    restore_now(&place.backup, &old);
    step(&store, 3);
    back_up(&store, &place.backup);
    let error = refused(&open(&old), &place.backup);
    assert!(matches!(error, StoreError::Diverged { .. }), "{error:?}");
    assert!(
        error.to_string().contains("restored from an older one"),
        "{error}"
    );
    assert_is(&place.backup, &picture(&store));
    assert_ne!(picture(&store), kept);
}

fn restore_now(backup: &Path, path: &Path) -> treering_store::BackupReport {
    restore(backup, path, &OpenOptions::default(), &Progress::default()).unwrap()
}

#[test]
fn a_restored_store_is_the_store_and_its_backups_go_on() {
    let place = place();
    let store = open(&place.store);
    fill(&store);
    step(&store, 0);
    back_up(&store, &place.backup);
    let head = store.head().unwrap();
    step(&store, 1);
    drop(store);

    let report = restore_now(&place.backup, &place.restored);
    assert_eq!((report.head, report.incremental), (head, false));
    let restored = open(&place.restored);
    assert!(restored.may_write());
    assert_eq!(picture(&restored), picture(&open(&place.backup)));
    assert_eq!(restored.verify(Some(&head)).unwrap().findings, []);
    // A holder of the store's lease does not hold this one's.
    restored.lease_acquire(&name("one"), "somebody").unwrap();
    step(&restored, 7);
    let next = back_up(&restored, &place.backup);
    assert_eq!((next.incremental, next.commits), (true, 1));
    assert_is(&place.backup, &picture(&restored));
    let again = restore(
        &place.backup,
        &place.restored,
        &OpenOptions::default(),
        &Progress::default(),
    );
    assert!(
        matches!(again, Err(StoreError::Invalid { .. })),
        "{again:?}"
    );
    let nothing = restore(
        place.backup.with_file_name("nothing"),
        place.backup.with_file_name("new"),
        &OpenOptions::default(),
        &Progress::default(),
    );
    assert!(
        matches!(nothing, Err(StoreError::NotAStore { .. })),
        "{nothing:?}"
    );
    assert!(!place.backup.with_file_name("new").exists());
}

#[test]
fn an_unfinished_directory_is_refused_and_finished_by_the_next_one() {
    let place = place();
    let store = open(&place.store);
    step(&store, 0);
    for (path, marker) in [
        (&place.backup, "treering-backup"),
        (&place.restored, "treering-restore"),
    ] {
        fs::create_dir_all(path.join("blobs/ab")).unwrap();
        fs::write(path.join(marker), b"").unwrap();
        fs::write(path.join("store.db.new"), b"half").unwrap();
        for options in [true, false].map(|create| OpenOptions {
            create,
            ..OpenOptions::default()
        }) {
            let error = EmbeddedStore::open(path, &options).unwrap_err();
            assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
            assert!(error.to_string().contains("not finished"), "{error}");
        }
    }
    back_up(&store, &place.backup);
    assert_is(&place.backup, &picture(&store));
    restore_now(&place.backup, &place.restored);
    assert_eq!(picture(&open(&place.restored)), picture(&store));
}

#[test]
fn a_broken_store_gives_no_backup_and_spoils_none() {
    let place = place();
    let store = open(&place.store);
    step(&store, 0);
    back_up(&store, &place.backup);
    let before = picture(&store);
    step(&store, 1);
    step(&store, 2);
    drop(store);
    // A large block of the newest step.
    let large = Block::raw(bytes(2002, 300_000));
    let hex: String = large
        .cid
        .digest()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let path = files(&place.store)
        .into_iter()
        .find(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(&hex) && !name.ends_with(".obao")
        })
        .unwrap();
    let mut content = fs::read(&path).unwrap();
    content[100_000] ^= 1;
    fs::write(&path, content).unwrap();
    let store = open(&place.store);
    for options in [VERIFIED, QUICK] {
        let error = store
            .backup(&place.backup, &options, &Progress::default())
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Corrupt { which, .. } if *which == large.cid.to_string()),
            "{error:?}"
        );
        assert_is(&place.backup, &before);
    }
    let fresh = place.backup.with_file_name("fresh");
    assert!(matches!(
        refused(&store, &fresh),
        StoreError::Corrupt { .. }
    ));
    assert!(matches!(
        open_read_only(&fresh),
        Err(StoreError::NotAStore { .. })
    ));
}

/// Changes a closed store's database by other means.
fn tamper(path: &Path, sql: &str) {
    let conn = rusqlite::Connection::open(path.join("store.db")).unwrap();
    assert!(conn.execute(sql, []).unwrap() > 0, "{sql}");
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
}

#[test]
fn broken_rows_are_noticed_on_the_way() {
    for (sql, in_new_rows) in [
        (
            "UPDATE block SET payload = zeroblob(700) WHERE size = 700 AND ordinal > 3",
            true,
        ),
        (
            "UPDATE block SET chk = zeroblob(16) WHERE ordinal = 4",
            true,
        ),
        ("UPDATE graph SET links = x'0102' WHERE ordinal = 6", true),
        ("DELETE FROM graph WHERE ordinal = 4", true),
        (
            "UPDATE journal SET body = zeroblob(9) WHERE position = 2",
            true,
        ),
        ("UPDATE journal SET at_ms = 7 WHERE position = 2", true),
        ("UPDATE ref SET record = x'00'", true),
        ("UPDATE receipt SET receipt = x'00'", false),
        (
            "UPDATE manifest SET value = zeroblob(40) WHERE key = 'totals'",
            true,
        ),
    ] {
        let place = place();
        let store = open(&place.store);
        step(&store, 0);
        back_up(&store, &place.backup);
        let before = picture(&store);
        step(&store, 1);
        drop(store);
        tamper(&place.store, sql);
        let Ok(store) = EmbeddedStore::open(&place.store, &OpenOptions::default()) else {
            assert!(sql.contains("manifest"));
            continue;
        };
        let options: &[_] = if in_new_rows {
            &[VERIFIED, QUICK]
        } else {
            &[VERIFIED]
        };
        for options in options {
            let error = store
                .backup(&place.backup, options, &Progress::default())
                .unwrap_err();
            assert!(
                matches!(error, StoreError::Corrupt { .. }),
                "{sql}: {error:?}"
            );
            assert_is(&place.backup, &before);
        }
        let fresh = place.backup.with_file_name("fresh");
        assert!(
            matches!(refused(&store, &fresh), StoreError::Corrupt { .. }),
            "{sql}"
        );
        assert!(open_read_only(&fresh).is_err());
    }
}

#[test]
fn a_backup_that_rots_is_noticed_by_the_next_one_and_not_by_a_quick_one() {
    let place = place();
    let store = open(&place.store);
    step(&store, 0);
    back_up(&store, &place.backup);
    tamper(
        &place.backup,
        "UPDATE block SET payload = zeroblob(700) WHERE size = 700",
    );
    step(&store, 1);
    let error = refused(&store, &place.backup);
    assert!(
        matches!(error, StoreError::Corrupt { what: "backup", .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("another directory"), "{error}");
    assert_eq!(quick(&store, &place.backup).commits, 1);
}

#[test]
fn a_cancelled_backup_leaves_the_one_before() {
    let place = place();
    let store = open(&place.store);
    step(&store, 0);
    let progress = Progress::default();
    progress.cancel();
    let cancelled = |path: &Path| {
        matches!(
            store.backup(path, &VERIFIED, &progress),
            Err(StoreError::Cancelled)
        )
    };
    assert!(cancelled(&place.backup));
    assert!(open_read_only(&place.backup).is_err());
    back_up(&store, &place.backup);
    let before = picture(&store);
    step(&store, 1);
    assert!(cancelled(&place.backup));
    assert_is(&place.backup, &before);
    let progress = Progress::default();
    store.backup(&place.backup, &VERIFIED, &progress).unwrap();
    assert_eq!(progress.now().0, Stage::Check);
    assert_is(&place.backup, &picture(&store));
}

#[test]
fn two_backups_into_one_directory_take_turns() {
    let place = place();
    let options = OpenOptions {
        lock_wait: Duration::from_millis(50),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(&place.store, &options).unwrap();
    step(&store, 0);
    back_up(&store, &place.backup);
    let lock = fs::File::options()
        .write(true)
        .open(place.backup.join("lock"))
        .unwrap();
    lock.lock().unwrap();
    let error = refused(&store, &place.backup);
    assert!(matches!(error, StoreError::LockTimeout { .. }), "{error:?}");
    lock.unlock().unwrap();
    let store = Arc::new(open(&place.store));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (store, path) = (Arc::clone(&store), place.backup.clone());
            std::thread::spawn(move || back_up(&store, &path))
        })
        .collect();
    for (number, thread) in (1..).zip(threads) {
        step(&*store, number);
        assert!(thread.join().unwrap().incremental);
    }
    back_up(&store, &place.backup);
    assert_is(&place.backup, &picture(&*store));
}

#[test]
fn a_store_of_before_there_were_dead_blocks_is_backed_up() {
    let place = place();
    let store = open(&place.store);
    step(&store, 0);
    drop(store);
    let conn = rusqlite::Connection::open(place.store.join("store.db")).unwrap();
    conn.execute_batch("DROP TABLE dead").unwrap();
    drop(conn);
    let store = open_read_only(&place.store).unwrap();
    assert!(!back_up(&store, &place.backup).incremental);
    assert_is(&place.backup, &picture(&store));
    assert!(back_up(&store, &place.backup).incremental);
    assert_is(&place.backup, &picture(&store));
}

#[test]
fn an_empty_store_has_a_backup_too() {
    let place = place();
    let store = open(&place.store);
    back_up(&store, &place.backup);
    let mut first = commit();
    let block = Block::raw(b"first".to_vec());
    first.moves = vec![set(&name("t"), Expect::Absent, block.cid)];
    first.blocks = vec![block];
    store.submit(first).wait().unwrap();
    assert_eq!(back_up(&store, &place.backup).commits, 1);
    assert_is(&place.backup, &picture(&store));
}
