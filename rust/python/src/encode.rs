//! A Python object to DAG-CBOR, in one pass and without recursion.
//!
//! Promises: no Python code of the user runs while an object is written (subclasses of the built-in
//! types count as those types, whatever they override), so it can not change under the writer; a
//! cycle or a tower of lists ends at the depth limit, never at the stack's; an error names the place
//! as a path (`$.a[3].b`).
//! Never: it keeps no object and guesses no meaning; bytes that look like a CID are bytes.

use pyo3::PyTypeInfo;
use pyo3::ffi::PyTypeObject;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple,
};
use treering_block::limits::Limits;
use treering_block::{CodecError, Encoded, Writer, canonical_key_order};
use treering_store::Rooted;

use crate::cid::PyCid;
use crate::collection::rooted;
use crate::error::CoreError;

/// One value under the codec's own limits.
pub fn encode(value: &Bound<'_, PyAny>) -> Result<Encoded, CoreError> {
    encode_within(value, Limits::CODEC)
}

/// One value; it stops as soon as a limit is passed.
pub fn encode_within(value: &Bound<'_, PyAny>, limits: Limits) -> Result<Encoded, CoreError> {
    Ok(encode_with(value, limits)?.0)
}

/// One value, and the collections that stand in it as links to their roots.
pub fn encode_with(
    value: &Bound<'_, PyAny>,
    limits: Limits,
) -> Result<(Encoded, Vec<Rooted>), CoreError> {
    let mut encoder = Encoder {
        writer: Writer::with_limits(limits),
        frames: Vec::with_capacity(8),
        entries: Vec::with_capacity(32),
        types: Types::new(value.py()),
        collections: Vec::new(),
    };
    if let Err(refusal) = encoder.run(value.clone()) {
        return Err(CoreError::NotEncodable {
            path: encoder.path(),
            refusal,
        });
    }
    let encoded = encoder.writer.finish().map_err(CoreError::Codec)?;
    Ok((encoded, encoder.collections))
}

/// Why a value has no encoding.
#[derive(Debug)]
pub enum Refusal {
    /// Its type has none.
    Type(String),
    /// A dict's key is not a str.
    Key(String),
    /// A str holds half of a surrogate pair, which UTF-8 can not.
    Surrogate,
    /// A number, a limit.
    Codec(CodecError),
    /// A list shrank meanwhile, in another thread.
    Changed,
}

impl From<CodecError> for Refusal {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

/// An entry of a dict that is being written.
struct Entry<'py> {
    key: Bound<'py, PyString>,
    value: Bound<'py, PyAny>,
    /// The text of `key`.
    text: *const str,
}

impl<'py> Entry<'py> {
    fn new(key: Bound<'py, PyAny>, value: Bound<'py, PyAny>) -> Result<Self, Refusal> {
        // The exact type first: that is one comparison, the other asks for the type's flags.
        let key = key
            .cast_into_exact::<PyString>()
            .or_else(|other| other.into_inner().cast_into::<PyString>())
            .map_err(|other| Refusal::Key(type_name(&other.into_inner())))?;
        let text = std::ptr::from_ref(key.to_str().map_err(|_| Refusal::Surrogate)?);
        Ok(Self { key, value, text })
    }

    fn text(&self) -> &str {
        debug_assert!(self.key.is_instance_of::<PyString>());
        // SAFETY: the text lies in the str object (or in the UTF-8 form that it caches for its
        // whole life); a str never changes; `key` keeps the object alive as long as `self`.
        unsafe { &*self.text }
    }
}

/// An open container, and how far it is written.
enum Frame<'py> {
    List {
        list: Bound<'py, PyList>,
        next: usize,
        length: usize,
    },
    Tuple {
        tuple: Bound<'py, PyTuple>,
        next: usize,
        length: usize,
    },
    /// Its entries are those of the shared stack from `base` on, in canonical order.
    Map { base: usize, next: usize },
}

struct Encoder<'py> {
    writer: Writer,
    frames: Vec<Frame<'py>>,
    /// Entries of all open dicts, the innermost last: no dict needs memory of its own.
    entries: Vec<Entry<'py>>,
    types: Types,
    collections: Vec<Rooted>,
}

