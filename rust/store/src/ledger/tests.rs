//! Each rule of a commit, and that a refused one leaves no trace.

use super::*;
use crate::commit::{Durability, LeaseToken, RECORD_BYTES_MAX};
use crate::lease::Identity;
use crate::process::Liveness;
use treering_block::{Encoded, Ipld};

/// A ledger that counts and remembers everything that was written to it.
#[derive(Clone, Default, PartialEq, Debug)]
struct Book {
    blocks: Vec<(Cid, Vec<u64>)>,
    refs: HashMap<RefName, RefValue>,
    leases: HashMap<RefName, LeaseState>,
    receipts: HashMap<(String, [u8; 32]), Receipt>,
    holds: HashMap<(String, u64), i64>,
    journal: Vec<JournalRow>,
}

impl Ledger for Book {
    fn ordinal(&mut self, cid: &Cid) -> Result<Option<u64>> {
        Ok(self
            .blocks
            .iter()
            .position(|(stored, _)| stored == cid)
            .map(|index| index as u64 + 1))
    }
    fn read_ref(&mut self, name: &RefName) -> Result<Option<RefValue>> {
        Ok(self.refs.get(name).cloned())
    }
    fn lease(&mut self, name: &RefName) -> Result<Option<LeaseState>> {
        Ok(self.leases.get(name).cloned())
    }
    fn receipt(&mut self, wanted: Wanted<'_>) -> Result<Option<Receipt>> {
        Ok(match wanted {
            Wanted::Of(scope, key) => self.receipts.get(&(scope.to_owned(), *key)).cloned(),
            Wanted::Name(_) => None,
        })
    }
    fn commits_after(&mut self, position: u64, limit: usize) -> Result<Vec<JournalRow>> {
        let later = self.journal.iter().filter(|row| row.position > position);
        Ok(later.take(limit).cloned().collect())
    }
    fn block(&mut self, cid: &Cid) -> Result<Arc<[u8]>> {
        Err(StoreError::BlockNotFound(*cid))
    }
    fn tip(&mut self) -> Result<Tip> {
        Ok(self
            .journal
            .last()
            .map(|row| Tip {
                head: row.head(),
                at_ms: row.at_ms,
            })
            .unwrap_or_default())
    }
    fn insert_block(&mut self, block: &Block, links: &[u64]) -> Result<u64> {
        assert_eq!(
            self.ordinal(&block.cid)?,
            None,
            "a present block is not written again"
        );
        self.blocks.push((block.cid, links.to_vec()));
        Ok(self.blocks.len() as u64)
    }
    fn change_ref(&mut self, name: &RefName, version: u64, change: &Change) -> Result<()> {
        match change {
            Change::Set { target, record } => {
                self.refs.insert(
                    name.clone(),
                    RefValue {
                        version,
                        target: *target,
                        record: record.clone(),
                    },
                );
            }
            Change::Delete => {
                self.refs.remove(name);
            }
        }
        Ok(())
    }
    fn write_lease(&mut self, name: &RefName, state: &LeaseState) -> Result<()> {
        self.leases.insert(name.clone(), state.clone());
        Ok(())
    }
    fn insert_receipt(
        &mut self,
        key: &[u8; 32],
        address: &Address,
        payload: &[u8; 32],
        receipt: &[u8],
    ) -> Result<()> {
        let scope = address.scope().to_owned();
        let left = Receipt {
            scope: scope.clone(),
            payload: *payload,
            receipt: receipt.to_vec(),
            position: self.journal.len() as u64 + 1,
        };
        self.receipts.insert((scope, *key), left);
        Ok(())
    }
    fn insert_hold(&mut self, scope: &str, ordinal: u64, expires_at_ms: i64) -> Result<()> {
        self.holds
            .insert((scope.to_owned(), ordinal), expires_at_ms);
        Ok(())
    }
    fn append_journal(&mut self, row: &JournalRow) -> Result<()> {
        self.journal.push(row.clone());
        Ok(())
    }
}

