//! A scope as it was, with its actors read where their history stands now.
//!
//! A trim writes the events that it keeps anew, and a collection takes the old ones: what a log's ref pointed at is gone,
//! and yet the version of that moment may be among those that are kept. Which version that was no ref and no commit says.
//! It follows from both: each commit that moved a log since the moment either put events behind it, which have its time and
//! an id of its own, or cut something off; so with the events of the later commits taken away, the newest that is left
//! is what the log ended with then.
//!
//! Promises: nothing is shown that was not so. Where commits and events don't add up, since a fork or an import brought
//! some of these, a commit is lost, two commits of a millisecond are on both sides of the moment, or what was cut off
//! reaches to it, the actor stays gone. But for the times of another store's events that coincide with those of commits here
//! (decision 32).
//! Must never: write; take damage for an answer, or refuse the rest because of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use treering_block::Cid;
use treering_block::node::Entry;
use treering_store::scope::{AsOf, Moment};
use treering_store::{JournalEntry, RefName, Store, StoreError};
use treering_thread::ident::are_together;

use crate::address::{Address, is_read_model};
use crate::error::{ActorError, Result};
use crate::source::{Committed, Source, read_entry};
use crate::stores::is_kind;

/// Commits that are read at a time.
const PAGE: usize = 1_024;

