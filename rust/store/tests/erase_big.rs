//! Erasing a scope of many refs: no transaction is large, and between its first and its last one nobody sees anything of
//! the scope, whatever asks for it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;
mod scan;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scan::find;
use treering_block::{Block, Cid};
use treering_store::name::SCOPE_BYTES_MAX;
use treering_store::progress::Progress;
use treering_store::scope::{AsOf, FORKING, ForkOptions, Moment, discard, fork, refs, unfinished};
use treering_store::{
    Address, BackupOptions, Change, Command, Commit, Disk, DiskLayer, Durability, EmbeddedStore,
    EraseOptions, Expect, FileOp, GcOptions, OpenOptions, RefMove, RefName, Store, StoreError,
    Verdict, restore,
};

const MARK: &str = "MARKED";
const REFS: usize = 60;
/// A page and what stands before it in the log.
const FRAME: usize = 24 + 4096;

/// Counts the pages of each transaction, and lets the disk fail after some.
#[derive(Default)]
struct Log(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    pages: Vec<u64>,
    /// Of the transaction that is being written.
    now: u64,
    /// The log can't be written any more after so many transactions.
    until: Option<usize>,
}

impl Log {
    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().unwrap().pages)
    }

    fn fail_after(&self, transactions: usize) {
        let mut counted = self.0.lock().unwrap();
        counted.pages.clear();
        counted.until = Some(transactions);
    }
}

impl DiskLayer for Log {
    fn before(&self, op: &FileOp<'_>) -> Verdict {
        let FileOp::Write {
            path,
            offset,
            bytes,
        } = op
        else {
            return Verdict::Do;
        };
        if !path.ends_with("store.db-wal") {
            return Verdict::Do;
        }
        let mut counted = self.0.lock().unwrap();
        if counted
            .until
            .is_some_and(|until| counted.pages.len() >= until)
        {
            return Verdict::Fail(std::io::Error::other("planned"));
        }
        let start = usize::try_from(*offset).unwrap();
        for at in 0..bytes.len() {
            let place = start + at;
            if place < 32 || (place - 32) % FRAME != 0 || bytes.len() - at < 8 {
                continue;
            }
            // Zeros that make the file longer are no page: these have numbers from 1 on.
            if bytes[at..at + 4] != [0; 4] {
                counted.now += 1;
                // The size of the database stands in the last page of a transaction alone.
                if bytes[at + 4..at + 8] != [0; 4] {
                    let pages = std::mem::take(&mut counted.now);
                    counted.pages.push(pages);
                }
            }
        }
        Verdict::Do
    }

    fn after(&self, _: &FileOp<'_>, _: bool) {}
}

fn options() -> OpenOptions {
    OpenOptions {
        automatic_gc: false,
        reserve_bytes: 0,
        lock_wait: Duration::from_millis(30),
        ..OpenOptions::default()
    }
}

fn behind(log: &Arc<Log>) -> OpenOptions {
    OpenOptions {
        disk: Disk::behind(Arc::clone(log) as _),
        ..options()
    }
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, &options()).unwrap()
}

fn shared() -> Block {
    Block::raw(b"what all of them point at".to_vec())
}

fn named(scope: &str, number: usize) -> RefName {
    RefName::new(scope, "a", [format!("{number:02}")]).unwrap()
}

fn set(name: RefName, target: Cid, record: &[u8]) -> RefMove {
    RefMove {
        name,
        expect: Expect::Any,
        change: Change::Set {
            target,
            record: record.to_vec(),
        },
    }
}

