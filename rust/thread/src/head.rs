//! A thread's ref as a handle knows it, and how a verb changes its record.

use treering_block::Cid;
use treering_store::{RefValue, Store};

use crate::error::{Result, ThreadError};
use crate::info::Status;
use crate::jumps::Position;
use crate::record::Record;

/// The ref at one version. `position` is read when the first append needs it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub version: u64,
    pub target: Cid,
    pub record: Record,
    position: Option<Position>,
}

impl Head {
    pub fn read(id: &str, value: &RefValue) -> Result<Self> {
        let record = Record::decode(id, &value.record)?;
        Ok(Self {
            version: value.version,
            target: value.target,
            record,
            position: None,
        })
    }

    /// One whose position is read when it is needed.
    pub fn new(version: u64, target: Cid, record: Record) -> Self {
        Self {
            version,
            target,
            record,
            position: None,
        }
    }

    /// One that stands at `position`.
    pub fn at(version: u64, position: Position, record: Record) -> Self {
        Self {
            version,
            target: position.cid,
            record,
            position: Some(position),
        }
    }

    /// This head's position; read if it is not known yet.
    pub fn position(&mut self, store: &dyn Store) -> Result<&Position> {
        if self.position.is_none() {
            let position = Position::load(store, &self.target)?;
            if position.step != self.record.steps {
                let detail = format!(
                    "it says {} steps, its head is step {}",
                    self.record.steps, position.step
                );
                return Err(ThreadError::corrupt(
                    "record of the thread with head",
                    self.target,
                    detail,
                ));
            }
            self.position = Some(position);
        }
        self.position
            .as_ref()
            .ok_or_else(|| ThreadError::corrupt("thread head", self.target, "it has no position"))
    }

    /// What is known of another head stays known if it is the same node.
    pub fn keep_position_of(&mut self, other: &Self) {
        if self.target == other.target && self.position.is_none() {
            self.position.clone_from(&other.position);
        }
    }
}

/// How a verb changes the record. Kept as data so that it can be put on a newer record when somebody
/// changed only that.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Steps were put behind the head.
    Append {
        steps: u64,
    },
    /// The `__end__` step was.
    Finish {
        return_code: i64,
    },
    /// The failed node was written beside it.
    Fail {
        error: String,
    },
    Cancel {
        reason: String,
    },
    Pause,
    Resume,
}

impl Edit {
    /// The verb as users know it.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Append { .. } => "append",
            Self::Finish { .. } => "finish",
            Self::Fail { .. } => "fail",
            Self::Cancel { .. } => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    const fn is_allowed(&self, status: Status) -> bool {
        match self {
            // A pause holds the head still; a failed thread may go on.
            Self::Append { .. } | Self::Finish { .. } => {
                matches!(status, Status::Idle | Status::Failed)
            }
            Self::Fail { .. } | Self::Cancel { .. } => !status.is_over(),
            Self::Pause => matches!(status, Status::Idle | Status::Failed),
            Self::Resume => matches!(status, Status::Paused),
        }
    }

    /// Puts the change on `record`, or says why not.
    pub fn apply(&self, thread: &str, record: &mut Record, now_ms: i64) -> Result<()> {
        if !self.is_allowed(record.status) {
            return Err(ThreadError::WrongStatus {
                thread: thread.to_owned(),
                status: record.status,
                verb: self.verb(),
            });
        }
        record.updated_at_ms = now_ms;
        match self {
            Self::Append { steps } => {
                record.status = Status::Idle;
                record.error = None;
                record.steps += steps;
            }
            Self::Finish { return_code } => {
                record.status = Status::Completed;
                record.error = None;
                record.steps += 1;
                record.completed_at_ms = Some(now_ms);
                record.return_code = Some(*return_code);
            }
            Self::Fail { error } => {
                record.status = Status::Failed;
                record.set_error(error);
            }
            Self::Cancel { reason } => {
                record.status = Status::Cancelled;
                record.completed_at_ms = Some(now_ms);
                record.set_error(reason);
            }
            Self::Pause => record.status = Status::Paused,
            Self::Resume => record.status = Status::Idle,
        }
        Ok(())
    }
}
