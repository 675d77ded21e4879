//! Garbage collection: what nothing reaches goes, at once and exactly; what anything reaches stays,
//! whatever happens between two steps of a collection.

use treering_block::{Block, Cid, CidPrefix};

use super::material::{
    assert_sound, done, fresh, moving, name, node, picture, put, raw, remove, set,
};
use super::{Backend, cases};
use crate::clock::Clock;
use crate::commit::{BLOB_BYTES_MIN, Commit, Expect};
use crate::error::StoreError;
use crate::gc::{GcOptions, GcReport, Phase};
use crate::reachable::reachable;
use crate::store::{HOLD_MS, Store};

cases!("gc":
    an_orphan_whose_hold_is_released_goes_and_the_figures_are_exact,
    a_dry_run_changes_nothing,
    nothing_to_collect_writes_nothing,
    a_put_is_held_for_a_day,
    holds_are_listed_extended_and_released,
    a_shared_prefix_survives_the_removal_of_one_fork,
    a_dead_block_is_absent_at_once,
    a_dead_block_put_again_while_its_neighbours_are_dropped,
    large_blocks_go_and_come_back,
    a_put_without_a_ref_survives_a_gc_around_it,
    a_link_to_an_old_orphan_during_a_gc_keeps_it_whole,
    a_ref_moved_to_an_old_orphan_during_a_gc_keeps_it_whole,
    a_hold_on_an_old_orphan_during_a_gc_keeps_it_whole,
    two_collections_do_not_disturb_each_other,
    a_collection_given_up_at_any_step_leaves_a_whole_store,
    a_store_of_several_thousand_blocks,
    much_is_buried_in_pieces_and_anything_may_happen_between_them,
    what_was_found_is_in_the_statistics,
    a_collection_may_be_left_when_all_is_marked,
    a_closed_store_is_not_collected,
);

const REAL: GcOptions = GcOptions { dry_run: false };

fn gc(store: &dyn Store) -> GcReport {
    let report = store.gc(&REAL).unwrap();
    assert_sound(store);
    report
}

/// A put as a caller does it who has no ref yet.
fn held(blocks: impl IntoIterator<Item = Block>) -> Commit {
    let blocks: Vec<Block> = blocks.into_iter().collect();
    Commit {
        holds: blocks.iter().map(|block| block.cid).collect(),
        ..put(blocks)
    }
}

fn bytes_of(blocks: &[&Block]) -> u64 {
    blocks.iter().map(|block| block.bytes.len() as u64).sum()
}

/// All that these reach is there, to the last byte.
fn assert_whole(store: &dyn Store, roots: &[Cid]) {
    let reached = reachable(store, roots).unwrap();
    assert_eq!(reached.missing, []);
}

/// Keeps something in the store that has to stay: three blocks behind a ref.
fn keep_some(store: &dyn Store) -> [Block; 3] {
    let leaf = raw("kept leaf");
    let middle = node("kept middle", &[leaf.cid]);
    let top = node("kept top", &[middle.cid, leaf.cid]);
    let mut commit = put([leaf.clone(), middle.clone(), top.clone()]);
    commit.moves = vec![set(&name("kept"), Expect::Absent, top.cid)];
    done(store, commit);
    [leaf, middle, top]
}

/// Three blocks, one upon the other, that nothing reaches.
fn leave_orphans(store: &dyn Store) -> [Block; 3] {
    let leaf = raw("orphan leaf");
    let middle = node("orphan middle", &[leaf.cid]);
    let top = node("orphan top", &[middle.cid]);
    done(store, put([leaf.clone(), middle.clone(), top.clone()]));
    [leaf, middle, top]
}

