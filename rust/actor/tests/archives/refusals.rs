//! What is refused, each with an error that says so, and nothing written.

use treering_block::car::encode_header;
use treering_block::node::SnapshotNode;
use treering_store::archive::ArchiveError;

use super::*;

fn refused(file: &[u8]) -> CarError {
    let store = fresh();
    let error = imported(&store, "alice", file).unwrap_err();
    assert_eq!(state(&store), (0, 0, 0, 0, 0), "{error}");
    error
}

/// The detail of a manifest that is refused.
fn detail(error: CarError) -> String {
    match error {
        CarError::Archive(ArchiveError::Manifest { detail }) => detail,
        other => panic!("{other:?}"),
    }
}

fn name(kind: &str, parts: &[&str]) -> RefName {
    RefName::new("alice", kind, parts.iter().copied()).unwrap()
}

fn value(target: Cid) -> RefValue {
    RefValue {
        version: 1,
        target,
        record: Vec::new(),
    }
}

#[test]
fn it_travels_and_the_same_again_writes_nothing() {
    let store = small();
    let (made, file) = exported(&store);
    let (there, did) = (fresh(), imported(&fresh(), "bob", &file).unwrap());
    assert_eq!((did.actors, did.pins), (made.actors, made.pins));
    imported(&there, "alice", &file).unwrap();
    assert_sound(&there, "alice");
    assert_eq!(exported(&there).1, file);
    let before = state(&there);
    let again = imported(&there, "alice", &file).unwrap();
    assert_eq!(
        (again.actors, again.all.threads.len(), again.all.new_blocks),
        (0, 0, 0)
    );
    assert_eq!(state(&there), before);
}

#[test]
fn cut_off_at_each_byte() {
    let store = small();
    let (_, file) = exported(&store);
    // Every length near the beginning and near the end, and some between.
    let lengths = (0..file.len()).filter(|at| *at < 400 || at % 37 == 0 || file.len() - at < 200);
    for length in lengths {
        refused(&file[..length]);
    }
    let mut longer = file.clone();
    longer.push(0);
    refused(&longer);
}

#[test]
fn each_byte_that_is_changed_is_noticed() {
    let store = small();
    let (_, file) = exported(&store);
    for at in (0..file.len()).step_by(11) {
        let mut other = file.clone();
        other[at] ^= 0x40;
        refused(&other);
    }
}

#[test]
fn other_roots() {
    let store = small();
    let (_, file) = exported(&store);
    let manifest = manifest_of(&file);
    let target = manifest.refs.values().next().unwrap().target;
    let old = encode_header(&[target]).unwrap().len();
    for roots in [vec![target], vec![Cid::of_raw(b"x")], vec![]] {
        let mut other = encode_header(&roots).unwrap();
        other.extend(&file[old..]);
        refused(&other);
    }
}

#[test]
fn refs_that_no_archive_can_have() {
    let store = small();
    let (_, file) = exported(&store);
    let target = manifest_of(&file).refs[&name("pin", &["p"])].target;
    let memory = manifest_of(&file).refs[&name("user-memory", &[])].target;
    for (bad, at, why) in [
        (name("forking", &[]), target, "can't have that kind"),
        (name("quarantine", &["x"]), target, "can't have that kind"),
        (name("thread-key", &["k"]), target, "can't have that kind"),
        (name("of-later", &[]), target, "upgrade treering"),
        (
            name("x.purse-readmodel", &["p"]),
            target,
            "can't have that kind",
        ),
        (name("user-config-readmodel", &[]), target, "not there"),
        (name("pin", &["a", "b"]), target, "no pin has such a name"),
        (name("pin", &["../b"]), target, "no pin has such a name"),
        (name("thread", &["no-ulid"]), target, "no thread's id"),
        (
            name("thread-failed", &["01ARZ3NDEKTSV4RRFFQ69G5FAV"]),
            target,
            "failure of a thread",
        ),
        (name("user-config", &["x"]), memory, "no actor of that kind"),
        (name("chat", &[]), memory, "no actor of that kind"),
        // A log of another kind; one of steps; and a thread's head as a projection.
        (name("user-config", &[]), target, "user-config"),
        (name("projection", &["x"]), target, "projection"),
    ] {
        let shown = bad.to_string();
        let file = forged(&file, &[], &*store, |manifest| {
            manifest.refs.insert(bad, value(at));
        });
        let told = detail(refused(&file));
        assert!(told.contains(why), "{shown}: {told}");
    }
}

