//! The golden file, which another implementation of CAR, DAG-CBOR and BLAKE3 wrote.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

fn golden() -> (Vec<u8>, Value) {
    let about = fs::read_to_string(vectors().join("export.json")).unwrap();
    (
        fs::read(vectors().join("export.car")).unwrap(),
        serde_json::from_str(&about).unwrap(),
    )
}

#[test]
fn its_sections_are_those_that_are_told() {
    let (bytes, about) = golden();
    let (roots, sections) = taken_apart(&bytes);
    assert_eq!(roots[0].to_string(), about["root"].as_str().unwrap());
    let told: Vec<(String, u64)> = about["sections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|section| {
            let cid = section["cid"].as_str().unwrap().to_owned();
            (cid, section["size"].as_u64().unwrap())
        })
        .collect();
    let found: Vec<(String, u64)> = sections
        .iter()
        .map(|(cid, bytes)| (cid.to_string(), bytes.len() as u64))
        .collect();
    assert_eq!(found, told);
}

#[test]
fn it_is_imported_and_comes_out_byte_for_byte() {
    let (bytes, about) = golden();
    let reversed = fs::read(vectors().join("export-reversed.car")).unwrap();
    assert!(reversed != bytes);
    for file in [&bytes, &reversed] {
        let here = fresh();
        let report = imported(&here, file).unwrap();
        assert_eq!(report.new_receipts, 1);
        let threads = about["threads"].as_array().unwrap();
        assert_eq!(report.threads.len(), threads.len());
        for told in threads {
            let thread = here.get(told["id"].as_str().unwrap()).unwrap();
            let info = thread.info();
            assert_eq!(info.key.as_deref(), told["key"].as_str());
            assert_eq!(info.status.as_str(), told["status"].as_str().unwrap());
            let from = info
                .forked_from
                .map(|(id, step)| serde_json::json!([id, step]));
            assert_eq!(from.unwrap_or(Value::Null), told["forked_from"]);
            let steps: Vec<Value> = thread
                .steps()
                .map(|step| {
                    let step = step.unwrap();
                    let Content::Text(text) = step.content(thread.store()).unwrap() else {
                        panic!()
                    };
                    let (cid, role) = (step.cid.to_string(), step.role());
                    serde_json::json!({"number": step.number, "cid": cid, "role": role, "text": text})
                })
                .collect();
            assert_eq!(&steps, told["steps"].as_array().unwrap());
            let failure =
                thread
                    .failure()
                    .unwrap()
                    .map(|step| match step.content(thread.store()).unwrap() {
                        Content::Text(text) => text,
                        other => panic!("{other:?}"),
                    });
            assert_eq!(failure.as_deref(), told["failure"].as_str());
        }
        let (out, again) = exported(&here, None);
        assert_eq!(out.root.to_string(), about["root"].as_str().unwrap());
        assert!(again == bytes);
        assert_sound(&here);

        // The receipt's key and payload were computed elsewhere: the command counts as done.
        let command = &about["command"];
        let text = |name: &str| command[name].as_str().unwrap();
        let thread = here.get(text("thread")).unwrap();
        let before = state(&here);
        thread
            .cancel(text("reason"), Some(text("id")))
            .unwrap()
            .wait()
            .unwrap();
        assert_eq!(state(&here), before);
        let anew = thread
            .cancel(text("reason"), None)
            .and_then(|pending| pending.wait());
        assert!(anew.is_err(), "it is over");
    }
}
