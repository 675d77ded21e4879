//! A thread's record: what stands beside its ref, as DAG-CBOR without links.
//!
//! Promises: encodes within the store's limit whatever the limits of its fields allow; reading is
//! strict, so a record that this version can not account for in full is reported, never half used.

use std::collections::BTreeMap;

use treering_block::{Cid, Ipld, cbor};

use crate::error::{Result, ThreadError};
use crate::info::{Status, ThreadInfo};
use crate::label::{Label, Labels};
use crate::limits::RECORD_ERROR_BYTES_MAX;

/// Shape of the record; a reader that meets a higher one refuses it.
const RECORD_FORM: u64 = 1;

/// A thread's record. `status` is never `Running`: that is a lease's doing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub key: Option<String>,
    pub workflow: String,
    pub status: Status,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    pub completed_at_ms: Option<i64>,
    pub forked_from: Option<(String, u64)>,
    pub max_rounds: Option<u64>,
    pub labels: Labels,
    /// Number of the head's step, so that a listing reads no node; `verify` compares.
    pub steps: u64,
    pub return_code: Option<i64>,
    pub error: Option<String>,
}

impl Record {
    pub fn new(workflow: &str, key: Option<String>, labels: Labels, now_ms: i64) -> Self {
        Self {
            key,
            workflow: workflow.to_owned(),
            status: Status::Idle,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            completed_at_ms: None,
            forked_from: None,
            max_rounds: None,
            labels,
            steps: 0,
            return_code: None,
            error: None,
        }
    }

    /// Sets the error, cut to what a record holds.
    pub fn set_error(&mut self, error: &str) {
        let mut end = error.len().min(RECORD_ERROR_BYTES_MAX);
        while !error.is_char_boundary(end) {
            end -= 1;
        }
        self.error = error
            .get(..end)
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
    }

    pub fn encode(&self) -> Result<Vec<u8>> {
        let int = |value: i64| Ipld::Integer(i128::from(value));
        let uint = |value: u64| Ipld::Integer(i128::from(value));
        let mut map = BTreeMap::new();
        let mut put = |name: &str, value: Option<Ipld>| {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        };
        put("form", Some(uint(RECORD_FORM)));
        put("key", self.key.clone().map(Ipld::String));
        put("workflow", Some(Ipld::String(self.workflow.clone())));
        put(
            "status",
            Some(Ipld::String(self.status.as_str().to_owned())),
        );
        put("created_at_ms", Some(int(self.created_at_ms)));
        put("updated_at_ms", Some(int(self.updated_at_ms)));
        put("completed_at_ms", self.completed_at_ms.map(int));
        put(
            "forked_from",
            self.forked_from
                .as_ref()
                .map(|(thread, step)| Ipld::List(vec![Ipld::String(thread.clone()), uint(*step)])),
        );
        put("max_rounds", self.max_rounds.map(uint));
        if !self.labels.is_empty() {
            let labels = self
                .labels
                .iter()
                .map(|(name, label)| (name.clone(), label.to_ipld()))
                .collect();
            put("labels", Some(Ipld::Map(labels)));
        }
        put("steps", Some(uint(self.steps)));
        put("return_code", self.return_code.map(int));
        put("error", self.error.clone().map(Ipld::String));
        Ok(cbor::encode(&Ipld::Map(map))?)
    }

    /// Reads the record of thread `id`.
    pub fn decode(id: &str, bytes: &[u8]) -> Result<Self> {
        let corrupt = |detail: &str| ThreadError::corrupt("record of thread", id, detail);
        let Ok(Ipld::Map(map)) = cbor::decode(bytes) else {
            return Err(corrupt("it is not a DAG-CBOR map"));
        };
        let mut fields = Fields { id, map };
        if fields.uint("form")? != Some(RECORD_FORM) {
            return Err(corrupt("its form is not one that this version reads"));
        }
        let record = Self {
            key: fields.text("key")?,
            workflow: fields
                .text("workflow")?
                .ok_or_else(|| corrupt("it has no workflow"))?,
            status: fields
                .text("status")?
                .and_then(|name| Status::parse(&name).ok())
                .filter(|status| *status != Status::Running)
                .ok_or_else(|| corrupt("it has no status"))?,
            created_at_ms: fields
                .int("created_at_ms")?
                .ok_or_else(|| corrupt("it has no created_at_ms"))?,
            updated_at_ms: fields
                .int("updated_at_ms")?
                .ok_or_else(|| corrupt("it has no updated_at_ms"))?,
            completed_at_ms: fields.int("completed_at_ms")?,
            forked_from: fields.lineage()?,
            max_rounds: fields.uint("max_rounds")?,
            labels: fields.labels()?,
            steps: fields
                .uint("steps")?
                .ok_or_else(|| corrupt("it has no steps"))?,
            return_code: fields.int("return_code")?,
            error: fields.text("error")?,
        };
        match fields.map.keys().next() {
            Some(unknown) => Err(corrupt(&format!("it has an unknown field {unknown:?}"))),
            None => Ok(record),
        }
    }

