//! The one mapping from the core's errors to the classes of `treering.errors`.
//!
//! Promises: every variant of every error has its class and attributes here, by an exhaustive match;
//! the message is the error's own. The classes are defined in Python and imported once, when the
//! first error is raised. Never: no error becomes a bare `Exception`, and none is swallowed.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList};
use treering_actor::ActorError;
use treering_block::{BlockError, Cid, CidError, CodecError, Fault};
use treering_store::archive::ArchiveError;
use treering_store::{Expect, StoreError};
use treering_thread::ThreadError;
use treering_thread::car::CarError;

use crate::cid::PyCid;
use crate::decode::DecodeError;
use crate::encode::Refusal;

/// What a function of this module answers.
pub type Result<T, E = CoreError> = std::result::Result<T, E>;

/// Whatever can go wrong below Python.
#[derive(Debug)]
pub enum CoreError {
    Cid(CidError),
    Codec(CodecError),
    Block(BlockError),
    Store(StoreError),
    Thread(ThreadError),
    Actor(ActorError),
    Car(CarError),
    /// A Python value without encoding, and where in the argument it stands.
    NotEncodable {
        path: String,
        refusal: Refusal,
    },
    /// An argument that breaks a rule of this crate's own.
    Invalid {
        what: &'static str,
        value: String,
        rule: &'static str,
    },
    /// Stored bytes that this crate reads, and that make no sense.
    Corrupt {
        what: &'static str,
        which: String,
        detail: String,
    },
    /// Something that only a later version knows.
    NewerSchema {
        what: &'static str,
        which: String,
    },
    /// Nothing of that name.
    NotFound {
        what: &'static str,
        which: String,
    },
    /// Raised by Python itself: a signal, no memory, an argument of the wrong type.
    Python(PyErr),
}

/// An error as Python sees it: class of `treering.errors`, message, attributes.
struct Raised {
    class: &'static str,
    message: String,
    attributes: Vec<(&'static str, Attribute)>,
}

enum Attribute {
    Text(String),
    Number(u64),
    Cid(Cid),
    Cids(Vec<Cid>),
    Texts(Vec<String>),
}

impl Raised {
    fn new(class: &'static str, message: impl ToString) -> Self {
        Self {
            class,
            message: message.to_string(),
            attributes: Vec::new(),
        }
    }

    fn text(mut self, name: &'static str, value: impl ToString) -> Self {
        self.attributes
            .push((name, Attribute::Text(value.to_string())));
        self
    }

    fn number(mut self, name: &'static str, value: u64) -> Self {
        self.attributes.push((name, Attribute::Number(value)));
        self
    }

    fn cid(mut self, name: &'static str, value: Cid) -> Self {
        self.attributes.push((name, Attribute::Cid(value)));
        self
    }

    fn cids(mut self, name: &'static str, value: Vec<Cid>) -> Self {
        self.attributes.push((name, Attribute::Cids(value)));
        self
    }

    fn texts(mut self, name: &'static str, value: Vec<String>) -> Self {
        self.attributes.push((name, Attribute::Texts(value)));
        self
    }

    fn limit(self, what: impl ToString, limit: u64, actual: u64) -> Self {
        self.text("what", what)
            .number("limit", limit)
            .number("actual", actual)
    }

