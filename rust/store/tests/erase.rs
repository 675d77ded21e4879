//! Erasing a scope of a store in a directory: what is left of it in which file, who finishes what was cut short, and that
//! nothing brings it back.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;
mod scan;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use embedded::{bytes, node, open};
use scan::{find, find_any};
use treering_block::{Block, Cid};
use treering_store::progress::Progress;
use treering_store::scope::{AsOf, Moment, verify_scope};
use treering_store::{
    Address, BackupOptions, Change, Command, Commit, Disk, DiskLayer, Durability, EmbeddedStore,
    EraseOptions, Erased, Erasures, Expect, FileOp, GcOptions, OpenOptions, RefMove, RefName,
    Store, StoreError, Verdict, restore, restore_erased,
};

/// What only the scope that is erased says, in each of its places.
const MARKS: [&str; 7] = [
    "MARKscope",
    "MARKpart",
    "MARKrecord",
    "MARKblock",
    "MARKlarge",
    "MARKreceipt",
    "MARKowner",
];
const SCOPE: &str = "MARKscope";

fn act(store: &dyn Store, scope: &str, mark: &str, number: u64) -> Cid {
    let text = format!("{mark}block {number} {}", "x".repeat(number as usize % 900));
    let block = Block::raw(text.into_bytes());
    let name = RefName::new(scope, "thread", [format!("{mark}part{}", number % 40)]).unwrap();
    let cid = block.cid;
    let commit = Commit {
        scope: scope.into(),
        moves: vec![RefMove {
            name: name.clone(),
            expect: Expect::Any,
            change: Change::Set {
                target: cid,
                record: format!(
                    "{mark}record {number} {}",
                    "y".repeat(number as usize * 7 % 400)
                )
                .into_bytes(),
            },
        }],
        blocks: vec![block],
        command: Some(Command {
            address: Address::Ref(name),
            id: format!("{number}"),
            payload: [1; 32],
            receipt: format!("{mark}receipt {number}").into_bytes(),
        }),
        durability: Durability::Relaxed,
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    cid
}

fn put_large(store: &dyn Store, scope: &str, mark: &str) -> Cid {
    let mut large = format!("{mark}large ").into_bytes();
    large.extend(bytes(3, 300_000));
    let block = Block::raw(large);
    let cid = block.cid;
    let commit = Commit {
        scope: scope.into(),
        holds: vec![cid],
        blocks: vec![block],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    cid
}

/// Two scopes that write in turns, so that their rows share pages.
fn live(store: &dyn Store, acts: std::ops::Range<u64>) {
    for number in acts {
        act(store, SCOPE, "MARK", number);
        act(store, "bob", "stay", number);
    }
    put_large(store, SCOPE, "MARK");
    put_large(store, "bob", "stay");
    let leased = RefName::new(SCOPE, "thread", ["MARKpart1"]).unwrap();
    let leased = store.lease_acquire(&leased, "MARKowner").unwrap();
    store.lease_release(&leased).unwrap();
}

fn erase(store: &dyn Store) -> Erased {
    store.erase(SCOPE, &EraseOptions::default()).unwrap()
}

fn clean(store: &dyn Store) {
    store.gc(&GcOptions::default()).unwrap();
    let vacuumed = store.vacuum().unwrap();
    assert!(vacuumed.is_complete(), "{vacuumed:?}");
}

fn sound(store: &dyn Store) {
    assert_eq!(store.verify(None).unwrap().findings, []);
}

/// Without a background collection, which could take files while the test looks.
fn quiet() -> OpenOptions {
    OpenOptions {
        automatic_gc: false,
        reserve_bytes: 0,
        ..OpenOptions::default()
    }
}

#[test]
fn nothing_of_it_is_left_in_any_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let store = EmbeddedStore::open(&path, &quiet()).unwrap();
    live(&store, 0..400);
    store.seal_journal(100).unwrap();
    live(&store, 400..600);
    let before = find_any(&path, &MARKS);
    for place in ["store.db", "store.db-wal", "journal/", "blobs/"] {
        assert!(
            before.iter().any(|hit| hit.contains(place)),
            "{place}: {before:?}"
        );
    }
    let noted = store.head().unwrap();
    let erased = erase(&store);
    assert_eq!(erased.figures.refs, 40);
    assert_eq!(
        (erased.figures.commits, erased.figures.receipts),
        (601, 600)
    );
    clean(&store);
    assert_eq!(find_any(&path, &MARKS), Vec::<String>::new());
    assert!(!find(&path, "staypart").is_empty() && !find(&path, "staylarge").is_empty());
    assert_eq!(store.verify(Some(&noted)).unwrap().findings, []);
    let at = store.stats().unwrap();
    assert_eq!(
        (at.refs, at.receipts, at.holds, at.free_bytes),
        (40, 600, 1, 0)
    );
    drop(store);
    assert_eq!(find_any(&path, &MARKS), Vec::<String>::new());
    sound(&open(&path));
}

#[test]
fn the_scanner_finds_what_is_planted_in_each_place() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let options = OpenOptions {
        reserve_bytes: 1 << 20,
        ..quiet()
    };
    let store = EmbeddedStore::open(&path, &options).unwrap();
    for number in 0..20 {
        act(&store, "bob", "stay", number);
    }
    put_large(&store, "bob", "stay");
    store.seal_journal(5).unwrap();
    drop(store);
    let look = || find(&path, "PLANTED");
    assert_eq!(look(), Vec::<String>::new());
    // In any file, at its end, whatever it is.
    let mut files = Vec::new();
    let mut folders = vec![path.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                folders.push(entry);
            } else {
                files.push(entry);
            }
        }
    }
    for wanted in [
        "store.db",
        "store.db-wal",
        "reserve",
        "lock",
        "bell",
        "blobs.lock",
    ] {
        assert!(
            files.iter().any(|file| file.ends_with(wanted)),
            "{wanted} in {files:?}"
        );
    }
    assert!(
        files
            .iter()
            .any(|file| file.to_string_lossy().ends_with(".obao"))
    );
    for file in &files {
        let whole = std::fs::read(file).unwrap();
        let mut planted = whole.clone();
        let name = file.strip_prefix(&path).unwrap().display().to_string();
        if name.starts_with("journal/") {
            let rows = b"a row with PLANTED in it, and PLANTED again".repeat(20);
            planted.truncate(100);
            planted.extend(miniz_oxide::deflate::compress_to_vec(&rows, 6));
            planted.extend([0; 32]);
            std::fs::write(file, &planted).unwrap();
            assert!(
                look().contains(&format!("{name}, unpacked")),
                "{:?}",
                look()
            );
        } else {
            planted.extend(b"some PLANTED text");
            std::fs::write(file, &planted).unwrap();
            assert_eq!(look(), [name.as_str()]);
        }
        std::fs::write(file, &whole).unwrap();
    }
    assert_eq!(look(), Vec::<String>::new());
    // In a free page: rows that were deleted without being written over.
    let db = rusqlite::Connection::open(path.join("store.db")).unwrap();
    db.execute_batch(
        "PRAGMA secure_delete = OFF; CREATE TABLE plant(x TEXT); \
         INSERT INTO plant VALUES ('PLANTED'); DROP TABLE plant; PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .unwrap();
    assert_eq!(look(), ["store.db"]);
}

