//! The building blocks of a step: what can be hashed before it is known where the step will stand,
//! and the state node once it is.

use std::collections::{BTreeMap, BTreeSet};

use treering_block::node::{ROLE_END, ROLE_FAILED};
use treering_block::{
    Block, Cid, ContentNode, Encoded, Payload as Said, StateNode, payload_from_bytes,
    payload_from_encoded, payload_from_text,
};
use treering_store::Store;
use treering_store::commit::BLOB_BYTES_MIN;

use crate::args::{AtMs, ContentArg, StepArgs};
use crate::command::Payload;
use crate::error::{Result, ThreadError};
use crate::jumps::Position;
use crate::step::Step;

/// A step without its place: content is hashed already.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    role: String,
    meta: Encoded,
    content: Cid,
    /// Children first, the content node last.
    blocks: Vec<Block>,
    at_ms: AtMs,
    child_thread: Option<Cid>,
    compact: Option<Cid>,
    /// Of what the caller gave, where a command id asks for it: hashing it costs as much as its block does.
    digest: Option<[u8; 32]>,
}

impl Prepared {
    /// The caller's step. `commanded`: under a command id, so that its digest is asked for.
    pub fn step(args: &StepArgs, commanded: bool) -> Result<Self> {
        if args.role.starts_with("__") && args.role.ends_with("__") {
            return Err(ThreadError::invalid(
                "role",
                &args.role,
                "names of the form __name__ are reserved",
            ));
        }
        Self::build(args, commanded)
    }

    /// A step that summarises all before it.
    pub fn compact(summary: StepArgs, commanded: bool) -> Result<Self> {
        let mut step = Self::step(&summary, commanded)?;
        step.compact = Some(step.content);
        Ok(step)
    }

    /// The step that ends a thread.
    pub fn end(return_code: i64, summary: &str) -> Result<Self> {
        Self::closing(
            ROLE_END,
            summary,
            &[
                ("summary", Value::Text(summary)),
                ("return_code", Value::Int(return_code)),
            ],
        )
    }

    /// The node that says why a step failed.
    pub fn failed(error: &str) -> Result<Self> {
        Self::closing(ROLE_FAILED, error, &[])
    }

    /// `meta` in canonical order of its keys.
    fn closing(role: &str, text: &str, meta: &[(&str, Value<'_>)]) -> Result<Self> {
        let mut args = StepArgs::new(role, text);
        // A long text is whole in the content node; meta repeats what a listing shows.
        let mut writer = treering_block::Writer::new();
        writer.map(meta.len())?;
        for (key, value) in meta {
            writer.key(key)?;
            match value {
                Value::Text(text) => writer.str(text)?,
                Value::Int(int) => writer.i64(*int)?,
            }
        }
        args.meta = writer.finish()?;
        Self::build(&args, true)
    }

    fn build(args: &StepArgs, commanded: bool) -> Result<Self> {
        let mut blocks = args.blocks.clone();
        let mut artifacts = BTreeMap::new();
        for (name, bytes) in &args.artifacts {
            let block = Block::raw(bytes.as_slice());
            if artifacts.insert(name.clone(), block.cid).is_some() {
                return Err(ThreadError::invalid(
                    "artifact",
                    name,
                    "its name is given twice",
                ));
            }
            blocks.push(block);
        }
        let digest = commanded.then(|| digest(args, &artifacts));
        let content = content_blocks(&args.content, artifacts, &args.links, &mut blocks)?;
        Ok(Self {
            role: args.role.clone(),
            meta: args.meta.clone(),
            content,
            blocks,
            at_ms: args.at_ms,
            child_thread: args.child_thread,
            compact: None,
            digest,
        })
    }

    /// Of what the caller gave, for command ids. Errors: `Corrupt` unless it was prepared for one.
    pub fn digest(&self) -> Result<&[u8; 32]> {
        self.digest.as_ref().ok_or_else(|| {
            ThreadError::corrupt("plan", &self.role, "it was not prepared for a command id")
        })
    }

    /// Bytes of the blocks before the state node that count against a commit's limit.
    pub fn block_bytes(&self) -> usize {
        self.blocks
            .iter()
            .map(|block| block.bytes.len())
            .filter(|bytes| *bytes < BLOB_BYTES_MIN)
            .sum()
    }

    /// Puts the step behind `position`, which moves on to it; its blocks go to `blocks`, children first.
    pub fn place(
        &self,
        position: &mut Position,
        store: &dyn Store,
        now_ms: i64,
        blocks: &mut Vec<Block>,
    ) -> Result<Step> {
        let node = StateNode {
            role: self.role.clone(),
            meta: self.meta.clone(),
            start: position.start,
            content: self.content,
            parent: (position.step > 0).then_some(position.cid),
            jump: position.next_jump(store)?,
            step: position.step + 1,
            compact: self.compact,
            child_thread: self.child_thread,
            at_ms: match self.at_ms {
                AtMs::Now => Some(now_ms),
                AtMs::None => None,
                AtMs::At(at_ms) => Some(at_ms),
            },
        };
        let block = node.encode()?;
        let cid = block.cid;
        blocks.extend(self.blocks.iter().cloned());
        blocks.push(block);
        *position = position.advanced(cid);
        Ok(Step::new(cid, node))
    }
}

enum Value<'a> {
    Text(&'a str),
    Int(i64),
}

/// The blocks of a content node, children first; gives its CID.
pub(crate) fn content_blocks(
    content: &ContentArg,
    artifacts: BTreeMap<String, Cid>,
    links: &[Cid],
    blocks: &mut Vec<Block>,
) -> Result<Cid> {
    let (payload, spilled): (Said, Option<Block>) = match content {
        ContentArg::Text(text) => payload_from_text(text),
        ContentArg::Bytes(bytes) => payload_from_bytes(bytes),
        ContentArg::Value(value) => payload_from_encoded(value.clone())?,
    };
    blocks.extend(spilled);
    let mut seen = BTreeSet::new();
    let refs = links
        .iter()
        .filter(|link| seen.insert(**link))
        .copied()
        .collect();
    let block = ContentNode {
        payload,
        artifacts,
        refs,
    }
    .encode()?;
    let cid = block.cid;
    blocks.push(block);
    Ok(cid)
}

pub(crate) fn digest_content(payload: &mut Payload, content: &ContentArg) {
    match content {
        ContentArg::Text(text) => payload.number(0).text(text),
        ContentArg::Bytes(bytes) => payload.number(1).bytes(bytes),
        ContentArg::Value(value) => payload.number(2).bytes(value.bytes()),
    };
}

fn digest(args: &StepArgs, artifacts: &BTreeMap<String, Cid>) -> [u8; 32] {
    let mut payload = Payload::new("step");
    payload.text(&args.role);
    digest_content(&mut payload, &args.content);
    payload
        .bytes(args.meta.bytes())
        .number(artifacts.len() as u64);
    for (name, cid) in artifacts {
        payload.text(name).cid(cid);
    }
    payload.number(args.links.len() as u64);
    for link in &args.links {
        payload.cid(link);
    }
    match args.at_ms {
        AtMs::Now => payload.number(0),
        AtMs::None => payload.number(1),
        AtMs::At(at_ms) => payload.number(2).bytes(&at_ms.to_le_bytes()),
    };
    payload.maybe(args.child_thread.as_ref(), |payload, cid| {
        payload.cid(cid);
    });
    payload.finish()
}
