//! The threads of one scope: start, find, list.

use std::sync::Arc;

use treering_store::commit::Address;
use treering_store::name::check_scope;
use treering_store::{Commit, Durability, RefName, RefValue, Store, StoreError};

use crate::args::StartArgs;
use crate::batch::Batch;
use crate::command::CommandKey;
use crate::error::{Result, ThreadError};
use crate::fork::rm_payload;
use crate::head::Head;
use crate::ident::{THREAD, key_ref, parse_wanted, thread_ref};
use crate::info::{Filter, Listed, Status, ThreadInfo};
use crate::limits::CANDIDATES_MAX;
use crate::pending::{Outcome, Pending};
use crate::receipt::{self, Receipt};
use crate::start::{Begun, Starting, birth, refused, thread_of_key};
use crate::thread::Thread;

/// Refs that a listing reads at once.
const PAGE: usize = 1000;

/// The threads of one scope. Cheap to clone.
#[derive(Clone)]
pub struct Threads {
    store: Arc<dyn Store>,
    scope: Arc<str>,
    durability: Durability,
}

impl Threads {
    /// The threads of `scope`; their changes are as durable as said when they are answered.
    ///
    /// # Errors
    /// `Invalid` or `LimitExceeded` (of the store) for the scope's name.
    pub fn new(store: Arc<dyn Store>, scope: &str, durability: Durability) -> Result<Self> {
        check_scope(scope)?;
        Ok(Self {
            store,
            scope: scope.into(),
            durability,
        })
    }

    /// The siblings of a thread.
    pub(crate) fn of(thread: &Thread) -> Self {
        Self {
            store: thread.shared_store(),
            scope: thread.scope().into(),
            durability: thread.durability(),
        }
    }

    /// Their scope.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The store that they live in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// How durable changes are when they are answered.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// The thread of that id, key, or start of an id (≥ 4 characters), tried in this order.
    ///
    /// # Errors
    /// `NotFound`; `Ambiguous` with the ids that start so; `Invalid` for a blank text, control
    /// characters and what looks like a path; `Corrupt` when its record can't be read.
    pub fn get(&self, id_or_key: &str) -> Result<Thread> {
        let wanted = parse_wanted(id_or_key)?;
        if let Some(thread) = wanted
            .id
            .as_deref()
            .map(|id| self.open(id))
            .transpose()?
            .flatten()
        {
            return Ok(thread);
        }
        if let Some(thread) = wanted
            .key
            .as_deref()
            .map(|key| self.find_key(key))
            .transpose()?
            .flatten()
        {
            return Ok(thread);
        }
        let mut candidates = match &wanted.prefix {
            Some(prefix) => self.ids_from(prefix)?,
            None => Vec::new(),
        };
        if candidates.len() > 1 {
            candidates.truncate(CANDIDATES_MAX);
            return Err(ThreadError::Ambiguous {
                prefix: id_or_key.to_owned(),
                candidates,
            });
        }
        let found = candidates
            .pop()
            .map(|id| self.open(&id))
            .transpose()?
            .flatten();
        found.ok_or_else(|| ThreadError::NotFound {
            id: id_or_key.to_owned(),
        })
    }

    /// The thread that has this key.
    ///
    /// # Errors
    /// `Invalid` or `LimitExceeded` for what can be no key; `Corrupt` when its record can't be read.
    pub fn by_key(&self, key: &str) -> Result<Option<Thread>> {
        crate::ident::check_key(key)?;
        self.find_key(key)
    }

    fn find_key(&self, key: &str) -> Result<Option<Thread>> {
        let name = key_ref(&self.scope, key)?;
        let mut seen: Option<RefValue> = None;
        // A thread goes together with its key; between two reads both may go, or be made anew.
        while let Some(value) = self.store.read_ref(&name)? {
            let id = thread_of_key(key, &value)?;
            if let Some(thread) = self.open(&id)? {
                return Ok(Some(thread));
            }
            if seen.as_ref() == Some(&value) {
                return Err(ThreadError::corrupt(
                    "key",
                    key,
                    format!("its thread {id} is not there"),
                ));
            }
            seen = Some(value);
        }
        Ok(None)
    }

    /// Ids that start so, a few more than are ever listed.
    fn ids_from(&self, prefix: &str) -> Result<Vec<String>> {
        // A name that is a prefix of others sorts before them all.
        let after = thread_ref(&self.scope, prefix)?;
        let page = self
            .store
            .list_refs(&self.scope, THREAD, Some(&after), CANDIDATES_MAX + 1)?;
        Ok(page
            .iter()
            .filter_map(|(name, _)| id_of(name))
            .filter(|id| id.starts_with(prefix))
            .map(str::to_owned)
            .collect())
    }

