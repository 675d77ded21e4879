//! Replay from any snapshot is replay from the beginning is the live state, for every store; and what commands cost.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed expectation is to stop the test"
)]

use std::sync::Arc;

use proptest::prelude::*;
use treering_actor::messages::{AgentGroup, Conversation, MemoryEntry, Message, UserConfig};
use treering_actor::stores::{
    self, Options, Stores, Verb, agents, chats, memory, participants, sources, user_config,
};
use treering_actor::{Answer, Dispatcher, Kind, Reader};
use treering_store::{Durability, MemoryStore, Store};

struct Bench {
    store: Arc<dyn Store>,
    stores: Stores,
}

fn bench() -> Bench {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let stores = Stores::new(
        Dispatcher::new(Arc::clone(&store)),
        "alice",
        Durability::Relaxed,
    )
    .unwrap();
    Bench { store, stores }
}

impl Bench {
    fn run<K: Kind>(&self, verb: Verb) -> Answer<K> {
        self.stores
            .submit::<K>(verb, Options::default())
            .unwrap()
            .wait()
            .unwrap()
    }

    fn reader(&self) -> Reader {
        self.stores.reader()
    }

    /// A second look at the store, with nothing folded before.
    fn cold(&self) -> Stores {
        Stores::new(
            Dispatcher::new(Arc::clone(&self.store)),
            "alice",
            Durability::Relaxed,
        )
        .unwrap()
    }
}

#[test]
fn a_configuration_is_saved_updated_and_seen_as_it_was() {
    let bench = bench();
    let defaults = user_config::Defaults::default();
    let address = bench
        .stores
        .address::<user_config::UserConfigKind>(&[])
        .unwrap();
    assert_eq!(
        bench
            .reader()
            .now::<user_config::UserConfigKind>(&address)
            .unwrap()
            .place
            .version,
        0
    );
    let config = UserConfig {
        default_model: "large".into(),
        preferred_llm_route: " gateway ".into(),
        runtime_mode: " REMOTE".into(),
        remote_runtime_base_url: "https://x.example/".into(),
        ..UserConfig::default()
    };
    let saved = user_config::save(&bench.stores, &defaults, config.clone()).unwrap();
    let answer = bench.run::<user_config::UserConfigKind>(saved);
    assert_eq!((answer.receipt.version, answer.receipt.changed), (1, true));
    let state = &answer.after.unwrap().state;
    assert_eq!(state.preferred_llm_route, "");
    assert_eq!(
        (
            state.runtime_mode.as_str(),
            state.remote_runtime_base_url.as_str()
        ),
        ("remote", "https://x.example")
    );
    assert_eq!(
        state.local_runtime_base_url,
        user_config::LOCAL_RUNTIME_BASE_URL
    );
    let again = user_config::save(&bench.stores, &defaults, config).unwrap();
    let answer = bench.run::<user_config::UserConfigKind>(again);
    assert_eq!((answer.receipt.version, answer.receipt.changed), (1, false));
    for number in 0..40 {
        let fields = treering_actor::messages::UserConfigUpdated {
            default_model: Some(format!("model {number}")),
            ..Default::default()
        };
        let updated = user_config::update(&bench.stores, &defaults, fields).unwrap();
        assert_eq!(
            bench
                .run::<user_config::UserConfigKind>(updated)
                .receipt
                .version,
            number + 2
        );
    }
    let reader = bench.cold().reader();
    for version in 2..=41_u64 {
        let was = reader
            .at::<user_config::UserConfigKind>(&address, version)
            .unwrap();
        assert_eq!(was.state.default_model, format!("model {}", version - 2));
        assert_eq!(was.state.runtime_mode, "remote");
    }
    assert_eq!(
        reader
            .verify::<user_config::UserConfigKind>(&address)
            .unwrap(),
        41
    );
    let events = reader
        .events::<user_config::UserConfigKind>(&address, 3, Some(5))
        .unwrap();
    assert_eq!(
        events
            .iter()
            .map(|(_, event)| event.version)
            .collect::<Vec<_>>(),
        [3, 4, 5]
    );
}

