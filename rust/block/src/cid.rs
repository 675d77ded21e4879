//! Our CIDs: CIDv1, multihash blake3-256, codec dag-cbor for nodes and raw for bytes.
//!
//! Promises: a `Cid` is always one of ours, has one binary form (36 bytes) and one text (`b` and
//! base32 in lower case, 59 characters). Parsing accepts these forms alone.
//! Never: no other hash or codec, no path, no prefix (that is [`crate::CidPrefix`]).
//!
//! Source: <https://github.com/multiformats/cid>; blake3 is multicodec 0x1e.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::error::{CidError, clip};
use crate::{AnyCid, base32};

/// Multicodec code of the hash function blake3.
pub const BLAKE3: u64 = 0x1e;
/// Bytes of a CID of ours: version, codec, hash function, digest length, digest.
pub const CID_BYTES: usize = 36;
/// Characters of a CID of ours.
pub const CID_CHARS: usize = 59;
/// Characters that all CIDs of one codec begin with (`bafyr4i`, `bafkr4i`).
pub const CONSTANT_CHARS: usize = 7;
/// Characters of the digest that a shortened CID shows.
const SHORT_CHARS: usize = 6;

/// What a block's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Bytes without structure and without links (multicodec 0x55).
    Raw,
    /// A node: one DAG-CBOR value, which may hold links (multicodec 0x71).
    DagCbor,
}

impl Codec {
    /// The multicodec code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Raw => 0x55,
            Self::DagCbor => 0x71,
        }
    }

    /// The codec of a multicodec code; None for those that we do not store.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0x55 => Some(Self::Raw),
            0x71 => Some(Self::DagCbor),
            _ => None,
        }
    }

    /// The characters that every CID of this codec begins with.
    #[must_use]
    pub const fn text_constant(self) -> &'static str {
        match self {
            Self::Raw => "bafkr4i",
            Self::DagCbor => "bafyr4i",
        }
    }
}

/// The name of a block: its codec and the BLAKE3 hash of its bytes.
///
/// Ordered by codec, then digest; that is the order of its bytes and of its text too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cid {
    codec: Codec,
    digest: [u8; 32],
}

/// For tables in memory. All of the digest, since anybody may name a CID whose first bytes are those of another.
impl Hash for Cid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.digest);
    }
}

impl Cid {
    /// The CID of `bytes`, which are not looked into. O(len).
    #[must_use]
    pub fn of(codec: Codec, bytes: &[u8]) -> Self {
        Self::new(codec, *blake3::hash(bytes).as_bytes())
    }

    /// The CID of bytes without structure.
    #[must_use]
    pub fn of_raw(bytes: &[u8]) -> Self {
        Self::of(Codec::Raw, bytes)
    }

    /// The CID of a node's encoded bytes.
    #[must_use]
    pub fn of_node(bytes: &[u8]) -> Self {
        Self::of(Codec::DagCbor, bytes)
    }

    /// The CID with this digest.
    #[must_use]
    pub const fn new(codec: Codec, digest: [u8; 32]) -> Self {
        Self { codec, digest }
    }

    /// What the block's bytes are.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// The BLAKE3 hash.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether `bytes` are what this CID names. O(len).
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        blake3::hash(bytes).as_bytes() == &self.digest
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; CID_BYTES] {
        let mut bytes = [0; CID_BYTES];
        let (head, digest) = bytes.split_at_mut(4);
        head.copy_from_slice(&[0x01, self.codec.code(), BLAKE3 as u8, 32]);
        digest.copy_from_slice(&self.digest);
        bytes
    }

    /// The CID with this binary form.
    ///
    /// # Errors
    /// [`CidError::Bytes`] for anything that is not one of ours, byte for byte.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CidError> {
        let Some((head, digest)) = bytes.split_first_chunk::<4>() else {
            return Err(CidError::Bytes {
                reason: "shorter than its own head",
            });
        };
        let [version, codec, hash, len] = *head;
        if version != 1 {
            return Err(CidError::Bytes {
                reason: "not a CIDv1",
            });
        }
        let Some(codec) = Codec::from_code(u64::from(codec)) else {
            return Err(CidError::Bytes {
                reason: "neither dag-cbor nor raw",
            });
        };
        if (u64::from(hash), len) != (BLAKE3, 32) {
            return Err(CidError::Bytes {
                reason: "not a blake3-256 hash",
            });
        }
        match <[u8; 32]>::try_from(digest) {
            Ok(digest) => Ok(Self { codec, digest }),
            Err(_) => Err(CidError::Bytes {
                reason: "the digest is not 32 bytes long",
            }),
        }
    }

    /// The text for people: the constant part, 6 characters and `…`. [`crate::CidPrefix`] reads it.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(CONSTANT_CHARS + SHORT_CHARS);
        text.push('…');
        text
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(CID_CHARS);
        text.push('b');
        text.push_str(&base32::encode(&self.to_bytes()));
        f.pad(&text)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cid({})", self.short())
    }
}

impl FromStr for Cid {
    type Err = CidError;

