//! Where the rows of sealed files have a gap, and files without a row that may belong there.
//!
//! A row that is lost leaves its file behind, and numbers of commits that no row has. So a file without a row, of commits that are
//! in no other place, may be all that is left of them.
//! Promises: what is in such a file is told of before an erase begins. Must never: write.

use std::path::Path;

use ulid::Ulid;

use super::row_check::{Table, corrupt};
use super::sealed_rows::{FOLDER, key};
use super::session::Session;
use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::journal::{JournalRow, chain};

/// Commits that no row has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The head before the first of them.
    pub(super) before: Head,
    /// The last.
    pub(super) last: u64,
    /// What follows, and proves what was there.
    pub(super) behind: Behind,
}

/// What stands behind a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// A sealed file that begins after this head.
    File(Head),
    /// The oldest commit of the table.
    Row(JournalRow),
    /// Nothing: the table is empty.
    Nothing,
}

impl Gap {
    /// Whether that head is the one that what stands behind follows.
    pub(super) fn ends_with(&self, head: &Head) -> bool {
        match &self.behind {
            Behind::File(before) => before == head,
            Behind::Row(row) => {
                let follows = chain(&head.chain, row.position, row.at_ms, &row.body_digest);
                head.position == self.last && follows == row.chain
            }
            Behind::Nothing => false,
        }
    }

    fn has_one_of(&self, first: u64, last: u64) -> bool {
        first <= self.last && last > self.before.position
    }
}

impl Session<'_> {
    /// The gaps, the oldest first; rows that are not sound are none. Errors: `Corrupt` for the start of the journal, or a file that
    /// follows another history than the one before it.
    pub(super) fn sealed_gaps(self) -> Result<Vec<Gap>> {
        let mut gaps = Vec::new();
        let mut end = self.journal_start()?.head;
        for file in self.sealed_files()?.into_iter().flatten() {
            let before = file.head_before();
            if before.position > end.position {
                gaps.push(Gap {
                    before: end,
                    last: before.position,
                    behind: Behind::File(before),
                });
            } else if before != end {
                return Err(file.corrupt("it does not begin where the one before it ends"));
            }
            end = file.head_after();
        }
        let oldest = self.unsealed_rows(end.position, 1)?.into_iter().next();
        let (last, behind) = match oldest {
            Some(row) => (row.position.saturating_sub(1), Behind::Row(row)),
            None => (u64::MAX, Behind::Nothing),
        };
        if last > end.position {
            gaps.push(Gap {
                before: end,
                last,
                behind,
            });
        }
        Ok(gaps)
    }

    /// Errors: `Corrupt` unless the rows of sealed files are sound, and one begins where the other ends, from where the journal
    /// starts to the oldest commit of the table: a row that is missing would show.
    pub(super) fn expect_whole_journal(self) -> Result<()> {
        for file in self.sealed_files()? {
            file?;
        }
        match self.sealed_gaps()?.first() {
            None => Ok(()),
            Some(gap) => Err(corrupt(
                Table::Manifest,
                key(gap.before.position.saturating_add(1)),
                "the row of a sealed file is missing, or the commits behind it",
            )),
        }
    }

    /// Errors: `Corrupt` for the first of these files that may have what a missing row had.
    pub(super) fn expect_none_is_missing(self, unnamed: &[String]) -> Result<()> {
        if unnamed.is_empty() {
            return Ok(());
        }
        let gaps = self.sealed_gaps()?;
        for name in unnamed {
            let Some((first, last, _)) = parts(name) else {
                continue;
            };
            if let Some(gap) = gaps.iter().find(|gap| gap.has_one_of(first, last)) {
                return Err(StoreError::Corrupt {
                    what: "sealed journal file",
                    which: name.clone(),
                    detail: format!(
                        "no row names it, and commit {} and others are in no other place: `verify --repair` takes it back if it is whole; if not, expire the journal past commit {last}, or move the file away",
                        gap.before.position.saturating_add(1),
                    ),
                });
            }
        }
        Ok(())
    }
}

/// Files without a row, of these, that begin behind that head, the one written last first.
pub(super) fn beginning_after<'a>(unnamed: &'a [String], head: &Head) -> Vec<(&'a str, Ulid)> {
    let mut found: Vec<_> = unnamed
        .iter()
        .filter_map(|name| parts(name).map(|parts| (name.as_str(), parts)))
        .filter(|(_, (first, _, _))| Some(*first) == head.position.checked_add(1))
        .map(|(name, (_, _, id))| (name, id))
        .collect();
    found.sort_by_key(|(_, id)| std::cmp::Reverse(*id));
    found
}

