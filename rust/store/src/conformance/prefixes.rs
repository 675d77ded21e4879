//! Look-up by the beginning of a CID's text.

use std::collections::BTreeMap;

use treering_block::{Block, Cid, CidPrefix};

use super::material::{done, fresh, node, put, raw};
use super::{Backend, cases};
use crate::error::StoreError;
use crate::store::CANDIDATES_MAX;

cases!("prefixes":
    every_length_finds_its_block,
    answers_are_what_comparing_texts_gives,
    an_ambiguous_prefix_names_its_candidates,
    codecs_do_not_mix,
);

fn parse(text: &str) -> CidPrefix {
    CidPrefix::parse(text).unwrap()
}

fn every_length_finds_its_block(backend: &dyn Backend) {
    let store = fresh(backend);
    let blocks = [raw("a"), node("b", &[])];
    done(&*store, put(blocks.clone()));
    for block in &blocks {
        let text = block.cid.to_string();
        for length in 12..=text.len() {
            assert_eq!(
                store.prefix(&parse(&text[..length]), 9).unwrap(),
                [block.cid]
            );
        }
        assert_eq!(
            store.find(&parse(&block.cid.short())).unwrap(),
            Some(block.cid)
        );
    }
    assert_eq!(
        store.find(&parse(&raw("absent").cid.to_string())).unwrap(),
        None
    );
    assert!(
        store
            .prefix(&parse(&raw("a").cid.to_string()), 0)
            .unwrap()
            .is_empty()
    );
}

/// Enough blocks that some share 12 characters, and that every first byte of a digest is there.
fn crowd() -> Vec<Block> {
    (0..20_000_u32)
        .map(|index| raw(index.to_le_bytes()))
        .collect()
}

/// Every 12-character beginning that more than one of the crowd has, with those that have it in order.
fn shared(crowd: &[Block]) -> Vec<(String, Vec<Cid>)> {
    let mut by_text: BTreeMap<String, Vec<Cid>> = BTreeMap::new();
    for block in crowd {
        by_text
            .entry(block.cid.to_string()[..12].to_owned())
            .or_default()
            .push(block.cid);
    }
    let mut shared: Vec<_> = by_text
        .into_iter()
        .filter(|(_, cids)| cids.len() > 1)
        .collect();
    shared.iter_mut().for_each(|(_, cids)| cids.sort());
    assert!(
        !shared.is_empty(),
        "the crowd is large enough for a shared beginning"
    );
    shared
}

fn answers_are_what_comparing_texts_gives(backend: &dyn Backend) {
    let store = fresh(backend);
    let crowd = crowd();
    for part in crowd.chunks(5000) {
        done(&*store, put(part.to_vec()));
    }
    for (text, cids) in shared(&crowd) {
        assert_eq!(store.prefix(&parse(&text), usize::MAX).unwrap(), cids);
        assert_eq!(store.prefix(&parse(&text), 1).unwrap(), cids[..1]);
    }
    let mut digests: Vec<Cid> = crowd.iter().map(|block| block.cid).collect();
    digests.sort();
    let mut edges: Vec<Cid> = vec![digests[0], digests[digests.len() - 1]];
    // Where a signed reading of the digest's first bytes would turn over.
    edges.extend(
        [0x7f, 0x80]
            .iter()
            .map(|byte| *digests.iter().find(|cid| cid.digest()[0] == *byte).unwrap()),
    );
    for cid in edges.iter().chain(digests.iter().step_by(199)) {
        let text = cid.to_string();
        let matching: Vec<Cid> = digests
            .iter()
            .filter(|other| other.to_string().starts_with(&text[..12]))
            .copied()
            .collect();
        assert_eq!(
            store.prefix(&parse(&text[..12]), usize::MAX).unwrap(),
            matching
        );
    }
}

fn an_ambiguous_prefix_names_its_candidates(backend: &dyn Backend) {
    let store = fresh(backend);
    let (text, cids) = shared(&crowd()).swap_remove(0);
    let members = crowd()
        .into_iter()
        .filter(|block| cids.contains(&block.cid));
    done(&*store, put(members));
    match store.find(&parse(&text)) {
        Err(StoreError::Ambiguous { prefix, candidates }) => {
            assert_eq!(prefix, text);
            assert_eq!(candidates, cids[..cids.len().min(CANDIDATES_MAX)]);
        }
        other => panic!("{other:?}"),
    }
    for cid in &cids {
        assert_eq!(store.find(&parse(&cid.to_string())).unwrap(), Some(*cid));
    }
}

fn codecs_do_not_mix(backend: &dyn Backend) {
    let store = fresh(backend);
    let as_node = node("x", &[]);
    let as_bytes = raw(&as_node.bytes);
    done(&*store, put([as_node.clone(), as_bytes.clone()]));
    for block in [as_node, as_bytes] {
        assert_eq!(
            store
                .prefix(&parse(&block.cid.to_string()[..12]), 9)
                .unwrap(),
            [block.cid]
        );
    }
}
