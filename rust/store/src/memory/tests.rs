//! Planted faults: each check of `verify` names the one that was put there, and a walk reports what is missing.

use std::sync::Arc;

use treering_block::{Block, Cid, Encoded, Ipld};

use super::MemoryStore;
use super::state::State;
use crate::commit::{Address, Change, Command, Commit, Expect, RefMove, RefValue};
use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::findings::{Check, VerifyReport};
use crate::journal::{JournalCommand, JournalRow};
use crate::lease::LeaseState;
use crate::name::RefName;
use crate::reachable::reachable;
use crate::retention::ExpireBefore;
use crate::scope::{AsOf, Moment};
use crate::store::Store;
use crate::verify::{BlockRow, Broken, Evidence, HoldRow, Visit, verify};

fn name() -> RefName {
    RefName::new("main", "thread", ["a"]).unwrap()
}

fn leaf() -> Block {
    Block::raw(b"leaf".to_vec())
}

fn node(label: &str, links: &[Cid]) -> Block {
    let mut items = vec![Ipld::String(label.to_owned())];
    items.extend(links.iter().map(|cid| Ipld::Link((*cid).into())));
    Block::from_encoded(Encoded::from_ipld(&Ipld::List(items)).unwrap()).unwrap()
}

fn middle() -> Block {
    node("middle", &[leaf().cid])
}

fn top() -> Block {
    node("top", &[middle().cid, leaf().cid])
}

/// leaf ← middle ← top, a ref on top, a receipt, a hold and a lease.
fn store() -> MemoryStore {
    let store = MemoryStore::new();
    let to = |target: Cid, expect| RefMove {
        name: name(),
        expect,
        change: Change::Set {
            target,
            record: vec![1],
        },
    };
    let first = Commit {
        scope: "main".into(),
        blocks: vec![leaf(), middle()],
        moves: vec![to(middle().cid, Expect::Absent)],
        command: Some(Command {
            address: Address::Ref(name()),
            id: "1".into(),
            payload: [1; 32],
            receipt: vec![2],
        }),
        ..Commit::default()
    };
    store.submit(first).wait().unwrap();
    let second = Commit {
        scope: "main".into(),
        blocks: vec![top()],
        moves: vec![to(top().cid, Expect::Version(1))],
        holds: vec![leaf().cid],
        ..Commit::default()
    };
    store.submit(second).wait().unwrap();
    store.lease_acquire(&name(), "me").unwrap();
    store
}

/// What verify finds after `damage`: (check, which).
fn found(damage: impl FnOnce(&mut State)) -> Vec<(Check, String)> {
    let store = store();
    damage(&mut store.lock().unwrap().state);
    let report = store.verify(None).unwrap();
    report
        .findings
        .into_iter()
        .map(|finding| (finding.check, finding.which))
        .collect()
}

#[test]
fn a_sound_store_has_no_findings() {
    let store = store();
    let report = store.verify(None).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(
        (
            report.blocks,
            report.links,
            report.refs,
            report.commits,
            report.receipts
        ),
        (3, 3, 1, 2, 1)
    );
    assert_eq!(report.bytes, store.stats().unwrap().block_bytes);
}

#[test]
fn a_flipped_byte_is_named() {
    let flipped = |cid: Cid| {
        found(move |state| {
            let ordinal = state.ordinals[&cid];
            let stored = state.blocks.get_mut(&ordinal).unwrap();
            let mut bytes = stored.bytes.to_vec();
            bytes[1] ^= 1;
            stored.bytes = bytes.into();
        })
    };
    assert_eq!(
        flipped(leaf().cid),
        [(Check::BlockBytes, leaf().cid.to_string())]
    );
    assert_eq!(
        flipped(top().cid),
        [(Check::BlockBytes, top().cid.to_string())]
    );
}

#[test]
fn a_node_that_is_none_is_named() {
    let bytes: Arc<[u8]> = vec![0xff].into();
    let cid = Cid::of_node(&bytes);
    let findings = found(|state| {
        state.last_ordinal = 4;
        state.ordinals.insert(cid, 4);
        state.blocks.insert(
            4,
            super::state::Stored {
                cid,
                bytes,
                links: vec![],
            },
        );
    });
    assert_eq!(findings, [(Check::NodeForm, cid.to_string())]);
}

