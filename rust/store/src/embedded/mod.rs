//! The store in a directory: SQLite in front, files of their own for large blocks.

mod options;

pub use options::OpenOptions;

/// A store in a directory.
pub struct EmbeddedStore {}
