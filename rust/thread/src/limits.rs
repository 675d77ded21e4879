//! Every limit of the thread layer; each is inclusive and tested at its edge.
//!
//! The limits of nodes (role, depth, size, links) are the block layer's, those of a commit
//! (64 MiB of blocks, 20,000 moves) the store's.

/// UTF-8 bytes of a thread's key. Escaped into the name of its ref, where a character that is not
/// a letter, digit or one of `-._~` takes three bytes for each byte, it must fit the store's
/// limit for names too.
pub const KEY_BYTES_MAX: usize = 512;

/// Labels of one thread.
pub const LABELS_MAX: usize = 32;

/// UTF-8 bytes of a label's name.
pub const LABEL_NAME_BYTES_MAX: usize = 64;

/// UTF-8 bytes of a label that is text.
pub const LABEL_TEXT_BYTES_MAX: usize = 256;

/// Bytes of all labels of a thread together: names, texts, and 8 for each that is no text. Keeps
/// the record within the store's 4096 bytes whatever else stands there.
pub const LABELS_BYTES_MAX: usize = 2048;

/// UTF-8 bytes of an error or reason that the record repeats; the whole text is in the failed node.
pub const RECORD_ERROR_BYTES_MAX: usize = 512;

/// Steps of one extend, or of one start that imports.
pub const EXTEND_STEPS_MAX: usize = 10_000;

/// Characters of an id that a prefix needs at least.
pub const ID_PREFIX_MIN: usize = 4;

/// Ids that an ambiguous prefix lists.
pub const CANDIDATES_MAX: usize = 16;

/// UTF-8 bytes of a pin's name.
pub const PIN_BYTES_MAX: usize = 512;

/// Nesting of workflows that call workflows is bounded by the engine; a start node takes any depth
/// up to this one, so that it fits every language's integers.
pub const DEPTH_MAX: u64 = u32::MAX as u64;
