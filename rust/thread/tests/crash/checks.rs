//! What must hold of a store after a failure.

use std::fmt::Write;

use treering_store::{GcOptions, reachable};
use treering_thread::info::Filter;
use treering_thread::{Result, verify_threads};

use crate::life::{Act, Home, LIFE, Living, SCOPE, pinned};

/// All that a user can see, as text, garbage and random ids aside: two stores with the same picture are the
/// same to whoever uses them. Reading it hashes every block that is reached. Errors: the threads'.
pub fn picture(living: &Living) -> Result<String> {
    let store = living.store();
    let mut out = Vec::new();
    for listed in living.threads().list(&Filter::default())? {
        let info = listed.info?;
        let thread = living.threads().get(&listed.id)?;
        let mut text = format!(
            "thread {:?} {:?} {:?} of {} steps, head {}, end {:?} {:?} {:?}, fork at {:?}, failure {:?}",
            info.key,
            info.workflow,
            info.status,
            info.steps,
            info.head,
            info.return_code,
            info.error,
            info.completed_at_ms,
            info.forked_from.map(|(_, step)| step),
            thread.failure()?.map(|step| step.cid),
        );
        write!(text, ", prompt {:?}", thread.prompt()?).unwrap();
        for step in thread.steps() {
            let step = step?;
            step.content(store)?;
            for name in step.content_node(store)?.artifacts.keys() {
                let bytes = step.artifact(store, name)?;
                write!(text, " {name} {}", bytes.len()).unwrap();
            }
            write!(text, " {} {} {}", step.number, step.role(), step.cid).unwrap();
        }
        out.push(text);
    }
    out.extend(pinned(store));
    for hold in store.holds(SCOPE, 0, usize::MAX)? {
        let length = store.get(&hold.cid)?.len();
        out.push(format!("hold {} {length} {}", hold.cid, hold.expires_at_ms));
    }
    out.sort();
    Ok(out.join("\n"))
}

/// Errors: what `verify` found.
pub fn verify(living: &Living) -> Result<(), String> {
    let mut report = living
        .store()
        .verify(None)
        .map_err(|error| format!("verify: {error}"))?;
    verify_threads(living.store(), &mut report);
    if report.findings.is_empty() {
        Ok(())
    } else {
        Err(format!("verify: {:#?}", report.findings))
    }
}

/// That the store is sound, and in one of these states; which one.
pub fn is_one_of(living: &Living, allowed: &[&str]) -> Result<usize, String> {
    verify(living)?;
    let found = picture(living).map_err(|error| format!("it can not be read: {error}"))?;
    allowed
        .iter()
        .position(|picture| *picture == found)
        .ok_or_else(|| {
            let least = allowed.first().copied().unwrap_or_default();
            let lost = least
                .lines()
                .filter(|line| !found.lines().any(|other| other == *line));
            let new = found
                .lines()
                .filter(|line| !least.lines().any(|other| other == *line));
            let shown: Vec<String> = lost
                .map(|line| format!("- {line}"))
                .chain(new.map(|line| format!("+ {line}")))
                .map(|line| line.chars().take(160).collect())
                .take(12)
                .collect();
            format!(
                "it is in none of {} states; against the least:\n{}",
                allowed.len(),
                shown.join("\n")
            )
        })
}

/// That the backup is sound and as the store was at one of these acts; None among them: or that there is none.
pub fn backup_is_one_of(home: &Home, allowed: &[Option<&str>]) -> Result<(), String> {
    let opened = home
        .open_backup()
        .map_err(|error| format!("the backup does not open: {error}"))?;
    let Some(backup) = opened else {
        return match allowed.contains(&None) {
            true => Ok(()),
            false => Err("the backup that was answered is gone".into()),
        };
    };
    let pictures: Vec<&str> = allowed.iter().flatten().copied().collect();
    is_one_of(&backup, &pictures)
        .map(drop)
        .map_err(|why| format!("the backup: {why}"))
}

/// What the backup may show when `least` acts were answered and `most` were begun.
pub fn backups(pictures: &[String], least: usize, most: usize) -> Vec<Option<&str>> {
    let of = |at: usize| pictures.get(at + 1).map(String::as_str);
    let acts = |range: std::ops::Range<usize>| range.filter(|at| LIFE[*at] == Act::Backup);
    let mut allowed = vec![acts(0..least).next_back().and_then(of)];
    allowed.extend(acts(least..most).map(of));
    allowed
}

/// That it goes on: what was answered can be asked for again and changes nothing, garbage can be collected to
/// the last block, and a thread takes another step. `answered`: so many acts of the life were.
pub fn goes_on(living: &Living, answered: usize) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let before = picture(living).map_err(|error| said(&error))?;
    for act in LIFE[..answered].iter().filter(|act| act.repeats()) {
        let there = act
            .threads()
            .into_iter()
            .all(|key| living.thread(key).is_ok_and(|thread| thread.is_some()));
        if there {
            let again = living.act(*act);
            again.map_err(|error| format!("{act:?} again: {error}"))?;
        }
    }
    let store = living.store();
    let real = GcOptions { dry_run: false };
    store.gc(&real).map_err(|error| said(&error))?;
    if picture(living).map_err(|error| said(&error))? != before {
        return Err(
            "commands that were answered before, or a collection, changed something".into(),
        );
    }
    let kept = kept(living).map_err(|error| said(&error))?;
    let blocks = store.stats().map_err(|error| said(&error))?.blocks;
    if blocks != kept {
        return Err(format!(
            "{blocks} blocks after a collection, {kept} are reached"
        ));
    }
    living
        .act(Act::Start("after"))
        .and_then(|()| living.act(Act::Append("after", 77)))
        .map_err(|error| format!("no step after it: {error}"))?;
    living
        .act(Act::Backup)
        .map_err(|error| format!("no backup after it: {error}"))?;
    verify(living)
}

/// Blocks that refs and holds reach.
fn kept(living: &Living) -> Result<u64> {
    let store = living.store();
    let mut roots = Vec::new();
    for entry in store.journal(None, usize::MAX)? {
        for change in entry.moves {
            roots.extend(store.read_ref(&change.name)?.map(|value| value.target));
        }
    }
    for hold in store.holds(SCOPE, 0, usize::MAX)? {
        roots.push(hold.cid);
    }
    Ok(reachable(store, &roots)?.blocks.len() as u64)
}