fn write(store: &dyn Store, scope: &str, numbers: std::ops::Range<usize>) {
    let record = format!("{MARK} {}", "x".repeat(90));
    let moves = numbers
        .clone()
        .map(|number| set(named(scope, number), shared().cid, record.as_bytes()));
    let commit = Commit {
        scope: scope.into(),
        moves: moves.collect(),
        blocks: vec![shared()],
        durability: Durability::Relaxed,
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
}

/// Whether it was done before.
fn command(store: &dyn Store, scope: &str, id: &str) -> bool {
    let commit = Commit {
        scope: scope.into(),
        command: Some(Command {
            address: Address::Scope(scope.into()),
            id: id.into(),
            payload: [1; 32],
            receipt: b"done".to_vec(),
        }),
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap().replay.is_some()
}

fn forked(store: &dyn Store, from: &str, to: &str) -> Result<u64, StoreError> {
    let done = fork(
        store,
        from,
        to,
        &ForkOptions::default(),
        &Progress::default(),
    );
    done.map(|forked| forked.refs)
}

fn in_tens() -> EraseOptions {
    EraseOptions {
        rows_at_a_time: 10,
        ..EraseOptions::default()
    }
}

fn backed_up(store: &EmbeddedStore, to: &Path) -> u64 {
    let whole = BackupOptions { verify: true };
    let report = store.backup(to, &whole, &Progress::default()).unwrap();
    report.erased_scopes
}

fn sound(store: &dyn Store) {
    assert_eq!(store.verify(None).unwrap().findings, []);
}

/// Rows of refs and leases as they stand, of a scope whose name needs no escape.
fn rows(path: &Path, scope: &str) -> (i64, i64) {
    let db = rusqlite::Connection::open(path.join("store.db")).unwrap();
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table} WHERE name >= ?1 AND name < ?2");
        let range = [format!("{scope}/"), format!("{scope}0")];
        db.query_row(&sql, range, |row| row.get(0)).unwrap()
    };
    (count("ref"), count("lease"))
}

/// A store in which the erase of that scope was cut short: some refs are gone, some are there, and a lease. It has a
/// backup of before, and a fork.
fn half(home: &Path, scope: &str) -> PathBuf {
    let path = home.join("state");
    let log = Arc::new(Log::default());
    let store = EmbeddedStore::open(&path, &behind(&log)).unwrap();
    for number in 0..REFS / 10 {
        write(&store, scope, number * 10..number * 10 + 10);
        write(&store, "bob", number..number + 1);
    }
    assert!(!command(&store, scope, "before"));
    forked(&store, scope, "fork").unwrap();
    store.lease_acquire(&named(scope, 59), "me").unwrap();
    backed_up(&store, &home.join("older"));
    // Begin, and three small ones.
    log.fail_after(4);
    let error = store.erase(scope, &in_tens()).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Io { .. }
                | StoreError::CommitUnknown { .. }
                | StoreError::EraseUnfinished { .. }
        ),
        "{error}"
    );
    drop(store);
    // The mark beside the refs that are left.
    assert_eq!(rows(&path, scope), (REFS as i64 - 30 + 1, 1));
    path
}

/// Opened for writing while somebody is at another erase, so that nobody goes on.
fn kept_so(path: &Path) -> (EmbeddedStore, File) {
    let other = File::create(path.join("erase.lock")).unwrap();
    other.lock().unwrap();
    (open(path), other)
}

fn is_gone(store: &Arc<EmbeddedStore>, scope: &str) {
    let seen = &**store;
    assert_eq!(seen.scopes().unwrap(), ["bob", "fork"]);
    assert_eq!(seen.kinds(scope).unwrap(), Vec::<String>::new());
    for number in 0..REFS {
        assert_eq!(seen.read_ref(&named(scope, number)).unwrap(), None);
    }
    for kind in ["a", FORKING, "thread"] {
        assert!(seen.list_refs(scope, kind, None, 999).unwrap().is_empty());
    }
    if let Ok(marker) = RefName::new(scope, FORKING, [""; 0]) {
        assert_eq!(seen.read_ref(&marker).unwrap(), None);
    }
    assert!(refs::all(seen, scope).unwrap().is_empty());
    // A page at a time, too.
    for limit in [1, 7, 999] {
        let (mut all, mut after) = (0, None::<String>);
        loop {
            let page = seen.all_refs(after.as_deref(), limit).unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            assert!(page.iter().all(|(name, value)| {
                value.is_ok() && (name.starts_with("bob/") || name.starts_with("fork/"))
            }));
            all += page.len();
        }
        assert_eq!(all, 6 + REFS);
    }
    assert_eq!(seen.stats().unwrap().refs, 6 + REFS as u64);
    assert_eq!(seen.lease_state(&named(scope, 59)).unwrap(), None);
    let done = seen.receipt(&Address::Scope(scope.into()), "before");
    assert_eq!(done.unwrap(), None);
    assert!(seen.receipts(scope, None, 9).unwrap().is_empty());
    assert!(seen.holds(scope, 0, 9).unwrap().is_empty());
    assert_eq!(unfinished(seen).unwrap(), []);
    let journal = seen.journal(None, usize::MAX).unwrap();
    assert!(journal.iter().all(|entry| entry.scope != scope));
    let head = journal[journal.len() - 2].cursor();
    let inner = Arc::clone(store) as Arc<dyn Store>;
    let past = AsOf::new(inner, scope, &Moment::Commit(head), |_| false).unwrap();
    assert!(past.scopes().unwrap().is_empty());
    sound(seen);
    // Its forks have no name of it, from the first moment on.
    let lineage = seen.lineage("fork").unwrap().unwrap();
    assert_eq!(lineage.ancestors[0].scope, None);
    assert_eq!(
        seen.receipt(&Address::Scope("fork".into()), "before")
            .unwrap(),
        None
    );
}

