//! The bare lists below a vector's root: 1 to 32 links, or 1 to 32 elements.

use super::WIDTH;
use crate::cbor::{Encoded, Event, Reader, Writer};
use crate::collection::element::{Element, ill_typed, link_of, undecodable};
use crate::error::{BlockError, CodecError};
use crate::limits::Limits;
use crate::{Block, Cid};

pub(super) fn encode_links(links: &[Cid]) -> Result<Block, BlockError> {
    let list = encode(links, |link, writer| writer.link_ours(link))?;
    Block::from_encoded(list)
}

pub(super) fn encode_elements(elements: &[Element]) -> Result<Encoded, BlockError> {
    encode(elements, Element::write)
}

pub(super) fn decode_links(cid: &Cid, bytes: &[u8]) -> Result<Vec<Cid>, BlockError> {
    items(cid, bytes)?
        .into_iter()
        .map(|item| link_of(cid, item)?.ok_or_else(|| ill_typed(cid, "a list of links")))
        .collect()
}

pub(super) fn decode_elements(cid: &Cid, bytes: &[u8]) -> Result<Vec<Element>, BlockError> {
    let items = items(cid, bytes)?.into_iter();
    items.map(|item| Element::read(cid, item)).collect()
}

fn encode<T>(
    items: &[T],
    write: impl Fn(&T, &mut Writer) -> Result<(), CodecError>,
) -> Result<Encoded, BlockError> {
    let mut writer = Writer::with_limits(Limits::NODE);
    writer.array(items.len())?;
    items.iter().try_for_each(|item| write(item, &mut writer))?;
    Ok(writer.finish()?)
}

/// The items of a list of at least one and at most 32, each as its bytes.
fn items<'b>(cid: &Cid, bytes: &'b [u8]) -> Result<Vec<&'b [u8]>, BlockError> {
    let failed = |source| undecodable(cid, source);
    let mut reader = Reader::with_limits(bytes, Limits::NODE).map_err(failed)?;
    let length = match reader.next().map_err(failed)? {
        Event::Array(length) if (1..=WIDTH as usize).contains(&length) => length,
        _ => return Err(ill_typed(cid, "a list of 1 to 32")),
    };
    let mut found = Vec::with_capacity(length);
    for _ in 0..length {
        found.push(reader.skip_value().map_err(failed)?);
    }
    reader.finish().map_err(failed)?;
    Ok(found)
}
