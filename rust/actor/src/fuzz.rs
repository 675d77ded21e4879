//! What stands in logs, snapshots and receipts, on inputs that somebody made to break it: what reads is written back to
//! the same bytes where there is one form, and takes memory for its own length alone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use treering_block::node::{
    BaseNode, Entry, EventNode, ItemNode, SnapshotNode, TombstoneNode, Typed,
};
use treering_block::{Cid, Encoded, Ipld};
use treering_fuzz::Fuzz;

use crate::kind::{Event, Kind, State, Unreadable};
use crate::messages::{
    AgentAdded, AgentsState, ChatAppended, ChatReplaced, ChatState, Connector, ConnectorDraft,
    ConnectorsSaved, ConnectorsState, Conversation, Encoding, FileInfo, FilePut, FilesState,
    HttpConnector, Link, MemoryEntry, MemoryEntryAdded, MemoryState, Name, Participant,
    ParticipantAdded, ParticipantsState, RetentionPolicy, RetentionPolicySet, Role, RolesSaved,
    RolesState, TextOrSecret, UserConfig, UserConfigSaved,
};
use crate::receipt::{self, Receipt};
use crate::stores::agents::AgentsKind;
use crate::stores::chats::ChatKind;
use crate::stores::connectors::ConnectorsKind;
use crate::stores::files::FilesKind;
use crate::stores::memory::MemoryKind;
use crate::stores::participants::ParticipantsKind;
use crate::stores::retention::RetentionKind;
use crate::stores::roles::RolesKind;
use crate::stores::user_config::UserConfigKind;

fn typed() -> Typed {
    Typed {
        type_name: UserConfigSaved::full_name(),
        schema: 1,
        message: b"\x0a\x07\x0a\x05large".to_vec(),
        links: vec![Cid::of_node(b"link"), Cid::of_node(b"other")],
    }
}

fn event() -> EventNode {
    EventNode {
        version: 8,
        base: 2,
        parent: Some(Cid::of_node(b"parent")),
        jump: Some(Cid::of_node(b"jump")),
        event_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
        at_ms: -1,
        command_id: Some("command".into()),
        causation_id: Some("cause".into()),
        principal: Some("é".into()),
        typed: typed(),
    }
}

/// A message of a user's own type, with a link in it.
fn own() -> Typed {
    let link = Ipld::Link(Cid::of_node(b"link").into());
    let fields = [
        ("to".to_owned(), link),
        ("title".to_owned(), Ipld::String("é".into())),
    ];
    let fields = Encoded::from_ipld(&Ipld::Map(fields.into())).unwrap();
    Typed::of_fields("x.ticket.Opened".into(), 3, fields).unwrap()
}

const FIELDS: [&[u8]; 13] = [
    b"\x67version",
    b"\x64base",
    b"\x66parent",
    b"\x64jump",
    b"\x65links",
    b"\x65at_ms",
    b"\x67earlier",
    b"\x66schema",
    b"\x65event",
    b"\x69tombstone",
    b"\xd8\x2a\x58\x25\x00\x01\x71\x1e\x20",
    b"\x66fields",
    b"\x6fx.ticket.Opened",
];

#[test]
fn fuzz_entries() {
    let first = EventNode {
        version: 1,
        base: 0,
        parent: None,
        jump: None,
        ..event()
    };
    let base = BaseNode {
        version: 6,
        at_ms: Some(-1),
        state: Cid::of_node(b"state"),
        replaces: Cid::of_node(b"replaced").to_bytes().to_vec(),
    };
    let timeless = BaseNode {
        at_ms: None,
        ..base.clone()
    };
    let tombstone = TombstoneNode {
        version: u64::MAX,
        deleted_at_ms: i64::MIN,
    };
    let mine = EventNode {
        typed: own(),
        ..event()
    };
    Fuzz::new("fuzz_entries")
        .seeds([
            first.encode().unwrap().bytes.to_vec(),
            event().encode().unwrap().bytes.to_vec(),
            mine.encode().unwrap().bytes.to_vec(),
            base.encode().unwrap().bytes.to_vec(),
            timeless.encode().unwrap().bytes.to_vec(),
            tombstone.encode().unwrap().bytes.to_vec(),
        ])
        .tokens(&FIELDS)
        .run(
            |input| Entry::decode(&Cid::of_node(input), input),
            |input, entry| {
                let again = match entry {
                    Ok(Entry::Event(node)) => node.encode(),
                    Ok(Entry::Base(node)) => node.encode(),
                    Ok(Entry::Tombstone(node)) => node.encode(),
                    Err(_) => return,
                };
                assert_eq!(&*again.unwrap().bytes, input);
            },
        );
}

