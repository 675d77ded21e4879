//! What `verify` adds for threads: records, step numbers, jumps, one start; and whom a broken block hurts.
//!
//! Promises: each node of a thread is read once however many forks share it; a chain that is cut by a
//! broken node is followed on from below the cut, by the jumps that lead over it; whatever can't be read
//! is a finding, and hides no other.
//! Must never: fail as a whole, or trust a record on what its chain says.

mod chains;
mod hurt;
mod keys;

use std::collections::BTreeMap;

use treering_block::Cid;
use treering_store::{Check, Finding, RefName, Store, VerifyReport};

use crate::ident::{THREAD, failed_ref};
use crate::info::Status;
use crate::record::Record;
use crate::threads::id_of;
use chains::Chains;

const PAGE: usize = 1000;

/// A thread whose record could be read.
struct Seen {
    id: String,
    /// Where its chain is entered in [`Chains`], if it has a step that can be read.
    top: Option<u32>,
    /// The node of its start, where it is known.
    start: Option<Cid>,
    /// Nodes that could not be read, with their steps.
    lost: Vec<(u64, Cid)>,
    /// Its failed node.
    failed: Option<Cid>,
    /// What its record says, if that can be read.
    record: Option<Record>,
}

/// Checks all threads of all scopes, adds what is wrong, and writes into every finding about a block,
/// those of [`Store::verify`] too, which steps of which threads it hurts: the step whose node, content,
/// artifact or spilled payload it is; step 0 for start and prompt.
///
/// Reads each state node once; each content too when a block is broken. Memory: about 150 bytes a step.
pub fn verify_threads(store: &dyn Store, report: &mut VerifyReport) {
    match store.scopes() {
        Ok(scopes) => verify_scopes(store, &scopes, report),
        Err(error) => report.find(Check::Ref, "scopes", error.to_string()),
    }
}

/// The same of one scope.
pub fn verify_threads_of(store: &dyn Store, scope: &str, report: &mut VerifyReport) {
    verify_scopes(store, &[scope.to_owned()], report);
}

fn verify_scopes(store: &dyn Store, scopes: &[String], report: &mut VerifyReport) {
    let mut chains = Chains::new(store, about_blocks(report).into_keys().collect());
    let mut threads = Vec::new();
    for scope in scopes {
        let first = threads.len();
        check_scope(store, scope, &mut chains, &mut threads, report);
        keys::check(
            store,
            scope,
            threads.get(first..).unwrap_or_default(),
            report,
        );
    }
    report.steps += chains.len() as u64;
    report.findings.append(&mut chains.findings);
    hurt::name(store, &chains, &threads, report);
}

fn check_scope(
    store: &dyn Store,
    scope: &str,
    chains: &mut Chains<'_>,
    threads: &mut Vec<Seen>,
    report: &mut VerifyReport,
) {
    let mut after: Option<RefName> = None;
    loop {
        let page = match store.list_refs(scope, THREAD, after.as_ref(), PAGE) {
            Ok(page) => page,
            Err(error) => return report.find(Check::Ref, scope, error.to_string()),
        };
        let Some((last, _)) = page.last() else { return };
        after = Some(last.clone());
        for (name, value) in page {
            report.threads += 1;
            let id = id_of(&name).unwrap_or(name.encoded()).to_owned();
            match value {
                Ok(value) => {
                    let record = Record::decode(&id, &value.record);
                    if let Err(error) = &record {
                        report.findings.push(of_thread(
                            Check::Record,
                            &name,
                            error.to_string(),
                            &id,
                            0,
                        ));
                    }
                    let record = record.ok();
                    let steps = record.as_ref().map(|record| record.steps);
                    let mut seen = chains.walk(&id, value.target, steps);
                    check_record(&name, &seen, record.as_ref(), chains, report);
                    seen.failed = failed_ref(scope, &id)
                        .ok()
                        .and_then(|name| store.read_ref(&name).ok().flatten())
                        .map(|value| value.target);
                    seen.record = record;
                    threads.push(seen);
                }
                // The store's own check has a finding about the row: it learns whose it is.
                Err(error) => {
                    let mut known = false;
                    for finding in report
                        .findings
                        .iter_mut()
                        .filter(|finding| finding.which == name.encoded())
                    {
                        finding.threads.push((id.clone(), 0));
                        known = true;
                    }
                    if !known {
                        report.findings.push(of_thread(
                            Check::Ref,
                            &name,
                            error.to_string(),
                            &id,
                            0,
                        ));
                    }
                }
            }
        }
    }
}

/// What the record says of its chain.
fn check_record(
    name: &RefName,
    seen: &Seen,
    record: Option<&Record>,
    chains: &Chains<'_>,
    report: &mut VerifyReport,
) {
    let Some(record) = record else { return };
    if seen.lost.iter().any(|(step, _)| *step == record.steps) {
        // The head itself can't be read: there is a finding about it, and nothing to compare with.
        return;
    }
    let (step, ended) = seen
        .top
        .map_or((0, false), |top| (chains.step(top), chains.is_end(top)));
    if step != record.steps {
        let detail = format!("it says {} steps, its head is step {step}", record.steps);
        report
            .findings
            .push(of_thread(Check::Record, name, detail, &seen.id, step));
    }
    if ended != (record.status == Status::Completed) {
        let detail = format!(
            "it says {}, its head is {} __end__ step",
            record.status,
            if ended { "an" } else { "no" }
        );
        report
            .findings
            .push(of_thread(Check::Record, name, detail, &seen.id, step));
    }
}

fn of_thread(check: Check, name: &RefName, detail: String, id: &str, step: u64) -> Finding {
    Finding {
        check,
        which: name.encoded().to_owned(),
        detail,
        threads: vec![(id.to_owned(), step)],
    }
}

/// Findings about blocks, by block.
fn about_blocks(report: &VerifyReport) -> BTreeMap<Cid, Vec<usize>> {
    let mut about: BTreeMap<Cid, Vec<usize>> = BTreeMap::new();
    for (index, finding) in report.findings.iter().enumerate() {
        if let Ok(cid) = finding.which.parse() {
            about.entry(cid).or_default().push(index);
        }
    }
    about
}
