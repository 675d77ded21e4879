//! Files of large blocks: written, read whole and in pieces, damaged, removed.

use super::*;
use crate::error::StoreError;

/// A block's row for a file that [`BlobFiles::write`] made.
fn row_of(cid: Cid, size: usize, file: String) -> BlockRow {
    BlockRow {
        ordinal: 1,
        cid,
        size: size as u64,
        file: Some(file),
    }
}

fn sample() -> (tempfile::TempDir, BlobFiles, Block, BlockRow) {
    let root = tempfile::tempdir().unwrap();
    let files = BlobFiles::new(root.path().to_owned(), Arc::default(), Disk::system());
    let bytes: Vec<u8> = (0..300_000u32).map(|place| (place % 251) as u8).collect();
    let block = Block::raw(bytes);
    let name = files.write(&block).unwrap();
    let row = row_of(block.cid, block.bytes.len(), name);
    (root, files, block, row)
}

#[test]
fn whole_files_and_ranges_read_back() {
    let (_root, files, block, row) = sample();
    assert_eq!(files.read(&row).unwrap(), block.bytes);
    files.open(&row).unwrap().check().unwrap();
    for (offset, length) in [
        (0, 1),
        (0, 300_000),
        (1023, 2),
        (150_000, 70_000),
        (299_999, 10),
        (300_000, 5),
        (7, 0),
    ] {
        let end = (offset + length).min(300_000);
        let expected = &block.bytes[offset.min(300_000)..end.max(offset.min(300_000))];
        assert_eq!(
            files
                .open(&row)
                .unwrap()
                .read(offset as u64, length as u64)
                .unwrap(),
            expected,
            "{offset}+{length}"
        );
    }
    let beyond = files.open(&row).unwrap().read(u64::MAX, u64::MAX);
    assert!(beyond.unwrap().is_empty());
    // File, tree, their folder, and its own entry in `blobs`.
    assert_eq!(files.tally.counters().blob_syncs, 4);
}

#[test]
fn a_flipped_byte_is_seen_where_it_is_read() {
    let (root, files, block, row) = sample();
    let path = root.path().join(row.file.as_deref().unwrap());
    let mut broken = block.bytes.to_vec();
    broken[200_000] ^= 1;
    fs::write(&path, &broken).unwrap();
    assert!(matches!(files.read(&row), Err(StoreError::Corrupt { .. })));
    assert!(matches!(
        files.open(&row).unwrap().read(199_990, 20),
        Err(StoreError::Corrupt { .. })
    ));
    assert_eq!(
        files.open(&row).unwrap().read(0, 100).unwrap(),
        &block.bytes[..100],
        "the rest is not touched"
    );
    fs::write(&path, &block.bytes[..1000]).unwrap();
    assert!(matches!(files.read(&row), Err(StoreError::Corrupt { .. })));
    fs::remove_file(&path).unwrap();
    assert!(
        files
            .read(&row)
            .unwrap_err()
            .to_string()
            .contains("missing")
    );
}

#[test]
fn a_row_can_not_name_a_file_elsewhere() {
    let (_root, files, block, row) = sample();
    for name in [
        "../../etc/passwd",
        "",
        "ab",
        row.file.as_deref().unwrap().split_once('/').unwrap().1,
    ] {
        let row = row_of(block.cid, 300_000, name.to_owned());
        assert!(
            matches!(files.read(&row), Err(StoreError::Corrupt { .. })),
            "{name}"
        );
    }
}

#[test]
fn removed_files_leave_nothing() {
    let (_root, files, _block, row) = sample();
    assert_eq!(files.list().unwrap().len(), 2);
    files.remove(row.file.as_deref().unwrap());
    assert!(files.list().unwrap().is_empty());
}
