//! What others reach of a scope's blocks: two walks over the graph, without reading a payload.
//!
//! Downwards from the roots, a bit for each ordinal: what the scope reaches, and what all others do. Then upwards: which
//! blocks lead to one of the scope's. A ref or hold on such a block names its scope.
//! Promises: one moment; O(blocks + links), a few bits of memory for each ordinal.

use std::collections::{BTreeSet, HashMap};

use treering_block::Cid;

use super::names_of;
use crate::error::{Result, StoreError};
use crate::gc::{Bitmap, View, missing};
use crate::name::RefName;

/// Graph rows read at a time.
const PAGE: usize = 4096;

/// What a scope reaches, and who else does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Blocks that the scope reaches.
    pub blocks: u64,
    /// Of them, those that others reach as well.
    pub held_blocks: u64,
    /// The others' scopes, in order.
    pub held_by: Vec<String>,
}

/// Every hold: the ordinal, its scope.
pub(crate) type Holds = Vec<(u64, String)>;

/// Names of scopes, each once.
#[derive(Default)]
struct Scopes {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Scopes {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    fn name(&self, number: u32) -> &str {
        let name = usize::try_from(number)
            .ok()
            .and_then(|at| self.names.get(at));
        name.map_or("", String::as_str)
    }
}

/// `holds`: of all scopes, those that have ended too: the next collection removes them, this one asks what stays until
/// then. `seen`: whether a ref of that encoded name counts.
///
/// Errors: `Corrupt` for what is broken on the way.
pub(crate) fn held(
    view: &mut dyn View,
    scope: &str,
    holds: Holds,
    seen: &dyn Fn(&str) -> bool,
) -> Result<Held> {
    let (first, end) = names_of(scope);
    let mut own = Bitmap::default();
    let mut others: Vec<(u64, u32)> = Vec::new();
    let mut scopes = Scopes::default();
    // What refs point at, and whose each is; names of refs would take far more room.
    let mut targets: Vec<(Option<u32>, Cid)> = Vec::new();
    view.refs(&mut |name, target| {
        if seen(name) {
            let is_own = (first.as_str()..end.as_str()).contains(&name);
            let of = if is_own {
                None
            } else {
                Some(scopes.number(RefName::parse(name)?.scope()))
            };
            targets.push((of, target));
        }
        Ok(())
    })?;
    for (of, target) in targets {
        let ordinal = view.ordinal(&target)?.ok_or_else(|| StoreError::Corrupt {
            what: "ref",
            which: of.map_or(scope, |of| scopes.name(of)).to_owned(),
            detail: format!("the target {target} of one of its refs is missing"),
        })?;
        match of {
            None => {
                own.insert(ordinal);
            }
            Some(of) => others.push((ordinal, of)),
        }
    }
    let dead = view.dead()?;
    for (ordinal, of) in holds {
        if of == scope {
            own.insert(ordinal);
        } else {
            others.push((ordinal, scopes.number(&of)));
        }
    }
    let mut reached = Bitmap::default();
    for (ordinal, _) in &others {
        reached.insert(*ordinal);
    }
    spread(view, &dead, &mut own, &mut reached)?;
    let mut found = Held {
        blocks: own.len(),
        ..Held::default()
    };
    let mut at = 0;
    while let Some(ordinal) = own.lowest_from(at) {
        at = ordinal.saturating_add(1);
        found.held_blocks += u64::from(reached.contains(ordinal));
    }
    if found.held_blocks > 0 {
        let leads = leading_to(view, &dead, &own)?;
        let named: BTreeSet<String> = others
            .into_iter()
            .filter(|(ordinal, _)| leads.contains(*ordinal))
            .map(|(_, of)| scopes.name(of).to_owned())
            .collect();
        found.held_by = named.into_iter().collect();
    }
    Ok(found)
}

/// Marks what is linked to from what is marked, in both.
fn spread(view: &mut dyn View, dead: &Bitmap, own: &mut Bitmap, others: &mut Bitmap) -> Result<()> {
    let mut below = view.next_ordinal()?;
    loop {
        let page = view.graph_down(below, PAGE, dead)?;
        let Some(lowest) = page.lowest else {
            return Ok(());
        };
        for (ordinal, links) in page.rows() {
            for marked in [&mut *own, &mut *others] {
                if marked.contains(ordinal) {
                    for link in links {
                        if *link >= ordinal {
                            return Err(missing(*link));
                        }
                        marked.insert(*link);
                    }
                }
            }
        }
        below = lowest;
    }
}

/// What reaches any of these, they among it.
fn leading_to(view: &mut dyn View, dead: &Bitmap, these: &Bitmap) -> Result<Bitmap> {
    let mut leads = these.clone();
    view.graph_from(0, &mut |ordinal, links| {
        if !dead.contains(ordinal) && links.iter().any(|link| leads.contains(*link)) {
            leads.insert(ordinal);
        }
        Ok(())
    })?;
    Ok(leads)
}
