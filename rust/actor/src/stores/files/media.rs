//! Media types of files: by the ending of a name, the same on every machine, and which of them are text.

use crate::error::{ActorError, Result};

/// Bytes of a media type.
pub const TYPE_BYTES_MAX: usize = 255;

/// What nothing is known of.
const UNKNOWN: &str = "application/octet-stream";

/// Endings, and what they stand for.
const TYPES: [(&str, &str); 62] = [
    ("aac", "audio/aac"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("c", "text/x-c"),
    ("cfg", "text/plain"),
    ("conf", "text/plain"),
    ("cpp", "text/x-c++"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("diff", "text/x-diff"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("gif", "image/gif"),
    ("go", "text/x-go"),
    ("gz", "application/gzip"),
    ("h", "text/x-c"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ini", "text/plain"),
    ("java", "text/x-java"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("log", "text/plain"),
    ("m4a", "audio/mp4"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ndjson", "application/jsonl"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("parquet", "application/vnd.apache.parquet"),
    ("patch", "text/x-diff"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("proto", "text/plain"),
    ("py", "text/x-python"),
    ("rs", "text/x-rust"),
    ("rst", "text/x-rst"),
    ("sh", "application/x-sh"),
    ("sql", "application/sql"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("ts", "text/x-typescript"),
    ("tsv", "text/tab-separated-values"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
];

/// Types outside `text/` whose bytes are text.
const TEXTS: [&str; 11] = [
    "application/ecmascript",
    "application/javascript",
    "application/json",
    "application/jsonl",
    "application/sql",
    "application/toml",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-yaml",
    "application/xml",
    "application/yaml",
];

/// The type that the ending of a path stands for, in any case.
pub fn of_path(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = match name.rsplit_once('.') {
        // A hidden file has no ending.
        Some((before, ending)) if !before.is_empty() => ending.to_ascii_lowercase(),
        _ => return UNKNOWN,
    };
    match TYPES.binary_search_by(|(known, _)| known.cmp(&ending.as_str())) {
        Ok(place) => TYPES.get(place).map_or(UNKNOWN, |(_, media)| media),
        Err(_) => UNKNOWN,
    }
}

/// What a caller says, without blanks around it. Errors: `InvalidCommand` for what is no media type.
pub fn check(media: &str) -> Result<String> {
    let media = media.trim();
    let fault = |rule: &str| Err(ActorError::invalid("content_type", media, rule.to_owned()));
    if media.len() > TYPE_BYTES_MAX {
        return fault("it has more than 255 bytes");
    }
    if !media.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return fault("it holds other than printable ASCII");
    }
    let token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    match essence(media).split_once('/') {
        Some((kind, name)) if token(kind) && token(name) => Ok(media.to_owned()),
        _ => fault("it is no media type, such as text/markdown"),
    }
}

/// Without what follows a semicolon.
fn essence(media: &str) -> &str {
    media.split(';').next().unwrap_or_default().trim_end()
}

/// Whether bytes of that type are looked into as text.
pub fn is_text(media: &str) -> bool {
    let media = essence(media).to_ascii_lowercase();
    media.starts_with("text/")
        || TEXTS.contains(&media.as_str())
        || media.ends_with("+json")
        || media.ends_with("+xml")
        || media.ends_with("+yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_found() {
        assert!(TYPES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (path, media) in [
            ("a/notes.md", "text/markdown"),
            ("A.PNG", "image/png"),
            ("archive.tar.gz", "application/gzip"),
            ("Makefile", UNKNOWN),
            (".gitignore", UNKNOWN),
            ("a.py/b", UNKNOWN),
            ("a.", UNKNOWN),
            ("a.unheard", UNKNOWN),
        ] {
            assert_eq!(of_path(path), media, "{path}");
        }
        for (_, media) in TYPES {
            assert_eq!(check(media).unwrap(), media);
        }
    }

    #[test]
    fn what_is_said_is_a_media_type() {
        assert_eq!(
            check(" text/plain; charset=utf-8 ").unwrap(),
            "text/plain; charset=utf-8"
        );
        for wrong in [
            "",
            "text",
            "text/",
            "/plain",
            "a b/c",
            "text/plain\r\nX: y",
            "t\u{e9}xt/plain",
        ] {
            check(wrong).unwrap_err();
        }
        assert!(check(&format!("text/{}", "a".repeat(250))).is_ok());
        check(&format!("text/{}", "a".repeat(251))).unwrap_err();
    }

    #[test]
    fn text_is_told_from_other_bytes() {
        for text in [
            "text/x-rust",
            "TEXT/HTML; charset=x",
            "application/ld+json",
            "image/svg+xml",
            "application/toml",
        ] {
            assert!(is_text(text), "{text}");
        }
        for other in [
            UNKNOWN,
            "image/png",
            "application/pdf",
            "application/textual",
        ] {
            assert!(!is_text(other), "{other}");
        }
    }
}
