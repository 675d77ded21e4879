//! What `verify` asks of any backend, and the checks themselves.
//!
//! Promises: one broken row, table or page is a finding and hides nothing else; every finding names what is
//! broken; nothing is repaired or written.
//! Must never: trust one table on the word of another without asking both.

use std::collections::BTreeMap;
use std::sync::Arc;

use treering_block::{Block, Cid, Codec};

use crate::cursor::Head;
use crate::error::{Result, StoreError};
use crate::findings::{Check, Finding, VerifyReport};
use crate::journal::{JournalCommand, JournalRow};
use crate::lease::LeaseState;
use crate::name::RefName;

/// A row that can not be read as what was written: which one, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The row, by what names it best: a CID, a ref, `ordinal 17`.
    pub which: String,
    /// What is wrong.
    pub detail: String,
}

/// Takes the rows of a table one after the other.
pub type Visit<'a, T> = &'a mut dyn FnMut(Result<T, Broken>);

/// A block with what the backend keeps about it.
#[derive(Clone, Debug)]
pub struct BlockRow {
    /// Its ordinal.
    pub ordinal: u64,
    /// Its name, as the row says.
    pub cid: Cid,
    /// Its size, as the row says.
    pub size: u64,
    /// The stored bytes, not yet checked against `cid`; Err says why they can't be had.
    pub bytes: Result<Arc<[u8]>, String>,
    /// What the graph table says that it links to; Err says why that can't be had.
    pub links: Result<Vec<u64>, String>,
}

/// A hold as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRow {
    /// On whose behalf.
    pub scope: String,
    /// The held block.
    pub ordinal: u64,
    /// When it ends.
    pub expires_at_ms: i64,
}

