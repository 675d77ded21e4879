//! Copies refs and what they reach from one store into another, through nothing but [`Store`].
//!
//! What is there already is not copied again, so a copy that was cut short is finished by the next one, and
//! one that was finished is brought up to date. A ref of the target moves on only if it stands where the
//! source's once stood; any other difference is refused before anything is written.
//! Promises: a ref arrives after everything that it reaches; children come before their parents.
//! Never: a ref is deleted, but for a read model that the source let go of, nor is one that somebody else moved overwritten. Versions count anew, and command
//! receipts stay behind: they are stored under digests of ids that only their callers know.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use treering_block::{Block, Cid, Codec};

use crate::blob_tree::GROUP;
use crate::commit::{BLOB_BYTES_MIN, Change, Commit, Durability, Expect, RefMove, RefValue};
use crate::error::{Result, StoreError};
use crate::name::{READ_MODEL, RefName, check_written_scope};
use crate::progress::{Progress, Stage};
use crate::store::Store;
use crate::upload::Uploaded;

/// Refs read, and blocks looked for, at a time.
const PAGE: usize = 1024;
/// Blocks and their bytes in one commit: far below the limits, so that other writers wait for none.
const COMMIT_BLOCKS_MAX: usize = 1024;
const COMMIT_BYTES_MAX: usize = 8 << 20;
/// Ref moves in one commit.
const COMMIT_REFS_MAX: usize = 1000;
/// At most so many taken refs are named by an error.
const NAMES_MAX: usize = 10;

/// How a copy is made.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// Scopes that get another name in the target: from, to. All others keep theirs.
    pub rename: BTreeMap<String, String>,
}

/// What a copy did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Scopes of the source that have refs.
    pub scopes: u64,
    /// Refs that are new in the target.
    pub refs_new: u64,
    /// Refs that stood where the source's once stood, and were moved on.
    pub refs_moved: u64,
    /// Refs that were there as they are.
    pub refs_there: u64,
    /// Blocks that the target did not have.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Command receipts of the source, which stay behind: a command that is repeated in the target is done
    /// again there.
    pub receipts_left: u64,
}

/// A ref that has to be moved in the target.
struct Due {
    name: RefName,
    expect: Expect,
    /// Where to; None: it has to go.
    value: Option<RefValue>,
}

/// Copies every ref of `source`, with its record and all that it reaches, into `target`. O(refs), and
/// O(blocks of the source) if anything is new; holds the CIDs of the new blocks in memory.
///
/// Errors: `RefsTaken` for names that mean something else in the target, `Invalid` for a renamed scope that
/// can't be; nothing was written then. `Corrupt` for a broken ref or block of the source; `BlockNotFound`
/// and `RefMoved` when either store was changed meanwhile, `Cancelled`, and those of a commit: what was
/// copied until then stays, and the next copy goes on from there.
pub fn copy(
    source: &dyn Store,
    target: &dyn Store,
    options: &CopyOptions,
    progress: &Progress,
) -> Result<CopyReport> {
    let mut report = CopyReport {
        receipts_left: source.stats()?.receipts,
        ..CopyReport::default()
    };
    let due = plan(source, target, options, progress, &mut report)?;
    let wanted = missing_blocks(source, target, &due, progress)?;
    copy_blocks(source, target, &wanted, &due, progress, &mut report)?;
    move_refs(target, due, progress)?;
    Ok(report)
}

/// Compares all refs. Errors: `RefsTaken`.
fn plan(
    source: &dyn Store,
    target: &dyn Store,
    options: &CopyOptions,
    progress: &Progress,
    report: &mut CopyReport,
) -> Result<Vec<Due>> {
    let scopes = source.scopes()?;
    let renamed = new_names(&scopes, options)?;
    progress.enter(Stage::Search, 0)?;
    let mut due = Vec::new();
    // Those that differ, by the source's name.
    let mut differing: BTreeMap<RefName, (Due, RefValue)> = BTreeMap::new();
    for (scope, new_scope) in scopes.iter().zip(&renamed) {
        report.scopes += 1;
        for kind in source.kinds(scope)? {
            each_ref(source, scope, &kind, &mut |name, value| {
                progress.add(1)?;
                let new_name = RefName::new(new_scope, &kind, name.parts().to_vec())?;
                let mut step = Due {
                    name: new_name,
                    expect: Expect::Absent,
                    value: None,
                };
                match target.read_ref(&step.name)? {
                    Some(there) if there.is_like(&value) => report.refs_there += 1,
                    None => {
                        step.value = Some(value);
                        due.push(step);
                    }
                    Some(there) => {
                        step.value = Some(value);
                        step.expect = Expect::At {
                            version: there.version,
                            target: there.target,
                        };
                        differing.insert(name, (step, there));
                    }
                }
                Ok(())
            })?;
        }
    }
    report.refs_new = due.len() as u64;
    report.refs_moved = differing.len() as u64;
    refuse_taken(source, &differing)?;
    due.extend(differing.into_values().map(|(step, _)| step));
    for (scope, new_scope) in scopes.iter().zip(&renamed) {
        dropped_read_models(source, target, (scope, new_scope), &mut due)?;
    }
    Ok(due)
}