/// Runs a collection with `act` before its n-th step, for each n up to the last and after it; `check` looks
/// at each store afterwards.
fn at_every_step<T>(
    backend: &dyn Backend,
    prepare: impl Fn(&dyn Store) -> T,
    act: impl Fn(&dyn Store, &T, Phase) -> Vec<Cid>,
) {
    for turn in 0.. {
        let store = fresh(backend);
        let kept = keep_some(&*store);
        let prepared = prepare(&*store);
        let mut collection = store.collection(&REAL).unwrap();
        let mut acted = None;
        for step in 0.. {
            if step == turn {
                acted = Some(act(&*store, &prepared, collection.phase()));
                assert_sound(&*store);
            }
            if collection.phase() == Phase::Done {
                break;
            }
            collection.step().unwrap();
            assert_sound(&*store);
        }
        let Some(mut stays) = acted else {
            assert!(turn > 5, "a collection has more steps than {turn}");
            return;
        };
        stays.push(kept[2].cid);
        assert_whole(&*store, &stays);
        gc(&*store);
        assert_whole(&*store, &stays);
    }
}

fn an_orphan_whose_hold_is_released_goes_and_the_figures_are_exact(backend: &dyn Backend) {
    let store = fresh(backend);
    let kept = keep_some(&*store);
    let leaf = raw("a leaf of some length");
    let top = node("orphan", &[leaf.cid, kept[0].cid]);
    done(&*store, held([leaf.clone(), top.clone()]));
    let report = gc(&*store);
    assert_eq!((report.roots, report.held), (3, 2));
    assert_eq!((report.reachable, report.dead, report.deleted), (5, 0, 0));
    assert!(store.release_hold("main", &top.cid).unwrap());
    assert!(store.release_hold("main", &leaf.cid).unwrap());
    let (head, before) = (store.head().unwrap(), store.counters());
    let report = gc(&*store);
    let expected = GcReport {
        roots: 1,
        held: 0,
        reachable: 3,
        dead: 2,
        dead_nodes: 1,
        dead_links: 2,
        dead_bytes: bytes_of(&[&leaf, &top]),
        deleted: 2,
        freed_bytes: bytes_of(&[&leaf, &top]),
        generation: 1,
        duration_ms: report.duration_ms,
        ..GcReport::default()
    };
    assert_eq!(report, expected);
    assert_eq!(store.head().unwrap(), head, "housekeeping is no history");
    let after = store.counters();
    assert_eq!(after.blocks_read, before.blocks_read, "no payload is read");
    assert_eq!(after.blocks_written, before.blocks_written);
    assert!(!store.has(&top.cid).unwrap());
    let stats = store.stats().unwrap();
    let kept: Vec<&Block> = kept.iter().collect();
    assert_eq!(
        (stats.blocks, stats.nodes, stats.links, stats.holds),
        (3, 2, 3, 0)
    );
    assert_eq!(stats.block_bytes, bytes_of(&kept));
}

fn a_dry_run_changes_nothing(backend: &dyn Backend) {
    let clock = Clock::manual(1_000);
    let store = backend.fresh(clock.clone());
    keep_some(&*store);
    let orphans = leave_orphans(&*store);
    let ended = raw("held yesterday");
    done(&*store, held([ended.clone()]));
    clock.advance(HOLD_MS + 1);
    let before = picture(&*store);
    let dry = store.gc(&GcOptions { dry_run: true }).unwrap();
    assert_eq!(picture(&*store), before);
    let [leaf, middle, top] = &orphans;
    assert_eq!(dry.freed_bytes, bytes_of(&[leaf, middle, top, &ended]));
    assert_eq!((dry.dead, dry.reachable, dry.generation), (4, 3, 0));
    assert_eq!((dry.dead_nodes, dry.dead_links), (2, 2));
    let real = gc(&*store);
    let would = GcReport {
        dry_run: false,
        generation: 1,
        duration_ms: real.duration_ms,
        ..dry
    };
    assert_eq!(real, would, "a dry run says what a real one does");
}

fn nothing_to_collect_writes_nothing(backend: &dyn Backend) {
    let store = fresh(backend);
    let empty = gc(&*store);
    assert_eq!((empty.roots, empty.reachable, empty.generation), (0, 0, 0));
    keep_some(&*store);
    let before = picture(&*store);
    assert_eq!(gc(&*store).generation, 0);
    assert_eq!(picture(&*store), before);
}

