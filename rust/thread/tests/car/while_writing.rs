//! An export while others write is the state of one moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::*;

const ROUNDS: u64 = 30;
/// Turns of the writer in each.
const TURNS: u64 = 20;

/// Whatever fails, the writer is let go.
struct Opened<'a>(&'a AtomicU64);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }
}

#[test]
fn what_is_exported_was_true_at_one_moment() {
    let there = fresh();
    let pair = [begun(&there, "a"), begun(&there, "b")];
    // How many turns the writer may take; it is busy while each export runs and waits in between.
    let allowed = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while number < ROUNDS * TURNS {
                while number >= allowed.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
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
        let _gate = Opened(&allowed);
        let mut lengths = Vec::new();
        for _ in 0..ROUNDS {
            allowed.fetch_add(TURNS, Ordering::Relaxed);
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
        assert!(lengths.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(lengths.last() > lengths.first(), "nobody wrote meanwhile");
    });
}
