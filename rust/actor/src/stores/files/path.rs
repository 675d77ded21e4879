//! Which texts are paths of files.
//!
//! A path is its own URL path: segments between slashes, each of unreserved characters (letters, digits, `-._~`) and,
//! for all others, percent codes, as Python's `urllib.parse.quote` writes them. So every name has exactly one path,
//! and no decoding on the way, here or in a server, turns one path into another.

use crate::error::{ActorError, Result};

/// UTF-8 bytes of a path.
pub const PATH_BYTES_MAX: usize = 1024;

/// Folders that show other stores, and can't be written to.
pub const VIEWS: [&str; 2] = ["workflows", "scripts"];

/// Errors: `InvalidCommand` for what is no path, with the rule that it breaks.
pub fn check(path: &str) -> Result<()> {
    match fault(path) {
        None => Ok(()),
        Some(rule) => Err(ActorError::invalid("path", path, rule)),
    }
}

/// The same, of a path that is written to.
pub fn check_writable(path: &str) -> Result<()> {
    check(path)?;
    let folder = path.split('/').next().unwrap_or_default();
    match VIEWS.iter().find(|view| **view == folder) {
        None => Ok(()),
        Some(view) => Err(ActorError::invalid(
            "path",
            path,
            format!("{view}/ shows what scope.{view} holds: upload it there"),
        )),
    }
}

fn fault(path: &str) -> Option<String> {
    if path.trim().is_empty() {
        return Some("it is blank".into());
    }
    if path.len() > PATH_BYTES_MAX {
        let length = path.len();
        return Some(format!("it has {length} bytes, at most {PATH_BYTES_MAX}"));
    }
    if path.starts_with('/') {
        return Some("it begins with a slash".into());
    }
    path.split('/').find_map(segment_fault)
}

fn segment_fault(segment: &str) -> Option<String> {
    match segment {
        "" => return Some("a segment is empty".into()),
        "." | ".." => return Some(format!("a segment is {segment:?}")),
        _ => {}
    }
    let mut name = Vec::with_capacity(segment.len());
    let mut letters = segment.bytes();
    while let Some(letter) = letters.next() {
        match letter {
            b'%' => match code(&mut letters) {
                Ok(byte) => name.push(byte),
                Err(rule) => return Some(rule),
            },
            _ if is_unreserved(letter) => name.push(letter),
            0 => return Some("it holds a NUL".into()),
            _ => {
                return Some(
                    "it is no URL path: write it as urllib.parse.quote(path) does, a space as %20"
                        .into(),
                );
            }
        }
    }
    match std::str::from_utf8(&name) {
        Ok(_) => None,
        Err(_) => Some("its percent codes are not UTF-8".into()),
    }
}

/// The byte of a percent code, which stands for what can't be written plainly, and is no danger when it is decoded.
fn code(letters: &mut impl Iterator<Item = u8>) -> Result<u8, String> {
    let mut digit = || {
        let letter = letters
            .next()
            .filter(|letter| letter.is_ascii_digit() || matches!(letter, b'A'..=b'F'));
        letter.and_then(|letter| char::from(letter).to_digit(16))
    };
    let (Some(high), Some(low)) = (digit(), digit()) else {
        return Err("a percent sign is followed by two of 0-9 and A-F; itself it is %25".into());
    };
    let byte = u8::try_from(high * 16 + low).unwrap_or_default();
    match byte {
        b'/' | b'\\' => Err("a percent code stands for a slash".into()),
        0..=0x1f | 0x7f => Err("a percent code stands for a control character".into()),
        _ if is_unreserved(byte) => Err(format!(
            "%{byte:02X} is {:?}, which is written as it is",
            char::from(byte)
        )),
        _ => Ok(byte),
    }
}

fn is_unreserved(letter: u8) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'.' | b'_' | b'~')
}

