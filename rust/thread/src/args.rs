//! What callers hand in: plain data, checked where it is used.

use treering_block::{Block, Cid, Encoded};

use crate::label::Labels;

/// What a step or prompt says. Text that looks like a node is text.
#[derive(Clone, Debug, PartialEq)]
pub enum ContentArg {
    /// Text.
    Text(String),
    /// Bytes, any.
    Bytes(Vec<u8>),
    /// A value with a DAG-CBOR form, links included.
    Value(Encoded),
}

impl From<&str> for ContentArg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Which time a step carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtMs {
    /// The store's clock when it is appended.
    #[default]
    Now,
    /// None at all: the same step twice is then the same node.
    None,
    /// This one, Unix milliseconds.
    At(i64),
}

/// A step to append.
#[derive(Clone, Debug)]
pub struct StepArgs {
    /// Who speaks; not blank, not of the form `__name__`.
    pub role: String,
    /// What is said.
    pub content: ContentArg,
    /// A map; empty for none.
    pub meta: Encoded,
    /// Named bytes; each name once.
    pub artifacts: Vec<(String, Vec<u8>)>,
    /// Links that the content node keeps.
    pub links: Vec<Cid>,
    /// Blocks that content and meta link to and that go in with the step, children first: those of collections.
    pub blocks: Vec<Block>,
    /// The step's time.
    pub at_ms: AtMs,
    /// Start node of the thread that this step ran, if it ran one.
    pub child_thread: Option<Cid>,
    /// The head to build on; otherwise the one that the handle last saw.
    pub expected_head: Option<Cid>,
    /// Makes a retry safe.
    pub command_id: Option<String>,
}

impl StepArgs {
    /// A step of `role` with this content, now, and nothing else.
    pub fn new(role: impl Into<String>, content: impl Into<ContentArg>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
            meta: Encoded::empty_map(),
            artifacts: Vec::new(),
            links: Vec::new(),
            blocks: Vec::new(),
            at_ms: AtMs::Now,
            child_thread: None,
            expected_head: None,
            command_id: None,
        }
    }
}

/// A thread to start.
#[derive(Clone, Debug)]
pub struct StartArgs {
    /// Name of the workflow.
    pub workflow: String,
    /// What it is asked.
    pub prompt: Option<ContentArg>,
    /// The caller's own name for the thread, unique in the scope.
    pub key: Option<String>,
    /// A map; empty for none.
    pub parameters: Encoded,
    /// Small values to filter by.
    pub labels: Labels,
    /// Steps that one run may append.
    pub max_rounds: Option<u64>,
    /// The caller's own hash of the workflow.
    pub workflow_hash: Option<String>,
    /// The step that starts this thread, if one does.
    pub parent_state: Option<Cid>,
    /// How many workflows stand above this one.
    pub depth: u64,
    /// Makes a retry safe.
    pub command_id: Option<String>,
    /// Steps that go in with the start, in the same commit (an import); their command ids and
    /// expected heads must be absent.
    pub steps: Vec<StepArgs>,
    /// Blocks that prompt and parameters link to and that go in with the start, children first.
    pub blocks: Vec<Block>,
}

impl StartArgs {
    /// A thread of `workflow` and nothing else.
    pub fn new(workflow: impl Into<String>) -> Self {
        Self {
            workflow: workflow.into(),
            prompt: None,
            key: None,
            parameters: Encoded::empty_map(),
            labels: Labels::new(),
            max_rounds: None,
            workflow_hash: None,
            parent_state: None,
            depth: 0,
            command_id: None,
            steps: Vec::new(),
            blocks: Vec::new(),
        }
    }
}

/// Which of a role's steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Occurrence {
    /// The first.
    First,
    /// The last.
    #[default]
    Last,
    /// The n-th, counted from 1.
    Nth(u64),
}

/// Where a fork leaves its thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ForkAt {
    /// After the last step; `__end__` does not count.
    #[default]
    Head,
    /// After step k; 0 is the start.
    Step(u64),
    /// Before a step of this role, to redo it.
    Before {
        /// The role.
        role: String,
        /// Which of its steps.
        occurrence: Occurrence,
    },
}

/// What is new on a fork.
#[derive(Clone, Debug, Default)]
pub struct ForkArgs {
    /// Overrides the start node's; None: as in the thread that is forked.
    pub max_rounds: Option<u64>,
    /// The fork's own key.
    pub key: Option<String>,
    /// The fork's labels; none are taken over, so that a count by label counts each run once.
    pub labels: Labels,
    /// Makes a retry safe.
    pub command_id: Option<String>,
}
