//! Values to DAG-JSON text.
//!
//! Promises: one text for each value; recursion ends at the depth limit.
//! Never: a value that would be read back as another one is written.

use data_encoding::BASE64_NOPAD;
use std::fmt::Write as _;

use super::{Reserved, reserved};
use crate::Ipld;
use crate::error::{CodecError, LimitKind};
use crate::limits::CODEC_DEPTH_MAX;

/// The DAG-JSON text of a value.
///
/// # Errors
/// NaN, infinities, integers beyond −2⁶⁴ … 2⁶⁴−1, depth over [`CODEC_DEPTH_MAX`], and
/// [`CodecError::ReservedMap`] for a map that DAG-JSON would read as a link or as bytes.
pub fn encode(value: &Ipld) -> Result<String, CodecError> {
    let mut out = String::new();
    write(&mut out, value, CODEC_DEPTH_MAX)?;
    Ok(out)
}

/// `depth_left` counts the containers that may still open.
fn write(out: &mut String, value: &Ipld, depth_left: usize) -> Result<(), CodecError> {
    match value {
        Ipld::Null => out.push_str("null"),
        Ipld::Bool(true) => out.push_str("true"),
        Ipld::Bool(false) => out.push_str("false"),
        Ipld::Integer(value) => write_integer(out, *value)?,
        Ipld::Float(value) => write_float(out, *value)?,
        Ipld::String(text) => write_text(out, text),
        Ipld::Bytes(bytes) => {
            out.push_str("{\"/\":{\"bytes\":\"");
            BASE64_NOPAD.encode_append(bytes, out);
            out.push_str("\"}}");
        }
        Ipld::Link(cid) => {
            out.push_str("{\"/\":\"");
            out.push_str(&cid.to_string());
            out.push_str("\"}");
        }
        Ipld::List(items) => {
            let inner = deeper(depth_left)?;
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(out, item, inner)?;
            }
            out.push(']');
        }
        Ipld::Map(entries) => {
            let inner = deeper(depth_left)?;
            match reserved(entries) {
                None => {}
                Some(Reserved::Link(_)) => {
                    return Err(CodecError::ReservedMap { reason: "a text" });
                }
                Some(Reserved::Bytes(_)) => {
                    return Err(CodecError::ReservedMap {
                        reason: "{\"bytes\": text}",
                    });
                }
                Some(Reserved::Neither(reason)) => return Err(CodecError::ReservedMap { reason }),
            }
            out.push('{');
            // The map's own order is that of the keys' bytes, which is what DAG-JSON wants.
            for (index, (key, item)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(out, key);
                out.push(':');
                write(out, item, inner)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn deeper(depth_left: usize) -> Result<usize, CodecError> {
    depth_left.checked_sub(1).ok_or(CodecError::Limit {
        what: LimitKind::Depth,
        limit: CODEC_DEPTH_MAX as u64,
        actual: CODEC_DEPTH_MAX as u64 + 1,
    })
}

fn write_integer(out: &mut String, value: i128) -> Result<(), CodecError> {
    if !super::lexer::INTEGERS.contains(&value) {
        return Err(CodecError::IntRange {
            value: value.to_string(),
        });
    }
    out.push_str(&value.to_string());
    Ok(())
}

/// The shortest digits that read back as the same float. A whole one keeps a decimal point, or it
/// would look like an integer.
fn write_float(out: &mut String, value: f64) -> Result<(), CodecError> {
    if !value.is_finite() {
        return Err(CodecError::NotFinite { value });
    }
    let text = format!("{value:?}");
    match text.split_once('e') {
        Some((digits, exponent)) if value.fract() == 0.0 && !digits.contains('.') => {
            let _ = write!(out, "{digits}.0e{exponent}");
        }
        _ => out.push_str(&text),
    }
    Ok(())
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
