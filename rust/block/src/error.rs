//! The errors of the block layer: what happened, where, and whose fault it is.
//!
//! Promises: each error is one line; limits carry limit and actual value; what was handed in and
//! what was found stored are told apart ([`BlockError::fault`]). Never: no error holds more of the
//! offending input than a few dozen characters.

use std::fmt;

use crate::Cid;

/// A text or bytes that are no CID of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidError {
    /// Text that is no CID.
    #[error("not a CID: {text:?}: {reason}")]
    Text {
        /// The text, cut short.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Bytes that are no CID.
    #[error("not a CID of ours: {reason}")]
    Bytes {
        /// What is wrong with them.
        reason: &'static str,
    },
    /// A CID, but not one that this store can hold.
    #[error("a foreign CID: {cid}: {reason}")]
    Foreign {
        /// The CID.
        cid: String,
        /// What makes it foreign.
        reason: &'static str,
    },
    /// Text that is no prefix of a CID.
    #[error(
        "not the beginning of a CID: {text:?}: {reason}; \
         give at least 12 characters, beginning with bafyr4i or bafkr4i"
    )]
    Prefix {
        /// The text, cut short.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Which limit was met. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Bytes of a node.
    Bytes,
    /// Nesting of lists and maps.
    Depth,
    /// Distinct links of a node.
    Links,
    /// Bytes of a name (role, workflow, artifact).
    Name,
    /// Maps of a value that is read whole.
    Maps,
    /// Elements of a large collection.
    Elements,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes of a node",
            Self::Depth => "nested lists and maps",
            Self::Links => "links of a node",
            Self::Name => "bytes of a name",
            Self::Maps => "maps of a value that is read whole",
            Self::Elements => "elements of a list or map",
        })
    }
}

/// Bytes that are not strict DAG-CBOR or DAG-JSON, or a value that neither can hold.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CodecError {
    /// The input ends inside a value.
    #[error("truncated at byte {offset}: {needed} bytes are announced, {left} are left")]
    Truncated {
        /// Where the announcing head stands.
        offset: usize,
        /// Bytes that must follow at least.
        needed: u64,
        /// Bytes that do follow.
        left: u64,
    },
    /// Bytes after the one value.
    #[error("{count} bytes too many after the value, at byte {offset}")]
    Trailing {
        /// Where the value ends.
        offset: usize,
        /// Bytes after it.
        count: usize,
    },
    /// A number or length in more bytes than it needs.
    #[error("not the shortest form at byte {offset}")]
    NotShortest {
        /// Where the head stands.
        offset: usize,
    },
    /// An indefinite length or a break.
    #[error("indefinite length at byte {offset}")]
    Indefinite {
        /// Where the head stands.
        offset: usize,
    },
    /// A head that CBOR reserves.
    #[error("reserved CBOR head at byte {offset}")]
    Reserved {
        /// Where the head stands.
        offset: usize,
    },
    /// A tag that is not 42.
    #[error("tag {tag} at byte {offset}: only 42 (a link) is allowed")]
    Tag {
        /// Where the head stands.
        offset: usize,
        /// The tag.
        tag: u64,
    },
    /// `undefined` or another simple value.
    #[error("simple value {value} at byte {offset}: only false, true and null are allowed")]
    Simple {
        /// Where the head stands.
        offset: usize,
        /// The simple value.
        value: u8,
    },
    /// A float in 16 or 32 bits.
    #[error("float of {bits} bits at byte {offset}: floats have 64")]
    FloatWidth {
        /// Where the head stands.
        offset: usize,
        /// Its width.
        bits: u8,
    },
    /// NaN or an infinity, read.
    #[error("NaN or infinity at byte {offset}")]
    FloatNotFinite {
        /// Where the head stands.
        offset: usize,
    },
    /// A text that is not UTF-8.
    #[error("text that is not UTF-8 at byte {offset}")]
    Utf8 {
        /// Where the first bad byte stands.
        offset: usize,
    },
    /// A map key that is not text.
    #[error("a map key that is not text at byte {offset}")]
    KeyNotText {
        /// Where the key stands.
        offset: usize,
    },
    /// A key before one that sorts before it.
    #[error("map keys out of order at byte {offset}: {key:?}")]
    KeyOrder {
        /// Where the key stands.
        offset: usize,
        /// The key, cut short.
        key: String,
    },
    /// A key that was there before.
    #[error("a map key twice at byte {offset}: {key:?}")]
    KeyTwice {
        /// Where the second one stands.
        offset: usize,
        /// The key, cut short.
        key: String,
    },
    /// Tag 42 or a `{"/": …}` without a CID behind it.
    #[error("a link without a CID at byte {offset}: {reason}")]
    Link {
        /// Where the link stands.
        offset: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Text that is not DAG-JSON.
    #[error("not DAG-JSON at byte {offset}: {reason}")]
    Json {
        /// Where.
        offset: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// An integer outside −2⁶⁴ … 2⁶⁴−1.
    #[error("integer out of range (−2⁶⁴ … 2⁶⁴−1): {value}")]
    IntRange {
        /// The integer, cut short.
        value: String,
    },
    /// NaN or an infinity, to be written.
    #[error("{value} has no encoding: floats are finite")]
    NotFinite {
        /// The float.
        value: f64,
    },
    /// A map that DAG-JSON reserves for links and bytes.
    #[error("a map that has no DAG-JSON form: the key \"/\" before {reason} is reserved")]
    ReservedMap {
        /// What the key leads to.
        reason: &'static str,
    },
    /// More than is allowed.
    #[error("over the limit: {limit} {what} are allowed, here are {actual}")]
    Limit {
        /// Which limit.
        what: LimitKind,
        /// What is allowed.
        limit: u64,
        /// What was found; at least so much, when reading stopped there.
        actual: u64,
    },
    /// A reader or writer that was called out of order: an error of the calling code.
    #[error("codec called out of order: {0}")]
    Misuse(&'static str),
}

impl CodecError {
    /// The error's stable name. Names are append-only.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::Trailing { .. } => "trailing",
            Self::NotShortest { .. } => "not_shortest",
            Self::Indefinite { .. } => "indefinite",
            Self::Reserved { .. } => "reserved",
            Self::Tag { .. } => "tag",
            Self::Simple { .. } => "simple",
            Self::FloatWidth { .. } => "float_width",
            Self::FloatNotFinite { .. } => "float_not_finite",
            Self::Utf8 { .. } => "utf8",
            Self::KeyNotText { .. } => "key_not_text",
            Self::KeyOrder { .. } => "key_order",
            Self::KeyTwice { .. } => "key_twice",
            Self::Link { .. } => "link",
            Self::Json { .. } => "json",
            Self::IntRange { .. } => "int_range",
            Self::NotFinite { .. } => "not_finite",
            Self::ReservedMap { .. } => "reserved_map",
            Self::Limit { .. } => "limit",
            Self::Misuse(_) => "misuse",
        }
    }
}

