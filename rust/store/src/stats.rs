//! Figures about a store and about what a handle did.

/// What is in a store now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Blocks, nodes and raw.
    pub blocks: u64,
    /// Of them, nodes.
    pub nodes: u64,
    /// Sum of block sizes.
    pub block_bytes: u64,
    /// Links of all nodes together.
    pub links: u64,
    /// Refs.
    pub refs: u64,
    /// Commits in the journal.
    pub commits: u64,
    /// Command receipts.
    pub receipts: u64,
    /// Holds, those that have ended too until they are collected.
    pub holds: u64,
    /// Bytes of the database file.
    pub database_bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Files of blocks that have one of their own.
    pub blob_files: u64,
    /// Bytes of these files with their trees.
    pub blob_bytes: u64,
}

/// What this handle has done since it was opened. Counts are exact; tests rest on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks given out by get.
    pub blocks_read: u64,
    /// New blocks stored.
    pub blocks_written: u64,
    /// Bytes of the new blocks.
    pub block_bytes_written: u64,
    /// Group commits.
    pub batches: u64,
    /// Requests in them, the refused ones too.
    pub requests: u64,
    /// fsyncs that made commits durable.
    pub commit_syncs: u64,
    /// fsyncs of a freshly reset log's header.
    pub header_syncs: u64,
    /// fsyncs that checkpoints made.
    pub checkpoint_syncs: u64,
    /// fsyncs of blob files and their folders.
    pub blob_syncs: u64,
    /// Bytes written to the write-ahead log by commits, without the zeros that lengthen its file.
    pub wal_bytes_written: u64,
}
