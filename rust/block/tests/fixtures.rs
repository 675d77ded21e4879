//! The specification's published cross-codec fixtures: every case in DAG-CBOR and in DAG-JSON.
//!
//! `TREERING_IPLD_FIXTURES` names their folder: one folder a case, in it one file a codec, named by
//! its CID (sha2-256).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod dag_json;

use std::path::{Path, PathBuf};

use treering_block::{Encoded, Ipld, cbor};

/// Cases there are at least; fewer means that the folder is not the right one.
const CASES_MIN: usize = 100;

fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("TREERING_IPLD_FIXTURES") {
        return Some(folder.into());
    }
    assert!(
        std::env::var_os("CI").is_none_or(|value| value != "true"),
        "TREERING_IPLD_FIXTURES is not set: in CI the IPLD fixtures must be there"
    );
    eprintln!("skipped: published_fixtures (TREERING_IPLD_FIXTURES is not set)");
    None
}

fn file_of(case: &Path, extension: &str) -> Option<Vec<u8>> {
    let mut files = std::fs::read_dir(case)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = files.find(|file| file.extension().is_some_and(|found| found == extension))?;
    Some(std::fs::read(file).unwrap())
}

#[test]
fn published_fixtures() {
    let Some(folder) = folder() else { return };
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    let (mut in_cbor, mut in_json) = (0, 0);
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let cbor_bytes = file_of(case, "dag-cbor");
        let json_bytes = file_of(case, "dag-json");
        let mut values: Vec<Ipld> = Vec::new();
        if let Some(bytes) = &cbor_bytes {
            let value = cbor::decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                &cbor::encode(&value).unwrap(),
                bytes,
                "{name}: DAG-CBOR again"
            );
            let encoded = Encoded::decode_from(&bytes[..]).unwrap();
            assert_eq!(
                cbor::links(bytes).unwrap(),
                encoded.links(),
                "{name}: links"
            );
            values.push(value);
            in_cbor += 1;
        }
        if let Some(bytes) = &json_bytes {
            let text = std::str::from_utf8(bytes).unwrap();
            let value = dag_json::decode(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                dag_json::encode(&value).unwrap(),
                text,
                "{name}: DAG-JSON again"
            );
            values.push(value);
            in_json += 1;
        }
        if let [from_cbor, from_json] = &values[..] {
            assert_eq!(from_cbor, from_json, "{name}: the codecs disagree");
        }
    }
    assert!(
        cases.len() >= CASES_MIN && in_cbor >= CASES_MIN && in_json >= CASES_MIN,
        "{folder:?}: {in_cbor}, {in_json}"
    );
    eprintln!("{in_cbor} DAG-CBOR and {in_json} DAG-JSON fixtures passed");
}
