//! All refs of a scope, of every kind, and the moves that make others of them.
//!
//! Promises: pages of names in order; a broken row is an error that names it. Each page is of its own moment.

use std::collections::BTreeMap;

use crate::commit::{Change, Expect, RefMove, RefValue};
use crate::error::Result;
use crate::name::RefName;
use crate::store::Store;

/// Refs read at a time.
pub(super) const PAGE: usize = 1024;

/// The same name in another scope.
///
/// Errors: `LimitExceeded` where it is too long there.
pub fn renamed(name: &RefName, scope: &str) -> Result<RefName> {
    RefName::new(scope, name.kind(), name.parts().to_vec())
}

/// The refs of one kind of a scope, one by one in the order of their names.
pub struct Pages<'s> {
    store: &'s dyn Store,
    scope: &'s str,
    kind: &'s str,
    page: std::vec::IntoIter<(RefName, Result<RefValue>)>,
    after: Option<RefName>,
}

impl<'s> Pages<'s> {
    /// From the first on.
    pub fn new(store: &'s dyn Store, scope: &'s str, kind: &'s str) -> Self {
        Self {
            store,
            scope,
            kind,
            page: Vec::new().into_iter(),
            after: None,
        }
    }

    /// The next one; None at the end.
    ///
    /// Errors: `Corrupt` for one that is broken.
    pub fn next_ref(&mut self) -> Result<Option<(RefName, RefValue)>> {
        if self.page.len() == 0 {
            let after = self.after.as_ref();
            self.page = self
                .store
                .list_refs(self.scope, self.kind, after, PAGE)?
                .into_iter();
        }
        let Some((name, value)) = self.page.next() else {
            return Ok(None);
        };
        self.after = Some(name.clone());
        Ok(Some((name, value?)))
    }
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
        let mut pages = Pages::new(store, scope, &kind);
        while let Some((name, value)) = pages.next_ref()? {
            visit(name, value)?;
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

/// The moves that make of `there` what `wanted` is.
pub(super) fn difference(
    wanted: &BTreeMap<RefName, RefValue>,
    there: &BTreeMap<RefName, RefValue>,
) -> Vec<RefMove> {
    let set = wanted.iter().filter(|(name, value)| {
        let like = |there: &RefValue| there.is_like(value);
        !there.get(*name).is_some_and(like)
    });
    let gone = there.keys().filter(|name| !wanted.contains_key(*name));
    let set = set.map(|(name, value)| step(name.clone(), Some(value)));
    set.chain(gone.map(|name| step(name.clone(), None)))
        .collect()
}

/// Nobody else writes to a scope that is being made, or it is decided that there is nothing.
pub(super) fn step(name: RefName, value: Option<&RefValue>) -> RefMove {
    RefMove {
        name,
        expect: Expect::Any,
        change: match value {
            Some(value) => Change::Set {
                target: value.target,
                record: value.record.clone(),
            },
            None => Change::Delete,
        },
    }
}
