"""`treering journal`: what is kept, sealed, expired, given up."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli

pytestmark = pytest.mark.usefixtures("store")


def parsed(cli: Cli, *arguments: str) -> Any:
    done = cli(*arguments)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_seal_list_expire(cli: Cli) -> None:
    commits = parsed(cli, "journal", "list", "--json")["commits"]
    assert commits > 5
    done = cli("journal", "seal", "--keep", "2")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"sealed {commits - 2} commits in 1 file, ")
    assert cli("journal", "seal", "--keep", "2").out == "nothing to be sealed\n"
    shown = cli("journal", "list").out.splitlines()
    assert shown[0] == f"{commits} commits kept, 2 of them not sealed"
    assert shown[1].split() == ["FIRST", "LAST", "UNTIL", "SIZE", "CURSOR"]
    record = parsed(cli, "journal", "list", "--json")
    (file,) = record["sealed"]
    assert (file["first"], file["last"]) == (1, commits - 2)
    assert file["cursor"] in shown[2]

    assert parsed(cli, "journal", "expire", "--before", "1d", "--yes", "--json")["commits"] == 0
    assert parsed(cli, "journal", "expire", "--before", "2020-01-31", "--yes", "--json")["commits"] == 0
    done = cli("journal", "expire", "--before", file["cursor"])
    assert (done.code, done.out) == (1, "")
    assert "nobody is there to ask" in done.err
    assert "--yes" in done.err
    gone = parsed(cli, "journal", "expire", "--before", file["cursor"], "--yes", "--json")
    assert (gone["files"], gone["commits"], gone["bytes"]) == (1, commits - 2, file["bytes"])
    assert cli("journal", "list").out == f"2 commits kept, 2 of them not sealed; {commits - 2} older ones expired\n"
    assert cli("verify").code == 0


@pytest.mark.parametrize("wrong", ["yesterday", "90", "5y", ""])
def test_what_is_no_moment(cli: Cli, wrong: str) -> None:
    done = cli("journal", "expire", "--before", wrong, "--yes")
    assert done.code == 2
    assert "no day, age" in done.err


def test_a_cursor_of_another_store(cli: Cli) -> None:
    done = cli("journal", "expire", "--before", "c1-3-0123456789abcdef", "--yes")
    assert (done.code, done.out) == (1, "")
    assert "c1-3-0123456789abcdef" in done.err


def test_give_up(cli: Cli, store: Path) -> None:
    done = cli("journal", "give-up", "3", "--yes")
    assert (done.code, done.out) == (1, "")
    assert "it can be read" in done.err
    with sqlite3.connect(store / "store.db") as database:
        database.execute("UPDATE journal SET body = zeroblob(length(body)) WHERE position = 3")
    database.close()
    assert "journal give-up" in cli("verify", "--repair").out
    done = cli("journal", "give-up", "3")
    assert (done.code, done.out) == (1, "")
    assert "--yes" in done.err
    done = cli("journal", "give-up", "3", "--yes")
    assert (done.code, done.out, done.err) == (0, "gave up commit 3: what it did is not known any more\n", "")
    assert "(1 of them given up)" in cli("verify").out
    assert parsed(cli, "verify", "--json")["checked"]["blank_commits"] == 1
