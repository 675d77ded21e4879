//! By name: whole or not at all. On disk: large blocks in files of their own.

use std::fs;
use std::path::Path;

use treering_store::{EmbeddedStore, OpenOptions};
use treering_thread::car::{export_to, import_from};

use super::*;
use crate::travel::full;

fn directory(path: &Path) -> Threads {
    on(Arc::new(
        EmbeddedStore::open(path, &OpenOptions::default()).unwrap(),
    ))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn from_directory_to_directory() {
    let folder = tempfile::tempdir().unwrap();
    let there = directory(&folder.path().join("there"));
    let ids = full(&there);
    let file = folder.path().join("all.car");
    let out = export_to(&there, None, &file, &mut go_on).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().len(), out.bytes);
    // The file is the same as from memory: ranges of large blocks are put together rightly.
    assert!(exported(&there, None).1 == fs::read(&file).unwrap());
    let here = directory(&folder.path().join("here"));
    let report = import_from(&here, &file, OnConflict::Refuse, &mut go_on).unwrap();
    assert_eq!(report.threads, ids);
    assert_eq!(everything(&here), everything(&there));
    assert_sound(&here);
    let again = import_from(&here, &file, OnConflict::Refuse, &mut go_on).unwrap();
    assert_eq!((again.there, again.new_blocks), (ids, 0));
    assert_eq!(names(folder.path()), ["all.car", "here", "there"]);
}

#[test]
fn a_name_that_is_taken_is_refused_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.car");
    fs::write(&file, "mine").unwrap();
    let threads = fresh();
    begun(&threads, "x");
    let error = export_to(&threads, None, &file, &mut go_on).unwrap_err();
    assert!(error.to_string().contains("all.car"), "{error}");
    assert!(
        matches!(error, CarError::Archive(ArchiveError::Io { source, .. })
        if source.kind() == std::io::ErrorKind::AlreadyExists)
    );
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(names(folder.path()), ["all.car"]);
}

#[test]
fn a_failed_export_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.car");
    let threads = fresh();
    let thread = begun(&threads, "x");
    for number in 0..300 {
        say(&thread, "a", &number.to_string());
    }
    let mut stop = |_, _| ControlFlow::Break(());
    let error = export_to(&threads, None, &file, &mut stop).unwrap_err();
    assert!(matches!(error, CarError::Archive(ArchiveError::Stopped)));
    assert!(names(folder.path()).is_empty());
    let nowhere = folder.path().join("no/such/folder.car");
    let error = export_to(&threads, None, &nowhere, &mut go_on).unwrap_err();
    assert!(
        matches!(error, CarError::Archive(ArchiveError::Io { .. })),
        "{error}"
    );
    let error = import_from(&threads, &file, OnConflict::Refuse, &mut go_on).unwrap_err();
    assert!(error.to_string().contains("all.car"), "{error}");
}
