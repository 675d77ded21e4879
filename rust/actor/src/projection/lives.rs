//! What a checkpoint says of a source, and of which life of its scope.
//!
//! A scope that was erased may be used again, and its actors count from 1 anew. So what was seen is said with the note of
//! the erasure that came before it: a version alone, or [version, 16 bytes: the note's id]. Of the projection's own scope it
//! is a version alone: the projection goes with the scope, and what was erased of that name before it came (by a fork, an import)
//! is nothing of it.
//! Promises: what was seen of an erased scope is nothing of what comes after. A store without that note, where the
//! projection was copied to, takes it for what it is.

use std::collections::BTreeMap;

use treering_block::{Encoded, Event as Item, Ipld, Reader as Bytes};
use treering_store::StoreError;

/// By scope as sources say it (nothing for the projection's own): the newest note of its erasure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lives(pub(super) BTreeMap<String, [u8; 16]>);

impl Lives {
    fn of(&self, source: &str) -> Option<[u8; 16]> {
        let (scope, _) = source.split_once('/')?;
        let another = (!scope.is_empty()).then_some(scope)?;
        self.0.get(another).copied()
    }

    /// What stands in a checkpoint for a version of now.
    pub(super) fn encoded(&self, source: &str, version: u64) -> Result<Encoded, StoreError> {
        let version = Ipld::Integer(i128::from(version));
        let value = match self.of(source) {
            Some(note) => Ipld::List(vec![version, Ipld::Bytes(note.to_vec())]),
            None => version,
        };
        Encoded::from_ipld(&value).map_err(|error| treering_block::BlockError::from(error).into())
    }

    /// The version that a value stands for; None for one of an earlier life.
    pub(super) fn seen(&self, source: &str, value: &Encoded) -> Result<Option<u64>, StoreError> {
        let (version, note) = read(value).ok_or_else(|| StoreError::Corrupt {
            what: "checkpoint",
            which: source.to_owned(),
            detail: "it is no version".to_owned(),
        })?;
        let now = self.of(source);
        Ok((now.is_none() || now == note).then_some(version))
    }
}

fn read(value: &Encoded) -> Option<(u64, Option<[u8; 16]>)> {
    let mut input = Bytes::new(value.bytes());
    match input.next().ok()? {
        Item::Uint(version) => Some((version, None)),
        Item::Array(2) => {
            let Item::Uint(version) = input.next().ok()? else {
                return None;
            };
            let Item::Bytes(note) = input.next().ok()? else {
                return None;
            };
            Some((version, Some(note.try_into().ok()?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_counts_in_the_life_that_it_was_seen_in() {
        let lives = |notes: &[(&str, u8)]| {
            let notes = notes.iter().map(|(of, id)| ((*of).to_owned(), [*id; 16]));
            Lives(notes.collect())
        };
        let (never, first) = (lives(&[]), lives(&[("alice", 1), ("", 3)]));
        let second = lives(&[("alice", 2), ("", 3)]);
        for (source, own) in [("alice/chat/x", false), ("/chat/x", true)] {
            let old = never.encoded(source, 7).unwrap();
            let new = first.encoded(source, 2).unwrap();
            assert_eq!(never.seen(source, &old).unwrap(), Some(7));
            assert_eq!(never.seen(source, &new).unwrap(), Some(2));
            assert_eq!(first.seen(source, &old).unwrap(), own.then_some(7));
            assert_eq!(first.seen(source, &new).unwrap(), Some(2));
            assert_eq!(second.seen(source, &new).unwrap(), own.then_some(2));
        }
        let bob = first.encoded("bob/chat/x", 5).unwrap();
        assert_eq!(second.seen("bob/chat/x", &bob).unwrap(), Some(5));
        for broken in [
            Ipld::String("x".into()),
            Ipld::List(vec![Ipld::Integer(1)]),
            Ipld::List(vec![Ipld::Integer(1), Ipld::Bytes(vec![1; 15])]),
        ] {
            let broken = Encoded::from_ipld(&broken).unwrap();
            assert!(never.seen("a/chat/x", &broken).is_err());
        }
    }
}
