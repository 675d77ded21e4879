//! Any threads, exported in any choice, into a store that has any part of them: the same threads, walk for walk.

use proptest::prelude::*;
use treering_thread::{ForkArgs, ForkAt};

use super::*;

/// One thing that happens to a scope; the numbers choose among what is there.
#[derive(Clone, Debug)]
enum Event {
    Start {
        key: bool,
        command: bool,
    },
    Append {
        thread: usize,
        words: usize,
        file: usize,
        command: bool,
    },
    Fork {
        thread: usize,
        at: usize,
    },
    Finish {
        thread: usize,
    },
    Fail {
        thread: usize,
    },
    Cancel {
        thread: usize,
    },
    Link {
        thread: usize,
        to: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let n = 0..1000_usize;
    prop_oneof![
        1 => any::<(bool, bool)>().prop_map(|(key, command)| Event::Start { key, command }),
        5 => (n.clone(), 0..3000_usize, prop_oneof![Just(0), 1..2000_usize, 262_100..262_200_usize], any::<bool>())
            .prop_map(|(thread, words, file, command)| Event::Append { thread, words, file, command }),
        2 => (n.clone(), n.clone()).prop_map(|(thread, at)| Event::Fork { thread, at }),
        1 => n.clone().prop_map(|thread| Event::Finish { thread }),
        1 => n.clone().prop_map(|thread| Event::Fail { thread }),
        1 => n.clone().prop_map(|thread| Event::Cancel { thread }),
        1 => (n.clone(), n).prop_map(|(thread, to)| Event::Link { thread, to }),
    ]
}

/// Lives through the events; what a thread's status forbids does not happen.
fn live(threads: &Threads, events: &[Event]) -> Vec<String> {
    let mut all: Vec<Thread> = vec![begun(threads, "first")];
    for (number, event) in events.iter().enumerate() {
        let id = format!("command {number}");
        let pick = |thread: &usize| all[thread % all.len()].clone();
        match event {
            Event::Start { key, command } => {
                let args = StartArgs {
                    key: key.then(|| format!("key {number}")),
                    command_id: command.then_some(id),
                    ..StartArgs::new("w")
                };
                all.push(threads.start(args).unwrap().wait().unwrap());
            }
            Event::Append {
                thread,
                words,
                file,
                command,
            } => {
                let text = format!("{number} {}", "word ".repeat(*words));
                let step = StepArgs {
                    artifacts: (*file > 0)
                        .then(|| ("f".to_owned(), vec![number as u8; *file]))
                        .into_iter()
                        .collect(),
                    command_id: command.then_some(id),
                    ..StepArgs::new("a", text.as_str())
                };
                let _ = pick(thread).append(step).map(|pending| pending.wait());
            }
            Event::Fork { thread, at } => {
                let source = pick(thread);
                let info = source.info();
                let last = info.steps - u64::from(info.return_code.is_some());
                let at = ForkAt::Step(*at as u64 % (last + 1));
                all.push(
                    source
                        .fork(at, ForkArgs::default())
                        .unwrap()
                        .wait()
                        .unwrap(),
                );
            }
            Event::Finish { thread } => {
                let _ = pick(thread)
                    .finish(0, "end", Some(&id))
                    .map(|pending| pending.wait());
            }
            Event::Fail { thread } => {
                let _ = pick(thread)
                    .fail("why", Some(&id))
                    .map(|pending| pending.wait());
            }
            Event::Cancel { thread } => {
                let _ = pick(thread)
                    .cancel("no", Some(&id))
                    .map(|pending| pending.wait());
            }
            Event::Link { thread, to } => {
                let step = StepArgs {
                    links: vec![pick(to).head()],
                    child_thread: Some(pick(to).head()),
                    ..StepArgs::new("a", "see")
                };
                let _ = pick(thread).append(step).map(|pending| pending.wait());
            }
        }
    }
    let mut ids: Vec<String> = all.iter().map(|thread| thread.id().to_owned()).collect();
    ids.sort();
    ids
}

/// Those of the ids that the bits choose, at least one.
fn some(ids: &[String], bits: u64) -> Vec<String> {
    let chosen = (0..).zip(ids).filter(|(n, _)| bits >> (n % 64) & 1 == 1);
    let mut chosen: Vec<String> = chosen.map(|(_, id)| id.clone()).collect();
    if chosen.is_empty() {
        chosen.push(ids[0].clone());
    }
    chosen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn into_nothing_and_into_a_part(
        events in prop::collection::vec(event(), 0..40),
        before in any::<u64>(),
        bits in any::<u64>(),
        shuffle in any::<u64>(),
    ) {
        let there = fresh();
        let ids = live(&there, &events);
        assert_sound(&there);
        let chosen = some(&ids, bits);
        let (out, bytes) = exported(&there, Some(&chosen));
        prop_assert_eq!(&out.threads, &chosen);

        // Blocks in any order.
        let (roots, mut sections) = taken_apart(&bytes);
        sections.sort_by_key(|(cid, _)| blake3::keyed_hash(blake3::hash(&shuffle.to_le_bytes()).as_bytes(), cid.digest()).to_hex());
        let here = fresh();
        let report = imported(&here, &put_together(&roots, &sections)).unwrap();
        prop_assert_eq!(&report.threads, &chosen);
        prop_assert_eq!(report.new_blocks, out.blocks);
        prop_assert_eq!(report.new_receipts, out.receipts);
        for id in &chosen {
            prop_assert_eq!(told(&here, id), told(&there, id));
        }
        assert_sound(&here);

        // A part first, then the whole: nothing twice, nothing lost.
        let part = fresh();
        let (_, first) = exported(&there, Some(&some(&ids, before)));
        let one = imported(&part, &first).unwrap();
        let (whole, all) = exported(&there, None);
        let two = imported(&part, &all).unwrap();
        prop_assert_eq!(one.new_blocks + two.new_blocks, whole.blocks);
        prop_assert_eq!(one.threads.len() + two.threads.len(), ids.len());
        prop_assert_eq!(one.new_receipts + two.new_receipts, whole.receipts);
        prop_assert_eq!(everything(&part), everything(&there));
        assert_sound(&part);
        let before = state(&part);
        prop_assert_eq!(imported(&part, &all).unwrap().there, ids);
        prop_assert_eq!(state(&part), before);
    }
}
