//! Conversations, an actor each (`chat`), and the list of a scope's (`chat-index`), which moves in the same commit.
//!
//! A message is a node of its own: the event that brings it and the list in the snapshots link to it, so it is stored
//! once, and one more message costs that message, however long the conversation is.

use treering_block::Cid;
use treering_block::collection::Vector;
use treering_block::limits::NODE_LINKS_MAX;
use treering_block::node::ItemNode;
use treering_thread::command::Payload;

use super::shelf::{Shelf, link, linked, of_item};
use super::sources::item;
use super::{ID_BYTES_MAX, NAME_BYTES_MAX, Stores, Verb, check_length, check_text};
use crate::address::Address;
use crate::dispatch::Done;
use crate::error::{Result, within};
use crate::kind::{Blocks, Happened, Kind, State, Unreadable, events};
use crate::messages::{
    ChatAppended, ChatIndexState, ChatIndexed, ChatReplaced, ChatState, ChatUnindexed,
    Conversation, Encoding, Link, Message, Name,
};
use crate::turn::Turn;

/// Messages of a conversation that are kept, the newest ones.
pub const MESSAGES_MAX: u32 = 500;
/// Messages that one command may bring: their event has two links more, and wherever it stands in its log they are two.
pub const COMMAND_MESSAGES_MAX: usize = NODE_LINKS_MAX - 2;
/// Attachments of one message.
pub const ATTACHMENTS_MAX: usize = 100;
/// UTF-8 bytes of what is said and what was thought, each.
pub const CONTENT_BYTES_MAX: usize = 400 << 10;

events! {
    /// What happens to a conversation.
    ChatEvent: ChatReplaced, ChatAppended
}
events! {
    /// What happens to the list.
    ChatIndexEvent: ChatIndexed, ChatUnindexed
}

/// A conversation.
#[derive(Debug)]
pub struct ChatKind;
/// The list of conversations.
#[derive(Debug)]
pub struct ChatIndexKind;

/// A conversation: its messages as they were stored, and what happened since.
#[derive(Clone, Debug, Default)]
pub struct Chat {
    /// What is known about it beside its messages.
    pub conversation: Conversation,
    stored: Option<Cid>,
    stored_len: u64,
    /// So many were dropped since, of the stored ones and then of those behind them. The latter stay in `since`: the
    /// list counts what was dropped, so it must not matter when a snapshot was made of it.
    skipped: u64,
    since: Vec<Cid>,
}

impl Chat {
    fn drop_oldest(&mut self, count: u64) {
        let all = self.stored_len + self.since.len() as u64;
        self.skipped = self.skipped.saturating_add(count).min(all);
    }

    /// CIDs of its messages, oldest first.
    ///
    /// # Errors
    /// Those of reading.
    pub fn message_nodes(&self, blocks: &Blocks<'_>) -> Result<Vec<Cid>> {
        let mut nodes = Vec::new();
        if let Some(stored) = &self.stored {
            let list = Vector::decode(stored, &blocks.get(stored)?)?;
            list.each(self.skipped, blocks, &mut |value| {
                nodes.push(linked(&value)?);
                Ok(true)
            })?;
        }
        let dropped = self.skipped.saturating_sub(self.stored_len);
        let dropped = usize::try_from(dropped).unwrap_or(usize::MAX);
        nodes.extend_from_slice(self.since.get(dropped..).unwrap_or_default());
        Ok(nodes)
    }

    /// Its messages, oldest first, each with what it links to.
    ///
    /// # Errors
    /// Those of reading.
    pub fn messages(&self, blocks: &Blocks<'_>) -> Result<Vec<(Message, Vec<Cid>)>> {
        let read = |cid: &Cid| {
            let node = ItemNode::decode(cid, &blocks.get(cid)?)?;
            Ok((of_item(&node.typed)?, node.typed.links))
        };
        self.message_nodes(blocks)?.iter().map(read).collect()
    }
}