fn a_put_is_held_for_a_day(backend: &dyn Backend) {
    let clock = Clock::manual(1_000_000);
    let store = backend.fresh(clock.clone());
    let leaf = raw("leaf");
    let top = node("top", &[leaf.cid]);
    done(&*store, put([leaf.clone()]));
    done(
        &*store,
        Commit {
            holds: vec![top.cid],
            ..put([top.clone()])
        },
    );
    clock.advance(HOLD_MS - 1);
    assert_eq!(gc(&*store).dead, 0);
    assert_whole(&*store, &[top.cid]);
    clock.advance(1);
    let report = gc(&*store);
    assert_eq!((report.roots, report.deleted), (0, 2));
    assert!(store.holds("main", 0, 9).unwrap().is_empty());
    assert_eq!(store.stats().unwrap().holds, 0);
}

fn holds_are_listed_extended_and_released(backend: &dyn Backend) {
    let clock = Clock::manual(5_000);
    let store = backend.fresh(clock.clone());
    let blocks = [raw("a"), raw("b"), raw("c")];
    done(&*store, held(blocks.clone()));
    let listed = store.holds("main", 0, 9).unwrap();
    let cids: Vec<Cid> = listed.iter().map(|hold| hold.cid).collect();
    assert_eq!(cids, blocks.clone().map(|block| block.cid));
    assert!(listed.is_sorted_by(|a, b| a.ordinal < b.ordinal));
    assert!(
        listed
            .iter()
            .all(|hold| hold.expires_at_ms == 5_000 + HOLD_MS)
    );
    assert_eq!(
        store.holds("main", listed[0].ordinal, 1).unwrap(),
        [listed[1]]
    );
    assert!(store.holds("other", 0, 9).unwrap().is_empty());
    let later = 5_000 + 3 * HOLD_MS;
    let [a, b, c] = blocks.clone().map(|block| block.cid);
    assert_eq!(store.extend_hold("main", &a, later).unwrap(), later);
    assert_eq!(
        store.extend_hold("main", &a, 7).unwrap(),
        later,
        "the later end wins"
    );
    assert_eq!(store.extend_hold("other", &b, later).unwrap(), later);
    assert!(!store.release_hold("other", &a).unwrap(), "not its hold");
    assert!(store.release_hold("main", &b).unwrap());
    assert!(!store.release_hold("main", &b).unwrap());
    let absent = raw("absent").cid;
    assert!(!store.release_hold("main", &absent).unwrap());
    assert!(matches!(
        store.extend_hold("main", &absent, later),
        Err(StoreError::BlockNotFound(cid)) if cid == absent
    ));
    assert!(matches!(
        store.holds("", 0, 9),
        Err(StoreError::Invalid { .. })
    ));
    clock.advance(2 * HOLD_MS);
    gc(&*store);
    assert_eq!(store.has_many(&[a, b, c]).unwrap(), [true, true, false]);
    clock.advance(2 * HOLD_MS);
    gc(&*store);
    assert_eq!(store.has_many(&[a, b, c]).unwrap(), [false; 3]);
}

fn a_shared_prefix_survives_the_removal_of_one_fork(backend: &dyn Backend) {
    let store = fresh(backend);
    let shared = [raw("start"), node("step 1", &[raw("start").cid])];
    let fork = |label: &str| -> Vec<Block> {
        let text = raw(format!("said by {label}"));
        let step = node(label, &[shared[1].cid, text.cid]);
        vec![text, step]
    };
    let (one, two) = (fork("one"), fork("two"));
    for (label, own) in [("one", &one), ("two", &two)] {
        let mut commit = put(shared.iter().chain(own).cloned());
        commit.moves = vec![set(&name(label), Expect::Absent, own[1].cid)];
        done(&*store, commit);
    }
    done(&*store, moving(remove(&name("one"), Expect::Version(1))));
    let report = gc(&*store);
    assert_eq!((report.deleted, report.reachable), (2, 4));
    assert_eq!(
        report.freed_bytes,
        bytes_of(&one.iter().collect::<Vec<_>>())
    );
    assert_whole(&*store, &[two[1].cid]);
    assert!(!store.has(&one[1].cid).unwrap());
    done(&*store, moving(remove(&name("two"), Expect::Version(1))));
    assert_eq!(gc(&*store).deleted, 4);
    assert_eq!(store.stats().unwrap().blocks, 0);
}

