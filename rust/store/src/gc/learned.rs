//! What a collection writes down for the next: how much it kept and what it left, and from that an
//! estimate of how much garbage there may be now, without a look at the graph.
//!
//! Promises: an estimate reads figures only; it may be too high (then a mark finds out), and what it can not
//! see (a ref that let go of a long past by a move) is seen a day later.
//! Must never: decide what is garbage.

/// What was found, and left, by the newest collection that came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// When a collection last began, by the store's clock: whoever writes it has the turn for an hour.
    pub begun_at_ms: i64,
    /// When the one began that the figures below are from.
    pub at_ms: i64,
    /// The store's next ordinal then.
    pub next_ordinal: u64,
    /// The newest commit then.
    pub position: u64,
    /// Refs then.
    pub refs: u64,
    /// Blocks that were reached or held.
    pub kept: u64,
    /// Blocks that were not and stayed all the same: too few to be worth it.
    pub garbage: u64,
    /// Their bytes.
    pub garbage_bytes: u64,
    /// Blocks whose rows it deleted.
    pub deleted: u64,
    /// Their bytes.
    pub freed_bytes: u64,
}

/// What a store says of itself now, without a look at the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figured {
    /// The store's clock.
    pub now_ms: i64,
    /// The next ordinal.
    pub next_ordinal: u64,
    /// The newest commit.
    pub position: u64,
    /// Blocks that are there.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Refs.
    pub refs: u64,
    /// Holds that have ended and are still written down.
    pub ended_holds: u64,
}

/// A mark is worth it above this share of garbage, and so is burying it.
pub const SHARE_PERCENT: u64 = 25;
/// What an estimate can not see is looked for after this time.
const LOOK_ANYWAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Whether `part` of `whole` is more than [`SHARE_PERCENT`].
pub fn is_much(part: u64, whole: u64) -> bool {
    u128::from(part) * 100 > u128::from(whole) * u128::from(SHARE_PERCENT)
}

impl Learned {
    /// Blocks that may be garbage now: what was left, all that was stored since, and for each ref that there
    /// is less as many as a ref kept on average.
    pub fn may_be_garbage(&self, now: &Figured) -> u64 {
        let added = now.next_ordinal.saturating_sub(self.next_ordinal);
        let of_a_ref = self.kept.checked_div(self.refs).unwrap_or(0);
        let let_go = self.refs.saturating_sub(now.refs).saturating_mul(of_a_ref);
        let sum = [self.garbage, added, let_go, now.ended_holds]
            .into_iter()
            .fold(0u64, u64::saturating_add);
        sum.min(now.blocks)
    }

    /// Whether a mark is worth it.
    pub fn is_due(&self, now: &Figured) -> bool {
        if is_much(self.may_be_garbage(now), now.blocks) {
            return true;
        }
        let changed = now.position > self.position || now.ended_holds > 0;
        changed && now.now_ms.saturating_sub(self.at_ms) >= LOOK_ANYWAY_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEARNED: Learned = Learned {
        begun_at_ms: 1_000,
        at_ms: 1_000,
        next_ordinal: 1_001,
        position: 50,
        refs: 10,
        kept: 800,
        garbage: 100,
        garbage_bytes: 0,
        deleted: 0,
        freed_bytes: 0,
    };

    fn now() -> Figured {
        Figured {
            now_ms: 2_000,
            next_ordinal: 1_001,
            position: 50,
            blocks: 900,
            bytes: 9_000,
            refs: 10,
            ended_holds: 0,
        }
    }

    #[test]
    fn what_is_left_added_let_go_and_held_no_more_is_summed_up() {
        assert_eq!(LEARNED.may_be_garbage(&now()), 100);
        let added = Figured {
            next_ordinal: 1_031,
            blocks: 930,
            ..now()
        };
        assert_eq!(LEARNED.may_be_garbage(&added), 130);
        let let_go = Figured { refs: 8, ..now() };
        assert_eq!(LEARNED.may_be_garbage(&let_go), 260);
        let ended = Figured {
            ended_holds: 7,
            ..now()
        };
        assert_eq!(LEARNED.may_be_garbage(&ended), 107);
        let all = Figured { refs: 0, ..added };
        assert_eq!(LEARNED.may_be_garbage(&all), 930, "not more than there is");
        assert_eq!(Learned::default().may_be_garbage(&now()), 900);
    }

    #[test]
    fn a_mark_is_due_above_a_quarter_or_after_a_day_with_changes() {
        let quarter = Figured {
            next_ordinal: 1_126,
            blocks: 900,
            ..now()
        };
        assert_eq!(LEARNED.may_be_garbage(&quarter), 225);
        assert!(!LEARNED.is_due(&quarter), "exactly a quarter is not more");
        let more = Figured {
            next_ordinal: 1_127,
            ..quarter
        };
        assert!(LEARNED.is_due(&more));
        let later = Figured {
            now_ms: 1_000 + LOOK_ANYWAY_MS,
            ..now()
        };
        assert!(!LEARNED.is_due(&later), "nothing has changed");
        assert!(LEARNED.is_due(&Figured {
            position: 51,
            ..later
        }));
        assert!(!LEARNED.is_due(&Figured {
            position: 51,
            now_ms: later.now_ms - 1,
            ..later
        }));
        assert!(LEARNED.is_due(&Figured {
            ended_holds: 1,
            ..later
        }));
    }

    #[test]
    fn an_empty_store_is_not_due() {
        assert!(!Learned::default().is_due(&Figured::default()));
    }
}
