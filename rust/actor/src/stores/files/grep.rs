//! A search that goes on: the files that there were when it began, one after the other, a slice at a time.
//!
//! Promises: one file is in memory at a time. A file that was deleted or put anew since, and whose bytes a collection
//! took, is passed over. Never: a slice waits for another.

use std::collections::VecDeque;

use super::explorer::{Explorer, Shown};
use super::search::{Found, Search, Text};
use crate::error::{ActorError, Result};
use crate::read::steadily;
use crate::stores::Stores;

/// See the top of this file.
pub struct Grep {
    stores: Stores,
    version: u64,
    files: VecDeque<Shown>,
    text: Option<Text>,
    search: Search,
}

impl Grep {
    pub(super) fn new(stores: Stores, version: u64, files: Vec<Shown>, search: Search) -> Self {
        Self {
            stores,
            version,
            files: files.into(),
            text: None,
            search,
        }
    }

    /// Makes the next slice; whether that was the last.
    ///
    /// # Errors
    /// `LimitExceeded` for what takes too many steps; those of reading.
    pub fn go_on(&mut self) -> Result<bool> {
        self.search.begin();
        while !self.search.is_over() {
            if let Some(text) = &mut self.text {
                if self.search.look(text)? {
                    self.text = None;
                }
            } else if self.search.is_full() {
                return Ok(true);
            } else if let Some(shown) = self.files.pop_front() {
                if self.search.wants(&shown.file.info)? {
                    let path = &shown.file.info.path;
                    self.text = self.bytes(&shown)?.map(|bytes| Text::new(path, &bytes));
                }
            } else {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn bytes(&self, shown: &Shown) -> Result<Option<Vec<u8>>> {
        let read = || {
            let explorer = Explorer::of(&self.stores, None)?;
            let read = explorer
                .open(shown)
                .and_then(|content| Ok(content.read_at(0, shown.file.info.size)?));
            match read {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.may_pass() => {
                    let now = explorer.get(&shown.file.info.path)?;
                    let same = now.is_some_and(|now| now.file.content == shown.file.content);
                    if same { Err(error) } else { Ok(None) }
                }
                Err(error) => Err(error),
            }
        };
        steadily(read, |error: &ActorError| Some(error))
    }

    /// The version of the files, and what was found in them, by path and line.
    pub fn found(self) -> (Vec<Found>, u64) {
        (self.search.found(), self.version)
    }
}
