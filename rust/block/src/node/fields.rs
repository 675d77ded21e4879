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

/// As many as most nodes have at most.
const FIELDS: usize = 12;

/// The fields of a stored node, checked to be a node of our profile, not yet typed.
pub(crate) struct Fields<'a> {
    cid: Cid,
    entries: Vec<(&'a str, Option<Stored<'a>>)>,
}

/// A field's value as it stands, and the event that it begins with. Its readers give what was expected instead.
pub(crate) struct Stored<'a> {
    first: Event<'a>,
    bytes: &'a [u8],
}

/// A map's bytes, and the links in it.
pub(crate) type OwnFields = (Vec<u8>, Vec<Cid>);

/// What a field should have been.
type Expected = &'static str;

pub(crate) const TEXT: Expected = "a text";
pub(crate) const UINT: Expected = "an integer from 0 up";
pub(crate) const INT: Expected = "an integer of 64 bits";
pub(crate) const BYTES: Expected = "a byte string";
pub(crate) const LINK: Expected = "a link";
pub(crate) const MAP: Expected = "a map";
pub(crate) const NO_SUCH_FIELD: Expected = "absent: this kind has no such field";
const OURS: Expected = "free of links to foreign CIDs";

impl<'a> Stored<'a> {
    pub(crate) fn text(&self) -> Result<&'a str, Expected> {
        match self.first {
            Event::Str(text) => Ok(text),
            _ => Err(TEXT),
        }
    }

    pub(crate) fn uint(&self) -> Result<u64, Expected> {
        match self.first {
            Event::Uint(value) => Ok(value),
            _ => Err(UINT),
        }
    }

    pub(crate) fn int(&self) -> Result<i64, Expected> {
        let value = self.first.int().and_then(|value| i64::try_from(value).ok());
        value.ok_or(INT)
    }

    pub(crate) fn bytes(&self) -> Result<&'a [u8], Expected> {
        match self.first {
            Event::Bytes(bytes) => Ok(bytes),
            _ => Err(BYTES),
        }
    }

    pub(crate) fn link(&self) -> Result<Cid, Expected> {
        match self.first {
            Event::Link(link) => link.ours().ok_or(OURS),
            _ => Err(LINK),
        }
    }

    /// A map as it stands, and the links in it, each once.
    pub(crate) fn own(&self) -> Result<(&'a [u8], Vec<Cid>), Expected> {
        if !matches!(self.first, Event::Map(_)) {
            return Err(MAP);
        }
        let value = Encoded::decode_from(self.bytes).map_err(|_| MAP)?;
        let links = value.links().iter().map(Cid::try_from);
        let links = links.collect::<Result<_, _>>().map_err(|_| OURS)?;
        Ok((self.bytes, links))
    }

    /// A list of links that is left out when empty.
    pub(crate) fn links(&self) -> Result<Vec<Cid>, Expected> {
        const EXPECTED: Expected = "a list of at least one link, or absent";
        let mut reader = Reader::new(self.bytes);
        let length = match reader.next() {
            Ok(Event::Array(length)) if length > 0 => length,
            _ => return Err(EXPECTED),
        };
        let mut links = Vec::with_capacity(length);
        for _ in 0..length {
            match reader.next() {
                Ok(Event::Link(link)) => links.push(link.ours().ok_or(OURS)?),
                _ => return Err(EXPECTED),
            }
        }
        Ok(links)
    }
}

/// Checks a node's bytes whole, and shows each field with its key, in their order. `see` says what it should have been.
pub(crate) fn each_field<'a>(
    cid: &Cid,
    bytes: &'a [u8],
    mut see: impl FnMut(&'a str, Stored<'a>) -> Result<(), Expected>,
) -> Result<(), BlockError> {
    if cid.codec() != Codec::DagCbor {
        return Err(ill_typed(cid, "node", "DAG-CBOR, not raw bytes"));
    }
    let broken = |source: CodecError| BlockError::from(source).stored_in(*cid);
    let mut reader = Reader::with_limits(bytes, Limits::NODE).map_err(broken)?;
    let Event::Map(length) = reader.next().map_err(broken)? else {
        return Err(ill_typed(cid, "node", "a map"));
    };
    for _ in 0..length {
        let key = reader.key().map_err(broken)?;
        let mut first = None;
        let bytes = reader.value(|event| {
            first.get_or_insert(event);
            Ok::<_, CodecError>(())
        });
        let bytes = bytes.map_err(broken)?;
        if let Some(first) = first {
            see(key, Stored { first, bytes }).map_err(|expected| ill_typed(cid, key, expected))?;
        }
    }
    reader.finish().map_err(broken)
}

