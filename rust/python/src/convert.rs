//! Arguments that take themselves apart, and plain values on their way back.
//!
//! Promises: what has the right Python type and a wrong value is refused with `Invalid`, naming the
//! argument; a wrong type is a `TypeError`, as everywhere in Python.

use std::collections::BTreeMap;
use std::ops::Deref;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyMapping, PyMemoryView, PyString};
use treering_block::limits::Limits;
use treering_block::{Cid, Encoded, Reader};
use treering_store::{Carried, Durability};
use treering_thread::{ContentArg, Label};

use crate::cid::PyCid;
use crate::decode::decode;
use crate::encode::encode_with;
use crate::error::{CoreError, Result};

/// Bytes from `bytes` (not copied), `bytearray` or `memoryview` (copied, since they can change).
pub struct ByteString(PyBackedBytes);

impl<'a, 'py> FromPyObject<'a, 'py> for ByteString {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyMemoryView>() {
            let copy = object.call_method0("tobytes")?;
            return Ok(Self(copy.extract()?));
        }
        Ok(Self(object.extract::<PyBackedBytes>()?))
    }
}

impl Deref for ByteString {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A text that UTF-8 can hold: lone surrogates are refused.
pub struct Text(pub String);

impl<'a, 'py> FromPyObject<'a, 'py> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let text = object.cast::<PyString>()?;
        match text.to_str() {
            Ok(text) => Ok(Self(text.to_owned())),
            Err(_) => Err(CoreError::Invalid {
                what: "text",
                value: text.to_string_lossy().into_owned(),
                rule: "it holds a lone surrogate, which UTF-8 can not",
            }
            .into()),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A count or step number: an int from 0 to 2⁶⁴−1.
#[derive(Clone, Copy)]
pub struct Count(pub u64);

impl<'a, 'py> FromPyObject<'a, 'py> for Count {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let number = object.cast::<PyInt>()?;
        number.extract().map(Self).map_err(|_| {
            CoreError::Invalid {
                what: "number",
                value: shown(&number),
                rule: "it is from 0 to 2⁶⁴−1",
            }
            .into()
        })
    }
}

/// An int of 64 bits with a sign: a time, a return code.
#[derive(Clone, Copy)]
pub struct Signed(pub i64);

impl<'a, 'py> FromPyObject<'a, 'py> for Signed {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let number = object.cast::<PyInt>()?;
        number.extract().map(Self).map_err(|_| {
            CoreError::Invalid {
                what: "number",
                value: shown(&number),
                rule: "it is from −2⁶³ to 2⁶³−1",
            }
            .into()
        })
    }
}

/// A value for an error's message, cut where it is long.
pub fn shown(value: &Bound<'_, PyAny>) -> String {
    // Python refuses to write out the longest integers.
    value.str().map_or_else(
        |_| "int".to_owned(),
        |text| text.to_string_lossy().chars().take(64).collect(),
    )
}

/// A CID of ours; a foreign one names no block that a store could hold.
pub struct OurCid(pub Cid);

impl<'a, 'py> FromPyObject<'a, 'py> for OurCid {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let cid = object.cast::<PyCid>()?.get();
        cid.require_ours()
            .map(Self)
            .map_err(|error| CoreError::from(error).into())
    }
}

/// Several of them, from any sequence.
pub fn our_cids(cids: Vec<OurCid>) -> Vec<Cid> {
    cids.into_iter().map(|OurCid(cid)| cid).collect()
}

/// `durable` or `relaxed`.
pub struct DurabilityName(pub Durability);

impl<'a, 'py> FromPyObject<'a, 'py> for DurabilityName {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match &*object.extract::<Text>()? {
            "durable" => Ok(Self(Durability::Durable)),
            "relaxed" => Ok(Self(Durability::Relaxed)),
            other => Err(CoreError::Invalid {
                what: "durability",
                value: other.to_owned(),
                rule: "it is durable or relaxed",
            }
            .into()),
        }
    }
}

