//! How a thread begins: prompt, start node, imported steps and record, as data for one commit.

use std::collections::BTreeMap;

use treering_block::{Block, Cid, Ipld, StartNode, cbor};
use treering_store::{Change, Expect, RefMove, RefValue, Store, StoreError};

use crate::append::prepare_all;
use crate::args::{ContentArg, StartArgs};
use crate::command::Payload;
use crate::error::{Result, ThreadError};
use crate::head::{Edit, Head};
use crate::ident::{THREAD_KEY, check_key, key_ref, new_id, thread_ref};
use crate::jumps::Position;
use crate::label::{Labels, check_labels};
use crate::limits::DEPTH_MAX;
use crate::plan::{Prepared, content_blocks, digest_content};
use crate::record::Record;
use crate::step::Step;

/// A start that was checked and hashed.
pub(crate) struct Starting {
    args: StartArgs,
    /// Start node last.
    blocks: Vec<Block>,
    start: Cid,
    steps: Vec<Prepared>,
    pub digest: [u8; 32],
}

/// What a new thread writes, before any later change in the same commit.
pub(crate) struct Begun {
    pub id: String,
    pub blocks: Vec<Block>,
    pub head: Head,
    pub steps: Vec<Step>,
}

impl Starting {
    pub fn prepare(mut args: StartArgs) -> Result<Self> {
        if let Some(key) = &args.key {
            check_key(key)?;
        }
        check_labels(&args.labels)?;
        if args.depth > DEPTH_MAX {
            return Err(ThreadError::LimitExceeded {
                what: "depth of a thread",
                limit: DEPTH_MAX,
                actual: args.depth,
            });
        }
        let steps = prepare_all(std::mem::take(&mut args.steps), true)?;
        if args.workflow.trim().is_empty() {
            return Err(ThreadError::invalid(
                "workflow",
                &args.workflow,
                "it is blank",
            ));
        }
        let digest = digest(&args, &steps)?;
        let mut blocks = std::mem::take(&mut args.blocks);
        let prompt = match &args.prompt {
            Some(prompt) => Some(content_blocks(prompt, BTreeMap::new(), &[], &mut blocks)?),
            None => None,
        };
        let node = StartNode {
            workflow: args.workflow.clone(),
            workflow_hash: args.workflow_hash.clone(),
            prompt,
            parameters: args.parameters.clone(),
            max_rounds: args.max_rounds,
            depth: args.depth,
            parent_state: args.parent_state,
        };
        let block = node.encode()?;
        let start = block.cid;
        blocks.push(block);
        Ok(Self {
            args,
            blocks,
            start,
            steps,
            digest,
        })
    }

    pub fn key(&self) -> Option<&str> {
        self.args.key.as_deref()
    }

    pub fn command_id(&self) -> Option<&str> {
        self.args.command_id.as_deref()
    }

    /// A new thread of this kind.
    pub fn begin(&self, store: &dyn Store, now_ms: i64) -> Result<Begun> {
        let mut position = Position::at_start(self.start);
        let mut blocks = self.blocks.clone();
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            steps.push(step.place(&mut position, store, now_ms, &mut blocks)?);
        }
        let mut record = Record::new(
            &self.args.workflow,
            self.args.key.clone(),
            self.args.labels.clone(),
            now_ms,
        );
        if !steps.is_empty() {
            Edit::Append {
                steps: steps.len() as u64,
            }
            .apply("", &mut record, now_ms)?;
        }
        Ok(Begun {
            id: new_id(now_ms),
            blocks,
            head: Head::at(1, position, record),
            steps,
        })
    }

    pub fn start(&self) -> Cid {
        self.start
    }
}

/// The moves that make a new thread: its ref, and its key's.
pub(crate) fn birth(scope: &str, id: &str, head: &Head, start: Cid) -> Result<Vec<RefMove>> {
    let change = Change::Set {
        target: head.target,
        record: head.record.encode()?,
    };
    let mut moves = vec![RefMove {
        name: thread_ref(scope, id)?,
        expect: Expect::Absent,
        change,
    }];
    if let Some(key) = &head.record.key {
        let change = Change::Set {
            target: start,
            record: key_record(id)?,
        };
        moves.push(RefMove {
            name: key_ref(scope, key)?,
            expect: Expect::Absent,
            change,
        });
    }
    Ok(moves)
}

/// What stands beside a key's ref.
pub(crate) fn key_record(id: &str) -> Result<Vec<u8>> {
    let thread = Ipld::String(id.to_owned());
    let record = Ipld::Map(BTreeMap::from([("thread".to_owned(), thread)]));
    Ok(cbor::encode(&record)?)
}

/// The thread that a key's ref names.
pub(crate) fn thread_of_key(key: &str, value: &RefValue) -> Result<String> {
    let corrupt = || ThreadError::corrupt("record of key", key, "it names no thread");
    match cbor::decode(&value.record) {
        Ok(Ipld::Map(mut map)) => match (map.remove("thread"), map.is_empty()) {
            (Some(Ipld::String(id)), true) => Ok(id),
            _ => Err(corrupt()),
        },
        _ => Err(corrupt()),
    }
}

/// What a refused birth means: a taken key is told as such.
pub(crate) fn refused(error: StoreError) -> ThreadError {
    match &error {
        StoreError::RefMoved {
            name,
            actual: Some(value),
            ..
        } if name.kind() == THREAD_KEY => {
            let key = name.parts().first().cloned().unwrap_or_default();
            match thread_of_key(&key, value) {
                Ok(thread) => ThreadError::AlreadyExists { key, thread },
                Err(corrupt) => corrupt,
            }
        }
        _ => error.into(),
    }
}

pub(crate) fn digest_labels(payload: &mut Payload, labels: &Labels) {
    payload.number(labels.len() as u64);
    for (name, label) in labels {
        // A label that passed its check has an encoding.
        payload
            .text(name)
            .bytes(&cbor::encode(&label.to_ipld()).unwrap_or_default());
    }
}

fn digest(args: &StartArgs, steps: &[Prepared]) -> Result<[u8; 32]> {
    let mut payload = Payload::new("start");
    payload.text(&args.workflow);
    payload.maybe(args.prompt.as_ref(), |payload, prompt: &ContentArg| {
        digest_content(payload, prompt)
    });
    payload.maybe(args.key.as_ref(), |payload, key| {
        payload.text(key);
    });
    payload.bytes(args.parameters.bytes());
    digest_labels(&mut payload, &args.labels);
    payload.maybe(args.max_rounds, |payload, rounds| {
        payload.number(rounds);
    });
    payload.maybe(args.workflow_hash.as_ref(), |payload, hash| {
        payload.text(hash);
    });
    payload.maybe(args.parent_state.as_ref(), |payload, cid| {
        payload.cid(cid);
    });
    payload.number(args.depth).number(steps.len() as u64);
    for step in steps {
        payload.bytes(step.digest()?);
    }
    Ok(payload.finish())
}
