//! What every backend must do, as a suite that each runs from its own tests.
//!
//! Promises: a backend that passes keeps the contract of [`Store`] as far as one process can tell. Cases
//! use the trait alone and fail by panicking, as tests do.
//! Must never: reach into a backend, or pass because a feature is absent: what a backend can't do
//! (outlive its handle), it says in [`Backend`].
//!
//! One test for each of [`THEMES`], like so:
//!
//! ```
//! use std::sync::Arc;
//! use treering_store::conformance::{Backend, THEMES, run};
//! use treering_store::{Clock, MemoryStore, Store};
//!
//! struct Memory;
//! impl Backend for Memory {
//!     fn fresh(&self, clock: Clock) -> Arc<dyn Store> {
//!         Arc::new(MemoryStore::with_clock(clock))
//!     }
//! }
//! run(&THEMES[0], &Memory);
//! ```

// These are tests that happen to be exported: a failed expectation is to stop the case.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod blocks;
mod closing;
mod commands;
mod commits;
mod concurrency;
mod decisions;
mod erasure;
mod forks;
mod gc;
mod journal;
mod leases;
mod limits;
mod lineage;
mod material;
mod past;
mod prefixes;
mod refs;
mod reopening;
mod uploads;
mod watching;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::clock::Clock;
use crate::store::Store;

/// How the suite gets at a backend.
pub trait Backend: Sync {
    /// An empty store on that clock. It must last as long as the handle does.
    fn fresh(&self, clock: Clock) -> Arc<dyn Store>;

    /// The store that was just closed, opened again; None if nothing outlives a handle of this backend.
    fn reopen(&self, _closed: &dyn Store, _clock: Clock) -> Option<Arc<dyn Store>> {
        None
    }
}

/// Its name, and what panics if it fails.
type Case = (&'static str, fn(&dyn Backend));

/// Cases about one thing.
pub struct Theme {
    /// What they are about, fit for the name of a test.
    pub name: &'static str,
    cases: &'static [Case],
}

/// Everything. A backend's tests check that they ran as many.
pub const THEMES: &[Theme] = &[
    blocks::THEME,
    prefixes::THEME,
    refs::THEME,
    commits::THEME,
    concurrency::THEME,
    decisions::THEME,
    commands::THEME,
    forks::THEME,
    lineage::THEME,
    journal::THEME,
    past::THEME,
    watching::THEME,
    leases::THEME,
    limits::THEME,
    gc::THEME,
    erasure::THEME,
    uploads::THEME,
    reopening::THEME,
    closing::THEME,
];

/// Runs every case of a theme, then panics with the names of those that failed.
pub fn run(theme: &Theme, backend: &dyn Backend) {
    let failed: Vec<&str> = theme
        .cases
        .iter()
        .filter(|(_, case)| catch_unwind(AssertUnwindSafe(|| case(backend))).is_err())
        .map(|(name, _)| *name)
        .collect();
    assert!(
        failed.is_empty(),
        "{}: {} failed: {}",
        theme.name,
        failed.len(),
        failed.join(", ")
    );
}

/// The theme with this name.
pub fn theme(name: &str) -> &'static Theme {
    THEMES
        .iter()
        .find(|theme| theme.name == name)
        .unwrap_or_else(|| panic!("no theme {name}"))
}

/// Declares one `#[test]` for each theme; the backend is an expression that gives a [`Backend`].
#[macro_export]
macro_rules! conformance {
    ($backend:expr) => {
        $crate::conformance!($backend => blocks, prefixes, refs, commits, concurrency, decisions, commands, forks, lineage, journal, past, watching, leases, limits, gc, erasure, uploads, reopening, closing);

        #[test]
        fn every_theme_runs() {
            assert_eq!($crate::conformance::THEMES.len(), 19);
        }
    };
    ($backend:expr => $($theme:ident),+) => {
        $(
            #[test]
            fn $theme() {
                $crate::conformance::run($crate::conformance::theme(stringify!($theme)), &$backend);
            }
        )+
    };
}

/// Lists a theme's cases; one that is forgotten is dead code, which the compiler says.
macro_rules! cases {
    ($name:literal: $($case:ident),+ $(,)?) => {
        pub(super) const THEME: super::Theme =
            super::Theme { name: $name, cases: &[$((stringify!($case), $case as fn(&dyn super::Backend))),+] };
    };
}
use cases;