/// Runs a collection up to the moment when the dead are dead and none of their rows has gone.
fn bury<'s>(store: &'s dyn Store) -> crate::gc::Collection<'s> {
    let mut collection = store.collection(&REAL).unwrap();
    while !matches!(collection.phase(), Phase::Purge(_)) {
        collection.step().unwrap();
    }
    collection
}

fn a_dead_block_is_absent_at_once(backend: &dyn Backend) {
    let store = fresh(backend);
    let kept = keep_some(&*store);
    let orphans = leave_orphans(&*store);
    let cids: Vec<Cid> = orphans.iter().map(|block| block.cid).collect();
    let collection = bury(&*store);
    assert_sound(&*store);
    assert_eq!(store.has_many(&cids).unwrap(), [false; 3]);
    for cid in &cids {
        assert!(matches!(store.get(cid), Err(StoreError::BlockNotFound(absent)) if absent == *cid));
        let prefix = CidPrefix::parse(&cid.to_string()[..20]).unwrap();
        assert_eq!(store.prefix(&prefix, 9).unwrap(), []);
        assert_eq!(store.find(&prefix).unwrap(), None);
        assert!(matches!(
            store.extend_hold("main", cid, i64::MAX),
            Err(StoreError::BlockNotFound(_))
        ));
        assert!(matches!(
            store
                .submit(moving(set(&name("new"), Expect::Absent, *cid)))
                .wait(),
            Err(StoreError::LinkMissing { .. })
        ));
    }
    // However few are asked for, the dead do not stand in the way of the living.
    let mut listed = Vec::new();
    let mut after = 0;
    while let [info] = store.blocks(after, 1).unwrap()[..] {
        after = info.ordinal;
        listed.push(info.cid);
    }
    assert_eq!(listed, kept.map(|block| block.cid));
    assert_eq!(store.stats().unwrap().blocks, 3);
    collection.run().unwrap();
    assert_sound(&*store);
}

/// The classic: a block comes back while what it linked to is being deleted.
fn a_dead_block_put_again_while_its_neighbours_are_dropped(backend: &dyn Backend) {
    let store = fresh(backend);
    keep_some(&*store);
    let [leaf, middle, top] = leave_orphans(&*store);
    let old: Vec<u64> = store
        .blocks(0, 99)
        .unwrap()
        .iter()
        .map(|info| info.ordinal)
        .collect();
    let collection = bury(&*store);
    let dangling = store.submit(put([top.clone()])).wait();
    assert!(
        matches!(dangling, Err(StoreError::LinkMissing { link, .. }) if link == middle.cid),
        "what it links to is dead"
    );
    let mut again = put([leaf.clone(), middle.clone()]);
    again.moves = vec![set(&name("again"), Expect::Absent, middle.cid)];
    assert_eq!(done(&*store, again).new_blocks, 2);
    assert_sound(&*store);
    let new = store.blocks(*old.last().unwrap(), 99).unwrap();
    assert_eq!(
        new.iter().map(|info| info.cid).collect::<Vec<_>>(),
        [leaf.cid, middle.cid],
        "under new ordinals, beside the dead ones of the same digest"
    );
    let report = collection.run().unwrap();
    assert_eq!(
        (report.deleted, report.freed_bytes),
        (3, bytes_of(&[&leaf, &middle, &top]))
    );
    assert_sound(&*store);
    assert_whole(&*store, &[middle.cid]);
    assert_eq!(store.get(&leaf.cid).unwrap(), leaf.bytes);
    assert!(!store.has(&top.cid).unwrap());
    assert_eq!(gc(&*store).dead, 0);
    assert_whole(&*store, &[middle.cid]);
}

