//! Sealing and expiring the journal of a store in a directory.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use embedded::{command, commit, name, open, put, set};
use treering_block::Block;
use treering_store::{
    BackupOptions, BackupReport, Clock, Commit, Cursor, EmbeddedStore, Expect, ExpireBefore,
    GcOptions, Head, JournalEntry, OpenOptions, Progress, Store, StoreError,
};

const NOW_MS: i64 = 1_700_000_000_000;

/// A store with so many commits: each moves one of seven refs and leaves a receipt.
fn filled(path: &Path, commits: u64) -> EmbeddedStore {
    let store = open(path);
    more(&store, 0, commits);
    store
}

fn more(store: &EmbeddedStore, from: u64, commits: u64) {
    for number in from..from + commits {
        step(store, number);
    }
}

fn step(store: &EmbeddedStore, number: u64) {
    let block = Block::raw(format!("block {number}").into_bytes());
    let moves = vec![set(
        &name(&format!("t{}", number % 7)),
        Expect::Any,
        block.cid,
    )];
    let blocks = vec![block];
    let command = command(&format!("c{number}"), 1);
    let commit = Commit {
        blocks,
        moves,
        command,
        ..commit()
    };
    store.submit(embedded::relaxed(commit)).wait().unwrap();
}

fn all(store: &EmbeddedStore) -> Vec<JournalEntry> {
    store.journal(None, usize::MAX).unwrap()
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(path.join("journal"))
        .map(|found| found.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    found.sort();
    found
}

fn findings(store: &EmbeddedStore, since: Option<&Head>) -> Vec<String> {
    let report = store.verify(since).unwrap();
    let texts = report.findings.iter();
    texts
        .map(|found| format!("{}: {}", found.which, found.detail))
        .collect()
}

#[test]
fn sealed_commits_read_and_verify_as_before() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path(), 100);
    let before = all(&store);
    let heads: Vec<Head> = before.iter().map(JournalEntry::head).collect();

    let report = store.seal_journal(30).unwrap();
    assert_eq!((report.files, report.commits), (1, 70));
    assert_eq!(files(root.path()).len(), 1);
    let extent = store.journal_extent().unwrap();
    assert_eq!((extent.commits(), extent.sealed_commits()), (100, 70));
    assert_eq!(extent.head, heads[99]);
    assert_eq!(all(&store), before);
    assert_eq!(store.seal_journal(30).unwrap().commits, 0, "nothing to do");

    more(&store, 100, 20);
    // The newest stays, whatever is asked.
    assert_eq!(store.seal_journal(0).unwrap().commits, 49);
    step(&store, 120);
    let now = all(&store);
    assert_eq!(&now[..100], before);
    assert_eq!(now.len(), 121);
    // Each cursor goes on where it stood, in pages of any size.
    for from in [0, 1, 69, 70, 71, 118, 119, 120, 121] {
        for limit in [1, 7, 1000] {
            let mut after = match from {
                0 => Head::default().cursor(),
                from => now[from - 1].cursor(),
            };
            let mut read = Vec::new();
            loop {
                let page = store.journal(Some(&after), limit).unwrap();
                let Some(last) = page.last() else { break };
                after = last.cursor();
                read.extend(page);
            }
            assert_eq!(read, now[from..], "after {from}, {limit} at a time");
        }
    }
    for head in &heads {
        assert_eq!(findings(&store, Some(head)), [""; 0]);
    }
    let wrong = Head {
        chain: [7; 32],
        ..heads[40]
    };
    assert!(findings(&store, Some(&wrong))[0].contains("not what it was"));
    drop(store);
    let store = open(root.path());
    assert_eq!(all(&store), now);
    assert_eq!(findings(&store, Some(&heads[10])), [""; 0]);
    assert_eq!(store.stats().unwrap().commits, 121);
}

#[test]
fn sealing_makes_the_journal_smaller_and_one_file_holds_4096() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path(), 5000);
    let rows: u64 = all(&store).len() as u64;
    let report = store.seal_journal(1).unwrap();
    assert_eq!((report.files, report.commits), (2, rows - 1));
    let extent = store.journal_extent().unwrap();
    let lasts: Vec<u64> = extent.sealed.iter().map(|file| file.last).collect();
    assert_eq!(lasts, [4096, 4999]);
    for file in &extent.sealed {
        assert!(
            file.bytes * 2 < file.row_bytes,
            "{} of {}",
            file.bytes,
            file.row_bytes
        );
    }
    assert_eq!(findings(&store, None), [""; 0]);
}