fn nobody_writes_to_it(store: &EmbeddedStore, scope: &str) {
    let being_erased = |error: StoreError| {
        assert!(matches!(error, StoreError::BeingErased { .. }), "{error}");
    };
    let late = Commit {
        scope: scope.into(),
        moves: vec![set(named(scope, 7), shared().cid, b"")],
        ..Commit::default()
    };
    being_erased(store.submit(late).wait().unwrap_err());
    being_erased(store.lease_acquire(&named(scope, 3), "x").unwrap_err());
    being_erased(store.lease_acquire(&named(scope, 59), "x").unwrap_err());
    let held = store.extend_hold(scope, &shared().cid, i64::MAX);
    being_erased(held.unwrap_err());
    being_erased(forked(store, "bob", scope).unwrap_err());
    // Nor is it forked.
    let error = forked(store, scope, "trial").unwrap_err();
    assert!(matches!(error, StoreError::ScopeNotFound { .. }), "{error}");
    assert!(matches!(
        discard(store, scope),
        Err(StoreError::Invalid { .. })
    ));
    let error = store.quarantine(&[named(scope, 59).encoded().to_owned()]);
    assert!(
        matches!(error, Err(StoreError::RefNotFound(_))),
        "{error:?}"
    );
}

/// A name of the ordinary length, and one that leaves no room for that of a mark.
/// The longest name that a scope has.
fn longest() -> String {
    "x".repeat(SCOPE_BYTES_MAX)
}

#[test]
fn nothing_is_seen_of_what_was_cut_short_between_two_refs() {
    let scope = "alice";
    let home = tempfile::tempdir().unwrap();
    let path = half(home.path(), scope);
    let looked = EmbeddedStore::open(
        &path,
        &OpenOptions {
            read_only: true,
            ..options()
        },
    );
    is_gone(&Arc::new(looked.unwrap()), scope);

    let (store, copying) = kept_so(&path);
    let store = Arc::new(store);
    is_gone(&store, scope);
    nobody_writes_to_it(&store, scope);
    assert_eq!(store.repair().unwrap().repairs.len(), 0);
    // Others go on, and are counted without it.
    write(&*store, "bob", 0..1);
    let look = EraseOptions {
        dry_run: true,
        ..in_tens()
    };
    let other = store.erase("bob", &look).unwrap();
    assert_eq!(
        (other.held_by, other.figures.refs),
        (vec!["fork".into()], 6)
    );
    let own = store.erase(scope, &look).unwrap();
    assert_eq!((own.figures.refs, own.figures.leases), (0, 0));
    store.gc(&GcOptions::default()).unwrap();
    is_gone(&store, scope);
    assert_eq!(
        rows(&path, scope),
        (REFS as i64 - 30 + 1, 1),
        "nobody went on"
    );
    copying.unlock().unwrap();
    drop(store);

    // Who opens it goes on, and counts each once.
    let store = Arc::new(open(&path));
    assert_eq!(rows(&path, scope), (0, 0));
    is_gone(&store, scope);
    let note = store.erasures().unwrap().notes[0];
    let figures = note.figures;
    assert_eq!((figures.refs, figures.leases), (REFS as u64, 1));
    // That of the command, and the name that was said to the fork.
    assert_eq!(
        (figures.receipts, figures.commits),
        (2, REFS as u64 / 10 + 2)
    );
    // The name is as good as new, and no token comes again.
    write(&*store, scope, 0..3);
    assert_eq!(
        store.read_ref(&named(scope, 0)).unwrap().unwrap().version,
        1
    );
    assert!(store.lease_acquire(&named(scope, 59), "x").unwrap().token > 1);
    assert!(!command(&*store, scope, "before"));
    sound(&*store);
}

