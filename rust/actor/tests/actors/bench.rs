//! A store with the stores of one scope, and how they are asked.

use std::sync::Arc;

use treering_actor::messages::{Message, UserConfigUpdated};
use treering_actor::stores::user_config::{self, UserConfigKind};
use treering_actor::stores::{self, Options, Stores, Verb, chats};
use treering_actor::{ActorError, Address, Answer, Dispatcher, Envelope, Kind, Loaded, Reader};
use treering_block::Cid;
use treering_block::node::Entry;
use treering_store::{Durability, GcOptions, MemoryStore, Store};

pub struct Bench {
    pub store: Arc<dyn Store>,
    pub stores: Stores,
}

impl Bench {
    pub fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()))
    }

    pub fn over(store: Arc<dyn Store>) -> Self {
        let dispatcher = Dispatcher::new(Arc::clone(&store));
        let stores = Stores::new(dispatcher, "alice", Durability::Relaxed).unwrap();
        Self { store, stores }
    }

    /// The same store, by somebody who keeps so many events of each actor.
    pub fn keeping(&self, history_events: u64) -> Self {
        let dispatcher = Dispatcher::new(Arc::clone(&self.store));
        let dispatcher = dispatcher.keeping(Some(history_events)).unwrap();
        Self {
            store: Arc::clone(&self.store),
            stores: Stores::new(dispatcher, "alice", Durability::Relaxed).unwrap(),
        }
    }

    /// The same store, with nothing folded before.
    pub fn cold(&self) -> Self {
        Self::over(Arc::clone(&self.store))
    }

    pub fn reader(&self) -> Reader {
        self.stores.reader()
    }

    pub fn address<K: Kind>(&self, parts: &[&str]) -> Address {
        self.stores.address::<K>(parts).unwrap()
    }

    pub fn now<K: Kind>(&self, parts: &[&str]) -> Arc<Loaded<K>> {
        self.reader().now::<K>(&self.address::<K>(parts)).unwrap()
    }

    pub fn ask<K: Kind>(&self, verb: Verb, options: Options) -> Result<Answer<K>, ActorError> {
        self.stores.submit::<K>(verb, options)?.wait()
    }

    pub fn run<K: Kind>(&self, verb: Verb) -> Answer<K> {
        self.ask(verb, Options::default()).unwrap()
    }

    pub fn verify<K: Kind>(&self, parts: &[&str]) -> Result<u64, ActorError> {
        self.reader().verify::<K>(&self.address::<K>(parts))
    }

    pub fn gc(&self) {
        self.store.gc(&GcOptions { dry_run: false }).unwrap();
    }

    /// Sets the model's name, one event.
    pub fn configure(&self, model: &str) -> Answer<UserConfigKind> {
        self.run(self.configuration(model))
    }

    /// What does that.
    pub fn configuration(&self, model: &str) -> Verb {
        let fields = UserConfigUpdated {
            default_model: Some(model.to_owned()),
            ..UserConfigUpdated::default()
        };
        let defaults = user_config::Defaults::default();
        user_config::update(&self.stores, &defaults, fields).unwrap()
    }

    /// Says something in a conversation.
    pub fn say(&self, chat: &str, text: &str, cap: u32) -> Answer<chats::ChatKind> {
        self.run(chats::append(&self.stores, chat, &[said(text)], cap).unwrap())
    }

    /// What was said in a conversation and is kept.
    pub fn texts(&self, chat: &Loaded<chats::ChatKind>) -> Vec<String> {
        let messages = stores::look(&*self.store, |blocks| chat.state.messages(blocks)).unwrap();
        let content = |(message, _): (Message, Vec<Cid>)| message.content;
        messages.into_iter().map(content).collect()
    }

    /// Blocks that are entries of logs.
    pub fn entries(&self) -> usize {
        let listed = self.store.blocks(0, usize::MAX).unwrap();
        let is_entry = |cid: &Cid| Entry::decode(cid, &self.store.get(cid).unwrap()).is_ok();
        listed.iter().filter(|info| is_entry(&info.cid)).count()
    }
}

pub fn said(text: &str) -> (Message, Vec<Cid>) {
    let message = Message {
        role: "user".into(),
        content: text.into(),
        ..Message::default()
    };
    (message, Vec::new())
}

pub fn with_id(command_id: &str) -> Options {
    Options {
        envelope: Envelope {
            command_id: Some(command_id.to_owned()),
            ..Envelope::default()
        },
        ..Options::default()
    }
}