#[test]
fn what_is_expired_is_gone_and_the_rest_is_proved() {
    let root = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW_MS);
    let options = OpenOptions {
        clock: clock.clone(),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(root.path(), &options).unwrap();
    for part in 0..4 {
        more(&store, part * 10, 10);
        store.seal_journal(1).unwrap();
        clock.advance(1000);
    }
    let before = all(&store);
    assert_eq!(files(root.path()).len(), 4);
    // Sealed: 1–9, 10–19, 20–29, 30–39; commits 11–20 are of second 1.
    let nothing = store.expire_journal(&ExpireBefore::Time(NOW_MS)).unwrap();
    assert_eq!(nothing.files, 0);
    let expired = store
        .expire_journal(&ExpireBefore::Time(NOW_MS + 1001))
        .unwrap();
    assert_eq!((expired.files, expired.commits), (2, 19));
    assert_eq!(files(root.path()).len(), 2);
    assert_eq!(all(&store), before[19..]);
    let extent = store.journal_extent().unwrap();
    assert_eq!(extent.start.head, before[18].head());
    assert_eq!(extent.commits(), 21);

    for gone in [
        Head::default().cursor(),
        before[0].cursor(),
        before[17].cursor(),
    ] {
        let answer = store.journal(Some(&gone), 9);
        assert!(
            matches!(&answer, Err(StoreError::CursorExpired(text)) if *text == gone.to_string()),
            "{answer:?}"
        );
    }
    assert_eq!(
        store.journal(Some(&before[18].cursor()), 99).unwrap(),
        before[19..]
    );
    let lost = Cursor {
        position: 19,
        chain8: [1; 8],
    };
    for lost in [
        lost,
        Cursor {
            position: 25,
            ..lost
        },
        Cursor {
            position: 99,
            ..lost
        },
    ] {
        let answer = store.journal(Some(&lost), 9);
        assert!(
            matches!(answer, Err(StoreError::CursorLost(_))),
            "{answer:?}"
        );
        let answer = store.expire_journal(&ExpireBefore::Cursor(lost));
        assert!(
            matches!(answer, Err(StoreError::CursorLost(_))),
            "{answer:?}"
        );
    }
    assert_eq!(findings(&store, None), [""; 0]);
    for known in &before[18..] {
        assert_eq!(findings(&store, Some(&known.head())), [""; 0]);
    }
    let old = findings(&store, Some(&before[17].head()));
    assert_eq!(old.len(), 1);
    assert!(old[0].contains("starts after commit 19"), "{old:?}");
    let wrong = Head {
        chain: [3; 32],
        ..before[18].head()
    };
    assert!(findings(&store, Some(&wrong))[0].contains("not what it was"));

    // A cursor inside a file keeps that file; one at its end gives it up.
    let middle = ExpireBefore::Cursor(before[27].cursor());
    assert_eq!(store.expire_journal(&middle).unwrap().files, 0);
    let end = ExpireBefore::Cursor(before[28].cursor());
    assert_eq!(store.expire_journal(&end).unwrap().commits, 10);
    assert_eq!(
        store
            .expire_journal(&ExpireBefore::Cursor(before[2].cursor()))
            .unwrap()
            .files,
        0,
        "that was long ago"
    );
    drop(store);
    let store = open(root.path());
    more(&store, 40, 3);
    assert_eq!(all(&store).len(), 14);
    assert_eq!(findings(&store, Some(&before[39].head())), [""; 0]);
    // Receipts outlive the commits that left them.
    let address = treering_store::Address::Scope("main".into());
    assert!(store.receipt(&address, "c0").unwrap().is_some());
}

#[test]
fn verify_still_finds_what_is_wrong_with_refs_after_an_expiry() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path(), 20);
    store.seal_journal(5).unwrap();
    let extent = store.journal_extent().unwrap();
    let end = extent.sealed[0].head_after().cursor();
    assert_eq!(
        store
            .expire_journal(&ExpireBefore::Cursor(end))
            .unwrap()
            .commits,
        15
    );
    assert_eq!(findings(&store, None), [""; 0]);
    // One that the kept journal moved, and one that it did not.
    drop(store);
    let database = rusqlite::Connection::open(root.path().join("store.db")).unwrap();
    let deleted = database
        .execute(
            "DELETE FROM ref WHERE name IN ('main/thread/t5', 'main/thread/t0')",
            [],
        )
        .unwrap();
    assert_eq!(deleted, 2);
    drop(database);
    let found = findings(&open(root.path()), None);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("t5") && found[0].contains("the refs have not"),
        "{found:?}"
    );
}

