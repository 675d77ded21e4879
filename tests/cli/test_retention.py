"""`treering scope retention`, `scope trim` by the policy, and `treering trim`."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import treering

from .conftest import Cli

pytestmark = pytest.mark.usefixtures("store")


def parsed(cli: Cli, *arguments: str) -> Any:
    done = cli(*arguments)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


@pytest.fixture(autouse=True)
def scopes(store: Path) -> None:
    with treering.open(store) as opened:
        for name in ("alice", "bob"):
            for number in range(9):
                opened.scope(name).memory.add("context", f"fact {number}")


def test_a_policy_is_shown_and_replaced(cli: Cli) -> None:
    for options, text, record in (
        ((), "keeps all", (None, None, 0)),
        (("--keep", "100"), "keeps the newest 100 events of each actor", (100, None, 1)),
        ((), "keeps the newest 100 events of each actor", (100, None, 1)),
        (("--keep", "1"), "keeps the newest 1 event of each actor", (1, None, 2)),
        (("--keep", "0"), "keeps the newest 0 events of each actor", (0, None, 3)),
        (("--younger-than", "90d"), "keeps events younger than 90 days", (None, 7_776_000_000, 4)),
        (("--younger-than", "12h"), "keeps events younger than 12:00:00", (None, 43_200_000, 5)),
        (("--keep-all",), "keeps all", (None, None, 6)),
    ):
        done = cli("scope", "retention", "alice", *options)
        assert (done.code, done.out, done.err) == (0, f"alice: {text}\n", "")
        shown = parsed(cli, "scope", "retention", "alice", "--json")
        assert shown == dict(zip(("keep", "younger_than_ms", "version"), record, strict=True))
    history = cli("scope", "history", "alice", "--last", "4").out.splitlines()
    assert [line.split("RetentionPolicySet")[1].strip() for line in history] == [
        "keeps the newest 0 events of each actor",
        "keeps events younger than 90 days",
        "keeps events younger than 12:00:00",
        "keeps all",
    ]
    assert cli("--scope", "alice", "actor", "show", "retention").out.splitlines()[-1] == "keeps all"


def test_what_is_no_policy(cli: Cli) -> None:
    for wrong in (
        ("--keep", "1", "--keep-all"),
        ("--keep", "1", "--younger-than", "1d"),
        ("--keep", "-1"),
        ("--younger-than", "soon"),
        ("--younger-than", "2026-01-01"),
        ("--younger-than", "0d"),
        ("--younger-than", "0h"),
        ("--younger-than", "36501d"),
        ("--younger-than", "999999d"),
    ):
        refused = cli("scope", "retention", "alice", *wrong)
        assert (refused.code, refused.out) == (2, "")
        assert "younger_than_ms" not in refused.err
    refused = cli("scope", "retention", "alice", "--keep", "10001")
    assert (refused.code, refused.out) == (1, "")
    assert "no scope nobody" in cli("scope", "retention", "nobody", "--keep", "1").err
    assert cli("scope", "retention", "alice").out == "alice: keeps all\n"


def test_a_name_gives_a_terminal_no_orders(cli: Cli, store: Path) -> None:
    name = "evil\x1b[31m\nx"
    with treering.open(store) as opened:
        opened.scope(name).memory.add("context", "x")
    shown = cli("scope", "retention", name).out
    assert "\x1b" not in shown
    assert shown.count("\n") == 1


def test_a_scope_is_trimmed_by_its_policy(cli: Cli) -> None:
    trim = ("scope", "trim", "alice")
    assert cli(*trim, "--yes").out == "nothing to cut off: its retention policy keeps all\n"
    cli("scope", "retention", "alice", "--keep", "2")
    line = "user-memory: 7 versions would be cut off, its history begins after version 7\n"
    assert cli(*trim, "--dry-run").out == line
    assert "nobody is there to ask" in cli(*trim).err
    assert cli(*trim, "--yes").out == line.replace("would be ", "")
    assert parsed(cli, *trim, "--yes", "--json") == {
        "scope": "alice",
        "policy": {"keep": 2, "younger_than_ms": None, "version": 1},
        "looked_at": 2,
        "dropped": 0,
        "dry_run": False,
        "actors": [],
        "failed": None,
    }
    assert cli(*trim, "--younger-than", "1d", "--yes").out == "nothing to cut off of 2 actors\n"


def test_all_scopes(cli: Cli, store: Path) -> None:
    assert cli("trim", "--yes").out == "0 versions cut off; 0 of 3 scopes have a policy\n"
    cli("scope", "retention", "bob", "--keep", "3")
    plan = cli("trim", "--dry-run")
    assert plan.out == (
        "bob: user-memory: 6 versions would be cut off, its history begins after version 6\n"
        "6 versions would be cut off; 1 of 3 scopes have a policy\n"
    )
    refused = cli("trim")
    assert (refused.code, refused.out) == (1, "")
    assert "--yes" in refused.err
    assert cli("trim", "--yes").out == plan.out.replace("would be ", "")
    records = parsed(cli, "trim", "--yes", "--json")
    assert [(one["scope"], one["looked_at"], one["dropped"]) for one in records] == [
        ("alice", 0, 0),
        ("bob", 2, 0),
        ("main", 0, 0),
    ]
    # One whose policy can't be read is named, keeps no other from it, and the command fails.
    cli("scope", "retention", "alice", "--keep", "1")
    cli("scope", "retention", "bob", "--keep", "1")
    with treering.open(store) as opened:
        head = opened.scope("alice").actor("retention").info().head
    assert head is not None
    with sqlite3.connect(store / "store.db") as database:
        database.execute("UPDATE block SET payload = x'00' WHERE digest = ?", (bytes(head)[-32:],))
    database.close()
    done = cli("trim", "--yes")
    assert done.code == 1
    assert done.err.startswith("alice: not trimmed: ")
    assert done.out.splitlines()[-1] == "3 versions cut off; 1 of 3 scopes have a policy"
