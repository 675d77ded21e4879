//! A backup of before an erase is restored, and the power fails at each moment of that: what was erased is in no file of a
//! store that can be opened for writing, and a restore that is refused as unfinished can be made again.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;
mod scan;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use embedded::{bytes, node};
use scan::find_any;
use treering_block::Block;
use treering_store::faults::{Event, Image, Loss, Recorder};
use treering_store::progress::Progress;
use treering_store::{
    BackupOptions, Change, Clock, Commit, Disk, EmbeddedStore, EraseOptions, Erasures, Expect,
    GcOptions, OpenOptions, RefMove, RefName, Result, Store, StoreError, restore_erased,
};

const MARKS: [&str; 3] = ["MARKrecord", "MARKblock", "MARKlarge"];
const RESTORE: u64 = 1;

fn options(recorder: &Arc<Recorder>) -> OpenOptions {
    OpenOptions {
        clock: Clock::manual(1_700_000_000_000),
        disk: Disk::behind(Arc::clone(recorder) as _),
        automatic_gc: false,
        reserve_bytes: 0,
        ..OpenOptions::default()
    }
}

fn recorder(root: &Path) -> Arc<Recorder> {
    let recorder = Recorder::new(root).unwrap();
    recorder.skip_real_syncs();
    Arc::new(recorder)
}

/// A small block and a large one, by a node that a ref names.
fn write(store: &dyn Store, scope: &str, mark: &str, number: u64) {
    let small = Block::raw(format!("{mark}block {number}").into_bytes());
    let mut large = format!("{mark}large ").into_bytes();
    large.extend(bytes(number, 300_000));
    let large = Block::raw(large);
    let top = node(&format!("{mark}block {number}"), &[small.cid, large.cid]);
    let commit = Commit {
        scope: scope.into(),
        moves: vec![RefMove {
            name: RefName::new(scope, "thread", [format!("{number}")]).unwrap(),
            expect: Expect::Absent,
            change: Change::Set {
                target: top.cid,
                record: format!("{mark}record").into_bytes(),
            },
        }],
        blocks: vec![small, large, top],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
}

fn restored(root: &Path, options: &OpenOptions, notes: &Erasures) -> Result<u64> {
    let (from, to) = (root.join("backup"), root.join("restored"));
    let report = restore_erased(from, to, options, Some(notes), &Progress::default())?;
    Ok(report.erased_scopes)
}

fn expect_clear(path: &Path, options: &OpenOptions) {
    assert_eq!(find_any(path, &MARKS), Vec::<String>::new());
    assert!(!path.join("treering-restore").exists());
    let store = EmbeddedStore::open(path, options).unwrap();
    assert_eq!(store.scopes().unwrap(), ["bob"]);
    assert_eq!(store.verify(None).unwrap().findings, []);
}

#[test]
fn what_was_erased_is_in_no_file_of_a_restored_store() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    let recorder = recorder(&root);
    let options = options(&recorder);
    let store = EmbeddedStore::open(root.join("store"), &options).unwrap();
    for number in 0..3 {
        write(&store, "alice", "MARK", number);
        write(&store, "bob", "stay", number);
    }
    let backup = BackupOptions::default();
    store
        .backup(root.join("backup"), &backup, &Progress::default())
        .unwrap();
    store.erase("alice", &EraseOptions::default()).unwrap();
    let notes = store.erasures().unwrap();
    drop(store);
    assert!(!find_any(&root.join("backup"), &MARKS).is_empty());
    recorder.mark(RESTORE);
    assert_eq!(restored(&root, &options, &notes).unwrap(), 1);
    expect_clear(&root.join("restored"), &options);

    let trace = recorder.trace();
    let mut image = Image::new();
    let (mut begun, mut moments, mut refused, mut opened) = (false, 0, 0, 0);
    for (at, event) in trace.iter().enumerate() {
        image.apply(event);
        begun |= matches!(event, Event::Mark(RESTORE));
        if !begun || !trace.get(at + 1).is_none_or(Event::is_sync) {
            continue;
        }
        moments += 1;
        let loss = [Loss::All, Loss::Nothing, Loss::Random(at as u64)][moments % 3];
        match end(&image, loss, &notes) {
            true => opened += 1,
            false => refused += 1,
        }
    }
    assert!(refused > 5 && opened > 5, "{refused}, {opened}");
}

fn backed_up(store: &EmbeddedStore, root: &Path) {
    let progress = Progress::default();
    let report = store.backup(root.join("backup"), &BackupOptions::default(), &progress);
    report.unwrap();
}

/// No block of the scope was collected when the backup was made, which knows of the erase.
#[test]
fn what_a_backup_still_has_of_a_scope_erased_before_is_in_no_file() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    let options = options(&recorder(&root));
    let store = EmbeddedStore::open(root.join("store"), &options).unwrap();
    write(&store, "alice", "MARK", 0);
    write(&store, "bob", "stay", 0);
    store.erase("alice", &EraseOptions::default()).unwrap();
    backed_up(&store, &root);
    store.gc(&GcOptions::default()).unwrap();
    assert!(store.vacuum().unwrap().is_complete());
    assert_eq!(find_any(&root.join("store"), &MARKS), Vec::<String>::new());
    let notes = store.erasures().unwrap();
    assert_eq!(restored(&root, &options, &notes).unwrap(), 0);
    expect_clear(&root.join("restored"), &options);
}

/// All of the scope is there when the backup is made, and hidden.
#[test]
fn what_a_backup_has_of_a_scope_that_is_being_erased_is_in_no_file() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    let options = OpenOptions {
        lock_wait: Duration::ZERO,
        ..options(&recorder(&root))
    };
    let store = EmbeddedStore::open(root.join("store"), &options).unwrap();
    write(&store, "alice", "MARK", 0);
    write(&store, "bob", "stay", 0);
    let other = File::create(root.join("store/erase.lock")).unwrap();
    other.lock().unwrap();
    let begun = store.erase("alice", &EraseOptions::default());
    assert!(
        matches!(begun, Err(StoreError::EraseUnfinished { .. })),
        "{begun:?}"
    );
    backed_up(&store, &root);
    let notes = store.erasures().unwrap();
    restored(&root, &options, &notes).unwrap();
    let path = root.join("restored");
    expect_clear(&path, &options);
    let store = EmbeddedStore::open(&path, &options).unwrap();
    assert_eq!(store.erasures().unwrap().notes[0].figures.commits, 1);
    assert!(store.vacuum().unwrap().is_complete());
}

/// Whether there is a store after the power failed.
fn end(image: &Image, loss: Loss, notes: &Erasures) -> bool {
    let into = tempfile::tempdir().unwrap();
    image.materialise(loss, into.path()).unwrap();
    let root = into.path().canonicalize().unwrap();
    let options = options(&recorder(&root));
    let path = root.join("restored");
    let existing = OpenOptions {
        create: false,
        ..options.clone()
    };
    let opened = EmbeddedStore::open(&path, &existing).is_ok();
    if !opened {
        assert_eq!(restored(&root, &options, notes).unwrap(), 1, "{loss:?}");
    }
    expect_clear(&path, &options);
    opened
}
