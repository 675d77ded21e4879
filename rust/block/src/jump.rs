//! Which earlier step a step's jump link leads to.
//!
//! Promises: a pure function of the step's own number; from step n every earlier step is reached
//! in O(log n) links, each either the parent or the jump. Never: it knows no nodes.
//!
//! Source: E. W. Myers, "An applicative random-access stack", IPL 17 (1983). A number is written
//! as a sum of weights 2^k − 1, the largest ones first, where only the smallest may come twice;
//! the jump leaves the smallest one out.

use crate::Cid;

/// The step that step `step` jumps to; 0 (the start, so no link) for 1, 3, 7, 15, ….
///
/// It is smaller than `step` for every step from 1 up, and 0 for 0. O(log step).
///
/// ```
/// use treering_block::jump_step;
/// let jumps: Vec<u64> = (1..=8).map(jump_step).collect();
/// assert_eq!(jumps, [0, 1, 0, 3, 4, 3, 0, 7]);
/// ```
#[must_use]
pub const fn jump_step(step: u64) -> u64 {
    let mut rest = step;
    while rest > 0 {
        // The largest 2^k − 1 that is at most `rest`.
        let weight = if rest == u64::MAX {
            rest
        } else {
            (1 << (63 - (rest + 1).leading_zeros())) - 1
        };
        if rest == weight {
            return step - weight;
        }
        rest -= weight;
    }
    0
}

/// The end of a chain of nodes that link to their parent and their jump: all that an append needs.
///
/// Knows the steps that jumping leads to from here, nearest first, as far as they were learned. The next step's jump is
/// this step or one of the first two of them, so a chain that is appended to is read once a step at most, and mostly
/// not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jumps {
    step: u64,
    cid: Cid,
    known: Vec<(u64, Cid)>,
}

impl Jumps {
    /// The chain that ends with `cid` at `step`, whose jump leads to `jump`; 0 for what a chain begins with.
    #[must_use]
    pub fn new(step: u64, cid: Cid, jump: Option<Cid>) -> Self {
        Self {
            step,
            cid,
            known: jump.map(|cid| (jump_step(step), cid)).into_iter().collect(),
        }
    }

    /// Number of the last step.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The last step.
    #[must_use]
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// The nearest known steps that jumping leads to, with their numbers.
    pub fn push(&mut self, step: u64, cid: Cid) {
        self.known.push((step, cid));
    }

    /// The jump link of the next step; None where it would lead to the beginning.
    ///
    /// `learn` gives the jump of a step that is named with its number; None where a chain that has one lacks it.
    ///
    /// # Errors
    /// Those of `learn`.
    pub fn next_jump<E>(
        &mut self,
        mut learn: impl FnMut(u64, &Cid) -> Result<Option<Cid>, E>,
    ) -> Result<Option<Cid>, E> {
        let target = jump_step(self.step.saturating_add(1));
        if target == 0 {
            return Ok(None);
        }
        if target == self.step {
            return Ok(Some(self.cid));
        }
        loop {
            if let Some((_, cid)) = self.known.iter().find(|(number, _)| *number == target) {
                return Ok(Some(*cid));
            }
            let Some((number, cid)) = self.known.last().copied() else {
                return Ok(None);
            };
            match learn(number, &cid)? {
                Some(jump) => self.known.push((jump_step(number), jump)),
                None => return Ok(None),
            }
        }
    }

    /// After `cid` was put behind it, whose jump [`Self::next_jump`] gave.
    #[must_use]
    pub fn advanced(&self, cid: Cid) -> Self {
        let step = self.step.saturating_add(1);
        let target = jump_step(step);
        let mut known = Vec::with_capacity(self.known.len() + 1);
        if target != 0 && target == self.step {
            known.push((self.step, self.cid));
        }
        if target != 0 {
            known.extend(self.known.iter().filter(|(number, _)| *number <= target));
        }
        Self { step, cid, known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Myers' rule for building node by node: jump over two equally long spans at once, else one step.
    fn recursive(steps: usize) -> Vec<u64> {
        let mut jumps = vec![0u64];
        for step in 1..=steps as u64 {
            let parent = step - 1;
            let first = jumps[parent as usize];
            let second = jumps[first as usize];
            let equal = parent > 0 && parent - first == first - second;
            jumps.push(if equal { second } else { parent });
        }
        jumps
    }

    #[test]
    fn agrees_with_the_recursive_definition() {
        for (step, jump) in recursive(70_000).into_iter().enumerate() {
            assert_eq!(jump_step(step as u64), jump, "step {step}");
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(jump_step(0), 0);
        assert_eq!(jump_step(u64::MAX), 0);
        assert_eq!(jump_step(u64::MAX - 1), u64::MAX - 1 - ((1 << 63) - 1));
    }

    proptest! {
        #[test]
        fn any_earlier_step_is_near(step in 1u64.., seed in any::<u64>()) {
            let target = seed % step;
            let (mut at, mut hops) = (step, 0);
            while at > target {
                let jump = jump_step(at);
                prop_assert!(jump < at);
                at = if jump >= target { jump } else { at - 1 };
                hops += 1;
            }
            prop_assert_eq!(at, target);
            prop_assert!(hops <= 3 * 64, "{} hops from {} to {}", hops, step, target);
        }
    }
}
