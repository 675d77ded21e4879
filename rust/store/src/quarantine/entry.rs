//! What a quarantined ref is kept as: a node that says what is known of it and links to all that is left.
//!
//! The node and its parts are ordinary blocks behind an ordinary ref, so gc keeps what they link to, a
//! backup takes them along and the journal has them.
//! Promises: one entry has one encoding; what is written reads back.

use std::collections::BTreeMap;

use treering_block::{AnyCid, Block, BlockError, Cid, Encoded, Ipld, cbor};

use crate::commit::RefValue;
use crate::error::{Result, StoreError};

/// Links and copies in one part.
pub(super) const PART_ITEMS_MAX: usize = 2000;
/// Lost blocks that are named.
pub(super) const LOST_NAMED_MAX: usize = 1000;

/// A ref that was put into quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRef {
    /// Its encoded name; of a row whose name is broken, with `\xNN` for bytes that no name has.
    pub name: String,
    /// What was wrong with it; empty for one that came along.
    pub why: String,
    /// Where it stood, by its row or by the journal. None: neither says. The target may be gone.
    pub stood: Option<RefValue>,
    /// The newest earlier state of the journal whose blocks are all there, if the last one's are not.
    pub whole: Option<RefValue>,
    /// The row's columns as they were read (name, version, target, position, record, check), if the row
    /// was broken.
    pub row: Option<Vec<Vec<u8>>>,
}

/// Some refs, put aside together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Which.
    pub refs: Vec<EntryRef>,
    /// Blocks that they reach and that are gone or damaged; the first thousand.
    pub lost: Vec<Cid>,
    /// Nodes that hold the rest; see [`Part`].
    pub parts: Vec<Cid>,
}

/// A piece of what is left of a quarantined ref.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Blocks that are whole with all that they link to.
    pub keep: Vec<Cid>,
    /// Blocks that can be read, or whose damaged bytes can, while something that they link to can not: their
    /// name, and a raw block of their bytes. Children stand before who links to them.
    pub copies: Vec<(Cid, Cid)>,
}

fn bytes_of(cid: &Cid) -> Ipld {
    Ipld::Bytes(cid.to_bytes().to_vec())
}

fn value(value: Option<&RefValue>) -> Ipld {
    value.map_or(Ipld::Null, |value| {
        Ipld::List(vec![
            Ipld::Integer(value.version.into()),
            bytes_of(&value.target),
            Ipld::Bytes(value.record.clone()),
        ])
    })
}

fn map<const N: usize>(entries: [(&str, Ipld); N]) -> Ipld {
    let owned = entries.map(|(key, value)| (key.to_owned(), value));
    Ipld::Map(BTreeMap::from(owned))
}

fn block(value: &Ipld) -> Result<Block> {
    let encoded = Encoded::from_ipld(value).map_err(BlockError::from)?;
    Ok(Block::from_encoded(encoded)?)
}

impl Entry {
    /// The entry as a node. Errors: `Block` when it is longer than a node may be.
    pub(crate) fn encode(&self) -> Result<Block> {
        let refs = self.refs.iter().map(|one| {
            let row = one.row.as_ref().map_or(Ipld::Null, |row| {
                Ipld::List(row.iter().cloned().map(Ipld::Bytes).collect())
            });
            map([
                ("name", Ipld::String(one.name.clone())),
                ("row", row),
                ("stood", value(one.stood.as_ref())),
                ("whole", value(one.whole.as_ref())),
                ("why", Ipld::String(one.why.clone())),
            ])
        });
        let lost = self.lost.iter().take(LOST_NAMED_MAX).map(bytes_of);
        let parts = self.parts.iter().map(|cid| Ipld::Link((*cid).into()));
        block(&map([
            ("kind", Ipld::String("quarantine".into())),
            ("at_ms", Ipld::Integer(self.at_ms.into())),
            ("refs", Ipld::List(refs.collect())),
            ("lost", Ipld::List(lost.collect())),
            ("parts", Ipld::List(parts.collect())),
        ]))
    }

    /// The entry of a node. Errors: `Corrupt` naming the block for any other bytes.
    pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self> {
        read(cid, bytes, "quarantine", |fields| {
            Some(Self {
                at_ms: i64::try_from(integer(fields.get("at_ms")?)?).ok()?,
                refs: list(fields.get("refs")?)?
                    .iter()
                    .map(entry_ref)
                    .collect::<Option<_>>()?,
                lost: list(fields.get("lost")?)?
                    .iter()
                    .map(named)
                    .collect::<Option<_>>()?,
                parts: list(fields.get("parts")?)?
                    .iter()
                    .map(linked)
                    .collect::<Option<_>>()?,
            })
        })
    }
}

