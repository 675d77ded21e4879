"""`treering backup`, `restore` and `copy`: what they print, refuse and leave."""

import json
from pathlib import Path

import treering

from .conftest import Cli


def fill(path: str) -> None:
    with treering.open(path) as store:
        store.threads.start("w", key="k", command_id="c").append("coder", "one")


def test_backup_restore_and_look_into_both(cli: Cli) -> None:
    fill(".treering")
    done = cli("backup", "saved")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("backed up: 2 commits, 3 blocks, ")
    assert "3 blocks checked\nhead  " in done.out
    assert cli("backup", "saved").out.startswith("nothing new: the backup stands at commit 2, as the store")
    with treering.open(".treering") as store:
        store.threads.get("k").append("coder", "two")
        head = store.head()
    report = json.loads(cli("backup", "saved", "--no-check", "--json").out)
    assert (report["incremental"], report["commits"], report["blocks"], report["checked_blocks"]) == (True, 1, 2, 2)
    assert report["head"] == head
    assert "two" in cli("--store", "saved", "thread", "log", "k").out
    done = cli("restore", "saved", "again")
    assert (done.code, done.out.splitlines()[0].split(",")[0]) == (0, "restored: 3 commits")
    assert json.loads(cli("--store", "again", "verify", "--since", head, "--json").out)["ok"]


def test_refusals_say_what_to_do(cli: Cli) -> None:
    done = cli("backup", "saved")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: no store")
    fill(".treering")
    fill("other")
    assert cli("backup", "saved").code == 0
    done = cli("--store", "other", "backup", "saved")
    assert done.code == 1
    assert "another store" in done.err
    assert "give another directory" in done.err
    done = cli("restore", "saved", "other")
    assert done.code == 1
    assert "absent or empty" in done.err
    assert cli("restore", "nothing", "new").code == 1
    assert not Path("new").exists()
    done = cli("--store", "saved", "thread", "fork", "k")
    assert done.code == 1
    assert "reading only" in done.err
    Path("half").mkdir()
    Path("half/treering-backup").touch()
    done = cli("--store", "half", "thread", "list")
    assert done.code == 1
    assert "not finished; run that again" in done.err


def test_copy(cli: Cli) -> None:
    fill("source")
    done = cli("copy", "source", "target")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].startswith("copied 2 new refs, 3 blocks (")
    assert done.out.splitlines()[1].startswith("1 command receipt not copied")
    assert cli("copy", "source", "target").out.startswith("nothing new: all 2 refs were there\n")
    with treering.open("source") as store:
        store.threads.get("k").append("coder", "here")
    with treering.open("target") as store:
        store.threads.get("k").append("coder", "there")
    done = cli("copy", "source", "target")
    assert done.code == 1
    assert "in the target: 1, main/thread/" in done.err
    assert "--rename SCOPE=NEW" in done.err
    report = json.loads(cli("copy", "source", "target", "--rename", "main=theirs", "--json").out)
    assert (report["refs_new"], report["refs_moved"], report["receipts_left"]) == (2, 0, 1)
    assert "here" in cli("--store", "target", "--scope", "theirs", "thread", "log", "k").out
    assert cli("copy", "source", "target", "--rename", "main").code == 2
    done = cli("copy", "nothing", "new")
    assert done.code == 1
    assert not Path("new").exists()
