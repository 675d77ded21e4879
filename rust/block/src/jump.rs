//! Which earlier step a step's jump link leads to.
//!
//! Promises: a pure function of the step's own number; from step n every earlier step is reached
//! in O(log n) links, each either the parent or the jump. Never: it knows no nodes.
//!
//! Source: E. W. Myers, "An applicative random-access stack", IPL 17 (1983). A number is written
//! as a sum of weights 2^k − 1, the largest ones first, where only the smallest may come twice;
//! the jump leaves the smallest one out.

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
