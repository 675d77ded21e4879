//! Two scopes side by side: which refs only one has, and which are not the same.
//!
//! Promises: no block is read. O(refs of both); a page of each is held, and what differs. Each page is of its own moment.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::refs::Pages;
use crate::commit::RefValue;
use crate::error::Result;
use crate::name::RefName;
use crate::store::Store;

/// A ref that both scopes have, and that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    /// Its name in the first scope.
    pub name: RefName,
    /// What it is there.
    pub left: RefValue,
    /// What it is in the second.
    pub right: RefValue,
}

/// What tells two scopes apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeDiff {
    /// Refs that only the first has.
    pub left: Vec<RefName>,
    /// Refs that only the second has.
    pub right: Vec<RefName>,
    /// Refs that differ in target or record.
    pub differing: Vec<Differing>,
    /// How many are the same, but for their versions: these count what happened to the ref, not what it is.
    pub same: u64,
}

/// Compares the refs of a scope of `left` with those of a scope of `right`, which may be the same store, or one as it
/// was. Refs that `matters` does not want are passed over. By kind, then by name.
///
/// Errors: `Invalid` for scopes that can't be; `Corrupt` for the first ref that is broken.
pub fn diff_scopes(
    left: (&dyn Store, &str),
    right: (&dyn Store, &str),
    matters: impl Fn(&RefName) -> bool,
) -> Result<ScopeDiff> {
    let mut kinds: BTreeSet<String> = left.0.kinds(left.1)?.into_iter().collect();
    kinds.extend(right.0.kinds(right.1)?);
    let mut found = ScopeDiff::default();
    for kind in kinds {
        let mut ours = Pages::new(left.0, left.1, &kind);
        let mut theirs = Pages::new(right.0, right.1, &kind);
        let (mut one, mut other) = (ours.next_ref()?, theirs.next_ref()?);
        loop {
            let order = match (&one, &other) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((one, _)), Some((other, _))) => one.unscoped().cmp(other.unscoped()),
            };
            let here = if order.is_le() { one.take() } else { None };
            let there = if order.is_ge() { other.take() } else { None };
            if order.is_le() {
                one = ours.next_ref()?;
            }
            if order.is_ge() {
                other = theirs.next_ref()?;
            }
            match (here, there) {
                (Some((name, value)), Some((_, theirs))) if matters(&name) => {
                    if value.is_like(&theirs) {
                        found.same += 1;
                    } else {
                        found.differing.push(Differing {
                            name,
                            left: value,
                            right: theirs,
                        });
                    }
                }
                (Some((name, _)), None) if matters(&name) => found.left.push(name),
                (None, Some((name, _))) if matters(&name) => found.right.push(name),
                _ => {}
            }
        }
    }
    Ok(found)
}
