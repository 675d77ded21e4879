//! Root 0 of the archive of a whole scope: its refs, and the receipts of its commands. `docs/format.md` has it field by
//! field. A manifest of threads alone (form 1) is the thread layer's; its pages are filled here too.
//!
//! Promises: the same refs and receipts give the same bytes; what is read was checked field by field, with the limits
//! that a store has.
//! Must never: take a field that it does not know (half of a manifest would be guessed), or tell what a ref means.

use std::collections::BTreeMap;

use treering_block::{Block, Cid, Encoded, Ipld, Writer, cbor};

use super::error::ArchiveError;
use super::fields::{Fields, ours};
use crate::commit::{RECEIPT_BYTES_MAX, RECORD_BYTES_MAX, RefValue};
use crate::error::{Result, StoreError};
use crate::journal::JournalCommand;
use crate::name::{RefName, check_scope};

/// `kind` of a manifest.
pub const KIND: &str = "export";
/// `kind` of a page.
pub const PAGE_KIND: &str = "export-page";
/// `form` of the manifest of a whole scope.
pub const FORM: u64 = 2;

/// Encoded bytes of entries that a page takes; a longer entry stands alone.
const PAGE_BYTES: usize = 256 << 10;
/// Refs of a page: each is a link, of which a node may have 4096.
const PAGE_REFS: usize = 2000;
/// Pages that a manifest can name.
pub const PAGES_MAX: usize = treering_block::limits::NODE_LINKS_MAX;

/// What an archive of a scope says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopeManifest {
    /// What the scope was called; receipts are only good in a scope of that name.
    pub scope: String,
    /// Its refs, with this name's scope. Versions are not told: they count anew.
    pub refs: BTreeMap<RefName, RefValue>,
    /// By growing key.
    pub receipts: Vec<JournalCommand>,
}

/// What is read before the rest: which form a manifest has.
///
/// Errors: `Manifest` for what is no manifest of ours; `MissingLink` where it is not in the file.
pub fn form_of(root: &Cid, bytes: &[u8]) -> Result<u64, ArchiveError> {
    let mut fields = Fields::of("root 0", root, bytes)?;
    if fields.text("kind")? != KIND {
        return Err(ArchiveError::manifest(
            "root 0 of the file is another node; only what treering exported can be imported",
        ));
    }
    fields.uint("form")
}

impl ScopeManifest {
    /// The manifest as blocks, the root first.
    ///
    /// Errors: `LimitExceeded` for more than [`PAGES_MAX`] pages.
    pub fn encode(&self) -> Result<Vec<Block>> {
        let mut pages = Vec::new();
        let mut refs: Vec<(&RefName, &RefValue)> = self.refs.iter().collect();
        refs.sort_unstable_by_key(|(name, _)| name.unscoped());
        let count = refs.len() as u64;
        let refs = refs.into_iter().map(|(name, value)| write_ref(name, value));
        fill("refs", PAGE_REFS, refs, &mut pages)?;
        let receipts = self.receipts.iter().map(write_receipt);
        fill("receipts", usize::MAX, receipts, &mut pages)?;
        let fields = [
            ("form", uint(FORM)),
            ("scope", text(&self.scope)),
            ("refs", uint(count)),
            ("receipts", uint(self.receipts.len() as u64)),
        ];
        root(fields, pages)
    }

    /// Reads the manifest at `root`, and gives its refs the names that they have in `scope`; `read` gives the bytes of a
    /// block of the file.
    ///
    /// Errors: `Manifest`; `LimitExceeded` for a name that is too long there; those of `read`.
    pub fn decode(
        root: &Cid,
        scope: &str,
        mut read: impl FnMut(&Cid) -> Result<Vec<u8>, ArchiveError>,
    ) -> Result<Self, ArchiveError> {
        let mut fields = Fields::of("root 0", root, &read(root)?)?;
        fields.text("kind")?;
        match fields.uint("form")? {
            FORM => {}
            form => {
                return Err(ArchiveError::manifest(format!(
                    "it has form {form}, this version reads up to {FORM}; upgrade treering"
                )));
            }
        }
        let mut manifest = Self {
            scope: fields.text("scope")?,
            ..Self::default()
        };
        check_scope(&manifest.scope)?;
        let told = (fields.uint("refs")?, fields.uint("receipts")?);
        let pages = fields.list("pages")?;
        fields.finish()?;
        for page in pages {
            let cid = ours(page).ok_or_else(|| ArchiveError::manifest("a page is not a link"))?;
            manifest.read_page(&cid, &read(&cid)?, scope)?;
        }
        let found = (manifest.refs.len() as u64, manifest.receipts.len() as u64);
        if found != told {
            return Err(ArchiveError::manifest(format!(
                "it announces {} refs and {} receipts, its pages have {} and {}",
                told.0, told.1, found.0, found.1
            )));
        }
        let grows = |pair: &[JournalCommand]| matches!(pair, [a, b] if a.key < b.key);
        if !manifest.receipts.windows(2).all(grows) {
            return Err(ArchiveError::manifest(
                "its receipts are not in the order of their keys",
            ));
        }
        Ok(manifest)
    }