/// What SQLite leaves of rows that moved to another page would be found: many rows of two scopes, that grow and shrink.
#[test]
fn rows_that_moved_leave_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let store = EmbeddedStore::open(&path, &quiet()).unwrap();
    for round in 0..6 {
        for number in 0..250 {
            let scope = if (number * 7 + round) % 3 == 0 {
                SCOPE
            } else {
                "bob"
            };
            let mark = if scope == SCOPE { "MARK" } else { "stay" };
            act(&store, scope, mark, number + round * 251);
        }
        store.vacuum().unwrap();
    }
    erase(&store);
    clean(&store);
    assert_eq!(find_any(&path, &MARKS), Vec::<String>::new());
    sound(&store);
}

/// As a process that is at another erase.
fn at_another(path: &Path) -> std::fs::File {
    let lock = std::fs::File::create(path.join("erase.lock")).unwrap();
    lock.lock().unwrap();
    lock
}

/// Makes a backup of a moment at which an erase has begun and nothing is stripped, and a store of that.
fn cut_short(home: &Path) -> (std::path::PathBuf, u64) {
    let path = home.join("state");
    let store = EmbeddedStore::open(&path, &quiet()).unwrap();
    live(&store, 0..60);
    store.seal_journal(30).unwrap();
    // Who is at another erase keeps this one from going on: the scope is gone, its commits still say what they said.
    let _lock = at_another(&path);
    drop(store);
    let options = OpenOptions {
        lock_wait: Duration::from_millis(30),
        ..quiet()
    };
    let store = EmbeddedStore::open(&path, &options).unwrap();
    let error = store.erase(SCOPE, &EraseOptions::default()).unwrap_err();
    assert!(
        matches!(&error, StoreError::EraseUnfinished { scope, .. } if scope == SCOPE),
        "{error}"
    );
    let position = store.head().unwrap().position;
    drop(store);
    (path, position)
}