#[test]
fn activation_reads_few_blocks() {
    let bench = bench();
    for number in 0..100 {
        bench.run::<agents::AgentsKind>(
            agents::add(&bench.stores, "worker", &format!("id {number}")).unwrap(),
        );
    }
    let reads = |store: &dyn Store| store.counters().blocks_read;
    let cold = bench.cold();
    let before = reads(&*bench.store);
    let address = cold.address::<agents::AgentsKind>(&[]).unwrap();
    let loaded = cold.reader().now::<agents::AgentsKind>(&address).unwrap();
    assert_eq!(loaded.place.version, 100);
    let spent = reads(&*bench.store) - before;
    assert!((1..=20).contains(&spent), "{spent} blocks");
    let groups = stores::look(&*bench.store, |blocks| loaded.state.groups(blocks)).unwrap();
    let ids: Vec<String> = (0..100).map(|number| format!("id {number}")).collect();
    assert_eq!(
        groups,
        [AgentGroup {
            agent_type: "worker".into(),
            actor_ids: ids
        }]
    );
}

fn said(text: &str) -> (Message, Vec<treering_block::Cid>) {
    let message = Message {
        role: "user".into(),
        content: text.into(),
        ..Message::default()
    };
    (message, Vec::new())
}

#[test]
fn a_chat_keeps_its_newest_messages_and_is_gone_when_deleted() {
    let bench = bench();
    let texts = |bench: &Bench| -> Vec<String> {
        let address = bench.stores.address::<chats::ChatKind>(&["c"]).unwrap();
        let chat = bench
            .cold()
            .reader()
            .now::<chats::ChatKind>(&address)
            .unwrap();
        let messages = stores::look(&*bench.store, |blocks| chat.state.messages(blocks)).unwrap();
        messages
            .into_iter()
            .map(|(message, _)| message.content)
            .collect()
    };
    for number in 0..40 {
        let verb = chats::append(&bench.stores, "c", &[said(&format!("{number}"))], 30).unwrap();
        let receipt = bench.run::<chats::ChatKind>(verb).receipt;
        assert_eq!(receipt.dropped, u64::from(number >= 30));
        let first = (number + 1_u32).saturating_sub(30);
        assert_eq!(
            texts(&bench),
            (first..=number).map(|n| n.to_string()).collect::<Vec<_>>()
        );
    }
    let many: Vec<_> = (0..35).map(|number| said(&format!("m{number}"))).collect();
    let receipt = bench
        .run::<chats::ChatKind>(chats::append(&bench.stores, "c", &many, 30).unwrap())
        .receipt;
    assert_eq!(receipt.dropped, 35);
    assert_eq!(
        texts(&bench),
        (5..35).map(|n| format!("m{n}")).collect::<Vec<_>>()
    );
    let meta = Conversation {
        title: "secret".into(),
        ..Conversation::default()
    };
    let receipt = bench
        .run::<chats::ChatKind>(chats::save(&bench.stores, "c", meta, &many, 30).unwrap())
        .receipt;
    assert_eq!((receipt.dropped, receipt.version), (5, 42));
    let list = bench.stores.address::<chats::ChatIndexKind>(&[]).unwrap();
    let rows = |bench: &Bench| {
        let index = bench
            .cold()
            .reader()
            .now::<chats::ChatIndexKind>(&list)
            .unwrap();
        stores::look(&*bench.store, |blocks| index.state.conversations(blocks)).unwrap()
    };
    assert_eq!(rows(&bench)[0].title, "secret");
    let receipt = bench
        .run::<chats::ChatKind>(chats::delete(&bench.stores, "c").unwrap())
        .receipt;
    assert_eq!((receipt.version, receipt.changed), (43, true));
    assert!(texts(&bench).is_empty() && rows(&bench).is_empty());
    bench.store.gc(&Default::default()).unwrap();
    let mut after = 0;
    for block in bench.store.blocks(0, usize::MAX).unwrap() {
        after += 1;
        let bytes = bench.store.get(&block.cid).unwrap();
        for secret in [&b"secret"[..], b"m34"] {
            assert!(
                !bytes.windows(secret.len()).any(|part| part == secret),
                "{}",
                block.cid
            );
        }
    }
    assert!(after > 0);
    // It goes on where it was.
    let receipt = bench
        .run::<chats::ChatKind>(chats::append(&bench.stores, "c", &[said("anew")], 30).unwrap())
        .receipt;
    assert_eq!(receipt.version, 44);
    assert_eq!(texts(&bench), ["anew"]);
    let receipt = bench
        .run::<chats::ChatKind>(chats::delete(&bench.stores, "never").unwrap())
        .receipt;
    assert_eq!((receipt.version, receipt.changed), (0, false));
}