/// What a backend shows to [`verify`]: its tables as they are, in one snapshot.
///
/// A method that visits rows hands each broken row over as [`Broken`] and goes on; its own `Err` means that
/// the table can not be read any further, which is a finding too and ends that table only.
pub trait Evidence {
    /// Checks what only this backend has (page structure, manifest rows, files without a row …) and adds
    /// its findings.
    fn own_checks(&self, report: &mut VerifyReport) -> Result<()>;
    /// Every block, by growing ordinal. A graph row without its block is a [`Broken`], too.
    fn blocks(&self, visit: Visit<'_, BlockRow>) -> Result<()>;
    /// The ordinal that a look-up of this CID gives.
    fn ordinal(&self, cid: &Cid) -> Result<Option<u64>>;
    /// Whether a block row with this ordinal is there.
    fn has_ordinal(&self, ordinal: u64) -> Result<bool>;
    /// The ordinal that the next new block gets.
    fn next_ordinal(&self) -> Result<u64>;
    /// Every commit, by growing position.
    fn journal(&self, visit: Visit<'_, JournalRow>) -> Result<()>;
    /// Every ref, in any order: name, version, target, record.
    fn refs(&self, visit: Visit<'_, (RefName, crate::commit::RefValue)>) -> Result<()>;
    /// Every receipt, in any order.
    fn receipts(&self, visit: Visit<'_, JournalCommand>) -> Result<()>;
    /// The receipt under a key: (payload digest, receipt).
    fn receipt(&self, key: &[u8; 32]) -> Result<Option<([u8; 32], Vec<u8>)>>;
    /// Every hold, in any order.
    fn holds(&self, visit: Visit<'_, HoldRow>) -> Result<()>;
    /// Every lease, as stored, in any order.
    fn leases(&self, visit: Visit<'_, (RefName, LeaseState)>) -> Result<()>;
}

/// Checks everything that `evidence` shows; `since` also proves that the journal up to there is what it was.
///
/// O(store): reads each block once, looks up each link once. Memory: one entry for each ref.
/// Never fails as a whole: what can not be read is a finding.
pub fn verify(evidence: &dyn Evidence, since: Option<&Head>) -> VerifyReport {
    let mut report = VerifyReport::default();
    let own = evidence.own_checks(&mut report);
    end_of_table(
        &mut report,
        Check::Manifest,
        "the store's own structure",
        own,
    );
    check_blocks(evidence, &mut report);
    let replayed = check_journal(evidence, since, &mut report);
    check_refs(evidence, &replayed, &mut report);
    check_receipts(evidence, &replayed, &mut report);
    check_holds(evidence, &mut report);
    check_leases(evidence, &mut report);
    report
}

impl VerifyReport {
    /// Adds one finding.
    pub fn find(&mut self, check: Check, which: impl Into<String>, detail: impl Into<String>) {
        self.findings.push(Finding {
            check,
            which: which.into(),
            detail: detail.into(),
            threads: Vec::new(),
        });
    }

    fn broken(&mut self, check: Check, broken: Broken) {
        self.find(check, broken.which, broken.detail);
    }
}

fn end_of_table(report: &mut VerifyReport, check: Check, table: &str, ended: Result<()>) {
    if let Err(error) = ended {
        report.find(check, table, format!("can not be read to its end: {error}"));
    }
}

fn check_blocks(evidence: &dyn Evidence, report: &mut VerifyReport) {
    let mut last = 0;
    let ended = evidence.blocks(&mut |row| match row {
        Ok(row) => {
            if row.ordinal <= last {
                report.find(
                    Check::BlockRow,
                    row.cid.to_string(),
                    format!("ordinal {} comes after {last}", row.ordinal),
                );
            }
            last = last.max(row.ordinal);
            check_block(evidence, &row, report);
        }
        Err(broken) => report.broken(Check::BlockRow, broken),
    });
    end_of_table(report, Check::BlockRow, "blocks", ended);
    match evidence.next_ordinal() {
        Ok(next) if next > last => {}
        Ok(next) => {
            report.find(
                Check::Manifest,
                "next ordinal",
                format!("it is {next} and the newest block has {last}"),
            );
        }
        Err(error) => report.find(Check::Manifest, "next ordinal", error.to_string()),
    }
}

fn check_block(evidence: &dyn Evidence, row: &BlockRow, report: &mut VerifyReport) {
    let which = row.cid.to_string();
    report.blocks += 1;
    report.bytes += row.size;
    match evidence.ordinal(&row.cid) {
        Ok(Some(ordinal)) if ordinal == row.ordinal => {}
        Ok(Some(other)) => report.find(
            Check::BlockRow,
            which.as_str(),
            format!(
                "it stands at ordinal {} and is looked up as {other}",
                row.ordinal
            ),
        ),
        Ok(None) => report.find(
            Check::BlockRow,
            which.as_str(),
            "a look-up does not find it",
        ),
        Err(error) => report.find(Check::BlockRow, which.as_str(), error.to_string()),
    }
    let bytes = match &row.bytes {
        Ok(bytes) => bytes,
        Err(why) => {
            report.find(Check::BlockBytes, which.as_str(), why.as_str());
            check_graph(row, report);
            return;
        }
    };
    if bytes.len() as u64 != row.size {
        report.find(
            Check::BlockRow,
            which.as_str(),
            format!("the row says {} bytes, there are {}", row.size, bytes.len()),
        );
    }
    if let Err(mismatch) = Block::verify(&row.cid, bytes) {
        // Which links broken bytes seem to hold says nothing; the graph row can still be judged.
        report.find(Check::BlockBytes, which.as_str(), mismatch.to_string());
        check_graph(row, report);
        return;
    }
    let links = match row.cid.codec() {
        Codec::Raw => Vec::new(),
        Codec::DagCbor => match treering_block::check_node(bytes) {
            Ok(links) => links,
            Err(refused) => {
                report.find(Check::NodeForm, which.as_str(), refused.to_string());
                check_graph(row, report);
                return;
            }
        },
    };
    check_graph(row, report);
    check_links(evidence, row, &links, report);
}

/// The graph row by itself: it can be read, and its links are smaller.
fn check_graph(row: &BlockRow, report: &mut VerifyReport) {
    match &row.links {
        Err(why) => report.find(Check::Links, row.cid.to_string(), why.as_str()),
        Ok(graph) => {
            for link in graph.iter().filter(|link| **link >= row.ordinal) {
                report.find(
                    Check::LinkOrder,
                    row.cid.to_string(),
                    format!(
                        "ordinal {} links to ordinal {link}, which is not smaller",
                        row.ordinal
                    ),
                );
            }
        }
    }
}

/// The links in the bytes against the graph row and what is there.
fn check_links(evidence: &dyn Evidence, row: &BlockRow, links: &[Cid], report: &mut VerifyReport) {
    let which = row.cid.to_string();
    let mut ordinals = Vec::with_capacity(links.len());
    for link in links {
        report.links += 1;
        match evidence.ordinal(link) {
            Ok(Some(ordinal)) => {
                if ordinal >= row.ordinal {
                    report.find(
                        Check::LinkOrder,
                        which.as_str(),
                        format!("it links to {link}, which came later"),
                    );
                }
                ordinals.push(ordinal);
            }
            Ok(None) => report.find(
                Check::Links,
                which.as_str(),
                format!("it links to {link}, which is missing"),
            ),
            Err(error) => {
                report.find(
                    Check::Links,
                    which.as_str(),
                    format!("it links to {link}, which can't be looked up: {error}"),
                );
            }
        }
    }
    if let Ok(graph) = &row.links
        && ordinals.len() == links.len()
        && *graph != ordinals
    {
        report.find(
            Check::Links,
            which.as_str(),
            format!("its bytes link to ordinals {ordinals:?}, the graph says {graph:?}"),
        );
    }
}

/// What the journal says that refs and receipts should be.
struct Replayed {
    refs: BTreeMap<RefName, Stands>,
    commands: u64,
    /// Whether every commit could be read: otherwise a difference proves nothing.
    whole: bool,
}

/// A ref, its record as a digest: what is compared, not kept.
#[derive(PartialEq, Eq)]
struct Stands {
    version: u64,
    target: Cid,
    record: blake3::Hash,
}

fn check_journal(
    evidence: &dyn Evidence,
    since: Option<&Head>,
    report: &mut VerifyReport,
) -> Replayed {
    let mut replayed = Replayed {
        refs: BTreeMap::new(),
        commands: 0,
        whole: true,
    };
    let mut previous = Head::default();
    let mut last_at_ms = i64::MIN;
    let mut chain_at_since = since.filter(|since| since.position == 0).map(|_| [0; 32]);
    let ended = evidence.journal(&mut |row| {
        let row = match row {
            Ok(row) => row,
            Err(broken) => {
                replayed.whole = false;
                report.broken(Check::Journal, broken);
                return;
            }
        };
        report.commits += 1;
        let which = format!("commit {}", row.position);
        for fault in row.faults(&previous) {
            replayed.whole = false;
            report.find(Check::Journal, which.as_str(), fault);
        }
        if row.at_ms < last_at_ms {
            report.find(
                Check::Journal,
                which.as_str(),
                "its time is before the previous commit's",
            );
        }
        last_at_ms = row.at_ms;
        previous = row.head();
        if since.is_some_and(|since| since.position == row.position) {
            chain_at_since = Some(row.chain);
        }
        replay(evidence, &row, &mut replayed, report);
    });
    if ended.is_err() {
        replayed.whole = false;
    }
    end_of_table(report, Check::Journal, "journal", ended);
    if let Some(since) = since {
        match chain_at_since {
            Some(chain) if chain == since.chain => {}
            Some(_) => report.find(
                Check::Journal,
                format!("commit {}", since.position),
                "the journal up to here is not what it was when this head was written down",
            ),
            None => report.find(
                Check::Journal,
                format!("commit {}", since.position),
                format!(
                    "the journal ends at {} and was longer when this head was written down",
                    previous.position
                ),
            ),
        }
    }
    replayed
}

fn replay(
    evidence: &dyn Evidence,
    row: &JournalRow,
    replayed: &mut Replayed,
    report: &mut VerifyReport,
) {
    let which = format!("commit {}", row.position);
    let entry = match row.entry() {
        Ok(entry) => entry,
        Err(error) => {
            replayed.whole = false;
            report.find(Check::Journal, which, error.to_string());
            return;
        }
    };
    for moved in entry.moves {
        let expected = replayed
            .refs
            .get(&moved.name)
            .map_or(1, |stands| stands.version.saturating_add(1));
        match (moved.target, moved.record) {
            (Some(target), Some(record)) => {
                if moved.version != expected && replayed.whole {
                    report.find(
                        Check::Journal,
                        which.as_str(),
                        format!(
                            "{} goes to version {} where {expected} follows",
                            moved.name, moved.version
                        ),
                    );
                }
                let stands = Stands {
                    version: moved.version,
                    target,
                    record: blake3::hash(&record),
                };
                replayed.refs.insert(moved.name, stands);
            }
            _ => {
                replayed.refs.remove(&moved.name);
            }
        }
    }
    let Some(command) = entry.command else { return };
    replayed.commands += 1;
    match evidence.receipt(&command.key) {
        Ok(Some((payload, receipt)))
            if payload == command.payload && receipt == command.receipt => {}
        Ok(Some(_)) => report.find(
            Check::Receipt,
            which,
            "the receipt that it left is not what it wrote",
        ),
        Ok(None) => report.find(Check::Receipt, which, "the receipt that it left is missing"),
        Err(error) => report.find(
            Check::Receipt,
            which,
            format!("the receipt that it left: {error}"),
        ),
    }
}

fn check_refs(evidence: &dyn Evidence, replayed: &Replayed, report: &mut VerifyReport) {
    let mut met = std::collections::BTreeSet::new();
    let ended = evidence.refs(&mut |row| {
        let (name, value) = match row {
            Ok(row) => row,
            Err(broken) => {
                // A row that can't be read is not missing as well.
                met.extend(RefName::parse(&broken.which));
                report.broken(Check::Ref, broken);
                return;
            }
        };
        report.refs += 1;
        match evidence.ordinal(&value.target) {
            Ok(Some(_)) => {}
            Ok(None) => report.find(
                Check::Ref,
                name.to_string(),
                format!("it points at {}, which is missing", value.target),
            ),
            Err(error) => report.find(Check::Ref, name.to_string(), error.to_string()),
        }
        let stands = Stands {
            version: value.version,
            target: value.target,
            record: blake3::hash(&value.record),
        };
        if replayed.whole && replayed.refs.get(&name) != Some(&stands) {
            report.find(
                Check::RefHistory,
                name.to_string(),
                format!(
                    "it stands at version {} ({}), which the journal does not say",
                    value.version, value.target
                ),
            );
        }
        met.insert(name);
    });
    let read = ended.is_ok();
    end_of_table(report, Check::Ref, "refs", ended);
    if read && replayed.whole {
        for name in replayed.refs.keys().filter(|name| !met.contains(*name)) {
            report.find(
                Check::RefHistory,
                name.to_string(),
                "the journal has it, the refs have not",
            );
        }
    }
}

fn check_receipts(evidence: &dyn Evidence, replayed: &Replayed, report: &mut VerifyReport) {
    let mut damaged = 0;
    let ended = evidence.receipts(&mut |row| match row {
        Ok(_) => report.receipts += 1,
        Err(broken) => {
            damaged += 1;
            report.broken(Check::Receipt, broken);
        }
    });
    let read = ended.is_ok();
    end_of_table(report, Check::Receipt, "receipts", ended);
    // Each command of the journal was looked up above; what is over has no commit.
    let stored = report.receipts.saturating_add(damaged);
    if read && replayed.whole && stored > replayed.commands {
        report.find(
            Check::Receipt,
            "receipts",
            format!("{stored} are stored, the journal has {}", replayed.commands),
        );
    }
}

fn check_holds(evidence: &dyn Evidence, report: &mut VerifyReport) {
    let ended = evidence.holds(&mut |row| match row {
        Ok(hold) => {
            let which = format!("hold of scope {} on ordinal {}", hold.scope, hold.ordinal);
            match evidence.has_ordinal(hold.ordinal) {
                Ok(true) => {}
                Ok(false) => report.find(Check::Hold, which, "the held block is missing"),
                Err(error) => report.find(Check::Hold, which, error.to_string()),
            }
        }
        Err(broken) => report.broken(Check::Hold, broken),
    });
    end_of_table(report, Check::Hold, "holds", ended);
}

fn check_leases(evidence: &dyn Evidence, report: &mut VerifyReport) {
    let ended = evidence.leases(&mut |row| match row {
        Ok((name, state)) if state.token == 0 => {
            report.find(Check::Lease, name.to_string(), "token 0 was never granted");
        }
        Ok(_) => {}
        Err(broken) => report.broken(Check::Lease, broken),
    });
    end_of_table(report, Check::Lease, "leases", ended);
}

/// How an error of one row reads in a finding, for backends that build [`Broken`] from [`StoreError`].
impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { which, detail, .. } => Self { which, detail },
            other => Self {
                which: String::new(),
                detail: other.to_string(),
            },
        }
    }
}