#[test]
fn damage_to_a_sealed_file_is_found_and_hides_no_other() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path(), 30);
    store.seal_journal(20).unwrap();
    more(&store, 30, 10);
    store.seal_journal(10).unwrap();
    let before = all(&store);
    let first = files(root.path()).remove(0);
    let whole = fs::read(&first).unwrap();
    let read_first = || store.journal(None, 5);
    for (damage, bytes) in [
        ("flipped", {
            let mut bytes = whole.clone();
            bytes[150] ^= 1;
            Some(bytes)
        }),
        ("cut", Some(whole[..whole.len() - 1].to_vec())),
        ("longer", Some([&whole[..], b"x"].concat())),
        ("missing", None),
    ] {
        match &bytes {
            Some(bytes) => fs::write(&first, bytes).unwrap(),
            None => fs::remove_file(&first).unwrap(),
        }
        let answer = read_first();
        assert!(
            matches!(
                &answer,
                Err(StoreError::Corrupt {
                    what: "sealed journal file",
                    ..
                })
            ),
            "{damage}: {answer:?}"
        );
        // What comes after it can be read, and verify says which file it is.
        assert_eq!(
            store.journal(Some(&before[10].cursor()), 99).unwrap(),
            before[11..],
            "{damage}"
        );
        let found = findings(&store, None);
        let file = first.file_name().unwrap().to_str().unwrap();
        assert!(
            found.iter().any(|text| text.starts_with(file)),
            "{damage}: {found:?}"
        );
        // The chain is broken there, and goes on.
        assert!(found.len() <= 3, "{damage}: {found:?}");
        // An expiry needs no file: that is how to get rid of it.
        fs::write(&first, &whole).unwrap();
    }
    assert_eq!(findings(&store, None), [""; 0]);
}

#[test]
fn what_is_before_damage_is_given_and_then_the_error() {
    for damage in [
        "UPDATE journal SET body = NULL WHERE position = 7",
        "UPDATE journal SET digest = x'00' WHERE position = 7",
        "UPDATE journal SET chain = x'00' WHERE position = 7",
        "UPDATE journal SET at_ms = at_ms + 1 WHERE position = 7",
        "DELETE FROM journal WHERE position = 7",
    ] {
        let root = tempfile::tempdir().unwrap();
        drop(filled(root.path(), 12));
        let database = rusqlite::Connection::open(root.path().join("store.db")).unwrap();
        assert_eq!(database.execute(damage, []).unwrap(), 1);
        let store = open(root.path());
        let given = store.journal(None, 100).unwrap();
        assert_eq!(given.len(), 6, "{damage}");
        let after = store.journal(Some(&given[5].cursor()), 100);
        assert!(
            matches!(after, Err(StoreError::Corrupt { .. })),
            "{damage}: {after:?}"
        );
    }
    // A sealed file that is gone, between what is kept of the table and what stays there.
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path(), 30);
    store.seal_journal(20).unwrap();
    more(&store, 30, 10);
    store.seal_journal(10).unwrap();
    fs::remove_file(&files(root.path())[1]).unwrap();
    let given = store.journal(None, 100).unwrap();
    assert_eq!(given.len(), 10);
    let after = store.journal(Some(&given[9].cursor()), 100);
    assert!(
        matches!(after, Err(StoreError::Corrupt { .. })),
        "{after:?}"
    );
}

