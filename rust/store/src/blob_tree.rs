//! The BLAKE3 tree of a file that is too large for memory: made while its bytes arrive, and used to check any
//! range of it. Stored as a Bao outboard: the length (u64 LE), then the parent nodes, 64 bytes each, in pre-order.
//!
//! Promises: one [`GROUP`] of content is in memory at a time, and 32 bytes for each group of the file; a range is
//! checked before any byte of it is given; what a range costs is the range and some log₂(chunks) nodes.
//! Never: I/O of its own.
//!
//! Sources: the BLAKE3 paper (§2.1, §2.4) for the tree,
//! <https://github.com/oconnor663/bao/blob/master/docs/spec.md> for its order in a file.

use std::io;

use blake3::Hasher;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};

/// Bytes of a chunk, the leaf of the tree.
const CHUNK: u64 = blake3::CHUNK_LEN as u64;
/// Bytes that are hashed in one go (1 MiB): a whole subtree, so that its nodes stand together.
pub const GROUP: usize = 1 << 20;
/// Bytes of a parent node: the chaining values of its two children.
const NODE: usize = 64;
/// Bytes of the length before the nodes.
const HEADER: u64 = 8;

/// Bytes of the parent nodes of a subtree over so much content.
const fn nodes_bytes(length: u64) -> u64 {
    match length.div_ceil(CHUNK) {
        0 => 0,
        chunks => (chunks - 1).saturating_mul(NODE as u64),
    }
}

/// Bytes of the whole tree of so much content, as it is stored.
pub const fn tree_bytes(length: u64) -> u64 {
    nodes_bytes(length).saturating_add(HEADER)
}

/// Chaining value of a subtree that is not the whole file. `bytes` are not empty.
fn chaining_value(bytes: &[u8], offset: u64) -> ChainingValue {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(offset);
    hasher.update(bytes);
    hasher.finalize_non_root()
}

/// Content that arrives group by group: what is kept of it to make its tree.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    values: Vec<ChainingValue>,
    length: u64,
    /// Of content that is a single group: then its hash is of the whole.
    only: Option<[u8; 32]>,
}

impl Groups {
    /// Takes the next group: [`GROUP`] bytes, but for the last one, which may be shorter. An empty one is nothing.
    pub fn push(&mut self, group: &[u8]) {
        if group.is_empty() {
            return;
        }
        self.only = (self.length == 0).then(|| *blake3::hash(group).as_bytes());
        self.values.push(chaining_value(group, self.length));
        self.length = self.length.saturating_add(group.len() as u64);
    }

    /// Those of content that is cut into groups with these chaining values. None unless it has more than one, and they are as
    /// many as it has: a single one is proved by the digest itself.
    pub fn from_values(values: &[u8], length: u64) -> Option<Self> {
        let (values, []) = values.as_chunks::<{ blake3::OUT_LEN }>() else {
            return None;
        };
        let fits = length > GROUP as u64 && values.len() as u64 == length.div_ceil(GROUP as u64);
        fits.then(|| Self {
            values: values.to_vec(),
            length,
            only: None,
        })
    }

    /// The chaining value of each group, 32 bytes each, one behind the other.
    pub fn values(&self) -> &[u8] {
        self.values.as_flattened()
    }

    /// Whether these bytes are the group at `offset`, a multiple of [`GROUP`].
    pub fn has_group(&self, offset: u64, group: &[u8]) -> bool {
        let length = self.length.saturating_sub(offset).min(GROUP as u64);
        if length == 0 || group.len() as u64 != length || !offset.is_multiple_of(GROUP as u64) {
            return false;
        }
        match self.only {
            Some(digest) => *blake3::hash(group).as_bytes() == digest,
            None => chaining_value(group, offset) == self.value(offset, length),
        }
    }

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The BLAKE3 hash of all of it.
    pub fn digest(&self) -> [u8; 32] {
        match (self.length, self.only) {
            (0, _) => *blake3::hash(&[]).as_bytes(),
            (_, Some(digest)) => digest,
            _ => {
                let (left, right) = self.children(0, self.length);
                *merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()
            }
        }
    }

    /// Of a subtree that begins with a group and has more than one.
    fn children(&self, start: u64, length: u64) -> (ChainingValue, ChainingValue) {
        let left = left_subtree_len(length);
        (
            self.value(start, left),
            self.value(start.saturating_add(left), length.saturating_sub(left)),
        )
    }

    fn value(&self, start: u64, length: u64) -> ChainingValue {
        if length <= GROUP as u64 {
            let index = usize::try_from(start / GROUP as u64).unwrap_or(usize::MAX);
            return self.values.get(index).copied().unwrap_or_default();
        }
        let (left, right) = self.children(start, length);
        merge_subtrees_non_root(&left, &right, Mode::Hash)
    }

    /// Gives the stored tree piece by piece. `read` fills its buffer with the content from an offset on; each group
    /// is read once, in order, and compared with what arrived.
    ///
    /// Errors: those of `read` and `give`; `InvalidData` if other bytes are read than arrived.
    pub fn tree(
        &self,
        read: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
        give: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        give(&self.length.to_le_bytes())?;
        let mut making = Making {
            groups: self,
            content: Vec::new(),
            nodes: Vec::new(),
            read,
            give,
        };
        match self.length {
            0 => Ok(()),
            length => making.subtree(0, length),
        }
    }
}

struct Making<'m> {
    groups: &'m Groups,
    content: Vec<u8>,
    nodes: Vec<u8>,
    read: &'m mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
    give: &'m mut dyn FnMut(&[u8]) -> io::Result<()>,
}

