//! Blocks: what goes in comes out, once, under its own name.

use treering_block::{Block, Cid};

use super::material::{assert_sound, done, fresh, node, put, raw, refusal};
use super::{Backend, cases};
use crate::commit::BLOB_BYTES_MIN;
use crate::error::StoreError;

cases!("blocks":
    bytes_come_back,
    the_same_bytes_are_stored_once,
    identical_bytes_of_two_codecs_are_two_blocks,
    an_absent_block_is_named,
    presence_is_answered_in_order,
    large_blocks_come_back,
    blocks_are_listed_by_ordinal,
    dangling_links_are_refused,
    counters_are_exact,
);

fn bytes_come_back(backend: &dyn Backend) {
    let store = fresh(backend);
    let leaf = raw("");
    let blocks = [
        leaf.clone(),
        raw([0]),
        raw([0xff; 1000]),
        node("x", &[leaf.cid]),
    ];
    let answer = done(&*store, put(blocks.clone()));
    assert_eq!((answer.new_blocks, answer.position), (4, 1));
    assert_eq!(
        answer.new_bytes,
        blocks
            .iter()
            .map(|block| block.bytes.len() as u64)
            .sum::<u64>()
    );
    for block in &blocks {
        assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
        assert!(store.has(&block.cid).unwrap());
    }
    assert_sound(&*store);
}

fn the_same_bytes_are_stored_once(backend: &dyn Backend) {
    let store = fresh(backend);
    let first = done(&*store, put([raw("a"), raw("a"), raw("b")]));
    assert_eq!((first.new_blocks, first.new_bytes), (2, 2));
    let again = done(&*store, put([raw("b"), raw("a")]));
    assert_eq!((again.new_blocks, again.new_bytes), (0, 0));
    assert_eq!(
        again.position, first.position,
        "a put of what is there is no history"
    );
    let more = done(&*store, put([raw("a"), raw("c")]));
    assert_eq!((more.new_blocks, more.position), (1, first.position + 1));
    assert_eq!(store.stats().unwrap().blocks, 3);
    assert_sound(&*store);
}

fn identical_bytes_of_two_codecs_are_two_blocks(backend: &dyn Backend) {
    let store = fresh(backend);
    let as_node = node("x", &[]);
    let as_bytes = raw(&as_node.bytes);
    assert_eq!(as_node.cid.digest(), as_bytes.cid.digest());
    done(&*store, put([as_node.clone()]));
    assert_eq!(
        store.has_many(&[as_bytes.cid, as_node.cid]).unwrap(),
        [false, true]
    );
    assert!(
        matches!(store.get(&as_bytes.cid), Err(StoreError::BlockNotFound(cid)) if cid == as_bytes.cid)
    );
    assert_eq!(done(&*store, put([as_bytes.clone()])).new_blocks, 1);
    assert_eq!(store.get(&as_bytes.cid).unwrap(), as_bytes.bytes);
    let ordinals: Vec<_> = store
        .blocks(0, 9)
        .unwrap()
        .into_iter()
        .map(|info| info.cid)
        .collect();
    assert_eq!(ordinals, [as_node.cid, as_bytes.cid]);
    let stats = store.stats().unwrap();
    assert_eq!((stats.blocks, stats.nodes), (2, 1));
    assert_sound(&*store);
}

fn an_absent_block_is_named(backend: &dyn Backend) {
    let store = fresh(backend);
    let absent = raw("absent").cid;
    assert!(matches!(store.get(&absent), Err(StoreError::BlockNotFound(cid)) if cid == absent));
    assert!(!store.has(&absent).unwrap());
}

fn presence_is_answered_in_order(backend: &dyn Backend) {
    let store = fresh(backend);
    done(&*store, put([raw("a"), raw("b")]));
    let [a, b, c] = ["a", "b", "c"].map(|text| raw(text).cid);
    assert_eq!(
        store.has_many(&[c, b, a, c, a]).unwrap(),
        [false, true, true, false, true]
    );
    assert_eq!(store.has_many(&[]).unwrap(), [] as [bool; 0]);
}

