//! Names of refs: (scope, kind, parts…), never a concatenation.
//!
//! Promises: two different names have two different texts, a text parses back to exactly one name, and
//! nothing in a part (slashes, dots, NUL, another script) can make it look like another name.
//! Must never: guess, trim or normalise; `é` and `e` + accent are two names.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Result, StoreError};

/// At most this many bytes of encoded text for one name.
pub const NAME_BYTES_MAX: usize = 1024;

/// At most this many of them for a scope that is written to: whatever a scope has once, fits into the rest, and so do a
/// thread's id and the names that a store needs itself. So no verb finds out later that the scope's name has no room for it.
/// Longer ones, which there were once, can be read, forked from and erased.
pub const SCOPE_BYTES_MAX: usize = 896;

/// What the kind of a ref ends with that only says again what the ref of the kind before it leads to, so that it is read
/// quicker: it may go at any time, and has to when that is cut short.
pub const READ_MODEL: &str = "-readmodel";

/// The name of a ref.
///
/// Equality, order and hash are those of [`RefName::encoded`]. Cheap to clone.
#[derive(Clone)]
pub struct RefName(Arc<Parsed>);

struct Parsed {
    scope: String,
    kind: String,
    parts: Vec<String>,
    encoded: String,
}

impl RefName {
    /// A name of `kind` in `scope`. No part is fine: a ref that a scope has once.
    ///
    /// Errors: `Invalid` when the scope or a part is blank (empty or white space only) or the kind is
    /// not one or more of `a-z 0-9 . -`; `LimitExceeded` over [`NAME_BYTES_MAX`] bytes of encoded text.
    pub fn new<P>(scope: &str, kind: &str, parts: P) -> Result<Self>
    where
        P: IntoIterator,
        P::Item: Into<String>,
    {
        check_scope(scope)?;
        check_kind(kind)?;
        let mut encoded = listing_prefix(scope, kind);
        let mut owned: Vec<String> = Vec::new();
        for part in parts {
            let part: String = part.into();
            if part.trim().is_empty() {
                return Err(StoreError::Invalid {
                    what: "part of a ref name",
                    value: part,
                    rule: "it is blank".into(),
                });
            }
            if !owned.is_empty() {
                encoded.push('/');
            }
            escape(&part, &mut encoded);
            owned.push(part);
            // Checked on the way, so that a huge part list ends early.
            if encoded.len() > NAME_BYTES_MAX {
                break;
            }
        }
        if encoded.len() > NAME_BYTES_MAX {
            return Err(StoreError::LimitExceeded {
                what: "bytes of a ref's encoded name",
                limit: NAME_BYTES_MAX as u64,
                actual: encoded.len() as u64,
            });
        }
        Ok(Self(Arc::new(Parsed {
            scope: scope.to_owned(),
            kind: kind.to_owned(),
            parts: owned,
            encoded,
        })))
    }

    /// The name that has this encoded text; the opposite of [`RefName::encoded`].
    ///
    /// Errors: `Invalid` for any text that `encoded` does not give, to the letter.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |rule: &str| StoreError::Invalid {
            what: "ref name",
            value: text.to_owned(),
            rule: rule.to_owned(),
        };
        if text.len() > NAME_BYTES_MAX {
            return Err(StoreError::LimitExceeded {
                what: "bytes of a ref's encoded name",
                limit: NAME_BYTES_MAX as u64,
                actual: text.len() as u64,
            });
        }
        let mut segments = text.splitn(3, '/');
        let (Some(scope), Some(kind), Some(rest)) =
            (segments.next(), segments.next(), segments.next())
        else {
            return Err(wrong("it has the form scope/kind/part/…"));
        };
        let unescaped = |segment: &str| {
            unescape(segment).ok_or_else(|| wrong("a segment is not escaped as it should be"))
        };
        let scope = unescaped(scope)?;
        let parts: Vec<String> = if rest.is_empty() {
            Vec::new()
        } else {
            rest.split('/').map(unescaped).collect::<Result<_>>()?
        };
        let name = Self::new(&scope, kind, parts)?;
        if name.0.encoded != text {
            return Err(wrong("it is not in its one canonical form"));
        }
        Ok(name)
    }

    /// The unit of isolation that the ref belongs to.
    pub fn scope(&self) -> &str {
        &self.0.scope
    }

    /// What sort of ref it is: `thread`, `pin`, ….
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// What tells it apart from the others of its kind; may be empty.
    pub fn parts(&self) -> &[String] {
        &self.0.parts
    }

    /// `scope/kind/part/part`, everything but unreserved ASCII (RFC 3986: letters, digits, `-._~`)
    /// percent-encoded; `scope/kind/` for a name without parts. At most [`NAME_BYTES_MAX`] bytes.
    pub fn encoded(&self) -> &str {
        &self.0.encoded
    }

    /// The encoded name without its scope: `kind/part/part`, the same in every scope.
    pub fn unscoped(&self) -> &str {
        let encoded = self.encoded();
        encoded.split_once('/').map_or(encoded, |(_, rest)| rest)
    }
}

