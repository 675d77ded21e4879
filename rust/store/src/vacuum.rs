//! Giving back what deletions left: what a vacuum did, and what it could not do.

/// Pages of a database that is longer than this (128 GiB) are not cleaned of copies of rows that SQLite left when it moved
/// them: they can't be told from others for sure.
pub const CLEAN_DATABASE_BYTES_MAX: u64 = (1 << 25) * 4096;

/// What a vacuum did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Bytes that the files of the database and its log were cut by.
    pub freed_bytes: u64,
    /// Bytes of the database file now.
    pub database_bytes: u64,
    /// Bytes of free pages that are left in it: others wrote meanwhile.
    pub free_bytes: u64,
    /// Bytes of the log that are left: somebody reads from it, or wrote meanwhile.
    pub log_bytes: u64,
    /// Files of large blocks and of the journal that no row names: of what was collected or expired while a backup was made,
    /// or of a commit or a seal that is under way. A collection removes them: those of blocks when they are a day old.
    pub files_left: u64,
    /// Blocks that were collected, and whose rows are not deleted yet: a collection was stopped. The next one does.
    pub dead_blocks: u64,
    /// Erases that can't end: something that may be the scope's can't be read (`verify` says what, and a repair comes first), a
    /// file can't be written anew, or somebody copies files.
    pub unfinished_erases: u64,
}

impl Vacuumed {
    /// Nothing that was deleted is left in the store's files.
    pub fn is_complete(&self) -> bool {
        self.free_bytes == 0
            && self.log_bytes == 0
            && self.files_left == 0
            && self.dead_blocks == 0
            && self.unfinished_erases == 0
            && self.database_bytes < CLEAN_DATABASE_BYTES_MAX
    }
}