#[test]
fn what_was_cut_short_is_unseen_refuses_commits_and_is_finished_by_the_next() {
    for finisher in ["open", "erase", "vacuum", "seal"] {
        let home = tempfile::tempdir().unwrap();
        let (path, position) = cut_short(home.path());
        let blocked = at_another(&path);
        let options = OpenOptions {
            lock_wait: Duration::from_millis(30),
            ..quiet()
        };
        let store = EmbeddedStore::open(&path, &options).unwrap();
        assert_eq!(store.scopes().unwrap(), ["bob"]);
        assert!(!find(&path, "MARKpart").is_empty(), "it is not stripped");
        sound(&store);
        let journal = store.journal(None, usize::MAX).unwrap();
        assert!(journal.iter().all(|entry| entry.scope != SCOPE));
        let head = journal[journal.len() - 2].cursor();
        let store: Arc<dyn Store> = Arc::new(store);
        let past = AsOf::new(Arc::clone(&store), SCOPE, &Moment::Commit(head), |_| false);
        assert!(
            past.unwrap().scopes().unwrap().is_empty(),
            "it is shown as it was"
        );
        // Nothing comes back, and nothing is begun.
        assert_eq!(store.repair().unwrap().repairs.len(), 0);
        let commit = Commit {
            scope: SCOPE.into(),
            blocks: vec![Block::raw(b"new".to_vec())],
            ..Commit::default()
        };
        let refused = store.submit(commit.clone()).wait().unwrap_err();
        assert!(
            matches!(refused, StoreError::BeingErased { .. }),
            "{refused}"
        );
        let name = RefName::new(SCOPE, "thread", ["x"]).unwrap();
        assert!(matches!(
            store.lease_acquire(&name, "x"),
            Err(StoreError::BeingErased { .. })
        ));
        let there = store.blocks(0, 1).unwrap()[0].cid;
        let held = store.extend_hold(SCOPE, &there, i64::MAX);
        assert!(matches!(held, Err(StoreError::BeingErased { .. })));
        assert!(store.scopes().unwrap() == ["bob"]);
        blocked.unlock().unwrap();
        let store = match finisher {
            "erase" => {
                store.erase("nobody", &EraseOptions::default()).unwrap();
                store
            }
            "vacuum" => {
                store.vacuum().unwrap();
                store
            }
            "seal" => {
                store.seal_journal(1).unwrap();
                store
            }
            _ => {
                drop(store);
                Arc::new(EmbeddedStore::open(&path, &quiet()).unwrap())
            }
        };
        let note = store.erasures().unwrap().notes[0];
        assert_eq!(
            (note.position, note.figures.refs),
            (position, 40),
            "{finisher}"
        );
        assert_eq!(
            (note.figures.commits, note.figures.receipts),
            (61, 60),
            "{finisher}"
        );
        clean(&*store);
        assert_eq!(find_any(&path, &MARKS), Vec::<String>::new(), "{finisher}");
        store.submit(commit).wait().unwrap();
        sound(&*store);
    }
}

