//! The nodes of an actor's log: events, what a log may begin with, and what stands for a deleted actor.
//!
//! Promises: an event's version says whether it has a parent and a jump, and both are checked whenever a node is
//! written or read. Versions are stored, never counted: a log that was cut keeps its numbers.
//! Never: no actor's name, so that logs can be forked without a new node; nothing here knows an event's type.

use super::fields::{Fields, Value, check_name, check_node_link, write_node};
use super::typed::Typed;
use crate::error::BlockError;
use crate::jump::jump_step;
use crate::limits::LABEL_BYTES_MAX;
use crate::{Block, Cid, Codec};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNode {
    /// The actor's version after it, from 1.
    pub version: u64,
    /// The version that the log begins after: 0, or that of the base or tombstone at its beginning.
    pub base: u64,
    /// The entry before; None for version 1.
    pub parent: Option<Cid>,
    /// The event [`event_jump`] of this one's version; None where that is the beginning.
    pub jump: Option<Cid>,
    /// ULID; the same in no other event.
    pub event_id: String,
    /// When it happened, Unix milliseconds.
    pub at_ms: i64,
    /// The caller's id of the command that led to it.
    pub command_id: Option<String>,
    /// What led to that command, in the caller's words.
    pub causation_id: Option<String>,
    /// On whose behalf, in the caller's words.
    pub principal: Option<String>,
    /// What happened.
    pub typed: Typed,
}

/// The version that the event of `version` jumps to, in a log that begins after `base`; None for the beginning.
#[must_use]
pub const fn event_jump(version: u64, base: u64) -> Option<u64> {
    match jump_step(version.saturating_sub(base)) {
        0 => None,
        step => Some(base + step),
    }
}

impl EventNode {
    /// Its kind on the wire.
    pub const KIND: &'static str = "event";

    /// The node as a block.
    ///
    /// # Errors
    /// [`BlockError::Field`] for a field that breaks its rule; limits; foreign links.
    pub fn encode(&self) -> Result<Block, BlockError> {
        self.check()?;
        let mut fields = vec![
            ("version", Value::Uint(self.version)),
            ("event_id", Value::Text(&self.event_id)),
            ("at_ms", Value::Int(self.at_ms)),
        ];
        if self.base > 0 {
            fields.push(("base", Value::Uint(self.base)));
        }
        for (field, link) in [("parent", &self.parent), ("jump", &self.jump)] {
            fields.extend(link.as_ref().map(|cid| (field, Value::Link(cid))));
        }
        for (field, text) in self.labels() {
            fields.extend(text.map(|text| (field, Value::Text(text))));
        }
        self.typed.write(&mut fields);
        write_node(Self::KIND, fields)
    }

    fn labels(&self) -> [(&'static str, Option<&str>); 3] {
        [
            ("command_id", self.command_id.as_deref()),
            ("causation_id", self.causation_id.as_deref()),
            ("principal", self.principal.as_deref()),
        ]
    }

    pub(super) fn check(&self) -> Result<(), BlockError> {
        check_name(Self::KIND, "event_id", &self.event_id, LABEL_BYTES_MAX)?;
        for (field, text) in self.labels() {
            if let Some(text) = text {
                check_name(Self::KIND, field, text, LABEL_BYTES_MAX)?;
            }
        }
        self.typed.check(Self::KIND)?;
        check_node_link(Self::KIND, "parent", self.parent.as_ref())?;
        check_node_link(Self::KIND, "jump", self.jump.as_ref())?;
        if self.version <= self.base {
            return Err(rule("version", "greater than that of the log's beginning"));
        }
        if self.parent.is_some() != (self.version > 1) {
            return Err(rule("parent", "absent at version 1 and present after it"));
        }
        let jump = event_jump(self.version, self.base);
        if self.jump.is_some() != jump.is_some() {
            return Err(rule(
                "jump",
                "absent where it would lead to the beginning, else present",
            ));
        }
        if jump.is_some() && (self.jump == self.parent) != (jump == self.version.checked_sub(1)) {
            return Err(rule(
                "jump",
                "the parent just where it leads to the event before",
            ));
        }
        Ok(())
    }
}

fn rule(field: &'static str, expected: &'static str) -> BlockError {
    BlockError::Field {
        kind: EventNode::KIND,
        field,
        expected,
    }
}

/// A number that counts from 1.
fn check_positive(kind: &'static str, field: &'static str, number: u64) -> Result<(), BlockError> {
    if number > 0 {
        return Ok(());
    }
    Err(BlockError::Field {
        kind,
        field,
        expected: "at least 1",
    })
}

/// A node that is named and not linked to, so that it may go.
fn check_named_node(
    kind: &'static str,
    field: &'static str,
    bytes: &[u8],
) -> Result<(), BlockError> {
    if Cid::from_bytes(bytes).is_ok_and(|cid| cid.codec() == Codec::DagCbor) {
        return Ok(());
    }
    Err(BlockError::Field {
        kind,
        field,
        expected: "the bytes of a node's CID",
    })
}

/// What a log begins with whose front was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseNode {
    /// The version that it stands for.
    pub version: u64,
    /// When the event of that version happened, Unix milliseconds; None in the first ones that were written.
    pub at_ms: Option<i64>,
    /// The snapshot of that version.
    pub state: Cid,
    /// CID of the entry that stood there, as bytes: it is not kept.
    pub replaces: Vec<u8>,
}