/// Whose fault an error is, which decides what a caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was handed in is invalid.
    Input,
    /// What was handed in is over a limit.
    Limit,
    /// What was found stored is broken or not of the kind that was asked for.
    Stored,
}

/// An error about one block.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BlockError {
    /// Not DAG-CBOR, or over a limit.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Not a CID of ours, where one has to stand.
    #[error(transparent)]
    Cid(#[from] CidError),
    /// A field of a node that is to be written.
    #[error("{kind} node: {field} must be {expected}")]
    Field {
        /// The node's kind.
        kind: &'static str,
        /// The field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// Stored bytes that are not what their CID says.
    #[error("corrupt block {cid}: its bytes hash to {actual}")]
    Mismatch {
        /// The CID that was asked for.
        cid: Cid,
        /// What the bytes hash to.
        actual: Cid,
    },
    /// A stored node that does not decode.
    #[error("unreadable node {cid}: {source}")]
    Undecodable {
        /// The node.
        cid: Cid,
        /// Why.
        source: CodecError,
    },
    /// A stored node that decodes, but not into the kind that was asked for.
    #[error("ill-typed node {cid}: {field} must be {expected}")]
    IllTyped {
        /// The node.
        cid: Cid,
        /// The field; `node` for the whole.
        field: String,
        /// What it has to be.
        expected: String,
    },
}

impl BlockError {
    /// This error, for bytes that were found stored as `cid` and do match it: whoever handed them in
    /// is long gone, so the fault is the store's.
    #[must_use]
    pub fn stored_in(self, cid: Cid) -> Self {
        match self {
            Self::Codec(source) => Self::Undecodable { cid, source },
            Self::Cid(_) => Self::IllTyped {
                cid,
                field: "link".into(),
                expected: "a CID of ours".into(),
            },
            Self::Field {
                field, expected, ..
            } => Self::IllTyped {
                cid,
                field: field.into(),
                expected: expected.into(),
            },
            stored => stored,
        }
    }

    /// Whose fault this is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Codec(CodecError::Limit { .. }) => Fault::Limit,
            Self::Codec(_) | Self::Cid(_) | Self::Field { .. } => Fault::Input,
            Self::Mismatch { .. } | Self::Undecodable { .. } | Self::IllTyped { .. } => {
                Fault::Stored
            }
        }
    }
}

/// The first characters of `text`, for a message.
pub(crate) fn clip(text: &str) -> String {
    const CLIP_CHARS: usize = 64;
    match text.char_indices().nth(CLIP_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
