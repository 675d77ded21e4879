//! Sending a backup's directory: each file in pieces of [`PART_BYTES`], those that the bucket lacks.
//!
//! Memory: one piece, and what is known of each.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};

use super::manifest::{Manifest, MirroredFile, Piece, is_inside};
use super::place::Place;
use crate::bucket::{Bucket, PART_BYTES};
use crate::embedded::backup::target::{Target, named_files};
use crate::embedded::blob::without_tree_suffix;
use crate::embedded::directory::{BACKUP, DATABASE, LOG};
use crate::embedded::sealed_rows::FOLDER;
use crate::embedded::sqlite_error::io_error;
use crate::error::Result;
use crate::progress::{Progress, Stage};

pub(super) struct Sending<'s> {
    bucket: &'s dyn Bucket,
    progress: &'s Progress,
    generation: u64,
    /// Where bytes are found that need not be sent: digest → piece, as long as it is there. What else is wrong with it is
    /// found by who fetches it: to look would be to read all of it.
    there: BTreeMap<[u8; 32], (Piece, u64)>,
    sent_bytes: u64,
}

impl<'s> Sending<'s> {
    pub(super) fn new(
        bucket: &'s dyn Bucket,
        place: &Place,
        former: Option<&(u64, Manifest)>,
        progress: &'s Progress,
    ) -> Self {
        let generation = former.map_or(0, |(generation, _)| *generation) + 1;
        let mut there = BTreeMap::new();
        // Sent for this generation by a backup that ended early.
        for (piece, size) in &place.pieces {
            if piece.generation == generation {
                there.insert(piece.digest, (*piece, *size));
            }
        }
        let named = former.into_iter().flat_map(|(_, former)| &former.files);
        for (piece, size) in named.flat_map(MirroredFile::sized) {
            // One that is not as long as it was is sent again.
            if place.pieces.get(&piece) == Some(&size) {
                there.insert(piece.digest, (piece, size));
            }
        }
        Self {
            bucket,
            progress,
            generation,
            there,
            sent_bytes: 0,
        }
    }

    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Sends these files of a backup's directory, and notes them. Errors: `Bucket`, `Io`, `Cancelled`.
    pub(super) fn send_all(
        &mut self,
        target: &Target,
        paths: Vec<String>,
        manifest: &mut Manifest,
    ) -> Result<()> {
        self.progress.enter(Stage::Send, 0)?;
        for path in paths {
            manifest.files.push(self.send(target, path)?);
        }
        Ok(())
    }

    fn send(&mut self, target: &Target, path: String) -> Result<MirroredFile> {
        let from = target.root().join(&path);
        let failed = |error| io_error("read", &from, error);
        let mut source = target.disk().open_to_read(&from).map_err(failed)?;
        let mut file = MirroredFile {
            path,
            size: 0,
            pieces: Vec::new(),
        };
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let piece = (&mut source).take(PART_BYTES);
            { piece }.read_to_end(&mut bytes).map_err(failed)?;
            if bytes.is_empty() {
                return Ok(file);
            }
            file.size = file.size.saturating_add(bytes.len() as u64);
            file.pieces.push(self.send_piece(&bytes)?);
            self.progress.add(bytes.len() as u64)?;
        }
    }

    fn send_piece(&mut self, bytes: &[u8]) -> Result<Piece> {
        let digest = *blake3::hash(bytes).as_bytes();
        let size = bytes.len() as u64;
        if let Some((piece, there)) = self.there.get(&digest)
            && *there == size
        {
            return Ok(*piece);
        }
        let piece = Piece {
            generation: self.generation,
            digest,
        };
        self.bucket.put(&piece.name(), bytes)?;
        self.sent_bytes = self.sent_bytes.saturating_add(size);
        self.there.insert(digest, (piece, size));
        Ok(piece)
    }
}

/// The files that make a backup, but its database: its marker, and what rows name. What else lies there may be of scopes that
/// were erased, while somebody restores from there and nothing is removed.
pub(super) fn named_paths(target: &Target) -> Result<Vec<String>> {
    let root = target.root();
    // Closed at the end: what it moves into the database is sent with that.
    let open = target.open_database()?;
    let session = open.session();
    let mut paths = vec![BACKUP.to_owned()];
    let named = named_files(session)?;
    for (name, _) in target.blobs().list()? {
        if named.contains(without_tree_suffix(&name)) {
            paths.push(format!("blobs/{name}"));
        }
    }
    let folder = root.join(FOLDER);
    let failed = |error| io_error("list", &folder, error);
    match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(files) => {
            for file in files {
                let name = file.map_err(failed)?.file_name();
                let name = name.to_string_lossy();
                if session.names_sealed_file(&name)? {
                    paths.push(format!("{FOLDER}/{name}"));
                }
            }
        }
    }
    Ok(paths)
}

/// The same with its database, sorted: not its locks and what SQLite makes anew. To be called once nobody has it open here.
pub(super) fn with_database(target: &Target, mut paths: Vec<String>) -> Vec<String> {
    paths.push(DATABASE.to_owned());
    // What a reader kept from being moved into the database.
    if fs::metadata(target.root().join(LOG)).is_ok_and(|log| log.len() > 0) {
        paths.push(LOG.to_owned());
    }
    // Names of others are none of ours.
    paths.retain(|path| is_inside(path));
    paths.sort();
    paths
}
