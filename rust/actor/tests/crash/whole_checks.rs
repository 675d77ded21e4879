//! Whole scopes through power failures and a disk that fails: each verb is done or not done, what was answered is answered
//! again, what was cut short is finished by repeating it, and at the end no text of what was erased is in any file.

use std::sync::Arc;

use treering_actor::own::Own;
use treering_actor::stores::chats::ChatKind;
use treering_actor::stores::connectors::ConnectorsKind;
use treering_actor::stores::files::FilesKind;
use treering_actor::stores::roles::RolesKind;
use treering_actor::stores::user_config::UserConfigKind;
use treering_actor::{Receipt, Result};
use treering_store::faults::{Among, BadRead, Cuts, Event, Failure, Image, Loss, Recorder, Trace};
use treering_store::scope::{FORKING, refs};
use treering_store::{Store, StoreError};

use crate::checks::actor;
use crate::io::{DEAD, Wrong, each, store_error};
use crate::life;
use crate::scan;
use crate::whole::{Deed, Home, LIFE, Living, OTHER, SCOPES, TEXT, VICTIM, is_nameless};

/// All that a user can see of all scopes, as text. Errors: what is broken.
fn picture(living: &Living) -> Result<String> {
    let store = &*living.store;
    let mut out = vec![
        format!("scopes {:?}", store.scopes()?),
        format!("{} notes", store.erasures()?.notes.len()),
    ];
    for scope in SCOPES {
        let one = life::Living {
            store: Arc::clone(&living.store) as _,
            stores: living.stores(scope),
        };
        let names = refs::all(store, scope)?.into_keys();
        let names = names.filter(|name| name.kind() != FORKING);
        out.push(format!("refs of {scope}: {}", names.count()));
        let lineage = store.lineage(scope)?.map(|lineage| {
            let names = lineage.ancestors.into_iter().map(|one| one.scope);
            (lineage.refs, names.collect::<Vec<_>>())
        });
        out.push(format!("lineage {lineage:?}"));
        out.push(actor::<UserConfigKind, _>(&one, &[], |state, _| {
            Ok(state.clone())
        })?);
        out.push(actor::<ChatKind, _>(&one, &["a"], |state, blocks| {
            let said = state.messages(blocks)?.into_iter();
            Ok(said.map(|(message, _)| message.content).collect::<Vec<_>>())
        })?);
        out.push(actor::<ConnectorsKind, _>(&one, &[], |state, _| {
            Ok(state.clone())
        })?);
        out.push(actor::<RolesKind, _>(&one, &[], |state, _| {
            Ok(state.clone())
        })?);
        // Their bytes are read: a file that is listed is there.
        out.push(actor::<FilesKind, _>(&one, &[], |state, blocks| {
            let mut files = Vec::new();
            for file in state.all("", blocks)? {
                let bytes = blocks.get(&file.content)?;
                files.push((file.info, file.content, bytes.len()));
            }
            Ok(files)
        })?);
        let tally = Living::tally(scope);
        living.stores(scope).reader().verify::<Own>(&tally)?;
        let tally = living.stores(scope).reader().now::<Own>(&tally)?;
        out.push(format!(
            "tally {} {}",
            tally.place.base, tally.place.version
        ));
        let now = living.projection(scope)?.load()?;
        out.push(format!(
            "projection {} {:?}",
            now.events(),
            now.checkpoint(None, usize::MAX)?
        ));
    }
    Ok(out.join("\n"))
}

/// A life that went well: what happened on the disk, the state after each deed (the first: none yet), its receipts.
struct Lived {
    trace: Trace,
    pictures: Vec<String>,
    receipts: Vec<Vec<Receipt>>,
}

fn live() -> Lived {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new(root.path()).unwrap());
    let home = Home::behind(root.path(), &recorder);
    let mut living = home.open().unwrap();
    let mut pictures = vec![picture(&living).unwrap()];
    let mut receipts = Vec::new();
    let (mut texts, mut names) = (0, 0);
    for (at, deed) in LIFE.iter().enumerate() {
        recorder.mark(at as u64 * 2);
        receipts.push(if *deed == Deed::Reopen {
            drop(living);
            living = home.open().unwrap();
            Vec::new()
        } else {
            living.act(at, *deed).unwrap()
        });
        recorder.mark(at as u64 * 2 + 1);
        pictures.push(picture(&living).unwrap());
        texts += usize::from(!scan::find(&home.store(), TEXT).is_empty());
        let named = !scan::find(&home.store(), VICTIM).is_empty();
        assert!(!named || !is_nameless(at + 1), "{deed:?}");
        names += usize::from(named);
    }
    // What is looked for is there to be found.
    assert!(texts > 30 && names > 25, "{texts} {names}");
    is_clean(&home, &living).unwrap();
    Lived {
        trace: recorder.trace(),
        pictures,
        receipts,
    }
}

