//! `Cid`: the name of a block, as Python holds it.
//!
//! Promises: one value per CID (ours never hides in the foreign form), ordered by its bytes, hashable,
//! picklable by its text. Never: a text that is not the CID's one canonical text is accepted.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use pyo3::prelude::*;
use pyo3::pyclass::CompareOp;
use pyo3::types::{PyBytes, PyTuple, PyType};
use treering_block::limits::Limits;
use treering_block::{AnyCid, Block, Cid, CidError, Codec, CodecError, LinkRef, Writer};

use crate::collection::rooted;
use crate::convert::{ByteString, Text};
use crate::encode::encode_within;
use crate::error::Result;

/// From this size on it pays to let other threads run while bytes are hashed.
const DETACH_BYTES_MIN: usize = 16 << 10;

/// A CID of ours, or a foreign one that some value links to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Held {
    Ours(Cid),
    Foreign(AnyCid),
}

/// A CID; see `treering.Cid`.
#[pyclass(frozen, name = "Cid", module = "treering._core")]
#[derive(Clone, Copy, Debug)]
pub struct PyCid(Held);

impl PyCid {
    /// The CID of a block of ours.
    pub const fn ours(cid: Cid) -> Self {
        Self(Held::Ours(cid))
    }

    /// Any CID; one of ours is recognised.
    pub fn any(cid: &AnyCid) -> Self {
        Self(Cid::try_from(cid).map_or(Held::Foreign(*cid), Held::Ours))
    }

    /// The CID of a link that was read.
    pub fn from_link(link: &LinkRef<'_>) -> Self {
        Self(
            link.ours()
                .map_or_else(|| Held::Foreign(link.cid()), Held::Ours),
        )
    }

    /// The CID, if a store of ours can hold its block.
    pub fn require_ours(&self) -> Result<Cid, CidError> {
        match &self.0 {
            Held::Ours(cid) => Ok(*cid),
            Held::Foreign(cid) => Cid::try_from(cid),
        }
    }

    /// Writes it as a link.
    pub fn write(&self, writer: &mut Writer) -> Result<(), CodecError> {
        match &self.0 {
            Held::Ours(cid) => writer.link_ours(cid),
            Held::Foreign(cid) => writer.link(cid),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match &self.0 {
            Held::Ours(cid) => cid.to_bytes().to_vec(),
            Held::Foreign(cid) => cid.to_bytes(),
        }
    }

    fn text(&self) -> String {
        match &self.0 {
            Held::Ours(cid) => cid.to_string(),
            Held::Foreign(cid) => cid.to_string(),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Held::Ours(a), Held::Ours(b)) => a.cmp(b),
            _ => self.bytes().cmp(&other.bytes()),
        }
    }
}

#[pymethods]
impl PyCid {
    #[new]
    #[pyo3(signature = (text, /))]
    fn new(text: Text) -> Result<Self> {
        let text = &*text;
        Cid::from_str(text).map(Self::ours).or_else(|error| {
            // A foreign CID is legal in a link; its text too must be the canonical one.
            match AnyCid::from_str(text) {
                Ok(cid) if cid.to_string() == text => Ok(Self::any(&cid)),
                _ => Err(error.into()),
            }
        })
    }

    #[staticmethod]
    #[pyo3(signature = (data, /))]
    fn of(py: Python<'_>, data: ByteString) -> Self {
        let bytes: &[u8] = &data;
        Self::ours(if bytes.len() < DETACH_BYTES_MIN {
            Cid::of_raw(bytes)
        } else {
            py.detach(|| Cid::of_raw(bytes))
        })
    }

    #[staticmethod]
    #[pyo3(signature = (value, /))]
    fn of_node(value: &Bound<'_, PyAny>) -> Result<Self> {
        // A collection is a node of its own.
        if let Some(rooted) = rooted(value) {
            return Ok(Self::ours(rooted.root.cid));
        }
        let encoded = encode_within(value, Limits::NODE)?;
        Ok(Self::ours(Block::from_encoded(encoded)?.cid))
    }

    #[staticmethod]
    #[pyo3(signature = (data, /))]
    fn from_bytes(data: ByteString) -> Result<Self> {
        Cid::from_bytes(&data)
            .map(Self::ours)
            .or_else(|error| match AnyCid::try_from(&data[..]) {
                Ok(cid) if cid.to_bytes() == data[..] => Ok(Self::any(&cid)),
                _ => Err(error.into()),
            })
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes())
    }

    /// What the block's bytes are: `dag-cbor` or `raw`; of a foreign CID the code in hex.
    #[getter]
    fn codec(&self) -> String {
        match &self.0 {
            Held::Ours(cid) => codec_name(cid.codec()).to_owned(),
            Held::Foreign(cid) => Codec::from_code(cid.codec()).map_or_else(
                || format!("{:#x}", cid.codec()),
                |codec| codec_name(codec).to_owned(),
            ),
        }
    }

    /// The hash alone; of our CIDs the 32 bytes of BLAKE3.
    #[getter]
    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        match &self.0 {
            Held::Ours(cid) => PyBytes::new(py, cid.digest()),
            Held::Foreign(cid) => PyBytes::new(py, cid.hash().digest()),
        }
    }

    /// Whether no store of ours can hold its block; it may still stand in a value as a link.
    #[getter]
    fn is_foreign(&self) -> bool {
        matches!(self.0, Held::Foreign(_))
    }

    /// The text for people: the constant beginning and six characters more.
    fn short(&self) -> String {
        match &self.0 {
            Held::Ours(cid) => cid.short(),
            Held::Foreign(cid) => {
                let mut text: String = cid.to_string().chars().take(13).collect();
                text.push('…');
                text
            }
        }
    }

    fn __str__(&self) -> String {
        self.text()
    }

    fn __repr__(&self) -> String {
        format!("Cid('{}')", self.short())
    }

    // Anything but a Cid is NotImplemented: PyO3 answers that when `other` is none.
    fn __richcmp__(&self, other: &Self, op: CompareOp) -> bool {
        match op {
            CompareOp::Eq => self.0 == other.0,
            CompareOp::Ne => self.0 != other.0,
            _ => op.matches(self.order(other)),
        }
    }

    fn __hash__(&self) -> u64 {
        match &self.0 {
            // A cryptographic digest needs no second hashing.
            Held::Ours(cid) => cid
                .digest()
                .first_chunk()
                .map_or(0, |head| u64::from_le_bytes(*head)),
            Held::Foreign(cid) => {
                let mut hasher = DefaultHasher::new();
                Hash::hash(cid, &mut hasher);
                hasher.finish()
            }
        }
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<Self>(), PyTuple::new(py, [self.text()])?))
    }
}

const fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Raw => "raw",
        Codec::DagCbor => "dag-cbor",
    }
}
