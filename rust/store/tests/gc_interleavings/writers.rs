//! What others do while a collection runs. Each starts from the same store: old garbage `leaf ← middle ← top`,
//! and a thread `start ← step` under the ref `one`.

use treering_block::{Block, Cid};

use crate::world::{World, moving, node, put};

pub struct Before {
    pub garbage: [Block; 3],
    pub step: Cid,
}

impl Before {
    pub fn fill(world: &World) -> Self {
        let leaf = Block::raw(b"leaf".to_vec());
        let middle = node("middle", &[leaf.cid]);
        let top = node("top", &[middle.cid]);
        let start = Block::raw(b"start".to_vec());
        let step = node("step", &[start.cid]);
        let garbage = [leaf, middle, top];
        world.submit(put(&garbage)).unwrap();
        let mut thread = put(&[start, step.clone()]);
        thread.moves = vec![moving("one", Some(step.cid))];
        world.submit(thread).unwrap();
        Self {
            garbage,
            step: step.cid,
        }
    }
}

pub type Writer = fn(&World, &Before);

pub fn link(world: &World, before: &Before) {
    let [leaf, middle, _] = &before.garbage;
    let child = node("child", &[middle.cid]);
    let mut commit = put(std::slice::from_ref(&child));
    commit.moves = vec![moving("child", Some(child.cid))];
    world.submit_with(&[leaf.clone(), middle.clone()], commit);
}

/// Dead or not, all of it or a part: what is put again is stored anew where it was dead, and stays.
pub fn put_again(world: &World, before: &Before) {
    let top = before.garbage[2].cid;
    let mut again = put(&before.garbage);
    again.holds = vec![top];
    world.submit(again).unwrap();
    let next = node("next", &[top]);
    let mut commit = put(std::slice::from_ref(&next));
    commit.moves = vec![moving("next", Some(next.cid))];
    world.submit(commit).unwrap();
    world.release(&top);
}

pub fn move_ref(world: &World, before: &Before) {
    let mut there = put(&[]);
    there.moves = vec![moving("moved", Some(before.garbage[1].cid))];
    world.submit_with(&before.garbage, there);
    let other = Block::raw(b"other".to_vec());
    let mut away = put(std::slice::from_ref(&other));
    away.moves = vec![moving("moved", Some(other.cid))];
    world.submit(away).unwrap();
}

pub fn hold(world: &World, before: &Before) {
    hold_and_link(world, &before.garbage[1].cid, "held");
}

/// A hold ends, and is taken again, if what it held is still there.
pub fn renew(world: &World, before: &Before) {
    let leaf = &before.garbage[0].cid;
    if world.hold(leaf, 10) {
        world.pass(20);
        hold_and_link(world, leaf, "renewed");
    }
}

fn hold_and_link(world: &World, cid: &Cid, name: &str) {
    if world.hold(cid, i64::MAX) {
        // From here on it is asked for after every piece: of the collector, and of this one.
        let mut link = put(&[]);
        link.moves = vec![moving(name, Some(*cid))];
        world.submit(link).unwrap();
        world.release(cid);
    }
}

pub fn fork_and_remove(world: &World, before: &Before) {
    let mut fork = put(&[]);
    fork.moves = vec![moving("two", Some(before.step))];
    world.submit(fork).unwrap();
    let mut remove = put(&[]);
    remove.moves = vec![moving("one", None)];
    world.submit(remove).unwrap();
}

pub fn put_first(world: &World, before: &Before) {
    let loose = node("loose", &[before.step]);
    let mut commit = put(std::slice::from_ref(&loose));
    commit.holds = vec![loose.cid];
    world.submit(commit).unwrap();
    let mut under = put(&[]);
    under.moves = vec![moving("three", Some(loose.cid))];
    world.submit(under).unwrap();
    world.release(&loose.cid);
}
