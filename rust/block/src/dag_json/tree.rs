//! A value between its two forms: what DAG-JSON is written from and read into.
//!
//! Promises: at most some sixty bytes of memory for each byte of either form, and texts that stand in the
//! input as they are stay there. That is why it is not [`crate::Ipld`], whose smallest map takes 1.5 KB.
//! Never: it outlives the call that made it.

use std::borrow::Cow;

use super::{BYTES, SLASH};
use crate::cbor::canonical_key_order;
use crate::error::{CodecError, clip};
use crate::{AnyCid, Encoded, Event, Reader, Writer};

/// A value.
pub(super) enum Tree<'a> {
    Null,
    Bool(bool),
    Uint(u64),
    /// The integer −1 − n.
    Nint(u64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Link(Box<AnyCid>),
    List(Vec<Tree<'a>>),
    Map(Vec<Entry<'a>>),
}

/// An entry of a map.
pub(super) struct Entry<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: Tree<'a>,
    /// Where the key stands in the text; of no meaning in a map that was DAG-CBOR.
    pub(super) offset: usize,
}

/// What a map whose first key is `/` stands for.
pub(super) enum Reserved<'t> {
    /// `{"/": text}`
    Link(&'t str),
    /// `{"/": {"bytes": text}}`
    Bytes(&'t str),
    /// One of these with more keys in it: nothing at all. Holds what the `/` leads to.
    Neither(&'static str),
}

/// How DAG-JSON reads a map whose entries stand in the order of their keys' bytes; None for one that is
/// just a map.
pub(super) fn reserved<'t>(entries: &'t [Entry<'_>]) -> Option<Reserved<'t>> {
    let first = entries.first().filter(|entry| entry.key == SLASH)?;
    match &first.value {
        Tree::Text(text) if entries.len() == 1 => Some(Reserved::Link(text)),
        Tree::Text(_) => Some(Reserved::Neither("a text")),
        Tree::Map(inner) => match inner.first() {
            Some(Entry {
                key,
                value: Tree::Text(text),
                ..
            }) if key == BYTES => {
                let single = entries.len() == 1 && inner.len() == 1;
                Some(if single {
                    Reserved::Bytes(text)
                } else {
                    Reserved::Neither("{\"bytes\": text}")
                })
            }
            _ => None,
        },
        _ => None,
    }
}

impl<'a> Tree<'a> {
    /// The value of DAG-CBOR bytes; its maps stand in the order of their keys' bytes. Recursive; the
    /// reader ends it at its depth limit.
    pub(super) fn of(reader: &mut Reader<'a>) -> Result<Self, CodecError> {
        Ok(match reader.next()? {
            Event::Null => Self::Null,
            Event::Bool(value) => Self::Bool(value),
            Event::Uint(value) => Self::Uint(value),
            Event::Nint(value) => Self::Nint(value),
            Event::Float(value) => Self::Float(value),
            Event::Str(text) => Self::Text(Cow::Borrowed(text)),
            Event::Bytes(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
            Event::Link(link) => Self::Link(Box::new(link.cid())),
            Event::Array(length) => {
                // The reader has seen at least one byte for each item.
                let mut items = Vec::with_capacity(length);
                for _ in 0..length {
                    items.push(Self::of(reader)?);
                }
                Self::List(items)
            }
            Event::Map(length) => {
                let mut entries = Vec::with_capacity(length);
                for _ in 0..length {
                    let key = Cow::Borrowed(reader.key()?);
                    let value = Self::of(reader)?;
                    entries.push(Entry {
                        key,
                        value,
                        offset: 0,
                    });
                }
                entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                Self::Map(entries)
            }
            // Keys are taken above.
            Event::Key(_) => return Err(CodecError::Misuse("no key is due here")),
        })
    }

    /// The value in DAG-CBOR. Recursive; the writer ends it at its depth limit.
    pub(super) fn encoded(&mut self) -> Result<Encoded, CodecError> {
        let mut writer = Writer::new();
        self.write(&mut writer)?;
        writer.finish()
    }

    fn write(&mut self, writer: &mut Writer) -> Result<(), CodecError> {
        match self {
            Self::Null => writer.null(),
            Self::Bool(value) => writer.bool(*value),
            Self::Uint(value) => writer.u64(*value),
            Self::Nint(value) => writer.int(-1 - i128::from(*value)),
            Self::Float(value) => writer.float(*value),
            Self::Text(text) => writer.str(text),
            Self::Bytes(bytes) => writer.bytes(bytes),
            Self::Link(cid) => writer.link(cid),
            Self::List(items) => {
                writer.array(items.len())?;
                items.iter_mut().try_for_each(|item| item.write(writer))
            }
            Self::Map(entries) => {
                entries.sort_unstable_by(|a, b| canonical_key_order(&a.key, &b.key));
                writer.map(entries.len())?;
                entries.iter_mut().try_for_each(|entry| {
                    writer.key(&entry.key)?;
                    entry.value.write(writer)
                })
            }
        }
    }
}

/// Puts entries in the order of their keys' bytes. Errors: a key that is there twice, where it comes again.
pub(super) fn sort(entries: &mut [Entry<'_>]) -> Result<(), CodecError> {
    entries.sort_unstable_by(|a, b| (&a.key, a.offset).cmp(&(&b.key, b.offset)));
    let again = entries.windows(2).find_map(|pair| match pair {
        [one, other] if one.key == other.key => Some(other),
        _ => None,
    });
    again.map_or(Ok(()), |entry| {
        Err(CodecError::KeyTwice {
            offset: entry.offset,
            key: clip(&entry.key),
        })
    })
}
