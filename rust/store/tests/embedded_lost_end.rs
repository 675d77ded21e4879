//! A journal that lost its last commits: nothing takes their numbers, and commits go on once they are marked.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::path::Path;
use std::sync::Arc;

use embedded::{command, commit, name, open, put, relaxed, set};
use rusqlite::Connection;
use treering_block::Block;
use treering_store::faults::{Image, Loss, Recorder};
use treering_store::{
    BackupOptions, Check, Commit, Committed, Cursor, Disk, EmbeddedStore, Expect, ExpireBefore,
    GcOptions, JournalEntry, OpenOptions, Progress, Store, StoreError, restore,
};

/// Commits of [`filled`]. The last leaves a receipt only, the one before a block: no ref speaks of them.
const NEWEST: u64 = 8;

fn submit(store: &EmbeddedStore, commit: Commit) -> Committed {
    store.submit(commit).wait().unwrap()
}

/// A commit that moves a ref.
fn step(number: u64) -> Commit {
    let block = Block::raw(format!("block {number}").into_bytes());
    Commit {
        moves: vec![set(
            &name(["a", "b", "c"][number as usize % 3]),
            Expect::Any,
            block.cid,
        )],
        blocks: vec![block],
        ..commit()
    }
}

fn filled(path: &Path) -> EmbeddedStore {
    let store = open(path);
    for number in 1..NEWEST - 1 {
        submit(&store, step(number));
    }
    submit(&store, put(vec![Block::raw(&b"put"[..])]));
    let receipt = Commit {
        command: command("last", 7),
        ..commit()
    };
    assert_eq!(submit(&store, receipt).position, NEWEST);
    store
}

fn execute(path: &Path, sql: &str) -> usize {
    let database = Connection::open(path.join("store.db")).unwrap();
    database.execute(sql, []).unwrap()
}

/// Loses the journal from behind that commit on.
fn lose_after(path: &Path, last: u64) {
    let sql = format!("DELETE FROM journal WHERE position > {last}");
    assert!(execute(path, &sql) > 0);
}

fn remove_newest_file(path: &Path) {
    let listed = std::fs::read_dir(path.join("journal")).unwrap();
    let newest = listed.map(|file| file.unwrap().path()).max().unwrap();
    std::fs::remove_file(newest).unwrap();
}

fn refs(store: &EmbeddedStore) -> Vec<Option<treering_store::RefValue>> {
    ["a", "b", "c"]
        .map(|part| store.read_ref(&name(part)).unwrap())
        .into()
}

fn findings(store: &EmbeddedStore) -> Vec<String> {
    let found = store.verify(None).unwrap().findings;
    found
        .iter()
        .map(|found| format!("{:?} {}: {}", found.check, found.which, found.detail))
        .collect()
}

