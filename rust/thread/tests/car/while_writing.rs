//! An export while others write is the state of one moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const EXPORTS: usize = 12;

/// Two threads that are paused and resumed in turn, each time under a command id, which moves a ref and
/// leaves a receipt, and a third that comes and goes.
struct Busy {
    threads: Threads,
    pair: [Thread; 2],
    turns: u64,
}

impl Busy {
    fn turn(&mut self) {
        for thread in &self.pair {
            let id = format!("turn {}", self.turns);
            let pending = if self.turns.is_multiple_of(2) {
                thread.pause(Some(&id))
            } else {
                thread.resume(Some(&id))
            };
            pending.unwrap().wait().unwrap();
        }
        let brief = begun(&self.threads, "brief");
        brief.rm(false, None).unwrap().wait().unwrap();
        self.turns += 1;
    }
}

/// What a file says of the pair: the versions of their refs, and how many receipts there are.
fn said(bytes: &[u8], pair: &[Thread; 2]) -> (u64, u64, u64) {
    let (_, sections) = taken_apart(bytes);
    let mut versions = [0; 2];
    let mut receipts = 0;
    for (cid, bytes) in &sections {
        if cid.codec() == Codec::Raw {
            continue;
        }
        let Ok(Ipld::Map(map)) = cbor::decode(bytes) else {
            continue;
        };
        if map.get("kind") != Some(&Ipld::String("export-page".into())) {
            continue;
        }
        if let Some(Ipld::List(all)) = map.get("receipts") {
            receipts += all.len() as u64;
        }
        let Some(Ipld::List(entries)) = map.get("threads") else {
            continue;
        };
        for entry in entries {
            let Ipld::Map(entry) = entry else { panic!() };
            for (version, thread) in versions.iter_mut().zip(pair) {
                if entry["id"] == Ipld::String(thread.id().into()) {
                    let Ipld::Integer(found) = entry["version"] else {
                        panic!()
                    };
                    *version = u64::try_from(found).unwrap();
                }
            }
        }
    }
    (versions[0], versions[1], receipts)
}

#[test]
fn what_is_exported_was_true_at_one_moment() {
    let there = fresh();
    let pair = [begun(&there, "a"), begun(&there, "b")];
    let mut busy = Busy {
        threads: there.clone(),
        pair: pair.clone(),
        turns: 0,
    };
    // So many that they are not read at once.
    for _ in 0..1500 {
        busy.turn();
    }
    let stop = AtomicBool::new(false);
    let mut seen = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                busy.turn();
            }
        });
        for _ in 0..EXPORTS {
            let (_, bytes) = exported(&there, None);
            seen.push(said(&bytes, &pair));
        }
        stop.store(true, Ordering::Relaxed);
    });
    for (a, b, receipts) in &seen {
        assert!(a - b <= 1, "the first moves before the second: {a} {b}");
        assert_eq!(
            a - 1 + b - 1,
            *receipts,
            "a command without its receipt, or the reverse"
        );
    }
    assert!(seen.windows(2).all(|pair| pair[0] <= pair[1]));
    assert!(seen.last() > seen.first(), "nobody wrote meanwhile");
    let (_, bytes) = exported(&there, None);
    let here = fresh();
    assert_eq!(
        imported(&here, &bytes).unwrap().new_receipts,
        said(&bytes, &pair).2
    );
    assert_eq!(everything(&here), everything(&there));
    assert_sound(&here);
}
