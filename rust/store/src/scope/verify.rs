//! Whether a scope's refs can be read, and all that they reach: what `verify` says of it without knowing what it is.
//!
//! Promises: each block is hashed once, a large one a piece at a time; whatever is wrong is a finding, and hides no other. Must never: fail as a whole.

use std::collections::HashSet;

use treering_block::{Cid, Codec, check_node};

use super::refs::PAGE;
use crate::error::{Result, StoreError};
use crate::findings::{Check, VerifyReport};
use crate::name::RefName;
use crate::store::Store;

/// Bytes of a large block that are in memory at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Checks the refs of a scope and every block that they reach. O(blocks reached); memory: a CID for each.
pub fn verify_scope(store: &dyn Store, scope: &str, report: &mut VerifyReport) {
    let kinds = match store.kinds(scope) {
        Ok(kinds) => kinds,
        Err(error) => return report.find(Check::Ref, scope, error.to_string()),
    };
    let mut blocks = Blocks {
        store,
        seen: HashSet::new(),
    };
    for kind in kinds {
        let mut after: Option<RefName> = None;
        loop {
            let page = match store.list_refs(scope, &kind, after.as_ref(), PAGE) {
                Ok(page) => page,
                Err(error) => {
                    report.find(Check::Ref, format!("{scope}/{kind}/"), error.to_string());
                    break;
                }
            };
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (name, value) in page {
                report.refs += 1;
                match value {
                    Ok(value) => blocks.walk(&name, value.target, report),
                    Err(error) => report.find(Check::Ref, name.encoded(), error.to_string()),
                }
            }
        }
    }
}

struct Blocks<'s> {
    store: &'s dyn Store,
    seen: HashSet<Cid>,
}

impl Blocks<'_> {
    /// Reads a block that links to nothing, a piece at a time; its size.
    fn through(&self, cid: &Cid) -> Result<u64> {
        let reader = self.store.reader(cid)?;
        let mut read = 0;
        while read < reader.size() {
            let piece = reader.read_at(read, PIECE_BYTES)?.len() as u64;
            if piece == 0 {
                return Err(StoreError::Corrupt {
                    what: "block",
                    which: cid.to_string(),
                    detail: format!("it ends after {read} of {} bytes", reader.size()),
                });
            }
            read = read.saturating_add(piece);
        }
        Ok(read)
    }

    fn walk(&mut self, name: &RefName, target: Cid, report: &mut VerifyReport) {
        let mut open: Vec<(Option<Cid>, Cid)> = vec![(None, target)];
        while let Some((from, cid)) = open.pop() {
            if !self.seen.insert(cid) {
                continue;
            }
            let read = match cid.codec() {
                Codec::Raw => self.through(&cid).map(|size| (size, None)),
                Codec::DagCbor => {
                    let bytes = self.store.get(&cid);
                    bytes.map(|bytes| (bytes.len() as u64, Some(bytes)))
                }
            };
            let (size, node) = match read {
                Ok(read) => read,
                Err(StoreError::BlockNotFound(_)) => {
                    let (check, which) = match from {
                        Some(from) => (Check::Links, from.to_string()),
                        None => (Check::Ref, name.encoded().to_owned()),
                    };
                    report.find(
                        check,
                        which,
                        format!("it links to {cid}, which is not here"),
                    );
                    continue;
                }
                Err(error) => {
                    report.find(Check::BlockBytes, cid.to_string(), error.to_string());
                    continue;
                }
            };
            report.blocks += 1;
            report.bytes = report.bytes.saturating_add(size);
            let Some(bytes) = node else {
                continue;
            };
            match check_node(&bytes) {
                Ok(links) => {
                    report.links += links.len() as u64;
                    open.extend(links.into_iter().map(|link| (Some(cid), link)));
                }
                Err(refused) => report.find(Check::NodeForm, cid.to_string(), refused.to_string()),
            }
        }
    }
}