fn nodes(at: &[Link], links: &[Cid]) -> Vec<Cid> {
    let node = |link: &Link| links.get(link.index as usize).copied();
    at.iter().filter_map(node).collect()
}

impl Kind for ChatKind {
    const NAME: &'static str = "chat";
    type State = Chat;
    type Event = ChatEvent;

    fn evolve(state: &mut Chat, happened: &Happened<ChatEvent>) {
        match &happened.event {
            ChatEvent::ChatReplaced(replaced) => {
                *state = Chat {
                    conversation: replaced.conversation.clone().unwrap_or_default(),
                    since: nodes(&replaced.messages, &happened.links),
                    ..Chat::default()
                };
            }
            ChatEvent::ChatAppended(appended) => {
                state.conversation = appended.conversation.clone().unwrap_or_default();
                state.drop_oldest(u64::from(appended.dropped));
                state
                    .since
                    .extend(nodes(&appended.messages, &happened.links));
            }
        }
    }
}

impl State for Chat {
    fn type_name() -> String {
        ChatState::full_name()
    }

    fn save(&mut self, blocks: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        let mut list = match &self.stored {
            Some(stored) => Vector::decode(stored, &blocks.get(stored)?)?,
            None => Vector::new(),
        };
        for node in &self.since {
            list.push(link(node)?, blocks)?;
        }
        list.drop_front(self.skipped, blocks)?;
        let root = blocks.put(list.encode()?);
        self.stored = Some(root);
        self.stored_len = list.len();
        self.skipped = 0;
        self.since.clear();
        let state = ChatState {
            conversation: Some(self.conversation.clone()),
            messages: Some(Link { index: 0 }),
        };
        Ok((state.encode_to_vec(), vec![root]))
    }

    fn load(message: &[u8], links: &[Cid]) -> Result<Self, Unreadable> {
        let conversation = ChatState::decode(message)?.conversation.unwrap_or_default();
        Ok(Self {
            stored: links.first().copied(),
            stored_len: u64::from(conversation.message_count),
            conversation,
            ..Self::default()
        })
    }

    fn weight(&self) -> usize {
        self.conversation.encoded_len() + self.since.len() * size_of::<Cid>() + size_of::<Self>()
    }
}

/// The rows of conversations.
#[derive(Clone, Debug, Default)]
pub struct ChatIndex {
    rows: Shelf<Conversation>,
}

impl ChatIndex {
    /// All of them, the one that was changed last first; of equals by id. O(conversations).
    ///
    /// # Errors
    /// Those of reading.
    pub fn conversations(&self, blocks: &Blocks<'_>) -> Result<Vec<Conversation>> {
        let mut rows: Vec<Conversation> = self.rows.all(blocks)?.into_values().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.updated_at_ms));
        Ok(rows)
    }
}

impl Kind for ChatIndexKind {
    const NAME: &'static str = "chat-index";
    type State = ChatIndex;
    type Event = ChatIndexEvent;

    fn evolve(state: &mut ChatIndex, happened: &Happened<ChatIndexEvent>) {
        match &happened.event {
            ChatIndexEvent::ChatIndexed(indexed) => {
                if let Some(row) = &indexed.conversation {
                    state.rows.put(&row.id, row.clone());
                }
            }
            ChatIndexEvent::ChatUnindexed(unindexed) => state.rows.remove(&unindexed.id),
        }
    }
}

impl State for ChatIndex {
    fn type_name() -> String {
        ChatIndexState::full_name()
    }

    fn save(&mut self, blocks: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        let root = self.rows.save(blocks)?;
        let state = ChatIndexState {
            conversations: Some(Link { index: 0 }),
        };
        Ok((state.encode_to_vec(), vec![root]))
    }

    fn load(_: &[u8], links: &[Cid]) -> Result<Self, Unreadable> {
        Ok(Self {
            rows: Shelf::stored(links.first().copied()),
        })
    }

    fn weight(&self) -> usize {
        self.rows.weight()
    }
}

