//! What `repair` says: what it mended, and what is left.
//!
//! Promises: every repair names the check that had failed, what was broken and what proved the new content;
//! what could not be proved is not in the list of repairs, it is still a finding.

use crate::findings::{Check, VerifyReport};

/// One thing that was mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The check that had failed.
    pub check: Check,
    /// What was broken: a row, a ref, a CID.
    pub which: String,
    /// What was done, and what proved it.
    pub detail: String,
}

/// What a repair came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// What was mended, in the order in which it was.
    pub repairs: Vec<Repair>,
    /// What `verify` says since; its findings are what nothing could prove.
    pub left: VerifyReport,
}

/// Why a finding of this check could not be mended, and what to do; one sentence or two.
pub fn advice(check: Check) -> &'static str {
    match check {
        Check::BlockBytes | Check::NodeForm => {
            "nothing else in the store holds these bytes: put the block again from a backup after \
             quarantining the refs that reach it, or leave it; everything else can be read"
        }
        Check::BlockRow | Check::Links | Check::LinkOrder => {
            "a block is gone: quarantine the refs that reach it (`treering ref quarantine NAME`), \
             which keeps all that is left of them; a block that no ref reaches goes with the next gc"
        }
        Check::Journal => {
            "a commit can not be written anew: what it said is lost, refs and blocks are not; \
             restore a backup if the history matters, or give it up (`treering journal give-up COMMIT`)"
        }
        Check::Ref | Check::RefHistory => {
            "the journal does not prove where this ref stood: quarantine it (`treering ref quarantine NAME`)"
        }
        Check::Receipt => {
            "no commit in the journal left this receipt: a command repeated under its id would run again"
        }
        Check::Hold | Check::Lease => "the row can not be written anew; run the repair once more",
        Check::Manifest => {
            "the database itself is damaged: restore a backup, or copy what can be read to a new store"
        }
        Check::Record | Check::StepNumber | Check::Jump => {
            "the thread says so itself, no row is broken: fork it below the step, or remove it"
        }
    }
}
