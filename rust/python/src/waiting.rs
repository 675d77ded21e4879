//! `Waiting`: whether the task of an event loop still waits for what a thread does for it.
//!
//! Promises: what the thread does ends soon once the task went: a request in its middle, a collection after its step. A commit
//! that is queued lands or not.
//! Never: a function of the caller's is ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::prelude::*;
use treering_store::caller;

#[pyclass(frozen, name = "Waiting", module = "treering._core")]
#[derive(Default)]
pub struct PyWaiting {
    left: Arc<AtomicBool>,
}

#[pymethods]
impl PyWaiting {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// What `function()` returns or raises.
    #[pyo3(signature = (function, /))]
    fn run<'py>(&self, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let left = Arc::clone(&self.left);
        caller::unless(Arc::new(move || left.load(Relaxed)), || function.call0())
    }

    /// Nobody waits for it any more.
    fn leave(&self) {
        self.left.store(true, Relaxed);
    }
}