#[test]
fn a_row_that_names_a_file_is_checked() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path(), 10);
    store.seal_journal(1).unwrap();
    let start = ExpireBefore::Cursor(all(&store)[8].cursor());
    drop(store);
    let edit = |sql: &str| {
        let database = rusqlite::Connection::open(root.path().join("store.db")).unwrap();
        database.execute(sql, []).unwrap()
    };
    let backup = fs::read(root.path().join("store.db")).unwrap();
    for sql in [
        "UPDATE manifest SET value = zeroblob(160) WHERE key LIKE 'journal/%'",
        "UPDATE manifest SET key = 'journal/00000000000000000002' WHERE key LIKE 'journal/%'",
    ] {
        assert_eq!(edit(sql), 1);
        let store = open(root.path());
        let answer = store.journal(None, 99);
        assert!(
            matches!(answer, Err(StoreError::Corrupt { .. })),
            "{sql}: {answer:?}"
        );
        assert_ne!(findings(&store, None), [""; 0], "{sql}");
        drop(store);
        fs::write(root.path().join("store.db"), &backup).unwrap();
    }
    let store = open(root.path());
    store.expire_journal(&start).unwrap();
    drop(store);
    assert_eq!(
        edit("UPDATE manifest SET value = zeroblob(48) WHERE key = 'journal_start'"),
        1
    );
    let store = open(root.path());
    assert!(store.journal(None, 9).is_err());
    let found = findings(&store, None);
    assert!(
        found
            .iter()
            .any(|text| text.contains("journal_start") || text.contains("start")),
        "{found:?}"
    );
}

#[test]
fn several_seal_and_expire_while_others_write_and_read() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path(), 50);
    let done = AtomicBool::new(false);
    let is_done = || done.load(Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            more(&store, 50, 400);
            done.store(true, Relaxed);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done() {
                    store.seal_journal(20).unwrap();
                    std::thread::yield_now();
                }
            });
        }
        scope.spawn(|| {
            while !is_done() {
                let extent = store.journal_extent().unwrap();
                if let [first, _, _, ..] = extent.sealed.as_slice() {
                    let end = ExpireBefore::Cursor(first.head_after().cursor());
                    store.expire_journal(&end).unwrap();
                }
            }
        });
        // A reader without a gap; expired now and then.
        let mut after: Option<Cursor> = None;
        let mut position = 0;
        while !is_done() {
            match store.journal(after.as_ref(), 13) {
                Ok(page) => {
                    for entry in page {
                        assert!(position == 0 || entry.position == position + 1);
                        position = entry.position;
                        after = Some(entry.cursor());
                    }
                }
                Err(StoreError::CursorExpired(_)) => (after, position) = (None, 0),
                Err(error) => panic!("{error}"),
            }
            assert_eq!(findings(&store, None), [""; 0]);
        }
    });
    assert_eq!(store.head().unwrap().position, 450);
    assert_eq!(findings(&store, None), [""; 0]);
    let extent = store.journal_extent().unwrap();
    assert_eq!(
        files(root.path()).len(),
        extent.sealed.len(),
        "no file without a row"
    );
}

#[test]
fn a_collection_survives_the_expiry_of_what_it_wanted_to_read() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path(), 10);
    let orphan = Block::raw(b"orphan".to_vec());
    store.submit(put(vec![orphan.clone()])).wait().unwrap();
    store.release_hold("main", &orphan.cid).unwrap();
    let mut collection = store.collection(&GcOptions::default()).unwrap();
    collection.step().unwrap();
    // What moved since the snapshot is expired: a block that only a commit of that time made reachable stays.
    more(&store, 10, 10);
    store.seal_journal(1).unwrap();
    let end = store.journal_extent().unwrap().sealed[0].head_after();
    store
        .expire_journal(&ExpireBefore::Cursor(end.cursor()))
        .unwrap();
    let report = collection.run().unwrap();
    assert!(report.dead >= 1, "{report:?}");
    assert!(!store.has(&orphan.cid).unwrap());
    for part in 0..7 {
        let value = store.read_ref(&name(&format!("t{part}"))).unwrap().unwrap();
        assert!(store.get(&value.target).is_ok());
    }
    assert_eq!(findings(&store, None), [""; 0]);
}

#[test]
fn a_file_without_a_row_is_removed_unless_somebody_holds_it() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path(), 10);
    store.seal_journal(5).unwrap();
    let folder = root.path().join("journal");
    let at = |ms: u64| {
        let id = ulid::Ulid::from_parts(ms, 7);
        folder.join(format!("{:020}-{:020}-{id}", 1, 5))
    };
    let now_ms = u64::try_from(Clock::system().now_ms()).unwrap();
    let (old, young) = (at(now_ms - 25 * 3_600_000), at(now_ms - 3_600_000));
    let (held, foreign) = (at(now_ms), folder.join("notes.txt"));
    for path in [&old, &young, &held, &foreign] {
        fs::write(path, b"stray").unwrap();
    }
    let lock = fs::File::open(&held).unwrap();
    lock.lock().unwrap();
    store.seal_journal(5).unwrap();
    assert!(!old.exists() && !young.exists() && held.exists() && foreign.exists());
    drop(lock);
    store.seal_journal(5).unwrap();
    assert!(!held.exists() && foreign.exists());
    assert_eq!(all(&store).len(), 10);
    assert_eq!(findings(&store, None), [""; 0]);
}

