//! A scripted life of a store: one of everything, each act ending in a state that is known.

use std::path::Path;
use std::sync::Arc;

use treering_block::{Block, Cid, Encoded, Writer};
use treering_store::faults::Recorder;
use treering_store::{
    Address, Change, Command, Commit, Durability, EmbeddedStore, Expect, OpenOptions, RefMove,
    RefName, Result, Store, StoreError, Uploaded,
};

use super::name;

pub const COMMAND_IDS: [&str; 8] = ["c0", "c1", "c2", "c3", "c4", "c5", "relaxed", "large"];

/// More than is written in one go.
const UPLOAD_BYTES: usize = 1_100_000;

/// One thing that is done to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Blocks with links, held for nobody's ref.
    Put(u64),
    /// A block in a file of its own, a ref to it and a receipt.
    PutLarge(u64),
    /// The same bytes again, with a hold.
    PutLargeAgain(u64),
    /// A block that arrives in pieces, in a file of its own, and a ref to it.
    Upload(u64),
    /// One that is given up half-way, and one whose commit is refused.
    UploadsGivenUp,
    /// A step of a thread: node, ref from version to version, receipt.
    Step(u64),
    /// A step whose answer outlives only a killed process.
    RelaxedStep,
    /// The same command again, to be answered as durable. Writes nothing.
    RelaxedStepAgain,
    /// A put of a block that the relaxed step brought, to be answered as durable. Writes nothing.
    PutPresent,
    /// A commit over many pages.
    Wide,
    /// A second scope.
    OtherScope,
    Delete,
    /// A commit with a large block that is refused.
    Refused,
    Acquire,
    Release,
    /// Close and open.
    Reopen,
}

pub const LIFE: &[Act] = &[
    Act::Put(1),
    Act::PutLarge(2),
    Act::Step(0),
    Act::Step(1),
    Act::Acquire,
    Act::RelaxedStep,
    Act::PutPresent,
    Act::RelaxedStepAgain,
    Act::Step(2),
    Act::Wide,
    Act::Refused,
    Act::OtherScope,
    Act::Reopen,
    Act::Step(3),
    Act::Release,
    Act::PutLargeAgain(2),
    Act::Step(4),
    Act::Delete,
    Act::UploadsGivenUp,
    Act::Upload(7),
    Act::Reopen,
    Act::Step(5),
    Act::RelaxedStepAgain,
];

impl Act {
    /// Whether its answer promises that a power failure takes nothing of it. A lease need not outlive the
    /// processes that a power failure ends.
    pub fn is_durable(self) -> bool {
        use Act::{Acquire, Refused, RelaxedStep, Release, Reopen, UploadsGivenUp};
        !matches!(
            self,
            RelaxedStep | Reopen | Refused | Acquire | Release | UploadsGivenUp
        )
    }
}

/// Bytes that look random and are the same each time.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut out);
    out
}

pub fn node(text: &str, links: &[Cid]) -> Block {
    let mut out = Writer::new();
    out.array(links.len() + 1).unwrap();
    out.str(text).unwrap();
    for link in links {
        out.link(&(*link).into()).unwrap();
    }
    let encoded: Encoded = out.finish().unwrap();
    Block::from_encoded(encoded).unwrap()
}

pub fn set(name: &RefName, target: Cid) -> RefMove {
    moved(name, Expect::Any, target)
}

pub fn moved(name: &RefName, expect: Expect, target: Cid) -> RefMove {
    RefMove {
        name: name.clone(),
        expect,
        change: Change::Set {
            target,
            record: b"record".to_vec(),
        },
    }
}

fn main(blocks: Vec<Block>) -> Commit {
    Commit {
        scope: "main".into(),
        blocks,
        ..Commit::default()
    }
}

fn command(id: &str) -> Option<Command> {
    Some(Command {
        address: Address::Scope("main".into()),
        id: id.into(),
        payload: *blake3::hash(id.as_bytes()).as_bytes(),
        receipt: id.as_bytes().to_vec(),
    })
}

fn step(number: u64) -> Commit {
    let before = number.checked_sub(1).map(|before| step_node(before).cid);
    let content = Block::raw(bytes(100 + number, 700));
    let node = step_node(number);
    let expect = match before {
        None => Expect::Absent,
        Some(target) => Expect::At {
            version: number,
            target,
        },
    };
    Commit {
        moves: vec![moved(&name("main", "one"), expect, node.cid)],
        command: command(&format!("c{number}")),
        ..main(vec![content, node])
    }
}

fn step_node(number: u64) -> Block {
    let content = Block::raw(bytes(100 + number, 700)).cid;
    let mut links = vec![content];
    links.extend(number.checked_sub(1).map(|before| step_node(before).cid));
    node(&format!("step {number}"), &links)
}

fn relaxed_step() -> Commit {
    let content = Block::raw(bytes(200, 900));
    Commit {
        moves: vec![moved(&name("main", "two"), Expect::Absent, content.cid)],
        command: command("relaxed"),
        durability: Durability::Relaxed,
        ..main(vec![content])
    }
}

