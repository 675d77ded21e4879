//! Large blocks in quarantine: what is damaged is kept as it is, a piece at a time.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bucket;

use std::fs;
use std::path::Path;

use bucket::*;
use treering_block::Cid;
use treering_fuzz::metered;
use treering_store::faults::SimulatedBucket;
use treering_store::quarantine::{self, Part, Quarantined, To};
use treering_store::{EmbeddedStore, GcOptions, OpenOptions, Store, StoreError};

const SIZE: usize = 12 * MIB;

/// Changes a byte of each file below `blobs/` that is so long.
fn damage(path: &Path) -> usize {
    let mut damaged = 0;
    for folder in fs::read_dir(path.join("blobs")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let mut content = fs::read(&file).unwrap();
            if content.len() == SIZE {
                content[1000] ^= 1;
                fs::write(&file, content).unwrap();
                damaged += 1;
            }
        }
    }
    damaged
}

/// The bytes that an entry keeps of each block, and what it keeps whole.
fn kept(store: &dyn Store, moved: &Quarantined) -> (Vec<(Cid, Vec<u8>)>, Vec<Cid>) {
    let (mut copies, mut whole) = (Vec::new(), Vec::new());
    for part in &moved.entry.parts {
        let part = Part::decode(part, &store.get(part).unwrap()).unwrap();
        for (cid, copy) in &part.copies {
            copies.push((*cid, store.get(copy).unwrap().to_vec()));
        }
        whole.extend(part.keep);
    }
    (copies, whole)
}

fn check(store: &dyn Store, moved: &Quarantined, contents: &[Vec<u8>], sound: Cid) {
    let (copies, whole) = kept(store, moved);
    assert_eq!((copies.len(), whole), (contents.len(), vec![sound]));
    for content in contents {
        let cid = Cid::of_raw(content);
        let (_, copy) = copies.iter().find(|(of, _)| *of == cid).unwrap();
        let mut damaged = content.clone();
        damaged[1000] ^= 1;
        assert!(*copy == damaged);
        assert!(moved.entry.lost.contains(&cid));
    }
    // The right bytes bring all of it back, once what is damaged is collected.
    store.gc(&GcOptions::default()).unwrap();
    for content in contents {
        let upload = uploaded(store, content).unwrap();
        let commit = treering_store::Commit {
            scope: "main".into(),
            holds: vec![upload.cid()],
            uploads: vec![upload],
            ..treering_store::Commit::default()
        };
        store.submit(commit).wait().unwrap();
    }
    let back = quarantine::restore(store, &moved.name, To::Last).unwrap();
    assert_eq!(back.len(), contents.len() + 1);
    for content in contents {
        assert!(*store.get(&Cid::of_raw(content)).unwrap() == content[..]);
    }
}

#[test]
fn damaged_files_are_copied_piece_by_piece() {
    let home = directory();
    let store = EmbeddedStore::open(home.path(), &OpenOptions::default()).unwrap();
    let contents: Vec<Vec<u8>> = (0..4).map(|seed| bytes(seed, SIZE)).collect();
    let mut names = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        send(&store, &number.to_string(), content).unwrap();
        names.push(name(&number.to_string()).encoded().to_owned());
    }
    let sound = send(&store, "sound", &bytes(9, SIZE + 1)).unwrap();
    names.push(name("sound").encoded().to_owned());
    assert_eq!(damage(home.path()), 4);
    let moved = metered(|| store.quarantine(&names).unwrap());
    assert!(
        moved.most_bytes < 6 * MIB,
        "{} bytes were held",
        moved.most_bytes
    );
    check(&store, &moved.result, &contents, sound);
    assert_sound(&store);
}

#[test]
fn damaged_objects_are_copied_unless_the_bucket_is_away() {
    let home = directory();
    let bucket = SimulatedBucket::new(URL);
    let store = open(home.path(), &bucket);
    let content = bytes(1, SIZE);
    let cid = send(&store, "damaged", &content).unwrap();
    let sound = send(&store, "sound", &bytes(2, SIZE)).unwrap();
    let object = object_of(&bucket, &cid).remove(0);
    bucket.change(|contents| {
        let mut damaged = contents.objects[&object].to_vec();
        damaged[1000] ^= 1;
        contents.objects.insert(object, damaged.into());
    });
    let names: Vec<String> = ["damaged", "sound"]
        .map(|part| name(part).encoded().to_owned())
        .into();
    bucket.go_down();
    let answer = store.quarantine(&names);
    assert!(
        matches!(answer, Err(StoreError::Bucket { .. })),
        "{answer:?}"
    );
    bucket.go_up();
    let moved = store.quarantine(&names).unwrap();
    check(&store, &moved, &[content], sound);
    assert_sound(&store);
}
