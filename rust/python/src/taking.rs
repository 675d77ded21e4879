//! What the verbs of stores take: messages, and what a trim keeps.

use pyo3::prelude::*;
use treering_actor::ActorError;
use treering_actor::messages::Message;
use treering_actor::stores::Keep;
use treering_block::Cid;

use crate::convert::{Count, Signed};
use crate::error::{CoreError, Result};
use crate::messages::PyMessage;

/// What a command brings, as a message: a value that its field can not hold breaks a rule of the command.
pub fn taken<M>(message: Result<M>) -> Result<M> {
    message.map_err(|error| match error {
        CoreError::Invalid { what, value, rule } => {
            let field = what.rsplit('.').next().unwrap_or(what);
            ActorError::invalid(field, &value, rule).into()
        }
        other => other,
    })
}

/// Messages, each with what it links to.
pub fn messages_of(objects: &[Bound<'_, PyAny>]) -> Result<Vec<(Message, Vec<Cid>)>> {
    let read = |object| {
        let mut links = Vec::new();
        let message = taken(Message::from_object(object, "messages", &mut links))?;
        Ok((message, links))
    };
    objects.iter().map(read).collect()
}

/// Refuses a user's own kind of actor, whose states only its class can fold.
pub fn needs_no_class(kind: &str) -> Result<()> {
    if !treering_actor::own::is_own(kind) {
        return Ok(());
    }
    Err(CoreError::Invalid {
        what: "kind of actor",
        value: kind.to_owned(),
        rule: "its states are folded by its class alone: ask scope.own(…) for this",
    })
}

/// What is kept of an actor's history: exactly one says it.
pub fn kept(before: Option<Count>, since_ms: Option<Signed>, last: Option<Count>) -> Result<Keep> {
    match (before, since_ms, last) {
        (Some(Count(version)), None, None) => Ok(Keep::From(version)),
        (None, Some(Signed(at_ms)), None) => Ok(Keep::Since(at_ms)),
        (None, None, Some(Count(count))) => Ok(Keep::Last(count)),
        _ => Err(CoreError::Invalid {
            what: "trim",
            value: "what is kept".to_owned(),
            rule: "say what is kept: before= or keep=, one of them",
        }),
    }
}
