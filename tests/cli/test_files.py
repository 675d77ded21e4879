"""`treering files`, as a user sees it, and as JSON."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import testing

from .conftest import Cli

NOON = 1_760_011_200_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / ".treering"
    with testing.open(path, clock=testing.Clock(NOON)) as opened:
        main = opened.scope("main")
        main.files.put("notes/today.md", b"# Today\nBuy milk\ncall \x1b[2JBob\n")
        main.files.put("notes/today.md", b"# Today\ncall \x1b[2JBob\n")
        main.files.put("media/raw.bin", bytes(1_500_000))
        main.scripts.upload("lint.py", "print('bob')\n")
    return path


def said(cli: Cli, *arguments: str) -> str:
    done = cli(*arguments)
    assert (done.code, done.err) == (0, "")
    text = re.sub(r"bafkr4i[a-z2-7]{52}", "CID", done.out)
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def parsed(cli: Cli, *arguments: str) -> Any:
    done = cli(*arguments, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


@pytest.mark.usefixtures("store")
def test_list(cli: Cli) -> None:
    assert said(cli, "files", "list") == (
        "PATH                 BYTES  PUT (UTC)            TYPE\n"
        "media/raw.bin    1,500,000  2025-10-09 12:00:00  application/octet-stream\n"
        "notes/today.md          21  2025-10-09 12:00:00  text/markdown\n"
        "scripts/lint.py         13  2025-10-09 12:00:00  text/x-python\n"
    )
    (row,) = parsed(cli, "files", "list", "notes/")
    assert row == {
        "path": "notes/today.md",
        "content": row["content"],
        "size": 21,
        "content_type": "text/markdown",
        "updated_at_ms": NOON,
    }
    done = cli("files", "list", "nothing")
    assert (done.code, done.out, done.err) == (0, "", "no files at nothing…\n")


@pytest.mark.usefixtures("store")
def test_stat(cli: Cli) -> None:
    assert said(cli, "files", "stat", "notes/today.md") == (
        "path   notes/today.md\n"
        "bytes  21\n"
        "type   text/markdown\n"
        "put    2025-10-09 12:00:00 UTC\n"
        "cid    CID\n"
    )  # fmt: skip
    assert parsed(cli, "files", "stat", "notes/today.md", "--at", "1")["size"] == 30
    done = cli("files", "stat", "nothing")
    assert (done.code, done.err) == (
        1,
        "error: no file nothing\nhint: treering files list shows the files there are\n",
    )
    done = cli("files", "stat", "../x")
    assert done.code == 1
    assert "a segment is" in done.err


def test_put_and_get(cli: Cli, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "in.bin").write_bytes(content)
    assert said(cli, "files", "put", "in.bin", "a/b.bin") == "a/b.bin  1,280,000 bytes  application/octet-stream  CID\n"
    put = parsed(cli, "files", "put", "in.bin", "a/b.bin")
    assert (put["size"], put["version"], put["changed"]) == (len(content), 1, False)
    assert said(cli, "files", "get", "a/b.bin", "out.bin") == "out.bin  1,280,000 bytes  application/octet-stream\n"
    assert (tmp_path / "out.bin").read_bytes() == content
    assert cli("files", "get", "a/b.bin", "out.bin").err == (
        "error: out.bin is there already\nhint: name another file, or remove it first\n"
    )
    assert parsed(cli, "files", "get", "a/b.bin", "again.bin")["size"] == len(content)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".treering", "again.bin", "in.bin", "out.bin"]
    # Another command reads what this one wrote.
    with treering.open(tmp_path / ".treering") as opened, opened.scope("main").files.open("a/b.bin") as file:
        assert file.read() == content


def test_stdin_and_stdout(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"line\n")
    assert cli("files", "put", "in", "x.txt", "--type", "text/plain; charset=utf-8").code == 0
    assert cli("files", "get", "x.txt").out == "line\n"
    assert cli("files", "get", "x.txt", "-").out == "line\n"


def test_limits(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(1000))
    assert cli("files", "put", "in", "x", "--max-bytes", "1000").code == 0
    done = cli("files", "put", "in", "y", "--max-bytes", "999")
    assert done.code == 1
    assert "999" in done.err
    (tmp_path / "none").write_bytes(b"")
    assert "empty" in cli("files", "put", "none", "y").err
    assert cli("files", "put", "in", "scripts/x").code == 1
    assert [row["path"] for row in parsed(cli, "files", "list")] == ["x"]


@pytest.mark.usefixtures("store")
def test_rm(cli: Cli) -> None:
    assert said(cli, "files", "rm", "notes/today.md") == "deleted notes/today.md\n"
    done = cli("files", "rm", "notes/today.md")
    assert (done.code, done.err.splitlines()[0]) == (1, "error: no file notes/today.md")
    assert parsed(cli, "files", "rm", "media/raw.bin") == {"path": "media/raw.bin", "version": 5}
    assert [row["path"] for row in parsed(cli, "files", "list")] == ["scripts/lint.py"]
    assert cli("files", "get", "notes/today.md", "--at", "3").out.endswith("Bob\n")


@pytest.mark.usefixtures("store")
def test_grep(cli: Cli) -> None:
    assert said(cli, "files", "grep", "BOB") == (
        "notes/today.md:2: call ␛[2JBob\n"
        "scripts/lint.py:1: print('bob')\n"
    )  # fmt: skip
    assert parsed(cli, "files", "grep", "bob", "*/*.py") == [
        {"path": "scripts/lint.py", "line": 1, "text": "print('bob')"}
    ]
    assert len(parsed(cli, "files", "grep", ".", "--max", "1")) == 1
    done = cli("files", "grep", "nobody")
    assert (done.code, done.out, done.err) == (0, "", "nothing found\n")
    assert cli("files", "grep", "x", "--max", "101").code == 2


@pytest.mark.usefixtures("store")
def test_the_actor_shows_them_too(cli: Cli) -> None:
    shown = said(cli, "actor", "show", "files")
    assert "media/raw.bin  1,500,000 bytes  application/octet-stream  2025-10-09 12:00:00" in shown
    assert "FilePut" in said(cli, "actor", "events", "files")
    assert parsed(cli, "actor", "verify", "files")["events"] == 3
