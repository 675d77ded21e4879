//! Uploads: bytes that arrive in pieces are one block, stored with what asks for it or not at all.

use std::sync::Arc;

use treering_block::Cid;

use super::material::{assert_sound, done, fresh, name, node, put, raw, refusal, set};
use super::{Backend, cases};
use crate::blob_tree::GROUP;
use crate::commit::{BLOB_BYTES_MIN, Commit, Expect};
use crate::error::StoreError;
use crate::gc::{GcOptions, Phase};
use crate::store::Store;
use crate::upload::Uploaded;

cases!("uploads":
    pieces_make_one_block,
    it_is_stored_with_what_links_to_it,
    what_nothing_asks_for_is_not_stored,
    what_is_dropped_leaves_nothing,
    a_refused_commit_can_be_tried_again,
    the_same_bytes_are_stored_once,
    two_commits_of_one_upload,
    it_is_stored_again_after_a_collection,
    a_collection_takes_no_upload,
    what_is_read_in_pieces_is_read_to_its_end,
    pieces_of_a_block_come_back,
    a_closed_store_takes_none,
);

fn bytes(size: usize) -> Vec<u8> {
    (0..size)
        .map(|place| (place % 251) as u8 ^ (place >> 12) as u8)
        .collect()
}

fn uploaded(store: &dyn Store, bytes: &[u8]) -> Arc<Uploaded> {
    let mut upload = store.upload().unwrap();
    for piece in bytes.chunks(100_003) {
        upload.write(piece).unwrap();
    }
    let uploaded = upload.finish().unwrap();
    assert_eq!(uploaded.cid(), Cid::of_raw(bytes));
    assert_eq!(uploaded.size(), bytes.len() as u64);
    uploaded
}

fn with(uploads: impl IntoIterator<Item = Arc<Uploaded>>, commit: Commit) -> Commit {
    Commit {
        uploads: uploads.into_iter().collect(),
        ..commit
    }
}

/// A ref to it.
fn kept(upload: &Arc<Uploaded>, part: &str) -> Commit {
    let moves = vec![set(&name(part), Expect::Any, upload.cid())];
    with([Arc::clone(upload)], Commit { moves, ..put([]) })
}

fn pieces_make_one_block(backend: &dyn Backend) {
    let store = fresh(backend);
    for size in [
        0,
        1,
        BLOB_BYTES_MIN - 1,
        BLOB_BYTES_MIN,
        GROUP,
        GROUP + 1,
        3 * GROUP + 1025,
    ] {
        let content = bytes(size);
        let upload = uploaded(&*store, &content);
        assert!(!store.has(&upload.cid()).unwrap(), "{size}");
        let committed = done(&*store, kept(&upload, &format!("of {size}")));
        assert_eq!(
            (committed.new_blocks, committed.new_bytes),
            (1, size as u64)
        );
        assert_eq!(&*store.get(&upload.cid()).unwrap(), &content[..], "{size}");
    }
    assert_sound(&*store);
}

fn it_is_stored_with_what_links_to_it(backend: &dyn Backend) {
    let store = fresh(backend);
    let large = uploaded(&*store, &bytes(BLOB_BYTES_MIN + 9));
    let small = uploaded(&*store, b"small");
    let held = uploaded(&*store, &bytes(BLOB_BYTES_MIN + 10));
    let top = node("top", &[large.cid(), small.cid(), large.cid()]);
    let commit = Commit {
        moves: vec![set(&name("one"), Expect::Absent, top.cid)],
        holds: vec![held.cid()],
        ..put([top.clone()])
    };
    let uploads = [large, small, held];
    let cids: Vec<Cid> = uploads.iter().map(|upload| upload.cid()).collect();
    let committed = done(&*store, with(uploads, commit));
    assert_eq!((committed.new_blocks, committed.position), (4, 1));
    assert_eq!(store.has_many(&cids).unwrap(), [true; 3]);
    assert_eq!(store.gc(&GcOptions::default()).unwrap().dead, 0);
    assert_sound(&*store);
}