#[test]
fn who_only_reads_sees_it_gone_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (path, _) = cut_short(home.path());
    let options = OpenOptions {
        read_only: true,
        ..quiet()
    };
    let store = EmbeddedStore::open(&path, &options).unwrap();
    assert_eq!(store.scopes().unwrap(), ["bob"]);
    sound(&store);
    let refused = store.erase(SCOPE, &EraseOptions::default()).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly), "{refused}");
    assert!(matches!(store.vacuum(), Err(StoreError::ReadOnly)));
    assert!(!find(&path, "MARKpart").is_empty());
}

#[test]
fn a_repair_does_not_bring_it_back_and_goes_on_for_others() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let store = EmbeddedStore::open(&path, &quiet()).unwrap();
    live(&store, 0..50);
    erase(&store);
    drop(store);
    // A ref, and a receipt, of another scope, from before the erase.
    let db = rusqlite::Connection::open(path.join("store.db")).unwrap();
    let gone = db
        .execute("DELETE FROM ref WHERE name = 'bob/thread/staypart3'", [])
        .unwrap();
    assert_eq!(gone, 1);
    db.execute_batch(
        "DELETE FROM receipt WHERE rowid IS NULL OR key = (SELECT min(key) FROM receipt)",
    )
    .or_else(|_| db.execute_batch("DELETE FROM receipt WHERE key = (SELECT min(key) FROM receipt)"))
    .unwrap();
    drop(db);
    let store = EmbeddedStore::open(&path, &quiet()).unwrap();
    assert_eq!(store.verify(None).unwrap().findings.len(), 2);
    let report = store.repair().unwrap();
    assert_eq!((report.repairs.len(), report.left.findings.len()), (2, 0));
    assert_eq!(store.scopes().unwrap(), ["bob"]);
    assert_eq!(store.stats().unwrap().receipts, 50);
}

#[test]
fn a_note_that_is_changed_is_found() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let store = EmbeddedStore::open(&path, &quiet()).unwrap();
    live(&store, 0..5);
    erase(&store);
    drop(store);
    let db = rusqlite::Connection::open(path.join("store.db")).unwrap();
    let changed = db
        .execute(
            "UPDATE manifest SET value = CAST(zeroblob(20) AS BLOB) WHERE key >= 'erased/' AND key < 'erased0'",
            [],
        )
        .unwrap();
    assert_eq!(changed, 1);
    drop(db);
    let options = OpenOptions {
        mend: false,
        ..quiet()
    };
    let store = EmbeddedStore::open(&path, &options).unwrap();
    assert_eq!(store.verify(None).unwrap().findings.len(), 1);
    assert!(matches!(store.erasures(), Err(StoreError::Corrupt { .. })));
}

