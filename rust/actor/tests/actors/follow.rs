//! An actor followed from commit to commit, by one that keeps up and by one that doesn't.

use treering_actor::messages::MemoryEntry;
use treering_actor::stores::Keep;
use treering_actor::stores::chats::{self, ChatKind};
use treering_actor::stores::memory::{self, MemoryKind};
use treering_actor::stores::user_config::UserConfigKind;
use treering_actor::{ActorError, Following, Kind};
use treering_store::{Change, Commit, EraseOptions, Expect, RefMove};

use crate::bench::Bench;

fn follow<K: Kind>(bench: &Bench, parts: &[&str]) -> Following<K> {
    Following::now(bench.reader(), bench.address::<K>(parts)).unwrap()
}

fn texts(following: &mut Following<ChatKind>) -> Vec<String> {
    let messages = following.look(|chat, blocks| chat.state.messages(blocks));
    let content = |(message, _): (treering_actor::messages::Message, _)| message.content;
    messages.unwrap().into_iter().map(content).collect()
}

/// What a conversation of which three are kept is after so many messages.
fn last_three(count: u64) -> Vec<String> {
    (count.saturating_sub(2).max(1)..=count)
        .map(|number| number.to_string())
        .collect()
}

#[test]
fn each_state_comes_in_order_however_far_behind() {
    const COUNT: u64 = 600;
    let bench = Bench::new();
    bench.say("c", "1", 3);
    let (mut near, mut far) = (
        follow::<ChatKind>(&bench, &["c"]),
        follow::<ChatKind>(&bench.cold(), &["c"]),
    );
    for number in 2..=COUNT {
        bench.say("c", &number.to_string(), 3);
        assert!(near.advance().unwrap());
        assert_eq!(
            (near.version(), texts(&mut near)),
            (number, last_three(number))
        );
        assert!(!near.advance().unwrap());
    }
    let read = bench.store.counters().blocks_read;
    for number in 2..=COUNT {
        assert!(far.advance().unwrap());
        assert_eq!(
            (far.version(), texts(&mut far)),
            (number, last_three(number))
        );
    }
    assert!(!far.advance().unwrap());
    // The event, three messages to look at, and a little to find the way back: not the log for each.
    let read = bench.store.counters().blocks_read - read;
    assert!(read <= 6 * COUNT, "{read} blocks for {COUNT} states");
}

#[test]
fn what_a_state_hangs_on_may_be_collected_meanwhile() {
    let bench = Bench::new();
    for number in 1..=20 {
        bench.say("c", &number.to_string(), 30);
    }
    let mut following = follow::<ChatKind>(&bench.cold(), &["c"]);
    for number in 21..=60 {
        bench.say("c", &number.to_string(), 30);
    }
    bench.gc();
    for number in 20..=60_u64 {
        let expected: Vec<String> = (number.saturating_sub(29).max(1)..=number)
            .map(|number| number.to_string())
            .collect();
        assert_eq!(
            (following.version(), texts(&mut following)),
            (number, expected)
        );
        assert_eq!(following.advance().unwrap(), number < 60);
    }
}

#[test]
fn what_one_commit_did_is_seen_whole() {
    let bench = Bench::new();
    let entries = |numbers: std::ops::Range<u32>| -> Vec<MemoryEntry> {
        numbers
            .map(|number| MemoryEntry {
                id: format!("{number:012x}"),
                content: format!("entry {number}"),
                ..MemoryEntry::default()
            })
            .collect()
    };
    let mut following = follow::<MemoryKind>(&bench, &[]);
    // Three hundred events are more than what is read at once.
    let saved = [(0..1), (0..4), (2..3), (300..650), (700..701)];
    for numbers in saved.clone() {
        let verb = memory::save(&bench.stores, entries(numbers), 1000).unwrap();
        bench.run::<MemoryKind>(verb);
    }
    let mut seen = Vec::new();
    while following.advance().unwrap() {
        let count = following.look(|memory, _| Ok(memory.state.entries.len()));
        seen.push((following.version(), count.unwrap()));
    }
    // One added; three; three removed; one removed and 350 added; 350 removed and one added.
    assert_eq!(seen, [(1, 1), (4, 4), (7, 1), (358, 350), (709, 1)]);
}

