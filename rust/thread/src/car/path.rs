//! CAR files by name: written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ulid::Ulid;

use super::Watcher;
use super::conflict::OnConflict;
use super::error::CarError;
use super::export::{Exported, export};
use super::import::{Imported, import};
use crate::threads::Threads;

const BUFFER: usize = 1 << 20;
/// The system's number for "file exists", the same on every Unix.
const EEXIST: i32 = 17;

/// As [`export`], to a new file that appears under its name when all of it is on disk.
///
/// # Errors
/// As for [`export`]; `Io` (`AlreadyExists`) where there is something of that name.
pub fn export_to(
    threads: &Threads,
    ids: Option<&[String]>,
    path: &Path,
    watcher: Watcher<'_>,
) -> Result<Exported, CarError> {
    let shown = path.display().to_string();
    let io = |action: &'static str| {
        let path = shown.clone();
        move |source: io::Error| CarError::Io {
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
    let written = write(threads, ids, file, watcher).map_err(|error| error.named(&shown));
    let published = written.and_then(|exported| {
        refuse_existing(path)
            .and_then(|()| fs::rename(&partial, path))
            .and_then(|()| sync_directory(path))
            .map_err(io("create"))?;
        Ok(exported)
    });
    if published.is_err() {
        // What is left of it is no export.
        let _ = fs::remove_file(&partial);
    }
    published
}

/// As [`import`], from a file.
///
/// # Errors
/// As for [`import`]; `Io` where it can't be opened.
pub fn import_from(
    threads: &Threads,
    path: &Path,
    on_conflict: OnConflict,
    watcher: Watcher<'_>,
) -> Result<Imported, CarError> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|source| CarError::Io {
        action: "open",
        path: shown.clone(),
        source,
    })?;
    import(threads, file, on_conflict, watcher).map_err(|error| error.named(&shown))
}

fn write(
    threads: &Threads,
    ids: Option<&[String]>,
    file: File,
    watcher: Watcher<'_>,
) -> Result<Exported, CarError> {
    let mut output = BufWriter::with_capacity(BUFFER, file);
    let exported = export(threads, ids, &mut output, watcher)?;
    output.flush().map_err(CarError::writing)?;
    output.get_ref().sync_all().map_err(CarError::writing)?;
    Ok(exported)
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
    name.push(format!(".{}.partial", Ulid::generate()));
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
