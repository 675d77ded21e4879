//! CAR version 1: how blocks stand in one file, without the reading and writing of files.
//!
//! ```text
//! header   varint length, DAG-CBOR map {"roots": [link …], "version": 1}
//! section  varint length, the CID in binary, the block's bytes       (as often as there are blocks)
//! ```
//!
//! Promises: a length is judged before anybody takes memory for it; lengths are in their shortest form;
//! what is not ours (another version, an identity or foreign hash, another codec) is refused by name.
//! Never: it reads no file, and it does not hash; whoever has the bytes checks them against the CID.
//!
//! Source: <https://ipld.io/specs/transport/car/carv1/>, lengths as in
//! <https://github.com/multiformats/unsigned-varint>.

mod fault;
mod varint;

pub use fault::CarFault;
pub use varint::{Varint, write_varint};

use crate::cbor::{Event, Reader, Writer};
use crate::cid::CID_BYTES;
use crate::error::{CodecError, clip};
use crate::limits::{Limits, NODE_BYTES_MAX};
use crate::{AnyCid, Cid, Codec};
use varint::VARINT_BYTES_MAX;

/// Bytes of a header's DAG-CBOR: what a node may have, and so up to some 25,000 roots.
pub const HEADER_BYTES_MAX: u64 = NODE_BYTES_MAX as u64;

/// Bytes of a block without structure (64 GiB), as in a store.
pub const RAW_BYTES_MAX: u64 = 64 << 30;

/// Bytes of a section that must be there to tell whose block it is: a CID of ours, or enough of a foreign one.
pub const PEEK_BYTES: usize = CID_BYTES;

/// What a section announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The block's name.
    pub cid: Cid,
    /// Bytes of the block, which follow the CID.
    pub size: u64,
}

/// Judges the length of a header before its bytes are read.
///
/// # Errors
/// [`CarFault::TooLong`]; [`CarFault::Header`] for none.
pub fn check_header_length(length: u64) -> Result<(), CarFault> {
    if length == 0 {
        return Err(CarFault::Header {
            reason: "it is empty".into(),
        });
    }
    within("a header", HEADER_BYTES_MAX, length)
}

/// The header with these roots, its length included.
///
/// # Errors
/// [`CarFault::TooLong`].
pub fn encode_header(roots: &[Cid]) -> Result<Vec<u8>, CarFault> {
    let header = write_header(roots).map_err(|error| CarFault::Header {
        reason: error.to_string(),
    })?;
    check_header_length(header.len() as u64)?;
    let mut bytes = Vec::with_capacity(header.len() + VARINT_BYTES_MAX);
    write_varint(header.len() as u64, &mut bytes);
    bytes.extend(header);
    Ok(bytes)
}

fn write_header(roots: &[Cid]) -> Result<Vec<u8>, CodecError> {
    let mut out = Writer::new();
    out.map(2)?;
    out.key("roots")?;
    out.array(roots.len())?;
    for root in roots {
        out.link_ours(root)?;
    }
    out.key("version")?;
    out.u64(1)?;
    Ok(out.finish()?.into_bytes())
}

/// The roots that a header names, in order, foreign ones too. `bytes` are those behind the length.
///
/// # Errors
/// [`CarFault::Version`], [`CarFault::Header`], [`CarFault::TooLong`].
pub fn decode_header(bytes: &[u8]) -> Result<Vec<AnyCid>, CarFault> {
    check_header_length(bytes.len() as u64)?;
    let refuse = |reason: String| CarFault::Header { reason };
    let broken = |error: CodecError| CarFault::Header {
        reason: error.to_string(),
    };
    let limits = Limits {
        links_max: usize::MAX,
        ..Limits::NODE
    };
    let mut reader = Reader::with_limits(bytes, limits).map_err(broken)?;
    let Event::Map(fields) = reader.next().map_err(broken)? else {
        return Err(refuse("it is not a map".into()));
    };
    let (mut roots, mut version) = (None, None);
    for _ in 0..fields {
        match reader.key().map_err(broken)? {
            "roots" => {
                let Event::Array(count) = reader.next().map_err(broken)? else {
                    return Err(refuse("its roots are not a list".into()));
                };
                let mut found = Vec::new();
                for _ in 0..count {
                    match reader.next().map_err(broken)? {
                        Event::Link(link) => found.push(link.cid()),
                        _ => return Err(refuse("a root is not a link".into())),
                    }
                }
                roots = Some(found);
            }
            "version" => match reader.next().map_err(broken)? {
                Event::Uint(found) => version = Some(found),
                _ => return Err(refuse("its version is not a number".into())),
            },
            other => {
                return Err(refuse(format!("it has an unknown field {:?}", clip(other))));
            }
        }
    }
    reader.finish().map_err(broken)?;
    match (version, roots) {
        (Some(1), Some(roots)) => Ok(roots),
        (Some(1), None) => Err(refuse("it has no roots".into())),
        (Some(found), _) => Err(CarFault::Version { found }),
        (None, _) => Err(refuse("it has no version".into())),
    }
}