/// A message as a node.
fn node(message: &Message, attachments: &[Cid]) -> Result<treering_block::Block> {
    within("bytes of content", CONTENT_BYTES_MAX, message.content.len())?;
    within(
        "bytes of thinking",
        CONTENT_BYTES_MAX,
        message.thinking.len(),
    )?;
    for (what, text) in [
        ("bytes of a message's id", &message.id),
        ("bytes of role", &message.role),
        ("bytes of status", &message.status),
        ("bytes of error", &message.error),
    ] {
        within(what, NAME_BYTES_MAX * 8, text.len())?;
    }
    within(
        "attachments of one message",
        ATTACHMENTS_MAX,
        attachments.len(),
    )?;
    item(message, attachments.to_vec())
}

fn check(conversation: &Conversation) -> Result<()> {
    check_length("bytes of title", &conversation.title, NAME_BYTES_MAX)?;
    check_length(
        "bytes of service_id",
        &conversation.service_id,
        NAME_BYTES_MAX,
    )?;
    check_length(
        "bytes of service_kind",
        &conversation.service_kind,
        NAME_BYTES_MAX,
    )?;
    check_length(
        "bytes of llm_route",
        &conversation.llm_route,
        NAME_BYTES_MAX,
    )?;
    check_length(
        "bytes of llm_model",
        &conversation.llm_model,
        NAME_BYTES_MAX,
    )?;
    Ok(())
}

fn digest(payload: &mut Payload, nodes: &[treering_block::Block]) {
    payload.number(nodes.len() as u64);
    for node in nodes {
        payload.cid(&node.cid);
    }
}

fn places(count: usize) -> Vec<Link> {
    (0..u32::try_from(count).unwrap_or(u32::MAX))
        .map(|index| Link { index })
        .collect()
}

/// The conversation as the log and the list will have it, both in this turn.
fn index(turn: &mut Turn<'_>, index: &Address, conversation: Conversation) -> Result<()> {
    let indexed = ChatIndexed {
        conversation: Some(conversation),
    };
    turn.append::<ChatIndexKind>(index, [indexed.into()])
}

/// Replaces what is known of a conversation and all of its messages, each with its attachments. `cap`: the newest that
/// are kept. Times that are 0 are that of the commit.
///
/// # Errors
/// `InvalidCommand` for a blank id; `LimitExceeded`; `LinkMissing` for an attachment that is not there.
pub fn save(
    stores: &Stores,
    conversation_id: &str,
    meta: Conversation,
    messages: &[(Message, Vec<Cid>)],
    cap: u32,
) -> Result<Verb> {
    let id = check_text("conversation_id", conversation_id, ID_BYTES_MAX)?.to_owned();
    within(
        "messages of one command",
        COMMAND_MESSAGES_MAX,
        messages.len(),
    )?;
    check(&meta)?;
    let nodes: Vec<_> = messages
        .iter()
        .map(|(message, attachments)| node(message, attachments))
        .collect::<Result<_>>()?;
    let mut payload = Payload::new("chats save");
    payload.bytes(&meta.encode_to_vec());
    digest(&mut payload, &nodes);
    let dropped = nodes.len().saturating_sub(cap as usize);
    let kept = nodes.get(dropped..).unwrap_or_default().to_vec();
    let list = stores.address::<ChatIndexKind>(&[])?;
    let address = stores.address::<ChatKind>(&[&id])?;
    Ok(Verb::new::<ChatKind>(
        address,
        payload,
        move |turn, address| {
            let at_ms = turn.at_ms();
            let given = |time: i64| if time == 0 { at_ms } else { time };
            let conversation = Conversation {
                id: id.clone(),
                created_at_ms: given(meta.created_at_ms),
                updated_at_ms: given(meta.updated_at_ms),
                message_count: u32::try_from(kept.len()).unwrap_or(u32::MAX),
                ..meta.clone()
            };
            let links: Vec<Cid> = kept.iter().map(|node| turn.put(node.clone())).collect();
            let event = ChatEvent::ChatReplaced(ChatReplaced {
                conversation: Some(conversation.clone()),
                messages: places(links.len()),
            });
            turn.append::<ChatKind>(address, [Happened { event, links }])?;
            index(turn, &list, conversation)?;
            Ok(Done {
                dropped: dropped as u64,
                ..Done::default()
            })
        },
    ))
}

