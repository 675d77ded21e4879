//! `verify`: everything that a store holds, checked; the same for every backend.
//!
//! Promises: one broken row, table or page is a finding and hides nothing else; every finding names what is
//! broken; nothing is repaired or written.
//! Must never: trust one table on the word of another without asking both.

mod blocks;
mod evidence;
mod history;

pub use evidence::{BlockRow, Broken, Evidence, HoldRow, Stored, Visit};

use crate::cursor::Head;
use crate::error::Result;
use crate::findings::{Check, Finding, VerifyReport};

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
    blocks::check_blocks(evidence, &mut report);
    let replayed = history::check_journal(evidence, since, &mut report);
    history::check_refs(evidence, &replayed, &mut report);
    check_sum_of_refs(evidence, &mut report);
    history::check_receipts(evidence, &replayed, &mut report);
    check_holds(evidence, &mut report);
    check_leases(evidence, &mut report);
    report
}

/// Checks only the blocks that `evidence` shows, as [`verify`] does.
pub fn verify_blocks(evidence: &dyn Evidence) -> VerifyReport {
    let mut report = VerifyReport::default();
    blocks::check_blocks(evidence, &mut report);
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

/// Where the journal that is kept tells of no ref that is amiss, the sum of all may.
fn check_sum_of_refs(evidence: &dyn Evidence, report: &mut VerifyReport) {
    let mut found = report.findings.iter();
    if found.any(|finding| matches!(finding.check, Check::Ref | Check::RefHistory)) {
        return;
    }
    match evidence.refs_are_all() {
        Ok(true) => {}
        Ok(false) => report.find(
            Check::RefHistory,
            "table ref",
            "its rows are not those that the commits left: one is gone, or older",
        ),
        Err(error) => end_of_table(report, Check::Ref, "table ref", Err(error)),
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