/// At the end nothing of what was erased is in any file.
fn is_clean(home: &Home, living: &Living) -> Result<(), String> {
    let vacuumed = living.store.vacuum().map_err(|error| error.to_string())?;
    let mut found = scan::find_any(&home.store(), &[TEXT, VICTIM]);
    // A file of a block that a crash left without its row stays for a day, and a vacuum says so.
    if vacuumed.files_left > 0 {
        found.retain(|place| !place.contains(" in blobs/"));
    }
    match found.as_slice() {
        [] => Ok(()),
        found => Err(format!("it stands in {found:?}")),
    }
}

fn is_one_of(living: &Living, allowed: &[String]) -> Result<usize, String> {
    let report = living.store.verify(None);
    let report = report.map_err(|error| format!("verify: {error}"))?;
    if !report.findings.is_empty() {
        return Err(format!("verify: {:#?}", report.findings));
    }
    let found = picture(living).map_err(|error| format!("it can not be read: {error}"))?;
    let at = allowed.iter().position(|picture| *picture == found);
    at.ok_or_else(|| {
        let new = |line: &&str| !allowed[0].lines().any(|one| one == *line);
        let lines: Vec<&str> = found.lines().filter(new).take(4).collect();
        format!("it is in none of {} states: {lines:#?}", allowed.len())
    })
}

/// What was answered is answered again as it was, in each scope that has the answer, and changes nothing.
fn answers_again(living: &Living, receipts: &[Vec<Receipt>], done: usize) -> Result<(), String> {
    for (at, (deed, first)) in LIFE.iter().zip(receipts).enumerate() {
        for scope in deed.answered_in(at, done) {
            let again = living.act_in(at, *deed, scope);
            let again = again.map_err(|error| format!("{deed:?} again in {scope}: {error}"))?;
            let replayed = |receipt: &Receipt| Receipt {
                replayed: true,
                ..receipt.clone()
            };
            if again != first.iter().map(replayed).collect::<Vec<_>>() {
                return Err(format!(
                    "{deed:?} again in {scope}: {again:?}, it was {first:?}"
                ));
            }
        }
    }
    Ok(())
}

/// So many deeds were answered and begun when the power failed.
fn crash(
    image: &Image,
    loss: Loss,
    lived: &Lived,
    least: usize,
    most: usize,
) -> Result<(), String> {
    let root = tempfile::tempdir().unwrap();
    image.materialise(loss, root.path()).unwrap();
    let recorder = Arc::new(Recorder::without_trace());
    let home = Home::behind(root.path(), &recorder);
    let mut living = home
        .open()
        .map_err(|error| format!("it does not open: {error}"))?;
    let at = least + is_one_of(&living, &lived.pictures[least..=most])?;
    // As far as the one that was under way left it: what it erased is not answered any more.
    answers_again(&living, &lived.receipts[..least], at)?;
    is_one_of(&living, &lived.pictures[at..=at])?;
    living.let_go();
    for (at, deed) in LIFE.iter().enumerate().skip(least) {
        if *deed == Deed::Reopen {
            drop(living);
            living = home.open().map_err(|error| error.to_string())?;
            continue;
        }
        let done = living.act(at, *deed);
        done.map_err(|error| format!("{deed:?} after it: {error}"))?;
    }
    is_one_of(&living, &lived.pictures[LIFE.len()..])?;
    for deed in [Deed::Gc, Deed::Vacuum] {
        living.act(0, deed).map_err(|error| error.to_string())?;
    }
    is_clean(&home, &living)?;
    if LIFE[..least].contains(&Deed::BackUp) {
        home.restored(&living, &SCOPES[..3], &[VICTIM, TEXT])?;
    }
    Ok(())
}

/// Fails at every `stride`-th moment of two kinds of loss; how often, and what was found.
fn fail_everywhere(lived: &Lived, stride: usize, losses: impl Fn(u64) -> Vec<Loss>) {
    let mut cuts = Cuts::new(Image::new(), lived.trace.clone());
    let (mut crashes, mut faults, mut moment) = (0, Vec::new(), 0);
    while let Some(cut) = cuts.next_cut() {
        let count = |odd: u64| cut.marks.iter().filter(|mark| *mark % 2 == odd).count();
        let (least, most) = (count(1), count(0));
        moment += 1;
        if most == 0 || moment % stride != 0 {
            continue;
        }
        for loss in losses(cut.after as u64) {
            crashes += 1;
            if let Err(why) = crash(cut.image, loss, lived, least, most) {
                let deed = LIFE[most - 1];
                faults.push(format!(
                    "after event {}, {deed:?}, {loss:?}: {why}",
                    cut.after
                ));
            }
        }
    }
    let shown: Vec<&str> = faults.iter().take(4).map(String::as_str).collect();
    eprintln!("{crashes} crashes, {} faults", faults.len());
    assert!(
        faults.is_empty(),
        "{} of {crashes}:\n{}",
        faults.len(),
        shown.join("\n")
    );
    assert!(crashes * stride > 200, "{crashes}");
}

