//! Threads of a file against threads that are here: which are new, which are the same, which are in the way.
//!
//! Promises: the answer to the same question is the same each time (new ids are made from what is renamed,
//! not from the clock), so an import that is repeated finds its own threads again.
//! Must never: change a thread that is here.

use std::collections::{HashMap, HashSet};

use treering_store::{RefValue, Store};
use ulid::Ulid;

use super::error::CarError;
use super::manifest::Entry;
use crate::error::ThreadError;
use crate::ident::{check_key, key_ref, thread_ref};
use crate::record::Record;
use crate::start::thread_of_key;

/// What is done about a thread whose id or key another one has here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The import fails before anything is written.
    #[default]
    Refuse,
    /// It gets another id, or another key: `key-2`, `key-3` ….
    Rename,
    /// It is left out.
    Skip,
}

/// What becomes of a thread of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is made, under this id and with this record.
    New { id: String, record: Box<Record> },
    /// It is here as it is in the file.
    There { id: String },
    /// It is left out.
    Skipped,
}

impl Verdict {
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::New { id, .. } | Self::There { id } => Some(id),
            Self::Skipped => None,
        }
    }
}

/// Judges every thread of a file; the verdicts stand in their order.
pub(super) fn judge(
    store: &dyn Store,
    scope: &str,
    entries: &[Entry],
    on_conflict: OnConflict,
) -> Result<Vec<Verdict>, CarError> {
    let here = Here { store, scope };
    let mut renamed: HashMap<&str, String> = HashMap::new();
    let mut skipped: HashSet<&str> = HashSet::new();
    for entry in entries {
        match here.thread(&entry.id)? {
            Some(value) if !is_same(entry, &value, on_conflict) => match on_conflict {
                OnConflict::Refuse => {
                    return Err(CarError::ThreadExists {
                        thread: entry.id.clone(),
                    });
                }
                OnConflict::Rename => {
                    renamed.insert(&entry.id, other_id(entry)?);
                }
                OnConflict::Skip => {
                    skipped.insert(&entry.id);
                }
            },
            _ => {}
        }
    }
    let mut keys = HashSet::new();
    let mut verdicts = Vec::with_capacity(entries.len());
    for entry in entries {
        if skipped.contains(entry.id.as_str()) {
            verdicts.push(Verdict::Skipped);
            continue;
        }
        let id = renamed.get(entry.id.as_str()).unwrap_or(&entry.id).clone();
        if here.thread(&id)?.is_some() {
            verdicts.push(Verdict::There { id });
            continue;
        }
        let mut record = entry.record.clone();
        // A fork of a renamed thread goes with it.
        if let Some((from, _)) = &mut record.forked_from
            && let Some(now) = renamed.get(from.as_str())
        {
            from.clone_from(now);
        }
        if let Some(key) = &mut record.key {
            match (here.holder(key, &keys)?, on_conflict) {
                (None, _) => {}
                (Some(holder), OnConflict::Refuse) => {
                    return Err(CarError::KeyExists {
                        key: key.clone(),
                        thread: entry.id.clone(),
                        holder,
                    });
                }
                (Some(_), OnConflict::Rename) => *key = here.other_key(key, &keys)?,
                (Some(_), OnConflict::Skip) => {
                    verdicts.push(Verdict::Skipped);
                    continue;
                }
            }
            keys.insert(key.clone());
        }
        let record = Box::new(record);
        verdicts.push(Verdict::New { id, record });
    }
    Ok(verdicts)
}

/// Whether the thread here is the one of the file. One that was renamed may have another key or a renamed parent.
fn is_same(entry: &Entry, value: &RefValue, on_conflict: OnConflict) -> bool {
    let Ok(mut record) = Record::decode(&entry.id, &value.record) else {
        return false;
    };
    if on_conflict == OnConflict::Rename {
        let step = |record: &Record| record.forked_from.as_ref().map(|(_, step)| *step);
        if step(&record) == step(&entry.record) && is_rename(&record.key, &entry.record.key) {
            record.forked_from.clone_from(&entry.record.forked_from);
            record.key.clone_from(&entry.record.key);
        }
    }
    value.target == entry.head && record == entry.record
}

fn is_rename(now: &Option<String>, was: &Option<String>) -> bool {
    match (now, was) {
        (None, None) => true,
        (Some(now), Some(was)) => {
            now == was
                || now
                    .strip_prefix(was.as_str())
                    .and_then(|rest| rest.strip_prefix('-'))
                    .is_some_and(|number| number.parse::<u32>().is_ok())
        }
        _ => false,
    }
}

/// Another id for a thread: its time, and a digest of what it is where the random part was.
fn other_id(entry: &Entry) -> Result<String, CarError> {
    let mut hasher = blake3::Hasher::new_derive_key("treering v1 renamed thread");
    hasher.update(entry.id.as_bytes());
    hasher.update(&entry.head.to_bytes());
    hasher.update(&entry.record.encode()?);
    let digest = hasher.finalize();
    let mut random = [0; 16];
    for (to, from) in random.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    let was = Ulid::from_string(&entry.id)
        .map_err(|_| ThreadError::invalid("thread id", &entry.id, "it is no ULID"))?;
    Ok(Ulid::from_parts(was.timestamp_ms(), u128::from_le_bytes(random)).to_string())
}

/// The scope that is imported into.
struct Here<'a> {
    store: &'a dyn Store,
    scope: &'a str,
}

impl Here<'_> {
    fn thread(&self, id: &str) -> Result<Option<RefValue>, CarError> {
        Ok(self.store.read_ref(&thread_ref(self.scope, id)?)?)
    }

    /// Who has a key: a thread here, or one of the same import.
    fn holder(&self, key: &str, taken: &HashSet<String>) -> Result<Option<String>, CarError> {
        if taken.contains(key) {
            return Ok(Some("of the same file".into()));
        }
        match self.store.read_ref(&key_ref(self.scope, key)?)? {
            Some(value) => Ok(Some(thread_of_key(key, &value)?)),
            None => Ok(None),
        }
    }

    fn other_key(&self, key: &str, taken: &HashSet<String>) -> Result<String, CarError> {
        let mut number: u32 = 2;
        loop {
            let other = format!("{key}-{number}");
            check_key(&other)?;
            if self.holder(&other, taken)?.is_none() {
                return Ok(other);
            }
            number = number.saturating_add(1);
        }
    }
}
