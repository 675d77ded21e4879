//! Whether the refs of an archive are what they say: every log, read model, projection and pin.
//!
//! Promises: each is checked as `verify` checks one that is here. Must never: let a kind pass that it does not know.

use treering_store::name::READ_MODEL;
use treering_store::{RefName, RefValue, StoreError};
use treering_thread::car::{CarError, is_threads};
use treering_thread::pins::{PIN, is_pin};

use crate::address::{Address, is_read_model};
use crate::error::ActorError;
use crate::kind::Kind;
use crate::own::{Own, is_own};
use crate::projection::PROJECTION;
use crate::read::Reader;
use crate::source::read_snapshot;
use crate::stores::agents::AgentsKind;
use crate::stores::chats::{ChatIndexKind, ChatKind};
use crate::stores::connectors::ConnectorsKind;
use crate::stores::files::FilesKind;
use crate::stores::is_kind;
use crate::stores::memory::MemoryKind;
use crate::stores::participants::ParticipantsKind;
use crate::stores::retention::RetentionKind;
use crate::stores::roles::RolesKind;
use crate::stores::sources::{ScriptsKind, WorkflowsKind};
use crate::stores::user_config::UserConfigKind;

/// What a ref is, as far as an import cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Thread,
    Log,
    /// Comes with its log, or not at all.
    Model {
        /// Which that is.
        log: RefName,
        /// Whether what it holds was compared with what the events make.
        proved: bool,
    },
    Projection,
    Pin,
}

/// A snapshot of a user's own actor: only its rules could say whether it follows from the events, and these make it anew.
pub(super) fn is_own_model(name: &RefName) -> bool {
    let kind = name.kind().strip_suffix(READ_MODEL);
    kind.is_some_and(is_own)
}

/// Checks a ref of a file that is seen through `reader`.
///
/// # Errors
/// `Manifest`, naming it.
pub(super) fn check(reader: &Reader, name: &RefName, value: &RefValue) -> Result<Sort, CarError> {
    if is_threads(name) {
        // The thread layer's.
        return Ok(Sort::Thread);
    }
    let refused = |detail: &str| CarError::from(refusal(name, detail));
    if !value.record.is_empty() {
        return Err(refused("it has a record"));
    }
    if is_kind(name.kind()) {
        let address = address(name).map_err(|error| told(name, error))?;
        let one = match name.kind() {
            kind if is_own(kind) => true,
            ChatKind::NAME => name.parts().len() == 1,
            _ => name.parts().is_empty(),
        };
        if !one {
            return Err(refused("no actor of that kind has such a name"));
        }
        verify(reader, &address).map_err(|error| told(name, error))?;
        return Ok(Sort::Log);
    }
    if is_read_model(name) && !is_own_model(name) {
        let log = name.kind().strip_suffix(READ_MODEL).unwrap_or_default();
        let log = RefName::new(name.scope(), log, name.parts().to_vec())?;
        if !is_kind(log.kind()) || reader.store().read_ref(&log)?.is_none() {
            return Err(refused(
                "it is the read model of an actor that is not there",
            ));
        }
        let proved = proved(reader, &log, name, value).map_err(|error| told(name, error))?;
        return Ok(Sort::Model { log, proved });
    }
    match name.kind() {
        PROJECTION => {
            check_projection(reader, name).map_err(|error| told(name, error))?;
            Ok(Sort::Projection)
        }
        PIN if is_pin(name) => Ok(Sort::Pin),
        PIN => Err(refused("no pin has such a name")),
        _ => Err(refused(
            "an archive can't have that kind, or a later version wrote it: upgrade treering",
        )),
    }
}

fn address(name: &RefName) -> Result<Address, ActorError> {
    let parts: Vec<&str> = name.parts().iter().map(String::as_str).collect();
    Address::new(name.scope(), name.kind(), &parts)
}

/// Calls a function for the kind of that name.
macro_rules! of_kind {
    ($kind:expr, $run:ident($($argument:expr),*)) => {
        match $kind {
            UserConfigKind::NAME => $run::<UserConfigKind>($($argument),*),
            MemoryKind::NAME => $run::<MemoryKind>($($argument),*),
            AgentsKind::NAME => $run::<AgentsKind>($($argument),*),
            ParticipantsKind::NAME => $run::<ParticipantsKind>($($argument),*),
            ChatKind::NAME => $run::<ChatKind>($($argument),*),
            ChatIndexKind::NAME => $run::<ChatIndexKind>($($argument),*),
            FilesKind::NAME => $run::<FilesKind>($($argument),*),
            WorkflowsKind::NAME => $run::<WorkflowsKind>($($argument),*),
            ScriptsKind::NAME => $run::<ScriptsKind>($($argument),*),
            ConnectorsKind::NAME => $run::<ConnectorsKind>($($argument),*),
            RetentionKind::NAME => $run::<RetentionKind>($($argument),*),
            RolesKind::NAME => $run::<RolesKind>($($argument),*),
            _ => $run::<Own>($($argument),*),
        }
    };
}

/// The whole log, and the snapshot against what the events make.
fn verify(reader: &Reader, address: &Address) -> Result<(), ActorError> {
    fn one<K: Kind>(reader: &Reader, address: &Address) -> Result<(), ActorError> {
        reader.verify::<K>(address).map(drop)
    }
    of_kind!(address.log().kind(), one(reader, address))
}

/// Whether this version's rules made a snapshot of an entry of its log, so that it was compared with what the events make.
fn proved(
    reader: &Reader,
    log: &RefName,
    model: &RefName,
    value: &RefValue,
) -> Result<bool, ActorError> {
    fn one<K: Kind>(fold: u64, schema: u64) -> bool {
        fold == K::FOLD && schema <= K::SCHEMA
    }
    let node = read_snapshot(&reader.committed(), model, &value.target)?;
    if !of_kind!(log.kind(), one(node.fold, node.typed.schema)) {
        return Ok(false);
    }
    let Some(head) = reader.store().read_ref(log)? else {
        return Ok(false);
    };
    let entry = reader.find(log, &head.target, node.version)?;
    Ok(entry.is_some_and(|(cid, _)| cid.to_bytes().as_slice() == node.entry.as_slice()))
}

/// Its node, and what it says of each source. The view is its function's, which nobody has here.
fn check_projection(reader: &Reader, name: &RefName) -> Result<(), ActorError> {
    let [own] = name.parts() else {
        return Err(ActorError::corrupt(name, 0, None, "it has no one name"));
    };
    let projection = super::verdict::opened(reader, name.scope(), own)?;
    let mut after: Option<String> = None;
    loop {
        let now = projection.load()?;
        let page = now.checkpoint(after.as_deref(), 1_000)?;
        for (source, _) in &page {
            projection.log(source)?;
        }
        match page.into_iter().next_back() {
            Some((last, _)) => after = Some(last),
            None => return Ok(()),
        }
    }
}

fn refusal(name: &RefName, detail: &str) -> treering_store::archive::ArchiveError {
    treering_store::archive::ArchiveError::manifest(format!("ref {}: {detail}", name.unscoped()))
}

/// What is wrong with a part of a file is wrong with the file; what is wrong with the disk is not.
pub(super) fn told(name: &RefName, error: ActorError) -> CarError {
    match error {
        ActorError::Store(error @ (StoreError::Io { .. } | StoreError::ForkedProcess)) => {
            error.into()
        }
        other => refusal(name, &other.to_string()).into(),
    }
}
