//! Erasing a scope while the power or the disk fails, or the process is killed: the scope is whole or gone, what was cut
//! short is finished by whoever opens the store, and nothing of it comes back or stays behind.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;
mod scan;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crash::life::{bytes, set};
use crash::{ABOVE, Wrong, behind, name, options, recorder};
use scan::find;
use treering_block::Block;
use treering_store::faults::{Event, Failure, Image, Loss, SmallDisk, Trace};
use treering_store::{
    Address, Command, Commit, Disk, EmbeddedStore, EraseOptions, GcOptions, OpenOptions, Result,
    Store, StoreError,
};

/// Stands in everything that the scope says, and nowhere else.
const VICTIM: &str = "MARKED";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// A commit of a scope: number of the ref.
    Act(&'static str, u64),
    /// A large block that is only held.
    Large(&'static str),
    Seal(u64),
    Erase(&'static str),
    Gc,
    Vacuum,
}

use Deed::{Act, Erase, Gc, Large, Seal, Vacuum};

const DEEDS: &[Deed] = &[
    Act(VICTIM, 1),
    Act("bob", 1),
    Act(VICTIM, 2),
    Large(VICTIM),
    Act("bob", 2),
    Seal(1),
    Act(VICTIM, 3),
    Act("bob", 3),
    Erase("first"),
    Act("bob", 4),
    Gc,
    Vacuum,
    // The name is used again.
    Act(VICTIM, 5),
    Act("bob", 5),
    Seal(1),
    Erase("second"),
    Gc,
    Vacuum,
];

fn block_of(scope: &str, number: u64) -> Block {
    let mut text = format!("{scope} says {number} ").into_bytes();
    text.extend(bytes(number, 500));
    Block::raw(text)
}

fn commit_of(scope: &str, number: u64) -> Commit {
    let block = block_of(scope, number);
    Commit {
        scope: scope.into(),
        moves: vec![set(&name(scope, &format!("{scope}{number}")), block.cid)],
        command: Some(Command {
            address: Address::Scope(scope.into()),
            id: format!("{number}"),
            payload: [1; 32],
            receipt: format!("{scope} did {number}").into_bytes(),
        }),
        blocks: vec![block],
        ..Commit::default()
    }
}

fn act(store: &EmbeddedStore, deed: Deed) -> Result<()> {
    match deed {
        Act(scope, number) => store.submit(commit_of(scope, number)).wait().map(drop),
        Large(scope) => {
            let mut text = format!("{scope} says much ").into_bytes();
            text.extend(bytes(77, 300_000));
            let block = Block::raw(text);
            let commit = Commit {
                scope: scope.into(),
                holds: vec![block.cid],
                blocks: vec![block],
                ..Commit::default()
            };
            store.submit(commit).wait().map(drop)
        }
        Seal(keep) => store.seal_journal(keep).map(drop),
        Erase(id) => {
            let options = EraseOptions {
                command_id: Some(id.into()),
                // Each row in a transaction of its own: it is cut short between any two.
                rows_at_a_time: 1,
                ..EraseOptions::default()
            };
            store.erase(VICTIM, &options).map(drop)
        }
        Gc => store.gc(&GcOptions::default()).map(drop),
        Vacuum => {
            let done = store.vacuum()?;
            assert_eq!((done.log_bytes, done.free_bytes), (0, 0));
            Ok(())
        }
    }
}

/// All that a store says, but for what another life of the same deeds would say in another way.
fn picture(store: &dyn Store) -> Result<String> {
    let mut out = String::new();
    for (name, value) in store.all_refs(None, usize::MAX)? {
        let value = value?;
        writeln!(out, "ref {name} {} {}", value.version, value.target).unwrap();
        store.get(&value.target)?;
    }
    for scope in [VICTIM, "bob"] {
        for left in store.receipts(scope, None, usize::MAX)? {
            writeln!(out, "receipt of {scope} {:?}", left.command.receipt).unwrap();
        }
        for hold in store.holds(scope, 0, usize::MAX)? {
            writeln!(out, "hold of {scope} on {}", hold.cid).unwrap();
        }
    }
    for entry in store.journal(None, usize::MAX)? {
        let (at, scope, erased) = (entry.position, entry.scope, entry.erased);
        writeln!(out, "commit {at} {scope} {erased} {:?}", entry.moves).unwrap();
    }
    writeln!(out, "{} notes", store.erasures()?.notes.len()).unwrap();
    Ok(out)
}

fn sound(store: &dyn Store) -> Result<(), String> {
    let report = store.verify(None).map_err(|error| error.to_string())?;
    if report.findings.is_empty() {
        Ok(())
    } else {
        Err(format!("verify: {:#?}", report.findings))
    }
}

/// A store after a crash: it opens, is sound, is in one of these states; and from there the deeds that are left lead to
/// the end, where nothing of the scope is in any file.
fn check(
    directory: &Path,
    options: &OpenOptions,
    allowed: &[String],
    from: usize,
) -> Result<(), String> {
    let text = |error: StoreError| error.to_string();
    let store = EmbeddedStore::open(directory, options).map_err(text)?;
    sound(&store)?;
    let found = picture(&store).map_err(text)?;
    let at = allowed.iter().position(|picture| *picture == found);
    let Some(at) = at else {
        return Err(format!(
            "it is in none of {} states: {found}",
            allowed.len()
        ));
    };
    for deed in &DEEDS[from + at..] {
        act(&store, *deed).map_err(|error| format!("{deed:?}: {error}"))?;
    }
    if from + at < DEEDS.len() {
        // Rows of dead blocks may come back, and are found by the next collection.
        for deed in [Gc, Vacuum] {
            act(&store, deed).map_err(text)?;
        }
    }
    at_the_end(&store, directory)
}

/// By then no scope of that name is there: a name in a file is one too many.
fn at_the_end(store: &EmbeddedStore, directory: &Path) -> Result<(), String> {
    sound(store)?;
    let mut left = find(directory, VICTIM);
    // A file of a block that a crash left without its row stays for a day, and a vacuum says so.
    if store
        .vacuum()
        .map_err(|error| error.to_string())?
        .files_left
        > 0
    {
        left.retain(|place| !place.starts_with("blobs/"));
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("it stands in {left:?}"))
    }
}

struct Lived {
    trace: Trace,
    /// Before the n-th deed: number n.
    pictures: Vec<String>,
}

fn at_home(root: &Path) -> PathBuf {
    root.join(ABOVE).join("store")
}

fn live(forget: bool) -> Lived {
    let root = tempfile::tempdir().unwrap();
    let recorder = recorder(root.path());
    if forget {
        recorder.forget_syncs(|path| path.starts_with("deep/store/journal"));
    }
    let path = at_home(root.path());
    let store = EmbeddedStore::open(&path, &behind(&recorder)).unwrap();
    let mut pictures = vec![picture(&store).unwrap()];
    for (at, deed) in DEEDS.iter().enumerate() {
        recorder.mark(at as u64 * 2);
        act(&store, *deed).unwrap();
        recorder.mark(at as u64 * 2 + 1);
        pictures.push(picture(&store).unwrap());
    }
    at_the_end(&store, &path).unwrap();
    drop(store);
    let differ = pictures
        .windows(2)
        .filter(|pair| pair[0] != pair[1])
        .count();
    assert!(differ >= 12, "{differ}");
    Lived {
        trace: recorder.trace(),
        pictures,
    }
}

fn after_power_failure(
    image: &Image,
    loss: Loss,
    allowed: &[String],
    from: usize,
) -> Result<(), String> {
    let into = tempfile::tempdir().unwrap();
    image.materialise(loss, into.path()).unwrap();
    std::fs::create_dir_all(into.path().join(ABOVE)).unwrap();
    let options = behind(&recorder(into.path()));
    check(&at_home(into.path()), &options, allowed, from).map_err(|why| format!("{loss:?}: {why}"))
}

/// The power fails at every sync and every answer; how often, and what was wrong.
fn fail_everywhere(lived: &Lived) -> (usize, Vec<String>) {
    let (mut image, mut least, mut most) = (Image::new(), 0, 0);
    let (mut crashes, mut faults) = (0, Vec::new());
    let begun = lived
        .trace
        .iter()
        .position(|event| *event == Event::Mark(0));
    for (at, event) in lived.trace.iter().enumerate() {
        image.apply(event);
        if let Event::Mark(mark) = event {
            most = (*mark / 2) as usize + 1;
            least = (mark.div_ceil(2)) as usize;
        }
        let next = lived.trace.get(at + 1);
        let moment = matches!(event, Event::Mark(_)) || next.is_none_or(Event::is_sync);
        if at < begun.unwrap() || !moment {
            continue;
        }
        let seed = at as u64 * 10;
        for loss in [
            Loss::All,
            Loss::Nothing,
            Loss::Random(seed),
            Loss::Torn(seed + 1),
        ] {
            crashes += 1;
            let allowed = &lived.pictures[least..=most];
            if let Err(why) = after_power_failure(&image, loss, allowed, least) {
                faults.push(format!("after event {at} ({event:.80?}): {why}"));
            }
        }
    }
    (crashes, faults)
}

#[test]
fn the_power_fails_anywhere() {
    let (crashes, faults) = fail_everywhere(&live(false));
    assert!(
        faults.is_empty(),
        "{} of {crashes}: {}",
        faults.len(),
        faults[0]
    );
    assert!(crashes > 200, "{crashes}");
}

#[test]
fn a_disk_that_forgets_sealed_files_is_found_out() {
    let (crashes, faults) = fail_everywhere(&live(true));
    assert!(!faults.is_empty(), "{crashes} crashes lost nothing");
}

/// Lives on a disk whose `n`-th operation fails. False: there are not so many.
fn live_with_failure(pictures: &[String], n: u64, wrong: Wrong, lasting: bool) -> bool {
    let root = tempfile::tempdir().unwrap();
    let recorder = recorder(root.path());
    let (path, options) = (at_home(root.path()), behind(&recorder));
    let mut store = EmbeddedStore::open(&path, &options).unwrap();
    wrong.plan(&recorder, n, lasting);
    for (at, deed) in DEEDS.iter().enumerate() {
        let mut tries = 0;
        while let Err(error) = act(&store, *deed) {
            tries += 1;
            let when = format!("{deed:?} answered {error}, {wrong:?} at {n}");
            assert!(tries < 5, "{when}, again and again");
            let fits = matches!(
                error,
                StoreError::DiskFull
                    | StoreError::Io { .. }
                    | StoreError::CommitUnknown { .. }
                    | StoreError::Poisoned { .. }
                    | StoreError::EraseUnfinished { .. }
            );
            assert!(fits, "{when}");
            recorder.heal();
            let unknown = matches!(
                error,
                StoreError::CommitUnknown { .. } | StoreError::Poisoned { .. }
            );
            if unknown {
                drop(store);
                store = EmbeddedStore::open(&path, &options).unwrap();
            }
            whole_or_gone(&store, &when);
            if !matches!(deed, Erase(_)) || unknown {
                let found = picture(&store).unwrap();
                let state = pictures[at..=at + 1].iter().position(|one| *one == found);
                assert!(state.is_some(), "{when}: {found}");
                if state == Some(1) && pictures[at] != pictures[at + 1] && !matches!(deed, Erase(_))
                {
                    break;
                }
            }
        }
        if tries > 0 {
            assert_eq!(
                picture(&store).unwrap(),
                pictures[at + 1],
                "{deed:?}, {wrong:?} at {n}"
            );
        }
    }
    let failed = recorder.failed() > 0;
    recorder.heal();
    at_the_end(&store, &path).unwrap_or_else(|why| panic!("{wrong:?} at {n}: {why}"));
    drop(store);
    let image = Image::new().after(&recorder.trace());
    let last = DEEDS.len();
    for loss in [Loss::All, Loss::Random(1)] {
        after_power_failure(&image, loss, &pictures[last..], last)
            .unwrap_or_else(|why| panic!("{wrong:?} at {n}, then the power failed: {why}"));
    }
    failed
}

/// The scope shows all of its refs or none, and the other one all of its.
fn whole_or_gone(store: &EmbeddedStore, when: &str) {
    sound(store).unwrap_or_else(|why| panic!("{when}: {why}"));
    let refs = |scope: &str| {
        store
            .list_refs(scope, "thread", None, usize::MAX)
            .unwrap()
            .len()
    };
    let told = store.journal(None, usize::MAX).unwrap();
    let moved = |scope: &str| {
        let moved = told.iter().filter(|entry| entry.scope == scope);
        moved.filter(|entry| !entry.moves.is_empty()).count()
    };
    assert_eq!(refs("bob"), moved("bob"), "{when}");
    assert!(refs(VICTIM) == moved(VICTIM) || refs(VICTIM) == 0, "{when}");
}

fn any_operation_fails(failure: Failure, lasting: bool) {
    let pictures = live(false).pictures;
    let mut count = 0;
    while live_with_failure(&pictures, count, Wrong::Fails(failure), lasting) {
        count += 1;
    }
    assert!(count > 60, "only {count} operations failed");
}

#[test]
fn any_operation_fails_once_with_a_dead_device() {
    any_operation_fails(Failure::Device, false);
}

#[test]
fn any_operation_fails_once_with_a_full_disk() {
    any_operation_fails(Failure::HalfThenFull, false);
}

#[test]
fn the_disk_fails_for_good_at_any_operation_and_is_replaced() {
    any_operation_fails(Failure::Device, true);
}

#[test]
fn a_read_fails_once() {
    let pictures = live(false).pictures;
    let mut count = 0;
    while live_with_failure(&pictures, count, Wrong::Unread, false) {
        count += 7;
    }
    assert!(count > 60, "only {count} reads failed");
}

#[test]
fn a_scope_is_erased_on_a_full_disk() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("state");
    std::fs::create_dir(&path).unwrap();
    let disk = Arc::new(SmallDisk::new(&path, 48 << 20, 16 << 20).unwrap());
    let full = OpenOptions {
        disk: Disk::behind(Arc::clone(&disk) as _),
        reserve_bytes: 16 << 20,
        ..options(Disk::system())
    };
    let store = EmbeddedStore::open(&path, &full).unwrap();
    for number in 0..500 {
        act(&store, Act(VICTIM, number)).unwrap();
    }
    let mut number = 0;
    for length in [200_000, 20_000, 10] {
        let mut refused = 0;
        while refused < 4 {
            number += 1;
            let mut commit = commit_of("bob", number);
            let block = Block::raw(bytes(number, length));
            commit.moves = vec![set(&name("bob", &format!("bob{number}")), block.cid)];
            commit.blocks = vec![block];
            match store.submit(commit).wait() {
                Ok(_) => refused = 0,
                Err(StoreError::DiskFull) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    act(&store, Erase("now")).unwrap();
    act(&store, Gc).unwrap();
    store.vacuum().unwrap();
    assert_eq!(store.scopes().unwrap(), ["bob"]);
    assert_eq!(store.stats().unwrap().receipts, store.stats().unwrap().refs);
    // There is room again.
    act(&store, Act("bob", number + 1)).unwrap();
    sound(&store).unwrap();
    drop(store);
    let store = EmbeddedStore::open(&path, &full).unwrap();
    store.vacuum().unwrap();
    at_the_end(&store, &path).unwrap();
}

const DIRECTORY: &str = "TREERING_TEST_ERASED";
const ROUND: &str = "round ";

/// What the child does until it is killed.
#[test]
#[ignore = "run by the test below"]
fn erases_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let store = EmbeddedStore::open(&directory, &options(Disk::system())).unwrap();
    let mut number = store.head().unwrap().position * 1000;
    loop {
        for _ in 0..12 {
            number += 1;
            act(&store, Act(VICTIM, number)).unwrap();
            act(&store, Act("bob", number)).unwrap();
        }
        store.seal_journal(3).unwrap();
        println!("{ROUND}{number}");
        let slowly = EraseOptions {
            rows_at_a_time: 1,
            ..EraseOptions::default()
        };
        store.erase(VICTIM, &slowly).unwrap();
        println!("{ROUND}{number} erased");
        store.gc(&GcOptions::default()).unwrap();
        store.vacuum().unwrap();
    }
}

#[test]
fn a_process_is_killed_while_it_erases() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let mut midway = 0;
    for kill in 0..12u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "erases_until_it_is_killed",
                "--nocapture",
            ])
            .env(DIRECTORY, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It has come to an erase; some moments later it is dead.
        let said = lines
            .by_ref()
            .map(|line| line.unwrap())
            .find(|line| line.contains(ROUND));
        assert!(said.is_some(), "the child ended");
        std::thread::sleep(Duration::from_micros(kill * 1700));
        child.kill().unwrap();
        child.wait().unwrap();
        let read_only = OpenOptions {
            read_only: true,
            ..options(Disk::system())
        };
        let seen = EmbeddedStore::open(&path, &read_only).unwrap();
        let refs = seen.list_refs(VICTIM, "thread", None, 999).unwrap().len();
        let said = seen.journal(None, usize::MAX).unwrap();
        let said = said.iter().filter(|entry| entry.scope == VICTIM).count();
        assert!(refs == said || refs == 0, "{refs} refs of {said} commits");
        midway += usize::from(refs == 0 && said > 0);
        drop(seen);
        let store = EmbeddedStore::open(&path, &options(Disk::system())).unwrap();
        whole_or_gone(&store, "killed");
        let receipts = store.receipts(VICTIM, None, 999).unwrap().len();
        let refs = store.list_refs(VICTIM, "thread", None, 999).unwrap().len();
        assert_eq!(refs, receipts);
        act(&store, Erase(["last", "one"][(kill % 2) as usize])).unwrap();
        store.erase(VICTIM, &EraseOptions::default()).unwrap();
        act(&store, Gc).unwrap();
        store.vacuum().unwrap();
        at_the_end(&store, &path).unwrap();
    }
    println!("killed between Begin and End: {midway} of 12");
}
