//! States that were folded before: for each actor the newest that is committed, and one that may become it.
//!
//! Promises: what is found under a head's CID is what folding that log would give; its memory is bounded.
//! Must never: say what an actor's head is, or that a state's collections are still kept. Both are asked of the store,
//! each time (`loaded.rs`).

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use treering_block::Cid;
use treering_store::RefName;

/// At most so many actors, and …
const ACTORS_MAX: usize = 4096;
/// … so many bytes of states, by their own estimate.
const BYTES_MAX: usize = 64 << 20;

pub(crate) type Shared = Arc<dyn Any + Send + Sync>;

struct Known {
    head: Cid,
    state: Shared,
    weight: usize,
}

#[derive(Default)]
struct Slot {
    /// As some commit left it.
    settled: Option<Known>,
    /// As a decision left it that may not be committed yet.
    ahead: Option<Known>,
    /// Of [`States::clock`], when it was last asked for.
    used: u64,
}

impl Slot {
    fn weight(&self) -> usize {
        let both = self.settled.iter().chain(&self.ahead);
        both.map(|known| known.weight).sum()
    }
}

#[derive(Default)]
struct States {
    slots: HashMap<RefName, Slot>,
    weight: usize,
    clock: u64,
}

/// Folded states by head.
#[derive(Default)]
pub(crate) struct Cache(Mutex<States>);

impl Cache {
    fn states(&self) -> MutexGuard<'_, States> {
        // Nothing panics between two changes of it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is known of the actor.
    pub(crate) fn knows(&self, actor: &RefName) -> bool {
        self.states().slots.contains_key(actor)
    }

    /// The state of the actor at this head. `committed`: the store says that this is the head.
    pub(crate) fn get(&self, actor: &RefName, head: &Cid, committed: bool) -> Option<Shared> {
        let mut states = self.states();
        states.clock += 1;
        let clock = states.clock;
        let slot = states.slots.get_mut(actor)?;
        slot.used = clock;
        let is_it = |known: &&Known| known.head == *head;
        if let Some(known) = slot.settled.as_ref().filter(is_it) {
            return Some(Arc::clone(&known.state));
        }
        let state = Arc::clone(&slot.ahead.as_ref().filter(is_it)?.state);
        if committed {
            let freed = slot.settled.take().map_or(0, |known| known.weight);
            slot.settled = slot.ahead.take();
            states.weight = states.weight.saturating_sub(freed);
        }
        Some(state)
    }

    /// Notes what was folded. `committed`: the store says that this is the head.
    pub(crate) fn put(
        &self,
        actor: &RefName,
        head: Cid,
        state: Shared,
        weight: usize,
        committed: bool,
    ) {
        let known = Known {
            head,
            state,
            weight,
        };
        let mut states = self.states();
        states.clock += 1;
        let clock = states.clock;
        let slot = states.slots.entry(actor.clone()).or_default();
        slot.used = clock;
        let before = slot.weight();
        if committed {
            slot.settled = Some(known);
        } else {
            slot.ahead = Some(known);
        }
        let after = slot.weight();
        states.weight = (states.weight + after).saturating_sub(before);
        states.shrink();
    }
}

impl States {
    /// Forgets the half that was asked for least lately, and again, until there is not too much.
    fn shrink(&mut self) {
        while self.slots.len() > ACTORS_MAX || (self.weight > BYTES_MAX && self.slots.len() > 1) {
            let mut used: Vec<u64> = self.slots.values().map(|slot| slot.used).collect();
            used.sort_unstable();
            let Some(middle) = used.get((used.len() - 1) / 2).copied() else {
                return;
            };
            self.slots.retain(|_, slot| slot.used > middle);
            self.weight = self.slots.values().map(Slot::weight).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(number: usize) -> RefName {
        RefName::new("main", "x.test", [number.to_string()]).unwrap()
    }

    fn head(name: &str) -> Cid {
        Cid::of_node(name.as_bytes())
    }

    fn number(found: Option<Shared>) -> Option<u32> {
        found.map(|state| *state.downcast_ref::<u32>().unwrap())
    }

    #[test]
    fn what_was_decided_and_what_was_committed_are_both_found() {
        let cache = Cache::default();
        let of = actor(1);
        assert!(!cache.knows(&of));
        cache.put(&of, head("a"), Arc::new(1_u32), 1, true);
        cache.put(&of, head("b"), Arc::new(2_u32), 1, false);
        // Readers who see the old head do not lose it, nor do they take the new one from those who decide.
        assert_eq!(number(cache.get(&of, &head("a"), true)), Some(1));
        assert_eq!(number(cache.get(&of, &head("b"), false)), Some(2));
        assert_eq!(number(cache.get(&of, &head("b"), true)), Some(2));
        cache.put(&of, head("c"), Arc::new(3_u32), 1, false);
        assert_eq!(number(cache.get(&of, &head("b"), true)), Some(2));
        assert_eq!(number(cache.get(&of, &head("a"), true)), None);
        assert_eq!(number(cache.get(&actor(2), &head("b"), true)), None);
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let cache = Cache::default();
        for number in 0..=ACTORS_MAX {
            cache.put(&actor(number), head("a"), Arc::new(0_u32), 1, true);
        }
        let kept = cache.states().slots.len();
        assert!((1..ACTORS_MAX).contains(&kept), "{kept}");
        assert!(cache.knows(&actor(ACTORS_MAX)) && !cache.knows(&actor(0)));
        let heavy = |number| {
            cache.put(
                &actor(number),
                head("a"),
                Arc::new(0_u32),
                BYTES_MAX / 2,
                true,
            )
        };
        (0..3).for_each(heavy);
        assert!(cache.states().weight <= BYTES_MAX);
        assert!(cache.knows(&actor(2)));
    }
}
