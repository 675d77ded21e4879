//! Quarantine: what can't be mended goes out of the way with all that is left of it, and comes back.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod embedded;

use std::path::Path;

use embedded::{bytes, commit, name, node, open, put, set};
use rusqlite::Connection;
use treering_block::{Block, Cid};
use treering_store::quarantine::{self, Entry, To};
use treering_store::{
    BackupOptions, EmbeddedStore, Expect, GcOptions, MemoryStore, OpenOptions, Progress,
    Quarantined, RefName, RefValue, Store, StoreError,
};

/// Two refs over one chain of six nodes, each with a leaf: `one` at the sixth, `fork` at the third; and
/// `other`, which shares nothing with them. Nothing is held.
struct Chain {
    leaves: Vec<Block>,
    nodes: Vec<Block>,
    other: Block,
}

fn chain(store: &dyn Store) -> Chain {
    let mut chain = Chain {
        leaves: Vec::new(),
        nodes: Vec::new(),
        other: Block::raw(bytes(99, 700)),
    };
    for number in 0..6u64 {
        let leaf = Block::raw(bytes(number, 500));
        let mut links = vec![leaf.cid];
        links.extend(chain.nodes.last().map(|node| node.cid));
        let next = node(&format!("node {number}"), &links);
        let mut step = commit();
        step.blocks = vec![leaf.clone(), next.clone()];
        let expect = if number == 0 {
            Expect::Absent
        } else {
            Expect::Version(number)
        };
        step.moves = vec![set(&name("one"), expect, next.cid)];
        store.submit(step).wait().unwrap();
        chain.leaves.push(leaf);
        chain.nodes.push(next);
    }
    let mut more = commit();
    more.blocks = vec![chain.other.clone()];
    more.moves = vec![
        set(&name("fork"), Expect::Absent, chain.nodes[2].cid),
        set(&name("other"), Expect::Absent, chain.other.cid),
    ];
    store.submit(more).wait().unwrap();
    chain
}

fn change(path: &Path, sql: &str, expected: usize) {
    let conn = Connection::open(path.join("store.db")).unwrap();
    assert_eq!(conn.execute(sql, []).unwrap(), expected, "{sql}");
}

/// A store with the chain in it, broken as told, open.
fn broken(plant: impl FnOnce(&Path, &Chain)) -> (tempfile::TempDir, Chain, EmbeddedStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let chain = chain(&store);
    store.close().unwrap();
    drop(store);
    plant(directory.path(), &chain);
    let store = open(directory.path());
    (directory, chain, store)
}

/// Deletes a block's row; the graph keeps its own if told so.
fn lose(path: &Path, cid: &Cid, graph_too: bool) {
    let digest: String = cid
        .digest()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if graph_too {
        let sql = format!(
            "DELETE FROM graph WHERE ordinal = (SELECT ordinal FROM block WHERE digest = x'{digest}')"
        );
        change(path, &sql, 1);
    }
    change(
        path,
        &format!("DELETE FROM block WHERE digest = x'{digest}'"),
        1,
    );
}

fn read_only(path: &Path) -> EmbeddedStore {
    let options = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    EmbeddedStore::open(path, &options).unwrap()
}

fn texts(names: &[&RefName]) -> Vec<String> {
    names.iter().map(|name| name.encoded().to_owned()).collect()
}

fn moved_away(store: &dyn Store, names: &[&RefName]) -> Quarantined {
    store.quarantine(&texts(names)).unwrap()
}

/// Every block whose bytes any entry keeps, whole or as a copy.
fn kept(store: &dyn Store, entry: &Entry) -> Vec<Cid> {
    let mut found = Vec::new();
    for part in &entry.parts {
        let part = quarantine::Part::decode(part, &store.get(part).unwrap()).unwrap();
        let whole = treering_store::reachable(store, &part.keep).unwrap();
        assert_eq!(whole.missing, []);
        found.extend(whole.blocks);
        for (cid, copy) in part.copies {
            let bytes = store.get(&copy).unwrap();
            assert!(cid.matches(&bytes), "{cid}");
            found.push(cid);
        }
    }
    found
}

