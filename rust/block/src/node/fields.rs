//! A node's fields on their way in and out of DAG-CBOR.
//!
//! Promises: fields are written in canonical order whatever order they are given in; every field of
//! a read node must be taken, and [`Fields::finish`] names one that was not.
//! Never: no field is read twice, and none is guessed: an ill-typed one is an error with its name.

use std::collections::BTreeMap;

use crate::cbor::{Encoded, Event, Reader, Writer, canonical_key_order};
use crate::error::{BlockError, CodecError, LimitKind, clip};
use crate::limits::Limits;
use crate::{Block, Cid, Codec};

/// The key under which each node says what it is.
const KIND: &str = "kind";

/// The fields of a stored node, checked to be a node of our profile, not yet typed.
pub(crate) struct Fields<'a> {
    cid: Cid,
    entries: Vec<(&'a str, Option<Stored<'a>>)>,
}

/// A value as it stands, and the event that it begins with.
struct Stored<'a> {
    first: Event<'a>,
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Checks the bytes whole and splits them into fields.
    pub(crate) fn read(cid: &Cid, bytes: &'a [u8]) -> Result<Self, BlockError> {
        let mut fields = Self {
            cid: *cid,
            entries: Vec::new(),
        };
        if cid.codec() != Codec::DagCbor {
            return Err(fields.ill_typed("node", "DAG-CBOR, not raw bytes"));
        }
        fields.split(bytes).map_err(|error| error.stored_in(*cid))?;
        Ok(fields)
    }

    fn split(&mut self, bytes: &'a [u8]) -> Result<(), BlockError> {
        let mut reader = Reader::with_limits(bytes, Limits::NODE)?;
        let Event::Map(length) = reader.next()? else {
            return Err(self.ill_typed("node", "a map"));
        };
        // Each takes two bytes at least, so what is announced is not more than the input.
        self.entries.reserve_exact(length);
        for _ in 0..length {
            let key = reader.key()?;
            let mut first = Event::Null;
            let mut is_first = true;
            let bytes = reader.value(|event| {
                if std::mem::take(&mut is_first) {
                    first = event;
                }
                Ok::<_, BlockError>(())
            })?;
            self.entries.push((key, Some(Stored { first, bytes })));
        }
        Ok(reader.finish()?)
    }

    /// The node's kind; does not take the field.
    pub(crate) fn kind(&self) -> Result<&'a str, BlockError> {
        let value = self
            .entries
            .iter()
            .find(|(key, _)| *key == KIND)
            .and_then(|(_, value)| value.as_ref());
        match value.map(|value| value.first) {
            Some(Event::Str(kind)) => Ok(kind),
            _ => Err(self.ill_typed(KIND, "a text")),
        }
    }

    /// Takes the kind, which must be this one.
    pub(crate) fn take_kind(&mut self, kind: &'static str) -> Result<(), BlockError> {
        if self.kind()? != kind {
            return Err(self.ill_typed(KIND, kind));
        }
        self.take(KIND);
        Ok(())
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Result<String, BlockError> {
        self.optional_text(field)?
            .ok_or_else(|| self.ill_typed(field, "a text"))
    }

    pub(crate) fn optional_text(
        &mut self,
        field: &'static str,
    ) -> Result<Option<String>, BlockError> {
        match self.event(field) {
            None => Ok(None),
            Some(Event::Str(text)) => Ok(Some(text.to_owned())),
            Some(_) => Err(self.ill_typed(field, "a text")),
        }
    }

    pub(crate) fn uint(&mut self, field: &'static str) -> Result<u64, BlockError> {
        self.optional_uint(field)?
            .ok_or_else(|| self.ill_typed(field, "an integer from 0 up"))
    }

    pub(crate) fn optional_uint(&mut self, field: &'static str) -> Result<Option<u64>, BlockError> {
        match self.event(field) {
            None => Ok(None),
            Some(Event::Uint(value)) => Ok(Some(value)),
            Some(_) => Err(self.ill_typed(field, "an integer from 0 up")),
        }
    }

    pub(crate) fn optional_int(&mut self, field: &'static str) -> Result<Option<i64>, BlockError> {
        match self.event(field) {
            None => Ok(None),
            Some(event) => match event.int().and_then(|value| i64::try_from(value).ok()) {
                Some(value) => Ok(Some(value)),
                None => Err(self.ill_typed(field, "an integer of 64 bits")),
            },
        }
    }

    pub(crate) fn int(&mut self, field: &'static str) -> Result<i64, BlockError> {
        self.optional_int(field)?
            .ok_or_else(|| self.ill_typed(field, "an integer of 64 bits"))
    }

    pub(crate) fn bytes(&mut self, field: &'static str) -> Result<Vec<u8>, BlockError> {
        match self.event(field) {
            Some(Event::Bytes(bytes)) => Ok(bytes.to_vec()),
            _ => Err(self.ill_typed(field, "a byte string")),
        }
    }

    pub(crate) fn link(&mut self, field: &'static str) -> Result<Cid, BlockError> {
        self.optional_link(field)?
            .ok_or_else(|| self.ill_typed(field, "a link"))
    }

    pub(crate) fn optional_link(&mut self, field: &'static str) -> Result<Option<Cid>, BlockError> {
        match self.event(field) {
            None => Ok(None),
            Some(Event::Link(link)) => self.ours(field, link.ours()).map(Some),
            Some(_) => Err(self.ill_typed(field, "a link")),
        }
    }

    /// A value as it stands; its links must be ours like all others.
    pub(crate) fn optional_value(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Encoded>, BlockError> {
        let Some(stored) = self.take(field) else {
            return Ok(None);
        };
        let value = self.decoded(Encoded::decode_from(stored.bytes))?;
        for link in value.links() {
            self.ours(field, Cid::try_from(link).ok())?;
        }
        Ok(Some(value))
    }

    /// A map that is left out when empty.
    pub(crate) fn map_or_empty(&mut self, field: &'static str) -> Result<Encoded, BlockError> {
        match self.optional_value(field)? {
            None => Ok(Encoded::empty_map()),
            Some(value) if value.is_map() && !value.is_empty_map() => Ok(value),
            Some(_) => Err(self.ill_typed(field, "a map with at least one entry, or absent")),
        }
    }

    /// A list of links that is left out when empty.
    pub(crate) fn links(&mut self, field: &'static str) -> Result<Vec<Cid>, BlockError> {
        const EXPECTED: &str = "a list of at least one link, or absent";
        let Some(stored) = self.take(field) else {
            return Ok(Vec::new());
        };
        let mut reader = Reader::new(stored.bytes);
        let length = match self.decoded(reader.next())? {
            Event::Array(length) if length > 0 => length,
            _ => return Err(self.ill_typed(field, EXPECTED)),
        };
        let mut links = Vec::with_capacity(length);
        for _ in 0..length {
            match self.decoded(reader.next())? {
                Event::Link(link) => links.push(self.ours(field, link.ours())?),
                _ => return Err(self.ill_typed(field, EXPECTED)),
            }
        }
        Ok(links)
    }

    /// A map of names to links that is left out when empty.
    pub(crate) fn link_map(
        &mut self,
        field: &'static str,
    ) -> Result<BTreeMap<String, Cid>, BlockError> {
        const EXPECTED: &str = "a map of at least one name to a link, or absent";
        let Some(stored) = self.take(field) else {
            return Ok(BTreeMap::new());
        };
        let mut reader = Reader::new(stored.bytes);
        let length = match self.decoded(reader.next())? {
            Event::Map(length) if length > 0 => length,
            _ => return Err(self.ill_typed(field, EXPECTED)),
        };
        let mut links = BTreeMap::new();
        for _ in 0..length {
            let name = self.decoded(reader.key())?.to_owned();
            match self.decoded(reader.next())? {
                Event::Link(link) => links.insert(name, self.ours(field, link.ours())?),
                _ => return Err(self.ill_typed(field, EXPECTED)),
            };
        }
        Ok(links)
    }

    /// A map of fields inside a field.
    pub(crate) fn optional_fields(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Fields<'a>>, BlockError> {
        match self.take(field) {
            None => Ok(None),
            Some(stored) if matches!(stored.first, Event::Map(_)) => {
                Self::read(&self.cid, stored.bytes).map(Some)
            }
            Some(_) => Err(self.ill_typed(field, "a map")),
        }
    }

    /// Ends the reading: no field may be left.
    pub(crate) fn finish(self) -> Result<(), BlockError> {
        match self.entries.iter().find(|(_, value)| value.is_some()) {
            Some((key, _)) => Err(self.ill_typed(key, "absent: this kind has no such field")),
            None => Ok(()),
        }
    }

    pub(crate) fn ill_typed(&self, field: &str, expected: &str) -> BlockError {
        BlockError::IllTyped {
            cid: self.cid,
            field: clip(field),
            expected: expected.to_owned(),
        }
    }

    pub(crate) fn cid(&self) -> Cid {
        self.cid
    }

    fn take(&mut self, field: &str) -> Option<Stored<'a>> {
        self.entries
            .iter_mut()
            .find(|(key, _)| *key == field)
            .and_then(|(_, value)| value.take())
    }

    /// The first event of a field.
    fn event(&mut self, field: &str) -> Option<Event<'a>> {
        self.take(field).map(|stored| stored.first)
    }

    fn decoded<T>(&self, result: Result<T, CodecError>) -> Result<T, BlockError> {
        result.map_err(|source| BlockError::Undecodable {
            cid: self.cid,
            source,
        })
    }

    fn ours(&self, field: &str, link: Option<Cid>) -> Result<Cid, BlockError> {
        link.ok_or_else(|| self.ill_typed(field, "free of links to foreign CIDs"))
    }
}

