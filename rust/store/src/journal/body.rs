//! The body of a commit's row: what it did, encoded, and what stands in its place once that is gone.
//!
//! DAG-CBOR, `{"moves": [[name, version, target, record] …], "scope": text,
//! "command": [key, payload, receipt], "receipts": [[key, payload, receipt] …]}`; a removed ref is
//! `[name]`, and `command` (the commit's own) and `receipts` (brought along by an import) are left out
//! where there are none.
//!
//! A body that is lost may be given up: what then stands in its place says its digest, with a check of its own,
//! so that the chain goes on and the loss is told from damage ([`blank_body`]). The body of a scope that was erased is
//! replaced in the same way, by another sign: of that commit it is known that it was about nothing else
//! ([`erased_body`]).
//!
//! Promises: one commit has one body.
//! Must never: accept a body that it would not have written.

use treering_block::{AnyCid, CodecError, Encoded, Event, Reader, Writer};

use super::{JournalCommand, JournalMove};
use crate::error::{Result, StoreError};
use crate::name::RefName;

/// The body of a commit. Deterministic.
///
/// Errors: `Block` only if the codec refuses, which it has no reason to.
pub fn encode_body(
    scope: &str,
    moves: &[JournalMove],
    command: Option<&JournalCommand>,
    receipts: &[JournalCommand],
) -> Result<Vec<u8>> {
    write_body(scope, moves, command, receipts)
        .map(Encoded::into_bytes)
        .map_err(|refused| StoreError::Block(refused.into()))
}

fn write_body(
    scope: &str,
    moves: &[JournalMove],
    command: Option<&JournalCommand>,
    receipts: &[JournalCommand],
) -> Result<Encoded, CodecError> {
    let mut out = Writer::new();
    out.map(2 + usize::from(command.is_some()) + usize::from(!receipts.is_empty()))?;
    out.key("moves")?;
    out.array(moves.len())?;
    for moved in moves {
        match (&moved.target, &moved.record) {
            (Some(target), Some(record)) => {
                out.array(4)?;
                out.str(moved.name.encoded())?;
                out.u64(moved.version)?;
                out.link(&AnyCid::from(*target))?;
                out.bytes(record)?;
            }
            _ => {
                out.array(1)?;
                out.str(moved.name.encoded())?;
            }
        }
    }
    out.key("scope")?;
    out.str(scope)?;
    if let Some(command) = command {
        out.key("command")?;
        write_command(&mut out, command)?;
    }
    if !receipts.is_empty() {
        out.key("receipts")?;
        out.array(receipts.len())?;
        for receipt in receipts {
            write_command(&mut out, receipt)?;
        }
    }
    out.finish()
}

fn write_command(out: &mut Writer, command: &JournalCommand) -> Result<(), CodecError> {
    out.array(3)?;
    out.bytes(&command.key)?;
    out.bytes(&command.payload)?;
    out.bytes(&command.receipt)
}

#[derive(Debug, PartialEq)]
pub(super) struct Body {
    pub(super) scope: String,
    pub(super) moves: Vec<JournalMove>,
    pub(super) command: Option<JournalCommand>,
    pub(super) receipts: Vec<JournalCommand>,
}

pub(super) fn decode_body(bytes: &[u8]) -> Result<Body, String> {
    let mut input = BodyReader(Reader::new(bytes));
    let mut entries = match input.next()? {
        Event::Map(entries @ 2..=4) => entries - 2,
        _ => return Err("the body is not a map of two to four entries".into()),
    };
    input.key("moves")?;
    let count = input.array()?;
    let mut moves = Vec::new();
    for _ in 0..count {
        moves.push(input.journal_move()?);
    }
    input.key("scope")?;
    let mut body = Body {
        scope: input.text()?.to_owned(),
        moves,
        command: None,
        receipts: Vec::new(),
    };
    let mut next = None;
    if entries > 0 {
        entries -= 1;
        next = Some(input.any_key()?);
    }
    if next == Some("command") {
        body.command = Some(input.command()?);
        next = if entries > 0 {
            entries -= 1;
            Some(input.any_key()?)
        } else {
            None
        };
    }
    match next {
        None => {}
        Some("receipts") => {
            let count = input.array()?;
            if count == 0 {
                return Err("receipts: left out where there are none".into());
            }
            for _ in 0..count {
                body.receipts.push(input.command()?);
            }
        }
        Some(other) => return Err(format!("the body has an unknown field {other:?}")),
    }
    if entries > 0 {
        return Err("the body has a field too many".into());
    }
    input.0.finish().map_err(|refused| refused.to_string())?;
    Ok(body)
}

