//! Marking: which ordinals are reached, found by one walk downwards over the graph.
//!
//! Every link goes to a smaller ordinal, so when the walk meets a row, all that could reach it have been
//! met: one bit each, no stack, no second visit.
//! Promises: pure; what does not add up is an error, never a guess.
//! Must never: take an ordinal whose row is missing for one without links.

use super::bitmap::Bitmap;
use crate::error::{Result, StoreError};

/// Graph rows, read in one go, by falling ordinal.
#[derive(Clone, Debug, Default)]
pub struct GraphPage {
    /// (ordinal, where its links end in `links`).
    rows: Vec<(u64, usize)>,
    links: Vec<u64>,
    /// Rows of ordinals that are dead already.
    pub dead: Vec<u64>,
    /// The smallest ordinal read, dead ones too; None when there were no more rows.
    pub lowest: Option<u64>,
}

impl GraphPage {
    /// Adds a row.
    pub fn push(&mut self, ordinal: u64, links: &[u64]) {
        self.links.extend_from_slice(links);
        self.end_row(ordinal);
    }

    /// Adds a row whose links `read` puts behind those that are there. After an error the page is of no use.
    pub fn push_read(
        &mut self,
        ordinal: u64,
        read: impl FnOnce(&mut Vec<u64>) -> Result<()>,
    ) -> Result<()> {
        read(&mut self.links)?;
        self.end_row(ordinal);
        Ok(())
    }

    fn end_row(&mut self, ordinal: u64) {
        self.rows.push((ordinal, self.links.len()));
        self.lowest = Some(ordinal);
    }

    /// Adds a row that is dead; what it links to does not count.
    pub fn push_dead(&mut self, ordinal: u64) {
        self.dead.push(ordinal);
        self.lowest = Some(ordinal);
    }

    /// The rows that are alive.
    pub fn rows(&self) -> impl Iterator<Item = (u64, &[u64])> {
        let mut start = 0;
        self.rows.iter().map(move |(ordinal, end)| {
            let links = self.links.get(start..*end).unwrap_or_default();
            start = *end;
            (*ordinal, links)
        })
    }
}

/// Marks what the marked among `rows` link to, and gives each row that is not marked to `garbage`.
///
/// `rows` are all graph rows with `floor` ≤ ordinal < `below`, falling; everything that may link into this
/// range has been walked or is marked. `elsewhere`: ordinals whose row is in another tier and whose links
/// are marked. O(rows + links).
///
/// Errors: `Corrupt` when a row links to itself or upwards, when rows are not in order, or when a marked
/// ordinal has no row.
pub fn mark<'r>(
    marked: &mut Bitmap,
    elsewhere: &Bitmap,
    (floor, below): (u64, u64),
    rows: impl IntoIterator<Item = (u64, &'r [u64])>,
    mut garbage: impl FnMut(u64),
) -> Result<()> {
    let mut above = below;
    for (ordinal, links) in rows {
        if ordinal >= above || ordinal < floor {
            return Err(broken(ordinal, format!("it comes after ordinal {above}")));
        }
        all_met(marked, elsewhere, ordinal.saturating_add(1), above)?;
        above = ordinal;
        if !marked.contains(ordinal) {
            check_links(ordinal, links)?;
            garbage(ordinal);
            continue;
        }
        for link in links {
            check_link(ordinal, *link)?;
            marked.insert(*link);
        }
    }
    all_met(marked, elsewhere, floor, above)
}

/// Errors: `Corrupt` for the first link that is not smaller than its block.
pub fn check_links(ordinal: u64, links: &[u64]) -> Result<()> {
    links.iter().try_for_each(|link| check_link(ordinal, *link))
}

fn check_link(ordinal: u64, link: u64) -> Result<()> {
    if link == 0 || link >= ordinal {
        return Err(broken(
            ordinal,
            format!("it links to ordinal {link}, which is not smaller"),
        ));
    }
    Ok(())
}

/// Nothing marked lies in `floor .. above`, where no row is, unless it is elsewhere.
fn all_met(marked: &Bitmap, elsewhere: &Bitmap, floor: u64, above: u64) -> Result<()> {
    let mut above = above;
    while floor < above {
        match marked.highest_below(above) {
            Some(ordinal) if ordinal >= floor => {
                if !elsewhere.contains(ordinal) {
                    return Err(missing(ordinal));
                }
                above = ordinal;
            }
            _ => break,
        }
    }
    Ok(())
}

/// `Corrupt`: something reaches an ordinal that has no row, or a dead one.
pub fn missing(ordinal: u64) -> StoreError {
    broken(ordinal, "it is reached and its row is missing".into())
}