#[test]
fn what_can_not_be_read_stops_it_before_anything_is_changed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let store = EmbeddedStore::open(&path, &quiet()).unwrap();
    live(&store, 0..30);
    drop(store);
    for damage in [
        "UPDATE journal SET body = x'00' WHERE position = 7",
        "UPDATE ref SET version = 99 WHERE name = 'MARKscope/thread/MARKpart7'",
        "UPDATE receipt SET payload = x'00' WHERE scope = 'MARKscope' AND key = (SELECT min(key) FROM receipt WHERE scope = 'MARKscope')",
        "UPDATE hold SET expires_at_ms = 1 WHERE scope = 'MARKscope'",
        "UPDATE graph SET links = x'01' WHERE ordinal = 3",
    ] {
        let broken = home.path().join("broken");
        std::fs::create_dir(&broken).unwrap();
        embedded_copy(&path, &broken);
        let db = rusqlite::Connection::open(broken.join("store.db")).unwrap();
        assert_eq!(db.execute(damage, []).unwrap(), 1, "{damage}");
        drop(db);
        let store = EmbeddedStore::open(&broken, &quiet()).unwrap();
        let before = (store.head().unwrap(), store.stats().unwrap().refs);
        let refused = store.erase(SCOPE, &EraseOptions::default()).unwrap_err();
        assert!(
            matches!(refused, StoreError::Corrupt { .. }),
            "{damage}: {refused}"
        );
        assert_eq!((store.head().unwrap(), store.stats().unwrap().refs), before);
        assert!(store.erasures().unwrap().notes.is_empty());
        drop(store);
        std::fs::remove_dir_all(&broken).unwrap();
    }
}

fn embedded_copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&to).unwrap();
            embedded_copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_vacuum_says_what_keeps_it_from_being_whole() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let options = OpenOptions {
        lock_wait: Duration::from_millis(50),
        ..quiet()
    };
    let store = EmbeddedStore::open(&path, &options).unwrap();
    live(&store, 0..200);
    store.vacuum().unwrap();
    // A reader of another process, in the middle of a read.
    let reader = rusqlite::Connection::open(path.join("store.db")).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM ref")
        .unwrap();
    erase(&store);
    store.gc(&GcOptions::default()).unwrap();
    let kept = store.vacuum().unwrap();
    assert!(kept.log_bytes > 0 && !kept.is_complete(), "{kept:?}");
    assert!(!find_any(&path, &MARKS).is_empty());
    reader.execute_batch("ROLLBACK").unwrap();
    let whole = store.vacuum().unwrap();
    assert!(whole.is_complete() && whole.freed_bytes > 0, "{whole:?}");
    assert_eq!(find_any(&path, &MARKS), Vec::<String>::new());
    // A second one has nothing to do.
    assert_eq!(store.vacuum().unwrap().freed_bytes, 0);
    drop(reader);
    sound(&store);
}

fn back_up(store: &EmbeddedStore, to: &Path) -> u64 {
    let report = store.backup(to, &BackupOptions::default(), &Progress::default());
    report.unwrap().erased_scopes
}

#[test]
fn a_backup_that_is_brought_up_to_date_is_erased_too() {
    for (sealed, reused) in [(false, false), (true, false), (false, true), (true, true)] {
        let home = tempfile::tempdir().unwrap();
        let (path, backup) = (home.path().join("state"), home.path().join("backup"));
        let store = EmbeddedStore::open(&path, &quiet()).unwrap();
        live(&store, 0..60);
        if sealed {
            store.seal_journal(20).unwrap();
        }
        back_up(&store, &backup);
        // Some that the backup does not know.
        act(&store, SCOPE, "MARK", 1000);
        act(&store, "bob", "stay", 1000);
        assert!(!find_any(&backup, &MARKS).is_empty());
        erase(&store);
        if reused {
            act(&store, SCOPE, "new-", 1);
        }
        if sealed {
            store.seal_journal(1).unwrap();
        }
        store.gc(&GcOptions::default()).unwrap();
        assert_eq!(back_up(&store, &backup), 1);
        assert_eq!(find_any(&backup, &MARKS[1..]), Vec::<String>::new());
        assert_eq!(find(&backup, SCOPE).is_empty(), !reused);
        assert_eq!(back_up(&store, &backup), 0, "once");
        // And it goes on.
        act(&store, "bob", "stay", 1001);
        back_up(&store, &backup);
        let restored = home.path().join("restored");
        restore(&backup, &restored, &quiet(), &Progress::default()).unwrap();
        let restored = open(&restored);
        assert_eq!(restored.erasures().unwrap(), store.erasures().unwrap());
        assert_eq!(restored.scopes().unwrap(), store.scopes().unwrap());
        assert_eq!(restored.head().unwrap(), store.head().unwrap());
        sound(&restored);
    }
}