fn assert_gc_refuses(store: &dyn Store) {
    let refused = store.gc(&GcOptions::default());
    assert!(
        matches!(&refused, Err(StoreError::Corrupt { .. })),
        "{refused:?}"
    );
}

fn assert_all_is_well(store: &dyn Store) {
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(store.verify(None).unwrap().findings, []);
    store.gc(&GcOptions::default()).unwrap();
}

#[test]
fn a_target_that_is_gone() {
    for graph_too in [false, true] {
        let (_directory, chain, store) =
            broken(|path, chain| lose(path, &chain.nodes[5].cid, graph_too));
        assert_gc_refuses(&store);
        let left = store.repair().unwrap().left;
        assert!(!left.findings.is_empty(), "nothing proves what is gone");
        assert_gc_refuses(&store);

        let one = name("one");
        let moved = moved_away(&store, &[&one]);
        assert_eq!(moved.name.kind(), "quarantine");
        assert_eq!(moved.entry.refs.len(), 1);
        let said = &moved.entry.refs[0];
        assert_eq!(said.name, one.encoded());
        assert_eq!(
            said.stood,
            Some(RefValue {
                version: 6,
                target: chain.nodes[5].cid,
                record: b"record".to_vec()
            })
        );
        assert_eq!(said.whole.as_ref().unwrap().target, chain.nodes[4].cid);
        assert_eq!(moved.entry.lost, [chain.nodes[5].cid]);
        assert_eq!(store.read_ref(&one).unwrap(), None);
        assert_all_is_well(&store);

        // All that was left is there: the nodes below, and the leaf that only the lost one linked to.
        let kept = kept(&store, &moved.entry);
        for block in chain.nodes[..5].iter().chain(&chain.leaves) {
            assert!(kept.contains(&block.cid), "{graph_too}");
            assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
        }
        let listed = quarantine::list(&store, "main").unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].1.as_ref().unwrap(), &moved.entry);

        // It can't go back to what is gone, but to the newest state that is whole, with its record.
        assert!(matches!(
            quarantine::restore(&store, &moved.name, To::Last),
            Err(StoreError::LinkMissing { link, .. }) if link == chain.nodes[5].cid
        ));
        assert_eq!(
            quarantine::restore(&store, &moved.name, To::Whole).unwrap(),
            std::slice::from_ref(&one)
        );
        let back = store.read_ref(&one).unwrap().unwrap();
        assert_eq!((back.version, back.target), (1, chain.nodes[4].cid));
        assert_eq!(back.record, b"record");
        assert_eq!(
            quarantine::list(&store, "main").unwrap().len(),
            1,
            "what came later stays"
        );
        assert_all_is_well(&store);
        quarantine::discard(&store, &moved.name).unwrap();
        assert_all_is_well(&store);
        assert!(store.has(&chain.nodes[4].cid).unwrap());
        assert!(
            !store.has(&chain.leaves[5].cid).unwrap(),
            "given up with the entry"
        );
    }
}

#[test]
fn a_block_in_the_middle_is_gone() {
    for graph_too in [false, true] {
        a_hole_in_the_middle(graph_too);
    }
}

