//! Quarantine in a directory: the refs' rows as they are, the journal's word on them, what is left of
//! their blocks, and the one commit that moves them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use treering_block::{Block, Cid, Codec};

use super::history::{self, each_commit};
use super::raw::{Cell, RawRow, row_at, write_row};
use super::refs::{remove, value_of};
use crate::commit::{Change, Commit, Durability, Expect, RefMove, RefValue};
use crate::cursor::Head;
use crate::embedded::EmbeddedStore;
use crate::embedded::block_rows::BlockRow;
use crate::embedded::core::Shared;
use crate::embedded::links_codec;
use crate::embedded::ref_rows::{shown, unshown};
use crate::embedded::row_check::Table;
use crate::embedded::session::Session;
use crate::embedded::transaction::Transaction;
use crate::error::{Result, StoreError};
use crate::gc::GcOptions;
use crate::journal::{JournalRow, digest_of_body};
use crate::ledger::{self, Ledger};
use crate::name::{RefName, check_scope};
use crate::quarantine::salvage::{Content, Found, Salvage};
use crate::quarantine::{
    Copied, Entry, EntryRef, NOTHING_WRONG, Quarantined, REFS_MAX, entry_name, put_parts,
};
use crate::store::Store;

/// Scope of the entry of a ref whose name says none.
const SCOPE_OF_THE_NAMELESS: &str = "main";

/// A ref that is to go.
struct Leaving {
    row: RawRow,
    /// As [`shown`].
    name: String,
    value: Option<RefValue>,
    /// Every state that the journal has of it, oldest first: version, target, position.
    states: Vec<(u64, Cid, u64)>,
}

impl Leaving {
    /// Where it stood: by its row, else by the journal.
    fn stood(&self, session: Session<'_>) -> Result<Option<RefValue>> {
        match (&self.value, self.states.last()) {
            (Some(value), _) => Ok(Some(value.clone())),
            (None, Some(state)) => state_value(session, &self.name, *state),
            (None, None) => Ok(None),
        }
    }
}

/// A state of a ref with its record, which the journal has.
fn state_value(
    session: Session<'_>,
    name: &str,
    (version, target, position): (u64, Cid, u64),
) -> Result<Option<RefValue>> {
    let Some(raw) = history::kept_commit_at(session, position)? else {
        return Ok(None);
    };
    let row = JournalRow {
        position,
        at_ms: raw.at_ms,
        body: raw.body.bytes().unwrap_or_default().to_vec(),
        body_digest: [0; 32],
        chain: [0; 32],
    };
    let Ok(entry) = row.entry() else {
        return Ok(None);
    };
    let record = entry
        .moves
        .into_iter()
        .find(|moved| moved.name.encoded() == name)
        .and_then(|moved| moved.record);
    Ok(record.map(|record| RefValue {
        version,
        target,
        record,
    }))
}