#[test]
fn who_is_behind_a_deletion_or_a_trim_goes_on_where_the_log_begins() {
    let bench = Bench::new();
    for number in 1..=5 {
        bench.say("c", &number.to_string(), 9);
        bench.configure(&format!("model {number}"));
    }
    let mut chat = follow::<ChatKind>(&bench, &["c"]);
    let mut config = follow::<UserConfigKind>(&bench, &[]);
    for number in 6..=8 {
        bench.say("c", &number.to_string(), 9);
        bench.configure(&format!("model {number}"));
    }
    bench.run::<ChatKind>(chats::delete(&bench.stores, "c").unwrap());
    bench.say("c", "again", 9);
    bench.run::<UserConfigKind>(
        bench
            .stores
            .trim::<UserConfigKind>(&[], Keep::From(8))
            .unwrap(),
    );
    bench.gc();
    let mut seen = Vec::new();
    while chat.advance().unwrap() {
        seen.push((chat.version(), texts(&mut chat)));
    }
    assert_eq!(seen, [(9, vec![]), (10, vec!["again".to_owned()])]);
    let mut seen = Vec::new();
    while config.advance().unwrap() {
        let model = config.look(|config, _| Ok(config.state.default_model.clone()));
        seen.push((config.version(), model.unwrap()));
    }
    assert_eq!(seen, [(7, "model 7".to_owned()), (8, "model 8".to_owned())]);
    // Who has what is kept is not told it again, and loses nothing that comes.
    bench.run::<UserConfigKind>(
        bench
            .stores
            .trim::<UserConfigKind>(&[], Keep::From(9))
            .unwrap(),
    );
    assert!(!config.advance().unwrap());
    bench.configure("later");
    assert!(config.advance().unwrap());
    assert_eq!(config.version(), 9);
    // After a version that is not kept: from the beginning that there is.
    let address = || bench.address::<UserConfigKind>(&[]);
    let mut late = Following::<UserConfigKind>::after(bench.reader(), address(), 3).unwrap();
    assert!(late.advance().unwrap());
    assert_eq!(late.version(), 8);
    assert!(late.advance().unwrap());
    assert!(!late.advance().unwrap());
    let error = Following::<UserConfigKind>::after(bench.reader(), address(), 10);
    assert!(matches!(error, Err(ActorError::NoSuchVersion { .. })));
}

#[test]
fn a_log_that_was_taken_back_is_followed_as_it_is_now() {
    let bench = Bench::new();
    let log = bench.address::<ChatKind>(&["c"]).log().clone();
    let mut earlier = None;
    for number in 1..=5 {
        bench.say("c", &number.to_string(), 500);
        if number == 3 {
            earlier = bench.store.read_ref(&log).unwrap();
        }
    }
    let mut following = follow::<ChatKind>(&bench, &["c"]);
    let back = RefMove {
        name: log,
        expect: Expect::Any,
        change: Change::Set {
            target: earlier.unwrap().target,
            record: Vec::new(),
        },
    };
    let commit = Commit {
        scope: "alice".into(),
        moves: vec![back],
        ..Commit::default()
    };
    bench.store.submit(commit).wait().unwrap();
    assert!(!following.advance().unwrap());
    for text in ["x", "y", "z"] {
        bench.say("c", text, 500);
    }
    assert!(following.advance().unwrap());
    assert_eq!(following.version(), 6);
    assert_eq!(texts(&mut following), ["1", "2", "3", "x", "y", "z"]);
}

#[test]
fn who_follows_an_actor_of_an_erased_scope_is_shown_what_is_there_then() {
    // Looked at while nothing is there, while less is there than before, and when more is.
    for looks in [[true, true], [false, true], [false, false]] {
        let bench = Bench::new();
        for number in 1..=5 {
            bench.say("c", &format!("old {number}"), 3);
        }
        let mut chat = follow::<ChatKind>(&bench, &["c"]);
        let scope = bench.address::<ChatKind>(&["c"]).log().scope().to_owned();
        bench.store.erase(&scope, &EraseOptions::default()).unwrap();
        let mut seen = Vec::new();
        let mut look = |chat: &mut Following<ChatKind>, wanted: bool| {
            while wanted && chat.advance().unwrap() {
                seen.push((chat.version(), texts(chat)));
            }
        };
        look(&mut chat, looks[0]);
        bench.say("c", "1", 3);
        bench.say("c", "2", 3);
        look(&mut chat, looks[1]);
        for number in 3..=7 {
            bench.say("c", &number.to_string(), 3);
        }
        look(&mut chat, true);
        bench.say("c", "8", 3);
        look(&mut chat, true);
        let first = match looks {
            [true, _] => 0,
            [_, true] => 2,
            _ => 7,
        };
        let expected: Vec<_> = (first..=8)
            .map(|version| {
                (
                    version,
                    if version == 0 {
                        vec![]
                    } else {
                        last_three(version)
                    },
                )
            })
            .collect();
        assert_eq!(seen, expected, "{looks:?}");
    }
}
