//! An entry of an actor's log, read in one pass: a replay reads thousands of them.
//!
//! Promises: every field is of the entry's own kind, and is checked as whoever writes it checks it.
//! Never: a text that is kept is copied twice.

use super::event::{BaseNode, EventNode, TombstoneNode};
use super::fields::{BYTES, INT, LINK, NO_SUCH_FIELD, TEXT, UINT, each_field, ill_typed};
use super::typed::Stood as StoodTyped;
use crate::Cid;
use crate::error::BlockError;

/// An entry of an actor's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Something happened.
    Event(Box<EventNode>),
    /// What was before is cut off.
    Base(BaseNode),
    /// The actor was deleted.
    Tombstone(TombstoneNode),
}

/// What stands in an entry of any kind.
#[derive(Default)]
struct Stood<'a> {
    kind: Option<&'a str>,
    version: Option<u64>,
    base: Option<u64>,
    parent: Option<Cid>,
    jump: Option<Cid>,
    event_id: Option<&'a str>,
    at_ms: Option<i64>,
    command_id: Option<&'a str>,
    causation_id: Option<&'a str>,
    principal: Option<&'a str>,
    type_name: Option<&'a str>,
    schema: Option<u64>,
    message: Option<&'a [u8]>,
    links: Vec<Cid>,
    fields: Option<(&'a [u8], Vec<Cid>)>,
    state: Option<Cid>,
    replaces: Option<&'a [u8]>,
    deleted_at_ms: Option<i64>,
}

impl Entry {
    /// The entry of `bytes`, which were read as `cid`; the hash is not checked here.
    ///
    /// # Errors
    /// [`BlockError::Undecodable`] and [`BlockError::IllTyped`], both with the CID.
    pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Self, BlockError> {
        let mut stood = Stood::default();
        each_field(cid, bytes, |field, value| {
            match field {
                "kind" => stood.kind = Some(value.text()?),
                "version" => stood.version = Some(value.uint()?),
                "base" => stood.base = Some(value.uint()?),
                "parent" => stood.parent = Some(value.link()?),
                "jump" => stood.jump = Some(value.link()?),
                "event_id" => stood.event_id = Some(value.text()?),
                "at_ms" => stood.at_ms = Some(value.int()?),
                "command_id" => stood.command_id = Some(value.text()?),
                "causation_id" => stood.causation_id = Some(value.text()?),
                "principal" => stood.principal = Some(value.text()?),
                "type" => stood.type_name = Some(value.text()?),
                "schema" => stood.schema = Some(value.uint()?),
                "message" => stood.message = Some(value.bytes()?),
                "links" => stood.links = value.links()?,
                "fields" => stood.fields = Some(value.own()?),
                "state" => stood.state = Some(value.link()?),
                "replaces" => stood.replaces = Some(value.bytes()?),
                "deleted_at_ms" => stood.deleted_at_ms = Some(value.int()?),
                _ => return Err(NO_SUCH_FIELD),
            }
            Ok(())
        })?;
        let kind = required(cid, "kind", stood.kind, TEXT)?;
        stood.expect_none_of_others(cid, kind)?;
        let entry = match kind {
            EventNode::KIND => stood.event(cid)?,
            BaseNode::KIND => Self::Base(BaseNode {
                version: required(cid, "version", stood.version, UINT)?,
                at_ms: stood.at_ms,
                state: required(cid, "state", stood.state, LINK)?,
                replaces: required(cid, "replaces", stood.replaces, BYTES)?.to_vec(),
            }),
            _ => Self::Tombstone(TombstoneNode {
                version: required(cid, "version", stood.version, UINT)?,
                deleted_at_ms: required(cid, "deleted_at_ms", stood.deleted_at_ms, INT)?,
            }),
        };
        entry.check().map_err(|error| error.stored_in(*cid))?;
        Ok(entry)
    }

