//! Whose place it is: the object `treering`, the marker, names the store, and a random number that nobody else has.
//!
//! The number stands in the store's own rows, too, from when it is made: whatever stops it between the two, the next opening
//! goes on. Not every server can make an object on the condition that there is none. So who takes a place first puts an
//! object there that only he can have made (`making/<number>-<ULID>`), then looks for others, then makes the marker, and
//! takes the first one away again once the marker is his. Promises: of two stores that are made on one place at once at most
//! one has it, whatever the server can; the other is refused, or both are.
//! Never: a place that has anything else in it is taken, or one that lies in another store's, or in a backup.

use std::sync::Arc;

use ulid::Ulid;

use super::above::expect_not_inside;
use super::{Objects, locked};
use crate::bucket::Bucket;
use crate::embedded::options::OpenOptions;
use crate::error::{Result, StoreError};

/// The object that says whose the place is.
const MARKER: &str = "treering";
/// Longer ones are none of ours.
const MARKER_BYTES_MAX: u64 = 4096;
/// What an object's name begins with that says that the place is being taken.
const MAKING: &str = "making/";

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

    /// What the names of the objects begin with that say that this store takes the place.
    fn making(&self) -> String {
        format!("{MAKING}{:032x}-", u128::from_be_bytes(self.token))
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
        (Some(owner), given) => {
            let anew = match owner.marked {
                true => "",
                false => {
                    "; where it was refused there, and nothing was stored yet, remove the store's directory, and make it anew"
                }
            };
            Err(refused(
                given.map(|given| given.url()).unwrap_or_default(),
                format!(
                    "the store {root} keeps its large blocks in {}: open it with that{anew}",
                    owner.url
                ),
            ))
        }
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
    if let Some(found) = marker_of(bucket)? {
        return Err(taken(bucket.url(), &found));
    }
    only_of(bucket, None).map(drop)?;
    expect_not_inside(bucket, "blobs")
}

/// The text of the marker, if there is one. Errors: `Bucket`.
pub(super) fn marker_of(bucket: &dyn Bucket) -> Result<Option<String>> {
    let found = bucket.read(MARKER, 0, MARKER_BYTES_MAX)?;
    Ok(found.map(|found| String::from_utf8_lossy(&found).into_owned()))
}

/// Whether some store is about to have the place. Errors: `Bucket`.
pub(super) fn is_being_made(bucket: &dyn Bucket) -> Result<bool> {
    let mut found = false;
    bucket.list(MAKING, &mut |object| {
        // A place may be called so, too.
        let name = object
            .name
            .strip_prefix(MAKING)
            .and_then(|name| name.split_once('-'));
        found |= name.is_some_and(|(token, id)| {
            token.len() == 32
                && u128::from_str_radix(token, 16).is_ok()
                && id.parse::<Ulid>().is_ok()
        });
        Ok(())
    })?;
    Ok(found)
}

/// What that store has put there to take the place; anything else but the marker may not be there. Errors: `Invalid`, `Bucket`.
fn only_of(bucket: &dyn Bucket, owner: Option<&Owner>) -> Result<Vec<String>> {
    let url = bucket.url();
    let ours = owner.map(Owner::making);
    let mut found = Vec::new();
    bucket.list("", &mut |object| {
        if object.name == MARKER {
            return Ok(());
        }
        if ours.as_ref().is_some_and(|ours| object.name.starts_with(ours)) {
            found.push(object.name);
            return Ok(());
        }
        let rule = if object.name.starts_with(MAKING) {
            format!(
                "another store is being made there: try again, or give another, empty prefix; if that one was given up, remove the object {:?}",
                object.name
            )
        } else {
            format!(
                "other objects lie there ({:?}): give an empty prefix",
                object.name
            )
        };
        Err(refused(url, rule))
    })?;
    Ok(found)
}

impl Objects {
    /// Sees to it that the place is this store's. One request the first time, none from then on; some more when the store
    /// is made.
    ///
    /// Errors: `Invalid` where it is another store's, or has other objects; `Corrupt` where its marker is gone; `Bucket`.
    pub(in crate::embedded) fn claim(&self) -> Result<()> {
        if *locked(&self.ours) {
            return Ok(());
        }
        match marker_of(&*self.bucket)? {
            Some(found) => {
                self.expect_ours(&found)
                    .map_err(|error| self.or_anew(error))?;
                if !self.owner.marked {
                    // It came after all, or somebody stopped behind it.
                    let mut made = Vec::new();
                    self.bucket.list(&self.owner.making(), &mut |object| {
                        made.push(object.name);
                        Ok(())
                    })?;
                    self.remove_made(&made);
                }
            }
            None if self.owner.marked => return Err(self.unmarked()),
            None => self.take().map_err(|error| self.or_anew(error))?,
        }
        *locked(&self.ours) = true;
        Ok(())
    }

    /// Before what no row names is removed: it is not somebody else's. One request. Errors: as for [`Objects::claim`].
    pub(super) fn expect_still_ours(&self) -> Result<()> {
        let found = marker_of(&*self.bucket)?.ok_or_else(|| self.unmarked())?;
        self.expect_ours(&found)
    }

    fn expect_ours(&self, marker: &str) -> Result<()> {
        let ours = self.owner.token_line();
        if marker.lines().any(|line| line == ours) {
            return Ok(());
        }
        Err(taken(self.url(), marker))
    }

    /// The directory is made for the place, before it is known whether the store gets that. So where it does not, another place
    /// alone is no remedy.
    fn or_anew(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Invalid { what, value, rule } if !self.owner.marked => {
                let rule = format!(
                    "{rule}; its directory is made for this place: where nothing was stored yet, remove the store's directory first"
                );
                StoreError::Invalid { what, value, rule }
            }
            error => error,
        }
    }

    /// Makes the marker in a place that has none. See the top of this file.
    fn take(&self) -> Result<()> {
        let bucket = &*self.bucket;
        let making = format!("{}{}", self.owner.making(), Ulid::generate());
        bucket.put(
            &making,
            b"The large blocks of a treering store are about to lie here.\n",
        )?;
        let made = only_of(bucket, Some(&self.owner)).and_then(|ours| {
            expect_not_inside(bucket, "blobs")?;
            let marker = self.owner.marker(&self.store_id);
            // Whoever was first: another process of this store, an answer that was lost, or another store.
            bucket.create(MARKER, marker.as_bytes())?;
            let found = marker_of(bucket)?.ok_or_else(|| self.unmarked())?;
            self.expect_ours(&found)?;
            Ok(ours)
        });
        // A marker that may come yet is not without what tells of it.
        if matches!(made, Err(StoreError::Bucket { .. })) {
            return made.map(drop);
        }
        match made {
            Ok(ours) => self.remove_made(&ours),
            Err(error) => {
                self.remove_made(&[making]);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The marker is there: what told of its making is not needed.
    pub(super) fn remove_made(&self, names: &[String]) {
        for name in names {
            if let Err(error) = self.bucket.remove(name) {
                tracing::warn!(%error, object = name, "what told that a store is being made stays until a collection");
            }
        }
    }

    /// Whether the object told that this store was being made.
    pub(super) fn is_of_making(&self, name: &str) -> bool {
        name.starts_with(&self.owner.making())
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
