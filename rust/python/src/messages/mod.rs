//! Messages: the structs that the core writes, the dataclasses of `treering.messages` that users see, both ways.
//!
//! Promises: an object of the wrong type is a `TypeError` and a value that the field can't hold is `Invalid`, each with
//! the field's name (`MemoryEntry.content`); bytes, links or a missing part that make no sense are `Corrupt`; a member
//! of an enum that only a later version knows is `NewerSchema`.
//! Never: a rule of a store is judged here, nor is a CID written into message bytes: links are collected into, and
//! looked up in, the list of links of the node that holds the message.

#[macro_use]
mod macros;
mod class;
mod field;
mod generated;
mod show;

use pyo3::prelude::*;
use treering_actor::messages::{Encoding, Name};
use treering_block::Cid;

use crate::error::Result;
use class::{Building, Class, EnumClass};

pub use show::{decode_message, encode_message};

/// A message that has a class in `treering.messages`.
pub trait PyMessage: Encoding + Name + Default {
    /// Its class.
    fn class() -> &'static Class;

    /// The fields of an object of that class. For `from_object`, which asks for the class.
    fn fields_from(object: &Bound<'_, PyAny>, links: &mut Vec<Cid>) -> Result<Self>;

    /// Sets all fields. For `object` and `object_at`.
    fn fields_to(&self, object: &Building<'_>, links: &[Cid], version: u64) -> Result<()>;

    /// The message that an object stands for. The CIDs in it are put behind `links`, each where it occurs; `path` says
    /// in an error what the object is: an argument, a field.
    fn from_object(
        object: &Bound<'_, PyAny>,
        path: &'static str,
        links: &mut Vec<Cid>,
    ) -> Result<Self> {
        Self::class().require(object, path)?;
        Self::fields_from(object, links)
    }

    /// The object; `links` are those of the node that holds the message.
    fn object<'py>(&self, py: Python<'py>, links: &[Cid]) -> Result<Bound<'py, PyAny>> {
        self.object_at(py, links, 0)
    }

    /// The object, with the version that it was read at if it is a state's; other messages have none.
    fn object_at<'py>(
        &self,
        py: Python<'py>,
        links: &[Cid],
        version: u64,
    ) -> Result<Bound<'py, PyAny>> {
        let building = Self::class().start(py)?;
        self.fields_to(&building, links, version)?;
        Ok(building.finish())
    }
}

/// An enum that has a class in `treering.messages`.
pub trait PyEnum {
    /// Its class, which converts: `Admission::class().member(py, number, …)`.
    fn class() -> &'static EnumClass;
}
