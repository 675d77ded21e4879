//! What `verify` says.

/// A check that verify makes; the names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// Bytes hash to their CID.
    BlockBytes,
    /// The block's row (or file) is as written.
    BlockRow,
    /// Every link of a node is present, and the graph table says the same.
    Links,
    /// Every link goes to a smaller ordinal.
    LinkOrder,
    /// A node is valid DAG-CBOR within the profile.
    NodeForm,
    /// Journal positions have no gap, bodies match their digests, the chain matches.
    Journal,
    /// The ref's row is as written and its target present.
    Ref,
    /// Refs are what replaying the journal gives.
    RefHistory,
    Receipt,
    Hold,
    Lease,
    Manifest,
    /// A thread's record can be read.
    Record,
    /// Step numbers count down to 1 along the parents, and all share one start.
    StepNumber,
    /// A step's jump is the step that its number asks for.
    Jump,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub check: Check,
    /// What is broken: a CID, a ref, a journal position.
    pub which: String,
    pub detail: String,
    /// The threads and steps that it hurts, where known: (thread id, step number).
    pub threads: Vec<(String, u64)>,
}

/// What was checked, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    pub blocks: u64,
    pub bytes: u64,
    pub links: u64,
    pub refs: u64,
    pub commits: u64,
    pub receipts: u64,
    pub threads: u64,
    pub steps: u64,
    pub findings: Vec<Finding>,
}