impl EmbeddedStore {
    /// See [`Store::quarantine`].
    pub(in crate::embedded) fn put_into_quarantine(&self, names: &[String]) -> Result<Quarantined> {
        let core = self.writable()?;
        let shared = &core.shared;
        if names.is_empty() || names.len() > REFS_MAX {
            return Err(StoreError::LimitExceeded {
                what: "refs that go into quarantine together",
                limit: REFS_MAX as u64,
                actual: names.len() as u64,
            });
        }
        let mut leaving = self.reading(|session| find_rows(session, names))?;
        let scope = scope_of(&leaving)?;
        let states = self.reading(|session| leaving_states(session, &leaving))?;
        for (one, states) in leaving.iter_mut().zip(states) {
            one.states = states;
        }
        let load = |cid: &Cid| self.reading(|session| load(self, session, shared, cid));
        let mut found = Salvage::default();
        let mut entry = Entry {
            at_ms: self.now_ms(),
            ..Entry::default()
        };
        let mut nameless = false;
        for one in &leaving {
            let stood = self.reading(|session| one.stood(session))?;
            let whole = match &stood {
                Some(stood) => found.walk(stood.target, &load)?,
                None => false,
            };
            let why = match (&one.value, whole) {
                (None, _) => "its row does not match its check",
                (Some(_), false) => "blocks that it reaches are gone, damaged or out of place",
                (Some(_), true) => "",
            };
            nameless |= one.value.is_none();
            entry.refs.push(EntryRef {
                name: one.name.clone(),
                why: why.to_owned(),
                stood,
                whole: None,
                row: one.value.is_none().then(|| columns_of(&one.row)),
            });
        }
        if entry.refs.iter().all(|one| one.why.is_empty()) {
            return Err(StoreError::Invalid {
                what: "quarantine",
                value: names.join(", "),
                rule: NOTHING_WRONG.into(),
            });
        }
        // What only earlier versions reached was garbage, and may have been collected: nobody misses it.
        entry.lost.clone_from(&found.lost);
        for (one, put_aside) in leaving.iter().zip(&mut entry.refs) {
            let stood = put_aside.stood.as_ref().map(|stood| stood.target);
            if stood.is_some_and(|target| found.is_whole(&target)) {
                continue;
            }
            for state in one.states.iter().rev() {
                if found.walk(state.1, &load)? {
                    put_aside.whole =
                        self.reading(|session| state_value(session, &one.name, *state))?;
                    break;
                }
            }
        }
        let lonely = self.reading(lonely_rows)?;
        // What hung below a node that is gone, or below a target that nobody knows, can't be told any more.
        let unfollowed = nameless || found.lost.iter().any(|cid| cid.codec() == Codec::DagCbor);
        let lost = found.lost.clone();
        for cid in self.reading(|session| left_over(session, &lost, &lonely, unfollowed))? {
            found.walk(cid, &load)?;
        }
        let copy = |cid: &Cid| copy_of(self, shared, cid);
        entry.parts = put_parts(self, &scope, &found, &copy)?;
        let name = self.seal(&scope, leaving, &entry)?;
        // The refs are out of the way; what this leaves undone, the next repair does.
        if let Err(error) = self.sweep_after_loss() {
            tracing::warn!(%error, "what hung on lost blocks stays noted until the next repair");
        }
        // What was copied is garbage where it stands, unless another ref reaches it: then that one is as
        // broken, and no collection runs.
        if !found.hanging.is_empty()
            && let Err(error) = self.gc(&GcOptions::default())
        {
            tracing::warn!(%error, "what was copied stays where it is until the next collection");
        }
        Ok(Quarantined { name, entry })
    }

    /// The one commit: the entry is there and the refs are gone.
    fn seal(&self, scope: &str, leaving: Vec<Leaving>, entry: &Entry) -> Result<RefName> {
        let (scope, block, now_ms) = (scope.to_owned(), entry.encode()?, self.now_ms());
        let parts = entry.parts.clone();
        self.in_transaction(Durability::Durable, move |transaction| {
            for one in &leaving {
                let now = row_at(transaction.session(), Table::Ref, one.row.key())?;
                if now.as_ref() != Some(&one.row) {
                    return Err(StoreError::Invalid {
                        what: "quarantine",
                        value: one.name.clone(),
                        rule: "the ref was changed meanwhile; look at it again".into(),
                    });
                }
            }
            // A broken row may add anything to the sum.
            transaction.recount_refs();
            let mut gone = Vec::new();
            for one in &leaving {
                match (RefName::parse(&one.name), &one.value) {
                    // Removed by the commit like any ref, which can read it.
                    (Ok(name), Some(_)) => gone.push(name),
                    // So that the commit can: a row that says anything sound.
                    (Ok(name), None) if !one.states.is_empty() => {
                        let cells = vec![
                            Cell::text(name.encoded()),
                            Cell::Int(1),
                            Cell::Blob(block.cid.to_bytes().to_vec()),
                            Cell::Int(1),
                            Cell::Blob(Vec::new()),
                        ];
                        let readable = RawRow::new(Table::Ref, cells);
                        transaction
                            .writing(|session| write_row(session, Some(&one.row), &readable))?;
                        gone.push(name);
                    }
                    // The journal never had it: there is nothing to say to it.
                    _ => transaction.writing(|session| remove(session, &one.row))?,
                }
            }
            let name = enter_blocks(transaction, &scope, vec![block], &gone, now_ms)?;
            // They were held until now; from here on the entry keeps them, and nothing after it.
            for part in &parts {
                if let Some(ordinal) = Ledger::ordinal(transaction, part)? {
                    transaction
                        .writing(|session| session.delete_hold(ordinal, &scope).map(drop))?;
                }
            }
            Ok(name)
        })
    }
}