fn a_hole_in_the_middle(graph_too: bool) {
    let (_directory, chain, store) =
        broken(|path, chain| lose(path, &chain.nodes[1].cid, graph_too));
    let (one, fork) = (name("one"), name("fork"));
    // A collection reads the graph alone: while that has its row, nothing is in doubt.
    let refuses = |store: &EmbeddedStore| {
        if graph_too {
            assert_gc_refuses(store);
        } else {
            assert_eq!(store.gc(&GcOptions::default()).unwrap().dead, 0);
        }
    };
    refuses(&store);
    store.repair().unwrap();
    let first = moved_away(&store, &[&one]);
    // The fork reaches the hole as well.
    if graph_too {
        assert_gc_refuses(&store);
    }
    let second = moved_away(&store, &[&fork]);
    assert_all_is_well(&store);
    assert_eq!(
        store.read_ref(&name("other")).unwrap().unwrap().target,
        chain.other.cid
    );

    let kept_of_one = kept(&store, &first.entry);
    for (number, block) in chain.nodes.iter().enumerate() {
        assert_eq!(kept_of_one.contains(&block.cid), number != 1, "{number}");
    }
    for leaf in &chain.leaves {
        assert!(kept_of_one.contains(&leaf.cid));
    }
    assert!(kept(&store, &second.entry).contains(&chain.nodes[2].cid));
    assert!(
        !store.has(&chain.nodes[5].cid).unwrap(),
        "its bytes are, under a name without links"
    );
    assert_eq!(
        first.entry.refs[0].whole.as_ref().unwrap().target,
        chain.nodes[0].cid
    );

    // From a backup the lost block comes back, and with it both refs, as they were.
    store
        .submit(put(vec![chain.nodes[1].clone()]))
        .wait()
        .unwrap();
    quarantine::restore(&store, &first.name, To::Last).unwrap();
    quarantine::restore(&store, &second.name, To::Last).unwrap();
    assert_all_is_well(&store);
    assert_eq!(
        store.read_ref(&one).unwrap().unwrap().target,
        chain.nodes[5].cid
    );
    assert_eq!(
        store.read_ref(&fork).unwrap().unwrap().target,
        chain.nodes[2].cid
    );
    for block in chain.nodes.iter().chain(&chain.leaves) {
        assert_eq!(store.get(&block.cid).unwrap(), block.bytes);
    }
    assert!(quarantine::list(&store, "main").unwrap().is_empty());
}

#[test]
fn a_block_that_came_back_too_late_stands_behind_who_links_to_it() {
    let (_directory, chain, store) = broken(|path, chain| lose(path, &chain.nodes[1].cid, true));
    store
        .submit(put(vec![chain.nodes[1].clone()]))
        .wait()
        .unwrap();
    // Every CID is there, but the graph leads to where the block was.
    assert_gc_refuses(&store);
    let one = moved_away(&store, &[&name("one"), &name("fork")]);
    assert_eq!(one.entry.refs.len(), 2);
    assert_all_is_well(&store);
    quarantine::restore(&store, &one.name, To::Last).unwrap();
    assert_all_is_well(&store);
    assert_eq!(
        store.read_ref(&name("one")).unwrap().unwrap().target,
        chain.nodes[5].cid
    );
    assert_eq!(
        store.get(&chain.nodes[5].cid).unwrap(),
        chain.nodes[5].bytes
    );
}

#[test]
fn what_only_an_earlier_version_reached_and_was_collected_is_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let chain = chain(&store);
    let aside = Block::raw(bytes(7, 300));
    for (version, target, blocks) in [
        (6, aside.cid, vec![aside.clone()]),
        (7, chain.nodes[5].cid, vec![]),
    ] {
        let mut step = commit();
        step.blocks = blocks;
        step.moves = vec![set(&name("one"), Expect::Version(version), target)];
        store.submit(step).wait().unwrap();
    }
    assert_eq!(store.gc(&GcOptions::default()).unwrap().dead, 1);
    assert!(!store.has(&aside.cid).unwrap());
    store.close().unwrap();
    lose(directory.path(), &chain.nodes[5].cid, true);
    let store = open(directory.path());
    let moved = moved_away(&store, &[&name("one")]);
    assert_eq!(moved.entry.lost, [chain.nodes[5].cid]);
    let whole = moved.entry.refs[0].whole.as_ref().unwrap();
    assert_eq!((whole.version, whole.target), (5, chain.nodes[4].cid));
    assert_all_is_well(&store);
}

#[test]
fn an_earlier_version_is_found_in_a_sealed_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let chain = chain(&store);
    assert_eq!(store.seal_journal(1).unwrap().commits, 6);
    store.close().unwrap();
    lose(directory.path(), &chain.nodes[5].cid, true);
    let store = open(directory.path());
    let moved = moved_away(&store, &[&name("one")]);
    let whole = moved.entry.refs[0].whole.as_ref().unwrap();
    assert_eq!((whole.version, whole.target), (5, chain.nodes[4].cid));
    quarantine::restore(&store, &moved.name, To::Whole).unwrap();
    let back = store.read_ref(&name("one")).unwrap().unwrap();
    assert_eq!(
        (back.target, back.record),
        (chain.nodes[4].cid, whole.record.clone())
    );
    assert_all_is_well(&store);
}

