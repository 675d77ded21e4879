//! A second tier is asked after the hot tables, by reads and by the judgement of a commit.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::sync::Arc;

use embedded::{bytes, name, node, put, set};
use treering_block::{Block, Cid, CidPrefix};
use treering_store::{
    BlockInfo, EmbeddedStore, Expect, OpenOptions, Result, Store, StoreError, Tier,
};

/// One block, under ordinal 1 of the common numbering.
struct Cold {
    block: Block,
    bytes: Vec<u8>,
}

impl Tier for Cold {
    fn ordinal(&self, cid: &Cid) -> Result<Option<u64>> {
        Ok((*cid == self.block.cid).then_some(1))
    }

    fn get(&self, cid: &Cid) -> Result<Option<Arc<[u8]>>> {
        Ok((*cid == self.block.cid).then(|| self.bytes.clone().into()))
    }

    fn prefix(&self, prefix: &CidPrefix, _limit: usize) -> Result<Vec<Cid>> {
        Ok(prefix
            .matches(&self.block.cid)
            .then_some(self.block.cid)
            .into_iter()
            .collect())
    }

    fn links(&self, ordinal: u64) -> Result<Option<Vec<u64>>> {
        Ok((ordinal == 1).then(Vec::new))
    }

    fn blocks(&self, after: u64, _limit: usize) -> Result<Vec<BlockInfo>> {
        let info = BlockInfo {
            ordinal: 1,
            cid: self.block.cid,
            size: self.block.bytes.len() as u64,
        };
        Ok((after < 1).then_some(info).into_iter().collect())
    }
}

fn over(directory: &std::path::Path, cold: Cold) -> EmbeddedStore {
    let options = OpenOptions {
        tiers: vec![Arc::new(cold)],
        ..OpenOptions::default()
    };
    EmbeddedStore::open(directory, &options).unwrap()
}

#[test]
fn what_is_cold_is_present() {
    let directory = tempfile::tempdir().unwrap();
    // Ordinal 1 is the cold block's: as after packing, it stood in the hot tables before.
    let cold = Block::raw(bytes(1, 100));
    {
        let store = embedded::open(directory.path());
        store.submit(put(vec![cold.clone()])).wait().unwrap();
        store.close().unwrap();
        let conn = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
        conn.execute_batch("DELETE FROM block; DELETE FROM graph; DELETE FROM hold")
            .unwrap();
    }
    let store = over(
        directory.path(),
        Cold {
            block: cold.clone(),
            bytes: cold.bytes.to_vec(),
        },
    );
    assert_eq!(store.get(&cold.cid).unwrap(), cold.bytes);
    assert!(store.has(&cold.cid).unwrap());
    let prefix = CidPrefix::parse(&cold.cid.to_string()[..16]).unwrap();
    assert_eq!(store.prefix(&prefix, 5).unwrap(), [cold.cid]);
    // Hot blocks and refs may link to it; putting it again stores nothing.
    let parent = node("parent", &[cold.cid]);
    let mut both = put(vec![cold.clone(), parent.clone()]);
    both.moves = vec![set(&name("t"), Expect::Absent, cold.cid)];
    assert_eq!(store.submit(both).wait().unwrap().new_blocks, 1);
    let all = store.blocks(0, 10).unwrap();
    assert_eq!(
        all.iter()
            .map(|info| (info.ordinal, info.cid))
            .collect::<Vec<_>>(),
        [(1, cold.cid), (2, parent.cid)]
    );
    // The totals speak of what was deleted by hand above; nothing else is amiss.
    let findings = store.verify(None).unwrap().findings;
    assert!(
        findings.iter().all(|finding| finding.which == "totals"),
        "{findings:?}"
    );
}

#[test]
fn wrong_bytes_of_a_tier_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let cold = Block::raw(bytes(1, 100));
    let store = over(
        directory.path(),
        Cold {
            block: cold.clone(),
            bytes: b"other".to_vec(),
        },
    );
    assert!(matches!(
        store.get(&cold.cid),
        Err(StoreError::Corrupt { .. })
    ));
}