/// A damaged ref of another scope is mended meanwhile, and nothing of this one is kept in quarantine.
#[test]
fn a_repair_goes_on_for_others() {
    let home = tempfile::tempdir().unwrap();
    let path = half(home.path(), "alice");
    let db = rusqlite::Connection::open(path.join("store.db")).unwrap();
    let gone = "DELETE FROM ref WHERE name = 'bob/a/03'";
    assert_eq!(db.execute(gone, []).unwrap(), 1);
    drop(db);
    let (store, copying) = kept_so(&path);
    let report = store.repair().unwrap();
    assert_eq!((report.repairs.len(), report.left.findings.len()), (1, 0));
    is_gone(&Arc::new(store), "alice");
    copying.unlock().unwrap();
    sound(&open(&path));
}

#[test]
fn a_scope_with_a_long_name_is_hidden_as_well() {
    let scope = &longest();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let log = Arc::new(Log::default());
    let store = EmbeddedStore::open(&path, &behind(&log)).unwrap();
    write(&store, scope, 0..REFS);
    backed_up(&store, &home.path().join("older"));
    log.fail_after(3);
    assert!(store.erase(scope, &in_tens()).is_err());
    drop(store);
    assert_eq!(rows(&path, scope).0, REFS as i64 - 20 + 1);
    let (store, copying) = kept_so(&path);
    assert!(store.scopes().unwrap().is_empty() && store.kinds(scope).unwrap().is_empty());
    assert!(store.list_refs(scope, "a", None, 99).unwrap().is_empty());
    assert!(store.all_refs(None, 99).unwrap().is_empty());
    sound(&store);
    for backup in ["older", "newer"] {
        backed_up(&store, &home.path().join(backup));
    }
    copying.unlock().unwrap();
    drop(store);
    let store = open(&path);
    assert_eq!(rows(&path, scope), (0, 0));
    assert_eq!(store.erasures().unwrap().notes[0].figures.refs, 60);
    for backup in ["older", "newer"] {
        assert_eq!(backed_up(&store, &home.path().join(backup)), 1);
        assert_eq!(rows(&home.path().join(backup), scope), (0, 0));
    }
    sound(&store);
}

#[test]
fn a_backup_of_a_half_erased_scope_hides_it_and_is_finished_where_it_is_restored() {
    let home = tempfile::tempdir().unwrap();
    let path = half(home.path(), "alice");
    let (store, copying) = kept_so(&path);
    for (backup, erased) in [("older", 1), ("newer", 0)] {
        let backup = home.path().join(backup);
        assert_eq!(backed_up(&store, &backup), erased);
        let only = OpenOptions {
            read_only: true,
            ..options()
        };
        let seen = EmbeddedStore::open(&backup, &only).unwrap();
        is_gone(&Arc::new(seen), "alice");
        let restored = home
            .path()
            .join("restored")
            .join(backup.file_name().unwrap());
        std::fs::create_dir_all(&restored).unwrap();
        restore(&backup, &restored, &options(), &Progress::default()).unwrap();
        let seen = Arc::new(open(&restored));
        is_gone(&seen, "alice");
        assert_eq!(rows(&restored, "alice"), (0, 0));
        let figures = seen.erasures().unwrap().notes[0].figures;
        assert_eq!(figures.refs, REFS as u64);
    }
    copying.unlock().unwrap();
    drop(store);
    let store = open(&path);
    for backup in ["older", "newer"] {
        let backup = home.path().join(backup);
        backed_up(&store, &backup);
        assert_eq!(rows(&backup, "alice"), (0, 0));
        let known = EmbeddedStore::open(
            &backup,
            &OpenOptions {
                read_only: true,
                ..options()
            },
        );
        assert_eq!(
            known.unwrap().erasures().unwrap(),
            store.erasures().unwrap()
        );
        assert_eq!(find(&backup, "alice"), Vec::<String>::new());
    }
    store.gc(&GcOptions::default()).unwrap();
    store.vacuum().unwrap();
    assert_eq!(find(&path, "alice"), Vec::<String>::new());
}

