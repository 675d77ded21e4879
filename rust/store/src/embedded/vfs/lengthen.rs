//! Room in the log ahead of what is written to it.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::embedded::disk::Disk;

/// A sync that has to write the log's new length, too, costs half as much again. So one behind a commit that
/// made the file grow makes it longer still, by zeros (which are no frame), and those after it, by whatever
/// process, find room. Where that fails the log is as good as before.
pub(super) fn lengthen(mut log: &File, disk: &Disk, path: Option<&Path>, written_to: u64) {
    let length = match log.metadata() {
        Ok(about) if about.len() <= written_to => about.len(),
        _ => return,
    };
    let zeros = vec![0; usize::try_from(length).map_or(LENGTHEN_MAX, lengthening)];
    let write = |bytes: &[u8]| {
        log.seek(SeekFrom::Start(length))?;
        log.write_all(bytes)
    };
    if let Err(error) = disk.write(path, length, &zeros, write, |error| error) {
        tracing::debug!(%error, "the log is not lengthened");
    }
}

/// A small log grows by as much as it has, a large one by 1 MiB.
fn lengthening(length: usize) -> usize {
    length.clamp(LENGTHEN_MIN, LENGTHEN_MAX)
}

const LENGTHEN_MIN: usize = 64 << 10;
const LENGTHEN_MAX: usize = 1 << 20;
