//! Short map keys as Python strings that are made once and used again.
//!
//! Promises: bounded memory (a fixed number of slots, short texts only), whatever keys come; a key
//! costs no allocation and no hashing by Python when it was seen lately.
//! Never: it does not intern (some Python versions keep interned strings for ever) and never waits:
//! whoever finds the slots in use goes without.

use std::sync::{Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;
use pyo3::types::PyString;

const SLOTS: usize = 1024;
const KEY_BYTES_MAX: usize = 48;

static SLOT_TABLE: Mutex<Vec<Option<Py<PyString>>>> = Mutex::new(Vec::new());

/// The keys seen lately, for one decoding.
pub struct Keys(Option<MutexGuard<'static, Vec<Option<Py<PyString>>>>>);

impl Keys {
    /// Takes the slots if they are free. They are not when a finaliser that the garbage collector
    /// ran inside one decoding starts another, or in the child of a fork in the middle of one.
    pub fn borrow() -> Self {
        match SLOT_TABLE.try_lock() {
            Ok(slots) => Self(Some(slots)),
            // Each slot is replaced whole, so a panic elsewhere leaves them sound.
            Err(TryLockError::Poisoned(broken)) => Self(Some(broken.into_inner())),
            Err(TryLockError::WouldBlock) => Self(None),
        }
    }

    /// The string of `text`.
    #[inline]
    pub fn get<'py>(&mut self, py: Python<'py>, text: &str) -> Bound<'py, PyString> {
        let Some(slots) = self
            .0
            .as_deref_mut()
            .filter(|_| text.len() <= KEY_BYTES_MAX)
        else {
            return PyString::new(py, text);
        };
        if slots.is_empty() {
            slots.resize_with(SLOTS, || None);
        }
        let Some(slot) = slots.get_mut(slot_of(text)) else {
            return PyString::new(py, text);
        };
        if let Some(known) = slot {
            let known = known.bind(py);
            if known.to_str().is_ok_and(|known| known == text) {
                return known.clone();
            }
        }
        let fresh = PyString::new(py, text);
        *slot = Some(fresh.clone().unbind());
        fresh
    }
}

/// Mixes the length with the first and the last bytes: enough to spread field names, and constant in
/// time. A bad spread costs speed alone.
#[inline]
fn slot_of(text: &str) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (head, tail) = ends(text.as_bytes());
    let mixed = (head ^ text.len() as u64).wrapping_mul(ODD).rotate_left(29) ^ tail;
    (mixed.wrapping_mul(ODD) >> (u64::BITS - SLOTS.trailing_zeros())) as usize
}

/// The first and the last eight bytes as numbers; of a shorter text as many as there are, overlapping.
#[inline]
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u64::from_le_bytes(*head), u64::from_le_bytes(*tail));
    }
    if let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (
            u32::from_le_bytes(*head).into(),
            u32::from_le_bytes(*tail).into(),
        );
    }
    if let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (
            u16::from_le_bytes(*head).into(),
            u16::from_le_bytes(*tail).into(),
        );
    }
    let only = bytes.first().copied().unwrap_or_default().into();
    (only, only)
}