/// What stands before the bytes of a block: length and CID.
///
/// # Errors
/// [`CarFault::TooLong`] for a block that no reader of ours would take.
pub fn encode_section_head(section: &Section) -> Result<Vec<u8>, CarFault> {
    section.check()?;
    let mut bytes = Vec::with_capacity(CID_BYTES + VARINT_BYTES_MAX);
    write_varint(section.size + CID_BYTES as u64, &mut bytes);
    bytes.extend(section.cid.to_bytes());
    Ok(bytes)
}

impl Section {
    /// The section of `length` bytes that begins with `peek`: the first [`PEEK_BYTES`], or all of a shorter one.
    ///
    /// # Errors
    /// [`CarFault::Foreign`], [`CarFault::Short`], [`CarFault::TooLong`].
    pub fn decode(length: u64, peek: &[u8]) -> Result<Self, CarFault> {
        if length == 0 {
            return Err(CarFault::Short { length });
        }
        match (Cid::from_bytes(peek), length.checked_sub(CID_BYTES as u64)) {
            (Ok(cid), Some(size)) => {
                let section = Self { cid, size };
                section.check()?;
                Ok(section)
            }
            _ => Err(foreign(length, peek)),
        }
    }

    fn check(&self) -> Result<(), CarFault> {
        match self.cid.codec() {
            Codec::DagCbor => within("a node", NODE_BYTES_MAX as u64, self.size),
            Codec::Raw => within("a raw block", RAW_BYTES_MAX, self.size),
        }
    }
}

/// Why a CID is not ours, as far as its first bytes tell.
fn foreign(length: u64, peek: &[u8]) -> CarFault {
    let refuse = |reason: &str| CarFault::Foreign {
        reason: reason.into(),
    };
    if peek.starts_with(&[0x12, 0x20]) {
        return refuse("a CIDv0, whose hash is sha2-256");
    }
    let mut rest = peek.iter().copied();
    let mut number = || {
        let mut varint = Varint::default();
        loop {
            match rest.next().map(|byte| varint.push(byte)) {
                Some(Ok(None)) => {}
                Some(Ok(Some(number))) => return Some(number),
                Some(Err(_)) | None => return None,
            }
        }
    };
    let (Some(1), Some(codec), Some(hash)) = (number(), number(), number()) else {
        return CarFault::Short { length };
    };
    match (hash, number()) {
        (0x00, _) => refuse("its hash is the identity: the bytes stand in the CID itself"),
        (0x1e, Some(32)) if Codec::from_code(codec).is_none() => CarFault::Foreign {
            reason: format!("its codec is 0x{codec:x}"),
        },
        (0x1e, Some(32)) => CarFault::Short { length },
        (0x1e, _) => refuse("its blake3 hash has not 32 bytes"),
        (hash, _) => CarFault::Foreign {
            reason: format!("its hash function is 0x{hash:x}"),
        },
    }
}

