//! A scope as it was, with its actors read where their history stands now.
//!
//! A trim writes the events that it keeps anew, and a collection takes the old ones: what a log's ref pointed at is gone,
//! and yet the version of that moment may be among those that are kept. Which version that was no ref and no commit says.
//! It follows from both: each commit that moved a log since the moment either put events behind it, which have its time and
//! an id of its own, or cut something off; so with the events of the later commits taken away, the newest that is left
//! is what the log ended with then.
//!
//! Promises: nothing is shown that was not so. Where the commits and the events don't add up, because the log came by an
//! import, a commit is lost, or what was cut off reaches to the moment, the actor stays gone.
//! Must never: write; take damage for an answer, or refuse the rest because of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use treering_block::Cid;
use treering_block::node::Entry;
use treering_store::scope::{AsOf, Moment, Stood};
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
    let logs = past.collected().iter();
    let mut lost: BTreeMap<RefName, Since> = logs
        .filter(|(name, _)| is_kind(name.kind()))
        .map(|(name, stood)| Ok((name.clone(), Since::new(name, stood.clone())?)))
        .collect::<Result<_>>()?;
    if lost.is_empty() {
        return Ok(past);
    }
    follow(&*store, scope, &past, &mut lost)?;
    for (name, since) in lost {
        match since.place(&Committed(&*store), &name) {
            Ok(Some(target)) => past.found(&name, target),
            // What is broken is told to who reads the actor as it is now.
            Ok(None) | Err(ActorError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(past)
}

/// One move of a log.
struct Later {
    at_ms: i64,
    /// Its read model was moved before it, as by all that cuts something off. What lands from elsewhere moves it behind.
    may_cut: bool,
}

/// What became of a log since the moment.
struct Since {
    model: RefName,
    stood: Stood,
    /// Oldest first.
    moves: Vec<Later>,
    version: u64,
    /// What the last of these moves led to, which is there; None if that is not known.
    end: Option<Cid>,
    /// Nothing more is to be asked.
    is_done: bool,
}

/// Reads what moved these logs since the moment, each up to the first entry of it that is there.
fn follow(
    store: &dyn Store,
    scope: &str,
    past: &AsOf,
    lost: &mut BTreeMap<RefName, Since>,
) -> Result<()> {
    let mut after = past.cursor();
    while lost.values().any(|since| !since.is_done) {
        let page = match store.journal(Some(&after), PAGE) {
            // Commits after the moment went meanwhile.
            Err(StoreError::CursorExpired(_)) => return Ok(()),
            page => page?,
        };
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.cursor();
        let own = page.iter().filter(|entry| entry.scope == scope);
        let mut ends: BTreeMap<&RefName, Vec<(usize, Cid)>> = BTreeMap::new();
        for entry in own {
            for (nth, moved) in entry.moves.iter().enumerate() {
                let Some(since) = lost.get_mut(&moved.name) else {
                    continue;
                };
                if let Some(target) = since.note(entry, nth) {
                    let ends = ends.entry(&moved.name).or_default();
                    ends.push((since.moves.len(), target));
                }
            }
        }
        for (name, ends) in ends {
            let targets: Vec<Cid> = ends.iter().map(|(_, target)| *target).collect();
            let there = store.has_many(&targets)?;
            let first = ends.into_iter().zip(there).find(|(_, there)| *there);
            if let (Some(((moves, target), _)), Some(since)) = (first, lost.get_mut(name)) {
                since.moves.truncate(moves);
                since.end = Some(target);
                since.is_done = true;
            }
        }
    }
    Ok(())
}

impl Since {
    fn new(log: &RefName, stood: Stood) -> Result<Self> {
        let parts: Vec<&str> = log.parts().iter().map(String::as_str).collect();
        let address = Address::new(log.scope(), log.kind(), &parts)?;
        Ok(Self {
            model: address.read_model().clone(),
            version: stood.value.version,
            // No commit says when it was moved.
            is_done: stood.moves == 0,
            stood,
            moves: Vec::new(),
            end: None,
        })
    }

    /// Takes a move of it; what it points at since.
    fn note(&mut self, entry: &JournalEntry, nth: usize) -> Option<Cid> {
        let moved = entry.moves.get(nth).filter(|_| !self.is_done)?;
        // One in between is not known, or the ref was removed, and what came after is another life of it.
        if moved.version != self.version.saturating_add(1) || moved.target.is_none() {
            self.is_done = true;
            return None;
        }
        self.version = moved.version;
        let mut before = entry.moves.iter().take(nth);
        self.moves.push(Later {
            at_ms: entry.at_ms,
            may_cut: before.any(|earlier| earlier.name == self.model),
        });
        moved.target
    }

    /// The entry of the log, as it is kept now, that it ended with at the moment; None if that can't be told.
    fn place(mut self, source: &dyn Source, name: &RefName) -> Result<Option<Cid>> {
        let Some(end) = self.end else {
            return Ok(None);
        };
        let entry = read_entry(source, name, &end, None)?;
        if let (Entry::Base(_), Some(last)) = (&entry, self.moves.last_mut()) {
            // All events were cut off, and perhaps there was no read model.
            last.may_cut = true;
        }
        let mut log = Some((end, entry));
        let mut moves = self.moves.as_slice();
        // Commits of one millisecond at a time: times don't tell these apart.
        while let Some(last) = moves.last() {
            let at_ms = last.at_ms;
            let first = moves.iter().rposition(|later| later.at_ms != at_ms);
            let (before, of_then) = moves.split_at(first.map_or(0, |first| first + 1));
            moves = before;
            let later = of_then.len() as u64;
            let cuts = of_then.iter().filter(|later| later.may_cut).count() as u64;
            // Some of that millisecond are from before the moment: then each must have put events there.
            let earlier = match self.stood.at_ms == at_ms {
                true => self.stood.moves,
                false => 0,
            };
            let all = later.saturating_add(earlier);
            let mut rest = None;
            let mut groups: u64 = 0;
            while let Some(of_one) = newest_of(&log, at_ms) {
                groups += 1;
                if groups > all {
                    return Ok(None);
                }
                log = before_commit(source, name, of_one)?;
                if groups == later {
                    rest.clone_from(&log);
                }
            }
            // What else there is is older for certain.
            if let Some((_, entry)) = &log
                && !entry.at_ms().is_some_and(|was| was < at_ms)
            {
                return Ok(None);
            }
            if earlier > 0 {
                if groups != all {
                    return Ok(None);
                }
                log = rest;
            } else if groups.saturating_add(cuts) < later {
                return Ok(None);
            }
        }
        Ok(log.map(|(cid, _)| cid))
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
