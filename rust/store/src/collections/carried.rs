//! Versions that a commit takes along, because a node in it links to their roots.

use std::sync::Arc;

use treering_block::{Block, Cid};

use crate::collections::{Rooted, Unstored};
use crate::error::Result;
use crate::store::Store;

/// Collections that a value links to.
#[derive(Clone, Debug, Default)]
pub struct Carried(pub Vec<Rooted>);

/// What a commit brings along: to be told once that has landed.
#[derive(Clone, Default)]
pub struct Landing(Vec<Part>);

#[derive(Clone)]
struct Part {
    store: Arc<dyn Store>,
    unstored: Arc<Unstored>,
    blocks: Vec<Cid>,
}

impl Carried {
    /// The blocks that a commit to `store` has to bring, children first; nothing is written.
    ///
    /// Errors: those of reading.
    pub fn blocks(&self, store: &Arc<dyn Store>) -> Result<(Vec<Block>, Landing)> {
        let mut blocks = Vec::new();
        let mut parts = Vec::with_capacity(self.0.len());
        for Rooted { root, unstored } in &self.0 {
            let missing = unstored.missing_in(store, &root.links)?;
            parts.push(Part {
                store: Arc::clone(store),
                unstored: Arc::clone(unstored),
                blocks: missing.iter().map(|block| block.cid).collect(),
            });
            blocks.extend(missing);
            blocks.push(root.clone());
        }
        Ok((blocks, Landing(parts)))
    }
}

impl Landing {
    /// The commit was answered: what the store has now need not be kept in memory.
    pub fn landed(self) {
        for part in self.0 {
            part.unstored.landed(&part.store, &part.blocks);
        }
    }
}

impl FromIterator<Self> for Landing {
    fn from_iter<I: IntoIterator<Item = Self>>(landings: I) -> Self {
        Self(landings.into_iter().flat_map(|landing| landing.0).collect())
    }
}
