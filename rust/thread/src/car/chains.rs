//! What the threads of a file reach, and whether their chains are what their records say.
//!
//! Promises: nothing is left out, and nothing is believed of a node that its links do not show.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek};

use treering_block::node::ROLE_FAILED;
use treering_block::{Cid, Codec, Node, check_node, jump_step};

use treering_store::archive::{ArchiveError, Index, post_order};

use super::error::CarError;
use super::manifest::Entry;

/// A step, or a start (step 0), whose chain is whole down to its start.
#[derive(Clone, Copy)]
struct Sound {
    step: u64,
    start: Cid,
}

/// What was found so far; a node comes after all that it links to.
#[derive(Default)]
struct Found {
    chains: HashMap<Cid, Sound>,
    contents: HashSet<Cid>,
}

/// Every block that the threads reach, what a block links to before it; each thread's chain is checked.
/// `others`: what else is to be in that order.
pub(super) fn reach<'a, R: Read + Seek>(
    file: &mut Index<R>,
    entries: impl Iterator<Item = &'a Entry> + Clone,
    others: impl IntoIterator<Item = Cid>,
) -> Result<Vec<Cid>, CarError> {
    let mut order = Vec::new();
    let mut found = Found::default();
    let roots = entries
        .clone()
        .flat_map(|entry| std::iter::once(entry.head).chain(entry.failed));
    post_order(
        roots.chain(others),
        |from, cid| {
            let missing = || ArchiveError::MissingLink {
                from: from.map_or_else(|| "the manifest".to_owned(), Cid::to_string),
                link: *cid,
            };
            if cid.codec() == Codec::Raw {
                return if file.has(cid) {
                    Ok((Vec::new(), None))
                } else {
                    Err(missing().into())
                };
            }
            let bytes = file.read(cid)?.ok_or_else(missing)?;
            let links = check_node(&bytes).map_err(crate::error::ThreadError::from)?;
            // What is no node of a thread is somebody's value, and may be anything.
            let node = Node::decode(cid, &bytes).ok();
            Ok((links, node.map(link_of_chain)))
        },
        |cid, link| {
            if let Some(link) = link {
                link.note(cid, &mut found);
            }
            order.push(cid);
            Ok::<_, CarError>(())
        },
    )?;
    for entry in entries {
        check_entry(file, entry, &found.chains)?;
    }
    Ok(order)
}

/// What a node says about the chain that it is in.
enum ChainLink {
    Start {
        prompt: Option<Cid>,
    },
    State {
        step: u64,
        start: Cid,
        parent: Option<Cid>,
        jump: Option<Cid>,
        /// What it says, and what sums up the steps before it.
        said: [Option<Cid>; 2],
    },
    Content,
}

fn link_of_chain(node: Node) -> Box<ChainLink> {
    Box::new(match node {
        Node::Start(node) => ChainLink::Start {
            prompt: node.prompt,
        },
        Node::State(node) => ChainLink::State {
            step: node.step,
            start: node.start,
            parent: node.parent,
            jump: node.jump,
            said: [Some(node.content), node.compact],
        },
        Node::Content(_) => ChainLink::Content,
    })
}

impl ChainLink {
    /// Notes what it is, if the nodes below it are what it takes them for.
    fn note(&self, cid: Cid, found: &mut Found) {
        let are_contents = |cids: &[Option<Cid>]| {
            let mut cids = cids.iter().flatten();
            cids.all(|cid| found.contents.contains(cid))
        };
        let (is_sound, step, start) = match self {
            Self::Content => {
                found.contents.insert(cid);
                return;
            }
            Self::Start { prompt } => (are_contents(&[*prompt]), 0, cid),
            Self::State {
                step,
                start,
                parent,
                jump,
                said,
            } => {
                let is = |cid: &Cid, step: u64| {
                    let below = found.chains.get(cid);
                    below.is_some_and(|below| below.step == step && below.start == *start)
                };
                let follows = is(start, 0)
                    && parent
                        .as_ref()
                        .is_none_or(|parent| is(parent, step.saturating_sub(1)))
                    && jump.as_ref().is_none_or(|jump| is(jump, jump_step(*step)));
                (follows && are_contents(said), *step, *start)
            }
        };
        if is_sound {
            found.chains.insert(cid, Sound { step, start });
        }
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