fn large_blocks_go_and_come_back(backend: &dyn Backend) {
    let store = fresh(backend);
    let large = raw(vec![7; BLOB_BYTES_MIN + 5]);
    let other = raw(vec![8; BLOB_BYTES_MIN]);
    let mut kept = put([other.clone()]);
    kept.moves = vec![set(&name("other"), Expect::Absent, other.cid)];
    done(&*store, kept);
    done(&*store, put([large.clone()]));
    let collection = bury(&*store);
    assert!(matches!(
        store.get(&large.cid),
        Err(StoreError::BlockNotFound(_))
    ));
    done(&*store, held([large.clone()]));
    assert_eq!(store.get(&large.cid).unwrap(), large.bytes);
    let report = collection.run().unwrap();
    assert_eq!(report.freed_bytes, bytes_of(&[&large]));
    assert_eq!(store.get(&large.cid).unwrap(), large.bytes);
    assert_eq!(store.get(&other.cid).unwrap(), other.bytes);
    assert_sound(&*store);
    store.release_hold("main", &large.cid).unwrap();
    assert_eq!(gc(&*store).deleted, 1);
    let stats = store.stats().unwrap();
    assert_eq!(stats.blocks, 1);
    assert!(
        stats.blob_files <= 1,
        "the files of the dead are gone: {stats:?}"
    );
}

fn a_put_without_a_ref_survives_a_gc_around_it(backend: &dyn Backend) {
    at_every_step(
        backend,
        |store| {
            let before = [raw("before"), node("before", &[raw("before").cid])];
            done(store, held(before.clone()));
            leave_orphans(store);
            before[1].cid
        },
        |store, before, _| {
            let during = [raw("during"), node("during", &[raw("during").cid, *before])];
            done(store, held(during.clone()));
            vec![*before, during[1].cid]
        },
    );
}

fn a_link_to_an_old_orphan_during_a_gc_keeps_it_whole(backend: &dyn Backend) {
    at_every_step(backend, leave_orphans, |store, [leaf, middle, _], phase| {
        let child = node("child", &[middle.cid]);
        let mut commit = put([child.clone()]);
        commit.moves = vec![set(&name("child"), Expect::Absent, child.cid)];
        let answer = store.submit(commit.clone()).wait();
        if matches!(phase, Phase::Purge(_) | Phase::Shrink | Phase::Done) {
            assert!(matches!(answer, Err(StoreError::LinkMissing { .. })));
            commit.blocks = vec![leaf.clone(), middle.clone(), child.clone()];
            done(store, commit);
        } else {
            answer.unwrap();
        }
        vec![child.cid]
    });
}

fn a_ref_moved_to_an_old_orphan_during_a_gc_keeps_it_whole(backend: &dyn Backend) {
    at_every_step(backend, leave_orphans, |store, [_, middle, _], phase| {
        let step = set(&name("again"), Expect::Absent, middle.cid);
        let answer = store.submit(moving(step)).wait();
        if matches!(phase, Phase::Purge(_) | Phase::Shrink | Phase::Done) {
            assert!(matches!(answer, Err(StoreError::LinkMissing { .. })));
            Vec::new()
        } else {
            answer.unwrap();
            vec![middle.cid]
        }
    });
}

fn a_hold_on_an_old_orphan_during_a_gc_keeps_it_whole(backend: &dyn Backend) {
    at_every_step(backend, leave_orphans, |store, orphans, phase| {
        // A put of what is there stores nothing and holds it all the same.
        let top = &orphans[2];
        let over = matches!(phase, Phase::Purge(_) | Phase::Shrink | Phase::Done);
        let blocks = if over {
            orphans.as_slice()
        } else {
            &orphans[2..]
        };
        let commit = Commit {
            holds: vec![top.cid],
            ..put(blocks.to_vec())
        };
        assert_eq!(
            done(store, commit).new_blocks,
            if over { 3 } else { 0 },
            "at {phase:?}"
        );
        vec![top.cid]
    });
}

fn two_collections_do_not_disturb_each_other(backend: &dyn Backend) {
    at_every_step(backend, leave_orphans, |store, [leaf, ..], _| {
        gc(store);
        assert!(!store.has(&leaf.cid).unwrap());
        // What comes back is not what the first has in mind.
        leave_orphans(store);
        let mut commit = put([]);
        commit.moves = vec![set(&name("back"), Expect::Absent, leaf.cid)];
        done(store, commit);
        vec![leaf.cid]
    });
}