/// The commit of an act; None for an act that is none.
fn commit_of(act: Act) -> Option<Commit> {
    Some(match act {
        Act::Put(seed) => {
            let leaf = Block::raw(bytes(seed, 1000));
            let node = node("put", &[leaf.cid]);
            Commit {
                holds: vec![leaf.cid, node.cid],
                ..main(vec![leaf, node])
            }
        }
        Act::PutLarge(seed) => {
            let large = Block::raw(bytes(seed, 300_000));
            Commit {
                moves: vec![set(&name("main", "large"), large.cid)],
                command: command("large"),
                ..main(vec![large])
            }
        }
        Act::PutLargeAgain(seed) => {
            let large = Block::raw(bytes(seed, 300_000));
            Commit {
                holds: vec![large.cid],
                ..main(vec![large])
            }
        }
        Act::Step(number) => step(number),
        Act::RelaxedStep => relaxed_step(),
        Act::RelaxedStepAgain => Commit {
            durability: Durability::Durable,
            ..relaxed_step()
        },
        Act::PutPresent => main(relaxed_step().blocks),
        Act::Wide => main(
            (0..40)
                .map(|seed| Block::raw(bytes(1000 + seed, 3000)))
                .collect(),
        ),
        Act::OtherScope => {
            let block = Block::raw(b"of another scope".to_vec());
            Commit {
                scope: "other".into(),
                moves: vec![set(&name("other", "one"), block.cid)],
                blocks: vec![block],
                ..Commit::default()
            }
        }
        Act::Delete => Commit {
            moves: vec![RefMove {
                name: name("main", "large"),
                expect: Expect::Version(1),
                change: Change::Delete,
            }],
            ..main(vec![])
        },
        Act::Refused => {
            let large = Block::raw(bytes(900, 270_000));
            Commit {
                moves: vec![moved(&name("main", "one"), Expect::Absent, large.cid)],
                ..main(vec![large])
            }
        }
        Act::Acquire | Act::Release | Act::Reopen | Act::Upload(_) | Act::UploadsGivenUp => {
            return None;
        }
    })
}

/// What a mark in the trace says.
pub fn begun(act: usize) -> u64 {
    act as u64 * 2
}

pub fn answered(act: usize) -> u64 {
    act as u64 * 2 + 1
}

/// A store that somebody lives in.
pub struct Living {
    pub store: Option<EmbeddedStore>,
}

impl Living {
    /// Errors: the store's.
    pub fn begin(path: &Path, options: &OpenOptions) -> Result<Self> {
        let store = EmbeddedStore::open(path, options)?;
        Ok(Self { store: Some(store) })
    }

    pub fn store(&self) -> &EmbeddedStore {
        self.store.as_ref().unwrap()
    }

    fn upload(&self, bytes: &[u8]) -> Result<Arc<Uploaded>> {
        let mut upload = self.store().upload()?;
        for piece in bytes.chunks(400_000) {
            upload.write(piece)?;
        }
        upload.finish()
    }

    fn give_up_uploads(&self) -> Result<()> {
        let mut half = self.store().upload()?;
        half.write(&bytes(901, UPLOAD_BYTES))?;
        drop(half);
        let upload = self.upload(&bytes(902, 270_000))?;
        let refused = Commit {
            moves: vec![moved(&name("main", "one"), Expect::Absent, upload.cid())],
            uploads: vec![upload],
            ..main(vec![])
        };
        match self.store().submit(refused).wait() {
            Err(StoreError::RefMoved { .. }) => Ok(()),
            Ok(_) => panic!("it had to be refused"),
            Err(error) => Err(error),
        }
    }

    /// Does one act; its answer is marked, if it was good, when the store gives it. Errors: the store's.
    /// After a failed reopening there is no store.
    pub fn act(
        &mut self,
        act: Act,
        path: &Path,
        options: &OpenOptions,
        mark: Option<(&Arc<Recorder>, u64)>,
    ) -> Result<()> {
        let marked = mark.map(|(recorder, mark)| (Arc::clone(recorder), mark));
        let commit = match act {
            Act::Upload(seed) => {
                let upload = self.upload(&bytes(seed, UPLOAD_BYTES))?;
                Some(Commit {
                    moves: vec![set(&name("main", "upload"), upload.cid())],
                    uploads: vec![upload],
                    ..main(vec![])
                })
            }
            other => commit_of(other),
        };
        let answer = match (act, commit) {
            (_, Some(commit)) => {
                let ticket = self.store().submit(commit);
                // From the writer's own thread, so that nothing that follows the answer comes before it.
                let (send, done) = std::sync::mpsc::channel();
                let asked = ticket.clone();
                ticket.on_answer(move || {
                    if let (Some(Ok(_)), Some((recorder, mark))) = (asked.poll(), marked) {
                        recorder.mark(mark);
                    }
                    send.send(()).unwrap();
                });
                done.recv().unwrap();
                let answer = ticket.wait().map(drop);
                return match (act, answer) {
                    (Act::Refused, Err(StoreError::RefMoved { .. })) => Ok(()),
                    (Act::Refused, Ok(())) => panic!("it had to be refused"),
                    (_, answer) => answer,
                };
            }
            (Act::Acquire, None) => self
                .store()
                .lease_acquire(&name("main", "one"), "somebody")
                .map(drop),
            (Act::Release, None) => {
                let lease = treering_store::Lease {
                    name: name("main", "one"),
                    token: 1,
                };
                self.store().lease_release(&lease)
            }
            (Act::UploadsGivenUp, None) => self.give_up_uploads(),
            (Act::Reopen, None) => {
                self.store = None;
                *self = Self::begin(path, options)?;
                Ok(())
            }
            (other, None) => panic!("{other:?} is no commit"),
        };
        if let (Ok(()), Some((recorder, mark))) = (&answer, marked) {
            recorder.mark(mark);
        }
        answer
    }
}