#[test]
fn a_lost_block_is_named_by_whatever_points_at_it() {
    let findings = found(|state| {
        let ordinal = state.ordinals.remove(&leaf().cid).unwrap();
        state.blocks.remove(&ordinal);
    });
    let hold = "hold of scope main on ordinal 1".to_owned();
    assert_eq!(
        findings,
        [
            (Check::Links, middle().cid.to_string()),
            (Check::Links, top().cid.to_string()),
            (Check::Hold, hold)
        ]
    );
    let findings = found(|state| {
        let ordinal = state.ordinals.remove(&top().cid).unwrap();
        state.blocks.remove(&ordinal);
    });
    assert_eq!(findings, [(Check::Ref, name().to_string())]);
}

#[test]
fn a_broken_graph_is_named() {
    let links =
        |links: Vec<u64>| found(move |state| state.blocks.get_mut(&3).unwrap().links = links);
    assert_eq!(
        links(vec![1, 2]),
        [(Check::Links, top().cid.to_string())],
        "order counts"
    );
    assert_eq!(links(vec![2]), [(Check::Links, top().cid.to_string())]);
    assert_eq!(
        links(vec![2, 3]),
        [
            (Check::LinkOrder, top().cid.to_string()),
            (Check::Links, top().cid.to_string())
        ]
    );
}

#[test]
fn a_broken_index_is_named() {
    let findings = found(|state| {
        state.ordinals.insert(top().cid, 2);
    });
    assert_eq!(findings, [(Check::BlockRow, top().cid.to_string())]);
    assert_eq!(
        found(|state| state.last_ordinal = 2),
        [(Check::Manifest, "next ordinal".to_owned())]
    );
}

#[test]
fn a_changed_journal_is_named() {
    let second = || (Check::Journal, "commit 2".to_owned());
    assert_eq!(found(|state| state.journal[1].at_ms += 1), [second()]);
    assert_eq!(found(|state| state.journal[1].chain[0] ^= 1), [second()]);
    let body = found(|state| state.journal[1].body[20] ^= 1);
    assert!(body.contains(&second()), "{body:?}");
    assert!(
        found(|state| state.journal[1].at_ms = 0).len() >= 2,
        "time went back, too"
    );
    let gap = found(|state| {
        state.journal.remove(0);
    });
    assert!(gap.contains(&second()), "{gap:?}");
    let cut = found(|state| {
        state.journal.pop_back();
    });
    assert_eq!(cut, [(Check::RefHistory, name().to_string())]);
}

#[test]
fn a_rewritten_journal_is_found_out_by_a_head_that_was_written_down() {
    let store = store();
    let head = store.head().unwrap();
    assert_eq!(store.verify(Some(&head)).unwrap().findings, []);
    assert_eq!(store.verify(Some(&Head::default())).unwrap().findings, []);
    let first = store.journal(None, 1).unwrap()[0].head();
    assert_eq!(store.verify(Some(&first)).unwrap().findings, []);
    for wrong in [
        Head {
            chain: [9; 32],
            ..head
        },
        Head {
            position: 3,
            ..head
        },
        Head {
            position: 1,
            ..head
        },
        Head {
            position: 0,
            chain: [9; 32],
        },
    ] {
        let findings = store.verify(Some(&wrong)).unwrap().findings;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(
            (findings[0].check, findings[0].which.clone()),
            (Check::Journal, format!("commit {}", wrong.position))
        );
    }
}

#[test]
fn refs_that_the_journal_does_not_say_are_named() {
    let history = [(Check::RefHistory, name().to_string())];
    assert_eq!(
        found(|state| state.refs.get_mut(&name()).unwrap().version = 3),
        history
    );
    assert_eq!(
        found(|state| state.refs.get_mut(&name()).unwrap().record.push(1)),
        history
    );
    assert_eq!(
        found(|state| state.refs.get_mut(&name()).unwrap().target = leaf().cid),
        history
    );
    let gone = found(|state| {
        state.refs.remove(&name());
    });
    assert_eq!(gone, history);
    let other = RefName::new("main", "thread", ["b"]).unwrap();
    let added = found(|state| {
        let value = state.refs[&name()].clone();
        state
            .refs
            .insert(RefName::new("main", "thread", ["b"]).unwrap(), value);
    });
    assert_eq!(added, [(Check::RefHistory, other.to_string())]);
}