#[test]
fn fuzz_snapshots_and_items() {
    let snapshot = SnapshotNode {
        version: 16,
        entry: Cid::of_node(b"entry").to_bytes().to_vec(),
        fold: 2,
        earlier: None,
        typed: typed(),
    };
    let kept = SnapshotNode {
        earlier: Some(Cid::of_node(b"earlier")),
        ..snapshot.clone()
    };
    let mine = SnapshotNode {
        typed: own(),
        ..snapshot.clone()
    };
    Fuzz::new("fuzz_snapshots")
        .seeds([
            snapshot.encode().unwrap().bytes.to_vec(),
            kept.encode().unwrap().bytes.to_vec(),
            mine.encode().unwrap().bytes.to_vec(),
        ])
        .tokens(&FIELDS)
        .run(
            |input| SnapshotNode::decode(&Cid::of_node(input), input),
            |input, node| {
                if let Ok(node) = node {
                    assert_eq!(&*node.encode().unwrap().bytes, input);
                }
            },
        );
    let item = ItemNode { typed: typed() };
    Fuzz::new("fuzz_items")
        .seeds([item.encode().unwrap().bytes.to_vec()])
        .tokens(&FIELDS)
        .run(
            |input| ItemNode::decode(&Cid::of_node(input), input),
            |input, node| {
                if let Ok(node) = node {
                    assert_eq!(&*node.encode().unwrap().bytes, input);
                }
            },
        );
}

#[test]
fn fuzz_actor_receipts() {
    let one = Receipt {
        version: 7,
        changed: true,
        value: Some("0a1b".into()),
        dropped: 2,
        dropped_ids: vec!["x".into(); 2],
        warnings: vec!["w".into()],
        replayed: true,
    };
    let seeds = [
        vec![],
        vec![one.clone()],
        vec![Receipt::default(), one.clone()],
        vec![one; 200],
    ];
    let seeds = seeds.map(|receipts| receipt::encode(&receipts).unwrap());
    // As many small lists as there is room for.
    let mut dense = vec![0x99, 0x03, 0xe8];
    dense.extend([0x86, 0x00, 0xf4, 0xf6, 0x00, 0x80, 0x80].repeat(1000));
    Fuzz::new("fuzz_actor_receipts")
        .seeds(seeds.clone())
        .seeds([dense])
        .tokens(&[b"\x86\x00\xf4\xf6\x00\x80\x80", b"\xf6", b"\x80"])
        .run(
            |input| receipt::decode(input).ok_or("no receipts"),
            |input, receipts| {
                // What is over the limit of named ids is not written back.
                if let Ok(receipts) = receipts
                    && receipts
                        .iter()
                        .all(|one| one.dropped_ids.len() <= receipt::DROPPED_IDS_MAX)
                {
                    assert_eq!(receipt::encode(&receipts).unwrap(), input);
                }
            },
        );
    Fuzz::new("fuzz_joined_receipts")
        .seeds([receipt::join(&seeds[0], &seeds[2]).unwrap()])
        .run(
            |input| receipt::split(input).ok_or("no two parts"),
            |input, parts| {
                if let Ok((threads, actors)) = parts {
                    assert_eq!(receipt::join(&threads, &actors).unwrap(), input);
                }
            },
        );
}

