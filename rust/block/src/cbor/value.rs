//! Whole values: [`Ipld`] to DAG-CBOR and back.
//!
//! Promises: `decode` and `encode` are inverse to each other; recursion ends at the reader's and
//! writer's depth limit; `decode` takes at most 1 MiB and 128 times its input. For that it refuses what
//! is made of small maps without end: what may be that is read with the [`Reader`].
//! Never: no knowledge of the node profile.

use std::collections::BTreeMap;

use super::{Event, LinkSet, Reader, Writer, canonical_key_order};
use crate::error::{CodecError, LimitKind};
use crate::{AnyCid, Ipld};

/// What an [`Ipld`] map takes before its second entry, at most: a leaf with room for eleven.
const MAP_BYTES: usize = 11 * (size_of::<String>() + size_of::<Ipld>()) + 32;
/// What `decode` may take beside 128 bytes for each of its input.
const FREE_BYTES: usize = 1 << 20;
/// Of these 128, what is left for maps: each item takes one [`Ipld`].
const MAPS_SHARE: usize = 128 - size_of::<Ipld>();

/// The DAG-CBOR bytes of a value.
///
/// # Errors
/// NaN, infinities, integers beyond −2⁶⁴ … 2⁶⁴−1, depth over
/// [`crate::limits::CODEC_DEPTH_MAX`].
pub fn encode(value: &Ipld) -> Result<Vec<u8>, CodecError> {
    let mut writer = Writer::new();
    write(&mut writer, value)?;
    writer.finish().map(super::Encoded::into_bytes)
}

/// The value of DAG-CBOR bytes.
///
/// # Errors
/// Anything but one strict DAG-CBOR value, with its offset; [`CodecError::Limit`] for more maps than fit
/// the memory that its length allows: some 700, and one for every hundred bytes.
pub fn decode(bytes: &[u8]) -> Result<Ipld, CodecError> {
    let mut reader = Reader::new(bytes);
    let maps_max = (FREE_BYTES + MAPS_SHARE.saturating_mul(bytes.len())) / MAP_BYTES;
    let mut maps = Maps {
        left: maps_max,
        max: maps_max,
    };
    let value = read(&mut reader, &mut maps)?;
    reader.finish()?;
    Ok(value)
}

/// Every link in a DAG-CBOR value, in order, each once.
///
/// # Errors
/// As for [`decode`].
pub fn links(bytes: &[u8]) -> Result<Vec<AnyCid>, CodecError> {
    let mut reader = Reader::new(bytes);
    let mut links = LinkSet::default();
    reader.value(|event| {
        if let Event::Link(link) = event {
            links.insert(link.cid());
        }
        Ok::<(), CodecError>(())
    })?;
    reader.finish()?;
    Ok(links.into_vec())
}

pub(super) fn write(writer: &mut Writer, value: &Ipld) -> Result<(), CodecError> {
    match value {
        Ipld::Null => writer.null(),
        Ipld::Bool(value) => writer.bool(*value),
        Ipld::Integer(value) => writer.int(*value),
        Ipld::Float(value) => writer.float(*value),
        Ipld::String(value) => writer.str(value),
        Ipld::Bytes(value) => writer.bytes(value),
        Ipld::Link(cid) => writer.link(cid),
        Ipld::List(items) => {
            writer.array(items.len())?;
            items.iter().try_for_each(|item| write(writer, item))
        }
        Ipld::Map(entries) => {
            writer.map(entries.len())?;
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_unstable_by(|a, b| canonical_key_order(a.0, b.0));
            sorted.into_iter().try_for_each(|(key, item)| {
                writer.key(key)?;
                write(writer, item)
            })
        }
    }
}

/// Maps that may still come.
struct Maps {
    left: usize,
    max: usize,
}

impl Maps {
    fn take(&mut self) -> Result<(), CodecError> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(CodecError::Limit {
                what: LimitKind::Maps,
                limit: self.max as u64,
                actual: self.max as u64 + 1,
            }),
        }
    }
}

/// Recursive; the reader ends it at its depth limit.
fn read(reader: &mut Reader<'_>, maps: &mut Maps) -> Result<Ipld, CodecError> {
    let event = reader.next()?;
    if let Some(value) = event.int() {
        return Ok(Ipld::Integer(value));
    }
    Ok(match event {
        Event::Null => Ipld::Null,
        Event::Bool(value) => Ipld::Bool(value),
        Event::Float(value) => Ipld::Float(value),
        Event::Str(value) => Ipld::String(value.to_owned()),
        Event::Bytes(value) => Ipld::Bytes(value.to_owned()),
        Event::Link(link) => Ipld::Link(link.cid()),
        Event::Array(length) => {
            // The reader has seen at least one byte for each item.
            let mut items = Vec::with_capacity(length);
            for _ in 0..length {
                items.push(read(reader, maps)?);
            }
            Ipld::List(items)
        }
        Event::Map(length) => {
            if length > 0 {
                maps.take()?;
            }
            let mut entries = BTreeMap::new();
            for _ in 0..length {
                let key = reader.key()?.to_owned();
                entries.insert(key, read(reader, maps)?);
            }
            Ipld::Map(entries)
        }
        // Keys are taken above, integers before.
        Event::Key(_) | Event::Uint(_) | Event::Nint(_) => {
            return Err(CodecError::Misuse("no key is due here"));
        }
    })
}