/// What the encoded name of every ref of this kind and scope starts with, and no other's.
///
/// A range scan from here up to this text with its last byte (`/`) replaced by `0` finds them all.
pub fn listing_prefix(scope: &str, kind: &str) -> String {
    let mut text = String::with_capacity(scope.len() + kind.len() + 2);
    escape(scope, &mut text);
    text.push('/');
    text.push_str(kind);
    text.push('/');
    text
}

/// Where a listing of what starts with `prefix` begins that goes on after `after`: a place outside of it stands before or
/// behind all of it.
pub(crate) fn listing_from<'a>(prefix: &'a str, after: Option<&'a RefName>) -> Bound<&'a str> {
    match after {
        Some(after) if after.encoded() >= prefix => Bound::Excluded(after.encoded()),
        _ => Bound::Included(prefix),
    }
}

/// Refuses a blank scope or one that no ref can have: over [`NAME_BYTES_MAX`] bytes of escaped text.
pub fn check_scope(scope: &str) -> Result<()> {
    check_scope_within(scope, NAME_BYTES_MAX)
}

/// Refuses what can't be written to: a blank scope or one over [`SCOPE_BYTES_MAX`] bytes of escaped text.
pub fn check_written_scope(scope: &str) -> Result<()> {
    check_scope_within(scope, SCOPE_BYTES_MAX)
}

fn check_scope_within(scope: &str, limit: usize) -> Result<()> {
    if scope.trim().is_empty() {
        return Err(StoreError::Invalid {
            what: "scope",
            value: scope.to_owned(),
            rule: "it is blank".into(),
        });
    }
    let mut text = String::new();
    escape(scope, &mut text);
    if text.len() > limit {
        return Err(StoreError::LimitExceeded {
            what: "bytes of a scope's encoded name",
            limit: limit as u64,
            actual: text.len() as u64,
        });
    }
    Ok(())
}

/// Refuses a kind that is not one or more of `a-z 0-9 . -`.
pub fn check_kind(kind: &str) -> Result<()> {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-'
    };
    if kind.is_empty() || !kind.bytes().all(fits) {
        return Err(StoreError::Invalid {
            what: "kind of a ref",
            value: kind.to_owned(),
            rule: "one or more of a-z, 0-9, '.' and '-'".into(),
        });
    }
    Ok(())
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn escape(segment: &str, out: &mut String) {
    for byte in segment.bytes() {
        if unreserved(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                out.push(
                    char::from_digit(u32::from(half), 16)
                        .unwrap_or('0')
                        .to_ascii_uppercase(),
                );
            }
        }
    }
}

/// Lenient about which bytes are escaped: the caller compares with the canonical text.
fn unescape(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

impl PartialEq for RefName {
    fn eq(&self, other: &Self) -> bool {
        self.0.encoded == other.0.encoded
    }
}

impl Eq for RefName {}

impl PartialOrd for RefName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RefName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.encoded.cmp(&other.0.encoded)
    }
}

impl Hash for RefName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.encoded.hash(state);
    }
}

/// Lets an ordered map of names be searched by encoded text.
impl Borrow<str> for RefName {
    fn borrow(&self) -> &str {
        &self.0.encoded
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.encoded)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefName({})", self.0.encoded)
    }
}

impl FromStr for RefName {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn segments_are_escaped() {
        let name = RefName::new("a/b", "thread", ["x y", "..", "é%"]).unwrap();
        assert_eq!(name.encoded(), "a%2Fb/thread/x%20y/../%C3%A9%25");
        assert_eq!(
            RefName::parse(name.encoded()).unwrap().parts(),
            ["x y", "..", "é%"]
        );
        assert_eq!(name.unscoped(), "thread/x%20y/../%C3%A9%25");
        let bare = RefName::new("main", "catalog", [""; 0]).unwrap();
        assert_eq!(bare.unscoped(), "catalog/");
        assert_eq!(bare.encoded(), "main/catalog/");
        assert_eq!(RefName::parse("main/catalog/").unwrap(), bare);
    }

