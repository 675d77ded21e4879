//! Root 0 of an export: which threads there are, what their refs and records say, and the receipts of
//! their commands. `docs/format.md` has it field by field.
//!
//! Promises: the same threads give the same bytes; what is read was checked field by field, with the
//! limits that a thread has, so nothing can be imported that could not have been made here.
//! Must never: take a field that it does not know; half of a manifest would be guessed.

use std::collections::BTreeMap;

use treering_block::{Block, Cid, Codec, Encoded, Ipld, Writer, cbor};
use treering_store::JournalCommand;

use super::error::CarError;
use crate::error::{Result, ThreadError};
use crate::ident::{check_key, parse_wanted};
use crate::label::check_labels;
use crate::limits::RECORD_ERROR_BYTES_MAX;
use crate::receipt::{self, Receipt};
use crate::record::Record;

const KIND: &str = "export";
const PAGE_KIND: &str = "export-page";
const FORM: u64 = 1;

/// Encoded bytes of entries that a page takes; a longer entry stands alone.
const PAGE_BYTES: usize = 256 << 10;
/// Threads of a page: each has up to two links, of which a node may have 4096.
const PAGE_THREADS: usize = 2000;
/// Pages that a manifest can name.
pub(super) const PAGES_MAX: usize = treering_block::limits::NODE_LINKS_MAX;

/// One thread.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub id: String,
    pub head: Cid,
    /// Of its ref, where it was exported.
    pub version: u64,
    pub record: Record,
    /// The node of its last failure.
    pub failed: Option<Cid>,
}

/// What an export says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manifest {
    /// Where the threads were; receipts are only good in a scope of that name.
    pub scope: String,
    /// By growing id.
    pub threads: Vec<Entry>,
    /// By growing key.
    pub receipts: Vec<JournalCommand>,
}

impl Manifest {
    /// The manifest as blocks, the root first.
    pub fn encode(&self) -> Result<Vec<Block>> {
        let mut pages = Vec::new();
        let threads = self.threads.iter().map(write_entry);
        fill("threads", PAGE_THREADS, threads, &mut pages)?;
        let receipts = self.receipts.iter().map(write_receipt);
        fill("receipts", usize::MAX, receipts, &mut pages)?;
        if pages.len() > PAGES_MAX {
            return Err(ThreadError::LimitExceeded {
                what: "pages of an export's manifest",
                limit: PAGES_MAX as u64,
                actual: pages.len() as u64,
            });
        }
        let links = pages.iter().map(|page| Ipld::Link(page.cid.into()));
        let root = Ipld::Map(BTreeMap::from([
            ("kind".to_owned(), text(KIND)),
            ("form".to_owned(), uint(FORM)),
            ("scope".to_owned(), text(&self.scope)),
            ("threads".to_owned(), uint(self.threads.len() as u64)),
            ("receipts".to_owned(), uint(self.receipts.len() as u64)),
            ("pages".to_owned(), Ipld::List(links.collect())),
        ]));
        pages.insert(0, Block::from_encoded(Encoded::from_ipld(&root)?)?);
        Ok(pages)
    }

    /// Reads the manifest at `root`; `read` gives the bytes of a block of the file.
    pub fn decode(
        root: &Cid,
        mut read: impl FnMut(&Cid) -> Result<Vec<u8>, CarError>,
    ) -> Result<Self, CarError> {
        let mut fields = Fields::of("root 0", root, &read(root)?)?;
        if fields.text("kind")? != KIND {
            return Err(CarError::manifest(
                "root 0 of the file is another node; only what treering exported can be imported",
            ));
        }
        match fields.uint("form")? {
            FORM => {}
            form => {
                return Err(CarError::manifest(format!(
                    "it has form {form}, this version reads {FORM}; upgrade treering"
                )));
            }
        }
        let scope = fields.text("scope")?;
        treering_store::name::check_scope(&scope)?;
        let (threads, receipts) = (fields.uint("threads")?, fields.uint("receipts")?);
        let pages = fields.list("pages")?;
        fields.finish()?;
        let mut manifest = Self {
            scope,
            threads: Vec::new(),
            receipts: Vec::new(),
        };
        for page in pages {
            let cid = ours(page).ok_or_else(|| CarError::manifest("a page is not a link"))?;
            manifest.read_page(&cid, &read(&cid)?)?;
        }
        manifest.check(threads, receipts)?;
        Ok(manifest)
    }