/// A str as text, a byte container as bytes, anything else as a value; its collections go to `carried`.
pub fn content(value: &Bound<'_, PyAny>, carried: &mut Carried) -> Result<ContentArg> {
    if value.is_instance_of::<PyString>() {
        return Ok(ContentArg::Text(value.extract::<Text>()?.0));
    }
    if let Ok(bytes) = value.extract::<ByteString>() {
        return Ok(ContentArg::Bytes(bytes.to_vec()));
    }
    Ok(ContentArg::Value(carrying(value, carried)?))
}

/// A mapping as an encoded map; None as an empty one. Its collections go to `carried`.
pub fn map(value: Option<&Bound<'_, PyAny>>, carried: &mut Carried) -> Result<Encoded> {
    match value {
        Some(value) => carrying(dict(value)?.as_any(), carried),
        None => Ok(Encoded::empty_map()),
    }
}

fn carrying(value: &Bound<'_, PyAny>, carried: &mut Carried) -> Result<Encoded> {
    let (encoded, collections) = encode_with(value, Limits::CODEC)?;
    carried.0.extend(collections);
    Ok(encoded)
}

/// Says of an argument of the wrong type which it is.
pub fn named<T>(
    py: Python<'_>,
    name: &str,
    read: std::result::Result<T, impl Into<PyErr>>,
) -> PyResult<T> {
    read.map_err(|error| {
        let error = error.into();
        if error.get_type(py).is(py.get_type::<PyTypeError>()) {
            PyTypeError::new_err(format!("{name}: {}", error.value(py)))
        } else {
            error
        }
    })
}

/// A mapping as a dict: itself if it is one.
pub fn dict<'py>(value: &Bound<'py, PyAny>) -> Result<Bound<'py, PyDict>> {
    if let Ok(dict) = value.cast::<PyDict>() {
        return Ok(dict.clone());
    }
    let Ok(mapping) = value.cast::<PyMapping>() else {
        let kind = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("a mapping is needed here, not {kind}")).into());
    };
    let dict = PyDict::new(value.py());
    dict.update(mapping)?;
    Ok(dict)
}

/// Labels from a mapping of str to small scalars.
pub fn labels(value: Option<&Bound<'_, PyAny>>) -> Result<BTreeMap<String, Label>> {
    let mut labels = BTreeMap::new();
    let Some(value) = value else {
        return Ok(labels);
    };
    for (name, value) in dict(value)?.iter() {
        labels.insert(name.extract::<Text>()?.0, label(&value)?);
    }
    Ok(labels)
}

fn label(value: &Bound<'_, PyAny>) -> Result<Label> {
    if value.is_none() {
        return Ok(Label::Null);
    }
    // Before int: True is an int to Python.
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Label::Bool(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(Label::Int(value.extract::<Signed>()?.0));
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        return Ok(Label::Float(float.value()));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Label::Text(value.extract::<Text>()?.0));
    }
    Err(CoreError::Invalid {
        what: "label",
        value: shown(value),
        rule: "it is None, a bool, an int, a float or a str",
    })
}

/// A label as Python has it.
pub fn label_object<'py>(py: Python<'py>, label: &Label) -> PyResult<Bound<'py, PyAny>> {
    Ok(match label {
        Label::Null => py.None().into_bound(py),
        Label::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
        Label::Int(number) => number.into_pyobject(py)?.into_any(),
        Label::Float(number) => number.into_pyobject(py)?.into_any(),
        Label::Text(text) => PyString::new(py, text).into_any(),
    })
}

/// An encoded value as Python has it.
pub fn value_object<'py>(py: Python<'py>, value: &Encoded) -> Result<Bound<'py, PyAny>> {
    Ok(decode(py, Reader::new(value.bytes()))?)
}

/// Bytes as Python has them.
pub fn bytes_object<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyAny> {
    PyBytes::new(py, bytes).into_any()
}