/// The path of an id in a view; None for an id that has none.
pub(super) fn in_view(view: &str, id: &str) -> Option<String> {
    let mut path = format!("{view}/");
    for byte in id.bytes() {
        if is_unreserved(byte) || byte == b'/' {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    fault(&path).is_none().then_some(path)
}

/// The id behind a path in a view.
pub(super) fn id_of<'p>(view: &str, path: &'p str) -> Option<String> {
    let written: &'p str = path.strip_prefix(view)?.strip_prefix('/')?;
    let mut id = Vec::with_capacity(written.len());
    let mut letters = written.bytes();
    while let Some(letter) = letters.next() {
        id.push(match letter {
            b'%' => code(&mut letters).ok()?,
            letter => letter,
        });
    }
    String::from_utf8(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: [&str; 12] = [
        "a",
        "a/b/c.txt",
        "~home/.hidden/-dash_",
        "...",
        "a..b/..c",
        "%20",
        "M%C3%A4rz.pdf",
        "100%25",
        "%252e%252e",
        "a%3Fb%23c",
        "%F0%9F%8C%B3",
        "workflows.txt",
    ];

    const HOSTILE: [(&str, &str); 39] = [
        ("", "blank"),
        (" ", "blank"),
        ("/", "begins with a slash"),
        ("/etc/passwd", "begins with a slash"),
        ("//host/share", "begins with a slash"),
        ("a//b", "a segment is empty"),
        ("a/", "a segment is empty"),
        (".", "a segment is \".\""),
        ("..", "a segment is \"..\""),
        ("./a", "a segment is \".\""),
        ("a/../b", "a segment is \"..\""),
        ("a/..", "a segment is \"..\""),
        ("%2e%2e/a", "0-9 and A-F"),
        ("%2E%2E/a", "written as it is"),
        (".%2E/a", "written as it is"),
        ("a%2Fb", "a slash"),
        ("a%5C..%5Cb", "a slash"),
        ("a\\b", "no URL path"),
        ("C:\\windows", "no URL path"),
        ("C:", "no URL path"),
        ("a\0b", "NUL"),
        ("\0", "NUL"),
        ("a%00b", "control"),
        ("a%0D%0ASet-Cookie", "control"),
        ("a%7F", "control"),
        ("a\nb", "no URL path"),
        ("a\tb", "no URL path"),
        ("a b", "no URL path"),
        ("März", "no URL path"),
        ("a\u{202e}b", "no URL path"),
        ("a\u{2215}b", "no URL path"),
        ("a?b=c", "no URL path"),
        ("a#b", "no URL path"),
        ("a:b", "no URL path"),
        ("file(1)", "no URL path"),
        ("%", "two of"),
        ("%4", "two of"),
        ("%C3", "not UTF-8"),
        ("%ED%A0%80", "not UTF-8"),
    ];

    #[test]
    fn paths_are_urls_without_a_way_out() {
        for path in SOUND {
            assert_eq!(fault(path), None, "{path:?}");
        }
        for (path, rule) in HOSTILE {
            let told = fault(path).unwrap_or_default();
            assert!(told.contains(rule), "{path:?}: {told:?}, not {rule:?}");
        }
    }

    #[test]
    fn a_path_has_1024_bytes_at_most() {
        let long = "a/".repeat(PATH_BYTES_MAX / 2 - 1) + "bb";
        assert_eq!((long.len(), fault(&long)), (PATH_BYTES_MAX, None));
        assert!(fault(&(long + "b")).unwrap().contains("at most 1024"));
    }

    #[test]
    fn views_are_not_written_to() {
        for path in ["workflows/a", "scripts/a/b", "workflows", "scripts"] {
            let error = check_writable(path).unwrap_err().to_string();
            assert!(error.contains("upload it there"), "{error}");
        }
        for path in ["workflows.yaml", "my/workflows/a", "Scripts/a"] {
            check_writable(path).unwrap();
        }
    }

    #[test]
    fn ids_have_one_path_each_or_none() {
        for id in [
            "a",
            "a/b",
            "März 1",
            "100%",
            "a%20b",
            "?",
            "🌳",
            "a\u{2215}b",
        ] {
            let path = in_view("scripts", id).unwrap();
            assert_eq!(id_of("scripts", &path).as_deref(), Some(id), "{path}");
            assert_eq!(id_of("workflows", &path), None);
        }
        for id in ["..", "a/../b", "/a", "a//b", "a\0", "a\\b", "a\nb", "."] {
            assert_eq!(in_view("scripts", id), None, "{id:?}");
        }
        assert_eq!(in_view("scripts", &"a".repeat(PATH_BYTES_MAX)), None);
    }
}
