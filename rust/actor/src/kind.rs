//! What makes a kind of actor: its state, its events, and how one becomes of the other.
//!
//! Promises: `evolve` is pure, deterministic and total; what needs a clock, chance or a limit is decided before and
//! stands in the event. Must never: read a block in `evolve`; collections keep what happened to them since they were
//! stored, and are put together when a snapshot is made.

use std::fmt;

use treering_block::Cid;
use treering_block::collection::Draft;
use treering_block::node::{SnapshotNode, Typed};

use crate::error::{ActorError, Result};

/// Where blocks are read and put while something is decided.
pub type Blocks<'r> = Draft<'r, ActorError>;

/// A kind of actor.
pub trait Kind: fmt::Debug + Send + Sync + 'static {
    /// The kind of its ref, append-only: `user-config`.
    const NAME: &'static str;
    /// Schema number of what this version writes. A log with a greater one is read and not written to.
    const SCHEMA: u64 = 1;
    /// Number of the rules of [`Kind::evolve`] and of the state's form: with another one, snapshots are made anew.
    const FOLD: u64 = 1;
    /// A snapshot is written once so many events came after the last one: what an activation reads at most.
    const SNAPSHOT_EVENTS: u64 = 16;
    /// What it is.
    type State: State;
    /// What happens to it.
    type Event: Event;

    /// A message of an older schema as one of this one's; None for one that is as it was.
    fn upcast(_: &Typed) -> Option<Typed> {
        None
    }

    /// Whether a state that was folded with those rules is taken.
    fn takes(fold: u64) -> bool {
        fold == Self::FOLD
    }

    /// The state after an event.
    fn evolve(state: &mut Self::State, event: &Happened<Self::Event>);

    /// The same, of the event of a version that stands in a node: for a kind whose state says so.
    fn evolve_at(
        state: &mut Self::State,
        event: &Happened<Self::Event>,
        _version: u64,
        _node: &Cid,
    ) {
        Self::evolve(state, event);
    }
}

/// A state, cheap to clone: large things in it are shared.
pub trait State: Clone + fmt::Debug + Default + Send + Sync + 'static {
    /// Whether parts of it stand in blocks that hang on its snapshot.
    const IN_BLOCKS: bool = true;

    /// Full name of the message that a snapshot holds.
    fn type_name() -> String;

    /// The message and what it links to. Collections are put together, so that they are as in the snapshot.
    ///
    /// # Errors
    /// Those of reading.
    fn save(&mut self, blocks: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)>;

    /// The opposite. Collections are read when something is looked up in them.
    ///
    /// # Errors
    /// Why it is no such state.
    fn load(message: &[u8], links: &[Cid]) -> Result<Self, Unreadable>;

    /// What a snapshot holds: the number of the rules that it was folded with, and the message. `schema`, `fold`: those
    /// of its kind.
    ///
    /// # Errors
    /// Those of [`State::save`].
    fn stored(&mut self, blocks: &mut Blocks<'_>, schema: u64, fold: u64) -> Result<(u64, Typed)> {
        let (message, links) = self.save(blocks)?;
        let typed = Typed {
            type_name: Self::type_name(),
            schema,
            message,
            links,
        };
        Ok((fold, typed))
    }

    /// The opposite.
    ///
    /// # Errors
    /// Why it is no snapshot of such a state.
    fn of_snapshot(node: &SnapshotNode) -> Result<Self, Unreadable> {
        let typed = &node.typed;
        if typed.type_name != Self::type_name() {
            return Err(Unreadable(format!("it holds a {}", typed.type_name)));
        }
        Self::load(&typed.message, &typed.links)
    }

    /// Whether its log may begin with a snapshot of before: one that these rules made. `schema`, `fold`: those of its
    /// kind.
    fn may_begin_with(&self, node: &SnapshotNode, schema: u64, fold: u64) -> bool {
        node.fold == fold && node.typed.schema <= schema
    }

    /// About how many bytes of memory it takes.
    fn weight(&self) -> usize;
}

/// A message that is not what its type says.
#[derive(Clone, Debug)]
pub struct Unreadable(pub String);

impl From<prost::DecodeError> for Unreadable {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

/// The events of a kind: one variant for each type.
pub trait Event: Clone + fmt::Debug + Send + Sync + Sized + 'static {
    /// Full name of its type, and the message.
    fn encode(&self) -> (String, Vec<u8>);

    /// The event of a message; None for a type that this kind does not know.
    ///
    /// # Errors
    /// Why it is no message of that type.
    fn decode(type_name: &str, message: &[u8]) -> Result<Option<Self>, Unreadable>;

    /// The same of a node's message, whole.
    ///
    /// # Errors
    /// As for [`Event::decode`].
    fn of(typed: &Typed) -> Result<Option<Self>, Unreadable> {
        Self::decode(&typed.type_name, &typed.message)
    }

    /// What a node holds of it. `schema`: that of its kind.
    fn typed(&self, schema: u64, links: &[Cid]) -> Typed {
        let (type_name, message) = self.encode();
        Typed {
            type_name,
            schema,
            message,
            links: links.to_vec(),
        }
    }
}

/// An event with what it links to.
#[derive(Clone, Debug)]
pub struct Happened<E> {
    /// The event.
    pub event: E,
    /// What its `Link` fields name, in their order.
    pub links: Vec<Cid>,
}

impl<E> From<E> for Happened<E> {
    fn from(event: E) -> Self {
        Self {
            event,
            links: Vec::new(),
        }
    }
}

impl<E: Event> Happened<E> {
    pub(crate) fn typed(&self, schema: u64) -> Typed {
        self.event.typed(schema, &self.links)
    }
}

/// The events of a kind, each a variant with its message.
macro_rules! events {
    ($(#[$about:meta])* $name:ident: $($variant:ident),+ $(,)?) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "the messages say what they are")]
        pub enum $name {
            $($variant($crate::messages::$variant)),+
        }

        impl $crate::kind::Event for $name {
            fn encode(&self) -> (String, Vec<u8>) {
                use $crate::messages::{Encoding as _, Name as _};
                match self {
                    $(Self::$variant(message) => {
                        ($crate::messages::$variant::full_name(), message.encode_to_vec())
                    })+
                }
            }

            fn decode(
                type_name: &str,
                message: &[u8],
            ) -> std::result::Result<Option<Self>, $crate::kind::Unreadable> {
                use $crate::messages::Encoding as _;
                Ok(match type_name.strip_prefix($crate::kind::PACKAGE) {
                    $(Some(stringify!($variant)) => {
                        Some(Self::$variant($crate::messages::$variant::decode(message)?))
                    })+
                    _ => None,
                })
            }
        }

        $(impl From<$crate::messages::$variant> for $crate::kind::Happened<$name> {
            fn from(message: $crate::messages::$variant) -> Self {
                $name::$variant(message).into()
            }
        })+
    };
}
pub(crate) use events;

/// What the full names of our messages begin with.
pub(crate) const PACKAGE: &str = "treering.v1.";
