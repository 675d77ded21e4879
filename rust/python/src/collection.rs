//! `VectorCore`, `MapCore`: one version of a list or map, to be subclassed in Python.
//!
//! Promises: frozen; a change answers another object; whatever may read a block runs without the GIL. What is
//! read in parts ends a part early after [`PART_BYTES_MAX`].
//! Never: an element is kept as a Python object.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pyclass::CompareOp;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyList, PyMapping, PyString};
use treering_block::collection::{Map, Vector};
use treering_block::limits::Limits;
use treering_block::{Cid, Encoded};
use treering_store::{Carried, Large, Rooted, StoreError, Version};

use crate::cid::PyCid;
use crate::convert::{Count, Text, value_object};
use crate::encode::encode_with;
use crate::error::{CoreError, Result};

/// Bytes of values after which a part of many is large enough.
const PART_BYTES_MAX: usize = 1 << 20;
/// Values that are taken from an iterator before they are put in.
const TAKEN_MAX: usize = 1_024;
/// Entries, which lie anywhere in a map: the more at once, the fewer nodes are written over and over.
const ENTRIES_MAX: usize = 1 << 17;
/// Bytes of their values.
const ENTRIES_BYTES_MAX: usize = 32 << 20;

/// The root of a collection, and where its blocks are, if `value` is one.
pub fn rooted(value: &Bound<'_, PyAny>) -> Option<Rooted> {
    if let Ok(vector) = value.cast::<VectorCore>() {
        return Some(vector.get().0.rooted().clone());
    }
    let map = value.cast::<MapCore>().ok()?;
    Some(map.get().0.rooted().clone())
}

/// A value as a node, and the collections that it links to. A collection is its own root.
pub fn node(value: &Bound<'_, PyAny>) -> Result<(Encoded, Carried)> {
    match rooted(value) {
        Some(rooted) => {
            let root = Encoded::decode_from(&*rooted.root.bytes)?;
            Ok((root, Carried(vec![rooted])))
        }
        None => {
            let (encoded, collections) = encode_with(value, Limits::NODE)?;
            Ok((encoded, Carried(collections)))
        }
    }
}

/// A value for an element, and the collections that it links to.
fn element(value: &Bound<'_, PyAny>) -> Result<(Encoded, Vec<Rooted>)> {
    encode_with(value, Limits::NODE)
}

/// One version of a list.
#[pyclass(
    frozen,
    subclass,
    generic,
    name = "VectorCore",
    module = "treering._core"
)]
pub struct VectorCore(Version<Vector>);

impl VectorCore {
    pub fn new(version: Version<Vector>) -> Self {
        Self(version)
    }

    fn extended(
        py: Python<'_>,
        mut version: Version<Vector>,
        values: &Bound<'_, PyIterator>,
    ) -> Result<Version<Vector>> {
        loop {
            let (mut elements, mut inside) = (Vec::new(), Vec::new());
            for value in values.clone().take(TAKEN_MAX) {
                let (value, mut links) = element(&value?)?;
                elements.push(value);
                inside.append(&mut links);
            }
            if elements.is_empty() {
                return Ok(version);
            }
            version = py.detach(|| {
                version.change(&inside, |vector, draft| {
                    let mut elements = elements.into_iter();
                    elements.try_for_each(|value| vector.push(value, draft))
                })
            })?;
        }
    }
}

#[pymethods]
impl VectorCore {
    #[new]
    #[pyo3(signature = (items = None, /))]
    fn py_new(py: Python<'_>, items: Option<&Bound<'_, PyAny>>) -> Result<Self> {
        let Some(items) = items else {
            return Ok(Self(Version::new()?));
        };
        if let Ok(other) = items.cast::<Self>() {
            return Ok(Self(other.get().0.clone()));
        }
        Self::extended(py, Version::new()?, &items.try_iter()?).map(Self)
    }

    /// What `_state` gave, as an object again.
    #[staticmethod]
    #[pyo3(name = "_of_state", signature = (root, blocks, /))]
    fn of_state(py: Python<'_>, root: Vec<u8>, blocks: Vec<Vec<u8>>) -> Result<Self> {
        Ok(Self(py.detach(|| Version::from_blocks(root, blocks))?))
    }

