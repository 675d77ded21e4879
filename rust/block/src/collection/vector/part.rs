//! Where the elements of a vector stand: arithmetic alone, no block.

use super::WIDTH;

/// A part of the tree: the elements from `base` on that a node of this level can hold.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) base: u64,
    /// 0: a leaf.
    pub(super) level: u32,
}

impl Part {
    /// The root of a tree for the elements before `end`.
    pub(super) fn root_of(end: u64) -> Self {
        let mut root = Self { base: 0, level: 0 };
        while root.end() < end {
            root.level = root.level.saturating_add(1);
        }
        root
    }

    pub(super) fn span(self) -> u64 {
        WIDTH.saturating_pow(self.level.saturating_add(1))
    }

    pub(super) fn end(self) -> u64 {
        self.base.saturating_add(self.span())
    }

    pub(super) fn child(self, number: u64) -> Self {
        let level = self.level.saturating_sub(1);
        let below = Self { base: 0, level }.span();
        Self {
            base: self.base.saturating_add(number.saturating_mul(below)),
            level,
        }
    }

    /// The child with element `index`.
    pub(super) fn child_with(self, index: u64) -> u64 {
        index.saturating_sub(self.base) / self.child(0).span()
    }
}
