//! Everything that some roots reach, each block once, what a block links to before the block.
//!
//! Promises: nothing recurses; the stack is as long as the way down, which the jumps of a thread keep
//! logarithmic. The order is a function of the blocks alone, so equal threads are written alike.

use std::collections::HashSet;

use treering_block::Cid;

/// Opens each block on the way down (its links, and whatever `close` wants to know) and closes it when all
/// that it links to is closed. O(blocks + links); holds one CID for each block.
pub fn post_order<T, E>(
    roots: impl IntoIterator<Item = Cid>,
    mut open: impl FnMut(Option<&Cid>, &Cid) -> Result<(Vec<Cid>, T), E>,
    mut close: impl FnMut(Cid, T) -> Result<(), E>,
) -> Result<(), E> {
    let mut seen: HashSet<Cid> = HashSet::new();
    let mut stack: Vec<Visit<T>> = Vec::new();
    for root in roots {
        stack.push(Visit::Down(None, root));
        while let Some(visit) = stack.pop() {
            match visit {
                Visit::Up(cid, about) => close(cid, about)?,
                Visit::Down(from, cid) => {
                    if !seen.insert(cid) {
                        continue;
                    }
                    let (links, about) = open(from.as_ref(), &cid)?;
                    stack.push(Visit::Up(cid, about));
                    // The first link is to be followed first.
                    for link in links.into_iter().rev() {
                        if !seen.contains(&link) {
                            stack.push(Visit::Down(Some(cid), link));
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

enum Visit<T> {
    /// A block to open, and who links to it.
    Down(Option<Cid>, Cid),
    /// A block whose links are done.
    Up(Cid, T),
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_linked_to_comes_first_and_all_comes_once(
            edges in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..40),
            tops in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        ) {
            // Node n links to nodes below n.
            let cid = |n: usize| Cid::of_node(&n.to_le_bytes());
            let links: HashMap<Cid, Vec<Cid>> = edges
                .iter()
                .enumerate()
                .map(|(n, below)| {
                    let below = below.iter().filter(|_| n > 0).map(|at| cid(at.index(n.max(1))));
                    (cid(n), below.collect())
                })
                .collect();
            let roots: Vec<Cid> = tops.iter().map(|at| cid(at.index(edges.len()))).collect();
            let mut order = Vec::new();
            post_order(
                roots.iter().copied(),
                |_, cid| Ok::<_, Infallible>((links[cid].clone(), ())),
                |cid, ()| {
                    order.push(cid);
                    Ok(())
                },
            )
            .unwrap();
            let place: HashMap<Cid, usize> = order.iter().enumerate().map(|(at, cid)| (*cid, at)).collect();
            prop_assert_eq!(place.len(), order.len(), "a block came twice");
            for cid in &order {
                for link in &links[cid] {
                    prop_assert!(place[link] < place[cid]);
                }
            }
            let mut reached: HashSet<Cid> = HashSet::new();
            let mut todo = roots;
            while let Some(cid) = todo.pop() {
                if reached.insert(cid) {
                    todo.extend(&links[&cid]);
                }
            }
            prop_assert_eq!(reached.len(), order.len());
        }
    }

    #[test]
    fn a_long_chain_overflows_nothing() {
        let cid = |n: u32| Cid::of_node(&n.to_le_bytes());
        let places: HashMap<Cid, u32> = (0..100_000).map(|n| (cid(n), n)).collect();
        let mut closed = 0;
        post_order(
            [cid(99_999)],
            |_, at| {
                let below = places[at].checked_sub(1).map(cid);
                Ok::<_, Infallible>((below.into_iter().collect(), ()))
            },
            |at, ()| {
                assert_eq!(places[&at], closed);
                closed += 1;
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(closed, 100_000);
    }
}