    /// (root, blocks): all of it, as bytes.
    #[pyo3(name = "_state")]
    fn state<'py>(
        &self,
        py: Python<'py>,
    ) -> Result<(Bound<'py, PyBytes>, Vec<Bound<'py, PyBytes>>)> {
        state(py, &self.0)
    }

    #[getter(_root)]
    fn root(&self) -> PyCid {
        PyCid::ours(self.0.rooted().root.cid)
    }

    #[getter(_start)]
    fn start(&self) -> u64 {
        self.0.collection().start()
    }

    fn __len__(&self) -> usize {
        usize::try_from(self.0.collection().len()).unwrap_or(usize::MAX)
    }

    /// Elements from `first` on: `count`, or fewer where they are long, but one at least if there is one.
    #[pyo3(name = "_part", signature = (first, count, /))]
    fn part<'py>(&self, py: Python<'py>, first: Count, count: usize) -> Result<Bound<'py, PyList>> {
        let found = py.detach(|| {
            self.0.look(|vector, draft| {
                let mut part = Part::new(count);
                if count > 0 {
                    vector.each(first.0, draft, &mut |value| {
                        let bytes = value.bytes().len();
                        Ok(part.take(value, bytes))
                    })?;
                }
                Ok(part.found)
            })
        })?;
        let objects = found.iter().map(|value| value_object(py, value));
        Ok(PyList::new(py, objects.collect::<Result<Vec<_>>>()?)?)
    }

    /// With these values behind the last.
    #[pyo3(name = "_extended", signature = (values, /))]
    fn py_extended(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> Result<Self> {
        Self::extended(py, self.0.clone(), &values.try_iter()?).map(Self)
    }

    /// With another value at `index`; None beyond the end.
    #[pyo3(name = "_with", signature = (index, value, /))]
    fn with(&self, py: Python<'_>, index: Count, value: &Bound<'_, PyAny>) -> Result<Option<Self>> {
        let (value, inside) = element(value)?;
        let mut set = false;
        let version = py.detach(|| {
            self.0.change(&inside, |vector, draft| {
                set = vector.set(index.0, value, draft)?;
                Ok(())
            })
        })?;
        Ok(set.then_some(Self(version)))
    }

    /// Without so many at the front and at the back, as far as there are any.
    #[pyo3(name = "_without", signature = (front, back, /))]
    fn without(&self, py: Python<'_>, front: Count, back: Count) -> Result<Self> {
        let version = py.detach(|| {
            self.0.change(&[], |vector, draft| {
                vector.drop_front(front.0, draft)?;
                for _ in 0..back.0.min(vector.len()) {
                    vector.pop(draft)?;
                }
                Ok(())
            })
        })?;
        Ok(Self(version))
    }

    fn __richcmp__(&self, other: &Self, op: CompareOp, py: Python<'_>) -> Py<PyAny> {
        equal(py, self.0.rooted(), other.0.rooted(), op)
    }

    fn __hash__(&self) -> u64 {
        hash(self.0.rooted())
    }
}

/// One version of a map.
#[pyclass(frozen, subclass, generic, name = "MapCore", module = "treering._core")]
pub struct MapCore(Version<Map>);

impl MapCore {
    pub fn new(version: Version<Map>) -> Self {
        Self(version)
    }

    /// `items`: a mapping, or pairs.
    fn updated(
        py: Python<'_>,
        mut version: Version<Map>,
        items: &Bound<'_, PyAny>,
    ) -> Result<Version<Map>> {
        let pairs = match items.cast::<PyMapping>() {
            Ok(mapping) if !items.is_instance_of::<PyDict>() => mapping.items()?.try_iter()?,
            Ok(mapping) => mapping.call_method0("items")?.try_iter()?,
            Err(_) => items.try_iter()?,
        };
        loop {
            let (mut entries, mut inside, mut bytes) = (Vec::new(), Vec::new(), 0);
            for pair in pairs.clone().take(ENTRIES_MAX) {
                let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
                let (value, mut links) = element(&value)?;
                bytes += value.bytes().len();
                entries.push((text(&key)?, value));
                inside.append(&mut links);
                if bytes > ENTRIES_BYTES_MAX {
                    break;
                }
            }
            if entries.is_empty() {
                return Ok(version);
            }
            version = py.detach(|| {
                version.change(&inside, |map, draft| map.extend(entries, draft).map(drop))
            })?;
        }
    }
}

#[pymethods]
impl MapCore {
    #[new]
    #[pyo3(signature = (items = None, /))]
    fn py_new(py: Python<'_>, items: Option<&Bound<'_, PyAny>>) -> Result<Self> {
        let Some(items) = items else {
            return Ok(Self(Version::new()?));
        };
        if let Ok(other) = items.cast::<Self>() {
            return Ok(Self(other.get().0.clone()));
        }
        Self::updated(py, Version::new()?, items).map(Self)
    }

    /// What `_state` gave, as an object again.
    #[staticmethod]
    #[pyo3(name = "_of_state", signature = (root, blocks, /))]
    fn of_state(py: Python<'_>, root: Vec<u8>, blocks: Vec<Vec<u8>>) -> Result<Self> {
        Ok(Self(py.detach(|| Version::from_blocks(root, blocks))?))
    }