/// What may be asked of the registry, the rooms and the memory; small numbers, so that they meet.
#[derive(Clone, Debug)]
enum Ask {
    AddAgent(u8, u8),
    RemoveAgent(u8, u8),
    Join(u8, u8),
    Leave(u8, u8),
    Close(u8),
    Remember(u8, u8),
    Forget(u8),
    Upload(u8, u8),
}

fn ask() -> impl Strategy<Value = Ask> {
    let (a, b) = (0..4_u8, 0..6_u8);
    prop_oneof![
        (a.clone(), b.clone()).prop_map(|(a, b)| Ask::AddAgent(a, b)),
        (a.clone(), b.clone()).prop_map(|(a, b)| Ask::RemoveAgent(a, b)),
        (a.clone(), b.clone()).prop_map(|(a, b)| Ask::Join(a, b)),
        (a.clone(), b.clone()).prop_map(|(a, b)| Ask::Leave(a, b)),
        a.clone().prop_map(Ask::Close),
        (a.clone(), b.clone()).prop_map(|(a, b)| Ask::Remember(a, b)),
        b.clone().prop_map(Ask::Forget),
        (a, b).prop_map(|(a, b)| Ask::Upload(a, b)),
    ]
}

#[derive(Default)]
struct Model {
    groups: Vec<AgentGroup>,
    rooms: Vec<(String, Vec<String>)>,
    memory: Vec<(String, String)>,
    workflows: std::collections::BTreeMap<String, String>,
}

const CAP: u32 = 5;