#[test]
fn an_older_backup_is_restored_without_what_was_erased_since() {
    for sealed in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let (path, backup) = (home.path().join("state"), home.path().join("backup"));
        let store = EmbeddedStore::open(&path, &quiet()).unwrap();
        live(&store, 0..60);
        if sealed {
            store.seal_journal(20).unwrap();
        }
        back_up(&store, &backup);
        erase(&store);
        store
            .erase("never there", &EraseOptions::default())
            .unwrap();
        let known = Erasures::from_bytes(&store.erasures().unwrap().to_bytes()).unwrap();
        drop(store);
        let back = |to: &str, erased: Option<&Erasures>| {
            let to = home.path().join(to);
            let done = restore_erased(&backup, &to, &quiet(), erased, &Progress::default());
            done.map(|report| (report.erased_scopes, to))
        };
        // As it is: the scope is back.
        let (gone, to) = back("as it is", None).unwrap();
        assert_eq!((gone, open(&to).scopes().unwrap().len()), (0, 2));
        let other = Erasures {
            store_id: [9; 16],
            ..known.clone()
        };
        let empty = Erasures {
            store_id: [9; 16],
            notes: vec![],
        };
        for other in [other, empty] {
            let refused = back("other", Some(&other));
            assert!(matches!(refused, Err(StoreError::Diverged { .. })));
        }
        let (gone, to) = back("erased", Some(&known)).unwrap();
        assert_eq!(gone, 1);
        let store = EmbeddedStore::open(&to, &quiet()).unwrap();
        assert_eq!(store.scopes().unwrap(), ["bob"]);
        sound(&store);
        let notes = store.erasures().unwrap().notes;
        assert_eq!(notes.len(), 2);
        assert!(notes.iter().all(|note| note.position == 0));
        clean(&store);
        assert_eq!(find_any(&to, &MARKS), Vec::<String>::new());
        // Its next backup goes on where the old one is, and takes it out there as well.
        act(&store, "bob", "stay", 2000);
        assert_eq!(back_up(&store, &backup), 1);
        assert_eq!(find_any(&backup, &MARKS), Vec::<String>::new());
        // Once more: nothing is left to be erased.
        drop(store);
        let (gone, to) = back("again", Some(&known)).unwrap();
        assert_eq!(gone, 0);
        sound(&open(&to));
    }
}

#[test]
fn a_fork_by_hand_keeps_what_it_reaches() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("state"));
    let shared = act(&store, SCOPE, "MARK", 1);
    let above = node("above", &[shared]);
    let name = RefName::new("fork", "thread", ["x"]).unwrap();
    let commit = Commit {
        scope: "fork".into(),
        moves: vec![RefMove {
            name,
            expect: Expect::Absent,
            change: Change::Set {
                target: above.cid,
                record: vec![],
            },
        }],
        blocks: vec![above],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    let erased = erase(&store);
    assert_eq!(erased.held_by, ["fork"]);
    clean(&store);
    // What the other says is the other's, and nothing else is left.
    assert!(store.has(&shared).unwrap());
    let path = home.path().join("state");
    assert_eq!(
        find_any(&path, &["MARKscope", "MARKpart", "MARKreceipt"]),
        Vec::<String>::new()
    );
    assert_eq!(find(&path, "MARKblock"), ["store.db"]);
}

/// Does something in the middle of the next read of a file in that folder, and notes how long each read is.
struct Meanwhile {
    folder: PathBuf,
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    longest: Mutex<usize>,
}

impl DiskLayer for Meanwhile {
    fn before(&self, _: &FileOp<'_>) -> Verdict {
        Verdict::Do
    }