    fn into_py(self, py: Python<'_>) -> PyResult<PyErr> {
        static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
        let errors =
            ERRORS.get_or_try_init(py, || py.import("treering.errors").map(Bound::unbind))?;
        let attributes = PyDict::new(py);
        for (name, value) in self.attributes {
            match value {
                Attribute::Text(text) => attributes.set_item(name, text)?,
                Attribute::Number(number) => attributes.set_item(name, number)?,
                Attribute::Cid(cid) => attributes.set_item(name, PyCid::ours(cid))?,
                Attribute::Cids(cids) => {
                    attributes
                        .set_item(name, PyList::new(py, cids.into_iter().map(PyCid::ours))?)?;
                }
                Attribute::Texts(texts) => attributes.set_item(name, texts)?,
            }
        }
        let class = errors.bind(py).getattr(self.class)?;
        Ok(PyErr::from_value(
            class.call((self.message,), Some(&attributes))?,
        ))
    }
}

impl From<CoreError> for PyErr {
    fn from(error: CoreError) -> Self {
        let raised = match error {
            CoreError::Python(error) => return error,
            CoreError::Cid(error) => of_cid(&error),
            CoreError::Codec(error) => of_codec(&error),
            CoreError::Block(error) => of_block(&error),
            CoreError::Store(error) => of_store(error),
            CoreError::Thread(error) => of_thread(error),
            CoreError::Actor(error) => of_actor(error),
            CoreError::Car(error) => of_car(error),
            CoreError::NotEncodable { path, refusal } => of_refusal(path, refusal),
            CoreError::Invalid { what, value, rule } => {
                Raised::new("Invalid", format!("{what} {value:?} is not valid: {rule}"))
                    .text("what", what)
            }
            CoreError::Corrupt {
                what,
                which,
                detail,
            } => Raised::new(
                "Corrupt",
                format!("{what} {which} is corrupt: {detail}; run `treering verify`"),
            )
            .text("what", what)
            .text("which", which),
            CoreError::NewerSchema { what, which } => Raised::new(
                "NewerSchema",
                format!("{what} {which} was written by a later treering; upgrade treering"),
            )
            .text("what", what)
            .text("which", which),
            CoreError::NotFound { what, which } => {
                Raised::new("NotFound", format!("no {what} {which:?} in this store"))
                    .text("which", which)
            }
        };
        // If the classes can not be imported, that is the error to show.
        Python::attach(|py| raised.into_py(py).unwrap_or_else(|error| error))
    }
}

fn of_cid(error: &CidError) -> Raised {
    match error {
        CidError::Text { text, .. } | CidError::Prefix { text, .. } => {
            Raised::new("Invalid", error).text("value", text)
        }
        CidError::Foreign { cid, .. } => Raised::new("Invalid", error).text("value", cid),
        CidError::Bytes { .. } => Raised::new("Invalid", error),
    }
}

fn of_codec(error: &CodecError) -> Raised {
    match error {
        CodecError::Limit {
            what,
            limit,
            actual,
        } => Raised::new("LimitExceeded", error).limit(what, *limit, *actual),
        CodecError::Truncated { offset, .. }
        | CodecError::Trailing { offset, .. }
        | CodecError::NotShortest { offset }
        | CodecError::Indefinite { offset }
        | CodecError::Reserved { offset }
        | CodecError::Tag { offset, .. }
        | CodecError::Simple { offset, .. }
        | CodecError::FloatWidth { offset, .. }
        | CodecError::FloatNotFinite { offset }
        | CodecError::Utf8 { offset }
        | CodecError::KeyNotText { offset }
        | CodecError::KeyOrder { offset, .. }
        | CodecError::KeyTwice { offset, .. }
        | CodecError::Link { offset, .. }
        | CodecError::Json { offset, .. } => {
            Raised::new("Invalid", error).number("offset", *offset as u64)
        }
        CodecError::IntRange { .. }
        | CodecError::NotFinite { .. }
        | CodecError::ReservedMap { .. }
        | CodecError::Misuse(_) => Raised::new("Invalid", error),
    }
}

fn of_block(error: &BlockError) -> Raised {
    match error {
        BlockError::Codec(error) => of_codec(error),
        BlockError::Cid(error) => of_cid(error),
        BlockError::Field { field, .. } => Raised::new("Invalid", error).text("field", field),
        BlockError::Mismatch { cid, .. } | BlockError::Undecodable { cid, .. } => {
            debug_assert!(error.fault() == Fault::Stored);
            Raised::new("Corrupt", error)
                .text("which", cid)
                .cid("cid", *cid)
        }
        BlockError::IllTyped { cid, field, .. } => Raised::new("Corrupt", error)
            .text("which", cid)
            .cid("cid", *cid)
            .text("field", field),
    }
}

fn of_store(error: StoreError) -> Raised {
    let message = error.to_string();
    let raised = |class| Raised::new(class, &message);
    match error {
        StoreError::BlockNotFound(cid) => raised("NotFound").cid("cid", cid),
        StoreError::RefNotFound(name) => raised("NotFound").text("ref", name),
        StoreError::RefMoved {
            name,
            expected,
            actual,
        } => {
            let mut conflict = raised("VersionConflict").text("ref", name);
            match expected {
                Expect::Version(version) | Expect::At { version, .. } => {
                    conflict = conflict.number("expected", version)
                }
                Expect::Absent => conflict = conflict.number("expected", 0),
                Expect::Any => {}
            }
            conflict.number("actual", actual.map_or(0, |value| value.version))
        }
        StoreError::CommandMismatch { id } => raised("CommandMismatch").text("command_id", id),
        StoreError::LeaseHeld { name, holder } => {
            raised("LeaseHeld").text("ref", name).text("holder", holder)
        }
        StoreError::LeaseLost { name, token, .. } => {
            raised("LeaseLost").text("ref", name).number("token", token)
        }
        StoreError::LinkMissing { from, link } => {
            raised("Invalid").text("source", from).cid("link", link)
        }
        StoreError::LimitExceeded {
            what,
            limit,
            actual,
        } => raised("LimitExceeded").limit(what, limit, actual),
        StoreError::Invalid { what, value, .. } => {
            raised("Invalid").text("what", what).text("value", value)
        }
        StoreError::Ambiguous { prefix, candidates } => raised("Ambiguous")
            .text("prefix", prefix)
            .cids("candidates", candidates),
        StoreError::Corrupt { what, which, .. } => {
            raised("Corrupt").text("what", what).text("which", which)
        }
        StoreError::NewerFormat {
            path,
            found,
            supported,
        } => raised("NewerFormat")
            .text("path", path)
            .number("found", found)
            .number("supported", supported),
        StoreError::NotAStore { path, .. } => raised("Invalid").text("path", path),
        StoreError::CursorLost(cursor) => raised("CursorLost").text("cursor", cursor),
        StoreError::CursorExpired(cursor) => raised("CursorExpired").text("cursor", cursor),
        StoreError::Poisoned { .. } => raised("Poisoned"),
        StoreError::CommitUnknown { .. } => raised("CommitUnknown"),
        // Who decided gives its own reason: nobody sees this one.
        StoreError::Refused => raised("Conflict"),
        StoreError::ReadOnly => raised("ReadOnly"),
        StoreError::DiskFull => raised("DiskFull"),
        StoreError::LockTimeout { waited_ms, holder } => raised("LockTimeout")
            .number("waited_ms", waited_ms)
            .text("holder", holder),
        StoreError::Closed => raised("Closed"),
        StoreError::Diverged { path, .. } => raised("Diverged").text("path", path),
        StoreError::RefsTaken { names, .. } => raised("Diverged").texts("refs", names),
        StoreError::ScopeNotFound { scope } => raised("NotFound").text("scope", scope),
        StoreError::ScopeTaken { scope, .. } => raised("AlreadyExists").text("scope", scope),
        StoreError::BeingForked { scope } => raised("Conflict").text("scope", scope),
        StoreError::MomentExpired { scope, oldest_ms } => raised("CursorExpired")
            .text("scope", scope)
            .number("oldest_at_ms", u64::try_from(oldest_ms).unwrap_or(0)),
        StoreError::CollectedSince { scope, .. } => raised("HistoryTrimmed").text("scope", scope),
        StoreError::BeingErased { scope } => raised("Conflict").text("scope", scope),
        // Of the same class as what is in the way, with another message.
        StoreError::EraseUnfinished { cause, .. } => match *cause {
            StoreError::LockTimeout { waited_ms, holder } => raised("LockTimeout")
                .number("waited_ms", waited_ms)
                .text("holder", holder),
            StoreError::DiskFull => raised("DiskFull"),
            StoreError::Io {
                action,
                path,
                source,
            } => io_failure(&message, action, path, &source),
            _ => raised("Unavailable"),
        },
        StoreError::Cancelled => raised("Unavailable"),
        StoreError::ForkedProcess => raised("ForkedProcess"),
        StoreError::Io {
            action,
            path,
            source,
        } => io_failure(&message, action, path, &source),
        StoreError::Bucket { object, bucket, .. } => raised("BucketError")
            .text("object", object)
            .text("bucket", bucket),
        StoreError::Block(error) => of_block(&error),
    }
}

fn of_actor(error: ActorError) -> Raised {
    let message = error.to_string();
    let raised = |class| Raised::new(class, &message);
    match error {
        ActorError::VersionConflict {
            actor,
            expected,
            actual,
        } => raised("VersionConflict")
            .text("actor", actor)
            .number("expected", expected)
            .number("actual", actual),
        ActorError::InvalidCommand { field, value, rule } => raised("InvalidCommand")
            .text("field", field)
            .text("value", value)
            .text("rule", rule),
        ActorError::LimitExceeded {
            what,
            limit,
            actual,
        } => raised("LimitExceeded").limit(what, limit, actual),
        ActorError::NewerSchema {
            actor,
            found,
            supported,
        } => raised("NewerSchema")
            .text("actor", actor)
            .number("found", found)
            .number("supported", supported),
        ActorError::HistoryTrimmed {
            actor,
            asked,
            oldest,
        } => raised("HistoryTrimmed")
            .text("actor", actor)
            .number("asked", asked)
            .number("oldest", oldest),
        ActorError::NoSuchVersion {
            actor,
            asked,
            version,
        } => raised("NotFound")
            .text("actor", actor)
            .number("asked", asked)
            .number("version", version),
        ActorError::Corrupt {
            actor,
            version,
            block,
            ..
        } => {
            let raised = raised("Corrupt")
                .text("what", "actor")
                .text("which", actor)
                .number("version", version);
            match block {
                Some(cid) => raised.cid("block", cid),
                None => raised,
            }
        }
        ActorError::Overtaken { actor, version } => raised("Overtaken")
            .text("actor", actor)
            .number("version", version),
        ActorError::Rejected { actor } => raised("Rejected").text("actor", actor),
        ActorError::Thread(error) => of_thread(error),
        ActorError::Store(error) => of_store(error),
    }
}

fn of_thread(error: ThreadError) -> Raised {
    let message = error.to_string();
    let raised = |class| Raised::new(class, &message);
    match error {
        ThreadError::NotFound { id } => raised("NotFound").text("thread", id),
        ThreadError::HeadMoved {
            thread,
            at_step,
            at,
            expected_step,
            expected,
        } => raised("HeadMoved")
            .text("thread", thread)
            .number("at_step", at_step)
            .cid("at", at)
            .number("expected_step", expected_step)
            .cid("expected", expected),
        ThreadError::AlreadyExists { key, thread } => raised("AlreadyExists")
            .text("key", key)
            .text("thread", thread),
        ThreadError::WrongStatus {
            thread,
            status,
            verb,
        } => raised("WrongStatus")
            .text("thread", thread)
            .text("status", status)
            .text("verb", verb),
        ThreadError::UnknownRole { role, roles } => {
            raised("NotFound").text("role", role).texts("roles", roles)
        }
        ThreadError::NoSuchStep { thread, asked, len } => raised("NotFound")
            .text("thread", thread)
            .number("asked", asked)
            .number("len", len),
        ThreadError::Ambiguous { prefix, candidates } => raised("Ambiguous")
            .text("prefix", prefix)
            .texts("candidates", candidates),
        ThreadError::Invalid { field, value, .. } => {
            raised("Invalid").text("what", field).text("value", value)
        }
        ThreadError::LimitExceeded {
            what,
            limit,
            actual,
        } => raised("LimitExceeded").limit(what, limit, actual),
        ThreadError::Corrupt { what, which, .. } => {
            raised("Corrupt").text("what", what).text("which", which)
        }
        ThreadError::Store(error) => of_store(error),
    }
}

fn of_car(error: CarError) -> Raised {
    let message = error.to_string();
    let raised = |class| Raised::new(class, &message);
    match error {
        CarError::Archive(error) => of_archive(error),
        CarError::ThreadExists { thread } => raised("AlreadyExists").text("thread", thread),
        CarError::KeyExists { key, holder, .. } => raised("AlreadyExists")
            .text("key", key)
            .text("thread", holder),
        CarError::Thread(error) => of_thread(error),
    }
}

fn of_archive(error: ArchiveError) -> Raised {
    let message = error.to_string();
    let raised = |class| Raised::new(class, &message);
    match error {
        ArchiveError::File { offset, .. } => raised("Invalid").number("offset", offset),
        ArchiveError::Block { cid, offset, .. } => {
            raised("Invalid").cid("cid", cid).number("offset", offset)
        }
        ArchiveError::MissingLink { from, link } => {
            raised("Invalid").text("source", from).cid("link", link)
        }
        ArchiveError::Manifest { .. } => raised("Invalid"),
        ArchiveError::Stopped => raised("TreeringError"),
        ArchiveError::Io {
            action,
            path,
            source,
        } => io_failure(&message, action, path, &source),
        ArchiveError::Store(error) => of_store(error),
    }
}

fn io_failure(
    message: &str,
    action: &'static str,
    path: String,
    source: &std::io::Error,
) -> Raised {
    let class = match source.kind() {
        std::io::ErrorKind::StorageFull => "DiskFull",
        _ => "Unavailable",
    };
    let raised = Raised::new(class, message)
        .text("action", action)
        .text("path", path);
    match source.raw_os_error().map(u64::try_from) {
        Some(Ok(errno)) => raised.number("errno", errno),
        _ => raised,
    }
}

fn of_refusal(path: String, refusal: Refusal) -> Raised {
    let raised = match refusal {
        Refusal::Type(name) => Raised::new(
            "Invalid",
            format!("no DAG-CBOR form: {path} is a {name}; use dict, list, str, int, float, bool, None, bytes or Cid"),
        )
        .text("type", name),
        Refusal::Key(name) => {
            Raised::new("Invalid", format!("no DAG-CBOR form: {path} has a key of type {name}; keys are str"))
                .text("type", name)
        }
        Refusal::Surrogate => Raised::new(
            "Invalid",
            format!("no DAG-CBOR form: {path} holds a lone surrogate; encode it, or replace it before"),
        ),
        Refusal::Codec(error @ CodecError::Limit { .. }) => {
            let mut raised = of_codec(&error);
            raised.message = format!("{error}, at {path}");
            raised
        }
        Refusal::Codec(error) => Raised::new("Invalid", format!("no DAG-CBOR form: {path}: {error}")),
        Refusal::Changed => {
            Raised::new("Invalid", format!("{path} changed while it was read; do not share what you pass"))
        }
    };
    raised.text("path", path)
}

impl From<ActorError> for CoreError {
    fn from(error: ActorError) -> Self {
        Self::Actor(error)
    }
}

impl From<CodecError> for CoreError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<CidError> for CoreError {
    fn from(error: CidError) -> Self {
        Self::Cid(error)
    }
}

impl From<BlockError> for CoreError {
    fn from(error: BlockError) -> Self {
        Self::Block(error)
    }
}

impl From<StoreError> for CoreError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ThreadError> for CoreError {
    fn from(error: ThreadError) -> Self {
        Self::Thread(error)
    }
}

impl From<CarError> for CoreError {
    fn from(error: CarError) -> Self {
        Self::Car(error)
    }
}

impl From<PyErr> for CoreError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<DecodeError> for CoreError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Codec(error) => Self::Codec(error),
            DecodeError::Python(error) => Self::Python(error),
        }
    }
}
