//! Base32 in lower case without padding (RFC 4648 §6), the text form of a CID after its `b`.
//!
//! Promises: `decode` accepts exactly what `encode` writes; spare bits at the end must be zero, so
//! that one CID has one text. Never: no upper case, no padding, no whitespace.

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The text of `bytes`; five bits a character, the last one filled up with zero bits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            push_symbol(&mut text, buffer >> bits);
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        push_symbol(&mut text, buffer << (5 - bits));
    }
    text
}

/// The bytes that `encode` would turn into `text`; None for anything else.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for symbol in text.bytes() {
        buffer = (buffer << 5) | u32::from(symbol_value(symbol)?);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(((buffer >> bits) & 0xff) as u8);
            buffer &= (1 << bits) - 1;
        }
    }
    // Five or more spare bits mean a character that carries nothing; set spare bits mean a second
    // text for the same bytes.
    (bits < 5 && buffer == 0).then_some(bytes)
}

/// The five bits of one character of the alphabet.
#[must_use]
pub fn symbol_value(symbol: u8) -> Option<u8> {
    match symbol {
        b'a'..=b'z' => Some(symbol - b'a'),
        b'2'..=b'7' => Some(symbol - b'2' + 26),
        _ => None,
    }
}

fn push_symbol(text: &mut String, value: u32) {
    if let Some(&symbol) = ALPHABET.get((value & 31) as usize) {
        text.push(char::from(symbol));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc_4648_vectors() {
        for (bytes, text) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn refuses_second_spellings() {
        for text in ["MY", "my======", "mz", "m", "m1", "mzxw6y ", "mzxw6ytbo"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_decodes_is_canonical(text in "[a-z2-7]{0,24}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
