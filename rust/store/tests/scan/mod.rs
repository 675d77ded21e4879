//! Looks for a text in every file below a directory, in whatever form it may stand there: as it is, and in what the
//! journal's sealed files hold compressed.
#![allow(
    dead_code, // Each test binary uses its part.
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs;
use std::path::Path;

/// Where the text stands: files below `root`, each once for each form.
pub fn find(root: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    visit(root, root, text.as_bytes(), &mut found);
    found.sort();
    found
}

/// The same for many texts.
pub fn find_any(root: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for text in texts {
        let places = find(root, text);
        found.extend(places.into_iter().map(|place| format!("{text} in {place}")));
    }
    found
}

fn visit(root: &Path, folder: &Path, text: &[u8], found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if name.as_bytes().windows(text.len()).any(|part| part == text) {
            found.push(format!("the name {name}"));
        }
        if path.is_dir() {
            visit(root, &path, text, found);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        if holds(&bytes, text) {
            found.push(name.clone());
        }
        if bytes.starts_with(b"ringjrnl") {
            // Header of 100 bytes, one raw deflate stream, a digest of 32.
            let packed = &bytes[100..bytes.len() - 32];
            let rows = miniz_oxide::inflate::decompress_to_vec(packed).unwrap();
            if holds(&rows, text) {
                found.push(format!("{name}, unpacked"));
            }
        }
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == text[0]) {
        rest = &rest[at..];
        if rest.starts_with(text) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