fn a_collection_given_up_at_any_step_leaves_a_whole_store(backend: &dyn Backend) {
    for steps in 0.. {
        let store = fresh(backend);
        let kept = keep_some(&*store);
        let orphans = leave_orphans(&*store);
        let mut collection = store.collection(&REAL).unwrap();
        for _ in 0..steps {
            collection.step().unwrap();
        }
        let phase = collection.phase();
        let so_far = collection.report();
        drop(collection);
        assert_sound(&*store);
        let report = gc(&*store);
        assert_eq!(so_far.deleted + report.deleted, 3, "stopped at {phase:?}");
        assert_eq!(
            so_far.freed_bytes + report.freed_bytes,
            bytes_of(&orphans.iter().collect::<Vec<_>>())
        );
        assert_eq!(report.reachable, 3);
        assert_whole(&*store, &[kept[2].cid]);
        assert_eq!(gc(&*store).deleted, 0);
        if phase == Phase::Done {
            return;
        }
    }
}

/// Over several pages of rows and of bits, with every third chain dropped.
fn a_store_of_several_thousand_blocks(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut tops = Vec::new();
    for chain in 0..90 {
        let mut blocks = vec![raw(format!("start of {chain}"))];
        for step in 0..99 {
            let below = blocks.last().map(|block| block.cid).unwrap();
            blocks.push(node(&format!("{chain}/{step}"), &[below]));
        }
        let top = blocks.last().map(|block| block.cid).unwrap();
        let mut commit = put(blocks);
        if chain % 3 != 0 {
            commit.moves = vec![set(&name(&format!("{chain}")), Expect::Absent, top)];
            tops.push(top);
        }
        done(&*store, commit);
    }
    let report = gc(&*store);
    assert_eq!((report.deleted, report.reachable), (3000, 6000));
    assert_whole(&*store, &tops);
    assert_eq!(store.stats().unwrap().blocks, 6000);
    assert_eq!(store.blocks(0, usize::MAX).unwrap().len(), 6000);
}

fn a_closed_store_is_not_collected(backend: &dyn Backend) {
    let store = fresh(backend);
    leave_orphans(&*store);
    let mut collection = store.collection(&REAL).unwrap();
    store.close().unwrap();
    assert!(matches!(collection.step(), Err(StoreError::Closed)));
    assert!(matches!(store.gc(&REAL), Err(StoreError::Closed)));
    assert!(matches!(store.holds("main", 0, 1), Err(StoreError::Closed)));
    assert!(matches!(
        store.release_hold("main", &raw("x").cid),
        Err(StoreError::Closed)
    ));
}

/// Of 12,000 blocks half are held, which is what a piece is cut by; the others are one chain of garbage.
fn leave_much(store: &dyn Store) -> Vec<Block> {
    let mut chain: Vec<Block> = Vec::new();
    for turn in 0..12 {
        let mut blocks = Vec::new();
        let mut commit = put([]);
        for place in 0..500 {
            let kept = raw(format!("held {turn}/{place}"));
            let links: Vec<Cid> = chain.last().map(|block| block.cid).into_iter().collect();
            chain.push(node(&format!("{turn}/{place}"), &links));
            commit.holds.push(kept.cid);
            blocks.extend([kept, chain.last().unwrap().clone()]);
        }
        commit.blocks = blocks;
        done(store, commit);
    }
    chain
}

