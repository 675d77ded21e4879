"""`treering scope erase`, `scope erased`, `vacuum`, and a restore after that."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import treering

from .conftest import Cli

pytestmark = pytest.mark.usefixtures("store")


READS = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN")
database.execute("SELECT count(*) FROM ref").fetchall()
print("reading", flush=True)
sys.stdin.readline()
"""


def parsed(cli: Cli, *arguments: str) -> Any:
    done = cli(*arguments)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


@pytest.fixture(autouse=True)
def alice(store: Path) -> None:
    with treering.open(store) as opened:
        scope = opened.scope("alice")
        step = scope.threads.start("fix").append("coder", "shared")
        scope.memory.add("preference", "answers in French", command_id="c")
        opened.scope("bob").pins.add("kept", step.cid)


def test_a_plan_then_the_deed(cli: Cli) -> None:
    plan = cli("scope", "erase", "alice", "--dry-run")
    assert (plan.code, plan.err) == (0, "")
    assert plan.out == (
        "would be erased: alice: 2 refs, 1 receipt, 0 holds, 0 leases, 3 commits\n3 blocks of 4 stay, held by bob\n"
    )
    assert parsed(cli, "scope", "erase", "alice", "--dry-run", "--json")["dry_run"] is True
    refused = cli("scope", "erase", "alice")
    assert (refused.code, refused.out) == (1, "")
    assert "nobody is there to ask" in refused.err
    assert "--yes" in refused.err
    done = cli("scope", "erase", "alice", "--yes", "--command-id", "r-1")
    assert (done.code, done.err) == (0, "")
    assert done.out == plan.out.replace("would be erased", "erased")
    again = parsed(cli, "scope", "erase", "alice", "--yes", "--command-id", "r-1", "--json")
    assert (again["replayed"], again["refs"], again["held_by"]) == (True, 2, [])
    assert cli("scope", "erase", "alice", "--yes", "--command-id", "r-1").out.startswith("was erased before: alice")
    assert "alice" not in cli("scope", "list").out
    assert cli("verify").code == 0


def test_notes(cli: Cli, tmp_path: Path) -> None:
    none = cli("scope", "erased")
    assert (none.code, none.out, none.err) == (0, "", "nothing was erased\n")
    cli("scope", "erase", "alice", "--yes")
    shown = cli("scope", "erased").out
    assert shown.endswith("2 refs, 3 commits\n")
    assert "alice" not in shown
    (note,) = parsed(cli, "scope", "erased", "alice", "--json")
    assert note["scope"][:12] in shown
    assert parsed(cli, "scope", "erased", "bob", "--json") == []
    assert cli("scope", "erased", "--export", "notes").code == 0
    assert (tmp_path / "notes").read_bytes().startswith(b"ringeras")


def test_vacuum(cli: Cli) -> None:
    cli("scope", "erase", "alice", "--yes")
    cli("gc")
    done = cli("vacuum")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("given back: ")
    record = parsed(cli, "vacuum", "--json")
    assert (record["complete"], record["log_bytes"], record["free_bytes"]) == (True, 0, 0)


def test_what_keeps_a_vacuum_is_said(cli: Cli, store: Path) -> None:
    with treering.open(store) as opened:
        opened.threads.start("more")
        reader = subprocess.Popen(
            [sys.executable, "-c", READS, str(store / "store.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"reading\n"
            opened.threads.start("more")
            done = cli("vacuum")
            reader.communicate(b"\n")
    assert done.code == 1
    assert "of the log stay" in done.err


def test_restore_says_who_has_to_be_asked(cli: Cli, store: Path) -> None:
    assert cli("backup", "saved").code == 0
    cli("scope", "erase", "alice", "--yes")
    assert cli("scope", "erased", "--export", "notes").code == 0
    done = cli("restore", "saved", "again")
    assert done.out.splitlines()[0].endswith("; 1 erased scope left out")
    store.rename("elsewhere")
    refused = cli("restore", "saved", "third")
    assert refused.code == 1
    assert "nobody says which scopes were erased since" in refused.err
    assert cli("restore", "saved", "third", "--erasures", "notes").out.splitlines()[0].endswith("left out")
    assert "left out" not in cli("restore", "saved", "fourth", "--as-it-is").out
    with treering.open("fourth") as back:
        assert "alice" in back.scopes()


def test_trim(cli: Cli, store: Path) -> None:
    with treering.open(store) as opened:
        for number in range(9):
            opened.scope("alice").memory.add("context", f"fact {number}")
    line = "user-memory: 8 versions would be cut off, its history begins after version 8\n"
    assert cli("scope", "trim", "alice", "--keep", "2", "--dry-run").out == line
    refused = cli("scope", "trim", "alice", "--keep", "2")
    assert (refused.code, refused.out) == (1, "")
    assert "--yes" in refused.err
    assert cli("scope", "trim", "alice", "--keep", "2", "--yes").out == line.replace("would be ", "")
    record = parsed(cli, "scope", "trim", "alice", "--before", "90d", "--yes", "--json")
    same = {"scope": "alice", "policy": None, "failed": None}
    assert record == {"looked_at": 1, "dropped": 0, "dry_run": False, "actors": [], **same}
    assert cli("scope", "trim", "alice", "--keep", "2", "--yes").out == "nothing to cut off of 1 actor\n"
    assert cli("scope", "trim", "alice", "--keep", "2", "--younger-than", "1d", "--yes").code == 2
    assert cli("scope", "trim", "nobody", "--keep", "2", "--yes").code == 1
