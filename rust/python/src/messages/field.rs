//! What a kind of field is in Python, both ways.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyMapping, PyString, PyTuple};
use treering_actor::messages::{Link, Secret, TextOrSecret};
use treering_block::Cid;

use super::class::{Class, wrong_type};
use super::{PyEnum, PyMessage};
use crate::cid::PyCid;
use crate::convert::shown;
use crate::error::{CoreError, Result};

/// Where a value stands, for errors, and what it may refer to.
#[derive(Clone, Copy)]
pub struct At<'a, 'py> {
    pub py: Python<'py>,
    pub path: &'static str,
    pub links: &'a [Cid],
}

impl At<'_, '_> {
    fn corrupt(&self, detail: &str) -> CoreError {
        CoreError::Corrupt {
            what: "message field",
            which: self.path.to_owned(),
            detail: detail.to_owned(),
        }
    }
}

/// A kind of field.
pub trait Kind {
    /// What it is in the struct.
    type Held;

    /// From Python; `path` is the field's name, links that occur are put behind `links`.
    fn from_object(
        value: &Bound<'_, PyAny>,
        path: &'static str,
        links: &mut Vec<Cid>,
    ) -> Result<Self::Held>;

    /// To Python.
    fn object<'py>(held: &Self::Held, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>>;
}

/// A str.
pub struct Text;

impl Kind for Text {
    type Held = String;

    fn from_object(
        value: &Bound<'_, PyAny>,
        path: &'static str,
        _: &mut Vec<Cid>,
    ) -> Result<String> {
        let Ok(text) = value.cast::<PyString>() else {
            return Err(wrong_type(path, "str", value).into());
        };
        text.to_str()
            .map(str::to_owned)
            .map_err(|_| CoreError::Invalid {
                what: path,
                value: text.to_string_lossy().chars().take(64).collect(),
                rule: "it holds a lone surrogate, which UTF-8 can not",
            })
    }

    fn object<'py>(held: &String, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        Ok(PyString::new(at.py, held).into_any())
    }
}

/// A bool; 0 and 1 are none.
pub struct Flag;

impl Kind for Flag {
    type Held = bool;

    fn from_object(value: &Bound<'_, PyAny>, path: &'static str, _: &mut Vec<Cid>) -> Result<bool> {
        match value.cast::<PyBool>() {
            Ok(flag) => Ok(flag.is_true()),
            Err(_) => Err(wrong_type(path, "bool", value).into()),
        }
    }

    fn object<'py>(held: &bool, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        Ok(PyBool::new(at.py, *held).to_owned().into_any())
    }
}

/// A `treering.Secret`. A text in its place is named in no error: it may be the secret.
pub struct Reference;

static SECRET: Class = Class::of("treering.secrets", "Secret");
static VALUES: Class = Class::of("treering.secrets", "Values");

impl Kind for Reference {
    type Held = Secret;

    fn from_object(
        value: &Bound<'_, PyAny>,
        path: &'static str,
        links: &mut Vec<Cid>,
    ) -> Result<Secret> {
        SECRET.require(value, path)?;
        let reference = value.getattr(pyo3::intern!(value.py(), "reference"))?;
        Ok(Secret {
            reference: Text::from_object(&reference, path, links)?,
        })
    }

    fn object<'py>(held: &Secret, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        // What a later version takes for a reference is shown.
        let stored = SECRET.get(at.py)?;
        Ok(stored.call_method1(pyo3::intern!(at.py, "stored"), (&held.reference,))?)
    }
}

/// A mapping of texts, and of secrets in their place.
pub struct Values;

impl Kind for Values {
    type Held = BTreeMap<String, TextOrSecret>;

    fn from_object(
        value: &Bound<'_, PyAny>,
        path: &'static str,
        links: &mut Vec<Cid>,
    ) -> Result<Self::Held> {
        let Ok(given) = value.cast::<PyMapping>() else {
            return Err(wrong_type(path, "mapping", value).into());
        };
        let mut held = BTreeMap::new();
        for item in given.items()?.iter() {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            let name = Text::from_object(&name, path, links)?;
            let value = match value.cast::<PyString>() {
                Ok(text) => TextOrSecret {
                    text: Text::from_object(text.as_any(), path, links)?,
                    secret: None,
                },
                Err(_) => TextOrSecret {
                    text: String::new(),
                    secret: Some(Boxed::<Reference>::from_object(&value, path, links)?),
                },
            };
            held.insert(name, value);
        }
        Ok(held)
    }

    fn object<'py>(held: &Self::Held, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        let items = PyDict::new(at.py);
        for (name, value) in held {
            match &value.secret {
                None => items.set_item(name, &value.text)?,
                Some(secret) => items.set_item(name, Reference::object(secret, at)?)?,
            }
        }
        Ok(VALUES.get(at.py)?.call1((items,))?)
    }
}

/// An integer of Rust's.
pub trait Integer: Copy {
    /// What it can hold.
    const RULE: &'static str;

