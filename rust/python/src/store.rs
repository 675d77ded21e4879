//! `Core`: one open store.
//!
//! Promises: every call that may touch the disk or hash runs without the GIL. Never: a rule of its
//! own; what is refused here, the store refuses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use treering_actor::Dispatcher;
use treering_actor::stores::Stores;
use treering_actor::stores::user_config::Defaults;
use treering_block::{Block, BlockError, Cid};
use treering_store::{
    BackupOptions, Commit, CopyOptions, Cursor, EmbeddedStore, Head, MemoryStore, OpenOptions,
    Store, Version, copy,
};
use treering_thread::{Threads, verify_threads};

use crate::blocks::{cid_list, content_object, node_value, resolved};
use crate::buckets::{self, attended_by};
use crate::cid::PyCid;
use crate::collect::{self, collect, interruptible};
use crate::collection::{MapCore, VectorCore, node};
use crate::convert::{ByteString, Count, DurabilityName, OurCid, Text, bytes_object, our_cids};
use crate::error::{CoreError, Result};
use crate::gate::Gate;
use crate::head;
use crate::hearing::heard;
use crate::journal::{Before, entry_object, extent_object};
use crate::pending::PyPending;
use crate::reports::{counters_object, report_object, stats_object};
use crate::stores::{Settings, StoresCore};
use crate::threads::ThreadsCore;
use crate::watch::PyWatch;
use crate::work::{Answer, PyWork};

/// One open store; opening a directory twice in a process gives two handles on one.
#[pyclass(frozen, name = "Core", module = "treering._core")]
pub struct Core {
    store: Arc<dyn Store>,
    actors: Dispatcher,
    /// The same store, if it is one in a directory.
    embedded: Option<Arc<EmbeddedStore>>,
    closed: std::sync::atomic::AtomicBool,
    gate: Arc<Gate>,
}

impl Core {
    /// A handle on an open store; `embedded` is the same store, if it is one in a directory.
    pub fn of(store: Arc<dyn Store>, embedded: Option<Arc<EmbeddedStore>>) -> Self {
        Self {
            actors: Dispatcher::new(Arc::clone(&store)),
            store,
            embedded,
            closed: false.into(),
            gate: Arc::default(),
        }
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn submit(
        &self,
        py: Python<'_>,
        scope: String,
        durability: DurabilityName,
        mut blocks: Vec<Block>,
        block: impl FnOnce() -> std::result::Result<Block, BlockError> + Send,
    ) -> Result<PyPending> {
        let (cid, ticket) = attended_by(py, &*self.store, || {
            let block = block()?;
            let cid = block.cid;
            blocks.push(block);
            let ticket = self.store.submit(Commit {
                scope,
                blocks,
                holds: vec![cid],
                durability: durability.0,
                ..Commit::default()
            });
            Ok::<_, BlockError>((cid, ticket))
        })??;
        Ok(PyPending::of_store(ticket, move |py, _| {
            Ok(Py::new(py, PyCid::ours(cid))?.into_any())
        }))
    }

    fn in_memory(&self) -> CoreError {
        CoreError::Invalid {
            what: "store",
            value: self.store.location(),
            rule: "a store in memory has no directory to back up; use copy_to",
        }
    }

    fn gated(&self) -> Result<&EmbeddedStore> {
        self.embedded.as_deref().ok_or(CoreError::Invalid {
            what: "store",
            value: self.store.location(),
            rule: "a store in memory has no fsync to hold",
        })
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Whoever ends the store waits for its writer, which may stand before the gate.
        self.gate.open();
    }
}

#[pymethods]
impl Core {
    #[staticmethod]
    #[pyo3(signature = (path, create, read_only, lock_wait_ms, automatic_gc, mend, reserve_bytes, blobs))]
    #[allow(clippy::too_many_arguments, reason = "they have names in Python")]
    fn open(
        py: Python<'_>,
        path: Text,
        create: bool,
        read_only: bool,
        lock_wait_ms: Count,
        automatic_gc: bool,
        mend: bool,
        reserve_bytes: Count,
        blobs: Option<Text>,
    ) -> Result<Self> {
        let options = OpenOptions {
            create,
            read_only,
            lock_wait: Duration::from_millis(lock_wait_ms.0),
            callers_wait: true,
            automatic_gc,
            mend,
            reserve_bytes: reserve_bytes.0,
            blobs: buckets::given(blobs.as_deref())?,
            connect: Some(buckets::open),
            ..OpenOptions::default()
        };
        let store = Arc::new(heard(py, || EmbeddedStore::open(&*path, &options))??);
        Ok(Self::of(Arc::clone(&store) as Arc<dyn Store>, Some(store)))
    }

    #[staticmethod]
    fn memory() -> Self {
        Self::of(Arc::new(MemoryStore::new()), None)
    }