pub(super) fn place(root: &Path, name: &str) -> std::path::PathBuf {
    root.join(FOLDER).join(name)
}

/// First and last commit, and id, of a file of that name.
fn parts(name: &str) -> Option<(u64, u64, Ulid)> {
    let mut parts = name.split('-');
    let (first, last) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((first, last, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;
    use crate::embedded::directory::ERASE_LOCK;
    use crate::embedded::retention::tests::act;
    use crate::embedded::{BackupOptions, EmbeddedStore, OpenOptions};
    use crate::erasure::EraseOptions;
    use crate::gc::GcOptions;
    use crate::progress::Progress;
    use crate::retention::ExpireBefore;
    use crate::store::Store;

    fn open(path: &Path) -> EmbeddedStore {
        let options = OpenOptions {
            lock_wait: Duration::from_millis(50),
            ..OpenOptions::default()
        };
        EmbeddedStore::open(path, &options).unwrap()
    }

    /// Commits 1 to 10 in one sealed file, 11 to 14 in another one, and two in the table: of alice and bob in turn.
    fn make(path: &Path) {
        let store = open(path);
        for (from, to, keep) in [(0, 12, 2), (12, 16, 2)] {
            for number in from..to {
                act(
                    &store,
                    if number % 2 == 0 { "alice" } else { "bob" },
                    number,
                );
            }
            store.seal_journal(keep).unwrap();
        }
        assert_eq!(store.extent().unwrap().sealed.len(), 2);
    }

    fn run(path: &Path, sql: &str) {
        let db = rusqlite::Connection::open(path.join("store.db")).unwrap();
        assert_eq!(db.execute(sql, []).unwrap(), 1, "{sql}");
    }

    fn sealed_paths(path: &Path) -> Vec<std::path::PathBuf> {
        let folder = fs::read_dir(path.join(FOLDER)).unwrap();
        let mut found: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
        found.sort();
        found
    }

    fn is_corrupt<T: std::fmt::Debug>(answer: Result<T>) -> String {
        let error = answer.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        error.to_string()
    }

    fn clean(store: &EmbeddedStore) {
        store.gc(&GcOptions::default()).unwrap();
        let vacuumed = store.vacuum().unwrap();
        assert!(vacuumed.is_complete(), "{vacuumed:?}");
        assert_eq!(store.verify(None).unwrap().findings, []);
        let journal = store.journal(None, usize::MAX).unwrap();
        assert_eq!(journal[0].position, 1);
        assert!(journal.iter().all(|entry| entry.scope != "alice"));
        assert!(journal.iter().any(|entry| entry.scope == "bob"));
    }

    /// Others' erases, vacuums, seals and commits.
    fn others_go_on(store: &EmbeddedStore) {
        act(store, "eve", 99);
        act(store, "eve", 98);
        store.erase("eve", &EraseOptions::default()).unwrap();
        assert!(!store.scopes().unwrap().contains(&"eve".to_owned()));
        store.vacuum().unwrap();
        act(store, "bob", 97);
        assert!(store.seal_journal(1).unwrap().files > 0);
    }

    const LOST: [&str; 4] = [
        "DELETE FROM manifest WHERE key = (SELECT min(key) FROM manifest WHERE key LIKE 'journal/%')",
        "DELETE FROM manifest WHERE key = (SELECT max(key) FROM manifest WHERE key LIKE 'journal/%')",
        "UPDATE manifest SET value = zeroblob(8) WHERE key = (SELECT min(key) FROM manifest WHERE key LIKE 'journal/%')",
        "UPDATE manifest SET chk = zeroblob(8) WHERE key = (SELECT max(key) FROM manifest WHERE key LIKE 'journal/%')",
    ];

    #[test]
    fn an_erase_does_not_begin_while_a_sealed_files_row_is_lost_and_a_repair_takes_it_back() {
        for sql in LOST {
            let home = tempfile::tempdir().unwrap();
            make(home.path());
            run(home.path(), sql);
            let store = open(home.path());
            let before = store.head().unwrap();
            let dry = EraseOptions {
                dry_run: true,
                ..EraseOptions::default()
            };
            for options in [dry, EraseOptions::default()] {
                let told = is_corrupt(store.erase("alice", &options));
                assert!(told.contains("takes it back"), "{sql}: {told}");
            }
            assert_eq!(store.head().unwrap(), before);
            assert_eq!(store.scopes().unwrap(), ["alice", "bob"]);
            assert!(store.erasures().unwrap().notes.is_empty());
            act(&store, "alice", 50);
            store.vacuum().unwrap();
            let repaired = store.repair().unwrap();
            assert_eq!(repaired.left.findings, [], "{sql}");
            assert_eq!(repaired.repairs.len(), 1, "{sql}: {:?}", repaired.repairs);
            assert!(!repaired.repairs[0].detail.contains("erased"));
            assert_eq!(sealed_paths(home.path()).len(), 2);
            store.erase("alice", &EraseOptions::default()).unwrap();
            clean(&store);
        }
    }

    #[test]
    fn a_row_with_a_wrong_key_goes_once_the_right_one_is_back() {
        let home = tempfile::tempdir().unwrap();
        make(home.path());
        run(
            home.path(),
            "UPDATE manifest SET key = 'journal/00000000000000000003' WHERE key = 'journal/00000000000000000001'",
        );
        let store = open(home.path());
        is_corrupt(store.erase("alice", &EraseOptions::default()));
        let repaired = store.repair().unwrap();
        assert_eq!(repaired.left.findings, []);
        assert_eq!(repaired.repairs.len(), 2, "{:?}", repaired.repairs);
        assert_eq!(store.journal(None, usize::MAX).unwrap().len(), 16);
        assert_eq!(store.extent().unwrap().sealed.len(), 2);
        store.erase("alice", &EraseOptions::default()).unwrap();
        let (to, options) = (tempfile::tempdir().unwrap(), BackupOptions::default());
        store
            .backup(to.path(), &options, &Progress::default())
            .unwrap();
        others_go_on(&store);
        clean(&store);
    }

    /// The first of the sealed files, or the last, whose row is gone or broken, and whose file is gone or flipped.
    #[test]
    fn what_neither_row_nor_file_proves_is_expired_with_what_is_behind_it() {
        for (number, sql) in LOST.into_iter().enumerate() {
            for is_gone in [false, true] {
                let home = tempfile::tempdir().unwrap();
                make(home.path());
                run(home.path(), sql);
                let damaged = &sealed_paths(home.path())[number % 2];
                let mut bytes = fs::read(damaged).unwrap();
                bytes[150] ^= 1;
                fs::write(damaged, bytes).unwrap();
                if is_gone {
                    fs::remove_file(damaged).unwrap();
                }
                let store = open(home.path());
                let case = format!("{sql}, {is_gone}");
                assert_ne!(store.repair().unwrap().left.findings, [], "{case}");
                if is_gone {
                    // Nothing is left that could be stripped.
                    store.erase("alice", &EraseOptions::default()).unwrap();
                } else {
                    let told = is_corrupt(store.erase("alice", &EraseOptions::default()));
                    assert!(told.contains("expire the journal past"), "{told}");
                }
                // Nothing is given up that is younger.
                let first = ExpireBefore::Time(0);
                assert_eq!(store.expire_journal(&first).unwrap().commits, 0);
                let expired = store.expire_journal(&ExpireBefore::Time(i64::MAX)).unwrap();
                let of_table = number % 2;
                assert_eq!(expired.files, 1, "{case}");
                assert_eq!(expired.commits, [4, 10 + 1][of_table], "{case}");
                let start = store.extent().unwrap().start.head.position;
                assert_eq!(start, 14 + of_table as u64, "{case}");
                assert_eq!(sealed_paths(home.path()).len(), 0, "{case}");
                assert_eq!(store.verify(None).unwrap().findings, [], "{case}");
                others_go_on(&store);
                store.erase("alice", &EraseOptions::default()).unwrap();
                store.gc(&GcOptions::default()).unwrap();
                assert!(store.vacuum().unwrap().is_complete(), "{case}");
                assert_eq!(store.verify(None).unwrap().findings, [], "{case}");
            }
        }
    }

    #[test]
    fn the_newest_commit_is_not_given_up_with_a_gap() {
        let home = tempfile::tempdir().unwrap();
        let store = open(home.path());
        for number in 0..5 {
            act(&store, "bob", number);
        }
        store.seal_journal(1).unwrap();
        run(home.path(), LOST[0]);
        fs::remove_file(&sealed_paths(home.path())[0]).unwrap();
        let all = ExpireBefore::Time(i64::MAX);
        assert_eq!(store.expire_journal(&all).unwrap().commits, 0);
        let row = |session: Session<'_>| session.unsealed_rows(0, 9);
        assert_eq!(store.reading(row).unwrap()[0].position, 5);
    }

    #[test]
    fn two_lost_rows_side_by_side_come_back() {
        let home = tempfile::tempdir().unwrap();
        make(home.path());
        run(home.path(), LOST[0]);
        run(home.path(), LOST[0]);
        let store = open(home.path());
        let repaired = store.repair().unwrap();
        assert_eq!(
            (repaired.repairs.len(), repaired.left.findings.len()),
            (2, 0)
        );
        assert_eq!(store.journal(None, usize::MAX).unwrap().len(), 16);
    }

    #[test]
    fn a_row_that_is_lost_after_begin_leaves_its_file_and_what_comes_back_is_stripped() {
        for sql in LOST {
            let home = tempfile::tempdir().unwrap();
            make(home.path());
            let other = File::create(home.path().join(ERASE_LOCK)).unwrap();
            other.lock().unwrap();
            let store = open(home.path());
            let unfinished = store.erase("alice", &EraseOptions::default());
            assert!(matches!(
                unfinished,
                Err(StoreError::EraseUnfinished { .. })
            ));
            // The same again says the same: it is gone.
            let again = store.erase("alice", &EraseOptions::default());
            assert!(matches!(again, Err(StoreError::EraseUnfinished { .. })));
            drop(store);
            run(home.path(), sql);
            other.unlock().unwrap();
            let store = open(home.path());
            let vacuumed = store.vacuum().unwrap();
            assert_eq!((vacuumed.unfinished_erases, vacuumed.files_left), (0, 1));
            assert!(!vacuumed.is_complete());
            act(&store, "alice", 51);
            let repaired = store.repair().unwrap();
            assert_eq!(repaired.left.findings, [], "{sql}");
            assert!(repaired.repairs[0].detail.contains("erased"), "{sql}");
            store.erase("alice", &EraseOptions::default()).unwrap();
            others_go_on(&store);
            clean(&store);
        }
    }

    #[test]
    fn an_erase_that_can_not_end_is_in_nobodys_way() {
        let home = tempfile::tempdir().unwrap();
        make(home.path());
        let other = File::create(home.path().join(ERASE_LOCK)).unwrap();
        other.lock().unwrap();
        let store = open(home.path());
        store.erase("alice", &EraseOptions::default()).unwrap_err();
        drop(store);
        other.unlock().unwrap();
        let damaged = &sealed_paths(home.path())[0];
        let sound = fs::read(damaged).unwrap();
        let mut flipped = sound.clone();
        flipped[150] ^= 1;
        fs::write(damaged, flipped).unwrap();
        let store = open(home.path());
        // Others' scopes can't be told from it: none is begun on. What has begun before is in the way of none.
        is_corrupt(store.erase("alice", &EraseOptions::default()));
        act(&store, "bob", 60);
        assert!(store.seal_journal(1).unwrap().files > 0);
        let vacuumed = store.vacuum().unwrap();
        assert_eq!(vacuumed.unfinished_erases, 1);
        assert!(!vacuumed.is_complete());
        fs::write(damaged, sound).unwrap();
        assert_eq!(store.vacuum().unwrap().unfinished_erases, 0);
        others_go_on(&store);
        clean(&store);
    }

    #[test]
    fn what_nothing_proves_is_expired_and_erases_go_on() {
        for how in ["flipped", "gone", "row and file", "row, and flipped"] {
            let home = tempfile::tempdir().unwrap();
            make(home.path());
            if how.starts_with("row") {
                run(home.path(), LOST[0]);
            }
            let first = &sealed_paths(home.path())[0];
            if how.ends_with("flipped") {
                let mut bytes = fs::read(first).unwrap();
                bytes[150] ^= 1;
                fs::write(first, bytes).unwrap();
            } else {
                fs::remove_file(first).unwrap();
            }
            let store = open(home.path());
            if how == "row and file" {
                // Nothing is left that could be stripped.
                store.erase("alice", &EraseOptions::default()).unwrap();
            } else {
                is_corrupt(store.erase("alice", &EraseOptions::default()));
                assert_ne!(store.repair().unwrap().left.findings, [], "{how}");
                is_corrupt(store.erase("alice", &EraseOptions::default()));
            }
            store.expire_journal(&ExpireBefore::Time(i64::MAX)).unwrap();
            assert_eq!(sealed_paths(home.path()).len(), 0, "{how}");
            store.erase("alice", &EraseOptions::default()).unwrap();
            store.gc(&GcOptions::default()).unwrap();
            assert!(store.vacuum().unwrap().is_complete(), "{how}");
            assert_eq!(store.verify(None).unwrap().findings, [], "{how}");
        }
    }
}
