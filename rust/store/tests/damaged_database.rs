//! One byte of the database is changed, any byte: nothing panics, nothing false is ever told.
//!
//! What a store tells is written down as facts. After a flip each fact that is told must be one of the sound
//! store's, whatever else is refused with a typed error; only a scope may be listed by a damaged name. Facts
//! may be missing (a byte that counts a page's rows is not in any row), but then `verify` has to say that
//! something is wrong. And a collection on a damaged store may refuse, but makes nothing absent that was told
//! before it: whoever writes to a page whose header lies may write over its rows, and then they are refused.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use embedded::{Filled, bytes, commit, fill, name, node, open, set};
use treering_block::{Block, Cid, CidPrefix};
use treering_store::gc::Phase;
use treering_store::{
    Address, Change, Commit, EmbeddedStore, Expect, GcOptions, Head, OpenOptions, RefMove, RefName,
    Result, Store, StoreError,
};

const DATABASE: &str = "store.db";
/// Every so manieth byte in the ordinary run: no divisor of a page, so that all offsets come.
const STRIDE: usize = 149;
const STRIDE_COLLECTED: usize = 463;

/// What was asked → what was told.
type Facts = BTreeMap<String, Told>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Facts(BTreeSet<String>),
    Refused(String),
}

/// One of everything, a dead block whose row is still there and one whose row is gone.
struct Made {
    filled: Filled,
    dead: Vec<Cid>,
    sound: Facts,
    /// Facts that were true once: a database that lost rows at its end may tell them.
    once: BTreeSet<String>,
}

fn make(path: &Path) -> Made {
    let store = open(path);
    let mut heads = BTreeSet::from([told_head(&Head::default())]);
    let filled = fill(&store);
    let mut dead = Vec::new();
    for (seed, whole) in [(7, true), (8, false)] {
        let garbage = node(&format!("garbage {seed}"), &[]);
        let bare = Commit {
            blocks: vec![garbage.clone()],
            ..commit()
        };
        store.submit(bare).wait().unwrap();
        dead.push(garbage.cid);
        let mut collection = store.collection(&GcOptions::default()).unwrap();
        while collection.phase() != Phase::Done
            && (whole || !matches!(collection.phase(), Phase::Purge(_)))
        {
            collection.step().unwrap();
        }
    }
    let pinned = Block::raw(bytes(5, 9000));
    let mut second = commit();
    second.moves = vec![set(&name("two"), Expect::Absent, filled.leaf.cid)];
    store.submit(second).wait().unwrap();
    let elsewhere = RefName::new("other", "pin", ["x"]).unwrap();
    let other = Commit {
        scope: "other".into(),
        moves: vec![set(&elsewhere, Expect::Absent, pinned.cid)],
        blocks: vec![pinned],
        ..Commit::default()
    };
    store.submit(other).wait().unwrap();
    assert_eq!(store.verify(None).unwrap().findings, []);
    for entry in store.journal(None, 100).unwrap() {
        heads.insert(told_head(&entry.head()));
    }
    let once = heads;
    let mut made = Made {
        filled,
        dead,
        sound: Facts::new(),
        once,
    };
    made.sound = facts(&store, &made);
    store.close().unwrap();
    made
}

fn told_head(head: &Head) -> String {
    format!("{head:?}")
}

