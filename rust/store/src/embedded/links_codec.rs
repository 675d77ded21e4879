//! A block's links as bytes: for each, in the block's order, the distance (own ordinal − link) as an
//! unsigned LEB128. Parents stand close to their children, so most links take one to three bytes.
//!
//! Promises: one list has one encoding; a link that is not smaller than its block can't be written or read.

use crate::error::{Result, StoreError};

/// Errors: `Corrupt` when a link is not smaller than `ordinal`.
pub(super) fn encode(ordinal: u64, links: &[u64]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(links.len().saturating_mul(3));
    for link in links {
        let mut distance = ordinal
            .checked_sub(*link)
            .filter(|distance| *distance > 0)
            .ok_or_else(|| StoreError::Corrupt {
                what: "block",
                which: ordinal.to_string(),
                detail: format!("it would link to ordinal {link}, which is not smaller"),
            })?;
        while distance >= 0x80 {
            out.push((distance as u8) | 0x80);
            distance >>= 7;
        }
        out.push(distance as u8);
    }
    Ok(out)
}

/// The list that [`encode`] wrote, or what is wrong.
pub(super) fn decode(ordinal: u64, bytes: &[u8]) -> Result<Vec<u64>, String> {
    let mut links = Vec::new();
    decode_into(ordinal, bytes, &mut links)?;
    Ok(links)
}

/// The same, behind what `links` has already: marking reads millions of lists, and makes none of them.
pub(super) fn decode_into(ordinal: u64, bytes: &[u8], links: &mut Vec<u64>) -> Result<(), String> {
    let (mut distance, mut shift) = (0u64, 0u32);
    for byte in bytes {
        let part = u64::from(byte & 0x7f);
        if shift > 63 || (shift == 63 && part > 1) {
            return Err("a link is longer than 64 bits".into());
        }
        distance |= part << shift;
        if byte & 0x80 != 0 {
            shift += 7;
            continue;
        }
        if part == 0 && shift > 0 {
            return Err("a link is not in its shortest form".into());
        }
        match ordinal.checked_sub(distance) {
            Some(link) if distance > 0 && link > 0 => links.push(link),
            _ => {
                return Err(format!(
                    "a link does not go to a smaller ordinal (distance {distance})"
                ));
            }
        }
        (distance, shift) = (0, 0);
    }
    if shift == 0 {
        Ok(())
    } else {
        Err("the last link is cut off".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn links_read_back(ordinal in 2u64..u64::MAX, seeds in prop::collection::vec(any::<u64>(), 0..20)) {
            let links: Vec<u64> = seeds.iter().map(|seed| seed % (ordinal - 1) + 1).collect();
            prop_assert_eq!(decode(ordinal, &encode(ordinal, &links).unwrap()).unwrap(), links);
        }

        #[test]
        fn what_is_read_is_what_is_written(ordinal in 1u64..1 << 40, bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            if let Ok(links) = decode(ordinal, &bytes) {
                prop_assert_eq!(encode(ordinal, &links).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn no_link_to_self_or_later() {
        assert!(encode(5, &[5]).is_err());
        assert!(encode(5, &[6]).is_err());
        assert!(decode(5, &[0]).is_err());
        assert!(decode(5, &[5]).is_err(), "ordinals count from 1");
        assert!(decode(5, &[0x81]).is_err());
        assert!(decode(5, &[0x81, 0]).is_err());
    }
}
