//! Every limit of the block layer, with its reason.
//!
//! Promises: each limit is inclusive (the limit itself is allowed) and has a test at its edge.
//! Never: a limit is not a setting; a store written under one must be readable under all.

/// Bytes of one node (1 MiB). A node is read whole, so this bounds the memory of one read.
pub const NODE_BYTES_MAX: usize = 1 << 20;

/// Containers around the innermost value of a node.
///
/// A scalar has depth 0, an empty list or map has depth 1, a list in a list depth 2. Links and
/// their tag add nothing. 128 lets recursive readers of other languages live on a small stack.
pub const NODE_DEPTH_MAX: usize = 128;

/// Distinct links of one node. Bounds what one insert has to look up and what one mark step adds.
pub const NODE_LINKS_MAX: usize = 4096;

/// Depth that the codec itself reads and writes, for values that are not to become nodes.
///
/// The DAG-CBOR specification has no limit; without one a few kilobytes of `[[[[…` would overflow
/// the stack of whoever drops or compares the decoded value.
pub const CODEC_DEPTH_MAX: usize = 1024;

/// Encoded bytes of a payload that still stands inside its content node; one more and it spills
/// into a block of its own.
pub const INLINE_BYTES_MAX: usize = 4096;

/// UTF-8 bytes of a role's name.
pub const ROLE_BYTES_MAX: usize = 256;

/// UTF-8 bytes of a workflow's name.
pub const WORKFLOW_BYTES_MAX: usize = 256;

/// UTF-8 bytes of a workflow's hash, which is the caller's own text.
pub const WORKFLOW_HASH_BYTES_MAX: usize = 256;

/// UTF-8 bytes of an artifact's name; long enough for a path in a repository.
pub const ARTIFACT_NAME_BYTES_MAX: usize = 1024;

/// UTF-8 bytes of a message type's full name.
pub const TYPE_BYTES_MAX: usize = 256;

/// UTF-8 bytes of what a caller says about an event: the command's id, its cause, the principal.
pub const LABEL_BYTES_MAX: usize = 256;

/// What a reader or writer of DAG-CBOR allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole value.
    pub bytes_max: usize,
    /// Depth, counted as for [`NODE_DEPTH_MAX`].
    pub depth_max: usize,
    /// Distinct links.
    pub links_max: usize,
}

impl Limits {
    /// The codec alone: any size, any number of links, [`CODEC_DEPTH_MAX`].
    pub const CODEC: Self = Self {
        bytes_max: usize::MAX,
        depth_max: CODEC_DEPTH_MAX,
        links_max: usize::MAX,
    };

    /// A node of ours.
    pub const NODE: Self = Self {
        bytes_max: NODE_BYTES_MAX,
        depth_max: NODE_DEPTH_MAX,
        links_max: NODE_LINKS_MAX,
    };
}
