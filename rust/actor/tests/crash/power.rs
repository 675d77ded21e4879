//! Power failures: at every sync and every answer of the life, whatever the disk lost.

use std::sync::Arc;

use treering_actor::Receipt;
use treering_store::faults::{Cuts, Event, Image, Loss, Recorder, Trace};

use crate::checks;
use crate::life::{Act, HISTORY_EVENTS, Home, LIFE};

/// A life that went well: what happened on the disk, the state after each act (the first: none yet), its receipts.
struct Lived {
    history_events: Option<u64>,
    trace: Trace,
    pictures: Vec<String>,
    receipts: Vec<Vec<Receipt>>,
}

/// Marks in the trace: an act begins, an act was answered.
fn begun(at: usize) -> u64 {
    at as u64 * 2
}

fn answered(at: usize) -> u64 {
    at as u64 * 2 + 1
}

fn live(history_events: Option<u64>, prepare: impl FnOnce(&Recorder)) -> Lived {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new(root.path()).unwrap());
    prepare(&recorder);
    let home = Home::behind(root.path(), &recorder, history_events);
    let mut living = home.open().unwrap();
    let mut pictures = vec![checks::picture(&living).unwrap()];
    let mut receipts = Vec::new();
    for (at, act) in LIFE.iter().enumerate() {
        recorder.mark(begun(at));
        receipts.push(if *act == Act::Reopen {
            drop(living);
            living = home.open().unwrap();
            Vec::new()
        } else {
            living.act(at, *act).unwrap()
        });
        recorder.mark(answered(at));
        pictures.push(checks::picture(&living).unwrap());
    }
    Lived {
        history_events,
        trace: recorder.trace(),
        pictures,
        receipts,
    }
}

/// So many acts of the life were answered and begun when the power failed.
fn crash(
    image: &Image,
    loss: Loss,
    lived: &Lived,
    answered: usize,
    begun: usize,
) -> Result<(), String> {
    let root = tempfile::tempdir().unwrap();
    image.materialise(loss, root.path()).unwrap();
    // Nobody turns the power off again: the real disk need not be asked.
    let recorder = Arc::new(Recorder::without_trace());
    let home = Home::behind(root.path(), &recorder, lived.history_events);
    let living = home
        .open()
        .map_err(|error| format!("it does not open: {error}"))?;
    let allowed = &lived.pictures[answered..=begun];
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    let before = allowed[checks::is_one_of(&living, &allowed)?];
    checks::goes_on(&living, &lived.receipts[..answered], before)
}

/// Fails at every moment with every loss that `losses` names for it; how often, and what was found.
fn fail_everywhere(
    lived: &Lived,
    losses: impl Fn(u64, &Event) -> Vec<Loss>,
) -> (usize, Vec<String>) {
    let mut cuts = Cuts::new(Image::new(), lived.trace.clone());
    let (mut crashes, mut faults) = (0, Vec::new());
    while let Some(cut) = cuts.next_cut() {
        let count = |marks: fn(usize) -> u64| {
            let met = (0..LIFE.len()).filter(|at| cut.marks.contains(&marks(*at)));
            met.count()
        };
        let (least, most) = (count(answered), count(begun));
        // Before the store was made there may be none: it is made again then.
        if most == 0 && cut.image.losable() == 0 {
            continue;
        }
        for loss in losses(cut.after as u64, cut.event) {
            crashes += 1;
            if let Err(why) = crash(cut.image, loss, lived, least, most) {
                let act = LIFE.get(most.saturating_sub(1));
                faults.push(format!(
                    "after event {}, {act:?}, {loss:?}: {why}",
                    cut.after
                ));
            }
        }
    }
    (crashes, faults)
}

fn assert_none(faults: &[String], crashes: usize) {
    eprintln!("{crashes} crashes, {} faults", faults.len());
    let shown: Vec<&str> = faults.iter().take(4).map(String::as_str).collect();
    assert!(
        faults.is_empty(),
        "{} of {crashes} crashes:\n{}",
        faults.len(),
        shown.join("\n")
    );
}

#[test]
fn everything_unsynced_lost_or_kept_at_every_sync() {
    let lived = live(None, |_| {});
    let (crashes, faults) = fail_everywhere(&lived, |_, _| vec![Loss::All, Loss::Nothing]);
    assert_none(&faults, crashes);
    assert!(crashes > 200, "{crashes}");
}

#[test]
fn everything_unsynced_lost_or_kept_while_history_ends() {
    let lived = live(HISTORY_EVENTS, |_| {});
    // Of each of these what the log begins with is newer than what was there before the last act on all of them.
    for actor in [
        "user-config",
        "agent-registry",
        "participants",
        "user-memory",
        "workflow",
        "script",
        "chat [\"c\"",
    ] {
        let base = |picture: &String| -> u64 {
            let line = picture
                .lines()
                .find(|line| line.starts_with(actor))
                .unwrap();
            let begins = line.split("] ").nth(1).unwrap();
            begins.split("..").next().unwrap().parse().unwrap()
        };
        let together = LIFE
            .iter()
            .position(|act| *act == Act::Together(8))
            .unwrap();
        let (before, after) = (&lived.pictures[together], &lived.pictures[together + 1]);
        assert!(base(before) < base(after), "{actor} was not cut off");
    }
    let (crashes, faults) = fail_everywhere(&lived, |_, _| vec![Loss::All, Loss::Nothing]);
    assert_none(&faults, crashes);
    assert!(crashes > 200, "{crashes}");
}

#[test]
#[ignore = "takes a minute"]
fn any_sectors_lost_at_every_sync() {
    let lived = live(None, |_| {});
    let (crashes, faults) = fail_everywhere(&lived, |after, _| {
        vec![
            Loss::Random(after * 10),
            Loss::Random(after * 10 + 1),
            Loss::Torn(after),
        ]
    });
    assert_none(&faults, crashes);
    assert!(crashes > 300, "{crashes}");
}

#[test]
fn a_store_that_never_syncs_is_found_out() {
    let lived = live(None, |recorder| recorder.forget_syncs(|_| true));
    let (crashes, faults) = fail_everywhere(&lived, |_, event| match event {
        Event::Mark(_) => vec![Loss::All],
        _ => vec![],
    });
    assert!(crashes > LIFE.len());
    // Every answer was a lie: whoever looks after any of them sees it.
    assert!(
        faults.len() * 2 > crashes,
        "{} of {crashes} crashes lost something",
        faults.len()
    );
}