/// A reader that knows what has to come.
struct BodyReader<'a>(Reader<'a>);

impl<'a> BodyReader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        self.0.next().map_err(|refused| refused.to_string())
    }

    fn key(&mut self, expected: &str) -> Result<(), String> {
        match self.next()? {
            Event::Key(key) if key == expected => Ok(()),
            _ => Err(format!("the field {expected:?} is not where it should be")),
        }
    }

    fn any_key(&mut self) -> Result<&'a str, String> {
        match self.next()? {
            Event::Key(key) => Ok(key),
            _ => Err("a field is expected".into()),
        }
    }

    fn command(&mut self) -> Result<JournalCommand, String> {
        match self.array()? {
            3 => Ok(JournalCommand {
                key: self.digest()?,
                payload: self.digest()?,
                receipt: self.bytes()?.to_vec(),
            }),
            _ => Err("a receipt is not a list of three".into()),
        }
    }

    fn array(&mut self) -> Result<usize, String> {
        match self.next()? {
            Event::Array(length) => Ok(length),
            _ => Err("a list is expected".into()),
        }
    }

    fn text(&mut self) -> Result<&'a str, String> {
        match self.next()? {
            Event::Str(text) => Ok(text),
            _ => Err("a text is expected".into()),
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], String> {
        match self.next()? {
            Event::Bytes(bytes) => Ok(bytes),
            _ => Err("bytes are expected".into()),
        }
    }

    fn digest(&mut self) -> Result<[u8; 32], String> {
        <[u8; 32]>::try_from(self.bytes()?).map_err(|_| "a digest has 32 bytes".to_owned())
    }

    fn journal_move(&mut self) -> Result<JournalMove, String> {
        let length = self.array()?;
        let name = RefName::parse(self.text()?).map_err(|refused| refused.to_string())?;
        match length {
            1 => Ok(JournalMove {
                name,
                version: 0,
                target: None,
                record: None,
            }),
            4 => {
                let version = match self.next()? {
                    Event::Uint(version @ 1..) => version,
                    _ => return Err(format!("{name}: a version counts from 1")),
                };
                let target = match self.next()? {
                    Event::Link(link) => link
                        .ours()
                        .ok_or_else(|| format!("{name}: the target is a foreign CID"))?,
                    _ => return Err(format!("{name}: the target is not a link")),
                };
                let record = self.bytes()?.to_vec();
                Ok(JournalMove {
                    name,
                    version,
                    target: Some(target),
                    record: Some(record),
                })
            }
            _ => Err(format!("{name}: a move has one or four fields")),
        }
    }
}

/// Begins what stands in the place of a body; no DAG-CBOR begins so.
const BLANK: u8 = 0xff;
const BLANK_CONTEXT: &str = "treering v1 blank journal body";
/// The same of a scope that was erased.
const ERASED: u8 = 0xfe;
const ERASED_CONTEXT: &str = "treering v1 erased journal body";

/// What stands in the place of a body that is given up: 0xff, its digest, and the first 16 bytes of BLAKE3 in
/// derive_key mode of position (u64 LE) and digest.
pub fn blank_body(position: u64, body_digest: &[u8; 32]) -> Vec<u8> {
    stand_in(BLANK, BLANK_CONTEXT, position, body_digest)
}

/// What stands in the place of the body of a commit whose scope was erased: as [`blank_body`], with 0xfe and a context of
/// its own.
pub fn erased_body(position: u64, body_digest: &[u8; 32]) -> Vec<u8> {
    stand_in(ERASED, ERASED_CONTEXT, position, body_digest)
}

fn stand_in(sign: u8, context: &'static str, position: u64, body_digest: &[u8; 32]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(&position.to_le_bytes());
    hasher.update(body_digest);
    let mut check = [0; 16];
    hasher.finalize_xof().fill(&mut check);
    [&[sign], body_digest.as_slice(), &check].concat()
}

/// The digest of the body in whose place this stands, and whether it was erased; None for anything that [`blank_body`]
/// and [`erased_body`] did not write.
pub(super) fn blanked(position: u64, body: &[u8]) -> Option<([u8; 32], bool)> {
    let (sign, rest) = body.split_first()?;
    let digest = rest.first_chunk::<32>()?;
    let (written, erased) = match *sign {
        BLANK => (blank_body(position, digest), false),
        ERASED => (erased_body(position, digest), true),
        _ => return None,
    };
    (written == body).then_some((*digest, erased))
}

/// BLAKE3 of a commit's body; of a blank one what it was.
pub fn digest_of_body(position: u64, body: &[u8]) -> [u8; 32] {
    blanked(position, body).map_or_else(|| *blake3::hash(body).as_bytes(), |(digest, _)| digest)
}