/// A field's value on its way out.
pub(crate) enum Value<'a> {
    Text(&'a str),
    Uint(u64),
    Int(i64),
    Bytes(&'a [u8]),
    Link(&'a Cid),
    Links(&'a [Cid]),
    LinkMap(&'a BTreeMap<String, Cid>),
    Encoded(&'a Encoded),
    Fields(Vec<(&'static str, Value<'a>)>),
}

/// The block of a node with these fields and its kind.
pub(crate) fn write_node<'a>(
    kind: &'static str,
    mut fields: Vec<(&'static str, Value<'a>)>,
) -> Result<Block, BlockError> {
    fields.push((KIND, Value::Text(kind)));
    let mut writer = Writer::with_limits(Limits::NODE);
    write_fields(&mut writer, fields)?;
    Block::from_encoded(writer.finish()?)
}

fn write_fields(
    writer: &mut Writer,
    mut fields: Vec<(&'static str, Value<'_>)>,
) -> Result<(), CodecError> {
    fields.sort_unstable_by(|a, b| canonical_key_order(a.0, b.0));
    writer.map(fields.len())?;
    for (field, value) in fields {
        writer.key(field)?;
        write_value(writer, value)?;
    }
    Ok(())
}

fn write_value(writer: &mut Writer, value: Value<'_>) -> Result<(), CodecError> {
    match value {
        Value::Text(text) => writer.str(text),
        Value::Uint(value) => writer.u64(value),
        Value::Int(value) => writer.i64(value),
        Value::Bytes(bytes) => writer.bytes(bytes),
        Value::Link(cid) => writer.link_ours(cid),
        Value::Encoded(value) => writer.raw(value),
        Value::Fields(fields) => write_fields(writer, fields),
        Value::Links(links) => {
            writer.array(links.len())?;
            links.iter().try_for_each(|cid| writer.link_ours(cid))
        }
        Value::LinkMap(links) => {
            let mut sorted: Vec<_> = links.iter().collect();
            sorted.sort_unstable_by(|a, b| canonical_key_order(a.0, b.0));
            writer.map(sorted.len())?;
            sorted.into_iter().try_for_each(|(name, cid)| {
                writer.key(name)?;
                writer.link_ours(cid)
            })
        }
    }
}

/// A name: some text, but not too much of it.
pub(crate) fn check_name(
    kind: &'static str,
    field: &'static str,
    name: &str,
    bytes_max: usize,
) -> Result<(), BlockError> {
    if name.is_empty() {
        return Err(BlockError::Field {
            kind,
            field,
            expected: "a text that is not empty",
        });
    }
    if name.len() > bytes_max {
        let (limit, actual) = (bytes_max as u64, name.len() as u64);
        return Err(CodecError::Limit {
            what: LimitKind::Name,
            limit,
            actual,
        }
        .into());
    }
    Ok(())
}

/// A link that leads to a node, not to raw bytes.
pub(crate) fn check_node_link(
    kind: &'static str,
    field: &'static str,
    link: Option<&Cid>,
) -> Result<(), BlockError> {
    match link.map(Cid::codec) {
        None | Some(Codec::DagCbor) => Ok(()),
        Some(Codec::Raw) => Err(BlockError::Field {
            kind,
            field,
            expected: "a link to a node",
        }),
    }
}

/// A value that is a map.
pub(crate) fn check_map(
    kind: &'static str,
    field: &'static str,
    value: &Encoded,
) -> Result<(), BlockError> {
    if value.is_map() {
        Ok(())
    } else {
        Err(BlockError::Field {
            kind,
            field,
            expected: "a map",
        })
    }
}