    /// The CID with exactly this text.
    fn from_str(text: &str) -> Result<Self, CidError> {
        let refuse = |reason| CidError::Text {
            text: clip(text),
            reason,
        };
        let Some(rest) = text.strip_prefix('b') else {
            return Err(refuse("a CID begins with b (base32 in lower case)"));
        };
        if text.len() != CID_CHARS {
            return Err(refuse("a CID has 59 characters"));
        }
        let bytes =
            base32::decode(rest).ok_or_else(|| refuse("not canonical base32 in lower case"))?;
        Self::from_bytes(&bytes).map_err(|error| match error {
            CidError::Bytes { reason } => refuse(reason),
            other => other,
        })
    }
}

impl From<Cid> for AnyCid {
    fn from(cid: Cid) -> Self {
        // 32 bytes always fit into the 64 that the multihash holds, so the default never shows.
        let hash = multihash::Multihash::wrap(BLAKE3, &cid.digest).unwrap_or_default();
        Self::new_v1(u64::from(cid.codec.code()), hash)
    }
}

impl TryFrom<&AnyCid> for Cid {
    type Error = CidError;

    fn try_from(any: &AnyCid) -> Result<Self, CidError> {
        let refuse = |reason| CidError::Foreign {
            cid: any.to_string(),
            reason,
        };
        if any.version() != ::cid::Version::V1 {
            return Err(refuse("not a CIDv1"));
        }
        let codec =
            Codec::from_code(any.codec()).ok_or_else(|| refuse("neither dag-cbor nor raw"))?;
        if any.hash().code() != BLAKE3 {
            return Err(refuse("not a blake3-256 hash"));
        }
        let digest = <[u8; 32]>::try_from(any.hash().digest())
            .map_err(|_| refuse("the digest is not 32 bytes long"))?;
        Ok(Self { codec, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_texts() {
        // BLAKE3 of the empty input is published with the function.
        let empty = Cid::of_raw(b"");
        assert_eq!(
            data_encoding::HEXLOWER.encode(empty.digest()),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
        assert!(empty.to_string().starts_with("bafkr4i"));
        assert!(Cid::of_node(b"\xa0").to_string().starts_with("bafyr4i"));
        assert_eq!(empty.to_string().len(), CID_CHARS);
        assert_eq!(empty.short().chars().count(), 14);
        assert_eq!(format!("{empty:?}"), format!("Cid({})", empty.short()));
        // The independent implementation agrees.
        assert_eq!(AnyCid::from(empty).to_string(), empty.to_string());
        assert_eq!(AnyCid::from(empty).to_bytes(), empty.to_bytes());
    }

    #[test]
    fn refuses_what_is_not_ours() {
        let good = Cid::of_node(b"\xa0").to_string();
        for bad in [
            String::new(),
            good.to_uppercase(),
            format!(" {good}"),
            format!("{good}\n"),
            format!("/ipfs/{good}"),
            format!("../{}", &good[3..]),
            good[..58].to_owned(),
            format!("{good}a"),
            format!("{}b", &good[..58]),
            "bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4kok6gl47quzvy".to_owned(),
            "QmXg9Pp2ytZ14xgmQjYEiHjVjMFXzCVVEcRTWJBmLgR39V".to_owned(),
            "é".repeat(59),
        ] {
            assert!(
                matches!(bad.parse::<Cid>(), Err(CidError::Text { .. })),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn refuses_foreign_links() {
        let sha: AnyCid = "bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4kok6gl47quzvy"
            .parse()
            .unwrap();
        let v0: AnyCid = "QmXg9Pp2ytZ14xgmQjYEiHjVjMFXzCVVEcRTWJBmLgR39V"
            .parse()
            .unwrap();
        for foreign in [sha, v0] {
            assert!(matches!(
                Cid::try_from(&foreign),
                Err(CidError::Foreign { .. })
            ));
        }
    }

    proptest! {
        #[test]
        fn round_trips(digest in any::<[u8; 32]>(), node in any::<bool>()) {
            let cid = Cid::new(if node { Codec::DagCbor } else { Codec::Raw }, digest);
            prop_assert_eq!(cid.to_string().parse::<Cid>(), Ok(cid));
            prop_assert_eq!(Cid::from_bytes(&cid.to_bytes()), Ok(cid));
            prop_assert_eq!(Cid::try_from(&AnyCid::from(cid)), Ok(cid));
        }

        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..48)) {
            if let Ok(cid) = Cid::from_bytes(&bytes) {
                prop_assert_eq!(&cid.to_bytes()[..], &bytes[..]);
            }
        }

        #[test]
        fn text_never_panics(text in "\\PC{0,64}") {
            if let Ok(cid) = text.parse::<Cid>() {
                prop_assert_eq!(cid.to_string(), text);
            }
        }

        #[test]
        fn text_order_is_not_promised_but_byte_order_is(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
            let (a, b) = (Cid::new(Codec::Raw, a), Cid::new(Codec::DagCbor, b));
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        }
    }
}
