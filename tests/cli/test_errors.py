"""What goes wrong: one line, a hint where one helps, the exit code, nothing on stdout, nothing made."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import treering

from .conftest import Cli


def test_no_store(cli: Cli) -> None:
    for command in (["thread", "list"], ["thread", "show", "x"], ["verify"], ["stats"], ["block", "list"]):
        done = cli(*command)
        assert (done.code, done.out) == (1, "")
        error, hint = done.err.splitlines()
        assert error == "error: no store: .treering is not there"
        assert hint.startswith("hint: treering thread import FILE makes one")
    assert list(Path().iterdir()) == []


def test_a_directory_that_is_no_store(cli: Cli) -> None:
    Path("home").mkdir()
    Path("home/photo.jpg").write_bytes(b"x")
    done = cli("--store", "home", "thread", "list")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert [path.name for path in Path("home").iterdir()] == ["photo.jpg"]


@pytest.mark.usefixtures("store")
def test_an_unknown_thread(cli: Cli) -> None:
    done = cli("thread", "show", "ticket-999")
    assert (done.code, done.out) == (1, "")
    assert "ticket-999" in done.err.splitlines()[0]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "\\..\\x", "x" * 5000])
def test_ids_that_look_like_paths(cli: Cli, name: str) -> None:
    done = cli("thread", "show", name)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("store")
def test_an_ambiguous_id_lists_candidates(cli: Cli, store: Path) -> None:
    with treering.open(store) as opened:
        ids = [thread.id for thread in opened.threads.list()]
    common = ids[0][: next(at for at in range(26) if len({thread_id[at] for thread_id in ids}) > 1)]
    assert len(common) >= 4, "threads of one second share the beginning of their ids"
    done = cli("thread", "show", common)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    hint = done.err.splitlines()[1]
    assert hint.startswith("hint: it could be ")
    assert all(thread_id in done.err for thread_id in ids)


@pytest.mark.usefixtures("store")
def test_an_absent_block(cli: Cli) -> None:
    absent = str(treering.Cid.of(b"absent"))
    done = cli("block", "get", absent)
    assert (done.code, done.out) == (1, "")
    assert absent in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["thread", "nonsense"],
        ["thread", "list", "--nonsense"],
        ["thread", "list", "--label", "no-equals"],
        ["thread", "list", "--status", "nonsense"],
        ["thread", "show"],
        ["thread", "log"],
        ["thread", "log", "--graph", "--reverse", "x"],
        ["thread", "fork", "x", "--at", "1", "--before", "coder"],
        ["thread", "fork", "x", "--occurrence", "third"],
        ["thread", "fork", "x", "--at", "-1"],
        ["thread", "import", "absent.json"],
        ["block", "get", "--raw", "--json", "bafkr4i"],
    ],
)
def test_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert (done.code, done.out) == (2, "")
    error, hint = done.err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: treering")
    assert hint.endswith("--help")


def test_a_group_without_a_command_shows_its_help(cli: Cli) -> None:
    for arguments in ([], ["thread"], ["block"]):
        done = cli(*arguments)
        assert (done.code, done.err) == (2, "")
        assert "Usage" in done.out


def test_a_reader_that_leaves_is_no_error(store: Path) -> None:
    """`treering block list | head -1`."""
    with treering.open(store) as opened, opened.scope("main").commit() as commit:
        for number in range(5000):
            commit.put(b"%d" % number)
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m treering.cli --store {store} block list | head -1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert len(done.stdout.splitlines()) == 1


def test_an_interrupt_is_no_traceback(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [sys.executable, "-m", "treering.cli", "--store", tmp_path / "s", "thread", "import", fifo],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with fifo.open("wb"):  # the command reads now, and waits
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == ""
