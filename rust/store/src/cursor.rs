//! Places in the journal.
//!
//! Promises: a cursor's text parses back to the same place and says when it is of another history.
//! Must never: be computed with by a caller; only its text form may leave the process.

use std::fmt;
use std::str::FromStr;

use crate::error::{Result, StoreError};

/// The end of a journal at one moment: write it down elsewhere to prove later that the prefix is unmodified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Number of the newest commit; 0 for an empty journal.
    pub position: u64,
    /// BLAKE3(previous chain ‖ position ‖ time ‖ body digest); zeros for an empty journal.
    pub chain: [u8; 32],
}

impl Head {
    /// The cursor after which this head's successors come.
    pub fn cursor(&self) -> Cursor {
        let mut chain8 = [0; 8];
        for (to, from) in chain8.iter_mut().zip(self.chain) {
            *to = from;
        }
        Cursor {
            position: self.position,
            chain8,
        }
    }
}

/// An opaque place in the journal: behind the commit at `position`. It carries the first 8 bytes of the
/// chain there, so that a tail lost at power failure is noticed. The default is the place before the
/// first commit.
///
/// Text: `c1-<position>-<16 hex digits>`; `c1` is the version of the form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Number of the commit that it stands behind; 0: before the first.
    pub position: u64,
    /// The first bytes of the chain there.
    pub chain8: [u8; 8],
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "c1-{}-{:016x}",
            self.position,
            u64::from_be_bytes(self.chain8)
        )
    }
}

impl FromStr for Cursor {
    type Err = StoreError;

    /// Errors: `Invalid` for anything that `Display` does not write.
    fn from_str(text: &str) -> Result<Self> {
        let parsed = || {
            let (position, chain) = text.strip_prefix("c1-")?.split_once('-')?;
            let cursor = Self {
                position: position.parse().ok()?,
                chain8: u64::from_str_radix(chain, 16).ok()?.to_be_bytes(),
            };
            (cursor.to_string() == text).then_some(cursor)
        };
        parsed().ok_or_else(|| StoreError::Invalid {
            what: "journal cursor",
            value: text.chars().take(64).collect(),
            rule: "it is a text that the store gave out, unchanged".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form() {
        let cursor = Cursor {
            position: 42,
            chain8: [0, 1, 2, 3, 4, 5, 6, 0xff],
        };
        assert_eq!(cursor.to_string(), "c1-42-00010203040506ff");
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        assert_eq!(
            Head::default().cursor().to_string(),
            "c1-0-0000000000000000"
        );
        let full = Cursor {
            position: u64::MAX,
            chain8: [0xff; 8],
        };
        assert_eq!(full.to_string().parse::<Cursor>().unwrap(), full);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "42",
            "c1-42",
            "c1--0000000000000000",
            "c1-042-0000000000000000",
            "c1-+4-0000000000000000",
            "c1-42-00010203040506FF",
            "c1-42-1",
            "c2-42-00010203040506ff",
            "c1-42-00010203040506ff ",
            "c1-18446744073709551616-00010203040506ff",
            "c1-42-+0010203040506ff",
        ] {
            assert!(
                matches!(text.parse::<Cursor>(), Err(StoreError::Invalid { .. })),
                "{text:?}"
            );
        }
    }
}
