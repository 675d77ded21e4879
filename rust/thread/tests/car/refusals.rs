//! What is refused, by name, and that a refused file has written nothing.

use treering_block::car::CarFault;
use treering_block::{Encoded, Node};
use treering_store::erasure::digest_of_scope;
use treering_store::scope::lineage::{lineage_key, name_key};

use super::*;

/// A small file: a thread of three steps with a raw block, and the store that it is from.
fn small() -> (Threads, Vec<u8>) {
    let there = fresh();
    let thread = begun(&there, "k");
    say(&thread, "a", "one");
    let step = StepArgs {
        artifacts: vec![("f".into(), vec![1, 2, 3])],
        ..commanded("c", "two")
    };
    thread.append(step).unwrap().wait().unwrap();
    thread.fail("no", None).unwrap().wait().unwrap();
    say(&thread, "a", "three");
    let (_, bytes) = exported(&there, None);
    (there, bytes)
}

/// The error, and nothing but it.
fn refused(bytes: &[u8]) -> CarError {
    let here = fresh();
    let error = imported(&here, bytes).unwrap_err();
    assert_eq!(state(&here), (0, 0, 0, 0, 0), "{error}");
    error
}

#[track_caller]
fn refused_saying(bytes: &[u8], word: &str) {
    let text = refused(bytes).to_string();
    assert!(text.contains(word), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn no_part_of_a_file_is_taken_for_the_whole() {
    let (_, bytes) = small();
    for cut in 0..bytes.len() {
        refused(&bytes[..cut]);
    }
    for rubbish in [&[0][..], &[0; 100], b"x", b"\xff\xff\xff\xff\x7f"] {
        let mut longer = bytes.clone();
        longer.extend(rubbish);
        refused(&longer);
    }
}

#[test]
fn no_flipped_bit_is_overlooked() {
    let (_, bytes) = small();
    for place in 0..bytes.len() {
        for bit in [0x01, 0x80] {
            let mut broken = bytes.clone();
            broken[place] ^= bit;
            refused(&broken);
        }
    }
}

#[test]
fn other_files_are_named() {
    refused_saying(b"", "empty");
    refused_saying(b"{\"version\":1}", "truncated");
    refused_saying(b"\x05hello", "not the header of a CAR file");
    // The beginning of every CARv2 file.
    refused_saying(b"\x0a\xa1\x67version\x02\x00\x00", "version 2");
    let (_, bytes) = small();
    let (roots, sections) = taken_apart(&bytes);
    refused_saying(&put_together(&[], &sections), "no root");
    refused_saying(&put_together(&[roots[0]], &sections[1..]), "not whole");
    // A CAR file without a manifest: its root is just a node.
    let (cid, node) = sections.last().unwrap().clone();
    refused_saying(
        &put_together(&[cid], &[(cid, node)]),
        "only what treering exported",
    );
    let raw = Block::raw(*b"bytes");
    refused_saying(
        &put_together(&[raw.cid], &[(raw.cid, raw.bytes.to_vec())]),
        "manifest",
    );
}

#[test]
fn foreign_blocks_are_refused() {
    let (_, bytes) = small();
    for (section, word) in [
        (&b"\x06\x01\x55\x00\x02hi"[..], "identity"),
        (
            &[&[40, 0x01, 0x71, 0x12, 0x20][..], &[7; 36]].concat(),
            "0x12",
        ),
        (&[&[40, 0x12, 0x20][..], &[7; 38]].concat(), "CIDv0"),
    ] {
        let mut longer = bytes.clone();
        longer.extend(section);
        refused_saying(&longer, word);
    }
    // A node with a link that no store of ours can hold.
    let sha = "bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4kok6gl47quzvy";
    let node = Ipld::Link(sha.parse().unwrap());
    let node = cbor::encode(&node).unwrap();
    let (roots, mut sections) = taken_apart(&bytes);
    sections.push((Cid::of_node(&node), node));
    refused_saying(&put_together(&roots, &sections), "blake3");
    // And one that is no DAG-CBOR at all.
    *sections.last_mut().unwrap() = (Cid::of_node(b"\xff"), b"\xff".to_vec());
    refused_saying(&put_together(&roots, &sections), "refused");
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let (_, bytes) = small();
    for (cid, size) in [
        (Cid::of_node(b""), (1 << 20) + 1),
        (Cid::of_raw(b""), (64_u64 << 30) + 1),
    ] {
        let mut longer = bytes.clone();
        treering_block::car::write_varint(size + 36, &mut longer);
        longer.extend(cid.to_bytes());
        let error = refused(&longer);
        assert!(
            matches!(&error, CarError::Archive(ArchiveError::File { offset, fault: CarFault::TooLong { actual, .. } })
            if *offset == bytes.len() as u64 && *actual == size)
        );
    }
    // What is announced and not there takes no memory.
    let mut longer = bytes.clone();
    treering_block::car::write_varint((1 << 30) + 36, &mut longer);
    longer.extend(Cid::of_raw(b"").to_bytes());
    assert!(matches!(
        refused(&longer),
        CarError::Archive(ArchiveError::File {
            fault: CarFault::Truncated { .. },
            ..
        })
    ));
}

#[test]
fn each_block_is_missed() {
    let (_, bytes) = small();
    let (roots, sections) = taken_apart(&bytes);
    for place in 0..sections.len() {
        let mut fewer = sections.clone();
        let (gone, _) = fewer.remove(place);
        let error = refused(&put_together(&roots, &fewer));
        assert!(
            matches!(error, CarError::Archive(ArchiveError::MissingLink { link, .. }) if link == gone)
        );
    }
}

#[test]
fn what_the_store_has_does_not_complete_a_file() {
    let (there, bytes) = small();
    let (roots, mut sections) = taken_apart(&bytes);
    let id = there.list(&Default::default()).unwrap()[0].id.clone();
    there
        .get(&id)
        .unwrap()
        .rm(false, None)
        .unwrap()
        .wait()
        .unwrap();
    sections.pop();
    let error = imported(&there, &put_together(&roots, &sections)).unwrap_err();
    assert!(
        matches!(error, CarError::Archive(ArchiveError::MissingLink { .. })),
        "{error}"
    );
}

fn set(value: &mut Ipld, name: &str, to: Option<Ipld>) {
    if let Ipld::Map(map) = value {
        match to {
            Some(to) if map.contains_key(name) => drop(map.insert(name.into(), to)),
            Some(_) => {}
            None => drop(map.remove(name)),
        }
    }
}

/// The file with the first thread of its manifest changed.
fn with_thread(bytes: &[u8], change: impl Fn(&mut Ipld)) -> Vec<u8> {
    with_manifest(bytes, |value| {
        if let Ipld::Map(map) = value
            && let Some(Ipld::List(threads)) = map.get_mut("threads")
        {
            change(&mut threads[0]);
        }
    })
}

fn in_record(name: &'static str, to: Option<Ipld>) -> impl Fn(&mut Ipld) {
    move |thread| {
        if let Ipld::Map(map) = thread {
            let record = map.get_mut("record").unwrap();
            if let (Ipld::Map(fields), Some(to)) = (&mut *record, &to) {
                fields.insert(name.into(), to.clone());
            } else {
                set(record, name, None);
            }
        }
    }
}

#[test]
fn a_manifest_must_be_what_it_should() {
    let (there, bytes) = small();
    let text = |text: &str| Some(Ipld::String(text.into()));
    let number = |number: i128| Some(Ipld::Integer(number));
    assert!(imported(&fresh(), &with_manifest(&bytes, |_| ())).is_ok());
    refused_saying(
        &with_manifest(&bytes, |value| set(value, "form", number(2))),
        "form 2",
    );
    refused_saying(
        &with_manifest(&bytes, |value| set(value, "scope", text(" "))),
        "scope",
    );
    refused_saying(
        &with_manifest(&bytes, |value| set(value, "scope", None)),
        "scope",
    );
    refused_saying(
        &with_manifest(&bytes, |value| set(value, "kind", text("x"))),
        "only what",
    );
    for (announced, found) in [("threads", "1 receipts"), ("receipts", "1 threads")] {
        let more = with_manifest(&bytes, |value| {
            if let Ipld::Map(map) = value
                && let Some(Ipld::Integer(count)) = map.get_mut(announced)
            {
                *count += 1;
            }
        });
        refused_saying(&more, found);
    }
    let surprise = with_manifest(&bytes, |value| {
        if let Ipld::Map(map) = value {
            map.insert("surprise".into(), Ipld::Null);
        }
    });
    refused_saying(&surprise, "unknown field \"surprise\"");
    // A receipt of a thread that is not in the file.
    let foreign = with_manifest(&bytes, |value| {
        if let Ipld::Map(map) = value
            && let Some(Ipld::List(receipts)) = map.get_mut("receipts")
            && let Ipld::List(parts) = &mut receipts[0]
            && let Ipld::List(about) = &mut parts[2]
            && let Ipld::List(first) = &mut about[0]
        {
            first[0] = Ipld::String("01ARZ3NDEKTSV4RRFFQ69G5FAV".into());
        }
    });
    refused_saying(&foreign, "none of its threads");
    begun(&there, "second");
    let (_, two) = exported(&there, None);
    let swapped = with_manifest(&two, |value| {
        if let Ipld::Map(map) = value
            && let Some(Ipld::List(threads)) = map.get_mut("threads")
        {
            threads.reverse();
        }
    });
    refused_saying(&swapped, "order of their ids");
}

#[test]
fn a_manifest_may_not_say_what_the_blocks_do_not() {
    let (there, bytes) = small();
    let text = |text: &str| Some(Ipld::String(text.into()));
    let number = |number: i128| Some(Ipld::Integer(number));
    let id = there.list(&Default::default()).unwrap()[0].id.clone();
    let thread = there.get(&id).unwrap();
    let second = thread.at(2).unwrap();
    let link = |cid: Cid| Some(Ipld::Link(cid.into()));
    for (name, to, word) in [
        ("head", link(second.cid), "its head is step 2"),
        (
            "head",
            link(second.node.content),
            "not the end of a whole chain",
        ),
        (
            "head",
            link(thread.start_cid().unwrap()),
            "its head is step 0",
        ),
        ("failed", link(second.cid), "not the node of a failure"),
        ("id", text("../../etc/passwd"), "no ULID"),
        ("id", text("01arz3ndektsv4rrffq69g5fav"), "no ULID"),
        ("version", text("x"), "version"),
        ("version", None, "version"),
        ("record", None, "record"),
    ] {
        let broken = with_thread(&bytes, |thread| set(thread, name, to.clone()));
        refused_saying(&broken, word);
    }
    let long = "k".repeat(513);
    for (name, to, word) in [
        ("steps", number(4), "4 steps"),
        ("workflow", text("other"), "workflow"),
        ("status", text("running"), "status"),
        ("key", text("/etc/passwd"), "path"),
        ("key", text(&long), "513"),
        ("error", text(&long), "513"),
        ("form", number(2), "form"),
        ("surprise", number(1), "surprise"),
        ("forked_from", text("x"), "forked_from"),
        (
            "labels",
            Some(Ipld::Map([(" ".into(), Ipld::Null)].into())),
            "blank",
        ),
        ("created_at_ms", None, "created_at_ms"),
    ] {
        refused_saying(&with_thread(&bytes, in_record(name, to)), word);
    }
}

#[test]
fn a_chain_must_be_whole() {
    let (there, bytes) = small();
    let id = there.list(&Default::default()).unwrap()[0].id.clone();
    let thread = there.get(&id).unwrap();
    let other = StartArgs::new("another start");
    let other = there.start(other).unwrap().wait().unwrap();
    let third = thread.at(3).unwrap().node;
    // Step 3 on step 1, with the start of another thread, and with what is no content as what it says.
    let mut early = third.clone();
    early.parent = Some(thread.at(1).unwrap().cid);
    let mut elsewhere = third.clone();
    elsewhere.start = other.start_cid().unwrap();
    let mut speechless = third.clone();
    speechless.content = thread.start_cid().unwrap();
    let mut muddled = third.clone();
    muddled.compact = Some(thread.at(1).unwrap().cid);
    let (_, all) = exported(&there, None);
    let (_, more) = taken_apart(&all);
    for node in [early, elsewhere, speechless, muddled] {
        let block = Node::State(node).encode().unwrap();
        assert_ne!(block.cid, thread.head());
        let (roots, mut sections) = taken_apart(&bytes);
        sections.extend(more.clone());
        sections.push((block.cid, block.bytes.to_vec()));
        let forged = with_thread(&put_together(&roots, &sections), |thread| {
            set(thread, "head", Some(Ipld::Link(block.cid.into())));
        });
        refused_saying(&forged, "not the end of a whole chain");
    }
}

#[test]
fn a_value_that_looks_like_a_broken_step_is_a_value() {
    let there = fresh();
    let thread = begun(&there, "k");
    let looks = Ipld::Map([("kind".to_owned(), Ipld::String("state".into()))].into());
    let mut batch = there.batch();
    let cid = batch.put_node(Encoded::from_ipld(&looks).unwrap()).unwrap();
    batch
        .commit(None, Durability::Durable)
        .unwrap()
        .wait()
        .unwrap();
    let step = StepArgs {
        links: vec![cid],
        ..StepArgs::new("a", "see there")
    };
    thread.append(step).unwrap().wait().unwrap();
    let (_, bytes) = exported(&there, None);
    let here = fresh();
    imported(&here, &bytes).unwrap();
    assert!(here.store().has(&cid).unwrap());
    assert_sound(&here);
}

#[test]
fn no_receipt_says_what_a_scope_was_forked_of() {
    let there = fresh();
    let thread = begun(&there, "a");
    thread.append(commanded("c1", "x")).unwrap().wait().unwrap();
    let (_, bytes) = exported(&there, None);
    let with_key = |key: [u8; 32]| {
        with_manifest(&bytes, |value| {
            if let Ipld::Map(map) = value
                && let Some(Ipld::List(receipts)) = map.get_mut("receipts")
            {
                let Ipld::List(receipt) = &mut receipts[0] else {
                    panic!()
                };
                receipt[0] = Ipld::Bytes(key.to_vec());
            }
        })
    };
    let here = fresh();
    let id = here.store().erasures().unwrap().store_id;
    let scope = here.scope().to_owned();
    for key in [lineage_key(&scope), name_key(&digest_of_scope(&id, &scope))] {
        let before = state(&here);
        let refused = imported(&here, &with_key(key)).unwrap_err();
        assert!(refused.to_string().contains("forked of"), "{refused}");
        assert_eq!(state(&here), before);
    }
    // Another scope's is a key like any other, and says nothing there.
    imported(&here, &with_key(lineage_key("other"))).unwrap();
    assert_eq!(here.store().lineage("other").unwrap(), None);
}
