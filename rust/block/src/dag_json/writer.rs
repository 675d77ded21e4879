//! Values to DAG-JSON text.
//!
//! Promises: one text for each value; recursion ends at the depth limit.
//! Never: a value that would be read back as another one is written.

use data_encoding::BASE64_NOPAD;
use std::fmt::Write as _;

use super::tree::{Entry, Reserved, Tree, reserved};
use crate::error::CodecError;
use crate::{Encoded, Reader};

/// The DAG-JSON text of a value.
///
/// # Errors
/// [`CodecError::ReservedMap`] for a map that DAG-JSON would read as a link or as bytes.
pub fn encode(value: &Encoded) -> Result<String, CodecError> {
    let mut reader = Reader::new(value.bytes());
    let tree = Tree::of(&mut reader)?;
    reader.finish()?;
    let mut out = String::new();
    write(&mut out, &tree)?;
    Ok(out)
}

/// Recursive, as deep as the reader went.
fn write(out: &mut String, value: &Tree<'_>) -> Result<(), CodecError> {
    match value {
        Tree::Null => out.push_str("null"),
        Tree::Bool(true) => out.push_str("true"),
        Tree::Bool(false) => out.push_str("false"),
        Tree::Uint(value) => out.push_str(&value.to_string()),
        Tree::Nint(value) => out.push_str(&(-1 - i128::from(*value)).to_string()),
        Tree::Float(value) => write_float(out, *value),
        Tree::Text(text) => write_text(out, text),
        Tree::Bytes(bytes) => {
            out.push_str("{\"/\":{\"bytes\":\"");
            BASE64_NOPAD.encode_append(bytes, out);
            out.push_str("\"}}");
        }
        Tree::Link(cid) => {
            out.push_str("{\"/\":\"");
            out.push_str(&cid.to_string());
            out.push_str("\"}");
        }
        Tree::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(out, item)?;
            }
            out.push(']');
        }
        Tree::Map(entries) => write_map(out, entries)?,
    }
    Ok(())
}

fn write_map(out: &mut String, entries: &[Entry<'_>]) -> Result<(), CodecError> {
    let refuse = |reason| Err(CodecError::ReservedMap { reason });
    match reserved(entries) {
        None => {}
        Some(Reserved::Link(_)) => return refuse("a text"),
        Some(Reserved::Bytes(_)) => return refuse("{\"bytes\": text}"),
        Some(Reserved::Neither(reason)) => return refuse(reason),
    }
    out.push('{');
    // They stand in the order of the keys' bytes, which is what DAG-JSON wants.
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(out, &entry.key);
        out.push(':');
        write(out, &entry.value)?;
    }
    out.push('}');
    Ok(())
}

/// The shortest digits that read back as the same float. A whole one keeps a decimal point, or it
/// would look like an integer.
fn write_float(out: &mut String, value: f64) {
    let text = format!("{value:?}");
    match text.split_once('e') {
        Some((digits, exponent)) if value.fract() == 0.0 && !digits.contains('.') => {
            let _ = write!(out, "{digits}.0e{exponent}");
        }
        _ => out.push_str(&text),
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for symbol in text.chars() {
        match symbol {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => {
                // Writing to a String can not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(symbol));
            }
            _ => out.push(symbol),
        }
    }
    out.push('"');
}
