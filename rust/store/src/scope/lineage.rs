//! What a scope was forked of, and the receipts that it has from there.
//!
//! A fork copies no receipt. It leaves one of its own, under a key that no command has: the scopes that it comes of,
//! the nearest first, each with the position in the journal up to which that scope's receipts are the fork's too. So a
//! command that was done before the fork is answered there as well, and one that was done in the origin afterwards is
//! unknown to it. It goes when the scope's receipts go.
//! Promises: own receipts come first, then those of the nearest scope; at most [`ANCESTORS_MAX`] look-ups more.
//! Must never: take a receipt that was left after the fork.

use treering_block::{Event, Ipld, Reader, cbor};

use crate::commit::{Address, RECEIPT_BYTES_MAX, receipt_key};
use crate::error::{Result, StoreError};
use crate::journal::JournalCommand;
use crate::name::RefName;

/// At most so many scopes that a scope comes of, one fork after another.
pub const ANCESTORS_MAX: usize = 64;

/// A receipt as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Digest of what the caller gave.
    pub payload: [u8; 32],
    /// What was left.
    pub receipt: Vec<u8>,
    /// The commit that left it; 0 for one from before this was noted, which is before any fork.
    pub position: u64,
}

/// A scope that another one comes of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its name then.
    pub scope: String,
    /// The newest commit of which the fork has what it left.
    pub until: u64,
}

/// What a scope was forked of, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The scopes that it comes of, the nearest first; at least one.
    pub ancestors: Vec<Ancestor>,
    /// The store's clock at the fork, Unix milliseconds.
    pub at_ms: i64,
    /// How many refs it began with.
    pub refs: u64,
}

/// The key under which a scope's lineage stands: BLAKE3 in derive_key mode, context `treering v1 lineage key`, over the
/// scope's name.
pub fn lineage_key(scope: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("treering v1 lineage key");
    hasher.update(scope.as_bytes());
    *hasher.finalize().as_bytes()
}

impl Lineage {
    /// Of a fork of `from`, whose own lineage is `before`.
    ///
    /// Errors: `LimitExceeded` over [`ANCESTORS_MAX`] scopes, or where their names are too long together.
    pub(super) fn of_fork(
        from: &str,
        before: Option<Self>,
        at_ms: i64,
        refs: u64,
    ) -> Result<JournalLineage> {
        let older = before.map(|before| before.ancestors).unwrap_or_default();
        let actual = older.len().saturating_add(1);
        if actual > ANCESTORS_MAX {
            return Err(StoreError::LimitExceeded {
                what: "scopes that a scope comes of, one fork after another",
                limit: ANCESTORS_MAX as u64,
                actual: actual as u64,
            });
        }
        let number = |number: u64| Ipld::Integer(i128::from(number));
        let mut of = vec![Ipld::List(vec![Ipld::String(from.to_owned())])];
        of.extend(
            older
                .into_iter()
                .map(|one| Ipld::List(vec![Ipld::String(one.scope), number(one.until)])),
        );
        let form = Ipld::List(vec![
            Ipld::Integer(i128::from(at_ms)),
            number(refs),
            Ipld::List(of),
        ]);
        let bytes = cbor::encode(&form).map_err(|refused| StoreError::Block(refused.into()))?;
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(StoreError::LimitExceeded {
                what: "bytes of the names of the scopes that a scope comes of",
                limit: RECEIPT_BYTES_MAX as u64,
                actual: bytes.len() as u64,
            });
        }
        Ok(JournalLineage(bytes))
    }

    /// Reads what a fork left. The nearest scope counts up to the fork itself.
    fn read(scope: &str, left: &Receipt) -> Result<Self> {
        parse(&left.receipt, left.position).ok_or_else(|| StoreError::Corrupt {
            what: "lineage",
            which: scope.to_owned(),
            detail: "it does not say what the scope was forked of".into(),
        })
    }
}

/// A lineage as it is stored.
pub(super) struct JournalLineage(Vec<u8>);

impl JournalLineage {
    /// The receipt that the fork `to` brings along.
    pub fn receipt(self, to: &str) -> JournalCommand {
        JournalCommand {
            key: lineage_key(to),
            payload: *blake3::hash(&self.0).as_bytes(),
            receipt: self.0,
        }
    }
}