    fn read_page(&mut self, cid: &Cid, bytes: &[u8]) -> Result<(), CarError> {
        let mut fields = Fields::of("a page", cid, bytes)?;
        if fields.text("kind")? != PAGE_KIND {
            return Err(CarError::manifest("a page is another node"));
        }
        if fields.map.contains_key("threads") {
            for entry in fields.list("threads")? {
                self.threads.push(read_entry(entry)?);
            }
        } else {
            for receipt in fields.list("receipts")? {
                self.receipts.push(read_receipt(receipt)?);
            }
        }
        fields.finish()
    }

    fn check(&self, threads: u64, receipts: u64) -> Result<(), CarError> {
        let found = (self.threads.len() as u64, self.receipts.len() as u64);
        if found != (threads, receipts) {
            return Err(CarError::manifest(format!(
                "it announces {threads} threads and {receipts} receipts, its pages have {} and {}",
                found.0, found.1
            )));
        }
        let grows = |pair: &[Entry]| matches!(pair, [a, b] if a.id < b.id);
        if !self.threads.windows(2).all(grows) {
            return Err(CarError::manifest(
                "its threads are not in the order of their ids",
            ));
        }
        let grows = |pair: &[JournalCommand]| matches!(pair, [a, b] if a.key < b.key);
        if !self.receipts.windows(2).all(grows) {
            return Err(CarError::manifest(
                "its receipts are not in the order of their keys",
            ));
        }
        for receipt in &self.receipts {
            if !self.about(receipt)?.iter().any(|id| self.has(&id.thread)) {
                return Err(CarError::manifest(
                    "it has a receipt that is about none of its threads",
                ));
            }
        }
        Ok(())
    }

    /// What a receipt says.
    pub fn about(&self, command: &JournalCommand) -> Result<Vec<Receipt>, CarError> {
        receipt::decode(&command.receipt)
            .map_err(|_| CarError::manifest("a receipt in it does not read"))
    }

    /// Whether a thread of this id is in it. O(log n).
    pub fn has(&self, id: &str) -> bool {
        self.threads
            .binary_search_by(|entry| entry.id.as_str().cmp(id))
            .is_ok()
    }
}

/// Spreads entries over pages.
fn fill(
    field: &'static str,
    entries_max: usize,
    entries: impl Iterator<Item = Result<Encoded>>,
    pages: &mut Vec<Block>,
) -> Result<()> {
    let mut open: Vec<Encoded> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        let size = entry.bytes().len();
        if !open.is_empty() && (bytes + size > PAGE_BYTES || open.len() == entries_max) {
            pages.push(page(field, &open)?);
            open.clear();
            bytes = 0;
        }
        bytes += size;
        open.push(entry);
    }
    if !open.is_empty() {
        pages.push(page(field, &open)?);
    }
    Ok(())
}

fn page(field: &'static str, entries: &[Encoded]) -> Result<Block> {
    let mut out = Writer::new();
    out.map(2)?;
    out.key("kind")?;
    out.str(PAGE_KIND)?;
    out.key(field)?;
    out.array(entries.len())?;
    for entry in entries {
        out.raw(entry)?;
    }
    Ok(Block::from_encoded(out.finish()?)?)
}

fn write_entry(entry: &Entry) -> Result<Encoded> {
    let mut map = BTreeMap::from([
        ("id".to_owned(), text(&entry.id)),
        ("head".to_owned(), Ipld::Link(entry.head.into())),
        ("version".to_owned(), uint(entry.version)),
        ("record".to_owned(), cbor::decode(&entry.record.encode()?)?),
    ]);
    if let Some(failed) = entry.failed {
        map.insert("failed".to_owned(), Ipld::Link(failed.into()));
    }
    Ok(Encoded::from_ipld(&Ipld::Map(map))?)
}

fn read_entry(value: Ipld) -> Result<Entry, CarError> {
    let mut fields = Fields::from_value("a thread", value)?;
    let id = fields.text("id")?;
    let wrong = |detail: String| CarError::manifest(format!("thread {id:?}: {detail}"));
    if parse_wanted(&id).ok().and_then(|wanted| wanted.id).as_ref() != Some(&id) {
        return Err(wrong("its id is no ULID".into()));
    }
    let head = fields.link("head")?;
    let version = fields.uint("version")?;
    let failed = match fields.map.contains_key("failed") {
        true => Some(fields.link("failed")?),
        false => None,
    };
    let record = fields.take("record")?;
    fields.finish()?;
    let bytes = cbor::encode(&record).map_err(|error| wrong(error.to_string()))?;
    let record = Record::decode(&id, &bytes).map_err(|error| wrong(error.to_string()))?;
    check_record(&record).map_err(|error| wrong(error.to_string()))?;
    if record.encode()? != bytes {
        return Err(wrong("its record is not written as records are".into()));
    }
    Ok(Entry {
        id,
        head,
        version,
        record,
        failed,
    })
}

