//! A whole scope in a file: threads, actors, projections and pins, with the receipts of their commands.
//!
//! The file and its manifest are `treering_store::archive`'s, its threads `treering_thread::car`'s. Here is what the rest
//! of its refs are, and what becomes of each in a scope that may have something of that name.
//!
//! Promises: what is written is the scope at one position of the journal, and the same state gives the same bytes. An
//! import takes a file whole, all at once for every reader, or writes no ref; each log was replayed, and each snapshot
//! compared with what its events make, before the first block of it is written. What is here and went on otherwise is never changed.
//! Must never: take a ref of a kind that it can't check, or a state that nothing proves where there is a log to make it of.

mod check;
mod export;
mod import;
mod verdict;

use treering_thread::car::named_by;

use crate::receipt;

pub use export::{ScopeExported, export_scope, export_scope_to};
pub use import::{ImportOptions, ScopeImported, import_any, import_any_from};

/// The threads that the receipt of a command names; None for what is no command's receipt.
fn named_in(left: &[u8]) -> Option<Vec<String>> {
    if let Some(named) = named_by(left) {
        return Some(named);
    }
    if let Some((threads, actors)) = receipt::split(left) {
        receipt::decode(&actors)?;
        return named_by(&threads);
    }
    receipt::decode(left).map(|_| Vec::new())
}
