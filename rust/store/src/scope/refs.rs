//! All refs of a scope, of every kind.
//!
//! Promises: pages of names in order; a broken row is an error that names it. Each page is of its own moment.

use std::collections::BTreeMap;

use crate::commit::RefValue;
use crate::error::Result;
use crate::name::RefName;
use crate::store::Store;

/// Refs read at a time.
const PAGE: usize = 1024;

/// The same name in another scope.
///
/// Errors: `LimitExceeded` where it is too long there.
pub fn renamed(name: &RefName, scope: &str) -> Result<RefName> {
    RefName::new(scope, name.kind(), name.parts().to_vec())
}

/// Each ref of a scope that is seen, kind by kind.
///
/// Errors: `Corrupt` for the first that is broken; those of `visit`.
pub fn each_ref(
    store: &dyn Store,
    scope: &str,
    visit: &mut dyn FnMut(RefName, RefValue) -> Result<()>,
) -> Result<()> {
    for kind in store.kinds(scope)? {
        let mut after: Option<RefName> = None;
        loop {
            let page = store.list_refs(scope, &kind, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (name, value) in page {
                visit(name, value?)?;
            }
        }
    }
    Ok(())
}

/// Each ref of a scope with its value, by name.
///
/// Errors: as for [`each_ref`].
pub fn all(store: &dyn Store, scope: &str) -> Result<BTreeMap<RefName, RefValue>> {
    let mut refs = BTreeMap::new();
    each_ref(store, scope, &mut |name, value| {
        refs.insert(name, value);
        Ok(())
    })?;
    Ok(refs)
}

/// The same of a scope that is being made, of which nothing is seen.
///
/// Errors: as for [`each_ref`].
pub(super) fn all_hidden(store: &dyn Store, scope: &str) -> Result<BTreeMap<RefName, RefValue>> {
    let own = crate::name::listing_prefix(scope, "-");
    // `-` is the first character that a kind may have; the names of all kinds begin with the scope and a slash.
    let own = own.strip_suffix("-/").unwrap_or(&own);
    let mut refs = BTreeMap::new();
    let mut after = own.to_owned();
    loop {
        let page = store.all_refs(Some(&after), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(refs);
        };
        after = last.clone();
        for (name, value) in page {
            if !name.starts_with(own) {
                return Ok(refs);
            }
            refs.insert(RefName::parse(&name)?, value?);
        }
    }
}
