//! A block: immutable bytes under their CID, with the links that they hold.
//!
//! Promises: the constructors compute CID and links from the bytes; a node keeps our profile (links
//! ours, depth, size and number of links within [`crate::limits`]).
//! Never: it does not know whether its links are present anywhere.

use std::sync::Arc;

use crate::cbor::{Encoded, Event, LinkRef, LinkSet, Reader};
use crate::error::{BlockError, CidError, CodecError, LimitKind};
use crate::limits::Limits;
use crate::{Cid, Codec};

/// Bytes, their CID and their links (in order, each once; none if raw). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The name of `bytes`.
    pub cid: Cid,
    /// The content.
    pub bytes: Arc<[u8]>,
    /// The links that the content holds.
    pub links: Vec<Cid>,
}

impl Block {
    /// The block of bytes without structure.
    #[must_use]
    pub fn raw(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self {
            cid: Cid::of_raw(&bytes),
            bytes,
            links: Vec::new(),
        }
    }

    /// The block of a node's bytes.
    ///
    /// # Errors
    /// As for [`check_node`].
    pub fn node(bytes: impl Into<Arc<[u8]>>) -> Result<Self, BlockError> {
        let bytes = bytes.into();
        let links = check_node(&bytes)?;
        Ok(Self {
            cid: Cid::of_node(&bytes),
            bytes,
            links,
        })
    }

    /// The block of an encoded value, as a node.
    ///
    /// # Errors
    /// [`CodecError::Limit`] and [`CidError::Foreign`]: a value may be more than a node may.
    pub fn from_encoded(value: Encoded) -> Result<Self, BlockError> {
        let limits = Limits::NODE;
        within(LimitKind::Bytes, limits.bytes_max, value.bytes().len())?;
        within(LimitKind::Depth, limits.depth_max, value.depth())?;
        within(LimitKind::Links, limits.links_max, value.links().len())?;
        let links = value
            .links()
            .iter()
            .map(Cid::try_from)
            .collect::<Result<_, CidError>>()?;
        let cid = Cid::of_node(value.bytes());
        Ok(Self {
            cid,
            bytes: value.into_bytes().into(),
            links,
        })
    }

    /// The block that was stored as `cid`; only its hash is checked and the links are read.
    ///
    /// # Errors
    /// [`BlockError::Mismatch`] if the bytes are not those; [`BlockError::Undecodable`] if they are
    /// and still no node.
    pub fn stored(cid: Cid, bytes: impl Into<Arc<[u8]>>) -> Result<Self, BlockError> {
        let bytes = bytes.into();
        Self::verify(&cid, &bytes)?;
        let links = match cid.codec() {
            Codec::Raw => Vec::new(),
            Codec::DagCbor => check_node(&bytes).map_err(|error| error.stored_in(cid))?,
        };
        Ok(Self { cid, bytes, links })
    }

    /// Checks that `bytes` are what `cid` names. O(len).
    ///
    /// # Errors
    /// [`BlockError::Mismatch`].
    pub fn verify(cid: &Cid, bytes: &[u8]) -> Result<(), BlockError> {
        let actual = Cid::of(cid.codec(), bytes);
        if actual == *cid {
            Ok(())
        } else {
            Err(BlockError::Mismatch { cid: *cid, actual })
        }
    }
}

/// The links of a node, in order, each once, after a check against our profile.
///
/// # Errors
/// [`CodecError`] for what is not strict DAG-CBOR or over a limit; [`CidError::Foreign`] for a link
/// to a CID that this store can not hold.
pub fn check_node(bytes: &[u8]) -> Result<Vec<Cid>, BlockError> {
    let mut reader = Reader::with_limits(bytes, Limits::NODE)?;
    let mut links = LinkSet::default();
    reader.value(|event| match event {
        Event::Link(link) => see_link(&mut links, link),
        _ => Ok(()),
    })?;
    reader.finish()?;
    Ok(links.into_vec())
}

fn see_link(links: &mut LinkSet<Cid>, link: LinkRef<'_>) -> Result<(), BlockError> {
    let cid = match link.ours() {
        Some(cid) => cid,
        None => Cid::try_from(&link.cid())?,
    };
    links.insert(cid);
    within(LimitKind::Links, Limits::NODE.links_max, links.len())
}

fn within(what: LimitKind, limit: usize, actual: usize) -> Result<(), BlockError> {
    if actual > limit {
        return Err(CodecError::Limit {
            what,
            limit: limit as u64,
            actual: actual as u64,
        }
        .into());
    }
    Ok(())
}