/// Keeps what a ref's row says in an entry of its own, and leaves the row.
pub(super) fn set_aside(
    transaction: &mut Transaction<'_>,
    row: &RawRow,
    now_ms: i64,
) -> Result<RefName> {
    let (name, value) = value_of(row).ok_or_else(|| StoreError::Invalid {
        what: "ref row",
        value: row.which(),
        rule: "it is not sound".into(),
    })?;
    // A target that is there is kept by a part.
    let mut blocks = Vec::new();
    if Ledger::ordinal(transaction, &value.target)?.is_some() {
        blocks.push(crate::quarantine::part_of(value.target)?);
    }
    let entry = Entry {
        at_ms: now_ms,
        refs: vec![EntryRef {
            name: name.encoded().to_owned(),
            why: "the journal does not say so".into(),
            stood: Some(value),
            whole: None,
            row: None,
        }],
        lost: Vec::new(),
        parts: blocks.iter().map(|block| block.cid).collect(),
    };
    blocks.push(entry.encode()?);
    enter_blocks(transaction, name.scope(), blocks, &[], now_ms)
}

/// Commits an entry (the last of `blocks`) and the removal of refs.
fn enter_blocks(
    transaction: &mut Transaction<'_>,
    scope: &str,
    blocks: Vec<Block>,
    gone: &[RefName],
    now_ms: i64,
) -> Result<RefName> {
    let position = transaction.position().saturating_add(1);
    let name = entry_name(scope, position)?;
    let target = blocks.last().map(|block| block.cid);
    let target = target.ok_or(StoreError::Closed)?;
    let mut moves = vec![RefMove {
        name: name.clone(),
        expect: Expect::Absent,
        change: Change::Set {
            target,
            record: Vec::new(),
        },
    }];
    moves.extend(gone.iter().map(|name| RefMove {
        name: name.clone(),
        expect: Expect::Any,
        change: Change::Delete,
    }));
    let commit = Commit {
        scope: scope.to_owned(),
        blocks,
        moves,
        ..Commit::default()
    };
    ledger::apply(&commit, transaction, now_ms)?;
    Ok(name)
}

/// The rows of these names, as they are. Errors: `RefNotFound`, `Invalid`.
fn find_rows(session: Session<'_>, names: &[String]) -> Result<Vec<Leaving>> {
    let mut met = HashSet::new();
    let mut found = Vec::new();
    let going = session.going()?;
    for name in names.iter().filter(|name| met.insert(name.as_str())) {
        let raw = unshown(name).filter(|name| !going.has(name));
        let row = match raw {
            Some(raw) => row_at(session, Table::Ref, &[Cell::Text(raw)])?,
            None => None,
        };
        let Some(row) = row else {
            return Err(match RefName::parse(name) {
                Ok(name) => StoreError::RefNotFound(name),
                Err(error) => error,
            });
        };
        found.push(Leaving {
            name: shown(row.cell(0).bytes().unwrap_or_default()),
            value: value_of(&row).map(|(_, value)| value),
            row,
            states: Vec::new(),
        });
    }
    Ok(found)
}

/// The one scope of these refs.
fn scope_of(leaving: &[Leaving]) -> Result<String> {
    let mut scopes = leaving.iter().map(|one| {
        RefName::parse(&one.name).map_or_else(
            |_| SCOPE_OF_THE_NAMELESS.to_owned(),
            |name| name.scope().to_owned(),
        )
    });
    let first = scopes
        .next()
        .unwrap_or_else(|| SCOPE_OF_THE_NAMELESS.to_owned());
    check_scope(&first)?;
    match scopes.find(|scope| *scope != first) {
        None => Ok(first),
        Some(other) => Err(StoreError::Invalid {
            what: "quarantine",
            value: other,
            rule: format!("refs that go together are of one scope, the first is of {first:?}"),
        }),
    }
}