fn name(part: &str) -> RefName {
    RefName::new("main", "thread", [part]).unwrap()
}

fn raw(text: &str) -> Block {
    Block::raw(text.as_bytes().to_vec())
}

fn node(links: &[&Block]) -> Block {
    let links = links
        .iter()
        .map(|block| Ipld::Link(block.cid.into()))
        .collect();
    Block::from_encoded(Encoded::from_ipld(&Ipld::List(links)).unwrap()).unwrap()
}

fn set(part: &str, expect: Expect, target: &Block) -> RefMove {
    RefMove {
        name: name(part),
        expect,
        change: Change::Set {
            target: target.cid,
            record: vec![7],
        },
    }
}

fn commit() -> Commit {
    Commit {
        scope: "main".into(),
        ..Commit::default()
    }
}

fn command(id: &str, payload: u8, receipt: u8) -> Command {
    Command {
        address: Address::Ref(name("a")),
        id: id.into(),
        payload: [payload; 32],
        receipt: vec![receipt],
    }
}

/// A book in which `a` stands at version 2 on a node.
fn begun() -> Book {
    let mut book = Book::default();
    let leaf = raw("leaf");
    let top = node(&[&leaf]);
    let first = Commit {
        moves: vec![set("a", Expect::Absent, &leaf)],
        blocks: vec![leaf.clone(), top.clone()],
        command: Some(command("first", 1, 1)),
        ..commit()
    };
    apply(&first, &mut book, 1000).unwrap();
    let second = Commit {
        moves: vec![set("a", Expect::Version(1), &top)],
        ..commit()
    };
    assert_eq!(apply(&second, &mut book, 1001).unwrap().versions, [2]);
    let held = LeaseState {
        token: 3,
        owner: "me".into(),
        identity: Identity {
            boot_id: "b".into(),
            pid_namespace: 1,
            pid: 1,
            start_time: 1,
        },
        expires_at_ms: 5000,
        held: true,
    };
    book.leases.insert(name("a"), held);
    book
}

/// The commit is refused, and the book is what it was.
fn refused(commit: &Commit) -> StoreError {
    let mut book = begun();
    let before = book.clone();
    let error = apply(commit, &mut book, 2000).unwrap_err();
    assert_eq!(book, before, "a refused commit left a trace");
    error
}

/// Something that every refused commit also wants, so that a trace would show.
fn with_baggage(mut commit: Commit) -> Commit {
    let extra = raw("baggage");
    commit.holds.push(extra.cid);
    commit.moves.insert(0, set("baggage", Expect::Any, &extra));
    commit.blocks.insert(0, extra);
    commit
}

#[test]
fn new_blocks_get_growing_ordinals_and_smaller_links() {
    let book = begun();
    assert_eq!(book.blocks[0].1, [] as [u64; 0]);
    assert_eq!(book.blocks[1].1, [1]);
}

#[test]
fn a_commit_says_what_it_did() {
    let mut book = begun();
    let (leaf, fresh) = (raw("leaf"), raw("fresh"));
    let done = apply(
        &Commit {
            blocks: vec![leaf, fresh.clone(), fresh.clone()],
            moves: vec![
                set("new", Expect::Any, &fresh),
                RefMove {
                    name: name("a"),
                    expect: Expect::Version(2),
                    change: Change::Delete,
                },
                RefMove {
                    name: name("never"),
                    expect: Expect::Absent,
                    change: Change::Delete,
                },
            ],
            ..commit()
        },
        &mut book,
        2000,
    )
    .unwrap();
    let expected = Committed {
        position: 3,
        at_ms: 2000,
        new_blocks: 1,
        new_bytes: 5,
        versions: vec![1, 0, 0],
        new_receipts: 0,
        replay: None,
    };
    assert_eq!(done, expected);
    assert!(!book.refs.contains_key(&name("a")));
    let entry = book.journal[2].entry().unwrap();
    assert_eq!(
        entry.moves.len(),
        2,
        "what was absent and stays so is no move"
    );
    assert_eq!((entry.moves[0].version, entry.moves[1].version), (1, 0));
}