#[test]
fn whole_scopes_survive_power_failures() {
    // Whether what is not synced is lost or kept, in turns.
    fail_everywhere(&live(), 9, |after| {
        vec![if after % 2 == 0 {
            Loss::All
        } else {
            Loss::Nothing
        }]
    });
}

#[test]
#[ignore = "takes a minute"]
fn whole_scopes_survive_a_power_failure_at_every_sync() {
    fail_everywhere(&live(), each(), |after| {
        vec![Loss::All, Loss::Nothing, Loss::Random(after)]
    });
}

/// Opens the store, after a failure once more.
fn open(home: &Home) -> Living {
    home.open().unwrap_or_else(|error| {
        store_error(&error.into(), "open");
        home.open().unwrap()
    })
}

/// Lives the whole life with the `n`-th operation failing. False: there are not so many.
fn live_with_one_failure(lived: &Lived, n: u64, wrong: Wrong) -> bool {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::without_trace());
    let home = Home::behind(root.path(), &recorder);
    match wrong {
        Wrong::Fails(among, failure) => recorder.fail(among, n, failure, false),
        Wrong::Unread => recorder.spoil_reads(n, BadRead::Device, false),
    }
    let mut living = Some(open(&home));
    for (at, deed) in LIFE.iter().enumerate() {
        if *deed == Deed::Reopen {
            living = None;
        }
        let when = format!("{deed:?}, {wrong:?} at {n}");
        let mut tries = 0;
        loop {
            let here = living.get_or_insert_with(|| open(&home));
            tries += 1;
            assert!(tries < 4, "{when} never succeeds");
            if *deed == Deed::Reopen {
                break;
            }
            let Err(error) = here.act(at, *deed) else {
                break;
            };
            let answer = store_error(&error, &when);
            if matches!(
                answer,
                StoreError::CommitUnknown { .. } | StoreError::Poisoned { .. }
            ) {
                living = None;
            }
            // Done or not, whatever was answered. Of an erase that failed in its second half the forks know until it is
            // finished, which the next try, or who opens the store, does.
            if matches!(deed, Deed::Erase(..)) && living.is_some() {
                continue;
            }
            let here = living.get_or_insert_with(|| open(&home));
            if let Err(why) = is_one_of(here, &lived.pictures[at..=at + 1]) {
                panic!("{when} answered {error}: {why}");
            }
        }
        if tries > 1 {
            let here = living.as_ref().unwrap();
            let done = is_one_of(here, &lived.pictures[at + 1..=at + 1]);
            done.unwrap_or_else(|why| panic!("{when}, repeated: {why}"));
        }
    }
    let failed = recorder.failed() > 0;
    // What comes now is the test's own.
    recorder.heal();
    let living = living.unwrap();
    let end = is_one_of(&living, &lived.pictures[LIFE.len()..])
        .and_then(|_| is_clean(&home, &living))
        .and_then(|()| home.restored(&living, &SCOPES[..3], &[VICTIM, TEXT]));
    end.unwrap_or_else(|why| panic!("at the end, {wrong:?} at {n}: {why}"));
    failed
}

fn for_every(stride: usize, least: u64, wrong: Wrong) {
    let lived = live();
    let live = |n: &u64| live_with_one_failure(&lived, *n, wrong);
    let tried = (0..).step_by(stride).take_while(live).count();
    eprintln!("{wrong:?}: {tried} of about {} failed", tried * stride);
    assert!(
        (tried * stride) as u64 > least,
        "only {tried} operations failed"
    );
}

#[test]
fn whole_scopes_survive_a_write_that_fails() {
    for_every(61, 200, Wrong::Fails(Among::Writes, Failure::HalfThenFull));
}

#[test]
fn whole_scopes_survive_a_sync_or_a_read_that_fails() {
    for_every(23, 60, Wrong::Fails(Among::Syncs, DEAD));
    for_every(97, 100, Wrong::Unread);
}

#[test]
#[ignore = "takes minutes"]
fn whole_scopes_survive_any_operation_that_fails() {
    for_every(each() * 3, 400, Wrong::Fails(Among::All, DEAD));
    for_every(each() * 7, 100, Wrong::Unread);
}

#[test]
fn a_disk_that_never_syncs_is_found_out() {
    let root = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::new(root.path()).unwrap());
    recorder.forget_syncs(|_| true);
    let home = Home::behind(root.path(), &recorder);
    let living = home.open().unwrap();
    living.act(0, LIFE[0]).unwrap();
    recorder.mark(1);
    let mut cuts = Cuts::new(Image::new(), recorder.trace());
    let mut lost = false;
    while let Some(cut) = cuts.next_cut() {
        if matches!(cut.event, Event::Mark(_)) {
            let into = tempfile::tempdir().unwrap();
            cut.image.materialise(Loss::All, into.path()).unwrap();
            let home = Home::behind(into.path(), &Arc::new(Recorder::without_trace()));
            lost = !home
                .open()
                .unwrap()
                .store
                .scopes()
                .unwrap()
                .contains(&OTHER.to_owned());
        }
    }
    assert!(lost);
}
