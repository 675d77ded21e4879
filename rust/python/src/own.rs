//! `OwnCore` and what it gives: a user's own actors, as far as they need no class of the user's.
//!
//! Promises: what reads or commits runs without the GIL. Never: an event is understood here, or a state folded.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use treering_actor::own::{self, Left, Own, Ruling, Shown, Slot, Trim, Verdict};
use treering_actor::stores::Stores;
use treering_actor::{Address, Answer, Blocks, Loaded, Reader, Receipt};
use treering_block::Cid;
use treering_block::limits::Limits;
use treering_block::node::{SnapshotNode, Typed};
use treering_store::{Carried, Landing, Store, commit};
use treering_thread::command::CommandKey;

use crate::cid::PyCid;
use crate::convert::{Count, OurCid, Signed, Text};
use crate::decode::decode;
use crate::encode::encode_with;
use crate::error::{CoreError, Result};
use crate::hearing::heard;
use crate::reading::steadily;
use crate::states::StatesCore;
use crate::stores::StoresCore;
use crate::taking::kept;
use crate::values::no_value;
use crate::verb::{VerbCore, receipt_object};
use crate::views::{Found, View};

/// (version, entry, fold, schema, fields): a state that was stored.
type StartRow<'py> = (u64, Option<PyCid>, u64, u64, Bound<'py, PyAny>);
/// (version, node, type, schema, fields): an event.
type EventRow<'py> = (u64, PyCid, String, u64, Bound<'py, PyAny>);
/// (fold, type, schema, fields): a state that is to be stored.
type FoldedArg<'py> = (Count, Text, Count, Bound<'py, PyAny>);
/// (type, fields): an event that is to be written.
type EventArg<'py> = (Text, Bound<'py, PyAny>);

fn fields<'py>(py: Python<'py>, typed: &Typed) -> Result<Bound<'py, PyAny>> {
    Ok(decode(py, treering_block::Reader::new(&typed.message))?)
}

fn start_row<'py>(py: Python<'py>, node: &SnapshotNode) -> Result<StartRow<'py>> {
    let entry = Cid::from_bytes(&node.entry).ok().map(PyCid::ours);
    let fields = fields(py, &node.typed)?;
    Ok((node.version, entry, node.fold, node.typed.schema, fields))
}

/// A message of a user's own type; its collections go to `carried`.
fn typed(
    name: &Text,
    schema: u64,
    fields: &Bound<'_, PyAny>,
    carried: &mut Carried,
) -> Result<Typed> {
    let (encoded, collections) = encode_with(fields, Limits::NODE)?;
    carried.0.extend(collections);
    Typed::of_fields(name.0.clone(), schema, encoded).map_err(CoreError::Block)
}

fn folded_of(folded: &FoldedArg<'_>, carried: &mut Carried) -> Result<(u64, Typed)> {
    let (fold, name, schema, fields) = folded;
    Ok((fold.0, typed(name, schema.0, fields, carried)?))
}

/// An actor of a user's own kind.
#[pyclass(frozen, name = "OwnCore", module = "treering._core")]
pub struct OwnCore {
    stores: Stores,
    address: Address,
}

#[pymethods]
impl OwnCore {
    #[new]
    #[pyo3(signature = (stores, kind, parts, /))]
    fn py_new(stores: &StoresCore, kind: Text, parts: Vec<Text>) -> Result<Self> {
        let stores = stores.stores().clone();
        let parts: Vec<&str> = parts.iter().map(|Text(part)| part.as_str()).collect();
        let address = own::address(stores.scope(), &kind, &parts)?;
        Ok(Self { stores, address })
    }

    /// The store's clock, Unix milliseconds.
    fn now_ms(&self) -> i64 {
        self.stores.reader().store().now_ms()
    }

    /// The actor as it is, or as it was at a version.
    #[pyo3(signature = (version))]
    fn load(&self, py: Python<'_>, version: Option<Count>) -> Result<OwnLoadedCore> {
        let reader = self.stores.reader();
        let loaded = steadily(py, || match version {
            None => Ok(reader.now::<Own>(&self.address)?),
            Some(Count(version)) => Ok(reader.at::<Own>(&self.address, version)?),
        })?;
        Ok(OwnLoadedCore(loaded))
    }