struct Shown(Unreadable);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.0)
    }
}

fn fuzz_state<K: Kind>(name: &'static str, seeds: &[Vec<u8>]) {
    let links = [Cid::of_node(b"a"), Cid::of_node(b"b"), Cid::of_node(b"c")];
    Fuzz::new(name)
        .seeds(seeds.to_vec())
        .tokens(&[b"\x0a\x00", b"\x12\x00", b"\x08\xff\xff\xff\xff\x0f"])
        .cases(5_000)
        .run(
            |input| K::State::load(input, &links).map_err(Shown),
            |_, state| {
                if let Ok(state) = state {
                    assert!(state.weight() < 1 << 30);
                }
            },
        );
}

fn connector() -> Connector {
    let text = TextOrSecret {
        text: "é".into(),
        secret: None,
    };
    let http = HttpConnector {
        base_url: "https://a.example".into(),
        allowed_methods: vec!["GET".into()],
        default_headers: [("Accept".to_owned(), text)].into(),
        ..HttpConnector::default()
    };
    Connector {
        name: "x".into(),
        http: Some(Box::new(http)),
        ..Connector::default()
    }
}

fn role() -> Role {
    Role {
        id: "x".into(),
        connectors: vec!["a".into(), "b".into()],
        ..Role::default()
    }
}

fn places(count: u32) -> Vec<Link> {
    (0..count).map(|index| Link { index }).collect()
}

#[test]
fn fuzz_states() {
    let link = |index| Some(Link { index });
    let conversation = Conversation {
        id: "c".into(),
        title: "é".into(),
        message_count: 7,
        updated_at_ms: -1,
        ..Conversation::default()
    };
    fuzz_state::<AgentsKind>(
        "fuzz_agents",
        &[AgentsState {
            next_number: 9,
            places: link(0),
            order: link(1),
            types: link(2),
        }
        .encode_to_vec()],
    );
    fuzz_state::<ParticipantsKind>(
        "fuzz_rooms",
        &[ParticipantsState { rooms: link(0) }.encode_to_vec()],
    );
    fuzz_state::<FilesKind>(
        "fuzz_files",
        &[FilesState { files: link(0) }.encode_to_vec()],
    );
    let entry = MemoryEntry {
        id: "0123456789ab".into(),
        content: "content".into(),
        ..MemoryEntry::default()
    };
    let many = |entry: &MemoryEntry, count| MemoryState {
        entries: vec![entry.clone(); count],
    };
    fuzz_state::<MemoryKind>(
        "fuzz_memory",
        &[
            many(&entry, 2).encode_to_vec(),
            // As many as there is room for.
            many(&MemoryEntry::default(), 33_000).encode_to_vec(),
        ],
    );
    fuzz_state::<UserConfigKind>(
        "fuzz_config",
        &[UserConfig {
            default_model: "large".into(),
            max_tool_rounds: u32::MAX,
            ..UserConfig::default()
        }
        .encode_to_vec()],
    );
    fuzz_state::<RetentionKind>(
        "fuzz_retention",
        &[RetentionPolicy {
            keep: Some(0),
            younger_than_ms: Some(u64::MAX),
        }
        .encode_to_vec()],
    );
    let draft = ConnectorDraft {
        item: Some(Box::new(connector())),
        updated_at_ms: 1,
    };
    let catalog = |connectors| ConnectorsState {
        connectors,
        saved: true,
        draft: Some(Box::new(draft.clone())),
    };
    fuzz_state::<ConnectorsKind>(
        "fuzz_connectors",
        &[
            catalog(vec![connector(); 2]).encode_to_vec(),
            // As many as there is room for.
            catalog(vec![Connector::default(); 33_000]).encode_to_vec(),
        ],
    );
    let roles = |roles| RolesState {
        roles,
        ..RolesState::default()
    };
    fuzz_state::<RolesKind>(
        "fuzz_roles",
        &[
            roles(vec![role(); 2]).encode_to_vec(),
            roles(vec![Role::default(); 33_000]).encode_to_vec(),
        ],
    );
    fuzz_state::<ChatKind>(
        "fuzz_chat",
        &[ChatState {
            conversation: Some(conversation),
            messages: link(0),
        }
        .encode_to_vec()],
    );
}

