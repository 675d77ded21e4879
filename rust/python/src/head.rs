//! Texts of values that the core has no text for: the journal's head, the names of verify's checks.
//!
//! Promises: a head's text parses back to the same head; the names of checks are stable.

use treering_store::{Check, Head};

use crate::error::{CoreError, Result};

const PREFIX: &str = "h1-";
const CHAIN_CHARS: usize = 64;

/// `h1-<position>-<chain in hex>`.
pub fn text(head: &Head) -> String {
    let chain: String = head
        .chain
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{PREFIX}{}-{chain}", head.position)
}

/// The head of such a text, in this form and no other.
pub fn parse(given: &str) -> Result<Head> {
    let parsed = || {
        let (position, chain) = given.strip_prefix(PREFIX)?.split_once('-')?;
        if chain.len() != CHAIN_CHARS {
            return None;
        }
        let mut head = Head {
            position: position.parse().ok()?,
            ..Head::default()
        };
        for (at, byte) in head.chain.iter_mut().enumerate() {
            *byte = u8::from_str_radix(chain.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        (text(&head) == given).then_some(head)
    };
    parsed().ok_or_else(|| CoreError::Invalid {
        what: "head",
        value: given.chars().take(96).collect(),
        rule: "it is a text that head() gave out, unchanged",
    })
}

/// The stable name of a check.
pub const fn check_name(check: Check) -> &'static str {
    match check {
        Check::BlockBytes => "block-bytes",
        Check::BlockRow => "block-row",
        Check::Links => "links",
        Check::LinkOrder => "link-order",
        Check::NodeForm => "node-form",
        Check::Journal => "journal",
        Check::Ref => "ref",
        Check::RefHistory => "ref-history",
        Check::Receipt => "receipt",
        Check::Hold => "hold",
        Check::Lease => "lease",
        Check::Manifest => "manifest",
        Check::Record => "record",
        Check::StepNumber => "step-number",
        Check::Jump => "jump",
    }
}
