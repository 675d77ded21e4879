//! The classes of `treering.messages`, each looked up once, and new objects of them.
//!
//! A frozen dataclass's own `__init__` sets each field through `object.__setattr__`, called from Python: that is most
//! of what making one costs. [`Building`] sets the slots from here.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType};

use crate::convert::shown;
use crate::error::{CoreError, Result};

const MODULE: &str = "treering.messages";

/// A dataclass, or another one that fields hold.
pub struct Class {
    module: &'static str,
    name: &'static str,
    found: PyOnceLock<Py<PyType>>,
}

impl Class {
    pub const fn new(name: &'static str) -> Self {
        Self::of(MODULE, name)
    }

    /// One of another module.
    pub const fn of(module: &'static str, name: &'static str) -> Self {
        Self {
            module,
            name,
            found: PyOnceLock::new(),
        }
    }

    pub fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyType>> {
        self.found.import(py, self.module, self.name)
    }

    /// Refuses what is no object of this class.
    pub fn require(&self, object: &Bound<'_, PyAny>, path: &'static str) -> PyResult<()> {
        let class = self.get(object.py())?;
        if object.is_exact_instance(class) || object.is_instance(class)? {
            return Ok(());
        }
        Err(wrong_type(path, self.name, object))
    }

    /// A new object without any field.
    pub fn start<'py>(&self, py: Python<'py>) -> PyResult<Building<'py>> {
        let class = self.get(py)?.as_type_ptr();
        // SAFETY: this thread is attached (`py`); `class` is a live type; PyType_GenericNew reads no arguments, it
        // allocates as the type says and answers a new reference, or null with an exception set. A dataclass inherits
        // `object.__new__`, which does the same after it has looked at the arguments.
        let object = unsafe {
            let (none, no_names) = (std::ptr::null_mut(), std::ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, ffi::PyType_GenericNew(class, none, no_names))?
        };
        Ok(Building { object })
    }
}

/// An object that nobody else has seen yet, so that its fields can be set although its class is frozen.
pub struct Building<'py> {
    object: Bound<'py, PyAny>,
}

impl<'py> Building<'py> {
    pub fn py(&self) -> Python<'py> {
        self.object.py()
    }

    /// Sets a field.
    pub fn set(&self, name: &Bound<'py, PyString>, value: Bound<'py, PyAny>) -> PyResult<()> {
        // SAFETY: this thread is attached; all three are live objects and borrowed for the call only; the name is a
        // str. It is what `object.__setattr__(object, name, value)` calls, as a frozen dataclass does itself.
        let done = unsafe {
            ffi::PyObject_GenericSetAttr(self.object.as_ptr(), name.as_ptr(), value.as_ptr())
        };
        if done == 0 {
            return Ok(());
        }
        Err(PyErr::fetch(self.py()))
    }

    /// Sets the version, which each state has.
    pub fn set_version(&self, version: u64) -> PyResult<()> {
        let value = version.into_pyobject(self.py())?.into_any();
        self.set(pyo3::intern!(self.py(), "version"), value)
    }

    pub fn finish(self) -> Bound<'py, PyAny> {
        self.object
    }
}

/// A `StrEnum`, and the number of each of its values.
pub struct EnumClass {
    name: &'static str,
    values: &'static [(i32, &'static str)],
    rule: &'static str,
    members: PyOnceLock<Vec<Py<PyAny>>>,
}

impl EnumClass {
    pub const fn new(
        name: &'static str,
        values: &'static [(i32, &'static str)],
        rule: &'static str,
    ) -> Self {
        Self {
            name,
            values,
            rule,
            members: PyOnceLock::new(),
        }
    }

    /// The member of that number.
    pub fn member<'py>(
        &self,
        py: Python<'py>,
        number: i32,
        path: &'static str,
    ) -> Result<Bound<'py, PyAny>> {
        let members = self.members.get_or_try_init(py, || {
            let class = py.import(MODULE)?.getattr(self.name)?;
            self.values
                .iter()
                .map(|(_, text)| class.call1((text,)).map(Bound::unbind))
                .collect::<PyResult<_>>()
        })?;
        let place = self.values.iter().position(|(known, _)| *known == number);
        match place.and_then(|place| members.get(place)) {
            Some(member) => Ok(member.bind(py).clone()),
            None => Err(CoreError::NewerSchema {
                what: path,
                which: format!("number {number}"),
            }),
        }
    }

    /// The number of a member, or of its value.
    pub fn number(&self, value: &Bound<'_, PyAny>, path: &'static str) -> Result<i32> {
        let Ok(text) = value.cast::<PyString>() else {
            return Err(wrong_type(path, self.name, value).into());
        };
        let text = text.to_string_lossy();
        let found = self.values.iter().find(|(_, known)| *known == text);
        found
            .map(|(number, _)| *number)
            .ok_or_else(|| CoreError::Invalid {
                what: path,
                value: shown(value),
                rule: self.rule,
            })
    }
}

/// Says which field or argument has a value of the wrong type.
pub fn wrong_type(path: &'static str, needed: &str, value: &Bound<'_, PyAny>) -> PyErr {
    let kind = value.get_type();
    match kind.name() {
        Ok(kind) => PyTypeError::new_err(format!("{path}: {needed} is needed here, not {kind}")),
        Err(error) => error,
    }
}
