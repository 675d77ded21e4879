//! Reading threads from a CAR file.
//!
//! The file is read once to check and index every block; then the manifest, the threads that are here and
//! the links from each head decide what is to be written; only then the first block is.
//!
//! Promises: a refused file has written nothing; one that fails later (a full disk, a killed process) leaves
//! blocks that are held, and no thread without all its steps and receipts. The same file again writes nothing.
//! Must never: take a block from the store that the file does not have: who knows only a hash gets no bytes.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek};

use treering_block::node::ROLE_FAILED;
use treering_block::{Cid, Codec, Node, check_node, jump_step};
use treering_store::JournalCommand;

use super::commit::Writing;
use super::conflict::{OnConflict, Verdict, judge};
use super::error::CarError;
use super::index::Index;
use super::manifest::{Entry, Manifest};
use super::walk::post_order;
use super::{WATCHED_BLOCKS, Watcher, tell};
use crate::threads::Threads;

/// Bytes before those of a block, CID and mostly two bytes of length: only for telling how far it is.
const HEAD_BYTES: u64 = 38;

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The scope that the file was exported from.
    pub scope: String,
    /// Ids of the threads that were made, renamed ones under their new id.
    pub threads: Vec<String>,
    /// Ids of threads that were here before, as they are in the file.
    pub there: Vec<String>,
    /// Ids of threads that were left out, since another one has their id or key.
    pub skipped: Vec<String>,
    /// (id in the file, id here) of threads that got another id.
    pub renamed: Vec<(String, String)>,
    /// Blocks that the new threads reach.
    pub blocks: u64,
    /// Those that were not here before.
    pub new_blocks: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// Receipts that came along.
    pub new_receipts: u64,
    /// Receipts that could not: their scope has another name, or their thread another id or none.
    pub receipts_left: u64,
}

/// Makes the threads of the file in `input`.
///
/// The watcher is told how many bytes were read, of twice the file's: it is read through twice. Reads and
/// writes O(file); some 100 bytes of memory for each block, and the largest one.
///
/// # Errors
/// `File`, `Block`, `MissingLink`, `Manifest`: the file is refused, nothing is written. `ThreadExists`,
/// `KeyExists`: as `on_conflict` says. Those of a commit.
pub fn import<R: Read + Seek>(
    threads: &Threads,
    input: R,
    on_conflict: OnConflict,
    mut watcher: Watcher<'_>,
) -> Result<Imported, CarError> {
    let (roots, mut file) = Index::build(input, &mut watcher)?;
    let Some(Ok(root)) = roots.first().map(Cid::try_from) else {
        return Err(CarError::manifest(
            "the file has no root of ours; only what treering exported can be imported",
        ));
    };
    let manifest = Manifest::decode(&root, |cid| {
        file.read(cid)?.ok_or_else(|| CarError::MissingLink {
            from: "the manifest".into(),
            link: *cid,
        })
    })?;
    let store = &**threads.store();
    let verdicts = judge(store, threads.scope(), &manifest, on_conflict)?;
    let new: Vec<(&Entry, &Verdict)> = manifest
        .threads
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| matches!(verdict, Verdict::New { .. }))
        .collect();
    let order = reach(&mut file, new.iter().map(|(entry, _)| *entry))?;
    let mut imported = report(&manifest, &verdicts);
    let receipts = Brought::sort(&manifest, &verdicts, threads.scope())?;
    imported.receipts_left = receipts.left;
    imported.blocks = order.len() as u64;

    let mut writing = Writing::new(threads);
    let mut read: u64 = 0;
    for (number, cid) in (1..).zip(&order) {
        let block = file.block(cid)?;
        read += block.bytes.len() as u64 + HEAD_BYTES;
        writing.block(block)?;
        if number % WATCHED_BLOCKS == 0 {
            let size = file.size;
            tell(
                &mut watcher,
                size + read.min(size),
                Some(size.saturating_mul(2)),
            )?;
        }
    }
    writing.threads(&new, receipts.of)?;
    let size = file.size.saturating_mul(2);
    // It is done: too late to stop.
    let _ = tell(&mut watcher, size, Some(size));
    (
        imported.new_blocks,
        imported.new_bytes,
        imported.new_receipts,
    ) = writing.written();
    Ok(imported)
}

fn report(manifest: &Manifest, verdicts: &[Verdict]) -> Imported {
    let mut imported = Imported {
        scope: manifest.scope.clone(),
        ..Imported::default()
    };
    for (entry, verdict) in manifest.threads.iter().zip(verdicts) {
        match verdict {
            Verdict::New { id, .. } => {
                imported.threads.push(id.clone());
                if *id != entry.id {
                    imported.renamed.push((entry.id.clone(), id.clone()));
                }
            }
            Verdict::There { id } => imported.there.push(id.clone()),
            Verdict::Skipped => imported.skipped.push(entry.id.clone()),
        }
    }
    imported
}

/// A step, or a start (step 0), whose chain is whole down to its start.
#[derive(Clone, Copy)]
struct Sound {
    step: u64,
    start: Cid,
}