impl Part {
    pub(super) fn encode(&self) -> Result<Block> {
        let keep = self.keep.iter().map(|cid| Ipld::Link((*cid).into()));
        let copies = self
            .copies
            .iter()
            .map(|(cid, copy)| Ipld::List(vec![bytes_of(cid), Ipld::Link((*copy).into())]));
        block(&map([
            ("kind", Ipld::String("quarantine-part".into())),
            ("keep", Ipld::List(keep.collect())),
            ("copies", Ipld::List(copies.collect())),
        ]))
    }

    /// The part of a node. Errors: `Corrupt` naming the block for any other bytes.
    pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self> {
        read(cid, bytes, "quarantine-part", |fields| {
            let copy = |item: &Ipld| match list(item)? {
                [cid, copy] => Some((named(cid)?, linked(copy)?)),
                _ => None,
            };
            Some(Self {
                keep: list(fields.get("keep")?)?
                    .iter()
                    .map(linked)
                    .collect::<Option<_>>()?,
                copies: list(fields.get("copies")?)?
                    .iter()
                    .map(copy)
                    .collect::<Option<_>>()?,
            })
        })
    }
}

fn read<T>(
    cid: &Cid,
    bytes: &[u8],
    kind: &str,
    fields: impl FnOnce(&BTreeMap<String, Ipld>) -> Option<T>,
) -> Result<T> {
    match cbor::decode(bytes) {
        Ok(Ipld::Map(map)) if map.get("kind") == Some(&Ipld::String(kind.to_owned())) => {
            fields(&map)
        }
        _ => None,
    }
    .ok_or_else(|| StoreError::Corrupt {
        what: "quarantine entry",
        which: cid.to_string(),
        detail: format!("it is no {kind} node"),
    })
}

fn list(value: &Ipld) -> Option<&[Ipld]> {
    match value {
        Ipld::List(items) => Some(items),
        _ => None,
    }
}

fn integer(value: &Ipld) -> Option<i128> {
    match value {
        Ipld::Integer(value) => Some(*value),
        _ => None,
    }
}

fn text(value: &Ipld) -> Option<String> {
    match value {
        Ipld::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn bytes(value: &Ipld) -> Option<&[u8]> {
    match value {
        Ipld::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn named(value: &Ipld) -> Option<Cid> {
    Cid::from_bytes(bytes(value)?).ok()
}

fn linked(value: &Ipld) -> Option<Cid> {
    match value {
        Ipld::Link(link) => {
            let link: &AnyCid = link;
            Cid::try_from(link).ok()
        }
        _ => None,
    }
}

fn entry_ref(item: &Ipld) -> Option<EntryRef> {
    let Ipld::Map(fields) = item else { return None };
    let value = |key: &str| -> Option<Option<RefValue>> {
        match fields.get(key)? {
            Ipld::Null => Some(None),
            other => match list(other)? {
                [version, target, record] => Some(Some(RefValue {
                    version: u64::try_from(integer(version)?).ok()?,
                    target: named(target)?,
                    record: bytes(record)?.to_vec(),
                })),
                _ => None,
            },
        }
    };
    let row = match fields.get("row")? {
        Ipld::Null => None,
        other => Some(
            list(other)?
                .iter()
                .map(|cell| bytes(cell).map(<[u8]>::to_vec))
                .collect::<Option<_>>()?,
        ),
    };
    Some(EntryRef {
        name: text(fields.get("name")?)?,
        why: text(fields.get("why")?)?,
        stood: value("stood")?,
        whole: value("whole")?,
        row,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_and_its_parts_read_back() {
        let (one, two) = (Cid::of_raw(b"1"), Cid::of_node(b"2"));
        let stood = RefValue {
            version: 9,
            target: two,
            record: vec![1, 2],
        };
        let broken = EntryRef {
            name: r"main/thread/\xFF".into(),
            why: "the row does not match its check".into(),
            stood: None,
            whole: Some(stood.clone()),
            row: Some(vec![vec![0xff], vec![]]),
        };
        let along = EntryRef {
            name: "main/thread-key/k".into(),
            why: String::new(),
            stood: Some(stood),
            whole: None,
            row: None,
        };
        let entry = Entry {
            at_ms: -1,
            refs: vec![broken, along],
            lost: vec![one, two],
            parts: vec![two],
        };
        let block = entry.encode().unwrap();
        assert_eq!(block.links, [two], "what is lost is no link");
        assert_eq!(Entry::decode(&block.cid, &block.bytes).unwrap(), entry);
        let part = Part {
            keep: vec![two],
            copies: vec![(two, one)],
        };
        let block = part.encode().unwrap();
        assert_eq!(
            block.links,
            [one, two]
                .map(|cid| cid)
                .into_iter()
                .rev()
                .collect::<Vec<_>>()
        );
        assert_eq!(Part::decode(&block.cid, &block.bytes).unwrap(), part);
        assert!(Entry::decode(&block.cid, &block.bytes).is_err());
        for cut in 0..block.bytes.len() {
            assert!(Part::decode(&block.cid, &block.bytes[..cut]).is_err());
        }
    }
}
