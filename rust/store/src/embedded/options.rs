//! How a store's directory is opened.

use std::time::Duration;

/// How a store's directory is opened. The default makes it if absent and opens it for writing.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Make the directory and the store if absent.
    pub create: bool,
    /// Refuse every write with `ReadOnly`.
    pub read_only: bool,
    /// How long a commit waits for other processes' commits before it is answered with `LockTimeout`.
    pub lock_wait: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { create: true, read_only: false, lock_wait: Duration::from_secs(30) }
    }
}
