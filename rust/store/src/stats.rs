//! Figures about a store and about what a handle did.

/// What is in a store now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    pub blocks: u64,
    pub nodes: u64,
    /// Sum of block sizes.
    pub block_bytes: u64,
    pub links: u64,
    pub refs: u64,
    pub commits: u64,
    pub receipts: u64,
    pub holds: u64,
    /// Bytes on disk: database, its write-ahead log, blob files with their trees.
    pub database_bytes: u64,
    pub wal_bytes: u64,
    pub blob_files: u64,
    pub blob_bytes: u64,
}

/// What this handle has done since it was opened. Counts are exact; tests rest on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks given out by get.
    pub blocks_read: u64,
    /// New blocks stored, and their bytes.
    pub blocks_written: u64,
    pub block_bytes_written: u64,
    /// Group commits, and requests in them.
    pub batches: u64,
    pub requests: u64,
    /// fsyncs that made commits durable.
    pub commit_syncs: u64,
    /// fsyncs of a freshly reset log's header.
    pub header_syncs: u64,
    /// fsyncs that checkpoints made.
    pub checkpoint_syncs: u64,
    /// fsyncs of blob files and their folders.
    pub blob_syncs: u64,
    /// Bytes written to the write-ahead log by commits.
    pub wal_bytes_written: u64,
}