    /// (root, blocks): all of it, as bytes.
    #[pyo3(name = "_state")]
    fn state<'py>(
        &self,
        py: Python<'py>,
    ) -> Result<(Bound<'py, PyBytes>, Vec<Bound<'py, PyBytes>>)> {
        state(py, &self.0)
    }

    #[getter(_root)]
    fn root(&self) -> PyCid {
        PyCid::ours(self.0.rooted().root.cid)
    }

    fn __len__(&self) -> usize {
        usize::try_from(self.0.collection().len()).unwrap_or(usize::MAX)
    }

    /// The value of a key in a tuple; None for no such key.
    #[pyo3(name = "_find", signature = (key, /))]
    fn find<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> Result<Option<(Bound<'py, PyAny>,)>> {
        // What can't be a key is none of these, as with a dict.
        let Some(key) = key
            .cast::<PyString>()
            .ok()
            .and_then(|key| key.to_str().ok())
        else {
            return Ok(None);
        };
        let found = py.detach(|| self.0.look(|map, draft| map.get(key, draft)))?;
        let object = found.map(|value| value_object(py, &value)).transpose()?;
        Ok(object.map(|value| (value,)))
    }

    /// Entries behind a key, None for the first ones: `count`, or fewer where they are long.
    #[pyo3(name = "_part", signature = (after, count, /))]
    fn part<'py>(
        &self,
        py: Python<'py>,
        after: Option<Text>,
        count: usize,
    ) -> Result<Vec<(String, Bound<'py, PyAny>)>> {
        let found = py.detach(|| {
            self.0.look(|map, draft| {
                let mut part = Part::new(count);
                let mut take = |key: &str, value: Encoded| {
                    let bytes = key.len() + value.bytes().len();
                    Ok::<_, StoreError>(part.take((key.to_owned(), value), bytes))
                };
                match &after {
                    Some(after) => map.each_after(after, draft, &mut take)?,
                    None => map.each(draft, &mut take)?,
                }
                Ok(part.found)
            })
        })?;
        found
            .into_iter()
            .map(|(key, value)| Ok((key, value_object(py, &value)?)))
            .collect()
    }

    /// With these entries, a mapping or pairs.
    #[pyo3(name = "_updated", signature = (items, /))]
    fn py_updated(&self, py: Python<'_>, items: &Bound<'_, PyAny>) -> Result<Self> {
        Self::updated(py, self.0.clone(), items).map(Self)
    }

    /// Without a key; None for no such key.
    #[pyo3(name = "_without", signature = (key, /))]
    fn without(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Result<Option<Self>> {
        let Some(key) = key
            .cast::<PyString>()
            .ok()
            .and_then(|key| key.to_str().ok())
        else {
            return Ok(None);
        };
        let mut gone = false;
        let version = py.detach(|| {
            self.0.change(&[], |map, draft| {
                gone = map.remove(key, draft)?;
                Ok(())
            })
        })?;
        Ok(gone.then_some(Self(version)))
    }

    fn __richcmp__(&self, other: &Self, op: CompareOp, py: Python<'_>) -> Py<PyAny> {
        equal(py, self.0.rooted(), other.0.rooted(), op)
    }

    fn __hash__(&self) -> u64 {
        hash(self.0.rooted())
    }
}

/// Some of many values.
struct Part<T> {
    found: Vec<T>,
    left: usize,
    bytes: usize,
}

impl<T> Part<T> {
    fn new(count: usize) -> Self {
        Self {
            found: Vec::new(),
            left: count,
            bytes: 0,
        }
    }

    /// Whether it has room for more.
    fn take(&mut self, value: T, bytes: usize) -> bool {
        self.found.push(value);
        self.left = self.left.saturating_sub(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.left > 0 && self.bytes < PART_BYTES_MAX
    }
}

fn state<'py, C: Large + Sync>(
    py: Python<'py>,
    version: &Version<C>,
) -> Result<(Bound<'py, PyBytes>, Vec<Bound<'py, PyBytes>>)> {
    let blocks = py.detach(|| version.blocks())?;
    let root = PyBytes::new(py, &version.rooted().root.bytes);
    let blocks = blocks.iter().map(|bytes| PyBytes::new(py, bytes));
    Ok((root, blocks.collect()))
}

/// Equal collections have equal roots. They have no order.
fn equal(py: Python<'_>, one: &Rooted, other: &Rooted, op: CompareOp) -> Py<PyAny> {
    let equal = one.root.cid == other.root.cid;
    let answer = match op {
        CompareOp::Eq => equal,
        CompareOp::Ne => !equal,
        _ => return py.NotImplemented(),
    };
    pyo3::types::PyBool::new(py, answer)
        .to_owned()
        .into_any()
        .unbind()
}

fn hash(rooted: &Rooted) -> u64 {
    let cid: &Cid = &rooted.root.cid;
    let mut hasher = DefaultHasher::new();
    cid.hash(&mut hasher);
    hasher.finish()
}

fn text(key: &Bound<'_, PyAny>) -> Result<String> {
    match key.extract::<Text>() {
        Ok(Text(key)) => Ok(key),
        Err(error) if error.is_instance_of::<PyTypeError>(key.py()) => {
            let kind = key.get_type().name()?;
            Err(CoreError::Python(PyTypeError::new_err(format!(
                "a key is a str, not {kind}"
            ))))
        }
        Err(error) => Err(error.into()),
    }
}
