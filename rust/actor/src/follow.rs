//! An actor followed from commit to commit: its state as it was after each.
//!
//! Promises: states come in order, each as a commit left it, and none is left out that is still kept. What happened is
//! put on what is known: the log is not read from its beginning for each. Who was overtaken by a deletion or a trim
//! goes on where the log begins now; who was overtaken by an erase of the scope, with what the actor is then, which may be
//! of a smaller version, or of none.
//! Must never: wait, or write.

use std::collections::VecDeque;
use std::sync::Arc;

use treering_block::Cid;
use treering_block::node::EventNode;
use treering_thread::ident::are_together;

use crate::address::Address;
use crate::error::{ActorError, Result};
use crate::kind::{Blocks, Kind};
use crate::loaded::{Loaded, Place};
use crate::read::Reader;
use crate::stores::look;

/// Times that what is known of an actor is read anew because what it hangs on was collected meanwhile.
const TRIES: u32 = 8;

/// See the top of this file.
pub struct Following<K: Kind> {
    reader: Reader,
    address: Address,
    known: Arc<Loaded<K>>,
    /// What happened after it, as far as it was read.
    ahead: VecDeque<(Cid, EventNode)>,
    /// The note of the scope's newest erasure when it was begun, or that was met since.
    life: Option<[u8; 16]>,
}

impl<K: Kind> Following<K> {
    /// From an actor as it is.
    ///
    /// # Errors
    /// As for [`Reader::now`].
    pub fn now(reader: Reader, address: Address) -> Result<Self> {
        let life = reader.life(address.log().scope())?;
        let known = reader.now(&address)?;
        Ok(Self::on(reader, address, known, life))
    }

    /// From an actor as it was at a version, which may not be kept any more.
    ///
    /// # Errors
    /// `NoSuchVersion` for one that is not there yet; as for [`Reader::now`].
    pub fn after(reader: Reader, address: Address, version: u64) -> Result<Self> {
        let life = reader.life(address.log().scope())?;
        let known = match reader.at(&address, version) {
            // Nobody is shown this one: the next is the log's beginning.
            Err(ActorError::HistoryTrimmed { .. }) => Arc::new(Loaded {
                place: Place {
                    version,
                    ..Place::default()
                },
                ..Loaded::default()
            }),
            known => known?,
        };
        Ok(Self::on(reader, address, known, life))
    }

    fn on(reader: Reader, address: Address, known: Arc<Loaded<K>>, life: Option<[u8; 16]>) -> Self {
        Self {
            reader,
            address,
            known,
            ahead: VecDeque::new(),
            life,
        }
    }

    /// The version of what is known.
    pub fn version(&self) -> u64 {
        self.known.place.version
    }

    /// Goes on to what the next commit left. False: there is none yet.
    ///
    /// # Errors
    /// As for [`Reader::now`].
    pub fn advance(&mut self) -> Result<bool> {
        match self.step() {
            // Cut off while it was read.
            Err(ActorError::HistoryTrimmed { .. }) => {
                self.ahead.clear();
                self.skip()
            }
            stepped => stepped,
        }
    }

    fn step(&mut self) -> Result<bool> {
        let Some((cid, event)) = self.next()? else {
            return self.skip();
        };
        if event.parent != self.known.place.head() && self.is_another_life()? {
            return self.begin_anew();
        }
        self.put(cid, &event)?;
        let mut newest = event.event_id;
        while let Some((cid, event)) = self.next()? {
            if !are_together(&newest, &event.event_id) {
                self.ahead.push_front((cid, event));
                return Ok(true);
            }
            self.put(cid, &event)?;
            newest = event.event_id;
        }
        self.settle()?;
        Ok(true)
    }

    /// The event after what is known; None if there is none, or none that is kept.
    fn next(&mut self) -> Result<Option<(Cid, EventNode)>> {
        if self.ahead.is_empty() {
            let first = self.version() + 1;
            match self.reader.events::<K>(&self.address, first, None) {
                Err(ActorError::HistoryTrimmed { .. }) => {}
                events => self.ahead.extend(events?),
            }
        }
        Ok(self.ahead.pop_front())
    }

    fn put(&mut self, cid: Cid, event: &EventNode) -> Result<()> {
        if event.parent != self.known.place.head() {
            // The log has got another beginning since, or was taken back and went on otherwise.
            self.known = self.reader.at(&self.address, self.version())?;
        }
        Arc::make_mut(&mut self.known).append(self.address.log(), cid, event)
    }

    /// Takes what the actor is in the place of the same, put together from more.
    fn settle(&mut self) -> Result<()> {
        let now = self.reader.now(&self.address)?;
        if now.place.version == self.version() {
            self.known = now;
        }
        Ok(())
    }

    /// Goes on to where the log begins, if what is known is from before that.
    fn skip(&mut self) -> Result<bool> {
        loop {
            let now = self.reader.now::<K>(&self.address)?;
            if now.place.version < self.version() && self.is_another_life()? {
                return self.begin_anew();
            }
            if now.place.base <= self.version() {
                self.settle()?;
                return Ok(false);
            }
            match self.reader.at(&self.address, now.place.base) {
                // Cut off again meanwhile.
                Err(ActorError::HistoryTrimmed { .. }) => {}
                base => {
                    self.known = base?;
                    return Ok(true);
                }
            }
        }
    }

    /// Whether the scope was erased since. Asked where what is known is not what the log goes on from.
    fn is_another_life(&self) -> Result<bool> {
        Ok(self.read_life()? != self.life)
    }

    fn read_life(&self) -> Result<Option<[u8; 16]>> {
        self.reader.life(self.address.log().scope())
    }

    fn begin_anew(&mut self) -> Result<bool> {
        self.life = self.read_life()?;
        self.ahead.clear();
        self.known = self.reader.now(&self.address)?;
        Ok(true)
    }

    /// What is known, looked at.
    ///
    /// # Errors
    /// Those of `view`.
    pub fn look<T>(
        &mut self,
        view: impl Fn(&Arc<Loaded<K>>, &Blocks<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut left = TRIES;
        loop {
            let store = Arc::clone(self.reader.store());
            match look(&*store, |blocks| view(&self.known, blocks)) {
                Err(error) if left > 0 && error.may_pass() => {
                    left -= 1;
                    self.read_anew()?;
                }
                seen => return seen,
            }
        }
    }

    /// Its collections hang on a snapshot that another one took the place of, and they were collected.
    fn read_anew(&mut self) -> Result<()> {
        self.known = match self.reader.at(&self.address, self.version()) {
            Err(ActorError::HistoryTrimmed { .. }) => {
                self.ahead.clear();
                self.reader.now(&self.address)?
            }
            known => known?,
        };
        Ok(())
    }
}