impl Making<'_> {
    fn subtree(&mut self, start: u64, length: u64) -> io::Result<()> {
        if length <= GROUP as u64 {
            return self.group(start, length);
        }
        let (left, right) = self.groups.children(start, length);
        (self.give)(&joined(&left, &right))?;
        let middle = left_subtree_len(length);
        self.subtree(start, middle)?;
        self.subtree(start.saturating_add(middle), length.saturating_sub(middle))
    }

    fn group(&mut self, start: u64, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap_or(GROUP).min(GROUP);
        self.content.resize(length, 0);
        (self.read)(start, &mut self.content)?;
        self.nodes.clear();
        let value = write_nodes(&self.content, start, &mut self.nodes);
        if value != self.groups.value(start, length as u64) {
            return Err(mismatch("what was written reads back as something else"));
        }
        (self.give)(&self.nodes)
    }
}

fn joined(left: &ChainingValue, right: &ChainingValue) -> [u8; NODE] {
    let mut node = [0; NODE];
    let (first, second) = node.split_at_mut(32);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    node
}

/// Appends the parent nodes of a subtree in pre-order; its chaining value.
fn write_nodes(bytes: &[u8], offset: u64, nodes: &mut Vec<u8>) -> ChainingValue {
    if bytes.len() as u64 <= CHUNK {
        return chaining_value(bytes, offset);
    }
    let place = nodes.len();
    nodes.extend_from_slice(&[0; NODE]);
    let middle = left_subtree_len(bytes.len() as u64);
    let (first, second) = bytes.split_at(usize::try_from(middle).unwrap_or(bytes.len()));
    let left = write_nodes(first, offset, nodes);
    let right = write_nodes(second, offset.saturating_add(middle), nodes);
    if let Some(node) = nodes.get_mut(place..place + NODE) {
        node.copy_from_slice(&joined(&left, &right));
    }
    merge_subtrees_non_root(&left, &right, Mode::Hash)
}

/// Where a file's content and its stored tree are read from: each fills the buffer from an offset on.
pub trait Source {
    /// The content.
    ///
    /// Errors: `UnexpectedEof` where it is too short; those of reading.
    fn content(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// The tree, its length included. Errors as above.
    fn tree(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;
}

/// Bytes `offset .. offset + length` of a file of `size` bytes, as far as there are, each checked against the tree.
///
/// Errors: `InvalidData` where content or tree are not what `digest` says; those of `source`.
pub fn read_range(
    source: &mut dyn Source,
    digest: &[u8; 32],
    size: u64,
    offset: u64,
    length: u64,
) -> io::Result<Vec<u8>> {
    let end = offset.saturating_add(length).min(size);
    if offset >= end {
        return Ok(Vec::new());
    }
    let mut reading = Reading {
        source,
        wanted: (offset, end),
        content: Vec::new(),
        out: Vec::with_capacity(usize::try_from(end - offset).unwrap_or(0)),
    };
    reading.subtree(&Is::Root(*digest), 0, size, HEADER)?;
    Ok(reading.out)
}

/// What a subtree has to come to.
enum Is {
    Root([u8; 32]),
    Inner(ChainingValue),
}

struct Reading<'r> {
    source: &'r mut dyn Source,
    /// From, to.
    wanted: (u64, u64),
    content: Vec<u8>,
    out: Vec<u8>,
}

impl Reading<'_> {
    fn subtree(&mut self, is: &Is, start: u64, length: u64, tree_at: u64) -> io::Result<()> {
        let (from, to) = self.wanted;
        let end = start.saturating_add(length);
        if end <= from || start >= to {
            return Ok(());
        }
        let whole = from <= start && end <= to;
        if length <= CHUNK || (whole && length <= GROUP as u64) {
            return self.leaf(is, start, length);
        }
        let mut node = [0; NODE];
        self.source.tree(tree_at, &mut node)?;
        let (left, right) = node.split_at(32);
        let (mut first, mut second) = (ChainingValue::default(), ChainingValue::default());
        first.copy_from_slice(left);
        second.copy_from_slice(right);
        let sound = match is {
            Is::Root(digest) => {
                merge_subtrees_root(&first, &second, Mode::Hash).as_bytes() == digest
            }
            Is::Inner(value) => merge_subtrees_non_root(&first, &second, Mode::Hash) == *value,
        };
        if !sound {
            return Err(mismatch("a node of its tree is wrong"));
        }
        let middle = left_subtree_len(length);
        let below = tree_at.saturating_add(NODE as u64);
        self.subtree(&Is::Inner(first), start, middle, below)?;
        self.subtree(
            &Is::Inner(second),
            start.saturating_add(middle),
            length.saturating_sub(middle),
            below.saturating_add(nodes_bytes(middle)),
        )
    }

    /// Content that is hashed in one go.
    fn leaf(&mut self, is: &Is, start: u64, length: u64) -> io::Result<()> {
        self.content
            .resize(usize::try_from(length).unwrap_or(GROUP).min(GROUP), 0);
        self.source.content(start, &mut self.content)?;
        let sound = match is {
            Is::Root(digest) => blake3::hash(&self.content).as_bytes() == digest,
            Is::Inner(value) => chaining_value(&self.content, start) == *value,
        };
        if !sound {
            return Err(mismatch("its bytes are not those that were stored"));
        }
        let (from, to) = self.wanted;
        let place = |at: u64| usize::try_from(at.saturating_sub(start).min(length)).unwrap_or(0);
        let wanted = self.content.get(place(from)..place(to));
        self.out.extend_from_slice(wanted.unwrap_or_default());
        Ok(())
    }
}

fn mismatch(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
