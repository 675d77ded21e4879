//! What the crash tests share: a scripted life, a picture of a store, and the check after a crash.
#![allow(
    dead_code, // Each test binary uses its part.
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod arriving;
pub mod life;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use treering_block::{Block, Cid};
use treering_store::faults::{Among, BadRead, Failure, Image, Loss, Recorder};
use treering_store::{
    Address, Clock, Commit, Disk, EmbeddedStore, GcOptions, OpenOptions, RefName, Result, Store,
};

/// Small, so that a short life sees several checkpoints.
const CHECKPOINT_LOG_BYTES: u64 = 96 << 10;
/// The store lies this deep in the recorder's directory, so that it makes more than one.
pub const ABOVE: &str = "deep";
pub const NOW_MS: i64 = 1_700_000_000_000;

pub fn options(disk: Disk) -> OpenOptions {
    OpenOptions {
        clock: Clock::manual(NOW_MS),
        checkpoint_log_bytes: CHECKPOINT_LOG_BYTES,
        reserve_bytes: 0,
        disk,
        ..OpenOptions::default()
    }
}

pub fn behind(recorder: &Arc<Recorder>) -> OpenOptions {
    options(Disk::behind(Arc::clone(recorder) as _))
}

/// A recorder over a directory of its own, in which the store will be `store`.
pub fn recorder(root: &Path) -> Arc<Recorder> {
    let recorder = Recorder::new(root).unwrap();
    recorder.skip_real_syncs();
    Arc::new(recorder)
}

/// What goes wrong with an operation of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Fails(Failure),
    /// A read gives nothing.
    Unread,
}

impl Wrong {
    /// Lets `n` that could go wrong so pass, then one goes wrong, or all from then on.
    pub fn plan(self, recorder: &Recorder, n: u64, lasting: bool) {
        match self {
            Self::Fails(failure) => recorder.fail(Among::All, n, failure, lasting),
            Self::Unread => recorder.spoil_reads(n, BadRead::Device, lasting),
        }
    }
}

pub fn name(scope: &str, part: &str) -> RefName {
    RefName::new(scope, "thread", [part]).unwrap()
}

/// Everything that a store answers about itself, as text: two stores with the same picture are the same.
/// Errors: the store's, or what a read found.
pub fn picture(store: &dyn Store) -> Result<String> {
    let mut out = String::new();
    let head = store.head()?;
    writeln!(out, "head {} {:?}", head.position, head.cursor()).unwrap();
    for entry in store.journal(None, usize::MAX)? {
        writeln!(out, "journal {entry:?}").unwrap();
    }
    for scope in store.scopes()? {
        for (name, value) in store.list_refs(&scope, "thread", None, usize::MAX)? {
            writeln!(out, "ref {name} {:?}", value?).unwrap();
        }
    }
    for info in store.blocks(0, usize::MAX)? {
        // Reading hashes: the bytes are those of the CID, or it is an error.
        let bytes = store.get(&info.cid)?;
        writeln!(out, "block {} {} {}", info.ordinal, info.cid, bytes.len()).unwrap();
    }
    for id in life::COMMAND_IDS {
        let receipt = store.receipt(&Address::Scope("main".into()), id)?;
        writeln!(out, "receipt {id} {receipt:?}").unwrap();
    }
    for part in ["one", "two"] {
        let lease = store.lease_state(&name("main", part))?;
        let lease = lease.map(|state| (state.token, state.held));
        writeln!(out, "lease {part} {lease:?}").unwrap();
    }
    let stats = store.stats()?;
    writeln!(out, "holds {} links {}", stats.holds, stats.links).unwrap();
    Ok(out)
}

/// Opens the store that a crash left in `directory` and checks it: it opens, `verify` is clean, its
/// picture is one of `allowed` (which one is the answer), and it takes a commit. What is wrong is the error.
pub fn check_after_crash(directory: &Path, allowed: &[&str]) -> Result<usize, String> {
    // Nobody turns the power off again: the real disk need not be asked.
    let options = behind(&recorder(directory.parent().unwrap()));
    let store = EmbeddedStore::open(directory, &options)
        .map_err(|error| format!("it does not open: {error}"))?;
    let found = is_one_of(&store, allowed)?;
    let before = store.head().map_err(|error| error.to_string())?;
    let block = Block::raw(b"life goes on".to_vec());
    let on = Commit {
        scope: "main".into(),
        moves: vec![life::set(&name("main", "after"), block.cid)],
        blocks: vec![block],
        ..Commit::default()
    };
    let done = store
        .submit(on)
        .wait()
        .map_err(|error| format!("no commit after it: {error}"))?;
    if done.position != before.position + 1 {
        return Err(format!(
            "commit {} after {}",
            done.position, before.position
        ));
    }
    store.close().map_err(|error| error.to_string())?;
    let store = EmbeddedStore::open(directory, &options)
        .map_err(|error| format!("it does not open a second time: {error}"))?;
    let report = store
        .verify(Some(&before))
        .map_err(|error| error.to_string())?;
    if !report.findings.is_empty() {
        return Err(format!("verify, after going on: {:#?}", report.findings));
    }
    no_uploads_after_gc(&store, directory)?;
    Ok(found)
}

/// What died with its process goes with the first collection.
fn no_uploads_after_gc(store: &EmbeddedStore, directory: &Path) -> Result<(), String> {
    store
        .gc(&GcOptions::default())
        .map_err(|error| format!("gc: {error}"))?;
    let left: Vec<_> = match std::fs::read_dir(directory.join("blobs/uploads")) {
        Ok(found) => found.map(|file| file.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    };
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("uploads of nobody stay: {left:?}"))
    }
}

/// Checks that an open store is sound and that its picture is one of these.
pub fn is_one_of(store: &dyn Store, allowed: &[&str]) -> Result<usize, String> {
    let report = store
        .verify(None)
        .map_err(|error| format!("verify: {error}"))?;
    if !report.findings.is_empty() {
        return Err(format!("verify: {:#?}", report.findings));
    }
    let found = picture(store).map_err(|error| format!("it can not be read: {error}"))?;
    allowed
        .iter()
        .position(|picture| *picture == found)
        .ok_or_else(|| {
            let least = allowed.first().copied().unwrap_or_default();
            let lost = least
                .lines()
                .filter(|line| !found.lines().any(|other| other == *line));
            let new = found
                .lines()
                .filter(|line| !least.lines().any(|other| other == *line));
            let shown: Vec<String> = lost
                .map(|line| format!("- {line}"))
                .chain(new.map(|line| format!("+ {line}")))
                .map(|line| line.chars().take(160).collect())
                .take(12)
                .collect();
            format!(
                "it holds none of {} states; against the least:\n{}",
                allowed.len(),
                shown.join("\n")
            )
        })
}

/// Lets the power fail at the image's moment, and checks what is left.
pub fn crash(image: &Image, loss: Loss, allowed: &[&str]) -> Result<usize, String> {
    let into = tempfile::tempdir().unwrap();
    image.materialise(loss, into.path()).unwrap();
    let above = into.path().join(ABOVE);
    std::fs::create_dir_all(&above).unwrap();
    check_after_crash(&above.join("store"), allowed).map_err(|why| format!("{loss:?}: {why}"))
}

pub fn cid_of(bytes: &[u8]) -> Cid {
    Block::raw(bytes.to_vec()).cid
}
