//! Power failures: at every sync and every answer of a scripted life, whatever the disk lost.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod crash;

use std::path::Path;
use std::sync::Arc;

use crash::life::{self, LIFE, Living};
use crash::{behind, picture, recorder};
use treering_store::faults::{Event, Image, Loss, Recorder, Trace};

/// A life that went well: what happened, and the state after each act (the first: nothing done yet).
struct Lived {
    trace: Trace,
    pictures: Vec<String>,
}

fn live(prepare: impl FnOnce(&Recorder)) -> Lived {
    let root = tempfile::tempdir().unwrap();
    let recorder = recorder(root.path());
    prepare(&recorder);
    live_behind(root.path(), &recorder)
}

fn live_behind(root: &Path, recorder: &Arc<Recorder>) -> Lived {
    let (path, options) = (root.join("deep/store"), behind(recorder));
    let mut living = Living::begin(&path, &options).unwrap();
    let mut pictures = vec![picture(living.store()).unwrap()];
    for (at, act) in LIFE.iter().enumerate() {
        recorder.mark(life::begun(at));
        let mark = Some((recorder, life::answered(at)));
        living.act(*act, &path, &options, mark).unwrap();
        pictures.push(picture(living.store()).unwrap());
    }
    drop(living);
    Lived {
        trace: recorder.trace(),
        pictures,
    }
}

/// What a store may hold at a moment of a life: not less than was answered as durable, not more than
/// was begun. In `pictures` the state before act `n` is number `n`.
#[derive(Default)]
struct Bounds {
    least: usize,
    most: usize,
}

impl Bounds {
    fn note(&mut self, event: &Event) {
        let Event::Mark(mark) = event else { return };
        for (at, act) in LIFE.iter().enumerate() {
            if *mark == life::begun(at) {
                self.most = at + 1;
            } else if *mark == life::answered(at) && act.is_durable() {
                self.least = at + 1;
            }
        }
    }

    fn allowed<'l>(&self, lived: &'l Lived) -> Vec<&'l str> {
        lived.pictures[self.least..=self.most]
            .iter()
            .map(String::as_str)
            .collect()
    }
}

/// Fails at every moment that `at` names with every loss that it names; how often, and what was found.
fn fail_everywhere(
    lived: &Lived,
    losses: impl Fn(usize, &Event, Option<&Event>) -> Vec<Loss>,
) -> (usize, Vec<String>) {
    let (mut image, mut bounds) = (Image::new(), Bounds::default());
    let (mut crashes, mut faults) = (0, Vec::new());
    let first = lived
        .trace
        .iter()
        .position(|event| *event == Event::Mark(life::begun(0)));
    for (at, event) in lived.trace.iter().enumerate() {
        image.apply(event);
        bounds.note(event);
        let next = lived.trace.get(at + 1);
        for loss in losses(at, event, next) {
            // Before the store was made there may be none: it is made again then.
            if at < first.unwrap() && image.losable() == 0 {
                continue;
            }
            crashes += 1;
            if let Err(why) = crash::crash(&image, loss, &bounds.allowed(lived)) {
                faults.push(format!("after event {at} ({}): {why}", short(event)));
            }
        }
    }
    (crashes, faults)
}

fn short(event: &Event) -> String {
    match event {
        Event::Write {
            path,
            offset,
            bytes,
        } => format!("Write {} {offset}+{}", path.display(), bytes.len()),
        other => format!("{other:?}"),
    }
}

fn assert_none(faults: &[String], crashes: usize) {
    let shown = faults
        .iter()
        .take(5)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        faults.is_empty(),
        "{} of {crashes} crashes:\n{shown}",
        faults.len()
    );
}

/// Before a sync most can be lost; after an answer nothing may be.
fn is_moment(event: &Event, next: Option<&Event>) -> bool {
    next.is_none_or(Event::is_sync) || matches!(event, Event::Mark(_))
}

#[test]
fn everything_unsynced_lost_or_kept_at_every_sync() {
    let lived = live(|_| {});
    let (crashes, faults) = fail_everywhere(&lived, |_, event, next| {
        if is_moment(event, next) {
            vec![Loss::All, Loss::Nothing]
        } else {
            vec![]
        }
    });
    assert_none(&faults, crashes);
    assert!(crashes > 200, "{crashes}");
}

#[test]
fn any_sectors_lost_at_every_sync() {
    let lived = live(|_| {});
    let (crashes, faults) = fail_everywhere(&lived, |at, event, next| {
        if is_moment(event, next) {
            let seed = at as u64 * 1000;
            let random = (0..8).map(|dice| Loss::Random(seed + dice));
            random
                .chain((0..3).map(|dice| Loss::Torn(seed + 500 + dice)))
                .collect()
        } else {
            vec![]
        }
    });
    assert_none(&faults, crashes);
    assert!(crashes > 1000, "{crashes}");
}

#[test]
fn a_disk_that_forgets_is_found_out() {
    type Rule = fn(&Path) -> bool;
    let forgotten: [(&str, Rule); 4] = [
        ("everything", |_| true),
        ("the log", |path| path.to_string_lossy().ends_with("-wal")),
        ("large blocks", |path| path.starts_with("deep/store/blobs")),
        ("names", |path| {
            !path.to_string_lossy().contains("store.db") && !path.starts_with("deep/store/blobs")
        }),
    ];
    for (what, rule) in forgotten {
        let lived = live(|recorder| recorder.forget_syncs(rule));
        let (crashes, faults) = fail_everywhere(&lived, |_, event, _| {
            if matches!(event, Event::Mark(_)) {
                vec![Loss::All]
            } else {
                vec![]
            }
        });
        assert!(crashes > 20);
        assert!(!faults.is_empty(), "{what}: {crashes} crashes lost nothing");
    }
}