    fn after(&self, _: &FileOp<'_>, _: bool) {}

    fn read(&self, path: &Path, _: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        if path.starts_with(&self.folder) {
            let mut longest = self.longest.lock().unwrap();
            *longest = (*longest).max(bytes.len());
            drop(longest);
            let act = self.act.lock().unwrap().take();
            if let Some(act) = act {
                act();
            }
        }
        Ok(())
    }
}

fn with_layer(path: &Path, folder: &str) -> (Arc<EmbeddedStore>, Arc<Meanwhile>) {
    let layer = Arc::new(Meanwhile {
        folder: path.join(folder),
        act: Mutex::default(),
        longest: Mutex::default(),
    });
    let options = OpenOptions {
        disk: Disk::behind(Arc::clone(&layer) as _),
        ..quiet()
    };
    let store = EmbeddedStore::open(path, &options).unwrap();
    (Arc::new(store), layer)
}

#[test]
fn who_reads_sealed_files_while_they_are_stripped_finds_no_damage() {
    type Look = fn(&Arc<EmbeddedStore>) -> String;
    let looks: [(&str, Look); 4] = [
        ("verify", |store| {
            format!("{:?}", store.verify(None).unwrap().findings)
        }),
        ("repair", |store| {
            let report = store.repair().unwrap();
            format!("{:?} {:?}", report.repairs, report.left.findings)
        }),
        ("journal", |store| {
            let journal = store.journal(None, usize::MAX).unwrap();
            // Whoever began before the erase may see it still.
            format!("{}", journal.len())
        }),
        ("at", |store| {
            let at = Moment::Commit(store.head().unwrap().cursor());
            let inner = Arc::clone(store) as Arc<dyn Store>;
            let past = AsOf::new(inner, "bob", &at, |_| false).unwrap();
            format!("{:?}", past.gone())
        }),
    ];
    for (what, look) in looks {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state");
        let (store, layer) = with_layer(&path, "journal");
        for round in 0..4 {
            live(&*store, round * 20..round * 20 + 20);
            store.seal_journal(1).unwrap();
        }
        let inner = Arc::clone(&store);
        let act = move || {
            // Another thread's: this one is in the middle of a read.
            let erase = move || drop(inner.erase(SCOPE, &EraseOptions::default()).unwrap());
            std::thread::spawn(erase).join().unwrap();
        };
        *layer.act.lock().unwrap() = Some(Box::new(act));
        let seen = look(&store);
        assert!(layer.act.lock().unwrap().is_none(), "{what}: it has run");
        let after = look(&store);
        assert_eq!(seen, after, "{what}");
        sound(&*store);
    }
}

#[test]
fn a_backup_made_before_it_was_stripped_is_brought_up_to_date() {
    let home = tempfile::tempdir().unwrap();
    let (path, _) = cut_short(home.path());
    let backup = home.path().join("backup");
    let blocked = at_another(&path);
    let store = EmbeddedStore::open(&path, &quiet()).unwrap();
    back_up(&store, &backup);
    assert!(!find(&backup, "MARKpart").is_empty());
    blocked.unlock().unwrap();
    store.vacuum().unwrap();
    clean(&store);
    act(&store, SCOPE, "new-", 1);
    back_up(&store, &backup);
    assert_eq!(find_any(&backup, &MARKS[1..]), Vec::<String>::new());
    let restored = home.path().join("restored");
    restore(&backup, &restored, &quiet(), &Progress::default()).unwrap();
    let restored = open(&restored);
    assert_eq!(restored.scopes().unwrap(), store.scopes().unwrap());
    sound(&restored);
}

#[test]
fn a_vacuum_sees_uploads_of_the_dead_and_no_strangers_files() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let store = EmbeddedStore::open(&path, &quiet()).unwrap();
    live(&store, 0..5);
    let uploads = path.join("blobs/uploads");
    std::fs::create_dir_all(&uploads).unwrap();
    let dead = uploads.join("01M8R0000000000000000000AA");
    std::fs::write(&dead, "MARKlarge, half of it").unwrap();
    let folder = std::fs::read_dir(path.join("blobs")).unwrap();
    let folder = folder.map(|one| one.unwrap().path());
    let folder = folder.into_iter().find(|one| *one != uploads).unwrap();
    std::fs::write(folder.join(".DS_Store"), "a stranger's").unwrap();
    erase(&store);
    let copying = std::fs::File::open(path.join("blobs.lock")).unwrap();
    copying.lock_shared().unwrap();
    let kept = store.vacuum().unwrap();
    assert!(kept.files_left == 1 && dead.exists(), "{kept:?}");
    copying.unlock().unwrap();
    clean(&store);
    assert!(!dead.exists());
    assert_eq!(find_any(&path, &MARKS), Vec::<String>::new());
}