    /// What it was where its history begins; None if that is before the first event.
    #[pyo3(signature = (loaded))]
    fn beginning<'py>(
        &self,
        py: Python<'py>,
        loaded: &OwnLoadedCore,
    ) -> Result<Option<StartRow<'py>>> {
        let reader = self.stores.reader();
        let node = py.detach(|| reader.own_beginning(&self.address, &loaded.0))?;
        node.map(|node| start_row(py, &node)).transpose()
    }

    /// A command, by its type and fields: what a repeated one is known by.
    #[pyo3(signature = (name, fields))]
    fn command(&self, name: Text, fields: &Bound<'_, PyAny>) -> Result<OwnCommandCore> {
        let (given, _) = encode_with(fields, Limits::NODE)?;
        Ok(OwnCommandCore {
            stores: self.stores.clone(),
            address: self.address.clone(),
            name: name.0,
            given: given.into_bytes(),
            slot: Arc::default(),
            left: Arc::default(),
            landing: Mutex::default(),
        })
    }

    /// Deletes it.
    fn delete(&self) -> VerbCore {
        let verb = own::delete(self.address.clone());
        VerbCore::new::<Own>(verb, no_value, Vec::new())
    }

    /// A trim, for which the state where the history will begin is to be folded.
    #[pyo3(signature = (before, since_ms, last))]
    fn trim(
        &self,
        py: Python<'_>,
        before: Option<Count>,
        since_ms: Option<Signed>,
        last: Option<Count>,
    ) -> Result<OwnTrimCore> {
        let keep = kept(before, since_ms, last)?;
        let trim = steadily(py, || {
            Ok(Trim::new(&self.stores, self.address.clone(), keep)?)
        })?;
        Ok(OwnTrimCore {
            store: Arc::clone(self.stores.reader().store()),
            trim: Mutex::new(Some(trim)),
        })
    }

    /// Puts a state in the place of the newest snapshot. False: something happened since the log ended with `head`.
    #[pyo3(signature = (head, version, folded))]
    fn put_model(
        &self,
        py: Python<'_>,
        head: OurCid,
        version: Count,
        folded: FoldedArg<'_>,
    ) -> Result<bool> {
        let mut carried = Carried::default();
        let (fold, typed) = folded_of(&folded, &mut carried)?;
        heard(py, || {
            let (blocks, landing) = carried.blocks(self.stores.reader().store())?;
            let put = self.stores.dispatcher().put_own_model(
                &self.address,
                &head.0,
                version.0,
                (fold, typed, blocks),
                self.stores.durability(),
            )?;
            landing.landed();
            Ok(put)
        })?
    }

    /// The actor as it is, then after each commit; after a version, if one is given.
    #[pyo3(signature = (after))]
    fn states(&self, py: Python<'_>, after: Option<Count>) -> Result<StatesCore> {
        let view: View<Own> = Box::new(|loaded: &Arc<Loaded<Own>>, _: &Blocks<'_>| {
            let loaded = Arc::clone(loaded);
            let found: Found = Box::new(move |py, _| Ok(object(py, loaded)?));
            Ok(found)
        });
        let after = after.map(|Count(version)| version);
        StatesCore::of_address(py, &self.stores, self.address.clone(), after, view)
    }
}

fn object(py: Python<'_>, loaded: Arc<Loaded<Own>>) -> PyResult<Py<PyAny>> {
    Ok(Bound::new(py, OwnLoadedCore(loaded))?.into_any().unbind())
}

/// The actor as it is after a command: to be folded.
fn loaded_value(
    py: Python<'_>,
    _: &Reader,
    _: &Receipt,
    after: &Arc<Loaded<Own>>,
    _: &[String],
) -> Result<Option<Py<PyAny>>> {
    Ok(Some(object(py, Arc::clone(after))?))
}