#[test]
fn damaged_bytes_are_kept_as_they_are() {
    let (_directory, chain, store) = broken(|path, chain| {
        let digest: String = chain.leaves[3]
            .cid
            .digest()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        // Half of it: more than any search mends.
        change(
            path,
            &format!(
                "UPDATE block SET payload = CAST(substr(payload, 1, 250) || zeroblob(250) AS BLOB) WHERE digest = x'{digest}'"
            ),
            1,
        );
    });
    let left = store.repair().unwrap().left;
    assert_eq!(left.findings.len(), 1);
    // gc reads no payloads: it may run, and nothing has to be moved away for it.
    store.gc(&GcOptions::default()).unwrap();
    let moved = moved_away(&store, &[&name("one")]);
    assert_eq!(moved.entry.lost, [chain.leaves[3].cid]);
    assert_all_is_well(&store);
    let part = quarantine::Part::decode(
        &moved.entry.parts[0],
        &store.get(&moved.entry.parts[0]).unwrap(),
    )
    .unwrap();
    let (_, copy) = part
        .copies
        .iter()
        .find(|(cid, _)| *cid == chain.leaves[3].cid)
        .unwrap();
    let remains = store.get(copy).unwrap();
    assert_eq!(remains[..250], chain.leaves[3].bytes[..250]);
    assert_eq!(remains[250..], [0; 250]);
    // The right bytes bring everything back.
    store
        .submit(put(vec![chain.leaves[3].clone()]))
        .wait()
        .unwrap();
    quarantine::restore(&store, &moved.name, To::Last).unwrap();
    assert_all_is_well(&store);
    assert_eq!(
        store.get(&chain.nodes[5].cid).unwrap(),
        chain.nodes[5].bytes
    );
}

#[test]
fn a_row_that_nothing_proves() {
    // The journal's last word on it is as broken as the row: two bytes, which no search finds.
    let (_directory, chain, store) = broken(|path, _| {
        change(
            path,
            "UPDATE ref SET version = 7, record = x'0102', chk = zeroblob(16) WHERE name = 'main/thread/one'",
            1,
        );
        change(
            path,
            "UPDATE journal SET body = CAST(substr(body, 1, 4) || x'0000' || substr(body, 7) AS BLOB) WHERE position = 6",
            1,
        );
    });
    let report = store.repair().unwrap();
    assert!(
        report
            .left
            .findings
            .iter()
            .any(|finding| finding.which == "main/thread/one")
    );
    assert_gc_refuses(&store);
    let moved = moved_away(&store, &[&name("one")]);
    let said = &moved.entry.refs[0];
    // The last that can be read of it, and the row as it is.
    assert_eq!(said.stood.as_ref().unwrap().target, chain.nodes[4].cid);
    let row = said.row.as_ref().unwrap();
    assert_eq!(row[0], b"main/thread/one");
    assert_eq!(row[1], 7i64.to_le_bytes());
    assert_eq!(row[2], chain.nodes[5].cid.to_bytes());
    assert_eq!(row[4], [1, 2]);
    store.gc(&GcOptions::default()).unwrap();
    // What the broken commit put is kept, too.
    assert!(kept(&store, &moved.entry).contains(&chain.nodes[5].cid));
    assert!(kept(&store, &moved.entry).contains(&chain.leaves[5].cid));
    let findings = store.verify(None).unwrap().findings;
    assert!(
        findings
            .iter()
            .all(|finding| finding.check == treering_store::Check::Journal),
        "{findings:#?}"
    );
    assert_eq!(
        store.list_refs("main", "thread", None, 10).unwrap().len(),
        2
    );
}

