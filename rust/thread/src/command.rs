//! Command ids: the digest of what the caller gave, and the look-up of what the first one did.

use treering_block::Cid;
use treering_store::commit::Address;
use treering_store::{Command, Store, StoreError};

/// What the caller gave, field by field: never clock, random ids or heads, which differ on a retry.
#[derive(Clone)]
pub struct Payload(blake3::Hasher);

impl Payload {
    /// Of a verb, with no fields yet.
    pub fn new(verb: &str) -> Self {
        let mut payload = Self(blake3::Hasher::new_derive_key(
            "treering v1 command payload",
        ));
        payload.text(verb);
        payload
    }

    /// Lengths stand before bytes, so no two sequences of fields run into each other.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// A number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    /// What may be absent, and whether it is.
    pub fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.0.update(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
        self
    }

    /// A CID.
    pub fn cid(&mut self, cid: &Cid) -> &mut Self {
        self.bytes(&cid.to_bytes())
    }

    /// The digest of all of it.
    pub fn finish(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

/// A command id with what it addresses and what was given.
#[derive(Clone, Debug)]
pub struct CommandKey {
    /// What the id is unique within.
    pub address: Address,
    /// The caller's id.
    pub id: String,
    /// Digest of what was given.
    pub payload: [u8; 32],
}

impl CommandKey {
    /// The receipt of the first command under this id, if there was one.
    ///
    /// Looked up before anything else is judged, since a repeated command is answered whatever has
    /// become of what it addresses. The commit looks again: only that decides.
    ///
    /// # Errors
    /// `CommandMismatch`; the store's.
    pub fn first(&self, store: &dyn Store) -> Result<Option<Vec<u8>>, StoreError> {
        match store.receipt(&self.address, &self.id)? {
            Some((payload, receipt)) if payload == self.payload => Ok(Some(receipt)),
            Some(_) => Err(StoreError::CommandMismatch {
                id: self.id.clone(),
            }),
            None => Ok(None),
        }
    }

    /// The store's command, which leaves this receipt.
    pub fn with_receipt(&self, receipt: Vec<u8>) -> Command {
        Command {
            address: self.address.clone(),
            id: self.id.clone(),
            payload: self.payload,
            receipt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let ab_c = Payload::new("append").text("ab").text("c").finish();
        let a_bc = Payload::new("append").text("a").text("bc").finish();
        assert_ne!(ab_c, a_bc);
        let none = Payload::new("x")
            .maybe(None::<u64>, |p, n| {
                p.number(n);
            })
            .text("")
            .finish();
        let some = Payload::new("x")
            .maybe(Some(0), |p, n| {
                p.number(n);
            })
            .text("")
            .finish();
        assert_ne!(none, some);
        assert_ne!(Payload::new("a").finish(), Payload::new("b").finish());
    }
}
