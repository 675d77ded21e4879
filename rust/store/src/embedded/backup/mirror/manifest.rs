//! What a backup in a bucket consists of: text, a line for each file and each piece, and the BLAKE3 of it all at the end.
//!
//! Never: a path of it leads out of the directory that it is of.

use std::fmt::Write;

use crate::bucket::PART_BYTES;
use crate::cursor::Head;
use crate::error::{Result, StoreError};

const FIRST_LINE: &str = "treering backup 1";
const END: &str = "end ";
/// A manifest is held in memory. A piece takes some 70 bytes of it.
pub(super) const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// Bytes of a file, at most [`PART_BYTES`], as an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Piece {
    /// Of the backup that sent it.
    pub(super) generation: u64,
    /// BLAKE3 of its bytes.
    pub(super) digest: [u8; 32],
}

impl Piece {
    pub(super) fn name(&self) -> String {
        format!("pieces/{:020}/{}", self.generation, hex(&self.digest))
    }

    /// The other way round.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let (generation, digest) = name.strip_prefix("pieces/")?.split_once('/')?;
        let piece = Self {
            generation: generation.parse().ok()?,
            digest: unhex(digest)?,
        };
        (piece.name() == name).then_some(piece)
    }
}

/// A file of a backup's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MirroredFile {
    /// Below the directory, with slashes.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) pieces: Vec<Piece>,
}

impl MirroredFile {
    /// Its pieces with the bytes of each.
    pub(super) fn sized(&self) -> impl Iterator<Item = (Piece, u64)> {
        let size = self.size;
        (0u64..).zip(&self.pieces).map(move |(number, piece)| {
            let before = number.saturating_mul(PART_BYTES);
            (*piece, size.saturating_sub(before).min(PART_BYTES))
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) store_id: String,
    /// The store's last commit that is in it.
    pub(super) head: Head,
    /// By their paths.
    pub(super) files: Vec<MirroredFile>,
}

impl Manifest {
    pub(super) fn of(store_id: String, head: Head) -> Self {
        Self {
            store_id,
            head,
            files: Vec::new(),
        }
    }

    /// Errors: `LimitExceeded` for more than `limit` bytes.
    pub(super) fn to_bytes(&self, limit: u64) -> Result<Vec<u8>> {
        let mut text = format!(
            "{FIRST_LINE}\nstore {}\ncommit {} {}\n",
            self.store_id,
            self.head.position,
            hex(&self.head.chain)
        );
        for file in &self.files {
            // Writing into memory does not fail.
            let _ = writeln!(text, "file {} {}", file.size, file.path);
            for piece in &file.pieces {
                let _ = writeln!(text, "{} {}", piece.generation, hex(&piece.digest));
            }
        }
        let digest = blake3::hash(text.as_bytes()).to_hex();
        let _ = writeln!(text, "{END}{digest}");
        if text.len() as u64 > limit {
            return Err(StoreError::LimitExceeded {
                what: "bytes of the manifest of a backup in a bucket",
                limit,
                actual: text.len() as u64,
            });
        }
        Ok(text.into_bytes())
    }

    /// None for what is no whole one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let at = text.rfind(END)?;
        let (text, end) = text.split_at_checked(at)?;
        if end != format!("{END}{}\n", blake3::hash(text.as_bytes()).to_hex()) {
            return None;
        }
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let store_id = lines.next()?.strip_prefix("store ")?.to_owned();
        let (position, chain) = lines.next()?.strip_prefix("commit ")?.split_once(' ')?;
        let head = Head {
            position: position.parse().ok()?,
            chain: unhex(chain)?,
        };
        let mut manifest = Self::of(store_id, head);
        for line in lines {
            if let Some(file) = line.strip_prefix("file ") {
                let (size, path) = file.split_once(' ')?;
                manifest.files.push(MirroredFile {
                    path: is_inside(path).then(|| path.to_owned())?,
                    size: size.parse().ok()?,
                    pieces: Vec::new(),
                });
            } else {
                let (generation, digest) = line.split_once(' ')?;
                manifest.files.last_mut()?.pieces.push(Piece {
                    generation: generation.parse().ok()?,
                    digest: unhex(digest)?,
                });
            }
        }
        let whole =
            |file: &MirroredFile| file.pieces.len() as u64 == file.size.div_ceil(PART_BYTES);
        manifest.files.iter().all(whole).then_some(manifest)
    }
}

/// Whether a path is of plain names, none of which leads upwards.
pub(super) fn is_inside(path: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let plain = |name: &str| !matches!(name, "" | "." | "..") && name.bytes().all(allowed);
    path.split('/').all(plain)
}

fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let hash = blake3::Hash::from_hex(text).ok()?;
    Some(*hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str) -> Manifest {
        let head = Head {
            position: 7,
            chain: [9; 32],
        };
        let mut manifest = Manifest::of("01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), head);
        let piece = |generation, byte| Piece {
            generation,
            digest: [byte; 32],
        };
        manifest.files = vec![
            MirroredFile {
                path: path.into(),
                size: PART_BYTES + 1,
                pieces: vec![piece(1, 1), piece(2, 2)],
            },
            MirroredFile {
                path: "empty".into(),
                size: 0,
                pieces: Vec::new(),
            },
        ];
        manifest
    }

    #[test]
    fn it_reads_back_and_every_flipped_or_missing_byte_is_found() {
        let manifest = manifest("blobs/ab/cd.tree");
        let bytes = manifest.to_bytes(u64::MAX).unwrap();
        assert_eq!(Manifest::from_bytes(&bytes).as_ref(), Some(&manifest));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(Manifest::from_bytes(&flipped), None, "{at}");
            assert_eq!(Manifest::from_bytes(&bytes[..at]), None, "{at}");
        }
        let sizes: Vec<u64> = manifest.files[0].sized().map(|(_, size)| size).collect();
        assert_eq!(sizes, [PART_BYTES, 1]);
        let limit = bytes.len() as u64;
        assert_eq!(manifest.to_bytes(limit).unwrap(), bytes);
        assert!(matches!(
            manifest.to_bytes(limit - 1),
            Err(StoreError::LimitExceeded { actual, .. }) if actual == limit
        ));
    }

    #[test]
    fn no_path_leads_out() {
        for path in ["../x", "/x", "a//b", "a/../b", "a/", ".", "a\\b", "ü", ""] {
            let bytes = manifest(path).to_bytes(u64::MAX).unwrap();
            assert_eq!(Manifest::from_bytes(&bytes), None, "{path}");
        }
    }

    #[test]
    fn a_piece_is_known_by_its_name() {
        let piece = Piece {
            generation: 12,
            digest: [0xab; 32],
        };
        assert_eq!(Piece::from_name(&piece.name()), Some(piece));
        for name in ["pieces/12/ab", "pieces/x/y", "pieces/", "manifests/1"] {
            assert_eq!(Piece::from_name(name), None, "{name}");
        }
    }
}
