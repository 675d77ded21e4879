//! Actors: state that is folded from a log of typed events, over a [`treering_store::Store`].
//!
//! What it promises: a command is decided on the state as it is when its commit's turn comes; events, the actors that
//! they move along and the receipt are one commit; replay from any snapshot is replay from the beginning.
//! What it must never do: know how blocks are kept, run a caller's code in a commit, or let a store's decider touch a
//! log.

mod address;
pub mod archive;
mod as_of;
mod cache;
mod dispatch;
pub mod error;
mod follow;
#[cfg(test)]
mod fuzz;
mod kind;
mod listing;
mod loaded;
pub mod messages;
mod mixed;
pub mod own;
mod projection;
mod read;
mod rebuild;
mod receipt;
mod side_by_side;
mod source;
pub mod stores;
mod tail;
mod turn;
mod verify;

pub use address::{Address, is_read_model};
pub use as_of::as_of;
pub use dispatch::{Answer, Command, Dispatcher, Done, Operation};
pub use error::{ActorError, Result};
pub use follow::Following;
pub use kind::{Blocks, Event, Happened, Kind, State, Unreadable};
pub use listing::{Listed, Standing};
pub use loaded::{Loaded, Place};
pub use mixed::{Mixed, MixedAnswer, MixedReady, Ran};
pub use projection::{
    Behind, PROJECTION, Page, Past, Projected, Projection, Search, Step, Summary, projections,
};
pub use read::{Reader, steadily};
pub use receipt::{DROPPED_IDS_MAX, Receipt};
pub use side_by_side::{Apart, Changed, SideBySide, side_by_side};
pub use tail::TRIM_EVENTS_MAX;
pub use turn::{Envelope, HISTORY_EVENTS_MAX, Turn};
