//! History that ends by itself: where an actor gets a snapshot, what is older than the events that are to be kept is cut
//! off.
//!
//! A log can begin anew only with a state that is known, and to fold that of long ago would be to read all that is to
//! go. So one snapshot waits to be the next beginning: each later one links to it (`earlier`), until enough events came
//! behind it. Then it is the state of the base, just as it was stored, and what waits next is a newer one.
//!
//! Promises: at least as many of the newest events are kept as was said; what is cut off is not read; each event is put
//! behind a new beginning about once. What can't be read, or is too much for this commit, stays, and the command is done.
//! Must never: cut off anything where nothing was said.

use treering_block::Cid;
use treering_block::node::{BaseNode, SnapshotNode};
use treering_store::StoreError;

use super::Turn;
use crate::address::Address;
use crate::error::{ActorError, Result};
use crate::kind::{Kind, State as _};
use crate::loaded::Loaded;
use crate::source::{Source as _, read_entry, read_snapshot};
use crate::tail::read_events;

/// Events of each actor that may be kept by themselves. They are read and written under the lock, where others wait.
pub const HISTORY_EVENTS_MAX: u64 = 1_000;

/// Events, and their bytes, that a commit puts behind new beginnings, of all actors together.
const COMMIT_EVENTS_MAX: u64 = 2_000;
const COMMIT_BYTES_MAX: u64 = 16 << 20;

/// What a commit may still put behind new beginnings.
#[derive(Debug)]
pub(super) struct Budget {
    events: u64,
    bytes: u64,
}

impl Budget {
    const WHOLE: Self = Self {
        events: COMMIT_EVENTS_MAX,
        bytes: COMMIT_BYTES_MAX,
    };

    fn take(&mut self, events: u64, bytes: u64) {
        self.events = self.events.saturating_sub(events);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// What came of an actor whose snapshot waits.
enum Came {
    /// Its log begins with it now.
    Cut,
    /// Not so much happened since, or this commit has no room left for it: it waits on.
    Waits,
    /// It is nothing to begin with, or too much is behind it: another one waits next.
    Passed,
}

/// Settles what one actor's snapshot has as its `earlier`, and cuts off its history if that is due.
pub(super) type Retain = fn(&mut Turn<'_>, &Address, Option<u64>, &mut Budget) -> Result<()>;

impl Turn<'_> {
    /// Keeps of all that the turn has changed at least so many of the newest events, and lets go of older ones; None
    /// keeps all.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn retain(&mut self, events: Option<u64>) -> Result<()> {
        let due: Vec<_> = self
            .touched
            .iter()
            .filter_map(|(_, actor)| actor.retaining())
            .collect();
        let mut budget = Budget::WHOLE;
        for (address, retain) in due {
            retain(self, &address, events, &mut budget)?;
        }
        Ok(())
    }
}

/// See [`Retain`].
pub(super) fn one<K: Kind>(
    turn: &mut Turn<'_>,
    address: &Address,
    keep: Option<u64>,
    budget: &mut Budget,
) -> Result<()> {
    let now = turn.load::<K>(address)?;
    let (Some(newest), earlier) = (now.place.basis, now.place.earlier) else {
        return Ok(());
    };
    if keep.is_none() && earlier.is_none() {
        return Ok(());
    }
    // It may have been dropped, or made anew: only what the read model links to is there for certain.
    let model = turn.read_ref(address.read_model())?;
    if model.is_none_or(|value| value.target != newest) {
        return Ok(());
    }
    let first = earlier.unwrap_or(newest);
    let came = match keep {
        None => Came::Waits,
        Some(keep) => match turn.begin_late::<K>(address, &now, &first, keep, budget) {
            Err(error) if error.may_pass() || is_of_a_node(&error) => Came::Passed,
            came => came?,
        },
    };
    let waiting = match came {
        Came::Cut => return Ok(()),
        Came::Waits => Some(first),
        // What has no `earlier` waits next, so this is not tried again before as much has happened.
        Came::Passed => None,
    };
    if let Some(actor) = turn.touched::<K>(address) {
        actor.earlier = waiting;
    }
    Ok(())
}

/// Whether a node can't be made: in another place of a log an event may have a link more.
fn is_of_a_node(error: &ActorError) -> bool {
    matches!(error, ActorError::Store(StoreError::Block(_)))
}

impl Turn<'_> {
    /// Lets the log begin with a snapshot if so many events are behind it.
    fn begin_late<K: Kind>(
        &mut self,
        address: &Address,
        now: &Loaded<K>,
        cid: &Cid,
        keep: u64,
        budget: &mut Budget,
    ) -> Result<Came> {
        let node = read_snapshot(&*self, address.read_model(), cid)?;
        let behind = now.place.version.saturating_sub(node.version);
        if behind < keep {
            return Ok(Came::Waits);
        }
        expect_beginning::<K>(address, now, cid, &node)?;
        if behind > budget.events {
            let is_ever = behind <= Budget::WHOLE.events;
            return Ok(if is_ever { Came::Waits } else { Came::Passed });
        }
        let Some(head) = now.place.head() else {
            return Ok(Came::Waits);
        };
        let room = budget.bytes;
        let (replaced, events, bytes) =
            match read_events(&*self, address, &head, node.version, room) {
                // How much more there is was not read. Of a whole budget it would be too much the next time, too.
                Err(ActorError::LimitExceeded { .. }) => {
                    let is_whole = room == Budget::WHOLE.bytes;
                    return Ok(if is_whole { Came::Passed } else { Came::Waits });
                }
                read => read?,
            };
        if replaced.to_bytes().as_slice() != node.entry.as_slice() {
            let detail = "it is not of this log";
            return Err(ActorError::corrupt(
                address.read_model(),
                node.version,
                Some(*cid),
                detail,
            ));
        }
        let entry = read_entry(&*self, address.log(), &replaced, Some(node.version))?;
        let base = BaseNode {
            version: node.version,
            at_ms: entry.at_ms(),
            state: *cid,
            replaces: node.entry,
        };
        self.begin_with(address, now, &base, events)?;
        budget.take(behind, bytes);
        Ok(Came::Cut)
    }
}

