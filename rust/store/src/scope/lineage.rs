//! What a scope was forked of, and the receipts that it has from there.
//!
//! A fork copies no receipt. It leaves one of its own, under a key that no command has: the scopes that it comes of,
//! the nearest first, each with the position in the journal up to which that scope's receipts are the fork's too. So a
//! command that was done before the fork is answered there as well, and one that was done in the origin afterwards is
//! unknown to it. It goes when the scope's receipts go.
//!
//! It says which scopes by digests. What name stands behind one is said by a receipt of that scope itself, which its first
//! fork leaves there: when the scope is erased that goes with all else, and nothing of its forks has its name.
//! Promises: own receipts come first, then those of the nearest scope; at most two look-ups more for each of
//! [`ANCESTORS_MAX`]. Must never: take a receipt that was left after the fork; write the name of a scope into another's rows.

use treering_block::{Event, Ipld, Reader, cbor};

use crate::commit::{Address, RECEIPT_BYTES_MAX, receipt_key};
use crate::erasure::digest_of_scope;
use crate::error::{Result, StoreError};
use crate::journal::JournalCommand;
use crate::name::RefName;
use crate::store::Store;

/// At most so many scopes that a scope comes of, one fork after another.
pub const ANCESTORS_MAX: usize = 64;

/// A receipt as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The scope that has it.
    pub scope: String,
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
    /// Its name; None if it was erased since.
    pub scope: Option<String>,
    /// The newest commit of which the fork has what it left.
    pub until: u64,
    written: Origin,
}

/// How a scope is told by what stands in another one's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By [`crate::erasure::digest_of_scope`].
    Digest([u8; 32]),
    /// By its name, as forks did before there were erasures.
    Name(String),
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

