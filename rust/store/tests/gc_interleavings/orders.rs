//! All orders of one collection and one writer; many orders of two collections and every writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::thread;

use crate::ground::Plant;
use crate::world::{Turns, World};
use crate::writers::{
    Before, Writer, fork_and_remove, hold, link, move_ref, put_again, put_first, renew,
};

/// Rows that a collection walks, or purges, in one piece: few, so that writers get in between.
const ROWS: usize = 2;

/// So many collections, and these writers, at the same time.
pub fn run(plant: Plant, collections: usize, writers: &[Writer]) {
    run_in(
        World::new(plant, ROWS, Turns::locked()),
        collections,
        writers,
    );
}

fn run_in(world: World, collections: usize, writers: &[Writer]) {
    let before = Arc::new(Before::fill(&world));
    let mut threads = Vec::new();
    for _ in 0..collections {
        let world = world.clone();
        threads.push(thread::spawn(move || world.collect()));
    }
    for writer in writers.iter().copied() {
        let (world, before) = (world.clone(), Arc::clone(&before));
        threads.push(thread::spawn(move || writer(&world, &before)));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    world.assert_clean();
}

/// Every kind of work.
pub fn all() -> [Writer; 7] {
    [
        link,
        put_again,
        move_ref,
        hold,
        renew,
        fork_and_remove,
        put_first,
    ]
}

#[test]
fn random_orders_keep_the_store_whole() {
    shuttle::check_random(|| run(Plant::None, 2, &all()), 1000);
}

#[test]
fn orders_with_few_switches_keep_the_store_whole() {
    shuttle::check_pct(|| run(Plant::None, 2, &all()), 700, 3);
}

/// Runs every order there is of one collection and this writer, piece by piece; how many those were.
fn every_order(writer: Writer) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    let run = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let world = World::new(Plant::None, ROWS, Turns::points());
        run_in(world, 1, &[writer]);
    };
    shuttle::check_dfs(run, None);
    orders.load(Ordering::Relaxed)
}

#[test]
fn every_order_of_one_collection_and_a_short_writer() {
    for writer in [link, move_ref, fork_and_remove] {
        let orders = every_order(writer);
        assert!(orders > 1000, "only {orders} orders");
    }
}

#[test]
#[ignore = "takes a minute"]
fn every_order_of_one_collection_and_a_longer_writer() {
    for writer in [hold, renew, put_again, put_first] {
        let orders = every_order(writer);
        assert!(orders > 5000, "only {orders} orders");
    }
}

/// The classic corruption: some of a dead chain is stored anew while the rest is being dropped.
#[test]
fn a_dead_block_put_again_while_its_neighbours_are_dropped() {
    shuttle::check_random(|| run(Plant::None, 2, &[put_again, move_ref]), 1000);
}

/// Dead rows stand beside a live one of the same digest until they are purged: each look-up finds the live one.
#[test]
fn a_duplicate_digest() {
    shuttle::check_random(|| run(Plant::None, 3, &[put_again, link]), 1000);
}