/// The common types, to tell them apart by one comparison each.
struct Types {
    str: *mut PyTypeObject,
    dict: *mut PyTypeObject,
    list: *mut PyTypeObject,
    int: *mut PyTypeObject,
    float: *mut PyTypeObject,
    bool: *mut PyTypeObject,
    cid: *mut PyTypeObject,
}

impl Types {
    fn new(py: Python<'_>) -> Self {
        Self {
            str: PyString::type_object_raw(py),
            dict: PyDict::type_object_raw(py),
            list: PyList::type_object_raw(py),
            int: PyInt::type_object_raw(py),
            float: PyFloat::type_object_raw(py),
            bool: PyBool::type_object_raw(py),
            cid: PyCid::type_object_raw(py),
        }
    }
}

impl<'py> Encoder<'py> {
    fn run(&mut self, value: Bound<'py, PyAny>) -> Result<(), Refusal> {
        let mut due = Some(value);
        while let Some(value) = due {
            self.value(&value)?;
            due = self.next()?;
        }
        Ok(())
    }

    /// The next value to write; closes containers that are done. None at the end.
    fn next(&mut self) -> Result<Option<Bound<'py, PyAny>>, Refusal> {
        while let Some(frame) = self.frames.last_mut() {
            match frame {
                Frame::List { list, next, length } => {
                    if *next < *length {
                        let item = list.get_item(*next).map_err(|_| Refusal::Changed)?;
                        *next += 1;
                        return Ok(Some(item));
                    }
                }
                Frame::Tuple {
                    tuple,
                    next,
                    length,
                } => {
                    if *next < *length {
                        let item = tuple.get_item(*next).map_err(|_| Refusal::Changed)?;
                        *next += 1;
                        return Ok(Some(item));
                    }
                }
                Frame::Map { base, next } => {
                    if let Some(entry) = self.entries.get(*next) {
                        *next += 1;
                        self.writer.key(entry.text())?;
                        return Ok(Some(entry.value.clone()));
                    }
                    self.entries.truncate(*base);
                }
            }
            self.frames.pop();
        }
        Ok(None)
    }

    /// Writes a scalar or opens a container, by exact type; the rest is for [`Self::rare`].
    fn value(&mut self, value: &Bound<'py, PyAny>) -> Result<(), Refusal> {
        let kind = value.get_type_ptr();
        let types = &self.types;
        if kind == types.str
            && let Ok(text) = value.cast_exact::<PyString>()
        {
            return self.text(text);
        }
        if kind == types.dict
            && let Ok(dict) = value.cast_exact::<PyDict>()
        {
            return self.dict(dict);
        }
        if kind == types.list
            && let Ok(list) = value.cast_exact::<PyList>()
        {
            return self.list(list);
        }
        if kind == types.int
            && let Ok(int) = value.cast_exact::<PyInt>()
        {
            return self.int(int);
        }
        if kind == types.float
            && let Ok(float) = value.cast_exact::<PyFloat>()
        {
            return Ok(self.writer.float(float.value())?);
        }
        // None and the two bools are single objects, and bool has no subclasses.
        if value.is_none() {
            return Ok(self.writer.null()?);
        }
        if kind == types.bool
            && let Ok(flag) = value.cast_exact::<PyBool>()
        {
            return Ok(self.writer.bool(flag.is_true())?);
        }
        if kind == types.cid
            && let Ok(cid) = value.cast_exact::<PyCid>()
        {
            return Ok(cid.get().write(&mut self.writer)?);
        }
        if let Ok(bytes) = value.cast_exact::<PyBytes>() {
            return Ok(self.writer.bytes(bytes.as_bytes())?);
        }
        self.rare(value)
    }

    /// Tuples, collections, other byte containers and subclasses.
    fn rare(&mut self, value: &Bound<'py, PyAny>) -> Result<(), Refusal> {
        if let Ok(tuple) = value.cast::<PyTuple>() {
            let length = tuple.len();
            self.writer.array(length)?;
            self.frames.push(Frame::Tuple {
                tuple: tuple.clone(),
                next: 0,
                length,
            });
            return Ok(());
        }
        if let Some(rooted) = rooted(value) {
            self.writer.link_ours(&rooted.root.cid)?;
            self.collections.push(rooted);
            return Ok(());
        }
        if let Ok(array) = value.cast::<PyByteArray>() {
            return Ok(self.writer.bytes(&array.to_vec())?);
        }
        if value.is_instance_of::<PyMemoryView>() {
            let copy = value
                .call_method0("tobytes")
                .map_err(|_| Refusal::Changed)?;
            let bytes = copy.cast::<PyBytes>().map_err(|_| Refusal::Changed)?;
            return Ok(self.writer.bytes(bytes.as_bytes())?);
        }
        if let Ok(text) = value.cast::<PyString>() {
            return self.text(text);
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            return self.dict(dict);
        }
        if let Ok(list) = value.cast::<PyList>() {
            return self.list(list);
        }
        if let Ok(int) = value.cast::<PyInt>() {
            return self.int(int);
        }
        if let Ok(float) = value.cast::<PyFloat>() {
            return Ok(self.writer.float(float.value())?);
        }
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return Ok(self.writer.bytes(bytes.as_bytes())?);
        }
        Err(Refusal::Type(type_name(value)))
    }

    #[inline]
    fn text(&mut self, text: &Bound<'py, PyString>) -> Result<(), Refusal> {
        Ok(self
            .writer
            .str(text.to_str().map_err(|_| Refusal::Surrogate)?)?)
    }

    fn int(&mut self, int: &Bound<'py, PyInt>) -> Result<(), Refusal> {
        if let Ok(small) = int.extract::<i64>() {
            return Ok(self.writer.i64(small)?);
        }
        match int.extract::<i128>() {
            Ok(large) => Ok(self.writer.int(large)?),
            // Its decimal form may be long, and Python refuses to make the longest ones.
            Err(_) => Err(Refusal::Codec(CodecError::IntRange {
                value: "more than 128 bits".to_owned(),
            })),
        }
    }

    fn list(&mut self, list: &Bound<'py, PyList>) -> Result<(), Refusal> {
        let length = list.len();
        self.writer.array(length)?;
        self.frames.push(Frame::List {
            list: list.clone(),
            next: 0,
            length,
        });
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>) -> Result<(), Refusal> {
        let length = dict.len();
        self.writer.map(length)?;
        let base = self.entries.len();
        self.entries.reserve(length);
        for (key, value) in dict.iter() {
            self.entries.push(Entry::new(key, value)?);
        }
        if let Some(own) = self.entries.get_mut(base..) {
            own.sort_unstable_by(|a, b| canonical_key_order(a.text(), b.text()));
        }
        self.frames.push(Frame::Map { base, next: base });
        Ok(())
    }

    /// Where the writer stands, as `$.a[3].b`; the middle of a long path is left out.
    fn path(&self) -> String {
        const HEAD: usize = 16;
        const TAIL: usize = 4;
        let mut path = String::from("$");
        for (depth, frame) in self.frames.iter().enumerate() {
            if self.frames.len() > HEAD + TAIL && depth >= HEAD {
                if depth == HEAD {
                    path.push('…');
                }
                if depth + TAIL < self.frames.len() {
                    continue;
                }
            }
            match frame {
                Frame::List { next, .. } | Frame::Tuple { next, .. } => {
                    path.push_str(&format!("[{}]", next.saturating_sub(1)));
                }
                Frame::Map { next, .. } => {
                    let entry = next.checked_sub(1).and_then(|at| self.entries.get(at));
                    path.push_str(&key_segment(entry.map_or("", Entry::text)));
                }
            }
        }
        path
    }
}

/// `.key`, or `["any key"]` where it is no name; a long key is cut.
fn key_segment(key: &str) -> String {
    let is_name = !key.is_empty()
        && key.chars().all(|c| c == '_' || c.is_alphanumeric())
        && !key.starts_with(|c: char| c.is_numeric());
    let clipped: String = key.chars().take(48).collect();
    let more = if clipped.len() < key.len() { "…" } else { "" };
    if is_name {
        format!(".{clipped}{more}")
    } else {
        format!("[{clipped:?}{more}]")
    }
}

/// The type's name as a user would write it.
fn type_name(value: &Bound<'_, PyAny>) -> String {
    let kind = value.get_type();
    let name = kind.fully_qualified_name();
    name.map_or_else(|_| "object".to_owned(), |name| name.to_string())
}