/// Two that go on at once, one of which has ended it: the other takes nothing of the name's next life.
#[test]
fn several_who_go_on_take_nothing_twice() {
    let home = tempfile::tempdir().unwrap();
    let path = half(home.path(), "alice");
    let (store, copying) = kept_so(&path);
    let others: Vec<EmbeddedStore> = (0..3).map(|_| open(&path)).collect();
    copying.unlock().unwrap();
    std::thread::scope(|threads| {
        for store in &others {
            threads.spawn(|| drop(store.erase("nobody", &in_tens())));
        }
    });
    let notes = store.erasures().unwrap().notes;
    let note = notes.iter().find(|note| note.figures.refs > 0).unwrap();
    assert_eq!((note.figures.refs, note.figures.leases), (REFS as u64, 1));
    sound(&store);
}

/// The refs of a scope are one page in the log for dozens of them. What a transaction writes depends on none of their
/// number.
#[test]
fn each_transaction_is_small_however_many_refs_there_are() {
    let greatest = |refs: usize| {
        let home = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::default());
        let store = EmbeddedStore::open(home.path(), &behind(&log)).unwrap();
        let name = |number: usize| RefName::new("big", "thread", [format!("{number:08}")]).unwrap();
        for first in (0..refs).step_by(50) {
            let moves = (first..first + 50)
                .map(|number| set(name(number), shared().cid, &[7; 60]))
                .collect();
            let commit = Commit {
                scope: "big".into(),
                moves,
                blocks: vec![shared()],
                durability: Durability::Relaxed,
                ..Commit::default()
            };
            store.submit(commit).wait().unwrap();
        }
        store.seal_journal(1).unwrap();
        log.take();
        let erased = store.erase("big", &EraseOptions::default()).unwrap();
        assert_eq!(erased.figures.refs, refs as u64);
        let pages = log.take();
        println!(
            "{refs} refs: {} transactions, {} pages, at most {:?}",
            pages.len(),
            pages.iter().sum::<u64>(),
            pages.iter().max()
        );

        assert!(pages.len() > refs / 256, "{}", pages.len());
        pages.into_iter().max().unwrap()
    };
    let (few, many) = (greatest(3_000), greatest(30_000));
    assert!(many <= PAGES_MAX && few <= PAGES_MAX, "{few}, {many} pages");

    // All in one commit are more: it can be told.
    let home = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::default());
    let store = EmbeddedStore::open(home.path(), &behind(&log)).unwrap();
    write(&store, "alice", 0..3_000);
    log.take();
    let gone = |number| RefMove {
        change: Change::Delete,
        ..set(named("alice", number), shared().cid, b"")
    };
    let commit = Commit {
        scope: "alice".into(),
        moves: (0..3_000).map(gone).collect(),
        ..Commit::default()
    };
    store.submit(commit).wait().unwrap();
    assert!(log.take().into_iter().max().unwrap() > 2 * PAGES_MAX);
}

/// 256 rows of refs stand on about 20 pages; beside them a transaction writes those of the note, the totals, free pages.
const PAGES_MAX: u64 = 64;

/// Notes of other erasures are not read, however many there are: these here can't be. Only where a command has no note of
/// its own an earlier version may have left it as one of them.
#[test]
fn an_erase_and_a_fork_read_no_note_but_their_own() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    write(&store, "alice", 0..20);
    write(&store, "bob", 0..20);
    let once = |id: &str| EraseOptions {
        command_id: Some(id.into()),
        ..EraseOptions::default()
    };
    let erased = store.erase("alice", &once("once")).unwrap();
    assert_eq!((erased.figures.refs, erased.replayed), (20, false));
    write(&store, "alice", 0..20);
    drop(store);
    let db = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
    for number in 0..100 {
        db.execute(
            "INSERT INTO manifest(key, value, chk) VALUES (?1, x'00', x'00')",
            [format!("erased/00000000000000000000{number:06}")],
        )
        .unwrap();
    }
    drop(db);
    let store = open(home.path());
    assert!(matches!(store.erasures(), Err(StoreError::Corrupt { .. })));
    forked(&store, "bob", "trial").unwrap();
    assert!(store.erase("alice", &once("once")).unwrap().replayed);
    let refused = store.erase("alice", &once("another"));
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })));
    assert_eq!(store.scopes().unwrap(), ["alice", "bob", "trial"]);
    assert_eq!(store.erase("alice", &in_tens()).unwrap().figures.refs, 20);
    assert_eq!(store.erase("bob", &in_tens()).unwrap().figures.refs, 20);
}