#[test]
fn a_scope_is_verified_a_piece_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let (store, layer) = with_layer(&home.path().join("state"), "blobs");
    let block = Block::raw(bytes(5, 9 << 20));
    let size = block.bytes.len() as u64;
    let commit = Commit {
        scope: "bob".into(),
        moves: vec![RefMove {
            name: RefName::new("bob", "thread", ["x"]).unwrap(),
            expect: Expect::Any,
            change: Change::Set {
                target: block.cid,
                record: vec![],
            },
        }],
        blocks: vec![block],
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    *layer.longest.lock().unwrap() = 0;
    let mut report = treering_store::VerifyReport::default();
    verify_scope(&*store, "bob", &mut report);
    assert_eq!((report.findings.len(), report.bytes), (0, size));
    let longest = *layer.longest.lock().unwrap();
    assert!((1..=2 << 20).contains(&longest), "{longest}");
}

/// A disk that has no room for what is not the database's, or can't write it, while told so.
struct NoFiles(Mutex<Option<std::io::ErrorKind>>);

impl DiskLayer for NoFiles {
    fn before(&self, op: &FileOp<'_>) -> Verdict {
        match (op, *self.0.lock().unwrap()) {
            (FileOp::Write { path, .. } | FileOp::Open { path, create: true }, Some(kind))
                if path
                    .parent()
                    .is_some_and(|folder| folder.ends_with("journal")) =>
            {
                Verdict::Fail(kind.into())
            }
            _ => Verdict::Do,
        }
    }

    fn after(&self, _: &FileOp<'_>, _: bool) {}
}

#[test]
fn a_disk_that_fails_behind_the_beginning_says_that_the_scope_is_gone() {
    for kind in [
        std::io::ErrorKind::StorageFull,
        std::io::ErrorKind::PermissionDenied,
    ] {
        let home = tempfile::tempdir().unwrap();
        let layer = Arc::new(NoFiles(Mutex::new(None)));
        let options = OpenOptions {
            disk: Disk::behind(Arc::clone(&layer) as _),
            ..quiet()
        };
        let store = EmbeddedStore::open(home.path(), &options).unwrap();
        live(&store, 0..60);
        store.seal_journal(30).unwrap();
        *layer.0.lock().unwrap() = Some(kind);
        for _ in 0..2 {
            let error = store.erase(SCOPE, &EraseOptions::default()).unwrap_err();
            assert!(
                matches!(&error, StoreError::EraseUnfinished { scope, .. } if scope == SCOPE),
                "{error}"
            );
            let said = error.to_string();
            assert!(said.contains("erased and gone"), "{said}");
            assert!(said.contains("do not erase it again"), "{said}");
            assert!(!said.contains("nothing"), "{said}");
            assert_eq!(store.scopes().unwrap(), ["bob"]);
            assert_eq!(store.erasures().unwrap().notes.len(), 1);
        }
        // It is in nobody's way.
        act(&store, "eve", "eve", 1);
        store.erase("eve", &EraseOptions::default()).unwrap();
        let vacuumed = store.vacuum().unwrap();
        assert_eq!(vacuumed.unfinished_erases, 1);
        assert!(!vacuumed.is_complete());
        *layer.0.lock().unwrap() = None;
        store.vacuum().unwrap();
        assert_eq!(find(home.path(), "MARKpart"), Vec::<String>::new());
        sound(&store);
    }
}
