//! The beginning of a CID's text, as a person types or pastes it.
//!
//! Promises: a prefix stands for one inclusive range of digests of one codec, so that an index in
//! digest order answers it with one range scan. Never: it does not know which CIDs exist; whoever
//! has the index says whether the prefix is unique.

use crate::base32;
use crate::cid::{CID_CHARS, CONSTANT_CHARS, Cid, Codec};
use crate::error::{CidError, clip};

/// Fewest characters of a prefix, the constant `bafyr4i`/`bafkr4i` included.
pub const PREFIX_CHARS_MIN: usize = 12;
/// Bits of the digest's neighbours: the four bytes before the digest.
const HEAD_BITS: usize = 32;

/// A checked prefix of a CID's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidPrefix {
    text: String,
    codec: Codec,
    low: [u8; 32],
    high: [u8; 32],
}

impl CidPrefix {
    /// The prefix that `text` is; a trailing `…`, as shortened CIDs have it, is dropped.
    ///
    /// # Errors
    /// [`CidError::Prefix`] names the rule: it begins with `bafyr4i` or `bafkr4i`, has at least 12
    /// characters and goes on in base32.
    pub fn parse(text: &str) -> Result<Self, CidError> {
        let refuse = |reason| CidError::Prefix {
            text: clip(text),
            reason,
        };
        let body = text.strip_suffix('…').unwrap_or(text);
        let codec = [Codec::DagCbor, Codec::Raw]
            .into_iter()
            .find(|codec| body.starts_with(codec.text_constant()))
            .ok_or_else(|| refuse("it begins with neither bafyr4i (nodes) nor bafkr4i (bytes)"))?;
        if body.len() < PREFIX_CHARS_MIN {
            return Err(refuse("too short"));
        }
        if body.len() > CID_CHARS {
            return Err(refuse("longer than a CID"));
        }
        let (low, high) =
            digest_range(body).ok_or_else(|| refuse("no CID of ours goes on like this"))?;
        Ok(Self {
            text: body.to_owned(),
            codec,
            low,
            high,
        })
    }

    /// The codec that the prefix names.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// The smallest digest that the prefix may stand for, inclusive.
    #[must_use]
    pub const fn low(&self) -> [u8; 32] {
        self.low
    }

    /// The largest digest that the prefix may stand for, inclusive.
    #[must_use]
    pub const fn high(&self) -> [u8; 32] {
        self.high
    }

    /// Whether `cid`'s text begins with this prefix.
    #[must_use]
    pub fn matches(&self, cid: &Cid) -> bool {
        cid.codec() == self.codec && (self.low..=self.high).contains(cid.digest())
    }

    /// The characters, without `…`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The digests whose text begins with `body`; None if there are none. The first seven characters
/// were checked, and so were all but the last two bits of the head.
fn digest_range(body: &str) -> Option<([u8; 32], [u8; 32])> {
    let (mut low, mut high) = ([0u8; 32], [0xffu8; 32]);
    for (index, symbol) in body.bytes().enumerate().skip(CONSTANT_CHARS) {
        let value = base32::symbol_value(symbol)?;
        for bit in 0..5 {
            let set = value & (0x10 >> bit) != 0;
            let position = (index - 1) * 5 + bit;
            let Some(place) = position.checked_sub(HEAD_BITS) else {
                // The head's last two bits are zero: the digest length 0x20 ends so.
                if set {
                    return None;
                }
                continue;
            };
            let mask = 0x80u8 >> (place % 8);
            match (low.get_mut(place / 8), high.get_mut(place / 8)) {
                (Some(low), Some(_)) if set => *low |= mask,
                (Some(_), Some(high)) => *high &= !mask,
                // Past the digest: the two spare bits of the last character are zero.
                _ if set => return None,
                _ => {}
            }
        }
    }
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_rule_at_its_edges() {
        let cid = Cid::of_node(b"\xa0");
        let text = cid.to_string();
        assert!(CidPrefix::parse(&text[..11]).is_err());
        assert!(CidPrefix::parse(&text[..12]).is_ok());
        assert!(CidPrefix::parse(&cid.short()).unwrap().matches(&cid));
        let whole = CidPrefix::parse(&text).unwrap();
        assert_eq!((whole.low(), whole.high()), (*cid.digest(), *cid.digest()));
        assert!(!whole.matches(&Cid::new(Codec::Raw, *cid.digest())));
        for bad in [
            "",
            "bafyr4i",
            "bafyr4izzzzzzz",
            "bafyr4iABCDEFG",
            "bafyr4iaaaa aaa",
            "bafyreigdmqpyk",
            "../../etc/passwd",
            "bafyr4iaaaaa/a",
            "……………",
        ] {
            let error = CidPrefix::parse(bad).unwrap_err();
            assert!(error.to_string().contains("12 characters"), "{error}");
        }
        assert!(CidPrefix::parse(&format!("{text}a")).is_err());
        // The last character's spare bits are zero, so the next character of the alphabet sets one.
        let (rest, last) = text.split_at(58);
        let next = char::from(last.as_bytes()[0] + 1);
        assert!(CidPrefix::parse(&format!("{rest}{next}")).is_err());
    }

    proptest! {
        #[test]
        fn matches_as_text_does(
            digest in any::<[u8; 32]>(), other in any::<[u8; 32]>(), shared in 0usize..32, len in 12usize..=59,
        ) {
            let cid = Cid::new(Codec::Raw, digest);
            let text = cid.to_string();
            let prefix = CidPrefix::parse(&text[..len]).unwrap();
            prop_assert!(prefix.matches(&cid));
            let mut near = other;
            near[..shared].copy_from_slice(&digest[..shared]);
            let near = Cid::new(Codec::Raw, near);
            prop_assert_eq!(prefix.matches(&near), near.to_string().starts_with(&text[..len]));
        }
    }
}
