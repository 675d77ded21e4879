//! DAG-CBOR to Python objects, in one pass and without recursion.
//!
//! Promises: what comes out is dict, list, str, int, float, bool, None, bytes and `Cid`, and writes
//! back to the same bytes; the depth of what is built is bounded by the reader's limit.
//! Never: no object is shared between two results, apart from short keys.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use treering_block::{CodecError, Event, Reader};

use crate::cid::PyCid;
use crate::keys::Keys;

/// A container that is being filled.
enum Frame<'py> {
    /// Its items lie on the shared stack from `base` on until all `left` have come.
    List { base: usize, left: usize },
    Map {
        dict: Bound<'py, PyDict>,
        key: Option<Bound<'py, PyString>>,
        left: usize,
    },
}

/// The value that `reader` stands before, which has to be the last.
pub fn decode<'py>(
    py: Python<'py>,
    mut reader: Reader<'_>,
) -> Result<Bound<'py, PyAny>, DecodeError> {
    let mut keys = Keys::borrow();
    let mut frames: Vec<Frame<'py>> = Vec::with_capacity(8);
    let mut items: Vec<Bound<'py, PyAny>> = Vec::new();
    loop {
        let mut value = match reader.next()? {
            Event::Key(text) => {
                if let Some(Frame::Map { key, .. }) = frames.last_mut() {
                    *key = Some(keys.get(py, text));
                }
                continue;
            }
            Event::Array(left) if left > 0 => {
                frames.push(Frame::List {
                    base: items.len(),
                    left,
                });
                continue;
            }
            Event::Map(left) if left > 0 => {
                frames.push(Frame::Map {
                    dict: PyDict::new(py),
                    key: None,
                    left,
                });
                continue;
            }
            Event::Array(_) => PyList::empty(py).into_any(),
            Event::Map(_) => PyDict::new(py).into_any(),
            Event::Str(text) => PyString::new(py, text).into_any(),
            Event::Uint(n) => n.into_pyobject(py)?.into_any(),
            Event::Nint(n) => match i64::try_from(n) {
                Ok(n) => (-1 - n).into_pyobject(py)?.into_any(),
                Err(_) => (-1 - i128::from(n)).into_pyobject(py)?.into_any(),
            },
            Event::Null => py.None().into_bound(py),
            Event::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
            Event::Float(float) => float.into_pyobject(py)?.into_any(),
            Event::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
            Event::Link(link) => Bound::new(py, PyCid::from_link(&link))?.into_any(),
        };
        // Hands the value to its container; a container that is full is a value in its turn.
        loop {
            match frames.last_mut() {
                None => {
                    reader.finish()?;
                    return Ok(value);
                }
                Some(Frame::List { base, left }) => {
                    items.push(value);
                    *left -= 1;
                    if *left > 0 {
                        break;
                    }
                    value = PyList::new(py, items.drain(*base..))?.into_any();
                }
                Some(Frame::Map { dict, key, left }) => {
                    if let Some(key) = key.take() {
                        dict.set_item(key, value)?;
                    }
                    *left -= 1;
                    if *left > 0 {
                        break;
                    }
                    value = dict.clone().into_any();
                }
            }
            frames.pop();
        }
    }
}

/// What ends a decoding.
#[derive(Debug)]
pub enum DecodeError {
    /// The bytes.
    Codec(CodecError),
    /// Python itself, out of memory.
    Python(PyErr),
}

impl From<CodecError> for DecodeError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<PyErr> for DecodeError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<std::convert::Infallible> for DecodeError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