pub(crate) fn ill_typed(cid: &Cid, field: &str, expected: &str) -> BlockError {
    BlockError::IllTyped {
        cid: *cid,
        field: clip(field),
        expected: expected.to_owned(),
    }
}

impl<'a> Fields<'a> {
    /// Checks the bytes whole and splits them into fields.
    pub(crate) fn read(cid: &Cid, bytes: &'a [u8]) -> Result<Self, BlockError> {
        let mut entries = Vec::with_capacity(FIELDS);
        each_field(cid, bytes, |key, value| {
            entries.push((key, Some(value)));
            Ok(())
        })?;
        Ok(Self { cid: *cid, entries })
    }

    /// The node's kind; does not take the field.
    pub(crate) fn kind(&self) -> Result<&'a str, BlockError> {
        let value = self
            .entries
            .iter()
            .find(|(key, _)| *key == KIND)
            .and_then(|(_, value)| value.as_ref());
        let kind = value.map_or(Err(TEXT), Stored::text);
        kind.map_err(|expected| self.ill_typed(KIND, expected))
    }

    /// Takes the kind, which must be this one.
    pub(crate) fn take_kind(&mut self, kind: &'static str) -> Result<(), BlockError> {
        if self.kind()? != kind {
            return Err(self.ill_typed(KIND, kind));
        }
        self.take(KIND);
        Ok(())
    }

    fn typed<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&Stored<'a>) -> Result<T, Expected>,
    ) -> Result<Option<T>, BlockError> {
        let value = self.take(field).map(|value| read(&value));
        value
            .transpose()
            .map_err(|expected| self.ill_typed(field, expected))
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Result<String, BlockError> {
        self.optional_text(field)?
            .ok_or_else(|| self.ill_typed(field, TEXT))
    }

    pub(crate) fn optional_text(
        &mut self,
        field: &'static str,
    ) -> Result<Option<String>, BlockError> {
        self.typed(field, |value| value.text().map(str::to_owned))
    }

    pub(crate) fn uint(&mut self, field: &'static str) -> Result<u64, BlockError> {
        self.optional_uint(field)?
            .ok_or_else(|| self.ill_typed(field, UINT))
    }

    pub(crate) fn optional_uint(&mut self, field: &'static str) -> Result<Option<u64>, BlockError> {
        self.typed(field, |value| value.uint())
    }

    pub(crate) fn optional_int(&mut self, field: &'static str) -> Result<Option<i64>, BlockError> {
        self.typed(field, |value| value.int())
    }

    pub(crate) fn link(&mut self, field: &'static str) -> Result<Cid, BlockError> {
        self.optional_link(field)?
            .ok_or_else(|| self.ill_typed(field, LINK))
    }

    pub(crate) fn optional_link(&mut self, field: &'static str) -> Result<Option<Cid>, BlockError> {
        self.typed(field, |value| value.link())
    }

    pub(crate) fn bytes(&mut self, field: &'static str) -> Result<Vec<u8>, BlockError> {
        self.optional_bytes(field)?
            .ok_or_else(|| self.ill_typed(field, BYTES))
    }

    pub(crate) fn optional_bytes(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Vec<u8>>, BlockError> {
        self.typed(field, |value| value.bytes().map(<[u8]>::to_vec))
    }

    /// A map's bytes with the links in it.
    pub(crate) fn optional_own(
        &mut self,
        field: &'static str,
    ) -> Result<Option<OwnFields>, BlockError> {
        self.typed(field, |value| {
            value.own().map(|(bytes, links)| (bytes.to_vec(), links))
        })
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
        Ok(self.typed(field, Stored::links)?.unwrap_or_default())
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
            Some((key, _)) => Err(self.ill_typed(key, NO_SUCH_FIELD)),
            None => Ok(()),
        }
    }

    pub(crate) fn ill_typed(&self, field: &str, expected: &str) -> BlockError {
        ill_typed(&self.cid, field, expected)
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

    fn decoded<T>(&self, result: Result<T, CodecError>) -> Result<T, BlockError> {
        result.map_err(|source| BlockError::Undecodable {
            cid: self.cid,
            source,
        })
    }

    fn ours(&self, field: &str, link: Option<Cid>) -> Result<Cid, BlockError> {
        link.ok_or_else(|| self.ill_typed(field, OURS))
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
    /// A value's bytes, checked when they are written.
    Stored(&'a [u8]),
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
        Value::Stored(bytes) => writer.raw(&Encoded::decode_from(bytes)?),
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