/// Every write is refused, and says what to do; everything can be read.
fn assert_refuses(store: &EmbeddedStore, told: &str, kept: &str) {
    let state = || {
        (refs(store), store.head().unwrap(), {
            let stats = store.stats().unwrap();
            (
                stats.blocks,
                stats.block_bytes,
                stats.commits,
                stats.receipts,
                stats.holds,
            )
        })
    };
    let before = state();
    let blocks_alone = put(vec![Block::raw(&b"another"[..])]);
    for refused in [step(99), relaxed(step(99)), blocks_alone] {
        match store.submit(refused).wait() {
            Err(error @ StoreError::Corrupt { .. }) => {
                let text = error.to_string();
                assert!(text.contains(told) && text.contains(kept), "{text}");
                assert!(text.contains("treering verify"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    let collected = store.gc(&GcOptions::default());
    assert!(
        matches!(collected, Err(StoreError::Corrupt { .. })),
        "{collected:?}"
    );
    assert_eq!(state(), before);
    store.get(&Block::raw(&b"block 6"[..]).cid).unwrap();
    // A lease is no commit of the journal.
    let lease = store.lease_acquire(&name("a"), "tester").unwrap();
    store.lease_release(&lease).unwrap();
}

fn positions(entries: &[JournalEntry]) -> Vec<(u64, bool)> {
    entries
        .iter()
        .map(|entry| (entry.position, entry.blank))
        .collect()
}

/// How the end gets lost: what is done to a store that nobody has open, the newest commit that is left, and whether a
/// finding stays.
struct Damage {
    what: &'static str,
    seal: Option<u64>,
    lose: fn(&Path),
    end: u64,
    left: Option<&'static str>,
}

const LOSSES: &[Damage] = &[
    Damage {
        what: "the newest commit, of which nothing else speaks",
        seal: None,
        lose: |path| lose_after(path, 7),
        end: 7,
        left: None,
    },
    Damage {
        what: "several, of some of which refs speak",
        seal: None,
        lose: |path| lose_after(path, 3),
        end: 3,
        left: None,
    },
    Damage {
        what: "all of it",
        seal: None,
        lose: |path| lose_after(path, 0),
        end: 0,
        left: None,
    },
    Damage {
        what: "all that was not sealed",
        seal: Some(3),
        lose: |path| lose_after(path, 0),
        end: 5,
        left: None,
    },
    Damage {
        what: "a sealed file with its row, too",
        seal: Some(3),
        lose: |path| {
            lose_after(path, 0);
            assert_eq!(
                execute(
                    path,
                    "DELETE FROM manifest WHERE key = 'journal/00000000000000000001'"
                ),
                1
            );
            remove_newest_file(path);
        },
        end: 0,
        left: None,
    },
    Damage {
        what: "a sealed file whose row is left",
        seal: Some(3),
        lose: |path| {
            lose_after(path, 0);
            remove_newest_file(path);
        },
        end: 5,
        left: Some("it is missing"),
    },
];

#[test]
fn no_commit_takes_the_number_of_a_lost_one() {
    for loss in LOSSES {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        let store = filled(path);
        if let Some(keep) = loss.seal {
            assert_eq!(store.seal_journal(keep).unwrap().commits, NEWEST - keep);
        }
        let (before, head) = (refs(&store), store.head().unwrap());
        store.close().unwrap();
        (loss.lose)(path);

        let kept = format!("ends at {}", loss.end);
        for _ in 0..2 {
            let store = open(path);
            assert_refuses(&store, "commit 8", &kept);
            let found = findings(&store);
            assert!(
                found
                    .iter()
                    .any(|found| found.starts_with("Journal commit 8: the journal ends at")),
                "{}: {found:#?}",
                loss.what
            );
            store.close().unwrap();
        }

        let store = open(path);
        let report = store.repair().unwrap();
        let mended: Vec<_> = report.repairs.iter().collect();
        assert_eq!(mended.len(), 1, "{}: {report:#?}", loss.what);
        assert_eq!(mended[0].check, Check::Journal);
        assert!(mended[0].which.ends_with('8'), "{report:#?}");
        assert_eq!(refs(&store), before, "{}: refs stay", loss.what);
        match loss.left {
            None => assert_eq!(report.left.findings, [], "{}", loss.what),
            Some(left) => {
                let details = report.left.findings.iter().map(|found| &found.detail);
                assert!(
                    details.clone().any(|detail| detail.contains(left)),
                    "{:?}",
                    details.collect::<Vec<_>>()
                );
            }
        }
        // And on, also when it is opened again.
        let store = if loss.end % 2 == 0 {
            store
        } else {
            store.close().unwrap();
            open(path)
        };
        assert_eq!(submit(&store, step(9)).position, NEWEST + 1);
        assert_eq!(submit(&store, step(10)).position, NEWEST + 2);
        let report = store.verify(None).unwrap();
        assert_eq!(report.findings.is_empty(), loss.left.is_none());
        assert_eq!(report.blank_commits, NEWEST - loss.end);
        if loss.left.is_none() {
            let entries = store.journal(None, 100).unwrap();
            let expected: Vec<_> = (1..=NEWEST + 2)
                .map(|position| (position, position > loss.end && position <= NEWEST))
                .collect();
            assert_eq!(positions(&entries), expected, "{}", loss.what);
            // Who saw the lost end is told that it is lost.
            let lost: Cursor = head.cursor();
            assert!(matches!(
                store.journal(Some(&lost), 1),
                Err(StoreError::CursorLost(_))
            ));
            let since = store.verify(Some(&head)).unwrap().findings;
            assert!(
                since.iter().all(|found| found.which == "commit 8") && !since.is_empty(),
                "{since:#?}"
            );
            store.gc(&GcOptions::default()).unwrap();
        }
        assert_eq!(store.repair().unwrap().repairs, []);
    }
}

/// What else is broken beside the lost end is mended first, and nothing on the word of what is lost.
#[test]
fn a_lost_end_undoes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path();
    let store = filled(path);
    let before = refs(&store);
    store.close().unwrap();
    lose_after(path, 3);
    assert_eq!(
        execute(
            path,
            "UPDATE graph SET chk = zeroblob(16) WHERE ordinal = 2"
        ),
        1
    );
    assert_eq!(
        execute(
            path,
            "UPDATE journal SET digest = zeroblob(32) WHERE position = 3"
        ),
        1
    );
    let store = open(path);
    let report = store.repair().unwrap();
    let mended: Vec<_> = report.repairs.iter().map(|repair| repair.check).collect();
    assert_eq!(mended.last(), Some(&Check::Journal), "{report:#?}");
    assert_eq!((mended.len(), report.left.findings), (3, vec![]));
    assert_eq!(refs(&store), before);
}

/// The noted head goes with the commits when a power failure takes relaxed ones: no damage.
#[test]
fn relaxed_commits_that_a_power_failure_took_are_no_damage() {
    let root = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(root.path()).unwrap();
    recorder.skip_real_syncs();
    let recorder = Arc::new(recorder);
    let options = OpenOptions {
        disk: Disk::behind(Arc::clone(&recorder) as _),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(root.path().join("store"), &options).unwrap();
    (1..=3).for_each(|number| drop(submit(&store, step(number))));
    (4..=9).for_each(|number| drop(submit(&store, relaxed(step(number)))));
    let head = store.head().unwrap();
    let image = Image::new().after(&recorder.trace());
    let mut ends = Vec::new();
    let losses = (0..12).map(Loss::Random);
    for loss in [Loss::All, Loss::Nothing].into_iter().chain(losses) {
        let into = tempfile::tempdir().unwrap();
        image.materialise(loss, into.path()).unwrap();
        let store = open(&into.path().join("store"));
        let end = store.head().unwrap().position;
        assert!((3..=9).contains(&end), "{loss:?}");
        assert_eq!(findings(&store), [""; 0], "{loss:?}");
        assert_eq!(submit(&store, step(end + 1)).position, end + 1, "{loss:?}");
        assert_eq!(findings(&store), [""; 0], "{loss:?}");
        ends.push(end);
    }
    assert_eq!(ends[..2], [3, head.position]);
}

fn backup(store: &EmbeddedStore, path: &Path) -> Result<u64, StoreError> {
    let made = store.backup(path, &BackupOptions::default(), &Progress::default());
    made.map(|report| report.commits)
}

#[test]
fn backups_keep_what_the_store_lost_and_go_on_in_a_new_directory() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    let at = |name: &str| home.path().join(name);
    let store = filled(&path);
    backup(&store, &at("whole")).unwrap();
    store.close().unwrap();
    lose_after(&path, 5);
    let store = open(&path);
    let refused = backup(&store, &at("no backup")).unwrap_err().to_string();
    assert!(refused.contains("the journal ends at 5"), "{refused}");
    assert!(matches!(
        backup(&store, &at("whole")),
        Err(StoreError::Diverged { .. })
    ));
    store.repair().unwrap();
    assert!(matches!(
        backup(&store, &at("whole")),
        Err(StoreError::Diverged { .. })
    ));
    submit(&store, step(9));
    assert!(matches!(
        backup(&store, &at("whole")),
        Err(StoreError::Diverged { .. })
    ));
    assert_eq!(backup(&store, &at("new")).unwrap(), 9);
    submit(&store, step(10));
    assert_eq!(backup(&store, &at("new")).unwrap(), 1);

    // What was restored goes on where its journal ends.
    for (backup, end) in [("whole", NEWEST), ("new", 10)] {
        let to = home.path().join(format!("{backup} restored"));
        restore(
            at(backup),
            &to,
            &OpenOptions::default(),
            &Progress::default(),
        )
        .unwrap();
        let store = open(&to);
        assert_eq!(findings(&store), [""; 0]);
        assert_eq!(submit(&store, step(11)).position, end + 1);
        assert_eq!(findings(&store), [""; 0]);
    }
}

#[test]
fn a_backup_from_before_the_loss_is_not_taken_over_the_marks() {
    let home = tempfile::tempdir().unwrap();
    let (path, kept) = (home.path().join("store"), home.path().join("kept"));
    let store = open(&path);
    (1..=3).for_each(|number| drop(submit(&store, step(number))));
    backup(&store, &kept).unwrap();
    (4..=6).for_each(|number| drop(submit(&store, step(number))));
    store.close().unwrap();
    lose_after(&path, 4);
    let store = open(&path);
    store.repair().unwrap();
    submit(&store, step(7));
    let refused = backup(&store, &kept).unwrap_err().to_string();
    assert!(refused.contains("new directory"), "{refused}");
}

#[test]
fn marks_are_sealed_and_expire_like_commits() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path();
    let store = filled(path);
    store.close().unwrap();
    lose_after(path, 5);
    let store = open(path);
    store.repair().unwrap();
    // Nothing is behind the marks yet.
    assert_eq!(store.seal_journal(1).unwrap().commits, NEWEST - 1);
    assert_eq!(submit(&store, step(9)).position, NEWEST + 1);
    assert_eq!(store.seal_journal(1).unwrap().commits, 1);
    let entries = store.journal(None, 100).unwrap();
    let blank: Vec<_> = entries.iter().map(|entry| entry.blank).collect();
    assert_eq!(
        blank,
        [false, false, false, false, false, true, true, true, false]
    );
    assert_eq!(findings(&store), [""; 0]);
    let until = ExpireBefore::Cursor(entries[7].cursor());
    assert_eq!(store.expire_journal(&until).unwrap().commits, NEWEST);
    assert_eq!(findings(&store), [""; 0]);
    assert_eq!(submit(&store, step(10)).position, NEWEST + 2);
    store.close().unwrap();
    // Where nothing is left but where the journal starts.
    lose_after(path, 0);
    let store = open(path);
    assert_refuses(&store, "commit 10", "ends at 8");
    assert_eq!(store.repair().unwrap().left.findings, []);
    assert_eq!(submit(&store, step(11)).position, NEWEST + 3);
    assert_eq!(findings(&store), [""; 0]);
}

/// The row `totals`, its value changed, with its check.
fn change_totals(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let database = Connection::open(path.join("store.db")).unwrap();
    let read = "SELECT value FROM manifest WHERE key = 'totals'";
    let before: Vec<u8> = database.query_row(read, [], |row| row.get(0)).unwrap();
    let mut value = before.clone();
    change(&mut value);
    let mut columns = Vec::new();
    for column in [b"totals".as_slice(), &value] {
        columns.extend((column.len() as u64).to_le_bytes());
        columns.extend(column);
    }
    let check = &blake3::derive_key("treering v1 row manifest", &columns)[..16];
    let write = "UPDATE manifest SET value = ?1, chk = ?2 WHERE key = 'totals'";
    assert_eq!(database.execute(write, (&value, check)).unwrap(), 1);
    before
}

fn totals(path: &Path) -> Vec<u8> {
    change_totals(path, |_| {})
}

#[test]
fn the_newest_commit_stands_in_the_row_of_the_totals() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path());
    let head = store.head().unwrap();
    store.close().unwrap();
    let value = totals(root.path());
    assert_eq!(value.len(), 88);
    assert_eq!(value[48..56], head.position.to_le_bytes());
    assert_eq!(value[56..], head.chain);
}

/// An earlier version noted no newest commit.
#[test]
fn a_row_of_an_earlier_version_is_taken_as_it_is_and_completed() {
    for length in [40, 48] {
        for (lose, told) in [(false, false), (true, true), (true, false)] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path();
            filled(path).close().unwrap();
            change_totals(path, |value| value.truncate(length));
            if lose {
                // Refs tell of commit 6 and of none after it.
                lose_after(path, if told { 4 } else { 7 });
            }
            let store = open(path);
            if told {
                assert_refuses(&store, "commit 6", "ends at 4");
                assert_eq!(store.repair().unwrap().left.findings, []);
            } else if !lose {
                assert_eq!(findings(&store), [""; 0]);
            }
            let next = submit(&store, step(9)).position;
            assert_eq!(
                next,
                if told {
                    7
                } else if lose {
                    8
                } else {
                    9
                }
            );
            store.close().unwrap();
            assert_eq!(totals(path).len(), 88);
            lose_after(path, next - 1);
            assert_refuses(&open(path), &format!("commit {next}"), "ends at");
        }
    }
}

