//! What can be wrong with a CAR file.

/// What is wrong with a CAR file at some place.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CarFault {
    /// The file ends inside of something.
    #[error("truncated: {needed} bytes of {what} are missing")]
    Truncated {
        /// Of what.
        what: &'static str,
        /// Bytes that are announced and not there; at least so many.
        needed: u64,
    },
    /// A length in more bytes than it needs, or beyond 63 bits.
    #[error("a length that is not a varint: {reason}")]
    Varint {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A CAR file of another version.
    #[error("CAR version {found}: only version 1 is read; extract the CARv1 inside of it first")]
    Version {
        /// The version.
        found: u64,
    },
    /// A header that is none.
    #[error("not the header of a CAR file: {reason}")]
    Header {
        /// What is wrong with it.
        reason: String,
    },
    /// More bytes than there may be.
    #[error("{actual} bytes of {what}: {limit} are allowed")]
    TooLong {
        /// Of what.
        what: &'static str,
        /// What is allowed.
        limit: u64,
        /// What is announced.
        actual: u64,
    },
    /// A section that holds no block.
    #[error("a section of {length} bytes holds no block: padding or rubbish")]
    Short {
        /// Its length.
        length: u64,
    },
    /// A section whose block is not one of ours.
    #[error("a foreign block: {reason}; a store holds blake3-256 blocks, dag-cbor or raw")]
    Foreign {
        /// What makes it foreign.
        reason: String,
    },
}
