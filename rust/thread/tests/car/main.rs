//! CAR files: export and import, by theme.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end so, in the functions that tests share too"
)]

mod conflicts;
mod files;
mod fuzz;
mod half_way;
mod mend;
mod properties;
mod receipts;
mod refusals;
mod travel;
mod vector;
mod while_writing;

use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::Arc;

use treering_block::car::{Section, Varint, decode_header, encode_header, encode_section_head};
use treering_block::{Block, Cid, Codec, Ipld, cbor};
use treering_store::archive::ArchiveError;
use treering_store::{Clock, Durability, MemoryStore, Store};
use treering_thread::car::{CarError, Exported, Imported, OnConflict, export, import};
use treering_thread::{AtMs, Content, StartArgs, StepArgs, Thread, Threads};

/// 2026-11-22T00:00:00Z.
const DAY_MS: i64 = 1_795_305_600_000;

fn fresh() -> Threads {
    on(Arc::new(MemoryStore::with_clock(Clock::manual(DAY_MS))))
}

fn on(store: Arc<dyn Store>) -> Threads {
    Threads::new(store, "main", Durability::Durable).unwrap()
}

fn begun(threads: &Threads, key: &str) -> Thread {
    let args = StartArgs {
        key: Some(key.into()),
        prompt: Some("do it".into()),
        ..StartArgs::new("w")
    };
    threads.start(args).unwrap().wait().unwrap()
}

fn say(thread: &Thread, role: &str, text: &str) {
    let step = StepArgs {
        at_ms: AtMs::None,
        ..StepArgs::new(role, text)
    };
    thread.append(step).unwrap().wait().unwrap();
}

fn exported(threads: &Threads, ids: Option<&[String]>) -> (Exported, Vec<u8>) {
    let mut bytes = Vec::new();
    let answer = export(threads, ids, &mut bytes, &mut go_on).unwrap();
    assert_eq!(answer.bytes, bytes.len() as u64);
    (answer, bytes)
}

fn go_on(_: u64, _: Option<u64>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn imported(threads: &Threads, bytes: &[u8]) -> Result<Imported, CarError> {
    imported_with(threads, bytes, OnConflict::Refuse)
}

fn imported_with(
    threads: &Threads,
    bytes: &[u8],
    on_conflict: OnConflict,
) -> Result<Imported, CarError> {
    import(threads, Cursor::new(bytes), on_conflict, &mut go_on)
}

/// All that can be read of a thread, as text.
fn told(threads: &Threads, id: &str) -> Vec<String> {
    let thread = threads.get(id).unwrap();
    let mut lines = vec![format!("{:?}", thread.info())];
    let step = |step: treering_thread::Step| {
        let content = step.content_node(thread.store()).unwrap();
        let said = match step.content(thread.store()).unwrap() {
            Content::Text(text) => format!("{} {}", text.len(), Cid::of_raw(text.as_bytes())),
            other => format!("{other:?}"),
        };
        for artifact in content.artifacts.values() {
            let bytes = thread.store().get(artifact).unwrap();
            assert_eq!(Cid::of(artifact.codec(), &bytes), *artifact);
        }
        format!(
            "{} {} {} {:?} {:?} {said}",
            step.number, step.cid, step.node.role, step.node.meta, content.artifacts
        )
    };
    lines.extend(thread.steps().map(|each| step(each.unwrap())));
    lines.extend(thread.failure().unwrap().map(step));
    lines
}

fn everything(threads: &Threads) -> Vec<Vec<String>> {
    let listed = threads.list(&Default::default()).unwrap();
    listed.iter().map(|line| told(threads, &line.id)).collect()
}

/// Store and threads have no fault.
fn assert_sound(threads: &Threads) {
    let mut report = threads.store().verify(None).unwrap();
    treering_thread::verify_threads(&**threads.store(), &mut report);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

/// What a store holds, as far as an import could change it: blocks, refs, receipts, holds, journal.
fn state(threads: &Threads) -> (u64, u64, u64, u64, u64) {
    let stats = threads.store().stats().unwrap();
    let head = threads.store().head().unwrap().position;
    (stats.blocks, stats.refs, stats.receipts, stats.holds, head)
}

/// A step of so much text under a command id.
fn commanded(id: &str, text: &str) -> StepArgs {
    StepArgs {
        command_id: Some(id.into()),
        ..StepArgs::new("coder", text)
    }
}

/// The roots and the sections of a file.
fn taken_apart(bytes: &[u8]) -> (Vec<Cid>, Vec<(Cid, Vec<u8>)>) {
    let mut at = 0;
    let mut length = |bytes: &[u8]| {
        let mut varint = Varint::default();
        loop {
            let done = varint.push(bytes[at]).unwrap();
            at += 1;
            if let Some(length) = done {
                let range = at..at + length as usize;
                at = range.end;
                return range;
            }
        }
    };
    let header = length(bytes);
    let roots = decode_header(&bytes[header.clone()]).unwrap();
    let mut end = header.end;
    let mut sections = Vec::new();
    while end < bytes.len() {
        let range = length(bytes);
        end = range.end;
        let section = &bytes[range];
        let head = Section::decode(section.len() as u64, &section[..36]).unwrap();
        sections.push((head.cid, section[36..].to_vec()));
    }
    let roots = roots.iter().map(|root| Cid::try_from(root).unwrap());
    (roots.collect(), sections)
}

fn put_together(roots: &[Cid], sections: &[(Cid, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = encode_header(roots).unwrap();
    for (cid, block) in sections {
        let size = block.len() as u64;
        bytes.extend(encode_section_head(&Section { cid: *cid, size }).unwrap());
        bytes.extend(block);
    }
    bytes
}

/// The file with its root 0 or a page of the manifest changed by `change`, CIDs set right.
fn with_manifest(bytes: &[u8], change: impl Fn(&mut Ipld)) -> Vec<u8> {
    let (roots, mut sections) = taken_apart(bytes);
    let mut root = cbor::decode(&sections[0].1).unwrap();
    let pages = match &root {
        Ipld::Map(map) => match &map["pages"] {
            Ipld::List(pages) => pages.clone(),
            _ => panic!(),
        },
        _ => panic!(),
    };
    let mut links = Vec::new();
    for page in &pages {
        let Ipld::Link(old) = page else { panic!() };
        let old = Cid::try_from(old).unwrap();
        let place = sections.iter().position(|(cid, _)| *cid == old).unwrap();
        let mut value = cbor::decode(&sections[place].1).unwrap();
        change(&mut value);
        let bytes = cbor::encode(&value).unwrap();
        sections[place] = (Cid::of_node(&bytes), bytes);
        links.push(Ipld::Link(sections[place].0.into()));
    }
    if let Ipld::Map(map) = &mut root {
        map.insert("pages".into(), Ipld::List(links));
    }
    change(&mut root);
    let root = cbor::encode(&root).unwrap();
    assert_eq!(roots, [sections[0].0]);
    sections[0] = (Cid::of_node(&root), root);
    put_together(&[sections[0].0], &sections)
}

fn links_of((cid, bytes): &(Cid, Vec<u8>)) -> Vec<Cid> {
    match cid.codec() {
        Codec::Raw => Vec::new(),
        Codec::DagCbor => Block::node(bytes.clone()).unwrap().links,
    }
}
