//! `VerbCore`: a verb of a store with its arguments, to be submitted by itself or in a commit with others.
//!
//! Promises: it is used once; what it answers is a tuple, the receipt's fields in order with the value among them.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use treering_actor::messages::RetentionPolicy;
use treering_actor::stores::{Options, Stores, Verb};
use treering_actor::{Address, Answer, Kind, Loaded, Ran, Reader, Receipt};
use treering_store::Landing;

use crate::convert::Count;
use crate::error::{CoreError, Result};
use crate::pending::PyPending;
use crate::stores::StoresCore;

/// What a verb was about, as an object; None where there is nothing to give.
pub type Value<K> =
    fn(Python<'_>, &Reader, &Receipt, &Arc<Loaded<K>>, &[String]) -> Result<Option<Py<PyAny>>>;

/// A verb on a kind of actor, whichever it is.
pub trait AnyVerb: Send {
    /// Queues it.
    fn submit(self: Box<Self>, stores: &Stores, options: Options) -> Result<PyPending>;
    /// The same, done only under that retention policy of the scope, of that version.
    fn under_policy(
        self: Box<Self>,
        stores: &Stores,
        version: u64,
        policy: RetentionPolicy,
    ) -> Result<Box<dyn AnyVerb>>;
    /// The verb, to go with others, and how its answer is shown.
    fn draft(self: Box<Self>) -> (Verb, Box<dyn Show>);
}

/// How the answer of a verb in a commit of several is shown.
pub trait Show: Send + Sync {
    /// The receipt's fields, as for one that went by itself.
    fn show(&self, py: Python<'_>, reader: &Reader, ran: &Ran) -> Result<Py<PyAny>>;
}

struct Shows<K: Kind> {
    address: Address,
    value: Value<K>,
    keys: Vec<String>,
}

impl<K: Kind> Show for Shows<K> {
    fn show(&self, py: Python<'_>, reader: &Reader, ran: &Ran) -> Result<Py<PyAny>> {
        let receipt = ran.receipt.clone();
        let answer = match &ran.after {
            Some(after) => Answer {
                receipt,
                after: Arc::clone(after).downcast::<Loaded<K>>().ok(),
            },
            None => py.detach(|| reader.answer::<K>(receipt, &self.address))?,
        };
        let object = receipt_object(py, reader, &answer, self.value, &self.keys)?;
        Ok(object.into_any().unbind())
    }
}

struct Typed<K: Kind> {
    verb: Verb,
    value: Value<K>,
    /// What the value is looked up with, beside the receipt.
    keys: Vec<String>,
    /// What is to be told once it has landed, if it goes by itself.
    landing: Option<Landing>,
}

impl<K: Kind> AnyVerb for Typed<K> {
    fn submit(self: Box<Self>, stores: &Stores, options: Options) -> Result<PyPending> {
        let Self {
            verb,
            value,
            keys,
            landing,
        } = *self;
        let reader = stores.reader();
        let pending = stores.submit::<K>(verb, options)?;
        let pending = PyPending::of(pending, move |py, answer: Answer<K>| {
            Ok(receipt_object(py, &reader, &answer, value, &keys)?
                .into_any()
                .unbind())
        });
        Ok(match landing {
            Some(landing) => pending.carrying(landing),
            None => pending,
        })
    }

    fn under_policy(
        self: Box<Self>,
        stores: &Stores,
        version: u64,
        policy: RetentionPolicy,
    ) -> Result<Box<dyn AnyVerb>> {
        let verb = self.verb.under_policy(stores, version, policy)?;
        Ok(Box::new(Self { verb, ..*self }))
    }

    fn draft(self: Box<Self>) -> (Verb, Box<dyn Show>) {
        let Self {
            verb, value, keys, ..
        } = *self;
        let address = verb.operation.address().clone();
        let shows = Shows::<K> {
            address,
            value,
            keys,
        };
        (verb, Box::new(shows))
    }
}

/// The receipt's fields: version, changed, value, dropped, dropped ids, warnings, replayed.
pub fn receipt_object<'py, K: Kind>(
    py: Python<'py>,
    reader: &Reader,
    answer: &Answer<K>,
    value: Value<K>,
    keys: &[String],
) -> Result<Bound<'py, PyTuple>> {
    let Answer { receipt, after } = answer;
    let value = match after {
        Some(after) => value(py, reader, receipt, after, keys)?,
        None => None,
    };
    let texts = |texts: &[String]| PyTuple::new(py, texts);
    Ok((
        receipt.version,
        receipt.changed,
        value,
        receipt.dropped,
        texts(&receipt.dropped_ids)?,
        texts(&receipt.warnings)?,
        receipt.replayed,
    )
        .into_pyobject(py)?)
}

/// See the top of this file.
#[pyclass(frozen, name = "VerbCore", module = "treering._core")]
pub struct VerbCore(Mutex<Option<Box<dyn AnyVerb>>>);

impl VerbCore {
    pub fn new<K: Kind>(verb: Verb, value: Value<K>, keys: Vec<String>) -> Self {
        Self::carrying(verb, value, keys, None)
    }

    /// The same, of a verb that brings collections along.
    pub fn carrying<K: Kind>(
        verb: Verb,
        value: Value<K>,
        keys: Vec<String>,
        landing: Option<Landing>,
    ) -> Self {
        let verb = Typed {
            verb,
            value,
            keys,
            landing,
        };
        Self(Mutex::new(Some(Box::new(verb))))
    }

    pub fn take(&self) -> Result<Box<dyn AnyVerb>> {
        let mut verb = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        verb.take().ok_or(CoreError::Invalid {
            what: "verb",
            value: "submitted".to_owned(),
            rule: "it is submitted once",
        })
    }
}

#[pymethods]
impl VerbCore {
    /// From now on it is done only under that retention policy of the scope, of that version.
    #[pyo3(signature = (stores, version, keep, younger_than_ms))]
    fn under_policy(
        &self,
        stores: &StoresCore,
        version: Count,
        keep: Option<Count>,
        younger_than_ms: Option<Count>,
    ) -> Result<()> {
        let policy = RetentionPolicy {
            keep: keep.map(|Count(keep)| keep),
            younger_than_ms: younger_than_ms.map(|Count(ms)| ms),
        };
        let verb = self.take()?;
        let verb = verb.under_policy(stores.stores(), version.0, policy)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(verb);
        Ok(())
    }
}