fn parse(bytes: &[u8], position: u64) -> Option<Lineage> {
    let mut input = Reader::new(bytes);
    let Event::Array(3) = input.next().ok()? else {
        return None;
    };
    let at_ms = match input.next().ok()? {
        Event::Uint(at_ms) => i64::try_from(at_ms).ok()?,
        _ => return None,
    };
    let Event::Uint(refs) = input.next().ok()? else {
        return None;
    };
    let Event::Array(count @ 1..=ANCESTORS_MAX) = input.next().ok()? else {
        return None;
    };
    let mut ancestors = Vec::with_capacity(count);
    for nth in 0..count {
        let length = match input.next().ok()? {
            Event::Array(length) => length,
            _ => return None,
        };
        let Event::Str(scope) = input.next().ok()? else {
            return None;
        };
        let scope = scope.to_owned();
        let until = match (nth, length) {
            (0, 1) => position,
            (1.., 2) => match input.next().ok()? {
                Event::Uint(until) => until,
                _ => return None,
            },
            _ => return None,
        };
        ancestors.push(Ancestor { scope, until });
    }
    input.finish().ok()?;
    Some(Lineage {
        ancestors,
        at_ms,
        refs,
    })
}

/// How a receipt is looked up by its key.
pub(crate) type LookUp<'l> = &'l mut dyn FnMut(&[u8; 32]) -> Result<Option<Receipt>>;

/// What a scope was forked of; None if it was not.
pub(crate) fn read_lineage(scope: &str, look_up: LookUp<'_>) -> Result<Option<Lineage>> {
    let left = look_up(&lineage_key(scope))?;
    left.map(|left| Lineage::read(scope, &left)).transpose()
}

/// The receipt of a command at `address`: the scope's own, or the one that it has from a scope that it was forked of.
///
/// Errors: `Corrupt` for a lineage that can't be read; those of looking up.
pub(crate) fn find_receipt(
    address: &Address,
    id: &str,
    look_up: LookUp<'_>,
) -> Result<Option<Receipt>> {
    let own = look_up(&receipt_key(address, id))?;
    if own.is_some() {
        return Ok(own);
    }
    let Some(lineage) = read_lineage(address.scope(), look_up)? else {
        return Ok(None);
    };
    for ancestor in &lineage.ancestors {
        // A name that is too long there is one of nothing.
        let Ok(there) = elsewhere(address, &ancestor.scope) else {
            continue;
        };
        let found = look_up(&receipt_key(&there, id))?;
        if let Some(left) = found.filter(|left| left.position <= ancestor.until) {
            return Ok(Some(left));
        }
    }
    Ok(None)
}

/// The same address in another scope.
fn elsewhere(address: &Address, scope: &str) -> Result<Address> {
    Ok(match address {
        Address::Ref(name) => {
            Address::Ref(RefName::new(scope, name.kind(), name.parts().to_vec())?)
        }
        Address::Scope(_) => Address::Scope(scope.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(lineage: JournalLineage, position: u64) -> Receipt {
        let JournalCommand {
            payload, receipt, ..
        } = lineage.receipt("x");
        Receipt {
            payload,
            receipt,
            position,
        }
    }

    #[test]
    fn a_fork_of_a_fork_counts_each_scope_up_to_its_own_fork() {
        let first = left(Lineage::of_fork("alice", None, 7, 3).unwrap(), 10);
        let first = Lineage::read("bob", &first).unwrap();
        assert_eq!((first.at_ms, first.refs), (7, 3));
        let second = Lineage::of_fork("bob", Some(first), 8, 4).unwrap();
        let second = Lineage::read("carol", &left(second, 20)).unwrap();
        let ancestor = |scope: &str, until| Ancestor {
            scope: scope.to_owned(),
            until,
        };
        assert_eq!(
            second.ancestors,
            [ancestor("bob", 20), ancestor("alice", 10)]
        );
    }

    #[test]
    fn there_are_limits() {
        let mut lineage = None;
        for nth in 0..ANCESTORS_MAX as u64 {
            let made = Lineage::of_fork(&format!("s{nth}"), lineage, 0, 0).unwrap();
            lineage = Some(Lineage::read("x", &left(made, nth)).unwrap());
        }
        let refused = |lineage: Option<Lineage>, from: &str| {
            let made = Lineage::of_fork(from, lineage, 0, 0);
            assert!(matches!(made, Err(StoreError::LimitExceeded { .. })));
        };
        refused(lineage, "one too many");
        let long = "x".repeat(RECEIPT_BYTES_MAX - 8);
        assert!(Lineage::of_fork(&long, None, 0, 0).is_ok());
        refused(None, &format!("{long}x"));
    }

    #[test]
    fn what_no_fork_wrote_is_no_lineage() {
        let whole = left(Lineage::of_fork("alice", None, 7, 3).unwrap(), 10).receipt;
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length], 1), None, "{length}");
        }
        assert_eq!(parse(&[&whole[..], &[0]].concat(), 1), None);
        for broken in [
            vec![0x80],
            vec![0x83, 0, 0, 0x80],
            vec![0x83, 0, 0, 0x81, 0x82, 0x61, b'a', 1],
        ] {
            assert_eq!(parse(&broken, 1), None, "{broken:?}");
        }
    }
}
