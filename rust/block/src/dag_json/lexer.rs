//! The tokens of JSON: punctuation, texts and numbers.
//!
//! Promises: RFC 8259 to the letter, each error with its byte; numbers keep their kind: digits alone
//! are an integer, a point or an exponent makes a float. Never: it knows nothing of nesting.

use std::borrow::Cow;

use super::tree::Tree;
use crate::error::{CodecError, clip};

/// A place in a JSON text.
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn refuse(&self, reason: &'static str) -> CodecError {
        CodecError::Json {
            offset: self.position,
            reason,
        }
    }

    /// The next byte that is no whitespace, which is not taken; None at the end.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.position += 1;
        }
        self.byte()
    }

    /// Takes this byte if it is the next one.
    pub(super) fn accept(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.position += usize::from(found);
        found
    }

    /// Takes this word if it comes next.
    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        self.position += if found { word.len() } else { 0 };
        found
    }

    /// A number, from its first byte on.
    pub(super) fn number(&mut self) -> Result<Tree<'a>, CodecError> {
        let start = self.position;
        self.position += usize::from(self.byte() == Some(b'-'));
        match self.byte() {
            Some(b'0') => self.position += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.refuse("a digit is missing")),
        }
        if let Some(b'0'..=b'9') = self.byte() {
            return Err(self.refuse("a leading zero"));
        }
        let mut is_float = false;
        if self.byte() == Some(b'.') {
            is_float = true;
            self.position += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            is_float = true;
            self.position += 1;
            self.position += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = self.text.get(start..self.position).unwrap_or_default();
        let offset = start;
        if is_float {
            return match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Tree::Float(value)),
                _ => Err(CodecError::Json {
                    offset,
                    reason: "a float beyond 64 bits",
                }),
            };
        }
        let integer = match text.strip_prefix('-') {
            // As an integer it would lose its sign, and a float has a point.
            Some("0") => {
                return Err(CodecError::Json {
                    offset,
                    reason: "-0 is no integer; the float is -0.0",
                });
            }
            // −2⁶⁴ is one more than the digits of a u64.
            Some("18446744073709551616") => Ok(Tree::Nint(u64::MAX)),
            Some(digits) => digits.parse().map(|n: u64| Tree::Nint(n.wrapping_sub(1))),
            None => text.parse().map(Tree::Uint),
        };
        integer.map_err(|_| CodecError::IntRange { value: clip(text) })
    }

    /// A text, from its opening quote on; without an escape it stays where it is.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, CodecError> {
        if !self.accept(b'"') {
            return Err(self.refuse("a text is missing"));
        }
        let mut text = Cow::Borrowed("");
        loop {
            let rest = self.rest();
            let end = rest
                .bytes()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
                .unwrap_or(rest.len());
            // Adding to a borrowed text that is empty borrows.
            text += rest.get(..end).unwrap_or_default();
            self.position += end;
            match self.byte() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.position += 1;
                    let symbol = self.escape()?;
                    text.to_mut().push(symbol);
                }
                Some(_) => return Err(self.refuse("a control character in a text")),
                None => return Err(self.refuse("the text does not end")),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, CodecError> {
        let symbol = self
            .byte()
            .ok_or_else(|| self.refuse("the text does not end"))?;
        let plain = match symbol {
            b'"' | b'\\' | b'/' => char::from(symbol),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.refuse("an unknown escape")),
        };
        self.position += 1;
        Ok(plain)
    }

    /// `uXXXX`, or two of them for a character beyond 16 bits.
    fn unicode_escape(&mut self) -> Result<char, CodecError> {
        let start = self.position;
        let lone = CodecError::Json {
            offset: start,
            reason: "a lone surrogate",
        };
        let first = self.unicode_unit()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.accept_word("\\") {
                    return Err(lone);
                }
                match self.unicode_unit() {
                    Ok(second @ 0xdc00..=0xdfff) => {
                        0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    }
                    _ => return Err(lone),
                }
            }
            _ => first,
        };
        char::from_u32(code).ok_or(lone)
    }

    fn unicode_unit(&mut self) -> Result<u32, CodecError> {
        let digits = self
            .text
            .get(self.position..self.position + 5)
            .and_then(|unit| unit.strip_prefix('u'));
        let valid = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let unit = valid.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.refuse("a \\u without four hex digits"))?;
        self.position += 5;
        Ok(unit)
    }

    fn digits(&mut self) -> Result<(), CodecError> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.position += count;
        if count == 0 {
            Err(self.refuse("a digit is missing"))
        } else {
            Ok(())
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    /// Positions only stop between characters, so there always is a rest.
    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }
}