/// The key under which a scope says its name to its forks: BLAKE3 in derive_key mode, context `treering v1 scope name
/// key`, over the scope's digest.
pub fn name_key(digest: &[u8; 32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("treering v1 scope name key");
    hasher.update(digest);
    *hasher.finalize().as_bytes()
}

/// The keys of a scope's receipts that no command left: an archive brings none of them.
///
/// Errors: the store's.
pub fn keys_of_no_command(store: &dyn Store, scope: &str) -> Result<[[u8; 32]; 2]> {
    let digest = digest_of_scope(&store.store_id()?, scope);
    Ok([lineage_key(scope), name_key(&digest)])
}

/// The receipt that a scope has under [`name_key`].
pub(super) fn name_receipt(digest: &[u8; 32], scope: &str) -> Result<JournalCommand> {
    let receipt = cbor::encode(&Ipld::String(scope.to_owned()))
        .map_err(|refused| StoreError::Block(refused.into()))?;
    Ok(JournalCommand {
        key: name_key(digest),
        payload: *blake3::hash(&receipt).as_bytes(),
        receipt,
    })
}

impl Origin {
    /// As it stands in a list.
    pub(super) fn to_ipld(&self) -> Ipld {
        match self {
            Self::Digest(digest) => Ipld::Bytes(digest.to_vec()),
            Self::Name(name) => Ipld::String(name.clone()),
        }
    }

    /// None for what is neither.
    pub(super) fn read(event: &Event<'_>) -> Option<Self> {
        match event {
            Event::Bytes(digest) => (*digest).try_into().ok().map(Self::Digest),
            Event::Str(name) if !name.is_empty() => Some(Self::Name((*name).to_owned())),
            _ => None,
        }
    }

    /// Its name, if it is the one that it had up to that commit; None if it was erased since.
    pub(super) fn name(&self, until: u64, look_up: LookUp<'_>) -> Result<Option<String>> {
        let digest = match self {
            Self::Name(name) => return Ok(Some(name.clone())),
            Self::Digest(digest) => digest,
        };
        let Some(left) = look_up(Wanted::Name(digest))? else {
            return Ok(None);
        };
        // Of a later life under the same name: its receipts are none of the fork's.
        if left.position > until {
            return Ok(None);
        }
        let mut input = Reader::new(&left.receipt);
        let name = match input.next() {
            Ok(Event::Str(name)) => Some(name.to_owned()),
            _ => None,
        };
        match name {
            Some(name) if input.finish().is_ok() && name == left.scope => Ok(Some(name)),
            _ => Err(StoreError::Corrupt {
                what: "name of a forked scope",
                which: blake3::Hash::from_bytes(*digest).to_hex().to_string(),
                detail: "it is not the name of the scope that left it".into(),
            }),
        }
    }
}

impl Lineage {
    /// Of a fork of the scope with that digest, whose own lineage is `before`.
    ///
    /// Errors: `LimitExceeded` over [`ANCESTORS_MAX`] scopes, or, where older forks say them, if their names are too long
    /// together.
    pub(super) fn of_fork(
        from: [u8; 32],
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
        let mut of = vec![Ipld::List(vec![Origin::Digest(from).to_ipld()])];
        of.extend(
            older
                .into_iter()
                .map(|one| Ipld::List(vec![one.written.to_ipld(), number(one.until)])),
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
    fn read(scope: &str, left: &Receipt, look_up: LookUp<'_>) -> Result<Self> {
        let read = parse(&left.receipt, left.position);
        let mut read = read.ok_or_else(|| StoreError::Corrupt {
            what: "lineage",
            which: scope.to_owned(),
            detail: "it does not say what the scope was forked of".into(),
        })?;
        for ancestor in &mut read.ancestors {
            ancestor.scope = ancestor.written.name(ancestor.until, look_up)?;
        }
        Ok(read)
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
        let written = Origin::read(&input.next().ok()?)?;
        let until = match (nth, length) {
            (0, 1) => position,
            (1.., 2) => match input.next().ok()? {
                Event::Uint(until) => until,
                _ => return None,
            },
            _ => return None,
        };
        ancestors.push(Ancestor {
            scope: None,
            until,
            written,
        });
    }
    input.finish().ok()?;
    Some(Lineage {
        ancestors,
        at_ms,
        refs,
    })
}

/// Which receipt is meant. A key alone says none: whoever imports a file may have brought any, in a scope of his own.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'w> {
    /// That of this scope under this key.
    Of(&'w str, &'w [u8; 32]),
    /// With which the scope that has this digest says its name.
    Name(&'w [u8; 32]),
}

impl Wanted<'_> {
    /// Where it stands.
    pub fn key(&self) -> [u8; 32] {
        match self {
            Self::Of(_, key) => **key,
            Self::Name(digest) => name_key(digest),
        }
    }

    /// Whether it is one of this scope. `digest` says what stands for a scope.
    pub fn is_of(
        &self,
        scope: &str,
        digest: impl FnOnce(&str) -> Result<[u8; 32]>,
    ) -> Result<bool> {
        match self {
            Self::Of(wanted, _) => Ok(*wanted == scope),
            Self::Name(wanted) => Ok(digest(scope)? == **wanted),
        }
    }
}

/// Whether a receipt under [`lineage_key`] says what a scope was forked of.
pub(crate) fn is_lineage(receipt: &[u8]) -> bool {
    parse(receipt, 0).is_some()
}

/// How a receipt is looked up.
pub(crate) type LookUp<'l> = &'l mut dyn FnMut(Wanted<'_>) -> Result<Option<Receipt>>;

/// What a scope was forked of; None if it was not.
pub(crate) fn read_lineage(scope: &str, look_up: LookUp<'_>) -> Result<Option<Lineage>> {
    let left = look_up(Wanted::Of(scope, &lineage_key(scope)))?;
    left.map(|left| Lineage::read(scope, &left, look_up))
        .transpose()
}

/// The receipt of a command at `address`: the scope's own, or the one that it has from a scope that it was forked of.
///
/// Errors: `Corrupt` for a lineage that can't be read; those of looking up.
pub(crate) fn find_receipt(
    address: &Address,
    id: &str,
    look_up: LookUp<'_>,
) -> Result<Option<Receipt>> {
    let own = look_up(Wanted::Of(address.scope(), &receipt_key(address, id)))?;
    if own.is_some() {
        return Ok(own);
    }
    let Some(lineage) = read_lineage(address.scope(), look_up)? else {
        return Ok(None);
    };
    for ancestor in &lineage.ancestors {
        // Its receipts went with the name.
        let Some(scope) = &ancestor.scope else {
            continue;
        };
        // A name that is too long there is one of nothing.
        let Ok(there) = elsewhere(address, scope) else {
            continue;
        };
        let found = look_up(Wanted::Of(scope, &receipt_key(&there, id)))?;
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

    fn digest(scope: &str) -> [u8; 32] {
        *blake3::hash(scope.as_bytes()).as_bytes()
    }

    fn left(scope: &str, command: JournalCommand, position: u64) -> Receipt {
        Receipt {
            scope: scope.to_owned(),
            payload: command.payload,
            receipt: command.receipt,
            position,
        }
    }

    fn of_fork(from: &str, before: Option<Lineage>, position: u64) -> Receipt {
        let made = Lineage::of_fork(digest(from), before, 7, 3).unwrap();
        left("x", made.receipt("x"), position)
    }

    /// A scope that left its name with that commit.
    fn read(scope: &str, lineage: &Receipt, named: &[(&str, u64)]) -> Lineage {
        let mut look_up = |wanted: Wanted<'_>| {
            let known = named
                .iter()
                .find(|(name, _)| name_key(&digest(name)) == wanted.key());
            Ok(known.map(|(name, at)| left(name, name_receipt(&digest(name), name).unwrap(), *at)))
        };
        Lineage::read(scope, lineage, &mut look_up).unwrap()
    }

    fn told(lineage: &Lineage) -> Vec<(Option<&str>, u64)> {
        let ancestors = lineage.ancestors.iter();
        ancestors
            .map(|one| (one.scope.as_deref(), one.until))
            .collect()
    }

    #[test]
    fn a_fork_of_a_fork_counts_each_scope_up_to_its_own_fork() {
        let named = [("alice", 9), ("bob", 19)];
        let first = read("bob", &of_fork("alice", None, 10), &named);
        assert_eq!((first.at_ms, first.refs), (7, 3));
        let second = read("carol", &of_fork("bob", Some(first), 20), &named);
        assert_eq!(told(&second), [(Some("bob"), 20), (Some("alice"), 10)]);
    }

    #[test]
    fn an_erased_scope_has_no_name_and_a_later_life_of_it_is_another() {
        let lineage = of_fork("alice", None, 10);
        assert_eq!(told(&read("bob", &lineage, &[])), [(None, 10)]);
        assert_eq!(told(&read("bob", &lineage, &[("alice", 11)])), [(None, 10)]);
        let without = |text: &[u8]| !lineage.receipt.windows(text.len()).any(|part| part == text);
        assert!(without(b"alice"));
    }

    #[test]
    fn what_a_fork_wrote_when_it_wrote_names_is_read_and_handed_on() {
        // [7, 3, [["alice"], ["eve", 4]]]
        let old = b"\x83\x07\x03\x82\x81\x65alice\x82\x63eve\x04".to_vec();
        let old = Receipt {
            scope: "bob".into(),
            payload: *blake3::hash(&old).as_bytes(),
            receipt: old,
            position: 10,
        };
        let first = read("bob", &old, &[]);
        assert_eq!(told(&first), [(Some("alice"), 10), (Some("eve"), 4)]);
        let second = read("carol", &of_fork("bob", Some(first), 20), &[]);
        assert_eq!(
            told(&second),
            [(None, 20), (Some("alice"), 10), (Some("eve"), 4)]
        );
    }

    #[test]
    fn there_are_limits() {
        let mut lineage = None;
        for nth in 0..ANCESTORS_MAX as u64 {
            lineage = Some(read("x", &of_fork(&format!("s{nth}"), lineage, nth), &[]));
        }
        let refused = |lineage: Option<Lineage>| {
            let made = Lineage::of_fork([0; 32], lineage, 0, 0);
            assert!(matches!(made, Err(StoreError::LimitExceeded { .. })));
        };
        refused(lineage);
        // As long as one may be that older forks wrote.
        let old = |length: usize| Lineage {
            ancestors: vec![Ancestor {
                scope: None,
                until: 1,
                written: Origin::Name("x".repeat(length)),
            }],
            at_ms: 0,
            refs: 0,
        };
        // Beside it stand 3 + 1 bytes, 1 + 34 of the digest, 1 + 3 + 1 of the name and its commit.
        let most = RECEIPT_BYTES_MAX - 44;
        assert!(Lineage::of_fork([0; 32], Some(old(most)), 0, 0).is_ok());
        refused(Some(old(most + 1)));
    }

    #[test]
    fn what_no_fork_wrote_is_no_lineage() {
        let whole = of_fork("alice", None, 10).receipt;
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length], 1), None, "{length}");
        }
        assert_eq!(parse(&[&whole[..], &[0]].concat(), 1), None);
        for broken in [
            vec![0x80],
            vec![0x83, 0, 0, 0x80],
            vec![0x83, 0, 0, 0x81, 0x81, 0x60],
            vec![0x83, 0, 0, 0x81, 0x81, 0x41, 1],
            vec![0x83, 0, 0, 0x81, 0x82, 0x61, b'a', 1],
        ] {
            assert_eq!(parse(&broken, 1), None, "{broken:?}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_told() {
        let mut look_up = |_: Wanted<'_>| {
            Ok(Some(Receipt {
                scope: "alice".into(),
                payload: [0; 32],
                receipt: vec![0],
                position: 1,
            }))
        };
        let read = Lineage::read("bob", &of_fork("alice", None, 10), &mut look_up);
        assert!(matches!(read, Err(StoreError::Corrupt { .. })));
    }
}
