//! A scripted life: one of every verb, each ending in a state that is known and can be told from the others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering_block::{Block, Encoded};
use treering_store::faults::Recorder;
use treering_store::{
    BackupOptions, Clock, Commit, Disk, Durability, EmbeddedStore, GcOptions, OpenOptions,
    Progress, Store, StoreError,
};
use treering_thread::{
    ContentArg, ForkArgs, ForkAt, Result, StartArgs, StepArgs, Thread, Threads, pins,
};

pub const NOW_MS: i64 = 1_700_000_000_000;
pub const SCOPE: &str = "main";
/// The store lies so deep in the recorder's directory, so that it makes more than one.
const PLACE: &str = "deep/store";
const BACKUP_PLACE: &str = "deep/backup";
/// Small, so that a short life sees several checkpoints.
const CHECKPOINT_LOG_BYTES: u64 = 96 << 10;
/// An artifact that is a file of its own.
const LARGE_BYTES: usize = 300_000;

/// One thing that is done. Names are keys of threads, numbers are seeds of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Start(&'static str),
    Append(&'static str, u64),
    /// Several steps in one commit.
    Extend(&'static str, u64),
    /// A step with an artifact in a file of its own.
    AppendLarge(&'static str, u64),
    /// A fork of the first at this step, under the second key.
    Fork(&'static str, u64, &'static str),
    Fail(&'static str),
    Finish(&'static str),
    Cancel(&'static str),
    Rm(&'static str),
    /// Two threads and a block in one commit.
    Together(&'static str, &'static str, u64),
    Pin(u64),
    Unpin(u64),
    /// Bytes without a ref, held.
    Put(u64),
    /// The hold's end.
    Release(u64),
    Gc,
    Reopen,
    /// Into the same directory each time: all of the store at first, then what is new.
    Backup,
}

pub const LIFE: &[Act] = &[
    Act::Start("a"),
    Act::Append("a", 1),
    Act::Put(7),
    Act::Append("a", 2),
    Act::Fork("a", 1, "b"),
    Act::AppendLarge("a", 3),
    Act::Append("b", 4),
    Act::Pin(7),
    Act::Release(7),
    Act::Gc,
    Act::Extend("b", 5),
    Act::Fail("b"),
    Act::Finish("a"),
    Act::Backup,
    Act::Reopen,
    // All that only `a` had is garbage then, its file of its own too.
    Act::Rm("a"),
    Act::Unpin(7),
    Act::Gc,
    // The same bytes again, after they were declared dead: stored anew.
    Act::Put(7),
    Act::Start("c"),
    Act::AppendLarge("c", 3),
    Act::Gc,
    Act::Together("c", "d", 8),
    Act::Cancel("c"),
    Act::Backup,
    Act::Release(7),
    Act::Reopen,
    Act::Rm("c"),
    Act::Gc,
    Act::Append("b", 9),
    Act::Append("d", 10),
];

impl Act {
    /// What makes it safe to repeat; None for what is the same when it is done twice.
    fn command_id(self) -> Option<String> {
        use Act::{Backup, Gc, Pin, Put, Release, Reopen, Unpin};
        let plain = matches!(
            self,
            Pin(_) | Unpin(_) | Put(_) | Release(_) | Gc | Reopen | Backup
        );
        (!plain).then(|| format!("{self:?}"))
    }

    /// Whether it can be asked for again at any later time, while its threads are there.
    pub fn repeats(self) -> bool {
        use Act::{Append, AppendLarge, Extend, Fail, Finish, Fork, Start};
        matches!(
            self,
            Start(_) | Append(..) | AppendLarge(..) | Extend(..) | Fork(..) | Fail(_) | Finish(_)
        )
    }

    /// The threads that have to be there for it to be repeated.
    pub fn threads(self) -> Vec<&'static str> {
        match self {
            Act::Start(key)
            | Act::Append(key, _)
            | Act::AppendLarge(key, _)
            | Act::Extend(key, _)
            | Act::Fail(key)
            | Act::Finish(key) => vec![key],
            Act::Fork(from, _, key) => vec![from, key],
            _ => vec![],
        }
    }
}

/// Bytes that look random and are the same each time.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut out);
    out
}

/// A step of a few kilobytes, some of them spilled into a block of their own.
fn step(seed: u64) -> StepArgs {
    let length = if seed.is_multiple_of(2) { 6000 } else { 300 };
    StepArgs::new("worker", ContentArg::Bytes(bytes(seed, length)))
}

pub fn block(seed: u64) -> Block {
    Block::raw(bytes(1000 + seed, 900))
}

fn pin_name(seed: u64) -> String {
    format!("pin-{seed}")
}

pub fn pinned(store: &dyn Store) -> Vec<String> {
    let pins = pins::list(store, SCOPE).unwrap();
    pins.into_iter()
        .map(|(name, cid)| format!("{name} {}", cid.unwrap()))
        .collect()
}

/// How and where the store is opened.
pub struct Home {
    pub path: PathBuf,
    backup: PathBuf,
    options: OpenOptions,
}

impl Home {
    /// In the recorder's directory.
    pub fn behind(root: &Path, recorder: &Arc<Recorder>) -> Self {
        recorder.skip_real_syncs();
        Self {
            path: root.join(PLACE),
            backup: root.join(BACKUP_PLACE),
            options: OpenOptions {
                callers_wait: true,
                clock: Clock::manual(NOW_MS),
                checkpoint_log_bytes: CHECKPOINT_LOG_BYTES,
                disk: Disk::behind(Arc::clone(recorder) as _),
                ..OpenOptions::default()
            },
        }
    }

    pub fn open(&self) -> Result<Living> {
        let store = Arc::new(EmbeddedStore::open(&self.path, &self.options)?);
        let backup = self.backup.clone();
        Ok(Living { store, backup })
    }

    /// The backup; None if there is none, or if it says of itself that it is unfinished.
    pub fn open_backup(&self) -> Result<Option<Living>> {
        let options = OpenOptions {
            create: false,
            read_only: true,
            ..self.options.clone()
        };
        match EmbeddedStore::open(&self.backup, &options) {
            Err(StoreError::NotAStore { .. }) => Ok(None),
            opened => Ok(Some(Living {
                store: Arc::new(opened?),
                backup: self.backup.clone(),
            })),
        }
    }
}

/// A store that somebody lives in.
pub struct Living {
    store: Arc<EmbeddedStore>,
    backup: PathBuf,
}

impl Living {
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub fn threads(&self) -> Threads {
        Threads::new(self.store.clone(), SCOPE, Durability::Durable).unwrap()
    }

    pub fn thread(&self, key: &str) -> Result<Option<Thread>> {
        self.threads().by_key(key)
    }

    fn known(&self, key: &str) -> Result<Thread> {
        self.threads().get(key)
    }

    /// Does one act, but for [`Act::Reopen`]; a second time it changes nothing. Errors: the threads'.
    pub fn act(&self, act: Act) -> Result<()> {
        let command = act.command_id();
        let id = command.as_deref();
        match act {
            Act::Start(key) => {
                let args = StartArgs {
                    key: Some(key.into()),
                    prompt: Some(ContentArg::Text(format!("what {key} is to do"))),
                    command_id: command,
                    ..StartArgs::new("w")
                };
                self.threads().start(args)?.wait().map(drop)
            }
            Act::Append(key, seed) => {
                let step = StepArgs {
                    command_id: command,
                    ..step(seed)
                };
                self.known(key)?.append(step)?.wait().map(drop)
            }
            Act::AppendLarge(key, seed) => {
                let step = StepArgs {
                    artifacts: vec![("large".into(), bytes(seed, LARGE_BYTES))],
                    command_id: command,
                    ..step(seed)
                };
                self.known(key)?.append(step)?.wait().map(drop)
            }
            Act::Extend(key, seed) => {
                let steps = vec![step(seed), step(seed + 100), step(seed + 200)];
                self.known(key)?.extend(steps, id)?.wait().map(drop)
            }
            Act::Fork(from, at, key) => {
                let args = ForkArgs {
                    key: Some(key.into()),
                    command_id: command,
                    ..ForkArgs::default()
                };
                let fork = self.known(from)?.fork(ForkAt::Step(at), args)?;
                fork.wait().map(drop)
            }
            Act::Fail(key) => {
                let failed = self.known(key)?.fail("no way", id)?;
                failed.wait().map(drop)
            }
            Act::Finish(key) => {
                let finished = self.known(key)?.finish(0, "done", id)?;
                finished.wait().map(drop)
            }
            Act::Cancel(key) => self.known(key)?.cancel("enough", id)?.wait(),
            Act::Rm(key) => match self.thread(key)? {
                Some(thread) => thread.rm(false, id)?.wait(),
                None => Ok(()),
            },
            Act::Together(old, new, seed) => {
                let mut batch = self.threads().batch();
                let old = batch.thread(&self.known(old)?)?;
                batch.append(old, step(seed))?;
                let new = batch.start(StartArgs {
                    key: Some(new.into()),
                    ..StartArgs::new("w")
                })?;
                batch.append(new, step(seed + 1))?;
                batch.put_node(Encoded::empty_map())?;
                batch.commit(id, Durability::Durable)?.wait().map(drop)
            }
            Act::Pin(seed) => {
                let store: Arc<dyn Store> = self.store.clone();
                let cid = block(seed).cid;
                pins::add(&store, SCOPE, &pin_name(seed), cid, Durability::Durable)?.wait()
            }
            Act::Unpin(seed) => {
                let store: Arc<dyn Store> = self.store.clone();
                if !pinned(&*store)
                    .iter()
                    .any(|pin| pin.starts_with(&pin_name(seed)))
                {
                    return Ok(());
                }
                pins::rm(&store, SCOPE, &pin_name(seed), Durability::Durable)?.wait()
            }
            Act::Put(seed) => {
                let block = block(seed);
                let commit = Commit {
                    scope: SCOPE.into(),
                    holds: vec![block.cid],
                    blocks: vec![block],
                    ..Commit::default()
                };
                Ok(self.store.submit(commit).wait().map(drop)?)
            }
            Act::Release(seed) => {
                let released = self.store.release_hold(SCOPE, &block(seed).cid);
                Ok(released.map(drop)?)
            }
            Act::Gc => {
                let real = GcOptions { dry_run: false };
                Ok(self.store.gc(&real).map(drop)?)
            }
            Act::Backup => {
                let (options, progress) = (BackupOptions::default(), Progress::default());
                Ok(self
                    .store
                    .backup(&self.backup, &options, &progress)
                    .map(drop)?)
            }
            Act::Reopen => panic!("whoever holds the store opens it"),
        }
    }
}
