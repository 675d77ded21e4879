//! What can be asked of any actor, by the name of its kind.
//!
//! Promises: every kind of this version is named here once. Never: a kind that it does not know is guessed.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use treering_actor::stores::{Keep, Stores};
use treering_actor::{Address, Kind, Place};
use treering_block::Cid;
use treering_block::node::EventNode;

use crate::cid::PyCid;
use crate::convert::Text;
use crate::error::Result;
use crate::messages::object_by_name;
use crate::values::no_value;
use crate::verb::VerbCore;

/// Calls a function for the kind of that name; `NotFound` for another.
macro_rules! by_kind {
    ($kind:expr, $module:ident::$run:ident($($argument:expr),*)) => {
        match $kind {
            UserConfigKind::NAME => $module::$run::<UserConfigKind>($($argument),*),
            MemoryKind::NAME => $module::$run::<MemoryKind>($($argument),*),
            AgentsKind::NAME => $module::$run::<AgentsKind>($($argument),*),
            ParticipantsKind::NAME => $module::$run::<ParticipantsKind>($($argument),*),
            ChatKind::NAME => $module::$run::<ChatKind>($($argument),*),
            ChatIndexKind::NAME => $module::$run::<ChatIndexKind>($($argument),*),
            FilesKind::NAME => $module::$run::<FilesKind>($($argument),*),
            WorkflowsKind::NAME => $module::$run::<WorkflowsKind>($($argument),*),
            ScriptsKind::NAME => $module::$run::<ScriptsKind>($($argument),*),
            ConnectorsKind::NAME => $module::$run::<ConnectorsKind>($($argument),*),
            RetentionKind::NAME => $module::$run::<RetentionKind>($($argument),*),
            RolesKind::NAME => $module::$run::<RolesKind>($($argument),*),
            own if treering_actor::own::is_own(own) => {
                $module::$run::<treering_actor::own::Own>($($argument),*)
            }
            other => Err(CoreError::NotFound {
                what: "kind of actor",
                which: other.to_owned(),
            }),
        }
    };
}
pub(crate) use by_kind;

fn texts(parts: &[Text]) -> Vec<&str> {
    parts.iter().map(|Text(part)| part.as_str()).collect()
}

fn address(stores: &Stores, kind: &str, parts: &[Text]) -> Result<Address> {
    Ok(Address::new(stores.scope(), kind, &texts(parts))?)
}

/// Where an actor stands.
pub fn place<K: Kind>(stores: &Stores, kind: &str, parts: &[Text]) -> Result<Place> {
    let address = address(stores, kind, parts)?;
    Ok(stores.reader().now::<K>(&address)?.place.clone())
}

/// The same as a dict: `version`, `at_ms`, `deleted_at_ms`, `oldest`, `snapshot`, `schema`, `head`.
pub fn place_object<'py>(py: Python<'py>, place: &Place) -> Result<Bound<'py, PyDict>> {
    let object = PyDict::new(py);
    object.set_item("version", place.version)?;
    object.set_item("at_ms", place.at_ms)?;
    object.set_item("deleted_at_ms", place.deleted_at_ms)?;
    object.set_item("oldest", place.base)?;
    object.set_item("snapshot", place.snapshot)?;
    object.set_item("schema", place.schema)?;
    object.set_item("head", place.head().map(PyCid::ours))?;
    Ok(object)
}

/// Events with the nodes that hold them.
pub type Events = Vec<(Cid, EventNode)>;

/// What happened to it.
pub fn events<K: Kind>(
    stores: &Stores,
    kind: &str,
    parts: &[Text],
    first: u64,
    last: Option<u64>,
) -> Result<Events> {
    let address = address(stores, kind, parts)?;
    Ok(stores.reader().events::<K>(&address, first, last)?)
}

/// The same as dicts, each with its message.
pub fn events_list<'py>(py: Python<'py>, events: &Events) -> Result<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (cid, event) in events {
        let typed = &event.typed;
        let object = PyDict::new(py);
        object.set_item("version", event.version)?;
        object.set_item("at_ms", event.at_ms)?;
        object.set_item("type", &typed.type_name)?;
        object.set_item("schema", typed.schema)?;
        object.set_item("event_id", &event.event_id)?;
        object.set_item("command_id", &event.command_id)?;
        object.set_item("causation_id", &event.causation_id)?;
        object.set_item("principal", &event.principal)?;
        object.set_item("cid", PyCid::ours(*cid))?;
        object.set_item(
            "message",
            object_by_name(py, &typed.type_name, &typed.message, &typed.links)?,
        )?;
        list.append(object)?;
    }
    Ok(list)
}

/// How many events it has, all checked.
pub fn verify<K: Kind>(stores: &Stores, kind: &str, parts: &[Text]) -> Result<u64> {
    let address = address(stores, kind, parts)?;
    Ok(stores.reader().verify::<K>(&address)?)
}

/// What cuts off what is not kept of its history.
pub fn trim<K: Kind>(stores: &Stores, parts: &[Text], keep: Keep) -> Result<VerbCore> {
    let verb = stores.trim::<K>(&texts(parts), keep)?;
    Ok(VerbCore::new::<K>(verb, no_value, Vec::new()))
}

/// The version that its read model is of, made anew.
pub fn rebuild<K: Kind>(stores: &Stores, kind: &str, parts: &[Text]) -> Result<u64> {
    let address = address(stores, kind, parts)?;
    Ok(stores
        .reader()
        .rebuild::<K>(&address, stores.durability())?)
}

/// The newest version that is not later than a moment, Unix milliseconds.
pub fn version_at<K: Kind>(stores: &Stores, kind: &str, parts: &[Text], at_ms: i64) -> Result<u64> {
    let address = address(stores, kind, parts)?;
    Ok(stores.reader().at_time::<K>(&address, at_ms)?.place.version)
}
