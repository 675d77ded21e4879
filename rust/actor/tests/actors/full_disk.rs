//! A full disk: what deletes a conversation goes on, and gives room back.

use std::sync::Arc;

use treering_actor::stores::Options;
use treering_actor::stores::chats::{self, ChatKind};
use treering_actor::{ActorError, Answer};
use treering_store::faults::SmallDisk;
use treering_store::{Disk, EmbeddedStore, OpenOptions, StoreError};

use crate::bench::{Bench, said};

const MIB: u64 = 1 << 20;

fn is_full<T>(answer: &Result<T, ActorError>) -> bool {
    matches!(answer, Err(ActorError::Store(StoreError::DiskFull)))
}

fn say(bench: &Bench, chat: &str, bytes: usize) -> Result<Answer<ChatKind>, ActorError> {
    // Long enough for nothing to be written shorter.
    let text: String = (0..bytes)
        .map(|place| char::from(b'a' + u8::try_from(place % 26).unwrap()))
        .collect();
    let verb = chats::append(&bench.stores, chat, &[said(&text)], 500).unwrap();
    bench.ask(verb, Options::default())
}

/// Ever smaller messages, until the smallest is refused.
fn fill(bench: &Bench, chat: &str) {
    for bytes in [300_000, 20_000, 1000, 10] {
        let full = (0..2000).any(|_| match say(bench, chat, bytes) {
            answer if is_full(&answer) => true,
            answer => {
                answer.unwrap();
                false
            }
        });
        assert!(full, "the disk is never full");
    }
}

#[test]
fn a_conversation_is_deleted_on_a_full_disk() {
    delete_on_a_full_disk(None);
}

/// What a deletion writes is not more by what is kept of a history.
#[test]
fn a_conversation_whose_history_ends_is_deleted_on_a_full_disk() {
    delete_on_a_full_disk(Some(100));
}

fn delete_on_a_full_disk(history_events: Option<u64>) {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(SmallDisk::new(root.path(), 40 * MIB, 16 * MIB).unwrap());
    let options = OpenOptions {
        reserve_bytes: 16 * MIB,
        disk: Disk::behind(Arc::clone(&disk) as _),
        ..OpenOptions::default()
    };
    let store = EmbeddedStore::open(root.path().join("store"), &options).unwrap();
    let plain = Bench::over(Arc::new(store));
    let bench = history_events.map_or_else(|| plain.cold(), |events| plain.keeping(events));
    for chat in ["other", "large"] {
        say(&bench, chat, 100).unwrap();
    }
    fill(&bench, "large");
    let rest = usize::try_from(disk.free()).unwrap();
    std::fs::write(root.path().join("ballast"), vec![1; rest]).unwrap();
    fill(&bench, "large");
    assert_eq!(disk.free(), 0);
    // What takes room is refused, and so is what only rewrites.
    assert!(is_full(&say(&bench, "other", 10)));
    let deleted = bench.ask::<ChatKind>(
        chats::delete(&bench.stores, "large").unwrap(),
        Options::default(),
    );
    assert!(deleted.unwrap().receipt.changed);
    assert_eq!(bench.texts(&bench.now::<ChatKind>(&["large"])).len(), 0);
    assert_eq!(bench.texts(&bench.now::<ChatKind>(&["other"])).len(), 1);
    // What was reserved is for deletions: all else waits for the collection.
    assert!(is_full(&say(&bench, "other", 10)));
    bench.gc();
    assert!(disk.free() > 10 * MIB, "{} bytes", disk.free());
    say(&bench, "other", 300_000).unwrap();
    assert_eq!(bench.store.verify(None).unwrap().findings, []);
}