    pub fn info(&self, id: &str, head: Cid, lease_owner: Option<String>) -> ThreadInfo {
        let running = self.status == Status::Idle && lease_owner.is_some();
        ThreadInfo {
            id: id.to_owned(),
            key: self.key.clone(),
            workflow: self.workflow.clone(),
            status: if running {
                Status::Running
            } else {
                self.status
            },
            created_at_ms: self.created_at_ms,
            updated_at_ms: self.updated_at_ms,
            completed_at_ms: self.completed_at_ms,
            forked_from: self.forked_from.clone(),
            max_rounds: self.max_rounds,
            labels: self.labels.clone(),
            head,
            steps: self.steps,
            return_code: self.return_code,
            error: self.error.clone(),
            lease_owner,
        }
    }
}

/// The map's fields, each taken once.
struct Fields<'a> {
    id: &'a str,
    map: BTreeMap<String, Ipld>,
}

impl Fields<'_> {
    fn take<T>(&mut self, name: &str, read: impl FnOnce(Ipld) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.map.remove(name) else {
            return Ok(None);
        };
        match read(value) {
            Some(value) => Ok(Some(value)),
            None => Err(ThreadError::corrupt(
                "record of thread",
                self.id,
                format!("its {name} is ill-typed"),
            )),
        }
    }

    fn text(&mut self, name: &str) -> Result<Option<String>> {
        self.take(name, |value| match value {
            Ipld::String(text) => Some(text),
            _ => None,
        })
    }

    fn uint(&mut self, name: &str) -> Result<Option<u64>> {
        self.take(name, |value| as_uint(&value))
    }

    fn int(&mut self, name: &str) -> Result<Option<i64>> {
        self.take(name, |value| match value {
            Ipld::Integer(int) => i64::try_from(int).ok(),
            _ => None,
        })
    }

    fn lineage(&mut self) -> Result<Option<(String, u64)>> {
        self.take("forked_from", |value| match value {
            Ipld::List(items) => match items.as_slice() {
                [Ipld::String(thread), step] => Some((thread.clone(), as_uint(step)?)),
                _ => None,
            },
            _ => None,
        })
    }

    fn labels(&mut self) -> Result<Labels> {
        let labels = self.take("labels", |value| match value {
            // Where there are none the field is left out.
            Ipld::Map(map) if !map.is_empty() => map
                .iter()
                .map(|(name, value)| Some((name.clone(), Label::from_ipld(value)?)))
                .collect(),
            _ => None,
        })?;
        Ok(labels.unwrap_or_default())
    }
}

fn as_uint(value: &Ipld) -> Option<u64> {
    match value {
        Ipld::Integer(int) => u64::try_from(*int).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{KEY_BYTES_MAX, LABELS_MAX};

    fn fullest() -> Record {
        let mut record = Record::new(
            &"w".repeat(256),
            Some("k".repeat(KEY_BYTES_MAX)),
            Labels::new(),
            i64::MIN,
        );
        for i in 0..LABELS_MAX {
            // 32 × (10 + 54) = 2048 bytes, the limit of the sum.
            record
                .labels
                .insert(format!("{i:010}"), Label::Text("t".repeat(54)));
        }
        crate::label::check_labels(&record.labels).unwrap();
        record.updated_at_ms = i64::MAX;
        record.completed_at_ms = Some(i64::MAX);
        record.forked_from = Some(("0".repeat(26), u64::MAX));
        record.max_rounds = Some(u64::MAX);
        record.steps = u64::MAX;
        record.return_code = Some(i64::MIN);
        record.set_error(&"é".repeat(1000));
        record
    }

    #[test]
    fn the_fullest_record_fits_and_round_trips() {
        let record = fullest();
        let bytes = record.encode().unwrap();
        assert!(
            bytes.len() <= treering_store::commit::RECORD_BYTES_MAX,
            "{}",
            bytes.len()
        );
        assert_eq!(Record::decode("id", &bytes).unwrap(), record);
        assert_eq!(record.error.unwrap().len(), RECORD_ERROR_BYTES_MAX);
    }

    #[test]
    fn a_record_that_is_not_understood_in_full_is_corrupt() {
        let good = fullest().encode().unwrap();
        let Ipld::Map(map) = cbor::decode(&good).unwrap() else {
            panic!()
        };
        let with = |name: &str, value: Option<Ipld>| {
            let mut map = map.clone();
            match value {
                Some(value) => map.insert(name.into(), value),
                None => map.remove(name),
            };
            Record::decode("id", &cbor::encode(&Ipld::Map(map)).unwrap())
        };
        assert!(with("form", Some(Ipld::Integer(1))).is_ok());
        assert!(with("form", Some(Ipld::Integer(2))).is_err());
        assert!(with("surprise", Some(Ipld::Null)).is_err());
        assert!(with("status", Some(Ipld::String("running".into()))).is_err());
        assert!(
            with(
                "labels",
                Some(Ipld::Map([("x".into(), Ipld::List(vec![]))].into()))
            )
            .is_err()
        );
        assert!(with("labels", Some(Ipld::Map(BTreeMap::new()))).is_err());
        assert!(with("forked_from", Some(Ipld::List(vec![]))).is_err());
        for required in [
            "form",
            "workflow",
            "status",
            "created_at_ms",
            "updated_at_ms",
            "steps",
        ] {
            assert!(with(required, None).is_err(), "{required}");
        }
        assert!(Record::decode("id", b"").is_err());
        assert!(Record::decode("id", &[0xa1]).is_err());
    }
}