/// Read models that the target has of what the source has none of any more: that was deleted, or cut off, and a read
/// model would keep what was in it. Any can be made anew.
fn dropped_read_models(
    source: &dyn Store,
    target: &dyn Store,
    (scope, new_scope): (&str, &str),
    due: &mut Vec<Due>,
) -> Result<()> {
    for kind in target.kinds(new_scope)? {
        let Some(of) = kind.strip_suffix(READ_MODEL) else {
            continue;
        };
        each_ref(target, new_scope, &kind, &mut |name, there| {
            let in_source = |kind: &str| {
                let name = RefName::new(scope, kind, name.parts().to_vec())?;
                source.read_ref(&name)
            };
            if in_source(of)?.is_some() && in_source(&kind)?.is_none() {
                due.push(Due {
                    name,
                    expect: Expect::At {
                        version: there.version,
                        target: there.target,
                    },
                    value: None,
                });
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// What each scope is called in the target. Errors: `Invalid`.
fn new_names(scopes: &[String], options: &CopyOptions) -> Result<Vec<String>> {
    let invalid = |value: &str, rule: String| StoreError::Invalid {
        what: "scope to rename",
        value: value.to_owned(),
        rule,
    };
    for (from, to) in &options.rename {
        check_written_scope(to)?;
        if !scopes.contains(from) {
            return Err(invalid(
                from,
                format!("the source has no such scope; it has {}", scopes.join(", ")),
            ));
        }
    }
    let mut taken = BTreeSet::new();
    scopes
        .iter()
        .map(|scope| {
            let name = options.rename.get(scope).unwrap_or(scope).clone();
            if taken.insert(name.clone()) {
                Ok(name)
            } else {
                Err(invalid(&name, "two scopes would become this one".into()))
            }
        })
        .collect()
}

fn each_ref(
    store: &dyn Store,
    scope: &str,
    kind: &str,
    visit: &mut dyn FnMut(RefName, RefValue) -> Result<()>,
) -> Result<()> {
    let mut after: Option<RefName> = None;
    loop {
        let page = store.list_refs(scope, kind, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        for (name, value) in page {
            visit(name, value?)?;
        }
    }
}

/// A ref that stands in the target where the source's stood before is only behind. Errors: `RefsTaken` for
/// all others.
fn refuse_taken(source: &dyn Store, differing: &BTreeMap<RefName, (Due, RefValue)>) -> Result<()> {
    let mut behind: HashSet<&RefName> = HashSet::new();
    let mut after = None;
    while behind.len() < differing.len() {
        let page = source.journal(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        for moved in page.iter().flat_map(|entry| &entry.moves) {
            if let Some((name, (_, there))) = differing.get_key_value(&moved.name)
                && moved.target == Some(there.target)
                && moved.record.as_ref() == Some(&there.record)
            {
                behind.insert(name);
            }
        }
    }
    let taken: Vec<&Due> = differing
        .iter()
        .filter(|(name, _)| !behind.contains(name))
        .map(|(_, (step, _))| step)
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(StoreError::RefsTaken {
        count: taken.len() as u64,
        names: taken
            .iter()
            .take(NAMES_MAX)
            .map(|step| step.name.to_string())
            .collect(),
    })
}

/// What the new targets reach and the target does not have. What it has is whole below, so the walk ends
/// there.
fn missing_blocks(
    source: &dyn Store,
    target: &dyn Store,
    due: &[Due],
    progress: &Progress,
) -> Result<HashSet<Cid>> {
    let mut wanted: HashSet<Cid> = HashSet::new();
    let mut open: Vec<Cid> = Vec::new();
    let mut looked_at: HashSet<Cid> = HashSet::new();
    let mut look = |cids: Vec<Cid>, open: &mut Vec<Cid>| -> Result<()> {
        let new: Vec<Cid> = cids
            .into_iter()
            .filter(|cid| looked_at.insert(*cid))
            .collect();
        let there = target.has_many(&new)?;
        for (cid, there) in new.into_iter().zip(there) {
            if !there && wanted.insert(cid) && cid.codec() == Codec::DagCbor {
                open.push(cid);
            }
        }
        Ok(())
    };
    for page in due.chunks(PAGE) {
        look(
            page.iter()
                .filter_map(|step| step.value.as_ref().map(|value| value.target))
                .collect(),
            &mut open,
        )?;
        while let Some(cid) = open.pop() {
            progress.add(1)?;
            look(Block::stored(cid, source.get(&cid)?)?.links, &mut open)?;
        }
    }
    Ok(wanted)
}

/// Copies the wanted blocks in the order in which the source got them: each after all that it links to.
fn copy_blocks(
    source: &dyn Store,
    target: &dyn Store,
    wanted: &HashSet<Cid>,
    due: &[Due],
    progress: &Progress,
    report: &mut CopyReport,
) -> Result<()> {
    progress.enter(Stage::Blocks, wanted.len() as u64)?;
    let mut left = wanted.clone();
    // Booked on some scope: until the refs follow, nothing else keeps these blocks.
    let scope = due.first().map(|step| step.name.scope().to_owned());
    let mut batch = Batch::new(scope.unwrap_or_default());
    let mut after = 0;
    while !left.is_empty() {
        let page = source.blocks(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.ordinal;
        for info in page {
            // A digest may stand in the list twice.
            if !left.remove(&info.cid) {
                continue;
            }
            if info.cid.codec() == Codec::Raw && info.size >= BLOB_BYTES_MIN as u64 {
                let upload = copy_large(source, target, &info.cid)?;
                batch.upload(target, upload, report)?;
            } else {
                batch.push(Block::stored(info.cid, source.get(&info.cid)?)?);
            }
            if batch.is_full() {
                batch.store(target, report)?;
            }
            progress.add(1)?;
        }
    }
    batch.store(target, report)?;
    match left.into_iter().next() {
        Some(gone) => Err(StoreError::BlockNotFound(gone)),
        None => Ok(()),
    }
}

/// A large block on its way into `target`, a piece in memory at a time.
fn copy_large(source: &dyn Store, target: &dyn Store, cid: &Cid) -> Result<Arc<Uploaded>> {
    let reader = source.reader(cid)?;
    let mut upload = target.upload()?;
    let mut at = 0;
    while at < reader.size() {
        let piece = reader.read_at(at, GROUP as u64)?;
        at = at.saturating_add(piece.len() as u64);
        upload.write(&piece)?;
    }
    upload.finish()
}

/// Blocks of one commit.
struct Batch {
    scope: String,
    blocks: Vec<Block>,
    bytes: usize,
    /// Those that no other of the batch links to. A hold keeps all that a block reaches.
    tops: HashSet<Cid>,
}

impl Batch {
    fn new(scope: String) -> Self {
        Self {
            scope,
            blocks: Vec::new(),
            bytes: 0,
            tops: HashSet::new(),
        }
    }

    fn push(&mut self, block: Block) {
        for link in &block.links {
            self.tops.remove(link);
        }
        self.tops.insert(block.cid);
        self.bytes = self.bytes.saturating_add(block.bytes.len());
        self.blocks.push(block);
    }

    fn is_full(&self) -> bool {
        self.blocks.len() >= COMMIT_BLOCKS_MAX || self.bytes >= COMMIT_BYTES_MAX
    }

    fn store(&mut self, target: &dyn Store, report: &mut CopyReport) -> Result<()> {
        let batch = std::mem::replace(self, Self::new(self.scope.clone()));
        if batch.blocks.is_empty() {
            return Ok(());
        }
        let commit = Commit {
            scope: batch.scope,
            holds: batch.tops.into_iter().collect(),
            blocks: batch.blocks,
            ..Commit::default()
        };
        land(target, commit, report)
    }

    /// A large block by itself: what links to it comes later.
    fn upload(
        &self,
        target: &dyn Store,
        upload: Arc<Uploaded>,
        report: &mut CopyReport,
    ) -> Result<()> {
        let commit = Commit {
            scope: self.scope.clone(),
            holds: vec![upload.cid()],
            uploads: vec![upload],
            ..Commit::default()
        };
        land(target, commit, report)
    }
}

/// Not synced: the refs' commits are, and those sync what they rest on.
fn land(target: &dyn Store, commit: Commit, report: &mut CopyReport) -> Result<()> {
    let durability = Durability::Relaxed;
    let done = target
        .submit(Commit {
            durability,
            ..commit
        })
        .wait()?;
    report.blocks += done.new_blocks;
    report.bytes += done.new_bytes;
    Ok(())
}

/// Sets the refs, in as few commits as the limits allow; scopes and kinds in order, so that a thread comes
/// before its key.
fn move_refs(target: &dyn Store, mut due: Vec<Due>, progress: &Progress) -> Result<()> {
    progress.enter(Stage::Refs, due.len() as u64)?;
    due.sort_by(|a, b| {
        let place = |due: &Due| (due.name.scope().to_owned(), due.name.kind().to_owned());
        place(a).cmp(&place(b)).then_with(|| a.name.cmp(&b.name))
    });
    let mut rest = due.into_iter().peekable();
    while let Some(first) = rest.next() {
        let scope = first.name.scope().to_owned();
        let mut moves = vec![first.into_move()];
        while moves.len() < COMMIT_REFS_MAX
            && let Some(next) = rest.next_if(|next| next.name.scope() == scope)
        {
            moves.push(next.into_move());
        }
        let count = moves.len() as u64;
        target
            .submit(Commit {
                scope,
                moves,
                ..Commit::default()
            })
            .wait()?;
        progress.add(count)?;
    }
    Ok(())
}

impl Due {
    fn into_move(self) -> RefMove {
        RefMove {
            name: self.name,
            expect: self.expect,
            change: self.value.map_or(Change::Delete, |value| Change::Set {
                target: value.target,
                record: value.record,
            }),
        }
    }
}

impl RefValue {
    /// The same, however often it was moved.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.target == other.target && self.record == other.record
    }
}
