//! Frames of the log that are kept back until their commit is whole, and when they are due.
//!
//! SQLite writes each frame of the log in two pieces, of 24 and 4096 bytes. A commit of a dozen pages
//! would cost two dozen system calls; gathered, it costs one. A frame whose header names a database size
//! ends a commit (bytes 4..8, see SQLite's file format, section 4): with it everything gathered is
//! written, before SQLite lets anybody see the commit.
//!
//! A transaction that outgrew the page cache has written some frames early and some twice: at its end
//! SQLite goes back over them, reads each and writes its header anew, the commit's own last. No page
//! follows such a header, so it is never kept back.

/// Bytes of the log that SQLite has written and the file has not.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) offset: i64,
    pub(super) bytes: Vec<u8>,
    /// The newest frame header ends a commit; its page is to come.
    pub(super) ends_commit: bool,
    /// Where SQLite read last: a header that is written there replaces the one that it read.
    pub(super) read_at: Option<i64>,
}

/// Bytes of a frame's header, before its page.
const FRAME_HEADER_BYTES: usize = 24;
/// A transaction larger than this is written in pieces.
const GATHERED_BYTES_MAX: usize = 1 << 20;

impl Gathered {
    /// Takes one write. True: what is gathered is due.
    pub(super) fn take(&mut self, bytes: &[u8], offset: i64) -> bool {
        if self.bytes.is_empty() {
            self.offset = offset;
        }
        self.bytes.extend_from_slice(bytes);
        let replaced = self.read_at.take() == Some(offset);
        if bytes.len() == FRAME_HEADER_BYTES && replaced {
            return true;
        }
        if bytes.len() == FRAME_HEADER_BYTES {
            self.ends_commit = bytes.get(4..8).is_some_and(|size| size != [0; 4]);
            return false;
        }
        std::mem::take(&mut self.ends_commit) || self.bytes.len() >= GATHERED_BYTES_MAX
    }

    /// Whether a write at `offset` goes on where the last one ended.
    pub(super) fn continues_at(&self, offset: i64) -> bool {
        i64::try_from(self.bytes.len())
            .is_ok_and(|length| self.offset.checked_add(length) == Some(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(database_pages: u32) -> Vec<u8> {
        let mut header = vec![0; FRAME_HEADER_BYTES];
        header[4..8].copy_from_slice(&database_pages.to_be_bytes());
        header
    }

    #[test]
    fn what_ends_a_commit_is_due() {
        let mut gathered = Gathered::default();
        assert!(!gathered.take(&header(0), 32));
        assert!(!gathered.take(&[1; 4096], 56));
        assert!(gathered.continues_at(32 + 24 + 4096));
        assert!(!gathered.take(&header(7), 4152));
        assert!(gathered.take(&[2; 4096], 4176), "the commit's page");
        assert_eq!(gathered.bytes.len(), 2 * (24 + 4096));
    }

    #[test]
    fn a_header_that_replaces_one_is_not_kept_back() {
        let mut gathered = Gathered {
            read_at: Some(32),
            ..Gathered::default()
        };
        assert!(gathered.take(&header(7), 32));
        gathered.bytes.clear();
        assert!(!gathered.take(&header(0), 8272), "this one is new");
        assert!(!gathered.take(&[1; 4096], 8296));
    }
}
