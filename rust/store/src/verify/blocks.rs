//! Blocks against their CIDs, their graph rows and each other.

use treering_block::{Block, Cid, Codec, check_node};

use super::{BlockRow, Evidence, Stored, end_of_table};
use crate::findings::{Check, VerifyReport};

pub(super) fn check_blocks(evidence: &dyn Evidence, report: &mut VerifyReport) {
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
        Ok(Stored::Bytes(bytes)) => bytes,
        Ok(Stored::Sound) => {
            check_graph(row, report);
            check_links(evidence, row, &[], report);
            return;
        }
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
        Codec::DagCbor => match check_node(bytes) {
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