/// What left the table says that there was a commit behind it.
#[test]
fn a_sealed_file_tells_an_earlier_version_s_store_of_the_commit_behind_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path();
    let store = filled(path);
    store.seal_journal(1).unwrap();
    store.close().unwrap();
    change_totals(path, |value| value.truncate(48));
    lose_after(path, 0);
    let store = open(path);
    assert_refuses(&store, "commit 8", "ends at 7");
    assert_eq!(store.repair().unwrap().left.findings, []);
    assert_eq!(submit(&store, step(9)).position, 9);
}

/// A page that was never written: the totals of an earlier moment, whose next ordinal may have been given since.
#[test]
fn totals_of_an_earlier_commit_are_found_out_before_an_ordinal_is_given_twice() {
    let receipt = Commit {
        command: command("another", 7),
        ..commit()
    };
    for last in [step(9), receipt] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        filled(path).close().unwrap();
        let earlier = totals(path);
        let store = open(path);
        submit(&store, last);
        store.close().unwrap();
        let right = change_totals(path, |value| *value = earlier);
        let store = open(path);
        let noted = "they were noted with commit 8, the journal ends at 9";
        match store.submit(step(10)).wait() {
            Err(StoreError::Corrupt { which, detail, .. }) => {
                assert_eq!((which.as_str(), detail.as_str()), ("totals", noted));
            }
            other => panic!("{other:?}"),
        }
        let found = findings(&store);
        assert!(
            found.contains(&format!("Manifest totals: {noted}")),
            "{found:?}"
        );
        let report = store.repair().unwrap();
        assert_eq!((report.repairs.len(), report.left.findings), (1, vec![]));
        store.close().unwrap();
        assert_eq!(totals(path), right);
        assert_eq!(submit(&open(path), step(10)).position, 10);
    }
}

/// Row and end are lost at once: refs tell.
#[test]
fn a_lost_row_of_totals_beside_a_lost_end() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path();
    filled(path).close().unwrap();
    lose_after(path, 4);
    assert_eq!(
        execute(path, "DELETE FROM manifest WHERE key = 'totals'"),
        1
    );
    let options = OpenOptions {
        mend: true,
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(path, &options).unwrap();
    assert_refuses(&store, "commit 6", "ends at 4");
    assert_eq!(store.repair().unwrap().left.findings, []);
    assert_eq!(submit(&store, step(9)).position, 7);
}

/// A number alone does not fill the disk.
#[test]
fn more_lost_commits_than_there_can_be_are_not_marked() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path();
    filled(path).close().unwrap();
    change_totals(path, |value| {
        value[48..56].copy_from_slice(&(NEWEST + (1 << 18) + 1).to_le_bytes())
    });
    let store = open(path);
    let report = store.repair().unwrap();
    assert_eq!(report.repairs, []);
    assert!(report.left.findings[0].which.contains("262153"));
    assert_refuses(&store, "262153", "ends at 8");
}