    fn check(&self) -> Result<(), BlockError> {
        match self {
            Self::Event(node) => node.check(),
            Self::Base(node) => node.check(),
            Self::Tombstone(node) => node.check(),
        }
    }

    /// The actor's version at it.
    #[must_use]
    pub const fn version(&self) -> u64 {
        match self {
            Self::Event(node) => node.version,
            Self::Base(node) => node.version,
            Self::Tombstone(node) => node.version,
        }
    }

    /// The version that its log begins after.
    #[must_use]
    pub const fn base(&self) -> u64 {
        match self {
            Self::Event(node) => node.base,
            Self::Base(_) | Self::Tombstone(_) => self.version(),
        }
    }

    /// When the actor became what it is at it, Unix milliseconds; None for a base that does not say.
    #[must_use]
    pub const fn at_ms(&self) -> Option<i64> {
        match self {
            Self::Event(node) => Some(node.at_ms),
            Self::Base(node) => node.at_ms,
            Self::Tombstone(node) => Some(node.deleted_at_ms),
        }
    }
}

impl Stood<'_> {
    fn event(self, cid: &Cid) -> Result<Entry, BlockError> {
        if self.base == Some(0) {
            // A second form of the same event.
            return Err(ill_typed(cid, "base", "absent, or at least 1"));
        }
        let typed = StoodTyped {
            type_name: required(cid, "type", self.type_name, TEXT)?.to_owned(),
            schema: required(cid, "schema", self.schema, UINT)?,
            message: self.message.map(<[u8]>::to_vec),
            links: self.links,
            fields: self.fields.map(|(bytes, links)| (bytes.to_vec(), links)),
        };
        Ok(Entry::Event(Box::new(EventNode {
            version: required(cid, "version", self.version, UINT)?,
            base: self.base.unwrap_or(0),
            parent: self.parent,
            jump: self.jump,
            event_id: required(cid, "event_id", self.event_id, TEXT)?.to_owned(),
            at_ms: required(cid, "at_ms", self.at_ms, INT)?,
            command_id: self.command_id.map(str::to_owned),
            causation_id: self.causation_id.map(str::to_owned),
            principal: self.principal.map(str::to_owned),
            typed: typed
                .typed()
                .map_err(|(field, expected)| ill_typed(cid, field, expected))?,
        })))
    }

    /// Fields of another kind are none of this one.
    fn expect_none_of_others(&self, cid: &Cid, kind: &str) -> Result<(), BlockError> {
        let (event, base, tombstone) = (EventNode::KIND, BaseNode::KIND, TombstoneNode::KIND);
        if ![event, base, tombstone].contains(&kind) {
            return Err(ill_typed(cid, "kind", "one of event, base, tombstone"));
        }
        let of = [
            ("state", base, self.state.is_some()),
            ("replaces", base, self.replaces.is_some()),
            ("deleted_at_ms", tombstone, self.deleted_at_ms.is_some()),
            ("base", event, self.base.is_some()),
            ("parent", event, self.parent.is_some()),
            ("jump", event, self.jump.is_some()),
            ("event_id", event, self.event_id.is_some()),
            // A base has it too.
            ("at_ms", event, self.at_ms.is_some() && kind != base),
            ("command_id", event, self.command_id.is_some()),
            ("causation_id", event, self.causation_id.is_some()),
            ("principal", event, self.principal.is_some()),
            ("type", event, self.type_name.is_some()),
            ("schema", event, self.schema.is_some()),
            ("message", event, self.message.is_some()),
            ("links", event, !self.links.is_empty()),
            ("fields", event, self.fields.is_some()),
        ];
        match of.iter().find(|(_, of, there)| *there && *of != kind) {
            Some((field, ..)) => Err(ill_typed(cid, field, NO_SUCH_FIELD)),
            None => Ok(()),
        }
    }
}

fn required<T>(
    cid: &Cid,
    field: &str,
    value: Option<T>,
    expected: &'static str,
) -> Result<T, BlockError> {
    value.ok_or_else(|| ill_typed(cid, field, expected))
}