/// Only a state of this log, of these rules, that keeps nothing older alive, may be what a log begins with.
fn expect_beginning<K: Kind>(
    address: &Address,
    now: &Loaded<K>,
    cid: &Cid,
    node: &SnapshotNode,
) -> Result<()> {
    let detail = if node.version <= now.place.base {
        "it is from before the log's beginning"
    } else if node.earlier.is_some() {
        "it keeps an older one"
    } else if !now.state.may_begin_with(node, K::SCHEMA, K::FOLD) {
        "it was made by other rules"
    } else {
        return Ok(());
    };
    Err(ActorError::corrupt(
        address.read_model(),
        node.version,
        Some(*cid),
        detail,
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use treering_store::scope::Lineage;
    use treering_store::{
        Commit, Decide as _, Durability, JournalEntry, MemoryStore, RefName, RefValue, Store, View,
    };

    use super::*;
    use crate::dispatch::Dispatcher;
    use crate::messages::UserConfigUpdated;
    use crate::stores::Stores;
    use crate::stores::user_config::{self, Defaults, UserConfigKind};
    use crate::turn::Envelope;

    /// The store as a decision sees it, and how many blocks it asked for.
    struct Counting<'s>(&'s dyn Store, u64);

    impl View for Counting<'_> {
        fn read_ref(&mut self, name: &RefName) -> Result<Option<RefValue>, StoreError> {
            self.0.read_ref(name)
        }

        fn block(&mut self, cid: &Cid) -> Result<Arc<[u8]>, StoreError> {
            self.1 += 1;
            self.0.get(cid)
        }

        fn brought(&self) -> u64 {
            0
        }

        fn commits_since(
            &mut self,
            _: u64,
            _: usize,
        ) -> Result<Option<Vec<JournalEntry>>, StoreError> {
            Ok(None)
        }

        fn lineage(&mut self, scope: &str) -> Result<Option<Lineage>, StoreError> {
            self.0.lineage(scope)
        }

        fn name_left(&mut self, _: &[u8; 32]) -> Result<Option<u64>, StoreError> {
            Ok(None)
        }
    }

    /// One more event: how many blocks are read under the lock.
    fn configure(stores: &Stores, number: u64) -> u64 {
        let fields = UserConfigUpdated {
            default_model: Some(format!("model {number}")),
            ..UserConfigUpdated::default()
        };
        let verb = user_config::update(stores, &Defaults::default(), fields).unwrap();
        let decision = stores.dispatcher();
        let decision = decision.decision(vec![verb.operation], Envelope::default());
        let reader = stores.reader();
        let mut view = Counting(&**reader.store(), 0);
        let decided = decision.unwrap().decide(&mut view, 1_000).unwrap();
        let commit = Commit {
            scope: "alice".to_owned(),
            blocks: decided.blocks,
            moves: decided.moves,
            ..Commit::default()
        };
        reader.store().submit(commit).wait().unwrap();
        view.1
    }

    #[test]
    fn a_long_history_goes_without_being_read() {
        const KEEP: u64 = 100;
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let plain = Dispatcher::new(store);
        let of = |dispatcher| Stores::new(dispatcher, "alice", Durability::Relaxed).unwrap();
        let (whole, kept) = (of(plain.clone()), of(plain.keeping(Some(KEEP)).unwrap()));
        let address = kept.address::<UserConfigKind>(&[]).unwrap();
        for number in 0..3_000 {
            assert_eq!(configure(&whole, number), 0, "what is known is not read");
        }
        let base = || {
            let now = kept.reader().now::<UserConfigKind>(&address).unwrap();
            now.place.base
        };
        let (mut cuts, mut before) = (0, 0);
        for number in 0..1_000 {
            let (read, cut) = (configure(&kept, number), base());
            if cut == before {
                // What waits is looked at with each snapshot.
                assert!(read <= 1, "{read} blocks at {number}");
                continue;
            }
            // What is kept, the entry before it and what it begins with, however much goes.
            assert!(read <= KEEP + 16 + 3, "{read} blocks at {number}");
            assert!(
                cuts > 0 || (2_900..3_000).contains(&cut),
                "begins after {cut}"
            );
            (cuts, before) = (cuts + 1, cut);
        }
        assert!((8..=10).contains(&cuts), "{cuts} times");
    }
}
