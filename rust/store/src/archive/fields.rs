//! The fields of a manifest's nodes, read.
//!
//! Promises: a field that is missing, ill-typed or not known is told by its name; none is taken twice.

use std::collections::BTreeMap;

use treering_block::{Cid, Codec, Ipld, cbor};

use super::error::ArchiveError;
use crate::error::StoreError;

/// The fields of a map, each taken once.
#[derive(Debug)]
pub struct Fields {
    what: &'static str,
    map: BTreeMap<String, Ipld>,
}

impl Fields {
    /// Those of a node.
    ///
    /// Errors: `Manifest` for what is no map.
    pub fn of(what: &'static str, cid: &Cid, bytes: &[u8]) -> Result<Self, ArchiveError> {
        if cid.codec() == Codec::Raw {
            return Err(ArchiveError::manifest(format!("{what} is not a node")));
        }
        let value = cbor::decode(bytes).map_err(|refused| StoreError::Block(refused.into()))?;
        Self::from_value(what, value)
    }

    /// Those of a value.
    ///
    /// Errors: `Manifest` for what is no map.
    pub fn from_value(what: &'static str, value: Ipld) -> Result<Self, ArchiveError> {
        match value {
            Ipld::Map(map) => Ok(Self { what, map }),
            _ => Err(ArchiveError::manifest(format!("{what} is not a map"))),
        }
    }

    /// Whether it is there still.
    pub fn has(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    /// A field of any type.
    pub fn take(&mut self, field: &'static str) -> Result<Ipld, ArchiveError> {
        self.map.remove(field).ok_or_else(|| self.wrong(field))
    }

    fn wrong(&self, field: &str) -> ArchiveError {
        ArchiveError::manifest(format!(
            "{}: its {field} is missing or ill-typed",
            self.what
        ))
    }

    /// A text.
    pub fn text(&mut self, field: &'static str) -> Result<String, ArchiveError> {
        match self.take(field)? {
            Ipld::String(text) => Ok(text),
            _ => Err(self.wrong(field)),
        }
    }

    /// A number.
    pub fn uint(&mut self, field: &'static str) -> Result<u64, ArchiveError> {
        match self.take(field)? {
            Ipld::Integer(number) => u64::try_from(number).map_err(|_| self.wrong(field)),
            _ => Err(self.wrong(field)),
        }
    }

    /// Bytes.
    pub fn bytes(&mut self, field: &'static str) -> Result<Vec<u8>, ArchiveError> {
        match self.take(field)? {
            Ipld::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong(field)),
        }
    }

    /// A list.
    pub fn list(&mut self, field: &'static str) -> Result<Vec<Ipld>, ArchiveError> {
        match self.take(field)? {
            Ipld::List(items) => Ok(items),
            _ => Err(self.wrong(field)),
        }
    }

    /// A link to a block.
    pub fn any_link(&mut self, field: &'static str) -> Result<Cid, ArchiveError> {
        let value = self.take(field)?;
        ours(value).ok_or_else(|| self.wrong(field))
    }

    /// A link to a node.
    pub fn link(&mut self, field: &'static str) -> Result<Cid, ArchiveError> {
        let cid = self.any_link(field)?;
        match cid.codec() {
            Codec::DagCbor => Ok(cid),
            Codec::Raw => Err(self.wrong(field)),
        }
    }

    /// Refuses what was not asked for.
    pub fn finish(self) -> Result<(), ArchiveError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(ArchiveError::manifest(format!(
                "{} has an unknown field {unknown:?}",
                self.what
            ))),
        }
    }
}

/// The link of a value, if it is one of ours.
pub fn ours(value: Ipld) -> Option<Cid> {
    match value {
        Ipld::Link(cid) => Cid::try_from(&cid).ok(),
        _ => None,
    }
}