    fn extract(value: &Bound<'_, PyInt>) -> Option<Self>;
    fn object(self, py: Python<'_>) -> Bound<'_, PyInt>;
}

macro_rules! integer {
    ($type:ty, $rule:literal) => {
        impl Integer for $type {
            const RULE: &'static str = $rule;

            fn extract(value: &Bound<'_, PyInt>) -> Option<Self> {
                PyAnyMethods::extract(value.as_any()).ok()
            }

            fn object(self, py: Python<'_>) -> Bound<'_, PyInt> {
                match self.into_pyobject(py) {
                    Ok(object) => object,
                    Err(never) => match never {},
                }
            }
        }
    };
}

integer!(u32, "it is from 0 to 2³²−1");
integer!(u64, "it is from 0 to 2⁶⁴−1");
integer!(i64, "it is from −2⁶³ to 2⁶³−1");

/// An int.
pub struct Number<T>(PhantomData<T>);

impl<T: Integer> Kind for Number<T> {
    type Held = T;

    fn from_object(value: &Bound<'_, PyAny>, path: &'static str, _: &mut Vec<Cid>) -> Result<T> {
        let Ok(number) = value.cast::<PyInt>() else {
            return Err(wrong_type(path, "int", value).into());
        };
        T::extract(number).ok_or_else(|| CoreError::Invalid {
            what: path,
            value: shown(value),
            rule: T::RULE,
        })
    }

    fn object<'py>(held: &T, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        Ok(held.object(at.py).into_any())
    }
}

/// A member of a `StrEnum`, or its value.
pub struct Choice<E>(PhantomData<E>);

impl<E: PyEnum> Kind for Choice<E> {
    type Held = i32;

    fn from_object(value: &Bound<'_, PyAny>, path: &'static str, _: &mut Vec<Cid>) -> Result<i32> {
        E::class().number(value, path)
    }

    fn object<'py>(held: &i32, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        E::class().member(at.py, *held, at.path)
    }
}

/// A `Cid`, in the struct its place among the links.
pub struct Linked;

impl Kind for Linked {
    type Held = Link;

    fn from_object(
        value: &Bound<'_, PyAny>,
        path: &'static str,
        links: &mut Vec<Cid>,
    ) -> Result<Link> {
        let Ok(cid) = value.cast::<PyCid>() else {
            return Err(wrong_type(path, "Cid", value).into());
        };
        let refused = |rule| CoreError::Invalid {
            what: path,
            value: shown(value),
            rule,
        };
        let cid = cid
            .get()
            .require_ours()
            .map_err(|_| refused("a store can hold no block of this CID"))?;
        let index = u32::try_from(links.len()).map_err(|_| refused("a node has fewer links"))?;
        links.push(cid);
        Ok(Link { index })
    }

    fn object<'py>(held: &Link, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        let place = usize::try_from(held.index).ok();
        let Some(cid) = place.and_then(|place| at.links.get(place)) else {
            let (index, count) = (held.index, at.links.len());
            return Err(at.corrupt(&format!("link {index} of a node that has {count}")));
        };
        Ok(Bound::new(at.py, PyCid::ours(*cid))?.into_any())
    }
}

/// A message inside a message.
pub struct Part<M>(PhantomData<M>);

impl<M: PyMessage> Kind for Part<M> {
    type Held = M;

    fn from_object(
        value: &Bound<'_, PyAny>,
        path: &'static str,
        links: &mut Vec<Cid>,
    ) -> Result<M> {
        M::from_object(value, path, links)
    }

    fn object<'py>(held: &M, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        held.object(at.py, at.links)
    }
}

/// A tuple; a list is taken too.
pub struct Repeated<K>(PhantomData<K>);

impl<K: Kind> Kind for Repeated<K> {
    type Held = Vec<K::Held>;

    fn from_object(
        value: &Bound<'_, PyAny>,
        path: &'static str,
        links: &mut Vec<Cid>,
    ) -> Result<Vec<K::Held>> {
        if let Ok(tuple) = value.cast::<PyTuple>() {
            let items = tuple.iter();
            return items
                .map(|item| K::from_object(&item, path, links))
                .collect();
        }
        if let Ok(list) = value.cast::<PyList>() {
            let items = list.iter();
            return items
                .map(|item| K::from_object(&item, path, links))
                .collect();
        }
        Err(wrong_type(path, "tuple", value).into())
    }

    fn object<'py>(held: &Vec<K::Held>, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        let items = held
            .iter()
            .map(|item| K::object(item, at))
            .collect::<Result<Vec<_>>>()?;
        Ok(PyTuple::new(at.py, items)?.into_any())
    }
}

/// A message that takes room only where it is.
pub struct Boxed<K>(PhantomData<K>);

impl<K: Kind> Kind for Boxed<K> {
    type Held = Box<K::Held>;

    fn from_object(
        value: &Bound<'_, PyAny>,
        path: &'static str,
        links: &mut Vec<Cid>,
    ) -> Result<Box<K::Held>> {
        K::from_object(value, path, links).map(Box::new)
    }

    fn object<'py>(held: &Box<K::Held>, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        K::object(held, at)
    }
}

/// A value or None.
pub struct Optional<K>(PhantomData<K>);

impl<K: Kind> Kind for Optional<K> {
    type Held = Option<K::Held>;

    fn from_object(
        value: &Bound<'_, PyAny>,
        path: &'static str,
        links: &mut Vec<Cid>,
    ) -> Result<Option<K::Held>> {
        if value.is_none() {
            return Ok(None);
        }
        K::from_object(value, path, links).map(Some)
    }

    fn object<'py>(held: &Option<K::Held>, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        match held {
            Some(held) => K::object(held, at),
            None => Ok(at.py.None().into_bound(at.py)),
        }
    }
}

/// A message or link that is always there, although the format allows to leave it out.
pub struct Present<K>(PhantomData<K>);

impl<K: Kind> Kind for Present<K> {
    type Held = Option<K::Held>;

    fn from_object(
        value: &Bound<'_, PyAny>,
        path: &'static str,
        links: &mut Vec<Cid>,
    ) -> Result<Option<K::Held>> {
        K::from_object(value, path, links).map(Some)
    }

    fn object<'py>(held: &Option<K::Held>, at: At<'_, 'py>) -> Result<Bound<'py, PyAny>> {
        match held {
            Some(held) => K::object(held, at),
            None => Err(at.corrupt("it is missing")),
        }
    }
}
