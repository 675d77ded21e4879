//! Bytes that come back wrong from the disk: whatever bit of whichever read is flipped, no wrong block and no
//! wrong ref is ever given out.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;

use std::path::Path;
use std::sync::Arc;

use crash::life::{LIFE, Living};
use crash::{behind, name, recorder};
use treering_block::Cid;
use treering_store::faults::{Among, BadRead, Failure, Recorder};
use treering_store::{EmbeddedStore, JournalEntry, RefValue, Store, StoreError};

/// What a store without faults answers.
struct Truth {
    blocks: Vec<(Cid, Arc<[u8]>)>,
    refs: Vec<(&'static str, Option<RefValue>)>,
    /// The first of them are sealed.
    journal: Vec<JournalEntry>,
}

const REFS: [&str; 2] = ["one", "two"];

fn lived(path: &Path) -> Truth {
    let options = behind(&recorder(path.parent().unwrap()));
    let mut living = Living::begin(path, &options).unwrap();
    for act in LIFE {
        living.act(*act, path, &options, None).unwrap();
    }
    let store = living.store();
    assert!(store.seal_journal(3).unwrap().commits > 0);
    let blocks = store.blocks(0, usize::MAX).unwrap();
    Truth {
        blocks: blocks
            .iter()
            .map(|info| (info.cid, store.get(&info.cid).unwrap()))
            .collect(),
        refs: REFS
            .iter()
            .map(|part| (*part, store.read_ref(&name("main", part)).unwrap()))
            .collect(),
        journal: store.journal(None, usize::MAX).unwrap(),
    }
}

#[derive(Debug, Default)]
struct Seen {
    right: u64,
    corrupt: u64,
    failed: u64,
    /// Denied, though it is there: the way to a row goes over index pages, which have no check of their own.
    denied: u64,
}

impl Seen {
    fn note<T>(&mut self, answer: Result<T, StoreError>, right: impl FnOnce(T) -> Option<bool>) {
        match answer {
            Ok(found) => match right(found) {
                Some(true) => self.right += 1,
                Some(false) => panic!("wrong data was given out"),
                None => self.denied += 1,
            },
            Err(StoreError::BlockNotFound(_)) => self.denied += 1,
            Err(StoreError::Corrupt { .. } | StoreError::NotAStore { .. }) => self.corrupt += 1,
            Err(StoreError::Io { .. }) => self.failed += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Opens the store and reads all of it on a disk with one planned fault. False: it was not met.
fn read_all(path: &Path, truth: &Truth, plan: impl FnOnce(&Recorder), seen: &mut Seen) -> bool {
    let disk = Arc::new(Recorder::without_trace());
    disk.skip_real_syncs();
    plan(&disk);
    let store = match EmbeddedStore::open(path, &behind(&disk)) {
        Ok(store) => store,
        Err(error) => {
            seen.note::<()>(Err(error), |()| Some(true));
            return true;
        }
    };
    for (cid, bytes) in &truth.blocks {
        seen.note(store.get(cid), |found| Some(found == *bytes));
        if bytes.len() > 200_000 {
            let part = store.range(cid, 100_000, 5000);
            seen.note(part, |found| Some(found == bytes[100_000..105_000]));
        }
    }
    for (part, value) in &truth.refs {
        seen.note(store.read_ref(&name("main", part)), |found| match found {
            None if value.is_some() => None,
            found => Some(found == *value),
        });
    }
    // What is before damage is given; who goes on from there gets an error, or the rest where the damage is over.
    let mut given = Vec::new();
    loop {
        let after = given.last().map(|entry: &JournalEntry| entry.cursor());
        let page = store.journal(after.as_ref(), usize::MAX);
        let over = !matches!(&page, Ok(page) if !page.is_empty());
        let whole = given.len() == truth.journal.len();
        if let Ok(page) = &page {
            given.extend(page.iter().cloned());
        }
        seen.note(page, |page| {
            Some(truth.journal.starts_with(&given) && (whole || !page.is_empty()))
        });
        if over {
            break;
        }
    }
    let spoilt = disk.failed() > 0;
    disk.heal();
    drop(store);
    spoilt
}

/// With the first read, or open, bad, then the second …: so many there are.
fn for_every_one(plan: impl Fn(&Recorder, u64)) -> (u64, Seen) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("deep/store");
    std::fs::create_dir(root.path().join("deep")).unwrap();
    let truth = lived(&path);
    let mut seen = Seen::default();
    let mut count = 0;
    while read_all(&path, &truth, |disk| plan(disk, count), &mut seen) {
        count += 1;
    }
    // Nothing of it was on the disk: all is right again.
    let mut after = Seen::default();
    read_all(&path, &truth, |_| (), &mut after);
    assert_eq!((after.corrupt, after.failed, after.denied), (0, 0, 0));
    (count, seen)
}

#[test]
fn no_flipped_bit_gives_wrong_data() {
    let (mut all, mut corrupt) = (0, 0);
    for seed in 0..8 {
        let (reads, seen) = for_every_one(|disk, n| {
            disk.spoil_reads(n, BadRead::Flip(seed * 10_000 + n), false);
        });
        assert!(reads > 20, "only {reads} reads");
        all += reads;
        corrupt += seen.corrupt;
    }
    assert!(
        corrupt > all / 8,
        "only {corrupt} of {all} flips were noticed"
    );
}

#[test]
fn any_read_that_fails_is_an_error_and_nothing_else() {
    let (reads, seen) = for_every_one(|disk, n| disk.spoil_reads(n, BadRead::Device, false));
    assert!(reads > 20, "only {reads} reads");
    assert!(seen.failed >= reads, "{seen:?} of {reads}");
    assert_eq!(seen.denied, 0, "a read that fails denies nothing: {seen:?}");
}

#[test]
fn any_open_that_fails_is_an_error_and_nothing_else() {
    let (opens, seen) = for_every_one(|disk, n| disk.fail(Among::Opens, n, Failure::Device, false));
    // Lock, bell, database, its log, a large block whole and in part, its tree, a sealed file.
    assert!(opens >= 8, "only {opens} opens");
    assert_eq!(seen.corrupt, 0, "{seen:?}");
    assert_eq!(
        seen.denied, 0,
        "an open that fails denies nothing: {seen:?}"
    );
    // Nothing that is read rests on the bell.
    assert_eq!(seen.failed, opens - 1, "{seen:?}");
}
