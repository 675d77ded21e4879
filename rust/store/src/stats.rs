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
    /// Dead blocks whose rows still take room: a collection was stopped before it had deleted them.
    pub dead_blocks: u64,
    /// How often blocks were declared absent.
    pub gc_generation: u64,
    /// When the newest collection that came to its end began, Unix milliseconds; 0 for none.
    pub gc_at_ms: u64,
    /// Blocks that it kept.
    pub gc_kept: u64,
    /// Blocks whose rows it deleted.
    pub gc_deleted: u64,
    /// Their bytes.
    pub gc_freed_bytes: u64,
    /// Blocks that it found to be garbage and left, because they were few.
    pub garbage_blocks: u64,
    /// Their bytes.
    pub garbage_bytes: u64,
    /// Blocks that may be garbage now, estimated: those, and what came, went and ended since.
    pub garbage_estimate: u64,
    /// Pages of the tables of blocks and what they link to, with their index, in bytes.
    pub block_row_bytes: u64,
    /// Pages of the journal, in bytes.
    pub journal_bytes: u64,
    /// Pages of the receipts, in bytes.
    pub receipt_bytes: u64,
    /// Pages of all other tables, in bytes.
    pub other_bytes: u64,
    /// Pages of the database that are free to be written again, in bytes.
    pub free_bytes: u64,
    /// Bytes of the database file; what is in the log only is not in it yet.
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
    /// The longest time that a commit with housekeeping in it (a piece of a collection, a hold) kept the write
    /// lock, in microseconds, its fsync included.
    pub housekeeping_lock_us_max: u64,
    /// How often the automatic collection estimated whether there is much garbage.
    pub automatic_gc_checks: u64,
    /// How often it then marked.
    pub automatic_gc_marks: u64,
    /// How often there was much, and it collected to the end.
    pub automatic_gc_collections: u64,
    /// Blocks whose rows it deleted.
    pub automatic_gc_deleted: u64,
    /// Their bytes.
    pub automatic_gc_freed_bytes: u64,
}