impl BaseNode {
    /// Its kind on the wire.
    pub const KIND: &'static str = "base";

    /// The node as a block.
    ///
    /// # Errors
    /// [`BlockError::Field`] for a field that breaks its rule.
    pub fn encode(&self) -> Result<Block, BlockError> {
        self.check()?;
        let mut fields = vec![
            ("version", Value::Uint(self.version)),
            ("state", Value::Link(&self.state)),
            ("replaces", Value::Bytes(&self.replaces)),
        ];
        fields.extend(self.at_ms.map(|at_ms| ("at_ms", Value::Int(at_ms))));
        write_node(Self::KIND, fields)
    }

    pub(super) fn check(&self) -> Result<(), BlockError> {
        check_positive(Self::KIND, "version", self.version)?;
        check_node_link(Self::KIND, "state", Some(&self.state))?;
        check_named_node(Self::KIND, "replaces", &self.replaces)
    }
}

/// What stands for an actor that was deleted: nothing of what it was, but its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TombstoneNode {
    /// The actor's version, which goes on from here.
    pub version: u64,
    /// When it was deleted, Unix milliseconds.
    pub deleted_at_ms: i64,
}

impl TombstoneNode {
    /// Its kind on the wire.
    pub const KIND: &'static str = "tombstone";

    /// The node as a block.
    ///
    /// # Errors
    /// [`BlockError::Field`] for version 0.
    pub fn encode(&self) -> Result<Block, BlockError> {
        self.check()?;
        write_node(
            Self::KIND,
            vec![
                ("version", Value::Uint(self.version)),
                ("deleted_at_ms", Value::Int(self.deleted_at_ms)),
            ],
        )
    }

    pub(super) fn check(&self) -> Result<(), BlockError> {
        check_positive(Self::KIND, "version", self.version)
    }
}

/// An actor's state at one version, so that not every event has to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotNode {
    /// The version.
    pub version: u64,
    /// CID of the log's entry of that version, as bytes: a snapshot keeps no history.
    pub entry: Vec<u8>,
    /// Number of the rules that the state was folded with; with others it is folded anew.
    pub fold: u64,
    /// An older snapshot of the same log, which has none itself: what the log begins with once its front is cut off.
    pub earlier: Option<Cid>,
    /// The state, with links to its collections.
    pub typed: Typed,
}

impl SnapshotNode {
    /// Its kind on the wire.
    pub const KIND: &'static str = "snapshot";

    /// The node as a block.
    ///
    /// # Errors
    /// [`BlockError::Field`] for a field that breaks its rule; limits; foreign links.
    pub fn encode(&self) -> Result<Block, BlockError> {
        self.check()?;
        let mut fields = vec![
            ("version", Value::Uint(self.version)),
            ("entry", Value::Bytes(&self.entry)),
            ("fold", Value::Uint(self.fold)),
        ];
        fields.extend(
            self.earlier
                .as_ref()
                .map(|cid| ("earlier", Value::Link(cid))),
        );
        self.typed.write(&mut fields);
        write_node(Self::KIND, fields)
    }

    /// The node of `bytes`, which were read as `cid`; the hash is not checked here.
    ///
    /// # Errors
    /// [`BlockError::Undecodable`] and [`BlockError::IllTyped`], both with the CID.
    pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        let mut fields = Fields::read(cid, bytes)?;
        fields.take_kind(Self::KIND)?;
        let node = Self {
            version: fields.uint("version")?,
            entry: fields.bytes("entry")?,
            fold: fields.uint("fold")?,
            earlier: fields.optional_link("earlier")?,
            typed: Typed::read(&mut fields)?,
        };
        fields.finish()?;
        node.check().map_err(|error| error.stored_in(*cid))?;
        Ok(node)
    }

    fn check(&self) -> Result<(), BlockError> {
        check_positive(Self::KIND, "version", self.version)?;
        check_positive(Self::KIND, "fold", self.fold)?;
        check_node_link(Self::KIND, "earlier", self.earlier.as_ref())?;
        check_named_node(Self::KIND, "entry", &self.entry)?;
        self.typed.check(Self::KIND)
    }
}