/// An actor at a version, as it is stored: a state, and the events after it.
#[pyclass(frozen, name = "OwnLoadedCore", module = "treering._core")]
pub struct OwnLoadedCore(Arc<Loaded<Own>>);

#[pymethods]
impl OwnLoadedCore {
    #[getter]
    fn version(&self) -> u64 {
        self.0.place.version
    }

    /// The version that its history begins after.
    #[getter]
    fn base(&self) -> u64 {
        self.0.place.base
    }

    /// The greatest schema number that was met.
    #[getter]
    fn schema(&self) -> u64 {
        self.0.place.schema
    }

    /// When it was last changed, its deletion included, Unix milliseconds; None if that is not known.
    #[getter]
    fn at_ms(&self) -> Option<i64> {
        self.0.place.at_ms
    }

    #[getter]
    fn deleted_at_ms(&self) -> Option<i64> {
        self.0.place.deleted_at_ms
    }

    #[getter]
    fn head(&self) -> Option<PyCid> {
        self.0.place.head().map(PyCid::ours)
    }

    /// The snapshot that its state's collections hang on; None where they hang on the log, or there are none.
    #[getter]
    fn basis(&self) -> Option<PyCid> {
        self.0.place.basis().map(PyCid::ours)
    }

    /// What it begins with; None for what it was before the first event.
    #[getter]
    fn start<'py>(&self, py: Python<'py>) -> Result<Option<StartRow<'py>>> {
        let start = self.0.state.start();
        start.map(|node| start_row(py, node)).transpose()
    }

    /// The events after that; None where they are many.
    #[getter]
    fn since<'py>(&self, py: Python<'py>) -> Result<Option<Vec<EventRow<'py>>>> {
        let row = |noted: &Arc<own::Noted>| -> Result<EventRow<'py>> {
            let typed = &noted.typed;
            Ok((
                noted.version,
                PyCid::ours(noted.cid),
                typed.type_name.clone(),
                typed.schema,
                fields(py, typed)?,
            ))
        };
        let since = self.0.state.since();
        since.map(|all| all.iter().map(row).collect()).transpose()
    }
}

/// A command, and one decision about it.
#[pyclass(frozen, name = "OwnCommandCore", module = "treering._core")]
pub struct OwnCommandCore {
    stores: Stores,
    address: Address,
    name: String,
    given: Vec<u8>,
    slot: Arc<Slot>,
    left: Arc<Left>,
    landing: Mutex<Option<Landing>>,
}

impl OwnCommandCore {
    fn verb_of(&self) -> treering_actor::stores::Verb {
        let given = (self.name.as_str(), self.given.as_slice());
        own::send(self.address.clone(), given, Arc::clone(&self.slot))
    }

    fn landing(&self) -> Option<Landing> {
        let mut landing = self.landing.lock().unwrap_or_else(PoisonError::into_inner);
        landing.take()
    }
}

