//! How much history of its actors a scope keeps when it is trimmed: `retention`.
//!
//! Promises: what can't be kept is refused when it is said, not when it is carried out; a trim by the policy is made by the
//! one that holds when its turn comes, or not at all. Must never: cut off anything; a trim does, when somebody asks for it.

use treering_block::Cid;
use treering_thread::command::Payload;

use super::{Stores, Verb};
use crate::dispatch::Done;
use crate::error::{ActorError, Result};
use crate::kind::{Blocks, Happened, Kind, State, Unreadable, events};
use crate::loaded::Loaded;
use crate::messages::{Encoding, Name, RetentionPolicy, RetentionPolicySet};
use crate::tail::TRIM_EVENTS_MAX;
use crate::turn::expect_known_schema;

/// Milliseconds of the greatest age that can be kept: 36,500 days, 100 years.
pub const YOUNGER_THAN_MS_MAX: i64 = 36_500 * 24 * 60 * 60 * 1_000;

events! {
    /// What happens to it.
    RetentionEvent: RetentionPolicySet
}

/// See the top of this file.
#[derive(Debug)]
pub struct RetentionKind;

impl Kind for RetentionKind {
    const NAME: &'static str = "retention";
    type State = RetentionPolicy;
    type Event = RetentionEvent;

    fn evolve(state: &mut RetentionPolicy, happened: &Happened<RetentionEvent>) {
        let RetentionEvent::RetentionPolicySet(set) = &happened.event;
        *state = policy(set);
    }
}

impl State for RetentionPolicy {
    const IN_BLOCKS: bool = false;

    fn type_name() -> String {
        Self::full_name()
    }

    fn save(&mut self, _: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        Ok((self.encode_to_vec(), Vec::new()))
    }

    fn load(message: &[u8], _: &[Cid]) -> Result<Self, Unreadable> {
        Ok(Self::decode(message)?)
    }

    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}

fn policy(set: &RetentionPolicySet) -> RetentionPolicy {
    RetentionPolicy {
        keep: set.keep,
        younger_than_ms: set.younger_than_ms,
    }
}

/// Replaces the policy; with neither all is kept. `keep`: newest events of each actor, 0 to [`TRIM_EVENTS_MAX`];
/// `younger_than_ms`: 1 to [`YOUNGER_THAN_MS_MAX`].
///
/// # Errors
/// `InvalidCommand` for both, or a number out of its range.
pub fn set(stores: &Stores, keep: Option<i64>, younger_than_ms: Option<i64>) -> Result<Verb> {
    if let (Some(keep), Some(_)) = (keep, younger_than_ms) {
        let rule = "a policy goes by the number of events or by their age: say one of keep and younger_than";
        return Err(ActorError::invalid("keep", &keep.to_string(), rule));
    }
    let ranged = |field, value: Option<i64>, least: i64, most: u64, rule| match value {
        None => Ok(None),
        Some(value) => u64::try_from(value)
            .ok()
            .filter(|_| value >= least)
            .filter(|value| *value <= most)
            .map(Some)
            .ok_or_else(|| ActorError::invalid(field, &value.to_string(), rule)),
    };
    let set = RetentionPolicySet {
        keep: ranged(
            "keep",
            keep,
            0,
            TRIM_EVENTS_MAX,
            "it is a number of events, 0 to 10,000: a trim keeps no more; without a policy all is kept",
        )?,
        younger_than_ms: ranged(
            "younger_than_ms",
            younger_than_ms,
            1,
            YOUNGER_THAN_MS_MAX.unsigned_abs(),
            "it is 1 ms to 36,500 days; keep=0 keeps only what is",
        )?,
    };
    let mut payload = Payload::new("retention set");
    let number = |payload: &mut Payload, number| {
        payload.number(number);
    };
    payload
        .maybe(set.keep, number)
        .maybe(set.younger_than_ms, number);
    let address = stores.address::<RetentionKind>(&[])?;
    Ok(Verb::new::<RetentionKind>(
        address,
        payload,
        move |turn, address| {
            let before = turn.load::<RetentionKind>(address)?;
            if before.state != policy(&set) {
                turn.append::<RetentionKind>(address, [set.into()])?;
            }
            Ok(Done::default())
        },
    ))
}

/// The policy that a trim goes by, with its version.
///
/// # Errors
/// `NewerSchema` if a later version said what this one does not know: it may keep more; those of reading.
pub fn in_force(stores: &Stores) -> Result<std::sync::Arc<Loaded<RetentionKind>>> {
    let address = stores.address::<RetentionKind>(&[])?;
    let now = stores.reader().now::<RetentionKind>(&address)?;
    expect_known_schema(&address, &now)?;
    Ok(now)
}

impl Verb {
    /// The same, done only while the scope's policy is that one, of that version: it is looked at in its turn. The
    /// policy is said too, since versions begin anew after an erase.
    ///
    /// # Errors
    /// `Invalid` for a blank scope. Of the answer: `VersionConflict`, of the policy.
    pub fn under_policy(
        mut self,
        stores: &Stores,
        version: u64,
        policy: RetentionPolicy,
    ) -> Result<Self> {
        let address = stores.address::<RetentionKind>(&[])?;
        self.operation = self.operation.provided(move |turn| {
            let now = turn.load::<RetentionKind>(&address)?;
            if now.place.version == version && now.state == policy {
                return Ok(());
            }
            Err(ActorError::VersionConflict {
                actor: address.log().encoded().to_owned(),
                expected: version,
                actual: now.place.version,
            })
        });
        Ok(self)
    }
}