#[test]
fn a_name_that_is_none() {
    let (_directory, _, store) = broken(|path, _| {
        change(
            path,
            "UPDATE ref SET name = CAST(x'6d61ff' AS TEXT), version = 9 WHERE name = 'main/thread/other'",
            1,
        );
        change(
            path,
            "UPDATE ref SET chk = zeroblob(16) WHERE version = 9",
            1,
        );
    });
    let all = store.all_refs(None, 100).unwrap();
    let shown = r"ma\xff";
    assert!(
        all.iter()
            .any(|(name, value)| name == shown && value.is_err())
    );
    assert_eq!(all.len(), 3);
    assert_eq!(store.all_refs(Some(&all[1].0), 100).unwrap().len(), 1);
    assert_gc_refuses(&store);
    // The ref itself comes back from the journal; the row that has its bytes is nobody's.
    let report = store.repair().unwrap();
    assert!(
        report
            .repairs
            .iter()
            .any(|repair| repair.which.contains("other"))
    );
    let moved = store.quarantine(&[shown.to_owned()]).unwrap();
    assert_eq!(moved.entry.refs[0].name, shown);
    assert_eq!(moved.name.scope(), "main");
    assert_all_is_well(&store);
    assert_eq!(store.all_refs(None, 100).unwrap().len(), 4);
}

#[test]
fn what_the_journal_contradicts_is_kept_aside() {
    // An old page of the table came back: a sound row of before.
    let (_directory, chain, store) = broken(|path, chain| {
        let old = tempfile::tempdir().unwrap();
        let store = open(old.path());
        let mut one = commit();
        one.blocks = vec![chain.leaves[0].clone(), chain.nodes[0].clone()];
        one.moves = vec![set(&name("one"), Expect::Absent, chain.nodes[0].cid)];
        store.submit(one).wait().unwrap();
        store.close().unwrap();
        drop(store);
        let conn = Connection::open(path.join("store.db")).unwrap();
        conn.execute(
            "ATTACH ?1 AS old",
            [old.path().join("store.db").to_str().unwrap()],
        )
        .unwrap();
        let done = conn
            .execute("REPLACE INTO ref SELECT * FROM old.ref", [])
            .unwrap();
        assert_eq!(done, 1);
    });
    assert_eq!(store.read_ref(&name("one")).unwrap().unwrap().version, 1);
    let report = store.repair().unwrap();
    assert_eq!(report.left.findings, [], "{:#?}", report.repairs);
    let back = store.read_ref(&name("one")).unwrap().unwrap();
    assert_eq!((back.version, back.target), (6, chain.nodes[5].cid));
    let listed = quarantine::list(&store, "main").unwrap();
    let entry = listed[0].1.as_ref().unwrap();
    assert_eq!(
        entry.refs[0].stood.as_ref().unwrap().target,
        chain.nodes[0].cid
    );
    assert_all_is_well(&store);
}

#[test]
fn what_is_sound_stays_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    chain(&store);
    let memory = MemoryStore::new();
    chain(&memory);
    for store in [&store as &dyn Store, &memory] {
        let before = store.head().unwrap();
        assert!(matches!(
            store.quarantine(&texts(&[&name("one")])),
            Err(StoreError::Invalid {
                what: "quarantine",
                ..
            })
        ));
        assert!(matches!(
            store.quarantine(&texts(&[&name("none")])),
            Err(StoreError::RefNotFound(_))
        ));
        assert!(store.quarantine(&["no name".into()]).is_err());
        assert!(matches!(
            quarantine::restore(store, &name("one"), To::Last),
            Err(StoreError::RefNotFound(_))
        ));
        assert!(matches!(
            quarantine::discard(store, &name("one")),
            Err(StoreError::RefNotFound(_))
        ));
        assert_eq!(store.head().unwrap(), before);
        assert_eq!(store.all_refs(None, 10).unwrap().len(), 3);
        assert_eq!(
            store.all_refs(Some("main/thread/one"), 10).unwrap().len(),
            1
        );
    }
}