#[pymethods]
impl OwnCommandCore {
    /// What the same command id did before, as `StoresCore.submit` answers; None if it is new.
    #[pyo3(signature = (command_id))]
    fn first<'py>(&self, py: Python<'py>, command_id: Text) -> Result<Option<Bound<'py, PyTuple>>> {
        let reader = self.stores.reader();
        let key = CommandKey {
            address: commit::Address::Ref(self.address.log().clone()),
            id: command_id.0,
            payload: self.verb_of().payload.finish(),
        };
        let answer = steadily(py, || {
            let Some(bytes) = key.first(&**reader.store())? else {
                return Ok(None);
            };
            Ok(Some(reader.answer_again::<Own>(&bytes, &self.address)?))
        })?;
        let shown = |answer: Answer<Own>| receipt_object(py, &reader, &answer, loaded_value, &[]);
        answer.map(shown).transpose()
    }

    /// Says what was decided, or decided anew where that was overtaken: on what was loaded, or on what another command will leave. `events`: None for a
    /// rejection. `folded`: the state after them, which can be stored, and is where it is `due`.
    #[pyo3(signature = (shown, schema, events, folded, due))]
    fn decide(
        &self,
        py: Python<'_>,
        shown: &Bound<'_, PyAny>,
        schema: Count,
        events: Option<Vec<EventArg<'_>>>,
        folded: Option<FoldedArg<'_>>,
        due: bool,
    ) -> Result<()> {
        let shown = match shown.cast::<Self>() {
            Ok(before) => Shown::After(Arc::clone(&before.get().left)),
            Err(_) => {
                let loaded = shown.cast::<OwnLoadedCore>().map_err(PyErr::from)?;
                Shown::Head(loaded.get().0.place.head())
            }
        };
        let mut carried = Carried::default();
        let ruling = match events {
            None => Ruling::Rejected,
            Some(events) => {
                let events = events
                    .iter()
                    .map(|(name, fields)| typed(name, schema.0, fields, &mut carried))
                    .collect::<Result<Vec<_>>>()?;
                let snapshot = match folded {
                    Some(folded) if due => Some(folded_of(&folded, &mut carried)?),
                    Some(folded) => {
                        let (fold, typed) = folded_of(&folded, &mut Carried::default())?;
                        own::expect_storable(fold, typed)?;
                        None
                    }
                    None => None,
                };
                let store: Arc<dyn Store> = Arc::clone(self.stores.reader().store());
                let (blocks, landing) = py.detach(|| carried.blocks(&store))?;
                *self.landing.lock().unwrap_or_else(PoisonError::into_inner) = Some(landing);
                Ruling::Events {
                    events,
                    blocks,
                    snapshot,
                }
            }
        };
        let verdict = Verdict {
            shown,
            schema: schema.0,
            ruling,
            left: Arc::clone(&self.left),
        };
        self.slot.decided(verdict);
        Ok(())
    }

    /// What does it. To go with others it may be asked for before anything is decided; `landed` is told then.
    fn verb(&self) -> VerbCore {
        let landing = self.landing();
        VerbCore::carrying::<Own>(self.verb_of(), loaded_value, Vec::new(), landing)
    }

    /// The head that it left; None before it was decided when its turn came.
    #[getter]
    fn head(&self) -> Option<PyCid> {
        self.left.head().map(PyCid::ours)
    }

    /// The commit that it went with was answered.
    fn landed(&self, py: Python<'_>) {
        if let Some(landing) = self.landing() {
            py.detach(|| landing.landed());
        }
    }
}

/// A trim that is to be made.
#[pyclass(frozen, name = "OwnTrimCore", module = "treering._core")]
pub struct OwnTrimCore {
    store: Arc<dyn Store>,
    trim: Mutex<Option<Trim>>,
}

#[pymethods]
impl OwnTrimCore {
    /// The actor as it was where its history will begin; None if there is nothing to cut off.
    #[getter]
    fn start(&self) -> Option<OwnLoadedCore> {
        let trim = self.trim.lock().unwrap_or_else(PoisonError::into_inner);
        let start = trim.as_ref().and_then(Trim::start);
        start.map(|loaded| OwnLoadedCore(Arc::new(loaded.clone())))
    }

    /// The verb, once. `folded`: the state there.
    #[pyo3(signature = (folded))]
    fn verb(&self, py: Python<'_>, folded: Option<FoldedArg<'_>>) -> Result<VerbCore> {
        let trim = self
            .trim
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let trim = trim.ok_or(CoreError::Invalid {
            what: "trim",
            value: "submitted".to_owned(),
            rule: "it is submitted once",
        })?;
        let mut carried = Carried::default();
        let folded = folded
            .map(|folded| folded_of(&folded, &mut carried))
            .transpose()?;
        let folded = match folded {
            Some((fold, typed)) => {
                let (blocks, _) = py.detach(|| carried.blocks(&self.store))?;
                Some((fold, typed, blocks))
            }
            None => None,
        };
        Ok(VerbCore::new::<Own>(
            trim.verb(folded),
            no_value,
            Vec::new(),
        ))
    }
}