/// Every block that the threads reach, what a block links to before it; each thread's chain is checked.
fn reach<'a, R: Read + Seek>(
    file: &mut Index<R>,
    entries: impl Iterator<Item = &'a Entry> + Clone,
) -> Result<Vec<Cid>, CarError> {
    let mut order = Vec::new();
    let mut sound: HashMap<Cid, Sound> = HashMap::new();
    let roots = entries
        .clone()
        .flat_map(|entry| std::iter::once(entry.head).chain(entry.failed));
    post_order(
        roots,
        |from, cid| {
            let missing = || CarError::MissingLink {
                from: from.map_or_else(|| "the manifest".to_owned(), Cid::to_string),
                link: *cid,
            };
            if cid.codec() == Codec::Raw {
                return if file.has(cid) {
                    Ok((Vec::new(), None))
                } else {
                    Err(missing())
                };
            }
            let bytes = file.read(cid)?.ok_or_else(missing)?;
            let links = check_node(&bytes).map_err(crate::error::ThreadError::from)?;
            // What is no node of a thread is somebody's value, and may be anything.
            let node = Node::decode(cid, &bytes).ok();
            Ok((links, node.and_then(link_of_chain)))
        },
        |cid, link| {
            if let Some(found) = link.and_then(|link| link.sound(cid, &sound)) {
                sound.insert(cid, found);
            }
            order.push(cid);
            Ok::<_, CarError>(())
        },
    )?;
    for entry in entries {
        check_entry(file, entry, &sound)?;
    }
    Ok(order)
}

/// What a node says about the chain that it is in.
enum ChainLink {
    Start,
    State {
        step: u64,
        start: Cid,
        parent: Option<Cid>,
        jump: Option<Cid>,
    },
}

fn link_of_chain(node: Node) -> Option<Box<ChainLink>> {
    match node {
        Node::Start(_) => Some(Box::new(ChainLink::Start)),
        Node::State(node) => Some(Box::new(ChainLink::State {
            step: node.step,
            start: node.start,
            parent: node.parent,
            jump: node.jump,
        })),
        Node::Content(_) => None,
    }
}

impl ChainLink {
    /// What it is if the nodes below it are what it takes them for.
    fn sound(&self, cid: Cid, below: &HashMap<Cid, Sound>) -> Option<Sound> {
        let Self::State {
            step,
            start,
            parent,
            jump,
        } = self
        else {
            return Some(Sound {
                step: 0,
                start: cid,
            });
        };
        let is = |cid: &Cid, step: u64| {
            below
                .get(cid)
                .is_some_and(|found| found.step == step && found.start == *start)
        };
        let fits = is(start, 0)
            && parent
                .as_ref()
                .is_none_or(|parent| is(parent, step.saturating_sub(1)))
            && jump.as_ref().is_none_or(|jump| is(jump, jump_step(*step)));
        fits.then_some(Sound {
            step: *step,
            start: *start,
        })
    }
}

/// Refuses a thread whose record says what its nodes don't.
fn check_entry<R: Read + Seek>(
    file: &mut Index<R>,
    entry: &Entry,
    sound: &HashMap<Cid, Sound>,
) -> Result<(), CarError> {
    let wrong = |detail: String| CarError::manifest(format!("thread {}: {detail}", entry.id));
    let Some(head) = sound.get(&entry.head) else {
        return Err(wrong(format!(
            "its head {} is not the end of a whole chain of steps",
            entry.head
        )));
    };
    if head.step != entry.record.steps {
        return Err(wrong(format!(
            "its record says {} steps, its head is step {}",
            entry.record.steps, head.step
        )));
    }
    let start = file.read(&head.start)?.unwrap_or_default();
    match Node::decode(&head.start, &start) {
        Ok(Node::Start(node)) if node.workflow == entry.record.workflow => {}
        Ok(Node::Start(node)) => {
            return Err(wrong(format!(
                "its record is of workflow {:?}, its start node of {:?}",
                entry.record.workflow, node.workflow
            )));
        }
        _ => return Err(wrong(format!("its start {} is none", head.start))),
    }
    let Some(failed) = entry.failed else {
        return Ok(());
    };
    let bytes = file.read(&failed)?.unwrap_or_default();
    match (sound.get(&failed), Node::decode(&failed, &bytes)) {
        (Some(found), Ok(Node::State(node)))
            if node.role == ROLE_FAILED && found.start == head.start =>
        {
            Ok(())
        }
        _ => Err(wrong(format!(
            "{failed} is not the node of a failure of it"
        ))),
    }
}

/// Receipts, each with the thread that it comes with.
struct Brought<'a> {
    /// By the id of a thread in the file.
    of: HashMap<&'a str, Vec<JournalCommand>>,
    left: u64,
}

impl<'a> Brought<'a> {
    /// A receipt comes along if every thread that it names and the file has keeps its id, and one of them
    /// is new. If none is new, it came with them before.
    fn sort(manifest: &'a Manifest, verdicts: &[Verdict], scope: &str) -> Result<Self, CarError> {
        let mut brought = Self {
            of: HashMap::new(),
            left: 0,
        };
        let by_id: HashMap<&str, (&'a Entry, &Verdict)> = manifest
            .threads
            .iter()
            .zip(verdicts)
            .map(|(entry, verdict)| (entry.id.as_str(), (entry, verdict)))
            .collect();
        for receipt in &manifest.receipts {
            let about = manifest.about(receipt)?;
            let mut names = HashSet::new();
            let mut first_new = None;
            let mut keeps = manifest.scope == scope;
            for one in &about {
                let Some((entry, verdict)) = by_id.get(one.thread.as_str()) else {
                    continue;
                };
                if !names.insert(entry.id.as_str()) {
                    continue;
                }
                keeps = keeps && verdict.id() == Some(entry.id.as_str());
                if let Verdict::New { .. } = verdict {
                    first_new = first_new.or(Some(entry.id.as_str()));
                }
            }
            match (keeps, first_new) {
                (true, Some(id)) => brought.of.entry(id).or_default().push(receipt.clone()),
                (true, None) => {}
                (false, _) => brought.left += 1,
            }
        }
        Ok(brought)
    }
}