#[test]
fn a_repeated_command_is_answered_from_its_receipt_before_all_else() {
    let mut book = begun();
    let before = book.clone();
    let again = with_baggage(Commit {
        moves: vec![set("a", Expect::Absent, &raw("leaf"))],
        leases: vec![LeaseToken {
            name: name("a"),
            token: 1,
        }],
        command: Some(command("first", 1, 99)),
        ..commit()
    });
    let done = apply(&again, &mut book, 2000).unwrap();
    assert_eq!(done.replay, Some(vec![1]));
    assert_eq!(
        (done.position, done.new_blocks, done.versions.len()),
        (2, 0, 0)
    );
    assert_eq!(book, before);
}

#[test]
fn the_same_command_id_with_another_payload_is_refused() {
    let error = refused(&with_baggage(Commit {
        command: Some(command("first", 2, 1)),
        ..commit()
    }));
    assert!(matches!(error, StoreError::CommandMismatch { id } if id == "first"));
}

#[test]
fn a_command_that_changes_nothing_still_leaves_a_receipt_and_a_row() {
    let mut book = begun();
    let done = apply(
        &Commit {
            command: Some(command("idle", 1, 5)),
            ..commit()
        },
        &mut book,
        2000,
    )
    .unwrap();
    assert_eq!(done.position, 3);
    let entry = book.journal[2].entry().unwrap();
    assert!(entry.moves.is_empty());
    assert_eq!(entry.command.unwrap().receipt, [5]);
}

#[test]
fn a_lost_lease_is_refused_before_refs_are_looked_at() {
    let error = refused(&with_baggage(Commit {
        moves: vec![set("a", Expect::Version(9), &raw("leaf"))],
        leases: vec![LeaseToken {
            name: name("a"),
            token: 2,
        }],
        command: Some(command("second", 1, 1)),
        ..commit()
    }));
    assert!(
        matches!(error, StoreError::LeaseLost { token: 2, .. }),
        "{error:?}"
    );
}

#[test]
fn a_commit_under_a_lease_keeps_it_fresh() {
    let mut book = begun();
    let held = Commit {
        leases: vec![LeaseToken {
            name: name("a"),
            token: 3,
        }],
        ..commit()
    };
    apply(&held, &mut book, 9000).unwrap();
    let state = book.leases[&name("a")].clone();
    assert_eq!(state.expires_at_ms, 9000 + crate::lease::LEASE_MS);
    assert!(state.observed(9001, |_| Liveness::Unknown).held);
    assert_eq!(book.journal.len(), 2, "housekeeping is not history");
}