fn within(what: &'static str, limit: u64, actual: u64) -> Result<(), CarFault> {
    if actual > limit {
        return Err(CarFault::TooLong {
            what,
            limit,
            actual,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::varint::read_varint;
    use super::*;
    use proptest::prelude::*;

    fn header_of(bytes: &[u8]) -> Result<Vec<AnyCid>, CarFault> {
        let (length, at) = read_varint(bytes)?.unwrap();
        assert_eq!(length as usize, bytes.len() - at);
        decode_header(&bytes[at..])
    }

    #[test]
    fn a_header_reads_back() {
        for count in [0, 1, 2, 100] {
            let roots: Vec<Cid> = (0..count).map(|n: u8| Cid::of_raw(&[n])).collect();
            let any: Vec<AnyCid> = roots.iter().map(|cid| (*cid).into()).collect();
            assert_eq!(header_of(&encode_header(&roots).unwrap()), Ok(any));
        }
        let sha = "bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4kok6gl47quzvy";
        let mut foreign = b"\xa2\x65roots\x81\xd8\x2a\x58\x25\x00".to_vec();
        foreign.extend(sha.parse::<AnyCid>().unwrap().to_bytes());
        foreign.extend(b"\x67version\x01");
        assert_eq!(decode_header(&foreign).unwrap()[0].to_string(), sha);
    }

    #[test]
    fn other_headers_are_refused_by_name() {
        // The pragma that a CARv2 file begins with.
        assert_eq!(
            decode_header(b"\xa1\x67version\x02"),
            Err(CarFault::Version { found: 2 })
        );
        assert_eq!(
            decode_header(b"\xa2\x65roots\x80\x67version\x03"),
            Err(CarFault::Version { found: 3 })
        );
        for bad in [
            &b"\xa1\x67version\x01"[..],
            b"\xa1\x65roots\x80",
            b"\xa2\x65roots\xa0\x67version\x01",
            b"\xa2\x65roots\x81\x01\x67version\x01",
            b"\xa2\x65roots\x80\x67version\x61\x31",
            b"\xa3\x61x\x01\x65roots\x80\x67version\x01",
            b"\xa2\x65roots\x80\x67version\x01\x00",
            b"\xa2\x65roots\x80\x67version\x18\x01",
            b"\x80",
            b"",
            b"{\"version\":1}",
        ] {
            assert!(
                matches!(decode_header(bad), Err(CarFault::Header { .. })),
                "{bad:?}"
            );
        }
        assert!(check_header_length(HEADER_BYTES_MAX).is_ok());
        assert!(matches!(
            check_header_length(HEADER_BYTES_MAX + 1),
            Err(CarFault::TooLong { .. })
        ));
    }

    #[test]
    fn sections_are_judged_by_their_cid_before_their_bytes() {
        let node = Cid::of_node(b"\xa0");
        let raw = Cid::of_raw(b"");
        for (cid, most) in [(node, NODE_BYTES_MAX as u64), (raw, RAW_BYTES_MAX)] {
            let head = encode_section_head(&Section { cid, size: most }).unwrap();
            let (length, at) = read_varint(&head).unwrap().unwrap();
            assert_eq!(
                Section::decode(length, &head[at..]),
                Ok(Section { cid, size: most })
            );
            assert!(matches!(
                Section::decode(length + 1, &cid.to_bytes()),
                Err(CarFault::TooLong { .. })
            ));
            assert!(
                encode_section_head(&Section {
                    cid,
                    size: most + 1
                })
                .is_err()
            );
        }
        let empty = Section { cid: raw, size: 0 };
        assert_eq!(Section::decode(36, &raw.to_bytes()), Ok(empty));
    }

    #[test]
    fn foreign_blocks_are_named() {
        let named = |length: u64, peek: &[u8], word: &str| {
            let fault = Section::decode(length, peek).unwrap_err();
            assert!(fault.to_string().contains(word), "{fault} / {word}");
        };
        let mut sha = vec![0x01, 0x71, 0x12, 0x20];
        sha.extend([7; 32]);
        named(40, &sha, "0x12");
        let mut v0 = vec![0x12, 0x20];
        v0.extend([7; 34]);
        named(40, &v0, "CIDv0");
        named(6, &[0x01, 0x55, 0x00, 0x02, b'h', b'i'], "identity");
        let mut json = Cid::of_node(b"").to_bytes();
        json[1] = 0x12;
        named(40, &json, "codec is 0x12");
        let mut long = Cid::of_node(b"").to_bytes();
        long[3] = 64;
        named(100, &long, "32 bytes");
        named(0, &[], "no block");
        named(20, &Cid::of_raw(b"").to_bytes()[..20], "no block");
        named(36, &[0; 36], "no block");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_read_is_what_is_written(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(roots) = decode_header(&bytes) {
                let ours: Result<Vec<Cid>, _> = roots.iter().map(Cid::try_from).collect();
                if let Ok(ours) = ours {
                    prop_assert!(encode_header(&ours).unwrap().ends_with(&bytes));
                }
            }
            let peek = &bytes[..bytes.len().min(PEEK_BYTES)];
            if let Ok(section) = Section::decode(bytes.len() as u64, peek) {
                let head = encode_section_head(&section).unwrap();
                prop_assert!(head.ends_with(peek));
            }
            if let Ok(Some((value, count))) = read_varint(&bytes) {
                let mut again = Vec::new();
                write_varint(value, &mut again);
                prop_assert_eq!(&again[..], &bytes[..count]);
            }
        }
    }
}
