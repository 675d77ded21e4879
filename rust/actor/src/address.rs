//! Where an actor is: its log's ref, and that of its read model.
//!
//! Promises: two different addresses name different refs, whatever stands in scope and parts: each part is escaped,
//! none concatenated. Must never: read anything.

use treering_store::name::READ_MODEL;
use treering_store::{RefName, StoreError};

use crate::error::Result;

/// Whether a ref is an actor's read model: made of its log, and made anew if it is lost.
pub fn is_read_model(name: &RefName) -> bool {
    name.kind().ends_with(READ_MODEL)
}

/// The address of one actor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    log: RefName,
    read_model: RefName,
}

impl Address {
    /// The actor of `kind` in `scope` with these parts.
    ///
    /// # Errors
    /// `Invalid` for a blank scope or part, a kind that no ref can have, or one that is a read model's;
    /// `LimitExceeded` over 1,024 bytes of escaped text.
    pub fn new(scope: &str, kind: &str, parts: &[&str]) -> Result<Self> {
        if kind.ends_with(READ_MODEL) {
            return Err(StoreError::Invalid {
                what: "kind of an actor",
                value: kind.to_owned(),
                rule: format!("one that ends with {READ_MODEL} is a read model's"),
            }
            .into());
        }
        let name = |kind: &str| RefName::new(scope, kind, parts.iter().copied());
        Ok(Self {
            log: name(kind)?,
            read_model: name(&format!("{kind}{READ_MODEL}"))?,
        })
    }

    /// The ref of its log.
    pub fn log(&self) -> &RefName {
        &self.log
    }

    /// The ref of its newest snapshot.
    pub fn read_model(&self) -> &RefName {
        &self.read_model
    }

    /// The scope that it is in.
    pub fn scope(&self) -> &str {
        self.log.scope()
    }
}
