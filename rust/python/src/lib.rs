//! `treering._core`: the Rust core as a Python module.
//!
//! Promises: thin handles over the core; whatever is slow (disk, hashing, waiting) runs without the
//! GIL; each error of the core is raised as its class of `treering.errors`.
//! Never: no rule of blocks, commits or threads is decided here.

use pyo3::prelude::*;

mod actors;
mod backups;
mod batch;
mod blocks;
mod buckets;
mod car;
mod catalogs;
mod cid;
mod codec;
mod collect;
mod collection;
mod convert;
mod decode;
mod encode;
mod erasing;
mod error;
mod files;
mod gate;
mod head;
mod hearing;
mod journal;
mod keys;
mod kinds;
mod messages;
mod notifier;
mod own;
mod pending;
mod projection;
mod reading;
mod refs;
mod reports;
mod scopes;
mod states;
mod step;
mod store;
mod stores;
mod taking;
mod testing;
mod thread;
mod threads;
mod values;
mod verb;
mod views;
mod waiting;
mod watch;
mod work;

/// What the Rust core offers to the Python API; users import from `treering`.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use crate::actors::{actor_kinds, list_actors};
    #[pymodule_export]
    use crate::backups::{fetch_backup, restore};
    #[pymodule_export]
    use crate::batch::BatchCore;
    #[pymodule_export]
    use crate::buckets::{BucketCore, bucket_url_options};
    #[pymodule_export]
    use crate::car::{export_car, export_scope, import_car};
    #[pymodule_export]
    use crate::catalogs::{
        catalog_delete_draft, catalog_read, catalog_save, catalog_save_draft, check_clear_value,
        check_secret_reference, is_secret_name,
    };
    #[pymodule_export]
    use crate::cid::PyCid;
    #[pymodule_export]
    use crate::codec::{collect_links, decode, encode, from_dag_json, to_dag_json};
    #[pymodule_export]
    use crate::collection::{MapCore, VectorCore};
    #[pymodule_export]
    use crate::erasing::{erase_scope, erasures, erasures_file, vacuum};
    #[pymodule_export]
    use crate::files::{
        ContentCore, GrepCore, IncomingCore, UploadedCore, files_begin, files_delete, files_grep,
        files_list, files_open, files_put, files_stat,
    };
    #[pymodule_export]
    use crate::messages::{decode_message, encode_message};
    #[pymodule_export]
    use crate::own::{OwnCommandCore, OwnCore, OwnLoadedCore, OwnTrimCore};
    #[pymodule_export]
    use crate::pending::PyPending;
    #[pymodule_export]
    use crate::projection::{ProjectedCore, ProjectionCore, SearchCore, list_projections};
    #[pymodule_export]
    use crate::refs::{all_refs, discard_refs, quarantine, quarantined, repair, restore_refs};
    #[pymodule_export]
    use crate::scopes::{
        diff_scopes, discard_fork, fork_scope, scope_at, scope_lineage, unfinished_forks,
        verify_scope,
    };
    #[pymodule_export]
    use crate::states::StatesCore;
    #[pymodule_export]
    use crate::step::StepCore;
    #[pymodule_export]
    use crate::store::Core;
    #[pymodule_export]
    use crate::stores::StoresCore;
    #[pymodule_export]
    use crate::testing::{
        ClockCore, CutsCore, DiskCore, FaultsCore, memory_for_test, open_for_test,
    };
    #[pymodule_export]
    use crate::thread::{LeaseCore, StepIterator, ThreadCore, common_ancestor, diff, is_ancestor};
    #[pymodule_export]
    use crate::threads::ThreadsCore;
    #[pymodule_export]
    use crate::verb::VerbCore;
    #[pymodule_export]
    use crate::waiting::PyWaiting;
    #[pymodule_export]
    use crate::watch::PyWatch;
    #[pymodule_export]
    use crate::work::PyWork;

    /// Version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// The format of a store's directory that keeps everything in it; with a bucket it is one more.
    #[pymodule_export]
    const FORMAT: u64 = treering_store::embedded::FORMAT;
}