    /// The thread of that very id.
    pub(crate) fn open(&self, id: &str) -> Result<Option<Thread>> {
        let name = thread_ref(&self.scope, id)?;
        let lease = self.store.lease_state(&name)?;
        match self.store.read_ref(&name)? {
            Some(value) => {
                let owner = lease.filter(|lease| lease.held).map(|lease| lease.owner);
                self.handle(id, Head::read(id, &value)?, owner).map(Some)
            }
            None => Ok(None),
        }
    }

    pub(crate) fn handle(
        &self,
        id: &str,
        head: Head,
        lease_owner: Option<String>,
    ) -> Result<Thread> {
        Thread::new(
            self.store.clone(),
            &self.scope,
            id,
            self.durability,
            head,
            lease_owner,
        )
    }

    /// The thread that a repeated command made or found.
    pub(crate) fn replayed(&self, bytes: &[u8]) -> Result<Thread> {
        self.of_receipt(&receipt::decode_one(bytes)?)
    }

    pub(crate) fn of_receipt(&self, receipt: &Receipt) -> Result<Thread> {
        self.open(&receipt.thread)?
            .ok_or_else(|| ThreadError::NotFound {
                id: receipt.thread.clone(),
            })
    }

    /// Threads that pass the filter, by id, which is by creation. Reads records and leases, no node.
    /// A broken record is an `Err` in its place, whatever the filter; it hides no other.
    ///
    /// # Errors
    /// `Invalid` for a day that is none; `Store`.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Listed>> {
        filter.check()?;
        let mut listed = Vec::new();
        let mut after: Option<RefName> = None;
        loop {
            let page = self
                .store
                .list_refs(&self.scope, THREAD, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(listed);
            };
            after = Some(last.clone());
            for (name, value) in page {
                let id = id_of(&name).unwrap_or(name.encoded()).to_owned();
                let info = value
                    .map_err(ThreadError::from)
                    .and_then(|value| self.info(&id, &name, &value));
                if info.as_ref().map_or(true, |info| filter.lets_pass(info)) {
                    listed.push(Listed { id, info });
                }
            }
        }
    }

    fn info(&self, id: &str, name: &RefName, value: &RefValue) -> Result<ThreadInfo> {
        let head = Head::read(id, value)?;
        // Only an idle thread is told apart from a running one by its lease.
        let lease = if head.record.status == Status::Idle {
            self.store.lease_state(name)?
        } else {
            None
        };
        Ok(head.record.info(
            id,
            head.target,
            lease.filter(|lease| lease.held).map(|lease| lease.owner),
        ))
    }

    /// Starts a thread: prompt, start node, imported steps and record in one commit.
    ///
    /// # Errors
    /// `AlreadyExists` for a taken key, with its thread; `Invalid` and `LimitExceeded` for what a
    /// thread can't hold; `CommandMismatch` and `LinkMissing` of the store.
    pub fn start(&self, args: StartArgs) -> Result<Pending<Thread>> {
        let starting = Starting::prepare(args)?;
        let command = self.scope_command(&starting);
        if let Some(receipt) = self.first(command.as_ref())? {
            return Ok(Pending::done(self.replayed(&receipt)));
        }
        Ok(self
            .submit_start(&starting, command)?
            .map(|(thread, _)| Ok(thread)))
    }

    /// The thread that has the key, or a new one; true if it was started.
    ///
    /// # Errors
    /// As for [`Threads::start`]; `Invalid` without a key.
    pub fn get_or_start(&self, args: StartArgs) -> Result<Pending<(Thread, bool)>> {
        let Some(key) = args.key.clone() else {
            return Err(ThreadError::invalid("key", "", "get_or_start needs one"));
        };
        crate::ident::check_key(&key)?;
        if args.command_id.is_none() {
            // What most calls meet: nothing is hashed for them.
            if let Some(thread) = self.find_key(&key)? {
                return Ok(Pending::done(Ok((thread, false))));
            }
        }
        let starting = Starting::prepare(args)?;
        let command = self.scope_command(&starting);
        if let Some(receipt) = self.first(command.as_ref())? {
            return Ok(Pending::done(self.replayed_start(&receipt)));
        }
        if let (Some(thread), Some(command)) = (self.find_key(&key)?, &command) {
            return self.note_found(thread, command);
        }
        let threads = self.clone();
        Ok(self
            .submit_start(&starting, command)?
            .then(move |result| match result {
                Err(ThreadError::AlreadyExists { .. }) => {
                    // Somebody was faster: his is the thread.
                    Outcome::Done(match threads.find_key(&key) {
                        Ok(Some(thread)) => Ok((thread, false)),
                        Ok(None) => Err(ThreadError::NotFound { id: key }),
                        Err(error) => Err(error),
                    })
                }
                result => Outcome::Done(result),
            }))
    }

    fn first(&self, command: Option<&CommandKey>) -> Result<Option<Vec<u8>>> {
        Ok(command
            .map(|command| command.first(&*self.store))
            .transpose()?
            .flatten())
    }

    fn scope_command(&self, starting: &Starting) -> Option<CommandKey> {
        let id = starting.command_id()?.to_owned();
        Some(CommandKey {
            address: Address::Scope(self.scope.to_string()),
            id,
            payload: starting.digest,
        })
    }

    fn replayed_start(&self, bytes: &[u8]) -> Result<(Thread, bool)> {
        let receipt = receipt::decode_one(bytes)?;
        Ok((self.of_receipt(&receipt)?, receipt.started))
    }

    /// Leaves a receipt that says which thread a command found.
    fn note_found(&self, thread: Thread, command: &CommandKey) -> Result<Pending<(Thread, bool)>> {
        let receipt = receipt::encode(&[Receipt::of_thread(thread.id(), false)])?;
        let ticket = self.store.submit(Commit {
            scope: self.scope.to_string(),
            command: Some(command.with_receipt(receipt)),
            durability: self.durability,
            ..Commit::default()
        });
        let threads = self.clone();
        Ok(Pending::new(ticket, move |answer| {
            Outcome::Done(match answer {
                Ok(committed) => match committed.replay {
                    Some(receipt) => threads.replayed_start(&receipt),
                    None => Ok((thread, false)),
                },
                Err(error) => Err(error.into()),
            })
        }))
    }

    fn submit_start(
        &self,
        starting: &Starting,
        command: Option<CommandKey>,
    ) -> Result<Pending<(Thread, bool)>> {
        let Begun {
            id, blocks, head, ..
        } = starting.begin(&*self.store, self.store.now_ms())?;
        let receipt = receipt::encode(&[Receipt::of_thread(&id, true)])?;
        let ticket = self.store.submit(Commit {
            scope: self.scope.to_string(),
            blocks,
            moves: birth(&self.scope, &id, &head, starting.start())?,
            command: command.map(|command| command.with_receipt(receipt)),
            durability: self.durability,
            ..Commit::default()
        });
        let threads = self.clone();
        Ok(Pending::new(
            ticket,
            move |answer: Result<_, StoreError>| {
                Outcome::Done(match answer {
                    Ok(committed) => match committed.replay {
                        Some(receipt) => threads.replayed_start(&receipt),
                        None => threads.handle(&id, head, None).map(|thread| (thread, true)),
                    },
                    Err(error) => Err(refused(error)),
                })
            },
        ))
    }

    /// Removes a thread, found as by [`Threads::get`]. With a command id it may be repeated when the
    /// thread is no more, under the same whole id.
    ///
    /// # Errors
    /// As for [`Threads::get`] and [`Thread::rm`].
    pub fn rm(
        &self,
        id_or_key: &str,
        force: bool,
        command_id: Option<&str>,
    ) -> Result<Pending<()>> {
        match self.get(id_or_key) {
            Ok(thread) => thread.rm(force, command_id),
            Err(ThreadError::NotFound { id }) => {
                let canonical = parse_wanted(id_or_key)?.id.unwrap_or_else(|| id.clone());
                let payload = rm_payload(&canonical, force);
                let command = command_id.map(|id| CommandKey {
                    address: Address::Scope(self.scope.to_string()),
                    id: id.to_owned(),
                    payload,
                });
                match self.first(command.as_ref())? {
                    Some(_) => Ok(Pending::done(Ok(()))),
                    None => Err(ThreadError::NotFound { id }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Changes of many threads, and blocks, that become one commit.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone())
    }
}

/// The thread that a ref is of.
pub(crate) fn id_of(name: &RefName) -> Option<&str> {
    match name.parts() {
        [id] => Some(id),
        _ => None,
    }
}