/// Asks everything that there is to ask.
fn facts(store: &dyn Store, made: &Made) -> Facts {
    let mut facts = Facts::new();
    let mut tell = |asked: String, told: Result<Vec<String>>| {
        let told = match told {
            Ok(told) => Told::Facts(told.into_iter().collect()),
            Err(StoreError::BlockNotFound(_)) => Told::Facts(BTreeSet::new()),
            Err(error) => Told::Refused(error.to_string()),
        };
        facts.insert(asked, told);
    };
    let Filled {
        leaf,
        parent,
        large,
        child,
    } = &made.filled;
    let living = [
        leaf.cid,
        parent.cid,
        large.cid,
        child.cid,
        Cid::of_raw(&bytes(5, 9000)),
    ];
    for cid in living
        .iter()
        .chain(&made.dead)
        .chain(&[Cid::of_raw(b"never")])
    {
        tell(
            format!("get {cid}"),
            store.get(cid).map(|bytes| {
                assert!(cid.matches(&bytes), "bytes that are not the block's");
                vec!["its bytes".into()]
            }),
        );
        tell(
            format!("has {cid}"),
            store
                .has(cid)
                .map(|has| if has { vec!["yes".into()] } else { vec![] }),
        );
        let text = &cid.to_string()[..14];
        let prefix = CidPrefix::parse(text).unwrap();
        tell(
            format!("prefix {text}"),
            store.prefix(&prefix, 9).map(|cids| texts(&cids)),
        );
    }
    tell(
        "blocks".into(),
        store.blocks(0, 100).map(|blocks| texts(&blocks)),
    );
    tell("scopes".into(), store.scopes().map(|scopes| texts(&scopes)));
    for (scope, kind) in [("main", "thread"), ("other", "pin"), ("none", "pin")] {
        tell(
            format!("refs {scope} {kind}"),
            store.list_refs(scope, kind, None, 100).map(|refs| {
                refs.iter()
                    .filter_map(|(name, value)| Some(format!("{name} {:?}", value.as_ref().ok()?)))
                    .collect()
            }),
        );
    }
    for part in ["one", "two", "three"] {
        let name = name(part);
        tell(
            format!("ref {name}"),
            store.read_ref(&name).map(|value| texts(value.as_slice())),
        );
        tell(
            format!("lease {name}"),
            store
                .lease_state(&name)
                .map(|state| texts(state.as_slice())),
        );
    }
    for (scope, id) in [("main", "first"), ("main", "second"), ("other", "first")] {
        let address = Address::Scope(scope.into());
        tell(
            format!("receipt {scope} {id}"),
            store
                .receipt(&address, id)
                .map(|found| texts(found.as_slice())),
        );
        tell(
            format!("holds {scope}"),
            store.holds(scope, 0, 100).map(|holds| texts(&holds)),
        );
    }
    tell(
        "journal".into(),
        store.journal(None, 100).map(|entries| texts(&entries)),
    );
    tell(
        "head".into(),
        store.head().map(|head| vec![told_head(&head)]),
    );
    facts
}

fn texts<T: std::fmt::Debug>(values: &[T]) -> Vec<String> {
    values.iter().map(|value| format!("{value:?}")).collect()
}

/// How a damaged store's answers stand to the sound one's. Panics for a fact that was never true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answers {
    /// The same, all of them.
    Same,
    /// Some were refused.
    Refused,
    /// Some are missing, or what was dead is there again.
    Missing,
}

fn compare(made: &Made, now: &Facts) -> Answers {
    let dead = texts(&made.dead);
    let known: BTreeSet<&String> = made
        .sound
        .values()
        .flat_map(|told| match told {
            Told::Facts(facts) => facts.iter().collect::<Vec<_>>(),
            Told::Refused(_) => vec![],
        })
        .collect();
    let mut answers = Answers::Same;
    for (asked, told) in now {
        match (told, &made.sound[asked]) {
            (told, sound) if told == sound => {}
            (Told::Refused(_), _) => answers = answers.max(Answers::Refused),
            (Told::Facts(told), Told::Facts(sound)) => {
                for fact in told.difference(sound) {
                    // A block of the dead is right in every byte; only that it is there is not.
                    let of_the_dead = dead.iter().any(|cid| fact.contains(cid.as_str()))
                        || made
                            .dead
                            .iter()
                            .any(|cid| asked.contains(&cid.to_string()[..14]));
                    let once = made.once.contains(fact);
                    // Scopes are listed by the names of their refs, those with a broken row too: who hid a
                    // scope for that would hide the threads in it. Nothing but the name is told of such a ref.
                    let of_a_name = asked == "scopes";
                    assert!(
                        of_the_dead || once || of_a_name,
                        "{asked}: {fact} was never so; known: {known:#?}"
                    );
                }
                answers = Answers::Missing;
            }
            (Told::Facts(told), Told::Refused(why)) => {
                panic!("{asked}: {told:?}, and sound it was refused: {why}")
            }
        }
    }
    answers
}

