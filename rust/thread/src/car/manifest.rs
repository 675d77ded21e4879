//! Root 0 of an export: which threads there are, what their refs and records say, and the receipts of
//! their commands. `docs/format.md` has it field by field.
//!
//! Promises: the same threads give the same bytes; what is read was checked field by field, with the
//! limits that a thread has, so nothing can be imported that could not have been made here.
//! Must never: take a field that it does not know; half of a manifest would be guessed.

use std::collections::BTreeMap;

use treering_block::{Block, Cid, Encoded, Ipld, cbor};
use treering_store::JournalCommand;
use treering_store::archive::fields::ours;
use treering_store::archive::manifest::{
    PAGE_KIND, fill, read_receipt, root, text, uint, write_receipt,
};
use treering_store::archive::{ArchiveError, Fields};

use super::error::CarError;
use crate::error::{Result, ThreadError};
use crate::ident::{check_key, parse_wanted};
use crate::label::check_labels;
use crate::limits::RECORD_ERROR_BYTES_MAX;
use crate::receipt::{self, Receipt};
use crate::record::Record;

/// `form` of a manifest of threads.
pub(super) const FORM: u64 = 1;

/// Threads of a page: each has up to two links, of which a node may have 4096.
const PAGE_THREADS: usize = 2000;
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
        let receipts = self.receipts.iter();
        let receipts = receipts.map(|receipt| Ok::<Encoded, ThreadError>(write_receipt(receipt)?));
        fill("receipts", usize::MAX, receipts, &mut pages)?;
        let fields = [
            ("form", uint(FORM)),
            ("scope", text(&self.scope)),
            ("threads", uint(self.threads.len() as u64)),
            ("receipts", uint(self.receipts.len() as u64)),
        ];
        Ok(root(fields, pages)?)
    }

    /// Reads the manifest of form 1 at `root`; `read` gives the bytes of a block of the file.
    pub fn decode(
        root: &Cid,
        mut read: impl FnMut(&Cid) -> Result<Vec<u8>, ArchiveError>,
    ) -> Result<Self, CarError> {
        let mut fields = Fields::of("root 0", root, &read(root)?)?;
        fields.text("kind")?;
        fields.uint("form")?;
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
        if fields.has("threads") {
            for entry in fields.list("threads")? {
                self.threads.push(read_entry(entry)?);
            }
        } else {
            for receipt in fields.list("receipts")? {
                self.receipts.push(read_receipt(receipt)?);
            }
        }
        Ok(fields.finish()?)
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
    if !is_id(&id) {
        return Err(wrong("its id is no ULID".into()));
    }
    let head = fields.link("head")?;
    let version = fields.uint("version")?;
    let failed = match fields.has("failed") {
        true => Some(fields.link("failed")?),
        false => None,
    };
    let record = fields.take("record")?;
    fields.finish()?;
    let bytes = cbor::encode(&record).map_err(|error| wrong(error.to_string()))?;
    let record = read_record(&id, &bytes)?;
    Ok(Entry {
        id,
        head,
        version,
        record,
        failed,
    })
}

/// A thread's record, with the limits that it has, written as records are.
pub(super) fn read_record(id: &str, bytes: &[u8]) -> Result<Record, CarError> {
    let wrong = |detail: String| CarError::manifest(format!("thread {id:?}: {detail}"));
    let record = Record::decode(id, bytes).map_err(|error| wrong(error.to_string()))?;
    check_record(&record).map_err(|error| wrong(error.to_string()))?;
    if record.encode()? != bytes {
        return Err(wrong("its record is not written as records are".into()));
    }
    Ok(record)
}

/// Whether it is a thread's id, as ids are written.
pub(super) fn is_id(id: &str) -> bool {
    let wanted = parse_wanted(id).ok().and_then(|wanted| wanted.id);
    wanted.as_deref() == Some(id)
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
