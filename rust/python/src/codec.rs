//! `treering.codec`: values to bytes and back.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use treering_block::{Reader, dag_json};

use crate::cid::PyCid;
use crate::convert::{ByteString, Text, value_object};
use crate::error::Result;

/// The DAG-CBOR bytes of a value.
#[pyfunction]
#[pyo3(signature = (value, /))]
pub fn encode<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> Result<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, crate::encode::encode(value)?.bytes()))
}

/// The value of DAG-CBOR bytes.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub fn decode(py: Python<'_>, data: ByteString) -> Result<Bound<'_, PyAny>> {
    Ok(crate::decode::decode(py, Reader::new(&data))?)
}

/// Every link in a value, in order, each once.
#[pyfunction]
#[pyo3(signature = (value, /))]
pub fn collect_links<'py>(
    py: Python<'py>,
    value: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyList>> {
    let encoded = crate::encode::encode(value)?;
    Ok(PyList::new(py, encoded.links().iter().map(PyCid::any))?)
}

/// A value as DAG-JSON, in its one form.
#[pyfunction]
#[pyo3(signature = (value, /))]
pub fn to_dag_json(value: &Bound<'_, PyAny>) -> Result<String> {
    Ok(dag_json::encode(&crate::encode::encode(value)?)?)
}

/// The value of a DAG-JSON text.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub fn from_dag_json<'py>(py: Python<'py>, text: Text) -> Result<Bound<'py, PyAny>> {
    value_object(py, &dag_json::decode(&text)?)
}