    fn read_page(&mut self, cid: &Cid, bytes: &[u8], scope: &str) -> Result<(), ArchiveError> {
        let mut fields = Fields::of("a page", cid, bytes)?;
        if fields.text("kind")? != PAGE_KIND {
            return Err(ArchiveError::manifest("a page is another node"));
        }
        if fields.has("refs") {
            for entry in fields.list("refs")? {
                let (name, value) = read_ref(entry, scope)?;
                let last = self.refs.last_key_value().map(|(last, _)| last.unscoped());
                if last.is_some_and(|last| last >= name.unscoped()) {
                    return Err(ArchiveError::manifest(format!(
                        "ref {} stands in it twice, or out of order",
                        name.unscoped()
                    )));
                }
                self.refs.insert(name, value);
            }
        } else {
            for receipt in fields.list("receipts")? {
                self.receipts.push(read_receipt(receipt)?);
            }
        }
        fields.finish()
    }
}

/// A manifest of these fields, and its pages behind it.
///
/// Errors: `LimitExceeded` for more than [`PAGES_MAX`] pages.
pub fn root<const N: usize>(
    fields: [(&str, Ipld); N],
    mut pages: Vec<Block>,
) -> Result<Vec<Block>> {
    if pages.len() > PAGES_MAX {
        return Err(StoreError::LimitExceeded {
            what: "pages of an export's manifest",
            limit: PAGES_MAX as u64,
            actual: pages.len() as u64,
        });
    }
    let links = pages.iter().map(|page| Ipld::Link(page.cid.into()));
    let mut map = BTreeMap::from([
        ("kind".to_owned(), text(KIND)),
        ("pages".to_owned(), Ipld::List(links.collect())),
    ]);
    map.extend(fields.map(|(field, value)| (field.to_owned(), value)));
    pages.insert(0, Block::from_encoded(encoded(&Ipld::Map(map))?)?);
    Ok(pages)
}

/// Spreads entries over pages.
pub fn fill<E: From<StoreError>>(
    field: &'static str,
    entries_max: usize,
    entries: impl Iterator<Item = Result<Encoded, E>>,
    pages: &mut Vec<Block>,
) -> Result<(), E> {
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
    let written = || {
        let mut out = Writer::new();
        out.map(2)?;
        out.key("kind")?;
        out.str(PAGE_KIND)?;
        out.key(field)?;
        out.array(entries.len())?;
        for entry in entries {
            out.raw(entry)?;
        }
        out.finish()
    };
    let encoded = written().map_err(|refused| StoreError::Block(refused.into()))?;
    Ok(Block::from_encoded(encoded)?)
}

fn write_ref(name: &RefName, value: &RefValue) -> Result<Encoded> {
    let parts = name.parts().iter().map(|part| text(part));
    let mut map = BTreeMap::from([
        ("kind".to_owned(), text(name.kind())),
        ("parts".to_owned(), Ipld::List(parts.collect())),
        ("target".to_owned(), Ipld::Link(value.target.into())),
    ]);
    if !value.record.is_empty() {
        map.insert("record".to_owned(), Ipld::Bytes(value.record.clone()));
    }
    encoded(&Ipld::Map(map))
}

fn read_ref(value: Ipld, scope: &str) -> Result<(RefName, RefValue), ArchiveError> {
    let mut fields = Fields::from_value("a ref", value)?;
    let kind = fields.text("kind")?;
    let mut parts = Vec::new();
    for part in fields.list("parts")? {
        match part {
            Ipld::String(part) => parts.push(part),
            _ => return Err(ArchiveError::manifest("a part of a ref's name is no text")),
        }
    }
    let target = fields.any_link("target")?;
    let record = match fields.has("record") {
        true => fields.bytes("record")?,
        false => Vec::new(),
    };
    fields.finish()?;
    if record.len() > RECORD_BYTES_MAX {
        return Err(ArchiveError::manifest(format!(
            "the record of a ref of kind {kind} has {} bytes, {RECORD_BYTES_MAX} are allowed",
            record.len()
        )));
    }
    let name = RefName::new(scope, &kind, parts)?;
    let value = RefValue {
        version: 1,
        target,
        record,
    };
    Ok((name, value))
}

/// A receipt as a list.
///
/// Errors: `Block` for one that is no value.
pub fn write_receipt(command: &JournalCommand) -> Result<Encoded> {
    let receipt =
        cbor::decode(&command.receipt).map_err(|refused| StoreError::Block(refused.into()))?;
    encoded(&Ipld::List(vec![
        Ipld::Bytes(command.key.to_vec()),
        Ipld::Bytes(command.payload.to_vec()),
        receipt,
    ]))
}

/// The opposite.
///
/// Errors: `Manifest`.
pub fn read_receipt(value: Ipld) -> Result<JournalCommand, ArchiveError> {
    let wrong = || ArchiveError::manifest("a receipt is not key, payload and receipt");
    let Ipld::List(items) = value else {
        return Err(wrong());
    };
    let Ok([Ipld::Bytes(key), Ipld::Bytes(payload), receipt]) = <[Ipld; 3]>::try_from(items) else {
        return Err(wrong());
    };
    let digest = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map_err(|_| wrong());
    let receipt = cbor::encode(&receipt).map_err(|refused| StoreError::Block(refused.into()))?;
    if receipt.len() > RECEIPT_BYTES_MAX {
        return Err(ArchiveError::manifest(format!(
            "a receipt has {} bytes, {RECEIPT_BYTES_MAX} are allowed",
            receipt.len()
        )));
    }
    Ok(JournalCommand {
        key: digest(key)?,
        payload: digest(payload)?,
        receipt,
    })
}

fn encoded(value: &Ipld) -> Result<Encoded> {
    Encoded::from_ipld(value).map_err(|refused| StoreError::Block(refused.into()))
}

/// A text as a value.
pub fn text(text: &str) -> Ipld {
    Ipld::String(text.to_owned())
}

/// A number as a value.
pub fn uint(number: u64) -> Ipld {
    Ipld::Integer(i128::from(number))
}
