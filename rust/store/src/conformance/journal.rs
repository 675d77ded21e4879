//! The journal: gap-free, chained, read by cursor.

use std::sync::Arc;

use super::material::{assert_sound, command, done, fresh, moving, name, put, raw, remove, set};
use super::{Backend, cases};
use crate::commit::{Address, Commit, Expect, receipt_key};
use crate::cursor::{Cursor, Head};
use crate::error::StoreError;
use crate::journal::{JournalEntry, chain};
use crate::retention::ExpireBefore;
use crate::store::Store;

cases!("journal":
    an_empty_journal,
    commits_are_written_down_as_they_were,
    the_chain_can_be_recomputed,
    pages_fit_together,
    cursors_of_another_history_are_lost,
    the_prefix_is_proved_by_a_head,
    sealing_changes_nothing_that_is_read,
    what_is_expired_is_said_to_be,
    every_kept_commit_has_its_place,
);

fn begun(backend: &dyn Backend) -> Arc<dyn Store> {
    let store = fresh(backend);
    done(&*store, put([raw("a")]));
    done(
        &*store,
        moving(set(&name("x"), Expect::Absent, raw("a").cid)),
    );
    let both = vec![
        set(&name("y"), Expect::Absent, raw("b").cid),
        set(&name("x"), Expect::Version(1), raw("b").cid),
    ];
    done(
        &*store,
        Commit {
            moves: both,
            command: Some(command(Address::Scope("main".into()), "1", 4)),
            ..put([raw("b")])
        },
    );
    done(&*store, moving(remove(&name("x"), Expect::Version(2))));
    store
}

fn an_empty_journal(backend: &dyn Backend) {
    let store = fresh(backend);
    assert_eq!(store.head().unwrap(), Head::default());
    assert!(store.journal(None, 9).unwrap().is_empty());
    assert!(
        store
            .journal(Some(&Cursor::default()), 9)
            .unwrap()
            .is_empty()
    );
    assert_sound(&*store);
}

fn commits_are_written_down_as_they_were(backend: &dyn Backend) {
    let store = begun(backend);
    let journal = store.journal(None, 9).unwrap();
    assert_eq!(
        journal
            .iter()
            .map(|entry| entry.position)
            .collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert!(journal.iter().all(|entry| entry.scope == "main"));
    let moves: Vec<Vec<_>> = journal
        .iter()
        .map(|entry| {
            entry
                .moves
                .iter()
                .map(|step| (step.name.clone(), step.version, step.target))
                .collect()
        })
        .collect();
    let (a, b) = (Some(raw("a").cid), Some(raw("b").cid));
    assert_eq!(
        moves,
        [
            vec![],
            vec![(name("x"), 1, a)],
            vec![(name("y"), 1, b), (name("x"), 2, b)],
            vec![(name("x"), 0, None)]
        ]
    );
    assert_eq!(
        journal[1].moves[0].record.as_deref(),
        Some(b"record".as_slice())
    );
    assert_eq!(journal[3].moves[0].record, None);
    let left = journal[2].command.as_ref().unwrap();
    assert_eq!(left.key, receipt_key(&Address::Scope("main".into()), "1"));
    assert_eq!(
        (left.payload, left.receipt.as_slice()),
        ([4; 32], b"receipt of 1".as_slice())
    );
    assert!(
        [0, 1, 3]
            .iter()
            .all(|index: &usize| journal[*index].command.is_none())
    );
    assert_sound(&*store);
}

fn the_chain_can_be_recomputed(backend: &dyn Backend) {
    let store = begun(backend);
    let mut previous = [0; 32];
    for entry in store.journal(None, 9).unwrap() {
        previous = chain(&previous, entry.position, entry.at_ms, &entry.body_digest);
        assert_eq!(entry.chain, previous);
    }
    assert_eq!(
        store.head().unwrap(),
        Head {
            position: 4,
            chain: previous
        }
    );
}

fn pages_fit_together(backend: &dyn Backend) {
    let store = begun(backend);
    let all = store.journal(None, usize::MAX).unwrap();
    assert!(store.journal(None, 0).unwrap().is_empty());
    for limit in 1..=5 {
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = store.journal(after.as_ref(), limit).unwrap();
            let Some(last) = page.last() else { break };
            // Through its text, as a reader who comes back later has it.
            after = Some(last.cursor().to_string().parse::<Cursor>().unwrap());
            paged.extend(page);
        }
        assert_eq!(paged, all);
    }
    // An old cursor goes on when there is more.
    let cursor = store.head().unwrap().cursor();
    assert!(store.journal(Some(&cursor), 9).unwrap().is_empty());
    done(&*store, put([raw("c")]));
    assert_eq!(store.journal(Some(&cursor), 9).unwrap()[0].position, 5);
}

fn cursors_of_another_history_are_lost(backend: &dyn Backend) {
    let store = begun(backend);
    let here = store.journal(None, 2).unwrap()[1].cursor();
    let mut altered = here;
    altered.chain8[7] ^= 1;
    for lost in [
        altered,
        Cursor {
            position: 1,
            ..here
        },
        Cursor {
            position: 5,
            ..here
        },
        Cursor {
            position: u64::MAX,
            ..here
        },
        Cursor {
            position: 0,
            ..here
        },
        Cursor {
            position: 2,
            chain8: [0; 8],
        },
    ] {
        let answer = store.journal(Some(&lost), 9);
        assert!(
            matches!(&answer, Err(StoreError::CursorLost(text)) if *text == lost.to_string()),
            "{answer:?}"
        );
    }
}

