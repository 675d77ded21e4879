//! DAG-JSON text to values.
//!
//! Promises: see the module; recursion ends at a fixed depth.
//! Never: no duplicate key wins silently.

use std::borrow::Cow;

use data_encoding::BASE64_NOPAD;

use super::lexer::Lexer;
use super::tree::{Entry, Reserved, Tree, reserved, sort};
use crate::error::{CodecError, LimitKind};
use crate::limits::CODEC_DEPTH_MAX;
use crate::{AnyCid, Encoded};

/// Nesting of a text. Bytes are two maps in JSON and a scalar as a value, so a value of full depth
/// may need two more; its own depth is checked once it is read.
const TEXT_DEPTH_MAX: usize = CODEC_DEPTH_MAX + 2;

/// The value of a DAG-JSON text.
///
/// # Errors
/// Anything that is not DAG-JSON, with the byte where it stands.
pub fn decode(text: &str) -> Result<Encoded, CodecError> {
    let mut lexer = Lexer::new(text);
    let mut value = read(&mut lexer, 0)?;
    if lexer.peek().is_some() {
        let offset = lexer.position();
        return Err(CodecError::Trailing {
            offset,
            count: text.len() - offset,
        });
    }
    value.encoded()
}

/// `depth` counts the containers around the value.
fn read<'a>(lexer: &mut Lexer<'a>, depth: usize) -> Result<Tree<'a>, CodecError> {
    match lexer.peek() {
        Some(b'{') => read_map(lexer, depth),
        Some(b'[') => read_list(lexer, depth),
        Some(b'"') => lexer.text().map(Tree::Text),
        Some(b'-' | b'0'..=b'9') => lexer.number(),
        Some(_) if lexer.accept_word("null") => Ok(Tree::Null),
        Some(_) if lexer.accept_word("true") => Ok(Tree::Bool(true)),
        Some(_) if lexer.accept_word("false") => Ok(Tree::Bool(false)),
        Some(_) => Err(lexer.refuse("no value begins like this")),
        None => Err(lexer.refuse("a value is missing")),
    }
}

fn read_list<'a>(lexer: &mut Lexer<'a>, depth: usize) -> Result<Tree<'a>, CodecError> {
    check_depth(depth + 1, TEXT_DEPTH_MAX)?;
    lexer.accept(b'[');
    let mut items = Vec::new();
    if lexer.accept(b']') {
        return Ok(Tree::List(items));
    }
    loop {
        items.push(read(lexer, depth + 1)?);
        if lexer.accept(b']') {
            return Ok(Tree::List(items));
        }
        if !lexer.accept(b',') {
            return Err(lexer.refuse("neither , nor ] after an item"));
        }
    }
}

fn read_map<'a>(lexer: &mut Lexer<'a>, depth: usize) -> Result<Tree<'a>, CodecError> {
    check_depth(depth + 1, TEXT_DEPTH_MAX)?;
    let start = lexer.position();
    let entries = read_entries(lexer, depth)?;
    match reserved(&entries) {
        None => Ok(Tree::Map(entries)),
        Some(Reserved::Link(text)) => {
            let refuse = |reason| CodecError::Link {
                offset: start,
                reason,
            };
            let cid = text
                .parse::<AnyCid>()
                .map_err(|_| refuse("its text is not a CID"))?;
            // The parser also takes paths, other bases and capitals; one link has one text.
            if cid.to_string() != text {
                return Err(refuse("its CID is not in canonical form"));
            }
            Ok(Tree::Link(Box::new(cid)))
        }
        Some(Reserved::Bytes(text)) => match BASE64_NOPAD.decode(text.as_bytes()) {
            Ok(bytes) => Ok(Tree::Bytes(Cow::Owned(bytes))),
            Err(_) => Err(CodecError::Json {
                offset: start,
                reason: "bytes not in base64 without padding",
            }),
        },
        Some(Reserved::Neither(_)) => Err(CodecError::Json {
            offset: start,
            reason: "a link or bytes with further keys; the key \"/\" is reserved",
        }),
    }
}

fn read_entries<'a>(lexer: &mut Lexer<'a>, depth: usize) -> Result<Vec<Entry<'a>>, CodecError> {
    lexer.accept(b'{');
    let mut entries = Vec::new();
    if lexer.accept(b'}') {
        return Ok(entries);
    }
    loop {
        lexer.peek();
        let offset = lexer.position();
        let key = lexer.text()?;
        if !lexer.accept(b':') {
            return Err(lexer.refuse("no : after a key"));
        }
        let value = read(lexer, depth + 1)?;
        entries.push(Entry { key, value, offset });
        if lexer.accept(b'}') {
            sort(&mut entries)?;
            return Ok(entries);
        }
        if !lexer.accept(b',') {
            return Err(lexer.refuse("neither , nor } after an entry"));
        }
    }
}

/// The limit that is named is the value's, whichever of the two was met.
fn check_depth(depth: usize, limit: usize) -> Result<(), CodecError> {
    if depth > limit {
        return Err(CodecError::Limit {
            what: LimitKind::Depth,
            limit: CODEC_DEPTH_MAX as u64,
            actual: depth as u64,
        });
    }
    Ok(())
}
