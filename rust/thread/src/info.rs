//! What is known about a thread without reading a node.

use std::fmt;

use treering_block::Cid;

use crate::error::{Result, ThreadError};
use crate::label::{Label, Labels};

/// What a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nobody holds it.
    Idle,
    /// Leased by somebody who is alive. Derived, never stored.
    Running,
    /// Held still until it is resumed.
    Paused,
    /// Its last step failed; can be resumed.
    Failed,
    /// At its end.
    Completed,
    /// Given up.
    Cancelled,
}

impl Status {
    /// Its name, stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of that name.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn parse(name: &str) -> Result<Self> {
        [
            Self::Idle,
            Self::Running,
            Self::Paused,
            Self::Failed,
            Self::Completed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|status| status.as_str() == name)
        .ok_or_else(|| {
            ThreadError::invalid(
                "status",
                name,
                "it is one of idle, running, paused, failed, completed, cancelled",
            )
        })
    }

    /// In the history, not among the active ones.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A thread's record, with what its ref and lease say.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadInfo {
    /// ULID.
    pub id: String,
    /// The caller's own name.
    pub key: Option<String>,
    /// Name of the workflow.
    pub workflow: String,
    /// What it is.
    pub status: Status,
    /// Unix milliseconds, as are the next two.
    pub created_at_ms: i64,
    /// Last change of the record or head.
    pub updated_at_ms: i64,
    /// When it was finished or cancelled.
    pub completed_at_ms: Option<i64>,
    /// (thread, step) that it was forked from.
    pub forked_from: Option<(String, u64)>,
    /// Override of the start node's max_rounds.
    pub max_rounds: Option<u64>,
    /// Small values to filter by.
    pub labels: Labels,
    /// The last node.
    pub head: Cid,
    /// Number of the last step, `__end__` counted; 0 at the start.
    pub steps: u64,
    /// Of a completed thread.
    pub return_code: Option<i64>,
    /// Why it failed or was cancelled, at most [`crate::limits::RECORD_ERROR_BYTES_MAX`] bytes.
    pub error: Option<String>,
    /// Label of whoever leases it now.
    pub lease_owner: Option<String>,
}

/// Which threads to list; an absent field lets all pass.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Threads that are this.
    pub status: Option<Status>,
    /// Threads of this workflow.
    pub workflow: Option<String>,
    /// Threads that were completed or cancelled on this UTC day, `YYYY-MM-DD`.
    pub day: Option<String>,
    /// Threads that have all of these.
    pub labels: Vec<(String, Label)>,
    /// True: neither completed nor cancelled; false: the history.
    pub active: Option<bool>,
}

/// One line of a listing. A broken record is an `Err` in its place and hides no other.
#[derive(Clone, Debug)]
pub struct Listed {
    /// ULID.
    pub id: String,
    /// Its record.
    pub info: Result<ThreadInfo>,
}

impl Filter {
    /// Refuses a day that is none.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(day) = &self.day else { return Ok(()) };
        let digits = |range| {
            day.get(range)
                .filter(|text: &&str| text.bytes().all(|b| b.is_ascii_digit()))
        };
        let number =
            |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        let dashes = day.get(4..5) == Some("-") && day.get(7..8) == Some("-");
        let month = number(digits(5..7));
        let of_month = number(digits(8..10));
        if day.len() == 10
            && dashes
            && digits(0..4).is_some()
            && (1..=12).contains(&month)
            && (1..=31).contains(&of_month)
        {
            return Ok(());
        }
        Err(ThreadError::invalid(
            "day",
            day,
            "it has the form YYYY-MM-DD",
        ))
    }

    pub(crate) fn lets_pass(&self, info: &ThreadInfo) -> bool {
        self.status.is_none_or(|status| status == info.status)
            && self
                .workflow
                .as_ref()
                .is_none_or(|workflow| *workflow == info.workflow)
            && self
                .active
                .is_none_or(|active| active != info.status.is_over())
            && self.day.as_ref().is_none_or(|day| {
                info.completed_at_ms
                    .is_some_and(|at_ms| utc_day(at_ms) == *day)
            })
            && self
                .labels
                .iter()
                .all(|(name, value)| info.labels.get(name) == Some(value))
    }
}

/// The UTC day of a time, `YYYY-MM-DD`: days since 1970 to a date of the proleptic Gregorian
/// calendar, counted in eras of 400 years that begin on 1 March.
pub fn utc_day(at_ms: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    let days = at_ms.div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_utc_days() {
        assert_eq!(utc_day(0), "1970-01-01");
        assert_eq!(utc_day(-1), "1969-12-31");
        assert_eq!(utc_day(951_782_400_000), "2000-02-29");
        assert_eq!(utc_day(951_782_400_000 + 86_399_999), "2000-02-29");
        assert_eq!(utc_day(951_782_400_000 + 86_400_000), "2000-03-01");
        assert_eq!(utc_day(4_107_542_400_000), "2100-03-01");
    }

    #[test]
    fn a_day_that_is_none_is_refused() {
        let check = |day: &str| {
            Filter {
                day: Some(day.into()),
                ..Filter::default()
            }
            .check()
        };
        assert!(check("2026-11-22").is_ok());
        for bad in [
            "",
            "2026-11",
            "2026-13-01",
            "2026-00-01",
            "2026-01-32",
            "2026/01/01",
            "26-01-01",
            "2026-01-0x",
            "€2026-01",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