fn the_prefix_is_proved_by_a_head(backend: &dyn Backend) {
    let store = begun(backend);
    let head = store.head().unwrap();
    done(&*store, put([raw("later")]));
    for known in [head, Head::default(), store.head().unwrap()] {
        assert_eq!(store.verify(Some(&known)).unwrap().findings, []);
    }
    for wrong in [
        Head {
            chain: [1; 32],
            ..head
        },
        Head {
            position: 99,
            ..head
        },
    ] {
        assert_eq!(
            store.verify(Some(&wrong)).unwrap().findings.len(),
            1,
            "{wrong:?}"
        );
    }
}

fn sealing_changes_nothing_that_is_read(backend: &dyn Backend) {
    let store = begun(backend);
    let (before, head) = (store.journal(None, 9).unwrap(), store.head().unwrap());
    let report = store.seal_journal(2).unwrap();
    let extent = store.journal_extent().unwrap();
    // A backend without files seals nothing.
    assert_eq!(extent.sealed_commits(), report.commits);
    assert_eq!((extent.commits(), extent.head), (4, head));
    assert!(report.commits == 2 || report.commits == 0);
    assert_eq!(store.journal(None, 9).unwrap(), before);
    for entry in &before {
        let later = store.journal(Some(&entry.cursor()), 9).unwrap();
        assert_eq!(later, before[entry.position as usize..]);
        assert_eq!(store.verify(Some(&entry.head())).unwrap().findings, []);
    }
    done(&*store, put([raw("more")]));
    assert_eq!(store.journal(None, 9).unwrap().len(), 5);
    assert_sound(&*store);
}

fn what_is_expired_is_said_to_be(backend: &dyn Backend) {
    let store = begun(backend);
    let before = store.journal(None, 9).unwrap();
    let lost = Cursor {
        position: 2,
        chain8: [1; 8],
    };
    assert!(matches!(
        store.expire_journal(&ExpireBefore::Cursor(lost)),
        Err(StoreError::CursorLost(_))
    ));
    store.seal_journal(2).unwrap();
    let expired = store
        .expire_journal(&ExpireBefore::Cursor(before[1].cursor()))
        .unwrap();
    assert_eq!(expired.commits, 2);
    let extent = store.journal_extent().unwrap();
    assert_eq!((extent.start.head, extent.commits()), (before[1].head(), 2));
    assert_eq!(store.journal(None, 9).unwrap(), before[2..]);
    let after = |entry: &JournalEntry| store.journal(Some(&entry.cursor()), 9);
    assert_eq!(after(&before[1]).unwrap(), before[2..]);
    assert!(matches!(
        after(&before[0]),
        Err(StoreError::CursorExpired(_))
    ));
    let first = store.journal(Some(&Cursor::default()), 9);
    assert!(matches!(first, Err(StoreError::CursorExpired(_))));
    assert_eq!(store.verify(Some(&before[1].head())).unwrap().findings, []);
    assert_eq!(store.verify(Some(&before[3].head())).unwrap().findings, []);
    let old = store.verify(Some(&before[0].head())).unwrap().findings;
    assert_eq!(old.len(), 1, "{old:?}");
    assert!(old[0].detail.contains("starts after commit 2"), "{old:?}");
    // Whatever is asked, the newest commit stays: the next one follows from it.
    store.seal_journal(0).unwrap();
    store.expire_journal(&ExpireBefore::Time(i64::MAX)).unwrap();
    assert_eq!(store.journal(None, 9).unwrap(), before[3..]);
    done(&*store, put([raw("more")]));
    let now = store.journal(None, 9).unwrap();
    assert_eq!(
        now.iter().map(|entry| entry.position).collect::<Vec<_>>(),
        [4, 5]
    );
    assert_eq!(store.stats().unwrap().commits, 5);
    let report = store.verify(None).unwrap();
    assert_eq!((report.findings, report.commits), (vec![], 2));
}

fn every_kept_commit_has_its_place(backend: &dyn Backend) {
    let store = fresh(backend);
    assert_eq!(store.cursor_at(0).unwrap(), Some(Cursor::default()));
    assert_eq!(store.cursor_at(1).unwrap(), None);
    let store = begun(backend);
    let all = store.journal(None, 9).unwrap();
    let last = u64::try_from(all.len()).unwrap();
    let places = |from: u64| {
        for entry in all.iter().filter(|entry| entry.position >= from) {
            let place = store.cursor_at(entry.position).unwrap();
            assert_eq!(place, Some(entry.cursor()));
        }
        assert_eq!(store.cursor_at(last + 1).unwrap(), None);
        assert_eq!(store.cursor_at(u64::MAX).unwrap(), None);
    };
    places(1);
    store.seal_journal(2).unwrap();
    places(1);
    store
        .expire_journal(&ExpireBefore::Cursor(all[1].cursor()))
        .unwrap();
    // The one before the oldest that is kept still is a place to go on from.
    places(2);
    assert_eq!(store.cursor_at(1).unwrap(), None);
    assert_eq!(store.cursor_at(0).unwrap(), None);
}