#[test]
fn receipts_that_the_journal_does_not_say_are_named() {
    let first = || (Check::Receipt, "commit 1".to_owned());
    assert_eq!(
        found(|state| state
            .receipts
            .values_mut()
            .for_each(|(command, _)| command.receipt.push(0))),
        [first()]
    );
    assert_eq!(
        found(|state| state
            .receipts
            .values_mut()
            .for_each(|(command, _)| command.payload[0] ^= 1)),
        [first()]
    );
    assert_eq!(
        found(|state| state
            .receipts
            .values_mut()
            .for_each(|(_, position)| *position += 1)),
        [first()]
    );
    assert_eq!(found(|state| state.receipts.clear()), [first()]);
    let added = found(|state| {
        let command = JournalCommand {
            key: [5; 32],
            payload: [5; 32],
            receipt: vec![],
        };
        state
            .receipts
            .insert(([5; 32], "main".into()), (command, 1));
    });
    assert_eq!(added, [(Check::Receipt, "receipts".to_owned())]);
}

/// Those of old stores.
#[test]
fn receipts_that_do_not_say_when_they_were_left_are_told_by_the_journal() {
    let store = Arc::new(MemoryStore::new());
    let mut cursors = Vec::new();
    for nth in 1..=4_u8 {
        let command = Command {
            address: Address::Scope("main".into()),
            id: nth.to_string(),
            payload: [nth; 32],
            receipt: vec![nth],
        };
        let commit = Commit {
            scope: "main".into(),
            command: Some(command),
            ..Commit::default()
        };
        store.submit(commit).wait().unwrap();
        cursors.push(store.head().unwrap().cursor());
    }
    let at = |nth: usize| {
        let at = Moment::Commit(cursors[nth - 1]);
        let past = AsOf::new(store.clone(), "main", &at, |_| false).unwrap();
        let receipts = past.receipts("main", None, 9).unwrap();
        let mut left: Vec<u8> = receipts
            .iter()
            .map(|left| left.command.payload[0])
            .collect();
        left.sort_unstable();
        (left, past.receipts_unsettled("main").unwrap())
    };
    let forget = |store: &MemoryStore| {
        let mut inner = store.lock().unwrap();
        let receipts = inner.state.receipts.values_mut();
        receipts.for_each(|(_, position)| *position = 0);
    };
    let told = at(2);
    assert_eq!(told, (vec![1, 2], 0));
    forget(&store);
    assert_eq!(at(2), told);
    // The third commit is lost: what it left is left out, and counted; what all others left is known.
    let blank = |store: &MemoryStore, nth: usize| {
        let mut inner = store.lock().unwrap();
        let row = &mut inner.state.journal[nth - 1];
        row.body = crate::journal::blank_body(row.position, &row.body_digest);
    };
    blank(&store, 3);
    assert_eq!(at(2), (vec![1, 2], 1));
    assert_eq!(at(3), (vec![1, 2, 3], 0));
    // The first, too: nobody knows which of the two left which.
    blank(&store, 1);
    assert_eq!(at(2), (vec![2], 2));
    // After the last one that is lost, all is known again, however much is expired.
    let before = ExpireBefore::Cursor(cursors[2]);
    store.expire_journal(&before).unwrap();
    assert_eq!(at(3), (vec![1, 2, 3], 0));
    assert_eq!(at(4), (vec![1, 2, 3, 4], 0));
}

#[test]
fn a_lease_that_was_never_granted_is_named() {
    let findings = found(|state| state.leases.get_mut(&name()).unwrap().token = 0);
    assert_eq!(findings, [(Check::Lease, name().to_string())]);
}

/// Evidence of which every table breaks off after a broken row.
struct BreaksOff<'a>(&'a State);