    /// The directory, or `memory`.
    #[getter]
    fn location(&self) -> String {
        self.store.location()
    }

    /// Where large blocks are: the URL of a bucket, None for the store's directory.
    #[getter]
    fn blobs(&self) -> Option<String> {
        self.embedded.as_ref()?.blobs_url()
    }

    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Answers what is queued, then refuses everything. Closing again does nothing.
    fn close(&self, py: Python<'_>) -> Result<()> {
        if self.closed.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return Ok(());
        }
        // A test that holds an fsync must not hang at its end.
        self.gate.open();
        let store = Arc::clone(&self.store);
        interruptible(py, move |_| store.close())
    }

    /// The threads of a scope.
    #[pyo3(signature = (scope, durability))]
    fn threads(&self, scope: Text, durability: DurabilityName) -> Result<ThreadsCore> {
        let threads = Threads::new(Arc::clone(&self.store), &scope, durability.0)?;
        Ok(ThreadsCore::new(threads))
    }

    /// The stores of a scope.
    #[pyo3(signature = (scope, durability, memory_entries, chat_messages, local_runtime_base_url, remote_runtime_base_url, history_events))]
    #[allow(clippy::too_many_arguments)]
    fn stores(
        &self,
        scope: Text,
        durability: DurabilityName,
        memory_entries: u32,
        chat_messages: u32,
        local_runtime_base_url: Text,
        remote_runtime_base_url: Text,
        history_events: Option<Count>,
    ) -> Result<StoresCore> {
        let history_events = history_events.map(|Count(events)| events);
        let actors = self.actors.clone().keeping(history_events)?;
        let stores = Stores::new(actors, &scope, durability.0)?;
        let settings = Settings {
            defaults: Arc::new(Defaults {
                local_runtime_base_url: local_runtime_base_url.0,
                remote_runtime_base_url: remote_runtime_base_url.0,
            }),
            memory_entries,
            chat_messages,
        };
        Ok(StoresCore::new(stores, settings))
    }

    /// Stores bytes.
    #[pyo3(signature = (data, scope, durability))]
    fn put(
        &self,
        py: Python<'_>,
        data: ByteString,
        scope: Text,
        durability: DurabilityName,
    ) -> Result<PyPending> {
        let bytes: &[u8] = &data;
        self.submit(py, scope.0, durability, Vec::new(), || {
            Ok(Block::raw(bytes))
        })
    }

    /// Stores a value as a node.
    #[pyo3(signature = (value, scope, durability))]
    fn put_node(
        &self,
        py: Python<'_>,
        value: &Bound<'_, PyAny>,
        scope: Text,
        durability: DurabilityName,
    ) -> Result<PyPending> {
        let (encoded, carried) = node(value)?;
        let (blocks, landing) = py.detach(|| carried.blocks(&self.store))?;
        let pending = self.submit(py, scope.0, durability, blocks, || {
            Block::from_encoded(encoded)
        })?;
        Ok(pending.carrying(landing))
    }

    /// The list whose root this is. Reads one block.
    #[pyo3(signature = (cid))]
    fn vector(&self, py: Python<'_>, cid: OurCid) -> Result<VectorCore> {
        let version = py.detach(|| Version::load(&self.store, &cid.0))?;
        Ok(VectorCore::new(version))
    }

    /// The map whose root this is. Reads one block.
    #[pyo3(signature = (cid))]
    fn map(&self, py: Python<'_>, cid: OurCid) -> Result<MapCore> {
        let version = py.detach(|| Version::load(&self.store, &cid.0))?;
        Ok(MapCore::new(version))
    }

