//! What a command leaves behind so that a repeated one can be answered: versions and ids, no content.

use treering_block::{Event, Ipld, Reader, cbor};

use crate::error::Result;

/// Ids of what was dropped that the receipts of one commit name; of more only the number is kept.
pub const DROPPED_IDS_MAX: usize = 100;

/// What a command did to one actor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The actor's version after it.
    pub version: u64,
    /// False: the command was valid and had nothing to do.
    pub changed: bool,
    /// Id of what it was about, to look it up in the state at that version; None where the caller gave it, who has it
    /// when the command is repeated, too.
    pub value: Option<String>,
    /// How much was trimmed or evicted.
    pub dropped: u64,
    /// Ids of the first of these, where they have ids: [`DROPPED_IDS_MAX`] in a commit.
    pub dropped_ids: Vec<String>,
    /// What the caller should know.
    pub warnings: Vec<String>,
    /// It was done before, under the same command id; nothing was written now.
    pub replayed: bool,
}

pub(crate) fn encode(receipts: &[Receipt]) -> Result<Vec<u8>> {
    let texts = |list: &[String]| Ipld::List(list.iter().cloned().map(Ipld::String).collect());
    let mut room = DROPPED_IDS_MAX;
    let list = receipts.iter().map(|receipt| {
        let ids = receipt.dropped_ids.get(..room);
        let ids = ids.unwrap_or(&receipt.dropped_ids);
        room -= ids.len();
        Ipld::List(vec![
            Ipld::Integer(i128::from(receipt.version)),
            Ipld::Bool(receipt.changed),
            receipt.value.clone().map_or(Ipld::Null, Ipld::String),
            Ipld::Integer(i128::from(receipt.dropped)),
            texts(ids),
            texts(&receipt.warnings),
        ])
    });
    Ok(cbor::encode(&Ipld::List(list.collect()))?)
}

/// The receipt of a commit of threads and actors: two parts, each as bytes.
pub(crate) fn join(threads: &[u8], actors: &[u8]) -> Result<Vec<u8>> {
    let part = |bytes: &[u8]| Ipld::Bytes(bytes.to_vec());
    Ok(cbor::encode(&Ipld::List(vec![
        part(threads),
        part(actors),
    ]))?)
}

/// The two parts again; None for a receipt of another form.
pub(crate) fn split(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut input = Reader::new(bytes);
    let Event::Array(2) = input.next().ok()? else {
        return None;
    };
    let mut part = || match input.next().ok()? {
        Event::Bytes(part) => Some(part.to_vec()),
        _ => None,
    };
    let parts = (part()?, part()?);
    input.finish().ok()?;
    Some(parts)
}

/// The receipts of a repeated command; None for bytes that are none.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Receipt>> {
    let mut input = Reader::new(bytes);
    let Event::Array(count) = input.next().ok()? else {
        return None;
    };
    let mut receipts = Vec::new();
    for _ in 0..count {
        let Event::Array(6) = input.next().ok()? else {
            return None;
        };
        receipts.push(Receipt {
            version: number(&mut input)?,
            changed: match input.next().ok()? {
                Event::Bool(changed) => changed,
                _ => return None,
            },
            value: match input.next().ok()? {
                Event::Null => None,
                Event::Str(id) => Some(id.to_owned()),
                _ => return None,
            },
            dropped: number(&mut input)?,
            dropped_ids: texts(&mut input)?,
            warnings: texts(&mut input)?,
            replayed: true,
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

fn texts(input: &mut Reader<'_>) -> Option<Vec<String>> {
    let Event::Array(count) = input.next().ok()? else {
        return None;
    };
    let mut texts = Vec::new();
    for _ in 0..count {
        match input.next().ok()? {
            Event::Str(text) => texts.push(text.to_owned()),
            _ => return None,
        }
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_round_trip() {
        let receipts = vec![
            Receipt {
                version: 7,
                changed: true,
                value: Some("0a1b".into()),
                dropped: 2,
                dropped_ids: vec!["x".into(), "y".into()],
                warnings: vec!["w".into()],
                replayed: true,
            },
            Receipt {
                replayed: true,
                ..Receipt::default()
            },
        ];
        assert_eq!(decode(&encode(&receipts).unwrap()), Some(receipts));
        assert_eq!(decode(b"\x00"), None);
        let many = Receipt {
            dropped: 500,
            dropped_ids: vec!["0123456789ab".into(); 500],
            ..Receipt::default()
        };
        let few = Receipt {
            dropped_ids: vec!["0123456789ab".into(); 60],
            ..Receipt::default()
        };
        let read = |receipts: &[Receipt]| -> Vec<usize> {
            let read = decode(&encode(receipts).unwrap()).unwrap();
            read.iter()
                .map(|receipt| receipt.dropped_ids.len())
                .collect()
        };
        assert_eq!(read(std::slice::from_ref(&many)), [DROPPED_IDS_MAX]);
        assert_eq!(decode(&encode(&[many]).unwrap()).unwrap()[0].dropped, 500);
        assert_eq!(read(&[few.clone(), few.clone(), few]), [60, 40, 0]);
    }
}
