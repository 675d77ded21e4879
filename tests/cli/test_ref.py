"""`treering ref …` and `verify --repair` as a user sees them."""

import json
import sqlite3
from pathlib import Path

import pytest

import treering

from .conftest import Cli


def damage(store: Path, sql: str, *values: object) -> None:
    database = sqlite3.connect(store / "store.db")
    with database:
        assert database.execute(sql, values).rowcount == 1
    database.close()


@pytest.fixture
def ref(store: Path) -> str:
    with treering.open(store) as opened:
        return f"main/thread/{opened.threads.get('other').id}"


def test_repair(cli: Cli, store: Path, ref: str) -> None:
    damage(store, "UPDATE ref SET version = 9 WHERE name = ?", ref)
    listed = cli("ref", "list", "--broken")
    assert listed.code == 0
    assert ref in listed.out.replace("\n", "")
    assert "does not match its check" in " ".join(listed.out.split())
    assert cli("verify").code == 1
    done = cli("verify", "--repair")
    assert done.code == 0, done.out
    assert done.out.startswith(f"mended: ref ref row {ref}: written anew from its last entry in the journal\nok: ")
    assert cli("ref", "list", "--broken").out == ""
    again = json.loads(cli("verify", "--repair", "--json").out)
    assert again["ok"] is True
    assert again["repairs"] == []


def test_a_store_that_does_not_open_is_repaired(cli: Cli, store: Path) -> None:
    damage(store, "UPDATE manifest SET chk = zeroblob(16) WHERE key = 'totals'")
    assert cli("verify").code == 1
    assert cli("verify", "--repair").code == 0
    assert cli("verify").code == 0


def test_quarantine_and_back(cli: Cli, store: Path) -> None:
    with treering.open(store) as opened:
        thread = opened.threads.get("third-try")
        name, lost, whole = f"main/thread/{thread.id}", thread.head, thread.at(2).cid
    damage(store, "DELETE FROM block WHERE digest = ?", lost.digest)
    done = cli("verify", "--repair")
    assert done.code == 1
    assert "can't be mended" in done.out
    assert "treering ref quarantine NAME" in done.out

    refused = cli("ref", "quarantine", name)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.splitlines() == ["error: not done; nobody is there to ask", "hint: pass --yes"]
    moved = cli("ref", "quarantine", name, "--yes")
    assert moved.code == 0, moved.err
    assert name in moved.out
    assert whole.short() in moved.out
    assert cli("verify").code == 0
    assert name not in cli("thread", "list").out

    listed = json.loads(cli("ref", "list", "--kind", "quarantine", "--json").out)
    assert [row["quarantined"][0] for row in listed] == [name]
    assert "quarantined:" in cli("ref", "list", "--kind", "quarantine").out
    shown = json.loads(cli("ref", "show", name, "--json").out)
    assert shown["lost"] == [str(lost)]
    assert shown["refs"][0]["whole_target"] == str(whole)
    assert cli("ref", "show", shown["entry"]).out == moved.out

    assert cli("ref", "restore", name).code == 1
    back = cli("ref", "restore", name, "--whole")
    assert back.code == 0, back.err
    assert name in back.out.splitlines()
    assert cli("thread", "show", "third-try").code == 0
    assert cli("ref", "discard", shown["entry"]).code == 1
    assert cli("ref", "discard", shown["entry"], "--yes").out == shown["entry"] + "\n"
    missing = cli("ref", "show", shown["entry"])
    assert missing.code == 1
    assert missing.err.startswith(f"error: nothing in quarantine is named {shown['entry']}\nhint: ")


def test_what_is_sound_stays(cli: Cli, store: Path, ref: str) -> None:
    done = cli("ref", "quarantine", ref, "--yes")
    assert done.code == 1
    assert "nothing is wrong with it" in done.err
    rows = json.loads(cli("ref", "list", "--json").out)
    assert ref in {row["name"] for row in rows}
    assert all(row["broken"] is None for row in rows)
