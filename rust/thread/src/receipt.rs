//! What a command leaves behind so that a repeated one can be answered: ids and step numbers, no content.

use treering_block::{Cid, Event, Ipld, Reader, cbor};

use crate::error::{Result, ThreadError};

/// One thread's part of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The thread.
    pub thread: String,
    /// Its head then, or the failed node; None where there is none to tell.
    pub cid: Option<Cid>,
    /// Number of that step.
    pub step: u64,
    /// How many steps were appended, that one the last.
    pub count: u64,
    /// The thread was started (or forked) by this command.
    pub started: bool,
}

impl Receipt {
    /// One for a command that wrote no step.
    pub fn of_thread(thread: &str, started: bool) -> Self {
        Self {
            thread: thread.to_owned(),
            cid: None,
            step: 0,
            count: 0,
            started,
        }
    }
}

/// CIDs are bytes here, not links: a receipt keeps nothing alive.
pub(crate) fn encode(receipts: &[Receipt]) -> Result<Vec<u8>> {
    let list = receipts.iter().map(|receipt| {
        Ipld::List(vec![
            Ipld::String(receipt.thread.clone()),
            receipt
                .cid
                .map_or(Ipld::Null, |cid| Ipld::Bytes(cid.to_bytes().to_vec())),
            Ipld::Integer(i128::from(receipt.step)),
            Ipld::Integer(i128::from(receipt.count)),
            Ipld::Bool(receipt.started),
        ])
    });
    Ok(cbor::encode(&Ipld::List(list.collect()))?)
}

/// Read event by event: a receipt comes with what others wrote, and takes memory for its own length alone.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Receipt>> {
    read(bytes).ok_or_else(|| {
        ThreadError::corrupt(
            "receipt",
            "of a command",
            "it is not a list of threads and steps",
        )
    })
}

/// The only part of a receipt that is about one thread.
pub(crate) fn decode_one(bytes: &[u8]) -> Result<Receipt> {
    let mut all = decode(bytes)?;
    match (all.pop(), all.is_empty()) {
        (Some(receipt), true) => Ok(receipt),
        _ => Err(ThreadError::corrupt(
            "receipt",
            "of a command",
            "it is not about one thread",
        )),
    }
}

/// The same; None for one that is not of threads alone.
pub(crate) fn read(bytes: &[u8]) -> Option<Vec<Receipt>> {
    let mut input = Reader::new(bytes);
    let Event::Array(count) = input.next().ok()? else {
        return None;
    };
    let mut receipts = Vec::new();
    for _ in 0..count {
        let Event::Array(5) = input.next().ok()? else {
            return None;
        };
        receipts.push(Receipt {
            thread: match input.next().ok()? {
                Event::Str(thread) => thread.to_owned(),
                _ => return None,
            },
            cid: match input.next().ok()? {
                Event::Null => None,
                Event::Bytes(bytes) => Some(Cid::from_bytes(bytes).ok()?),
                _ => return None,
            },
            step: number(&mut input)?,
            count: number(&mut input)?,
            started: match input.next().ok()? {
                Event::Bool(started) => started,
                _ => return None,
            },
        });
    }
    input.finish().ok()?;
    Some(receipts)
}

fn number(input: &mut Reader<'_>) -> Option<u64> {
    match input.next().ok()? {
        Event::Uint(number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_round_trip() {
        let receipts = vec![
            Receipt {
                thread: "01".into(),
                cid: Some(Cid::of_node(b"x")),
                step: 7,
                count: 2,
                started: false,
            },
            Receipt::of_thread("02", true),
        ];
        assert_eq!(decode(&encode(&receipts).unwrap()).unwrap(), receipts);
        assert!(decode_one(&encode(&receipts).unwrap()).is_err());
        assert!(decode_one(&encode(&[]).unwrap()).is_err());
        assert!(decode(b"\x00").is_err());
    }
}