/// Puts messages behind the last; a conversation that is not there begins with them.
///
/// # Errors
/// As for [`save`].
pub fn append(
    stores: &Stores,
    conversation_id: &str,
    messages: &[(Message, Vec<Cid>)],
    cap: u32,
) -> Result<Verb> {
    let id = check_text("conversation_id", conversation_id, ID_BYTES_MAX)?.to_owned();
    within(
        "messages of one command",
        COMMAND_MESSAGES_MAX,
        messages.len(),
    )?;
    let nodes: Vec<_> = messages
        .iter()
        .map(|(message, attachments)| node(message, attachments))
        .collect::<Result<_>>()?;
    let mut payload = Payload::new("chats append");
    digest(&mut payload, &nodes);
    let list = stores.address::<ChatIndexKind>(&[])?;
    let address = stores.address::<ChatKind>(&[&id])?;
    Ok(Verb::new::<ChatKind>(
        address,
        payload,
        move |turn, address| {
            let at_ms = turn.at_ms();
            if nodes.is_empty() {
                return Ok(Done::default());
            }
            let before = turn.load::<ChatKind>(address)?;
            let there = before.state.conversation.message_count as usize;
            let too_many = (there + nodes.len()).saturating_sub(cap as usize);
            let of_old = too_many.min(there);
            let kept = nodes.get(too_many - of_old..).unwrap_or_default();
            let mut conversation = before.state.conversation.clone();
            if !before.exists() {
                conversation.id.clone_from(&id);
                conversation.created_at_ms = at_ms;
            }
            conversation.updated_at_ms = at_ms;
            conversation.message_count =
                u32::try_from(there - of_old + kept.len()).unwrap_or(u32::MAX);
            let links: Vec<Cid> = kept.iter().map(|node| turn.put(node.clone())).collect();
            let event = ChatEvent::ChatAppended(ChatAppended {
                conversation: Some(conversation.clone()),
                messages: places(links.len()),
                dropped: u32::try_from(of_old).unwrap_or(u32::MAX),
            });
            turn.append::<ChatKind>(address, [Happened { event, links }])?;
            index(turn, &list, conversation)?;
            Ok(Done {
                dropped: too_many as u64,
                ..Done::default()
            })
        },
    ))
}

/// Deletes a conversation and its row, whichever there is. Nothing of its text or title can be reached any more.
///
/// # Errors
/// `InvalidCommand` for a blank id.
pub fn delete(stores: &Stores, conversation_id: &str) -> Result<Verb> {
    let id = check_text("conversation_id", conversation_id, ID_BYTES_MAX)?.to_owned();
    let payload = Payload::new("chats delete");
    let list = stores.address::<ChatIndexKind>(&[])?;
    let address = stores.address::<ChatKind>(&[&id])?;
    let verb = Verb::new::<ChatKind>(address, payload, move |turn, address| {
        let before = turn.load::<ChatKind>(address)?;
        turn.delete::<ChatKind>(address)?;
        let rows = turn.load::<ChatIndexKind>(&list)?;
        if rows.state.rows.get(&id, turn.blocks())?.is_some() {
            let unindexed = ChatUnindexed { id: id.clone() };
            turn.append::<ChatIndexKind>(&list, [unindexed.into()])?;
            turn.rebase::<ChatIndexKind>(&list)?;
        }
        Ok(Done {
            dropped: u64::from(before.state.conversation.message_count),
            ..Done::default()
        })
    });
    Ok(verb.freeing())
}