impl Model {
    fn ask(&mut self, ask: &Ask, id: &str) {
        match ask {
            Ask::AddAgent(kind, actor) => {
                let (kind, actor) = (kind.to_string(), actor.to_string());
                match self
                    .groups
                    .iter_mut()
                    .find(|group| group.agent_type == kind)
                {
                    Some(group) if group.actor_ids.contains(&actor) => {}
                    Some(group) => group.actor_ids.push(actor),
                    None => self.groups.push(AgentGroup {
                        agent_type: kind,
                        actor_ids: vec![actor],
                    }),
                }
            }
            Ask::RemoveAgent(kind, actor) => {
                for group in &mut self.groups {
                    if group.agent_type == kind.to_string() {
                        group.actor_ids.retain(|id| *id != actor.to_string());
                    }
                }
                self.groups.retain(|group| !group.actor_ids.is_empty());
            }
            Ask::Join(room, agent) => {
                let (room, agent) = (room.to_string(), agent.to_string());
                if !self.rooms.iter().any(|(id, _)| *id == room) {
                    self.rooms.push((room.clone(), Vec::new()));
                }
                for (id, agents) in &mut self.rooms {
                    if *id == room {
                        agents.retain(|other| *other != agent);
                        agents.push(agent.clone());
                    }
                }
            }
            Ask::Leave(room, agent) => {
                for (id, agents) in &mut self.rooms {
                    if *id == room.to_string() {
                        agents.retain(|other| *other != agent.to_string());
                    }
                }
            }
            Ask::Close(room) => self.rooms.retain(|(id, _)| *id != room.to_string()),
            Ask::Remember(category, content) => {
                let category = format!("c{category}");
                let entry = (id.to_owned(), format!("{category} {content}"));
                self.memory.push(entry);
                if self.memory.len() > CAP as usize {
                    let others = &self.memory[..self.memory.len() - 1];
                    let mine = others
                        .iter()
                        .position(|(_, text)| text.starts_with(&format!("{category} ")));
                    self.memory.remove(mine.unwrap_or(0));
                }
            }
            Ask::Forget(place) => {
                if usize::from(*place) < self.memory.len() {
                    self.memory.remove(usize::from(*place));
                }
            }
            Ask::Upload(id, text) => {
                self.workflows.insert(id.to_string(), text.to_string());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn stores_do_what_plain_lists_do(asks in prop::collection::vec(ask(), 1..120)) {
        let bench = bench();
        let mut model = Model::default();
        let s = &bench.stores;
        for ask in &asks {
            let id = memory::new_id();
            match ask {
                Ask::AddAgent(a, b) => drop(bench.run::<agents::AgentsKind>(agents::add(s, &a.to_string(), &b.to_string()).unwrap())),
                Ask::RemoveAgent(a, b) => drop(bench.run::<agents::AgentsKind>(agents::remove(s, &a.to_string(), &b.to_string()).unwrap())),
                Ask::Join(a, b) => drop(bench.run::<participants::ParticipantsKind>(participants::add(s, &a.to_string(), &b.to_string(), "").unwrap())),
                Ask::Leave(a, b) => drop(bench.run::<participants::ParticipantsKind>(participants::remove(s, &a.to_string(), &b.to_string()).unwrap())),
                Ask::Close(a) => drop(bench.run::<participants::ParticipantsKind>(participants::remove_room(s, &a.to_string()).unwrap())),
                Ask::Remember(a, b) => {
                    let entry = MemoryEntry { id: id.clone(), category: format!("c{a}"), content: format!("c{a} {b}"), ..MemoryEntry::default() };
                    drop(bench.run::<memory::MemoryKind>(memory::add(s, entry, CAP).unwrap()));
                }
                Ask::Forget(place) => {
                    let id = model.memory.get(usize::from(*place)).map_or("none", |(id, _)| id).to_owned();
                    drop(bench.run::<memory::MemoryKind>(memory::remove(s, &id, place % 3 == 0).unwrap()));
                }
                Ask::Upload(a, b) => drop(bench.run::<sources::WorkflowsKind>(sources::upload_workflow(s, &a.to_string(), "", &b.to_string(), 1).unwrap())),
            }
            model.ask(ask, &id);
        }
        // Live, from the newest snapshot, and from the beginning.
        for round in 0..3 {
            let stores = if round == 0 { bench.stores.clone() } else { bench.cold() };
            let reader = stores.reader();
            if round == 2 {
                reader.rebuild::<agents::AgentsKind>(&stores.address::<agents::AgentsKind>(&[]).unwrap(), Durability::Relaxed).unwrap();
                reader.rebuild::<participants::ParticipantsKind>(&stores.address::<participants::ParticipantsKind>(&[]).unwrap(), Durability::Relaxed).unwrap();
                reader.rebuild::<memory::MemoryKind>(&stores.address::<memory::MemoryKind>(&[]).unwrap(), Durability::Relaxed).unwrap();
            }
            let registry = reader.now::<agents::AgentsKind>(&stores.address::<agents::AgentsKind>(&[]).unwrap()).unwrap();
            let groups = stores::look(&*bench.store, |blocks| registry.state.groups(blocks)).unwrap();
            prop_assert_eq!(&groups, &model.groups);
            let rooms = reader.now::<participants::ParticipantsKind>(&stores.address::<participants::ParticipantsKind>(&[]).unwrap()).unwrap();
            for room in 0..4 {
                let there = stores::look(&*bench.store, |blocks| rooms.state.participants(&room.to_string(), blocks)).unwrap();
                let there: Vec<String> = there.into_iter().map(|one| one.agent_id).collect();
                let wanted = model.rooms.iter().find(|(id, _)| *id == room.to_string());
                prop_assert_eq!(there, wanted.map(|(_, agents)| agents.clone()).unwrap_or_default());
            }
            let kept = reader.now::<memory::MemoryKind>(&stores.address::<memory::MemoryKind>(&[]).unwrap()).unwrap();
            let kept: Vec<String> = kept.state.entries.iter().map(|entry| entry.content.clone()).collect();
            prop_assert_eq!(kept, model.memory.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>());
            let workflows = reader.now::<sources::WorkflowsKind>(&stores.address::<sources::WorkflowsKind>(&[]).unwrap()).unwrap();
            let all: Vec<treering_actor::messages::Workflow> = stores::look(&*bench.store, |blocks| workflows.state.all(blocks)).unwrap();
            let all: std::collections::BTreeMap<_, _> = all.into_iter().map(|one| (one.id, one.yaml)).collect();
            prop_assert_eq!(&all, &model.workflows);
            reader.verify::<agents::AgentsKind>(&stores.address::<agents::AgentsKind>(&[]).unwrap()).unwrap();
            reader.verify::<participants::ParticipantsKind>(&stores.address::<participants::ParticipantsKind>(&[]).unwrap()).unwrap();
            reader.verify::<memory::MemoryKind>(&stores.address::<memory::MemoryKind>(&[]).unwrap()).unwrap();
            reader.verify::<sources::WorkflowsKind>(&stores.address::<sources::WorkflowsKind>(&[]).unwrap()).unwrap();
        }
        prop_assert!(bench.store.verify(None).unwrap().findings.is_empty());
    }
}