fn much_is_buried_in_pieces_and_anything_may_happen_between_them(backend: &dyn Backend) {
    type Act = fn(&dyn Store, &[Block]) -> Vec<Cid>;
    let link: Act = |store, chain| {
        // Whatever is alive of the chain is whole, since it dies from the top down.
        let alive = chain
            .iter()
            .rev()
            .find(|block| store.has(&block.cid).unwrap());
        let Some(top) = alive else { return Vec::new() };
        let child = node("child", &[top.cid]);
        let mut commit = put([child.clone()]);
        commit.moves = vec![set(&name("child"), Expect::Absent, child.cid)];
        done(store, commit);
        vec![child.cid]
    };
    let hold: Act = |store, chain| {
        let alive = chain
            .iter()
            .rev()
            .find(|block| store.has(&block.cid).unwrap());
        let Some(top) = alive else { return Vec::new() };
        store.extend_hold("other", &top.cid, i64::MAX).unwrap();
        vec![top.cid]
    };
    let collect: Act = |store, _| {
        gc(store);
        Vec::new()
    };
    for act in [link, hold, collect] {
        let store = fresh(backend);
        let chain = leave_much(&*store);
        let mut collection = store.collection(&REAL).unwrap();
        let mut pieces = 0;
        let mut stays = Vec::new();
        while !matches!(collection.phase(), Phase::Purge(_)) {
            let before = collection.report().dead;
            collection.step().unwrap();
            let dead = collection.report().dead;
            if dead > before && pieces == 0 {
                assert_eq!(
                    collection.phase(),
                    Phase::Bury,
                    "there is more than one piece"
                );
                assert!(dead < 6000, "{dead}");
                assert_eq!(store.stats().unwrap().blocks, 12_000 - dead);
                assert_sound(&*store);
                stays = act(&*store, &chain);
            }
            pieces += u64::from(dead > before);
        }
        assert!(pieces > 0);
        let report = collection.run().unwrap();
        assert_sound(&*store);
        assert_whole(&*store, &stays);
        let reached = reachable(&*store, &stays).unwrap().blocks.len() as u64;
        let last = gc(&*store);
        assert_eq!(last.dead, 0, "nothing was overlooked: {report:?}");
        // A child is a block of its own that was not there before.
        let of_chain = chain.iter().filter(|block| store.has(&block.cid).unwrap());
        assert!(reached.saturating_sub(of_chain.count() as u64) <= 1);
        assert!(stays.is_empty() || reached > 1000, "{reached}");
    }
}

fn what_was_found_is_in_the_statistics(backend: &dyn Backend) {
    let clock = Clock::manual(70_000);
    let store = backend.fresh(clock.clone());
    keep_some(&*store);
    let orphans = leave_orphans(&*store);
    let stats = store.stats().unwrap();
    assert_eq!(
        (stats.gc_at_ms, stats.gc_kept, stats.garbage_estimate),
        (0, 0, 6)
    );
    store.gc(&GcOptions { dry_run: true }).unwrap();
    assert_eq!(
        store.stats().unwrap().gc_at_ms,
        0,
        "a dry run writes nothing"
    );
    gc(&*store);
    let stats = store.stats().unwrap();
    let [leaf, middle, top] = &orphans;
    assert_eq!((stats.gc_at_ms, stats.gc_generation), (70_000, 1));
    assert_eq!((stats.gc_kept, stats.gc_deleted), (3, 3));
    assert_eq!(stats.gc_freed_bytes, bytes_of(&[leaf, middle, top]));
    assert_eq!((stats.garbage_blocks, stats.garbage_estimate), (0, 0));
    assert_eq!(stats.dead_blocks, 0);
    leave_orphans(&*store);
    assert_eq!(store.stats().unwrap().garbage_estimate, 3);
    bury(&*store);
    assert_eq!(
        store.stats().unwrap().dead_blocks,
        3,
        "their rows are there"
    );
}

fn a_collection_may_be_left_when_all_is_marked(backend: &dyn Backend) {
    let store = fresh(backend);
    keep_some(&*store);
    let orphans = leave_orphans(&*store);
    let before = picture(&*store);
    let early = store.collection(&REAL).unwrap();
    assert!(matches!(early.leave(), Err(StoreError::Invalid { .. })));
    let mut collection = store.collection(&REAL).unwrap();
    while collection.phase() != Phase::DropHolds {
        collection.step().unwrap();
    }
    assert_eq!(collection.found().blocks, 3);
    let report = collection.leave().unwrap();
    assert_eq!((report.dead, report.deleted, report.reachable), (0, 0, 3));
    assert_eq!(picture(&*store), before);
    let stats = store.stats().unwrap();
    let [leaf, middle, top] = &orphans;
    assert_eq!(stats.garbage_blocks, 3);
    assert_eq!(stats.garbage_bytes, bytes_of(&[leaf, middle, top]));
    assert_eq!(stats.garbage_estimate, 3);
    assert_eq!(gc(&*store).deleted, 3);
}
