//! A scripted life of whole scopes: forked in one commit and in several, trimmed, backed up, erased, while others live on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering_actor::messages::{CliConnector, Connector, Message, Role, UserConfigUpdated};
use treering_actor::own::{self, Left, Own, Ruling, Shown, Slot, Verdict};
use treering_actor::stores::chats::{self, ChatKind};
use treering_actor::stores::connectors::ConnectorsKind;
use treering_actor::stores::files::{self, FilesKind, Incoming};
use treering_actor::stores::roles::RolesKind;
use treering_actor::stores::user_config::{self, UserConfigKind};
use treering_actor::stores::{Keep, Options, Stores, Verb, catalog};
use treering_actor::{Address, Dispatcher, Envelope, Kind, Mixed, Projection, Receipt, Result};
use treering_block::node::Typed;
use treering_block::{Encoded, Ipld};
use treering_store::faults::Recorder;
use treering_store::progress::Progress;
use treering_store::scope::{FORKING, ForkOptions, fork, unfinished};
use treering_store::{
    BackupOptions, Carried, Durability, EmbeddedStore, EraseOptions, GcOptions, Lease, OpenOptions,
    RefName, Store, StoreError, restore_erased,
};
use treering_thread::Threads;

use crate::life;
use crate::scan;

/// The scope that goes: its name, which stands in nothing else, ...
pub const VICTIM: &str = "WHOSEname";
/// ... what it says, which its forks have too, ...
pub const TEXT: &str = "WHATtext";
/// ... and those: of one commit, and of several.
pub const FIRST: &str = "first";
pub const SECOND: &str = "second";
pub const OTHER: &str = "other";
pub const SCOPES: [&str; 4] = [VICTIM, FIRST, SECOND, OTHER];