#[test]
fn a_handle_that_only_reads_seals_nothing() {
    let root = tempfile::tempdir().unwrap();
    let written = filled(root.path(), 10);
    written.seal_journal(5).unwrap();
    let options = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(root.path(), &options).unwrap();
    assert_eq!(all(&store).len(), 10);
    assert!(matches!(store.seal_journal(1), Err(StoreError::ReadOnly)));
    let before = ExpireBefore::Time(i64::MAX);
    assert!(matches!(
        store.expire_journal(&before),
        Err(StoreError::ReadOnly)
    ));
}

fn backup(store: &EmbeddedStore, path: &Path) -> BackupReport {
    store
        .backup(path, &BackupOptions::default(), &Progress::default())
        .unwrap()
}

#[test]
fn a_backup_has_the_sealed_files_and_follows_what_is_sealed_and_expired() {
    let root = tempfile::tempdir().unwrap();
    let (here, there) = (root.path().join("store"), root.path().join("backup"));
    let store = filled(&here, 30);
    store.seal_journal(20).unwrap();
    assert_eq!(backup(&store, &there).commits, 30);
    let same = |positions: std::ops::RangeInclusive<u64>| {
        let options = OpenOptions {
            read_only: true,
            ..OpenOptions::default()
        };
        let copy = EmbeddedStore::open(&there, &options).unwrap();
        assert_eq!(all(&copy), all(&store));
        let read: Vec<u64> = all(&copy).iter().map(|entry| entry.position).collect();
        assert_eq!(read, positions.collect::<Vec<_>>());
        assert_eq!(
            copy.journal_extent().unwrap(),
            store.journal_extent().unwrap()
        );
        assert_eq!(findings(&copy, None), [""; 0]);
        let names = |path: &Path| -> Vec<_> {
            let files = files(path).into_iter();
            files
                .map(|file| file.file_name().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(&there), names(&here));
    };
    same(1..=30);
    // Rows that the backup has in its table are sealed now, and some that it has not at all.
    more(&store, 30, 20);
    store.seal_journal(5).unwrap();
    let report = backup(&store, &there);
    assert_eq!((report.incremental, report.commits), (true, 20));
    same(1..=50);
    let first = store.journal_extent().unwrap().sealed[0].head_after();
    store
        .expire_journal(&ExpireBefore::Cursor(first.cursor()))
        .unwrap();
    more(&store, 50, 3);
    assert_eq!(backup(&store, &there).commits, 3);
    same(11..=53);

    let back = root.path().join("back");
    let options = OpenOptions::default();
    treering_store::restore(&there, &back, &options, &Progress::default()).unwrap();
    let restored = open(&back);
    assert_eq!(all(&restored), all(&store));
    assert_eq!(findings(&restored, None), [""; 0]);
    more(&restored, 53, 2);
    restored.seal_journal(1).unwrap();
    assert_eq!(all(&restored).len(), 45);

    // What came after the backup is expired: it can't be brought up to date any more.
    more(&store, 53, 10);
    store.seal_journal(1).unwrap();
    store.expire_journal(&ExpireBefore::Time(i64::MAX)).unwrap();
    let refused = store
        .backup(&there, &BackupOptions::default(), &Progress::default())
        .unwrap_err();
    assert!(
        refused.to_string().contains("expired its journal"),
        "{refused}"
    );
}

#[test]
fn a_ref_is_repaired_from_a_sealed_commit() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path(), 20);
    let before = store.read_ref(&name("t3")).unwrap();
    store.seal_journal(1).unwrap();
    drop(store);
    let database = rusqlite::Connection::open(root.path().join("store.db")).unwrap();
    let broken =
        "UPDATE ref SET target = zeroblob(36), chk = zeroblob(16) WHERE name = 'main/thread/t3'";
    assert_eq!(database.execute(broken, []).unwrap(), 1);
    drop(database);
    let store = open(root.path());
    assert!(store.read_ref(&name("t3")).is_err());
    let report = store.repair().unwrap();
    assert_eq!(report.repairs.len(), 1, "{report:?}");
    assert_eq!(store.read_ref(&name("t3")).unwrap(), before);
    assert_eq!(findings(&store, None), [""; 0]);
}
