//! Whose place it is: the object `treering` names the store, and a random number that nobody else has.
//!
//! The number stands in the store's own rows, too, from when it is made: whatever stops it between the two, the next opening
//! goes on. Of two stores that are made on one place at once one makes the object, and the other is refused.
//! Never: a place that has anything else in it is taken.

use std::sync::Arc;

use ulid::Ulid;

use super::{Objects, locked};
use crate::bucket::Bucket;
use crate::embedded::options::OpenOptions;
use crate::error::{Result, StoreError};

/// The object that says whose the place is.
const MARKER: &str = "treering";
/// Longer ones are none of ours.
const MARKER_BYTES_MAX: u64 = 4096;

/// What a store's row says of where its large blocks are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::embedded) struct Owner {
    /// What tells it from every other store, and from one that was made in this directory before.
    pub(in crate::embedded) token: [u8; 16],
    /// The marker was made, or found: it may not be missing any more.
    pub(in crate::embedded) marked: bool,
    pub(in crate::embedded) url: String,
}

impl Owner {
    /// Of a store that is made on that place.
    pub(in crate::embedded) fn new(bucket: &dyn Bucket) -> Self {
        // 80 bits of each are random.
        let (one, other) = (Ulid::generate(), Ulid::generate());
        let token = u128::from_be_bytes(one.to_bytes())
            ^ u128::from_be_bytes(other.to_bytes()).rotate_left(64);
        Self {
            token: token.to_be_bytes(),
            marked: false,
            url: bucket.url().to_owned(),
        }
    }

    pub(in crate::embedded) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.token.to_vec();
        bytes.push(u8::from(self.marked));
        bytes.extend_from_slice(self.url.as_bytes());
        bytes
    }

    pub(in crate::embedded) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (token, rest) = bytes.split_first_chunk::<16>()?;
        let (marked, url) = rest.split_first()?;
        Some(Self {
            token: *token,
            marked: match marked {
                0 => false,
                1 => true,
                _ => return None,
            },
            url: std::str::from_utf8(url).ok()?.to_owned(),
        })
    }

    /// One line of text that says the same, but for whether the marker is there.
    pub(in crate::embedded) fn to_line(&self) -> String {
        format!("{} {}", self.token_line(), self.url)
    }

    pub(in crate::embedded) fn from_line(line: &str) -> Option<Self> {
        let (token, url) = line.strip_prefix("owner ")?.split_once(' ')?;
        Some(Self {
            token: u128::from_str_radix(token, 16).ok()?.to_be_bytes(),
            marked: false,
            url: url.to_owned(),
        })
    }

    fn token_line(&self) -> String {
        format!("owner {:032x}", u128::from_be_bytes(self.token))
    }

    fn marker(&self, store_id: &str) -> String {
        format!(
            "The large blocks of a treering store. Nothing else may lie here.\nstore {store_id}\n{}\n",
            self.token_line()
        )
    }
}

fn refused(url: &str, rule: String) -> StoreError {
    StoreError::Invalid {
        what: "blobs",
        value: url.to_owned(),
        rule,
    }
}

fn taken(url: &str, marker: &str) -> StoreError {
    let store = marker.lines().find_map(|line| line.strip_prefix("store "));
    refused(
        url,
        format!(
            "the store {} keeps its large blocks there, and a second one may not: give this one another, empty prefix",
            store.unwrap_or("of another owner")
        ),
    )
}

/// The bucket that a store is opened with: the one that is given, else the one that its row names. Errors: those of
/// the one who makes it.
pub(in crate::embedded) fn bucket_of(
    owner: Option<&Owner>,
    options: &OpenOptions,
) -> Result<Option<Arc<dyn Bucket>>> {
    match (&options.blobs, owner, options.connect) {
        (None, Some(owner), Some(connect)) => connect(&owner.url).map(Some),
        (given, _, _) => Ok(given.clone()),
    }
}

/// Errors: `Invalid` unless the store at `root` is opened with the place that it was made with.
pub(in crate::embedded) fn expect_same(
    root: &str,
    owner: Option<&Owner>,
    given: Option<&Arc<dyn Bucket>>,
) -> Result<()> {
    match (owner, given) {
        (None, None) => Ok(()),
        (Some(owner), Some(given)) if given.is_at(&owner.url) => Ok(()),
        (Some(owner), given) => Err(refused(
            given.map(|given| given.url()).unwrap_or_default(),
            format!(
                "the store {root} keeps its large blocks in {}: open it with that",
                owner.url
            ),
        )),
        (None, Some(given)) => Err(refused(
            given.url(),
            format!(
                "the store {root} keeps its large blocks in its directory: open it without, or copy it into a new store that is made with it"
            ),
        )),
    }
}

/// Before a store is made on it: nothing may lie there. Errors: `Invalid`, `Bucket`.
pub(in crate::embedded) fn expect_free(bucket: &dyn Bucket) -> Result<()> {
    if let Some(found) = bucket.read(MARKER, 0, MARKER_BYTES_MAX)? {
        return Err(taken(bucket.url(), &String::from_utf8_lossy(&found)));
    }
    expect_empty(bucket)
}

fn expect_empty(bucket: &dyn Bucket) -> Result<()> {
    let url = bucket.url();
    bucket.list("", &mut |object| {
        if object.name == MARKER {
            return Ok(());
        }
        let rule = format!(
            "other objects lie there ({:?}): give an empty prefix",
            object.name
        );
        Err(refused(url, rule))
    })
}

impl Objects {
    /// Sees to it that the place is this store's. One request the first time, none from then on.
    ///
    /// Errors: `Invalid` where it is another store's, or has other objects; `Corrupt` where its marker is gone; `Bucket`.
    pub(in crate::embedded) fn claim(&self) -> Result<()> {
        if *locked(&self.ours) {
            return Ok(());
        }
        let bucket = &*self.bucket;
        let mut found = bucket.read(MARKER, 0, MARKER_BYTES_MAX)?;
        if found.is_none() {
            if self.owner.marked {
                return Err(self.unmarked());
            }
            expect_empty(bucket)?;
            let marker = self.owner.marker(&self.store_id);
            if !bucket.create(MARKER, marker.as_bytes())? {
                // Somebody was first: another process of this store, an answer that was lost, or another store.
                found = Some(
                    bucket
                        .read(MARKER, 0, MARKER_BYTES_MAX)?
                        .ok_or_else(|| self.unmarked())?,
                );
            }
        }
        if let Some(found) = found {
            let found = String::from_utf8_lossy(&found);
            let ours = self.owner.token_line();
            if !found.lines().any(|line| line == ours) {
                return Err(taken(bucket.url(), &found));
            }
        }
        *locked(&self.ours) = true;
        Ok(())
    }

    /// What the store's row says once the marker is there.
    pub(in crate::embedded) fn marked_owner(&self) -> Owner {
        Owner {
            marked: true,
            ..self.owner.clone()
        }
    }

    fn unmarked(&self) -> StoreError {
        StoreError::Corrupt {
            what: "bucket",
            which: self.url().to_owned(),
            detail: format!(
                "the object {MARKER:?}, which says that the place is this store's, is missing, so what else lies there may not be its own; if it is, put the object back with this text: {:?}",
                self.owner.marker(&self.store_id)
            ),
        }
    }
}