    #[pyo3(signature = (cid))]
    fn get<'py>(&self, py: Python<'py>, cid: OurCid) -> Result<Bound<'py, PyAny>> {
        let bytes = attended_by(py, &*self.store, || self.store.get(&cid.0))??;
        Ok(bytes_object(py, &bytes))
    }

    /// The value of a node.
    #[pyo3(signature = (cid))]
    fn get_node<'py>(&self, py: Python<'py>, cid: OurCid) -> Result<Bound<'py, PyAny>> {
        node_value(py, &self.store, cid.0)
    }

    /// Which of them are there, in their order.
    #[pyo3(signature = (cids))]
    fn has_many(&self, py: Python<'_>, cids: Vec<OurCid>) -> Result<Vec<bool>> {
        let cids = our_cids(cids);
        Ok(py.detach(|| self.store.has_many(&cids))?)
    }

    /// The present block whose CID is this text or alone begins so.
    #[pyo3(signature = (prefix))]
    fn resolve(&self, py: Python<'_>, prefix: Text) -> Result<PyCid> {
        resolved(py, &self.store, &prefix)
    }

    /// What a content node says: `payload`, `artifacts` (name → CID), `refs`.
    #[pyo3(signature = (cid))]
    fn content<'py>(&self, py: Python<'py>, cid: OurCid) -> Result<Bound<'py, PyDict>> {
        content_object(py, &self.store, &cid.0)
    }

    /// (ordinal, CID, size) of the blocks after an ordinal, 0 for the first.
    #[pyo3(signature = (after, limit))]
    fn blocks(&self, py: Python<'_>, after: Count, limit: usize) -> Result<Vec<(u64, PyCid, u64)>> {
        let found = py.detach(|| self.store.blocks(after.0, limit))?;
        Ok(found
            .into_iter()
            .map(|block| (block.ordinal, PyCid::ours(block.cid), block.size))
            .collect())
    }

    /// (blocks reached, blocks missing), each once.
    #[pyo3(signature = (roots))]
    fn reachable<'py>(
        &self,
        py: Python<'py>,
        roots: Vec<OurCid>,
    ) -> Result<(Bound<'py, PyList>, Bound<'py, PyList>)> {
        let roots = our_cids(roots);
        let reached = py.detach(|| treering_store::reachable::reachable(&*self.store, &roots))?;
        let mut missing: Vec<Cid> = reached.missing.into_iter().map(|(_, cid)| cid).collect();
        missing.sort_unstable();
        missing.dedup();
        Ok((cid_list(py, &reached.blocks)?, cid_list(py, &missing)?))
    }

    /// Scopes that have refs, in name order.
    fn scopes(&self, py: Python<'_>) -> Result<Vec<String>> {
        Ok(py.detach(|| self.store.scopes())?)
    }

    /// Commits after a cursor, None for the first ones, oldest first.
    #[pyo3(signature = (after, limit))]
    fn journal<'py>(
        &self,
        py: Python<'py>,
        after: Option<Text>,
        limit: usize,
    ) -> Result<Vec<Bound<'py, PyDict>>> {
        let after = after.map(|text| text.parse::<Cursor>()).transpose()?;
        let entries = py.detach(|| self.store.journal(after.as_ref(), limit))?;
        entries
            .iter()
            .map(|entry| Ok(entry_object(py, entry)?))
            .collect()
    }

    /// The cursor behind a commit; None where there is no such commit, or none that is kept.
    #[pyo3(signature = (position))]
    fn cursor_at(&self, py: Python<'_>, position: Count) -> Result<Option<String>> {
        let cursor = py.detach(|| self.store.cursor_at(position.0))?;
        Ok(cursor.map(|cursor| cursor.to_string()))
    }

    /// Moves all but the newest commits out of the tables: (files, commits, bytes) written.
    #[pyo3(signature = (keep))]
    fn seal_journal(&self, py: Python<'_>, keep: Count) -> Result<(u64, u64, u64)> {
        let store = Arc::clone(&self.store);
        let done = interruptible(py, move |_| store.seal_journal(keep.0))?;
        Ok((done.files, done.commits, done.bytes))
    }

    /// Deletes sealed commits from before a time (Unix milliseconds) or up to a cursor: (files, commits, bytes).
    #[pyo3(signature = (before))]
    fn expire_journal(&self, py: Python<'_>, before: Before) -> Result<(u64, u64, u64)> {
        let before = before.parse()?;
        let store = Arc::clone(&self.store);
        let done = interruptible(py, move |_| store.expire_journal(&before))?;
        Ok((done.files, done.commits, done.bytes))
    }

    /// Gives up the lost body of a commit.
    #[pyo3(signature = (position))]
    fn give_up_commit(&self, py: Python<'_>, position: Count) -> Result<()> {
        let store = Arc::clone(&self.store);
        interruptible(py, move |_| store.give_up_commit(position.0))
    }

    /// What of the journal is kept: `first`, `last`, `start`, `start_at_ms`, `sealed`.
    fn journal_extent<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let extent = py.detach(|| self.store.journal_extent())?;
        Ok(extent_object(py, &extent)?)
    }

    /// The cursor after the newest commit.
    fn cursor(&self, py: Python<'_>) -> Result<String> {
        Ok(py.detach(|| self.store.head())?.cursor().to_string())
    }

    /// The end of the journal as a text to write down elsewhere, for `verify`.
    fn head(&self, py: Python<'_>) -> Result<String> {
        Ok(head::text(&py.detach(|| self.store.head())?))
    }

    /// What to wait on for commits; made before the journal is read, it misses none.
    fn watch(&self, py: Python<'_>) -> Result<PyWatch> {
        Ok(py.detach(|| PyWatch::on(&*self.store))?)
    }

    /// Checks everything; `since` is a `head` of before.
    #[pyo3(signature = (since))]
    fn verify<'py>(&self, py: Python<'py>, since: Option<Text>) -> Result<Bound<'py, PyDict>> {
        let since: Option<Head> = since.map(|text| head::parse(&text)).transpose()?;
        let store = Arc::clone(&self.store);
        let report = interruptible(py, move |_| {
            let mut report = store.verify(since.as_ref())?;
            verify_threads(&*store, &mut report);
            Ok(report)
        })?;
        Ok(report_object(py, &report)?)
    }

    /// Copies the store into a directory, or brings the backup there up to date.
    #[pyo3(signature = (path, verify))]
    fn backup(&self, path: Text, verify: bool) -> Result<PyWork> {
        let Some(store) = self.embedded.clone() else {
            return Err(self.in_memory());
        };
        PyWork::start(move |progress| {
            let report = store.backup(&*path, &BackupOptions { verify }, progress)?;
            Ok(Answer::Backup(report))
        })
    }

    /// Sends a backup to a bucket, made or brought up to date in the directory `staging`.
    #[pyo3(signature = (url, staging, verify))]
    fn backup_to_bucket(&self, url: Text, staging: Text, verify: bool) -> Result<PyWork> {
        let Some(store) = self.embedded.clone() else {
            return Err(self.in_memory());
        };
        let bucket = buckets::open(&url)?;
        PyWork::start(move |progress| {
            let options = BackupOptions { verify };
            let report = store.backup_to_bucket(&*bucket, &*staging, &options, progress)?;
            Ok(Answer::Backup(report))
        })
    }

    /// Copies every ref and what it reaches into another store; scopes may get another name there.
    #[pyo3(signature = (target, rename))]
    fn copy_to(&self, target: &Self, rename: BTreeMap<String, String>) -> Result<PyWork> {
        let (source, target) = (Arc::clone(&self.store), Arc::clone(&target.store));
        PyWork::start(move |progress| {
            let options = CopyOptions { rename };
            Ok(Answer::Copy(copy(&*source, &*target, &options, progress)?))
        })
    }

    /// Makes what nothing reaches absent and deletes it; what was found, by name.
    #[pyo3(signature = (dry_run))]
    fn gc<'py>(&self, py: Python<'py>, dry_run: bool) -> Result<Bound<'py, PyDict>> {
        let report = collect(py, &self.store, dry_run)?;
        Ok(collect::report_object(py, &report)?)
    }

    /// (ordinal, CID, end) of a scope's holds after an ordinal, 0 for the first.
    #[pyo3(signature = (scope, after, limit))]
    fn holds(
        &self,
        py: Python<'_>,
        scope: Text,
        after: Count,
        limit: usize,
    ) -> Result<Vec<(u64, PyCid, i64)>> {
        let found = py.detach(|| self.store.holds(&scope, after.0, limit))?;
        Ok(found
            .into_iter()
            .map(|hold| (hold.ordinal, PyCid::ours(hold.cid), hold.expires_at_ms))
            .collect())
    }

    /// Holds a block for so long from now at least; when the hold ends.
    #[pyo3(signature = (scope, cid, ms))]
    fn extend_hold(&self, py: Python<'_>, scope: Text, cid: OurCid, ms: Count) -> Result<i64> {
        let store = Arc::clone(&self.store);
        interruptible(py, move |_| {
            let ms = i64::try_from(ms.0).unwrap_or(i64::MAX);
            store.extend_hold(&scope.0, &cid.0, store.now_ms().saturating_add(ms))
        })
    }

    /// Ends a scope's hold of a block; whether there was one.
    #[pyo3(signature = (scope, cid))]
    fn release_hold(&self, py: Python<'_>, scope: Text, cid: OurCid) -> Result<bool> {
        let store = Arc::clone(&self.store);
        interruptible(py, move |_| store.release_hold(&scope.0, &cid.0))
    }

    fn stats<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.store.stats())?;
        Ok(stats_object(py, &stats)?)
    }

    fn counters<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        Ok(counters_object(py, &self.store.counters())?)
    }

    /// The store's clock, Unix milliseconds.
    fn now_ms(&self) -> i64 {
        self.store.now_ms()
    }

    /// For tests: holds the fsync of the next commits until it is released, as a disk that is known to be slow does.
    fn hold_commit_sync(&self) -> Result<()> {
        let store = self.gated()?;
        store.expect_slow_commits();
        self.gate.shut();
        let gate = Arc::clone(&self.gate);
        store.on_commit_sync(move || {
            gate.pass();
            Ok(())
        });
        Ok(())
    }

    /// For tests: lets the held fsync happen.
    fn release_commit_sync(&self) -> Result<()> {
        self.gated()?;
        self.gate.open();
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("<Core {}>", self.store.location())
    }
}
