//! Messages by their names: what shows events of any type, and what tests look through.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use treering_actor::messages::is_whole;
use treering_block::node::is_own;
use treering_block::{Cid, Reader};

use super::PyMessage;
use super::generated::{bytes_of, object_of};
use crate::cid::PyCid;
use crate::convert::{ByteString, Count, OurCid, Text, our_cids};
use crate::decode::decode;
use crate::error::{CoreError, Result};

/// A message as an object.
pub struct Shown<'py> {
    /// The object.
    pub object: Bound<'py, PyAny>,
    /// Whether it holds all that stands in the bytes; a later version may have written more.
    pub is_whole: bool,
}

/// An object as a message.
pub struct Written {
    /// The message's full name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What its links refer to.
    pub links: Vec<Cid>,
}

/// The object of a message of a known type.
pub fn shown<'py, M: PyMessage>(
    py: Python<'py>,
    bytes: &[u8],
    links: &[Cid],
    version: u64,
) -> Result<Shown<'py>> {
    let message = M::decode(bytes).map_err(|error| CoreError::Corrupt {
        what: "message",
        which: M::full_name(),
        detail: error.to_string(),
    })?;
    Ok(Shown {
        object: message.object_at(py, links, version)?,
        is_whole: is_whole(&message, bytes),
    })
}

/// The message of an object of a known class.
pub fn written<M: PyMessage>(object: &Bound<'_, PyAny>) -> Result<Written> {
    let mut links = Vec::new();
    let message = M::from_object(object, "message", &mut links)?;
    Ok(Written {
        name: M::full_name(),
        bytes: message.encode_to_vec(),
        links,
    })
}

/// The object of a message and whether it holds all of it; None for a type that this version doesn't know.
#[pyfunction]
#[pyo3(
    signature = (name, data, /, links=Vec::new(), *, version=Count(0)),
    text_signature = "(name, data, /, links=(), *, version=0)"
)]
pub fn decode_message<'py>(
    py: Python<'py>,
    name: Text,
    data: ByteString,
    links: Vec<OurCid>,
    version: Count,
) -> Result<Option<(Bound<'py, PyAny>, bool)>> {
    let shown = object_of(py, &name, &data, &our_cids(links), version.0)?;
    Ok(shown.map(|shown| (shown.object, shown.is_whole)))
}

/// The object of a message of any type, a dict of its fields for a user's own; None for one that this version doesn't
/// know.
pub fn object_by_name<'py>(
    py: Python<'py>,
    name: &str,
    bytes: &[u8],
    links: &[Cid],
) -> Result<Option<Bound<'py, PyAny>>> {
    if is_own(name) {
        return Ok(Some(decode(py, Reader::new(bytes))?));
    }
    let shown = object_of(py, name, bytes, links, 0)?;
    Ok(shown.map(|shown| shown.object))
}

type NameBytesLinks<'py> = (String, Bound<'py, PyBytes>, Vec<PyCid>);

/// The full name, the bytes and the links of an object's message; None for an object of another class.
#[pyfunction]
#[pyo3(signature = (message, /))]
pub fn encode_message<'py>(message: &Bound<'py, PyAny>) -> Result<Option<NameBytesLinks<'py>>> {
    let class = message.get_type();
    let Some(written) = bytes_of(&class.name()?.to_string_lossy(), message)? else {
        return Ok(None);
    };
    let links = written.links.into_iter().map(PyCid::ours).collect();
    let bytes = PyBytes::new(message.py(), &written.bytes);
    Ok(Some((written.name, bytes, links)))
}