    #[test]
    fn names_that_are_not_ones_are_refused() {
        let invalid = |scope, kind, parts: &[&str]| {
            let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            assert!(
                matches!(
                    RefName::new(scope, kind, parts),
                    Err(StoreError::Invalid { .. })
                ),
                "{scope:?} {kind:?}"
            );
        };
        invalid("", "thread", &["x"]);
        invalid(" \t", "thread", &["x"]);
        invalid("main", "", &["x"]);
        invalid("main", "Thread", &["x"]);
        invalid("main", "a/b", &["x"]);
        invalid("main", "thread", &[""]);
        invalid("main", "thread", &["x", "\u{a0}"]);
        for text in [
            "",
            "main",
            "main/thread",
            "main/thread//",
            "main/thread/a/",
            "/thread/a",
            "main/thread/%2f",
            "main/thread/%41",
            "main/thread/%F",
            "main/thread/%FF",
            "main/thread/é",
            "main/th%72ead/a",
            "main/thread/+1",
        ] {
            assert!(
                matches!(RefName::parse(text), Err(StoreError::Invalid { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_limit_is_on_the_encoded_text() {
        let fixed = "main/thread/".len();
        assert!(RefName::new("main", "thread", ["x".repeat(NAME_BYTES_MAX - fixed)]).is_ok());
        for part in ["x".repeat(NAME_BYTES_MAX - fixed + 1), "é".repeat(200)] {
            let refused = RefName::new("main", "thread", [part]).unwrap_err();
            assert!(
                matches!(refused, StoreError::LimitExceeded { limit: 1024, .. }),
                "{refused:?}"
            );
        }
        let longest = "x".repeat(SCOPE_BYTES_MAX);
        assert!(RefName::new(&longest, "connector-catalog-readmodel", [""; 0]).is_ok());
        let room = "y".repeat(NAME_BYTES_MAX - SCOPE_BYTES_MAX - "/thread/".len());
        let name = RefName::new(&longest, "thread", [room]).unwrap();
        assert_eq!(name.encoded().len(), NAME_BYTES_MAX);
        assert_eq!(RefName::parse(name.encoded()).unwrap(), name);
        check_written_scope(&longest).unwrap();
        for scope in ["x".repeat(SCOPE_BYTES_MAX + 1), "é".repeat(150)] {
            let refused = check_written_scope(&scope);
            assert!(
                matches!(refused, Err(StoreError::LimitExceeded { limit: 896, .. })),
                "{refused:?}"
            );
            // It can be read.
            check_scope(&scope).unwrap();
            let there = RefName::new(&scope, "thread", ["y"]).unwrap();
            assert_eq!(RefName::parse(there.encoded()).unwrap(), there);
        }
        for scope in ["x".repeat(NAME_BYTES_MAX + 1), "é".repeat(200)] {
            for refused in [
                RefName::new(&scope, "thread", ["y"]),
                check_scope(&scope).map(|()| name.clone()),
            ] {
                assert!(
                    matches!(refused, Err(StoreError::LimitExceeded { limit: 1024, .. })),
                    "{refused:?}"
                );
            }
        }
        assert!(matches!(
            RefName::parse(&"x".repeat(2000)),
            Err(StoreError::LimitExceeded { .. })
        ));
    }

    #[test]
    fn a_listing_finds_its_own_kind_only() {
        let prefix = listing_prefix("main", "thread");
        let end = format!("{}0", prefix.strip_suffix('/').unwrap());
        let inside =
            |name: RefName| name.encoded() >= prefix.as_str() && name.encoded() < end.as_str();
        assert!(inside(RefName::new("main", "thread", [""; 0]).unwrap()));
        assert!(inside(RefName::new("main", "thread", ["~", "~"]).unwrap()));
        assert!(!inside(RefName::new("main", "thread-key", ["a"]).unwrap()));
        assert!(!inside(RefName::new("main", "thread.x", ["a"]).unwrap()));
        assert!(!inside(RefName::new("main2", "thread", ["a"]).unwrap()));
    }

    fn part() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ab/%.]{1,3}",
            "\\PC{1,6}",
            any::<char>().prop_map(String::from)
        ]
        .prop_filter("not blank", |part| !part.trim().is_empty())
    }

    proptest! {
        #[test]
        fn a_name_parses_back(scope in part(), kind in "[a-z0-9.-]{1,4}", parts in prop::collection::vec(part(), 0..4)) {
            let name = RefName::new(&scope, &kind, parts.clone()).unwrap();
            let again = RefName::parse(name.encoded()).unwrap();
            prop_assert_eq!(again.scope(), scope.as_str());
            prop_assert_eq!(again.kind(), kind.as_str());
            prop_assert_eq!(again.parts(), parts.as_slice());
            prop_assert!(name.encoded().is_ascii());
        }

        #[test]
        fn different_names_have_different_texts(
            left in (part(), "[ab]{1,2}", prop::collection::vec(part(), 0..3)),
            right in (part(), "[ab]{1,2}", prop::collection::vec(part(), 0..3)),
        ) {
            let text = |name: &(String, String, Vec<String>)| RefName::new(&name.0, &name.1, name.2.clone()).unwrap().encoded().to_owned();
            prop_assert_eq!(left == right, text(&left) == text(&right));
        }

        #[test]
        fn any_text_parses_to_itself_or_not_at_all(text in "[a/%2FéE.]{0,20}") {
            if let Ok(name) = RefName::parse(&text) {
                prop_assert_eq!(name.encoded(), text.as_str());
            }
        }
    }
}