/// What the journal says of each of these refs since it was made last. Only bodies that hash to their
/// digest count.
fn leaving_states(session: Session<'_>, leaving: &[Leaving]) -> Result<Vec<Vec<(u64, Cid, u64)>>> {
    let places: HashMap<&str, usize> = leaving
        .iter()
        .enumerate()
        .map(|(index, one)| (one.name.as_str(), index))
        .collect();
    let mut states = vec![Vec::new(); leaving.len()];
    each_commit(session, &mut |raw| {
        let body = raw.body.bytes().unwrap_or_default().to_vec();
        let digest = digest_of_body(raw.position, &body);
        if raw.digest.bytes() != Some(&digest) {
            return Ok(());
        }
        let row = JournalRow {
            position: raw.position,
            at_ms: raw.at_ms,
            body,
            body_digest: digest,
            chain: Head::default().chain,
        };
        let Ok(entry) = row.entry() else {
            return Ok(());
        };
        for moved in entry.moves {
            let Some(states) = places
                .get(moved.name.encoded())
                .and_then(|index| states.get_mut(*index))
            else {
                continue;
            };
            match moved.target {
                Some(target) => states.push((moved.version, target, raw.position)),
                None => states.clear(),
            }
        }
        Ok(())
    })?;
    Ok(states)
}

/// A block, and whether the graph says of it what its bytes say. Large ones without links are read piece by piece.
fn load(store: &EmbeddedStore, session: Session<'_>, shared: &Shared, cid: &Cid) -> Result<Found> {
    if let Some(row) = large_row(session, cid) {
        if !shared.blobs.is_whole(&row) {
            // Says why: a bucket that is away proves nothing.
            match shared.blobs.open(&row).and_then(|blob| blob.check()) {
                Err(StoreError::Corrupt { .. }) => return damaged(session, shared, cid),
                checked => checked?,
            }
        }
        return Ok(match session.links(row.ordinal) {
            Ok(links) if links.is_empty() => Found::Whole(Content::NoLinks),
            _ => Found::Adrift(Content::NoLinks),
        });
    }
    let bytes = match store.get(cid) {
        Ok(bytes) => bytes,
        Err(StoreError::BlockNotFound(_)) => return Ok(Found::Missing),
        Err(StoreError::Corrupt { .. }) => return damaged(session, shared, cid),
        Err(error) => return Err(error),
    };
    let row = session.find_block(cid)?;
    let in_place = match (row, Block::stored(*cid, Arc::clone(&bytes))) {
        // In a colder tier, which checks its own.
        (None, _) | (_, Err(_)) => true,
        (Some(row), Ok(block)) => match session.links(row.ordinal) {
            Ok(links) => {
                let mut right = links.len() == block.links.len();
                for (link, noted) in block.links.iter().zip(&links) {
                    let found = session.find_block(link).unwrap_or_default();
                    right &= found.is_none_or(|found| found.ordinal == *noted);
                }
                right
            }
            Err(_) => false,
        },
    };
    Ok(if in_place {
        Found::Whole(Content::Bytes(bytes))
    } else {
        Found::Adrift(Content::Bytes(bytes))
    })
}

/// The row of a block without links whose bytes are a file.
fn large_row(session: Session<'_>, cid: &Cid) -> Option<BlockRow> {
    if cid.codec() != Codec::Raw {
        return None;
    }
    let row = session.find_block(cid).ok().flatten();
    row.filter(|row| row.file.is_some())
}

fn damaged(session: Session<'_>, shared: &Shared, cid: &Cid) -> Result<Found> {
    Ok(Found::Damaged(place_of(session, shared, cid)?.is_some()))
}

/// Where the bytes stand that should be the block's.
enum Place {
    Payload(Vec<u8>),
    File(String),
}

/// The first one that can be read. Errors: `Bucket`, those of the rows.
fn place_of(session: Session<'_>, shared: &Shared, cid: &Cid) -> Result<Option<Place>> {
    for ordinal in session.ordinals_of(cid)? {
        if let Some(payload) = session.payload(ordinal)? {
            return Ok(Some(Place::Payload(payload)));
        }
        if let Ok(Some(row)) = session.block_at(ordinal)
            && let Some(file) = row.file
            && shared.blobs.each_piece(&file, &mut |_| Ok(()))?
        {
            return Ok(Some(Place::File(file)));
        }
    }
    Ok(None)
}

