//! Blocks as Python sees them: the value of a node, what a content node says, the block that a prefix names.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use treering_block::{BlockError, Cid, CidPrefix, Codec, Reader};
use treering_store::{Store, StoreError};
use treering_thread::content::{read_content_node, read_payload};
use treering_thread::{Content, ThreadError};

use crate::buckets::attended_by;
use crate::cid::PyCid;
use crate::convert::{bytes_object, value_object};
use crate::decode::{DecodeError, decode};
use crate::error::{CoreError, Result};

/// CIDs that an ambiguous prefix names.
const CANDIDATES_MAX: usize = 16;

/// The value of a node.
pub fn node_value<'py>(
    py: Python<'py>,
    store: &Arc<dyn Store>,
    cid: Cid,
) -> Result<Bound<'py, PyAny>> {
    if cid.codec() != Codec::DagCbor {
        return Err(CoreError::Invalid {
            what: "block",
            value: cid.to_string(),
            rule: "it holds bytes, not a node; use get",
        });
    }
    let bytes = attended_by(py, &**store, || store.get(&cid))??;
    decode(py, Reader::new(&bytes)).map_err(|error| match error {
        DecodeError::Codec(error) => BlockError::Codec(error).stored_in(cid).into(),
        DecodeError::Python(error) => error.into(),
    })
}

/// The present block whose CID is this text or alone begins so.
pub fn resolved(py: Python<'_>, store: &Arc<dyn Store>, text: &str) -> Result<PyCid> {
    if let Ok(cid) = text.parse::<Cid>() {
        let present = py.detach(|| store.has_many(&[cid]))?;
        return match present.first() {
            Some(true) => Ok(PyCid::ours(cid)),
            _ => Err(StoreError::BlockNotFound(cid).into()),
        };
    }
    let parsed = CidPrefix::parse(text)?;
    let candidates = py.detach(|| store.prefix(&parsed, CANDIDATES_MAX))?;
    match candidates.as_slice() {
        [] => Err(CoreError::NotFound {
            what: "block whose CID begins with",
            which: text.to_owned(),
        }),
        [cid] => Ok(PyCid::ours(*cid)),
        _ => Err(StoreError::Ambiguous {
            prefix: text.to_owned(),
            candidates,
        }
        .into()),
    }
}

/// What a content node says: `payload`, `artifacts` (name → CID), `refs`.
pub fn content_object<'py>(
    py: Python<'py>,
    store: &Arc<dyn Store>,
    cid: &Cid,
) -> Result<Bound<'py, PyDict>> {
    let (node, said) = attended_by(py, &**store, || {
        let node = read_content_node(&**store, cid)?;
        let said = read_payload(&**store, &node.payload)?;
        Ok::<_, ThreadError>((node, said))
    })??;
    let payload = match &said {
        Content::Text(text) => PyString::new(py, text).into_any(),
        Content::Bytes(bytes) => bytes_object(py, bytes),
        Content::Value(value) => value_object(py, value)?,
    };
    let artifacts = PyDict::new(py);
    for (name, artifact) in &node.artifacts {
        artifacts.set_item(name, PyCid::ours(*artifact))?;
    }
    let content = PyDict::new(py);
    content.set_item("payload", payload)?;
    content.set_item("artifacts", artifacts)?;
    content.set_item("refs", cid_list(py, &node.refs)?)?;
    Ok(content)
}

pub fn cid_list<'py>(py: Python<'py>, cids: &[Cid]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, cids.iter().copied().map(PyCid::ours))
}