fn what_nothing_asks_for_is_not_stored(backend: &dyn Backend) {
    let store = fresh(backend);
    let upload = uploaded(&*store, &bytes(BLOB_BYTES_MIN));
    let committed = done(&*store, with([upload.clone()], put([raw("beside")])));
    assert_eq!(committed.new_blocks, 1);
    assert!(!store.has(&upload.cid()).unwrap());
    drop(upload);
    assert_eq!(store.stats().unwrap().blob_files, 0);
    assert_sound(&*store);
}

fn what_is_dropped_leaves_nothing(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut half = store.upload().unwrap();
    half.write(&bytes(2 * GROUP + 5)).unwrap();
    drop(half);
    let whole = uploaded(&*store, &bytes(GROUP + 5));
    drop(whole);
    let stats = store.stats().unwrap();
    assert_eq!(
        (stats.blob_files, stats.blob_bytes, stats.blocks),
        (0, 0, 0)
    );
    assert_eq!(store.head().unwrap().position, 0);
}

fn a_refused_commit_can_be_tried_again(backend: &dyn Backend) {
    let store = fresh(backend);
    let upload = uploaded(&*store, &bytes(GROUP + 77));
    let wrong = Commit {
        moves: vec![set(&name("one"), Expect::Version(3), upload.cid())],
        ..put([])
    };
    let error = refusal(&*store, with([upload.clone()], wrong));
    assert!(matches!(error, StoreError::RefMoved { .. }), "{error}");
    done(&*store, kept(&upload, "one"));
    drop(upload);
    let cid = store.read_ref(&name("one")).unwrap().unwrap().target;
    assert_eq!(&*store.get(&cid).unwrap(), &bytes(GROUP + 77)[..]);
    assert_sound(&*store);
}

fn the_same_bytes_are_stored_once(backend: &dyn Backend) {
    let store = fresh(backend);
    let content = bytes(GROUP + 3);
    let (first, second) = (uploaded(&*store, &content), uploaded(&*store, &content));
    assert_eq!(done(&*store, kept(&first, "one")).new_blocks, 1);
    assert_eq!(done(&*store, kept(&second, "two")).new_blocks, 0);
    // As a block of a commit, too.
    assert_eq!(done(&*store, put([raw(&content)])).new_blocks, 0);
    let cid = first.cid();
    drop((first, second));
    let stats = store.stats().unwrap();
    assert_eq!(stats.blocks, 1);
    assert!(stats.blob_files <= 1, "{stats:?}");
    assert_eq!(&*store.get(&cid).unwrap(), &content[..]);
    assert_sound(&*store);
}

fn two_commits_of_one_upload(backend: &dyn Backend) {
    let store = fresh(backend);
    let upload = uploaded(&*store, &bytes(GROUP + 4));
    done(&*store, kept(&upload, "one"));
    assert_eq!(done(&*store, kept(&upload, "two")).new_blocks, 0);
    for part in ["one", "two"] {
        done(
            &*store,
            super::material::moving(super::material::remove(&name(part), Expect::Any)),
        );
    }
    assert_eq!(store.gc(&GcOptions::default()).unwrap().deleted, 1);
    // Its file was the block's, and is gone with it: it can't be stored again, and nothing says that it was.
    match store.submit(kept(&upload, "three")).wait() {
        Ok(_) => assert_eq!(store.get(&upload.cid()).unwrap().len(), GROUP + 4),
        Err(StoreError::Invalid { what, .. }) => {
            assert_eq!(what, "upload");
            assert!(!store.has(&upload.cid()).unwrap());
            assert!(store.read_ref(&name("three")).unwrap().is_none());
        }
        Err(other) => panic!("{other}"),
    }
    assert_sound(&*store);
}

