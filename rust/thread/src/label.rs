//! Labels: small named values on a thread's record, by which threads are filtered.

use std::collections::BTreeMap;

use treering_block::Ipld;

use crate::error::{Result, ThreadError, within};
use crate::limits::{LABEL_NAME_BYTES_MAX, LABEL_TEXT_BYTES_MAX, LABELS_BYTES_MAX, LABELS_MAX};

/// Labels of one thread.
pub type Labels = BTreeMap<String, Label>;

/// A label's value. Numbers are equal by value (`1 == 1.0`), `true` is no number.
#[derive(Clone, Debug)]
pub enum Label {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A finite float.
    Float(f64),
    /// Text, at most [`LABEL_TEXT_BYTES_MAX`] bytes.
    Text(String),
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Int(int), Self::Float(float)) | (Self::Float(float), Self::Int(int)) => {
                same_number(*int, *float)
            }
            _ => false,
        }
    }
}

/// Exact: 2⁵³ + 1 is not equal to the float next to it.
fn same_number(int: i64, float: f64) -> bool {
    const I64_SPAN: f64 = 9_223_372_036_854_775_808.0;
    float.fract() == 0.0 && (-I64_SPAN..I64_SPAN).contains(&float) && float as i64 == int
}

impl Label {
    pub(crate) fn to_ipld(&self) -> Ipld {
        match self {
            Self::Null => Ipld::Null,
            Self::Bool(value) => Ipld::Bool(*value),
            Self::Int(value) => Ipld::Integer(i128::from(*value)),
            Self::Float(value) => Ipld::Float(*value),
            Self::Text(value) => Ipld::String(value.clone()),
        }
    }

    pub(crate) fn from_ipld(value: &Ipld) -> Option<Self> {
        Some(match value {
            Ipld::Null => Self::Null,
            Ipld::Bool(value) => Self::Bool(*value),
            Ipld::Integer(value) => Self::Int(i64::try_from(*value).ok()?),
            Ipld::Float(value) => Self::Float(*value),
            Ipld::String(value) => Self::Text(value.clone()),
            Ipld::Bytes(_) | Ipld::List(_) | Ipld::Map(_) | Ipld::Link(_) => return None,
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            _ => 8,
        }
    }

    /// Refuses what a record can not hold.
    ///
    /// # Errors
    /// `LimitExceeded` for a long text, `Invalid` for NaN and infinities.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Text(text) => within("bytes of a label's text", LABEL_TEXT_BYTES_MAX, text.len()),
            Self::Float(value) if !value.is_finite() => Err(ThreadError::invalid(
                "label",
                &value.to_string(),
                "floats are finite",
            )),
            _ => Ok(()),
        }
    }
}

/// Refuses labels that a record can not hold.
///
/// # Errors
/// `LimitExceeded` over [`LABELS_MAX`], [`LABEL_NAME_BYTES_MAX`], [`LABEL_TEXT_BYTES_MAX`] or
/// [`LABELS_BYTES_MAX`]; `Invalid` for a blank name, NaN and infinities.
pub fn check_labels(labels: &Labels) -> Result<()> {
    within("labels of a thread", LABELS_MAX, labels.len())?;
    let mut bytes = 0;
    for (name, value) in labels {
        if name.trim().is_empty() {
            return Err(ThreadError::invalid("label name", name, "it is blank"));
        }
        within("bytes of a label's name", LABEL_NAME_BYTES_MAX, name.len())?;
        value.check()?;
        bytes += name.len() + value.bytes();
    }
    within("bytes of all labels of a thread", LABELS_BYTES_MAX, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_by_value_and_exactly() {
        assert_eq!(Label::Int(1), Label::Float(1.0));
        assert_eq!(Label::Float(-0.0), Label::Int(0));
        assert_eq!(
            Label::Int(i64::MIN),
            Label::Float(-9_223_372_036_854_775_808.0)
        );
        assert_ne!(
            Label::Int(i64::MAX),
            Label::Float(9_223_372_036_854_775_808.0)
        );
        assert_ne!(
            Label::Int((1 << 53) + 1),
            Label::Float(9_007_199_254_740_992.0)
        );
        assert_ne!(Label::Int(1), Label::Float(1.5));
        assert_ne!(Label::Bool(true), Label::Int(1));
        assert_ne!(Label::Null, Label::Int(0));
        assert_ne!(Label::Text("1".into()), Label::Int(1));
    }

    #[test]
    fn limits_hold_at_their_edges() {
        let one = |name: String, value| Labels::from([(name, value)]);
        assert!(check_labels(&one("n".repeat(LABEL_NAME_BYTES_MAX), Label::Null)).is_ok());
        assert!(check_labels(&one("n".repeat(LABEL_NAME_BYTES_MAX + 1), Label::Null)).is_err());
        assert!(check_labels(&one(" ".into(), Label::Null)).is_err());
        assert!(
            Label::Text("t".repeat(LABEL_TEXT_BYTES_MAX))
                .check()
                .is_ok()
        );
        assert!(
            Label::Text("t".repeat(LABEL_TEXT_BYTES_MAX + 1))
                .check()
                .is_err()
        );
        assert!(Label::Float(f64::NAN).check().is_err());
        assert!(Label::Float(f64::INFINITY).check().is_err());
        let many = |count: usize| {
            (0..count)
                .map(|i| (format!("{i}"), Label::Null))
                .collect::<Labels>()
        };
        assert!(check_labels(&many(LABELS_MAX)).is_ok());
        assert!(check_labels(&many(LABELS_MAX + 1)).is_err());
        // 8 labels of 256 bytes: 1-byte names and 255-byte texts meet the sum exactly.
        let full = |last: usize| {
            (0..8)
                .map(|i| {
                    (
                        i.to_string(),
                        Label::Text("t".repeat(if i == 7 { last } else { 255 })),
                    )
                })
                .collect::<Labels>()
        };
        assert!(check_labels(&full(255)).is_ok());
        assert!(check_labels(&full(256)).is_err());
    }
}
