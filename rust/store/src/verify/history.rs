//! The journal by itself, and refs and receipts against what replaying it gives.
//!
//! Where the journal's beginning was given up, a ref or receipt that the rest does not mention is as old as
//! that: nothing is said of it.

use std::collections::{BTreeMap, BTreeSet};

use treering_block::Cid;

use super::{Broken, Evidence, end_of_table};
use crate::cursor::Head;
use crate::findings::{Check, VerifyReport};
use crate::journal::JournalRow;
use crate::name::RefName;
use crate::scope::lineage::{is_lineage, lineage_key};

/// What the journal says that refs and receipts should be.
pub(super) struct Replayed {
    /// None for a ref that was removed last.
    refs: BTreeMap<RefName, Option<Stands>>,
    commands: u64,
    /// Scopes that are being erased.
    erasing: Vec<String>,
    /// Whether every commit could be read: otherwise a difference proves nothing.
    whole: bool,
    /// Whether it begins with the first commit of all.
    from_the_first: bool,
}

/// A ref, its record as a digest: what is compared, not kept.
#[derive(PartialEq, Eq)]
struct Stands {
    version: u64,
    target: Cid,
    record: blake3::Hash,
}

pub(super) fn check_journal(
    evidence: &dyn Evidence,
    since: Option<&Head>,
    report: &mut VerifyReport,
) -> Replayed {
    let mut replayed = Replayed {
        refs: BTreeMap::new(),
        commands: 0,
        erasing: Vec::new(),
        whole: true,
        from_the_first: true,
    };
    let start = evidence.journal_start().unwrap_or_else(|error| {
        replayed.whole = false;
        report.find(
            Check::Journal,
            "the journal's start",
            Broken::from(error).detail,
        );
        Head::default()
    });
    let mut notes = BTreeMap::new();
    let told = evidence
        .erasures()
        .and_then(|notes| Ok((notes, evidence.erasing()?)));
    match told {
        Ok((told, erasing)) => {
            notes.extend(told.into_iter().map(|note| (note.position, note)));
            replayed.erasing = erasing;
        }
        Err(error) => {
            replayed.whole = false;
            report.find(Check::Manifest, "erasures", Broken::from(error).detail);
        }
    }
    replayed.from_the_first = start.position == 0;
    let mut previous = start;
    let mut last_at_ms = i64::MIN;
    let mut chain_at_since = since
        .filter(|since| since.position == start.position)
        .map(|_| start.chain);
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
        if let Some(note) = notes.get(&row.position)
            && note.body_digest() != row.body_digest
        {
            let detail = "the note of an erasure is not the one that this commit left";
            report.find(Check::Journal, which.as_str(), detail);
        }
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
    expect_end(evidence, previous.position, &mut replayed, report);
    if let Some(since) = since {
        match chain_at_since {
            Some(chain) if chain == since.chain => {}
            None if since.position < start.position => report.find(
                Check::Journal,
                format!("commit {}", since.position),
                format!(
                    "this head is older than what is kept: the journal starts after commit {}, and what it was before can not be proved any more",
                    start.position
                ),
            ),
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

/// Commits that are gone at the end have none behind them whose chain would tell: refs and sealed files do.
fn expect_end(
    evidence: &dyn Evidence,
    last: u64,
    replayed: &mut Replayed,
    report: &mut VerifyReport,
) {
    match evidence.newest_commit_told() {
        Ok(told) if told > last => {
            replayed.whole = false;
            report.find(
                Check::Journal,
                format!("commit {told}"),
                format!("the journal ends at {last}: what came after it, up to here at least, is missing"),
            );
        }
        Ok(_) => {}
        Err(error) => report.find(
            Check::Journal,
            "the journal's end",
            Broken::from(error).detail,
        ),
    }
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
    if entry.erased {
        report.erased_commits += 1;
    } else if entry.blank {
        // What was before it may have been moved or removed by it: what follows is judged by itself.
        replayed.refs.clear();
        replayed.from_the_first = false;
        report.blank_commits += 1;
    }
    // What an erase that is not finished has not come to yet.
    let going = replayed.erasing.contains(&entry.scope);
    let moves = if going { Vec::new() } else { entry.moves };
    for moved in moves {
        let expected = match replayed.refs.get(&moved.name) {
            Some(Some(stands)) => Some(stands.version.saturating_add(1)),
            Some(None) => Some(1),
            None => replayed.from_the_first.then_some(1),
        };
        match (moved.target, moved.record) {
            (Some(target), Some(record)) => {
                if let Some(expected) = expected
                    && moved.version != expected
                    && replayed.whole
                {
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
                replayed.refs.insert(moved.name, Some(stands));
            }
            _ => {
                replayed.refs.insert(moved.name, None);
            }
        }
    }
    let lineage = lineage_key(&entry.scope);
    for command in entry.command.iter().chain(&entry.receipts) {
        replayed.commands += 1;
        if going {
            continue;
        }
        let which = which.as_str();
        if command.key == lineage && !is_lineage(&command.receipt) {
            let detail = "it does not say what the scope was forked of";
            report.find(
                Check::Receipt,
                format!("lineage of {}", entry.scope),
                detail,
            );
        }
        match evidence.receipt(&entry.scope, &command.key) {
            Ok(Some(left))
                if left.payload == command.payload
                    && left.receipt == command.receipt
                    // Earlier versions did not note it.
                    && (left.position == entry.position || left.position == 0) => {}
            Ok(Some(_)) => report.find(
                Check::Receipt,
                which,
                "a receipt that it left is not what it wrote",
            ),
            Ok(None) => report.find(Check::Receipt, which, "a receipt that it left is missing"),
            Err(error) => report.find(
                Check::Receipt,
                which,
                format!("a receipt that it left: {error}"),
            ),
        }
    }
}

pub(super) fn check_refs(evidence: &dyn Evidence, replayed: &Replayed, report: &mut VerifyReport) {
    let mut met = BTreeSet::new();
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
        let fits = match replayed.refs.get(&name) {
            Some(said) => said.as_ref() == Some(&stands),
            None => !replayed.from_the_first,
        };
        if replayed.whole && !fits {
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
        let standing = replayed.refs.iter().filter(|(_, said)| said.is_some());
        for (name, _) in standing.filter(|(name, _)| !met.contains(*name)) {
            report.find(
                Check::RefHistory,
                name.to_string(),
                "the journal has it, the refs have not",
            );
        }
    }
}

pub(super) fn check_receipts(
    evidence: &dyn Evidence,
    replayed: &Replayed,
    report: &mut VerifyReport,
) {
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
    if read && replayed.whole && replayed.from_the_first && stored > replayed.commands {
        report.find(
            Check::Receipt,
            "receipts",
            format!("{stored} are stored, the journal has {}", replayed.commands),
        );
    }
}
