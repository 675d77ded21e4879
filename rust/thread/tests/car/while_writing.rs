//! An export while others write is the state of one moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

#[test]
fn what_is_exported_was_true_at_one_moment() {
    let there = fresh();
    let pair = [begun(&there, "a"), begun(&there, "b")];
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                // Both, in one commit; then threads that come and go.
                let mut batch = there.batch();
                for thread in &pair {
                    let draft = batch.thread(thread).unwrap();
                    let step = StepArgs::new("a", number.to_string().as_str());
                    batch.append(draft, step).unwrap();
                }
                let id = format!("turn {number}");
                batch
                    .commit(Some(&id), Durability::Durable)
                    .unwrap()
                    .wait()
                    .unwrap();
                let brief = begun(&there, "brief");
                brief.rm(false, None).unwrap().wait().unwrap();
                number += 1;
            }
        });
        let mut lengths = Vec::new();
        for _ in 0..40 {
            let (out, bytes) = exported(&there, None);
            let here = fresh();
            let report = imported(&here, &bytes).unwrap();
            assert_eq!(
                (report.threads.len() as u64, report.receipts_left),
                (out.threads.len() as u64, 0)
            );
            let length = |key: &str| here.by_key(key).unwrap().unwrap().len();
            assert_eq!(length("a"), length("b"), "two moments");
            assert_eq!(
                length("a"),
                report.new_receipts,
                "steps without receipts, or the reverse"
            );
            lengths.push(length("a"));
            assert_sound(&here);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(lengths.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(lengths.last() > lengths.first(), "nobody wrote meanwhile");
    });
}