#[test]
fn what_was_never_whole_stays_behind() {
    let (_directory, chain, store) = broken(|path, chain| {
        lose(path, &chain.nodes[5].cid, false);
        lose(path, &chain.other.cid, false);
    });
    let (one, other) = (name("one"), name("other"));
    let moved = moved_away(&store, &[&one, &other]);
    assert_eq!(moved.entry.refs[1].whole, None);
    assert_eq!(
        quarantine::restore(&store, &moved.name, To::Whole).unwrap(),
        std::slice::from_ref(&one)
    );
    assert_eq!(
        store.read_ref(&one).unwrap().unwrap().target,
        chain.nodes[4].cid
    );
    assert_eq!(quarantine::list(&store, "main").unwrap().len(), 1);
    assert_all_is_well(&store);
}

/// What came along is nothing without what was asked for.
#[test]
fn what_came_along_does_not_go_back_alone() {
    let (_directory, chain, store) = broken(|path, chain| lose(path, &chain.other.cid, false));
    let (one, other) = (name("one"), name("other"));
    let moved = moved_away(&store, &[&other, &one]);
    assert_eq!(moved.entry.refs[0].whole, None);
    assert_eq!(moved.entry.refs[1].why, "");
    assert!(matches!(
        quarantine::restore(&store, &moved.name, To::Whole),
        Err(StoreError::Invalid { .. })
    ));
    assert_eq!(store.read_ref(&one).unwrap(), None);
    assert_eq!(quarantine::list(&store, "main").unwrap().len(), 1);
    assert!(store.has(&chain.nodes[5].cid).unwrap());
}

#[test]
fn a_sound_ref_comes_along_and_back() {
    let (_directory, chain, store) = broken(|path, chain| lose(path, &chain.nodes[5].cid, false));
    let (one, other) = (name("one"), name("other"));
    let moved = moved_away(&store, &[&one, &other]);
    assert_eq!(moved.entry.refs[1].why, "");
    assert_all_is_well(&store);
    assert!(store.has(&chain.other.cid).unwrap());
    quarantine::restore(&store, &moved.name, To::Whole).unwrap();
    assert_eq!(
        store.read_ref(&one).unwrap().unwrap().target,
        chain.nodes[4].cid
    );
    assert_eq!(
        store.read_ref(&other).unwrap().unwrap().target,
        chain.other.cid
    );
    // A second time there is such a ref again.
    assert!(matches!(
        quarantine::restore(&store, &moved.name, To::Whole),
        Err(StoreError::RefMoved { .. })
    ));
}

/// What a backup of before the loss still has is not thrown away with what the store gave up.
#[test]
fn a_backup_keeps_what_only_it_has() {
    for graph_too in [false, true] {
        for verify in [true, false] {
            let home = tempfile::tempdir().unwrap();
            let backup = |store: &EmbeddedStore, into: &str| {
                let options = BackupOptions { verify };
                store.backup(home.path().join(into), &options, &Progress::default())
            };
            let path = home.path().join("store");
            let store = open(&path);
            let chain = chain(&store);
            backup(&store, "before").unwrap();
            store.close().unwrap();
            let lost = chain.leaves[4].cid;
            lose(&path, &lost, graph_too);
            let store = open(&path);
            store.repair().unwrap();
            moved_away(&store, &[&name("one")]);
            store.gc(&GcOptions { dry_run: false }).unwrap();
            assert_eq!(store.verify(None).unwrap().findings, []);

            for _ in 0..2 {
                let refused = backup(&store, "before").unwrap_err();
                let StoreError::Invalid { value, rule, .. } = &refused else {
                    panic!("{refused:?}");
                };
                assert_eq!(*value, lost.to_string());
                assert!(rule.contains("put it back from there"), "{rule}");
                // As it was: it still has it, whatever the store does meanwhile.
                let kept = read_only(&home.path().join("before"));
                assert_eq!(kept.get(&lost).unwrap(), chain.leaves[4].bytes);
                assert_eq!(kept.verify(None).unwrap().findings, []);
                let again = put(vec![chain.leaves[4].clone()]);
                store.submit(again).wait().unwrap();
            }
            backup(&store, "after").unwrap();
            assert!(backup(&store, "after").unwrap().incremental);
        }
    }
}
