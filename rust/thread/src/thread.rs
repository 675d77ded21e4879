//! A handle on one thread: cheap to clone, remembers the head that it last saw.

use std::sync::{Arc, Mutex};

use treering_block::{Cid, StartNode};
use treering_store::{Durability, RefName, Store};

use crate::chain;
use crate::content::{Content, read_content};
use crate::error::{Result, ThreadError};
use crate::head::Head;
use crate::ident::thread_ref;
use crate::info::ThreadInfo;
use crate::step::Step;
use crate::tip::{Place, Tip, open};
use crate::walk::{Back, Steps};

/// A thread. Clones are one handle: they share what was last seen, and the lease.
///
/// Changes through one handle are made in the order of their calls, each on the head that the one before
/// leaves, and share fsyncs while they are in flight. A handle never moves to what others wrote by itself:
/// its changes then fail with `HeadMoved` until [`Thread::refresh`].
#[derive(Clone)]
pub struct Thread(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    scope: String,
    id: String,
    name: RefName,
    durability: Durability,
    tip: Mutex<Tip>,
    lease: Mutex<Option<u64>>,
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Thread({} in {})", self.0.id, self.0.scope)
    }
}

impl Thread {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        scope: &str,
        id: &str,
        durability: Durability,
        head: Head,
        lease_owner: Option<String>,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            store,
            scope: scope.to_owned(),
            id: id.to_owned(),
            name: thread_ref(scope, id)?,
            durability,
            tip: Mutex::new(Tip::new(head, lease_owner)),
            lease: Mutex::new(None),
        })))
    }

    /// ULID.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The caller's own name for it.
    pub fn key(&self) -> Option<String> {
        self.seen(|head| head.record.key.clone())
    }

    /// The scope that it belongs to.
    pub fn scope(&self) -> &str {
        &self.0.scope
    }

    /// The store that it lives in.
    pub fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    /// The store, to be shared.
    pub fn shared_store(&self) -> Arc<dyn Store> {
        self.0.store.clone()
    }

    /// How durable its changes are when they are answered.
    pub fn durability(&self) -> Durability {
        self.0.durability
    }

    pub(crate) fn name(&self) -> &RefName {
        &self.0.name
    }

    pub(crate) fn tip(&self) -> &Mutex<Tip> {
        &self.0.tip
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            store: self.store(),
            id: &self.0.id,
            name: &self.0.name,
        }
    }

    pub(crate) fn lease_token(&self) -> Option<u64> {
        *open(&self.0.lease)
    }

    pub(crate) fn set_lease(&self, token: Option<u64>, owner: Option<String>) {
        *open(&self.0.lease) = token;
        open(&self.0.tip).lease_owner = owner;
    }

    /// Reads from the head as last acknowledged.
    pub(crate) fn seen<T>(&self, read: impl FnOnce(&Head) -> T) -> T {
        let mut tip = open(&self.0.tip);
        tip.settle(&self.place());
        read(tip.acked())
    }

    /// What errors call it: the key, or the id.
    pub(crate) fn label(&self) -> String {
        open(&self.0.tip).label(&self.0.id)
    }

    /// The record as last seen. No I/O.
    pub fn info(&self) -> ThreadInfo {
        let mut tip = open(&self.0.tip);
        tip.settle(&self.place());
        let owner = tip.lease_owner.clone();
        let head = tip.acked();
        head.record.info(&self.0.id, head.target, owner)
    }

    /// Sees the thread as it is now.
    ///
    /// # Errors
    /// `NotFound` when it was removed, `Corrupt` when its record can't be read.
    pub fn refresh(&self) -> Result<()> {
        open(&self.0.tip).refresh(&self.place())
    }

    /// The last node, as last seen: a step, or the start.
    pub fn head(&self) -> Cid {
        self.seen(|head| head.target)
    }

    /// Number of the last step as last seen, `__end__` counted; 0 at the start.
    pub fn len(&self) -> u64 {
        self.seen(|head| head.record.steps)
    }

    /// No step yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The start node's name. At most two reads, once.
    ///
    /// # Errors
    /// `Store` or `Corrupt`, naming the node.
    pub fn start_cid(&self) -> Result<Cid> {
        let mut tip = open(&self.0.tip);
        tip.settle(&self.place());
        Ok(tip.acked().position(self.store())?.start)
    }

    /// How the thread began.
    ///
    /// # Errors
    /// As for [`Thread::start_cid`].
    pub fn start_node(&self) -> Result<StartNode> {
        chain::read_start(self.store(), &self.start_cid()?)
    }

    /// What it was asked.
    ///
    /// # Errors
    /// As for [`Thread::start_cid`].
    pub fn prompt(&self) -> Result<Option<Content>> {
        self.start_node()?
            .prompt
            .map(|prompt| read_content(self.store(), &prompt))
            .transpose()
    }

    /// The steps that may be appended in a run: the fork's own, or the start node's.
    ///
    /// # Errors
    /// As for [`Thread::start_cid`].
    pub fn max_rounds(&self) -> Result<Option<u64>> {
        match self.seen(|head| head.record.max_rounds) {
            Some(rounds) => Ok(Some(rounds)),
            None => Ok(self.start_node()?.max_rounds),
        }
    }

    /// Step `number`, from 1 to the head as last seen. O(log n) reads.
    ///
    /// # Errors
    /// `NoSuchStep`; `Store` or `Corrupt`, naming the node.
    pub fn at(&self, number: u64) -> Result<Step> {
        let (head, len) = self.seen(|head| (head.target, head.record.steps));
        let none = || ThreadError::NoSuchStep {
            thread: self.label(),
            asked: number,
            len,
        };
        if number == 0 || number > len {
            return Err(none());
        }
        chain::find(self.store(), chain::read_step(self.store(), &head)?, number)?.ok_or_else(none)
    }

    /// The step of that name, of whichever thread.
    ///
    /// # Errors
    /// `Store` when it is missing, `Corrupt` when it is no step.
    pub fn step(&self, cid: &Cid) -> Result<Step> {
        chain::read_step(self.store(), cid)
    }

    /// All steps in order, as last seen.
    pub fn steps(&self) -> Steps {
        self.walk(1, None)
    }

    /// Steps `first` to `last` (both included; None: the head as last seen) in order. Reads each step
    /// about once and holds at most one chunk of them.
    pub fn walk(&self, first: u64, last: Option<u64>) -> Steps {
        let (head, len) = self.seen(|head| (head.target, head.record.steps));
        Steps::new(
            self.shared_store(),
            head,
            first.max(1),
            last.map_or(len, |last| last.min(len)),
        )
    }

    /// All steps from the head as last seen back to step 1. Reads each once.
    pub fn back(&self) -> Back {
        self.walk_back(1, None)
    }

    /// Steps `last` (None: the head as last seen) back to `first`, both included. O(log n) reads to the
    /// first one that is given, then one a step.
    pub fn walk_back(&self, first: u64, last: Option<u64>) -> Back {
        let (head, len) = self.seen(|head| (head.target, head.record.steps));
        Back::new(
            self.shared_store(),
            head,
            first.max(1),
            last.map_or(len, |last| last.min(len)),
        )
    }
}