fn breaks_off<T>(visit: Visit<'_, T>) -> Result<()> {
    visit(Err(Broken {
        which: "row 1".into(),
        detail: "its check is wrong".into(),
    }));
    Err(StoreError::Corrupt {
        what: "page",
        which: "7".into(),
        detail: "malformed".into(),
    })
}

impl Evidence for BreaksOff<'_> {
    fn own_checks(&self, _: &mut VerifyReport) -> Result<()> {
        Err(StoreError::Closed)
    }
    fn blocks(&self, visit: Visit<'_, BlockRow>) -> Result<()> {
        breaks_off(visit)
    }
    fn ordinal(&self, cid: &Cid) -> Result<Option<u64>> {
        Evidence::ordinal(self.0, cid)
    }
    fn has_ordinal(&self, _: u64) -> Result<bool> {
        Err(StoreError::Closed)
    }
    fn next_ordinal(&self) -> Result<u64> {
        Err(StoreError::Closed)
    }
    fn journal_start(&self) -> Result<Head> {
        self.0.journal_start()
    }
    fn journal(&self, visit: Visit<'_, JournalRow>) -> Result<()> {
        breaks_off(visit)
    }
    fn refs(&self, visit: Visit<'_, (RefName, RefValue)>) -> Result<()> {
        breaks_off(visit)
    }
    fn receipts(&self, visit: Visit<'_, JournalCommand>) -> Result<()> {
        breaks_off(visit)
    }
    fn receipt(&self, _: &str, _: &[u8; 32]) -> Result<Option<crate::scope::lineage::Receipt>> {
        Err(StoreError::Closed)
    }
    fn holds(&self, visit: Visit<'_, HoldRow>) -> Result<()> {
        breaks_off(visit)
    }
    fn leases(&self, visit: Visit<'_, (RefName, LeaseState)>) -> Result<()> {
        breaks_off(visit)
    }
}

#[test]
fn a_table_that_breaks_off_ends_no_other() {
    let store = store();
    let inner = store.lock().unwrap();
    let report = verify(&BreaksOff(&inner.state), None);
    let found = |check| {
        report
            .findings
            .iter()
            .filter(|finding| finding.check == check)
            .count()
    };
    for check in [
        Check::BlockRow,
        Check::Journal,
        Check::Ref,
        Check::Receipt,
        Check::Hold,
        Check::Lease,
        Check::Manifest,
    ] {
        assert_eq!(found(check), 2, "{check:?}");
    }
    assert_eq!(
        found(Check::RefHistory),
        0,
        "half a journal proves nothing about refs"
    );
}

#[test]
fn a_walk_reads_each_block_once_and_reports_what_is_missing() {
    let store = store();
    let before = store.counters().blocks_read;
    let all = reachable(&store, &[top().cid, top().cid, leaf().cid]).unwrap();
    assert_eq!(all.blocks, [top().cid, middle().cid, leaf().cid]);
    assert_eq!(
        (
            all.missing.as_slice(),
            store.counters().blocks_read - before
        ),
        ([].as_slice(), 3)
    );

    let nowhere = Cid::of_raw(b"nowhere");
    let ordinal = store
        .lock()
        .unwrap()
        .state
        .ordinals
        .remove(&leaf().cid)
        .unwrap();
    store.lock().unwrap().state.blocks.remove(&ordinal);
    let part = reachable(&store, &[nowhere, top().cid, nowhere]).unwrap();
    assert_eq!(part.blocks, [top().cid, middle().cid]);
    let gone = leaf().cid;
    assert_eq!(
        part.missing,
        [
            (None, nowhere),
            (Some(middle().cid), gone),
            (Some(top().cid), gone)
        ]
    );
}

#[test]
fn a_walk_needs_no_stack() {
    let store = MemoryStore::new();
    let mut blocks = vec![leaf()];
    for step in 0..200_000 {
        let parent = blocks.last().unwrap().cid;
        blocks.push(node(&step.to_string(), &[parent]));
    }
    let last = blocks.last().unwrap().cid;
    store
        .submit(Commit {
            scope: "main".into(),
            blocks,
            ..Commit::default()
        })
        .wait()
        .unwrap();
    assert_eq!(reachable(&store, &[last]).unwrap().blocks.len(), 200_001);
}