/// The scope as it was at a moment. O(commits that are kept); for each actor whose block of then was collected, O(its
/// events from then to the next one that was not) reads more.
///
/// # Errors
/// As for [`AsOf::new`].
pub fn as_of(store: Arc<dyn Store>, scope: &str, moment: &Moment) -> Result<AsOf> {
    let mut past = AsOf::new(Arc::clone(&store), scope, moment, is_read_model)?;
    let logs = past.collected().keys();
    let mut lost: BTreeMap<RefName, Moves> = logs
        .filter(|name| is_kind(name.kind()))
        .map(|name| Ok((name.clone(), Moves::of(name)?)))
        .collect::<Result<_>>()?;
    if lost.is_empty() {
        return Ok(past);
    }
    follow(&*store, scope, &past, &mut lost)?;
    for (name, moves) in lost {
        match moves.place(&Committed(&*store), &name) {
            Ok(Some(target)) => past.found(&name, target),
            // What is broken is told to who reads the actor as it is now.
            Ok(None) | Err(ActorError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(past)
}

/// One move of a log.
#[derive(Clone, Copy)]
struct Moved {
    at_ms: i64,
    /// Its read model was moved before it, as by what cuts something off. What lands from elsewhere moves it behind.
    may_cut: bool,
}

/// What moved a log up to the moment, and since.
struct Moves {
    model: RefName,
    /// Of the ref at the move that was met last.
    version: u64,
    /// Up to the moment: the newest that put events there, or landed, and those behind it that may only have cut.
    then: Vec<Moved>,
    /// Since, oldest first; the last one is the first that led to something that is there.
    later: Vec<Moved>,
    /// What that is; None if it is not known.
    end: Option<Cid>,
    /// Nothing more is to be asked.
    is_done: bool,
}

/// Reads what moved these logs, each up to the first entry after the moment that is there.
fn follow(
    store: &dyn Store,
    scope: &str,
    past: &AsOf,
    lost: &mut BTreeMap<RefName, Moves>,
) -> Result<()> {
    let start = store.journal_extent()?.start.head;
    let mut after = (start.position > 0).then(|| start.cursor());
    while lost.values().any(|moves| !moves.is_done) {
        let page = match store.journal(after.as_ref(), PAGE) {
            // Commits went meanwhile.
            Err(StoreError::CursorExpired(_)) => return Ok(()),
            page => page?,
        };
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.cursor());
        let mut ends: BTreeMap<&RefName, Vec<(usize, Cid)>> = BTreeMap::new();
        for entry in page.iter().filter(|entry| entry.scope == scope) {
            for (nth, moved) in entry.moves.iter().enumerate() {
                let Some(moves) = lost.get_mut(&moved.name) else {
                    continue;
                };
                if entry.position <= past.position() {
                    moves.note_then(entry, nth);
                } else if let Some(target) = moves.note_later(entry, nth) {
                    let ends = ends.entry(&moved.name).or_default();
                    ends.push((moves.later.len(), target));
                }
            }
        }
        for (name, ends) in ends {
            let targets: Vec<Cid> = ends.iter().map(|(_, target)| *target).collect();
            let there = store.has_many(&targets)?;
            let first = ends.into_iter().zip(there).find(|(_, there)| *there);
            if let (Some(((count, target), _)), Some(moves)) = (first, lost.get_mut(name)) {
                moves.later.truncate(count);
                moves.end = Some(target);
                moves.is_done = true;
            }
        }
    }
    Ok(())
}

impl Moves {
    fn of(log: &RefName) -> Result<Self> {
        let parts: Vec<&str> = log.parts().iter().map(String::as_str).collect();
        let address = Address::new(log.scope(), log.kind(), &parts)?;
        Ok(Self {
            model: address.read_model().clone(),
            version: 0,
            then: Vec::new(),
            later: Vec::new(),
            end: None,
            is_done: false,
        })
    }

    fn moved(&self, entry: &JournalEntry, nth: usize) -> Moved {
        let mut before = entry.moves.iter().take(nth);
        Moved {
            at_ms: entry.at_ms,
            may_cut: before.any(|earlier| earlier.name == self.model),
        }
    }

    fn note_then(&mut self, entry: &JournalEntry, nth: usize) {
        let moved = self.moved(entry, nth);
        let version = entry.moves.get(nth).map_or(0, |step| step.version);
        // One in between is not known, or the ref was removed.
        let follows = version == self.version.saturating_add(1) && !self.then.is_empty();
        let begins = !moved.may_cut || version == 1;
        if begins || !follows {
            self.then.clear();
        }
        // Nothing is known of what stands before one that may only have cut.
        if begins || follows {
            self.then.push(moved);
        }
        self.version = version;
    }

    /// What it points at since.
    fn note_later(&mut self, entry: &JournalEntry, nth: usize) -> Option<Cid> {
        let step = entry.moves.get(nth).filter(|_| !self.is_done)?;
        // One in between is not known, or what came after is another life of the ref.
        if step.version != self.version.saturating_add(1) || step.target.is_none() {
            self.is_done = true;
            return None;
        }
        self.version = step.version;
        self.later.push(self.moved(entry, nth));
        step.target
    }

    /// The entry of the log, as it is kept now, that it ended with at the moment; None if that can't be told.
    fn place(mut self, source: &dyn Source, name: &RefName) -> Result<Option<Cid>> {
        let Some(end) = self.end else {
            return Ok(None);
        };
        let entry = read_entry(source, name, &end, None)?;
        // Its log has not what stood there before, and is whole: so this has cut something off.
        if let Some(last) = self.later.last_mut() {
            last.may_cut = true;
        }
        let mut log = Some((end, entry));
        let mut later = self.later.as_slice();
        // Commits of one millisecond at a time: times don't tell these apart.
        while let Some(last) = later.last() {
            let at_ms = last.at_ms;
            let first = later.iter().rposition(|moved| moved.at_ms != at_ms);
            let (before, of_one) = later.split_at(first.map_or(0, |first| first + 1));
            later = before;
            let mut events: usize = 0;
            while let Some(newest) = newest_of(&log, at_ms) {
                events += 1;
                log = before_commit(source, name, newest)?;
            }
            let cuts = of_one.iter().filter(|moved| moved.may_cut).count();
            if events > of_one.len() || events + cuts < of_one.len() {
                return Ok(None);
            }
        }
        // What is left was put there by the last commit of then that did not only cut, or by one that did both.
        let told = log.filter(|(_, entry)| {
            let mut then = self.then.iter();
            let is_older = self.later.first().is_none_or(|first| {
                let newest = self.then.last();
                newest.is_some_and(|newest| newest.at_ms < first.at_ms)
            });
            is_older && then.any(|moved| entry.at_ms() == Some(moved.at_ms))
        });
        Ok(told.map(|(cid, _)| cid))
    }
}

/// The newest entry of a log, if it is an event of that time.
fn newest_of(log: &Option<(Cid, Entry)>, at_ms: i64) -> Option<Entry> {
    let (_, entry) = log.as_ref()?;
    let is_it = matches!(entry, Entry::Event(event) if event.at_ms == at_ms);
    is_it.then(|| entry.clone())
}

/// The entry before all events of the commit that put this one there; None for the beginning.
fn before_commit(
    source: &dyn Source,
    name: &RefName,
    newest: Entry,
) -> Result<Option<(Cid, Entry)>> {
    let mut entry = newest;
    loop {
        let Entry::Event(event) = entry else {
            return Ok(None);
        };
        let Some(parent) = event.parent else {
            return Ok(None);
        };
        let before = read_entry(source, name, &parent, event.version.checked_sub(1))?;
        match &before {
            Entry::Event(older)
                if older.at_ms == event.at_ms && are_together(&older.event_id, &event.event_id) =>
            {
                entry = before;
            }
            _ => return Ok(Some((parent, before))),
        }
    }
}
