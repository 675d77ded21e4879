//! Archives by name: written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::ArchiveError;

const BUFFER: usize = 1 << 20;
/// The system's number for "file exists", the same on every Unix.
const EEXIST: i32 = 17;

/// Writes a new file that appears under its name when all of it is on disk.
///
/// Errors: those of `fill`; `Io` (`AlreadyExists`) where there is something of that name.
pub fn write_to<T, E: From<ArchiveError>>(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    let shown = path.display().to_string();
    let io = |action: &'static str| {
        let path = shown.clone();
        move |source: io::Error| ArchiveError::Io {
            action,
            path,
            source,
        }
    };
    refuse_existing(path).map_err(io("create"))?;
    let partial = partial_name(path);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&partial)
        .map_err(io("create"))?;
    let published = filled(file, fill).and_then(|written| {
        refuse_existing(path)
            .and_then(|()| fs::rename(&partial, path))
            .and_then(|()| sync_directory(path))
            .map_err(io("create"))?;
        Ok(written)
    });
    if published.is_err() {
        // What is left of it is no export.
        let _ = fs::remove_file(&partial);
    }
    published
}

/// The file of that name, to be read.
///
/// Errors: `Io`.
pub fn open(path: &Path) -> Result<File, ArchiveError> {
    File::open(path).map_err(|source| ArchiveError::Io {
        action: "open",
        path: path.display().to_string(),
        source,
    })
}

fn filled<T, E: From<ArchiveError>>(
    file: File,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    let mut output = BufWriter::with_capacity(BUFFER, file);
    let written = fill(&mut output)?;
    output.flush().map_err(ArchiveError::writing)?;
    output.get_ref().sync_all().map_err(ArchiveError::writing)?;
    Ok(written)
}

fn refuse_existing(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(io::Error::from_raw_os_error(EEXIST)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A name beside it that nobody else uses.
fn partial_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", ulid::Ulid::generate()));
    path.with_file_name(name)
}

/// The new name is on disk too.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if cfg!(unix) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}