#[cfg(test)]
mod tests {
    use treering_block::Cid;

    use super::*;
    use crate::cursor::Head;
    use crate::journal::JournalRow;

    fn name(part: &str) -> RefName {
        RefName::new("a/b", "thread", [part]).unwrap()
    }

    fn sample() -> Body {
        let set = JournalMove {
            name: name("x"),
            version: 7,
            target: Some(Cid::of_raw(b"x")),
            record: Some(vec![1, 2]),
        };
        let gone = JournalMove {
            name: name("y"),
            version: 0,
            target: None,
            record: None,
        };
        let receipt = |byte| JournalCommand {
            key: [byte; 32],
            payload: [2; 32],
            receipt: vec![3],
        };
        Body {
            scope: "a/b".to_owned(),
            moves: vec![set, gone],
            command: Some(receipt(1)),
            receipts: vec![receipt(4), receipt(5)],
        }
    }

    fn encoded(body: &Body) -> Vec<u8> {
        encode_body(
            &body.scope,
            &body.moves,
            body.command.as_ref(),
            &body.receipts,
        )
        .unwrap()
    }

    /// The sample with and without each of what may be left out.
    fn samples() -> Vec<Body> {
        let without = |change: fn(&mut Body)| {
            let mut body = sample();
            change(&mut body);
            body
        };
        vec![
            sample(),
            without(|body| body.command = None),
            without(|body| body.receipts.clear()),
            without(|body| {
                body.command = None;
                body.receipts.clear();
            }),
            without(|body| body.moves.clear()),
        ]
    }

    #[test]
    fn a_body_reads_back() {
        for body in samples() {
            assert_eq!(decode_body(&encoded(&body)).unwrap(), body);
        }
    }

    #[test]
    fn a_body_without_receipts_is_what_it_always_was() {
        // {"moves": [], "scope": "m"}, then with a command.
        let plain = encode_body("m", &[], None, &[]).unwrap();
        assert_eq!(plain, b"\xa2\x65moves\x80\x65scope\x61m");
        let command = JournalCommand {
            key: [1; 32],
            payload: [2; 32],
            receipt: vec![],
        };
        let with = encode_body("m", &[], Some(&command), &[]).unwrap();
        assert!(with.starts_with(b"\xa3\x65moves\x80\x65scope\x61m\x67command\x83\x58\x20"));
    }

    #[test]
    fn the_same_target_twice_stays_twice() {
        let mut body = sample();
        let mut twin = body.moves[0].clone();
        twin.name = name("z");
        body.moves.push(twin);
        assert_eq!(decode_body(&encoded(&body)).unwrap(), body);
    }

    #[test]
    fn no_broken_body_is_read_as_another() {
        for body in samples() {
            let bytes = encoded(&body);
            for cut in 0..bytes.len() {
                assert!(decode_body(&bytes[..cut]).is_err(), "cut at {cut}");
            }
            for place in 0..bytes.len() {
                for flip in [0x20, 0x01, 0x02] {
                    let mut broken = bytes.clone();
                    broken[place] ^= flip;
                    if let Ok(body) = decode_body(&broken) {
                        assert_eq!(encoded(&body), broken);
                    }
                }
            }
            let mut longer = bytes;
            longer.push(0);
            assert!(decode_body(&longer).is_err());
        }
    }

    #[test]
    fn an_erased_body_keeps_its_digest_and_says_nothing_else() {
        let first = JournalRow::after(&Head::default(), 10, encoded(&sample()));
        let erased = first.clone().erased();
        assert_eq!(erased.head(), first.head());
        assert!(erased.faults(&Head::default()).is_empty());
        assert_eq!(
            JournalRow::after(&Head::default(), 10, erased.body.clone()),
            erased
        );
        let entry = erased.entry().unwrap();
        assert!(entry.blank && entry.erased && entry.moves.is_empty() && entry.scope.is_empty());
        assert_eq!(entry.body_digest, first.body_digest);
        // Once more, or after it was given up: the same.
        assert_eq!(erased.clone().erased(), erased);
        let lost = JournalRow::lost(&Head::default(), 10);
        assert!(!lost.entry().unwrap().erased);
        // At another place, or with a bit less, it is no such body.
        for at in 0..erased.body.len() {
            let mut broken = erased.clone();
            broken.body[at] ^= 1;
            let told = broken.entry().is_ok_and(|entry| entry.erased);
            assert!(
                !told && !broken.faults(&Head::default()).is_empty(),
                "byte {at}"
            );
        }
        let mut moved = erased;
        moved.position = 2;
        assert!(moved.entry().is_err());
    }
}