/// How often what happened.
#[derive(Debug, Default)]
struct Count {
    flips: usize,
    not_opened: usize,
    unseen: usize,
    refused: usize,
    missing: usize,
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.flips += other.flips;
        self.not_opened += other.not_opened;
        self.unseen += other.unseen;
        self.refused += other.refused;
        self.missing += other.missing;
    }
}

/// One bit of a byte changed while `work` runs; then it is as it was. A panic tells which.
fn flipped<T>(path: &Path, at: usize, work: impl FnOnce() -> T) -> T {
    let file = File::options()
        .read(true)
        .write(true)
        .open(path.join(DATABASE))
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).unwrap();
    // Another bit from byte to byte; in a page's header the lowest, which takes one from an odd count.
    let mask = if at % 4096 < 8 { 1 } else { 1 << (at % 8) };
    file.write_all_at(&[byte[0] ^ mask], at as u64).unwrap();
    let done = catch_unwind(AssertUnwindSafe(work));
    file.write_all_at(&byte, at as u64).unwrap();
    let (page, offset) = (at / 4096 + 1, at % 4096);
    done.unwrap_or_else(|_| {
        panic!("byte {at} (page {page}, offset {offset}), mask {mask:#04x}: see above")
    })
}

fn read_only() -> OpenOptions {
    OpenOptions {
        create: false,
        read_only: true,
        ..OpenOptions::default()
    }
}

fn look(path: &Path, made: &Made, count: &mut Count) {
    count.flips += 1;
    let store = match EmbeddedStore::open(path, &read_only()) {
        Ok(store) => store,
        Err(_) => {
            count.not_opened += 1;
            return;
        }
    };
    let now = facts(&store, made);
    let answers = compare(made, &now);
    let sound = store
        .verify(None)
        .is_ok_and(|report| report.findings.is_empty());
    store.close().unwrap();
    match answers {
        Answers::Same if sound => count.unseen += 1,
        Answers::Same | Answers::Refused => count.refused += 1,
        Answers::Missing => count.missing += 1,
    }
    let differ: Vec<_> = now
        .iter()
        .filter(|(asked, told)| made.sound[*asked] != **told && !is_of_the_dead(made, asked, told))
        .collect();
    assert!(
        !sound || differ.is_empty(),
        "verify finds nothing, and yet: {differ:#?}"
    );
}

/// A question about a dead block that is refused: its row is left to the next collection, whatever is in it,
/// and verify does not look at it.
fn is_of_the_dead(made: &Made, asked: &str, told: &Told) -> bool {
    let is_named = |cid: &Cid| asked.contains(&cid.to_string()[..14]);
    matches!(told, Told::Refused(_)) && made.dead.iter().any(is_named)
}

/// Each of these places in turn, on two threads with a store each.
fn look_at(stride: usize) -> Count {
    let look_from = |first: usize| {
        let directory = tempfile::tempdir().unwrap();
        let made = make(directory.path());
        let mut count = Count::default();
        let all = places(directory.path(), stride);
        for at in all.into_iter().skip(first).step_by(2) {
            let work = || look(directory.path(), &made, &mut count);
            flipped(directory.path(), at, work);
        }
        let store = open(directory.path());
        let now = facts(&store, &made);
        assert_eq!(compare(&made, &now), Answers::Same, "the flips are undone");
        count
    };
    let count = std::thread::scope(|scope| {
        let other = scope.spawn(|| look_from(1));
        let mut count = look_from(0);
        count.add(&other.join().unwrap());
        count
    });
    eprintln!("{count:?}");
    assert!(
        count.refused > 0 && count.unseen > 0 && count.not_opened > 0,
        "{count:?}"
    );
    count
}