#[test]
fn a_state_that_does_not_follow_from_its_events() {
    let store = small();
    let (_, file) = exported(&store);
    // As many events, as sound in themselves, of another life.
    let other = small();
    let model = RefName::new("alice", "user-memory-readmodel", [""; 0]).unwrap();
    let foreign = other.read_ref(&model).unwrap().unwrap().target;
    let log = RefName::new("alice", "user-memory", [""; 0]).unwrap();
    let foreign_log = other.read_ref(&log).unwrap().unwrap().target;
    let both: Arc<dyn Store> = fresh();
    imported(&both, "alice", &file).unwrap();
    imported(&both, "bob", &exported(&other).1).unwrap();
    // A snapshot of the right entry, with the state of the other life.
    let bytes = |cid: &Cid| both.get(cid).unwrap();
    let own = manifest_of(&file).refs[&model].target;
    let node = SnapshotNode {
        typed: SnapshotNode::decode(&foreign, &bytes(&foreign))
            .unwrap()
            .typed,
        ..SnapshotNode::decode(&own, &bytes(&own)).unwrap()
    };
    let made = node.encode().unwrap();
    let to = made.cid;
    let commit = Commit {
        scope: "alice".into(),
        blocks: vec![made],
        ..Commit::default()
    };
    both.submit(commit).wait().unwrap();
    let lying = forged(&file, &[to], &*both, |manifest| {
        manifest.refs.insert(model.clone(), value(to));
    });
    let told = detail(refused(&lying));
    assert!(told.contains("not what the events make"), "{told}");
    // One of another log says nothing of this one, and is not taken; nor is this log's of the other.
    for (changed, to) in [(&model, foreign), (&log, foreign_log)] {
        let file = forged(&file, &[to], &*both, |manifest| {
            manifest.refs.insert(changed.clone(), value(to));
        });
        let there = fresh();
        imported(&there, "alice", &file).unwrap();
        assert_eq!(there.read_ref(&model).unwrap(), None);
        assert_sound(&there, "alice");
    }
}

#[test]
fn records_that_say_what_is_not_so() {
    let store = small();
    let (_, file) = exported(&store);
    let manifest = manifest_of(&file);
    for ref_name in manifest.refs.keys() {
        let file = forged(&file, &[], &*store, |manifest| {
            manifest.refs.get_mut(ref_name).unwrap().record.push(0);
        });
        detail(refused(&file));
    }
    // A key twice.
    let thread = manifest.refs.keys().find(|name| name.kind() == "thread");
    let (thread, there) = (thread.unwrap(), &manifest.refs[thread.unwrap()]);
    let other = name("thread", &["01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    let file = forged(&file, &[], &*store, |manifest| {
        manifest.refs.insert(other, there.clone());
    });
    assert!(detail(refused(&file)).contains("key"), "{thread}");
}

#[test]
fn receipts_that_are_none() {
    let store = small();
    let (_, file) = exported(&store);
    for receipt in [vec![0x01], vec![0x81, 0x01], vec![0x82, 0x40, 0x41, 0x00]] {
        let file = forged(&file, &[], &*store, |manifest| {
            manifest.receipts.push(JournalCommand {
                key: [0xff; 32],
                payload: [0; 32],
                receipt,
            });
        });
        detail(refused(&file));
    }
}

#[test]
fn a_block_that_is_not_in_the_file_is_not_taken_from_the_store() {
    let store = small();
    let (_, file) = exported(&store);
    let manifest = manifest_of(&file);
    let blocks = manifest.encode().unwrap();
    let mut fewer = Vec::new();
    let roots = manifest.refs.values().map(|value| value.target).skip(1);
    writing::write(&*store, &blocks, roots, &mut fewer, &mut go_on).unwrap();
    let before = state(&store);
    let error = imported(&store, "carol", &fewer).unwrap_err();
    let missing = matches!(error, CarError::Archive(ArchiveError::MissingLink { .. }));
    assert!(missing, "{error}");
    assert_eq!(state(&store), before);
}

#[test]
fn blocks_that_nothing_reaches_are_left() {
    let store = small();
    let (_, file) = exported(&store);
    let loose = store.submit(Commit {
        scope: "alice".into(),
        blocks: vec![treering_block::Block::raw(b"loose".to_vec())],
        ..Commit::default()
    });
    loose.wait().unwrap();
    let more = forged(&file, &[Cid::of_raw(b"loose")], &*store, |_| {});
    let there = fresh();
    imported(&there, "alice", &more).unwrap();
    assert!(!there.has(&Cid::of_raw(b"loose")).unwrap());
}

#[test]
fn what_is_no_receipt_of_a_command_stays() {
    let store = small();
    let (made, _) = exported(&store);
    let left = Commit {
        scope: "alice".into(),
        receipts: vec![JournalCommand {
            key: [9; 32],
            payload: [0; 32],
            receipt: b"\x81\x65alice".to_vec(),
        }],
        ..Commit::default()
    };
    store.submit(left).wait().unwrap();
    let (again, file) = exported(&store);
    assert_eq!(again, made);
    imported(&fresh(), "alice", &file).unwrap();
}
