//! Actors: state that is folded from a log of typed events.

pub mod messages;