/// The limits that whoever writes a record keeps, and whoever reads one relies on.
fn check_record(record: &Record) -> Result<()> {
    if let Some(key) = &record.key {
        check_key(key)?;
    }
    check_labels(&record.labels)?;
    if record.workflow.trim().is_empty() {
        return Err(ThreadError::invalid("workflow", "", "it is blank"));
    }
    crate::error::within(
        "bytes of a workflow's name",
        treering_block::limits::WORKFLOW_BYTES_MAX,
        record.workflow.len(),
    )?;
    let error = record.error.as_ref().map_or(0, String::len);
    crate::error::within("bytes of a record's error", RECORD_ERROR_BYTES_MAX, error)?;
    if let Some((from, _)) = &record.forked_from
        && parse_wanted(from)?.id.as_ref() != Some(from)
    {
        return Err(ThreadError::invalid("forked_from", from, "it is no ULID"));
    }
    Ok(())
}

fn write_receipt(command: &JournalCommand) -> Result<Encoded> {
    let list = vec![
        Ipld::Bytes(command.key.to_vec()),
        Ipld::Bytes(command.payload.to_vec()),
        cbor::decode(&command.receipt)?,
    ];
    Ok(Encoded::from_ipld(&Ipld::List(list))?)
}

fn read_receipt(value: Ipld) -> Result<JournalCommand, CarError> {
    let wrong = || CarError::manifest("a receipt is not key, payload and receipt");
    let Ipld::List(items) = value else {
        return Err(wrong());
    };
    let Ok([Ipld::Bytes(key), Ipld::Bytes(payload), receipt]) = <[Ipld; 3]>::try_from(items) else {
        return Err(wrong());
    };
    let digest = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map_err(|_| wrong());
    Ok(JournalCommand {
        key: digest(key)?,
        payload: digest(payload)?,
        receipt: cbor::encode(&receipt).map_err(ThreadError::from)?,
    })
}

fn text(text: &str) -> Ipld {
    Ipld::String(text.to_owned())
}

fn uint(number: u64) -> Ipld {
    Ipld::Integer(i128::from(number))
}

fn ours(value: Ipld) -> Option<Cid> {
    match value {
        Ipld::Link(cid) => Cid::try_from(&cid).ok(),
        _ => None,
    }
}

/// The fields of a map, each taken once.
struct Fields {
    what: &'static str,
    map: BTreeMap<String, Ipld>,
}

impl Fields {
    fn of(what: &'static str, cid: &Cid, bytes: &[u8]) -> Result<Self, CarError> {
        if cid.codec() == Codec::Raw {
            return Err(CarError::manifest(format!("{what} is not a node")));
        }
        let value = cbor::decode(bytes).map_err(ThreadError::from)?;
        Self::from_value(what, value)
    }

    fn from_value(what: &'static str, value: Ipld) -> Result<Self, CarError> {
        match value {
            Ipld::Map(map) => Ok(Self { what, map }),
            _ => Err(CarError::manifest(format!("{what} is not a map"))),
        }
    }

    fn take(&mut self, field: &'static str) -> Result<Ipld, CarError> {
        self.map.remove(field).ok_or_else(|| self.wrong(field))
    }

    fn wrong(&self, field: &str) -> CarError {
        CarError::manifest(format!(
            "{}: its {field} is missing or ill-typed",
            self.what
        ))
    }

    fn text(&mut self, field: &'static str) -> Result<String, CarError> {
        match self.take(field)? {
            Ipld::String(text) => Ok(text),
            _ => Err(self.wrong(field)),
        }
    }

    fn uint(&mut self, field: &'static str) -> Result<u64, CarError> {
        match self.take(field)? {
            Ipld::Integer(number) => u64::try_from(number).map_err(|_| self.wrong(field)),
            _ => Err(self.wrong(field)),
        }
    }

    fn list(&mut self, field: &'static str) -> Result<Vec<Ipld>, CarError> {
        match self.take(field)? {
            Ipld::List(items) => Ok(items),
            _ => Err(self.wrong(field)),
        }
    }

    fn link(&mut self, field: &'static str) -> Result<Cid, CarError> {
        let value = self.take(field)?;
        ours(value)
            .filter(|cid| cid.codec() == Codec::DagCbor)
            .ok_or_else(|| self.wrong(field))
    }

    fn finish(self) -> Result<(), CarError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(CarError::manifest(format!(
                "{} has an unknown field {unknown:?}",
                self.what
            ))),
        }
    }
}