fn it_is_stored_again_after_a_collection(backend: &dyn Backend) {
    let store = fresh(backend);
    let content = bytes(GROUP + 5);
    let first = uploaded(&*store, &content);
    done(&*store, kept(&first, "one"));
    done(
        &*store,
        super::material::moving(super::material::remove(&name("one"), Expect::Any)),
    );
    let again = uploaded(&*store, &content);
    let mut collection = store.collection(&GcOptions::default()).unwrap();
    while !matches!(collection.phase(), Phase::Purge(_)) {
        collection.step().unwrap();
    }
    // Dead, and its file still there.
    assert!(!store.has(&first.cid()).unwrap());
    assert_eq!(done(&*store, kept(&again, "again")).new_blocks, 1);
    collection.run().unwrap();
    drop((first, again));
    assert_eq!(&*store.get(&Cid::of_raw(&content)).unwrap(), &content[..]);
    assert_eq!(store.gc(&GcOptions::default()).unwrap().dead, 0);
    assert_sound(&*store);
}

fn a_collection_takes_no_upload(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut under_way = store.upload().unwrap();
    under_way.write(&bytes(GROUP + 6)).unwrap();
    let whole = uploaded(&*store, &bytes(GROUP + 7));
    store.gc(&GcOptions::default()).unwrap();
    under_way.write(b"and the rest").unwrap();
    let finished = under_way.finish().unwrap();
    store.gc(&GcOptions::default()).unwrap();
    done(&*store, kept(&finished, "one"));
    done(&*store, kept(&whole, "two"));
    assert_eq!(store.get(&finished.cid()).unwrap().len(), GROUP + 6 + 12);
    assert_eq!(store.get(&whole.cid()).unwrap().len(), GROUP + 7);
    assert_sound(&*store);
}

fn what_is_read_in_pieces_is_read_to_its_end(backend: &dyn Backend) {
    let store = fresh(backend);
    let content = bytes(2 * GROUP + 8);
    let upload = uploaded(&*store, &content);
    done(&*store, kept(&upload, "one"));
    let reader = store.reader(&upload.cid()).unwrap();
    let mut read = reader.read_at(0, 1000).unwrap();
    done(
        &*store,
        super::material::moving(super::material::remove(&name("one"), Expect::Any)),
    );
    assert_eq!(store.gc(&GcOptions::default()).unwrap().deleted, 1);
    assert!(matches!(
        store.reader(&upload.cid()),
        Err(StoreError::BlockNotFound(_))
    ));
    while (read.len() as u64) < reader.size() {
        read.extend(reader.read_at(read.len() as u64, 300_000).unwrap());
    }
    assert_eq!(read, content);
}

fn pieces_of_a_block_come_back(backend: &dyn Backend) {
    let store = fresh(backend);
    for size in [0, 10, BLOB_BYTES_MIN + 11, GROUP + 1] {
        let content = bytes(size);
        done(&*store, put([raw(&content)]));
        let cid = Cid::of_raw(&content);
        let reader = store.reader(&cid).unwrap();
        assert_eq!(reader.size(), size as u64);
        let all = size as u64;
        for (offset, length) in [
            (0, all),
            (all / 2, 5),
            (all, 3),
            (3, u64::MAX),
            (u64::MAX, 1),
            (1, 0),
        ] {
            let place = |at: u64| usize::try_from(at.min(all)).unwrap();
            let expected = &content[place(offset)..place(offset.saturating_add(length))];
            assert_eq!(reader.read_at(offset, length).unwrap(), expected);
            assert_eq!(store.range(&cid, offset, length).unwrap(), expected);
        }
    }
    let absent = store.reader(&Cid::of_raw(b"absent"));
    assert!(matches!(absent, Err(StoreError::BlockNotFound(_))));
}

fn a_closed_store_takes_none(backend: &dyn Backend) {
    let store = fresh(backend);
    let upload = uploaded(&*store, &bytes(GROUP + 1));
    store.close().unwrap();
    let refused = store.submit(kept(&upload, "one")).wait();
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    assert!(matches!(
        store.reader(&upload.cid()),
        Err(StoreError::Closed)
    ));
}