fn fuzz_event<E: Event>(name: &'static str, type_name: &str, seeds: &[Vec<u8>]) {
    Fuzz::new(name)
        .seeds(seeds.to_vec())
        .tokens(&[b"\x0a\x00", b"\x12\x00", b"\x08\xff\xff\xff\xff\x0f"])
        .cases(5_000)
        .run(
            |input| E::decode(type_name, input).map_err(Shown),
            |_, event| {
                if let Ok(event) = event {
                    let (name, bytes) = event.unwrap().encode();
                    assert!(E::decode(&name, &bytes).unwrap().is_some());
                }
            },
        );
}

#[test]
fn fuzz_events() {
    let conversation = Some(Conversation {
        id: "c".into(),
        ..Conversation::default()
    });
    let appended = ChatAppended {
        conversation: conversation.clone(),
        messages: places(3),
        dropped: 1,
    };
    let replaced = ChatReplaced {
        conversation,
        messages: places(5_000),
    };
    let added = MemoryEntryAdded {
        entry: Some(MemoryEntry::default()),
        cap: 50,
    };
    let joined = ParticipantAdded {
        room_id: "room".into(),
        participant: Some(Participant::default()),
    };
    let listed = AgentAdded {
        agent_type: "worker".into(),
        actor_id: "id".into(),
    };
    fuzz_event::<<ChatKind as Kind>::Event>(
        "fuzz_chat_appended",
        &ChatAppended::full_name(),
        &[appended.encode_to_vec()],
    );
    fuzz_event::<<ChatKind as Kind>::Event>(
        "fuzz_chat_replaced",
        &ChatReplaced::full_name(),
        &[replaced.encode_to_vec()],
    );
    fuzz_event::<<MemoryKind as Kind>::Event>(
        "fuzz_memory_added",
        &MemoryEntryAdded::full_name(),
        &[added.encode_to_vec()],
    );
    let put = FilePut {
        file: Some(FileInfo {
            path: "a/b".into(),
            content: Some(Link { index: 0 }),
            size: u64::MAX,
            ..FileInfo::default()
        }),
    };
    fuzz_event::<<FilesKind as Kind>::Event>(
        "fuzz_file_put",
        &FilePut::full_name(),
        &[put.encode_to_vec()],
    );
    fuzz_event::<<ParticipantsKind as Kind>::Event>(
        "fuzz_participant_added",
        &ParticipantAdded::full_name(),
        &[joined.encode_to_vec()],
    );
    let connectors = ConnectorsSaved {
        connectors: vec![connector()],
    };
    let roles = RolesSaved {
        roles: vec![role()],
    };
    fuzz_event::<<ConnectorsKind as Kind>::Event>(
        "fuzz_connectors_saved",
        &ConnectorsSaved::full_name(),
        &[connectors.encode_to_vec()],
    );
    fuzz_event::<<RolesKind as Kind>::Event>(
        "fuzz_roles_saved",
        &RolesSaved::full_name(),
        &[roles.encode_to_vec()],
    );
    let retained = RetentionPolicySet {
        keep: Some(u64::MAX),
        younger_than_ms: None,
    };
    fuzz_event::<<RetentionKind as Kind>::Event>(
        "fuzz_retention_set",
        &RetentionPolicySet::full_name(),
        &[retained.encode_to_vec()],
    );
    fuzz_event::<<AgentsKind as Kind>::Event>(
        "fuzz_agent_added",
        &AgentAdded::full_name(),
        &[listed.encode_to_vec()],
    );
}