/// Every so manieth byte, and the whole header of each page: the bytes that say how many rows it has.
fn places(path: &Path, stride: usize) -> Vec<usize> {
    let length = std::fs::metadata(path.join(DATABASE)).unwrap().len() as usize;
    (0..length)
        .filter(|at| at % stride == 0 || at % 4096 < 8)
        .collect()
}

#[test]
fn a_flipped_byte_is_never_told_as_data() {
    look_at(STRIDE);
}

#[test]
#[ignore = "takes minutes"]
fn every_flipped_byte_is_never_told_as_data() {
    let count = look_at(1);
    assert!(count.flips > 50_000, "{count:?}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Opens a damaged copy for writing, writes, collects: whatever that says, what was told stays.
fn write_and_collect(path: &Path, made: &Made) -> (bool, bool) {
    let copied = tempfile::tempdir().unwrap();
    copy(path, copied.path());
    let Ok(store) = EmbeddedStore::open(copied.path(), &OpenOptions::default()) else {
        return (false, false);
    };
    let before = facts(&store, made);
    let sound = store
        .verify(None)
        .is_ok_and(|report| report.findings.is_empty());
    let block = node("later", &[made.filled.child.cid]);
    let mut later = Commit {
        scope: "later".into(),
        ..Commit::default()
    };
    later.blocks = vec![block.clone()];
    later.moves = vec![RefMove {
        name: RefName::new("later", "pin", ["y"]).unwrap(),
        expect: Expect::Absent,
        change: Change::Set {
            target: block.cid,
            record: vec![],
        },
    }];
    let written = store.submit(later).wait().is_ok();
    let collected = store.gc(&GcOptions::default()).is_ok();
    if written {
        match store.get(&block.cid) {
            Ok(bytes) => assert_eq!(bytes, block.bytes),
            Err(error) => assert!(!sound, "written and not there: {error}"),
        }
    }
    let after = facts(&store, made);
    store.close().unwrap();
    for (asked, told) in &before {
        let grows = matches!(asked.as_str(), "blocks" | "scopes" | "journal" | "head");
        let dead = made
            .dead
            .iter()
            .any(|cid| asked.contains(&cid.to_string()[..14]));
        if let (Told::Facts(told), Told::Facts(now)) = (told, &after[asked])
            && !grows
            && !dead
        {
            assert!(told.is_subset(now), "{asked}: {told:?} became {now:?}");
        }
        // What a write did to a damaged page is told as such, and verify could have told before.
        if matches!((told, &after[asked]), (Told::Facts(_), Told::Refused(_))) {
            assert!(!sound, "{asked}: {told:?} became {:?}", after[asked]);
        }
    }
    (written, collected)
}

fn collect_at(stride: usize) {
    let directory = tempfile::tempdir().unwrap();
    let made = make(directory.path());
    let (mut flips, mut writes, mut collections) = (0, 0, 0);
    for at in places(directory.path(), stride) {
        flips += 1;
        let work = || write_and_collect(directory.path(), &made);
        let (written, collected) = flipped(directory.path(), at, work);
        writes += usize::from(written);
        collections += usize::from(collected);
    }
    eprintln!("{flips} flips, {writes} written, {collections} collected");
    assert!(writes > 0 && collections > 0 && collections < flips);
}

#[test]
fn a_collection_of_a_damaged_store_loses_nothing() {
    collect_at(STRIDE_COLLECTED);
}

#[test]
#[ignore = "takes minutes"]
fn a_collection_of_a_store_with_any_byte_damaged_loses_nothing() {
    collect_at(5);
}
