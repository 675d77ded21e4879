//! The search can fail: a collection with one mistake in its protocol is found out.

use std::panic::catch_unwind;

use shuttle::Runner;
use shuttle::scheduler::RandomScheduler;

use crate::ground::Plant;
use crate::orders::{all, run};
use crate::writers::{Writer, hold, link, move_ref, renew};

/// The same orders each time: whether one of them shows the mistake is no matter of luck.
const SEED: u64 = 1;
/// A mistake shows in far fewer.
const ORDERS: usize = 10_000;

fn is_found_out(plant: Plant, writers: &[Writer], orders: usize) -> bool {
    let writers = writers.to_vec();
    catch_unwind(move || {
        let orders = RandomScheduler::new_from_seed(SEED, orders);
        let search = Runner::new(orders, shuttle::Config::default());
        search.run(move || run(plant, 2, &writers));
    })
    .is_err()
}

#[test]
fn a_last_round_that_forgets_new_blocks() {
    assert!(is_found_out(Plant::LastRoundForgetsBlocks, &[link], ORDERS));
}

#[test]
fn a_last_round_that_forgets_moved_refs() {
    assert!(is_found_out(
        Plant::LastRoundForgetsMoves,
        &[move_ref],
        ORDERS
    ));
}

#[test]
fn a_last_round_that_forgets_holds() {
    assert!(is_found_out(Plant::LastRoundForgetsHolds, &[hold], ORDERS));
}

#[test]
fn moves_after_the_snapshot_that_are_never_looked_at() {
    assert!(is_found_out(
        Plant::NoMoveAfterTheSnapshot,
        &[move_ref],
        ORDERS
    ));
}

#[test]
fn a_collection_that_ignores_the_generation() {
    assert!(is_found_out(Plant::IgnoresTheGeneration, &all(), ORDERS));
}

#[test]
fn a_hold_that_is_removed_though_it_was_renewed() {
    assert!(is_found_out(Plant::RemovesRenewedHolds, &[renew], ORDERS));
}

#[test]
fn without_a_mistake_nothing_is_found() {
    assert!(!is_found_out(Plant::None, &all(), 1000));
}