#[test]
fn a_ref_that_is_not_as_expected_is_refused_and_shown() {
    for (part, expect, there) in [
        ("a", Expect::Absent, true),
        ("a", Expect::Version(1), true),
        ("a", Expect::Version(3), true),
        ("b", Expect::Version(1), false),
        ("b", Expect::Version(0), false),
    ] {
        let wanted = with_baggage(Commit {
            moves: vec![set(part, expect.clone(), &raw("nowhere"))],
            command: Some(command("second", 1, 1)),
            ..commit()
        });
        match refused(&wanted) {
            StoreError::RefMoved {
                name: which,
                expected,
                actual,
            } => {
                assert_eq!((which, expected), (name(part), expect));
                assert_eq!(actual.map(|value| value.version), there.then_some(2));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn whatever_points_at_what_is_absent_is_refused() {
    let absent = raw("absent");
    let dangling = node(&[&raw("leaf"), &absent]);
    let cases = [
        (
            Commit {
                blocks: vec![dangling.clone()],
                ..commit()
            },
            "block",
        ),
        // A later block of the same commit does not count: children come first.
        (
            Commit {
                blocks: vec![dangling, absent.clone()],
                ..commit()
            },
            "block",
        ),
        (
            Commit {
                moves: vec![set("b", Expect::Absent, &absent)],
                ..commit()
            },
            "ref",
        ),
        (
            Commit {
                holds: vec![absent.cid],
                ..commit()
            },
            "hold",
        ),
    ];
    for (wanted, who) in cases {
        let error = refused(&with_baggage(wanted));
        assert!(
            matches!(&error, StoreError::LinkMissing { from, link } if from.contains(who) && *link == absent.cid),
            "{error:?}"
        );
    }
}

#[test]
fn a_present_block_is_not_judged_or_written_again() {
    let mut book = begun();
    // Its child was stored with it, so its links need no look.
    let again = Commit {
        blocks: vec![node(&[&raw("leaf")]), raw("leaf")],
        ..commit()
    };
    let done = apply(&again, &mut book, 2000).unwrap();
    assert_eq!((done.new_blocks, done.new_bytes, done.position), (0, 0, 2));
    assert_eq!(book, begun());
}

#[test]
fn a_put_of_what_is_there_renews_its_hold_and_writes_no_row() {
    let mut book = begun();
    let leaf = raw("leaf");
    let put = Commit {
        holds: vec![leaf.cid, leaf.cid],
        blocks: vec![leaf],
        ..commit()
    };
    apply(&put, &mut book, 2000).unwrap();
    assert_eq!(book.holds[&("main".to_owned(), 1)], 2000 + HOLD_MS);
    apply(&put, &mut book, 3000).unwrap();
    assert_eq!(book.holds[&("main".to_owned(), 1)], 3000 + HOLD_MS);
    assert_eq!(book.journal.len(), 2);
}

#[test]
fn time_does_not_go_back() {
    let mut book = begun();
    let put = |text: &str| Commit {
        blocks: vec![raw(text)],
        durability: Durability::Relaxed,
        ..commit()
    };
    assert_eq!(apply(&put("x"), &mut book, 5).unwrap().at_ms, 1001);
    assert_eq!(apply(&put("y"), &mut book, 1002).unwrap().at_ms, 1002);
    let mut early = Book::default();
    assert_eq!(
        apply(&put("x"), &mut early, -5).unwrap().at_ms,
        -5,
        "before 1970 is a time, too"
    );
}

#[test]
fn what_needs_no_store_to_be_refused() {
    let other = RefName::new("other", "thread", ["a"]).unwrap();
    let leaf = raw("leaf");
    let twice = vec![set("b", Expect::Any, &leaf), set("b", Expect::Any, &leaf)];
    let foreign = RefMove {
        name: other.clone(),
        ..set("b", Expect::Any, &leaf)
    };
    for wanted in [
        Commit {
            scope: " ".into(),
            ..commit()
        },
        Commit {
            moves: twice,
            ..commit()
        },
        Commit {
            moves: vec![foreign],
            ..commit()
        },
        Commit {
            leases: vec![LeaseToken {
                name: other.clone(),
                token: 1,
            }],
            ..commit()
        },
        Commit {
            command: Some(Command {
                address: Address::Ref(other),
                ..command("x", 1, 1)
            }),
            ..commit()
        },
        Commit {
            command: Some(Command {
                address: Address::Scope("other".into()),
                ..command("x", 1, 1)
            }),
            ..commit()
        },
        Commit {
            command: Some(command("", 1, 1)),
            ..commit()
        },
    ] {
        let error = refused(&wanted);
        assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
    }
    let mut long = set("b", Expect::Any, &leaf);
    long.change = Change::Set {
        target: leaf.cid,
        record: vec![0; RECORD_BYTES_MAX + 1],
    };
    let error = refused(&with_baggage(Commit {
        moves: vec![long],
        ..commit()
    }));
    assert!(matches!(
        error,
        StoreError::LimitExceeded {
            limit: 4096,
            actual: 4097,
            ..
        }
    ));
}
