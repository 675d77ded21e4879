//! Power failures: at every sync and every answer of the life, whatever the disk lost.

use std::path::Path;
use std::sync::Arc;

use treering_store::faults::{Cuts, Event, Image, Loss, Recorder, Trace};

use crate::checks;
use crate::life::{Act, Home, LIFE};

/// A life that went well: what happened on the disk, and the state after each act (the first: none yet).
struct Lived {
    trace: Trace,
    pictures: Vec<String>,
}

/// Marks in the trace: an act begins, an act was answered.
fn begun(at: usize) -> u64 {
    at as u64 * 2
}

fn answered(at: usize) -> u64 {
    at as u64 * 2 + 1
}

fn live(prepare: impl FnOnce(&Recorder)) -> Lived {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new(root.path()).unwrap());
    prepare(&recorder);
    let home = Home::behind(root.path(), &recorder);
    let mut living = home.open().unwrap();
    let mut pictures = vec![checks::picture(&living).unwrap()];
    for (at, act) in LIFE.iter().enumerate() {
        recorder.mark(begun(at));
        if *act == Act::Reopen {
            drop(living);
            living = home.open().unwrap();
        } else {
            living.act(*act).unwrap();
        }
        recorder.mark(answered(at));
        pictures.push(checks::picture(&living).unwrap());
    }
    drop(living);
    Lived {
        trace: recorder.trace(),
        pictures,
    }
}

/// `pictures` of the life; so many of its acts were answered and begun.
fn crash(
    image: &Image,
    loss: Loss,
    pictures: &[String],
    answered: usize,
    begun: usize,
) -> Result<(), String> {
    let root = tempfile::tempdir().unwrap();
    image.materialise(loss, root.path()).unwrap();
    std::fs::create_dir_all(root.path().join("deep")).unwrap();
    check(root.path(), pictures, answered, begun).map_err(|why| format!("{loss:?}: {why}"))
}

fn check(root: &Path, pictures: &[String], answered: usize, begun: usize) -> Result<(), String> {
    // Nobody turns the power off again: the real disk need not be asked.
    let home = Home::behind(root, &Arc::new(Recorder::without_trace()));
    let living = home
        .open()
        .map_err(|error| format!("it does not open: {error}"))?;
    let allowed: Vec<&str> = pictures[answered..=begun]
        .iter()
        .map(String::as_str)
        .collect();
    checks::is_one_of(&living, &allowed)?;
    checks::backup_is_one_of(&home, &checks::backups(pictures, answered, begun))?;
    checks::goes_on(&living, answered)
}

/// Fails at every moment with every loss that `losses` names for it; how often, and what was found. At a
/// moment the store holds not less than was answered, and not more than was begun.
fn fail_everywhere(
    lived: &Lived,
    losses: impl Fn(u64, &Event) -> Vec<Loss>,
) -> (usize, Vec<String>) {
    let mut cuts = Cuts::new(Image::new(), lived.trace.clone());
    let (mut crashes, mut faults) = (0, Vec::new());
    while let Some(cut) = cuts.next_cut() {
        let count = |marks: fn(usize) -> u64| {
            (0..LIFE.len())
                .filter(|at| cut.marks.contains(&marks(*at)))
                .count()
        };
        let (least, most) = (count(answered), count(begun));
        // Before the store was made there may be none: it is made again then.
        if most == 0 && cut.image.losable() == 0 {
            continue;
        }
        for loss in losses(cut.after as u64, cut.event) {
            crashes += 1;
            if let Err(why) = crash(cut.image, loss, &lived.pictures, least, most) {
                faults.push(format!("after event {} of act {most}: {why}", cut.after));
            }
        }
    }
    (crashes, faults)
}

fn assert_none(faults: &[String], crashes: usize) {
    let shown = faults
        .iter()
        .take(4)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        faults.is_empty(),
        "{} of {crashes} crashes:\n{shown}",
        faults.len()
    );
}

#[test]
fn everything_unsynced_lost_or_kept_at_every_sync() {
    let lived = live(|_| {});
    let (crashes, faults) = fail_everywhere(&lived, |_, _| vec![Loss::All, Loss::Nothing]);
    assert_none(&faults, crashes);
    assert!(crashes > 250, "{crashes}");
}

#[test]
fn any_sectors_lost_at_every_sync() {
    let lived = live(|_| {});
    let (crashes, faults) = fail_everywhere(&lived, |after, _| {
        vec![
            Loss::Random(after * 10),
            Loss::Random(after * 10 + 1),
            Loss::Torn(after),
        ]
    });
    assert_none(&faults, crashes);
    assert!(crashes > 350, "{crashes}");
}

#[test]
fn a_store_that_never_syncs_is_found_out() {
    let lived = live(|recorder| recorder.forget_syncs(|_| true));
    let (crashes, faults) = fail_everywhere(&lived, |_, event| match event {
        Event::Mark(_) => vec![Loss::All],
        _ => vec![],
    });
    assert!(crashes > LIFE.len());
    // Every answer was a lie, but for those that promise nothing: whoever looks after any of them sees it.
    assert!(
        faults.len() * 2 > crashes,
        "{} of {crashes} crashes lost something",
        faults.len()
    );
}