/// One thing that is done, in a scope; numbers are what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Config(&'static str, u64),
    Say(&'static str, u64),
    Small(&'static str, u64),
    /// In a file of its own.
    Large(&'static str, u64),
    Unfile(&'static str),
    Connectors(&'static str, u64),
    Draft(&'static str, u64),
    Roles(&'static str, u64),
    DraftRole(&'static str, u64),
    /// An actor of one's own.
    Own(&'static str, u64),
    /// A projection of the scope's own actors goes on.
    Project(&'static str),
    TrimChat(&'static str),
    TrimConfig(&'static str),
    /// Of a scope, to a scope; in one commit, or not.
    Fork(&'static str, &'static str, bool),
    Erase(&'static str, u64),
    Seal,
    BackUp,
    Gc,
    Vacuum,
    Reopen,
}

use Deed::{
    BackUp, Config, Connectors, Draft, DraftRole, Erase, Fork, Gc, Large, Own as Tally, Project,
    Reopen, Roles, Say, Seal, Small, TrimChat, TrimConfig, Unfile, Vacuum,
};

pub const LIFE: &[Deed] = &[
    Config(OTHER, 1),
    Config(VICTIM, 1),
    Say(VICTIM, 1),
    Small(VICTIM, 1),
    Large(VICTIM, 1),
    Connectors(VICTIM, 2),
    Draft(VICTIM, 1),
    Roles(VICTIM, 2),
    DraftRole(VICTIM, 1),
    Tally(VICTIM, 1),
    Large(OTHER, 7),
    Project(VICTIM),
    Fork(VICTIM, FIRST, true),
    Say(FIRST, 2),
    Say(VICTIM, 3),
    Large(FIRST, 2),
    Seal,
    TrimChat(FIRST),
    Project(FIRST),
    BackUp,
    Gc,
    Fork(FIRST, SECOND, false),
    Tally(SECOND, 2),
    Small(SECOND, 3),
    Unfile(SECOND),
    Draft(SECOND, 3),
    Roles(SECOND, 1),
    Reopen,
    Config(FIRST, 5),
    TrimConfig(FIRST),
    Erase(VICTIM, 1),
    Say(FIRST, 4),
    Say(SECOND, 5),
    Gc,
    Vacuum,
    Erase(FIRST, 1),
    Project(SECOND),
    Connectors(OTHER, 1),
    // The name is used again.
    Say(VICTIM, 6),
    Erase(SECOND, 1),
    Erase(VICTIM, 2),
    Gc,
    Vacuum,
];

/// From there on the name of the scope is nowhere, though its forks are there.
pub fn is_nameless(done: usize) -> bool {
    let erased = LIFE.iter().position(|deed| *deed == Erase(VICTIM, 1));
    let again = LIFE.iter().position(|deed| *deed == Say(VICTIM, 6));
    // Behind the vacuum.
    (erased.unwrap() + 5..=again.unwrap()).contains(&done)
}

impl Deed {
    /// The scope of a command.
    fn scope(self) -> Option<&'static str> {
        match self {
            Config(scope, _)
            | Say(scope, _)
            | Small(scope, _)
            | Large(scope, _)
            | Unfile(scope)
            | Connectors(scope, _)
            | Draft(scope, _)
            | Roles(scope, _)
            | DraftRole(scope, _)
            | Tally(scope, _)
            | TrimChat(scope)
            | TrimConfig(scope) => Some(scope),
            _ => None,
        }
    }

    /// Scopes in which the command is answered when so many deeds are done: its own, and forks of that since.
    pub fn answered_in(self, at: usize, done: usize) -> Vec<&'static str> {
        let mut scopes: Vec<&str> = self.scope().into_iter().collect();
        for later in LIFE.get(at..done).unwrap_or_default() {
            match later {
                Fork(from, to, _) if scopes.contains(from) => scopes.push(to),
                // What an erased scope answered goes with it, also for its forks.
                Erase(scope, _) if self.scope() == Some(scope) => return Vec::new(),
                Erase(scope, _) => scopes.retain(|one| one != scope),
                _ => {}
            }
        }
        scopes
    }
}

pub struct Home {
    root: PathBuf,
    options: OpenOptions,
}

impl Home {
    pub fn behind(root: &Path, recorder: &Arc<Recorder>) -> Self {
        Self {
            root: root.to_owned(),
            options: life::Home::behind(root, recorder, None).options(),
        }
    }

    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    pub fn open(&self) -> Result<Living, StoreError> {
        let store = Arc::new(EmbeddedStore::open(self.store(), &self.options)?);
        Ok(Living {
            dispatcher: Dispatcher::new(Arc::clone(&store) as _),
            store,
            backup: self.root.join("backup"),
        })
    }

    /// That what a backup brings back is without what was erased since: not seen, and, once that is collected, in no file.
    pub fn restored(&self, living: &Living, gone: &[&str], texts: &[&str]) -> Result<(), String> {
        let said = |error: StoreError| format!("restored: {error}");
        let into = tempfile::tempdir().unwrap();
        let path = into.path().join("store");
        let erased = living.store.erasures().map_err(said)?;
        let options = OpenOptions {
            reserve_bytes: 0,
            automatic_gc: false,
            ..OpenOptions::default()
        };
        let progress = Progress::default();
        restore_erased(&living.backup, &path, &options, Some(&erased), &progress).map_err(said)?;
        let store = EmbeddedStore::open(&path, &options).map_err(said)?;
        let there = store.scopes().map_err(said)?;
        if gone
            .iter()
            .any(|scope| there.iter().any(|one| one == scope))
        {
            return Err(format!("restored: {there:?}"));
        }
        store.gc(&GcOptions::default()).map_err(said)?;
        store.vacuum().map_err(said)?;
        match scan::find_any(&path, texts).as_slice() {
            [] => Ok(()),
            found => Err(format!("restored: {found:?}")),
        }
    }
}

pub struct Living {
    pub store: Arc<EmbeddedStore>,
    dispatcher: Dispatcher,
    backup: PathBuf,
}

fn text_of(scope: &str, number: u64) -> String {
    match scope {
        OTHER => format!("other says {number}"),
        _ => format!("{TEXT} {number}"),
    }
}

impl Living {
    pub fn stores(&self, scope: &str) -> Stores {
        Stores::new(self.dispatcher.clone(), scope, Durability::Durable).unwrap()
    }

    fn run<K: Kind>(stores: &Stores, verb: Verb, id: &str) -> Result<Vec<Receipt>> {
        let options = Options {
            expected_version: None,
            envelope: Envelope {
                command_id: Some(id.to_owned()),
                ..Envelope::default()
            },
        };
        Ok(vec![stores.submit::<K>(verb, options)?.wait()?.receipt])
    }

    fn put(&self, stores: &Stores, path: &str, text: &str, bytes: usize) -> Result<Verb> {
        let content = text.as_bytes().iter().copied().cycle().take(bytes);
        let mut incoming = Incoming::begin(&*self.store, bytes as u64)?;
        incoming.write(&content.collect::<Vec<u8>>())?;
        files::put(stores, path, incoming.finish()?, None)
    }

    pub fn tally(scope: &str) -> Address {
        own::address(scope, "x.tally", &["a"]).unwrap()
    }

    fn add(stores: &Stores, text: &str) -> Result<Verb> {
        let address = Self::tally(stores.scope());
        let fields = [("said".to_owned(), Ipld::String(text.to_owned()))];
        let fields = Encoded::from_ipld(&Ipld::Map(fields.into())).unwrap();
        let now = stores.reader().now::<Own>(&address)?;
        let ruling = Ruling::Events {
            events: vec![Typed::of_fields("x.tally.Added".into(), 1, fields).unwrap()],
            blocks: Vec::new(),
            snapshot: None,
        };
        let slot = Arc::new(Slot::default());
        slot.decided(Verdict {
            shown: Shown::Head(now.place.head()),
            schema: 1,
            ruling,
            left: Arc::new(Left::default()),
        });
        Ok(own::send(address, ("Add", text.as_bytes()), slot))
    }

    pub fn projection(&self, scope: &str) -> Result<Projection> {
        let start = Encoded::from_ipld(&Ipld::Integer(0)).unwrap();
        let kinds = ["chat", "user-config", "x.tally"].map(str::to_owned);
        let reader = self.dispatcher.reader();
        let of = [scope.to_owned()];
        Projection::new(
            reader,
            scope,
            "count",
            &of,
            &kinds,
            (start, Carried(Vec::new())),
        )
    }

    /// Counts what happened, in one commit; a second time it does nothing.
    fn project(&self, scope: &str) -> Result<()> {
        let projection = self.projection(scope)?;
        let now = projection.load()?;
        let mut search = projection.search(now.cursor())?;
        let (mut seen, mut count, mut cursor) = (Vec::new(), now.events(), now.cursor());
        while let Some(page) = projection.next(&mut search, &now)? {
            for behind in page.behind {
                let past = projection.past(&behind.log, behind.seen, behind.version, 1_000)?;
                count += past.len() as u64;
                seen.push((behind.source, behind.version));
            }
            cursor = page.cursor.or(cursor);
        }
        if seen.is_empty() {
            return Ok(());
        }
        let view = Encoded::from_ipld(&Ipld::Integer(count.into())).unwrap();
        let view = (view, Carried(Vec::new()));
        let step = projection.advance(&now, Some(view), &seen, cursor)?;
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let mut batch = Threads::new(store, scope, Durability::Durable)?.batch();
        batch.carry(step.blocks);
        batch.move_along(step.step);
        let mixed = Mixed::new(self.dispatcher.clone());
        mixed
            .commit(batch, Envelope::default(), Durability::Durable)?
            .wait()?;
        step.landing.landed();
        Ok(())
    }

    /// Does the deed at that place of the life, but for [`Reopen`].
    pub fn act(&self, at: usize, deed: Deed) -> Result<Vec<Receipt>> {
        self.act_in(at, deed, deed.scope().unwrap_or(OTHER))
    }

    /// The same, for a command, in another scope.
    pub fn act_in(&self, at: usize, deed: Deed, scope: &str) -> Result<Vec<Receipt>> {
        let stores = &self.stores(scope);
        let id = format!("{at}");
        let text = |number| text_of(deed.scope().unwrap_or(OTHER), number);
        match deed {
            Config(_, number) => {
                let fields = UserConfigUpdated {
                    default_model: Some(text(number)),
                    ..UserConfigUpdated::default()
                };
                let defaults = user_config::Defaults::default();
                let verb = user_config::update(stores, &defaults, fields)?;
                return Self::run::<UserConfigKind>(stores, verb, &id);
            }
            Say(_, number) => {
                let message = Message {
                    content: text(number),
                    ..Message::default()
                };
                let verb = chats::append(stores, "a", &[(message, Vec::new())], 100)?;
                return Self::run::<ChatKind>(stores, verb, &id);
            }
            Small(_, number) => {
                let verb = self.put(stores, "small.txt", &text(number), 3_000)?;
                return Self::run::<FilesKind>(stores, verb, &id);
            }
            Large(_, number) => {
                let verb = self.put(stores, "large.bin", &text(number), 270_000)?;
                return Self::run::<FilesKind>(stores, verb, &id);
            }
            Unfile(_) => {
                let verb = files::delete(stores, "large.bin")?;
                return Self::run::<FilesKind>(stores, verb, &id);
            }
            Connectors(_, count) => {
                let all = (0..count).map(|number| connector(text(number))).collect();
                let verb = catalog::save::<ConnectorsKind>(stores, all)?;
                return Self::run::<ConnectorsKind>(stores, verb, &id);
            }
            Draft(_, number) => {
                let draft = Some(connector(text(number)));
                let verb = catalog::save_draft::<ConnectorsKind>(stores, draft)?;
                return Self::run::<ConnectorsKind>(stores, verb, &id);
            }
            Roles(_, count) => {
                let all = (0..count).map(|number| role(text(number))).collect();
                let verb = catalog::save::<RolesKind>(stores, all)?;
                return Self::run::<RolesKind>(stores, verb, &id);
            }
            DraftRole(_, number) => {
                let draft = Some(role(text(number)));
                let verb = catalog::save_draft::<RolesKind>(stores, draft)?;
                return Self::run::<RolesKind>(stores, verb, &id);
            }
            Tally(_, number) => {
                return Self::run::<Own>(stores, Self::add(stores, &text(number))?, &id);
            }
            TrimChat(_) => {
                let verb = stores.trim::<ChatKind>(&["a"], Keep::Last(1))?;
                return Self::run::<ChatKind>(stores, verb, &id);
            }
            TrimConfig(_) => {
                let verb = stores.trim::<UserConfigKind>(&[], Keep::Last(1))?;
                return Self::run::<UserConfigKind>(stores, verb, &id);
            }
            Project(scope) => self.project(scope)?,
            Fork(from, to, at_once) => {
                let options = ForkOptions {
                    command_id: Some(id),
                    at_once: if at_once { 1_000 } else { 1 },
                    at_a_time: 3,
                    ..ForkOptions::default()
                };
                fork(&*self.store, from, to, &options, &Progress::default())?;
            }
            Erase(scope, number) => {
                let options = EraseOptions {
                    command_id: Some(format!("erase {number}")),
                    rows_at_a_time: 2,
                    ..EraseOptions::default()
                };
                self.store.erase(scope, &options)?;
            }
            Seal => {
                self.store.seal_journal(2)?;
            }
            BackUp => {
                let quick = BackupOptions { verify: false };
                self.store
                    .backup(&self.backup, &quick, &Progress::default())?;
            }
            Gc => {
                self.store.gc(&GcOptions::default())?;
            }
            Vacuum => {
                self.store.vacuum()?;
            }
            Reopen => panic!("whoever holds the store opens it"),
        }
        Ok(Vec::new())
    }

    /// Who made a scope died with the machine; here it is this very process, which lives.
    pub fn let_go(&self) {
        for left in unfinished(&*self.store).unwrap() {
            let name = RefName::new(&left.scope, FORKING, [""; 0]).unwrap();
            if let Some(state) = self.store.lease_state(&name).unwrap() {
                let token = state.token;
                drop(self.store.lease_release(&Lease { name, token }));
            }
        }
    }
}

fn role(text: String) -> Role {
    Role {
        id: text.clone(),
        system_prompt: text,
        ..Role::default()
    }
}

fn connector(name: String) -> Connector {
    Connector {
        name,
        r#type: "cli".to_owned(),
        cli: Some(Box::new(CliConnector {
            command: "ls".to_owned(),
            ..CliConnector::default()
        })),
        ..Connector::default()
    }
}
