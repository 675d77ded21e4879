//! The search can fail: a collection with one mistake in its protocol is found out.

use std::panic::catch_unwind;

use crate::ground::Plant;
use crate::orders::{all, run};
use crate::writers::{Writer, hold, link, move_ref};

fn is_found_out(plant: Plant, writers: &[Writer]) -> bool {
    let writers = writers.to_vec();
    catch_unwind(|| shuttle::check_random(move || run(plant, 2, &writers), 1000)).is_err()
}

#[test]
fn a_last_round_that_forgets_new_blocks() {
    assert!(is_found_out(Plant::LastRoundForgetsBlocks, &[link]));
}

#[test]
fn a_last_round_that_forgets_moved_refs() {
    assert!(is_found_out(Plant::LastRoundForgetsMoves, &[move_ref]));
}

#[test]
fn a_last_round_that_forgets_holds() {
    assert!(is_found_out(Plant::LastRoundForgetsHolds, &[hold]));
}

#[test]
fn moves_after_the_snapshot_that_are_never_looked_at() {
    assert!(is_found_out(Plant::NoMoveAfterTheSnapshot, &[move_ref]));
}

#[test]
fn a_collection_that_ignores_the_generation() {
    assert!(is_found_out(Plant::IgnoresTheGeneration, &all()));
}

#[test]
fn without_a_mistake_nothing_is_found() {
    assert!(!is_found_out(Plant::None, &all()));
}
