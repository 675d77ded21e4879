//! Pins: named refs of kind `pin` that keep a block, and all that it links to, from garbage collection.

use std::sync::Arc;

use treering_block::Cid;
use treering_store::{Change, Commit, Durability, Expect, RefMove, RefName, Store, StoreError};

use crate::error::{Result, ThreadError, within};
use crate::ident::check_name;
use crate::limits::PIN_BYTES_MAX;
use crate::pending::{Outcome, Pending};

/// The kind of a pin's ref.
pub const PIN: &str = "pin";
const PAGE: usize = 1000;

/// Pins `cid` under `name`; a pin of that name is moved.
///
/// # Errors
/// `Invalid` or `LimitExceeded` for the name; `LinkMissing` (of the store) when there is no such block.
pub fn add(
    store: &Arc<dyn Store>,
    scope: &str,
    name: &str,
    cid: Cid,
    durability: Durability,
) -> Result<Pending<()>> {
    let change = Change::Set {
        target: cid,
        record: Vec::new(),
    };
    Ok(submit(
        store,
        RefMove {
            name: pin_ref(scope, name)?,
            expect: Expect::Any,
            change,
        },
        durability,
    ))
}

/// All pins of the scope, in name order. A broken one is an `Err` in its place.
///
/// # Errors
/// `Store`.
pub fn list(store: &dyn Store, scope: &str) -> Result<Vec<(String, Result<Cid>)>> {
    let mut pins = Vec::new();
    let mut after: Option<RefName> = None;
    loop {
        let page = store.list_refs(scope, PIN, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(pins);
        };
        after = Some(last.clone());
        for (name, value) in page {
            let text = name.parts().join("/");
            pins.push((
                text,
                value.map(|value| value.target).map_err(ThreadError::from),
            ));
        }
    }
}

/// Takes the pin away; the block stays until garbage collection finds nothing else that keeps it.
///
/// # Errors
/// `NotFound` when there is none of that name.
pub fn rm(
    store: &Arc<dyn Store>,
    scope: &str,
    name: &str,
    durability: Durability,
) -> Result<Pending<()>> {
    let pin = pin_ref(scope, name)?;
    let Some(value) = store.read_ref(&pin)? else {
        return Err(StoreError::RefNotFound(pin).into());
    };
    let step = RefMove {
        name: pin,
        expect: Expect::Version(value.version),
        change: Change::Delete,
    };
    Ok(submit(store, step, durability))
}

/// Whether a ref has the name of a pin that could be made here.
#[must_use]
pub fn is_pin(name: &RefName) -> bool {
    match name.parts() {
        [pin] => pin_ref(name.scope(), pin).is_ok_and(|one| one == *name),
        _ => false,
    }
}

fn pin_ref(scope: &str, name: &str) -> Result<RefName> {
    check_name("pin", name)?;
    within("bytes of a pin's name", PIN_BYTES_MAX, name.len())?;
    Ok(RefName::new(scope, PIN, [name])?)
}

fn submit(store: &Arc<dyn Store>, step: RefMove, durability: Durability) -> Pending<()> {
    let commit = Commit {
        scope: step.name.scope().to_owned(),
        moves: vec![step],
        durability,
        ..Commit::default()
    };
    Pending::new(store.submit(commit), move |answer| {
        Outcome::Done(match answer {
            Ok(_) => Ok(()),
            Err(StoreError::RefMoved {
                name, actual: None, ..
            }) => Err(StoreError::RefNotFound(name).into()),
            Err(error) => Err(error.into()),
        })
    })
}