/// The block's bytes, or else what stands in its place; a file's piece by piece.
fn copy_of(store: &EmbeddedStore, shared: &Shared, cid: &Cid) -> Result<Option<Copied>> {
    if store
        .reading(|session| Ok(large_row(session, cid)))?
        .is_none()
    {
        match store.get(cid) {
            Ok(bytes) => return Ok(Some(Copied::Bytes(bytes))),
            Err(StoreError::BlockNotFound(_) | StoreError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    match store.reading(|session| place_of(session, shared, cid))? {
        None => Ok(None),
        Some(Place::Payload(bytes)) => Ok(Some(Copied::Bytes(bytes.into()))),
        Some(Place::File(file)) => {
            let mut upload = store.upload()?;
            let mut take = |piece: &[u8]| upload.write(piece);
            if !shared.blobs.each_piece(&file, &mut take)? {
                return Ok(None);
            }
            upload.finish().map(|upload| Some(Copied::Sent(upload)))
        }
    }
}

/// Rows of the graph whose block has no row: they say what a lost block linked to.
fn lonely_rows(session: Session<'_>) -> Result<Vec<RawRow>> {
    let mut rows = Vec::new();
    for ordinal in session.lonely_graph_ordinals()? {
        rows.extend(row_at(
            session,
            Table::Graph,
            &[Cell::Int(ordinal.cast_signed())],
        )?);
    }
    Ok(rows)
}

/// Blocks that may have been reached by what is lost: those that the graph links to from it, or from rows
/// without a block; and, if something can't be followed at all (`unfollowed`), every block that nothing links
/// to and no sound ref points at.
fn left_over(
    session: Session<'_>,
    lost: &[Cid],
    lonely: &[RawRow],
    unfollowed: bool,
) -> Result<Vec<Cid>> {
    let mut ordinals: Vec<u64> = Vec::new();
    for cid in lost {
        for ordinal in session.ordinals_of(cid)? {
            ordinals.extend(session.links(ordinal).unwrap_or_default());
        }
    }
    for row in lonely.iter().filter(|row| row.is_sound()) {
        let ordinal = row.cell(0).int().unwrap_or(0).cast_unsigned();
        let links = row.cell(1).bytes().unwrap_or_default();
        ordinals.extend(links_codec::decode(ordinal, links).unwrap_or_default());
    }
    if unfollowed {
        let mut linked = HashSet::new();
        let mut alive = Vec::new();
        let dead = session.dead_ordinals()?;
        super::raw::each_row(session, Table::Graph, &mut |row| {
            let ordinal = row.cell(0).int().unwrap_or(0).cast_unsigned();
            if dead.contains(ordinal) {
                return Ok(());
            }
            alive.push(ordinal);
            let links = row.cell(1).bytes().unwrap_or_default();
            linked.extend(links_codec::decode(ordinal, links).unwrap_or_default());
            Ok(())
        })?;
        ordinals.extend(
            alive
                .into_iter()
                .filter(|ordinal| !linked.contains(ordinal)),
        );
    }
    let mut cids = Vec::new();
    let mut met = HashSet::new();
    super::raw::each_row(session, Table::Ref, &mut |row| {
        met.extend(value_of(&row).map(|(_, value)| value.target));
        Ok(())
    })?;
    for ordinal in ordinals {
        if let Ok(Some(cid)) = session.cid_of(ordinal)
            && met.insert(cid)
        {
            cids.push(cid);
        }
    }
    Ok(cids)
}

fn columns_of(row: &RawRow) -> Vec<Vec<u8>> {
    let mut columns: Vec<Vec<u8>> = row
        .cells
        .iter()
        .map(|cell| match cell {
            Cell::Int(value) => value.to_le_bytes().to_vec(),
            other => other.bytes().unwrap_or_default().to_vec(),
        })
        .collect();
    columns.push(row.chk.clone());
    columns
}
