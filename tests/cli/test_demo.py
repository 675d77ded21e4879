"""The demo does what it says, wherever it is run, and leaves nothing behind."""

import json
import re
import tempfile
from pathlib import Path

import pytest

import treering

from .conftest import Cli


def test_demo(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TREERING_STORE", str(tmp_path / "mine"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = cli("demo")
    assert (done.code, done.err) == (0, "")
    assert list(tmp_path.iterdir()) == []
    commands = re.findall(r"^\$ (.*)$", done.out, flags=re.MULTILINE)
    assert [" ".join(command.split()[:3]) for command in commands[1:]] == [
        "treering thread import",
        "treering thread import",
        "treering thread export",
        "treering thread list",
        "treering thread fork",
        "treering thread log",
        "treering thread diff",
        "treering verify",
        "cp -r .treering",
        "treering --store copied",
        "treering verify",
        "treering demo --keep",
        "treering thread import",
    ]
    assert "\nnothing new: all 12 threads were there; 0 threads, 0 blocks written\n" in done.out
    assert '>>> read("exported.json") == read("conversations.json")\nTrue\n' in done.out
    assert "│ ├─╮" in done.out
    assert done.out.count("\nok: checked ") == 2
    tampered = done.out.split("$ treering --store copied verify\n")[1].split("$ treering verify")[0]
    assert " finding" in tampered.splitlines()[0]
    assert "bafyr4i" in tampered
    assert re.search(r"\b[0-9A-HJKMNP-TV-Z]{26} +6\b", tampered), "the thread and the step are named"
    assert max(map(len, done.out.splitlines())) <= 100


def test_demo_keeps_what_it_is_told_to_keep(cli: Cli) -> None:
    done = cli("demo", "--keep", "kept")
    assert done.code == 0
    with treering.open("kept/.treering", create=False) as store:
        assert len(store.threads.list()) == 14
        assert store.verify().ok
    with treering.open("kept/copied", create=False) as copied:
        assert not copied.verify().ok
    assert len(json.loads(Path("kept/exported.json").read_bytes())) == 12
    assert Path("kept/.treering").is_dir()
    again = cli("demo", "--keep", "kept")
    assert (again.code, again.err.splitlines()[0]) == (1, "error: not empty: kept")
