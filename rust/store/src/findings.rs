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
    /// The receipt's row is as written, and its commit left it.
    Receipt,
    /// The hold's row is as written and the held block present.
    Hold,
    /// The lease's row is as written.
    Lease,
    /// The store's own rows and page structure are as written.
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
    /// The check that failed.
    pub check: Check,
    /// What is broken: a CID, a ref, a journal position.
    pub which: String,
    /// What is wrong with it.
    pub detail: String,
    /// The threads and steps that it hurts, where known: (thread id, step number).
    pub threads: Vec<(String, u64)>,
}

/// What was checked, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Blocks looked at.
    pub blocks: u64,
    /// Their bytes together, as their rows say.
    pub bytes: u64,
    /// Links in them.
    pub links: u64,
    /// Refs that could be read.
    pub refs: u64,
    /// Commits in the journal.
    pub commits: u64,
    /// Those of them whose bodies were lost and given up: known, and no finding.
    pub blank_commits: u64,
    /// Those whose bodies are gone with the scope that they were about, and the commits that erased them.
    pub erased_commits: u64,
    /// Command receipts that could be read.
    pub receipts: u64,
    /// Threads looked at; 0 unless the thread layer has added its checks.
    pub threads: u64,
    /// Their steps.
    pub steps: u64,
    /// What is wrong; empty for a sound store.
    pub findings: Vec<Finding>,
}
