//! An object store as this one needs it: names that lead to immutable bytes, in one place of one bucket.
//!
//! Large blocks of a store may lie in one, and backups too. The crate `treering-objects` speaks to real ones, the tests
//! also to one that is simulated.
//!
//! What an implementation promises: an answer `Ok` to a writing call means that the bytes are durable and that every later
//! read, whoever asks, sees them; calls that fail for a passing reason are repeated inside of it for a bounded time before it
//! gives up. What it needn't promise: that what it gives back is what it was given, so who reads checks; that a call that
//! failed did nothing, so who writes uses a name once, and looks for what failed calls left.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;

/// Bytes of each part of an upload but the last one. Servers refuse parts below 5 MiB, and more than 10,000 of them:
/// 64 GiB are 8,192 of these.
pub const PART_BYTES: u64 = 8 * 1024 * 1024;

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name, below the place of the bucket.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it was written by the server's clock, Unix milliseconds.
    pub written_ms: i64,
}

/// See the top of this file. Names are relative to [`Bucket::url`], with slashes, of `[0-9A-Za-z._/-]`. Calls block, and may
/// come from many threads at once.
///
/// Errors of every method: [`StoreError::Bucket`](crate::StoreError::Bucket), after the tries that its options allow;
/// [`StoreError::Cancelled`](crate::StoreError::Cancelled) where [`crate::caller`] says that nobody waits. What was asked may have
/// happened all the same.
pub trait Bucket: fmt::Debug + Send + Sync {
    /// Where it is, without any secret: `s3://bucket/prefix`.
    fn url(&self) -> &str;

    /// Whether a URL that a store has recorded leads to the same place: another spelling of it, or one that says something else
    /// of how it is spoken to.
    fn is_at(&self, url: &str) -> bool {
        self.url() == url
    }

    /// The place that this one lies in, one name of the prefix less; None at the top of the bucket. No request. Whether anything
    /// there may be read is another matter.
    fn parent(&self) -> Result<Option<Arc<dyn Bucket>>>;

    /// Stores an object whole. One of that name is replaced.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Stores an object unless there is one of that name; whether it did. Of several callers at once one gets true, where
    /// the server can tell; where it can't, it is looked for before and read back after, as well as that goes.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool>;

    /// Begins an upload in parts and returns what the server calls it. Nothing can be read before [`Bucket::complete`].
    fn begin(&self, name: &str) -> Result<String>;

    /// Sends part `number` (from 0): [`PART_BYTES`] each, the last one less. Returns what the server calls the part. A part may be
    /// sent again, and by another process. None: the server knows no such upload, or no more: one that is started anew may
    /// forget what is under way.
    fn put_part(
        &self,
        name: &str,
        upload: &str,
        number: u32,
        bytes: &[u8],
    ) -> Result<Option<String>>;

    /// Makes the parts, in order, an object. False: the server knows no such upload, as above.
    fn complete(&self, name: &str, upload: &str, parts: &[String]) -> Result<bool>;

    /// Gives an upload up; its parts go. One that is unknown to the server is no error.
    fn abort(&self, name: &str, upload: &str) -> Result<()>;

    /// What the server calls the uploads in parts that were begun for exactly this name and neither completed nor given up: of
    /// somebody who was killed before he could note it. A server that can't tell has none.
    fn uploads(&self, name: &str) -> Result<Vec<String>>;

    /// The bytes of an object, None if there is none.
    fn size(&self, name: &str) -> Result<Option<u64>>;

    /// At most `length` bytes of an object from `offset` on, less only where it ends; None if there is no such object. One
    /// request. Not checked.
    fn read(&self, name: &str, offset: u64, length: u64) -> Result<Option<Vec<u8>>>;

    /// All objects whose names begin so, page by page as the server gives them, in no certain order; `each` may refuse to go
    /// on.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(Object) -> Result<()>) -> Result<()>;

    /// Removes an object; one that is not there is no error.
    fn remove(&self, name: &str) -> Result<()>;
}
