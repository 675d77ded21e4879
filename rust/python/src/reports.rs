//! What a store tells of itself, as dicts: the report of `verify`, what is in it, what its handle has done.
//!
//! Promises: every figure of the core is given under its name; a new one does not compile before it is.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use treering_store::{Counters, StoreStats, VerifyReport};

use crate::head;

pub fn report_object<'py>(py: Python<'py>, report: &VerifyReport) -> PyResult<Bound<'py, PyDict>> {
    let VerifyReport {
        blocks,
        bytes,
        links,
        refs,
        commits,
        blank_commits,
        erased_commits,
        receipts,
        threads,
        steps,
        findings,
    } = report;
    let finding_objects = PyList::empty(py);
    for finding in findings {
        let object = PyDict::new(py);
        object.set_item("check", head::check_name(finding.check))?;
        object.set_item("which", &finding.which)?;
        object.set_item("detail", &finding.detail)?;
        object.set_item("threads", &finding.threads)?;
        finding_objects.append(object)?;
    }
    let object = PyDict::new(py);
    for (name, count) in [
        ("blocks", blocks),
        ("bytes", bytes),
        ("links", links),
        ("refs", refs),
        ("commits", commits),
        ("blank_commits", blank_commits),
        ("erased_commits", erased_commits),
        ("receipts", receipts),
        ("threads", threads),
        ("steps", steps),
    ] {
        object.set_item(name, count)?;
    }
    object.set_item("findings", finding_objects)?;
    Ok(object)
}

pub fn stats_object<'py>(py: Python<'py>, stats: &StoreStats) -> PyResult<Bound<'py, PyDict>> {
    let StoreStats {
        blocks,
        nodes,
        block_bytes,
        links,
        refs,
        commits,
        receipts,
        holds,
        dead_blocks,
        gc_generation,
        gc_at_ms,
        gc_kept,
        gc_deleted,
        gc_freed_bytes,
        garbage_blocks,
        garbage_bytes,
        garbage_estimate,
        block_row_bytes,
        journal_bytes,
        receipt_bytes,
        other_bytes,
        free_bytes,
        database_bytes,
        wal_bytes,
        blob_files,
        blob_bytes,
    } = stats;
    figures(
        py,
        &[
            ("blocks", blocks),
            ("nodes", nodes),
            ("block_bytes", block_bytes),
            ("links", links),
            ("refs", refs),
            ("commits", commits),
            ("receipts", receipts),
            ("holds", holds),
            ("dead_blocks", dead_blocks),
            ("gc_generation", gc_generation),
            ("gc_at_ms", gc_at_ms),
            ("gc_kept", gc_kept),
            ("gc_deleted", gc_deleted),
            ("gc_freed_bytes", gc_freed_bytes),
            ("garbage_blocks", garbage_blocks),
            ("garbage_bytes", garbage_bytes),
            ("garbage_estimate", garbage_estimate),
            ("block_row_bytes", block_row_bytes),
            ("journal_bytes", journal_bytes),
            ("receipt_bytes", receipt_bytes),
            ("other_bytes", other_bytes),
            ("free_bytes", free_bytes),
            ("database_bytes", database_bytes),
            ("wal_bytes", wal_bytes),
            ("blob_files", blob_files),
            ("blob_bytes", blob_bytes),
        ],
    )
}

pub fn counters_object<'py>(py: Python<'py>, counters: &Counters) -> PyResult<Bound<'py, PyDict>> {
    let Counters {
        blocks_read,
        blocks_written,
        block_bytes_written,
        batches,
        requests,
        commit_syncs,
        header_syncs,
        checkpoint_syncs,
        blob_syncs,
        wal_bytes_written,
        housekeeping_lock_us_max,
        automatic_gc_checks,
        automatic_gc_marks,
        automatic_gc_collections,
        automatic_gc_deleted,
        automatic_gc_freed_bytes,
    } = counters;
    figures(
        py,
        &[
            ("blocks_read", blocks_read),
            ("blocks_written", blocks_written),
            ("block_bytes_written", block_bytes_written),
            ("batches", batches),
            ("requests", requests),
            ("commit_syncs", commit_syncs),
            ("header_syncs", header_syncs),
            ("checkpoint_syncs", checkpoint_syncs),
            ("blob_syncs", blob_syncs),
            ("wal_bytes_written", wal_bytes_written),
            ("housekeeping_lock_us_max", housekeeping_lock_us_max),
            ("automatic_gc_checks", automatic_gc_checks),
            ("automatic_gc_marks", automatic_gc_marks),
            ("automatic_gc_collections", automatic_gc_collections),
            ("automatic_gc_deleted", automatic_gc_deleted),
            ("automatic_gc_freed_bytes", automatic_gc_freed_bytes),
        ],
    )
}

fn figures<'py>(py: Python<'py>, figures: &[(&str, &u64)]) -> PyResult<Bound<'py, PyDict>> {
    let object = PyDict::new(py);
    for (name, figure) in figures {
        object.set_item(name, figure)?;
    }
    Ok(object)
}