/// Around the size from which a block may be a file of its own, and well above.
fn large_blocks_come_back(backend: &dyn Backend) {
    let store = fresh(backend);
    let bytes =
        |size: usize| -> Vec<u8> { (0..size).map(|index| (index * 31 % 251) as u8).collect() };
    let sizes = [
        BLOB_BYTES_MIN - 1,
        BLOB_BYTES_MIN,
        BLOB_BYTES_MIN + 1,
        5 << 20,
    ];
    let blocks: Vec<Block> = sizes.iter().map(|size| raw(bytes(*size))).collect();
    let links: Vec<Cid> = blocks.iter().map(|block| block.cid).collect();
    let top = node("top", &links);
    let answer = done(&*store, put(blocks.iter().cloned().chain([top.clone()])));
    assert_eq!(answer.new_blocks, 5);
    for block in &blocks {
        assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
    }
    assert_eq!(done(&*store, put(blocks)).new_blocks, 0);
    let listed: Vec<u64> = store
        .blocks(0, 4)
        .unwrap()
        .iter()
        .map(|info| info.size)
        .collect();
    assert_eq!(listed, sizes.map(|size| size as u64));
    assert_sound(&*store);
}

fn blocks_are_listed_by_ordinal(backend: &dyn Backend) {
    let store = fresh(backend);
    let blocks: Vec<Block> = (0..25).map(|index: u8| raw([index; 3])).collect();
    for pair in blocks.chunks(2) {
        done(&*store, put(pair.to_vec()));
    }
    let all = store.blocks(0, usize::MAX).unwrap();
    assert!(all.is_sorted_by(|a, b| a.ordinal < b.ordinal));
    assert!(all[0].ordinal > 0, "0 is before the first");
    assert!(all.iter().all(|info| info.size == 3));
    assert_eq!(
        all.iter().map(|info| info.cid).collect::<Vec<_>>(),
        blocks.iter().map(|block| block.cid).collect::<Vec<_>>()
    );
    let (mut paged, mut after) = (Vec::new(), 0);
    loop {
        let page = store.blocks(after, 4).unwrap();
        let Some(last) = page.last() else { break };
        after = last.ordinal;
        paged.extend(page);
    }
    assert_eq!(paged, all);
    assert!(store.blocks(after, 4).unwrap().is_empty());
    assert!(store.blocks(u64::MAX, 4).unwrap().is_empty());
    assert!(store.blocks(0, 0).unwrap().is_empty());
}

fn dangling_links_are_refused(backend: &dyn Backend) {
    let store = fresh(backend);
    let (leaf, absent) = (raw("leaf"), raw("absent"));
    done(&*store, put([leaf.clone()]));
    let dangling = node("top", &[leaf.cid, absent.cid]);
    for blocks in [
        vec![dangling.clone()],
        // What comes with it and is fine is not kept either.
        vec![raw("baggage"), node("fine", &[leaf.cid]), dangling.clone()],
        // Parents before children.
        vec![dangling.clone(), absent.clone()],
    ] {
        match refusal(&*store, put(blocks)) {
            StoreError::LinkMissing { from, link } => {
                assert_eq!(link, absent.cid);
                assert!(from.contains(&dangling.cid.to_string()), "{from}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(done(&*store, put([absent, dangling])).new_blocks, 2);
    assert_sound(&*store);
}

fn counters_are_exact(backend: &dyn Backend) {
    let store = fresh(backend);
    let before = store.counters();
    done(&*store, put([raw("a"), raw("bb"), raw("a")]));
    done(&*store, put([raw("a")]));
    refusal(&*store, put([node("x", &[raw("absent").cid])]));
    store.get(&raw("a").cid).unwrap();
    store.get(&raw("bb").cid).unwrap();
    store.get(&raw("absent").cid).unwrap_err();
    let after = store.counters();
    assert_eq!(after.blocks_written - before.blocks_written, 2);
    assert_eq!(after.block_bytes_written - before.block_bytes_written, 3);
    assert_eq!(after.blocks_read - before.blocks_read, 2);
    assert_eq!(after.requests - before.requests, 3);
}