fn broken(ordinal: u64, detail: String) -> StoreError {
    StoreError::Corrupt {
        what: "graph row",
        which: ordinal.to_string(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    type Graph = BTreeMap<u64, Vec<u64>>;

    fn run(
        graph: &Graph,
        roots: &[u64],
        below: u64,
        page: usize,
    ) -> Result<(BTreeSet<u64>, BTreeSet<u64>)> {
        let mut marked = Bitmap::below(below);
        let mut garbage = BTreeSet::new();
        roots.iter().for_each(|root| {
            marked.insert(*root);
        });
        let rows: Vec<_> = graph.range(..below).rev().collect();
        let mut above = below;
        for (number, chunk) in rows.chunks(page).enumerate() {
            let last = (number + 1) * page >= rows.len();
            let floor = if last { 0 } else { *chunk.last().unwrap().0 };
            let mut read = GraphPage::default();
            chunk.iter().for_each(|(at, links)| read.push(**at, links));
            mark(
                &mut marked,
                &Bitmap::default(),
                (floor, above),
                read.rows(),
                |ordinal| {
                    garbage.insert(ordinal);
                },
            )?;
            above = floor;
        }
        let kept = graph
            .keys()
            .copied()
            .filter(|at| marked.contains(*at))
            .collect();
        Ok((kept, garbage))
    }

    proptest! {
        #[test]
        fn marking_is_reachability(
            shape in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..200),
            roots in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
            gap in 1u64..4,
            page in 1usize..50,
        ) {
            let mut graph = Graph::new();
            for (index, links) in shape.iter().enumerate() {
                let links = if index == 0 { Vec::new() } else {
                    links.iter().map(|link| (link.index(index) as u64 + 1) * gap).collect()
                };
                graph.insert((index as u64 + 1) * gap, links);
            }
            let roots: Vec<u64> = roots.iter().map(|root| (root.index(shape.len()) as u64 + 1) * gap).collect();
            let mut expected = BTreeSet::new();
            let mut stack = roots.clone();
            while let Some(at) = stack.pop() {
                if expected.insert(at) {
                    stack.extend(&graph[&at]);
                }
            }
            let (kept, garbage) = run(&graph, &roots, u64::MAX >> 40, page).unwrap();
            let all: BTreeSet<u64> = graph.keys().copied().collect();
            prop_assert_eq!(&garbage, &(&all - &expected));
            prop_assert_eq!(kept, expected);
        }
    }

    fn refused(graph: &[(u64, &[u64])], roots: &[u64]) -> String {
        let graph = graph
            .iter()
            .map(|(at, links)| (*at, links.to_vec()))
            .collect();
        run(&graph, roots, 100, 7).unwrap_err().to_string()
    }

    #[test]
    fn what_does_not_add_up_is_an_error_that_names_the_row() {
        assert!(refused(&[(1, &[]), (2, &[2])], &[2]).contains("graph row 2"));
        assert!(refused(&[(1, &[3]), (3, &[])], &[1]).contains("graph row 1"));
        assert!(refused(&[(5, &[0])], &[5]).contains("graph row 5"));
        // Of garbage too: a graph that is broken somewhere is not one to delete by.
        assert!(refused(&[(1, &[]), (2, &[2])], &[]).contains("graph row 2"));
        // Missing: in a gap, at the top, at the bottom, as a root.
        assert!(refused(&[(1, &[]), (5, &[3])], &[5]).contains("graph row 3"));
        assert!(refused(&[(1, &[])], &[99]).contains("graph row 99"));
        assert!(refused(&[(5, &[1])], &[5]).contains("graph row 1"));
        let twice: [(u64, &[u64]); 2] = [(5, &[]), (5, &[])];
        let marked = &mut Bitmap::default();
        assert!(mark(marked, &Bitmap::default(), (0, 9), twice, |_| {}).is_err());
    }

    #[test]
    fn a_row_in_another_tier_is_not_missing() {
        let mut marked = Bitmap::default();
        marked.insert(5);
        let mut elsewhere = Bitmap::default();
        elsewhere.insert(3);
        let rows: [(u64, &[u64]); 1] = [(5, &[3])];
        mark(&mut marked, &elsewhere, (0, 9), rows, |_| {}).unwrap();
        assert!(marked.contains(3));
        let rows: [(u64, &[u64]); 1] = [(5, &[3, 2])];
        mark(&mut marked, &elsewhere, (0, 9), rows, |_| {}).unwrap_err();
    }
}
