//! The sections of a CAR file, one after the other.
//!
//! Promises: no memory is taken for a length before the file was seen to be that long and the length to be
//! allowed; every block is hashed.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use treering_block::car::{self, CarFault, PEEK_BYTES, Section, Varint};
use treering_block::{AnyCid, Cid, Codec, check_node};

use super::error::ArchiveError;
use crate::caller;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// A file that is read from its beginning.
pub struct Scan<R> {
    input: BufReader<R>,
    /// Where the next byte stands.
    at: u64,
    size: u64,
}

/// A block of the file.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Its name.
    pub cid: Cid,
    /// Where its bytes begin.
    pub offset: u64,
    /// How many these are.
    pub size: u64,
}

impl<R: Read + Seek> Scan<R> {
    /// Stands before the header.
    pub fn new(mut input: R) -> Result<Self, ArchiveError> {
        let size = input
            .seek(SeekFrom::End(0))
            .map_err(ArchiveError::reading)?;
        input.rewind().map_err(ArchiveError::reading)?;
        Ok(Self {
            input: BufReader::with_capacity(BUFFER, input),
            at: 0,
            size,
        })
    }

    /// Bytes read so far, and of the whole file.
    pub fn progress(&self) -> (u64, u64) {
        (self.at, self.size)
    }

    /// Reads the header; its roots.
    pub fn header(&mut self) -> Result<Vec<AnyCid>, ArchiveError> {
        let at = self.at;
        let refuse = |fault| ArchiveError::File { offset: at, fault };
        let length = self.length("the header")?.ok_or_else(|| {
            refuse(CarFault::Header {
                reason: "the file is empty".into(),
            })
        })?;
        car::check_header_length(length).map_err(refuse)?;
        let mut bytes = Vec::new();
        self.read("the header", length, &mut bytes)?;
        car::decode_header(&bytes).map_err(refuse)
    }

    /// The next block, checked against its CID and, if it is a node, against what a node may be. None at the end.
    pub fn next(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Found>, ArchiveError> {
        let start = self.at;
        let refuse = |fault| ArchiveError::File {
            offset: start,
            fault,
        };
        let Some(length) = self.length("a section's length")? else {
            return Ok(None);
        };
        bytes.clear();
        self.read("a section", length.min(PEEK_BYTES as u64), bytes)?;
        let Section { cid, size } = Section::decode(length, bytes).map_err(refuse)?;
        let found = Found {
            cid,
            offset: self.at,
            size,
        };
        let broken = |detail: String| ArchiveError::Block {
            cid,
            offset: found.offset,
            detail,
        };
        let matches = match cid.codec() {
            Codec::Raw => self.hash(size)? == *cid.digest(),
            Codec::DagCbor => {
                bytes.clear();
                self.read("a node", size, bytes)?;
                cid.matches(bytes)
            }
        };
        if !matches {
            return Err(broken("its bytes do not hash to it".into()));
        }
        if cid.codec() == Codec::DagCbor {
            check_node(bytes).map_err(|error| broken(error.to_string()))?;
        }
        Ok(Some(found))
    }

    /// A varint; None if the file ends before it.
    fn length(&mut self, what: &'static str) -> Result<Option<u64>, ArchiveError> {
        let start = self.at;
        let refuse = |fault| ArchiveError::File {
            offset: start,
            fault,
        };
        let mut varint = Varint::default();
        loop {
            let mut byte = [0];
            match self.input.read(&mut byte) {
                Ok(0) if varint.bytes() == 0 => return Ok(None),
                Ok(0) => return Err(refuse(CarFault::Truncated { what, needed: 1 })),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ArchiveError::reading(error)),
            }
            self.at += 1;
            let [byte] = byte;
            if let Some(length) = varint.push(byte).map_err(refuse)? {
                return Ok(Some(length));
            }
        }
    }

    /// Refuses what the file is too short for, before memory is taken for it.
    fn is_there(&self, what: &'static str, length: u64) -> Result<(), ArchiveError> {
        let missing = self.at.saturating_add(length).saturating_sub(self.size);
        if missing == 0 {
            return Ok(());
        }
        Err(ArchiveError::File {
            offset: self.at,
            fault: CarFault::Truncated {
                what,
                needed: missing,
            },
        })
    }

    fn read(
        &mut self,
        what: &'static str,
        length: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        self.is_there(what, length)?;
        let read = (&mut self.input).take(length).read_to_end(bytes);
        if read.map_err(ArchiveError::reading)? as u64 != length {
            return Err(shrunk());
        }
        self.at += length;
        Ok(())
    }

    /// The hash of so many bytes, of which only a part is in memory at a time.
    fn hash(&mut self, length: u64) -> Result<[u8; 32], ArchiveError> {
        self.is_there("a block", length)?;
        let mut hasher = blake3::Hasher::new();
        let mut input = (&mut self.input).take(length);
        let mut read = 0;
        loop {
            caller::still_waits()?;
            let some = match input.fill_buf() {
                Ok([]) => break,
                Ok(some) => some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ArchiveError::reading(error)),
            };
            hasher.update(some);
            let taken = some.len();
            input.consume(taken);
            read += taken as u64;
        }
        if read != length {
            return Err(shrunk());
        }
        self.at += length;
        Ok(*hasher.finalize().as_bytes())
    }
}

/// The file ended before the size that it had.
pub fn shrunk() -> ArchiveError {
    ArchiveError::reading(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "it changed while it was read",
    ))
}
